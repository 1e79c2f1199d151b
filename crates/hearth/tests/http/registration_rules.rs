//! Registration as the operator wants it: closed, by token, after terms, by shared secret; and what
//! `/.well-known` tells.

use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use homeserver::{
    accounts::admin,
    config::{Contact, Requirement, Secret, Terms},
};
use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    harness::{Reply, Server, on_both_databases},
    login::by_password,
};

async fn require(server: &mut Server, require: &[Requirement]) {
    let terms = |language: &str, name: &str| Terms {
        id: "privacy".to_owned(),
        version: "1.2".to_owned(),
        language: language.to_owned(),
        name: name.to_owned(),
        url: format!("https://hearth.test/privacy/{language}"),
    };
    let require = require.to_vec();
    server
        .restart_with(|config| {
            config.registration.require = require;
            config.registration.terms = vec![terms("en", "Privacy"), terms("de", "Datenschutz")];
        })
        .await;
}

/// `POST /register` with this `auth`.
async fn register(server: &Server, username: &str, auth: Value) -> Reply {
    let body = json!({ "username": username, "password": "secret", "auth": auth });
    server.stranger().post("/v3/register", body).await
}

async fn shared_secret(server: &Server, wish: Value) -> Reply {
    let path = "/_synapse/admin/v1/register";
    server.stranger().ask(Method::POST, path, Some(&wish.to_string())).await
}

async fn nonce(server: &Server) -> String {
    let reply = server.stranger().ask(Method::GET, "/_synapse/admin/v1/register", None).await.ok();
    reply["nonce"].as_str().expect("a nonce").to_owned()
}

fn mac(key: &str, parts: &[&str]) -> String {
    let mut mac = Hmac::<sha1::Sha1>::new_from_slice(key.as_bytes()).expect("a key");
    mac.update(parts.join("\0").as_bytes());
    mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
}

