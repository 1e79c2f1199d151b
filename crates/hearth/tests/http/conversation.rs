//! Around a conversation: receipts, typing, presence, account data, tags and unread counts.

use std::time::Duration;

use serde_json::{Value, json};

use crate::{
    harness::{User, encode, on_both_databases},
    sync::{next, sync, sync_with},
};

fn room_of<'a>(synced: &'a Value, room: &str) -> &'a Value {
    &synced["rooms"]["join"][room]
}

/// The content of the event of this type in a list, null if there is none.
fn content<'a>(events: &'a Value, event_type: &str) -> &'a Value {
    let events = events["events"].as_array().expect("a list of events");
    events.iter().find(|event| event["type"] == event_type).map_or(&Value::Null, |event| &event["content"])
}

async fn reads(user: &User, room: &str, kind: &str, event_id: &str, body: Value) -> crate::harness::Reply {
    user.post(&format!("/v3/rooms/{}/receipt/{kind}/{}", encode(room), encode(event_id)), body).await
}

async fn replies(user: &User, room: &str, root: &str, txn_id: &str) {
    let path = format!("/v3/rooms/{}/send/m.room.message/{txn_id}", encode(room));
    let relation = json!({ "rel_type": "m.thread", "event_id": root });
    user.put(&path, json!({ "msgtype": "m.text", "body": txn_id, "m.relates_to": relation })).await.ok();
}

