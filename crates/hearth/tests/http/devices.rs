//! `/devices`, `/delete_devices`

use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    account::{password, with_password},
    harness::on_both_databases,
    login::{device, user},
};

on_both_databases! {
    async fn devices_are_listed_named_and_seen(server: Server) {
        let alice = user(&server, "alice").await;
        device(&server, "alice", "TABLET").await;
        let bob = user(&server, "bob").await;
        let listed = alice.get("/v3/devices").await.ok();
        let ids: Vec<_> = listed["devices"].as_array().expect("a list").iter()
            .map(|device| device["device_id"].clone()).collect();
        assert_eq!(ids, ["FIRST", "TABLET"]);
        alice.put("/v3/devices/TABLET", json!({ "display_name": "Kitchen" })).await.ok();
        alice.put("/r0/devices/TABLET", json!({})).await.ok();
        let tablet = alice.get("/r0/devices/TABLET").await.ok();
        assert_eq!(tablet, json!({ "device_id": "TABLET", "display_name": "Kitchen" }));
        for written in [false, true] {
            let first = alice.get("/v3/devices/FIRST").await.ok();
            let seen = (&first["last_seen_ip"], first["last_seen_ts"].is_i64());
            assert_eq!(seen, (&json!("127.0.0.1"), true), "written: {written}");
            let list = alice.get("/v3/devices").await.ok();
            assert!(list["devices"][0]["last_seen_ts"].is_i64(), "written: {written}");
            homeserver::accounts::devices::write_seen(&server.home).await;
        }
        for path in ["/v3/devices/NONE", "/v3/devices/%00"] {
            alice.get(path).await.refused(404, "M_NOT_FOUND");
            alice.put(path, json!({ "display_name": "x" })).await.refused(404, "M_NOT_FOUND");
        }
        bob.get("/v3/devices/TABLET").await.refused(404, "M_NOT_FOUND");
        bob.put("/v3/devices/TABLET", json!({ "display_name": "x" })).await.refused(404, "M_NOT_FOUND");
        let long = "x".repeat(10_000);
        alice.put("/v3/devices/TABLET", json!({ "display_name": long })).await.refused(413, "M_TOO_LARGE");
        alice.put("/v3/devices/TABLET", json!({ "display_name": 1 })).await.refused(400, "M_BAD_JSON");
        alice.put("/v3/devices/TABLET", json!({ "display_name": "\u{0}" })).await.refused(400, "M_BAD_JSON");
    }

    async fn a_deleted_device_has_no_session(server: Server) {
        let alice = user(&server, "alice").await;
        let tablet = device(&server, "alice", "TABLET").await;
        let phone = device(&server, "alice", "PHONE").await;
        phone.get("/v3/account/whoami").await.ok();
        let delete = async |device: &str, auth: Value| {
            let body = json!({ "auth": auth }).to_string();
            alice.ask(Method::DELETE, &format!("/_matrix/client/v3/devices/{device}"), Some(&body)).await
        };
        let begun = alice.delete("/v3/devices/PHONE").await;
        assert_eq!(begun.status, 401);
        let auth = password("alice", "secret", &begun.body["session"]);
        delete("TABLET", auth.clone()).await.refused(401, "M_UNKNOWN");
        delete("PHONE", auth.clone()).await.ok();
        delete("PHONE", auth).await.ok();
        phone.get("/v3/account/whoami").await.refused(401, "M_UNKNOWN_TOKEN");
        tablet.get("/v3/account/whoami").await.ok();
        with_password(&alice, "/v3/delete_devices", json!({ "devices": ["TABLET", "NONE", "\u{0}"] })).await;
        tablet.get("/v3/account/whoami").await.refused(401, "M_UNKNOWN_TOKEN");
        assert_eq!(alice.get("/v3/devices").await.ok()["devices"].as_array().map(Vec::len), Some(1));
    }

    async fn nobody_deletes_devices_of_somebody_else(server: Server) {
        let alice = user(&server, "alice").await;
        let bob = user(&server, "bob").await;
        let phone = device(&server, "alice", "PHONE").await;
        with_password(&bob, "/v3/delete_devices", json!({ "devices": ["PHONE"] })).await;
        phone.get("/v3/account/whoami").await.ok();
        for (body, errcode) in [
            (json!({ "devices": 1 }), "M_BAD_JSON"),
            (json!({ "devices": [1] }), "M_BAD_JSON"),
            (json!({ "devices": vec!["x"; 1001] }), "M_INVALID_PARAM"),
            (json!({ "auth": password("alice", "secret", &Value::Null) }), "M_MISSING_PARAM"),
        ] {
            alice.post("/v3/delete_devices", body).await.refused(400, errcode);
        }
    }
}
