//! Login tokens: macaroons, good once or for one `txn_id`, to log in and to prove who one is.

use std::time::Duration;

use futures_util::future::join_all;
use homeserver::accounts::macaroon::Macaroon;
use serde_json::{Value, json};

use crate::{
    account::with_password,
    harness::{Reply, Server, User, on_both_databases},
    login::{user, whose},
};

/// A login token of `user`, whose password is `secret`.
async fn token(user: &User) -> String {
    let given = with_password(user, "/v1/login/get_token", json!({})).await;
    given["login_token"].as_str().expect("a token").to_owned()
}

async fn log_in(server: &Server, token: &str, txn_id: Option<&str>) -> Reply {
    let mut body = json!({ "type": "m.login.token", "token": token });
    if let Some(txn_id) = txn_id {
        body["txn_id"] = txn_id.into();
    }
    server.stranger().post("/v3/login", body).await
}

on_both_databases! {
    async fn a_login_token_is_a_macaroon_that_says_whom_and_until_when(server: Server) {
        let alice = user(&server, "alice").await;
        let macaroon = Macaroon::from_text(&token(&alice).await).expect("a macaroon");
        assert_eq!(macaroon.location, "hearth.test");
        let caveats: Vec<_> = macaroon.caveats.iter().map(|caveat| String::from_utf8_lossy(caveat)).collect();
        for expected in ["gen = 1", "user_id = @alice:hearth.test"] {
            assert!(caveats.iter().any(|caveat| caveat == expected), "{caveats:?}");
        }
        for expected in ["time < ", "nonce = "] {
            assert!(caveats.iter().any(|caveat| caveat.starts_with(expected)), "{caveats:?}");
        }
    }

    async fn the_same_txn_id_may_try_again_and_no_other(server: Server) {
        let mut server = server;
        let alice = user(&server, "alice").await;
        let token = token(&alice).await;
        let first = log_in(&server, &token, Some("one")).await.ok();
        for other in [Some("two"), Some(""), None] {
            log_in(&server, &token, other).await.refused(403, "M_FORBIDDEN");
        }
        server.restart().await;
        let second = log_in(&server, &token, Some("one")).await.ok();
        // It is the same device, whose first session was lost.
        assert_eq!(first["device_id"], second["device_id"]);
        whose(&server, &first).get("/v3/account/whoami").await.refused(401, "M_UNKNOWN_TOKEN");
        whose(&server, &second).get("/v3/account/whoami").await.ok();
        server.pass(Duration::from_secs(120));
        log_in(&server, &token, Some("one")).await.refused(403, "M_FORBIDDEN");
        log_in(&server, "x", Some(&"x".repeat(256))).await.refused(400, "M_INVALID_PARAM");
    }

    async fn of_several_clients_at_once_one_gets_in(server: Server) {
        let alice = user(&server, "alice").await;
        let token = token(&alice).await;
        let asked: Vec<_> = (0..8).map(|n| {
            let (stranger, token) = (server.stranger(), token.clone());
            let body = json!({ "type": "m.login.token", "token": token, "txn_id": n.to_string() });
            tokio::spawn(async move { stranger.post("/v3/login", body).await.status })
        }).collect();
        let mut statuses = Vec::new();
        for status in asked {
            statuses.push(status.await.expect("a reply"));
        }
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 403, 403, 403, 403, 403, 403, 403]);
    }

    async fn of_several_tries_at_once_all_mean_one_device(server: Server) {
        let alice = user(&server, "alice").await;
        let token = token(&alice).await;
        let tries = (0..8).map(|_| log_in(&server, &token, Some("one")));
        let mut devices = Vec::new();
        for reply in join_all(tries).await {
            devices.push(reply.ok()["device_id"].clone());
        }
        devices.dedup();
        assert_eq!(devices.len(), 1, "{devices:?}");
        let all = alice.get("/v3/devices").await.ok();
        assert_eq!(all["devices"].as_array().map(Vec::len), Some(2), "{all}");
    }

    async fn conditions_can_be_added_but_not_taken_away(server: Server) {
        let alice = user(&server, "alice").await;
        let now_ms = server.home.clock.now_ms();
        let good = Macaroon::from_text(&token(&alice).await).expect("a macaroon");
        for caveat in ["user_id = @bob:hearth.test", "time < 5", "gen = 2", "type = access", "nonce = x",
            "colour = red", "time < soon", "", "time < 99999999999999999999"] {
            let bound = good.clone().with(caveat).to_text();
            log_in(&server, &bound, None).await.refused(403, "M_FORBIDDEN");
        }
        let mut longer = good.clone();
        for caveat in &mut longer.caveats {
            if caveat.starts_with(b"time") {
                *caveat = format!("time < {}", now_ms + 999_999_999).into_bytes();
            }
        }
        log_in(&server, &longer.to_text(), None).await.refused(403, "M_FORBIDDEN");
        let mut fewer = good.clone();
        fewer.caveats.pop();
        log_in(&server, &fewer.to_text(), None).await.refused(403, "M_FORBIDDEN");
        let forged = Macaroon::new(b"a key", "hearth.test", &good.identifier);
        let forged = good.caveats.iter().fold(forged, |forged, caveat| forged.with(&String::from_utf8_lossy(caveat)));
        log_in(&server, &forged.to_text(), None).await.refused(403, "M_FORBIDDEN");
        let bound = good.with(&format!("time < {}", now_ms + 1_000));
        log_in(&server, &bound.to_text(), None).await.ok();
    }

    async fn a_new_password_takes_login_tokens_back(server: Server) {
        let alice = user(&server, "alice").await;
        let token = token(&alice).await;
        with_password(&alice, "/v3/account/password", json!({ "new_password": "better" })).await;
        log_in(&server, &token, None).await.refused(403, "M_FORBIDDEN");
    }

    async fn a_login_token_proves_whose_account_it_is(server: Server) {
        let alice = user(&server, "alice").await;
        let bob = user(&server, "bob").await;
        let tablet = server.device_of(alice.user_id.clone(), "TABLET").await;
        let (mine, theirs) = (token(&alice).await, token(&bob).await);
        let body = json!({ "devices": ["TABLET"] });
        let begun = alice.post("/v3/delete_devices", body.clone()).await.body;
        assert_eq!(begun["flows"][1], json!({ "stages": ["m.login.token"] }));
        let prove = async |auth: Value| {
            let mut body = body.clone();
            body["auth"] = auth;
            body["auth"]["session"] = begun["session"].clone();
            alice.post("/v3/delete_devices", body).await
        };
        let stage = "m.login.token";
        prove(json!({ "type": stage, "token": theirs, "txn_id": "t" })).await.refused(401, "M_FORBIDDEN");
        prove(json!({ "type": stage, "token": "x", "txn_id": "t" })).await.refused(401, "M_FORBIDDEN");
        prove(json!({ "type": stage })).await.refused(400, "M_BAD_JSON");
        let other = json!({ "type": stage, "token": mine, "txn_id": "t", "user": "bob" });
        prove(other).await.refused(401, "M_FORBIDDEN");
        tablet.get("/v3/account/whoami").await.ok();
        prove(json!({ "type": stage, "token": mine, "txn_id": "t", "user": "alice" })).await.ok();
        tablet.get("/v3/account/whoami").await.refused(401, "M_UNKNOWN_TOKEN");
        // It is used up, except for who retries.
        log_in(&server, &mine, None).await.refused(403, "M_FORBIDDEN");
        prove(json!({ "type": stage, "token": mine, "txn_id": "u" })).await.refused(401, "M_FORBIDDEN");
        prove(json!({ "type": stage, "token": mine, "txn_id": "t" })).await.ok();
        log_in(&server, &theirs, None).await.ok();
    }

    async fn nobody_gets_in_with_a_locked_account(server: Server) {
        let alice = user(&server, "alice").await;
        let token = token(&alice).await;
        let mut batch = store::Batch::new();
        store::accounts::set_locked(&mut batch, alice.user_id.as_str(), true);
        server.home.db.commit(batch).await.expect("a commit");
        log_in(&server, &token, None).await.refused(401, "M_USER_LOCKED");
    }
}
