//! Invites by an address: the offer in the room, and the proof that it is for who comes.

use rules::signing_key::SigningKey;
use serde_json::{Value, json};

use crate::{
    harness::{User, encode, on_both_databases},
    scene::content,
};

/// The identity server that knows whose the address is.
fn identity_server() -> SigningKey {
    SigningKey::from_seed([9; 32], "0").expect("a key")
}

/// The offer that it makes.
fn offer(key: &SigningKey) -> Value {
    let validity = "https://identity.test/_matrix/identity/v2/pubkey/isvalid";
    json!({
        "display_name": "b...@e...",
        "key_validity_url": validity,
        "public_key": key.public_key(),
        "public_keys": [{ "public_key": key.public_key(), "key_validity_url": validity }],
    })
}

/// What it says of who the address belongs to.
fn signed(key: &SigningKey, mxid: &str, token: &str) -> Value {
    let said = json!({ "mxid": mxid, "sender": "@alice:hearth.test", "token": token });
    let mut said = content(&said);
    key.sign_json("identity.test".try_into().expect("a server name"), &mut said).expect("signed");
    serde_json::to_value(said).expect("JSON")
}

async fn member(user: &User, room: &str, whom: &User) -> Value {
    user.state(room, "m.room.member", whom.user_id.as_str()).await.body
}

on_both_databases! {
    async fn who_has_the_proof_comes_in(server: Server) {
        let (alice, bob, mallory) =
            (server.user("alice").await, server.user("bob").await, server.user("mallory").await);
        let key = identity_server();
        for version in ["6", "9", "11", "12"] {
            let room = alice.creates_room(json!({ "room_version": version })).await;
            alice.sets(&room, "m.room.third_party_invite", "abc", offer(&key)).await.ok();
            let proof = signed(&key, bob.user_id.as_str(), "abc");
            bob.does(&room, "join", json!({})).await.refused(403, "M_FORBIDDEN");
            // The proof of another, one for nothing, one by nobody, one that was altered.
            mallory.does(&room, "join", json!({ "third_party_signed": proof })).await.refused(403, "M_FORBIDDEN");
            let mut stolen = proof.clone();
            stolen["mxid"] = json!(mallory.user_id);
            mallory.does(&room, "join", json!({ "third_party_signed": stolen })).await.refused(403, "M_FORBIDDEN");
            for wrong in [
                signed(&key, bob.user_id.as_str(), "other"),
                signed(&SigningKey::from_seed([8; 32], "0").expect("a key"), bob.user_id.as_str(), "abc"),
            ] {
                bob.does(&room, "join", json!({ "third_party_signed": wrong })).await.refused(403, "M_FORBIDDEN");
            }
            assert_eq!(member(&alice, &room, &mallory).await["errcode"], "M_NOT_FOUND", "nobody was invited");
            let path = match version {
                "9" => format!("/v3/join/{}", encode(&room)),
                _ => format!("/v3/rooms/{}/join", encode(&room)),
            };
            let joined = bob.post(&path, json!({ "third_party_signed": proof, "reason": "invited" })).await.ok();
            assert_eq!(joined["room_id"], json!(room));
            assert_eq!(member(&alice, &room, &bob).await["membership"], "join");
            // Between the two stands the invite, by who made the offer.
            let path = format!("/v3/rooms/{}/messages?dir=b&limit=2", encode(&room));
            let last = alice.get(&path).await.ok();
            let (join, invite) = (&last["chunk"][0], &last["chunk"][1]);
            assert_eq!((&join["content"]["reason"], &invite["content"]["membership"]), (&json!("invited"), &json!("invite")));
            assert_eq!((&invite["sender"], &invite["state_key"]), (&json!(alice.user_id), &json!(bob.user_id)));
            let of_invite = &invite["content"]["third_party_invite"];
            assert_eq!((&of_invite["display_name"], &of_invite["signed"]), (&json!("b...@e..."), &proof));
        }
    }

    async fn an_offer_is_made_and_exchanged_only_by_who_may_invite(server: Server) {
        let (alice, bob) = (server.user("alice").await, server.user("bob").await);
        let carol = server.user("carol").await;
        let key = identity_server();
        let room = alice.creates_room(json!({ "preset": "public_chat" })).await;
        carol.joins(&room).await;
        let set = carol.sets(&room, "m.room.third_party_invite", "abc", offer(&key)).await;
        set.refused(403, "M_FORBIDDEN");
        alice.sets(&room, "m.room.third_party_invite", "abc", offer(&key)).await.ok();
        // As state, by who made the offer and by nobody else.
        let proof = signed(&key, bob.user_id.as_str(), "abc");
        let invite = json!({ "membership": "invite", "third_party_invite": { "display_name": "b", "signed": proof } });
        carol.sets(&room, "m.room.member", bob.user_id.as_str(), invite.clone()).await.refused(403, "M_FORBIDDEN");
        alice.sets(&room, "m.room.member", bob.user_id.as_str(), invite.clone()).await.ok();
        assert_eq!(member(&alice, &room, &bob).await["membership"], "invite");
        // Who is banned stays out, and who is in stays in.
        alice.does(&room, "ban", json!({ "user_id": bob.user_id })).await.ok();
        let body = json!({ "third_party_signed": proof });
        bob.does(&room, "join", body.clone()).await.refused(403, "M_FORBIDDEN");
        alice.does(&room, "unban", json!({ "user_id": bob.user_id })).await.ok();
        bob.does(&room, "join", body.clone()).await.ok();
        bob.does(&room, "join", body).await.ok();
        // An offer that was taken back is none.
        let secret = alice.creates_room(json!({})).await;
        alice.sets(&secret, "m.room.third_party_invite", "abc", offer(&key)).await.ok();
        alice.sets(&secret, "m.room.third_party_invite", "abc", json!({})).await.ok();
        bob.does(&secret, "join", json!({ "third_party_signed": proof })).await.refused(403, "M_FORBIDDEN");
    }

    async fn what_is_no_proof_is_refused(server: Server) {
        let (alice, bob) = (server.user("alice").await, server.user("bob").await);
        let room = alice.creates_room(json!({ "preset": "public_chat" })).await;
        for wrong in [json!(1), json!({}), json!({ "token": "a", "mxid": "b", "sender": "c", "signatures": [] }),
            json!({ "token": 1, "mxid": "b", "sender": "c", "signatures": {} })] {
            bob.does(&room, "join", json!({ "third_party_signed": wrong })).await.refused(400, "M_BAD_JSON");
        }
        let long = json!({ "token": "a", "mxid": "b", "sender": "c".repeat(20_000), "signatures": {} });
        bob.does(&room, "join", json!({ "third_party_signed": long })).await.refused(413, "M_TOO_LARGE");
        bob.does(&room, "join", json!({ "third_party_signed": null })).await.ok();
    }
}
