//! Another service, as far as the server asks it for something: it keeps the questions, and answers what
//! the test has told it.

use std::{
    net::Ipv4Addr,
    sync::{Arc, Mutex, PoisonError},
};

use axum::{
    body::to_bytes,
    extract::Request,
    response::{IntoResponse, Response},
};
use serde_json::Value;

/// A question.
#[derive(Clone, Debug)]
pub struct Question {
    /// The method, and the path with its query.
    pub what: String,
    /// The `Authorization` header.
    pub authorization: Option<String>,
    /// The body; null if it is not JSON.
    pub body: Value,
}

/// A service.
#[derive(Clone)]
pub struct StandIn {
    /// Where it listens: `127.0.0.1:…`.
    pub name: String,
    questions: Arc<Mutex<Vec<Question>>>,
}

impl StandIn {
    /// A service that answers as `answer` does: with a status and JSON.
    pub async fn open(answer: impl Fn(&Question) -> (u16, Value) + Send + Sync + 'static) -> Self {
        let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
        let name = listener.local_addr().expect("an address").to_string();
        let questions = Arc::<Mutex<Vec<Question>>>::default();
        let (kept, answer) = (questions.clone(), Arc::new(answer));
        let serve = move |request: Request| {
            let (kept, answer) = (kept.clone(), answer.clone());
            async move {
                let question = question(request).await;
                let (status, body) = answer(&question);
                kept.lock().unwrap_or_else(PoisonError::into_inner).push(question);
                let mut response: Response = body.to_string().into_response();
                *response.status_mut() = status.try_into().expect("a status");
                response
            }
        };
        let router = axum::Router::new().fallback(serve);
        tokio::spawn(async move { axum::serve(listener, router).await });
        StandIn { name, questions }
    }

    /// What it was asked so far.
    pub fn questions(&self) -> Vec<Question> {
        self.questions.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What it was asked last.
    #[track_caller]
    pub fn newest(&self) -> Question {
        self.questions().pop().expect("a question")
    }
}

async fn question(request: Request) -> Question {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path_and_query().map(|path| path.as_str()).unwrap_or_default();
    let authorization = parts.headers.get("authorization").and_then(|value| value.to_str().ok());
    let bytes = to_bytes(body, 1 << 20).await.unwrap_or_default();
    Question {
        what: format!("{} {path}", parts.method),
        authorization: authorization.map(str::to_owned),
        body: serde_json::from_slice(&bytes).unwrap_or(Value::Null),
    }
}
