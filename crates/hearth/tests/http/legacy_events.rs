//! `/initialSync`, `/events`, `/events/{eventId}` and `/rooms/{roomId}/initialSync`, as v1 of 2015 has them and
//! as today's specification still does.

use std::{collections::BTreeSet, time::Duration};

use serde_json::{Value, json};

use crate::{
    harness::{Server, User, encode, on_both_databases},
    scene::{Scene, ids, text, texts},
    sync,
};

/// `GET /_matrix/client/api/v1{path}`
pub async fn v1(user: &User, path: &str) -> Value {
    user.get(&format!("/api/v1{path}")).await.ok()
}

/// The events that come after `from`, and where to go on; answers at once.
async fn events(user: &User, from: &str) -> (Vec<Value>, String) {
    let told = v1(user, &format!("/events?from={from}&timeout=0")).await;
    assert_eq!(told["start"], from);
    (chunk(&told), end(&told))
}

fn chunk(told: &Value) -> Vec<Value> {
    told["chunk"].as_array().expect("a chunk").clone()
}

fn end(told: &Value) -> String {
    told["end"].as_str().expect("an end").to_owned()
}

/// The room events among what `/events` tells.
fn of_rooms(chunk: &[Value]) -> Vec<Value> {
    chunk.iter().filter(|event| event.get("event_id").is_some()).cloned().collect()
}

/// Waits until a request that was sent waits, too, unless it has been answered.
pub async fn waits<T>(server: &Server, request: &tokio::task::JoinHandle<T>) {
    while server.home.bell.listeners() == 0 && !request.is_finished() {
        tokio::task::yield_now().await;
    }
}

