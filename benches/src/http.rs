//! A connection that is kept alive, and a user at its end.

use bytes::Bytes;
use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpStream;

use crate::{Outcome, server::Server};

/// Somebody with a session and a connection of its own.
pub(crate) struct User {
    /// The user id.
    pub(crate) user_id: String,
    /// The access token.
    pub(crate) token: String,
    connection: SendRequest<Full<Bytes>>,
    authority: String,
    sent: usize,
}

impl User {
    /// Registers and connects.
    pub(crate) async fn register(server: &Server, localpart: &str) -> Outcome<Self> {
        let mut user = Self::connect(server, String::new(), String::new()).await?;
        let ask = json!({
            "username": localpart, "password": "a benchmark's password", "auth": { "type": "m.login.dummy" },
        });
        let answer = user.json(Method::POST, "/v3/register", Some(&ask)).await?;
        user.user_id = text(&answer, "user_id")?;
        user.token = text(&answer, "access_token")?;
        Ok(user)
    }

    /// A new connection of a user, after a restart.
    pub(crate) async fn again(self, server: &Server) -> Outcome<Self> {
        Self::connect(server, self.user_id, self.token).await
    }

    async fn connect(server: &Server, user_id: String, token: String) -> Outcome<Self> {
        let stream = TcpStream::connect(server.address()).await?;
        stream.set_nodelay(true)?;
        let (connection, driving) = handshake(TokioIo::new(stream)).await?;
        tokio::spawn(driving);
        Ok(User { user_id, token, connection, authority: server.address().to_owned(), sent: 0 })
    }

    /// Any request below `/_matrix/client`; the body of an answer that must be a 200.
    pub(crate) async fn call(&mut self, method: Method, path: &str, body: Option<Bytes>) -> Outcome<Bytes> {
        let request = Request::builder()
            .method(method)
            .uri(format!("/_matrix/client{path}"))
            .header(header::HOST, &self.authority)
            .header(header::AUTHORIZATION, format!("Bearer {}", self.token))
            .body(Full::new(body.unwrap_or_default()))?;
        self.connection.ready().await?;
        let response = self.connection.send_request(request).await?;
        let status = response.status();
        let bytes = response.into_body().collect().await?.to_bytes();
        if status != StatusCode::OK {
            return Err(format!("{path}: {status} {}", String::from_utf8_lossy(&bytes)).into());
        }
        Ok(bytes)
    }

    /// Like [`User::call`], with JSON on both ways.
    pub(crate) async fn json(&mut self, method: Method, path: &str, body: Option<&Value>) -> Outcome<Value> {
        let body = body.map(|body| Bytes::from(body.to_string()));
        Ok(serde_json::from_slice(&self.call(method, path, body).await?)?)
    }

    /// Sends a text message; answers the event id.
    pub(crate) async fn say(&mut self, room_id: &str, text_of_it: &str) -> Outcome<String> {
        self.sent += 1;
        let path = format!("/v3/rooms/{}/send/m.room.message/{}", encode(room_id), self.sent);
        let body = json!({ "msgtype": "m.text", "body": text_of_it });
        text(&self.json(Method::PUT, &path, Some(&body)).await?, "event_id")
    }

    /// Makes a public room; answers its id.
    pub(crate) async fn create_room(&mut self, name: &str) -> Outcome<String> {
        let body = json!({ "preset": "public_chat", "name": name });
        text(&self.json(Method::POST, "/v3/createRoom", Some(&body)).await?, "room_id")
    }

    /// Joins a room.
    pub(crate) async fn join(&mut self, room_id: &str) -> Outcome<()> {
        let path = format!("/v3/join/{}", encode(room_id));
        self.call(Method::POST, &path, Some(Bytes::from_static(b"{}"))).await.map(drop)
    }

    /// Syncs from `since`; answers the next batch and the whole answer.
    pub(crate) async fn sync(&mut self, since: &str, timeout_ms: u64) -> Outcome<(String, Value)> {
        let path = if since.is_empty() {
            "/v3/sync?timeout=0".to_owned()
        } else {
            format!("/v3/sync?since={}&timeout={timeout_ms}", encode(since))
        };
        let answer = self.json(Method::GET, &path, None).await?;
        Ok((text(&answer, "next_batch")?, answer))
    }
}

/// A text in an answer.
pub(crate) fn text(answer: &Value, key: &str) -> Outcome<String> {
    Ok(answer[key].as_str().ok_or_else(|| format!("no {key} in {answer}"))?.to_owned())
}

/// Encodes a part of a path or a query.
pub(crate) fn encode(part: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    part.bytes()
        .map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}
