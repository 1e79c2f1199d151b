//! Aliases, and the list of public rooms.

use serde_json::{Value, json};

use crate::{
    harness::{Server, User, encode, on_both_databases},
    scene::{Scene, state_of},
};

fn alias_path(alias: &str) -> String {
    format!("/v3/directory/room/{}", encode(alias))
}

async fn name(user: &User, room_id: &str, alias: &str) -> crate::harness::Reply {
    user.put(&alias_path(alias), json!({ "room_id": room_id })).await
}

async fn sets(server: &Server, user: &User, room_id: &str, event_type: &str, content: Value) -> String {
    let scene = Scene { server, room_id: room_id.to_owned(), creator: user.clone() };
    scene.set(user, event_type, "", content).await
}

async fn state(server: &Server, room_id: &str, event_type: &str) -> Value {
    state_of(server, room_id, event_type, "").await
}

async fn aliases(user: &User, room_id: &str) -> Value {
    user.get(&format!("/v3/rooms/{}/aliases", encode(room_id))).await.ok()["aliases"].clone()
}

fn ids(page: &Value) -> Vec<String> {
    let rooms = page["chunk"].as_array().expect("a list");
    rooms.iter().map(|room| room["room_id"].as_str().expect("an id").to_owned()).collect()
}

/// `rooms` public rooms of Alice with one more member each; the largest first.
async fn public_rooms(server: &Server, alice: &User, rooms: usize) -> Vec<String> {
    let mut made = Vec::new();
    let mut others = Vec::new();
    for n in 0..rooms {
        let wishes = json!({ "visibility": "public", "preset": "public_chat", "name": format!("Room {n}") });
        let room = alice.creates_room(wishes).await;
        for other in &others {
            User::joins(other, &room).await;
        }
        others.push(server.user(&format!("member{n}")).await);
        made.push(room);
    }
    made.reverse();
    made
}

const ALIAS: &str = "#somewhere:hearth.test";

