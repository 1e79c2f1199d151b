//! `POST /login`, `/refresh`, `/logout`: sessions open and end.

use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::{Server, User, on_both_databases};

/// Makes an account with the password `secret`, and no session.
pub async fn account(server: &Server, username: &str) {
    let body = json!({ "username": username, "password": "secret", "inhibit_login": true,
        "auth": { "type": "m.login.dummy" } });
    server.stranger().post("/v3/register", body).await.ok();
}

pub fn by_password(user: &str, password: &str) -> Value {
    let identifier = json!({ "type": "m.id.user", "user": user });
    json!({ "type": "m.login.password", "identifier": identifier, "password": password })
}

/// A user with the password `secret` and a session.
pub async fn user(server: &Server, username: &str) -> User {
    account(server, username).await;
    device(server, username, "FIRST").await
}

/// A session of a user with the password `secret`, on a device called `device_id`.
pub async fn device(server: &Server, username: &str, device_id: &str) -> User {
    let mut body = by_password(username, "secret");
    body["device_id"] = device_id.into();
    let session = server.stranger().post("/v3/login", body).await.ok();
    let mut user = whose(server, &session);
    user.user_id = session["user_id"].as_str().and_then(|id| id.try_into().ok()).expect("a user id");
    user
}

/// Whoever has the session in `answer`.
pub fn whose(server: &Server, answer: &Value) -> User {
    let mut user = server.stranger();
    user.token = answer["access_token"].as_str().expect("an access token").to_owned();
    user.device_id = answer["device_id"].as_str().unwrap_or_default().to_owned();
    user
}

