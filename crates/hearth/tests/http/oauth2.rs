//! Proving who one is at another service: to log in, to register, and before something that matters.

use std::time::Duration;

use homeserver::config::Requirement;
use reqwest::Url;
use serde_json::{Value, json};

use crate::{
    harness::{Reply, Server, User, encode, on_both_databases},
    login::whose,
    oauth2_provider::{Browser, PUBLIC_URL, Provider, Shown},
};

const CLIENT: &str = "https://client.example/?a=b#there";

/// Has `server` know the services called `ids`, which all are one.
async fn know(server: &mut Server, ids: &[&str]) -> Provider {
    let provider = Provider::start().await;
    let providers = ids.iter().map(|id| provider.config(id)).collect();
    server
        .restart_with(|config| {
            config.oauth2.providers = providers;
            config.well_known.client = Some(PUBLIC_URL.to_owned());
            config.federation.allow_loopback = true;
        })
        .await;
    provider
}

fn redirect(url: &str) -> String {
    format!("/_matrix/client/v3/login/sso/redirect?redirectUrl={}", encode(url))
}

/// What a client is sent to that logs in as `subject`.
async fn arrives(server: &Server, provider: &Provider, subject: &str, name: &str) -> String {
    let mut browser = Browser::new();
    let sent = browser.opens(server, &redirect(CLIENT)).await;
    assert_eq!(sent.status, 302, "{}", sent.text);
    let back = provider.allows(&sent.location, subject, name);
    let asked = browser.opens(server, &back).await;
    assert!(asked.text.contains("client.example"), "{}", asked.text);
    let form = [("ticket", &*asked.ticket())];
    let sent = browser.posts(server, "/_hearth/oauth2/allow", &form).await;
    assert_eq!(sent.status, 302, "{}", sent.text);
    sent.location
}

fn token(url: &str) -> String {
    let url = Url::parse(url).expect("a URL");
    assert_eq!((url.host_str(), url.fragment()), (Some("client.example"), Some("there")));
    let token = url.query_pairs().find(|(key, _)| key == "loginToken");
    token.expect("a login token").1.into_owned()
}

async fn use_token(server: &Server, token: &str) -> Reply {
    server.stranger().post("/v3/login", json!({ "type": "m.login.token", "token": token })).await
}

async fn log_in(server: &Server, provider: &Provider, subject: &str, name: &str) -> User {
    let token = token(&arrives(server, provider, subject, name).await);
    session(server, &use_token(server, &token).await.ok())
}

/// Whoever logged in.
fn session(server: &Server, answer: &Value) -> User {
    let user_id = answer["user_id"].as_str().expect("a user id");
    let mut user = whose(server, answer);
    user.user_id = user_id.try_into().expect("a user id");
    user
}

/// Begins to delete a device; answers what is to be proved.
async fn begin(user: &User, auth: Value) -> Reply {
    user.post("/v3/delete_devices", json!({ "devices": ["TABLET"], "auth": auth })).await
}

#[track_caller]
fn refused(shown: &Shown, status: u16) {
    assert_eq!(shown.status, status, "{}", shown.text);
    assert_eq!(shown.location, "");
}

