//! Somebody who talks to a server that may be dead, and repeats everything until it is answered.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use crate::place::Place;

/// Everybody's password.
pub const PASSWORD: &str = "a test's password";
/// The pause before a request is repeated.
const AGAIN: Duration = Duration::from_millis(20);
/// How long one answer may take. Longer than anything that the server allows itself.
const ANSWER_MAX: Duration = Duration::from_secs(60);

/// A user with a session.
#[derive(Clone)]
pub struct Person {
    /// The user id.
    pub user_id: String,
    /// The access token.
    pub token: String,
    base: String,
    http: reqwest::Client,
}

/// An answer, or the lack of one.
#[derive(Clone, Debug)]
pub struct Reply {
    /// The HTTP status; 0 if the connection failed.
    pub status: u16,
    /// The body; what went wrong if the connection failed.
    pub body: Value,
    /// `Retry-After` in seconds.
    pub retry_after_s: Option<u64>,
    /// How often it was asked.
    pub asked: usize,
}

impl Person {
    /// Makes an account.
    pub async fn registers(place: &Place, localpart: &str) -> Person {
        // Whoever comes second finds it done.
        rustls::crypto::ring::default_provider().install_default().ok();
        let http = reqwest::Client::builder().no_proxy().timeout(ANSWER_MAX).build().expect("a client");
        let mut person =
            Person { user_id: String::new(), token: String::new(), base: place.base.clone(), http };
        let ask = json!({
            "username": localpart, "password": PASSWORD, "auth": { "type": "m.login.dummy" },
        });
        let made = person.insists(Method::POST, "/v3/register", Some(ask)).await;
        person.user_id = text(&made, "user_id");
        person.token = text(&made, "access_token");
        person
    }

    /// Somebody at the same server with another token, or none.
    pub fn with_token(&self, token: &str) -> Person {
        Person { token: token.to_owned(), ..self.clone() }
    }

    /// Another session of the same user.
    pub async fn logs_in(&self, device_id: &str) -> Person {
        let ask = json!({
            "type": "m.login.password", "password": PASSWORD, "device_id": device_id,
            "identifier": { "type": "m.id.user", "user": self.user_id },
        });
        let session = self.insists(Method::POST, "/v3/login", Some(ask)).await;
        Person { token: text(&session, "access_token"), ..self.clone() }
    }

    /// Asks once, below `/_matrix/client`.
    pub async fn asks(&self, method: Method, path: &str, body: Option<&Value>) -> Reply {
        let mut request = self.http.request(method, format!("{}/_matrix/client{path}", self.base));
        if !self.token.is_empty() {
            request = request.bearer_auth(&self.token);
        }
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(body.to_string());
        }
        let nothing = |error: reqwest::Error| Reply {
            status: 0,
            body: format!("{error:?}").into(),
            retry_after_s: None,
            asked: 1,
        };
        let response = match request.send().await {
            Ok(response) => response,
            Err(error) => return nothing(error),
        };
        let status = response.status().as_u16();
        let retry_after = response.headers().get("retry-after").and_then(|value| value.to_str().ok());
        let retry_after_s = retry_after.and_then(|value| value.parse().ok());
        let bytes = match response.bytes().await {
            Ok(bytes) => bytes,
            // An answer that breaks off is none.
            Err(error) => return nothing(error),
        };
        let body = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        Reply { status, body, retry_after_s, asked: 1 }
    }

    /// Asks until there is an answer that is not «later».
    pub async fn asks_until_answered(&self, method: Method, path: &str, body: Option<Value>) -> Reply {
        let mut asked = 1;
        loop {
            let reply = self.asks(method.clone(), path, body.as_ref()).await;
            if !matches!(reply.status, 0 | 503) {
                return Reply { asked, ..reply };
            }
            asked += 1;
            tokio::time::sleep(AGAIN).await;
        }
    }

    /// Asks until it is granted; anything but «later» is a failure.
    pub async fn insists(&self, method: Method, path: &str, body: Option<Value>) -> Value {
        let reply = self.asks_until_answered(method, path, body).await;
        assert_eq!(reply.status, 200, "{path}: {}", reply.body);
        reply.body
    }

    /// Makes a room that everybody may join.
    pub async fn creates_room(&self) -> String {
        text(
            &self.insists(Method::POST, "/v3/createRoom", Some(json!({ "preset": "public_chat" }))).await,
            "room_id",
        )
    }

    /// Joins a room.
    pub async fn joins(&self, room: &str) {
        self.insists(Method::POST, &format!("/v3/join/{}", encode(room)), Some(json!({}))).await;
    }

    /// The path and the body that send `message` with the transaction id `txn`.
    pub fn message(room: &str, txn: &str, message: &str) -> (String, Value) {
        let path = format!("/v3/rooms/{}/send/m.room.message/{txn}", encode(room));
        (path, json!({ "msgtype": "m.text", "body": message }))
    }

    /// Says `message`, with itself as the transaction id; answers the event id.
    pub async fn says(&self, room: &str, message: &str) -> String {
        let (path, body) = Person::message(room, message, message);
        text(&self.insists(Method::PUT, &path, Some(body)).await, "event_id")
    }

    /// Syncs from `since`; the rest of the query may follow it.
    pub async fn syncs(&self, since: &str, query: &str) -> Value {
        let since = if since.is_empty() { String::new() } else { format!("&since={}", encode(since)) };
        self.insists(Method::GET, &format!("/v3/sync?{query}{since}"), None).await
    }

    /// Everything that was ever said in a room, oldest first: event ids and texts.
    pub async fn history(&self, room: &str) -> Vec<(String, String)> {
        let (mut said, mut from) = (Vec::new(), String::new());
        loop {
            let path = format!("/v3/rooms/{}/messages?dir=f&limit=200{from}", encode(room));
            let page = self.insists(Method::GET, &path, None).await;
            said.extend(messages(&page["chunk"]));
            match page["end"].as_str() {
                Some(end) => from = format!("&from={}", encode(end)),
                None => return said,
            }
        }
    }

    /// The health of the server: status and words.
    pub async fn health(&self) -> (u16, String) {
        let answer = self.http.get(format!("{}/health", self.base)).send().await.expect("it answers");
        (answer.status().as_u16(), answer.text().await.expect("a whole answer"))
    }
}

/// The messages among events: event ids and texts.
pub fn messages(events: &Value) -> Vec<(String, String)> {
    let events = events.as_array().into_iter().flatten();
    let said = events.filter(|event| event["type"] == "m.room.message");
    said.map(|event| (text(event, "event_id"), text(&event["content"], "body"))).collect()
}

/// A text in an answer.
#[track_caller]
pub fn text(answer: &Value, key: &str) -> String {
    answer[key].as_str().unwrap_or_else(|| panic!("no {key} in {answer}")).to_owned()
}

/// Encodes a part of a path or a query.
pub fn encode(part: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    part.bytes()
        .map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}
