//! Delayed events (MSC4140).

use std::time::Duration;

use homeserver::rooms::delayed_events::send_due;
use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{Reply, Server, User, encode, on_both_databases};

const BASE: &str = "/unstable/org.matrix.msc4140";

impl User {
    /// Asks for a message after `delay`; answers the delay id.
    async fn delays(&self, room_id: &str, text: &str, delay: Duration) -> String {
        let kept = self.wishes(room_id, text, json!({ "delay_ms": delay.as_millis() as u64 })).await.ok();
        kept["delay_id"].as_str().expect("a delay id").to_owned()
    }

    async fn wishes(&self, room_id: &str, text: &str, mut wish: Value) -> Reply {
        if wish.get("content").is_none() {
            wish["content"] = json!({ "msgtype": "m.text", "body": text });
        }
        let room_id = encode(room_id);
        let path = format!("{BASE}/rooms/{room_id}/delayed_event/m.room.message/{}", encode(text));
        self.put(&path, wish).await
    }

    async fn acts(&self, delay_id: &str, action: &str) -> Reply {
        self.post(&format!("{BASE}/delayed_events/{delay_id}/{action}"), json!({})).await
    }

    async fn delayed(&self, delay_id: &str) -> Value {
        self.get(&format!("{BASE}/delayed_events/{delay_id}")).await.ok()
    }

    async fn waiting(&self) -> Vec<String> {
        let listed = self.get(&format!("{BASE}/delayed_events")).await.ok();
        let listed = listed["delayed_events"].as_array().expect("a list").clone();
        listed.iter().map(|delayed| delayed["delay_id"].as_str().expect("an id").to_owned()).collect()
    }

    /// What the newest message events of a room say, oldest first.
    async fn hears(&self, room_id: &str) -> Vec<String> {
        let filter = encode(&json!({ "types": ["m.room.message"] }).to_string());
        let path = format!("/v3/rooms/{}/messages?dir=b&limit=50&filter={filter}", encode(room_id));
        let page = self.get(&path).await.ok();
        let mut said: Vec<String> = page["chunk"]
            .as_array()
            .expect("a list")
            .iter()
            .map(|event| event["content"]["body"].as_str().expect("a text").to_owned())
            .collect();
        said.reverse();
        said
    }
}

async fn pass_and_send(server: &Server, time: Duration) {
    server.pass(time);
    send_due(&server.home).await.expect("delayed events are sent");
}

const MINUTE: Duration = Duration::from_secs(60);

