//! Rooms as they show themselves from outside: summaries, and the rooms of a space.

use serde_json::{Value, json};

use crate::{
    harness::{Server, User, encode, on_both_databases},
    scene::Scene,
};

async fn create(user: &User, name: &str, wishes: Value) -> String {
    let mut all = json!({ "name": name, "preset": "public_chat" });
    for (key, value) in wishes.as_object().into_iter().flatten() {
        all[key] = value.clone();
    }
    user.creates_room(all).await
}

async fn space(user: &User, name: &str) -> String {
    create(user, name, json!({ "creation_content": { "type": "m.space" } })).await
}

async fn holds(server: &Server, user: &User, space: &str, child: &str, content: Value) {
    let scene = Scene { server, room_id: space.to_owned(), creator: user.clone() };
    scene.set(user, "m.space.child", child, content).await;
}

async fn tree(user: &User, space: &str, query: &str) -> Value {
    user.get(&format!("/v1/rooms/{}/hierarchy?{query}", encode(space))).await.ok()
}

fn names(page: &Value) -> Vec<&str> {
    let rooms = page["rooms"].as_array().expect("rooms");
    rooms.iter().map(|room| room["name"].as_str().unwrap_or("?")).collect()
}

fn via() -> Value {
    json!({ "via": ["hearth.test"] })
}

