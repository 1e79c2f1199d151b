//! Pushers: set, listed, and gone with the device that set them.

use serde_json::{Value, json};

use crate::harness::{Server, User, on_both_databases};

/// What a client says of a pusher at a gateway outside.
pub fn wish(pushkey: &str) -> Value {
    json!({
        "app_display_name": "Mat Rix",
        "app_id": "com.example.app.ios",
        "data": { "format": "event_id_only", "url": "https://push.example.org/_matrix/push/v1/notify" },
        "device_display_name": "iPhone 9",
        "kind": "http",
        "lang": "en",
        "profile_tag": "xxyyzz",
        "pushkey": pushkey,
    })
}

/// `wish` with other values at some places; null takes one away.
fn but(wish: &Value, changes: Value) -> Value {
    let mut wish = wish.clone();
    for (key, value) in changes.as_object().expect("an object") {
        match value {
            Value::Null => drop(wish.as_object_mut().expect("an object").remove(key)),
            value => wish[key] = value.clone(),
        }
    }
    wish
}

impl User {
    /// The keys of the user's pushers.
    async fn pushkeys(&self) -> Vec<String> {
        let listed = self.get("/v3/pushers").await.ok();
        let pushers = listed["pushers"].as_array().expect("a list").iter();
        pushers.map(|pusher| pusher["pushkey"].as_str().expect("a key").to_owned()).collect()
    }

    async fn sets_pusher(&self, wish: &Value) {
        assert_eq!(self.post("/v3/pushers/set", wish.clone()).await.ok(), json!({}));
    }
}

async fn second_device(server: &Server, user: &User) -> User {
    server.device_of(user.user_id.clone(), "SECOND").await
}