on_both_databases! {
    async fn the_first_answer_has_every_room_and_where_to_go_on(server: Server) {
        let (alice, bob) = (server.user("alice").await, server.user("bob").await);
        bob.put(&format!("/v3/profile/{}/displayname", encode(bob.user_id.as_str())), json!({ "displayname": "Bob" })).await.ok();
        let room = alice.creates_room(json!({ "preset": "public_chat", "name": "Kitchen" })).await;
        bob.joins(&room).await;
        for n in 0..5 {
            alice.say(&room, &n.to_string()).await;
        }
        let invited = bob.creates_room(json!({ "name": "Cellar", "invite": [alice.user_id] })).await;
        sync::sync(&bob, "").await;
        let told = v1(&alice, "/initialSync?limit=2").await;
        let rooms = told["rooms"].as_array().expect("rooms");
        assert_eq!(rooms.len(), 2);
        let kitchen = rooms.iter().find(|of| of["room_id"] == room.as_str()).expect("the kitchen");
        assert_eq!((&kitchen["membership"], &kitchen["visibility"]), (&json!("join"), &json!("private")));
        let messages = chunk(&kitchen["messages"]);
        assert_eq!(texts(&messages), ["3", "4"]);
        assert_eq!(messages[0]["user_id"], alice.user_id.as_str());
        assert!(messages[0]["transaction_id"].is_string(), "she sent it from here");
        let state = kitchen["state"].as_array().expect("state");
        let name = state.iter().find(|event| event["type"] == "m.room.name").expect("a name");
        assert_eq!(name["content"], json!({ "name": "Kitchen" }));
        let cellar = rooms.iter().find(|of| of["room_id"] == invited.as_str()).expect("the cellar");
        assert_eq!((&cellar["membership"], cellar.get("state")), (&json!("invite"), None));
        assert_eq!(cellar["invite"]["user_id"], bob.user_id.as_str());
        let stripped = cellar["invite"]["invite_room_state"].as_array().expect("stripped state");
        assert!(stripped.contains(&json!({ "type": "m.room.name", "state_key": "", "content": { "name": "Cellar" } })), "{stripped:?}");
        let presence = told["presence"].as_array().expect("presence");
        let of_bob = presence.iter().find(|event| event["content"]["user_id"] == bob.user_id.as_str()).expect("bob is about");
        assert_eq!((&of_bob["content"]["displayname"], &of_bob["content"]["presence"]), (&json!("Bob"), &json!("online")));
        // The tokens are those of today.
        let start = kitchen["messages"]["start"].as_str().expect("a start");
        let path = format!("/v3/rooms/{}/messages?dir=b&limit=2&from={start}", encode(&room));
        assert_eq!(texts(&chunk(&alice.get(&path).await.ok())), ["2", "1"]);
        alice.say(&room, "5").await;
        let later = sync::sync(&alice, &end(&told)).await;
        assert_eq!(sync::told(&later["rooms"]["join"][&room]["timeline"]), ["5"]);
    }

    async fn events_come_in_the_order_in_which_they_happened(server: Server) {
        let (alice, bob) = (server.user("alice").await, server.user("bob").await);
        let kitchen = alice.creates_room(json!({ "preset": "public_chat" })).await;
        let cellar = alice.creates_room(json!({ "preset": "public_chat" })).await;
        bob.joins(&kitchen).await;
        bob.joins(&cellar).await;
        let from = end(&v1(&alice, "/initialSync").await);
        for (n, room) in [&kitchen, &cellar, &kitchen, &cellar, &cellar].into_iter().enumerate() {
            bob.say(room, &n.to_string()).await;
        }
        let (told, next) = events(&alice, &from).await;
        let told = of_rooms(&told);
        assert_eq!(texts(&told), ["0", "1", "2", "3", "4"]);
        assert_eq!(told[1]["room_id"], cellar.as_str());
        assert!(told.iter().all(|event| event.get("transaction_id").is_none()), "bob sent them");
        assert_eq!(events(&alice, &next).await.0, Vec::<Value>::new());
        // Whoever goes on in the middle gets the rest, here or in /sync.
        let synced = sync::sync(&alice, &from).await;
        assert_eq!(sync::told(&synced["rooms"]["join"][&kitchen]["timeline"]), ["0", "2"]);
        let (anew, _) = events(&alice, &sync::next(&synced)).await;
        assert_eq!(anew, Vec::<Value>::new());
    }

    async fn a_client_of_2015_and_one_of_today_wake_each_other(server: Server) {
        let (alice, bob) = (server.user("alice").await, server.user("bob").await);
        let created = alice.post("/api/v1/createRoom", json!({ "preset": "public_chat" })).await.ok();
        let room = created["room_id"].as_str().expect("a room").to_owned();
        bob.joins(&room).await;
        let from = end(&v1(&alice, "/initialSync").await);
        let since = sync::next(&sync::sync(&bob, "").await);
        let old = tokio::spawn({
            let (alice, from) = (alice.clone(), from.clone());
            async move {
                // Presence and receipts may come first.
                let mut from = from;
                loop {
                    let told = v1(&alice, &format!("/events?from={from}&timeout=30000")).await;
                    if !of_rooms(&chunk(&told)).is_empty() {
                        return told;
                    }
                    from = end(&told);
                }
            }
        });
        waits(&server, &old).await;
        bob.say(&room, "from today").await;
        let told = tokio::time::timeout(Duration::from_secs(10), old).await.expect("an answer").expect("events");
        assert_eq!(texts(&of_rooms(&chunk(&told))), ["from today"]);
        let new = tokio::spawn({
            let (bob, since) = (bob.clone(), since.clone());
            async move {
                let mut since = since;
                loop {
                    let synced = sync::sync_with(&bob, &since, "timeout=30000").await;
                    let told = sync::told(&synced["rooms"]["join"].as_object().and_then(|rooms| rooms.values().next()).cloned().unwrap_or(json!({ "timeline": { "events": [] } }))["timeline"]);
                    if told.contains(&"from 2015".to_owned()) {
                        return synced;
                    }
                    since = sync::next(&synced);
                }
            }
        });
        let path = format!("/api/v1/rooms/{}/send/m.room.message", encode(&room));
        alice.post(&path, text("from 2015")).await.ok();
        tokio::time::timeout(Duration::from_secs(10), new).await.expect("an answer").expect("a sync");
    }

    async fn who_types_reads_and_comes_is_told_as_in_2015(server: Server) {
        let (alice, bob) = (server.user("alice").await, server.user("bob").await);
        let room = alice.creates_room(json!({ "preset": "public_chat" })).await;
        bob.joins(&room).await;
        let said = alice.say(&room, "hello").await;
        let from = end(&v1(&alice, "/initialSync").await);
        let (room_path, bob_path) = (encode(&room), encode(bob.user_id.as_str()));
        bob.put(&format!("/api/v1/rooms/{room_path}/typing/{bob_path}"), json!({ "typing": true, "timeout": 30000 })).await.ok();
        bob.post(&format!("/v2_alpha/rooms/{room_path}/receipt/m.read/{}", encode(&said)), json!({})).await.ok();
        bob.put(&format!("/api/v1/presence/{bob_path}/status"), json!({ "presence": "free_for_chat", "status_msg": "hi" })).await.ok();
        let (told, _) = events(&alice, &from).await;
        let find = |name: &str| told.iter().find(|event| event["type"] == name).unwrap_or_else(|| panic!("{name} in {told:#?}"));
        assert_eq!(find("m.typing"), &json!({ "type": "m.typing", "room_id": room, "content": { "user_ids": [bob.user_id] } }));
        let receipt = &find("m.receipt")["content"][&said]["m.read"][bob.user_id.as_str()]["ts"];
        assert!(receipt.is_i64(), "{told:#?}");
        let presence = &find("m.presence")["content"];
        assert_eq!((&presence["presence"], &presence["user_id"], &presence["status_msg"]), (&json!("free_for_chat"), &json!(bob.user_id), &json!("hi")));
        // For clients of today he is online.
        let synced = sync::sync(&alice, "").await;
        let presence = synced["presence"]["events"].as_array().expect("presence").iter().find(|event| event["sender"] == bob.user_id.as_str());
        assert_eq!(presence.expect("bob")["content"]["presence"], "online");
    }

    async fn a_room_is_told_of_while_one_is_in_it(server: Server) {
        let (alice, bob) = (server.user("alice").await, server.user("bob").await);
        let room = alice.creates_room(json!({ "name": "Kitchen", "preset": "private_chat" })).await;
        let mut from = end(&v1(&bob, "/initialSync").await);
        alice.say(&room, "before").await;
        alice.invites(&room, &bob).await;
        alice.say(&room, "still before").await;
        let (told, next) = events(&bob, &from).await;
        let told = of_rooms(&told);
        assert_eq!((told.len(), &told[0]["content"]["membership"]), (1, &json!("invite")), "{told:?}");
        assert!(told[0]["invite_room_state"].is_array(), "{told:?}");
        from = next;
        bob.joins(&room).await;
        alice.say(&room, "welcome").await;
        bob.leaves(&room).await;
        alice.say(&room, "after").await;
        let (told, next) = events(&bob, &from).await;
        let told = of_rooms(&told);
        let seen: Vec<_> = told.iter().map(|event| event["content"]["membership"].as_str().or(event["content"]["body"].as_str())).collect();
        assert_eq!(seen, [Some("join"), Some("welcome"), Some("leave")]);
        assert_eq!(events(&bob, &next).await.0, Vec::<Value>::new());
        // The room as it was left is there for who asks.
        assert_eq!(v1(&bob, "/initialSync").await["rooms"], json!([]));
        let archived = v1(&bob, "/initialSync?archived=true").await;
        let left = &archived["rooms"][0];
        assert_eq!(left["membership"], "leave");
        assert_eq!(texts(&chunk(&left["messages"])), ["before", "still before", "welcome"]);
        let alone = v1(&bob, &format!("/rooms/{}/initialSync", encode(&room))).await;
        assert_eq!(texts(&chunk(&alone["messages"])), ["before", "still before", "welcome"]);
    }

    async fn a_room_that_one_never_was_in_is_archived_without_what_is_in_it(server: Server) {
        let (alice, bob) = (server.user("alice").await, server.user("bob").await);
        let declined = alice.creates_room(json!({ "name": "Secret", "preset": "private_chat" })).await;
        alice.invites(&declined, &bob).await;
        bob.leaves(&declined).await;
        let banned = alice.creates_room(json!({ "preset": "public_chat" })).await;
        alice.post(&format!("/v3/rooms/{banned}/ban"), json!({ "user_id": bob.user_id })).await.ok();
        for api in ["api/v1", "v3"] {
            let archived = bob.get(&format!("/{api}/initialSync?archived=true")).await.ok();
            let mut rooms = archived["rooms"].as_array().expect("rooms").clone();
            rooms.sort_by_key(|room| room["membership"].to_string());
            let only = |room_id: &str, membership| json!({ "room_id": room_id, "membership": membership });
            assert_eq!(rooms, [only(&banned, "ban"), only(&declined, "leave")], "{api}");
        }
    }

    async fn a_long_absence_is_told_in_pieces_that_lose_nothing(server: Server) {
        let (alice, bob) = (server.user("alice").await, server.user("bob").await);
        let rooms = [alice.creates_room(json!({})).await, alice.creates_room(json!({})).await, bob.creates_room(json!({})).await];
        let mut from = end(&v1(&alice, "/initialSync").await);
        let mut said = Vec::new();
        for n in 0..620 {
            let room = &rooms[if n % 31 == 0 { 1 } else { 0 }];
            said.push(alice.say(room, &n.to_string()).await);
        }
        bob.say(&rooms[2], "not hers").await;
        let mut told = Vec::new();
        for _ in 0..10 {
            let (chunk, next) = events(&alice, &from).await;
            let chunk = of_rooms(&chunk);
            assert!(chunk.len() <= 250, "{}", chunk.len());
            told.extend(ids(&chunk).into_iter().map(str::to_owned));
            if next == from {
                break;
            }
            from = next;
        }
        assert_eq!(told, said);
    }

    async fn everybody_may_look_into_a_room_that_the_world_may_read(server: Server) {
        let (alice, guest, carol) = (server.user("alice").await, server.guest("guest").await, server.user("carol").await);
        let scene = Scene::new(&server, &alice, Some("shared")).await;
        scene.send(&alice, "m.room.message", text("secret")).await;
        scene.set(&alice, "m.room.history_visibility", "", json!({ "history_visibility": "world_readable" })).await;
        let open = scene.send(&alice, "m.room.message", text("for all")).await;
        let room = encode(&scene.room_id);
        for who in [&guest, &carol] {
            let snapshot = v1(who, &format!("/rooms/{room}/initialSync")).await;
            let read = chunk(&snapshot["messages"]);
            assert!(texts(&read).contains(&"for all") && !texts(&read).contains(&"secret"), "{read:?}");
            assert_eq!(snapshot.get("membership"), None);
            v1(who, &format!("/events/{}", encode(&open))).await;
            let from = snapshot["messages"]["end"].as_str().expect("an end").to_owned();
            let watching = tokio::spawn({
                let (who, room) = (who.clone(), room.clone());
                async move { v1(&who, &format!("/events?from={from}&timeout=30000&room_id={room}")).await }
            });
            waits(&server, &watching).await;
            let said = format!("to {}", who.user_id);
            scene.send(&alice, "m.room.message", text(&said)).await;
            let told = tokio::time::timeout(Duration::from_secs(10), watching).await.expect("an answer").expect("events");
            assert_eq!(texts(&chunk(&told)), [said.as_str()]);
            // The same as today's clients ask for it.
            let path = format!("/v3/events?from=s1&timeout=0&room_id={room}");
            let today = who.get(&path).await.ok();
            assert!(texts(&chunk(&today)).contains(&"for all") && !texts(&chunk(&today)).contains(&"secret"), "{today}");
        }
        let before = v1(&carol, &format!("/events?timeout=0&from=s1&room_id={room}")).await;
        scene.set(&alice, "m.room.history_visibility", "", json!({ "history_visibility": "joined" })).await;
        let path = format!("/api/v1/events?timeout=0&from={}&room_id={room}", end(&before));
        carol.get(&path).await.refused(403, "M_FORBIDDEN");
        let path = format!("/api/v1/rooms/{room}/initialSync");
        carol.get(&path).await.refused(403, "M_FORBIDDEN");
    }

    async fn nobody_sees_more_through_the_past(server: Server) {
        let (alice, bob, guest) = (server.user("alice").await, server.user("bob").await, server.guest("guest").await);
        let scene = Scene::new(&server, &alice, Some("joined")).await;
        let early = scene.send(&alice, "m.room.message", text("early")).await;
        scene.member(&bob, &bob, "join").await;
        let shared = scene.send(&alice, "m.room.message", text("shared")).await;
        scene.member(&alice, &bob, "ban").await;
        let late = scene.send(&alice, "m.room.message", text("late")).await;
        let room = encode(&scene.room_id);
        let carol = server.user("carol").await;
        for who in [&carol, &guest] {
            for path in [
                format!("/rooms/{room}/initialSync"),
                format!("/rooms/{room}/state"),
                format!("/rooms/{room}/state/m.room.create"),
                format!("/rooms/{room}/members"),
                format!("/rooms/{room}/messages?dir=b&from=s999"),
                format!("/events?timeout=0&room_id={room}"),
            ] {
                who.get(&format!("/api/v1{path}")).await.refused(403, "M_FORBIDDEN");
            }
            for event in [&early, &shared, &late] {
                for api in ["api/v1", "v3"] {
                    who.get(&format!("/{api}/events/{}", encode(event))).await.refused(404, "M_NOT_FOUND");
                }
            }
            assert_eq!(events(who, "s1").await.0.iter().filter(|event| event.get("room_id").is_some()).count(), 0);
        }
        v1(&bob, &format!("/events/{}", encode(&shared))).await;
        for hidden in [&early, &late] {
            bob.get(&format!("/api/v1/events/{}", encode(hidden))).await.refused(404, "M_NOT_FOUND");
        }
        let (told, _) = events(&bob, "s1").await;
        assert_eq!(texts(&told), ["shared"]);
        let archived = v1(&bob, "/initialSync?archived=true").await;
        assert_eq!(texts(&chunk(&archived["rooms"][0]["messages"])), ["shared"]);
        let of_room = v1(&bob, &format!("/events?from=s1&timeout=0&room_id={room}")).await;
        assert_eq!(texts(&chunk(&of_room)), ["shared"]);
    }

    async fn ignored_users_are_not_heard_in_the_past_either(server: Server) {
        let (alice, bob) = (server.user("alice").await, server.user("bob").await);
        let room = alice.creates_room(json!({ "preset": "public_chat" })).await;
        bob.joins(&room).await;
        let from = end(&v1(&alice, "/initialSync").await);
        let path = format!("/v3/user/{}/account_data/m.ignored_user_list", encode(alice.user_id.as_str()));
        alice.put(&path, json!({ "ignored_users": { bob.user_id.as_str(): {} } })).await.ok();
        bob.say(&room, "hello?").await;
        assert_eq!(texts(&events(&alice, &from).await.0), Vec::<&str>::new());
        let snapshot = v1(&alice, &format!("/rooms/{}/initialSync", encode(&room))).await;
        assert_eq!(texts(&chunk(&snapshot["messages"])), Vec::<&str>::new());
    }

    async fn the_old_endpoints_of_today_have_todays_format(server: Server) {
        let (alice, bob) = (server.user("alice").await, server.user("bob").await);
        let room = alice.creates_room(json!({ "preset": "public_chat" })).await;
        bob.joins(&room).await;
        let said = bob.say(&room, "hello").await;
        bob.creates_room(json!({ "invite": [alice.user_id] })).await;
        for api in ["v3", "r0"] {
            let first = alice.get(&format!("/{api}/initialSync?limit=3")).await.ok();
            let rooms = first["rooms"].as_array().expect("rooms");
            let kitchen = rooms.iter().find(|of| of["room_id"] == room.as_str()).expect("the kitchen");
            let last = chunk(&kitchen["messages"]).pop().expect("an event");
            assert_eq!((&last["sender"], last["unsigned"]["age"].is_i64(), last.get("user_id")), (&json!(bob.user_id), true, None));
            let invited = rooms.iter().find(|of| of["membership"] == "invite").expect("an invitation");
            assert!(invited["invite"]["unsigned"]["invite_room_state"].is_array(), "{invited}");
            assert!(first["account_data"][0]["type"] == "m.push_rules", "{first}");
            let one = alice.get(&format!("/{api}/events/{}", encode(&said))).await.ok();
            assert_eq!(one["sender"], bob.user_id.as_str());
            bob.say(&room, "again").await;
            let told = alice.get(&format!("/{api}/events?from={}&timeout=0", end(&first))).await.ok();
            assert_eq!(texts(&chunk(&told)), ["again"]);
            let snapshot = alice.get(&format!("/{api}/rooms/{}/initialSync", encode(&room))).await.ok();
            assert_eq!((&snapshot["membership"], &snapshot["account_data"]), (&json!("join"), &json!([])));
        }
    }

    async fn what_makes_no_sense_is_refused(server: Server) {
        let alice = server.user("alice").await;
        for path in [
            "/events?from=x",
            "/events?from=s9223372036854775807",
            "/events?timeout=soon",
            "/events?room_id=kitchen",
            "/initialSync?limit=many",
            "/initialSync?archived=maybe",
        ] {
            alice.get(&format!("/api/v1{path}")).await.refused(400, "M_BAD_PAGINATION");
            alice.get(&format!("/v3{path}")).await.refused(400, "M_INVALID_PARAM");
        }
        let many: BTreeSet<String> = (0..21).map(|n| format!("room_id=!{n}:a")).collect();
        let many: Vec<_> = many.into_iter().collect();
        alice.get(&format!("/api/v1/events?timeout=0&{}", many.join("&"))).await.refused(400, "M_BAD_PAGINATION");
        alice.get("/api/v1/events/%24gone").await.refused(404, "M_NOT_FOUND");
        for path in ["/events", "/initialSync", "/events/%24a", "/rooms/!a:b/initialSync"] {
            server.stranger().get(&format!("/api/v1{path}")).await.refused(401, "M_MISSING_TOKEN");
            let mut wrong = server.stranger();
            wrong.token = "syt_wrong".to_owned();
            wrong.get(&format!("/api/v1{path}")).await.refused(401, "M_UNKNOWN_TOKEN");
        }
        let by_query = server.stranger().get(&format!("/api/v1/initialSync?access_token={}", alice.token)).await;
        by_query.ok();
    }

    async fn a_new_name_is_told_by_presence_too(server: Server) {
        let (alice, bob) = (server.user("alice").await, server.user("bob").await);
        let room = alice.creates_room(json!({ "preset": "public_chat" })).await;
        bob.joins(&room).await;
        let from = end(&v1(&bob, "/initialSync").await);
        // Also of who was never about.
        let name = format!("/api/v1/profile/{}/displayname", encode(alice.user_id.as_str()));
        alice.put(&name, json!({ "displayname": "Alice M" })).await.ok();
        let (told, _) = events(&bob, &from).await;
        let of_room = told.iter().find(|event| event["type"] == "m.room.member").expect("a member event");
        assert_eq!(of_room["content"]["displayname"], "Alice M");
        let presence = told.iter().find(|event| event["type"] == "m.presence").expect("a presence event");
        assert_eq!(presence["content"]["user_id"], alice.user_id.as_str());
        assert_eq!((&presence["content"]["displayname"], &presence["content"]["presence"]), (&json!("Alice M"), &json!("offline")));
    }

    async fn receipts_stand_by_themselves_in_the_first_answer(server: Server) {
        let (alice, bob, carol) = (server.user("alice").await, server.user("bob").await, server.user("carol").await);
        let room = alice.creates_room(json!({ "preset": "public_chat" })).await;
        bob.joins(&room).await;
        carol.joins(&room).await;
        let path = format!("/rooms/{}/initialSync", encode(&room));
        assert_eq!(v1(&alice, "/initialSync").await["receipts"], json!([]));
        assert_eq!(v1(&alice, &path).await["receipts"], json!([]));
        let said = alice.say(&room, "hello").await;
        let receipt = format!("/v2_alpha/rooms/{}/receipt/m.read/{}", encode(&room), encode(&said));
        bob.post(&receipt, json!({})).await.ok();
        for told in [v1(&alice, "/initialSync").await, v1(&alice, &path).await] {
            let receipts = told["receipts"].as_array().expect("receipts");
            assert_eq!((receipts.len(), &receipts[0]["type"], &receipts[0]["room_id"]), (1, &json!("m.receipt"), &json!(room)));
            assert!(receipts[0]["content"][&said]["m.read"][bob.user_id.as_str()]["ts"].is_i64(), "{told}");
            let about: Vec<_> = told["presence"].as_array().expect("presence").iter().map(|event| &event["content"]["user_id"]).collect();
            assert_eq!(about, [alice.user_id.as_str(), bob.user_id.as_str()][..about.len()]);
        }
        // Whoever is gone learns nothing of what is done now.
        carol.post(&format!("/api/v1/rooms/{}/leave", encode(&room)), json!({})).await.ok();
        let told = v1(&carol, &path).await;
        assert_eq!((&told["presence"], &told["receipts"]), (&json!([]), &json!([])));
        assert_eq!(v1(&carol, "/initialSync?archived=true").await["receipts"], json!([]));
    }

    async fn the_ends_of_the_stream_have_names(server: Server) {
        let alice = server.user("alice").await;
        let room = alice.creates_room(json!({})).await;
        alice.say(&room, "hello").await;
        let at = format!("/rooms/{}/messages", encode(&room));
        let newest = v1(&alice, &format!("{at}?from=END&to=START&dir=b&limit=1")).await;
        assert_eq!(texts(&chunk(&newest)), ["hello"]);
        let oldest = v1(&alice, &format!("{at}?from=START&to=END&dir=f&limit=1")).await;
        assert_eq!(chunk(&oldest)[0]["type"], "m.room.create");
        assert_eq!(chunk(&v1(&alice, &format!("{at}?from=START&dir=b&limit=1")).await), Vec::<Value>::new());
        let now = v1(&alice, "/events?from=END&timeout=0").await;
        assert_eq!(of_rooms(&chunk(&now)), Vec::<Value>::new());
        alice.say(&room, "later").await;
        let later = v1(&alice, &format!("/events?from={}&to=END&timeout=0", end(&now))).await;
        assert_eq!(texts(&of_rooms(&chunk(&later))), ["later"]);
    }
}
