//! Every example of the documents of 2015, asked for and compared with the answer.

use serde_json::{Value, json};

use crate::{
    harness::{Server, User, encode, on_both_databases},
    legacy_events::v1,
    openapi_2015::{event_examples, example, same_shape},
    sync,
};

/// What some events of the examples have and others of the same kind have not.
const OPTIONAL: [&str; 8] = [
    "replaces_state",
    "prev_content",
    "membership",
    "invite_room_state",
    "avatar_url",
    "displayname",
    "status_msg",
    "txn_id",
];

#[track_caller]
fn compare(method: &str, template: &str, answer: &Value) {
    if let Err(why) = same_shape(&example(method, template), answer, &OPTIONAL) {
        panic!("{method} {template}: {why}\n{answer:#}");
    }
}

/// The rules that both have must be written alike. Which there are, and what they do, is of today.
fn compare_rules(example: &Value, answer: &Value) {
    let mut compared = 0;
    for (kind, wanted) in example["global"].as_object().expect("kinds") {
        let answers = answer["global"][kind].as_array().unwrap_or_else(|| panic!("{kind} is missing"));
        for wanted in wanted.as_array().expect("rules") {
            let Some(found) = answers.iter().find(|rule| rule["rule_id"] == wanted["rule_id"]) else {
                continue;
            };
            for (key, value) in wanted.as_object().expect("a rule") {
                let alike = std::mem::discriminant(value) == std::mem::discriminant(&found[key]);
                assert!(alike, "{key} of {found}");
            }
            compared += 1;
        }
    }
    assert!(answer["device"].is_object() && compared >= 5, "{compared}");
}

fn of(user: &User) -> String {
    encode(user.user_id.as_str())
}

/// Alice and Bob, with names and pictures, in a room in which they talked.
async fn scene(server: &Server) -> (User, User, String) {
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    for (who, name) in [(&alice, "Alice"), (&bob, "Bob")] {
        who.put(&format!("/api/v1/profile/{}/displayname", of(who)), json!({ "displayname": name }))
            .await
            .ok();
        who.put(
            &format!("/api/v1/profile/{}/avatar_url", of(who)),
            json!({ "avatar_url": "mxc://hearth.test/a" }),
        )
        .await
        .ok();
    }
    let wishes = json!({ "preset": "public_chat", "room_alias_name": "thepub", "name": "The Grand Duke Pub", "topic": "All about happy hour", "visibility": "public", "creation_content": { "m.federate": false } });
    let created = alice.post("/api/v1/createRoom", wishes).await.ok();
    compare("POST", "/createRoom", &created);
    let room = created["room_id"].as_str().expect("a room id").to_owned();
    compare(
        "POST",
        "/rooms/{roomId}/join",
        &bob.post(&format!("/api/v1/rooms/{}/join", encode(&room)), json!({})).await.ok(),
    );
    (alice, bob, room)
}

