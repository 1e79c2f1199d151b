//! Registration and login as clients of 2015 do it.

use std::time::Duration;

use homeserver::config::Requirement;
use serde_json::{Value, json};

use crate::{
    harness::{Reply, Server, on_both_databases},
    login::whose,
    mailbox::{Mailbox, press},
};

async fn post(server: &Server, path: &str, body: Value) -> Reply {
    server.stranger().post(path, body).await
}

async fn register(server: &Server, body: Value) -> Reply {
    post(server, "/api/v1/register", body).await
}

/// The code in the newest mail to `address`.
fn digits(mailbox: &Mailbox, address: &str) -> String {
    let mail = mailbox.newest(address).text;
    let digits = mail.lines().find(|line| line.len() == 10 && line.bytes().all(|byte| byte.is_ascii_digit()));
    digits.unwrap_or_else(|| panic!("no code in {mail}")).to_owned()
}

/// A server that sends mail, with an account `alice` that has the address `alice@example.org`.
async fn with_address(server: &mut Server) -> Mailbox {
    let mailbox = Mailbox::open().await;
    server.restart_with(|config| mailbox.serves(config)).await;
    let code = "m.login.email.code";
    let begun = register(server, json!({ "type": code, "email": "alice@example.org" })).await.ok();
    let shown =
        json!({ "type": code, "session": begun["session"], "code": digits(&mailbox, "alice@example.org") });
    let next = register(server, shown).await.ok();
    assert_eq!(next["next"], "m.login.password");
    let last = json!({ "type": "m.login.password", "user": "alice", "password": "secret", "session": begun["session"] });
    register(server, last).await.ok();
    mailbox
}

