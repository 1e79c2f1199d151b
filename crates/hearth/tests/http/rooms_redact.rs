//! `PUT /rooms/{roomId}/redact/{eventId}/{txnId}`

use homeserver::{accounts, who::Kind};
use ruma::UserId;
use serde_json::{Value, json};

use crate::harness::{Reply, Server, User, encode, on_both_databases};

async fn administrator(server: &Server) -> User {
    let user_id = UserId::parse("@root:hearth.test").expect("a user id");
    let made = accounts::register::create(&server.home, &user_id, Kind::User, None, true).await;
    made.expect("a new administrator");
    server.device_of(user_id, "FIRST").await
}

async fn redact(user: &User, room_id: &str, event_id: &str, txn: &str) -> Reply {
    let path = format!("/v3/rooms/{}/redact/{}/{txn}", encode(room_id), encode(event_id));
    user.put(&path, json!({ "reason": "spam" })).await
}

async fn event(user: &User, room_id: &str, event_id: &str) -> Value {
    user.get(&format!("/v3/rooms/{}/event/{}", encode(room_id), encode(event_id))).await.ok()
}

on_both_databases! {
    async fn a_redacted_event_is_empty_and_says_why(server: Server) {
        let alice = server.user("alice").await;
        for version in ["6", "10", "11", "12"] {
            let room = alice.creates_room(json!({ "room_version": version })).await;
            let said = alice.say(&room, "secret").await;
            let first = redact(&alice, &room, &said, "t1").await.ok();
            assert_eq!(redact(&alice, &room, &said, "t1").await.ok(), first, "the same transaction");
            let second = redact(&alice, &room, &said, "t2").await.ok();
            assert_ne!(first, second);
            let pruned = event(&alice, &room, &said).await;
            assert_eq!(pruned["content"], json!({}));
            let because = &pruned["unsigned"]["redacted_because"];
            assert_eq!(because["event_id"], first["event_id"], "the first redaction counts: {pruned}");
            assert_eq!((&because["content"]["reason"], &because["redacts"]), (&json!("spam"), &json!(said)));
        }
    }

    async fn nothing_remains_in_the_store(server: Server) {
        let alice = server.user("alice").await;
        let room = alice.creates_room(json!({})).await;
        let said = alice.say(&room, "the secret word").await;
        redact(&alice, &room, &said, "t").await.ok();
        let stored = store::events::by_id(&server.home.db, &said).await.expect("the database").expect("the event");
        let json = String::from_utf8_lossy(&stored.json).into_owned();
        assert!(!json.contains("secret"), "{json}");
        let mut server = server;
        server.restart().await;
        let alice = server.device_of(alice.user_id.clone(), "SECOND").await;
        assert_eq!(event(&alice, &room, &said).await["content"], json!({}));
    }

    async fn others_events_take_power(server: Server) {
        let (alice, bob) = (server.user("alice").await, server.user("bob").await);
        let room = alice.creates_room(json!({ "preset": "public_chat" })).await;
        bob.joins(&room).await;
        let (by_alice, by_bob) = (alice.say(&room, "a").await, bob.say(&room, "b").await);
        redact(&bob, &room, &by_alice, "1").await.refused(403, "M_FORBIDDEN");
        redact(&bob, &room, &by_bob, "2").await.ok();
        let by_bob = bob.say(&room, "c").await;
        redact(&alice, &room, &by_bob, "3").await.ok();
        bob.leaves(&room).await;
        redact(&bob, &room, &by_bob, "4").await.refused(403, "M_FORBIDDEN");
    }

    async fn only_events_of_the_room_are_redacted(server: Server) {
        let (alice, mallory) = (server.user("alice").await, server.user("mallory").await);
        let room = alice.creates_room(json!({})).await;
        let other = alice.creates_room(json!({})).await;
        let said = alice.say(&room, "here").await;
        redact(&alice, &other, &said, "1").await.refused(404, "M_NOT_FOUND");
        redact(&alice, &room, "$none", "2").await.refused(404, "M_NOT_FOUND");
        assert_eq!(event(&alice, &room, &said).await["content"]["body"], "here");
        // Who is not in the room learns nothing of what is in it.
        redact(&mallory, &room, &said, "3").await.refused(403, "M_FORBIDDEN");
        redact(&mallory, &room, "$none", "4").await.refused(403, "M_FORBIDDEN");
    }

    async fn a_redacted_state_event_keeps_its_place(server: Server) {
        let (alice, bob) = (server.user("alice").await, server.user("bob").await);
        let room = alice.creates_room(json!({ "preset": "public_chat", "name": "Rude" })).await;
        let path = format!("/v3/rooms/{}/state/m.room.name?format=event", encode(&room));
        let name = alice.get(&path).await.ok()["event_id"].as_str().expect("an id").to_owned();
        redact(&alice, &room, &name, "1").await.ok();
        assert_eq!(alice.state(&room, "m.room.name", "").await.ok(), json!({}));

        bob.joins(&room).await;
        let content = json!({ "membership": "join", "displayname": "rude" });
        let named = bob.sets(&room, "m.room.member", bob.user_id.as_str(), content).await.ok();
        redact(&alice, &room, named["event_id"].as_str().expect("an id"), "2").await.ok();
        let joined = alice.get(&format!("/v3/rooms/{}/joined_members", encode(&room))).await.ok();
        assert_eq!(joined["joined"][bob.user_id.as_str()], json!({}), "{joined}");
        bob.say(&room, "still here").await;
    }

    async fn administrators_redact_what_users_of_their_server_said(server: Server) {
        let (alice, bob) = (server.user("alice").await, server.user("bob").await);
        let root = administrator(&server).await;
        let room = alice.creates_room(json!({ "preset": "public_chat" })).await;
        bob.joins(&room).await;
        let said = bob.say(&room, "rude").await;
        redact(&root, &room, &said, "1").await.refused(403, "M_FORBIDDEN");
        root.joins(&room).await;
        redact(&root, &room, &said, "2").await.ok();
        assert_eq!(event(&alice, &room, &said).await["content"], json!({}));
    }

    async fn the_suspended_take_back_what_they_said_and_leave(server: Server) {
        let (alice, bob) = (server.user("alice").await, server.user("bob").await);
        let room = alice.creates_room(json!({ "preset": "public_chat" })).await;
        let other = alice.creates_room(json!({ "invite": [bob.user_id] })).await;
        bob.joins(&room).await;
        let (by_alice, by_bob) = (alice.say(&room, "a").await, bob.say(&room, "b").await);
        let path = format!("/v1/admin/suspend/{}", encode(bob.user_id.as_str()));
        administrator(&server).await.put(&path, json!({ "suspended": true })).await.ok();
        redact(&bob, &room, &by_alice, "1").await.refused(403, "M_USER_SUSPENDED");
        redact(&bob, &room, "$none", "2").await.refused(403, "M_USER_SUSPENDED");
        redact(&bob, &room, &by_bob, "3").await.ok();
        bob.does(&other, "join", json!({})).await.refused(403, "M_USER_SUSPENDED");
        bob.does(&room, "invite", json!({ "user_id": "@c:hearth.test" })).await.refused(403, "M_USER_SUSPENDED");
        bob.sets(&room, "org.example.x", "", json!({})).await.refused(403, "M_USER_SUSPENDED");
        bob.post("/v3/createRoom", json!({})).await.refused(403, "M_USER_SUSPENDED");
        let path = format!("/v3/knock/{}", encode(&other));
        bob.post(&path, json!({})).await.refused(403, "M_USER_SUSPENDED");
        let path = format!("/v3/rooms/{}/send/m.room.message/t", encode(&room));
        bob.put(&path, json!({})).await.refused(403, "M_USER_SUSPENDED");
        bob.leaves(&other).await;
        bob.leaves(&room).await;
    }

    async fn what_holds_the_room_together_stays(server: Server) {
        let alice = server.user("alice").await;
        let room = alice.creates_room(json!({})).await;
        let path = format!("/v3/rooms/{}/state/m.room.create?format=event", encode(&room));
        let create = alice.get(&path).await.ok()["event_id"].as_str().expect("an id").to_owned();
        redact(&alice, &room, &create, "1").await.refused(403, "M_FORBIDDEN");
        alice.say(&room, "fine").await;
    }

    async fn a_redaction_sent_as_a_message_is_a_redaction(server: Server) {
        let alice = server.user("alice").await;
        for version in ["6", "12"] {
            let room = alice.creates_room(json!({ "room_version": version })).await;
            let said = alice.say(&room, "secret").await;
            let path = format!("/v3/rooms/{}/send/m.room.redaction/t", encode(&room));
            alice.put(&path, json!({ "redacts": said })).await.ok();
            assert_eq!(event(&alice, &room, &said).await["content"], json!({}));
            let path = format!("/v3/rooms/{}/send/m.room.redaction/u", encode(&room));
            alice.put(&path, json!({})).await.refused(400, "M_BAD_JSON");
            alice.put(&path, json!({ "redacts": "none" })).await.refused(400, "M_BAD_JSON");
            alice.put(&path, json!({ "redacts": "$none" })).await.refused(404, "M_NOT_FOUND");
        }
    }
}