on_both_databases! {
    async fn an_alias_leads_to_its_room(server: Server) {
        let alice = server.user("alice").await;
        let room = alice.creates_room(json!({})).await;
        let stranger = server.stranger();
        stranger.get(&alias_path(ALIAS)).await.refused(404, "M_NOT_FOUND");
        name(&alice, &room, ALIAS).await.ok();
        let found = stranger.get(&alias_path(ALIAS)).await.ok();
        assert_eq!(found, json!({ "room_id": room, "servers": ["hearth.test"] }));
        name(&alice, &room, ALIAS).await.refused(409, "M_UNKNOWN");
        let other = alice.creates_room(json!({})).await;
        name(&alice, &other, ALIAS).await.refused(409, "M_UNKNOWN");
        name(&alice, &room, "#ünïcødé-日本:hearth.test").await.ok();
        assert_eq!(aliases(&alice, &room).await, json!([ALIAS, "#ünïcødé-日本:hearth.test"]));
        alice.delete(&alias_path(ALIAS)).await.ok();
        stranger.get(&alias_path(ALIAS)).await.refused(404, "M_NOT_FOUND");
        alice.delete(&alias_path(ALIAS)).await.refused(404, "M_NOT_FOUND");
        name(&alice, &other, ALIAS).await.ok();
    }

    async fn an_alias_is_made_here_and_by_members(server: Server) {
        let (alice, bob) = (server.user("alice").await, server.user("bob").await);
        let room = alice.creates_room(json!({})).await;
        for wrong in ["#x:elsewhere.example", "#:hearth.test", "x", "!x:hearth.test", "#a b:hearth.test", "#a%00:b"] {
            name(&alice, &room, wrong).await.refused(400, "M_INVALID_PARAM");
        }
        let long = format!("#{}:hearth.test", "a".repeat(255));
        name(&alice, &room, &long).await.refused(400, "M_INVALID_PARAM");
        name(&bob, &room, ALIAS).await.refused(403, "M_FORBIDDEN");
        name(&bob, "!nowhere:hearth.test", ALIAS).await.refused(403, "M_FORBIDDEN");
        alice.put(&alias_path(ALIAS), json!({})).await.refused(400, "M_BAD_JSON");
        alice.get(&alias_path("#x:elsewhere.example")).await.refused(404, "M_NOT_FOUND");
        alice.get(&alias_path("x")).await.refused(400, "M_INVALID_PARAM");
        server.stranger().put(&alias_path(ALIAS), json!({})).await.refused(401, "M_MISSING_TOKEN");
    }

    async fn only_its_maker_and_who_manages_the_room_take_an_alias_away(server: Server) {
        let (alice, bob, carol) =
            (server.user("alice").await, server.user("bob").await, server.user("carol").await);
        let room = alice.creates_room(json!({ "preset": "public_chat" })).await;
        bob.joins(&room).await;
        carol.joins(&room).await;
        name(&bob, &room, ALIAS).await.ok();
        carol.delete(&alias_path(ALIAS)).await.refused(403, "M_FORBIDDEN");
        bob.delete(&alias_path(ALIAS)).await.ok();
        name(&bob, &room, ALIAS).await.ok();
        alice.delete(&alias_path(ALIAS)).await.ok();
    }

    async fn an_alias_that_is_gone_is_no_longer_named(server: Server) {
        let (alice, bob) = (server.user("alice").await, server.user("bob").await);
        let room = alice.creates_room(json!({ "preset": "public_chat" })).await;
        bob.joins(&room).await;
        for alias in [ALIAS, "#b:hearth.test", "#c:hearth.test"] {
            name(&bob, &room, alias).await.ok();
        }
        let named = json!({ "alias": ALIAS, "alt_aliases": ["#b:hearth.test", "#c:hearth.test"], "x": 1 });
        sets(&server, &alice, &room, "m.room.canonical_alias", named).await;
        alice.delete(&alias_path(ALIAS)).await.ok();
        alice.delete(&alias_path("#b:hearth.test")).await.ok();
        let left = json!({ "alt_aliases": ["#c:hearth.test"], "x": 1 });
        assert_eq!(state(&server, &room, "m.room.canonical_alias").await, left);
        // Bob may take his alias away, but not change what the room says.
        bob.delete(&alias_path("#c:hearth.test")).await.ok();
        assert_eq!(state(&server, &room, "m.room.canonical_alias").await, left);
    }

    async fn who_is_not_in_a_room_does_not_learn_its_aliases(server: Server) {
        let (alice, bob) = (server.user("alice").await, server.user("bob").await);
        let room = alice.creates_room(json!({})).await;
        name(&alice, &room, ALIAS).await.ok();
        let path = format!("/v3/rooms/{}/aliases", encode(&room));
        bob.get(&path).await.refused(403, "M_FORBIDDEN");
        bob.get("/v3/rooms/!nowhere:hearth.test/aliases").await.refused(403, "M_FORBIDDEN");
        sets(&server, &alice, &room, "m.room.history_visibility", json!({ "history_visibility": "world_readable" })).await;
        assert_eq!(aliases(&bob, &room).await, json!([ALIAS]));
    }

    async fn the_list_says_what_a_room_is(server: Server) {
        let alice = server.user("alice").await;
        let wishes = json!({
            "visibility": "public", "preset": "public_chat", "name": "Cheese", "topic": "All of it",
            "room_alias_name": "cheese", "creation_content": { "type": "m.space" },
            "initial_state": [
                { "type": "m.room.avatar", "content": { "url": "mxc://a/b" } },
                { "type": "m.room.history_visibility", "content": { "history_visibility": "world_readable" } },
                { "type": "m.room.guest_access", "content": { "guest_access": "can_join" } },
            ],
        });
        let room = alice.creates_room(wishes).await;
        alice.creates_room(json!({ "name": "Private" })).await;
        let page = server.stranger().get("/v3/publicRooms").await.ok();
        let expected = json!({
            "chunk": [{
                "room_id": room, "num_joined_members": 1, "world_readable": true, "guest_can_join": true,
                "join_rule": "public", "name": "Cheese", "topic": "All of it", "avatar_url": "mxc://a/b",
                "canonical_alias": "#cheese:hearth.test", "room_type": "m.space",
            }],
            "total_room_count_estimate": 1,
        });
        assert_eq!(page, expected);
        assert_eq!(alice.post("/v3/publicRooms", json!({})).await.ok(), expected);
        // What changes is seen at once, also by a redaction, which leaves the state as it is.
        sets(&server, &alice, &room, "m.room.name", json!({ "name": "Bread" })).await;
        assert_eq!(server.stranger().get("/v3/publicRooms").await.ok()["chunk"][0]["name"], "Bread");
        let named = sets(&server, &alice, &room, "m.room.name", json!({ "name": "Butter" })).await;
        Scene { server: &server, room_id: room.clone(), creator: alice.clone() }.redact(&alice, &named).await;
        let entry = server.stranger().get("/v3/publicRooms").await.ok()["chunk"][0].clone();
        assert_eq!(entry.get("name"), None);
    }

    async fn the_list_pages_both_ways(server: Server) {
        let alice = server.user("alice").await;
        let rooms = public_rooms(&server, &alice, 7).await;
        let ask = async |since: Option<&str>| {
            let since = since.map(|since| format!("&since={}", encode(since))).unwrap_or_default();
            alice.get(&format!("/v3/publicRooms?limit=3{since}")).await.ok()
        };
        let first = ask(None).await;
        assert_eq!(ids(&first), rooms[..3]);
        assert_eq!(first["total_room_count_estimate"], 7);
        assert_eq!(first.get("prev_batch"), None);
        let second = ask(first["next_batch"].as_str()).await;
        assert_eq!(ids(&second), rooms[3..6]);
        let third = ask(second["next_batch"].as_str()).await;
        assert_eq!(ids(&third), rooms[6..]);
        assert_eq!(third.get("next_batch"), None);
        let back = ask(third["prev_batch"].as_str()).await;
        assert_eq!(ids(&back), rooms[3..6]);
        let again = ask(back["prev_batch"].as_str()).await;
        assert_eq!(ids(&again), rooms[..3]);
        assert_eq!(again.get("prev_batch"), None);
        assert_eq!(ids(&ask(again["next_batch"].as_str()).await), rooms[3..6]);
        for since in ["x", "n", "n1", "n1_", "p1_x", "ü"] {
            alice.get(&format!("/v3/publicRooms?since={}", encode(since))).await.refused(400, "M_INVALID_PARAM");
        }
        alice.get("/v3/publicRooms?limit=x").await.refused(400, "M_INVALID_PARAM");
        alice.get("/v3/publicRooms?limit=-1").await.refused(400, "M_INVALID_PARAM");
        alice.get("/v3/publicRooms?server=elsewhere.example").await.refused(404, "M_NOT_FOUND");
        alice.get("/v3/publicRooms?server=hearth.test").await.ok();
    }

    async fn the_list_can_be_searched(server: Server) {
        let alice = server.user("alice").await;
        let create = async |name: &str, topic: &str, room_type: Option<&str>| {
            let content = room_type.map_or(json!({}), |room_type| json!({ "type": room_type }));
            alice.creates_room(json!({
                "visibility": "public", "preset": "public_chat", "name": name, "topic": topic,
                "creation_content": content,
            })).await
        };
        let cheese = create("Cheese", "Edam", None).await;
        let space = create("Space", "Of ÄPFEL", Some("m.space")).await;
        let search = async |filter: Value| ids(&alice.post("/v3/publicRooms", json!({ "filter": filter })).await.ok());
        assert_eq!(search(json!({ "generic_search_term": "eDaM" })).await, [&*cheese]);
        assert_eq!(search(json!({ "generic_search_term": "äpfel" })).await, [&*space]);
        assert!(search(json!({ "generic_search_term": "%" })).await.is_empty());
        assert_eq!(search(json!({ "generic_search_term": " " })).await.len(), 2);
        assert_eq!(search(json!({ "room_types": ["m.space"] })).await, [&*space]);
        assert_eq!(search(json!({ "room_types": [null] })).await, [&*cheese]);
        assert_eq!(search(json!({ "room_types": [null, "m.space"] })).await.len(), 2);
        assert!(search(json!({ "room_types": [] })).await.is_empty());
        let bridged = json!({ "third_party_instance_id": "irc", "include_all_networks": false });
        assert!(ids(&alice.post("/v3/publicRooms", bridged).await.ok()).is_empty());
        let all = json!({ "include_all_networks": true });
        assert_eq!(ids(&alice.post("/v3/publicRooms", all).await.ok()).len(), 2);
        alice.post("/v3/publicRooms", json!({ "limit": "x" })).await.refused(400, "M_BAD_JSON");
        alice.post("/v3/publicRooms", json!({ "since": "x" })).await.refused(400, "M_INVALID_PARAM");
        server.stranger().post("/v3/publicRooms", json!({})).await.refused(401, "M_MISSING_TOKEN");
    }

    async fn a_room_is_listed_by_who_manages_it(server: Server) {
        let (alice, bob) = (server.user("alice").await, server.user("bob").await);
        let room = alice.creates_room(json!({ "preset": "public_chat" })).await;
        bob.joins(&room).await;
        let path = format!("/v3/directory/list/room/{}", encode(&room));
        let stranger = server.stranger();
        assert_eq!(stranger.get(&path).await.ok(), json!({ "visibility": "private" }));
        bob.put(&path, json!({ "visibility": "public" })).await.refused(403, "M_FORBIDDEN");
        alice.put(&path, json!({})).await.ok();
        assert_eq!(stranger.get(&path).await.ok(), json!({ "visibility": "public" }));
        assert_eq!(ids(&stranger.get("/v3/publicRooms").await.ok()), [room]);
        alice.put(&path, json!({ "visibility": "private" })).await.ok();
        assert_eq!(stranger.get(&path).await.ok(), json!({ "visibility": "private" }));
        assert!(ids(&stranger.get("/v3/publicRooms").await.ok()).is_empty());
        alice.put(&path, json!({ "visibility": "secret" })).await.refused(400, "M_INVALID_PARAM");
        let nowhere = "/v3/directory/list/room/!nowhere:hearth.test";
        stranger.get(nowhere).await.refused(404, "M_NOT_FOUND");
        alice.put(nowhere, json!({})).await.refused(404, "M_NOT_FOUND");
        stranger.put(&path, json!({})).await.refused(401, "M_MISSING_TOKEN");
    }
}
