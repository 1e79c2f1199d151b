//! The list of what a user was notified of.

use serde_json::{Value, json};

use crate::{
    harness::{User, encode, on_both_databases},
    scene::texts,
};

impl User {
    /// The notifications on a page, and where the next one begins.
    async fn notified(&self, query: &str) -> (Vec<Value>, Option<String>) {
        let page = self.get(&format!("/v3/notifications{query}")).await.ok();
        let all = page["notifications"].as_array().expect("a list").clone();
        (all, page["next_token"].as_str().map(str::to_owned))
    }
}

/// What was said in notifications.
fn said(notified: &[Value]) -> Vec<String> {
    let events: Vec<Value> = notified.iter().map(|one| one["event"].clone()).collect();
    texts(&events).into_iter().map(str::to_owned).collect()
}

on_both_databases! {
    async fn what_notified_is_listed_newest_first(server: Server) {
        let (alice, bob) = (server.user("alice").await, server.user("bob").await);
        let room = bob.creates_room(json!({ "preset": "public_chat" })).await;
        let other = bob.creates_room(json!({ "preset": "public_chat" })).await;
        bob.say(&room, "before she came").await;
        assert_eq!(alice.notified("").await, (Vec::new(), None));
        for room in [&room, &other] {
            alice.joins(room).await;
        }
        let one = bob.say(&room, "one").await;
        bob.say(&other, "two").await;
        alice.say(&room, "own").await;
        bob.sets(&room, "m.room.topic", "", json!({ "topic": "a topic" })).await.ok();
        let mention = json!({ "body": "three", "m.mentions": { "user_ids": [alice.user_id] }, "msgtype": "m.text" });
        bob.put(&format!("/v3/rooms/{}/send/m.room.message/m", encode(&other)), mention).await.ok();
        bob.say(&room, "four").await;
        let (all, next) = alice.notified("").await;
        assert_eq!((said(&all), next), (["four", "three", "two", "one"].map(str::to_owned).to_vec(), None));
        // She spoke after the first, and so has read it.
        let read: Vec<_> = all.iter().map(|one| one["read"].as_bool()).collect();
        assert_eq!(read, [Some(false), Some(false), Some(false), Some(true)]);
        assert_eq!((&all[3]["event"]["event_id"], &all[3]["room_id"]), (&json!(one), &json!(room)));
        assert_eq!(all[3]["actions"], json!(["notify", { "set_tweak": "sound", "value": "default" }]));
        assert_eq!(all[3]["ts"], all[3]["event"]["origin_server_ts"]);
        assert!(all[3]["event"].get("room_id").is_none(), "{}", all[3]);
        let (highlighted, _) = alice.notified("?only=highlight").await;
        assert_eq!(said(&highlighted), ["three"]);
        let two = all[2]["event"]["event_id"].as_str().expect("an id").to_owned();
        let receipt = format!("/v3/rooms/{}/receipt/m.read/{}", encode(&other), encode(&two));
        alice.post(&receipt, json!({})).await.ok();
        assert_eq!(alice.notified("").await.0[2]["read"], true);
        assert_eq!(bob.notified("").await.0.len(), 1, "what alice said");
        alice.leaves(&other).await;
        assert_eq!(said(&alice.notified("").await.0), ["four", "one"]);
    }

    async fn notifications_come_in_pages(server: Server) {
        let (alice, bob) = (server.user("alice").await, server.user("bob").await);
        let mut rooms = Vec::new();
        for _ in 0..3 {
            let room = bob.creates_room(json!({ "preset": "public_chat" })).await;
            alice.joins(&room).await;
            rooms.push(room);
        }
        let mut wanted: Vec<String> = Vec::new();
        for n in 0..130 {
            bob.say(&rooms[n * n % 3], &n.to_string()).await;
            wanted.insert(0, n.to_string());
        }
        for limit in [7, 100] {
            let (mut all, mut from) = (Vec::new(), String::new());
            loop {
                let (page, next) = alice.notified(&format!("?limit={limit}&from={from}")).await;
                assert!(page.len() <= limit, "{}", page.len());
                all.extend(said(&page));
                match next {
                    Some(next) => from = next,
                    None => break,
                }
            }
            assert_eq!(all, wanted);
        }
        alice.get("/v3/notifications?from=x").await.refused(400, "M_INVALID_PARAM");
        alice.get("/v3/notifications?limit=x").await.refused(400, "M_INVALID_PARAM");
        server.stranger().get("/v3/notifications").await.refused(401, "M_MISSING_TOKEN");
    }
}
