//! OpenID tokens.

use std::time::Duration;

use reqwest::Method;
use serde_json::json;

use crate::harness::{Reply, User, encode, on_both_databases};

async fn userinfo(asker: &User, query: &str) -> Reply {
    asker.ask(Method::GET, &format!("/_matrix/federation/v1/openid/userinfo{query}"), None).await
}

on_both_databases! {
    async fn a_service_learns_who_its_user_is_and_no_more(server: Server) {
        let (alice, bob) = (server.user("alice").await, server.user("bob").await);
        let path = format!("/v3/user/{}/openid/request_token", encode(alice.user_id.as_str()));
        let token = alice.post(&path, json!({})).await.ok();
        assert_eq!((&token["token_type"], &token["expires_in"]), (&json!("Bearer"), &json!(3600)));
        assert_eq!(token["matrix_server_name"], "hearth.test");
        let secret = token["access_token"].as_str().expect("a token");
        let service = server.stranger();
        let query = format!("?access_token={}", encode(secret));
        assert_eq!(userinfo(&service, &query).await.ok(), json!({ "sub": alice.user_id }));
        // It opens nothing else, and what opens everything else does not open this.
        let mut thief = server.stranger();
        thief.token = secret.to_owned();
        thief.get("/v3/account/whoami").await.refused(401, "M_UNKNOWN_TOKEN");
        let query_of = |token: &str| format!("?access_token={}", encode(token));
        userinfo(&service, &query_of(&alice.token)).await.refused(401, "M_UNKNOWN_TOKEN");
        userinfo(&service, &query_of("")).await.refused(401, "M_UNKNOWN_TOKEN");
        userinfo(&service, "").await.refused(401, "M_MISSING_TOKEN");
        bob.post(&path, json!({})).await.refused(403, "M_FORBIDDEN");
        service.post(&path, json!({})).await.refused(401, "M_MISSING_TOKEN");
        server.pass(Duration::from_secs(3600));
        userinfo(&service, &query).await.refused(401, "M_UNKNOWN_TOKEN");
    }
}
