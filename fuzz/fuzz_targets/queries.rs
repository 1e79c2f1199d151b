//! The query of a request from anywhere, as endpoints read it that read by hand.
#![no_main]

use api::{endpoint::Ask, plain::Plain};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (&str, &str)| {
    let (query, path) = input;
    let Ok(request) = http::Request::builder().uri(format!("/_matrix/client/v3/sync?{query}")).body(&b"{}"[..])
    else {
        return;
    };
    let Ok(ask) = Plain::read(request, &[path]) else { return };
    for name in ["since", "timeout", "filter", "access_token"] {
        assert_eq!(ask.query(name), ask.query_all(name).next());
    }
    for (name, _) in &ask.query {
        assert!(ask.query(name).is_some());
    }
    let _ = api::client::sync::read(&ask, homeserver::sync::Filter::default());
    let _ = api::client::messages::token(ask.query("from"));
    let _ = api::client::delayed_events::delay_ms(&ask);
    let _ = (ask.path::<ruma::OwnedRoomId>(0), ask.path::<ruma::OwnedUserId>(0), ask.path::<ruma::OwnedEventId>(0));
    let _ = ask.json::<serde_json::Value>();
});
