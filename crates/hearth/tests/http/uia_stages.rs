//! User-interactive authentication with several stages, on requests and on pages, and what its
//! sessions are bound to.

use std::time::Duration;

use homeserver::{
    accounts::uia::{
        self, Operation,
        fallback::{self, Completed, Form},
        stages,
    },
    config::{Requirement, Terms},
};
use serde_json::{Map, Value, json};

use crate::{
    account::password,
    harness::{Reply, Server, on_both_databases},
    login::user,
};

/// Requires a registration token and the agreement to terms.
async fn require_two(server: &mut Server) {
    server
        .restart_with(|config| {
            config.registration.require = vec![Requirement::Token, Requirement::Terms];
            config.registration.terms = vec![Terms {
                id: "privacy".to_owned(),
                version: "1.2".to_owned(),
                language: "en".to_owned(),
                name: "Privacy".to_owned(),
                url: "https://hearth.test/privacy".to_owned(),
            }];
        })
        .await;
    homeserver::accounts::admin::create_registration_token(
        &server.home,
        Some("sesame".to_owned()),
        None,
        None,
    )
    .await
    .expect("a token");
}

async fn register(server: &Server, auth: Value) -> Reply {
    server.stranger().post("/v3/register", json!({ "username": "alice", "auth": auth })).await
}

/// Posts the form of a page.
async fn form(server: &Server, stage: &str, session: &Value, fields: Value) -> homeserver::Answer<Completed> {
    let fields: Map<String, Value> = fields.as_object().cloned().expect("an object");
    fallback::complete(&server.home, stage, text(session), &fields, None).await
}

fn text(value: &Value) -> &str {
    value.as_str().expect("text")
}

const TOKEN: &str = "m.login.registration_token";
const TERMS: &str = "m.login.terms";

