//! A server in this process on a database of its own, and users who talk to it over HTTP.
//!
//! Every test is written once and runs on SQLite and on PostgreSQL: see [`on_both_databases`].

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    time::Duration,
};

use homeserver::{Clock, Dice, Home, accounts, bell, config::Config, who::Kind};
use reqwest::Method;
use rules::signing_key::SigningKey;
use ruma::{OwnedUserId, UserId};
use serde_json::{Value, json};
use store::{Db, testing};

use crate::{openapi, openapi_2015};

/// Writes a test once and runs it on each database: `async fn name(server: Server) { … }`.
macro_rules! on_both_databases {
    ($($(#[$doc:meta])* async fn $name:ident($server:ident: Server) $body:block)*) => { $(
        mod $name {
            #[allow(unused_imports)]
            use super::*;

            async fn test($server: crate::harness::Server) $body

            #[tokio::test]
            async fn on_sqlite() {
                test(crate::harness::Server::on_sqlite(|_| {}).await).await;
            }

            #[tokio::test]
            async fn on_postgres() {
                test(crate::harness::Server::on_postgres(|_| {}).await).await;
            }
        }
    )* };
}
pub(crate) use on_both_databases;

/// The name of the server in tests.
pub const SERVER_NAME: &str = "hearth.test";

/// When tests begin: 2026-01-01.
const BEGINNING_MS: i64 = 1_767_225_600_000;

/// A running server. Stops when dropped.
pub struct Server {
    /// The home, for what no endpoint can show.
    pub home: Home,
    /// Where it listens: `http://127.0.0.1:…`.
    pub base: String,
    clock: Arc<AtomicI64>,
    dice: Arc<AtomicU64>,
    http: reqwest::Client,
    config: Config,
    serving: tokio::task::JoinHandle<()>,
    _database: Box<dyn std::any::Any>,
}

impl Server {
    /// A server on a new SQLite database, with a configuration that `change` made its own.
    pub async fn on_sqlite(change: impl FnOnce(&mut Config)) -> Self {
        let (url, guard) = testing::fresh_sqlite().expect("a directory for the database");
        Self::start(url, Box::new(guard), change).await
    }

    /// The same on PostgreSQL.
    pub async fn on_postgres(change: impl FnOnce(&mut Config)) -> Self {
        let (url, guard) = testing::fresh_postgres().await.expect("run scripts/test, it starts PostgreSQL");
        Self::start(url, Box::new(guard), change).await
    }

    async fn start(url: String, database: Box<dyn std::any::Any>, change: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config::default();
        config.server_name = SERVER_NAME.try_into().expect("a server name");
        config.registration.enabled = true;
        config.registration.guests = true;
        // Tests of the limits turn them on.
        config.limits.enabled = false;
        config.database.url = Some(toml::Value::String(url).try_into().expect("a url is text"));
        change(&mut config);
        let (clock, dice) = (Arc::new(AtomicI64::new(BEGINNING_MS)), Arc::new(AtomicU64::new(1)));
        // Whoever makes a client must have chosen, though this one speaks no TLS. The first choice stays.
        rustls::crypto::ring::default_provider().install_default().ok();
        let http = reqwest::Client::builder().no_proxy().build().expect("an HTTP client");
        let (home, base, serving) = serve(&config, &clock, &dice).await;
        Server { home, base, clock, dice, http, config, serving, _database: database }
    }

    /// Stops the server and starts it again on the same database. Users made before go on.
    pub async fn restart(&mut self) {
        self.home.stop();
        self.serving.abort();
        let (home, base, serving) = serve(&self.config, &self.clock, &self.dice).await;
        (self.home, self.base, self.serving) = (home, base, serving);
    }

    /// Stops the server and starts it again with another configuration.
    pub async fn restart_with(&mut self, change: impl FnOnce(&mut Config)) {
        change(&mut self.config);
        self.restart().await;
    }

    /// Lets time pass.
    pub fn pass(&self, time: Duration) {
        self.clock.fetch_add(time.as_millis() as i64, Ordering::SeqCst);
    }

    /// A user with a session, made without registration: `server.user("alice")`.
    pub async fn user(&self, localpart: &str) -> User {
        let user_id = UserId::parse(format!("@{localpart}:{SERVER_NAME}")).expect("a user id");
        accounts::register::create(&self.home, &user_id, Kind::User, None, false).await.expect("a new user");
        self.device_of(user_id, "FIRST").await
    }

    /// A guest with a session.
    pub async fn guest(&self, localpart: &str) -> User {
        let user_id = UserId::parse(format!("@{localpart}:{SERVER_NAME}")).expect("a user id");
        accounts::register::create(&self.home, &user_id, Kind::Guest, None, false)
            .await
            .expect("a new guest");
        self.device_of(user_id, "FIRST").await
    }

    /// A further session of a user.
    pub async fn device_of(&self, user_id: OwnedUserId, device_id: &str) -> User {
        let opened = accounts::register::open_session(&self.home, &user_id, device_id.into(), None).await;
        User {
            user_id,
            device_id: device_id.to_owned(),
            token: opened.expect("a session"),
            http: self.http.clone(),
            base: self.base.clone(),
            address: None,
            txns: Arc::new(AtomicU64::new(0)),
        }
    }

    /// Somebody without a token.
    pub fn stranger(&self) -> User {
        User {
            user_id: UserId::parse(format!("@stranger:{SERVER_NAME}")).expect("a user id"),
            device_id: String::new(),
            token: String::new(),
            http: self.http.clone(),
            base: self.base.clone(),
            address: None,
            txns: Arc::new(AtomicU64::new(0)),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn serve(
    config: &Config,
    clock: &Arc<AtomicI64>,
    dice: &Arc<AtomicU64>,
) -> (Home, String, tokio::task::JoinHandle<()>) {
    let db = Db::open(&config.database_url()).await.expect("the database opens");
    let (clock, dice) = (clock.clone(), dice.clone());
    let clock = Clock::new(move || Duration::from_millis(clock.load(Ordering::SeqCst) as u64));
    // Every byte differs from run to run of the dice, and never from run to run of the test.
    let dice = Dice::new(move |bytes| {
        for byte in bytes {
            let n = dice.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::SeqCst);
            let mixed = (n ^ (n >> 31)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            *byte = (mixed >> 40) as u8;
        }
    });
    let key = SigningKey::from_seed([7; 32], "test").expect("a signing key");
    let home = Home::new(config.clone(), db, key, clock, dice);
    let ringing = home.clone();
    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
    let address: SocketAddr = listener.local_addr().expect("an address");
    let router = api::router(home.clone()).layer(axum::Extension(api::caller::PeerAddress(address.ip())));
    let serving = tokio::spawn(async move {
        tokio::select! {
            _ = async { axum::serve(listener, router).await } => {}
            () = bell::ringing(&ringing.bell) => {}
            () = homeserver::typing::expiring(&ringing) => {}
            () = homeserver::presence::fading(&ringing) => {}
            () = accounts::departing::keep_departing(&ringing) => {}
            () = homeserver::pushers::keep_pushing(&ringing) => {}
        }
    });
    (home, format!("http://{address}"), serving)
}

/// Somebody who talks to the server.
#[derive(Clone)]
pub struct User {
    /// Who.
    pub user_id: OwnedUserId,
    /// With which device.
    pub device_id: String,
    /// With which access token; none if empty.
    pub token: String,
    http: reqwest::Client,
    base: String,
    address: Option<String>,
    txns: Arc<AtomicU64>,
}

/// What the server answered.
#[derive(Clone, Debug)]
pub struct Reply {
    /// The HTTP status.
    pub status: u16,
    /// The body; null if it is not JSON.
    pub body: Value,
    /// `Retry-After`, in seconds.
    pub retry_after_s: Option<u64>,
}

impl Reply {
    /// The body of an answer that must be a 200.
    #[track_caller]
    pub fn ok(self) -> Value {
        assert_eq!(self.status, 200, "{}", self.body);
        self.body
    }

    /// Checks that the answer is this refusal.
    #[track_caller]
    pub fn refused(self, status: u16, errcode: &str) -> Value {
        assert_eq!((self.status, self.body["errcode"].as_str()), (status, Some(errcode)), "{}", self.body);
        assert!(self.body["error"].as_str().is_some_and(|error| !error.is_empty()), "{}", self.body);
        self.body
    }
}

impl User {
    /// The same user behind a proxy that says the request came from `address`.
    #[must_use]
    pub fn at(&self, address: &str) -> User {
        User { address: Some(address.to_owned()), ..self.clone() }
    }

    /// Goes on with a server that was restarted, and listens elsewhere now.
    pub fn moves_to(&mut self, server: &Server) {
        self.base = server.base.clone();
    }

    /// Any request; `path` begins with `/_matrix`, with placeholders encoded.
    pub async fn ask(&self, method: Method, path: &str, body: Option<&str>) -> Reply {
        let mut request = self.http.request(method.clone(), format!("{}{path}", self.base));
        if !self.token.is_empty() {
            request = request.bearer_auth(&self.token);
        }
        if let Some(address) = &self.address {
            request = request.header("x-forwarded-for", address);
        }
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(body.to_owned());
        }
        let response = request.send().await.expect("the server answers");
        let status = response.status().as_u16();
        let origin = response.headers().get("access-control-allow-origin").cloned();
        assert_eq!(origin.as_ref().map(|origin| origin.as_bytes()), Some(&b"*"[..]), "{path} lacks CORS");
        let retry_after = response.headers().get("retry-after").and_then(|value| value.to_str().ok());
        let retry_after_s = retry_after.and_then(|value| value.parse().ok());
        let bytes = response.bytes().await.expect("a whole answer");
        let body = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        openapi::check(&method, path, status, &body);
        openapi_2015::check(&method, path, status, &body);
        Reply { status, body, retry_after_s }
    }

    /// `GET /_matrix/client{path}`
    pub async fn get(&self, path: &str) -> Reply {
        self.ask(Method::GET, &format!("/_matrix/client{path}"), None).await
    }

    /// `POST /_matrix/client{path}`
    pub async fn post(&self, path: &str, body: Value) -> Reply {
        self.ask(Method::POST, &format!("/_matrix/client{path}"), Some(&body.to_string())).await
    }

    /// `PUT /_matrix/client{path}`
    pub async fn put(&self, path: &str, body: Value) -> Reply {
        self.ask(Method::PUT, &format!("/_matrix/client{path}"), Some(&body.to_string())).await
    }

    /// `DELETE /_matrix/client{path}`
    pub async fn delete(&self, path: &str) -> Reply {
        self.ask(Method::DELETE, &format!("/_matrix/client{path}"), None).await
    }

    /// Creates a room and answers its id: `alice.creates_room(json!({ "preset": "public_chat" }))`.
    pub async fn creates_room(&self, wishes: Value) -> String {
        let created = self.post("/v3/createRoom", wishes).await.ok();
        created["room_id"].as_str().expect("a room id").to_owned()
    }

    /// `POST /rooms/{roomId}/{what}`: `alice.does(&room, "invite", json!({ "user_id": … }))`.
    pub async fn does(&self, room_id: &str, what: &str, body: Value) -> Reply {
        self.post(&format!("/v3/rooms/{}/{what}", encode(room_id)), body).await
    }

    /// `PUT /rooms/{roomId}/state/{eventType}/{stateKey}`
    pub async fn sets(&self, room_id: &str, event_type: &str, state_key: &str, content: Value) -> Reply {
        self.put(&state_path(room_id, event_type, state_key), content).await
    }

    /// `GET /rooms/{roomId}/state/{eventType}/{stateKey}`
    pub async fn state(&self, room_id: &str, event_type: &str, state_key: &str) -> Reply {
        self.get(&state_path(room_id, event_type, state_key)).await
    }

    /// Joins a room that must let the user in.
    pub async fn joins(&self, room_id: &str) {
        self.does(room_id, "join", json!({})).await.ok();
    }

    /// Leaves a room.
    pub async fn leaves(&self, room_id: &str) {
        self.does(room_id, "leave", json!({})).await.ok();
    }

    /// Invites `other` into a room.
    pub async fn invites(&self, room_id: &str, other: &User) {
        self.does(room_id, "invite", json!({ "user_id": other.user_id })).await.ok();
    }

    /// Sends a text message with a new transaction id; answers the event id.
    pub async fn say(&self, room_id: &str, text: &str) -> String {
        let txn = self.txns.fetch_add(1, Ordering::SeqCst);
        let content = json!({ "msgtype": "m.text", "body": text });
        let path = format!("/v3/rooms/{}/send/m.room.message/say{txn}", encode(room_id));
        let sent = self.put(&path, content).await.ok();
        sent["event_id"].as_str().expect("an event id").to_owned()
    }
}

fn state_path(room_id: &str, event_type: &str, state_key: &str) -> String {
    format!("/v3/rooms/{}/state/{}/{}", encode(room_id), encode(event_type), encode(state_key))
}

/// Encodes a part of a path or a query.
pub fn encode(part: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    part.bytes()
        .map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}
