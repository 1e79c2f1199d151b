//! `m.login.recaptcha`, with a stand-in for the provider whom the server asks.

use std::sync::{Arc, Mutex};

use axum::{Router, extract::State, http::StatusCode, routing::post};
use homeserver::{
    accounts::uia::fallback::{self, Completed},
    config::{Requirement, Secret},
};
use serde_json::{Value, json};

use crate::harness::{Reply, Server, on_both_databases};

const STAGE: &str = "m.login.recaptcha";

type Asked = Arc<Mutex<Vec<Vec<(String, String)>>>>;

/// The fields of a form.
pub fn fields(form: &str) -> Vec<(String, String)> {
    let url = reqwest::Url::parse(&format!("form:?{form}")).expect("a form");
    url.query_pairs().map(|(key, value)| (key.into_owned(), value.into_owned())).collect()
}

/// Says that `right` is right, once, to whoever knows the secret.
async fn verify(State(asked): State<Asked>, form: String) -> (StatusCode, String) {
    let has = |form: &[(String, String)], name: &str, value: &str| {
        form.iter().any(|(key, is)| key == name && is == value)
    };
    let form = fields(&form);
    let mut asked = asked.lock().expect("nobody panicked");
    let again = asked.iter().any(|before| has(before, "response", "right"));
    let success = has(&form, "secret", "our secret") && has(&form, "response", "right") && !again;
    let down = has(&form, "response", "down");
    asked.push(form);
    let status = if down { StatusCode::INTERNAL_SERVER_ERROR } else { StatusCode::OK };
    (status, json!({ "success": success, "error-codes": ["invalid-input-response"] }).to_string())
}

/// Starts the provider; answers its URL and what it is asked.
async fn provider() -> (String, Asked) {
    let asked = Asked::default();
    let router = Router::new().route("/siteverify", post(verify)).with_state(asked.clone());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("http://{}/siteverify", listener.local_addr().expect("an address"));
    tokio::spawn(async move { axum::serve(listener, router).await });
    (url, asked)
}

async fn require(server: &mut Server, verify_url: &str, allow_loopback: bool) {
    server
        .restart_with(|config| {
            config.registration.require = vec![Requirement::Recaptcha];
            config.captcha.site_key = Some("our site".to_owned());
            config.captcha.secret = Some(Secret::new("our secret"));
            config.captcha.verify_url = verify_url.to_owned();
            config.federation.allow_loopback = allow_loopback;
        })
        .await;
}

async fn register(server: &Server, username: &str, auth: Value) -> Reply {
    let body = json!({ "username": username, "auth": auth });
    server.stranger().at("192.0.2.7").post("/v3/register", body).await
}

on_both_databases! {
    async fn whoever_solves_a_captcha_gets_one_account(server: Server) {
        let mut server = server;
        let (url, asked) = provider().await;
        require(&mut server, &url, true).await;
        let begun = register(&server, "alice", Value::Null).await.body;
        assert_eq!(begun["flows"], json!([{ "stages": [STAGE] }]));
        assert_eq!(begun["params"][STAGE], json!({ "public_key": "our site" }));
        let session = &begun["session"];
        let solve = |response: Value| json!({ "type": STAGE, "response": response, "session": session });
        let wrong = register(&server, "alice", solve("wrong".into())).await;
        wrong.refused(401, "M_CAPTCHA_INVALID");
        for none in [Value::Null, "".into(), 1.into()] {
            register(&server, "alice", solve(none)).await.refused(401, "M_CAPTCHA_NEEDED");
        }
        let long = solve("x".repeat(10_000).into());
        register(&server, "alice", long).await.refused(401, "M_CAPTCHA_INVALID");
        register(&server, "alice", solve("down".into())).await.refused(503, "M_UNKNOWN");
        register(&server, "alice", solve("right".into())).await.ok();
        // The provider was told from where the answer came, and who asks.
        {
            let asked = asked.lock().expect("nobody panicked");
            let last = asked.last().expect("it was asked");
            for (key, value) in [("secret", "our secret"), ("response", "right"), ("remoteip", "192.0.2.7")] {
                assert!(last.contains(&(key.to_owned(), value.to_owned())), "{last:?}");
            }
            assert_eq!(asked.len(), 3, "nothing and too much are not worth asking");
        }
        // Neither the answer nor the session makes another account.
        let again = json!({ "type": STAGE, "response": "right" });
        register(&server, "bob", again).await.refused(401, "M_CAPTCHA_INVALID");
        register(&server, "bob", solve("right".into())).await.refused(400, "M_UNKNOWN");
    }

    async fn a_captcha_can_be_solved_on_the_page(server: Server) {
        let mut server = server;
        let (url, _) = provider().await;
        require(&mut server, &url, true).await;
        let begun = register(&server, "alice", Value::Null).await.body;
        let session = begun["session"].as_str().expect("a session");
        let form = json!({ "g-recaptcha-response": "right" });
        let form = form.as_object().expect("an object");
        let done = fallback::complete(&server.home, STAGE, session, form, None).await.expect("an answer");
        assert!(matches!(done, Completed::Done), "{done:?}");
        register(&server, "alice", json!({ "session": session })).await.ok();
    }

    async fn clients_of_2015_solve_captchas_as_well(server: Server) {
        let mut server = server;
        let (url, _) = provider().await;
        require(&mut server, &url, true).await;
        let post = async |body: Value| server.stranger().post("/api/v1/register", body).await;
        let solved = json!({ "type": STAGE, "challenge": "c", "response": "right" });
        post(json!({ "type": STAGE, "response": "wrong" })).await.refused(403, "M_CAPTCHA_INVALID");
        let more = post(solved).await.ok();
        assert_eq!(more["next"], "m.login.password");
        let last = json!({ "type": "m.login.password", "user": "alice", "password": "secret",
            "session": more["session"] });
        assert_eq!(post(last).await.ok()["user_id"], "@alice:hearth.test");
    }

    async fn a_provider_inside_is_not_asked(server: Server) {
        let mut server = server;
        let (url, asked) = provider().await;
        require(&mut server, &url, false).await;
        let auth = json!({ "type": STAGE, "response": "right" });
        register(&server, "alice", auth).await.refused(503, "M_UNKNOWN");
        assert!(asked.lock().expect("nobody panicked").is_empty());
    }
}
