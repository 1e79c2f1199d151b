//! A push gateway: it keeps what it is told, and answers as the test has told it.

use std::{
    collections::VecDeque,
    net::Ipv4Addr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::{
    body::{Body, to_bytes},
    extract::Request,
    http::Response,
};
use serde_json::{Value, json};
use tokio::sync::Notify;

use crate::{
    harness::{Server, User},
    openapi,
};

/// How long a test waits for a notification that must come.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long an answer takes that lingers.
const MOMENT: Duration = Duration::from_millis(100);

/// An answer of a gateway.
#[derive(Clone)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    pub body: Vec<u8>,
    /// It never comes.
    pub never: bool,
    /// It takes a moment.
    pub lingers: bool,
}

impl Reply {
    /// This status, with this JSON.
    pub fn of(status: u16, body: Value) -> Self {
        Reply {
            status,
            headers: Vec::new(),
            body: body.to_string().into_bytes(),
            never: false,
            lingers: false,
        }
    }

    /// That all is well.
    pub fn well() -> Self {
        Reply::of(200, json!({ "rejected": [] }))
    }
}

#[derive(Default)]
struct Kept {
    told: Vec<Value>,
    /// How many of them a test has taken.
    taken: usize,
    /// What is answered next, one after the other; then that all is well.
    replies: VecDeque<Reply>,
    /// How many are being answered, and how many there were at the most.
    at_once: usize,
    most_at_once: usize,
}

/// A push gateway on the loopback.
#[derive(Clone)]
pub struct Gateway {
    /// Where it listens: `127.0.0.1:…`.
    pub name: String,
    kept: Arc<Mutex<Kept>>,
    came: Arc<Notify>,
}

impl Gateway {
    /// A gateway to which all is well.
    pub async fn open() -> Self {
        let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
        let name = listener.local_addr().expect("an address").to_string();
        let gateway = Gateway { name, kept: Arc::default(), came: Arc::default() };
        let answers = gateway.clone();
        let serve = move |request: Request| {
            let answers = answers.clone();
            async move { answers.answer(request).await }
        };
        let router = axum::Router::new().fallback(serve);
        tokio::spawn(async move { axum::serve(listener, router).await });
        gateway
    }

    async fn answer(&self, request: Request) -> Response<Body> {
        let what = format!("{} {}", request.method(), request.uri().path());
        let bytes = to_bytes(request.into_body(), 1 << 20).await.unwrap_or_default();
        let mut body: Value = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        if what != "POST /_matrix/push/v1/notify" {
            body["asked"] = what.into();
        }
        let reply = {
            let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
            kept.told.push(body);
            kept.at_once += 1;
            kept.most_at_once = kept.most_at_once.max(kept.at_once);
            kept.replies.pop_front().unwrap_or_else(Reply::well)
        };
        self.came.notify_waiters();
        if reply.never {
            std::future::pending::<()>().await;
        }
        if reply.lingers {
            tokio::time::sleep(MOMENT).await;
        }
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).at_once -= 1;
        let mut response = Response::builder().status(reply.status);
        for (name, value) in reply.headers {
            response = response.header(name, value);
        }
        response.body(Body::from(reply.body)).expect("an answer")
    }

    /// What it answers next, one after the other.
    pub fn will(&self, replies: impl IntoIterator<Item = Reply>) {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).replies.extend(replies);
    }

    /// The next thing that it is told.
    pub async fn next(&self) -> Value {
        let next = async {
            loop {
                let came = self.came.notified();
                tokio::pin!(came);
                came.as_mut().enable();
                if let Some(told) = self.take() {
                    return told;
                }
                came.await;
            }
        };
        tokio::time::timeout(PATIENCE, next).await.expect("a notification")
    }

    /// Waits until it is told something.
    pub async fn comes(&self) {
        self.came.notified().await;
    }

    /// The next thing that it is told about an event: the `notification`.
    pub async fn next_event(&self) -> Value {
        loop {
            let told = self.next().await["notification"].take();
            if told["event_id"].is_string() {
                return told;
            }
        }
    }

    /// What it was told, and nobody took.
    #[track_caller]
    pub fn take(&self) -> Option<Value> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let told = kept.told.get(kept.taken).cloned();
        kept.taken += usize::from(told.is_some());
        drop(kept);
        told.iter().for_each(openapi::check_notice);
        told
    }

    /// How much it was told.
    pub fn count(&self) -> usize {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).told.len()
    }

    /// How many requests it answered at the same time, at the most. Those that it never answers count.
    pub fn most_at_once(&self) -> usize {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).most_at_once
    }

    /// What a client says of a pusher at this gateway.
    pub fn wish(&self, pushkey: &str) -> Value {
        json!({
            "app_display_name": "Mat Rix",
            "app_id": "com.example.app.ios",
            "data": { "more": [1], "url": format!("http://{}/_matrix/push/v1/notify", self.name) },
            "device_display_name": "iPhone 9",
            "kind": "http",
            "lang": "en",
            "pushkey": pushkey,
        })
    }
}

/// Has the server take gateways on the loopback.
pub async fn allow(server: &mut Server, users: &mut [&mut User]) {
    let loopback = "127.0.0.1".parse().expect("an address");
    server.restart_with(|config| config.push.allowed_gateways = vec![loopback]).await;
    for user in users {
        user.moves_to(server);
    }
}
