//! `POST /register`, and what belongs to it.

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{Server, on_both_databases};

/// Registers `username` with the password `secret`, without anything to prove.
async fn register(server: &Server, username: &str) -> Value {
    let body = json!({ "username": username, "password": "secret", "auth": { "type": "m.login.dummy" } });
    server.stranger().post("/v3/register", body).await.ok()
}

on_both_databases! {
    async fn whoever_registers_has_an_account_and_a_session(server: Server) {
        let made = register(&server, "alice").await;
        assert_eq!(made["user_id"], "@alice:hearth.test");
        let mut alice = server.stranger();
        alice.token = made["access_token"].as_str().expect("an access token").to_owned();
        for version in ["r0", "v3"] {
            let me = alice.get(&format!("/{version}/account/whoami")).await.ok();
            let expected = json!({ "user_id": "@alice:hearth.test", "device_id": made["device_id"] });
            assert_eq!((&me["user_id"], &me["device_id"]), (&expected["user_id"], &expected["device_id"]));
            assert_ne!(me["is_guest"], true);
        }
    }

    async fn registration_never_succeeds_without_auth(server: Server) {
        let stranger = server.stranger();
        for auth in [Value::Null, json!({})] {
            let body = json!({ "username": "alice", "password": "secret", "auth": auth });
            let reply = stranger.post("/r0/register", body).await;
            assert_eq!(reply.status, 401);
            assert_eq!(reply.body["flows"], json!([{ "stages": ["m.login.dummy"] }]));
            assert!(reply.body["session"].is_string());
            assert!(reply.body.get("errcode").is_none(), "{}", reply.body);
        }
        assert_eq!(stranger.post("/v3/register", json!({})).await.status, 401);
    }

    async fn a_session_is_good_for_the_second_request(server: Server) {
        let stranger = server.stranger();
        let begun = stranger.post("/v3/register", json!({})).await.body;
        let auth = json!({ "type": "m.login.dummy", "session": begun["session"] });
        let body = json!({
            "username": "alice", "password": "secret", "device_id": "PHONE", "auth": auth,
            "initial_device_display_name": "Phone",
        });
        let made = stranger.post("/v3/register", body).await.ok();
        assert_eq!((&made["user_id"], &made["device_id"]), (&json!("@alice:hearth.test"), &json!("PHONE")));
    }

    async fn asked_again_with_the_same_session_the_same_account_answers(server: Server) {
        let stranger = server.stranger();
        let begun = stranger.post("/v3/register", json!({})).await.body;
        let auth = json!({ "type": "m.login.dummy", "session": begun["session"] });
        for username in [Value::Null, json!("alice")] {
            let begun = stranger.post("/v3/register", json!({})).await.body;
            let auth = json!({ "type": "m.login.dummy", "session": begun["session"] });
            let mut body = json!({ "username": username, "password": "secret", "auth": auth });
            let first = stranger.post("/v3/register", body.clone()).await.ok();
            let second = stranger.post("/v3/register", body.clone()).await.ok();
            assert_eq!(first["user_id"], second["user_id"]);
            assert_ne!(first["access_token"], second["access_token"]);
            body["password"] = "another".into();
            stranger.post("/v3/register", body.clone()).await.refused(400, "M_UNKNOWN");
            body["username"] = "bob".into();
            stranger.post("/v3/register", body).await.refused(400, "M_UNKNOWN");
        }
        let body = json!({ "username": "alice", "password": "secret", "auth": auth });
        stranger.post("/v3/register", body).await.refused(400, "M_USER_IN_USE");
    }

    async fn a_session_expires_and_is_nobody_elses(server: Server) {
        let stranger = server.stranger();
        let begun = stranger.post("/v3/register", json!({})).await.body;
        for session in ["", "x", "AAAA", &"A".repeat(1000), "\u{0}"] {
            let auth = json!({ "type": "m.login.dummy", "session": session });
            let reply = stranger.post("/v3/register", json!({ "username": "alice", "auth": auth })).await;
            assert_ne!(reply.clone().refused(401, "M_UNKNOWN")["session"], session);
        }
        server.pass(std::time::Duration::from_secs(2 * 60 * 60));
        let auth = json!({ "type": "m.login.dummy", "session": begun["session"] });
        let reply = stranger.post("/v3/register", json!({ "username": "alice", "auth": auth })).await;
        let again = reply.refused(401, "M_UNKNOWN");
        let auth = json!({ "type": "m.login.dummy", "session": again["session"] });
        stranger.post("/v3/register", json!({ "username": "alice", "auth": auth })).await.ok();
    }

    async fn a_username_follows_the_grammar(server: Server) {
        let stranger = server.stranger();
        let long = "a".repeat(255);
        for username in ["é", "a b", "a:b", "", "a!", "@bob:other.test", "a\u{0}b", "a\nb", &long] {
            let body = json!({ "username": username, "password": "secret", "auth": { "type": "m.login.dummy" } });
            stranger.post("/v3/register", body).await.refused(400, "M_INVALID_USERNAME");
            let body = json!({ "username": username, "password": "secret" });
            stranger.post("/v3/register", body).await.refused(400, "M_INVALID_USERNAME");
        }
        assert_eq!(register(&server, "User-UPPER").await["user_id"], "@user-upper:hearth.test");
        for username in ["q", "3", ".", "_", "=", "-", "/", "+"] {
            register(&server, username).await;
        }
    }

    async fn what_has_the_wrong_type_is_bad_json(server: Server) {
        let stranger = server.stranger();
        for body in [
            json!({ "username": 1 }),
            json!({ "password": [] }),
            json!({ "inhibit_login": "yes" }),
            json!({ "device_id": {} }),
            json!({ "initial_device_display_name": 1 }),
            json!({ "auth": "m.login.dummy" }),
            json!({ "auth": { "type": 1 } }),
            json!({ "auth": { "type": "m.login.dummy", "session": 1 } }),
        ] {
            stranger.post("/v3/register", body).await.refused(400, "M_BAD_JSON");
        }
        let path = "/_matrix/client/v3/register";
        stranger.ask(Method::POST, path, Some("{")).await.refused(400, "M_NOT_JSON");
        stranger.ask(Method::POST, path, Some("[]")).await.refused(400, "M_BAD_JSON");
        let auth = json!({ "type": "m.login.dummy" });
        for (key, value, errcode) in [
            ("device_id", json!(""), "M_INVALID_PARAM"),
            ("device_id", json!("\u{0}"), "M_INVALID_PARAM"),
            ("device_id", json!("x".repeat(256)), "M_INVALID_PARAM"),
            ("password", json!(""), "M_WEAK_PASSWORD"),
            ("password", json!("x".repeat(513)), "M_INVALID_PARAM"),
            ("initial_device_display_name", json!("a\u{0}b"), "M_BAD_JSON"),
        ] {
            let mut body = json!({ "auth": auth });
            body[key] = value;
            stranger.post("/v3/register", body).await.refused(400, errcode);
        }
        let body = json!({ "auth": auth, "initial_device_display_name": "x".repeat(5000) });
        stranger.post("/v3/register", body).await.refused(413, "M_TOO_LARGE");
    }

    async fn a_taken_name_is_told_before_anything_is_to_be_proved(server: Server) {
        register(&server, "alice").await;
        let stranger = server.stranger();
        for username in ["alice", "ALICE"] {
            let body = json!({ "username": username, "password": "other" });
            stranger.post("/v3/register", body).await.refused(400, "M_USER_IN_USE");
            let path = format!("/v3/register/available?username={username}");
            stranger.get(&path).await.refused(400, "M_USER_IN_USE");
        }
        assert_eq!(stranger.get("/r0/register/available?username=bob").await.ok()["available"], true);
        stranger.get("/v3/register/available?username=b%20b").await.refused(400, "M_INVALID_USERNAME");
        stranger.get("/v3/register/available").await.refused(400, "M_MISSING_PARAM");
    }

    async fn of_many_who_want_a_name_at_once_one_gets_it(server: Server) {
        let stranger = server.stranger();
        let wishes = (0..16).map(|n| {
            let stranger = stranger.clone();
            let body = json!({ "username": "alice", "password": format!("secret{n}"),
                "auth": { "type": "m.login.dummy" } });
            tokio::spawn(async move { stranger.post("/v3/register", body).await })
        });
        let mut made = 0;
        for reply in wishes.collect::<Vec<_>>() {
            let reply = reply.await.expect("a reply");
            match reply.status {
                200 => made += 1,
                _ => drop(reply.refused(400, "M_USER_IN_USE")),
            }
        }
        assert_eq!(made, 1);
    }

    async fn no_session_is_opened_for_whoever_wants_none(server: Server) {
        let body = json!({ "username": "alice", "password": "secret", "inhibit_login": true,
            "auth": { "type": "m.login.dummy" } });
        let made = server.stranger().post("/v3/register", body).await.ok();
        assert_eq!(made["user_id"], "@alice:hearth.test");
        assert!(made.get("access_token").is_none() && made.get("device_id").is_none(), "{made}");
    }

    async fn a_guest_has_a_session_and_no_more(server: Server) {
        let body = json!({ "username": "alice", "device_id": 7, "initial_device_display_name": "Phone" });
        let made = server.stranger().post("/v3/register?kind=guest", body).await.ok();
        assert_ne!(made["user_id"], "@alice:hearth.test");
        let mut guest = server.stranger();
        guest.token = made["access_token"].as_str().expect("a token").to_owned();
        assert_eq!(guest.get("/v3/account/whoami").await.ok()["is_guest"], true);
        server.stranger().post("/v3/register?kind=king", json!({})).await.refused(400, "M_INVALID_PARAM");
    }
}
