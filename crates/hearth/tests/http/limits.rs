//! Limits of requests: each class of endpoints, whom they concern, and how they end.

use std::time::Duration;

use homeserver::{accounts::admin, config::Limits};
use reqwest::Method;
use serde_json::json;

use crate::harness::{Reply, Server, User, encode, on_both_databases};

const HOUR: Duration = Duration::from_secs(3_600);

/// Where something is done about delayed events, by whoever knows their ids.
const DELAYED: &str = "/_matrix/client/unstable/org.matrix.msc4140/delayed_events";

/// More requests than any budget in these tests allows at once.
const MANY: usize = 130;

/// The server with its limits on, unless `change` turns them off.
async fn limited(mut server: Server, change: impl FnOnce(&mut Limits)) -> Server {
    server
        .restart_with(|config| {
            config.limits = Limits::default();
            change(&mut config.limits);
        })
        .await;
    server
}

/// A refusal for too many requests; answers how long to wait.
#[track_caller]
fn too_many(reply: Reply) -> Duration {
    let retry_after = reply.retry_after_s.expect("a Retry-After header");
    let wait_ms = reply.refused(429, "M_LIMIT_EXCEEDED")["retry_after_ms"].as_u64().expect("how long");
    assert_eq!(retry_after, wait_ms.div_ceil(1000));
    Duration::from_millis(wait_ms)
}

/// Asks until it is too much; answers how often that was allowed, and for how long to wait.
async fn until_too_many(user: &User, method: Method, path: &str, body: Option<&str>) -> (usize, Duration) {
    for allowed in 0..MANY {
        let reply = user.ask(method.clone(), path, body).await;
        if reply.status == 429 {
            return (allowed, too_many(reply));
        }
    }
    panic!("{method} {path} has no limit");
}

/// Each class: as many as it allows at once, then one after the time that it says.
async fn runs_out_and_recovers(server: &Server, user: &User, method: Method, path: &str, burst: usize) {
    let body = (method != Method::GET).then_some("{}");
    let (allowed, wait) = until_too_many(user, method.clone(), path, body).await;
    assert_eq!(allowed, burst, "{path}");
    server.pass(wait - Duration::from_millis(1));
    too_many(user.ask(method.clone(), path, body).await);
    server.pass(Duration::from_millis(1));
    assert_ne!(user.ask(method.clone(), path, body).await.status, 429, "{path}");
    too_many(user.ask(method.clone(), path, body).await);
}

