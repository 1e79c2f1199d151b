//! What the server itself says in rooms and beside them, compared with the specification's schemas of events.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::{
    harness::{Server, User, encode, on_both_databases},
    openapi,
    sync::sync_with,
};

/// The types of events that were compared.
#[derive(Default)]
struct Compared(BTreeSet<String>);

impl Compared {
    /// Compares an event, which in a sync does not say in which room it is.
    #[track_caller]
    fn event(&mut self, event: &Value, room: Option<&str>) {
        let mut event = event.clone();
        if let (Some(room), None) = (room, event.get("room_id")) {
            event["room_id"] = json!(room);
        }
        openapi::check_event(&event);
        self.0.insert(event["type"].as_str().expect("a type").to_owned());
    }

    fn list(&mut self, events: &Value, room: Option<&str>) {
        for event in events.as_array().into_iter().flatten() {
            self.event(event, room);
        }
    }

    /// Everything that a sync tells.
    async fn synced(&mut self, user: &User) {
        for query in ["set_presence=offline", "set_presence=offline&use_state_after=true"] {
            let synced = sync_with(user, "", query).await;
            self.list(&synced["account_data"]["events"], None);
            self.list(&synced["presence"]["events"], None);
            for (room, told) in synced["rooms"]["join"].as_object().into_iter().flatten() {
                for part in ["state", "state_after", "timeline"] {
                    self.list(&told[part]["events"], Some(room));
                }
                for part in ["ephemeral", "account_data"] {
                    self.list(&told[part]["events"], None);
                }
            }
        }
    }

    /// The history and the state of a room.
    async fn room(&mut self, user: &User, room: &str) {
        let path = format!("/v3/rooms/{}", encode(room));
        let page = user.get(&format!("{path}/messages?dir=b&limit=250")).await.ok();
        self.list(&page["chunk"], None);
        self.list(&user.get(&format!("{path}/state")).await.ok(), None);
        self.list(&user.get(&format!("{path}/members")).await.ok()["chunk"], None);
    }
}

async fn named(server: &Server, localpart: &str) -> User {
    let user = server.user(localpart).await;
    let profile = format!("/v3/profile/{}", encode(user.user_id.as_str()));
    let name = json!({ "displayname": localpart.to_uppercase() });
    user.put(&format!("{profile}/displayname"), name).await.ok();
    let picture = json!({ "avatar_url": format!("mxc://hearth.test/{localpart}") });
    user.put(&format!("{profile}/avatar_url"), picture).await.ok();
    user
}

/// Somebody comes in every way, and goes in every way.
async fn comings_and_goings(alice: &User, bob: &User, room: &str, parent: &str, knocking: bool) {
    let whom = json!({ "user_id": bob.user_id, "reason": "because" });
    for (who, what) in [
        (alice, "invite"),
        (bob, "leave"),
        (alice, "invite"),
        (bob, "join"),
        (alice, "kick"),
        (alice, "ban"),
        (alice, "unban"),
    ] {
        who.does(room, what, whom.clone()).await.ok();
    }
    if knocking {
        let rule = json!({ "join_rule": "knock" });
        alice.sets(room, "m.room.join_rules", "", rule).await.ok();
        bob.post(&format!("/v3/knock/{}", encode(room)), json!({ "reason": "please" })).await.ok();
        bob.does(room, "leave", json!({})).await.ok();
        let allow = json!([{ "type": "m.room_membership", "room_id": parent }]);
        let rule = json!({ "join_rule": "restricted", "allow": allow });
        alice.sets(room, "m.room.join_rules", "", rule).await.ok();
        bob.does(room, "join", json!({})).await.ok();
    } else {
        bob_is_invited(alice, bob, room).await;
    }
}

async fn bob_is_invited(alice: &User, bob: &User, room: &str) {
    alice.invites(room, bob).await;
    bob.joins(room).await;
}