on_both_databases! {
    async fn whoever_knows_the_password_gets_a_session(server: Server) {
        account(&server, "alice").await;
        let stranger = server.stranger();
        let flows = stranger.get("/v3/login").await.ok();
        assert_eq!(flows["flows"][0]["type"], "m.login.password");
        let legacy = json!({ "type": "m.login.password", "user": "alice", "password": "secret" });
        for body in [
            by_password("alice", "secret"),
            by_password("@alice:hearth.test", "secret"),
            by_password("ALICE", "secret"),
            legacy,
        ] {
            for version in ["r0", "v3"] {
                let session = stranger.post(&format!("/{version}/login"), body.clone()).await.ok();
                assert_eq!(session["user_id"], "@alice:hearth.test");
                assert!(session.get("refresh_token").is_none() && session.get("expires_in_ms").is_none());
                let me = whose(&server, &session).get("/v3/account/whoami").await.ok();
                assert_eq!(me["device_id"], session["device_id"]);
            }
        }
    }

    async fn whoever_does_not_gets_none(server: Server) {
        account(&server, "alice").await;
        server.user("bob").await;
        let stranger = server.stranger();
        for body in [
            by_password("alice", "wrong"),
            by_password("alice", ""),
            by_password("alice", &"x".repeat(100_000)),
            by_password("nobody", "secret"),
            by_password("", "secret"),
            by_password("bob", ""),
            by_password("a\u{0}b", "secret"),
            by_password("@alice:other.test", "secret"),
            by_password(&"x".repeat(100_000), "secret"),
            json!({ "type": "m.login.password", "password": "secret",
                "identifier": { "type": "m.id.thirdparty", "medium": "email", "address": "a@b.c" } }),
            json!({ "type": "m.login.password", "password": "secret",
                "identifier": { "type": "m.id.phone", "country": "GB", "phone": "1" } }),
            json!({ "type": "m.login.password", "password": "secret", "medium": "email", "address": "a@b.c" }),
            json!({ "type": "m.login.token", "token": "secret" }),
        ] {
            stranger.post("/v3/login", body).await.refused(403, "M_FORBIDDEN");
        }
        for (body, errcode) in [
            (json!({}), "M_MISSING_PARAM"),
            (json!({ "type": 1 }), "M_BAD_JSON"),
            (json!({ "type": "m.login.magic" }), "M_UNKNOWN"),
            (json!({ "type": "m.login.token" }), "M_MISSING_PARAM"),
            (json!({ "type": "m.login.password" }), "M_MISSING_PARAM"),
            (json!({ "type": "m.login.password", "password": "secret" }), "M_MISSING_PARAM"),
            (json!({ "type": "m.login.password", "password": 1, "user": "alice" }), "M_BAD_JSON"),
            (json!({ "type": "m.login.password", "password": "x", "identifier": [] }), "M_BAD_JSON"),
            (json!({ "type": "m.login.password", "password": "x", "identifier": { "type": "x" } }), "M_UNKNOWN"),
        ] {
            stranger.post("/v3/login", body).await.refused(400, errcode);
        }
    }

    async fn whoever_guesses_is_slowed_down(server: Server) {
        let mut server = server;
        account(&server, "alice").await;
        account(&server, "bob").await;
        server.restart_with(|config| config.limits.enabled = true).await;
        let guess = async |from: &str, user: &str, password: &str| {
            server.stranger().at(from).post("/v3/login", by_password(user, password)).await
        };
        for n in 0..20 {
            guess(&format!("192.0.2.{n}"), "alice", "wrong").await.refused(403, "M_FORBIDDEN");
        }
        let limited = guess("192.0.2.99", "alice", "secret").await.refused(429, "M_LIMIT_EXCEEDED");
        let wait_ms = limited["retry_after_ms"].as_u64().expect("when to try again");
        guess("192.0.2.99", "bob", "secret").await.ok();
        server.pass(Duration::from_millis(wait_ms));
        guess("192.0.2.99", "alice", "secret").await.ok();
        for n in 0..10 {
            guess("192.0.2.100", &format!("user{n}"), "wrong").await.refused(403, "M_FORBIDDEN");
        }
        guess("192.0.2.100", "bob", "secret").await.refused(429, "M_LIMIT_EXCEEDED");
    }

    async fn a_device_that_logs_in_again_loses_its_older_session(server: Server) {
        account(&server, "alice").await;
        let mut body = by_password("alice", "secret");
        body["device_id"] = "PHONE".into();
        let first = whose(&server, &server.stranger().post("/v3/login", body.clone()).await.ok());
        first.get("/v3/account/whoami").await.ok();
        let second = server.stranger().post("/v3/login", body).await.ok();
        assert_eq!(second["device_id"], "PHONE");
        first.get("/v3/account/whoami").await.refused(401, "M_UNKNOWN_TOKEN");
        whose(&server, &second).get("/v3/account/whoami").await.ok();
    }

    async fn a_session_ends_with_logout(server: Server) {
        let alice = server.user("alice").await;
        let tablet = server.device_of(alice.user_id.clone(), "TABLET").await;
        let bob = server.user("bob").await;
        tablet.get("/v3/account/whoami").await.ok();
        tablet.post("/v3/logout", json!({})).await.ok();
        let gone = tablet.get("/v3/account/whoami").await.refused(401, "M_UNKNOWN_TOKEN");
        assert_eq!(gone["soft_logout"], false);
        tablet.post("/v3/logout", json!({})).await.refused(401, "M_UNKNOWN_TOKEN");
        alice.get("/v3/account/whoami").await.ok();
        let tablet = server.device_of(alice.user_id.clone(), "TABLET").await;
        alice.post("/r0/logout/all", json!({})).await.ok();
        for device in [&alice, &tablet] {
            device.get("/v3/account/whoami").await.refused(401, "M_UNKNOWN_TOKEN");
        }
        bob.get("/v3/account/whoami").await.ok();
        server.stranger().post("/v3/logout", json!({})).await.refused(401, "M_MISSING_TOKEN");
    }

    async fn what_somebody_else_changed_in_the_database_is_in_force_soon(server: Server) {
        account(&server, "alice").await;
        let alice = device(&server, "alice", "FIRST").await;
        alice.get("/v3/account/whoami").await.ok();
        let db = store::Db::open(&server.home.config.database_url()).await.expect("a second way in");
        let key = rules::signing_key::SigningKey::from_seed([7; 32], "test").expect("a signing key");
        let (clock, dice) = (server.home.clock.clone(), server.home.dice.clone());
        let other = homeserver::Home::new(server.home.config.clone(), db, key, clock, dice);
        homeserver::accounts::passwords::set(&other, &alice.user_id, "better", None).await.expect("a change");
        server.pass(Duration::from_secs(5));
        alice.get("/v3/account/whoami").await.refused(401, "M_UNKNOWN_TOKEN");
    }

    async fn a_token_in_the_query_is_a_token(server: Server) {
        let alice = server.user("alice").await;
        let path = format!("/v3/account/whoami?access_token={}", alice.token);
        assert_eq!(server.stranger().get(&path).await.ok()["user_id"], "@alice:hearth.test");
        let wrong = "/v3/account/whoami?access_token=wrong";
        server.stranger().get(wrong).await.refused(401, "M_UNKNOWN_TOKEN");
    }

    async fn a_session_outlives_a_restart(server: Server) {
        let mut server = server;
        let alice = server.user("alice").await;
        server.restart().await;
        let mut after = server.stranger();
        after.token.clone_from(&alice.token);
        after.get("/v3/account/whoami").await.ok();
    }

    async fn an_access_token_that_can_be_refreshed_expires(server: Server) {
        account(&server, "alice").await;
        let mut body = by_password("alice", "secret");
        body["refresh_token"] = true.into();
        let first = server.stranger().post("/v3/login", body).await.ok();
        let alice = whose(&server, &first);
        alice.get("/v3/account/whoami").await.ok();
        let life_ms = first["expires_in_ms"].as_u64().expect("it expires");
        server.pass(Duration::from_millis(life_ms));
        let expired = alice.get("/v3/account/whoami").await.refused(401, "M_UNKNOWN_TOKEN");
        assert_eq!(expired["soft_logout"], true);
        let refresh = json!({ "refresh_token": first["refresh_token"] });
        // The answer may get lost: until the new tokens are used, the old one is good.
        let lost = server.stranger().post("/v3/refresh", refresh.clone()).await.ok();
        let second = server.stranger().post("/v3/refresh", refresh.clone()).await.ok();
        whose(&server, &lost).get("/v3/account/whoami").await.refused(401, "M_UNKNOWN_TOKEN");
        let refresh_lost = json!({ "refresh_token": lost["refresh_token"] });
        server.stranger().post("/v3/refresh", refresh_lost).await.refused(401, "M_UNKNOWN_TOKEN");
        let me = whose(&server, &second).get("/v3/account/whoami").await.ok();
        assert_eq!(me["device_id"], first["device_id"]);
        server.stranger().post("/v3/refresh", refresh).await.refused(401, "M_UNKNOWN_TOKEN");
        // Using the new refresh token counts as well.
        let refresh = json!({ "refresh_token": second["refresh_token"] });
        let third = server.stranger().post("/v3/refresh", refresh.clone()).await.ok();
        let next = json!({ "refresh_token": third["refresh_token"] });
        server.stranger().post("/v3/refresh", next).await.ok();
        server.stranger().post("/v3/refresh", refresh).await.refused(401, "M_UNKNOWN_TOKEN");
        for (body, status, errcode) in [
            (json!({}), 400, "M_MISSING_PARAM"),
            (json!({ "refresh_token": 1 }), 400, "M_BAD_JSON"),
            (json!({ "refresh_token": first["access_token"] }), 401, "M_UNKNOWN_TOKEN"),
        ] {
            server.stranger().post("/v3/refresh", body).await.refused(status, errcode);
        }
    }
}
