//! `POST /rooms/{roomId}/upgrade`

use serde_json::{Value, json};

use crate::harness::{Reply, User, encode, on_both_databases};

async fn upgrade(user: &User, room_id: &str, body: Value) -> Reply {
    user.does(room_id, "upgrade", body).await
}

async fn successor(user: &User, room_id: &str, version: &str) -> String {
    let body = upgrade(user, room_id, json!({ "new_version": version })).await.ok();
    body["replacement_room"].as_str().expect("a room id").to_owned()
}

on_both_databases! {
    async fn the_new_room_goes_on_where_the_old_one_ends(server: Server) {
        let (alice, bob, mallory) =
            (server.user("alice").await, server.user("bob").await, server.user("mallory").await);
        for (from, to) in [("6", "11"), ("9", "10"), ("11", "12"), ("12", "12"), ("12", "10")] {
            let alias = format!("tavern{from}to{to}");
            let state = json!([
                { "type": "m.room.history_visibility", "content": { "history_visibility": "invited" } },
                { "type": "m.room.encryption", "content": { "algorithm": "m.megolm.v1.aes-sha2" } },
                { "type": "org.example.own", "content": { "a": 1 } },
                { "type": "m.space.child", "state_key": "!a:hearth.test", "content": { "via": ["hearth.test"] } },
                { "type": "m.space.child", "state_key": "!b:hearth.test", "content": {} },
            ]);
            let ask = json!({ "room_version": from, "preset": "public_chat", "visibility": "public",
                "name": "Tavern", "topic": "Ale", "room_alias_name": alias, "initial_state": state,
                "creation_content": { "type": "m.space" } });
            let old = alice.creates_room(ask).await;
            bob.joins(&old).await;
            alice.does(&old, "ban", json!({ "user_id": mallory.user_id, "reason": "no" })).await.ok();
            let mut levels = alice.state(&old, "m.room.power_levels", "").await.ok();
            levels["users"]["@bob:hearth.test"] = json!(50);
            levels["events"]["org.example.own"] = json!(70);
            alice.sets(&old, "m.room.power_levels", "", levels).await.ok();

            let new = successor(&alice, &old, to).await;
            let tombstone = alice.state(&old, "m.room.tombstone", "").await.ok();
            assert_eq!(tombstone["replacement_room"], json!(new));
            let create = alice.state(&new, "m.room.create", "").await.ok();
            assert_eq!((&create["room_version"], &create["type"]), (&json!(to), &json!("m.space")));
            assert_eq!(create["predecessor"]["room_id"], json!(old));
            assert_eq!(create["predecessor"].get("event_id").is_some(), to != "12");
            for event_type in ["m.room.name", "m.room.topic", "m.room.join_rules", "m.room.guest_access",
                "m.room.history_visibility", "m.room.encryption"] {
                let (before, after) = (alice.state(&old, event_type, ""), alice.state(&new, event_type, ""));
                assert_eq!(before.await.ok(), after.await.ok(), "{event_type}");
            }
            alice.state(&new, "org.example.own", "").await.refused(404, "M_NOT_FOUND");
            alice.state(&new, "m.space.child", "!a:hearth.test").await.ok();
            alice.state(&new, "m.space.child", "!b:hearth.test").await.refused(404, "M_NOT_FOUND");

            let levels = alice.state(&new, "m.room.power_levels", "").await.ok();
            assert_eq!(levels["users"]["@bob:hearth.test"], 50);
            assert_eq!(levels["events"]["org.example.own"], 70);
            let own = levels["users"].get("@alice:hearth.test").and_then(Value::as_i64);
            match to {
                "12" => {
                    assert_eq!(own, None);
                    assert_eq!(levels["events"]["m.room.tombstone"], 150);
                }
                _ => assert!(own >= Some(100), "{levels}"),
            }
            bob.does(&new, "join", json!({})).await.ok();
            mallory.does(&new, "join", json!({})).await.refused(403, "M_FORBIDDEN");
            let path = format!("/v3/directory/room/%23{alias}:hearth.test");
            assert_eq!(bob.get(&path).await.ok()["room_id"], json!(new));
            let canonical = alice.state(&new, "m.room.canonical_alias", "").await.ok();
            assert_eq!(canonical["alias"], json!(format!("#{alias}:hearth.test")));
            assert_eq!(alice.state(&old, "m.room.canonical_alias", "").await.ok(), json!({}));
            for (room, listed) in [(&old, "private"), (&new, "public")] {
                let list = bob.get(&format!("/v3/directory/list/room/{}", encode(room))).await.ok();
                assert_eq!(list["visibility"], listed);
            }
            let levels = alice.state(&old, "m.room.power_levels", "").await.ok();
            assert_eq!((&levels["events_default"], &levels["invite"]), (&json!(50), &json!(50)));
            alice.say(&new, "hello").await;
        }
    }

    async fn only_who_may_end_a_room_upgrades_it(server: Server) {
        let (alice, bob) = (server.user("alice").await, server.user("bob").await);
        let room = alice.creates_room(json!({ "preset": "public_chat" })).await;
        let body = json!({ "new_version": "12" });
        upgrade(&bob, &room, body.clone()).await.refused(403, "M_FORBIDDEN");
        bob.joins(&room).await;
        upgrade(&bob, &room, body.clone()).await.refused(403, "M_FORBIDDEN");
        let joined = bob.get("/v3/joined_rooms").await.ok();
        assert_eq!(joined["joined_rooms"], json!([room]), "no half-made room remains");
        upgrade(&alice, "!none:hearth.test", body).await.refused(404, "M_NOT_FOUND");
        upgrade(&alice, &room, json!({ "new_version": "5" })).await.refused(400, "M_UNSUPPORTED_ROOM_VERSION");
        upgrade(&alice, &room, json!({})).await.refused(400, "M_BAD_JSON");
        alice.state(&room, "m.room.tombstone", "").await.refused(404, "M_NOT_FOUND");
    }

    async fn creators_are_named_anew(server: Server) {
        let (alice, bob) = (server.user("alice").await, server.user("bob").await);
        let ask = json!({ "preset": "trusted_private_chat", "invite": [bob.user_id] });
        let room = alice.creates_room(ask).await;
        bob.joins(&room).await;
        let new = successor(&alice, &room, "12").await;
        let create = alice.state(&new, "m.room.create", "").await.ok();
        assert_eq!(create.get("additional_creators"), None);
        let body = json!({ "new_version": "12", "additional_creators": [bob.user_id] });
        let new = upgrade(&alice, &room, body).await.ok();
        let new = new["replacement_room"].as_str().expect("a room id");
        let create = alice.state(new, "m.room.create", "").await.ok();
        assert_eq!(create["additional_creators"], json!([bob.user_id]));
        // In a version without creators all of them have the highest level.
        let new = successor(&bob, &room, "11").await;
        let levels = bob.state(&new, "m.room.power_levels", "").await.ok();
        assert_eq!(levels["users"]["@alice:hearth.test"], levels["users"]["@bob:hearth.test"]);
    }
}