on_both_databases! {
    async fn a_summary_says_what_a_room_is(server: Server) {
        let (alice, bob, nobody) = (server.user("alice").await, server.user("bob").await, server.stranger());
        let encryption = json!({ "type": "m.room.encryption", "content": { "algorithm": "m.megolm.v1.aes-sha2" } });
        let wishes = json!({ "room_alias_name": "cheese", "topic": "Edam", "initial_state": [encryption] });
        let room = create(&alice, "Cheese", wishes).await;
        let path = format!("/v1/room_summary/{}", encode(&room));
        let summary = alice.get(&path).await.ok();
        let expected = json!({
            "room_id": room, "name": "Cheese", "topic": "Edam", "canonical_alias": "#cheese:hearth.test",
            "num_joined_members": 1, "join_rule": "public", "world_readable": false,
            "guest_can_join": summary["guest_can_join"], "room_version": "12",
            "encryption": "m.megolm.v1.aes-sha2", "membership": "join",
        });
        assert_eq!(summary, expected);
        let by_alias = format!("/v1/room_summary/{}", encode("#cheese:hearth.test"));
        assert_eq!(bob.get(&by_alias).await.ok()["membership"], "leave");
        assert_eq!(nobody.get(&by_alias).await.ok().get("membership"), None);
        let unstable = format!("/unstable/im.nheko.summary/rooms/{}/summary", encode(&room));
        assert_eq!(nobody.get(&unstable).await.ok()["name"], "Cheese");
    }

    async fn a_closed_room_shows_itself_to_members_and_the_invited(server: Server) {
        let (alice, bob, nobody) = (server.user("alice").await, server.user("bob").await, server.stranger());
        let room = create(&alice, "Secret", json!({ "preset": "private_chat" })).await;
        let path = format!("/v1/room_summary/{}", encode(&room));
        bob.get(&path).await.refused(404, "M_NOT_FOUND");
        nobody.get(&path).await.refused(404, "M_NOT_FOUND");
        alice.get("/v1/room_summary/!nowhere:hearth.test").await.refused(404, "M_NOT_FOUND");
        alice.get("/v1/room_summary/%23nowhere:hearth.test").await.refused(404, "M_NOT_FOUND");
        alice.get("/v1/room_summary/nowhere").await.refused(400, "M_INVALID_PARAM");
        alice.invites(&room, &bob).await;
        assert_eq!(bob.get(&path).await.ok()["membership"], "invite");
    }

    async fn the_rooms_of_a_space_come_in_their_order(server: Server) {
        let alice = server.user("alice").await;
        let root = space(&alice, "root").await;
        let inner = space(&alice, "inner").await;
        for (name, parent, content) in [
            ("third", &root, via()),
            ("first", &root, json!({ "via": ["hearth.test"], "order": "a" })),
            ("in inner", &inner, via()),
            ("no via", &root, json!({ "via": [] })),
            ("gone", &root, json!({})),
        ] {
            let room = create(&alice, name, json!({})).await;
            holds(&server, &alice, parent, &room, content).await;
        }
        holds(&server, &alice, &root, &inner, json!({ "via": ["hearth.test"], "order": "b", "suggested": true })).await;
        // A loop, a room that is not there, and something that is no room.
        holds(&server, &alice, &inner, &root, via()).await;
        holds(&server, &alice, &root, "!nowhere:hearth.test", via()).await;
        holds(&server, &alice, &root, "nonsense", via()).await;
        let all = tree(&alice, &root, "").await;
        assert_eq!(names(&all), ["root", "first", "inner", "in inner", "third"]);
        assert_eq!(all.get("next_batch"), None);
        let children = all["rooms"][0]["children_state"].as_array().expect("children");
        assert_eq!(children.len(), 4);
        assert_eq!(children[0]["content"], json!({ "via": ["hearth.test"], "order": "a" }));
        assert_eq!(children[0]["type"], "m.space.child");
        assert!(children[0]["origin_server_ts"].is_i64() && children[0]["sender"] == alice.user_id.as_str());
        assert_eq!(all["rooms"][1]["children_state"], json!([]));
        assert_eq!(names(&tree(&alice, &root, "max_depth=1").await), ["root", "first", "inner", "third"]);
        assert_eq!(names(&tree(&alice, &root, "max_depth=0").await), ["root"]);
        assert_eq!(names(&tree(&alice, &root, "suggested_only=true").await), ["root", "inner"]);
        // In pages.
        let (mut seen, mut query) = (Vec::new(), "limit=2".to_owned());
        loop {
            let page = tree(&alice, &root, &query).await;
            seen.extend(names(&page).into_iter().map(str::to_owned));
            let Some(next) = page["next_batch"].as_str() else { break };
            query = format!("limit=2&from={next}");
            let path = format!("/v1/rooms/{}/hierarchy?from={next}&max_depth=1", encode(&root));
            alice.get(&path).await.refused(400, "M_INVALID_PARAM");
        }
        assert_eq!(seen, names(&all));
        for wrong in ["from=x", "from=h1", "from=h1_1_2", "limit=0", "limit=x", "max_depth=-1", "suggested_only=x"] {
            let path = format!("/v1/rooms/{}/hierarchy?{wrong}", encode(&root));
            alice.get(&path).await.refused(400, "M_INVALID_PARAM");
        }
    }

    async fn a_space_shows_to_everybody_what_they_may_know_of(server: Server) {
        let (alice, bob) = (server.user("alice").await, server.user("bob").await);
        let root = space(&alice, "root").await;
        let restricted = json!([{
            "type": "m.room.join_rules",
            "content": { "join_rule": "restricted", "allow": [{ "type": "m.room_membership", "room_id": root }] },
        }]);
        for (name, wishes) in [
            ("open", json!({})),
            ("closed", json!({ "preset": "private_chat" })),
            ("for members", json!({ "preset": "private_chat", "initial_state": restricted })),
        ] {
            let room = create(&alice, name, wishes).await;
            holds(&server, &alice, &root, &room, via()).await;
            server.pass(std::time::Duration::from_millis(5));
        }
        assert_eq!(names(&tree(&alice, &root, "").await), ["root", "open", "closed", "for members"]);
        assert_eq!(names(&tree(&bob, &root, "").await), ["root", "open"]);
        bob.joins(&root).await;
        let seen = tree(&bob, &root, "").await;
        assert_eq!(names(&seen), ["root", "open", "for members"]);
        assert_eq!(seen["rooms"][2]["allowed_room_ids"], json!([root]));
        let closed = create(&alice, "closed", json!({ "preset": "private_chat" })).await;
        bob.get(&format!("/v1/rooms/{}/hierarchy", encode(&closed))).await.refused(403, "M_FORBIDDEN");
        bob.get("/v1/rooms/!nowhere:hearth.test/hierarchy").await.refused(403, "M_FORBIDDEN");
    }
}
