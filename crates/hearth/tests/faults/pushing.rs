//! Notifications, `kill -9` and a gateway that fails now and then: each arrives, and in order.

use std::{
    net::Ipv4Addr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::{extract::State, http::StatusCode, routing::post};
use reqwest::Method;
use serde_json::{Value, json};

use crate::{person::Person, place::Place};

/// How often the server is killed.
const KILLS: usize = 4;
/// Messages between two kills.
const MESSAGES: usize = 12;
/// The gateway fails each time after so many requests.
const FAILS_EVERY: usize = 7;
/// How long notifications may take to arrive at last.
const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread")]
async fn notifications_outlive_the_process_on_sqlite() {
    arrive(Place::on_sqlite()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn notifications_outlive_the_process_on_postgres() {
    arrive(Place::on_postgres().await).await;
}

/// What a gateway was told: how often, and the events that it took.
#[derive(Clone, Default)]
struct Told(Arc<Mutex<(usize, Vec<String>)>>);

impl Told {
    fn events(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).1.clone()
    }
}

async fn take(State(told): State<Told>, body: String) -> (StatusCode, String) {
    let notice: Value = serde_json::from_str(&body).unwrap_or_default();
    let mut told = told.0.lock().unwrap_or_else(PoisonError::into_inner);
    told.0 += 1;
    if told.0.is_multiple_of(FAILS_EVERY) {
        return (StatusCode::BAD_GATEWAY, "{}".to_owned());
    }
    told.1.extend(notice["notification"]["event_id"].as_str().map(str::to_owned));
    (StatusCode::OK, json!({ "rejected": [] }).to_string())
}

async fn gateway() -> (String, Told) {
    let told = Told::default();
    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
    let url = format!("http://{}/_matrix/push/v1/notify", listener.local_addr().expect("an address"));
    let router = axum::Router::new().route("/_matrix/push/v1/notify", post(take)).with_state(told.clone());
    tokio::spawn(async move { axum::serve(listener, router).await });
    (url, told)
}

async fn arrive(place: Place) {
    let mut running = Some(place.start());
    let (alice, bob) = (Person::registers(&place, "alice").await, Person::registers(&place, "bob").await);
    let room = bob.creates_room().await;
    alice.joins(&room).await;
    let (url, told) = gateway().await;
    let pusher = json!({
        "app_display_name": "a", "app_id": "a", "data": { "format": "event_id_only", "url": url },
        "device_display_name": "a", "kind": "http", "lang": "en", "pushkey": "a",
    });
    alice.insists(Method::POST, "/v3/pushers/set", Some(pusher)).await;
    let mut said = Vec::new();
    for kill in 0..KILLS {
        for n in 0..MESSAGES {
            said.push(bob.says(&room, &format!("{kill}-{n}")).await);
        }
        // It dies in the middle of it, or before it has begun.
        drop(running.take());
        running = Some(place.start());
    }
    let arrived = async {
        while told.events().last() != said.last() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(PATIENCE, arrived).await.expect("the last notification arrives");
    let mut events = told.events();
    // One that the server was told of, and could not note, may come twice: then one after the other.
    let all = events.len();
    events.dedup();
    assert_eq!(events, said, "something was lost, doubled or out of order");
    assert!(all - events.len() <= KILLS, "{} came twice", all - events.len());
    drop(running);
    place.verified();
}