/// What `user` has not read in the main timeline, and in two threads.
async fn unread_in(user: &User, room: &str, roots: [&String; 2]) -> (u64, [u64; 2]) {
    let filter = encode(r#"{"room":{"timeline":{"unread_thread_notifications":true}}}"#);
    let synced = user.get(&format!("/v3/sync?filter={filter}")).await.ok();
    let found = room_of(&synced, room);
    let count = |counts: &Value| counts["notification_count"].as_u64().unwrap_or(0);
    let threads = &found["unread_thread_notifications"];
    (count(&found["unread_notifications"]), roots.map(|root| count(&threads[root])))
}

async fn types(user: &User, room: &str, body: Value) -> crate::harness::Reply {
    let path = format!("/v3/rooms/{}/typing/{}", encode(room), encode(user.user_id.as_str()));
    user.put(&path, body).await
}

on_both_databases! {
    async fn everybody_learns_who_has_read_what_and_only_forwards(server: Server) {
        let (alice, bob) = (server.user("alice").await, server.user("bob").await);
        let room = alice.creates_room(json!({ "preset": "public_chat" })).await;
        bob.joins(&room).await;
        let (one, two) = (alice.say(&room, "one").await, alice.say(&room, "two").await);
        let start = sync(&alice, "").await;
        // matrix-nio writes `null` where it means nothing.
        reads(&bob, &room, "m.read", &two, json!({ "thread_id": null })).await.ok();
        let told = sync(&alice, &next(&start)).await;
        let receipt = content(&room_of(&told, &room)["ephemeral"], "m.receipt");
        let said = &receipt[&two]["m.read"][bob.user_id.as_str()];
        assert!(said["ts"].is_i64() && said.get("thread_id").is_none(), "{told}");
        reads(&bob, &room, "m.read", &one, json!({})).await.ok();
        let again = sync(&alice, &next(&told)).await;
        assert_eq!(again["rooms"], json!({}), "a receipt goes only forwards");
        reads(&bob, &room, "m.read", &two, json!({ "thread_id": "main" })).await.ok();
        let threaded = sync(&alice, &next(&again)).await;
        let receipt = content(&room_of(&threaded, &room)["ephemeral"], "m.receipt");
        assert_eq!(receipt[&two]["m.read"][bob.user_id.as_str()]["thread_id"], "main");
    }

    async fn a_private_receipt_is_nobody_elses_business(server: Server) {
        let (alice, bob) = (server.user("alice").await, server.user("bob").await);
        let room = alice.creates_room(json!({ "preset": "public_chat" })).await;
        bob.joins(&room).await;
        let event = alice.say(&room, "hello").await;
        let (alices, bobs) = (sync(&alice, "").await, sync(&bob, "").await);
        assert_eq!(room_of(&bobs, &room)["unread_notifications"]["notification_count"], 1);
        reads(&bob, &room, "m.read.private", &event, json!({})).await.ok();
        assert_eq!(sync(&alice, &next(&alices)).await["rooms"], json!({}));
        assert!(content(&room_of(&sync(&alice, "").await, &room)["ephemeral"], "m.receipt").is_null());
        let told = sync(&bob, &next(&bobs)).await;
        let receipt = content(&room_of(&told, &room)["ephemeral"], "m.receipt");
        assert!(receipt[&event]["m.read.private"][bob.user_id.as_str()].is_object());
        assert_eq!(room_of(&told, &room)["unread_notifications"]["notification_count"], 0);
    }

    async fn receipts_that_make_no_sense_are_refused(server: Server) {
        let (alice, eve) = (server.user("alice").await, server.user("eve").await);
        let room = alice.creates_room(json!({})).await;
        let event = alice.say(&room, "hello").await;
        reads(&eve, &room, "m.read", &event, json!({})).await.refused(403, "M_FORBIDDEN");
        reads(&alice, &room, "m.seen", &event, json!({})).await.refused(400, "M_INVALID_PARAM");
        reads(&alice, &room, "m.read", "$nothing", json!({})).await.refused(404, "M_NOT_FOUND");
        for thread_id in [json!(""), json!(7), json!("nonsense"), json!("$other")] {
            let body = json!({ "thread_id": thread_id });
            reads(&alice, &room, "m.read", &event, body).await.refused(400, "M_INVALID_PARAM");
        }
        let body = json!({ "thread_id": "main" });
        reads(&alice, &room, "m.fully_read", &event, body).await.refused(400, "M_INVALID_PARAM");
    }

    async fn the_read_marker_is_kept_with_the_room(server: Server) {
        let alice = server.user("alice").await;
        let room = alice.creates_room(json!({})).await;
        let (one, two) = (alice.say(&room, "one").await, alice.say(&room, "two").await);
        let start = sync(&alice, "").await;
        let markers = format!("/v3/rooms/{}/read_markers", encode(&room));
        alice.post(&markers, json!({ "m.fully_read": two, "m.read": two })).await.ok();
        let told = sync(&alice, &next(&start)).await;
        assert_eq!(content(&room_of(&told, &room)["account_data"], "m.fully_read")["event_id"], two);
        assert!(content(&room_of(&told, &room)["ephemeral"], "m.receipt")[&two]["m.read"].is_object());
        alice.post(&markers, json!({ "m.fully_read": one })).await.ok();
        let path = format!(
            "/v3/user/{}/rooms/{}/account_data/m.fully_read",
            encode(alice.user_id.as_str()),
            encode(&room)
        );
        assert_eq!(alice.get(&path).await.ok()["event_id"], two, "a marker goes only forwards");
        alice.put(&path, json!({ "event_id": one })).await.refused(405, "M_BAD_JSON");
        alice.post(&markers, json!({ "m.read": 7 })).await.refused(400, "M_BAD_JSON");
    }

    async fn unread_messages_are_counted_from_where_the_user_has_read(server: Server) {
        let (alice, bob) = (server.user("alice").await, server.user("bob").await);
        let room = alice.creates_room(json!({ "preset": "public_chat" })).await;
        bob.joins(&room).await;
        let start = sync(&bob, "").await;
        let counts = |synced: &Value| {
            let counts = &room_of(synced, &room)["unread_notifications"];
            (counts["notification_count"].clone(), counts["highlight_count"].clone())
        };
        assert_eq!(counts(&start), (json!(0), json!(0)));
        let first = alice.say(&room, "one").await;
        let path = format!("/v3/rooms/{}/send/m.room.message/mention", encode(&room));
        let mention = json!({
            "msgtype": "m.text", "body": "bob?", "m.mentions": { "user_ids": [bob.user_id] }
        });
        alice.put(&path, mention).await.ok();
        let told = sync(&bob, &next(&start)).await;
        assert_eq!(counts(&told), (json!(2), json!(1)));
        reads(&bob, &room, "m.read", &first, json!({})).await.ok();
        let told = sync(&bob, &next(&told)).await;
        assert_eq!(counts(&told), (json!(1), json!(1)));
        bob.say(&room, "here I am").await;
        let told = sync(&bob, &next(&told)).await;
        assert_eq!(counts(&told), (json!(0), json!(0)), "who speaks has read");
        let root = alice.say(&room, "a thread").await;
        let reply = json!({
            "msgtype": "m.text", "body": "in it",
            "m.relates_to": { "rel_type": "m.thread", "event_id": root }
        });
        alice.put(&format!("/v3/rooms/{}/send/m.room.message/reply", encode(&room)), reply).await.ok();
        let filter = encode(r#"{"room":{"timeline":{"unread_thread_notifications":true}}}"#);
        let apart = sync_with(&bob, &next(&told), &format!("filter={filter}")).await;
        assert_eq!(counts(&apart), (json!(1), json!(0)));
        let threads = &room_of(&apart, &room)["unread_thread_notifications"];
        assert_eq!(threads[&root]["notification_count"], 1);
        let together = sync(&bob, &next(&told)).await;
        assert_eq!(counts(&together), (json!(2), json!(0)));
    }

    async fn who_speaks_has_read_what_was_said_in_the_same_thread_alone(server: Server) {
        let (alice, bob) = (server.user("alice").await, server.user("bob").await);
        let room = alice.creates_room(json!({ "preset": "public_chat" })).await;
        bob.joins(&room).await;
        let (fence, roses) = (alice.say(&room, "the fence").await, alice.say(&room, "the roses").await);
        for (root, txn_id) in [(&fence, "green"), (&roses, "red")] {
            replies(&alice, &room, root, txn_id).await;
        }
        let roots = [&fence, &roses];
        assert_eq!(unread_in(&bob, &room, roots).await, (2, [1, 1]));
        let name = format!("/v3/profile/{}/displayname", encode(bob.user_id.as_str()));
        bob.put(&name, json!({ "displayname": "Bob" })).await.ok();
        assert_eq!(unread_in(&bob, &room, roots).await, (2, [1, 1]), "a new name says nothing of the room");
        replies(&bob, &room, &fence, "blue").await;
        assert_eq!(unread_in(&bob, &room, roots).await, (2, [0, 1]));
        bob.say(&room, "good morning").await;
        assert_eq!(unread_in(&bob, &room, roots).await, (0, [0, 1]));
        // The same for who comes anew to what was counted before.
        bob.post(&format!("/v3/rooms/{}/leave", encode(&room)), json!({})).await.ok();
        bob.joins(&room).await;
        assert_eq!(unread_in(&bob, &room, roots).await, (0, [0, 0]));
    }

    async fn who_types_is_shown_until_the_time_is_over(server: Server) {
        let (alice, bob) = (server.user("alice").await, server.user("bob").await);
        let room = alice.creates_room(json!({ "preset": "public_chat" })).await;
        bob.joins(&room).await;
        let start = sync(&alice, "").await;
        types(&bob, &room, json!({ "typing": true, "timeout": 20_000 })).await.ok();
        let told = sync_with(&alice, &next(&start), "timeout=20000").await;
        let typing = content(&room_of(&told, &room)["ephemeral"], "m.typing");
        assert_eq!(typing["user_ids"], json!([bob.user_id]));
        types(&bob, &room, json!({ "typing": true, "timeout": 20_000 })).await.ok();
        assert_eq!(sync(&alice, &next(&told)).await["rooms"], json!({}), "nothing new");
        server.pass(Duration::from_secs(21));
        let over = sync_with(&alice, &next(&told), "timeout=20000").await;
        assert_eq!(content(&room_of(&over, &room)["ephemeral"], "m.typing")["user_ids"], json!([]));
        let eve = server.user("eve").await;
        types(&eve, &room, json!({ "typing": true })).await.refused(403, "M_FORBIDDEN");
        let path = format!("/v3/rooms/{}/typing/{}", encode(&room), encode(bob.user_id.as_str()));
        alice.put(&path, json!({ "typing": true })).await.refused(403, "M_FORBIDDEN");
        types(&bob, &room, json!({})).await.refused(400, "M_BAD_JSON");
    }

    async fn presence_is_shown_to_those_who_share_a_room(server: Server) {
        let (alice, bob, eve) = (server.user("alice").await, server.user("bob").await, server.user("eve").await);
        let room = alice.creates_room(json!({ "preset": "public_chat" })).await;
        bob.joins(&room).await;
        let start = sync(&alice, "").await;
        let status = format!("/v3/presence/{}/status", encode(bob.user_id.as_str()));
        bob.put(&status, json!({ "presence": "online", "status_msg": "at work" })).await.ok();
        let told = sync(&alice, &next(&start)).await;
        let events = told["presence"]["events"].as_array().expect("events");
        let event = events.iter().find(|event| event["sender"] == bob.user_id.as_str()).expect("of bob");
        assert_eq!(event["type"], "m.presence");
        assert_eq!(event["content"]["presence"], "online");
        assert_eq!(event["content"]["status_msg"], "at work");
        assert_eq!(event["content"]["currently_active"], true);
        assert_eq!(sync(&alice, &next(&told)).await["presence"]["events"], json!([]));
        assert_eq!(alice.get(&status).await.ok()["status_msg"], "at work");
        eve.get(&status).await.refused(403, "M_FORBIDDEN");
        alice.put(&status, json!({ "presence": "offline" })).await.refused(403, "M_FORBIDDEN");
        bob.put(&status, json!({ "presence": "asleep" })).await.refused(400, "M_BAD_JSON");
        server.pass(Duration::from_secs(120));
        let gone = sync_with(&alice, &next(&told), "timeout=20000").await;
        let events = gone["presence"]["events"].as_array().expect("events");
        let event = events.iter().find(|event| event["sender"] == bob.user_id.as_str()).expect("of bob");
        assert_eq!(event["content"]["presence"], "offline");
    }

    async fn who_says_something_is_active(server: Server) {
        let (alice, bob) = (server.user("alice").await, server.user("bob").await);
        let room = alice.creates_room(json!({ "preset": "public_chat" })).await;
        bob.joins(&room).await;
        let status = format!("/v3/presence/{}/status", encode(bob.user_id.as_str()));
        bob.put(&status, json!({ "presence": "online" })).await.ok();
        server.pass(Duration::from_secs(20));
        assert_eq!(alice.get(&status).await.ok()["last_active_ago"], 20_000);
        bob.say(&room, "hello").await;
        assert_eq!(alice.get(&status).await.ok()["last_active_ago"], 0);
    }

    async fn account_data_reaches_the_users_other_clients_and_nobody_else(server: Server) {
        let (alice, bob) = (server.user("alice").await, server.user("bob").await);
        let room = alice.creates_room(json!({})).await;
        let start = sync(&alice, "").await;
        let of_user = format!("/v3/user/{}", encode(alice.user_id.as_str()));
        let global = format!("{of_user}/account_data/org.example.colour");
        let local = format!("{of_user}/rooms/{}/account_data/org.example.mood", encode(&room));
        alice.get(&global).await.refused(404, "M_NOT_FOUND");
        alice.put(&global, json!({ "colour": "red", "volume": 0.5 })).await.ok();
        alice.put(&local, json!({ "mood": "good" })).await.ok();
        assert_eq!(alice.get(&global).await.ok(), json!({ "colour": "red", "volume": 0.5 }));
        let told = sync(&alice, &next(&start)).await;
        assert_eq!(content(&told["account_data"], "org.example.colour")["colour"], "red");
        assert_eq!(content(&room_of(&told, &room)["account_data"], "org.example.mood")["mood"], "good");
        let nothing = sync(&alice, &next(&told)).await;
        assert_eq!(nothing["account_data"]["events"], json!([]));
        for path in [&global, &local] {
            bob.get(path).await.refused(403, "M_FORBIDDEN");
            bob.put(path, json!({})).await.refused(403, "M_FORBIDDEN");
        }
        let path = format!("/_matrix/client{global}");
        alice.ask(reqwest::Method::PUT, &path, Some("[1]")).await.refused(400, "M_BAD_JSON");
        alice.ask(reqwest::Method::PUT, &path, Some("{")).await.refused(400, "M_NOT_JSON");
        let rules = format!("{of_user}/account_data/m.push_rules");
        alice.put(&rules, json!({})).await.refused(405, "M_BAD_JSON");
        assert!(alice.get(&rules).await.ok()["global"]["override"].is_array());
    }

    async fn rooms_are_tagged(server: Server) {
        let alice = server.user("alice").await;
        let room = alice.creates_room(json!({})).await;
        let start = sync(&alice, "").await;
        let tags = format!("/v3/user/{}/rooms/{}/tags", encode(alice.user_id.as_str()), encode(&room));
        assert_eq!(alice.get(&tags).await.ok(), json!({ "tags": {} }));
        alice.put(&format!("{tags}/m.favourite"), json!({ "order": 0.25 })).await.ok();
        alice.put(&format!("{tags}/u.work"), json!({})).await.ok();
        let both = json!({ "tags": { "m.favourite": { "order": 0.25 }, "u.work": {} } });
        assert_eq!(alice.get(&tags).await.ok(), both);
        let told = sync(&alice, &next(&start)).await;
        assert_eq!(content(&room_of(&told, &room)["account_data"], "m.tag"), &both);
        alice.delete(&format!("{tags}/m.favourite")).await.ok();
        assert_eq!(alice.get(&tags).await.ok(), json!({ "tags": { "u.work": {} } }));
        alice.put(&format!("{tags}/u.work"), json!({ "order": 2 })).await.refused(400, "M_BAD_JSON");
    }
}
