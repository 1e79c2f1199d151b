//! Addresses of people: showing that one is theirs, and what an account has.

use std::time::Duration;

use homeserver::config::Requirement;
use serde_json::{Value, json};

use crate::{
    account::with_password,
    harness::on_both_databases,
    login::user,
    mailbox::{Mailbox, add, confirmed, page, press, register, wanting},
};

const ADD: &str = "/v3/account/3pid/add";
const SUBMIT: &str = "/_hearth/client/msisdn/submit_token";

on_both_databases! {
    async fn whoever_registers_with_an_address_has_it(server: Server) {
        let (mut server, mailbox) = (server, Mailbox::open().await);
        server.restart_with(|config| {
            mailbox.serves(config);
            config.registration.require = vec![Requirement::Email];
        }).await;
        let stranger = server.stranger();
        let asked = stranger.post("/v3/register", json!({ "username": "alice" })).await.body;
        assert_eq!(asked["flows"], json!([{ "stages": ["m.login.email.identity"] }]));
        let begun = stranger.post("/v3/register/email/requestToken", wanting("Alice@example.org", "s1")).await.ok();
        let credentials = json!({ "sid": begun["sid"], "client_secret": "s1" });
        // Clients ask until somebody has followed the link.
        register(&server, "alice", &credentials).await.refused(401, "M_UNAUTHORIZED");
        assert_eq!(press(&server, &mailbox.newest("alice@example.org").link()).await.0, 200);
        let made = register(&server, "alice", &credentials).await.ok();
        let mut alice = stranger.clone();
        alice.token = made["access_token"].as_str().expect("a token").to_owned();
        let threepids = alice.get("/r0/account/3pid").await.ok()["threepids"].clone();
        assert_eq!((&threepids[0]["medium"], &threepids[0]["address"], &threepids[1]),
            (&json!("email"), &json!("alice@example.org"), &Value::Null));
        for identifier in [
            json!({ "type": "m.id.thirdparty", "medium": "email", "address": "ALICE@example.org" }),
            json!({ "type": "m.id.thirdparty", "medium": "email", "address": "alice@example.org" }),
        ] {
            let login = json!({ "type": "m.login.password", "identifier": identifier, "password": "secret" });
            assert_eq!(stranger.post("/v3/login", login).await.ok()["user_id"], "@alice:hearth.test");
        }
        let login = json!({ "type": "m.login.password", "medium": "email", "address": "alice@example.org",
            "password": "secret" });
        assert_eq!(stranger.post("/r0/login", login.clone()).await.ok()["user_id"], "@alice:hearth.test");
        for (address, password) in [("bob@example.org", "secret"), ("alice@example.org", "wrong"), ("x", "x")] {
            let mut login = login.clone();
            (login["address"], login["password"]) = (address.into(), password.into());
            stranger.post("/v3/login", login).await.refused(403, "M_FORBIDDEN");
        }
        stranger.post("/v3/register", json!({ "username": "bob", "auth": { "type": "m.login.dummy" } })).await
            .refused(401, "M_UNRECOGNIZED");
    }

    async fn clients_may_ask_again_and_again_whether_it_was_confirmed(server: Server) {
        let (mut server, mailbox) = (server, Mailbox::open().await);
        server.restart_with(|config| {
            mailbox.serves(config);
            config.limits.enabled = true;
            config.registration.require = vec![Requirement::Email];
        }).await;
        let path = "/v3/register/email/requestToken";
        let begun = server.stranger().post(path, wanting("alice@example.org", "s1")).await.ok();
        let credentials = json!({ "sid": begun["sid"], "client_secret": "s1" });
        for _ in 0..60 {
            register(&server, "alice", &credentials).await.refused(401, "M_UNAUTHORIZED");
        }
        press(&server, &mailbox.newest("alice@example.org").link()).await;
        register(&server, "alice", &credentials).await.ok();
        // Who asks for something else has no more than before.
        let wrong = json!({ "sid": begun["sid"], "client_secret": "s2" });
        let mut asked = 0;
        while register(&server, "bob", &wrong).await.status == 401 {
            asked += 1;
            assert!(asked < 20, "{asked} times");
        }
    }

    async fn an_address_may_be_given_where_none_is_required(server: Server) {
        let (mut server, mailbox) = (server, Mailbox::open().await);
        server.restart_with(|config| mailbox.serves(config)).await;
        let asked = server.stranger().post("/v3/register", json!({})).await.body;
        let flows = json!([{ "stages": ["m.login.dummy"] }, { "stages": ["m.login.email.identity", "m.login.dummy"] }]);
        assert_eq!(asked["flows"], flows);
        let credentials = confirmed(&server, &mailbox, "/v3/register", "alice@example.org").await;
        let auth = json!({ "type": "m.login.email.identity", "threepid_creds": credentials,
            "session": asked["session"] });
        let begun = server.stranger().post("/v3/register", json!({ "username": "alice", "auth": auth })).await;
        assert_eq!((begun.status, &begun.body["completed"]), (401, &json!(["m.login.email.identity"])));
        let auth = json!({ "type": "m.login.dummy", "session": asked["session"] });
        let made = server.stranger().post("/v3/register", json!({ "username": "alice", "auth": auth })).await.ok();
        let mut alice = server.stranger();
        alice.token = made["access_token"].as_str().expect("a token").to_owned();
        assert_eq!(alice.get("/v3/account/3pid").await.ok()["threepids"][0]["address"], "alice@example.org");
    }

    async fn looking_at_the_link_confirms_nothing(server: Server) {
        let (mut server, mailbox) = (server, Mailbox::open().await);
        server.restart_with(|config| mailbox.serves(config)).await;
        let alice = user(&server, "alice").await;
        let path = "/v3/account/3pid/email/requestToken";
        let begun = server.stranger().post(path, wanting("alice@example.org", "s1")).await.ok();
        let link = mailbox.newest("alice@example.org").link();
        for _ in 0..3 {
            let (status, text) = page(&server, &link).await;
            assert!(status == 200 && text.contains("alice@example.org") && text.contains("<button"), "{text}");
        }
        let credentials = json!({ "sid": begun["sid"], "client_secret": "s1", "three_pid_creds": null });
        let body = json!({ "threePidCreds": credentials });
        alice.post("/r0/account/3pid", body.clone()).await.refused(403, "M_THREEPID_AUTH_FAILED");
        assert_eq!(press(&server, &link).await.0, 200);
        alice.post("/r0/account/3pid", body).await.ok();
        // The link of somebody else's imagination.
        for link in ["/_hearth/client/email/confirm", "/_hearth/client/email/confirm?sid=%00&client_secret=x&token=x",
            "/_hearth/client/email/confirm?sid=<script>&client_secret=x&token=\"><script>"] {
            let (_, text) = page(&server, link).await;
            assert!(!text.contains("<script>") && !text.contains("<button"), "{text}");
        }
    }

    async fn a_wrong_secret_or_token_confirms_nothing(server: Server) {
        let (mut server, mailbox) = (server, Mailbox::open().await);
        server.restart_with(|config| mailbox.serves(config)).await;
        let stranger = server.stranger();
        let path = "/v3/account/3pid/email/requestToken";
        stranger.post(path, wanting("alice@example.org", "s1")).await.ok();
        let shown = mailbox.newest("alice@example.org").shown();
        let submit = async |shown: &Value| {
            stranger.ask(reqwest::Method::POST, SUBMIT, Some(&shown.to_string())).await
        };
        for (key, value, errcode) in [
            ("client_secret", "s2", "M_SESSION_EXPIRED"),
            ("client_secret", "", "M_SESSION_EXPIRED"),
            ("sid", "unknown", "M_SESSION_EXPIRED"),
            ("sid", "a\u{0}b", "M_SESSION_EXPIRED"),
            ("token", "", "M_TOKEN_INCORRECT"),
            ("token", "wrong", "M_TOKEN_INCORRECT"),
        ] {
            let mut wrong = shown.clone();
            wrong[key] = value.into();
            submit(&wrong).await.refused(400, errcode);
        }
        let mut wrong = shown.clone();
        wrong["token"] = "x".repeat(100_000).into();
        submit(&wrong).await.refused(400, "M_TOKEN_INCORRECT");
        for (key, errcode) in [("sid", "M_MISSING_PARAM"), ("token", "M_MISSING_PARAM")] {
            let mut body = shown.clone();
            body.as_object_mut().expect("an object").remove(key);
            submit(&body).await.refused(400, errcode);
            body[key] = json!(1);
            submit(&body).await.refused(400, "M_BAD_JSON");
        }
        // The right one comes too late after ten wrong ones.
        for _ in 0..7 {
            wrong["token"] = "wrong".into();
            submit(&wrong).await.refused(400, "M_TOKEN_INCORRECT");
        }
        submit(&shown).await.refused(400, "M_SESSION_EXPIRED");
        // Who asks once more gets another session.
        let mut body = wanting("alice@example.org", "s1");
        body["send_attempt"] = 2.into();
        let again = stranger.post(path, body).await.ok();
        assert_ne!(again["sid"], shown["sid"]);
        let shown = mailbox.newest("alice@example.org").shown();
        assert_eq!(submit(&shown).await.ok(), json!({ "success": true }));
        assert_eq!(submit(&shown).await.ok(), json!({ "success": true }));
        submit(&wrong).await.refused(400, "M_SESSION_EXPIRED");
    }

    async fn a_link_is_good_for_an_hour_and_what_it_confirmed_for_a_day(server: Server) {
        let (mut server, mailbox) = (server, Mailbox::open().await);
        server.restart_with(|config| mailbox.serves(config)).await;
        let alice = user(&server, "alice").await;
        let path = "/v3/account/3pid/email/requestToken";
        server.stranger().post(path, wanting("alice@example.org", "s1")).await.ok();
        let link = mailbox.newest("alice@example.org").link();
        server.pass(Duration::from_secs(61 * 60));
        let (status, _, text) = press(&server, &link).await;
        assert_eq!(status, 400, "{text}");
        let mut body = wanting("alice@example.org", "s1");
        body["send_attempt"] = 2.into();
        server.stranger().post(path, body).await.ok();
        assert_eq!(press(&server, &mailbox.newest("alice@example.org").link()).await.0, 200);
        let shown = mailbox.newest("alice@example.org").shown();
        let credentials = json!({ "sid": shown["sid"], "client_secret": "s1" });
        server.pass(Duration::from_secs(25 * 60 * 60));
        let body = json!({ "three_pid_creds": credentials });
        alice.post("/v3/account/3pid", body).await.refused(403, "M_THREEPID_AUTH_FAILED");
    }

    async fn an_address_has_one_account(server: Server) {
        let (mut server, mailbox) = (server, Mailbox::open().await);
        server.restart_with(|config| mailbox.serves(config)).await;
        let (alice, bob) = (user(&server, "alice").await, user(&server, "bob").await);
        // Both have shown that it is theirs, one is faster.
        let first = confirmed(&server, &mailbox, "/v3/account/3pid", "us@example.org").await;
        let second = confirmed(&server, &mailbox, "/v3/account/3pid", "us@example.org").await;
        let third = confirmed(&server, &mailbox, "/v3/register", "us@example.org").await;
        with_password(&alice, ADD, first.clone()).await;
        let body = json!({ "three_pid_creds": second });
        bob.post("/v3/account/3pid", body).await.refused(400, "M_THREEPID_IN_USE");
        server.restart_with(|config| config.registration.require = vec![Requirement::Email]).await;
        register(&server, "carol", &third).await.refused(400, "M_THREEPID_IN_USE");
        let available = server.stranger().get("/v3/register/available?username=carol").await.ok();
        assert_eq!(available["available"], true);
        for path in ["register", "account/3pid"] {
            let path = format!("/v3/{path}/email/requestToken");
            let refused = server.stranger().post(&path, wanting("Us@example.org", "s9")).await;
            refused.refused(400, "M_THREEPID_IN_USE");
        }
        // A session is good once.
        let (mut alice, mut bob) = (alice, bob);
        alice.moves_to(&server);
        bob.moves_to(&server);
        let body = json!({ "medium": "email", "address": "US@example.org" });
        alice.post("/v3/account/3pid/delete", body).await.ok();
        let body = json!({ "three_pid_creds": first });
        bob.post("/v3/account/3pid", body).await.refused(403, "M_THREEPID_AUTH_FAILED");
    }

    async fn a_session_is_good_for_what_it_was_asked_for(server: Server) {
        let (mut server, mailbox) = (server, Mailbox::open().await);
        server.restart_with(|config| mailbox.serves(config)).await;
        let alice = user(&server, "alice").await;
        let registering = confirmed(&server, &mailbox, "/v3/register", "alice@example.org").await;
        let body = json!({ "three_pid_creds": registering });
        alice.post("/v3/account/3pid", body).await.refused(403, "M_THREEPID_AUTH_FAILED");
        let adding = confirmed(&server, &mailbox, "/v3/account/3pid", "alice@example.org").await;
        server.restart_with(|config| config.registration.require = vec![Requirement::Email]).await;
        register(&server, "bob", &adding).await.refused(401, "M_UNAUTHORIZED");
        let mut alice = alice;
        alice.moves_to(&server);
        with_password(&alice, ADD, adding).await;
        // Who has the address of an account has it for what the mail said, and for no new password.
        let other = confirmed(&server, &mailbox, "/v3/account/3pid", "second@example.org").await;
        with_password(&alice, ADD, other.clone()).await;
        let auth = json!({ "type": "m.login.email.identity", "threepid_creds": other });
        let body = json!({ "new_password": "better", "auth": auth });
        server.stranger().post("/v3/account/password", body).await.refused(401, "M_UNAUTHORIZED");
    }

    async fn an_address_comes_and_goes(server: Server) {
        let (mut server, mailbox) = (server, Mailbox::open().await);
        let alice = user(&server, "alice").await;
        let enabled = async |user: &crate::harness::User| {
            user.get("/v3/capabilities").await.ok()["capabilities"]["m.3pid_changes"]["enabled"].clone()
        };
        assert_eq!(enabled(&alice).await, false);
        server.restart_with(|config| mailbox.serves(config)).await;
        let mut alice = alice;
        alice.moves_to(&server);
        assert_eq!(enabled(&alice).await, true);
        assert_eq!(alice.get("/v3/account/3pid").await.ok(), json!({ "threepids": [] }));
        add(&server, &mailbox, &alice, "alice@example.org").await;
        server.pass(Duration::from_secs(60));
        add(&server, &mailbox, &alice, "second@example.org").await;
        let threepids = alice.get("/v3/account/3pid").await.ok()["threepids"].clone();
        let addresses: Vec<_> = threepids.as_array().into_iter().flatten().map(|it| &it["address"]).collect();
        assert_eq!(addresses, ["alice@example.org", "second@example.org"]);
        for (address, result) in [("Alice@example.org", "no-support"), ("nobody@example.org", "no-support")] {
            let body = json!({ "medium": "email", "address": address });
            let deleted = alice.post("/v3/account/3pid/delete", body).await.ok();
            assert_eq!(deleted["id_server_unbind_result"], result);
        }
        let threepids = alice.get("/v3/account/3pid").await.ok()["threepids"].clone();
        assert_eq!((&threepids[0]["address"], threepids.as_array().map(Vec::len)), (&json!("second@example.org"), Some(1)));
        // Nobody removes what is somebody else's.
        let bob = user(&server, "bob").await;
        let body = json!({ "medium": "email", "address": "second@example.org" });
        bob.post("/v3/account/3pid/delete", body).await.ok();
        assert_eq!(alice.get("/v3/account/3pid").await.ok()["threepids"], threepids);
        for (body, errcode) in [
            (json!({ "address": "a@b.c" }), "M_MISSING_PARAM"),
            (json!({ "medium": "email" }), "M_MISSING_PARAM"),
            (json!({ "medium": "fax", "address": "1" }), "M_INVALID_PARAM"),
            (json!({ "medium": "email", "address": "1" }), "M_INVALID_PARAM"),
            (json!({ "medium": 1, "address": "1" }), "M_BAD_JSON"),
        ] {
            for path in ["delete", "unbind"] {
                bob.post(&format!("/v3/account/3pid/{path}"), body.clone()).await.refused(400, errcode);
            }
        }
        let guest = server.guest("visitor").await;
        guest.get("/v3/account/3pid").await.refused(403, "M_GUEST_ACCESS_FORBIDDEN");
        server.stranger().get("/v3/account/3pid").await.refused(401, "M_MISSING_TOKEN");
    }

    async fn credentials_are_understood_as_they_have_ever_been_written(server: Server) {
        let (mut server, mailbox) = (server, Mailbox::open().await);
        server.restart_with(|config| mailbox.serves(config)).await;
        let alice = user(&server, "alice").await;
        for (n, name) in ["threePidCreds", "threepidCreds", "three_pid_creds", "threepid_creds"].iter().enumerate() {
            let mut given = confirmed(&server, &mailbox, "/v3/account/3pid", &format!("a{n}@example.org")).await;
            if n % 2 == 1 {
                given["clientSecret"] = given["client_secret"].take();
                given["idServer"] = "hearth.test".into();
                given.as_object_mut().expect("an object").remove("client_secret");
                given = json!([given]);
            }
            alice.post("/r0/account/3pid", json!({ *name: given, "bind": false })).await.ok();
        }
        assert_eq!(alice.get("/v3/account/3pid").await.ok()["threepids"].as_array().map(Vec::len), Some(4));
        for (body, errcode) in [
            (json!({}), "M_MISSING_PARAM"),
            (json!({ "three_pid_creds": 1 }), "M_BAD_JSON"),
            (json!({ "three_pid_creds": [] }), "M_BAD_JSON"),
            (json!({ "three_pid_creds": {} }), "M_MISSING_PARAM"),
            (json!({ "three_pid_creds": { "sid": "a/b", "client_secret": "x" } }), "M_INVALID_PARAM"),
            (json!({ "three_pid_creds": { "sid": "a", "client_secret": "x" }, "bind": "yes" }), "M_BAD_JSON"),
        ] {
            alice.post("/v3/account/3pid", body).await.refused(400, errcode);
        }
    }

    async fn people_are_sent_on_only_where_the_operator_says(server: Server) {
        let (mut server, mailbox) = (server, Mailbox::open().await);
        server.restart_with(|config| mailbox.serves(config)).await;
        let asking = |link: &str, secret: &str| {
            let mut body = wanting("alice@example.org", secret);
            body["next_link"] = link.into();
            body
        };
        let path = "/v3/register/email/requestToken";
        for wrong in ["javascript:alert(1)", "data:text/html,x", "file:///etc/passwd", "//evil.test", "/path",
            "https://", "https://user:secret@app.test/", "https://app.test\r\nX: y/", &format!("https://app.test/{}", "x".repeat(3000))] {
            let reply = server.stranger().post(path, asking(wrong, "s1")).await;
            // A line end in a link is taken out, as browsers do.
            if !wrong.contains('\r') { reply.refused(400, "M_INVALID_PARAM"); }
        }
        let link = "https://app.test/#/register?a=1&b=\"><script>";
        server.stranger().post(path, asking(link, "s2")).await.ok();
        let (status, location, text) = press(&server, &mailbox.newest("alice@example.org").link()).await;
        assert_eq!((status, location), (200, None));
        assert!(text.contains("https://app.test/#/register?a=1&#38;b=") && !text.contains("<script>"), "{text}");
        server.restart_with(|config| config.email.next_link_hosts = vec!["app.test".to_owned()]).await;
        server.stranger().post(path, asking("https://evil.test/", "s3")).await.refused(400, "M_INVALID_PARAM");
        server.stranger().post(path, asking("https://app.test.evil.test/", "s3")).await.refused(400, "M_INVALID_PARAM");
        server.stranger().post(path, asking("https://APP.test/#/done", "s4")).await.ok();
        let (status, location, _) = press(&server, &mailbox.newest("alice@example.org").link()).await;
        assert_eq!((status, location.as_deref()), (303, Some("https://app.test/#/done")));
    }

    async fn nobody_learns_who_has_an_account_if_the_operator_says_so(server: Server) {
        let (mut server, mailbox) = (server, Mailbox::open().await);
        server.restart_with(|config| mailbox.serves(config)).await;
        let alice = user(&server, "alice").await;
        add(&server, &mailbox, &alice, "alice@example.org").await;
        server.restart_with(|config| config.email.hide_accounts = true).await;
        let stranger = server.stranger();
        for (path, address, subject) in [
            ("register", "alice@example.org", "You have an account on hearth.test already"),
            ("account/3pid", "alice@example.org", "You have an account on hearth.test already"),
            ("account/password", "bob@example.org", "You have no account with this address on hearth.test"),
        ] {
            let path = format!("/v3/{path}/email/requestToken");
            let begun = stranger.post(&path, wanting(address, "s1")).await.ok();
            assert!(begun["sid"].is_string(), "{begun}");
            let mail = mailbox.newest(address);
            assert!(mail.text.replace('\n', " ").contains(subject), "{}", mail.text);
            assert!(!mail.text.contains("https://"), "{}", mail.text);
        }
    }

    async fn a_closed_account_has_no_address(server: Server) {
        let (mut server, mailbox) = (server, Mailbox::open().await);
        server.restart_with(|config| mailbox.serves(config)).await;
        let alice = user(&server, "alice").await;
        add(&server, &mailbox, &alice, "alice@example.org").await;
        let closed = with_password(&alice, "/v3/account/deactivate", json!({})).await;
        assert_eq!(closed["id_server_unbind_result"], "success");
        let bob = user(&server, "bob").await;
        add(&server, &mailbox, &bob, "alice@example.org").await;
        assert_eq!(bob.get("/v3/account/3pid").await.ok()["threepids"][0]["address"], "alice@example.org");
    }

    async fn an_account_has_a_bounded_number_of_addresses(server: Server) {
        let (mut server, mailbox) = (server, Mailbox::open().await);
        server.restart_with(|config| mailbox.serves(config)).await;
        let alice = user(&server, "alice").await;
        for n in 0..=50 {
            let given = confirmed(&server, &mailbox, "/v3/account/3pid", &format!("a{n}@example.org")).await;
            let reply = alice.post("/v3/account/3pid", json!({ "three_pid_creds": given })).await;
            match n {
                50 => drop(reply.refused(403, "M_THREEPID_DENIED")),
                _ => drop(reply.ok()),
            }
        }
    }
}
