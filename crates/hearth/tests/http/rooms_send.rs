//! `PUT /rooms/{roomId}/send/{eventType}/{txnId}`

use serde_json::json;

use crate::harness::{encode, on_both_databases};

on_both_databases! {
    async fn without_a_token_nobody_sends(server: Server) {
        let path = "/v3/rooms/!a:hearth.test/send/m.room.message/1";
        server.stranger().put(path, json!({})).await.refused(401, "M_MISSING_TOKEN");
    }

    async fn nothing_is_sent_to_a_room_that_is_not_there(server: Server) {
        let alice = server.user("alice").await;
        let path = format!("/v3/rooms/{}/send/m.room.message/1", encode("!a:hearth.test"));
        alice.put(&path, json!({})).await.refused(404, "M_NOT_FOUND");
    }

    async fn a_body_that_is_not_json_is_called_that(server: Server) {
        let alice = server.user("alice").await;
        let path = "/_matrix/client/v3/rooms/!a:hearth.test/send/m.room.message/1";
        alice.ask(reqwest::Method::PUT, path, Some("{")).await.refused(400, "M_NOT_JSON");
        alice.ask(reqwest::Method::PUT, path, Some("[1]")).await.refused(400, "M_BAD_JSON");
        alice.ask(reqwest::Method::POST, path, Some("{}")).await.refused(405, "M_UNRECOGNIZED");
    }
}
