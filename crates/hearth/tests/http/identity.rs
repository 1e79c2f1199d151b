//! Addresses that others check: identity servers, and phones by way of a service for text messages.

use homeserver::config::{Config, Requirement};
use serde_json::{Value, json};

use crate::{
    account::with_password,
    harness::on_both_databases,
    login::user,
    mailbox::{Mailbox, add},
    standin::{Question, StandIn},
};

fn phone(number: &str, secret: &str) -> Value {
    json!({ "country": "GB", "phone_number": number, "client_secret": secret, "send_attempt": 1 })
}

/// An identity server on which the session `good` is validated for `alice@example.org`.
async fn identity_server() -> StandIn {
    StandIn::open(|question: &Question| {
        let path = question.what.split('?').next().unwrap_or_default();
        match path.rsplit_once("/identity/").map(|(_, path)| path).unwrap_or_default() {
            "v2/validate/email/requestToken" | "api/v1/validate/email/requestToken" => {
                (200, json!({ "sid": "good" }))
            }
            "v2/validate/msisdn/requestToken" => (200, json!({ "sid": "../bad" })),
            "v2/3pid/getValidated3pid" | "api/v1/3pid/getValidated3pid" if question.what.contains("sid=good") => {
                (200, json!({ "medium": "email", "address": "Alice@example.org", "validated_at": 1_457_622_739_026_i64 }))
            }
            "v2/3pid/getValidated3pid" | "api/v1/3pid/getValidated3pid" => {
                (400, json!({ "errcode": "M_SESSION_NOT_VALIDATED", "error": "not yet" }))
            }
            "v2/3pid/bind" if question.body["sid"] == "good" => (
                200,
                json!({ "medium": "email", "address": "alice@example.org", "mxid": question.body["mxid"],
                    "not_before": 0, "not_after": 1, "ts": 0, "signatures": {} }),
            ),
            "api/v1/3pid/bind" => (200, json!({ "medium": "email", "address": "alice@example.org" })),
            "v2/3pid/bind" => (403, json!({ "errcode": "M_TERMS_NOT_SIGNED", "error": "Sign this" })),
            "v2/3pid/unbind" => (200, json!({})),
            _ => (404, json!("what?")),
        }
    })
    .await
}

fn trusts(config: &mut Config, identity: &StandIn) {
    config.federation.allow_loopback = true;
    config.identity.trusted_servers = vec![format!("http://{}", identity.name)];
}

fn credentials(identity: &StandIn, sid: &str) -> Value {
    json!({ "sid": sid, "client_secret": "s1", "id_server": identity.name, "id_access_token": "t1" })
}

