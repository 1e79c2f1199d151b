//! A new password for whoever has forgotten the old one, and has an address.

use serde_json::{Value, json};

use crate::{
    harness::{Server, on_both_databases},
    login::{by_password, device, user},
    mailbox::{Mailbox, add, confirmed, wanting},
};

const PASSWORD: &str = "/v3/account/password";

fn by_address(credentials: &Value, new_password: &str) -> Value {
    let auth = json!({ "type": "m.login.email.identity", "threepid_creds": credentials });
    json!({ "new_password": new_password, "auth": auth })
}

async fn logs_in(server: &Server, password: &str) -> u16 {
    server.stranger().post("/v3/login", by_password("alice", password)).await.status
}

on_both_databases! {
    async fn whoever_has_the_address_gets_a_new_password(server: Server) {
        let (mut server, mailbox) = (server, Mailbox::open().await);
        server.restart_with(|config| mailbox.serves(config)).await;
        let alice = user(&server, "alice").await;
        add(&server, &mailbox, &alice, "alice@example.org").await;
        let stranger = server.stranger();
        let asked = stranger.post(PASSWORD, json!({ "new_password": "better" })).await;
        assert_eq!((asked.status, &asked.body["flows"]), (401, &json!([{ "stages": ["m.login.email.identity"] }])));
        let begun = stranger.post("/v3/account/password/email/requestToken", wanting("ALICE@example.org", "s1")).await.ok();
        let mail = mailbox.newest("alice@example.org");
        assert!(mail.text.replace('\n', " ").contains("the account @alice:hearth.test on hearth.test"), "{}", mail.text);
        let credentials = json!({ "sid": begun["sid"], "client_secret": "s1" });
        stranger.post(PASSWORD, by_address(&credentials, "better")).await.refused(401, "M_UNAUTHORIZED");
        assert_eq!(logs_in(&server, "better").await, 403);
        assert_eq!(crate::mailbox::press(&server, &mail.link()).await.0, 200);
        stranger.post(PASSWORD, by_address(&credentials, "better")).await.ok();
        alice.get("/v3/account/whoami").await.refused(401, "M_UNKNOWN_TOKEN");
        assert_eq!((logs_in(&server, "secret").await, logs_in(&server, "better").await), (403, 200));
        // One mail, one password.
        stranger.post(PASSWORD, by_address(&credentials, "worse")).await.refused(401, "M_UNAUTHORIZED");
        assert_eq!(logs_in(&server, "better").await, 200);
    }

    async fn of_many_at_once_one_sets_the_password(server: Server) {
        let (mut server, mailbox) = (server, Mailbox::open().await);
        server.restart_with(|config| mailbox.serves(config)).await;
        let alice = user(&server, "alice").await;
        add(&server, &mailbox, &alice, "alice@example.org").await;
        let credentials = confirmed(&server, &mailbox, "/v3/account/password", "alice@example.org").await;
        let asking = (0..4).map(|n| {
            let (stranger, body) = (server.stranger(), by_address(&credentials, &format!("better{n}")));
            tokio::spawn(async move { stranger.post(PASSWORD, body).await.status })
        });
        let mut set = 0;
        for status in asking.collect::<Vec<_>>() {
            set += usize::from(status.await.expect("a reply") == 200);
        }
        assert_eq!(set, 1);
    }

    async fn sessions_stay_if_that_is_wanted(server: Server) {
        let (mut server, mailbox) = (server, Mailbox::open().await);
        server.restart_with(|config| mailbox.serves(config)).await;
        let alice = user(&server, "alice").await;
        let tablet = device(&server, "alice", "TABLET").await;
        add(&server, &mailbox, &alice, "alice@example.org").await;
        let credentials = confirmed(&server, &mailbox, "/v3/account/password", "alice@example.org").await;
        let mut body = by_address(&credentials, "better");
        body["logout_devices"] = false.into();
        server.stranger().post("/r0/account/password", body).await.ok();
        tablet.get("/v3/account/whoami").await.ok();
        assert_eq!(logs_in(&server, "better").await, 200);
    }

    async fn nobody_elses_address_helps(server: Server) {
        let (mut server, mailbox) = (server, Mailbox::open().await);
        server.restart_with(|config| mailbox.serves(config)).await;
        let (alice, mallory) = (user(&server, "alice").await, user(&server, "mallory").await);
        add(&server, &mailbox, &alice, "alice@example.org").await;
        add(&server, &mailbox, &mallory, "mallory@example.org").await;
        let stranger = server.stranger();
        let path = "/v3/account/password/email/requestToken";
        stranger.post(path, wanting("nobody-here@example.org", "s1")).await.refused(400, "M_THREEPID_NOT_FOUND");
        // A letter that only looks like it is another address.
        stranger.post(path, wanting("al\u{131}ce@example.org", "s1")).await.refused(400, "M_THREEPID_NOT_FOUND");
        let theirs = confirmed(&server, &mailbox, "/v3/account/password", "mallory@example.org").await;
        for body in [
            by_address(&json!({ "sid": theirs["sid"], "client_secret": "other" }), "better"),
            by_address(&json!({ "sid": "other", "client_secret": theirs["client_secret"] }), "better"),
        ] {
            stranger.post(PASSWORD, body).await.refused(401, "M_UNAUTHORIZED");
        }
        let wrong_medium = json!({ "type": "m.login.msisdn", "threepid_creds": theirs });
        let body = json!({ "new_password": "better", "auth": wrong_medium });
        stranger.post(PASSWORD, body).await.refused(401, "M_UNRECOGNIZED");
        // The address goes to somebody else before the password is set.
        let body = json!({ "medium": "email", "address": "mallory@example.org" });
        mallory.post("/v3/account/3pid/delete", body).await.ok();
        stranger.post(PASSWORD, by_address(&theirs, "better")).await.refused(404, "M_NOT_FOUND");
        for (body, errcode) in [
            (json!({ "auth": { "type": "m.login.email.identity" } }), "M_MISSING_PARAM"),
            (json!({ "auth": { "type": "m.login.email.identity", "threepid_creds": 1 } }), "M_BAD_JSON"),
            (json!({ "new_password": 1 }), "M_BAD_JSON"),
        ] {
            stranger.post(PASSWORD, body).await.refused(400, errcode);
        }
        assert_eq!(logs_in(&server, "secret").await, 200);
    }

    async fn a_session_is_for_one_new_password(server: Server) {
        let (mut server, mailbox) = (server, Mailbox::open().await);
        server.restart_with(|config| mailbox.serves(config)).await;
        let alice = user(&server, "alice").await;
        add(&server, &mailbox, &alice, "alice@example.org").await;
        let credentials = confirmed(&server, &mailbox, "/v3/account/password", "alice@example.org").await;
        let stranger = server.stranger();
        let session = stranger.post(PASSWORD, json!({ "new_password": "better" })).await.body["session"].clone();
        let mut body = by_address(&credentials, "worse");
        body["auth"]["session"] = session.clone();
        stranger.post(PASSWORD, body.clone()).await.refused(401, "M_UNKNOWN");
        body["new_password"] = "".into();
        body["auth"]["session"] = Value::Null;
        stranger.post(PASSWORD, body.clone()).await.refused(400, "M_WEAK_PASSWORD");
        body["new_password"] = "better".into();
        body["auth"]["session"] = session;
        stranger.post(PASSWORD, body).await.ok();
        assert_eq!(logs_in(&server, "better").await, 200);
    }

    async fn a_client_of_2015_does_all_of_it_as_well(server: Server) {
        let (mut server, mailbox) = (server, Mailbox::open().await);
        server.restart_with(|config| mailbox.serves(config)).await;
        let alice = user(&server, "alice").await;
        let given = confirmed(&server, &mailbox, "/v3/account/3pid", "alice@example.org").await;
        let body = json!({ "threePidCreds": { "sid": given["sid"], "clientSecret": given["client_secret"],
            "idServer": "hearth.test" } });
        assert_eq!(alice.post("/v2_alpha/account/3pid", body).await.ok(), json!({}));
        let listed = alice.get("/v2_alpha/account/3pid").await.ok()["threepids"].clone();
        assert_eq!((&listed[0]["medium"], &listed[0]["address"]), (&json!("email"), &json!("alice@example.org")));
        let given = confirmed(&server, &mailbox, "/v3/account/password", "alice@example.org").await;
        let auth = json!({ "type": "m.login.email.identity", "threepidCreds": [given] });
        let body = json!({ "new_password": "better", "auth": auth });
        assert_eq!(server.stranger().post("/v2_alpha/account/password", body).await.ok(), json!({}));
        assert_eq!(logs_in(&server, "better").await, 200);
    }
}
