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

/// A room with this join rule, of which `alice` is the creator.
async fn room_with(alice: &User, version: &str, rule: Value) -> String {
    let rule = json!({ "type": "m.room.join_rules", "content": rule });
    alice.creates_room(json!({ "room_version": version, "initial_state": [rule] })).await
}

async fn membership(user: &User, room_id: &str, of: &User) -> Value {
    user.state(room_id, "m.room.member", of.user_id.as_str()).await.ok()
}

on_both_databases! {
    async fn kicking_and_banning_take_power_and_a_member(server: Server) {
        let (alice, bob, carol) =
            (server.user("alice").await, server.user("bob").await, server.user("carol").await);
        let room = alice.creates_room(json!({ "preset": "public_chat" })).await;
        alice.does(&room, "kick", target(&bob)).await.refused(403, "M_FORBIDDEN");
        bob.joins(&room).await;
        carol.joins(&room).await;
        bob.does(&room, "kick", target(&carol)).await.refused(403, "M_FORBIDDEN");
        bob.does(&room, "ban", target(&carol)).await.refused(403, "M_FORBIDDEN");
        let body = json!({ "user_id": bob.user_id, "reason": "noise" });
        alice.does(&room, "kick", body.clone()).await.ok();
        assert_eq!(membership(&alice, &room, &bob).await, json!({ "membership": "leave", "reason": "noise" }));
        alice.does(&room, "kick", body.clone()).await.refused(403, "M_FORBIDDEN");
        bob.joins(&room).await;
        alice.does(&room, "unban", target(&bob)).await.refused(403, "M_BAD_STATE");
        alice.does(&room, "ban", body.clone()).await.ok();
        alice.does(&room, "ban", body).await.ok();
        assert_eq!(counts(&server, &room).await, (2, 0));
        bob.does(&room, "join", json!({})).await.refused(403, "M_FORBIDDEN");
        bob.does(&room, "leave", json!({})).await.refused(403, "M_FORBIDDEN");
        alice.does(&room, "invite", target(&bob)).await.refused(403, "M_FORBIDDEN");
        alice.does(&room, "kick", target(&bob)).await.refused(403, "M_FORBIDDEN");
        carol.does(&room, "unban", target(&bob)).await.refused(403, "M_FORBIDDEN");
        alice.does(&room, "unban", target(&bob)).await.ok();
        assert_eq!(standing(&server, &room, &bob).await.as_deref(), Some("leave"));
        bob.joins(&room).await;
        bob.does(&room, "ban", target(&alice)).await.refused(403, "M_FORBIDDEN");
        alice.does(&room, "ban", target(&alice)).await.refused(403, "M_FORBIDDEN");
    }

    async fn who_is_not_in_the_room_does_nothing_there(server: Server) {
        let (alice, bob) = (server.user("alice").await, server.user("bob").await);
        let room = alice.creates_room(json!({ "preset": "public_chat" })).await;
        for what in ["invite", "kick", "ban", "unban"] {
            let reply = bob.does(&room, what, target(&alice)).await;
            assert_eq!(reply.status, 403, "{what} {}", reply.body);
        }
        bob.does(&room, "leave", json!({})).await.refused(403, "M_FORBIDDEN");
        bob.does(&room, "forget", json!({})).await.refused(400, "M_UNKNOWN");
        for what in ["join", "leave", "forget", "invite", "kick", "ban", "unban"] {
            bob.does("!none:hearth.test", what, target(&alice)).await.refused(404, "M_NOT_FOUND");
        }
        bob.post("/v3/join/%23none:hearth.test", json!({})).await.refused(404, "M_NOT_FOUND");
        bob.post("/v3/join/%23none:elsewhere.test", json!({})).await.refused(404, "M_NOT_FOUND");
        bob.post("/v3/knock/%23none:hearth.test", json!({})).await.refused(404, "M_NOT_FOUND");
        bob.post("/v3/join/none", json!({})).await.refused(400, "M_INVALID_PARAM");
        bob.does(&room, "kick", json!({})).await.refused(400, "M_BAD_JSON");
        bob.does(&room, "kick", json!({ "user_id": "alice" })).await.refused(400, "M_BAD_JSON");
        let stranger = server.stranger();
        for what in ["join", "leave", "forget", "invite", "kick", "ban", "unban"] {
            stranger.does(&room, what, target(&alice)).await.refused(401, "M_MISSING_TOKEN");
        }
    }

    async fn invites_say_who_and_why_and_reach_only_this_server(server: Server) {
        let (alice, bob) = (server.user("alice").await, server.user("bob").await);
        let room = alice.creates_room(json!({})).await;
        let body = json!({ "user_id": bob.user_id, "reason": "come" });
        alice.does(&room, "invite", body).await.ok();
        assert_eq!(membership(&alice, &room, &bob).await, json!({ "membership": "invite", "reason": "come" }));
        bob.joins(&room).await;
        let said = alice.does(&room, "invite", target(&bob)).await.refused(403, "M_FORBIDDEN");
        assert!(said["error"].as_str().expect("text").contains("join"), "{said}");
        let far = json!({ "user_id": "@far:elsewhere.test" });
        alice.does(&room, "invite", far).await.refused(403, "M_FORBIDDEN");
        let by_mail = json!({ "id_server": "id.test", "id_access_token": "x", "medium": "email",
            "address": "bob@example.test" });
        alice.does(&room, "invite", by_mail).await.refused(400, "M_SERVER_NOT_TRUSTED");
        let long = json!({ "user_id": bob.user_id, "reason": "x".repeat(5_000) });
        alice.does(&room, "kick", long).await.refused(413, "M_TOO_LARGE");
    }

    async fn a_room_that_was_left_can_be_forgotten(server: Server) {
        let (alice, bob) = (server.user("alice").await, server.user("bob").await);
        let room = alice.creates_room(json!({ "invite": [bob.user_id] })).await;
        bob.does(&room, "forget", json!({})).await.refused(400, "M_UNKNOWN");
        bob.joins(&room).await;
        bob.does(&room, "forget", json!({})).await.refused(400, "M_UNKNOWN");
        bob.leaves(&room).await;
        bob.does(&room, "forget", json!({})).await.ok();
        bob.does(&room, "forget", json!({})).await.ok();
        alice.invites(&room, &bob).await;
        bob.joins(&room).await;
    }

    async fn knocking_waits_for_an_invite(server: Server) {
        let (alice, bob) = (server.user("alice").await, server.user("bob").await);
        let room = room_with(&alice, "11", json!({ "join_rule": "knock" })).await;
        let path = format!("/v3/knock/{}", encode(&room));
        bob.does(&room, "join", json!({})).await.refused(403, "M_FORBIDDEN");
        let knocked = bob.post(&path, json!({ "reason": "hi" })).await.ok();
        assert_eq!(knocked, json!({ "room_id": room }));
        assert_eq!(membership(&alice, &room, &bob).await, json!({ "membership": "knock", "reason": "hi" }));
        bob.post(&path, json!({ "reason": "hi" })).await.ok();
        bob.leaves(&room).await;
        bob.post(&path, json!({})).await.ok();
        alice.does(&room, "kick", target(&bob)).await.ok();
        bob.post(&path, json!({})).await.ok();
        alice.invites(&room, &bob).await;
        bob.post(&path, json!({})).await.refused(403, "M_FORBIDDEN");
        bob.joins(&room).await;
        bob.post(&path, json!({})).await.refused(403, "M_FORBIDDEN");
        alice.does(&room, "ban", target(&bob)).await.ok();
        bob.post(&path, json!({})).await.refused(403, "M_FORBIDDEN");

        let invite_only = alice.creates_room(json!({})).await;
        bob.post(&format!("/v3/knock/{}", encode(&invite_only)), json!({})).await.refused(403, "M_FORBIDDEN");
        let old = alice.creates_room(json!({ "room_version": "6" })).await;
        bob.post(&format!("/v3/knock/{}", encode(&old)), json!({})).await.refused(403, "M_FORBIDDEN");
    }

    async fn whoever_names_the_way_to_a_room_gets_there(server: Server) {
        let (alice, bob) = (server.user("alice").await, server.user("bob").await);
        let room = alice.creates_room(json!({ "preset": "public_chat", "room_alias_name": "kitchen" })).await;
        let alias = encode("#kitchen:hearth.test");
        for (path, reason) in [
            (format!("/v3/join/{}?via=hearth.test&via=far.test", encode(&room)), "by id"),
            (format!("/v3/join/{alias}?via=far.test"), "by alias"),
            (format!("/v3/join/{alias}?server_name=far.test&server_name=hearth.test"), "the old way"),
            (format!("/v3/rooms/{}/join", encode(&room)), "directly"),
        ] {
            let joined = bob.post(&path, json!({ "reason": reason })).await.ok();
            assert_eq!(joined, json!({ "room_id": room }), "{path}");
            assert_eq!(membership(&alice, &room, &bob).await["reason"], json!(reason));
            bob.leaves(&room).await;
        }
        alice.sets(&room, "m.room.join_rules", "", json!({ "join_rule": "knock" })).await.ok();
        bob.post(&format!("/v3/knock/{alias}?via=hearth.test"), json!({})).await.ok();
        bob.post("/v3/join/%23nothing:hearth.test?via=far.test", json!({})).await.refused(404, "M_NOT_FOUND");
        bob.post("/v3/join/nothing", json!({})).await.refused(400, "M_INVALID_PARAM");
    }

    async fn a_restricted_room_admits_members_of_another(server: Server) {
        let (alice, bob, carol) =
            (server.user("alice").await, server.user("bob").await, server.user("carol").await);
        for (version, rule) in [("8", "restricted"), ("10", "knock_restricted"), ("12", "restricted")] {
            let space = alice.creates_room(json!({ "preset": "public_chat" })).await;
            let allow = json!([{ "type": "org.example.other", "room_id": "!x:y" }, 7, { "type": "m.room_membership" },
                { "type": "m.room_membership", "room_id": "!gone:hearth.test" },
                { "type": "m.room_membership", "room_id": space }]);
            let room = room_with(&alice, version, json!({ "join_rule": rule, "allow": allow })).await;
            bob.does(&room, "join", json!({})).await.refused(403, "M_FORBIDDEN");
            bob.joins(&space).await;
            bob.joins(&room).await;
            let content = membership(&alice, &room, &bob).await;
            assert_eq!(content["join_authorised_via_users_server"], json!(alice.user_id), "{version}");
            bob.sets(&room, "m.room.member", bob.user_id.as_str(), json!({ "membership": "join", "displayname": "B" }))
                .await
                .ok();
            bob.leaves(&space).await;
            bob.leaves(&room).await;
            bob.does(&room, "join", json!({})).await.refused(403, "M_FORBIDDEN");
            // Nobody vouches for oneself by naming who could.
            let claim = json!({ "membership": "join", "join_authorised_via_users_server": alice.user_id });
            bob.sets(&room, "m.room.member", bob.user_id.as_str(), claim).await.refused(403, "M_FORBIDDEN");
            // The invited need no other room.
            alice.invites(&room, &carol).await;
            carol.joins(&room).await;
            let content = membership(&alice, &room, &carol).await;
            assert_eq!(content.get("join_authorised_via_users_server"), None);
            if rule == "knock_restricted" {
                bob.post(&format!("/v3/knock/{}", encode(&room)), json!({})).await.ok();
            }
            // Nobody is left who may invite.
            bob.joins(&space).await;
            let mut levels = alice.state(&room, "m.room.power_levels", "").await.ok();
            levels["invite"] = json!(100);
            alice.sets(&room, "m.room.power_levels", "", levels).await.ok();
            alice.leaves(&room).await;
            bob.does(&room, "join", json!({})).await.refused(403, "M_FORBIDDEN");
        }
    }

    async fn a_membership_set_as_state_follows_the_same_rules(server: Server) {
        let (alice, bob) = (server.user("alice").await, server.user("bob").await);
        let room = alice.creates_room(json!({})).await;
        let set = |user: &User, content: Value| {
            let (user, room, key) = (user.clone(), room.clone(), bob.user_id.to_string());
            async move { user.sets(&room, "m.room.member", &key, content).await }
        };
        set(&bob, json!({ "membership": "join" })).await.refused(403, "M_FORBIDDEN");
        set(&alice, json!({ "membership": "join" })).await.refused(403, "M_FORBIDDEN");
        set(&alice, json!({ "membership": "invite" })).await.ok();
        set(&bob, json!({ "membership": "join", "displayname": "B" })).await.ok();
        assert_eq!(membership(&alice, &room, &bob).await, json!({ "membership": "join", "displayname": "B" }));
        let first = set(&bob, json!({ "membership": "join", "displayname": "C" })).await.ok();
        assert_eq!(set(&bob, json!({ "membership": "join", "displayname": "C" })).await.ok(), first);
        assert_eq!(counts(&server, &room).await, (2, 0));
        set(&alice, json!({ "membership": "leave", "reason": "out" })).await.ok();
        set(&alice, json!({ "membership": "leave" })).await.refused(403, "M_FORBIDDEN");
        set(&alice, json!({ "membership": "ban" })).await.ok();
        set(&alice, json!({ "membership": "leave" })).await.ok();
        assert_eq!(standing(&server, &room, &bob).await.as_deref(), Some("leave"));
        for content in [json!({}), json!({ "membership": "owner" }), json!({ "membership": 1 }),
            json!({ "membership": null }), json!({ "membership": "JOIN" })] {
            set(&alice, content).await.refused(400, "M_BAD_JSON");
        }
        let key = "not a user";
        let content = json!({ "membership": "invite" });
        alice.sets(&room, "m.room.member", key, content).await.refused(400, "M_INVALID_PARAM");
        let path = format!("/v3/rooms/{}/send/m.room.member/t", encode(&room));
        alice.put(&path, json!({ "membership": "leave" })).await.refused(403, "M_FORBIDDEN");
    }

    async fn a_join_shows_the_profile(server: Server) {
        let (alice, bob) = (server.user("alice").await, server.user("bob").await);
        let mut batch = store::Batch::new();
        store::profiles::set(&mut batch, bob.user_id.as_str(), "displayname", r#""Bob""#, 10_000);
        store::profiles::set(&mut batch, bob.user_id.as_str(), "avatar_url", r#""mxc://a/b""#, 10_000);
        store::profiles::set(&mut batch, bob.user_id.as_str(), "m.tz", r#""UTC""#, 10_000);
        server.home.db.commit(batch).await.expect("a profile");
        let room = alice.creates_room(json!({ "invite": [bob.user_id] })).await;
        let profile = |membership: &str| {
            json!({ "membership": membership, "displayname": "Bob", "avatar_url": "mxc://a/b" })
        };
        assert_eq!(membership(&alice, &room, &bob).await, profile("invite"));
        bob.joins(&room).await;
        assert_eq!(membership(&alice, &room, &bob).await, profile("join"));
    }

    async fn guests_join_where_they_may_and_leave_when_they_may_not(server: Server) {
        let (alice, guest) = (server.user("alice").await, server.guest("guest").await);
        let room = alice.creates_room(json!({ "preset": "public_chat" })).await;
        guest.does(&room, "join", json!({})).await.refused(403, "M_GUEST_ACCESS_FORBIDDEN");
        alice.sets(&room, "m.room.guest_access", "", json!({ "guest_access": "can_join" })).await.ok();
        guest.joins(&room).await;
        guest.say(&room, "hello").await;
        alice.sets(&room, "m.room.guest_access", "", json!({ "guest_access": "forbidden" })).await.ok();
        assert_eq!(standing(&server, &room, &guest).await.as_deref(), Some("leave"));
        assert_eq!(counts(&server, &room).await, (1, 0));
        guest.post("/v3/createRoom", json!({})).await.refused(403, "M_GUEST_ACCESS_FORBIDDEN");
    }
}
