//! `GET /sync` that waits while its session ends.

use std::time::Duration;

use homeserver::accounts::{
    admin::{self, Measure},
    closing,
};
use serde_json::json;
use tokio::task::JoinHandle;

use crate::{
    harness::{Reply, Server, User, on_both_databases},
    sync::{next, sync},
};

/// A long poll of `user`, which has begun to wait.
async fn waits(server: &Server, user: &User) -> JoinHandle<Reply> {
    let since = next(&sync(user, "").await);
    let before = server.home.bell.listeners();
    let waiting = tokio::spawn({
        let user = user.clone();
        async move { user.get(&format!("/v3/sync?since={since}&timeout=300000")).await }
    });
    while server.home.bell.listeners() == before {
        tokio::task::yield_now().await;
    }
    waiting
}

/// What the long poll is answered before its time.
async fn answer(waiting: JoinHandle<Reply>) -> Reply {
    let answer = tokio::time::timeout(Duration::from_secs(20), waiting).await;
    answer.expect("an answer at once").expect("a sync")
}

on_both_databases! {
    async fn who_logs_out_waits_no_longer(server: Server) {
        let alice = server.user("alice").await;
        let phone = server.device_of(alice.user_id.clone(), "PHONE").await;
        let (here, there) = (waits(&server, &alice).await, waits(&server, &phone).await);
        alice.post("/v3/logout", json!({})).await.ok();
        let refused = answer(here).await.refused(401, "M_UNKNOWN_TOKEN");
        assert_eq!(refused["soft_logout"], false);
        assert!(!there.is_finished(), "another session goes on");
        let tablet = server.device_of(alice.user_id.clone(), "TABLET").await;
        let second = waits(&server, &tablet).await;
        tablet.post("/v3/logout/all", json!({})).await.ok();
        for waiting in [there, second] {
            answer(waiting).await.refused(401, "M_UNKNOWN_TOKEN");
        }
    }

    async fn whose_account_is_locked_or_closed_waits_no_longer(server: Server) {
        let (alice, bob, carol) =
            (server.user("alice").await, server.user("bob").await, server.user("carol").await);
        let (locked, closed, changed) =
            (waits(&server, &alice).await, waits(&server, &bob).await, waits(&server, &carol).await);
        admin::put(&server.home, &alice.user_id, Measure::Lock, true).await.expect("locked");
        answer(locked).await.refused(401, "M_USER_LOCKED");
        closing::deactivate(&server.home, store::Batch::new(), &bob.user_id, false).await.expect("closed");
        answer(closed).await.refused(401, "M_UNKNOWN_TOKEN");
        admin::set_password(&server.home, &carol.user_id, "a new and long password").await.expect("changed");
        answer(changed).await.refused(401, "M_UNKNOWN_TOKEN");
    }

    async fn whose_account_is_suspended_goes_on(server: Server) {
        let (alice, bob) = (server.user("alice").await, server.user("bob").await);
        let room = bob.creates_room(json!({ "preset": "public_chat" })).await;
        alice.joins(&room).await;
        let waiting = waits(&server, &alice).await;
        admin::put(&server.home, &alice.user_id, Measure::Suspend, true).await.expect("suspended");
        bob.say(&room, "still there?").await;
        assert!(answer(waiting).await.ok()["rooms"]["join"][&room].is_object());
    }
}
