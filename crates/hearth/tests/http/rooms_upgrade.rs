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

/// What somebody may have set for a room, of which `carol` is the other end.
async fn sets_things(user: &User, carol: &User, old: &str, event: &str) {
    let of_user = encode(user.user_id.as_str());
    let of_room = format!("/v3/user/{of_user}/rooms/{}", encode(old));
    user.put(&format!("{of_room}/tags/m.favourite"), json!({ "order": 0.25 })).await.ok();
    user.put(&format!("{of_room}/account_data/org.example.colour"), json!({ "is": "red" })).await.ok();
    let direct = json!({ carol.user_id.as_str(): [old, "!other:hearth.test"], "@x:y": ["!z:y"] });
    user.put(&format!("/v3/user/{of_user}/account_data/m.direct"), direct).await.ok();
    let rule = |kind: &str, id: &str| format!("/v3/pushrules/global/{kind}/{}", encode(id));
    user.put(&rule("room", old), json!({ "actions": [] })).await.ok();
    let silent = json!({ "actions": [], "conditions": [
        { "kind": "event_match", "key": "room_id", "pattern": old },
        { "kind": "event_match", "key": "type", "pattern": "m.reaction" },
    ] });
    user.put(&rule("override", old), silent.clone()).await.ok();
    user.put(&rule("override", "quiet"), silent).await.ok();
    user.put(&format!("{}/enabled", rule("override", "quiet")), json!({ "enabled": false })).await.ok();
    user.does(old, "read_markers", json!({ "m.fully_read": event })).await.ok();
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

    async fn what_members_have_set_moves_with_them(server: Server) {
        let (alice, bob, carol) =
            (server.user("alice").await, server.user("bob").await, server.user("carol").await);
        let old = alice.creates_room(json!({ "preset": "public_chat" })).await;
        for user in [&bob, &carol] {
            user.joins(&old).await;
        }
        let event = alice.say(&old, "read me").await;
        for user in [&alice, &bob] {
            sets_things(user, &carol, &old, &event).await;
        }
        let first = bob.get("/v3/sync").await.ok();
        let new = successor(&alice, &old, "12").await;
        let moved = async |user: &User| {
            let of_user = encode(user.user_id.as_str());
            let of_room = format!("/v3/user/{of_user}/rooms/{}", encode(&new));
            let tags = user.get(&format!("{of_room}/tags")).await.ok();
            assert_eq!(tags["tags"], json!({ "m.favourite": { "order": 0.25 } }));
            let colour = user.get(&format!("{of_room}/account_data/org.example.colour")).await.ok();
            assert_eq!(colour, json!({ "is": "red" }));
            user.get(&format!("{of_room}/account_data/m.fully_read")).await.refused(404, "M_NOT_FOUND");
            let direct = user.get(&format!("/v3/user/{of_user}/account_data/m.direct")).await.ok();
            assert_eq!(direct[carol.user_id.as_str()], json!([old, "!other:hearth.test", new]));
            assert_eq!(direct["@x:y"], json!(["!z:y"]));
            let rule = async |kind: &str, id: &str| {
                user.get(&format!("/v3/pushrules/global/{kind}/{}", encode(id))).await.ok()
            };
            assert_eq!(rule("room", &new).await["actions"], json!([]));
            let silent = rule("override", &new).await;
            assert_eq!(silent["conditions"][0]["pattern"], json!(new));
            assert_eq!(silent["conditions"][1]["pattern"], "m.reaction");
            let quiet = rule("override", &format!("quiet {new}")).await;
            assert_eq!((&quiet["enabled"], &quiet["conditions"]), (&json!(false), &silent["conditions"]));
            // The old room stays as it was.
            assert_eq!(rule("room", &old).await["rule_id"], json!(old));
        };
        moved(&alice).await;
        let tags = format!("/v3/user/{}/rooms/{}/tags", encode(bob.user_id.as_str()), encode(&new));
        assert_eq!(bob.get(&tags).await.ok()["tags"], json!({}), "bob is not there yet");
        bob.joins(&new).await;
        moved(&bob).await;
        // Told together with the room.
        let since = first["next_batch"].as_str().expect("a token");
        let synced = bob.get(&format!("/v3/sync?since={since}")).await.ok();
        let told = synced["rooms"]["join"][&new]["account_data"]["events"].as_array().expect("account data").clone();
        assert!(told.iter().any(|event| event["type"] == "m.tag"), "{told:?}");
        let types: Vec<_> = synced["account_data"]["events"].as_array().into_iter().flatten().map(|event| &event["type"]).collect();
        assert!(types.contains(&&json!("m.push_rules")) && types.contains(&&json!("m.direct")), "{types:?}");
        // Who had set nothing has nothing, and what is set anew stays.
        carol.joins(&new).await;
        bob.put(&format!("{tags}/m.lowpriority"), json!({})).await.ok();
        bob.delete(&format!("{tags}/m.favourite")).await.ok();
        bob.leaves(&new).await;
        bob.joins(&new).await;
        assert_eq!(bob.get(&tags).await.ok()["tags"], json!({ "m.lowpriority": {} }));
    }

    async fn a_room_that_only_calls_itself_a_successor_gets_nothing(server: Server) {
        let (alice, mallory) = (server.user("alice").await, server.user("mallory").await);
        let old = alice.creates_room(json!({})).await;
        let of_user = encode(alice.user_id.as_str());
        let tag = format!("/v3/user/{of_user}/rooms/{}/tags/m.favourite", encode(&old));
        alice.put(&tag, json!({})).await.ok();
        let claims = json!({ "creation_content": { "predecessor": { "room_id": old } }, "invite": [alice.user_id] });
        let new = mallory.creates_room(claims).await;
        alice.joins(&new).await;
        let tags = alice.get(&format!("/v3/user/{of_user}/rooms/{}/tags", encode(&new))).await.ok();
        assert_eq!(tags["tags"], json!({}));
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
