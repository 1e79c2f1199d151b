//! What people do to their own account: `/account/password`, `/account/deactivate`,
//! `/login/get_token`, and who they must prove to be for it.

use std::time::Duration;

use serde_json::{Value, json};

use crate::{
    harness::{User, on_both_databases},
    login::{account, by_password, device, user, whose},
};

/// The stage `m.login.password` with this password.
pub fn password(user: &str, password: &str, session: &Value) -> Value {
    let identifier = json!({ "type": "m.id.user", "user": user });
    json!({ "type": "m.login.password", "identifier": identifier, "password": password, "session": session })
}

/// Asks `path` without proof, and then with the password.
pub async fn with_password(user: &User, path: &str, mut body: Value) -> Value {
    let begun = user.post(path, body.clone()).await;
    assert_eq!(begun.status, 401, "{}", begun.body);
    assert_eq!(begun.body["flows"][0], json!({ "stages": ["m.login.password"] }));
    body["auth"] = password(user.user_id.localpart(), "secret", &begun.body["session"]);
    user.post(path, body).await.ok()
}

on_both_databases! {
    async fn whoever_proves_the_old_password_gets_a_new_one(server: Server) {
        let alice = user(&server, "alice").await;
        let tablet = device(&server, "alice", "TABLET").await;
        with_password(&alice, "/v3/account/password", json!({ "new_password": "better" })).await;
        alice.get("/v3/account/whoami").await.ok();
        tablet.get("/v3/account/whoami").await.refused(401, "M_UNKNOWN_TOKEN");
        let stranger = server.stranger();
        stranger.post("/v3/login", by_password("alice", "secret")).await.refused(403, "M_FORBIDDEN");
        stranger.post("/v3/login", by_password("alice", "better")).await.ok();
    }

    async fn other_sessions_stay_if_that_is_wanted(server: Server) {
        let alice = user(&server, "alice").await;
        let tablet = device(&server, "alice", "TABLET").await;
        let body = json!({ "new_password": "better", "logout_devices": false });
        with_password(&alice, "/r0/account/password", body).await;
        tablet.get("/v3/account/whoami").await.ok();
    }

    async fn a_wrong_password_can_be_tried_again_in_the_same_session(server: Server) {
        let alice = user(&server, "alice").await;
        account(&server, "bob").await;
        let path = "/v3/account/password";
        let session = alice.post(path, json!({ "new_password": "better" })).await.body["session"].clone();
        let ask = async |auth| alice.post(path, json!({ "new_password": "better", "auth": auth })).await;
        for (who, wrong) in [("alice", "wrong"), ("bob", "secret"), ("nobody", "secret")] {
            let refused = ask(password(who, wrong, &session)).await.refused(401, "M_FORBIDDEN");
            assert_eq!((&refused["session"], &refused["completed"]), (&session, &json!([])));
            assert_eq!(refused["flows"][0], json!({ "stages": ["m.login.password"] }));
        }
        let thirdparty = json!({ "type": "m.login.password", "password": "secret", "session": session,
            "identifier": { "type": "m.id.thirdparty", "medium": "email", "address": "a@b.c" } });
        ask(thirdparty).await.refused(403, "M_FORBIDDEN");
        let dummy = json!({ "type": "m.login.dummy", "session": session });
        ask(dummy).await.refused(401, "M_UNRECOGNIZED");
        for bad in [json!({ "type": "m.login.password", "session": session }),
            json!({ "type": "m.login.password", "password": 1 }), json!({ "type": [] })] {
            ask(bad).await.refused(400, "M_BAD_JSON");
        }
        assert_eq!(ask(json!({ "session": session })).await.status, 401);
        ask(password("@alice:hearth.test", "secret", &session)).await.ok();
    }

    async fn a_session_is_bound_to_operation_user_and_request(server: Server) {
        let alice = user(&server, "alice").await;
        let bob = user(&server, "bob").await;
        let body = json!({ "new_password": "better" });
        let session = alice.post("/v3/account/password", body).await.body["session"].clone();
        let auth = password("alice", "secret", &session);
        let other_body = json!({ "new_password": "worse", "auth": auth });
        alice.post("/v3/account/password", other_body).await.refused(401, "M_UNKNOWN");
        alice.post("/v3/account/deactivate", json!({ "auth": auth })).await.refused(401, "M_UNKNOWN");
        let theirs = password("bob", "secret", &session);
        let body = json!({ "new_password": "better", "auth": theirs });
        bob.post("/v3/account/password", body).await.refused(401, "M_UNKNOWN");
        let registration = server.stranger().post("/v3/register", json!({})).await.body["session"].clone();
        let body = json!({ "new_password": "better", "auth": password("alice", "secret", &registration) });
        alice.post("/v3/account/password", body).await.refused(401, "M_UNKNOWN");
        alice.get("/v3/account/whoami").await.ok();
    }

    async fn a_session_outlives_a_restart_but_not_its_time(server: Server) {
        let mut server = server;
        let alice = user(&server, "alice").await;
        let body = json!({ "new_password": "better" });
        let session = alice.post("/v3/account/password", body.clone()).await.body["session"].clone();
        server.restart().await;
        let mut after = server.stranger();
        after.token.clone_from(&alice.token);
        let body = json!({ "new_password": "better", "auth": password("alice", "secret", &session) });
        server.pass(Duration::from_secs(50 * 60));
        after.post("/v3/account/password", body.clone()).await.ok();
        server.pass(Duration::from_secs(11 * 60));
        after.post("/v3/account/password", body).await.refused(401, "M_UNKNOWN");
    }

    async fn the_flows_can_be_asked_for_with_an_empty_body(server: Server) {
        let alice = user(&server, "alice").await;
        let session = alice.post("/v3/account/password", json!({})).await.body["session"].clone();
        let auth = password("alice", "secret", &session);
        alice.post("/v3/account/password", json!({ "auth": auth })).await.refused(400, "M_MISSING_PARAM");
        for wrong in [json!({ "new_password": 1 }), json!({ "new_password": "x", "logout_devices": "x" })] {
            alice.post("/v3/account/password", wrong).await.refused(400, "M_BAD_JSON");
        }
        let empty = json!({ "new_password": "", "auth": auth });
        alice.post("/v3/account/password", empty).await.refused(400, "M_WEAK_PASSWORD");
        let body = json!({ "new_password": "better", "auth": auth });
        alice.post("/v3/account/password", body).await.ok();
        let stranger = server.stranger();
        stranger.post("/v3/account/password", json!({})).await.refused(401, "M_MISSING_TOKEN");
    }

    async fn a_deactivated_account_is_closed_for_good(server: Server) {
        let alice = user(&server, "alice").await;
        let bob = user(&server, "bob").await;
        let tablet = device(&server, "alice", "TABLET").await;
        let room = alice.creates_room(json!({ "preset": "public_chat" })).await;
        bob.joins(&room).await;
        let invited = bob.creates_room(json!({})).await;
        bob.invites(&invited, &alice).await;
        alice.post("/v3/account/deactivate", json!({ "erase": "yes" })).await.refused(400, "M_BAD_JSON");
        let done = with_password(&alice, "/v3/account/deactivate", json!({ "erase": true })).await;
        assert_eq!(done["id_server_unbind_result"], "success");
        for gone in [&alice, &tablet] {
            gone.get("/v3/account/whoami").await.refused(401, "M_UNKNOWN_TOKEN");
        }
        let stranger = server.stranger();
        for wrong in ["secret", "wrong"] {
            stranger.post("/v3/login", by_password("alice", wrong)).await.refused(403, "M_USER_DEACTIVATED");
        }
        let body = json!({ "username": "alice", "auth": { "type": "m.login.dummy" } });
        stranger.post("/v3/register", body).await.refused(400, "M_USER_IN_USE");
        // What it left, it left in the background.
        for room in [&room, &invited] {
            let key = homeserver::rooms::find(&server.home, room.as_str().try_into().expect("a room id"))
                .await.expect("the room").key;
            let mut follow = server.home.db.follow();
            loop {
                let member = store::members::get(&server.home.db, alice.user_id.as_str(), key).await;
                if member.expect("an answer").expect("a member").membership == "leave" {
                    break;
                }
                follow.changed().await.expect("the database is open");
            }
        }
        assert!(store::accounts::is_erased(&server.home.db, "@alice:hearth.test").await.expect("an answer"));
        assert!(!store::accounts::is_erased(&server.home.db, "@bob:hearth.test").await.expect("an answer"));
    }

    async fn whoever_deactivated_departs_even_after_a_restart(server: Server) {
        let mut server = server;
        let alice = user(&server, "alice").await;
        let room = alice.creates_room(json!({ "preset": "public_chat" })).await;
        let mut batch = store::Batch::new();
        store::accounts::deactivate(&mut batch, alice.user_id.as_str(), false);
        server.home.db.commit(batch).await.expect("a commit");
        server.restart().await;
        let key = homeserver::rooms::find(&server.home, room.as_str().try_into().expect("a room id"))
            .await.expect("the room").key;
        let mut follow = server.home.db.follow();
        while store::members::get(&server.home.db, alice.user_id.as_str(), key).await
            .expect("an answer").expect("a member").membership != "leave" {
            follow.changed().await.expect("the database is open");
        }
    }

    async fn a_login_token_lets_one_client_in_once(server: Server) {
        let alice = user(&server, "alice").await;
        let flows = server.stranger().get("/v3/login").await.ok();
        assert_eq!(flows["flows"][1], json!({ "type": "m.login.token", "get_login_token": true }));
        let given = with_password(&alice, "/v1/login/get_token", json!({})).await;
        assert_eq!(given["expires_in_ms"], 120_000);
        let body = json!({ "type": "m.login.token", "token": given["login_token"] });
        let replies: Vec<_> = (0..8).map(|_| {
            let (stranger, body) = (server.stranger(), body.clone());
            tokio::spawn(async move { stranger.post("/v3/login", body).await })
        }).collect();
        let mut sessions = Vec::new();
        for reply in replies {
            let reply = reply.await.expect("a reply");
            match reply.status {
                200 => sessions.push(reply.body),
                _ => drop(reply.refused(403, "M_FORBIDDEN")),
            }
        }
        assert_eq!(sessions.len(), 1);
        let me = whose(&server, &sessions[0]).get("/v3/account/whoami").await.ok();
        assert_eq!(me["user_id"], "@alice:hearth.test");
        let late = with_password(&alice, "/v1/login/get_token", json!({})).await;
        server.pass(Duration::from_secs(120));
        let body = json!({ "type": "m.login.token", "token": late["login_token"] });
        server.stranger().post("/v3/login", body).await.refused(403, "M_FORBIDDEN");
    }

    async fn nobody_has_an_address(server: Server) {
        let alice = user(&server, "alice").await;
        assert_eq!(alice.get("/v3/account/3pid").await.ok(), json!({ "threepids": [] }));
    }

    async fn guests_have_no_password_to_change(server: Server) {
        let made = server.stranger().post("/v3/register?kind=guest", json!({})).await.ok();
        let guest = whose(&server, &made);
        for path in ["/v3/account/password", "/v3/account/deactivate", "/v1/login/get_token"] {
            guest.post(path, json!({})).await.refused(403, "M_GUEST_ACCESS_FORBIDDEN");
        }
    }
}