on_both_databases! {
    async fn what_the_server_says_is_what_the_specification_describes(server: Server) {
        let (alice, bob) = (named(&server, "alice").await, named(&server, "bob").await);
        let mut compared = Compared::default();
        let parent = alice.creates_room(json!({ "preset": "public_chat" })).await;
        bob.joins(&parent).await;
        for (version, preset) in
            [("6", "private_chat"), ("9", "public_chat"), ("10", "trusted_private_chat"), ("11", "private_chat"), ("12", "trusted_private_chat")]
        {
            let room = alice.creates_room(json!({
                "room_version": version, "preset": preset, "name": "Kitchen", "topic": "Ale", "is_direct": true,
                "visibility": "public", "room_alias_name": format!("kitchen{version}"),
                "creation_content": { "type": "m.space", "m.federate": false },
                "invite": [server.user(&format!("carol{version}")).await.user_id],
                "initial_state": [{ "type": "m.room.encryption", "content": { "algorithm": "m.megolm.v1.aes-sha2" } }],
            })).await;
            comings_and_goings(&alice, &bob, &room, &parent, matches!(version, "9" | "10" | "11" | "12")).await;
            let event = bob.say(&room, "hello").await;
            let redact = format!("/v3/rooms/{}/redact/{}/r", encode(&room), encode(&event));
            alice.put(&redact, json!({ "reason": "typo" })).await.ok();
            alice.sets(&room, "m.room.guest_access", "", json!({ "guest_access": "forbidden" })).await.ok();
            let tags = format!("/v3/user/{}/rooms/{}/tags/m.favourite", encode(bob.user_id.as_str()), encode(&room));
            bob.put(&tags, json!({ "order": 0.5 })).await.ok();
            let rule = format!("/v3/pushrules/global/room/{}", encode(&room));
            bob.put(&rule, json!({ "actions": ["notify"] })).await.ok();
            let direct = format!("/v3/user/{}/account_data/m.direct", encode(bob.user_id.as_str()));
            bob.put(&direct, json!({ alice.user_id.as_str(): [room] })).await.ok();
            let upgraded = alice.does(&room, "upgrade", json!({ "new_version": version })).await.ok();
            let new = upgraded["replacement_room"].as_str().expect("a room id").to_owned();
            if matches!(version, "6") {
                alice.invites(&new, &bob).await;
            }
            bob.joins(&new).await;
            for room in [&room, &new] {
                let event = alice.say(room, "read me").await;
                let markers = json!({ "m.fully_read": event, "m.read": event, "m.read.private": event });
                bob.does(room, "read_markers", markers).await.ok();
                let typing = format!("/v3/rooms/{}/typing/{}", encode(room), encode(alice.user_id.as_str()));
                alice.put(&typing, json!({ "typing": true, "timeout": 30_000 })).await;
                compared.room(&alice, room).await;
            }
        }
        let status = format!("/v3/presence/{}/status", encode(alice.user_id.as_str()));
        alice.put(&status, json!({ "presence": "unavailable", "status_msg": "out" })).await.ok();
        for user in [&alice, &bob] {
            compared.synced(user).await;
        }
        // A deactivated account leaves its rooms.
        homeserver::accounts::closing::deactivate(&server.home, store::Batch::new(), &bob.user_id, false)
            .await
            .expect("closed");
        while alice.state(&parent, "m.room.member", bob.user_id.as_str()).await.ok()["membership"] != "leave" {
            tokio::task::yield_now().await;
        }
        compared.room(&alice, &parent).await;
        for event_type in [
            "m.direct", "m.fully_read", "m.presence", "m.push_rules", "m.receipt", "m.room.canonical_alias",
            "m.room.create", "m.room.encryption", "m.room.guest_access", "m.room.history_visibility",
            "m.room.join_rules", "m.room.member", "m.room.name", "m.room.power_levels", "m.room.redaction",
            "m.room.tombstone", "m.room.topic", "m.tag", "m.typing",
        ] {
            assert!(compared.0.contains(event_type), "no {event_type} among {:?}", compared.0);
        }
    }
}
