//! `GET /sync`: every field of a filter.

use serde_json::{Value, json};

use crate::{
    harness::{Server, User, encode, on_both_databases},
    sync::{next, sync_with, told},
};

/// One sync with a filter.
async fn filtered(user: &User, since: &str, filter: &Value) -> Value {
    sync_with(user, since, &format!("filter={}", encode(&filter.to_string()))).await
}

/// A room of alice and bob, in which both said something.
async fn kitchen(server: &Server) -> (User, User, String) {
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let room = alice.creates_room(json!({ "preset": "public_chat", "name": "Kitchen" })).await;
    bob.joins(&room).await;
    alice.say(&room, "from alice").await;
    bob.say(&room, "from bob").await;
    (alice, bob, room)
}

fn timeline(synced: &Value, room: &str) -> Vec<String> {
    told(&synced["rooms"]["join"][room]["timeline"])
}

fn state(synced: &Value, room: &str) -> Vec<String> {
    told(&synced["rooms"]["join"][room]["state"])
}

/// The keys of an object.
fn keys(value: &Value) -> Vec<&str> {
    value.as_object().expect("an object").keys().map(String::as_str).collect()
}

on_both_databases! {
    async fn timeline_and_state_are_filtered_each_for_itself(server: Server) {
        let (alice, bob, room) = kitchen(&server).await;
        let url = json!({ "msgtype": "m.image", "body": "picture", "url": "mxc://hearth.test/a" });
        alice.put(&format!("/v3/rooms/{}/send/m.room.message/t", encode(&room)), url).await.ok();
        let own = alice.user_id.as_str();
        for (of_timeline, wanted) in [
            (json!({ "types": ["m.room.message"] }), &["from alice", "from bob", "picture"][..]),
            (json!({ "types": ["m.room.mess*"], "not_senders": [own] }), &["from bob"]),
            (json!({ "types": ["*"], "not_types": ["m.room.*"] }), &[]),
            (json!({ "senders": [bob.user_id] }), &["m.room.member", "from bob"]),
            (json!({ "senders": [bob.user_id], "not_senders": [bob.user_id] }), &[]),
            (json!({ "types": [] }), &[]),
            (json!({ "contains_url": true }), &["picture"]),
            (json!({ "types": ["m.room.message"], "contains_url": false }), &["from alice", "from bob"]),
            (json!({ "types": ["m.room.message"], "rooms": [room] }), &["from alice", "from bob", "picture"]),
            (json!({ "rooms": [] }), &[]),
            (json!({ "not_rooms": [room] }), &[]),
            (json!({ "types": ["m.room.message"], "limit": 1 }), &["picture"]),
            (json!({ "types": ["m.room.message"], "limit": 1_000_000 }), &["from alice", "from bob", "picture"]),
        ] {
            let synced = filtered(&alice, "", &json!({ "room": { "timeline": of_timeline } })).await;
            assert_eq!(timeline(&synced, &room), wanted, "{of_timeline}");
        }
        for (of_state, wanted) in [
            (json!({ "types": ["m.room.name"] }), &["m.room.name"][..]),
            (json!({ "types": ["m.room.n*", "m.room.create"], "not_types": ["*.create"] }), &["m.room.name"]),
            (json!({ "senders": [bob.user_id] }), &["m.room.member"]),
            (json!({ "not_senders": [own, bob.user_id.as_str()] }), &[]),
            (json!({ "contains_url": true }), &[]),
            (json!({ "not_rooms": [room] }), &[]),
        ] {
            let filter = json!({ "room": { "state": of_state, "timeline": { "types": ["m.room.message"] } } });
            let synced = filtered(&alice, "", &filter).await;
            assert_eq!(state(&synced, &room), wanted, "{of_state}");
            assert_eq!(timeline(&synced, &room).len(), 3, "the timeline is another matter");
        }
    }

    async fn a_timeline_of_nothing_ends_where_the_room_does(server: Server) {
        let (alice, _bob, room) = kitchen(&server).await;
        let synced = filtered(&alice, "", &json!({ "room": { "timeline": { "limit": 0 } } })).await;
        let joined = &synced["rooms"]["join"][&room];
        assert_eq!((told(&joined["timeline"]), &joined["timeline"]["limited"]), (vec![], &json!(true)));
        assert!(state(&synced, &room).contains(&"m.room.name".to_owned()));
        let back = joined["timeline"]["prev_batch"].as_str().expect("a token");
        let path = format!("/v3/rooms/{}/messages?dir=b&limit=1&from={back}", encode(&room));
        assert_eq!(told(&json!({ "events": alice.get(&path).await.ok()["chunk"] })), ["from bob"]);
    }

    async fn rooms_are_chosen_before_all_else(server: Server) {
        let (alice, bob, kitchen) = kitchen(&server).await;
        let cellar = alice.creates_room(json!({})).await;
        let invited = bob.creates_room(json!({ "invite": [alice.user_id] })).await;
        let left = bob.creates_room(json!({ "preset": "public_chat" })).await;
        alice.joins(&left).await;
        alice.leaves(&left).await;
        for (of_room, wanted) in [
            (json!({ "include_leave": true }), vec![&kitchen, &cellar, &invited, &left]),
            (json!({}), vec![&kitchen, &cellar, &invited]),
            (json!({ "rooms": [kitchen, invited] }), vec![&kitchen, &invited]),
            (json!({ "not_rooms": [kitchen, invited], "include_leave": true }), vec![&cellar, &left]),
            (json!({ "rooms": [kitchen, cellar], "not_rooms": [kitchen] }), vec![&cellar]),
            (json!({ "rooms": [] }), vec![]),
        ] {
            let synced = filtered(&alice, "", &json!({ "room": of_room })).await;
            let sections = synced["rooms"].as_object().expect("rooms").values();
            let mut rooms: Vec<&str> = sections.flat_map(keys).collect();
            let mut wanted: Vec<&str> = wanted.into_iter().map(String::as_str).collect();
            rooms.sort_unstable();
            wanted.sort_unstable();
            assert_eq!(rooms, wanted, "{of_room}");
        }
    }

    async fn account_data_ephemeral_and_presence_have_filters_of_their_own(server: Server) {
        let (alice, bob, room) = kitchen(&server).await;
        let event = alice.say(&room, "read me").await;
        for (data_type, content) in [("org.example.a", json!({})), ("org.example.b", json!({ "url": "x" }))] {
            for path in ["".to_owned(), format!("rooms/{}/", encode(&room))] {
                let user = encode(alice.user_id.as_str());
                alice.put(&format!("/v3/user/{user}/{path}account_data/{data_type}"), content.clone()).await.ok();
            }
        }
        bob.does(&room, &format!("receipt/m.read/{}", encode(&event)), json!({})).await.ok();
        let typing = format!("/v3/rooms/{}/typing/{}", encode(&room), encode(bob.user_id.as_str()));
        bob.put(&typing, json!({ "typing": true, "timeout": 30_000 })).await.ok();
        bob.get("/v3/sync").await.ok();
        let types = |events: &Value| -> Vec<String> { told(events) };
        for (filter, global, of_room, ephemeral, presence) in [
            (json!({}), 3, 2, 2, 1),
            (json!({ "account_data": { "types": ["org.example.*"] } }), 2, 2, 2, 1),
            (json!({ "account_data": { "not_types": ["org.example.a", "m.*"] } }), 1, 2, 2, 1),
            (json!({ "account_data": { "types": [] } }), 0, 2, 2, 1),
            (json!({ "room": { "account_data": { "types": ["*.a"] } } }), 3, 1, 2, 1),
            (json!({ "room": { "account_data": { "contains_url": true } } }), 3, 1, 2, 1),
            (json!({ "room": { "account_data": { "not_rooms": [room] } } }), 3, 0, 2, 1),
            (json!({ "room": { "ephemeral": { "types": ["m.typing"] } } }), 3, 2, 1, 1),
            (json!({ "room": { "ephemeral": { "not_types": ["m.typing"] } } }), 3, 2, 1, 1),
            (json!({ "room": { "ephemeral": { "not_rooms": [room] } } }), 3, 2, 0, 1),
            (json!({ "room": { "ephemeral": { "types": [] } } }), 3, 2, 0, 1),
            (json!({ "presence": { "types": [] } }), 3, 2, 2, 0),
            (json!({ "presence": { "not_types": ["m.presence"] } }), 3, 2, 2, 0),
            (json!({ "presence": { "senders": [bob.user_id] } }), 3, 2, 2, 1),
            (json!({ "presence": { "not_senders": [bob.user_id] } }), 3, 2, 2, 0),
        ] {
            let query = format!("set_presence=offline&filter={}", encode(&filter.to_string()));
            let synced = sync_with(&alice, "", &query).await;
            let joined = &synced["rooms"]["join"][&room];
            let found = (
                types(&synced["account_data"]).len(),
                types(&joined["account_data"]).len(),
                types(&joined["ephemeral"]).len(),
                synced["presence"]["events"].as_array().expect("presence").iter()
                    .filter(|event| event["sender"] == *bob.user_id.as_str()).count(),
            );
            assert_eq!(found, (global, of_room, ephemeral, presence), "{filter}: {synced}");
        }
    }

    async fn only_the_wanted_fields_of_events_are_told(server: Server) {
        let (alice, bob, room) = kitchen(&server).await;
        let content = json!({ "body": "dots", "org.example": { "a.b": { "c": 1 }, "d": 2 }, "msgtype": "m.text" });
        bob.put(&format!("/v3/rooms/{}/send/m.room.message/f", encode(&room)), content).await.ok();
        let fields = ["content.body", r"content.org\.example.a\.b", "content.name", "unsigned.nothing"];
        let filter = json!({ "event_fields": fields, "room": { "timeline": { "types": ["m.room.message"] } } });
        let synced = filtered(&alice, "", &filter).await;
        let joined = &synced["rooms"]["join"][&room];
        let last = joined["timeline"]["events"].as_array().and_then(|events| events.last()).expect("an event");
        assert_eq!(last["content"], json!({ "body": "dots", "org.example": { "a.b": { "c": 1 } } }));
        assert_eq!(keys(last), ["content", "event_id", "origin_server_ts", "sender", "type"]);
        let of_state = joined["state"]["events"].as_array().expect("state");
        for event in of_state {
            assert_eq!(keys(event), ["content", "event_id", "origin_server_ts", "sender", "state_key", "type"]);
            let is_name = event["type"] == "m.room.name";
            assert_eq!(event["content"], if is_name { json!({ "name": "Kitchen" }) } else { json!({}) });
        }
        // What is no event of a room is told whole.
        assert!(synced["account_data"]["events"][0]["content"]["global"].is_object());
        // The same by the filter's id, and later on.
        let made = alice.post(&format!("/v3/user/{}/filter", encode(alice.user_id.as_str())), filter).await.ok();
        bob.say(&room, "later").await;
        let query = format!("filter={}", made["filter_id"].as_str().expect("an id"));
        let later = sync_with(&alice, &next(&synced), &query).await;
        let event = &later["rooms"]["join"][&room]["timeline"]["events"][0];
        assert_eq!(event["content"], json!({ "body": "later" }));
        assert_eq!(event.get("unsigned"), None);
    }

    async fn a_filter_with_too_much_is_refused(server: Server) {
        let alice = server.user("alice").await;
        let path = format!("/v3/user/{}/filter", encode(alice.user_id.as_str()));
        let many = json!({ "event_fields": vec!["a"; 201] });
        alice.post(&path, many).await.refused(400, "M_BAD_JSON");
        let path_of_65 = vec!["a"; 65].join(".");
        let deep = json!({ "event_fields": [path_of_65] });
        alice.post(&path, deep.clone()).await.refused(400, "M_BAD_JSON");
        let query = format!("/v3/sync?filter={}", encode(&deep.to_string()));
        alice.get(&query).await.refused(400, "M_INVALID_PARAM");
    }
}