on_both_databases! {
    async fn people_log_in_at_another_service(server: Server) {
        let mut server = server;
        let provider = know(&mut server, &["forge"]).await;
        let flows = server.stranger().get("/v3/login").await.ok();
        let sso = json!({ "type": "m.login.sso", "identity_providers": [{ "id": "forge", "name": "The forge" }] });
        assert_eq!(flows["flows"][2], sso);
        let alice = log_in(&server, &provider, "1234", "Alice").await;
        assert_eq!(alice.user_id, "@alice:hearth.test");
        // The account there counts, not its name; and a name that is taken is another's.
        let again = log_in(&server, &provider, "1234", "Renamed").await;
        assert_eq!(again.user_id, "@alice:hearth.test");
        let other = log_in(&server, &provider, "5678", "alice").await;
        assert!(other.user_id.as_str().starts_with("@alice-"), "{}", other.user_id);
        let odd = log_in(&server, &provider, "9", "a b@c").await;
        assert_eq!(odd.user_id, "@a=20b=40c:hearth.test");

        let spent = token(&arrives(&server, &provider, "1234", "Alice").await);
        use_token(&server, &spent).await.ok();
        use_token(&server, &spent).await.refused(403, "M_FORBIDDEN");
        let late = token(&arrives(&server, &provider, "1234", "Alice").await);
        server.pass(Duration::from_secs(10));
        use_token(&server, &late).await.refused(403, "M_FORBIDDEN");
    }

    async fn only_the_browser_that_set_out_comes_back_once(server: Server) {
        let mut server = server;
        let provider = know(&mut server, &["forge"]).await;
        let mut browser = Browser::new();
        let sent = browser.opens(&server, &redirect(CLIENT)).await;
        let back = provider.allows(&sent.location, "1234", "alice");
        // Another browser, with no cookie or its own one.
        let mut other = Browser::new();
        refused(&other.opens(&server, &back).await, 403);
        other.opens(&server, &redirect(CLIENT)).await;
        refused(&other.opens(&server, &back).await, 403);
        // Another state, or none.
        let changed = back.replace("state=", "state=A");
        refused(&browser.opens(&server, &changed).await, 400);
        for wrong in ["?code=x", "?state=&code=x", "?state=x&code=x", "?state=%00&code=%00", ""] {
            let path = format!("/_hearth/oauth2/callback{wrong}");
            refused(&browser.opens(&server, &path).await, 400);
        }
        assert_eq!(provider.requests(), 0);
        // The service refuses.
        let state = Url::parse(&back).expect("a URL");
        let state = state.query_pairs().find(|(key, _)| key == "state").expect("a state").1.into_owned();
        let denied = format!("/_hearth/oauth2/callback?error=access_denied&state={}", encode(&state));
        refused(&browser.opens(&server, &denied).await, 403);
        // A restart does not matter; coming back twice does.
        server.restart().await;
        let asked = browser.opens(&server, &back).await;
        let ticket = asked.ticket();
        refused(&browser.opens(&server, &back).await, 400);
        let form = [("ticket", &*ticket)];
        assert_eq!(browser.posts(&server, "/_hearth/oauth2/allow", &form).await.status, 302);
        refused(&browser.posts(&server, "/_hearth/oauth2/allow", &form).await, 400);
        for wrong in ["", "x", &state] {
            refused(&browser.posts(&server, "/_hearth/oauth2/allow", &[("ticket", wrong)]).await, 400);
        }
        // A code that the service does not know, and one too late.
        let sent = browser.opens(&server, &redirect(CLIENT)).await;
        let forged = provider.allows(&sent.location, "1234", "alice").replace("code=code", "code=other");
        refused(&browser.opens(&server, &forged).await, 403);
        let sent = browser.opens(&server, &redirect(CLIENT)).await;
        let back = provider.allows(&sent.location, "1234", "alice");
        server.pass(Duration::from_secs(11 * 60));
        refused(&browser.opens(&server, &back).await, 400);
    }

    async fn nobody_is_sent_where_a_browser_must_not_go(server: Server) {
        let mut server = server;
        know(&mut server, &["forge"]).await;
        let mut browser = Browser::new();
        for wrong in ["javascript:alert(1)", "data:text/html,x", "/there", "//evil.example", "",
            "java\nscript:alert(1)", &format!("https://c.example/{}", "x".repeat(3_000))] {
            refused(&browser.opens(&server, &redirect(wrong)).await, 400);
        }
        refused(&browser.opens(&server, "/_matrix/client/v3/login/sso/redirect").await, 400);
        let unknown = format!("/_matrix/client/v3/login/sso/redirect/other?redirectUrl={}", encode(CLIENT));
        refused(&browser.opens(&server, &unknown).await, 404);
        let known = format!("/_matrix/client/r0/login/sso/redirect/forge?redirectUrl={}", encode(CLIENT));
        assert_eq!(browser.opens(&server, &known).await.status, 302);
        server.restart_with(|config| config.oauth2.providers.clear()).await;
        refused(&browser.opens(&server, &redirect(CLIENT)).await, 404);
        let flows = server.stranger().get("/v3/login").await.ok();
        assert_eq!(flows["flows"].as_array().map(Vec::len), Some(2));
    }

    async fn a_client_sends_people_to_the_service_and_asks_again_with_the_session(server: Server) {
        let mut server = server;
        let provider = know(&mut server, &["forge"]).await;
        let alice = log_in(&server, &provider, "1234", "alice").await;
        let tablet = server.device_of(alice.user_id.clone(), "TABLET").await;
        log_in(&server, &provider, "5678", "bob").await;
        let begun = begin(&alice, Value::Null).await.body;
        let flows = json!([{ "stages": ["m.login.sso"] }, { "stages": ["m.login.oauth2"] },
            { "stages": ["m.login.token"] }]);
        assert_eq!(begun["flows"], flows, "there is no password to ask for");
        let session = &begun["session"];
        let asked = begin(&alice, json!({ "type": "m.login.oauth2", "session": session })).await;
        assert_eq!((asked.status, &asked.body["completed"]), (401, &json!([])));
        for body in [&begun["params"]["m.login.oauth2"], &asked.body] {
            let uri = body["uri"].as_str().expect("a URI");
            assert!(uri.contains("redirect_uri=https%3A%2F%2Fhearth.test%2F_hearth%2F"), "{uri}");
        }
        let uri = asked.body["uri"].as_str().expect("a URI").to_owned();

        // Somebody else's account proves nothing.
        let mut browser = Browser::new();
        let back = browser.opens(&server, &provider.allows(&uri, "5678", "bob")).await;
        refused(&browser.posts(&server, "/_hearth/oauth2/allow", &[("ticket", &back.ticket())]).await, 403);
        assert_eq!(begin(&alice, json!({ "session": session })).await.status, 401);

        // People are asked, for nobody knows who made them follow the link.
        let uri = begin(&alice, json!({ "session": session })).await.body["params"]["m.login.oauth2"]["uri"].clone();
        let uri = uri.as_str().expect("a URI");
        let back = browser.opens(&server, &provider.allows(uri, "1234", "alice")).await;
        assert!(back.text.contains("remove devices from your account"), "{}", back.text);
        assert_eq!(begin(&alice, json!({ "session": session })).await.status, 401);
        let done = browser.posts(&server, "/_hearth/oauth2/allow", &[("ticket", &back.ticket())]).await;
        assert!(done.status == 200 && done.text.contains("onAuthDone"), "{}", done.text);
        server.restart().await;
        let mut alice = alice;
        alice.moves_to(&server);
        tablet_is(&server, &tablet, true).await;
        // Only for the same request.
        let other = json!({ "devices": ["FIRST"], "auth": { "session": session } });
        alice.post("/v3/delete_devices", other).await.refused(401, "M_UNKNOWN");
        begin(&alice, json!({ "session": session })).await.ok();
        tablet_is(&server, &tablet, false).await;
        assert_eq!(begin(&alice, json!({ "session": session })).await.status, 401);
    }

    async fn the_page_of_single_sign_on_leads_there_and_back(server: Server) {
        let mut server = server;
        let provider = know(&mut server, &["forge", "mill"]).await;
        let mut browser = Browser::new();
        // With several services there is a choice.
        let choice = browser.opens(&server, &redirect(CLIENT)).await;
        assert!(choice.text.contains("The forge") && choice.text.contains("The mill"), "{}", choice.text);
        let first = choice.between("href=\"https://hearth.test", "\"");
        let sent = browser.opens(&server, &first).await;
        let asked = browser.opens(&server, &provider.allows(&sent.location, "1234", "alice")).await;
        let sent = browser.posts(&server, "/_hearth/oauth2/allow", &[("ticket", &asked.ticket())]).await;
        let alice = self::session(&server, &use_token(&server, &token(&sent.location)).await.ok());

        let begun = begin(&alice, Value::Null).await.body;
        let session = begun["session"].as_str().expect("a session");
        let uri = begun["params"]["m.login.oauth2"]["uri"].as_str().expect("a URI");
        assert!(browser.opens(&server, uri).await.text.contains("The mill"), "{uri}");
        let path = format!("/_matrix/client/v3/auth/m.login.sso/fallback/web?session={session}");
        let page = browser.opens(&server, &path).await;
        assert!(page.text.contains("remove devices"), "{}", page.text);
        let link = page.between("href=\"https://hearth.test", "\"");
        let sent = browser.opens(&server, &link).await;
        assert_eq!(sent.status, 302, "{}", sent.text);
        let back = provider.allows(&sent.location, "1234", "alice");
        refused(&Browser::new().opens(&server, &back).await, 403);
        let done = browser.opens(&server, &back).await;
        assert!(done.status == 200 && done.text.contains("onAuthDone"), "{}", done.text);
        begin(&alice, json!({ "session": session })).await.ok();
        // The other service has the same subject, which is somebody else.
        let begun = begin(&alice, Value::Null).await.body;
        let session = begun["session"].as_str().expect("a session");
        let path = format!("/_matrix/client/v3/auth/m.login.sso/fallback/web?session={session}");
        let page = browser.opens(&server, &path).await;
        let link = page.between("href=\"https://hearth.test", "\"").replace("provider=forge", "provider=mill");
        let sent = browser.opens(&server, &link).await;
        refused(&browser.opens(&server, &provider.allows(&sent.location, "1234", "alice")).await, 403);
        let unknown = link.replace("provider=mill", "provider=x");
        refused(&browser.opens(&server, &unknown).await, 404);
    }

    async fn an_account_elsewhere_makes_one_account_here(server: Server) {
        let mut server = server;
        let provider = know(&mut server, &["forge"]).await;
        server.restart_with(|config| config.registration.require = vec![Requirement::OAuth2]).await;
        let register = async |username: &str, auth: Value| {
            server.stranger().post("/v3/register", json!({ "username": username, "auth": auth })).await
        };
        let uri = |begun: &Value| begun["params"]["m.login.oauth2"]["uri"].as_str().expect("a URI").to_owned();
        let mut browser = Browser::new();
        let begun = register("alice", Value::Null).await.body;
        let twice = register("bob", Value::Null).await.body;
        for begun in [&begun, &twice] {
            let back = browser.opens(&server, &provider.allows(&uri(begun), "1234", "x")).await;
            assert!(back.text.contains("make an account"), "{}", back.text);
            browser.posts(&server, "/_hearth/oauth2/allow", &[("ticket", &back.ticket())]).await;
        }
        let made = register("alice", json!({ "session": begun["session"] })).await.ok();
        assert_eq!(made["user_id"], "@alice:hearth.test");
        register("bob", json!({ "session": twice["session"] })).await.refused(403, "M_FORBIDDEN");
        assert_eq!(log_in(&server, &provider, "1234", "x").await.user_id, "@alice:hearth.test");
        let late = register("carol", Value::Null).await.body;
        let back = browser.opens(&server, &provider.allows(&uri(&late), "1234", "x")).await;
        refused(&browser.posts(&server, "/_hearth/oauth2/allow", &[("ticket", &back.ticket())]).await, 403);
    }

    async fn clients_of_2015_read_their_credentials_at_the_end_of_the_way(server: Server) {
        let mut server = server;
        let provider = know(&mut server, &["forge"]).await;
        let flows = server.stranger().get("/api/v1/login").await.ok();
        assert_eq!(flows["flows"][2], json!({ "type": "m.login.oauth2" }));
        let uri = async |user: Value| {
            let body = json!({ "type": "m.login.oauth2", "user": user });
            let reply = server.stranger().post("/api/v1/login", body).await.ok();
            reply["uri"].as_str().expect("a URI").to_owned()
        };
        let mut browser = Browser::new();
        let url = uri("alice".into()).await;
        let shown = browser.opens(&server, &provider.allows(&url, "1234", "alice")).await;
        let credentials: Value = serde_json::from_str(&shown.text).expect("JSON");
        assert_eq!(credentials["home_server"], "hearth.test");
        let alice = whose(&server, &credentials);
        assert_eq!(alice.get("/v3/account/whoami").await.ok()["user_id"], "@alice:hearth.test");
        let url = uri("bob".into()).await;
        refused(&browser.opens(&server, &provider.allows(&url, "1234", "alice")).await, 403);
        let url = uri(Value::Null).await;
        let shown = browser.opens(&server, &provider.allows(&url, "1234", "alice")).await;
        assert!(shown.text.contains("@alice:hearth.test"), "{}", shown.text);
    }

    async fn a_service_inside_is_not_asked(server: Server) {
        let mut server = server;
        let provider = know(&mut server, &["forge"]).await;
        server.restart_with(|config| config.federation.allow_loopback = false).await;
        let mut browser = Browser::new();
        let sent = browser.opens(&server, &redirect(CLIENT)).await;
        let back = provider.allows(&sent.location, "1234", "alice");
        refused(&browser.opens(&server, &back).await, 503);
        assert_eq!(provider.requests(), 0);
    }
}

/// Whether `tablet` is logged in.
async fn tablet_is(server: &Server, tablet: &User, logged_in: bool) {
    let mut tablet = tablet.clone();
    tablet.moves_to(server);
    let status = tablet.get("/v3/account/whoami").await.status;
    assert_eq!(status, if logged_in { 200 } else { 401 });
}