on_both_databases! {
    async fn what_is_delayed_happens_when_it_is_due_and_once(server: Server) {
        let alice = server.user("alice").await;
        let room = alice.creates_room(json!({})).await;
        let second = alice.delays(&room, "second", 2 * MINUTE).await;
        let first = alice.delays(&room, "first", MINUTE).await;
        assert_eq!(alice.waiting().await, [first.clone(), second.clone()]);
        pass_and_send(&server, Duration::from_millis(59_999)).await;
        assert!(alice.hears(&room).await.is_empty());
        pass_and_send(&server, Duration::from_millis(1)).await;
        assert_eq!(alice.hears(&room).await, ["first"]);
        assert_eq!(alice.waiting().await, [second]);
        pass_and_send(&server, 5 * MINUTE).await;
        pass_and_send(&server, 5 * MINUTE).await;
        assert_eq!(alice.hears(&room).await, ["first", "second"]);
        let done = alice.delayed(&first).await;
        let event_id = done["finalised"]["event_id"].as_str().expect("an event id");
        assert!(done["finalised"]["finalised_ts"].is_i64());
        let path = format!("/v3/rooms/{}/event/{}", encode(&room), encode(event_id));
        let event = alice.get(&path).await.ok();
        assert_eq!(event["unsigned"]["org.matrix.msc4140.delay_id"], json!(first));
        assert_eq!(event["unsigned"].get("transaction_id"), None);
        let bob = server.user("bob").await;
        alice.invites(&room, &bob).await;
        bob.joins(&room).await;
        let event = bob.get(&path).await.ok();
        assert_eq!(event["unsigned"].get("org.matrix.msc4140.delay_id"), None);
    }

    async fn a_restart_of_the_server_loses_nothing(server: Server) {
        let mut server = server;
        let alice = server.user("alice").await;
        let room = alice.creates_room(json!({})).await;
        alice.delays(&room, "two", 2 * MINUTE).await;
        alice.delays(&room, "one", MINUTE).await;
        server.pass(3 * MINUTE);
        server.restart().await;
        let alice = server.device_of(alice.user_id.clone(), "AFTER").await;
        send_due(&server.home).await.expect("delayed events are sent");
        assert_eq!(alice.hears(&room).await, ["one", "two"]);
    }

    async fn the_loop_wakes_when_something_is_asked_for(server: Server) {
        let alice = server.user("alice").await;
        let room = alice.creates_room(json!({})).await;
        let sending = server.home.clone();
        let sending = tokio::spawn(async move {
            homeserver::rooms::delayed_events::keep_sending(&sending).await;
        });
        // The clock stands still: only being woken makes the loop look again.
        let first = alice.delays(&room, "first", MINUTE).await;
        server.pass(MINUTE);
        alice.delays(&room, "second", MINUTE).await;
        while alice.delayed(&first).await.get("finalised").is_none() {
            tokio::task::yield_now().await;
        }
        assert_eq!(alice.hears(&room).await, ["first"]);
        server.home.stop();
        sending.await.expect("the loop ends with the server");
    }

    async fn it_can_be_cancelled_restarted_or_sent_at_once(server: Server) {
        let alice = server.user("alice").await;
        let room = alice.creates_room(json!({})).await;
        let cancelled = alice.delays(&room, "cancelled", MINUTE).await;
        let sent = alice.delays(&room, "sent", MINUTE).await;
        let restarted = alice.delays(&room, "restarted", MINUTE).await;
        alice.acts(&cancelled, "cancel").await.ok();
        alice.acts(&sent, "send").await.ok();
        assert_eq!(alice.hears(&room).await, ["sent"]);
        server.pass(MINUTE / 2);
        // Whoever knows the id may do it: it can not be guessed.
        server.stranger().acts(&restarted, "restart").await.ok();
        pass_and_send(&server, MINUTE / 2).await;
        assert_eq!(alice.hears(&room).await, ["sent"]);
        pass_and_send(&server, MINUTE / 2).await;
        assert_eq!(alice.hears(&room).await, ["sent", "restarted"]);
        // Again is no error, otherwise is.
        alice.acts(&cancelled, "cancel").await.ok();
        alice.acts(&sent, "send").await.ok();
        alice.acts(&cancelled, "send").await.refused(409, "M_UNKNOWN");
        alice.acts(&cancelled, "restart").await.refused(409, "M_UNKNOWN");
        alice.acts(&sent, "cancel").await.refused(409, "M_UNKNOWN");
        alice.acts(&restarted, "cancel").await.refused(409, "M_UNKNOWN");
        assert_eq!(alice.delayed(&cancelled).await["finalised"].get("event_id"), None);
        assert!(alice.waiting().await.is_empty());
    }

    async fn clients_of_before_ask_by_the_query_and_act_by_the_body(server: Server) {
        let alice = server.user("alice").await;
        let room = alice.creates_room(json!({})).await;
        let path = format!("/v3/rooms/{}", encode(&room));
        let message = format!("{path}/send/m.room.message/1?org.matrix.msc4140.delay=60000");
        let content = json!({ "msgtype": "m.text", "body": "later" });
        let kept = alice.put(&message, content.clone()).await.ok();
        assert_eq!(alice.put(&message, content).await.ok(), kept);
        let state = format!("{path}/state/m.room.topic/?org.matrix.msc4140.delay=1000");
        let topic = alice.put(&state, json!({ "topic": "late" })).await.ok();
        let topic = topic["delay_id"].as_str().expect("a delay id");
        let listed = alice.get(&format!("{BASE}/delayed_events")).await.ok();
        assert_eq!(listed["delayed_events"].as_array().map(Vec::len), Some(2));
        let first = &listed["delayed_events"][0];
        assert_eq!((&first["delay_id"], &first["state_key"]), (&json!(topic), &json!("")));
        assert_eq!((&first["delay"], &first["content"]), (&json!(1000), &json!({ "topic": "late" })));
        assert!(first["running_since"].is_i64());
        let one = format!("{BASE}/delayed_events/{topic}");
        alice.post(&one, json!({ "action": "send" })).await.ok();
        assert_eq!(alice.state(&room, "m.room.topic", "").await.ok()["topic"], "late");
        alice.post(&one, json!({})).await.refused(400, "M_BAD_JSON");
        alice.post(&one, json!({ "action": "burn" })).await.refused(400, "M_INVALID_PARAM");
        pass_and_send(&server, MINUTE).await;
        assert_eq!(alice.hears(&room).await, ["later"]);
    }

    async fn whether_it_may_be_sent_is_asked_when_it_is(server: Server) {
        let (alice, bob) = (server.user("alice").await, server.user("bob").await);
        let room = alice.creates_room(json!({ "preset": "public_chat" })).await;
        bob.joins(&room).await;
        let refused = bob.delays(&room, "refused", MINUTE).await;
        alice.delays(&room, "after it", MINUTE).await;
        alice.does(&room, "ban", json!({ "user_id": bob.user_id })).await.ok();
        bob.acts(&refused, "send").await.refused(403, "M_FORBIDDEN");
        assert_eq!(bob.waiting().await, std::slice::from_ref(&refused));
        pass_and_send(&server, MINUTE).await;
        assert_eq!(alice.hears(&room).await, ["after it"]);
        let failed = bob.delayed(&refused).await;
        assert_eq!(failed["finalised"]["error"]["errcode"], "M_FORBIDDEN");
        bob.acts(&refused, "cancel").await.ok();
    }

    async fn a_delayed_leave_makes_the_user_leave(server: Server) {
        let (alice, bob) = (server.user("alice").await, server.user("bob").await);
        let room = alice.creates_room(json!({ "preset": "public_chat" })).await;
        bob.joins(&room).await;
        let path = format!("{BASE}/rooms/{}/delayed_event/m.room.member/1", encode(&room));
        let leave = json!({ "delay": 1000, "state_key": bob.user_id, "content": { "membership": "leave" } });
        let kept = bob.put(&path, leave).await.ok();
        pass_and_send(&server, MINUTE).await;
        let member = alice.state(&room, "m.room.member", bob.user_id.as_str()).await.ok();
        assert_eq!(member["membership"], "leave");
        let done = bob.delayed(kept["delay_id"].as_str().expect("a delay id")).await;
        assert!(done["finalised"]["event_id"].is_string(), "{done}");
    }

    async fn nobody_else_sees_or_stops_it(server: Server) {
        let (alice, bob) = (server.user("alice").await, server.user("bob").await);
        let room = alice.creates_room(json!({})).await;
        let delay_id = alice.delays(&room, "mine", MINUTE).await;
        assert!(bob.waiting().await.is_empty());
        bob.get(&format!("{BASE}/delayed_events/{delay_id}")).await.refused(404, "M_NOT_FOUND");
        bob.acts(&delay_id, "cancel").await.refused(404, "M_NOT_FOUND");
        bob.acts("nothing", "cancel").await.refused(404, "M_NOT_FOUND");
        let stranger = server.stranger();
        stranger.get(&format!("{BASE}/delayed_events")).await.refused(401, "M_MISSING_TOKEN");
        stranger.get(&format!("{BASE}/delayed_events/{delay_id}")).await.refused(401, "M_MISSING_TOKEN");
        stranger.wishes(&room, "x", json!({ "delay_ms": 1 })).await.refused(401, "M_MISSING_TOKEN");
        stranger.acts("nothing", "cancel").await.refused(404, "M_NOT_FOUND");
    }

    async fn what_can_not_be_is_refused_at_once(server: Server) {
        let alice = server.user("alice").await;
        let room = alice.creates_room(json!({})).await;
        for (wish, errcode) in [
            (json!({ "delay_ms": 0 }), "M_INVALID_PARAM"),
            (json!({ "delay_ms": -5 }), "M_INVALID_PARAM"),
            (json!({ "delay_ms": "5" }), "M_BAD_JSON"),
            (json!({ "delay_ms": 1.5 }), "M_BAD_JSON"),
            (json!({ "delay_ms": 1e300 }), "M_BAD_JSON"),
            (json!({}), "M_MISSING_PARAM"),
            (json!({ "delay_ms": 5, "content": null }), "M_BAD_JSON"),
            (json!({ "delay_ms": 5, "content": [] }), "M_BAD_JSON"),
            (json!({ "delay_ms": 5, "state_key": 5 }), "M_BAD_JSON"),
            (json!({ "delay_ms": 5, "state_key": "\u{0}" }), "M_BAD_JSON"),
        ] {
            alice.wishes(&room, "x", wish).await.refused(400, errcode);
        }
        let long = alice.wishes(&room, "x", json!({ "delay_ms": 9_007_199_254_740_991_i64 })).await;
        let long = long.refused(400, "M_UNKNOWN");
        assert_eq!(long["org.matrix.msc4140.errcode"], "M_MAX_DELAY_EXCEEDED");
        assert!(long["org.matrix.msc4140.max_delay"].is_i64());
        let large = json!({ "delay_ms": 5, "content": { "body": "x".repeat(70_000) } });
        alice.wishes(&room, "x", large).await.refused(413, "M_TOO_LARGE");
        alice.wishes("!nowhere:hearth.test", "x", json!({ "delay_ms": 5 })).await.refused(404, "M_NOT_FOUND");
        for delay in ["", "-1", "1.5", "0", "99999999999999999999", "%00"] {
            let path = format!("/v3/rooms/{}/send/m.room.message/1", encode(&room));
            let path = format!("{path}?org.matrix.msc4140.delay={delay}");
            alice.put(&path, json!({})).await.refused(400, "M_INVALID_PARAM");
        }
        let path = format!("/_matrix/client{BASE}/delayed_events/x");
        alice.ask(Method::POST, &path, Some("{")).await.refused(400, "M_NOT_JSON");
        assert!(alice.waiting().await.is_empty());
    }

    async fn only_so_many_may_wait(server: Server) {
        let alice = server.user("alice").await;
        let room = alice.creates_room(json!({})).await;
        let capabilities = alice.get("/v3/capabilities").await.ok();
        let capability = &capabilities["capabilities"]["org.matrix.msc4140.delayed_events"];
        let scheduled_max = capability["max_scheduled"].as_u64().expect("a limit");
        assert!(capability["max_delay_ms"].is_u64());
        let first = alice.delays(&room, "0", MINUTE).await;
        for n in 1..scheduled_max {
            alice.delays(&room, &n.to_string(), 2 * MINUTE).await;
        }
        let refused = alice.wishes(&room, "more", json!({ "delay_ms": 1 })).await;
        let refused = refused.refused(429, "M_LIMIT_EXCEEDED");
        assert_eq!(refused["retry_after_ms"], 60_000);
        // What was asked for before is not more.
        assert_eq!(alice.delays(&room, "0", MINUTE).await, first);
        alice.acts(&first, "cancel").await.ok();
        alice.delays(&room, "more", MINUTE).await;
    }
}
