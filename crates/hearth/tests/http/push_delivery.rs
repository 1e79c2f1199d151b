//! Notifications as push gateways get them: of which events, in which words, and how often.

use std::{collections::BTreeSet, time::Duration};

use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    gateway::{Gateway, Reply, allow},
    harness::{Server, User, encode, on_both_databases},
};

/// Alice, who has a pusher at a gateway, and Bob, who talks to her in a room.
struct Talk {
    alice: User,
    bob: User,
    room: String,
    gateway: Gateway,
}

impl Talk {
    async fn begin(server: &mut Server) -> Self {
        allow(server, &mut []).await;
        let (alice, bob) = (server.user("alice").await, server.user("bob").await);
        let profile = format!("/v3/profile/{}/displayname", encode(bob.user_id.as_str()));
        bob.put(&profile, json!({ "displayname": "Major Tom" })).await.ok();
        let room = bob.creates_room(json!({ "name": "Mission Control", "preset": "public_chat" })).await;
        alice.joins(&room).await;
        let gateway = Gateway::open().await;
        alice.has_pusher(&gateway.wish("key")).await;
        Talk { alice, bob, room, gateway }
    }
}

impl User {
    /// Sets a pusher.
    pub async fn has_pusher(&self, wish: &Value) {
        self.post("/v3/pushers/set", wish.clone()).await.ok();
    }

    async fn sends(&self, room: &str, event_type: &str, txn: &str, content: Value) -> String {
        let path = format!("/v3/rooms/{}/send/{event_type}/{txn}", encode(room));
        self.put(&path, content).await.ok()["event_id"].as_str().expect("an event id").to_owned()
    }

    async fn has_read(&self, room: &str, event_id: &str) {
        let path = format!("/v3/rooms/{}/receipt/m.read/{}", encode(room), encode(event_id));
        self.post(&path, json!({})).await.ok();
    }

    async fn has_pushers(&self) -> usize {
        self.get("/v3/pushers").await.ok()["pushers"].as_array().expect("a list").len()
    }
}

/// What was said in what a gateway was told next.
async fn said(gateway: &Gateway) -> String {
    let told = gateway.next_event().await;
    told["content"]["body"].as_str().expect("a text").to_owned()
}

impl Talk {
    /// What the gateway is told next, once so much time has passed that who waits tries again.
    async fn later(&self, server: &Server) -> Value {
        for n in 0..600 {
            if let Some(told) = self.gateway.take() {
                return told["notification"].clone();
            }
            server.pass(Duration::from_secs(5));
            // Something happens, so that nobody sleeps on.
            self.bob.sets(&self.room, "m.room.topic", "", json!({ "topic": n.to_string() })).await.ok();
            let _ = tokio::time::timeout(Duration::from_millis(50), self.gateway.comes()).await;
        }
        panic!("no notification came");
    }
}

