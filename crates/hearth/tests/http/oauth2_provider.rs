//! A stand-in for a service at which people have accounts (OAuth 2.0 with PKCE, and userinfo), and a
//! browser that goes there and back.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    extract::State,
    http::{HeaderMap, StatusCode},
    routing::{get, post},
};
use base64::{Engine as _, engine::general_purpose::STANDARD, engine::general_purpose::URL_SAFE_NO_PAD};
use homeserver::config::{self, Secret};
use reqwest::Url;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::{captcha::fields, harness::Server};

/// Where browsers find the server, as the configuration says.
pub const PUBLIC_URL: &str = "https://hearth.test";

/// The service.
#[derive(Clone)]
pub struct Provider {
    base: String,
    known: Arc<Mutex<Known>>,
}

#[derive(Default)]
struct Known {
    /// What was allowed, by code: the challenge, the redirect URI, and who it was.
    codes: BTreeMap<String, (String, String, Value)>,
    /// Who has which access token.
    tokens: BTreeMap<String, Value>,
    requests: usize,
}

impl Provider {
    /// Starts it.
    pub async fn start() -> Self {
        let known = Arc::<Mutex<Known>>::default();
        let router = Router::new()
            .route("/token", post(token))
            .route("/userinfo", get(userinfo))
            .with_state(known.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let base = format!("http://{}", listener.local_addr().expect("an address"));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Provider { base, known }
    }

    /// What the server is told of it.
    pub fn config(&self, id: &str) -> config::Provider {
        config::Provider {
            id: id.to_owned(),
            name: format!("The {id}"),
            brand: None,
            client_id: "hearth".to_owned(),
            client_secret: Some(Secret::new("our secret")),
            client_secret_file: None,
            authorization_url: format!("{}/authorize", self.base),
            token_url: format!("{}/token", self.base),
            userinfo_url: format!("{}/userinfo", self.base),
            scopes: vec!["openid".to_owned(), "profile".to_owned()],
            subject_claim: "sub".to_owned(),
            localpart_claim: "preferred_username".to_owned(),
        }
    }

    /// What somebody does who was sent to `url`: logs in as `subject`, and allows it. Answers where
    /// their browser is sent back to.
    pub fn allows(&self, url: &str, subject: &str, name: &str) -> String {
        let asked = Url::parse(url).expect("a URL");
        assert!(url.starts_with(&format!("{}/authorize?", self.base)), "{url}");
        let asked: BTreeMap<_, _> = asked.query_pairs().into_owned().collect();
        assert_eq!((&*asked["response_type"], &*asked["client_id"]), ("code", "hearth"));
        assert_eq!((&*asked["code_challenge_method"], &*asked["scope"]), ("S256", "openid profile"));
        let mut known = self.known.lock().expect("nobody panicked");
        let code = format!("code{}", known.codes.len());
        let claims = json!({ "sub": subject, "preferred_username": name });
        let grant = (asked["code_challenge"].clone(), asked["redirect_uri"].clone(), claims);
        known.codes.insert(code.clone(), grant);
        let mut back = Url::parse(&asked["redirect_uri"]).expect("a URL");
        back.query_pairs_mut().append_pair("code", &code).append_pair("state", &asked["state"]);
        back.into()
    }

    /// How often it was asked.
    pub fn requests(&self) -> usize {
        self.known.lock().expect("nobody panicked").requests
    }
}

async fn token(
    State(known): State<Arc<Mutex<Known>>>,
    headers: HeaderMap,
    form: String,
) -> (StatusCode, [(&'static str, &'static str); 1], String) {
    let json = [("content-type", "application/json")];
    let refused = (StatusCode::BAD_REQUEST, json, json!({ "error": "invalid_grant" }).to_string());
    let form: BTreeMap<_, _> = fields(&form).into_iter().collect();
    let mut known = known.lock().expect("nobody panicked");
    known.requests += 1;
    let basic = format!("Basic {}", STANDARD.encode("hearth:our+secret"));
    if headers.get("authorization").and_then(|value| value.to_str().ok()) != Some(&basic) {
        return (StatusCode::UNAUTHORIZED, json, json!({ "error": "invalid_client" }).to_string());
    }
    let field = |name: &str| form.get(name).cloned().unwrap_or_default();
    let Some((challenge, redirect_uri, claims)) = known.codes.remove(&field("code")) else { return refused };
    let verified = URL_SAFE_NO_PAD.encode(Sha256::digest(field("code_verifier"))) == challenge;
    if !verified || field("redirect_uri") != redirect_uri || field("grant_type") != "authorization_code" {
        return refused;
    }
    let token = format!("token{}", known.requests);
    known.tokens.insert(token.clone(), claims);
    let body = json!({ "access_token": token, "token_type": "Bearer", "expires_in": 60 });
    (StatusCode::OK, json, body.to_string())
}

async fn userinfo(State(known): State<Arc<Mutex<Known>>>, headers: HeaderMap) -> (StatusCode, String) {
    let mut known = known.lock().expect("nobody panicked");
    known.requests += 1;
    let header = headers.get("authorization").and_then(|value| value.to_str().ok()).unwrap_or_default();
    match known.tokens.get(header.trim_start_matches("Bearer ")) {
        Some(claims) => (StatusCode::OK, claims.to_string()),
        None => (StatusCode::UNAUTHORIZED, "{}".to_owned()),
    }
}

/// A browser, with cookies, that shows where it is sent instead of going there.
pub struct Browser {
    http: reqwest::Client,
    /// `name=value`
    pub cookies: BTreeSet<String>,
}

/// What a browser was answered.
#[derive(Debug)]
pub struct Shown {
    /// The status.
    pub status: u16,
    /// Where it is sent.
    pub location: String,
    /// The text of the page.
    pub text: String,
}

impl Shown {
    /// The ticket in the form of the page.
    #[track_caller]
    pub fn ticket(&self) -> String {
        assert_eq!(self.status, 200, "{}", self.text);
        self.between("name=\"ticket\" value=\"", "\"")
    }

