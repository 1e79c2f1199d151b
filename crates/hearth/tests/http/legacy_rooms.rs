//! Rooms through v1 of 2015: making them, coming and going, reading and writing.

use serde_json::{Value, json};

use crate::{
    harness::{User, encode, on_both_databases},
    legacy_events::v1,
    scene::{text, texts},
};

/// A room made through v1.
async fn creates(user: &User, wishes: Value) -> String {
    let created = user.post("/api/v1/createRoom", wishes).await.ok();
    created["room_id"].as_str().expect("a room id").to_owned()
}

fn path(room: &str, rest: &str) -> String {
    format!("/api/v1/rooms/{}/{rest}", encode(room))
}

on_both_databases! {
    async fn a_room_of_2015_names_its_creator(server: Server) {
        let alice = server.user("alice").await;
        let room = creates(&alice, json!({ "name": "Pub", "topic": "Happy hour", "preset": "public_chat", "room_alias_name": "pub" })).await;
        let create = alice.get(&path(&room, "state/m.room.create")).await.ok();
        assert_eq!((&create["creator"], &create["room_version"]), (&json!(alice.user_id), &json!("10")));
        assert_eq!(alice.get(&path(&room, "state/m.room.topic/")).await.ok()["topic"], "Happy hour");
        let newer = creates(&alice, json!({ "room_version": "12" })).await;
        assert_eq!(alice.get(&path(&newer, "state/m.room.create")).await.ok()["room_version"], "12");
        let again = alice.post("/api/v1/createRoom", json!({ "room_alias_name": "pub" })).await;
        again.refused(400, "M_ROOM_IN_USE");
        let named = alice.post("/api/v1/createRoom", json!({ "room_alias_name": "bar" })).await.ok();
        assert_eq!(named["room_alias"], "#bar:hearth.test");
    }

    async fn people_come_and_go(server: Server) {
        let (alice, bob, carol) = (server.user("alice").await, server.user("bob").await, server.user("carol").await);
        let room = creates(&alice, json!({ "preset": "private_chat" })).await;
        let alias = "/api/v1/directory/room/%23den%3Ahearth.test";
        alice.put(alias, json!({ "room_id": room })).await.ok();
        assert_eq!(carol.get(alias).await.ok()["room_id"], room.as_str());
        bob.post(&path(&room, "join"), json!({})).await.refused(403, "M_FORBIDDEN");
        alice.post(&path(&room, "invite"), json!({ "user_id": bob.user_id })).await.ok();
        // A room may be joined by its alias, wherever one may be named.
        let joined = bob.post("/api/v1/rooms/%23den%3Ahearth.test/join", json!({})).await.ok();
        assert_eq!(joined, json!({ "room_id": room }));
        assert_eq!(bob.post(&format!("/api/v1/join/{}", encode(&room)), json!({})).await.ok(), joined);
        assert_eq!(bob.put("/api/v1/join/%23den%3Ahearth.test", json!({})).await.ok(), joined);
        let members = alice.get(&path(&room, "members")).await.ok();
        assert_eq!(members["chunk"].as_array().map(Vec::len), Some(2));
        // Kicking is setting state.
        let of_bob = path(&room, &format!("state/m.room.member/{}", encode(bob.user_id.as_str())));
        alice.put(&of_bob, json!({ "membership": "leave" })).await.ok();
        assert_eq!(alice.get(&of_bob).await.ok()["membership"], "leave");
        alice.post(&path(&room, "invite"), json!({ "user_id": carol.user_id })).await.ok();
        carol.post(&path(&room, "leave"), json!({})).await.ok();
        alice.post(&path(&room, "ban"), json!({ "user_id": carol.user_id, "reason": "noise" })).await.ok();
        let banned = alice.get(&path(&room, &format!("state/m.room.member/{}", encode(carol.user_id.as_str())))).await.ok();
        assert_eq!((&banned["membership"], &banned["reason"]), (&json!("ban"), &json!("noise")));
        alice.post(&path(&room, "invite"), json!({ "user_id": carol.user_id })).await.refused(403, "M_FORBIDDEN");
        bob.post(&path(&room, "forget"), json!({})).await.ok();
        bob.get(&path(&room, "state")).await.refused(403, "M_FORBIDDEN");
        alice.post(&path(&room, "invite"), json!({ "id_server": "a", "medium": "email", "address": "a@b" })).await.refused(400, "M_SERVER_NOT_TRUSTED");
        alice.post(&path(&room, "invite"), json!({})).await.refused(400, "M_BAD_JSON");
        alice.delete(alias).await.ok();
        carol.get(alias).await.refused(404, "M_NOT_FOUND");
    }

    async fn history_is_read_page_by_page(server: Server) {
        let alice = server.user("alice").await;
        let room = creates(&alice, json!({})).await;
        for n in 0..7 {
            alice.post(&path(&room, "send/m.room.message"), text(&n.to_string())).await.ok();
        }
        let (mut from, mut read) = (v1(&alice, "/initialSync").await["end"].as_str().expect("an end").to_owned(), Vec::new());
        loop {
            let page = alice.get(&path(&room, &format!("messages?dir=b&limit=3&from={from}"))).await.ok();
            assert_eq!(page["start"], from.as_str());
            let chunk = page["chunk"].as_array().expect("a chunk").clone();
            if chunk.is_empty() {
                break;
            }
            read.extend(chunk);
            from = page["end"].as_str().expect("an end").to_owned();
        }
        assert_eq!(texts(&read), ["6", "5", "4", "3", "2", "1", "0"]);
        assert_eq!(read.last().expect("the first event")["type"], "m.room.create");
        // Forwards there is a place to go on from, even at the end of the room.
        let page = alice.get(&path(&room, &format!("messages?dir=f&limit=50&from={from}"))).await.ok();
        assert_eq!(page["chunk"].as_array().map(Vec::len), Some(read.len()));
        alice.post(&path(&room, "send/m.room.message"), text("later")).await.ok();
        let on = page["end"].as_str().expect("an end");
        let page = alice.get(&path(&room, &format!("messages?dir=f&limit=50&from={on}"))).await.ok();
        assert_eq!(texts(page["chunk"].as_array().expect("a chunk")), ["later"]);
        alice.get(&path(&room, "messages?dir=x")).await.refused(400, "M_BAD_PAGINATION");
    }

    async fn messages_are_sent_with_and_without_a_transaction(server: Server) {
        let alice = server.user("alice").await;
        let room = creates(&alice, json!({})).await;
        let put = path(&room, "send/m.room.message/35");
        let sent = alice.put(&put, text("once")).await.ok();
        assert_eq!(alice.put(&put, text("once")).await.ok(), sent);
        let post = path(&room, "send/m.room.message");
        assert_ne!(alice.post(&post, text("twice")).await.ok(), alice.post(&post, text("twice")).await.ok());
        // Today's clients ask for the same transaction under another path.
        let today = format!("/v3/rooms/{}/send/m.room.message/35", encode(&room));
        assert_eq!(alice.put(&today, text("once")).await.ok(), sent);
        let one = v1(&alice, &format!("/events/{}", encode(sent["event_id"].as_str().expect("an id")))).await;
        assert_eq!((&one["transaction_id"], &one["content"]["body"]), (&json!("35"), &json!("once")));
        alice.put(&path(&room, "state/m.room.name/x/7"), json!({})).await.refused(404, "M_UNRECOGNIZED");
        alice.post(&path(&room, "state/m.room.name/"), json!({})).await.refused(405, "M_UNRECOGNIZED");
    }

    async fn what_is_redacted_says_why(server: Server) {
        let alice = server.user("alice").await;
        let room = creates(&alice, json!({})).await;
        let post = path(&room, "send/m.room.message");
        let ids = [alice.post(&post, text("one")).await.ok(), alice.post(&post, text("two")).await.ok()];
        let ids = ids.map(|sent| sent["event_id"].as_str().expect("an id").to_owned());
        let first = alice.post(&path(&room, &format!("redact/{}", encode(&ids[0]))), json!({ "reason": "typo" })).await.ok();
        let second = path(&room, &format!("redact/{}/t1", encode(&ids[1])));
        assert_eq!(alice.put(&second, json!({})).await.ok(), alice.put(&second, json!({})).await.ok());
        // A state event says so too, wherever it is read.
        let topic = alice.put(&path(&room, "state/m.room.topic"), json!({ "topic": "oops" })).await.ok();
        let topic = topic["event_id"].as_str().expect("an id").to_owned();
        alice.post(&path(&room, &format!("redact/{}", encode(&topic))), json!({ "reason": "slip" })).await.ok();
        for state in [alice.get(&path(&room, "state")).await.ok(), v1(&alice, "/initialSync").await["rooms"][0]["state"].clone()] {
            let state = state.as_array().expect("state").iter();
            let found = state.clone().find(|event| event["event_id"] == topic.as_str()).expect("the topic");
            assert_eq!((&found["content"], &found["redacted_because"]["content"]["reason"]), (&json!({}), &json!("slip")));
            assert_eq!(state.filter(|event| event.get("redacted_because").is_some()).count(), 1);
        }
        let gone = v1(&alice, &format!("/events/{}", encode(&ids[0]))).await;
        assert_eq!(gone["content"], json!({}));
        let because = &gone["redacted_because"];
        assert_eq!((&because["event_id"], &because["redacts"], &because["user_id"]), (&first["event_id"], &json!(ids[0]), &json!(alice.user_id)));
        assert_eq!(because["content"], json!({ "reason": "typo" }));
    }

    async fn state_tells_what_it_replaced(server: Server) {
        let alice = server.user("alice").await;
        let room = creates(&alice, json!({ "name": "Old" })).await;
        let before = alice.get(&path(&room, "messages?dir=b&limit=1")).await.ok()["chunk"][0]["event_id"].clone();
        alice.put(&path(&room, "state/m.room.name"), json!({ "name": "New" })).await.ok();
        let page = alice.get(&path(&room, "messages?dir=b&limit=1")).await.ok();
        let event = &page["chunk"][0];
        assert_eq!((&event["prev_content"], &event["replaces_state"]), (&json!({ "name": "Old" }), &before));
        assert!(event["age"].is_i64() && event.get("unsigned").is_none() && event.get("sender").is_none(), "{event}");
        let snapshot = alice.get(&path(&room, "initialSync")).await.ok();
        for state in [&alice.get(&path(&room, "state")).await.ok(), &snapshot["state"]] {
            let name = state.as_array().expect("a list").iter().find(|event| event["type"] == "m.room.name");
            assert_eq!(name.expect("the name")["replaces_state"], before, "{state}");
        }
    }

    async fn public_rooms_are_listed_as_in_2015(server: Server) {
        let alice = server.user("alice").await;
        assert_eq!(server.stranger().get("/api/v1/publicRooms").await.ok()["chunk"], json!([]));
        for n in 0..3 {
            creates(&alice, json!({ "visibility": "public", "room_alias_name": format!("room{n}"), "topic": "x" })).await;
        }
        let (mut found, mut from) = (Vec::new(), String::new());
        for _ in 0..4 {
            let page = server.stranger().get(&format!("/api/v1/publicRooms?limit=1{from}")).await.ok();
            found.extend(page["chunk"].as_array().expect("a chunk").iter().map(|room| room["aliases"][0].clone()));
            from = format!("&from={}", page["end"].as_str().expect("an end"));
        }
        found.sort_by_key(Value::to_string);
        assert_eq!(found, [json!("#room0:hearth.test"), json!("#room1:hearth.test"), json!("#room2:hearth.test")]);
        let all = server.stranger().get("/api/v1/publicRooms").await.ok();
        assert_eq!((&all["chunk"][0]["name"], &all["chunk"][0]["world_readable"]), (&Value::Null, &json!(false)));
    }

    async fn nobody_without_a_token_does_anything(server: Server) {
        let room = path("!a:hearth.test", "");
        for rest in ["state", "members", "messages", "initialSync", "state/m.room.name"] {
            server.stranger().get(&format!("{room}{rest}")).await.refused(401, "M_MISSING_TOKEN");
        }
        for rest in ["invite", "join", "leave", "ban", "kick", "send/m.room.message", "redact/%24a"] {
            server.stranger().post(&format!("{room}{rest}"), json!({})).await.refused(401, "M_MISSING_TOKEN");
        }
        server.stranger().post("/api/v1/createRoom", json!({})).await.refused(401, "M_MISSING_TOKEN");
    }

    async fn whatever_is_posted_can_be_put_once_in_a_transaction(server: Server) {
        let (alice, bob, carol) = (server.user("alice").await, server.user("bob").await, server.user("carol").await);
        let wishes = json!({ "preset": "public_chat", "room_alias_name": "pub" });
        let created = alice.put("/api/v1/createRoom/1", wishes.clone()).await.ok();
        assert_eq!(alice.put("/api/v1/createRoom/1", wishes.clone()).await.ok(), created);
        assert_ne!(alice.put("/api/v1/createRoom/2", json!({})).await.ok(), created);
        assert_ne!(bob.put("/api/v1/createRoom/1", json!({})).await.ok(), created);
        alice.put("/api/v1/createRoom/3", wishes).await.refused(400, "M_ROOM_IN_USE");
        let newer = alice.put("/api/v1/createRoom/4", json!({ "room_version": "12" })).await.ok();
        assert_eq!(alice.put("/api/v1/createRoom/4", json!({ "room_version": "12" })).await.ok(), newer);

        let room = created["room_id"].as_str().expect("a room id");
        let at = |rest: &str| path(room, rest);
        let joined = json!({ "room_id": room });
        assert_eq!(bob.put("/api/v1/join/%23pub%3Ahearth.test/1", json!({})).await.ok(), joined);
        bob.put(&at("leave/1"), json!({})).await.ok();
        assert_eq!(bob.put(&at("join/1"), json!({})).await.ok(), joined);
        // What was done is not done again: she is still in the room, he is not invited once more.
        bob.put(&at("leave/1"), json!({})).await.ok();
        let of_bob = at(&format!("state/m.room.member/{}", encode(bob.user_id.as_str())));
        assert_eq!(alice.get(&of_bob).await.ok()["membership"], "join");
        let whom = json!({ "user_id": carol.user_id, "reason": "noise" });
        alice.put(&at("invite/1"), whom.clone()).await.ok();
        carol.post(&at("join"), json!({})).await.ok();
        alice.put(&at("invite/1"), whom.clone()).await.ok();
        alice.put(&at("invite/2"), whom.clone()).await.refused(403, "M_FORBIDDEN");
        alice.put(&at("ban/1"), whom.clone()).await.ok();
        alice.post(&at("unban"), json!({ "user_id": carol.user_id })).await.ok();
        alice.put(&at("ban/1"), whom.clone()).await.ok();
        let of_carol = at(&format!("state/m.room.member/{}", encode(carol.user_id.as_str())));
        assert_eq!(alice.get(&of_carol).await.ok()["membership"], "leave");
        bob.put(&at("ban/1"), whom).await.refused(403, "M_FORBIDDEN");
    }

    async fn a_message_that_nobody_could_show_is_refused(server: Server) {
        let alice = server.user("alice").await;
        let room = creates(&alice, json!({})).await;
        for (event_type, wrong) in [
            ("m.room.message", json!({ "body": "hello" })),
            ("m.room.message", json!({ "msgtype": "m.text" })),
            ("m.room.message", json!({ "msgtype": "m.text", "body": 1 })),
            ("m.room.message.feedback", json!({ "type": "seen", "target_event_id": "$a" })),
            ("m.room.message.feedback", json!({ "type": "read" })),
        ] {
            alice.post(&path(&room, &format!("send/{event_type}")), wrong.clone()).await.refused(400, "M_BAD_JSON");
            alice.put(&path(&room, &format!("send/{event_type}/1")), wrong).await.refused(400, "M_BAD_JSON");
        }
        let feedback = json!({ "type": "delivered", "target_event_id": "$a" });
        alice.post(&path(&room, "send/m.room.message.feedback"), feedback).await.ok();
        alice.post(&path(&room, "send/com.example.any"), json!({})).await.ok();
    }

    async fn a_room_knows_its_aliases(server: Server) {
        let (alice, bob) = (server.user("alice").await, server.user("bob").await);
        let room = creates(&alice, json!({ "preset": "public_chat", "room_alias_name": "pub" })).await;
        let told = path(&room, "state/m.room.aliases/hearth.test");
        assert_eq!(alice.get(&told).await.ok(), json!({ "aliases": ["#pub:hearth.test"] }));
        let tavern = "/api/v1/directory/room/%23tavern%3Ahearth.test";
        alice.put(tavern, json!({ "room_id": room })).await.ok();
        let named = async || {
            let mut named: Vec<String> = serde_json::from_value(alice.get(&told).await.ok()["aliases"].clone()).expect("aliases");
            named.sort();
            named
        };
        assert_eq!(named().await, ["#pub:hearth.test", "#tavern:hearth.test"]);
        // Who may give the room a name may not yet set its state.
        bob.post(&path(&room, "join"), json!({})).await.ok();
        let bobs = "/api/v1/directory/room/%23bobs%3Ahearth.test";
        bob.put(bobs, json!({ "room_id": room })).await.ok();
        assert_eq!(alice.get(bobs).await.ok()["room_id"], room.as_str());
        assert_eq!(named().await.len(), 2);
        alice.delete(tavern).await.ok();
        assert_eq!(named().await, ["#bobs:hearth.test", "#pub:hearth.test"]);
    }
}