on_both_databases! {
    async fn an_event_is_told_whole(server: Server) {
        let mut server = server;
        let Talk { alice, bob, room, gateway } = Talk::begin(&mut server).await;
        let event_id = bob.say(&room, "I'm floating").await;
        let told = gateway.next().await;
        let pushkey_ts = server.home.clock.now_ms() / 1000;
        assert_eq!(told, json!({ "notification": {
            "content": { "body": "I'm floating", "msgtype": "m.text" },
            "counts": { "unread": 1 },
            "devices": [{
                "app_id": "com.example.app.ios",
                "data": { "more": [1] },
                "pushkey": "key",
                "pushkey_ts": pushkey_ts,
                "tweaks": { "sound": "default" },
            }],
            "event_id": event_id,
            "prio": "high",
            "room_id": room,
            "room_name": "Mission Control",
            "sender": bob.user_id,
            "sender_display_name": "Major Tom",
            "type": "m.room.message",
        } }));
        // The same through the API of today, of a device that is told no more than what it was.
        let mut brief = gateway.wish("key");
        brief["data"]["format"] = "event_id_only".into();
        alice.has_pusher(&brief).await;
        let event_id = bob.say(&room, "again").await;
        let mut told = gateway.next().await;
        let devices = told["notification"]["devices"].take();
        assert_eq!(told, json!({ "notification": {
            "counts": { "unread": 2 }, "devices": null, "event_id": event_id, "prio": "high", "room_id": room,
        } }));
        assert_eq!(devices[0]["data"], json!({ "format": "event_id_only", "more": [1] }));
    }

    async fn how_urgent_it_is_follows_from_the_rules(server: Server) {
        let mut server = server;
        let Talk { alice, bob, room, gateway } = Talk::begin(&mut server).await;
        // Three are no conversation of two, which makes a sound.
        server.user("carol").await.joins(&room).await;
        bob.say(&room, "quiet").await;
        let told = gateway.next_event().await;
        assert_eq!((&told["prio"], &told["devices"][0]["tweaks"]), (&json!("low"), &json!({})));
        let mention = json!({ "body": "hey", "m.mentions": { "user_ids": [alice.user_id] }, "msgtype": "m.text" });
        bob.sends(&room, "m.room.message", "mention", mention).await;
        let told = gateway.next_event().await;
        let tweaks = json!({ "highlight": true, "sound": "default" });
        assert_eq!((&told["prio"], &told["devices"][0]["tweaks"]), (&json!("high"), &tweaks));
        bob.sends(&room, "m.room.encrypted", "secret", json!({ "algorithm": "m.megolm.v1.aes-sha2" })).await;
        let told = gateway.next_event().await;
        assert_eq!((&told["prio"], &told["devices"][0]["tweaks"]), (&json!("high"), &json!({})));
        assert_eq!(told["counts"]["unread"], 3);
        let rule = json!({ "actions": ["notify", { "set_tweak": "sound", "value": "cake.wav" },
            { "set_tweak": "light", "value": { "rgb": [1, 2, 3] } }], "pattern": "cake" });
        alice.put("/v3/pushrules/global/content/cake", rule).await.ok();
        bob.say(&room, "there is cake").await;
        let tweaks = json!({ "light": { "rgb": [1, 2, 3] }, "sound": "cake.wav" });
        assert_eq!(gateway.next_event().await["devices"][0]["tweaks"], tweaks);
    }

    async fn an_invite_is_pushed(server: Server) {
        let mut server = server;
        let Talk { alice, bob, gateway, .. } = Talk::begin(&mut server).await;
        let room = bob.creates_room(json!({ "name": "Secret", "preset": "private_chat" })).await;
        bob.say(&room, "not yet").await;
        bob.invites(&room, &alice).await;
        let told = gateway.next_event().await;
        assert_eq!((&told["type"], &told["room_id"]), (&json!("m.room.member"), &json!(room)));
        assert_eq!((&told["user_is_target"], &told["content"]["membership"]), (&json!(true), &json!("invite")));
        assert_eq!((&told["prio"], &told["room_name"]), (&json!("high"), &json!("Secret")));
        // What was said before she came is nothing new to her.
        alice.joins(&room).await;
        bob.say(&room, "hello").await;
        assert_eq!(said(&gateway).await, "hello");
    }

    async fn what_notifies_nobody_is_not_pushed(server: Server) {
        let mut server = server;
        let Talk { alice, bob, room, gateway } = Talk::begin(&mut server).await;
        let carol = server.user("carol").await;
        carol.joins(&room).await;
        let ignored = json!({ "ignored_users": { carol.user_id.as_str(): {} } });
        let path = format!("/v3/user/{}/account_data/m.ignored_user_list", encode(alice.user_id.as_str()));
        alice.put(&path, ignored).await.ok();
        alice.say(&room, "own").await;
        carol.say(&room, "ignored").await;
        let secret = carol.creates_room(json!({ "preset": "private_chat" })).await;
        carol.invites(&secret, &alice).await;
        bob.sends(&room, "m.room.message", "notice", json!({ "body": "bot", "msgtype": "m.notice" })).await;
        bob.sets(&room, "m.room.topic", "", json!({ "topic": "a topic" })).await.ok();
        let elsewhere = bob.creates_room(json!({ "preset": "public_chat" })).await;
        bob.say(&elsewhere, "elsewhere").await;
        bob.say(&room, "heard").await;
        assert_eq!(said(&gateway).await, "heard");
        let muted = json!({ "actions": [] });
        alice.put(&format!("/v3/pushrules/global/room/{}", encode(&room)), muted).await.ok();
        // Of what she is not told she has not read nothing.
        assert_eq!(gateway.next().await["notification"]["counts"], json!({ "unread": 0 }));
        bob.say(&room, "muted").await;
        alice.delete(&format!("/v3/pushrules/global/room/{}", encode(&room))).await.ok();
        bob.say(&room, "heard again").await;
        while said(&gateway).await != "heard again" {}
        alice.leaves(&room).await;
        bob.say(&room, "behind her back").await;
        alice.joins(&room).await;
        bob.say(&room, "back").await;
        assert_eq!(said(&gateway).await, "back");
    }

    async fn who_reads_elsewhere_is_told_the_count(server: Server) {
        let mut server = server;
        let Talk { alice, bob, room, gateway } = Talk::begin(&mut server).await;
        bob.say(&room, "one").await;
        assert_eq!(gateway.next_event().await["counts"]["unread"], 1);
        let two = bob.say(&room, "two").await;
        assert_eq!(gateway.next_event().await["counts"]["unread"], 2);
        let other = bob.creates_room(json!({ "preset": "public_chat" })).await;
        alice.joins(&other).await;
        bob.say(&other, "three").await;
        assert_eq!(gateway.next_event().await["counts"]["unread"], 3);
        alice.has_read(&room, &two).await;
        let told = gateway.next().await;
        assert!(told["notification"].get("event_id").is_none(), "{told}");
        assert_eq!(told["notification"]["counts"], json!({ "unread": 1 }));
        assert_eq!((&told["notification"]["prio"], &told["notification"]["devices"][0]["pushkey"]), (&json!("low"), &json!("key")));
        // Who speaks has read.
        alice.say(&other, "I see").await;
        assert_eq!(gateway.next().await["notification"]["counts"], json!({ "unread": 0 }));
        // After a restart it is known what was told, and what was not read.
        bob.say(&room, "four").await;
        assert_eq!(gateway.next_event().await["counts"]["unread"], 1);
        server.restart().await;
        let (mut alice, mut bob) = (alice, bob);
        alice.moves_to(&server);
        bob.moves_to(&server);
        let five = bob.say(&room, "five").await;
        loop {
            // What was told when the server stopped may be told again.
            let told = gateway.next_event().await;
            if told["event_id"] == *five {
                assert_eq!(told["counts"]["unread"], 2);
                break;
            }
        }
        alice.leaves(&room).await;
        assert_eq!(gateway.next().await["notification"]["counts"], json!({ "unread": 0 }));
    }

    async fn what_was_read_before_it_is_pushed_is_not_pushed(server: Server) {
        let mut server = server;
        let talk = Talk::begin(&mut server).await;
        let Talk { alice, bob, room, gateway } = &talk;
        gateway.will([Reply::of(503, json!({}))]);
        bob.say(room, "one").await;
        assert_eq!(said(gateway).await, "one");
        let two = bob.say(room, "two").await;
        alice.has_read(room, &two).await;
        bob.say(room, "three").await;
        let told = talk.later(&server).await;
        assert_eq!((&told["content"]["body"], &told["counts"]["unread"]), (&json!("three"), &json!(1)));
    }

    async fn rejected_keys_are_gone(server: Server) {
        let mut server = server;
        let Talk { alice, bob, room, gateway } = Talk::begin(&mut server).await;
        gateway.will([Reply::of(200, json!({ "rejected": ["another"] }))]);
        bob.say(&room, "one").await;
        gateway.next_event().await;
        let phone = server.device_of(alice.user_id.clone(), "PHONE").await;
        let second = Gateway::open().await;
        phone.has_pusher(&second.wish("phone")).await;
        second.will([Reply::of(200, json!({ "rejected": ["phone", "key"] }))]);
        bob.say(&room, "two").await;
        assert_eq!(said(&gateway).await, "two");
        assert_eq!(said(&second).await, "two");
        bob.say(&room, "three").await;
        assert_eq!(said(&gateway).await, "three");
        while alice.has_pushers().await != 1 {
            tokio::task::yield_now().await;
        }
        assert_eq!(alice.get("/v3/pushers").await.ok()["pushers"][0]["pushkey"], "key");
        assert_eq!(second.count(), 1);
    }

    async fn what_a_gateway_can_not_take_is_pushed_again_in_order(server: Server) {
        let mut server = server;
        let talk = Talk::begin(&mut server).await;
        let Talk { bob, room, gateway, .. } = &talk;
        let inside = Gateway::open().await;
        let away = format!("http://{}/_matrix/push/v1/notify", inside.name);
        gateway.will([
            Reply::of(500, json!({})),
            Reply { headers: vec![("location", away)], ..Reply::of(302, json!({})) },
            Reply { body: b"no JSON".to_vec(), ..Reply::well() },
            Reply { body: vec![b' '; 300 * 1024], ..Reply::well() },
            Reply::of(200, json!(["rejected"])),
        ]);
        for text in ["one", "two", "three"] {
            bob.say(room, text).await;
        }
        let mut told = Vec::new();
        for _ in 0..8 {
            let notification = talk.later(&server).await;
            told.push(notification["content"]["body"].as_str().unwrap_or_default().to_owned());
        }
        assert_eq!(told, ["one", "one", "one", "one", "one", "one", "two", "three"]);
        assert_eq!(inside.count(), 0, "no redirect is followed");
    }

    async fn a_gateway_is_left_alone_as_long_as_it_asks(server: Server) {
        let mut server = server;
        let talk = Talk::begin(&mut server).await;
        let Talk { bob, room, gateway, .. } = &talk;
        let carol = server.user("carol").await;
        carol.joins(room).await;
        let others = Gateway::open().await;
        carol.has_pusher(&others.wish("carol")).await;
        let wait = vec![("retry-after", "600".to_owned())];
        gateway.will([Reply { headers: wait, ..Reply::of(429, json!({})) }]);
        bob.say(room, "one").await;
        assert_eq!((said(gateway).await, said(&others).await), ("one".to_owned(), "one".to_owned()));
        server.pass(Duration::from_secs(590));
        bob.say(room, "two").await;
        assert_eq!(said(&others).await, "two");
        bob.say(room, "three").await;
        assert_eq!(said(&others).await, "three");
        assert_eq!(gateway.count(), 1);
        assert_eq!(talk.later(&server).await["content"]["body"], "one");
        assert_eq!((said(gateway).await, said(gateway).await), ("two".to_owned(), "three".to_owned()));
    }

    async fn what_is_to_be_pushed_outlives_the_server(server: Server) {
        let mut server = server;
        let Talk { alice, mut bob, room, gateway } = Talk::begin(&mut server).await;
        bob.say(&room, "before").await;
        assert_eq!(said(&gateway).await, "before");
        gateway.will([Reply::of(500, json!({}))]);
        bob.say(&room, "one").await;
        assert_eq!(said(&gateway).await, "one");
        bob.say(&room, "two").await;
        let secret = bob.creates_room(json!({ "preset": "private_chat" })).await;
        bob.invites(&secret, &alice).await;
        server.restart().await;
        bob.moves_to(&server);
        assert_eq!((said(&gateway).await, said(&gateway).await), ("one".to_owned(), "two".to_owned()));
        assert_eq!(gateway.next_event().await["type"], "m.room.member");
        bob.say(&room, "three").await;
        assert_eq!(said(&gateway).await, "three");
    }

    async fn a_day_later_an_event_is_given_up(server: Server) {
        let mut server = server;
        let talk = Talk::begin(&mut server).await;
        let Talk { bob, room, gateway, .. } = &talk;
        gateway.will([Reply::of(500, json!({}))]);
        bob.say(room, "old").await;
        assert_eq!(said(gateway).await, "old");
        server.pass(Duration::from_secs(25 * 60 * 60));
        bob.say(room, "new").await;
        assert_eq!(talk.later(&server).await["content"]["body"], "new");
    }

    async fn what_a_gateway_finds_wrong_holds_up_nothing_for_long(server: Server) {
        let mut server = server;
        let talk = Talk::begin(&mut server).await;
        let Talk { bob, room, gateway, .. } = &talk;
        gateway.will((0..5).map(|_| Reply::of(400, json!({}))));
        bob.say(room, "poison").await;
        bob.say(room, "cure").await;
        for text in ["poison", "poison", "poison", "poison", "poison", "cure"] {
            assert_eq!(talk.later(&server).await["content"]["body"], text);
        }
    }

    async fn who_does_not_answer_delays_nobody_else(server: Server) {
        let mut server = server;
        let Talk { bob, room, gateway, .. } = Talk::begin(&mut server).await;
        let carol = server.user("carol").await;
        carol.joins(&room).await;
        let others = Gateway::open().await;
        carol.has_pusher(&others.wish("carol")).await;
        gateway.will((0..100).map(|_| Reply { never: true, ..Reply::well() }));
        for text in ["one", "two", "three"] {
            bob.say(&room, text).await;
            assert_eq!(said(&others).await, text);
        }
        assert_eq!(said(&gateway).await, "one");
        assert_eq!(gateway.count(), 1);
    }

    async fn many_pushers_of_a_silent_gateway_leave_room_for_others(server: Server) {
        let mut server = server;
        let Talk { alice, bob, room, gateway } = Talk::begin(&mut server).await;
        let silent = Gateway::open().await;
        silent.will((0..1_000).map(|_| Reply { never: true, ..Reply::well() }));
        for n in 0..10 {
            let user = server.user(&format!("user{n}")).await;
            user.joins(&room).await;
            for key in 0..5 {
                user.has_pusher(&silent.wish(&format!("{n}-{key}"))).await;
            }
        }
        for text in ["one", "two", "three"] {
            bob.say(&room, text).await;
            assert_eq!(said(&gateway).await, text);
        }
        assert!(silent.count() <= 32, "{} at once", silent.count());
        assert_eq!(alice.has_pushers().await, 1);
    }

    async fn who_has_many_pushers_is_told_through_a_few_at_a_time(server: Server) {
        let mut server = server;
        let Talk { alice, bob, room, gateway } = Talk::begin(&mut server).await;
        for key in 1..12 {
            alice.has_pusher(&gateway.wish(&format!("key{key}"))).await;
        }
        // So that those who could ask at the same time do.
        gateway.will((0..12).map(|_| Reply { lingers: true, ..Reply::well() }));
        bob.say(&room, "one").await;
        let mut told = BTreeSet::new();
        for _ in 0..12 {
            let event = gateway.next_event().await;
            assert_eq!(event["content"]["body"], "one");
            told.insert(event["devices"][0]["pushkey"].to_string());
        }
        assert_eq!(told.len(), 12);
        assert!(gateway.most_at_once() <= 4, "{} at once", gateway.most_at_once());
    }

    async fn who_is_logged_out_or_locked_is_told_nothing(server: Server) {
        let mut server = server;
        let Talk { alice, bob, room, gateway } = Talk::begin(&mut server).await;
        let carol = server.user("carol").await;
        carol.joins(&room).await;
        let others = Gateway::open().await;
        carol.has_pusher(&others.wish("carol")).await;
        let phone = server.device_of(alice.user_id.clone(), "PHONE").await;
        let second = Gateway::open().await;
        phone.has_pusher(&second.wish("phone")).await;
        bob.say(&room, "one").await;
        assert_eq!((said(&gateway).await, said(&second).await), ("one".to_owned(), "one".to_owned()));
        phone.post("/v3/logout", json!({})).await.ok();
        bob.say(&room, "two").await;
        assert_eq!((said(&gateway).await, said(&others).await), ("two".to_owned(), "one".to_owned()));
        let lock = |locked: bool| {
            let mut batch = store::Batch::new();
            store::accounts::set_locked(&mut batch, alice.user_id.as_str(), locked);
            server.home.db.commit(batch)
        };
        lock(true).await.expect("an account");
        bob.say(&room, "three").await;
        assert_eq!((said(&others).await, said(&others).await), ("two".to_owned(), "three".to_owned()));
        lock(false).await.expect("an account");
        bob.say(&room, "four").await;
        assert_eq!((said(&gateway).await, said(&gateway).await), ("three".to_owned(), "four".to_owned()));
        assert_eq!(second.count(), 1);
    }

    async fn rules_for_some_clients_go_first(server: Server) {
        let mut server = server;
        let Talk { alice, bob, room, gateway } = Talk::begin(&mut server).await;
        let tagged = Gateway::open().await;
        let mut wish = tagged.wish("tagged");
        wish["profile_tag"] = "work".into();
        alice.has_pusher(&wish).await;
        let quiet = json!({ "actions": [], "pattern": "cake" });
        alice.put("/api/v1/pushrules/device/work/content/cake", quiet).await.ok();
        let loud = json!({ "actions": ["notify", { "set_tweak": "sound", "value": "work.wav" }], "pattern": "work" });
        alice.put("/api/v1/pushrules/device/work/content/work", loud).await.ok();
        for text in ["some cake", "some work"] {
            bob.say(&room, text).await;
        }
        assert_eq!((said(&gateway).await, said(&gateway).await), ("some cake".to_owned(), "some work".to_owned()));
        let told = tagged.next_event().await;
        assert_eq!((&told["content"]["body"], &told["devices"][0]["tweaks"]), (&json!("some work"), &json!({ "sound": "work.wav" })));
    }

    async fn a_pusher_of_2015_is_told_as_in_2015_too(server: Server) {
        let mut server = server;
        let Talk { alice, bob, room, gateway } = Talk::begin(&mut server).await;
        alice.post("/v3/pushers/set", json!({ "app_id": "com.example.app.ios", "kind": null, "pushkey": "key" })).await.ok();
        let mut wish = gateway.wish("old");
        wish["profile_tag"] = "xyz".into();
        alice.post("/api/v1/pushers/set", wish).await.ok();
        let event_id = bob.say(&room, "hello").await;
        let told = gateway.next().await;
        assert_eq!((&told["notification"]["id"], &told["notification"]["event_id"]), (&json!(event_id), &json!(event_id)));
        for key in ["room_id", "type", "sender", "sender_display_name", "room_name", "prio", "content"] {
            assert!(!told["notification"][key].is_null(), "{key}: {told}");
        }
        assert_eq!(told["counts"], json!({ "unread": 1 }));
        assert_eq!(told["devices"][0]["pushkey"], "old");
        assert_eq!(told["devices"], told["notification"]["devices"]);
    }

    async fn a_name_that_leads_inside_is_no_gateway(server: Server) {
        let mut server = server;
        let Talk { alice, bob, room, gateway } = Talk::begin(&mut server).await;
        let inside = Gateway::open().await;
        let port = inside.name.rsplit(':').next().expect("a port");
        let wish = |url: String| {
            let mut wish = inside.wish("inside");
            wish["data"]["url"] = url.into();
            wish
        };
        // Only the address is listed: a name that anybody can point to it may not do without TLS.
        let plain = wish(format!("http://localhost:{port}/_matrix/push/v1/notify"));
        alice.post("/v3/pushers/set", plain).await.refused(400, "M_INVALID_PARAM");
        alice.has_pusher(&wish(format!("https://localhost:{port}/_matrix/push/v1/notify"))).await;
        bob.say(&room, "one").await;
        assert_eq!(said(&gateway).await, "one");
        assert_eq!(inside.count(), 0);
        let method = alice.ask(Method::GET, "/_matrix/client/v3/pushers/set", None).await;
        method.refused(405, "M_UNRECOGNIZED");
    }
}
