//! `/user/{userId}/filter`

use serde_json::json;

use crate::harness::{User, encode, on_both_databases};

fn path(of: &User) -> String {
    format!("/v3/user/{}/filter", encode(of.user_id.as_str()))
}

on_both_databases! {
    async fn a_filter_is_kept_as_it_was_sent(server: Server) {
        let alice = server.user("alice").await;
        let filter = json!({
            "room": { "timeline": { "limit": 10, "types": ["m.room.*"] }, "org.example.new": 1 },
            "event_format": "client",
            "event_fields": ["type", "content"],
        });
        let made = alice.post(&path(&alice), filter.clone()).await.ok();
        let filter_id = made["filter_id"].as_str().expect("an id");
        assert!(filter_id.bytes().all(|byte| byte.is_ascii_digit()), "{filter_id}");
        assert_eq!(alice.get(&format!("{}/{filter_id}", path(&alice))).await.ok(), filter);
        // The same filter is the same.
        assert_eq!(alice.post(&path(&alice), filter).await.ok(), made);
        let other = alice.post(&path(&alice), json!({})).await.ok();
        assert_ne!(other, made);
        let r0 = format!("{}/{filter_id}", path(&alice)).replace("/v3/", "/r0/");
        alice.get(&r0).await.ok();
    }

    async fn filters_are_nobody_elses_business(server: Server) {
        let (alice, bob) = (server.user("alice").await, server.user("bob").await);
        let made = alice.post(&path(&alice), json!({})).await.ok();
        let of_alice = format!("{}/{}", path(&alice), made["filter_id"].as_str().expect("an id"));
        bob.get(&of_alice).await.refused(403, "M_FORBIDDEN");
        bob.post(&path(&alice), json!({})).await.refused(403, "M_FORBIDDEN");
        let of_bob = format!("{}/{}", path(&bob), made["filter_id"].as_str().expect("an id"));
        bob.get(&of_bob).await.refused(404, "M_NOT_FOUND");
        server.stranger().get(&of_alice).await.refused(401, "M_MISSING_TOKEN");
    }

    async fn what_is_no_filter_is_refused(server: Server) {
        let alice = server.user("alice").await;
        let at = format!("/_matrix/client{}", path(&alice));
        for (body, errcode) in [
            ("{", "M_NOT_JSON"),
            ("", "M_NOT_JSON"),
            ("[]", "M_BAD_JSON"),
            (r#"{"room":1}"#, "M_BAD_JSON"),
            (r#"{"event_format":"x"}"#, "M_BAD_JSON"),
            (r#"{"room":{"timeline":{"limit":-1}}}"#, "M_BAD_JSON"),
            (r#"{"room":{"rooms":["x"]}}"#, "M_BAD_JSON"),
            (r#"{"presence":{"senders":["x"]}}"#, "M_BAD_JSON"),
        ] {
            alice.ask(reqwest::Method::POST, &at, Some(body)).await.refused(400, errcode);
        }
        let many = json!({ "room": { "state": { "types": vec!["a*"; 51] } } });
        alice.post(&path(&alice), many).await.refused(400, "M_BAD_JSON");
        let long = json!({ "event_fields": ["x".repeat(40_000)] });
        alice.post(&path(&alice), long).await.refused(413, "M_TOO_LARGE");
        for filter_id in ["x", "-1", "0", "99999999999999999999", "+5", "%7B%7D"] {
            alice.get(&format!("{}/{filter_id}", path(&alice))).await.refused(404, "M_NOT_FOUND");
        }
    }
}