on_both_databases! {
    async fn pushers_are_set_changed_and_removed(server: Server) {
        let alice = server.user("alice").await;
        let first = wish("key1");
        alice.sets_pusher(&but(&first, json!({ "append": true, "unknown": 1 }))).await;
        assert_eq!(alice.get("/v3/pushers").await.ok(), json!({ "pushers": [first] }));
        // The same app and key: the same pusher, and what it is not said to have it has not.
        let data = json!({ "url": "https://push.example.org/_matrix/push/v1/notify", "more": { "x": [1.5, null] } });
        let second = but(&first, json!({ "lang": "de", "data": data, "profile_tag": null }));
        alice.sets_pusher(&second).await;
        assert_eq!(alice.get("/v3/pushers").await.ok(), json!({ "pushers": [second] }));
        alice.sets_pusher(&but(&wish("key1"), json!({ "app_id": "another" }))).await;
        alice.sets_pusher(&wish("key2")).await;
        assert_eq!(alice.pushkeys().await, ["key1", "key1", "key2"]);
        let removes = json!({ "app_id": "com.example.app.ios", "kind": null, "pushkey": "key1" });
        alice.sets_pusher(&removes).await;
        assert_eq!(alice.get("/v3/pushers").await.ok()["pushers"][0]["app_id"], "another");
        alice.sets_pusher(&removes).await;
        assert_eq!(alice.pushkeys().await, ["key1", "key2"]);
        let bob = server.user("bob").await;
        assert_eq!(bob.pushkeys().await, Vec::<String>::new());
    }

    async fn what_can_not_be_a_pusher_is_refused(server: Server) {
        let alice = server.user("alice").await;
        let whole = wish("key");
        let refused = alice.post("/v3/pushers/set", but(&whole, json!({ "lang": null, "data": null }))).await;
        assert_eq!(refused.refused(400, "M_MISSING_PARAM")["error"], "Missing parameters: lang, data");
        for missing in ["app_id", "pushkey", "kind", "app_display_name", "device_display_name", "lang", "data"] {
            let said = but(&whole, json!({ missing: null }));
            alice.post("/v3/pushers/set", said).await.refused(400, "M_MISSING_PARAM");
        }
        alice.post("/v3/pushers/set", but(&whole, json!({ "data": {} }))).await.refused(400, "M_MISSING_PARAM");
        for wrong in [
            json!({ "app_id": "x".repeat(65) }), json!({ "app_id": "" }), json!({ "pushkey": "x".repeat(513) }),
            json!({ "pushkey": "" }), json!({ "kind": "email" }), json!({ "kind": "" }), json!({ "kind": "HTTP" }),
            json!({ "lang": "x".repeat(65) }), json!({ "app_display_name": "x".repeat(256) }),
            json!({ "profile_tag": "x".repeat(256) }), json!({ "data": { "url": 1 } }),
        ] {
            alice.post("/v3/pushers/set", but(&whole, wrong)).await.refused(400, "M_INVALID_PARAM");
        }
        for url in [
            "http://push.example.org/_matrix/push/v1/notify", "https://push.example.org/",
            "https://push.example.org/_matrix/push/v1/notify/", "https://push.example.org/_matrix/push/v1/notify?x",
            "https://user@push.example.org/_matrix/push/v1/notify", "https://127.0.0.1/_matrix/push/v1/notify",
            "https://[::1]/_matrix/push/v1/notify", "https://10.0.0.1/_matrix/push/v1/notify", "push.example.org", "",
        ] {
            let said = but(&whole, json!({ "data": { "url": url } }));
            alice.post("/v3/pushers/set", said).await.refused(400, "M_INVALID_PARAM");
        }
        for bad in [json!({ "append": "yes" }), json!({ "kind": 1 }), json!({ "data": [] }), json!({ "lang": 1 })] {
            alice.post("/v3/pushers/set", but(&whole, bad)).await.refused(400, "M_BAD_JSON");
        }
        let large = json!({ "url": whole["data"]["url"], "more": "x".repeat(9_000) });
        alice.post("/v3/pushers/set", but(&whole, json!({ "data": large }))).await.refused(413, "M_TOO_LARGE");
        alice.post("/v3/pushers/set", but(&whole, json!({ "lang": "a\u{0}b" }))).await.refused(400, "M_BAD_JSON");
        assert_eq!(alice.pushkeys().await, Vec::<String>::new());
        server.stranger().post("/v3/pushers/set", whole.clone()).await.refused(401, "M_MISSING_TOKEN");
        server.guest("guest").await.post("/v3/pushers/set", whole.clone()).await.refused(403, "M_GUEST_ACCESS_FORBIDDEN");
        // Characters, not bytes.
        alice.sets_pusher(&but(&whole, json!({ "app_id": "ä".repeat(64), "pushkey": "ä".repeat(256) }))).await;
    }

    async fn a_user_has_so_many_pushers_and_no_more(server: Server) {
        let alice = server.user("alice").await;
        for n in 0..20 {
            alice.sets_pusher(&wish(&format!("key{n}"))).await;
        }
        alice.post("/v3/pushers/set", wish("key20")).await.refused(400, "M_UNKNOWN");
        alice.sets_pusher(&but(&wish("key7"), json!({ "lang": "de" }))).await;
        alice.sets_pusher(&json!({ "app_id": "com.example.app.ios", "kind": null, "pushkey": "key3" })).await;
        alice.sets_pusher(&wish("key20")).await;
        assert_eq!(alice.pushkeys().await.len(), 20);
    }

    async fn a_key_is_one_users_unless_it_is_appended(server: Server) {
        let (alice, bob) = (server.user("alice").await, server.user("bob").await);
        alice.sets_pusher(&wish("key")).await;
        alice.sets_pusher(&but(&wish("key"), json!({ "app_id": "another" }))).await;
        bob.sets_pusher(&but(&wish("key"), json!({ "append": true }))).await;
        assert_eq!((alice.pushkeys().await.len(), bob.pushkeys().await.len()), (2, 1));
        bob.sets_pusher(&wish("key")).await;
        // The one with the other app stays.
        assert_eq!((alice.pushkeys().await.len(), bob.pushkeys().await.len()), (1, 1));
        assert_eq!(alice.get("/v3/pushers").await.ok()["pushers"][0]["app_id"], "another");
        // Nobody removes what is another's.
        bob.sets_pusher(&json!({ "app_id": "another", "kind": null, "pushkey": "key" })).await;
        assert_eq!(alice.pushkeys().await.len(), 1);
    }

    async fn a_pusher_goes_with_the_device_that_set_it(server: Server) {
        let alice = server.user("alice").await;
        let phone = second_device(&server, &alice).await;
        alice.sets_pusher(&wish("desk")).await;
        phone.sets_pusher(&wish("phone")).await;
        phone.post("/v3/logout", json!({})).await.ok();
        assert_eq!(alice.pushkeys().await, ["desk"]);
        let phone = second_device(&server, &alice).await;
        phone.sets_pusher(&wish("phone")).await;
        // Whoever set it last has it.
        phone.sets_pusher(&wish("desk")).await;
        phone.post("/v3/logout", json!({})).await.ok();
        assert_eq!(alice.pushkeys().await, Vec::<String>::new());
        alice.sets_pusher(&wish("desk")).await;
        alice.post("/v3/logout/all", json!({})).await.ok();
        let again = server.device_of(alice.user_id.clone(), "THIRD").await;
        assert_eq!(again.pushkeys().await, Vec::<String>::new());
    }

    async fn a_new_password_and_the_end_of_an_account_end_pushers(server: Server) {
        let anybody = server.stranger();
        let registered = json!({ "auth": { "type": "m.login.dummy" }, "password": "old secret", "username": "alice" });
        let registered = anybody.post("/v3/register", registered).await.ok();
        let mut alice = anybody.clone();
        alice.user_id = registered["user_id"].as_str().expect("a user id").try_into().expect("a user id");
        alice.token = registered["access_token"].as_str().expect("a token").to_owned();
        let phone = second_device(&server, &alice).await;
        alice.sets_pusher(&wish("desk")).await;
        phone.sets_pusher(&wish("phone")).await;
        let proof = |password: &str| json!({ "identifier": { "type": "m.id.user", "user": "alice" },
            "password": password, "type": "m.login.password" });
        let change = json!({ "auth": proof("old secret"), "logout_devices": false, "new_password": "new secret" });
        alice.post("/v3/account/password", change).await.ok();
        assert_eq!(alice.pushkeys().await, ["desk", "phone"]);
        let change = json!({ "auth": proof("new secret"), "new_password": "newest secret" });
        alice.post("/v3/account/password", change).await.ok();
        assert_eq!(alice.pushkeys().await, ["desk"]);
        alice.post("/v3/account/deactivate", json!({ "auth": proof("newest secret") })).await.ok();
        let left = store::pushers::of_user(&server.home.db, alice.user_id.as_str()).await.expect("an answer");
        assert!(left.is_empty(), "{left:?}");
    }

    async fn pushers_are_set_as_in_2015_too(server: Server) {
        let alice = server.user("alice").await;
        let old = but(&wish("key"), json!({ "data": { "url": "https://push-gateway.location.here" } }));
        assert_eq!(alice.post("/api/v1/pushers/set", old.clone()).await.ok(), json!({}));
        assert_eq!(alice.get("/v3/pushers").await.ok()["pushers"], json!([old]));
        let refused = alice.post("/api/v1/pushers/set", but(&old, json!({ "profile_tag": null }))).await;
        assert_eq!(refused.refused(400, "M_MISSING_PARAM")["error"], "Missing parameters: profile_tag");
        let inside = json!({ "data": { "url": "https://127.0.0.1/" } });
        alice.post("/api/v1/pushers/set", but(&old, inside)).await.refused(400, "M_INVALID_PARAM");
        let removes = json!({ "app_id": "com.example.app.ios", "kind": null, "pushkey": "key" });
        alice.post("/api/v1/pushers/set", removes).await.ok();
        assert_eq!(alice.pushkeys().await, Vec::<String>::new());
    }
}
