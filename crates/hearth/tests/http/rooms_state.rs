//! `PUT` and `GET /rooms/{roomId}/state/…`, `/members`, `/joined_members`, `/joined_rooms`

use serde_json::{Value, json};

use crate::harness::{User, encode, on_both_databases};

/// What `GET /rooms/{roomId}/state` answers, as (type, state key), sorted.
async fn places(user: &User, room_id: &str) -> Vec<(String, String)> {
    let state = user.get(&format!("/v3/rooms/{}/state", encode(room_id))).await.ok();
    let place = |event: &Value| (event["type"].to_string(), event["state_key"].to_string());
    let mut places: Vec<_> = state.as_array().expect("a list").iter().map(place).collect();
    places.sort();
    places
}

/// Who `GET /rooms/{roomId}/members` names with which membership, sorted.
async fn members(user: &User, room_id: &str, query: &str) -> Vec<String> {
    let members = user.get(&format!("/v3/rooms/{}/members{query}", encode(room_id))).await.ok();
    let name = |event: &Value| {
        let user = event["state_key"].as_str().unwrap_or_default().trim_end_matches(":hearth.test");
        format!("{user} {}", event["content"]["membership"].as_str().unwrap_or_default())
    };
    let mut names: Vec<_> = members["chunk"].as_array().expect("a list").iter().map(name).collect();
    names.sort();
    names
}

