//! What this server has none of, said so that clients can go on: bridges, TURN.

use serde_json::json;

use crate::harness::on_both_databases;

on_both_databases! {
    async fn what_clients_ask_for_at_their_start_is_answered(server: Server) {
        let alice = server.user("alice").await;
        assert_eq!(alice.get("/v3/voip/turnServer").await.ok(), json!({}));
        assert_eq!(alice.get("/v3/pushers").await.ok(), json!({ "pushers": [] }));
        assert_eq!(alice.get("/v3/thirdparty/protocols").await.ok(), json!({}));
        assert_eq!(alice.get("/v3/thirdparty/user?x=y").await.ok(), json!([]));
        assert_eq!(alice.get("/v3/thirdparty/location?alias=%23a:b").await.ok(), json!([]));
        for path in ["protocol/irc", "location/irc", "user/irc"] {
            alice.get(&format!("/v3/thirdparty/{path}")).await.refused(404, "M_NOT_FOUND");
        }
        for path in ["voip/turnServer", "pushers", "thirdparty/protocols", "pushrules/"] {
            server.stranger().get(&format!("/v3/{path}")).await.refused(401, "M_MISSING_TOKEN");
        }
    }

    async fn everybody_begins_with_the_default_push_rules(server: Server) {
        let alice = server.user("alice").await;
        let all = alice.get("/v3/pushrules/").await.ok();
        let global = alice.get("/v3/pushrules/global/").await.ok();
        assert_eq!(all, json!({ "global": global }));
        for kind in ["override", "content", "room", "sender", "underride"] {
            assert!(global[kind].is_array(), "{kind}: {global}");
        }
        let ids: Vec<_> = global["override"].as_array().into_iter().flatten().map(|rule| &rule["rule_id"]).collect();
        assert!(ids.contains(&&json!(".m.rule.master")) && ids.contains(&&json!(".m.rule.is_user_mention")), "{ids:?}");
    }

    async fn encryption_is_not_there_yet_and_says_so(server: Server) {
        let alice = server.user("alice").await;
        alice.post("/v3/keys/upload", json!({})).await.refused(404, "M_UNRECOGNIZED");
        alice.get("/v3/room_keys/version").await.refused(404, "M_UNRECOGNIZED");
    }
}
