//! Ignored users, and users who want no invites.

use serde_json::{Value, json};

use crate::harness::{User, encode, on_both_databases};

impl User {
    async fn sets_account_data(&self, data_type: &str, content: Value) {
        let path = format!("/v3/user/{}/account_data/{data_type}", encode(self.user_id.as_str()));
        self.put(&path, content).await.ok();
    }

    async fn ignores(&self, users: &[&User]) {
        let users: serde_json::Map<String, Value> =
            users.iter().map(|user| (user.user_id.to_string(), json!({}))).collect();
        self.sets_account_data("m.ignored_user_list", json!({ "ignored_users": users })).await;
    }

    async fn syncs(&self, since: Option<&Value>) -> Value {
        let since = since.and_then(Value::as_str).map(|since| format!("?since={since}")).unwrap_or_default();
        self.get(&format!("/v3/sync{since}")).await.ok()
    }
}

/// What is said in a list of events.
fn said(events: &Value) -> Vec<&str> {
    let events = events.as_array().map(Vec::as_slice).unwrap_or_default();
    events.iter().filter_map(|event| event["content"]["body"].as_str()).collect()
}

on_both_databases! {
    async fn nothing_is_heard_of_who_is_ignored_but_state(server: Server) {
        let (alice, bob) = (server.user("alice").await, server.user("bob").await);
        let carol = server.user("carol").await;
        let room = alice.creates_room(json!({ "preset": "public_chat" })).await;
        bob.joins(&room).await;
        carol.joins(&room).await;
        bob.say(&room, "before").await;
        let first = alice.syncs(None).await;
        assert_eq!(first["rooms"]["join"][&room]["unread_notifications"]["notification_count"], 1);
        alice.ignores(&[&bob]).await;
        bob.say(&room, "unheard").await;
        carol.say(&room, "heard").await;
        let named = json!({ "membership": "join", "displayname": "Robert" });
        bob.sets(&room, "m.room.member", bob.user_id.as_str(), named).await.ok();
        let second = alice.syncs(Some(&first["next_batch"])).await;
        let timeline = &second["rooms"]["join"][&room]["timeline"]["events"];
        assert_eq!(said(timeline), ["heard"]);
        let names = timeline.as_array().expect("events").iter();
        assert_eq!(names.filter(|event| event["content"]["displayname"] == "Robert").count(), 1);
        let unread = &second["rooms"]["join"][&room]["unread_notifications"]["notification_count"];
        assert_eq!(*unread, 1, "only what carol said");
        let messages = format!("/v3/rooms/{}/messages?dir=b&limit=50", encode(&room));
        assert_eq!(said(&alice.get(&messages).await.ok()["chunk"]), ["heard"]);
        assert_eq!(said(&carol.get(&messages).await.ok()["chunk"]), ["heard", "unheard", "before"]);
        alice.ignores(&[]).await;
        assert_eq!(said(&alice.get(&messages).await.ok()["chunk"]), ["heard", "unheard", "before"]);
        bob.say(&room, "again").await;
        let third = alice.syncs(Some(&second["next_batch"])).await;
        assert_eq!(said(&third["rooms"]["join"][&room]["timeline"]["events"]), ["again"]);
    }

    async fn what_the_ignored_say_counts_for_nothing(server: Server) {
        let (alice, bob, carol) =
            (server.user("alice").await, server.user("bob").await, server.user("carol").await);
        let room = alice.creates_room(json!({ "preset": "public_chat" })).await;
        bob.joins(&room).await;
        carol.joins(&room).await;
        let root = alice.say(&room, "root").await;
        let begun = bob.say(&room, "begun by bob").await;
        let reply = async |who: &User, to: &str, rel_type: &str, body: &str| {
            let content = json!({ "msgtype": "m.text", "body": body,
                "m.relates_to": { "rel_type": rel_type, "event_id": to } });
            let path = format!("/v3/rooms/{}/send/m.room.message/{body}", encode(&room));
            who.put(&path, content).await.ok()["event_id"].as_str().expect("an id").to_owned()
        };
        let heard = reply(&carol, &root, "m.thread", "heard").await;
        reply(&bob, &root, "m.thread", "unheard").await;
        let reference = reply(&carol, &root, "m.reference", "pointed").await;
        reply(&bob, &root, "m.reference", "unpointed").await;
        reply(&carol, &begun, "m.thread", "to-bob").await;
        let told = async |who: &User, event_id: &str| {
            let path = format!("/v3/rooms/{}/event/{}", encode(&room), encode(event_id));
            who.get(&path).await.ok()["unsigned"]["m.relations"].clone()
        };
        let all = told(&alice, &root).await;
        assert_eq!((&all["m.thread"]["count"], &all["m.thread"]["latest_event"]["content"]["body"]), (&json!(2), &json!("unheard")));
        assert_eq!(all["m.reference"]["chunk"].as_array().map(Vec::len), Some(2));
        alice.ignores(&[&bob]).await;
        let of_carol = told(&alice, &root).await;
        assert_eq!(of_carol["m.thread"]["count"], 1);
        assert_eq!(of_carol["m.thread"]["latest_event"]["event_id"], json!(heard));
        assert_eq!(of_carol["m.reference"]["chunk"], json!([{ "event_id": reference }]));
        assert_eq!(told(&carol, &root).await["m.thread"]["count"], 2, "carol ignores nobody");
        // Of a thread that bob began, the beginning is as good as redacted.
        let threads = alice.get(&format!("/v1/rooms/{}/threads", encode(&room))).await.ok();
        let chunk = threads["chunk"].as_array().expect("threads");
        let of_bob = chunk.iter().find(|event| event["event_id"] == *begun).expect("the thread");
        assert_eq!((&of_bob["content"], &of_bob["unsigned"]["m.relations"]["m.thread"]["count"]), (&json!({}), &json!(1)));
        // Only bob says anything: then there is nothing to tell.
        let lonely = alice.say(&room, "lonely").await;
        reply(&bob, &lonely, "m.thread", "nobody-hears").await;
        reply(&bob, &lonely, "m.reference", "nobody-sees").await;
        assert_eq!(told(&alice, &lonely).await, Value::Null);
    }

    async fn invites_by_the_ignored_are_not_told(server: Server) {
        let (alice, bob) = (server.user("alice").await, server.user("bob").await);
        let carol = server.user("carol").await;
        let since = alice.syncs(None).await["next_batch"].clone();
        alice.ignores(&[&bob]).await;
        let unwanted = bob.creates_room(json!({ "invite": [alice.user_id] })).await;
        let wanted = carol.creates_room(json!({ "invite": [alice.user_id] })).await;
        for sync in [alice.syncs(Some(&since)).await, alice.syncs(None).await] {
            assert!(sync["rooms"]["invite"][&wanted].is_object(), "{sync}");
            assert_eq!(sync["rooms"]["invite"].get(&unwanted), None);
        }
        alice.ignores(&[]).await;
        assert!(alice.syncs(None).await["rooms"]["invite"][&unwanted].is_object());
    }

    async fn who_blocks_invites_gets_none(server: Server) {
        let (alice, bob) = (server.user("alice").await, server.user("bob").await);
        let room = bob.creates_room(json!({})).await;
        let early = bob.creates_room(json!({ "invite": [alice.user_id] })).await;
        alice.sets_account_data("m.invite_permission_config", json!({ "default_action": "block" })).await;
        let invite = json!({ "user_id": alice.user_id });
        bob.does(&room, "invite", invite.clone()).await.refused(403, "M_INVITE_BLOCKED");
        let member = bob.sets(&room, "m.room.member", alice.user_id.as_str(), json!({ "membership": "invite" }));
        member.await.refused(403, "M_INVITE_BLOCKED");
        let create = json!({ "invite": [alice.user_id] });
        bob.post("/v3/createRoom", create).await.refused(403, "M_INVITE_BLOCKED");
        // Who may not invite learns nothing of what alice wants.
        let carol = server.user("carol").await;
        carol.does(&room, "invite", invite.clone()).await.refused(403, "M_FORBIDDEN");
        assert_eq!(alice.syncs(None).await["rooms"]["invite"].get(&early), None);
        // Everything else goes on, and so does she.
        alice.creates_room(json!({ "invite": [bob.user_id] })).await;
        alice.sets_account_data("m.invite_permission_config", json!({})).await;
        bob.does(&room, "invite", invite).await.ok();
        let invites = alice.syncs(None).await["rooms"]["invite"].clone();
        assert!(invites[&early].is_object() && invites[&room].is_object(), "{invites}");
    }

    async fn settings_that_make_no_sense_set_nothing(server: Server) {
        let (alice, bob) = (server.user("alice").await, server.user("bob").await);
        let room = alice.creates_room(json!({ "preset": "public_chat" })).await;
        bob.joins(&room).await;
        for content in [
            json!({ "ignored_users": [bob.user_id] }),
            json!({ "ignored_users": { "nobody": 5, "": {}, "\u{0}": {} } }),
            json!({ "ignored_users": null }),
            json!({ "ignored_users": { alice.user_id.as_str(): {} } }),
        ] {
            alice.sets_account_data("m.ignored_user_list", content).await;
            let event = bob.say(&room, "hello").await;
            let sync = alice.syncs(None).await;
            let timeline = sync["rooms"]["join"][&room]["timeline"]["events"].as_array().expect("events").clone();
            assert!(timeline.iter().any(|known| known["event_id"] == *event));
        }
        for content in [json!({ "default_action": 5 }), json!({ "default_action": "allow" }), json!({})] {
            alice.sets_account_data("m.invite_permission_config", content).await;
            bob.creates_room(json!({ "invite": [alice.user_id] })).await;
        }
    }
}
