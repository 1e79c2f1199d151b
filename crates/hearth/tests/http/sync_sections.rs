//! `GET /sync`: the sections of rooms, what the parameters of the query do, and what stands beside rooms.

use serde_json::{Value, json};

use crate::{
    harness::{User, encode, on_both_databases},
    sync::{next, sync, sync_with, told},
};

/// The types of the events in a list.
fn types(events: &Value) -> Vec<&str> {
    let events = events["events"].as_array().expect("a list of events").iter();
    events.filter_map(|event| event["type"].as_str()).collect()
}

async fn with_filter(user: &User, since: &str, filter: &Value, query: &str) -> Value {
    sync_with(user, since, &format!("{query}&filter={}", encode(&filter.to_string()))).await
}

on_both_databases! {
    async fn a_knock_waits_in_a_section_of_its_own(server: Server) {
        let (alice, bob) = (server.user("alice").await, server.user("bob").await);
        let rule = json!([{ "type": "m.room.join_rules", "content": { "join_rule": "knock" } }]);
        let room = alice.creates_room(json!({ "name": "Cellar", "topic": "secret", "initial_state": rule })).await;
        alice.say(&room, "between us").await;
        let start = sync(&bob, "").await;
        let knock = format!("/v3/knock/{}", encode(&room));
        bob.post(&knock, json!({ "reason": "let me in" })).await.ok();
        for synced in [sync(&bob, &next(&start)).await, sync(&bob, "").await] {
            assert!(synced["rooms"].get("join").is_none() && synced["rooms"].get("invite").is_none(), "{synced}");
            let told = &synced["rooms"]["knock"][&room]["knock_state"];
            let types = types(told);
            for wanted in ["m.room.create", "m.room.name", "m.room.join_rules", "m.room.member"] {
                assert!(types.contains(&wanted), "{wanted} in {types:?}");
            }
            let events = told["events"].as_array().expect("stripped state");
            let own = events.iter().find(|event| event["type"] == "m.room.member").expect("the knock");
            assert_eq!((&own["content"]["membership"], &own["content"]["reason"]), (&json!("knock"), &json!("let me in")));
            assert!(events.iter().all(|event| event.get("event_id").is_none()), "{events:?}");
            assert!(!synced.to_string().contains("between us"));
        }
        let knocked = sync(&bob, &next(&start)).await;
        let of_alice = sync(&alice, "").await;
        let last = of_alice["rooms"]["join"][&room]["timeline"]["events"].as_array().and_then(|all| all.last()).cloned();
        assert_eq!(last.expect("an event")["content"]["membership"], "knock", "members see it");
        // It is refused, made anew, and let in.
        alice.does(&room, "kick", json!({ "user_id": bob.user_id })).await.ok();
        let refused = sync(&bob, &next(&knocked)).await;
        assert_eq!(types(&refused["rooms"]["leave"][&room]["timeline"]), ["m.room.member"]);
        bob.post(&knock, json!({})).await.ok();
        let again = sync(&bob, &next(&refused)).await;
        assert!(again["rooms"]["knock"][&room].is_object());
        alice.invites(&room, &bob).await;
        let invited = sync(&bob, &next(&again)).await;
        assert!(invited["rooms"]["invite"][&room].is_object() && invited["rooms"].get("knock").is_none());
        bob.joins(&room).await;
        assert!(sync(&bob, &next(&invited)).await["rooms"]["join"][&room].is_object());
    }

    async fn a_room_just_joined_comes_as_if_at_first(server: Server) {
        let (alice, bob) = (server.user("alice").await, server.user("bob").await);
        let room = alice.creates_room(json!({ "preset": "public_chat", "name": "Kitchen" })).await;
        for n in 0..20 {
            alice.say(&room, &n.to_string()).await;
        }
        let start = sync(&bob, "").await;
        bob.joins(&room).await;
        let joined = sync(&bob, &next(&start)).await;
        let first = sync(&bob, "").await;
        let (new, whole) = (&joined["rooms"]["join"][&room], &first["rooms"]["join"][&room]);
        assert_eq!(types(&new["state"]), types(&whole["state"]));
        assert_eq!(told(&new["timeline"]), told(&whole["timeline"]));
        assert_eq!((&new["timeline"]["limited"], told(&new["timeline"]).len()), (&json!(true), 10));
        assert_eq!(new["summary"]["m.joined_member_count"], 2);
        // Who leaves and comes back between two syncs is told anew, too.
        bob.leaves(&room).await;
        alice.say(&room, "gone").await;
        bob.joins(&room).await;
        let back = sync(&bob, &next(&joined)).await;
        assert!(types(&back["rooms"]["join"][&room]["state"]).contains(&"m.room.create"));
        // Who only changes the name is not.
        let name = format!("/v3/profile/{}/displayname", encode(bob.user_id.as_str()));
        bob.put(&name, json!({ "displayname": "Robert" })).await.ok();
        let named = sync(&bob, &next(&back)).await;
        assert_eq!(types(&named["rooms"]["join"][&room]["state"]), Vec::<&str>::new());
        assert_eq!(types(&named["rooms"]["join"][&room]["timeline"]), ["m.room.member"]);
    }

    async fn the_full_state_is_told_of_rooms_in_which_nothing_happened(server: Server) {
        let (alice, bob) = (server.user("alice").await, server.user("bob").await);
        let quiet = alice.creates_room(json!({ "name": "Quiet" })).await;
        let lively = alice.creates_room(json!({ "preset": "public_chat", "name": "Lively" })).await;
        bob.joins(&lively).await;
        let first = sync(&alice, "").await;
        bob.say(&lively, "news").await;
        let full = sync_with(&alice, &next(&first), "full_state=true&timeout=300000").await;
        for (room, timeline) in [(&quiet, &[][..]), (&lively, &["news"])] {
            let room = &full["rooms"]["join"][room];
            let state = types(&room["state"]);
            for wanted in ["m.room.create", "m.room.name", "m.room.member", "m.room.power_levels"] {
                assert!(state.contains(&wanted), "{wanted} in {state:?}");
            }
            // The timeline goes on from where the client stands.
            assert_eq!(told(&room["timeline"]), timeline);
            assert_eq!(room["timeline"]["limited"], false);
        }
        let after = sync_with(&alice, &next(&full), "full_state=false").await;
        assert_eq!(after["rooms"], json!({}));
    }

    async fn the_state_after_the_timeline_has_its_changes(server: Server) {
        let (alice, bob) = (server.user("alice").await, server.user("bob").await);
        let room = alice.creates_room(json!({ "preset": "public_chat", "name": "Old" })).await;
        bob.joins(&room).await;
        let first = sync(&alice, "").await;
        alice.sets(&room, "m.room.name", "", json!({ "name": "New" })).await.ok();
        bob.say(&room, "hello").await;
        let before = sync(&alice, &next(&first)).await["rooms"]["join"][&room].clone();
        assert_eq!(types(&before["state"]), Vec::<&str>::new(), "the change stands in the timeline");
        let after = sync_with(&alice, &next(&first), "use_state_after=true").await["rooms"]["join"][&room].clone();
        assert_eq!(after.get("state"), None);
        assert_eq!(types(&after["state_after"]), ["m.room.name"]);
        assert_eq!(after["state_after"]["events"][0]["content"]["name"], "New");
        assert_eq!(types(&after["timeline"]), ["m.room.name", "m.room.message"]);
        // With a short timeline as well, and without any.
        for limit in [0, 1] {
            let filter = json!({ "room": { "timeline": { "limit": limit } } });
            let after = with_filter(&alice, &next(&first), &filter, "use_state_after=true").await;
            assert_eq!(types(&after["rooms"]["join"][&room]["state_after"]), ["m.room.name"], "{limit}");
        }
        // The first time it is the whole state.
        let whole = sync_with(&alice, "", "use_state_after=true").await["rooms"]["join"][&room].clone();
        let names: Vec<_> = whole["state_after"]["events"].as_array().expect("state").iter()
            .filter(|event| event["type"] == "m.room.name").map(|event| &event["content"]["name"]).collect();
        assert_eq!(names, ["New"]);
        bob.leaves(&room).await;
        alice.sets(&room, "m.room.name", "", json!({ "name": "Newer" })).await.ok();
        let filter = json!({ "room": { "include_leave": true } });
        let left = with_filter(&bob, "", &filter, "use_state_after=true").await;
        let left = &left["rooms"]["leave"][&room];
        assert!(left.get("state").is_none() && left["state_after"]["events"].is_array(), "{left}");
        assert!(left["state_after"].to_string().contains(r#""New""#) && !left.to_string().contains("Newer"));
    }

    async fn rooms_that_were_left_are_told_once_or_when_they_are_asked_for(server: Server) {
        let (alice, bob, carol) =
            (server.user("alice").await, server.user("bob").await, server.user("carol").await);
        let room = alice.creates_room(json!({ "preset": "public_chat", "name": "Kitchen" })).await;
        for user in [&bob, &carol] {
            user.joins(&room).await;
        }
        let first = sync(&bob, "").await;
        alice.say(&room, "last words").await;
        alice.does(&room, "kick", json!({ "user_id": bob.user_id, "reason": "out" })).await.ok();
        alice.say(&room, "among us").await;
        let kicked = sync(&bob, &next(&first)).await;
        let left = &kicked["rooms"]["leave"][&room];
        assert_eq!(told(&left["timeline"]), ["last words", "m.room.member"]);
        assert_eq!(left["timeline"]["events"][1]["content"]["reason"], "out");
        // A ban afterwards is told as well, and nothing between.
        alice.does(&room, "ban", json!({ "user_id": bob.user_id })).await.ok();
        let banned = sync(&bob, &next(&kicked)).await;
        let events = &banned["rooms"]["leave"][&room]["timeline"]["events"];
        assert_eq!((events.as_array().map(Vec::len), &events[0]["content"]["membership"]), (Some(1), &json!("ban")));
        assert_eq!(sync(&bob, &next(&banned)).await["rooms"], json!({}));
        // At first only who asks for them is told.
        assert_eq!(sync(&bob, "").await["rooms"], json!({}));
        let filter = json!({ "room": { "include_leave": true, "timeline": { "limit": 1 } } });
        let with_left = with_filter(&bob, "", &filter, "").await;
        let left = &with_left["rooms"]["leave"][&room];
        assert!(types(&left["state"]).contains(&"m.room.create"), "{left}");
        assert!(!with_left.to_string().contains("among us"));
        // What is forgotten is gone.
        bob.does(&room, "forget", json!({})).await.ok();
        assert_eq!(with_filter(&bob, "", &filter, "").await["rooms"], json!({}));
    }

    async fn a_timeline_has_ten_events_or_as_many_as_are_wanted(server: Server) {
        let alice = server.user("alice").await;
        let room = alice.creates_room(json!({})).await;
        for n in 0..120 {
            alice.say(&room, &n.to_string()).await;
        }
        for (limit, count) in [(None, 10), (Some(1), 1), (Some(50), 50), (Some(100), 100), (Some(5_000), 100)] {
            let filter = limit.map_or(json!({}), |limit| json!({ "room": { "timeline": { "limit": limit } } }));
            let synced = with_filter(&alice, "", &filter, "").await;
            let timeline = &synced["rooms"]["join"][&room]["timeline"];
            assert_eq!((told(timeline).len(), &timeline["limited"]), (count, &json!(true)), "{limit:?}");
            assert_eq!(told(timeline).last().map(String::as_str), Some("119"));
            // Whatever was told, the rest is one page away.
            let from = timeline["prev_batch"].as_str().expect("a token");
            let path = format!("/v3/rooms/{}/messages?dir=b&limit=1&from={from}", encode(&room));
            let page = told(&json!({ "events": alice.get(&path).await.ok()["chunk"] }));
            assert_eq!(page, [(119 - count).to_string()]);
        }
    }

    async fn the_parameter_says_who_is_there(server: Server) {
        let (alice, bob) = (server.user("alice").await, server.user("bob").await);
        let room = alice.creates_room(json!({ "preset": "public_chat" })).await;
        bob.joins(&room).await;
        let status = format!("/v3/presence/{}/status", encode(bob.user_id.as_str()));
        for (parameter, presence) in [
            ("set_presence=unavailable", "unavailable"),
            ("", "online"),
            ("set_presence=unavailable", "unavailable"),
            ("set_presence=online", "online"),
        ] {
            server.pass(std::time::Duration::from_secs(3_600));
            let before = sync_with(&alice, "", "set_presence=offline").await;
            sync_with(&bob, "", parameter).await;
            assert_eq!(alice.get(&status).await.ok()["presence"], presence, "{parameter}");
            let after = sync_with(&alice, &next(&before), "set_presence=offline").await;
            let events = after["presence"]["events"].as_array().expect("presence").clone();
            let of_bob = events.iter().find(|event| event["sender"] == *bob.user_id.as_str());
            assert_eq!(of_bob.map(|event| &event["content"]["presence"]), Some(&json!(presence)), "{parameter}");
        }
        // A sync that says «offline» is no sign of life.
        assert_eq!(alice.get(&format!("/v3/presence/{}/status", encode(alice.user_id.as_str()))).await.ok()["presence"], "offline");
        // As long as one device says that the user is there, another can not say otherwise.
        let phone = server.device_of(bob.user_id.clone(), "PHONE").await;
        for (who, parameter, presence) in [
            (&bob, "set_presence=online", "online"), (&phone, "set_presence=unavailable", "online"),
            (&bob, "set_presence=unavailable", "unavailable"), (&phone, "", "online"),
        ] {
            sync_with(who, "", parameter).await;
            assert_eq!(alice.get(&status).await.ok()["presence"], presence, "{parameter}");
        }
        alice.get("/v3/sync?set_presence=busy").await.refused(400, "M_INVALID_PARAM");
    }

    async fn devices_have_their_place_in_every_answer(server: Server) {
        let alice = server.user("alice").await;
        let first = sync(&alice, "").await;
        alice.creates_room(json!({})).await;
        for synced in [&first, &sync(&alice, &next(&first)).await, &sync_with(&alice, &next(&first), "full_state=true").await] {
            assert_eq!(synced["to_device"]["events"], json!([]));
            assert_eq!(synced["device_lists"], json!({ "changed": [], "left": [] }));
            assert!(synced["device_one_time_keys_count"].is_object());
            assert!(synced["device_unused_fallback_key_types"].is_array());
        }
    }

    async fn guests_follow_the_rooms_that_let_them_in(server: Server) {
        let (alice, guest) = (server.user("alice").await, server.guest("guest").await);
        let open = json!([
            { "type": "m.room.guest_access", "content": { "guest_access": "can_join" } },
            { "type": "m.room.history_visibility", "content": { "history_visibility": "world_readable" } },
        ]);
        let room = alice.creates_room(json!({ "preset": "public_chat", "initial_state": open })).await;
        let closed = alice.creates_room(json!({ "preset": "public_chat" })).await;
        alice.say(&room, "for all").await;
        // Before they are in, they look, but do not follow.
        let start = sync(&guest, "").await;
        assert_eq!(start["rooms"], json!({}));
        let messages = |room: &str| format!("/v3/rooms/{}/messages?dir=b&limit=1", encode(room));
        assert_eq!(told(&json!({ "events": guest.get(&messages(&room)).await.ok()["chunk"] })), ["for all"]);
        guest.get(&messages(&closed)).await.refused(403, "M_FORBIDDEN");
        guest.joins(&room).await;
        alice.say(&room, "welcome").await;
        let joined = sync(&guest, &next(&start)).await;
        assert!(told(&joined["rooms"]["join"][&room]["timeline"]).contains(&"welcome".to_owned()));
        alice.sets(&room, "m.room.guest_access", "", json!({ "guest_access": "forbidden" })).await.ok();
        let gone = sync(&guest, &next(&joined)).await;
        assert!(gone["rooms"]["leave"][&room].is_object(), "{gone}");
    }
}
