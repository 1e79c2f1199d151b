//! Invites by an address: the offer in the room, and the proof that it is for who comes.

use homeserver::config::Config;
use rules::signing_key::SigningKey;
use serde_json::{Value, json};

use crate::{
    harness::{User, encode, on_both_databases},
    scene::content,
    standin::{Question, StandIn},
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

/// An identity server that knows bob, and by which address.
async fn that_knows_bob() -> StandIn {
    StandIn::open(|question: &Question| {
        let path =
            question.what.rsplit_once("/_matrix/identity/v2/").map(|(_, path)| path).unwrap_or_default();
        // Of «bob@example.org email pepper».
        const BOB: &str = "Q7m2hACJOO3VkFfldR9Pa1XN6FvI5VhF_EimM-MWEI4";
        match path {
            "hash_details" => (200, json!({ "lookup_pepper": "pepper", "algorithms": ["none", "sha256"] })),
            "lookup" if question.body["addresses"][0] == BOB => {
                (200, json!({ "mappings": { BOB: "@bob:hearth.test" } }))
            }
            "lookup" => (200, json!({ "mappings": {} })),
            "store-invite" if question.body["address"] == "odd@example.org" => {
                (200, json!({ "token": "a/b", "display_name": "o", "public_keys": [] }))
            }
            "store-invite" => {
                let mut offer = offer(&identity_server());
                offer["token"] = "abc".into();
                (200, offer)
            }
            _ => (404, json!({ "errcode": "M_NOT_FOUND", "error": "what?" })),
        }
    })
    .await
}

fn trusts(config: &mut Config, identity: &StandIn) {
    config.federation.allow_loopback = true;
    config.identity.trusted_servers = vec![format!("http://{}", identity.name)];
}

fn by_address(identity: &StandIn, address: &str) -> Value {
    json!({ "id_server": identity.name, "id_access_token": "t1", "medium": "email", "address": address })
}

on_both_databases! {
    async fn an_address_invites_who_it_belongs_to(server: Server) {
        let (mut server, identity) = (server, that_knows_bob().await);
        server.restart_with(|config| trusts(config, &identity)).await;
        let (alice, bob, carol) =
            (server.user("alice").await, server.user("bob").await, server.user("carol").await);
        let room = alice.creates_room(json!({ "name": "Kitchen" })).await;
        alice.does(&room, "invite", by_address(&identity, "Bob@example.org")).await.ok();
        assert_eq!(member(&alice, &room, &bob).await["membership"], "invite");
        assert!(!identity.questions().iter().any(|question| question.body.to_string().contains("example.org")));
        assert!(identity.questions().iter().all(|question| question.authorization.as_deref() == Some("Bearer t1")));
        // Nobody's yet: the identity server keeps the invite, the room the offer, and carol comes with the proof.
        alice.does(&room, "invite", by_address(&identity, "Carol@example.org")).await.ok();
        let stored = identity.newest().body;
        for (key, value) in [("address", "carol@example.org"), ("medium", "email"), ("room_name", "Kitchen"),
            ("sender", "@alice:hearth.test"), ("room_id", room.as_str()), ("room_join_rules", "invite")] {
            assert_eq!(stored[key], value, "{key}");
        }
        let kept = alice.state(&room, "m.room.third_party_invite", "abc").await.ok();
        assert_eq!(kept["public_key"], offer(&identity_server())["public_key"]);
        assert!(!kept.to_string().contains("carol"));
        let proof = signed(&identity_server(), carol.user_id.as_str(), "abc");
        carol.does(&room, "join", json!({ "third_party_signed": proof })).await.ok();
        // The same when the room begins.
        let ask = json!({ "invite_3pid": [by_address(&identity, "bob@example.org"), by_address(&identity, "x@example.org")] });
        let room = alice.creates_room(ask).await;
        assert_eq!(member(&alice, &room, &bob).await["membership"], "invite");
        alice.state(&room, "m.room.third_party_invite", "abc").await.ok();
        assert_eq!(identity.newest().body["room_id"], json!(room));
    }

    async fn nobody_is_asked_about_an_address_in_vain(server: Server) {
        let (mut server, identity, other) = (server, that_knows_bob().await, that_knows_bob().await);
        server.restart_with(|config| trusts(config, &identity)).await;
        let (alice, bob) = (server.user("alice").await, server.user("bob").await);
        let room = alice.creates_room(json!({})).await;
        let (good, elsewhere) = (by_address(&identity, "x@example.org"), by_address(&other, "x@example.org"));
        bob.does(&room, "invite", good.clone()).await.refused(403, "M_FORBIDDEN");
        alice.does(&room, "invite", elsewhere.clone()).await.refused(400, "M_SERVER_NOT_TRUSTED");
        let create = json!({ "invite_3pid": [good, elsewhere] });
        alice.post("/v3/createRoom", create).await.refused(400, "M_SERVER_NOT_TRUSTED");
        for (key, value) in [("medium", "pigeon"), ("address", "nobody")] {
            let mut wrong = good.clone();
            wrong[key] = value.into();
            alice.does(&room, "invite", wrong.clone()).await.refused(400, "M_INVALID_PARAM");
            alice.post("/v3/createRoom", json!({ "invite_3pid": [wrong] })).await.refused(400, "M_INVALID_PARAM");
        }
        let many = vec![good.clone(); 21];
        alice.post("/v3/createRoom", json!({ "invite_3pid": many })).await.refused(413, "M_TOO_LARGE");
        assert!(identity.questions().is_empty() && other.questions().is_empty());
        // What it answers is not believed blindly, and makes no half of a room.
        let odd = by_address(&identity, "odd@example.org");
        alice.does(&room, "invite", odd.clone()).await.refused(503, "M_UNKNOWN");
        alice.post("/v3/createRoom", json!({ "invite_3pid": [odd] })).await.refused(503, "M_UNKNOWN");
        assert_eq!(alice.get("/v3/joined_rooms").await.ok()["joined_rooms"], json!([room]));
    }

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
