//! Reports to the administrator.

use serde_json::json;

use crate::harness::{encode, on_both_databases};

on_both_databases! {
    async fn members_report_events_that_they_see(server: Server) {
        let (alice, bob) = (server.user("alice").await, server.user("bob").await);
        let room = alice.creates_room(json!({})).await;
        let hidden = alice.say(&room, "bad").await;
        let report = |event_id: &str| format!("/v3/rooms/{}/report/{}", encode(&room), encode(event_id));
        alice.post(&report(&hidden), json!({ "reason": "sad", "score": -100 })).await.ok();
        alice.post(&report(&hidden), json!({})).await.ok();
        // Unknown, hidden or elsewhere: all the same.
        let refused = bob.post(&report(&hidden), json!({ "reason": "sad" })).await;
        let refused = refused.refused(404, "M_NOT_FOUND");
        assert_eq!(bob.post(&report("$nothing"), json!({})).await.refused(404, "M_NOT_FOUND"), refused);
        let nowhere = format!("/v3/rooms/{}/report/{}", encode("!nowhere:hearth.test"), encode(&hidden));
        assert_eq!(bob.post(&nowhere, json!({})).await.refused(404, "M_NOT_FOUND"), refused);
        alice.post(&report(&hidden), json!({ "reason": 5 })).await.refused(400, "M_BAD_JSON");
        alice.post(&report(&hidden), json!({ "reason": "\u{0}" })).await.refused(400, "M_BAD_JSON");
        let long = json!({ "reason": "x".repeat(5_000) });
        alice.post(&report(&hidden), long).await.refused(413, "M_TOO_LARGE");
        server.stranger().post(&report(&hidden), json!({})).await.refused(401, "M_MISSING_TOKEN");
    }

    async fn rooms_and_users_are_reported_from_outside(server: Server) {
        let (alice, bob) = (server.user("alice").await, server.user("bob").await);
        let room = alice.creates_room(json!({})).await;
        let reason = json!({ "reason": "" });
        let of_room = |room: &str| format!("/v3/rooms/{}/report", encode(room));
        bob.post(&of_room(&room), reason.clone()).await.ok();
        bob.post(&of_room("!nowhere:hearth.test"), reason.clone()).await.refused(404, "M_NOT_FOUND");
        bob.post(&of_room("nowhere"), reason.clone()).await.refused(400, "M_INVALID_PARAM");
        bob.post(&of_room(&room), json!({})).await.refused(400, "M_MISSING_PARAM");
        let of_user = |user: &str| format!("/v3/users/{}/report", encode(user));
        bob.post(&of_user(alice.user_id.as_str()), reason.clone()).await.ok();
        bob.post(&of_user("@nobody:hearth.test"), reason.clone()).await.refused(404, "M_NOT_FOUND");
        bob.post(&of_user("@nobody:elsewhere.test"), reason.clone()).await.refused(404, "M_NOT_FOUND");
        bob.post(&of_user(alice.user_id.as_str()), json!({})).await.refused(400, "M_MISSING_PARAM");
        server.stranger().post(&of_room(&room), reason).await.refused(401, "M_MISSING_TOKEN");
    }

    async fn the_administrator_reads_them_page_by_page(server: Server) {
        let (alice, bob) = (server.user("alice").await, server.user("bob").await);
        let room = alice.creates_room(json!({ "preset": "public_chat" })).await;
        bob.joins(&room).await;
        let event = alice.say(&room, "bad").await;
        bob.post(&format!("/v3/rooms/{}/report", encode(&room)), json!({ "reason": "the room" })).await.ok();
        let of_event = format!("/v3/rooms/{}/report/{}", encode(&room), encode(&event));
        bob.post(&of_event, json!({ "reason": "the event" })).await.ok();
        let of_user = format!("/v3/users/{}/report", encode(alice.user_id.as_str()));
        bob.post(&of_user, json!({ "reason": "the user" })).await.ok();
        let (mut before, mut reasons) = (None, Vec::new());
        loop {
            let page = homeserver::reports::page(&server.home, before, 2).await.expect("a page");
            let Some(last) = page.last() else { break };
            before = Some(last.number);
            for report in page {
                let said = report.said;
                assert_eq!(said.reporter, bob.user_id.as_str());
                if said.reason.as_deref() == Some("the event") {
                    assert_eq!((said.event_id.as_ref(), said.room_id.as_ref()), (Some(&event), Some(&room)));
                    assert_eq!(said.user_id.as_deref(), Some(alice.user_id.as_str()));
                }
                reasons.extend(said.reason);
            }
        }
        assert_eq!(reasons, ["the user", "the event", "the room"]);
    }

    async fn only_so_many_are_kept_of_one_user_in_a_day(server: Server) {
        let alice = server.user("alice").await;
        let path = format!("/v3/users/{}/report", encode(alice.user_id.as_str()));
        for _ in 0..200 {
            alice.post(&path, json!({ "reason": "again" })).await.ok();
        }
        alice.post(&path, json!({ "reason": "again" })).await.refused(429, "M_LIMIT_EXCEEDED");
        server.pass(std::time::Duration::from_secs(24 * 60 * 60));
        alice.post(&path, json!({ "reason": "again" })).await.ok();
    }
}
