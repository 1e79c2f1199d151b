//! Joining, inviting, leaving, forgetting, kicking, banning, knocking.

use serde_json::{Value, json};

use crate::harness::{Server, User, encode, on_both_databases};

/// Where `user` stands in a room, as the store has it.
async fn standing(server: &Server, room_id: &str, user: &User) -> Option<String> {
    let room = store::rooms::by_id(&server.home.db, room_id).await.expect("the database").expect("a room");
    let member = store::members::get(&server.home.db, user.user_id.as_str(), room.room).await;
    member.expect("the database").map(|member| member.membership)
}

/// How many are joined and invited by the room's own count.
async fn counts(server: &Server, room_id: &str) -> (i64, i64) {
    let room = store::rooms::by_id(&server.home.db, room_id).await.expect("the database").expect("a room");
    (room.joined, room.invited)
}

fn target(user: &User) -> Value {
    json!({ "user_id": user.user_id })
}

on_both_databases! {
    async fn the_invited_join_and_talk_and_leave(server: Server) {
        let (alice, bob) = (server.user("alice").await, server.user("bob").await);
        let room = alice.creates_room(json!({})).await;
        bob.does(&room, "join", json!({})).await.refused(403, "M_FORBIDDEN");
        alice.invites(&room, &bob).await;
        assert_eq!(counts(&server, &room).await, (1, 1));
        alice.invites(&room, &bob).await;
        bob.joins(&room).await;
        assert_eq!(counts(&server, &room).await, (2, 0));
        bob.say(&room, "hello").await;
        bob.joins(&room).await;
        bob.leaves(&room).await;
        bob.leaves(&room).await;
        assert_eq!(counts(&server, &room).await, (1, 0));
        let path = format!("/v3/rooms/{}/send/m.room.message/late", encode(&room));
        bob.put(&path, json!({ "body": "too late" })).await.refused(403, "M_FORBIDDEN");
        bob.does(&room, "join", json!({})).await.refused(403, "M_FORBIDDEN");
    }

    async fn an_invite_can_be_rejected_and_taken_back(server: Server) {
        let (alice, bob) = (server.user("alice").await, server.user("bob").await);
        let room = alice.creates_room(json!({ "invite": [bob.user_id] })).await;
        bob.leaves(&room).await;
        assert_eq!(standing(&server, &room, &bob).await.as_deref(), Some("leave"));
        alice.does(&room, "invite", json!({ "user_id": bob.user_id, "reason": "please" })).await.ok();
        alice.does(&room, "kick", target(&bob)).await.ok();
        assert_eq!(counts(&server, &room).await, (1, 0));
        bob.does(&room, "join", json!({})).await.refused(403, "M_FORBIDDEN");
    }
}
