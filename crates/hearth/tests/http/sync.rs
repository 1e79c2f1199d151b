//! `GET /sync`

use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::{User, encode, on_both_databases};

/// One sync from `since` on (none if empty), with further parameters of the query.
pub async fn sync_with(user: &User, since: &str, query: &str) -> Value {
    let since = if since.is_empty() { String::new() } else { format!("since={since}&") };
    user.get(&format!("/v3/sync?{since}{query}")).await.ok()
}

/// One sync that answers at once.
pub async fn sync(user: &User, since: &str) -> Value {
    sync_with(user, since, "").await
}

/// The token to go on from.
pub fn next(synced: &Value) -> String {
    synced["next_batch"].as_str().expect("next_batch").to_owned()
}

/// The text of messages and the types of other events.
pub fn told(events: &Value) -> Vec<String> {
    let tell =
        |event: &Value| event["content"]["body"].as_str().or(event["type"].as_str()).map(str::to_owned);
    events["events"].as_array().expect("a list of events").iter().filter_map(tell).collect()
}

fn joined<'a>(synced: &'a Value, room: &str) -> &'a Value {
    &synced["rooms"]["join"][room]
}

on_both_databases! {
    async fn the_first_sync_tells_of_every_room(server: Server) {
        let alice = server.user("alice").await;
        let room = alice.creates_room(json!({ "name": "Kitchen" })).await;
        alice.say(&room, "hello").await;
        let synced = sync(&alice, "").await;
        let kitchen = joined(&synced, &room);
        let timeline = told(&kitchen["timeline"]);
        assert_eq!(timeline.last().map(String::as_str), Some("hello"));
        let mut all = told(&kitchen["state"]);
        all.extend(timeline);
        for event_type in ["m.room.create", "m.room.member", "m.room.power_levels", "m.room.name"] {
            assert_eq!(all.iter().filter(|told| *told == event_type).count(), 1, "{event_type} in {all:?}");
        }
        assert_eq!(kitchen["summary"]["m.joined_member_count"], 1);
        let rules = &synced["account_data"]["events"][0];
        assert_eq!(rules["type"], "m.push_rules");
        assert!(rules["content"]["global"]["override"].is_array());
    }

    async fn a_further_sync_tells_what_is_new_and_only_that(server: Server) {
        let (alice, bob) = (server.user("alice").await, server.user("bob").await);
        let kitchen = alice.creates_room(json!({ "preset": "public_chat" })).await;
        let cellar = alice.creates_room(json!({})).await;
        bob.joins(&kitchen).await;
        let first = sync(&alice, "").await;
        bob.say(&kitchen, "one").await;
        bob.say(&kitchen, "two").await;
        let second = sync(&alice, &next(&first)).await;
        assert_eq!(told(&joined(&second, &kitchen)["timeline"]), ["one", "two"]);
        assert_eq!(joined(&second, &kitchen)["timeline"]["limited"], false);
        assert_eq!(told(&joined(&second, &kitchen)["state"]), Vec::<String>::new());
        assert!(joined(&second, &cellar).is_null(), "nothing happened in the cellar");
        let third = sync(&alice, &next(&second)).await;
        assert_eq!(third["rooms"], json!({}));
    }

    async fn whoever_waits_is_woken(server: Server) {
        let (alice, bob) = (server.user("alice").await, server.user("bob").await);
        let room = alice.creates_room(json!({ "preset": "public_chat" })).await;
        bob.joins(&room).await;
        let first = sync(&alice, "").await;
        let waiting = tokio::spawn({
            let (alice, since) = (alice.clone(), next(&first));
            async move { sync_with(&alice, &since, "timeout=30000").await }
        });
        while server.home.bell.listeners() == 0 {
            tokio::task::yield_now().await;
        }
        bob.say(&room, "wake up").await;
        let woken = tokio::time::timeout(Duration::from_secs(10), waiting).await;
        let woken = woken.expect("an answer").expect("a sync");
        assert_eq!(told(&joined(&woken, &room)["timeline"]), ["wake up"]);
    }

    async fn whoever_waits_is_answered_when_the_server_stops(server: Server) {
        let alice = server.user("alice").await;
        let first = sync(&alice, "").await;
        let waiting = tokio::spawn({
            let (alice, since) = (alice.clone(), next(&first));
            async move { sync_with(&alice, &since, "timeout=30000").await }
        });
        while server.home.bell.listeners() == 0 {
            tokio::task::yield_now().await;
        }
        server.home.stop();
        let answer = tokio::time::timeout(Duration::from_secs(10), waiting).await;
        answer.expect("an answer").expect("a sync");
    }

    async fn the_guest_of_a_room_sees_invitation_stay_and_farewell(server: Server) {
        let (alice, bob) = (server.user("alice").await, server.user("bob").await);
        let room = alice.creates_room(json!({ "name": "Kitchen" })).await;
        let start = sync(&bob, "").await;
        alice.invites(&room, &bob).await;
        let invited = sync(&bob, &next(&start)).await;
        let stripped = &invited["rooms"]["invite"][&room]["invite_state"]["events"];
        let types: Vec<_> = stripped.as_array().expect("events").iter().map(|event| &event["type"]).collect();
        assert!(types.contains(&&json!("m.room.name")) && types.contains(&&json!("m.room.create")), "{types:?}");
        assert!(stripped.as_array().expect("events").iter().all(|event| event.get("event_id").is_none()));
        bob.joins(&room).await;
        let joins = sync(&bob, &next(&invited)).await;
        let mut all = told(&joined(&joins, &room)["state"]);
        all.extend(told(&joined(&joins, &room)["timeline"]));
        assert!(all.contains(&"m.room.create".to_owned()), "a new room comes with its whole state: {all:?}");
        alice.say(&room, "welcome").await;
        bob.leaves(&room).await;
        alice.say(&room, "at last").await;
        let leaves = sync(&bob, &next(&joins)).await;
        assert!(leaves["rooms"]["join"].is_null());
        assert_eq!(told(&leaves["rooms"]["leave"][&room]["timeline"]), ["welcome", "m.room.member"]);
        let after = sync(&bob, &next(&leaves)).await;
        assert_eq!(after["rooms"], json!({}));
        let anew = sync(&bob, "").await;
        assert_eq!(anew["rooms"], json!({}));
        let filter = encode(r#"{"room":{"include_leave":true}}"#);
        let with_left = sync_with(&bob, "", &format!("filter={filter}")).await;
        let timeline = told(&with_left["rooms"]["leave"][&room]["timeline"]);
        assert_eq!(timeline.last().map(String::as_str), Some("m.room.member"));
        assert!(!timeline.contains(&"at last".to_owned()));
    }

    async fn a_refused_invitation_goes_away_and_shows_nothing(server: Server) {
        let (alice, bob) = (server.user("alice").await, server.user("bob").await);
        let room = alice.creates_room(json!({ "name": "Kitchen" })).await;
        alice.invites(&room, &bob).await;
        let invited = sync(&bob, "").await;
        assert!(invited["rooms"]["invite"][&room].is_object());
        alice.say(&room, "between us").await;
        bob.leaves(&room).await;
        let gone = sync(&bob, &next(&invited)).await;
        let left = &gone["rooms"]["leave"][&room];
        assert_eq!(told(&left["timeline"]), ["m.room.member"]);
        assert_eq!(told(&left["state"]), Vec::<String>::new());
    }

    async fn a_long_absence_is_told_with_a_gap(server: Server) {
        let (alice, bob) = (server.user("alice").await, server.user("bob").await);
        let room = alice.creates_room(json!({ "preset": "public_chat" })).await;
        bob.joins(&room).await;
        let first = sync(&bob, "").await;
        let name = format!("/v3/rooms/{}/state/m.room.name/", encode(&room));
        alice.put(&name, json!({ "name": "New name" })).await;
        for n in 0..30 {
            alice.say(&room, &n.to_string()).await;
        }
        let filter = encode(r#"{"room":{"timeline":{"limit":5}}}"#);
        let second = sync_with(&bob, &next(&first), &format!("filter={filter}")).await;
        let room_told = joined(&second, &room);
        assert_eq!(told(&room_told["timeline"]), ["25", "26", "27", "28", "29"]);
        assert_eq!(room_told["timeline"]["limited"], true);
        let back = room_told["timeline"]["prev_batch"].as_str().expect("a token");
        let path = format!("/v3/rooms/{}/messages?dir=b&limit=3&from={back}", encode(&room));
        let page = bob.get(&path).await.ok();
        assert_eq!(told(&json!({ "events": page["chunk"] })), ["24", "23", "22"]);
    }

    async fn a_token_outlives_the_server(server: Server) {
        let mut server = server;
        let alice = server.user("alice").await;
        let room = alice.creates_room(json!({})).await;
        let first = sync(&alice, "").await;
        alice.say(&room, "before").await;
        server.restart().await;
        let mut again = alice.clone();
        again.moves_to(&server);
        let second = sync(&again, &next(&first)).await;
        assert_eq!(told(&joined(&second, &room)["timeline"]), ["before"]);
    }

    async fn tokens_that_nobody_gave_out_are_refused(server: Server) {
        let alice = server.user("alice").await;
        for since in ["nonsense", "s", "s999999999", "s-1", "s9223372036854775807_1"] {
            alice.get(&format!("/v3/sync?since={since}")).await.refused(400, "M_INVALID_PARAM");
        }
        alice.get("/v3/sync?timeout=soon").await.refused(400, "M_INVALID_PARAM");
        alice.get("/v3/sync?full_state=1").await.refused(400, "M_INVALID_PARAM");
        alice.get("/v3/sync?filter=7").await.refused(400, "M_INVALID_PARAM");
        alice.get("/v3/sync?filter=%7B").await.refused(400, "M_INVALID_PARAM");
        server.stranger().get("/v3/sync").await.refused(401, "M_MISSING_TOKEN");
    }
}