on_both_databases! {
    async fn a_client_of_2015_registers_and_logs_in(server: Server) {
        let flows = server.stranger().get("/api/v1/register").await.ok();
        assert_eq!(flows, json!({ "flows": [{ "type": "m.login.password" }] }));
        let body = json!({ "type": "m.login.password", "user": "alice", "password": "secret" });
        let made = register(&server, body.clone()).await.ok();
        assert_eq!((&made["user_id"], &made["home_server"]), (&json!("@alice:hearth.test"), &json!("hearth.test")));
        let me = whose(&server, &made).get("/v3/account/whoami").await.ok();
        assert_eq!(me["user_id"], "@alice:hearth.test");
        register(&server, body).await.refused(400, "M_USER_IN_USE");

        for prefix in ["/api/v1", "/v2_alpha"] {
            let flows = server.stranger().get(&format!("{prefix}/login")).await.ok();
            assert_eq!(flows["flows"][0], json!({ "type": "m.login.password" }));
            let login = format!("{prefix}/login");
            for user in ["alice", "@alice:hearth.test"] {
                let body = json!({ "type": "m.login.password", "user": user, "password": "secret" });
                let session = post(&server, &login, body).await.ok();
                assert_eq!(session["home_server"], "hearth.test");
                // The token may be sent in the query only, and does not expire.
                let token = session["access_token"].as_str().expect("a token");
                server.pass(Duration::from_secs(24 * 60 * 60));
                let path = format!("/v3/account/whoami?access_token={token}");
                assert_eq!(server.stranger().get(&path).await.ok()["user_id"], "@alice:hearth.test");
            }
            let wrong = json!({ "type": "m.login.password", "user": "alice", "password": "wrong" });
            post(&server, &login, wrong).await.refused(403, "M_FORBIDDEN");
            post(&server, &login, json!({ "type": "m.login.magic" })).await.refused(400, "M_UNKNOWN");
            post(&server, &login, json!({})).await.refused(400, "M_BAD_JSON");
        }
    }

    async fn stages_come_before_the_password(server: Server) {
        let mut server = server;
        server.restart_with(|config| config.registration.require = vec![Requirement::Token]).await;
        let token = homeserver::accounts::admin::create_registration_token;
        token(&server.home, Some("sesame".to_owned()), Some(1), None).await.expect("a token");
        let stage = "m.login.registration_token";
        let flows = server.stranger().get("/api/v1/register").await.ok();
        assert_eq!(flows["flows"], json!([{ "type": stage, "stages": [stage, "m.login.password"] }]));
        let last = json!({ "type": "m.login.password", "user": "alice", "password": "secret" });
        register(&server, last.clone()).await.refused(403, "M_FORBIDDEN");
        let wrong = register(&server, json!({ "type": stage, "token": "wrong" })).await;
        assert!(wrong.refused(403, "M_UNAUTHORIZED").get("flows").is_none());
        register(&server, json!({ "type": stage })).await.refused(400, "M_BAD_JSON");
        register(&server, json!({ "type": "m.login.dummy" })).await.refused(400, "M_UNKNOWN");

        let more = register(&server, json!({ "type": stage, "token": "sesame" })).await.ok();
        assert_eq!(more["next"], "m.login.password");
        server.restart().await;
        let mut last = last;
        for wrong in ["", "x"] {
            last["session"] = wrong.into();
            register(&server, last.clone()).await.refused(403, "M_UNKNOWN");
        }
        last["session"] = more["session"].clone();
        let made = register(&server, last.clone()).await.ok();
        assert_eq!(made["user_id"], "@alice:hearth.test");
        // Asked again with the same session, the same account answers; another one is not made.
        assert_eq!(register(&server, last.clone()).await.ok()["user_id"], "@alice:hearth.test");
        last["user"] = "bob".into();
        register(&server, last).await.refused(400, "M_UNKNOWN");
    }

    async fn what_is_missing_is_said(server: Server) {
        register(&server, json!({})).await.refused(400, "M_BAD_JSON");
        register(&server, json!({ "type": 1 })).await.refused(400, "M_BAD_JSON");
        register(&server, json!({ "type": "m.login.magic" })).await.refused(400, "M_UNKNOWN");
        let password = "m.login.password";
        register(&server, json!({ "type": password, "user": "alice" })).await.refused(400, "M_BAD_JSON");
        register(&server, json!({ "type": password, "user": 1, "password": "x" })).await.refused(400, "M_BAD_JSON");
        let service = json!({ "type": "m.login.application_service", "user": "bot" });
        register(&server, service).await.refused(403, "M_FORBIDDEN");
        let made = register(&server, json!({ "type": password, "password": "secret" })).await.ok();
        assert!(made["user_id"].as_str().is_some_and(|user_id| user_id.ends_with(":hearth.test")), "{made}");
        let mut server = server;
        server.restart_with(|config| config.registration.enabled = false).await;
        server.stranger().get("/api/v1/register").await.refused(403, "M_FORBIDDEN");
        let body = json!({ "type": password, "user": "bob", "password": "secret" });
        register(&server, body).await.refused(403, "M_FORBIDDEN");
    }

    async fn a_refresh_token_of_2015_gives_the_next_pair_once(server: Server) {
        let body = json!({ "type": "m.login.password", "user": "alice", "password": "secret" });
        let made = register(&server, body).await.ok();
        let refresh = async |token: &Value| {
            post(&server, "/api/v1/tokenrefresh", json!({ "refresh_token": token })).await
        };
        let next = refresh(&made["refresh_token"]).await.ok();
        assert_ne!(next["access_token"], made["access_token"]);
        refresh(&made["refresh_token"]).await.refused(403, "M_FORBIDDEN");
        server.pass(Duration::from_secs(24 * 60 * 60));
        whose(&server, &json!({ "access_token": next["access_token"], "user_id": "@alice:hearth.test",
            "device_id": made["device_id"] })).get("/v3/account/whoami").await.ok();
        refresh(&made["refresh_token"]).await.refused(403, "M_FORBIDDEN");
        refresh(&json!("x")).await.refused(403, "M_FORBIDDEN");
        refresh(&Value::Null).await.refused(400, "M_BAD_JSON");
        refresh(&next["refresh_token"]).await.ok();
    }

    async fn version_two_registers_with_user_interactive_authentication(server: Server) {
        for prefix in ["/v2_alpha", "/api/v2_alpha"] {
            let path = format!("{prefix}/register");
            let username = format!("user{}", prefix.len());
            let body = json!({ "username": username, "password": "secret", "bind_email": false });
            let begun = post(&server, &path, body.clone()).await;
            assert_eq!(begun.status, 401);
            assert_eq!(begun.body["flows"], json!([{ "stages": ["m.login.dummy"] }]));
            let mut body = body;
            body["auth"] = json!({ "type": "m.login.dummy", "session": begun.body["session"] });
            let mut without = body.clone();
            without["password"] = Value::Null;
            post(&server, &path, without).await.refused(400, "M_BAD_JSON");
            let made = post(&server, &path, body).await.ok();
            assert_eq!(made["user_id"], format!("@{username}:hearth.test"));
            assert_eq!(made["home_server"], "hearth.test");
            let again = json!({ "refresh_token": made["refresh_token"] });
            post(&server, &format!("{prefix}/tokenrefresh"), again).await.ok();
            let taken = json!({ "username": username, "password": "secret" });
            post(&server, &path, taken).await.refused(400, "M_USER_IN_USE");
            let guest = post(&server, &format!("{path}?kind=guest"), json!({})).await.ok();
            assert!(guest["access_token"].is_string(), "{guest}");
        }
    }

    async fn an_address_is_shown_by_a_code_or_by_a_link(server: Server) {
        let (mut server, mailbox) = (server, Mailbox::open().await);
        server.restart_with(|config| {
            mailbox.serves(config);
            config.registration.require = vec![Requirement::Email];
        }).await;
        let flows = server.stranger().get("/api/v1/register").await.ok();
        let stages: Vec<_> = flows["flows"].as_array().expect("flows").iter().map(|flow| &flow["type"]).collect();
        assert_eq!(stages, ["m.login.email.identity", "m.login.email.code", "m.login.email.url"]);
        let finish = async |user: &str, session: &Value| {
            register(&server, json!({ "type": "m.login.password", "user": user, "password": "secret",
                "session": session })).await
        };

        let code = "m.login.email.code";
        let begun = register(&server, json!({ "type": code, "email": "alice@example.org" })).await.ok();
        assert_eq!((&begun["type"], begun.get("next")), (&json!(code), None));
        let session = &begun["session"];
        let digits = digits(&mailbox, "alice@example.org");
        finish("alice", session).await.refused(403, "M_FORBIDDEN");
        let wrong = json!({ "type": code, "session": session, "code": "no" });
        register(&server, wrong).await.refused(400, "M_TOKEN_INCORRECT");
        register(&server, json!({ "type": code, "session": session })).await.refused(400, "M_BAD_JSON");
        register(&server, json!({ "type": code, "code": digits })).await.refused(400, "M_BAD_JSON");
        let right = json!({ "type": code, "session": session, "code": digits });
        assert_eq!(register(&server, right).await.ok()["next"], "m.login.password");
        assert_eq!(finish("alice", session).await.ok()["user_id"], "@alice:hearth.test");
        let taken = json!({ "type": code, "email": "alice@example.org" });
        register(&server, taken).await.refused(400, "M_THREEPID_IN_USE");

        let url = "m.login.email.url";
        let begun = register(&server, json!({ "type": url, "email": "bob@example.org" })).await.ok();
        let asked = json!({ "type": url, "session": begun["session"] });
        register(&server, asked.clone()).await.refused(403, "M_LOGIN_EMAIL_URL_NOT_YET");
        press(&server, &mailbox.newest("bob@example.org").link()).await;
        assert_eq!(register(&server, asked).await.ok()["next"], "m.login.password");
        assert_eq!(finish("bob", &begun["session"]).await.ok()["user_id"], "@bob:hearth.test");
    }

    async fn whoever_reads_the_mails_of_an_account_logs_in_by_a_code_or_by_a_link(server: Server) {
        let mut server = server;
        let flows = server.stranger().get("/api/v1/login").await.ok();
        assert_eq!(flows["flows"].as_array().map(Vec::len), Some(2), "{flows}");
        let mailbox = with_address(&mut server).await;
        let flows = server.stranger().get("/api/v1/login").await.ok();
        let flows: Vec<_> = flows["flows"].as_array().expect("flows").iter().map(|flow| &flow["type"]).collect();
        assert_eq!(flows, ["m.login.password", "m.login.token", "m.login.email.code", "m.login.email.url"]);
        let (code, url) = ("m.login.email.code", "m.login.email.url");
        let login = async |body: Value| post(&server, "/api/v1/login", body).await;

        let begun = login(json!({ "type": code, "user": "alice", "email": "alice@example.org" })).await.ok();
        assert_eq!((&begun["type"], begun.get("access_token")), (&json!(code), None));
        let shown = |digits: &str| json!({ "type": code, "session": begun["session"], "code": digits });
        login(shown("0000000000")).await.refused(400, "M_TOKEN_INCORRECT");
        login(json!({ "type": code, "session": begun["session"] })).await.refused(400, "M_BAD_JSON");
        let digits = digits(&mailbox, "alice@example.org");
        // A code is good where it was asked for, and the session for nothing else.
        login(json!({ "type": code, "session": "x", "code": digits })).await.refused(400, "M_UNKNOWN");
        register(&server, shown(&digits)).await.refused(400, "M_UNKNOWN");
        server.restart().await;
        let login = async |body: Value| post(&server, "/api/v1/login", body).await;
        let session = login(shown(&digits)).await.ok();
        assert_eq!((&session["user_id"], &session["home_server"]), (&json!("@alice:hearth.test"), &json!("hearth.test")));
        assert_eq!(whose(&server, &session).get("/v3/account/whoami").await.ok()["user_id"], "@alice:hearth.test");
        login(shown(&digits)).await.refused(400, "M_SESSION_EXPIRED");
        // A client may say everything again beside the code.
        let whole = json!({ "type": code, "user": "alice", "email": "alice@example.org" });
        let begun = login(whole.clone()).await.ok();
        let mut whole = whole;
        whole["session"] = begun["session"].clone();
        whole["code"] = self::digits(&mailbox, "alice@example.org").into();
        assert_eq!(login(whole).await.ok()["user_id"], "@alice:hearth.test");

        let begun = login(json!({ "type": url, "email": "alice@example.org" })).await.ok();
        let asked = json!({ "type": url, "session": begun["session"] });
        login(asked.clone()).await.refused(403, "M_LOGIN_EMAIL_URL_NOT_YET");
        press(&server, &mailbox.newest("alice@example.org").link()).await;
        login(asked.clone()).await.ok();
        login(asked).await.refused(400, "M_SESSION_EXPIRED");

        // Today's API has no such stage.
        let today = json!({ "type": code, "email": "alice@example.org" });
        post(&server, "/v3/login", today).await.refused(400, "M_UNKNOWN");
    }

    async fn a_mail_address_lets_nobody_else_in(server: Server) {
        let mut server = server;
        let mailbox = with_address(&mut server).await;
        let bob = json!({ "type": "m.login.password", "user": "bob", "password": "secret" });
        register(&server, bob).await.ok();
        let code = "m.login.email.code";
        let login = async |body: Value| post(&server, "/api/v1/login", body).await;
        let nobodys = json!({ "type": code, "email": "nobodys@example.org" });
        login(nobodys).await.refused(400, "M_THREEPID_NOT_FOUND");
        let begun = login(json!({ "type": code, "user": "bob", "email": "alice@example.org" })).await.ok();
        let digits = digits(&mailbox, "alice@example.org");
        let shown = json!({ "type": code, "session": begun["session"], "code": digits });
        login(shown).await.refused(403, "M_FORBIDDEN");
        // Guessing comes to an end.
        let begun = login(json!({ "type": code, "email": "alice@example.org" })).await.ok();
        for _ in 0..10 {
            let wrong = json!({ "type": code, "session": begun["session"], "code": "1" });
            login(wrong).await.refused(400, "M_TOKEN_INCORRECT");
        }
        let right = json!({ "type": code, "session": begun["session"], "code": self::digits(&mailbox, "alice@example.org") });
        login(right).await.refused(400, "M_SESSION_EXPIRED");
    }
}
