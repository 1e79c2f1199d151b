//! `/admin/lock`, `/admin/suspend`, `/admin/whois`, and what they do to an account.

use serde_json::json;

use crate::{
    harness::{Server, User, encode, on_both_databases},
    login::{by_password, device, user},
};

/// An administrator with a session.
async fn administrator(server: &Server) -> User {
    homeserver::accounts::admin::create_user(&server.home, "admin", "secret", true)
        .await
        .expect("an account");
    device(server, "admin", "FIRST").await
}

on_both_databases! {
    async fn a_locked_account_can_only_log_out(server: Server) {
        let admin = administrator(&server).await;
        let alice = user(&server, "alice").await;
        let tablet = device(&server, "alice", "TABLET").await;
        let path = format!("/v1/admin/lock/{}", encode("@alice:hearth.test"));
        assert_eq!(admin.get(&path).await.ok()["locked"], false);
        alice.get("/v3/account/whoami").await.ok();
        assert_eq!(admin.put(&path, json!({ "locked": true })).await.ok()["locked"], true);
        assert_eq!(admin.get(&path).await.ok()["locked"], true);
        for path in ["/v3/account/whoami", "/v3/devices"] {
            let refused = alice.get(path).await.refused(401, "M_USER_LOCKED");
            assert_eq!(refused["soft_logout"], true);
        }
        let login = server.stranger().post("/v3/login", by_password("alice", "secret")).await;
        login.refused(401, "M_USER_LOCKED");
        server.stranger().post("/v3/login", by_password("alice", "wrong")).await.refused(403, "M_FORBIDDEN");
        tablet.post("/v3/logout", json!({})).await.ok();
        assert_eq!(admin.put(&path, json!({ "locked": false })).await.ok()["locked"], false);
        alice.get("/v3/account/whoami").await.ok();
        tablet.get("/v3/account/whoami").await.refused(401, "M_UNKNOWN_TOKEN");
    }

    async fn a_suspended_account_looks_and_leaves(server: Server) {
        let admin = administrator(&server).await;
        let alice = user(&server, "alice").await;
        let room = alice.creates_room(json!({})).await;
        let path = format!("/v1/admin/suspend/{}", encode("@alice:hearth.test"));
        assert_eq!(admin.put(&path, json!({ "suspended": true })).await.ok()["suspended"], true);
        assert_eq!(admin.get(&path).await.ok()["suspended"], true);
        let send = format!("/v3/rooms/{}/send/m.room.message/1", encode(&room));
        alice.put(&send, json!({ "body": "x" })).await.refused(403, "M_USER_SUSPENDED");
        alice.get("/v3/account/whoami").await.ok();
        let second = device(&server, "alice", "SECOND").await;
        second.put(&send, json!({ "body": "x" })).await.refused(403, "M_USER_SUSPENDED");
        admin.put(&path, json!({ "suspended": false })).await.ok();
        alice.put(&send, json!({ "body": "x" })).await.ok();
    }

    async fn only_administrators_moderate_and_not_each_other(server: Server) {
        let admin = administrator(&server).await;
        let alice = user(&server, "alice").await;
        for (measure, key) in [("lock", "locked"), ("suspend", "suspended")] {
            let path = |user: &str| format!("/v1/admin/{measure}/{}", encode(user));
            for user in ["@admin:hearth.test", "@nobody:hearth.test", "@alice:hearth.test"] {
                alice.get(&path(user)).await.refused(403, "M_FORBIDDEN");
                alice.put(&path(user), json!({ key: true })).await.refused(403, "M_FORBIDDEN");
            }
            server.stranger().get(&path("@alice:hearth.test")).await.refused(401, "M_MISSING_TOKEN");
            admin.put(&path("@admin:hearth.test"), json!({ key: true })).await.refused(403, "M_FORBIDDEN");
            admin.get(&path("@admin:hearth.test")).await.ok();
            for (user, status, errcode) in [
                ("@nobody:hearth.test", 404, "M_NOT_FOUND"),
                ("@a\u{0}:hearth.test", 400, "M_INVALID_PARAM"),
                ("@alice:other.test", 400, "M_INVALID_PARAM"),
                ("alice", 400, "M_INVALID_PARAM"),
            ] {
                admin.get(&path(user)).await.refused(status, errcode);
                admin.put(&path(user), json!({ key: true })).await.refused(status, errcode);
            }
            let path = path("@alice:hearth.test");
            admin.put(&path, json!({})).await.refused(400, "M_MISSING_PARAM");
            admin.put(&path, json!({ key: 1 })).await.refused(400, "M_BAD_JSON");
        }
    }

    async fn users_ask_about_themselves_and_administrators_about_all(server: Server) {
        let admin = administrator(&server).await;
        let alice = user(&server, "alice").await;
        let path = |user: &str| format!("/v3/admin/whois/{}", encode(user));
        alice.get("/v3/account/whoami").await.ok();
        homeserver::accounts::devices::write_seen(&server.home).await;
        for who in [&alice, &admin] {
            let seen = who.get(&path("@alice:hearth.test")).await.ok();
            assert_eq!(seen["devices"]["FIRST"]["sessions"][0]["connections"][0]["ip"], "127.0.0.1");
        }
        alice.get(&path("@admin:hearth.test")).await.refused(403, "M_FORBIDDEN");
    }

    async fn capabilities_are_told_as_they_are(server: Server) {
        let alice = user(&server, "alice").await;
        let told = alice.get("/v3/capabilities").await.ok();
        let told = &told["capabilities"];
        assert_eq!(told["m.room_versions"]["default"], "12");
        assert_eq!(told["m.room_versions"]["available"]["6"], "stable");
        assert_eq!(told["m.room_versions"]["available"].as_object().map(|all| all.len()), Some(7));
        assert_eq!(told["m.change_password"]["enabled"], true);
        assert_eq!(told["m.3pid_changes"]["enabled"], false);
        assert!(told.get("m.account_moderation").is_none());
        let told = administrator(&server).await.get("/r0/capabilities").await.ok();
        assert_eq!(told["capabilities"]["m.account_moderation"], json!({ "lock": true, "suspend": true }));
    }
}
