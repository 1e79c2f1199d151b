//! `GET /_matrix/client/v2_alpha/sync`, in the shape of October 2015.

use std::time::Duration;

use serde_json::{Value, json};

use crate::{
    harness::{User, encode, on_both_databases},
    legacy_events::waits,
    scene::Scene,
    sync,
};

async fn synced(user: &User, query: &str) -> Value {
    user.get(&format!("/v2_alpha/sync?{query}")).await.ok()
}

async fn since(user: &User, before: &Value) -> Value {
    synced(user, &format!("since={}", sync::next(before))).await
}

/// The events that a list of ids names, in their order.
fn named<'a>(room: &'a Value, list: &str) -> Vec<&'a Value> {
    let ids = room[list]["events"].as_array().expect("a list of ids").iter();
    ids.map(|id| &room["event_map"][id.as_str().expect("an id")]).collect()
}

fn types(events: &[&Value]) -> Vec<String> {
    events
        .iter()
        .map(|event| {
            event["content"]["body"].as_str().or(event["type"].as_str()).unwrap_or_default().to_owned()
        })
        .collect()
}

on_both_databases! {
    async fn rooms_are_listed_by_id_and_told_of_in_a_map(server: Server) {
        let (alice, bob) = (server.user("alice").await, server.user("bob").await);
        let kitchen = alice.creates_room(json!({ "name": "Kitchen", "preset": "public_chat" })).await;
        bob.joins(&kitchen).await;
        alice.say(&kitchen, "hello").await;
        let cellar = bob.creates_room(json!({ "name": "Cellar", "invite": [alice.user_id] })).await;
        sync::sync(&bob, "").await;
        let told = synced(&alice, "").await;
        assert_eq!(told["rooms"], json!({ "default": { "joined": [kitchen], "invited": [cellar], "archived": [] } }));
        let room = &told["room_map"][&kitchen];
        let timeline = named(room, "timeline");
        assert_eq!(types(&timeline).last().map(String::as_str), Some("hello"));
        let last = timeline.last().expect("an event");
        assert_eq!(last["sender"], alice.user_id.as_str());
        assert!(last["unsigned"]["age"].is_i64() && last["unsigned"]["transaction_id"].is_string(), "{last}");
        assert!(last.get("room_id").is_none() && last.get("user_id").is_none(), "{last}");
        // The state is that of now: it tells of what the timeline tells of.
        let state = types(&named(room, "state"));
        for event_type in ["m.room.create", "m.room.name", "m.room.power_levels", "m.room.join_rules"] {
            assert_eq!(state.iter().filter(|told| *told == event_type).count(), 1, "{event_type} in {state:?}");
        }
        assert_eq!(state.iter().filter(|told| *told == "m.room.member").count(), 2);
        let stripped = told["room_map"][&cellar]["invite_state"]["events"].as_array().expect("state");
        assert!(stripped.iter().any(|event| event["content"]["name"] == "Cellar"), "{stripped:?}");
        let presence = told["presence"]["events"].as_array().expect("presence");
        assert!(presence.iter().any(|event| event["content"]["user_id"] == bob.user_id.as_str() && event["sender"] == bob.user_id.as_str()), "{presence:?}");
    }

    async fn a_further_sync_tells_what_is_new(server: Server) {
        let (alice, bob) = (server.user("alice").await, server.user("bob").await);
        let room = alice.creates_room(json!({ "preset": "public_chat" })).await;
        bob.joins(&room).await;
        let first = synced(&alice, "").await;
        bob.say(&room, "one").await;
        let path = format!("/v3/rooms/{}/state/m.room.name/", encode(&room));
        alice.put(&path, json!({ "name": "New" })).await.ok();
        let typing = format!("/v3/rooms/{}/typing/{}", encode(&room), encode(bob.user_id.as_str()));
        bob.put(&typing, json!({ "typing": true })).await.ok();
        let second = since(&alice, &first).await;
        let told = &second["room_map"][&room];
        assert_eq!(types(&named(told, "timeline")), ["one", "m.room.name"]);
        assert_eq!(types(&named(told, "state")), ["m.room.name"]);
        assert_eq!(told["event_map"].as_object().map(serde_json::Map::len), Some(2));
        assert_eq!((&told["timeline"]["limited"], told["timeline"]["prev_batch"].is_string()), (&json!(false), true));
        assert_eq!(told["ephemeral"]["events"], json!([{ "type": "m.typing", "room_id": room, "content": { "user_ids": [bob.user_id] } }]));
        let third = since(&alice, &second).await;
        assert_eq!((&third["room_map"], &third["rooms"]["default"]["joined"]), (&json!({}), &json!([])));
        // The tokens are those of today.
        bob.say(&room, "two").await;
        let today = sync::sync(&alice, &sync::next(&third)).await;
        assert_eq!(sync::told(&today["rooms"]["join"][&room]["timeline"]), ["two"]);
        let again = since(&alice, &today).await;
        assert_eq!(again["room_map"], json!({}));
    }

    async fn a_gap_is_told_with_the_state_that_changed_in_it(server: Server) {
        let (alice, bob) = (server.user("alice").await, server.user("bob").await);
        let room = alice.creates_room(json!({ "preset": "public_chat" })).await;
        bob.joins(&room).await;
        let first = synced(&bob, "").await;
        let name = format!("/v3/rooms/{}/state/m.room.name/", encode(&room));
        alice.put(&name, json!({ "name": "New name" })).await.ok();
        for n in 0..9 {
            alice.say(&room, &n.to_string()).await;
        }
        let filters = format!("/v2_alpha/user/{}/filter", encode(bob.user_id.as_str()));
        let filter = json!({ "room": { "timeline": { "limit": 2, "types": ["m.room.message"] } }, "event_format": "client" });
        let made = bob.post(&filters, filter.clone()).await.ok();
        let filter_id = made["filter_id"].as_str().expect("an id");
        assert_eq!(bob.get(&format!("{filters}/{filter_id}")).await.ok(), filter);
        let told = synced(&bob, &format!("since={}&filter={filter_id}", sync::next(&first))).await;
        let of_room = &told["room_map"][&room];
        assert_eq!((types(&named(of_room, "timeline")), &of_room["timeline"]["limited"]), (vec!["7".to_owned(), "8".to_owned()], &json!(true)));
        assert_eq!(types(&named(of_room, "state")), ["m.room.name"]);
        let back = of_room["timeline"]["prev_batch"].as_str().expect("a token");
        let page = bob.get(&format!("/api/v1/rooms/{}/messages?dir=b&limit=2&from={back}", encode(&room))).await.ok();
        assert_eq!((&page["chunk"][0]["content"]["body"], &page["chunk"][1]["content"]["body"]), (&json!("6"), &json!("5")));
        let federated = bob.post(&filters, json!({ "event_format": "federation" })).await.ok();
        let told = synced(&bob, &format!("filter={}", federated["filter_id"].as_str().expect("an id"))).await;
        assert!(told["room_map"][&room]["event_map"].as_object().expect("events").values().all(|event| event["auth_events"].is_array()));
    }

    async fn a_room_that_was_left_is_archived(server: Server) {
        let (alice, bob) = (server.user("alice").await, server.user("bob").await);
        let room = alice.creates_room(json!({ "preset": "public_chat" })).await;
        bob.joins(&room).await;
        let first = synced(&bob, "").await;
        alice.say(&room, "farewell").await;
        bob.leaves(&room).await;
        alice.say(&room, "at last").await;
        let told = since(&bob, &first).await;
        assert_eq!(told["rooms"]["default"], json!({ "joined": [], "invited": [], "archived": [room] }));
        let left = &told["room_map"][&room];
        assert_eq!(types(&named(left, "timeline")), ["farewell", "m.room.member"]);
        assert_eq!(left.get("ephemeral"), None);
        assert_eq!(since(&bob, &told).await["room_map"], json!({}));
    }

    async fn whoever_waits_is_woken(server: Server) {
        let (alice, bob) = (server.user("alice").await, server.user("bob").await);
        let room = alice.creates_room(json!({ "preset": "public_chat" })).await;
        bob.joins(&room).await;
        let first = synced(&alice, "").await;
        let waiting = tokio::spawn({
            let (alice, next) = (alice.clone(), sync::next(&first));
            async move { synced(&alice, &format!("since={next}&timeout=30000&set_presence=offline")).await }
        });
        waits(&server, &waiting).await;
        bob.say(&room, "wake up").await;
        let woken = tokio::time::timeout(Duration::from_secs(10), waiting).await.expect("an answer").expect("a sync");
        assert_eq!(types(&named(&woken["room_map"][&room], "timeline")), ["wake up"]);
    }

    async fn nobody_sees_more_than_today(server: Server) {
        let (alice, bob) = (server.user("alice").await, server.user("bob").await);
        let scene = Scene::new(&server, &alice, Some("joined")).await;
        scene.send(&alice, "m.room.message", json!({ "body": "early" })).await;
        scene.member(&bob, &bob, "join").await;
        scene.send(&alice, "m.room.message", json!({ "body": "now" })).await;
        scene.member(&alice, &bob, "ban").await;
        scene.send(&alice, "m.room.message", json!({ "body": "late" })).await;
        let filter = encode(r#"{"room":{"include_leave":true}}"#);
        let told = synced(&bob, &format!("filter={filter}")).await;
        let room = &told["room_map"][&scene.room_id];
        let bodies: Vec<_> = room["event_map"].as_object().expect("events").values().filter_map(|event| event["content"]["body"].as_str()).collect();
        assert_eq!(bodies, ["now"]);
        bob.get("/v2_alpha/sync?since=s1_x").await.refused(400, "M_INVALID_PARAM");
        server.stranger().get("/v2_alpha/sync").await.refused(401, "M_MISSING_TOKEN");
    }

    async fn a_filter_may_have_wildcards_among_its_ids(server: Server) {
        let (alice, bob) = (server.user("alice").await, server.user("bob").await);
        let kitchen = alice.creates_room(json!({ "preset": "public_chat" })).await;
        bob.joins(&kitchen).await;
        alice.say(&kitchen, "of alice").await;
        bob.say(&kitchen, "of bob").await;
        let filters = format!("/v2_alpha/user/{}/filter", encode(alice.user_id.as_str()));
        for (part, bodies) in [
            (json!({ "senders": ["@ali*"] }), vec!["of alice"]),
            (json!({ "not_senders": ["@ali*"] }), vec!["of bob"]),
            (json!({ "senders": ["*:hearth.test"], "not_senders": ["@bob:*"] }), vec!["of alice"]),
            (json!({ "senders": ["*"] }), vec!["of alice", "of bob"]),
            (json!({ "rooms": ["!*"], "types": ["m.*.message"] }), vec!["of alice", "of bob"]),
            (json!({ "not_rooms": ["*"] }), vec![]),
            (json!({ "not_types": ["*"] }), vec![]),
        ] {
            let filter = json!({ "room": { "timeline": part } });
            let kept = alice.post(&filters, filter.clone()).await.ok();
            let named = kept["filter_id"].as_str().expect("an id");
            assert_eq!(alice.get(&format!("{filters}/{named}")).await.ok(), filter);
            let told = synced(&alice, &format!("filter={named}")).await;
            let events = &told["room_map"][&kitchen];
            let told: Vec<_> = events["timeline"]["events"].as_array().expect("a timeline").iter()
                .filter_map(|id| events["event_map"][id.as_str()?]["content"]["body"].as_str()).collect();
            assert_eq!(told, bodies, "{filter}");
        }
        let all = alice.post(&filters, json!({ "room": { "not_rooms": ["!*"] }, "presence": { "not_senders": ["*"] } })).await.ok();
        let told = synced(&alice, &format!("filter={}", all["filter_id"].as_str().expect("an id"))).await;
        assert_eq!((&told["room_map"], &told["presence"]["events"]), (&json!({}), &json!([])));
        for wrong in [json!({ "room": { "timeline": { "senders": ["alice"] } } }), json!({ "room": { "rooms": ["kitchen"] } })] {
            alice.post(&filters, wrong).await.refused(400, "M_BAD_JSON");
        }
    }
}