on_both_databases! {
    async fn state_is_set_and_read_under_every_form_of_the_path(server: Server) {
        let alice = server.user("alice").await;
        let room = alice.creates_room(json!({})).await;
        let base = format!("/v3/rooms/{}/state/m.room.topic", encode(&room));
        for (i, path) in [base.clone(), format!("{base}/")].iter().enumerate() {
            let content = json!({ "topic": format!("topic {i}") });
            let sent = alice.put(path, content.clone()).await.ok();
            for path in [&base, &format!("{base}/"), &base.replace("/v3/", "/r0/")] {
                assert_eq!(alice.get(path).await.ok(), content);
                assert_eq!(alice.get(&format!("{path}?format=content")).await.ok(), content);
                let event = alice.get(&format!("{path}?format=event")).await.ok();
                assert_eq!(event["event_id"], sent["event_id"]);
                assert_eq!(event["room_id"], json!(room));
                assert_eq!((&event["sender"], &event["state_key"]), (&json!(alice.user_id), &json!("")));
            }
        }
        alice.get(&format!("{base}?format=pdu")).await.refused(400, "M_INVALID_PARAM");
        alice.state(&room, "m.room.topic", "other").await.refused(404, "M_NOT_FOUND");
        alice.state(&room, "org.example.none", "").await.refused(404, "M_NOT_FOUND");
    }

    async fn state_keys_may_be_anything_that_fits(server: Server) {
        let alice = server.user("alice").await;
        let room = alice.creates_room(json!({})).await;
        for key in ["a/b", "ü %2F?#", "\"\\\n", &"k".repeat(255), "."] {
            let content = json!({ "key": key });
            alice.sets(&room, "org.example.key", key, content.clone()).await.ok();
            assert_eq!(alice.state(&room, "org.example.key", key).await.ok(), content);
        }
        let long = "k".repeat(300);
        alice.sets(&room, "org.example.key", &long, json!({})).await.refused(413, "M_TOO_LARGE");
        alice.sets(&room, &long, "", json!({})).await.refused(413, "M_TOO_LARGE");
        alice.sets(&room, "org.example.key", "a\u{0}b", json!({})).await.refused(400, "M_BAD_JSON");
        alice.sets(&room, "org.\u{0}", "", json!({})).await.refused(400, "M_BAD_JSON");
        alice.state(&room, "org.example.key", "a\u{0}b").await.refused(404, "M_NOT_FOUND");
        alice.state(&room, "org.example.key", &long).await.refused(404, "M_NOT_FOUND");
        // The next one finds the room as it was.
        alice.sets(&room, "org.example.key", "after", json!({})).await.ok();
    }

    async fn the_same_state_is_the_same_event(server: Server) {
        let (alice, bob) = (server.user("alice").await, server.user("bob").await);
        let room = alice.creates_room(json!({ "preset": "public_chat" })).await;
        let set = || alice.sets(&room, "m.room.name", "", json!({ "name": "Home" }));
        assert_eq!(set().await.ok(), set().await.ok());
        // Also who only repeats what is must be allowed to say it.
        bob.sets(&room, "m.room.name", "", json!({ "name": "Home" })).await.refused(403, "M_FORBIDDEN");
        let other = alice.sets(&room, "m.room.name", "", json!({ "name": "Other" })).await.ok();
        assert_ne!(other, set().await.ok());
    }

    async fn what_no_event_can_hold_is_refused(server: Server) {
        let alice = server.user("alice").await;
        let room = alice.creates_room(json!({})).await;
        let path = format!("/_matrix/client/v3/rooms/{}/state/org.example.x/", encode(&room));
        let put = |body: String| {
            let (alice, path) = (alice.clone(), path.clone());
            async move { alice.ask(reqwest::Method::PUT, &path, Some(&body)).await }
        };
        put("{".to_owned()).await.refused(400, "M_NOT_JSON");
        put("[]".to_owned()).await.refused(400, "M_BAD_JSON");
        put(r#"{"a":1.5}"#.to_owned()).await.refused(400, "M_BAD_JSON");
        put(r#"{"a":9007199254740992}"#.to_owned()).await.refused(400, "M_BAD_JSON");
        put(r#"{"a":1,"a":2}"#.to_owned()).await.refused(400, "M_BAD_JSON");
        let deep = format!(r#"{{"a":{}{}}}"#, "[".repeat(110), "]".repeat(110));
        put(deep).await.refused(400, "M_BAD_JSON");
        put(format!(r#"{{"a":{}{}}}"#, "[".repeat(100_000), "]".repeat(100_000))).await;
        put(format!(r#"{{"a":"{}"}}"#, "x".repeat(65_536))).await.refused(413, "M_TOO_LARGE");
        put(format!(r#"{{"a":"{}"}}"#, "x".repeat(3_000_000))).await.refused(413, "M_TOO_LARGE");
        // Content may have any character, also this one.
        put(r#"{"a":"\u0000"}"#.to_owned()).await.ok();
        assert_eq!(alice.state(&room, "org.example.x", "").await.ok(), json!({ "a": "\u{0}" }));
    }

    async fn the_create_event_can_not_be_changed(server: Server) {
        let alice = server.user("alice").await;
        for version in ["6", "11", "12"] {
            let room = alice.creates_room(json!({ "room_version": version })).await;
            for key in ["", "key"] {
                let content = json!({ "room_version": "11", "creator": alice.user_id });
                alice.sets(&room, "m.room.create", key, content).await.refused(403, "M_FORBIDDEN");
            }
            let create = alice.state(&room, "m.room.create", "").await.ok();
            alice.sets(&room, "m.room.create", "", create).await.refused(403, "M_FORBIDDEN");
        }
    }

    async fn power_is_needed_and_said(server: Server) {
        let (alice, bob) = (server.user("alice").await, server.user("bob").await);
        let room = alice.creates_room(json!({ "preset": "public_chat" })).await;
        bob.joins(&room).await;
        let said = bob.sets(&room, "m.room.name", "", json!({ "name": "Mine" })).await.refused(403, "M_FORBIDDEN");
        assert!(said["error"].as_str().expect("text").contains("50"), "{said}");
        let mut levels = alice.state(&room, "m.room.power_levels", "").await.ok();
        levels["users"] = json!({ "@bob:hearth.test": 50 });
        alice.sets(&room, "m.room.power_levels", "", levels.clone()).await.ok();
        bob.sets(&room, "m.room.name", "", json!({ "name": "Mine" })).await.ok();
        levels["users"] = json!({ "@bob:hearth.test": 100 });
        bob.sets(&room, "m.room.power_levels", "", levels.clone()).await.refused(403, "M_FORBIDDEN");
        levels["users"] = json!({ "@alice:hearth.test": 100 });
        alice.sets(&room, "m.room.power_levels", "", levels).await.refused(403, "M_FORBIDDEN");
        // A state key that is a user id belongs to that user.
        let key = alice.user_id.to_string();
        alice.sets(&room, "org.example.own", &key, json!({})).await.ok();
        let key = bob.user_id.to_string();
        alice.sets(&room, "org.example.own", &key, json!({})).await.refused(403, "M_FORBIDDEN");
    }

    async fn a_canonical_alias_must_lead_to_the_room(server: Server) {
        let alice = server.user("alice").await;
        let room = alice.creates_room(json!({ "room_alias_name": "one" })).await;
        let other = alice.creates_room(json!({ "room_alias_name": "two" })).await;
        let set = |content: Value| alice.sets(&room, "m.room.canonical_alias", "", content);
        set(json!({ "alias": "#two:hearth.test" })).await.refused(400, "M_BAD_ALIAS");
        set(json!({ "alias": "#none:hearth.test" })).await.refused(400, "M_BAD_ALIAS");
        set(json!({ "alias": "#one:elsewhere.test" })).await.refused(400, "M_BAD_ALIAS");
        set(json!({ "alt_aliases": ["#one:hearth.test", "#two:hearth.test"] })).await.refused(400, "M_BAD_ALIAS");
        set(json!({ "alias": "one" })).await.refused(400, "M_INVALID_PARAM");
        set(json!({ "alt_aliases": ["@one:hearth.test"] })).await.refused(400, "M_INVALID_PARAM");
        set(json!({ "alias": 1 })).await.refused(400, "M_BAD_JSON");
        set(json!({ "alt_aliases": "#one:hearth.test" })).await.refused(400, "M_BAD_JSON");
        set(json!({ "alt_aliases": [1] })).await.refused(400, "M_BAD_JSON");
        let many: Vec<String> = (0..200).map(|i| format!("#a{i}:hearth.test")).collect();
        set(json!({ "alt_aliases": many })).await.refused(413, "M_TOO_LARGE");
        set(json!({ "alt_aliases": ["#one:hearth.test"] })).await.ok();
        set(json!({ "alias": null })).await.ok();
        set(json!({ "alias": "" })).await.ok();
        set(json!({})).await.ok();
        alice.state(&other, "m.room.canonical_alias", "").await.ok();
    }

    async fn who_was_never_there_sees_no_state(server: Server) {
        let (alice, bob) = (server.user("alice").await, server.user("bob").await);
        let room = alice.creates_room(json!({ "invite": [bob.user_id] })).await;
        let strange = server.user("mallory").await;
        for user in [&bob, &strange] {
            for what in ["state", "state/m.room.create/", "members", "joined_members"] {
                let path = format!("/v3/rooms/{}/{what}", encode(&room));
                user.get(&path).await.refused(403, "M_FORBIDDEN");
                let path = format!("/v3/rooms/{}/{what}", encode("!none:hearth.test"));
                user.get(&path).await.refused(403, "M_FORBIDDEN");
            }
        }
        let path = format!("/v3/rooms/{}/state", encode(&room));
        server.stranger().get(&path).await.refused(401, "M_MISSING_TOKEN");
    }

    async fn who_left_sees_the_state_of_then(server: Server) {
        let (alice, bob) = (server.user("alice").await, server.user("bob").await);
        let room = alice.creates_room(json!({ "preset": "public_chat", "name": "Then" })).await;
        bob.joins(&room).await;
        bob.leaves(&room).await;
        alice.sets(&room, "m.room.name", "", json!({ "name": "Now" })).await.ok();
        alice.sets(&room, "org.example.new", "", json!({})).await.ok();
        server.user("carol").await.joins(&room).await;
        assert_eq!(bob.state(&room, "m.room.name", "").await.ok(), json!({ "name": "Then" }));
        bob.state(&room, "org.example.new", "").await.refused(404, "M_NOT_FOUND");
        assert_eq!(places(&alice, &room).await.len(), places(&bob, &room).await.len() + 2);
        assert_eq!(members(&bob, &room, "").await, ["@alice join", "@bob leave"]);
        bob.get(&format!("/v3/rooms/{}/joined_members", encode(&room))).await.refused(403, "M_FORBIDDEN");
        bob.does(&room, "forget", json!({})).await.ok();
        bob.state(&room, "m.room.name", "").await.refused(403, "M_FORBIDDEN");
    }

    async fn a_room_for_all_eyes_shows_its_state_to_all(server: Server) {
        let (alice, bob) = (server.user("alice").await, server.user("bob").await);
        let eyes = json!({ "type": "m.room.history_visibility",
            "content": { "history_visibility": "world_readable" } });
        let room = alice.creates_room(json!({ "initial_state": [eyes] })).await;
        assert_eq!(places(&alice, &room).await, places(&bob, &room).await);
        let guest = server.guest("guest").await;
        assert_eq!(members(&guest, &room, "").await, ["@alice join"]);
        bob.get(&format!("/v3/rooms/{}/joined_members", encode(&room))).await.refused(403, "M_FORBIDDEN");
    }

    async fn members_are_asked_for_by_membership_and_by_time(server: Server) {
        let (alice, bob) = (server.user("alice").await, server.user("bob").await);
        let (carol, dora) = (server.user("carol").await, server.user("dora").await);
        let room = alice.creates_room(json!({ "preset": "public_chat", "invite": [carol.user_id] })).await;
        bob.joins(&room).await;
        let then = server.home.db.upto();
        bob.leaves(&room).await;
        dora.joins(&room).await;
        alice.does(&room, "ban", json!({ "user_id": dora.user_id })).await.ok();
        let all = ["@alice join", "@bob leave", "@carol invite", "@dora ban"];
        assert_eq!(members(&alice, &room, "").await, all);
        assert_eq!(members(&alice, &room, "?membership=join").await, all[..1]);
        assert_eq!(members(&alice, &room, "?not_membership=join").await, all[1..]);
        let either = members(&alice, &room, "?membership=ban&not_membership=leave").await;
        assert_eq!(either, [all[0], all[2], all[3]]);
        assert!(members(&alice, &room, "?membership=none").await.is_empty());
        let at = members(&alice, &room, &format!("?at=s{then}")).await;
        assert_eq!(at, ["@alice join", "@bob join", "@carol invite"]);
        alice.get(&format!("/v3/rooms/{}/members?at=x", encode(&room))).await.refused(400, "M_INVALID_PARAM");
    }

    async fn the_joined_are_listed_with_their_names(server: Server) {
        let (alice, bob) = (server.user("alice").await, server.user("bob").await);
        let room = alice.creates_room(json!({ "preset": "public_chat" })).await;
        bob.joins(&room).await;
        let content = json!({ "membership": "join", "displayname": "Bo\"b", "avatar_url": "mxc://a/b" });
        bob.sets(&room, "m.room.member", bob.user_id.as_str(), content).await.ok();
        let path = format!("/v3/rooms/{}/joined_members", encode(&room));
        let expected = json!({ "joined": { "@alice:hearth.test": {},
            "@bob:hearth.test": { "display_name": "Bo\"b", "avatar_url": "mxc://a/b" } } });
        assert_eq!(alice.get(&path).await.ok(), expected);
        let other = bob.creates_room(json!({})).await;
        assert_eq!(bob.get("/v3/joined_rooms").await.ok(), json!({ "joined_rooms": [room, other] }));
        bob.leaves(&room).await;
        assert_eq!(bob.get("/v3/joined_rooms").await.ok(), json!({ "joined_rooms": [other] }));
    }
}
