//! `/messages`, `/context` and `/timestamp_to_event`: pages, tokens, filters, and the form of events.

use std::time::Duration;

use serde_json::{Value, json};

use crate::{
    harness::{encode, on_both_databases},
    scene::{Scene, ids, text, texts},
};

/// Numbers that look like chance and are the same in every run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % bound
    }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).expect("a list")
}

fn query(filter: &Value) -> String {
    format!("&filter={}", encode(&filter.to_string()))
}

on_both_databases! {
    async fn pages_of_any_size_show_each_visible_event_once(server: Server) {
        let (alice, bob) = (server.user("alice").await, server.user("bob").await);
        let mut numbers = Numbers(7);
        let scene = Scene::new(&server, &alice, Some("joined")).await;
        let histories = ["joined", "invited", "shared", "world_readable"];
        let mut is_in = false;
        for n in 0..240 {
            match numbers.below(8) {
                0 => {
                    let history = histories[numbers.below(4)];
                    let value = json!({ "history_visibility": history });
                    scene.set(&alice, "m.room.history_visibility", "", value).await;
                }
                1 => {
                    is_in = !is_in;
                    scene.member(&bob, &bob, if is_in { "join" } else { "leave" }).await;
                }
                _ => drop(scene.send(&alice, "m.room.message", text(&format!("{n}"))).await),
            }
        }
        for who in [&alice, &bob] {
            let forwards = scene.walk(who, 'f', 1000, "").await;
            let mut unique = ids(&forwards);
            unique.sort_unstable();
            unique.dedup();
            assert_eq!(unique.len(), forwards.len());
            for dir in ['f', 'b'] {
                let (mut all, mut from): (Vec<Value>, _) = (Vec::new(), String::new());
                loop {
                    let limit = 1 + numbers.below(20);
                    let path = format!("/messages?dir={dir}&limit={limit}{from}");
                    let page = scene.get(who, &path).await.ok();
                    all.extend(list(&page["chunk"]).iter().cloned());
                    let Some(end) = page["end"].as_str() else { break };
                    from = format!("&from={end}");
                }
                if dir == 'b' {
                    all.reverse();
                }
                assert_eq!(ids(&all), ids(&forwards), "{} {dir}", who.user_id);
            }
            // What /messages shows is what /event shows.
            for event in scene.walk(&alice, 'f', 1000, "").await {
                let event_id = event["event_id"].as_str().expect("an event id");
                let seen = scene.event(who, event_id).await.status == 200;
                assert_eq!(seen, ids(&forwards).contains(&event_id), "{} {event}", who.user_id);
            }
        }
    }

    async fn a_stretch_of_hidden_events_does_not_end_the_history(server: Server) {
        let (alice, bob) = (server.user("alice").await, server.user("bob").await);
        let scene = Scene::new(&server, &alice, Some("joined")).await;
        scene.member(&bob, &bob, "join").await;
        scene.send(&alice, "m.room.message", text("the first")).await;
        scene.member(&bob, &bob, "leave").await;
        let room_id = scene.room_id.as_str().try_into().expect("a room id");
        let room = homeserver::rooms::find(&server.home, room_id).await.expect("the room");
        // More than are looked at for one page.
        let mut chain = homeserver::rooms::Chain::on(&server.home, &room).await.expect("a chain");
        for n in 0..2_100 {
            let content = crate::scene::content(&text(&format!("hidden {n}")));
            let intent = homeserver::rooms::Intent::message(&alice.user_id, "m.room.message", content);
            chain.push(intent).await.expect("a message");
        }
        chain.commit().await.expect("many messages");
        scene.member(&bob, &bob, "join").await;
        scene.send(&alice, "m.room.message", text("the last")).await;
        let page = scene.get(&bob, "/messages?dir=b&limit=5").await.ok();
        assert_eq!(texts(list(&page["chunk"])), ["the last"]);
        assert!(page["end"].is_string(), "{page}");
        assert_eq!(texts(&scene.walk(&bob, 'b', 5, "").await), ["the last", "the first"]);
        assert_eq!(texts(&scene.walk(&bob, 'f', 5, "").await), ["the first", "the last"]);
        // The same with events that a filter takes away.
        let filter = query(&json!({ "senders": [bob.user_id.as_str()], "types": ["m.room.*"] }));
        assert_eq!(scene.walk(&alice, 'b', 5, &filter).await.len(), 3);
    }

    async fn tokens_lie_between_events(server: Server) {
        let alice = server.user("alice").await;
        let scene = Scene::new(&server, &alice, Some("shared")).await;
        for n in 0..10 {
            scene.send(&alice, "m.room.message", text(&n.to_string())).await;
        }
        let back = scene.get(&alice, "/messages?dir=b&limit=3").await.ok();
        assert_eq!(texts(list(&back["chunk"])), ["9", "8", "7"]);
        let (start, end) = (back["start"].as_str().expect("a token"), back["end"].as_str().expect("a token"));
        let on = scene.get(&alice, &format!("/messages?dir=f&from={end}&to={start}&limit=99")).await.ok();
        assert_eq!(texts(list(&on["chunk"])), ["7", "8", "9"]);
        assert_eq!((&on["start"], &on["end"]), (&json!(end), &Value::Null));
        let path = format!("/messages?dir=b&from={start}&to={end}&limit=99");
        assert_eq!(texts(list(&scene.get(&alice, &path).await.ok()["chunk"])), ["9", "8", "7"]);
        // Nothing has come since.
        let newer = scene.get(&alice, &format!("/messages?dir=f&from={start}")).await.ok();
        assert_eq!((&newer["chunk"], &newer["end"]), (&json!([]), &Value::Null));
        // A limit of nothing makes no step.
        let none = scene.get(&alice, &format!("/messages?dir=b&from={end}&limit=0")).await.ok();
        assert_eq!((&none["chunk"], &none["end"]), (&json!([]), &json!(end)));
        // A token from beyond the end of the room is its end.
        let late = scene.get(&alice, "/messages?dir=b&from=s999999999&limit=1").await.ok();
        assert_eq!(texts(list(&late["chunk"])), ["9"]);
    }

    async fn what_is_no_token_no_direction_and_no_filter_is_refused(server: Server) {
        let alice = server.user("alice").await;
        let scene = Scene::new(&server, &alice, Some("shared")).await;
        for token in ["x", "s-1", "s", "s1e9", "%00", "s99999999999999999999", "%F0%9F%90%8C"] {
            for name in ["from", "to"] {
                let path = format!("/messages?dir=b&{name}={token}");
                scene.get(&alice, &path).await.refused(400, "M_INVALID_PARAM");
            }
        }
        scene.get(&alice, "/messages").await.refused(400, "M_MISSING_PARAM");
        for rest in ["dir=x", "dir=b&limit=-1", "dir=b&limit=x", "dir=b&filter=x", "dir=b&filter=%5B1%5D"] {
            let reply = scene.get(&alice, &format!("/messages?{rest}")).await;
            assert_eq!(reply.status, 400, "{rest}: {}", reply.body);
        }
        let huge = query(&json!({ "types": vec!["a*"; 51] }));
        scene.get(&alice, &format!("/messages?dir=b{huge}")).await.refused(400, "M_BAD_JSON");
        // More than a page may have is a page.
        scene.get(&alice, "/messages?dir=b&limit=9007199254740991").await.ok();
    }

    async fn a_filter_selects_by_type_sender_and_url(server: Server) {
        let (alice, bob) = (server.user("alice").await, server.user("bob").await);
        let scene = Scene::new(&server, &alice, Some("shared")).await;
        scene.member(&bob, &bob, "join").await;
        scene.send(&alice, "m.room.message", text("one")).await;
        scene.send(&bob, "m.room.message", text("two")).await;
        let image = json!({ "msgtype": "m.image", "body": "image", "url": "mxc://hearth.test/a" });
        scene.send(&bob, "m.room.message", image).await;
        scene.send(&alice, "org.example.x", json!({ "body": "odd" })).await;
        let bob_id = bob.user_id.as_str();
        for (filter, seen) in [
            (json!({ "types": ["m.room.message"] }), vec!["one", "two", "image"]),
            (json!({ "types": ["org.*"] }), vec!["odd"]),
            (json!({ "not_types": ["m.room.message"] }), vec!["odd"]),
            (json!({ "senders": [bob_id] }), vec!["two", "image"]),
            (json!({ "not_senders": [bob_id] }), vec!["one", "odd"]),
            (json!({ "contains_url": true }), vec!["image"]),
            (json!({ "contains_url": false }), vec!["one", "two", "odd"]),
            (json!({ "types": [] }), vec![]),
            (json!({ "not_rooms": [scene.room_id] }), vec![]),
            (json!({ "rooms": ["!other:hearth.test"] }), vec![]),
        ] {
            let found = scene.walk(&alice, 'f', 2, &query(&filter)).await;
            assert_eq!(texts(&found), seen, "{filter}");
        }
    }

    async fn members_come_along_if_they_are_loaded_lazily(server: Server) {
        let (alice, bob) = (server.user("alice").await, server.user("bob").await);
        let scene = Scene::new(&server, &alice, Some("shared")).await;
        let joined = scene.member(&bob, &bob, "join").await;
        scene.send(&bob, "m.room.message", text("hello")).await;
        let filter = query(&json!({ "lazy_load_members": true }));
        let page = scene.get(&alice, &format!("/messages?dir=b&limit=1{filter}")).await.ok();
        assert_eq!(ids(list(&page["state"])), [joined.as_str()]);
        let plain = scene.get(&alice, "/messages?dir=b&limit=1").await.ok();
        assert_eq!(plain["state"], Value::Null);
        let said = ids(list(&page["chunk"]))[0];
        let context = scene.get(&alice, &format!("/context/{}?limit=0{filter}", encode(said))).await.ok();
        let members: Vec<_> = list(&context["state"])
            .iter()
            .filter(|event| event["type"] == "m.room.member")
            .map(|event| event["state_key"].as_str())
            .collect();
        assert_eq!(members, [Some(bob.user_id.as_str())]);
        let context = scene.get(&alice, &format!("/context/{}?limit=0", encode(said))).await.ok();
        assert_eq!(list(&context["state"]).len(), 6);
    }

    async fn the_surroundings_of_an_event_go_on_in_messages(server: Server) {
        let alice = server.user("alice").await;
        let scene = Scene::new(&server, &alice, Some("shared")).await;
        let mut sent = Vec::new();
        for n in 0..9 {
            sent.push(scene.send(&alice, "m.room.message", text(&n.to_string())).await);
        }
        scene.set(&alice, "m.room.topic", "", json!({ "topic": "later" })).await;
        let path = format!("/context/{}", encode(&sent[4]));
        let context = scene.get(&alice, &format!("{path}?limit=5")).await.ok();
        assert_eq!(texts(list(&context["events_before"])), ["3", "2"]);
        assert_eq!(context["event"]["content"]["body"], "4");
        assert_eq!(texts(list(&context["events_after"])), ["5", "6", "7"]);
        // The state is that of the last event, not of today.
        assert!(!list(&context["state"]).iter().any(|event| event["type"] == "m.room.topic"));
        let (start, end) = (context["start"].as_str().expect("a token"), context["end"].as_str().expect("a token"));
        let back = scene.get(&alice, &format!("/messages?dir=b&limit=2&from={start}")).await.ok();
        assert_eq!(texts(list(&back["chunk"])), ["1", "0"]);
        let on = scene.get(&alice, &format!("/messages?dir=f&limit=1&from={end}")).await.ok();
        assert_eq!(texts(list(&on["chunk"])), ["8"]);
        let bare = scene.get(&alice, &format!("{path}?limit=0")).await.ok();
        assert_eq!((&bare["events_before"], &bare["events_after"]), (&json!([]), &json!([])));
        let filter = query(&json!({ "types": ["m.room.topic"] }));
        let other = scene.get(&alice, &format!("{path}?limit=50{filter}")).await.ok();
        assert_eq!((list(&other["events_before"]).len(), list(&other["events_after"]).len()), (0, 1));
        assert_eq!(list(&other["state"]).len(), 1);
        scene.get(&alice, &format!("/context/{}", encode("$nothing"))).await.refused(404, "M_NOT_FOUND");
    }

    async fn a_client_gets_an_event_with_everything_around_it(server: Server) {
        let (alice, bob) = (server.user("alice").await, server.user("bob").await);
        let scene = Scene::new(&server, &alice, Some("shared")).await;
        scene.member(&bob, &bob, "join").await;
        let first = scene.set(&alice, "m.room.topic", "", json!({ "topic": "one" })).await;
        let second = scene.set(&alice, "m.room.topic", "", json!({ "topic": "two" })).await;
        let said = alice.say(&scene.room_id, "hello \"world\" \u{1F40C}").await;
        server.pass(Duration::from_secs(3));
        let event = scene.event(&bob, &second).await.ok();
        assert_eq!(event["unsigned"]["prev_content"], json!({ "topic": "one" }));
        assert_eq!(event["unsigned"]["replaces_state"], json!(first));
        assert_eq!(event["unsigned"]["prev_sender"], json!(alice.user_id));
        assert_eq!((&event["state_key"], &event["room_id"]), (&json!(""), &json!(scene.room_id)));
        let event = scene.event(&bob, &said).await.ok();
        assert_eq!(event["content"]["body"], "hello \"world\" \u{1F40C}");
        assert_eq!(event["unsigned"], json!({ "age": 3000, "membership": "join" }));
        assert!(event.get("hashes").is_none() && event.get("signatures").is_none(), "{event}");
        // Only the device that sent it learns its transaction id.
        let own = scene.event(&alice, &said).await.ok();
        assert_eq!(own["unsigned"]["transaction_id"], "say0");
        let elsewhere = server.device_of(alice.user_id.clone(), "SECOND").await;
        assert_eq!(scene.event(&elsewhere, &said).await.ok()["unsigned"]["transaction_id"], Value::Null);
    }

    async fn the_membership_of_the_reader_is_told_as_it_was(server: Server) {
        let (alice, bob) = (server.user("alice").await, server.user("bob").await);
        let scene = Scene::new(&server, &alice, Some("world_readable")).await;
        let mut sent = vec![scene.send(&alice, "m.room.message", text("a")).await];
        sent.push(scene.member(&alice, &bob, "invite").await);
        sent.push(scene.member(&bob, &bob, "join").await);
        sent.push(scene.send(&alice, "m.room.message", text("b")).await);
        sent.push(scene.member(&alice, &bob, "ban").await);
        sent.push(scene.send(&alice, "m.room.message", text("c")).await);
        let mut told = Vec::new();
        for event_id in &sent {
            let event = scene.event(&bob, event_id).await.ok();
            told.push(event["unsigned"]["membership"].as_str().map(str::to_owned));
        }
        let told: Vec<_> = told.iter().flatten().map(String::as_str).collect();
        assert_eq!(told, ["leave", "invite", "join", "join", "ban", "ban"]);
    }

    async fn what_was_redacted_is_nowhere_to_be_read(server: Server) {
        let (alice, bob) = (server.user("alice").await, server.user("bob").await);
        let scene = Scene::new(&server, &alice, Some("shared")).await;
        scene.member(&bob, &bob, "join").await;
        let said = scene.send(&alice, "m.room.message", text("secret")).await;
        let topic = scene.set(&alice, "m.room.topic", "", json!({ "topic": "secret" })).await;
        let next = scene.set(&alice, "m.room.topic", "", json!({ "topic": "open" })).await;
        // Everybody has read it, so it is in every cache.
        assert_eq!(scene.event(&bob, &next).await.ok()["unsigned"]["prev_content"]["topic"], "secret");
        scene.walk(&bob, 'b', 50, "").await;
        let redaction = scene.redact(&alice, &said).await;
        scene.redact(&alice, &topic).await;
        let all = scene.walk(&bob, 'b', 50, "").await;
        assert!(!json!(all).to_string().contains("secret"), "{all:?}");
        assert!(!scene.event(&bob, &next).await.ok().to_string().contains("secret"));
        let event = scene.event(&bob, &said).await.ok();
        assert_eq!(event["content"], json!({}));
        let because = &event["unsigned"]["redacted_because"];
        assert_eq!((&because["event_id"], &because["type"]), (&json!(redaction), &json!("m.room.redaction")));
        assert_eq!((&because["redacts"], &because["content"]["redacts"]), (&json!(said), &json!(said)));
    }

    async fn what_was_replaced_before_ones_time_stays_hidden(server: Server) {
        let (alice, bob) = (server.user("alice").await, server.user("bob").await);
        let scene = Scene::new(&server, &alice, Some("joined")).await;
        scene.set(&alice, "m.room.topic", "", json!({ "topic": "secret" })).await;
        let shared = json!({ "history_visibility": "shared" });
        scene.set(&alice, "m.room.history_visibility", "", shared).await;
        let open = scene.set(&alice, "m.room.topic", "", json!({ "topic": "open" })).await;
        scene.member(&bob, &bob, "join").await;
        let event = scene.event(&bob, &open).await.ok();
        assert_eq!(event["unsigned"].get("prev_content"), None, "{event}");
        let later = scene.set(&alice, "m.room.topic", "", json!({ "topic": "newer" })).await;
        assert_eq!(scene.event(&bob, &later).await.ok()["unsigned"]["prev_content"]["topic"], "open");
    }

    async fn the_event_nearest_to_a_time_is_found(server: Server) {
        let (alice, bob) = (server.user("alice").await, server.user("bob").await);
        let scene = Scene::new(&server, &alice, Some("joined")).await;
        server.pass(Duration::from_secs(100));
        let now_ms = || server.home.clock.now_ms();
        let first_ms = now_ms();
        let first = scene.send(&alice, "m.room.message", text("first")).await;
        server.pass(Duration::from_secs(100));
        scene.member(&bob, &bob, "join").await;
        server.pass(Duration::from_secs(100));
        let last_ms = now_ms();
        let last = scene.send(&alice, "m.room.message", text("last")).await;
        for (ts, dir, event_id, ts_found) in [
            (first_ms - 50_000, "f", &first, first_ms),
            (first_ms, "f", &first, first_ms),
            (first_ms, "b", &first, first_ms),
            (first_ms + 50_000, "b", &first, first_ms),
            (last_ms + 50_000, "b", &last, last_ms),
            (last_ms - 50_000, "f", &last, last_ms),
        ] {
            let found = scene.get_v1(&alice, &format!("/timestamp_to_event?ts={ts}&dir={dir}")).await.ok();
            assert_eq!(found, json!({ "event_id": event_id, "origin_server_ts": ts_found }), "{ts} {dir}");
        }
        let path = format!("/timestamp_to_event?ts={}&dir=f", last_ms + 1);
        scene.get_v1(&alice, &path).await.refused(404, "M_NOT_FOUND");
        // Bob may not know of what was before him.
        let path = format!("/timestamp_to_event?ts={}&dir=b", first_ms + 50_000);
        assert_ne!(scene.get_v1(&bob, &path).await.ok()["event_id"], json!(first));
        let carol = server.user("carol").await;
        scene.get_v1(&carol, &path).await.refused(403, "M_FORBIDDEN");
    }
}