on_both_databases! {
    async fn an_identity_server_checks_addresses_where_this_one_does_not(server: Server) {
        let (mut server, identity) = (server, identity_server().await);
        server.restart_with(|config| trusts(config, &identity)).await;
        let stranger = server.stranger();
        let mut body = json!({ "email": "Alice@example.org", "client_secret": "s1", "send_attempt": 3,
            "id_server": identity.name, "id_access_token": "t1" });
        let begun = stranger.post("/v3/register/email/requestToken", body.clone()).await.ok();
        assert_eq!(begun, json!({ "sid": "good" }));
        let asked = identity.newest();
        assert_eq!(asked.what, "POST /_matrix/identity/v2/validate/email/requestToken");
        assert_eq!(asked.authorization.as_deref(), Some("Bearer t1"));
        let passed_on = json!({ "email": "alice@example.org", "client_secret": "s1", "send_attempt": 3 });
        assert_eq!(asked.body, passed_on);
        // A client of 2015 has no token for it.
        body.as_object_mut().expect("an object").remove("id_access_token");
        stranger.post("/r0/register/email/requestToken", body).await.ok();
        assert_eq!(identity.newest().what, "POST /_matrix/identity/api/v1/validate/email/requestToken");
        let mut bad = phone("07700900001", "s1");
        (bad["id_server"], bad["id_access_token"]) = (identity.name.as_str().into(), "t1".into());
        stranger.post("/v3/register/msisdn/requestToken", bad).await.refused(503, "M_UNKNOWN");
        assert_eq!(identity.newest().body["phone_number"], "+447700900001");

        let alice = user(&server, "alice").await;
        for wrong in ["unknown", "worse"] {
            let body = json!({ "threePidCreds": credentials(&identity, wrong) });
            alice.post("/v3/account/3pid", body).await.refused(403, "M_THREEPID_AUTH_FAILED");
        }
        let of_2015 = json!({ "sid": "good", "client_secret": "s1", "id_server": identity.name });
        alice.post("/v3/account/3pid", json!({ "threePidCreds": of_2015 })).await.ok();
        let asked = "GET /_matrix/identity/api/v1/3pid/getValidated3pid?sid=good&client_secret=s1";
        assert_eq!(identity.newest().what, asked);
        let added = alice.get("/v3/account/3pid").await.ok()["threepids"][0].clone();
        assert_eq!((&added["address"], &added["validated_at"]),
            (&json!("alice@example.org"), &json!(1_457_622_739_026_i64)));

        // By the word of the identity server, a new password.
        let auth = json!({ "type": "m.login.email.identity", "threepidCreds": [credentials(&identity, "good")] });
        stranger.post("/v3/account/password", json!({ "new_password": "better", "auth": auth })).await.ok();
        alice.get("/v3/account/whoami").await.refused(401, "M_UNKNOWN_TOKEN");
    }

    async fn clients_of_2015_register_and_log_in_by_the_word_of_an_identity_server(server: Server) {
        let (mut server, identity) = (server, identity_server().await);
        server.restart_with(|config| {
            trusts(config, &identity);
            config.registration.require = vec![Requirement::Email];
        }).await;
        let stage = "m.login.email.identity";
        let creds = |sid: &str| json!([{ "sid": sid, "clientSecret": "s1", "idServer": identity.name }]);
        let auth = json!({ "type": stage, "threepidCreds": creds("good") });
        let mut body = json!({ "username": "alice", "password": "secret", "bind_email": "yes", "auth": auth });
        server.stranger().post("/v2_alpha/register", body.clone()).await.refused(400, "M_BAD_JSON");
        body["bind_email"] = true.into();
        let made = server.stranger().post("/v2_alpha/register", body).await.ok();
        let bound = identity.newest();
        assert_eq!(bound.what, "POST /_matrix/identity/api/v1/3pid/bind");
        assert_eq!(bound.body, json!({ "sid": "good", "client_secret": "s1", "mxid": "@alice:hearth.test" }));

        let flows = server.stranger().get("/api/v1/login").await.ok();
        assert!(flows["flows"].as_array().is_some_and(|flows| flows.contains(&json!({ "type": stage }))), "{flows}");
        let login = async |sid: &str, user: &str| {
            let body = json!({ "type": stage, "user": user, "threepidCreds": creds(sid) });
            server.stranger().post("/api/v1/login", body).await
        };
        let session = login("good", "alice").await.ok();
        assert_eq!(session["user_id"], made["user_id"]);
        login("good", "bob").await.refused(403, "M_FORBIDDEN");
        login("unknown", "alice").await.refused(403, "M_FORBIDDEN");
        let other = json!({ "type": stage, "threepidCreds": [{ "sid": "good", "clientSecret": "s1", "idServer": "evil.test" }] });
        server.stranger().post("/api/v1/login", other).await.refused(400, "M_SERVER_NOT_TRUSTED");
        server.stranger().post("/api/v1/login", json!({ "type": stage })).await.refused(400, "M_BAD_JSON");
    }

    async fn no_other_identity_server_is_asked(server: Server) {
        let (mut server, identity) = (server, identity_server().await);
        let other = identity_server().await;
        server.restart_with(|config| trusts(config, &identity)).await;
        let alice = user(&server, "alice").await;
        let name = identity.name.as_str();
        for id_server in [other.name.as_str(), "127.0.0.1", "169.254.169.254", "localhost", "", "x@127.0.0.1",
            &format!("{name}@evil.test"), &format!("{name}/.."), &format!("{name}?"), &format!("evil.test#{name}"), "evil.test\r\nX: y"] {
            let mut creds = credentials(&identity, "good");
            creds["id_server"] = id_server.into();
            let body = json!({ "three_pid_creds": creds });
            alice.post("/v3/account/3pid", body).await.refused(400, "M_SERVER_NOT_TRUSTED");
            alice.post("/v3/account/3pid/bind", creds).await.refused(400, "M_SERVER_NOT_TRUSTED");
            let body = json!({ "email": "a@example.org", "client_secret": "s1", "send_attempt": 1,
                "id_server": id_server, "id_access_token": "t1" });
            alice.post("/v3/account/3pid/email/requestToken", body).await.refused(400, "M_SERVER_NOT_TRUSTED");
            let body = json!({ "medium": "email", "address": "a@example.org", "id_server": id_server });
            for path in ["delete", "unbind"] {
                let unbound = alice.post(&format!("/v3/account/3pid/{path}"), body.clone()).await.ok();
                assert_eq!(unbound["id_server_unbind_result"], "no-support");
            }
        }
        assert!(identity.questions().is_empty() && other.questions().is_empty());
        // Not even one that the operator trusts, if it is inside.
        server.restart_with(|config| config.federation.allow_loopback = false).await;
        let mut alice = alice;
        alice.moves_to(&server);
        let body = json!({ "three_pid_creds": credentials(&identity, "good") });
        alice.post("/v3/account/3pid", body).await.refused(503, "M_UNKNOWN");
        alice.post("/v3/account/3pid/bind", credentials(&identity, "good")).await.refused(503, "M_UNKNOWN");
        assert!(identity.questions().is_empty());
    }

    async fn whoever_sends_mail_takes_no_identity_servers_word_for_it(server: Server) {
        let (mut server, identity) = (server, identity_server().await);
        let mailbox = Mailbox::open().await;
        server.restart_with(|config| { mailbox.serves(config); trusts(config, &identity); }).await;
        let alice = user(&server, "alice").await;
        add(&server, &mailbox, &alice, "alice@example.org").await;
        let auth = json!({ "type": "m.login.email.identity", "threepid_creds": credentials(&identity, "good") });
        let body = json!({ "new_password": "better", "auth": auth });
        server.stranger().post("/v3/account/password", body).await.refused(401, "M_UNAUTHORIZED");
        // The identity server that a client names is of no importance then.
        let body = json!({ "email": "bob@example.org", "client_secret": "s1", "send_attempt": 1,
            "id_server": "evil.test", "id_access_token": "t1" });
        server.stranger().post("/v3/register/email/requestToken", body).await.ok();
        mailbox.newest("bob@example.org");
    }

    async fn addresses_are_bound_and_unbound(server: Server) {
        let (mut server, identity) = (server, identity_server().await);
        server.restart_with(|config| trusts(config, &identity)).await;
        let alice = user(&server, "alice").await;
        let refused = alice.post("/v3/account/3pid/bind", credentials(&identity, "other")).await;
        assert_eq!(refused.refused(403, "M_TERMS_NOT_SIGNED")["error"], "Sign this");
        alice.post("/v3/account/3pid/bind", credentials(&identity, "good")).await.ok();
        let asked = identity.newest();
        assert_eq!(asked.body, json!({ "sid": "good", "client_secret": "s1", "mxid": "@alice:hearth.test" }));
        assert_eq!(asked.authorization.as_deref(), Some("Bearer t1"));
        // The server knows where it is bound.
        let body = json!({ "medium": "email", "address": "ALICE@example.org" });
        let unbound = alice.post("/v3/account/3pid/unbind", body.clone()).await.ok();
        assert_eq!(unbound["id_server_unbind_result"], "success");
        let asked = identity.newest();
        let threepid = json!({ "medium": "email", "address": "alice@example.org" });
        assert_eq!(asked.body, json!({ "mxid": "@alice:hearth.test", "threepid": threepid }));
        let authorization = asked.authorization.expect("a signature");
        let begins = format!("X-Matrix origin=\"hearth.test\",destination=\"{}\",key=\"ed25519:", identity.name);
        assert!(authorization.starts_with(&begins), "{authorization}");
        let again = alice.post("/v3/account/3pid/unbind", body).await.ok();
        assert_eq!(again["id_server_unbind_result"], "no-support");

        // 2015: added and bound at once. Who goes is forgotten.
        let body = json!({ "threePidCreds": credentials(&identity, "good"), "bind": true });
        alice.post("/r0/account/3pid", body).await.ok();
        assert!(identity.newest().what.ends_with("/3pid/bind"));
        let closed = with_password(&alice, "/v3/account/deactivate", json!({})).await;
        assert_eq!(closed["id_server_unbind_result"], "success");
        assert_eq!(identity.newest().body["threepid"]["address"], "alice@example.org");
        let bob = user(&server, "bob").await;
        let body = json!({ "three_pid_creds": credentials(&identity, "good") });
        bob.post("/v3/account/3pid", body).await.ok();
    }

    async fn a_phone_gets_a_code_that_people_type(server: Server) {
        let mut server = server;
        let gateway = StandIn::open(|question| match question.body["to"].as_str() {
            Some("+447700900009") => (500, json!({})),
            _ => (202, json!({})),
        }).await;
        let url = format!("http://{}/send", gateway.name);
        server.restart_with(|config| {
            config.federation.allow_loopback = true;
            config.sms.url = Some(url);
            config.sms.token = Some(toml::Value::String("t2".to_owned()).try_into().expect("a token"));
            config.well_known.client = Some("https://hearth.test/".to_owned());
        }).await;
        let alice = user(&server, "alice").await;
        let path = "/v3/account/3pid/msisdn/requestToken";
        let begun = server.stranger().post(path, phone("07700 900001", "s1")).await.ok();
        assert_eq!(begun["submit_url"], "https://hearth.test/_hearth/client/msisdn/submit_token");
        server.stranger().post(path, phone("+44 7700 900 001", "s1")).await.ok();
        assert_eq!(gateway.questions().len(), 1);
        let asked = gateway.newest();
        assert_eq!(asked.body["to"], "+447700900001");
        assert_eq!(asked.authorization.as_deref(), Some("Bearer t2"));
        let text = asked.body["text"].as_str().expect("a text");
        let code = text.split(' ').next().expect("a code");
        assert!(code.len() == 6 && code.bytes().all(|byte| byte.is_ascii_digit()), "{text}");
        let mut shown = json!({ "sid": begun["sid"], "client_secret": "s1", "token": "000000" });
        let submit = async |shown: &Value| {
            let path = "/_hearth/client/msisdn/submit_token";
            server.stranger().ask(reqwest::Method::POST, path, Some(&shown.to_string())).await
        };
        submit(&shown).await.refused(400, "M_TOKEN_INCORRECT");
        shown["token"] = format!(" {code} ").into();
        assert_eq!(submit(&shown).await.ok(), json!({ "success": true }));
        let given = json!({ "sid": begun["sid"], "client_secret": "s1" });
        with_password(&alice, "/v3/account/3pid/add", given).await;
        for identifier in [
            json!({ "type": "m.id.phone", "country": "GB", "phone": "07700 900001" }),
            json!({ "type": "m.id.phone", "country": "FR", "number": "+447700900001" }),
            json!({ "type": "m.id.thirdparty", "medium": "msisdn", "address": "447700900001" }),
        ] {
            let login = json!({ "type": "m.login.password", "identifier": identifier, "password": "secret" });
            assert_eq!(server.stranger().post("/v3/login", login).await.ok()["user_id"], "@alice:hearth.test");
        }
        let body = phone("07700900009", "s1");
        server.stranger().post(path, body).await.refused(503, "M_UNKNOWN");
        for (key, wrong) in [("country", "ZZ"), ("phone_number", "12"), ("phone_number", "07700\r\n900001")] {
            let mut body = phone("07700900002", "s1");
            body[key] = wrong.into();
            server.stranger().post(path, body).await.refused(400, "M_INVALID_PARAM");
        }
        // A new password by phone.
        let path = "/v3/account/password/msisdn/requestToken";
        let begun = server.stranger().post(path, phone("07700900001", "s2")).await.ok();
        let text = gateway.newest().body["text"].as_str().expect("a text").to_owned();
        let code = text.split(' ').next().expect("a code");
        submit(&json!({ "sid": begun["sid"], "client_secret": "s2", "token": code })).await.ok();
        let given = json!({ "sid": begun["sid"], "client_secret": "s2" });
        let auth = json!({ "type": "m.login.msisdn", "threepid_creds": given });
        let body = json!({ "new_password": "better", "auth": auth });
        server.stranger().post("/v3/account/password", body).await.ok();
        alice.get("/v3/account/whoami").await.refused(401, "M_UNKNOWN_TOKEN");
    }
}