on_both_databases! {
    async fn the_answers_of_v1_are_like_their_examples(server: Server) {
        let (alice, bob, room) = scene(&server).await;
        let at = format!("/api/v1/rooms/{}", encode(&room));
        let sent = alice.put(&format!("{at}/send/m.room.message/35"), json!({ "msgtype": "m.text", "body": "hello" })).await.ok();
        compare("PUT", "/send/{eventType}/{txnId}", &sent);
        compare("POST", "/send/{eventType}", &bob.post(&format!("{at}/send/m.room.message"), json!({ "msgtype": "m.text", "body": "hello" })).await.ok());
        compare("GET", "/rooms/{roomId}/state/{eventType}/{stateKey}", &alice.get(&format!("{at}/state/m.room.name/")).await.ok());
        compare("PUT", "/rooms/{roomId}/state/{eventType}/{stateKey}", &alice.put(&format!("{at}/state/m.room.name"), json!({ "name": "New name for the room" })).await.ok());
        compare("GET", "/rooms/{roomId}/messages", &alice.get(&format!("{at}/messages?dir=b&limit=3")).await.ok());
        compare("GET", "/rooms/{roomId}/state", &alice.get(&format!("{at}/state")).await.ok());
        compare("GET", "/rooms/{roomId}/members", &alice.get(&format!("{at}/members")).await.ok());
        compare("GET", "/rooms/{roomId}/initialSync", &alice.get(&format!("{at}/initialSync")).await.ok());
        for who in [&alice, &bob] {
            let status = format!("/api/v1/presence/{}/status", of(who));
            compare("PUT", "/presence/{userId}/status", &who.put(&status, json!({ "presence": "online", "status_msg": "I am here." })).await.ok());
        }
        compare("GET", "/presence/{userId}/status", &bob.get(&format!("/api/v1/presence/{}/status", of(&alice))).await.ok());
        let list = format!("/api/v1/presence/list/{}", of(&alice));
        compare("POST", "/presence/list/{userId}", &alice.post(&list, json!({ "invite": [alice.user_id, bob.user_id], "drop": ["@alice:matrix.org"] })).await.ok());
        compare("GET", "/presence/list/{userId}", &alice.get(&list).await.ok());
        let first = v1(&alice, "/initialSync?limit=2").await;
        compare("GET", "/api/v1/initialSync", &first);
        bob.post(&format!("{at}/send/m.room.message"), json!({ "msgtype": "m.text", "body": "incoming message" })).await.ok();
        let from = first["end"].as_str().expect("an end");
        compare("GET", "/api/v1/events", &v1(&alice, &format!("/events?from={from}&timeout=35000")).await);
        let one = v1(&alice, &format!("/events/{}", encode(sent["event_id"].as_str().expect("an id")))).await;
        // A slip of the pen in the document.
        let mut wanted = example("GET", "/events/{eventId}");
        let room_id = wanted.as_object_mut().and_then(|keys| keys.remove("room_id:")).expect("room_id:");
        wanted["room_id"] = room_id;
        assert_eq!(same_shape(&wanted, &one, &OPTIONAL), Ok(()));
        compare("GET", "/publicRooms", &v1(&server.stranger(), "/publicRooms").await);
        for field in ["displayname", "avatar_url"] {
            let path = format!("/profile/{}/{field}", of(&alice));
            compare("GET", &format!("/profile/{{userId}}/{field}"), &v1(&alice, &path).await);
        }
        compare("GET", "/profile/{userId}", &v1(&alice, &format!("/profile/{}", of(&alice))).await);
        compare_rules(&example("GET", "/pushrules/"), &v1(&alice, "/pushrules/").await);
        alice.put("/api/v1/pushrules/global/content/cake", json!({ "pattern": "cake*lie", "actions": ["notify"] })).await.ok();
        compare("GET", "/pushrules/{scope}/{kind}/{ruleId}", &v1(&alice, "/pushrules/global/content/cake").await);
        let wanted = json!({ "search_categories": { "room_events": { "keys": ["content.body"], "search_term": "incoming message" } } });
        compare("POST", "/search", &alice.post("/api/v1/search", wanted).await.ok());
        compare("PUT", "/rooms/{roomId}/typing/{userId}", &alice.put(&format!("{at}/typing/{}", of(&alice)), json!({ "typing": true, "timeout": 30000 })).await.ok());
        compare("POST", "/rooms/{roomId}/invite", &alice.post(&format!("{at}/invite"), json!({ "user_id": server.user("monkey").await.user_id })).await.ok());
        compare("POST", "/rooms/{roomId}/leave", &bob.post(&format!("{at}/leave"), json!({})).await.ok());
    }

    async fn the_answers_of_v2_alpha_are_like_their_examples(server: Server) {
        let (alice, bob, room) = scene(&server).await;
        let at = format!("/v2_alpha/user/{}/filter", of(&alice));
        let made = alice.post(&at, example("GET", "/user/{userId}/filter/{filterId}")).await;
        // The filter of the example names another server's room and senders, which is no harm.
        let made = made.ok();
        compare("POST", "/user/{userId}/filter", &made);
        compare("GET", "/user/{userId}/filter/{filterId}", &alice.get(&format!("{at}/{}", made["filter_id"].as_str().expect("an id"))).await.ok());
        let said = alice.say(&room, "I am a fish").await;
        let receipt = format!("/v2_alpha/rooms/{}/receipt/m.read/{}", encode(&room), encode(&said));
        compare("POST", "/receipt/{receiptType}/{eventId}", &bob.post(&receipt, json!({})).await.ok());
        bob.put(&format!("/api/v1/rooms/{}/typing/{}", encode(&room), of(&bob)), json!({ "typing": true })).await.ok();
        sync::sync(&bob, "").await;
        let invited = bob.creates_room(json!({ "name": "My Room Name", "invite": [alice.user_id] })).await;
        let told = alice.get("/v2_alpha/sync").await.ok();
        // The example has two rooms, one of which is an invitation; ids differ.
        let wanted = example("GET", "/v2_alpha/sync");
        let mut rooms = wanted["room_map"].clone();
        let mut of_example = |id: &str| rooms.as_object_mut().and_then(|rooms| rooms.remove(id)).expect("a room");
        let (joined, other) = (of_example("!726s6s6q:example.com"), of_example("!696r7674:example.com"));
        let mut joined = joined;
        let map = joined["event_map"].as_object().cloned().expect("events");
        for event in map.values() {
            // The age is in text there.
            let mut event = event.clone();
            if event["unsigned"]["age"].is_string() {
                event["unsigned"]["age"] = json!(1);
            }
            let answers = told["room_map"][&room]["event_map"].as_object().expect("events").values();
            let mut alike = answers.filter(|answer| answer["type"] == event["type"]);
            assert!(alike.any(|answer| same_shape(&event, answer, &OPTIONAL) == Ok(())), "{event} in {told:#}");
        }
        joined["event_map"] = json!({});
        assert_eq!(same_shape(&joined, &told["room_map"][&room], &OPTIONAL), Ok(()));
        assert_eq!(same_shape(&other, &told["room_map"][&invited], &OPTIONAL), Ok(()));
        let mut rest = wanted;
        rest["room_map"] = json!({});
        rest["rooms"]["default"]["archived"] = json!([]);
        assert_eq!(same_shape(&rest, &told, &OPTIONAL), Ok(()));
    }

    async fn every_event_of_the_examples_can_be_sent_and_read(server: Server) {
        let (alice, _, room) = scene(&server).await;
        let at = format!("/api/v1/rooms/{}", encode(&room));
        let mut compared = 0;
        for (name, wanted) in event_examples() {
            let event_type = wanted["type"].as_str().expect("a type");
            // Made by the server, or by other requests: compared elsewhere.
            if ["m.presence", "m.receipt", "m.typing", "m.room.create", "m.room.member", "m.room.redaction", "m.room.power_levels"].contains(&event_type) {
                continue;
            }
            let mut content = wanted["content"].clone();
            if event_type == "m.room.canonical_alias" {
                content["alias"] = json!("#thepub:hearth.test");
            }
            let event_type = encode(event_type);
            let sent = match wanted["state_key"].as_str() {
                Some(state_key) => alice.put(&format!("{at}/state/{event_type}/{}", encode(state_key)), content).await,
                None => alice.post(&format!("{at}/send/{event_type}"), content).await,
            };
            let event_id = sent.ok()["event_id"].as_str().expect("an id").to_owned();
            let read = v1(&alice, &format!("/events/{}", encode(&event_id))).await;
            assert_eq!(same_shape(&wanted, &read, &OPTIONAL), Ok(()), "{name}");
            compared += 1;
        }
        assert!(compared > 20, "{compared}");
        // Those that the server makes.
        let state = alice.get(&format!("{at}/state")).await.ok();
        let redacted = alice.say(&room, "spam").await;
        let redaction = alice.post(&format!("{at}/redact/{}", encode(&redacted)), json!({ "reason": "Spamming" })).await.ok();
        let redaction = v1(&alice, &format!("/events/{}", encode(redaction["event_id"].as_str().expect("an id")))).await;
        for (name, wanted) in event_examples() {
            match &*name {
                "m.room.redaction" => assert_eq!(same_shape(&wanted, &redaction, &OPTIONAL), Ok(())),
                "m.room.create" | "m.room.member" | "m.room.power_levels" => {
                    let made = state.as_array().expect("state").iter().filter(|event| event["type"] == name.as_str());
                    let mut wanted = wanted;
                    // Levels are by name there.
                    for by_name in ["events", "users"] {
                        if wanted["content"].get(by_name).is_some() {
                            wanted["content"][by_name] = json!({});
                        }
                    }
                    let alike: Vec<_> = made.map(|event| same_shape(&wanted, event, &[&OPTIONAL[..], &["m.federate"]].concat())).collect();
                    assert!(alike.contains(&Ok(())), "{name}: {alike:?}");
                }
                _ => {}
            }
        }
    }
}