on_both_databases! {
    async fn a_closed_server_makes_no_accounts(server: Server) {
        let mut server = server;
        server.restart_with(|config| {
            config.registration.enabled = false;
            config.registration.guests = false;
        }).await;
        register(&server, "alice", json!({ "type": "m.login.dummy" })).await.refused(403, "M_FORBIDDEN");
        let stranger = server.stranger();
        stranger.post("/v3/register?kind=guest", json!({})).await.refused(403, "M_FORBIDDEN");
        stranger.get("/v3/register/available?username=alice").await.refused(403, "M_FORBIDDEN");
    }

    async fn a_token_makes_as_many_accounts_as_it_allows(server: Server) {
        let mut server = server;
        require(&mut server, &[Requirement::Token]).await;
        admin::create_registration_token(&server.home, Some("sesame".to_owned()), Some(3), None)
            .await.expect("a token");
        let begun = register(&server, "alice", Value::Null).await;
        assert_eq!(begun.body["flows"], json!([{ "stages": ["m.login.registration_token"] }]));
        register(&server, "alice", json!({ "type": "m.login.dummy" })).await.refused(401, "M_UNRECOGNIZED");
        for wrong in ["", "no", "\u{0}", &"x".repeat(10_000)] {
            let auth = json!({ "type": "m.login.registration_token", "token": wrong });
            register(&server, "alice", auth).await.refused(401, "M_UNAUTHORIZED");
        }
        let auth = json!({ "type": "m.login.registration_token", "token": "sesame" });
        let valid = "/v1/register/m.login.registration_token/validity?token=sesame";
        assert_eq!(server.stranger().get(valid).await.ok()["valid"], true);
        let replies: Vec<_> = (0..12).map(|n| {
            let stranger = server.stranger();
            let body = json!({ "username": format!("user{n}"), "auth": auth });
            tokio::spawn(async move { stranger.post("/v3/register", body).await })
        }).collect();
        let mut made = 0;
        for reply in replies {
            match reply.await.expect("a reply").status {
                200 => made += 1,
                status => assert!(status == 401 || status == 403, "{status}"),
            }
        }
        assert_eq!(made, 3);
        assert_eq!(server.stranger().get(valid).await.ok()["valid"], false);
        let path = "/v1/register/m.login.registration_token/validity";
        server.stranger().get(path).await.refused(400, "M_MISSING_PARAM");
    }

    async fn a_token_expires(server: Server) {
        let mut server = server;
        require(&mut server, &[Requirement::Token]).await;
        let soon = server.home.clock.now_ms() + 60_000;
        let token = admin::create_registration_token(&server.home, None, None, Some(soon)).await.expect("a token");
        let auth = json!({ "type": "m.login.registration_token", "token": token });
        register(&server, "alice", auth.clone()).await.ok();
        server.pass(Duration::from_secs(60));
        register(&server, "bob", auth).await.refused(401, "M_UNAUTHORIZED");
    }

    async fn stages_are_completed_in_order_and_outlive_a_restart(server: Server) {
        let mut server = server;
        require(&mut server, &[Requirement::Token, Requirement::Terms]).await;
        admin::create_registration_token(&server.home, Some("sesame".to_owned()), Some(1), None)
            .await.expect("a token");
        let begun = register(&server, "alice", Value::Null).await.body;
        assert_eq!(begun["flows"], json!([{ "stages": ["m.login.registration_token", "m.login.terms"] }]));
        let policy = &begun["params"]["m.login.terms"]["policies"]["privacy"];
        assert_eq!(policy["version"], "1.2");
        assert_eq!(policy["de"], json!({ "name": "Datenschutz", "url": "https://hearth.test/privacy/de" }));
        let session = &begun["session"];
        let terms = json!({ "type": "m.login.terms", "session": session });
        register(&server, "alice", terms.clone()).await.refused(401, "M_UNRECOGNIZED");
        let token = json!({ "type": "m.login.registration_token", "token": "sesame", "session": session });
        let half = register(&server, "alice", token.clone()).await;
        assert_eq!((half.status, &half.body["completed"]), (401, &json!(["m.login.registration_token"])));
        assert!(half.body.get("errcode").is_none());
        server.restart().await;
        // A completed stage stays completed, whatever is sent for it.
        let again = json!({ "type": "m.login.registration_token", "token": "wrong", "session": session });
        for auth in [again, json!({ "session": session })] {
            let half = register(&server, "alice", auth).await;
            assert_eq!((half.status, &half.body["completed"]), (401, &json!(["m.login.registration_token"])));
        }
        let other = register(&server, "alice", Value::Null).await.body["session"].clone();
        let elsewhere = json!({ "type": "m.login.terms", "session": other });
        register(&server, "alice", elsewhere).await.refused(401, "M_UNRECOGNIZED");
        register(&server, "alice", terms.clone()).await.ok();
        register(&server, "alice", terms).await.ok();
        let agreed = store::accounts::agreed(&server.home.db, "@alice:hearth.test").await.expect("an answer");
        assert_eq!(agreed.as_deref(), Some(r#"{"privacy":"1.2"}"#));
        let late = json!({ "type": "m.login.registration_token", "token": "sesame" });
        register(&server, "bob", late).await.refused(401, "M_UNAUTHORIZED");
    }

    async fn the_shared_secret_makes_accounts_as_with_synapse(server: Server) {
        let mut server = server;
        let path = "/_synapse/admin/v1/register";
        server.stranger().ask(Method::GET, path, None).await.refused(400, "M_UNKNOWN");
        shared_secret(&server, json!({})).await.refused(400, "M_BAD_JSON");
        server.restart_with(|config| {
            config.registration.enabled = false;
            config.registration.shared_secret = Some(Secret::new("open"));
        }).await;
        let first = nonce(&server).await;
        let signed = |nonce: &str, name: &str, admin: bool, key: &str| {
            let word = if admin { "admin" } else { "notadmin" };
            json!({ "nonce": nonce, "username": name, "password": "secret", "admin": admin,
                "displayname": "Alice", "mac": mac(key, &[nonce, name, "secret", word]) })
        };
        shared_secret(&server, signed(&first, "alice", true, "wrong")).await.refused(403, "M_FORBIDDEN");
        let mut promoted = signed(&first, "alice", false, "open");
        promoted["admin"] = true.into();
        shared_secret(&server, promoted).await.refused(403, "M_FORBIDDEN");
        let made = shared_secret(&server, signed(&first, "alice", true, "open")).await.ok();
        assert_eq!(made["user_id"], "@alice:hearth.test");
        assert!(made["access_token"].is_string() && made["device_id"].is_string());
        shared_secret(&server, signed(&first, "bob", true, "open")).await.refused(400, "M_UNKNOWN");
        let late = nonce(&server).await;
        server.pass(Duration::from_secs(61));
        shared_secret(&server, signed(&late, "bob", true, "open")).await.refused(400, "M_UNKNOWN");
        shared_secret(&server, signed("AAAA", "bob", true, "open")).await.refused(400, "M_UNKNOWN");
        let fresh = nonce(&server).await;
        shared_secret(&server, signed(&fresh, "alice", false, "open")).await.refused(400, "M_USER_IN_USE");
        shared_secret(&server, signed(&fresh, "b!", false, "open")).await.refused(400, "M_INVALID_USERNAME");
        shared_secret(&server, signed(&fresh, "bob", false, "open")).await.ok();
        let fresh = nonce(&server).await;
        let typed = json!({ "nonce": fresh, "username": "bot", "password": "secret", "user_type": "bot",
            "mac": mac("open", &[&fresh, "bot", "secret", "notadmin", "bot"]) });
        shared_secret(&server, typed).await.ok();
        server.stranger().post("/v3/login", by_password("alice", "secret")).await.ok();
    }

    async fn clients_are_told_where_the_server_is(server: Server) {
        let mut server = server;
        let ask = async |server: &Server, what: &str| {
            server.stranger().ask(Method::GET, &format!("/.well-known/matrix/{what}"), None).await
        };
        for what in ["client", "support"] {
            ask(&server, what).await.refused(404, "M_NOT_FOUND");
        }
        server.restart_with(|config| {
            config.well_known.client = Some("https://matrix.hearth.test".to_owned());
            config.well_known.support_page = Some("https://hearth.test/help".to_owned());
            config.well_known.contacts = vec![Contact {
                role: "m.role.admin".to_owned(),
                matrix_id: None,
                email_address: Some("admin@hearth.test".to_owned()),
            }];
        }).await;
        let client = ask(&server, "client").await.ok();
        assert_eq!(client, json!({ "m.homeserver": { "base_url": "https://matrix.hearth.test" } }));
        assert_eq!(ask(&server, "support").await.ok(), json!({
            "support_page": "https://hearth.test/help",
            "contacts": [{ "role": "m.role.admin", "email_address": "admin@hearth.test" }],
        }));
        register(&server, "alice", json!({ "type": "m.login.dummy" })).await.ok();
        let session = server.stranger().post("/v3/login", by_password("alice", "secret")).await.ok();
        assert_eq!(session["well_known"], client);
    }
}