    /// What stands between two texts on the page.
    #[track_caller]
    pub fn between(&self, before: &str, after: &str) -> String {
        let rest = self.text.split_once(before).map(|(_, rest)| rest);
        let found = rest.and_then(|rest| rest.split_once(after)).map(|(found, _)| found);
        found
            .unwrap_or_else(|| panic!("no {before} in {}", self.text))
            .replace("&amp;", "&")
            .replace("&#38;", "&")
    }
}

impl Browser {
    /// A browser that has been nowhere.
    pub fn new() -> Self {
        let http = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build();
        Browser { http: http.expect("an HTTP client"), cookies: BTreeSet::new() }
    }

    /// Opens `url`, one of the server as the world knows it, or a path.
    pub async fn opens(&mut self, server: &Server, url: &str) -> Shown {
        self.goes(self.http.get(at(server, url))).await
    }

    /// Posts a form.
    pub async fn posts(&mut self, server: &Server, url: &str, form: &[(&str, &str)]) -> Shown {
        self.goes(self.http.post(at(server, url)).form(form)).await
    }

    async fn goes(&mut self, request: reqwest::RequestBuilder) -> Shown {
        let cookies = self.cookies.iter().cloned().collect::<Vec<_>>().join("; ");
        let response = request.header("cookie", cookies).send().await.expect("the server answers");
        for cookie in response.headers().get_all("set-cookie") {
            let cookie = cookie.to_str().expect("text");
            assert!(cookie.contains("HttpOnly; SameSite=Lax; Secure"), "{cookie}");
            self.cookies.insert(cookie.split(';').next().unwrap_or_default().to_owned());
        }
        let location = response.headers().get("location").and_then(|value| value.to_str().ok());
        Shown {
            status: response.status().as_u16(),
            location: location.unwrap_or_default().to_owned(),
            text: response.text().await.expect("a whole answer"),
        }
    }
}

fn at(server: &Server, url: &str) -> String {
    let path = url.strip_prefix(PUBLIC_URL).unwrap_or(url);
    assert!(path.starts_with('/'), "{url} is elsewhere");
    format!("{}{path}", server.base)
}
