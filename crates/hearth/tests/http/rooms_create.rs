//! `POST /createRoom`

use homeserver::rooms::{self, state};
use ruma::RoomId;
use serde_json::{Value, json};

use crate::harness::{Server, on_both_databases};

/// The content of a state event, read from the home itself; null if there is none.
async fn content(server: &Server, room_id: &str, event_type: &str, state_key: &str) -> Value {
    let room_id = RoomId::parse(room_id).expect("a room id");
    let room = rooms::find(&server.home, &room_id).await.expect("a room");
    let head = room.head(&server.home).await.expect("a head");
    let event = state::event(&server.home, &room, head.root, event_type, state_key).await.expect("the state");
    event.map_or(Value::Null, |event| event.content_as().expect("JSON"))
}

/// A room that was refused left nothing behind, not even a position.
fn nothing_was_made(server: &Server) {
    assert_eq!(server.home.db.upto(), 0);
}

on_both_databases! {
    async fn a_private_room_is_made_of_the_presets_events(server: Server) {
        let alice = server.user("alice").await;
        let room = alice.creates_room(json!({ "name": "Kitchen", "topic": "Food" })).await;
        assert!(!room.contains(':'), "a room of version 12 is named by its create event: {room}");
        let create = content(&server, &room, "m.room.create", "").await;
        assert_eq!(create, json!({ "room_version": "12" }));
        let join = content(&server, &room, "m.room.member", alice.user_id.as_str()).await;
        assert_eq!(join["membership"], "join");
        assert_eq!(content(&server, &room, "m.room.join_rules", "").await["join_rule"], "invite");
        assert_eq!(content(&server, &room, "m.room.guest_access", "").await["guest_access"], "can_join");
        let visibility = content(&server, &room, "m.room.history_visibility", "").await;
        assert_eq!(visibility["history_visibility"], "shared");
        assert_eq!(content(&server, &room, "m.room.name", "").await, json!({ "name": "Kitchen" }));
        let topic = content(&server, &room, "m.room.topic", "").await;
        assert_eq!(topic["topic"], "Food");
        assert_eq!(topic["m.topic"]["m.text"][0]["body"], "Food");
        let levels = content(&server, &room, "m.room.power_levels", "").await;
        assert_eq!(levels["users"], json!({}), "creators of version 12 are in no list");
        assert_eq!(levels["events"]["m.room.tombstone"], 150);
        alice.say(&room, "hello").await;
    }

    async fn every_room_version_can_be_made(server: Server) {
        let alice = server.user("alice").await;
        for version in ["6", "7", "8", "9", "10", "11"] {
            let room = alice.creates_room(json!({ "room_version": version, "preset": "public_chat" })).await;
            assert!(room.ends_with(":hearth.test"), "{room}");
            let create = content(&server, &room, "m.room.create", "").await;
            assert_eq!(create["room_version"], version);
            assert_eq!(create.get("creator").is_some(), version != "11", "{version}");
            let levels = content(&server, &room, "m.room.power_levels", "").await;
            assert_eq!(levels["users"], json!({ "@alice:hearth.test": 100 }));
            assert_eq!(content(&server, &room, "m.room.join_rules", "").await["join_rule"], "public");
            assert_eq!(content(&server, &room, "m.room.guest_access", "").await["guest_access"], "forbidden");
            alice.say(&room, "hello").await;
        }
        for version in ["1", "5", "13", "", "org.example.none"] {
            let ask = json!({ "room_version": version });
            let reply = alice.post("/v3/createRoom", ask).await;
            assert_eq!(reply.status, 400, "{version:?} {}", reply.body);
        }
        let ask = json!({ "room_version": "5" });
        alice.post("/v3/createRoom", ask).await.refused(400, "M_UNSUPPORTED_ROOM_VERSION");
    }

    async fn rooms_made_alike_in_one_moment_are_different_rooms(server: Server) {
        let alice = server.user("alice").await;
        let first = alice.creates_room(json!({})).await;
        let rooms = futures_util::future::join_all((0..10).map(|_| alice.creates_room(json!({})))).await;
        let mut distinct: Vec<_> = rooms.iter().chain([&first]).collect();
        distinct.sort();
        distinct.dedup();
        assert_eq!(distinct.len(), 11);
    }

    async fn the_creator_and_the_version_can_not_be_claimed(server: Server) {
        let alice = server.user("alice").await;
        let claims = json!({ "creator": "@mallory:hearth.test", "room_version": "1", "type": "m.space",
            "m.federate": false, "org.example.key": { "a": 1 } });
        let ask = json!({ "creation_content": claims.clone() });
        let room = alice.creates_room(ask).await;
        let create = content(&server, &room, "m.room.create", "").await;
        let expected = json!({ "room_version": "12", "type": "m.space", "m.federate": false,
            "org.example.key": { "a": 1 } });
        assert_eq!(create, expected);
        let room = alice.creates_room(json!({ "creation_content": claims, "room_version": "10" })).await;
        let create = content(&server, &room, "m.room.create", "").await;
        assert_eq!((&create["creator"], &create["room_version"]), (&json!(alice.user_id), &json!("10")));
    }

    async fn in_a_room_of_trust_the_invited_have_the_creators_power(server: Server) {
        let (alice, bob) = (server.user("alice").await, server.user("bob").await);
        let ask = json!({ "preset": "trusted_private_chat", "invite": [bob.user_id, bob.user_id],
            "is_direct": true, "creation_content": { "additional_creators": [bob.user_id] } });
        let room = alice.creates_room(ask).await;
        let create = content(&server, &room, "m.room.create", "").await;
        assert_eq!(create["additional_creators"], json!([bob.user_id]));
        let invite = content(&server, &room, "m.room.member", bob.user_id.as_str()).await;
        assert_eq!((&invite["membership"], &invite["is_direct"]), (&json!("invite"), &json!(true)));
        bob.joins(&room).await;

        let ask = json!({ "preset": "trusted_private_chat", "invite": [bob.user_id], "room_version": "11" });
        let room = alice.creates_room(ask).await;
        let levels = content(&server, &room, "m.room.power_levels", "").await;
        assert_eq!(levels["users"], json!({ "@alice:hearth.test": 100, "@bob:hearth.test": 100 }));
    }

    async fn initial_state_takes_precedence_over_the_preset_and_name_over_both(server: Server) {
        let alice = server.user("alice").await;
        let ask = json!({ "name": "Last", "initial_state": [
            { "type": "m.room.history_visibility", "content": { "history_visibility": "joined" } },
            { "type": "m.room.name", "state_key": "", "content": { "name": "First" } },
            { "type": "org.example.any", "state_key": "key", "content": { "deep": [1, { "x": null }] } },
        ] });
        let room = alice.creates_room(ask).await;
        let visibility = content(&server, &room, "m.room.history_visibility", "").await;
        assert_eq!(visibility["history_visibility"], "joined");
        assert_eq!(content(&server, &room, "m.room.name", "").await["name"], "Last");
        let any = content(&server, &room, "org.example.any", "key").await;
        assert_eq!(any, json!({ "deep": [1, { "x": null }] }));
    }

    async fn power_levels_are_overridden_key_by_key(server: Server) {
        let alice = server.user("alice").await;
        let ask = json!({ "power_level_content_override": { "state_default": 200, "events": { "m.x": 1 } } });
        let room = alice.creates_room(ask).await;
        let levels = content(&server, &room, "m.room.power_levels", "").await;
        assert_eq!((&levels["state_default"], &levels["ban"]), (&json!(200), &json!(50)));
        assert_eq!(levels["events"], json!({ "m.x": 1, "m.room.tombstone": 201 }));
    }

    async fn a_state_that_does_not_hold_together_makes_no_room(server: Server) {
        let alice = server.user("alice").await;
        let state = |event_type: &str, content: Value| {
            json!({ "initial_state": [{ "type": event_type, "content": content }] })
        };
        for ask in [
            json!({ "power_level_content_override": { "users": { "@alice:hearth.test": 100 } } }),
            json!({ "power_level_content_override": { "users": {} }, "room_version": "11" }),
            json!({ "power_level_content_override": { "ban": "a lot" } }),
            json!({ "power_level_content_override": { "events": 7 } }),
            json!({ "creation_content": { "additional_creators": ["nobody"] } }),
            state("m.room.create", json!({ "room_version": "1" })),
            state("m.room.member", json!({ "membership": "join" })),
            state("m.room.canonical_alias", json!({ "alias": "#elsewhere:hearth.test" })),
            json!({ "invite": [alice.user_id] }),
        ] {
            let reply = alice.post("/v3/createRoom", ask.clone()).await;
            assert_eq!((reply.status, &reply.body["errcode"]), (400, &json!("M_INVALID_ROOM_STATE")), "{ask}");
        }
        nothing_was_made(&server);
    }

    async fn what_no_room_can_be_made_of_is_called_bad_json(server: Server) {
        let alice = server.user("alice").await;
        for ask in [
            json!({ "preset": "secret_chat" }),
            json!({ "visibility": "hidden" }),
            json!({ "invite": ["bob"] }),
            json!({ "invite": "@bob:hearth.test" }),
            json!({ "name": 7 }),
            json!({ "initial_state": [{ "content": {} }] }),
            json!({ "initial_state": [{ "type": "m.x" }] }),
            json!({ "initial_state": [{ "type": "m.x", "content": { "a": 1.5 } }] }),
            json!({ "initial_state": [{ "type": "m.x", "content": [] }] }),
            json!({ "initial_state": [{ "type": "m.x\u{0}", "content": {} }] }),
            json!({ "initial_state": [{ "type": "m.x", "state_key": "\u{0}", "content": {} }] }),
            json!({ "creation_content": { "type": 7 } }),
            json!({ "creation_content": { "m.federate": "no" } }),
            json!({ "creation_content": { "additional_creators": {} } }),
            json!({ "creation_content": { "x": 9_007_199_254_740_993_i64 } }),
        ] {
            let reply = alice.post("/v3/createRoom", ask.clone()).await;
            assert_eq!((reply.status, &reply.body["errcode"]), (400, &json!("M_BAD_JSON")), "{ask}");
        }
        let huge = "x".repeat(70_000);
        alice.post("/v3/createRoom", json!({ "topic": huge })).await.refused(413, "M_TOO_LARGE");
        let long = json!([{ "type": "m.x", "state_key": "k".repeat(256), "content": {} }]);
        alice.post("/v3/createRoom", json!({ "initial_state": long })).await.refused(413, "M_TOO_LARGE");
        let deep = format!("{}{}", "[".repeat(120), "]".repeat(120));
        let deep = format!(r#"{{"creation_content":{{"x":{deep}}}}}"#);
        let reply = alice.ask(reqwest::Method::POST, "/_matrix/client/v3/createRoom", Some(&deep)).await;
        assert_eq!(reply.status, 400, "{}", reply.body);
        nothing_was_made(&server);
    }

    async fn an_alias_is_taken_once(server: Server) {
        let (alice, bob) = (server.user("alice").await, server.user("bob").await);
        let ask = json!({ "room_alias_name": "tavern", "preset": "public_chat" });
        let room = alice.creates_room(ask.clone()).await;
        let canonical = content(&server, &room, "m.room.canonical_alias", "").await;
        assert_eq!(canonical, json!({ "alias": "#tavern:hearth.test" }));
        bob.post("/v3/createRoom", ask).await.refused(400, "M_ROOM_IN_USE");
        let joined = bob.post("/v3/join/%23tavern:hearth.test", json!({})).await.ok();
        assert_eq!(joined["room_id"], json!(room));
        for name in ["", "a:b", "a b", "#a", "a\u{0}b", &"x".repeat(300)] {
            let ask = json!({ "room_alias_name": name });
            bob.post("/v3/createRoom", ask).await.refused(400, "M_INVALID_PARAM");
        }
    }

    async fn of_all_who_want_an_alias_at_once_one_gets_it(server: Server) {
        let alice = server.user("alice").await;
        let ask = || alice.post("/v3/createRoom", json!({ "room_alias_name": "popular" }));
        let replies = futures_util::future::join_all((0..8).map(|_| ask())).await;
        assert_eq!(replies.iter().filter(|reply| reply.status == 200).count(), 1);
        for reply in replies.into_iter().filter(|reply| reply.status != 200) {
            reply.refused(400, "M_ROOM_IN_USE");
        }
    }

    async fn guests_and_strangers_make_no_rooms(server: Server) {
        server.stranger().post("/v3/createRoom", json!({})).await.refused(401, "M_MISSING_TOKEN");
    }
}
