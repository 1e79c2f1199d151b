//! Our authorization rules against ruma's, over states and events at random.

use std::sync::Arc;

use proptest::prelude::*;
use rules::versions;
use ruma::{events::StateEventType, state_res::check_state_dependent_auth_rules};
use serde_json::{Value, json};

use crate::as_ruma::AsRuma;
use crate::scene::{ALICE, BOB, CREATOR, Scene};

const USERS: [&str; 3] = [CREATOR, ALICE, BOB];
const MEMBERSHIPS: [&str; 6] = ["join", "leave", "invite", "ban", "knock", "dance"];

fn any_user() -> impl Strategy<Value = &'static str> {
    prop::sample::select(USERS.to_vec())
}

fn any_level() -> impl Strategy<Value = Value> {
    prop_oneof![
        10 => prop::sample::select(vec![-1, 0, 1, 49, 50, 51, 100]).prop_map(|level| json!(level)),
        1 => prop::sample::select(vec!["50", " +0050 ", "x"]).prop_map(|level| json!(level)),
    ]
}

fn any_power_levels() -> impl Strategy<Value = Value> {
    let single = prop::collection::btree_map(
        prop::sample::select(vec![
            "ban",
            "kick",
            "invite",
            "redact",
            "events_default",
            "state_default",
            "users_default",
        ]),
        any_level(),
        0..3,
    );
    let users = prop::collection::btree_map(any_user(), any_level(), 0..3);
    let events = prop::collection::btree_map(
        prop::sample::select(vec!["m.room.name", "m.room.power_levels", "m.room.message"]),
        any_level(),
        0..3,
    );
    let notifications = prop::collection::btree_map(Just("room"), any_level(), 0..2);
    (single, users, events, notifications).prop_map(|(single, users, events, notifications)| {
        let mut levels = json!(single);
        for (field, map) in
            [("users", json!(users)), ("events", json!(events)), ("notifications", json!(notifications))]
        {
            if map != json!({}) {
                levels[field] = map;
            }
        }
        levels
    })
}

/// Sender, type, state key and content of an event that somebody tries.
fn any_event() -> impl Strategy<Value = (&'static str, &'static str, Option<&'static str>, Value)> {
    let member =
        (any_user(), any_user(), prop::sample::select(MEMBERSHIPS.to_vec()), prop::option::of(any_user()))
            .prop_map(|(sender, target, membership, via)| {
                let mut content = json!({"membership": membership});
                if let Some(via) = via {
                    content["join_authorised_via_users_server"] = json!(via);
                }
                (sender, "m.room.member", Some(target), content)
            });
    let own = (any_user(), prop::sample::select(MEMBERSHIPS.to_vec())).prop_map(|(user, membership)| {
        (user, "m.room.member", Some(user), json!({"membership": membership}))
    });
    let power = (any_user(), any_power_levels())
        .prop_map(|(sender, content)| (sender, "m.room.power_levels", Some(""), content));
    let kind = prop::sample::select(vec!["m.room.name", "m.room.third_party_invite", "org.example.x"]);
    let state = (any_user(), kind, prop::sample::select(vec!["", ALICE, BOB]))
        .prop_map(|(sender, kind, key)| (sender, kind, Some(key), json!({})));
    let message = any_user().prop_map(|sender| (sender, "m.room.message", None, json!({})));
    prop_oneof![3 => member, 2 => own, 3 => power, 1 => state, 1 => message]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn we_allow_what_ruma_allows(
        version in prop::sample::select(versions::SUPPORTED.to_vec()),
        memberships in prop::collection::vec(prop::option::of(0..5usize), 3),
        join_rule in prop::sample::select(vec!["public", "invite", "knock", "restricted", "knock_restricted", "x"]),
        levels in prop::option::of(any_power_levels()),
        additional in prop::option::of(any_user()),
        federate in any::<bool>(),
        (sender, kind, key, content) in any_event(),
    ) {
        let create = match additional {
            Some(user) => json!({"additional_creators": [user], "m.federate": federate}),
            None => json!({"m.federate": federate}),
        };
        let mut scene = Scene::created(&version, create).join_rule(join_rule);
        for (user, membership) in USERS.into_iter().zip(memberships) {
            if let Some(membership) = membership {
                scene = scene.member(user, MEMBERSHIPS[membership]);
            }
        }
        if let Some(levels) = levels {
            scene = scene.power_levels(levels);
        }
        let event = scene.clone().event(sender, kind, key, content);
        let ours = scene.judge(&event);
        let state = |kind: &StateEventType, key: &str| scene.read(&kind.to_string(), key).map(AsRuma::from);
        let theirs = check_state_dependent_auth_rules(&scene.rules.authorization, AsRuma::from(Arc::new(event.clone())), state);
        // Ruma reads power levels as it needs them, we read all of them: malformed ones in the state, which no
        // version lets in, stop us earlier.
        let malformed = matches!(&ours, Err(refused) if refused.to_string().contains("has no integer"));
        prop_assert!(ours.is_ok() == theirs.is_ok() || malformed, "{ours:?} {theirs:?} {}", event.json_str());
    }
}