on_both_databases! {
    async fn a_page_completes_a_stage_and_the_client_comes_back_with_the_session(server: Server) {
        let mut server = server;
        require_two(&mut server).await;
        let session = register(&server, Value::Null).await.body["session"].clone();
        let page = fallback::look(&server.home, TOKEN, text(&session)).await.expect("a page");
        assert!(matches!(page.form, Form::RegistrationToken), "{page:?}");
        assert_eq!((page.wish, page.user), ("make an account", None));

        // Only the stage that comes next has a page.
        let early = fallback::look(&server.home, TERMS, text(&session)).await.expect_err("too early");
        assert_eq!(early.errcode, "M_UNRECOGNIZED");
        form(&server, TERMS, &session, json!({})).await.expect_err("too early");
        for never in ["m.login.dummy", "m.login.password", "m.login.magic", ""] {
            form(&server, never, &session, json!({})).await.expect_err(never);
        }

        let again = form(&server, TOKEN, &session, json!({ "token": "wrong" })).await.expect("an answer");
        assert!(matches!(again, Completed::Again(..)), "{again:?}");
        assert_eq!(register(&server, json!({ "session": session })).await.body["completed"], json!([]));
        form(&server, TOKEN, &session, json!({})).await.expect_err("no token");

        let done = form(&server, TOKEN, &session, json!({ "token": "sesame" })).await.expect("an answer");
        assert!(matches!(done, Completed::Done), "{done:?}");
        let page = fallback::look(&server.home, TOKEN, text(&session)).await.expect("a page");
        assert!(matches!(page.form, Form::Done), "{page:?}");
        let so_far = register(&server, json!({ "session": session })).await;
        assert_eq!((so_far.status, &so_far.body["completed"]), (401, &json!([TOKEN])));

        // What was proved outlives a restart.
        server.restart().await;
        let page = fallback::look(&server.home, TERMS, text(&session)).await.expect("a page");
        assert!(matches!(&page.form, Form::Terms(terms) if terms[0].id == "privacy"), "{page:?}");
        form(&server, TERMS, &session, json!({})).await.expect("an answer");
        let made = register(&server, json!({ "session": session })).await.ok();
        assert_eq!(made["user_id"], "@alice:hearth.test");
        let agreed = store::accounts::get(&server.home.db, "@alice:hearth.test").await.expect("an answer");
        assert!(agreed.is_some());
    }

    async fn stages_on_pages_and_in_requests_go_together(server: Server) {
        let mut server = server;
        require_two(&mut server).await;
        let session = register(&server, Value::Null).await.body["session"].clone();
        let auth = json!({ "type": TOKEN, "token": "sesame", "session": session });
        assert_eq!(register(&server, auth.clone()).await.body["completed"], json!([TOKEN]));
        // A stage that is completed is not asked again, whatever the client says.
        let wrong = json!({ "type": TOKEN, "token": "wrong", "session": session });
        let again = register(&server, wrong).await;
        assert_eq!((again.status, &again.body["completed"]), (401, &json!([TOKEN])));
        form(&server, TERMS, &session, json!({})).await.expect("an answer");
        register(&server, json!({ "type": TERMS, "session": session })).await.ok();
    }

    async fn a_page_knows_only_sessions_of_this_server_that_have_not_expired(server: Server) {
        let mut server = server;
        require_two(&mut server).await;
        let session = register(&server, Value::Null).await.body["session"].clone();
        let mut changed = text(&session).to_owned().into_bytes();
        for at in [0, 20, 40, 100, changed.len() - 2] {
            changed[at] ^= 1;
            let changed = String::from_utf8_lossy(&changed).into_owned();
            fallback::look(&server.home, TOKEN, &changed).await.expect_err("a forgery");
        }
        for wrong in ["", "x", "\u{0}", &"A".repeat(100), &"A".repeat(100_000)] {
            let error = fallback::look(&server.home, TOKEN, wrong).await.expect_err("no session");
            assert_eq!(error.errcode, "M_UNKNOWN");
        }
        let token = json!({ "token": "sesame" });
        server.pass(Duration::from_secs(61 * 60));
        form(&server, TOKEN, &session, token).await.expect_err("it has expired");
    }

    async fn what_a_page_proved_counts_only_for_its_operation_user_and_request(server: Server) {
        let alice = user(&server, "alice").await;
        let bob = user(&server, "bob").await;
        let body = json!({ "new_password": "better" });
        let session = alice.post("/v3/account/password", body.clone()).await.body["session"].clone();
        // The page asks for the password of whose session it is.
        let page = fallback::look(&server.home, "m.login.password", text(&session)).await.expect("a page");
        assert_eq!(page.user.as_deref(), Some(&*alice.user_id));
        assert_eq!(page.wish, "change the password of your account");
        let theirs = json!({ "password": "secret", "user": "bob" });
        let again = form(&server, "m.login.password", &session, theirs).await.expect("an answer");
        assert!(matches!(again, Completed::Again(..)), "{again:?}");
        let mine = json!({ "password": "secret" });
        form(&server, "m.login.password", &session, mine).await.expect("an answer");

        let auth = json!({ "session": session });
        let other = json!({ "new_password": "worse", "auth": auth });
        alice.post("/v3/account/password", other).await.refused(401, "M_UNKNOWN");
        alice.post("/v3/account/deactivate", json!({ "auth": auth })).await.refused(401, "M_UNKNOWN");
        let same = json!({ "new_password": "better", "auth": auth });
        bob.post("/v3/account/password", same.clone()).await.refused(401, "M_UNKNOWN");
        register(&server, auth).await.refused(400, "M_USER_IN_USE");
        alice.post("/v3/account/password", same.clone()).await.ok();
        // And only once.
        let again = alice.post("/v3/account/password", same).await;
        assert_eq!((again.status, &again.body["completed"]), (401, &json!([])));
    }

    async fn one_proof_makes_one_account_however_often_it_is_shown_at_once(server: Server) {
        let mut server = server;
        require_two(&mut server).await;
        let session = server.stranger().post("/v3/register", json!({})).await.body["session"].clone();
        form(&server, TOKEN, &session, json!({ "token": "sesame" })).await.expect("an answer");
        form(&server, TERMS, &session, json!({})).await.expect("an answer");
        let asked: Vec<_> = (0..8).map(|_| {
            let (stranger, body) = (server.stranger(), json!({ "auth": { "session": session } }));
            tokio::spawn(async move { stranger.post("/v3/register", body).await })
        }).collect();
        let mut made = std::collections::BTreeSet::new();
        for reply in asked {
            let reply = reply.await.expect("a reply");
            match reply.status {
                200 => drop(made.insert(reply.body["user_id"].to_string())),
                _ => drop(reply.refused(400, "M_UNKNOWN")),
            }
        }
        assert_eq!(made.len(), 1, "{made:?}");
    }

    async fn what_is_approved_on_our_page_needs_the_password(server: Server) {
        let alice = user(&server, "alice").await;
        let body = Map::new();
        let operation = Operation {
            name: "keys/device_signing/upload",
            user: Some(&alice.user_id),
            body: Some(&body),
            flows: vec![vec![stages::OAUTH]],
            address: None,
        };
        let prove = async |auth: Value| {
            let auth = auth.as_object().cloned().expect("an object");
            uia::prove(&server.home, &operation, Some(&auth)).await
        };
        let challenge = prove(json!({})).await.expect_err("nothing is proved").body();
        let session = challenge["session"].clone();
        let url = challenge["params"]["m.oauth"]["url"].as_str().expect("a url");
        assert!(url.starts_with("http") && url.contains("/auth/m.oauth/fallback/web?session="), "{url}");
        for auth in [
            json!({ "session": session }),
            json!({ "type": "m.oauth", "session": session }),
            json!({ "type": "m.oauth", "session": session, "password": "secret" }),
        ] {
            let refused = prove(auth).await.expect_err("nobody approved").body();
            assert_eq!(refused["completed"], json!([]));
        }
        let page = fallback::look(&server.home, "m.oauth", text(&session)).await.expect("a page");
        assert!(matches!(page.form, Form::Approve), "{page:?}");
        let again = form(&server, "m.oauth", &session, json!({ "password": "wrong" })).await.expect("an answer");
        assert!(matches!(&again, Completed::Again(_, why) if why == "Wrong password"), "{again:?}");
        form(&server, "m.oauth", &session, json!({ "password": "secret" })).await.expect("an answer");
        prove(json!({ "session": session })).await.expect("it was approved");
    }

    async fn a_session_is_no_password_and_a_password_no_session(server: Server) {
        let alice = user(&server, "alice").await;
        let body = json!({ "new_password": "better" });
        let session = alice.post("/v3/account/password", body).await.body["session"].clone();
        let sealed = text(&session);
        assert!(!sealed.contains("better") && sealed.len() < 1_000, "{sealed}");
        let auth = password("alice", "secret", &session);
        alice.post("/v3/account/password", json!({ "new_password": "better", "auth": auth })).await.ok();
    }
}