on_both_databases! {
    async fn every_class_of_requests_has_an_end_and_recovers(server: Server) {
        let server = limited(server, |_| {}).await;
        let alice = server.user("alice").await;
        let v3 = "/_matrix/client/v3";
        let room = encode("!nowhere:hearth.test");
        for (method, path, burst) in [
            (Method::PUT, format!("{v3}/rooms/{room}/send/m.room.message/t1"), 100),
            (Method::PUT, format!("{v3}/rooms/{room}/state/m.room.topic"), 100),
            (Method::PUT, format!("{v3}/rooms/{room}/redact/%24event/t1"), 100),
            (Method::POST, format!("{DELAYED}/nothing/restart"), 100),
            (Method::POST, format!("{v3}/join/{room}"), 30),
            (Method::POST, format!("{v3}/rooms/{room}/join"), 30),
            (Method::POST, format!("{v3}/knock/{room}"), 30),
            (Method::POST, format!("{v3}/rooms/{room}/invite"), 50),
            (Method::POST, format!("{v3}/createRoom"), 20),
            (Method::GET, format!("{v3}/sync"), 60),
            (Method::POST, format!("{v3}/publicRooms"), 60),
            (Method::GET, format!("/_matrix/client/v1/rooms/{room}/hierarchy"), 60),
            (Method::GET, "/_matrix/client/v1/mutual_rooms?user_id=@bob:hearth.test".to_owned(), 60),
            (Method::POST, format!("{v3}/user_directory/search"), 60),
        ] {
            runs_out_and_recovers(&server, &alice, method, &path, burst).await;
            // The budget is whole again, also for the next, which may have the same.
            server.pass(HOUR);
        }
    }

    async fn who_guesses_the_ids_of_delayed_events_is_stopped_without_an_account(server: Server) {
        let server = limited(server, |_| {}).await;
        let (nobody, elsewhere) = (server.stranger().at("192.0.2.1"), server.stranger().at("192.0.2.2"));
        let path = |id: usize| format!("{DELAYED}/{id}/send");
        for id in 0..1_000 {
            nobody.ask(Method::POST, &path(id), Some("{}")).await.refused(404, "M_NOT_FOUND");
        }
        too_many(nobody.ask(Method::POST, &path(1_000), Some("{}")).await);
        let body = Some(r#"{"action":"cancel"}"#);
        too_many(nobody.ask(Method::POST, &format!("{DELAYED}/1"), body).await);
        elsewhere.ask(Method::POST, &path(1_000), Some("{}")).await.refused(404, "M_NOT_FOUND");
    }

    async fn a_flood_of_logins_from_one_address_is_stopped(server: Server) {
        let server = limited(server, |_| {}).await;
        let (flood, other) = (server.stranger().at("192.0.2.1"), server.stranger().at("192.0.2.2"));
        let path = "/_matrix/client/v3/login";
        let ask = json!({ "type": "m.login.token", "token": "guessed" }).to_string();
        let (allowed, wait) = until_too_many(&flood, Method::POST, path, Some(&ask)).await;
        assert_eq!((allowed, wait), (10, Duration::from_secs(6)));
        other.ask(Method::POST, path, Some(&ask)).await.refused(403, "M_FORBIDDEN");
        // Asking how to log in is no login.
        flood.get("/v3/login").await.ok();
        server.pass(wait);
        flood.ask(Method::POST, path, Some(&ask)).await.refused(403, "M_FORBIDDEN");
        too_many(flood.ask(Method::POST, path, Some(&ask)).await);
    }

    async fn an_account_is_logged_in_only_so_often_from_wherever(server: Server) {
        let server = limited(server, |_| {}).await;
        let made = json!({ "username": "alice", "password": "correct horse", "auth": { "type": "m.login.dummy" } });
        server.stranger().post("/v3/register", made).await.ok();
        let identifier = json!({ "type": "m.id.user", "user": "alice" });
        let ask = json!({ "type": "m.login.password", "identifier": identifier, "password": "correct horse" });
        for n in 0..10 {
            server.stranger().at(&format!("192.0.2.{n}")).post("/v3/login", ask.clone()).await.ok();
        }
        let wait = too_many(server.stranger().at("192.0.2.99").post("/v3/login", ask.clone()).await);
        server.pass(wait);
        server.stranger().at("192.0.2.99").post("/v3/login", ask).await.ok();
    }

    async fn a_flood_of_registrations_from_one_address_is_stopped(server: Server) {
        let server = limited(server, |_| {}).await;
        let (flood, other) = (server.stranger().at("192.0.2.1"), server.stranger().at("2001:db8::1"));
        let path = "/_matrix/client/v3/register";
        let (allowed, wait) = until_too_many(&flood, Method::POST, path, Some("{}")).await;
        assert_eq!((allowed, wait), (20, Duration::from_secs(20)));
        let (allowed, _) = until_too_many(&other, Method::POST, path, Some("{}")).await;
        assert_eq!(allowed, 20);
        // The neighbour in the same IPv6 network is the same client.
        too_many(server.stranger().at("2001:db8::2").post("/v3/register", json!({})).await);
        server.pass(wait);
        assert_eq!(flood.post("/v3/register", json!({})).await.status, 401);
    }

    async fn two_users_do_not_share_a_budget_and_an_address_has_that_of_ten(server: Server) {
        let server = limited(server, |_| {}).await;
        let path = "/_matrix/client/v3/createRoom";
        let mut allowed_in_all = 0;
        for n in 0..10 {
            let user = server.user(&format!("user{n}")).await.at("192.0.2.1");
            let (allowed, _) = until_too_many(&user, Method::POST, path, Some("[]")).await;
            assert_eq!(allowed, 20);
            allowed_in_all += allowed;
        }
        assert_eq!(allowed_in_all, 200);
        let late = server.user("late").await;
        too_many(late.at("192.0.2.1").ask(Method::POST, path, Some("[]")).await);
        late.at("192.0.2.2").ask(Method::POST, path, Some("[]")).await.refused(400, "M_BAD_JSON");
    }

    async fn administrators_have_no_limits(server: Server) {
        let server = limited(server, |_| {}).await;
        let admin = admin::create_user(&server.home, "admin", "secret", true).await.expect("a new account");
        let admin = server.device_of(admin, "FIRST").await;
        for _ in 0..30 {
            admin.post("/v3/createRoom", json!([])).await.refused(400, "M_BAD_JSON");
        }
        // Nor does what they do count for the others at their address.
        server.user("alice").await.creates_room(json!({})).await;
    }

    async fn limits_can_be_turned_off(server: Server) {
        let server = limited(server, |limits| limits.enabled = false).await;
        let alice = server.user("alice").await;
        for _ in 0..30 {
            alice.post("/v3/createRoom", json!([])).await.refused(400, "M_BAD_JSON");
        }
    }

    async fn who_is_no_trusted_proxy_can_not_choose_an_address(server: Server) {
        let server = limited(server, |limits| limits.trusted_proxies.clear()).await;
        let path = "/_matrix/client/v3/login";
        for n in 0..10 {
            let liar = server.stranger().at(&format!("192.0.2.{n}"));
            liar.ask(Method::POST, path, Some("[]")).await.refused(400, "M_BAD_JSON");
        }
        too_many(server.stranger().at("192.0.2.77").ask(Method::POST, path, Some("[]")).await);
    }

    async fn the_start_of_a_client_and_a_lively_chat_meet_no_limit(server: Server) {
        let server = limited(server, |_| {}).await;
        let alice = server.user("alice").await;
        let room = alice.creates_room(json!({})).await;
        for path in ["/versions", "/v3/capabilities", "/v3/pushrules/", "/v3/voip/turnServer", "/v3/joined_rooms"] {
            for _ in 0..10 {
                alice.get(path).await.ok();
            }
        }
        for n in 0..60 {
            alice.say(&room, &format!("line {n}")).await;
            server.pass(Duration::from_millis(500));
        }
    }
}
