//! Power levels: what they say and who may change them.

use rules::{
    Refused,
    power_levels::{Power, PowerLevels},
    versions,
};
use ruma::{RoomVersionId, UserId};
use serde_json::{Value, json};

use crate::scene::{ALICE, BOB, CREATOR, Scene};

fn number(version: &RoomVersionId) -> u8 {
    version.as_str().parse().expect("a number")
}

/// What Alice may make of `old`, by room version.
fn alice_changes(version: &RoomVersionId, old: &Value, new: &Value) -> Result<(), Refused> {
    Scene::new(version).power_levels(old.clone()).member(ALICE, "join").tries(
        ALICE,
        "m.room.power_levels",
        "",
        new.clone(),
    )
}

#[test]
fn who_may_change_what() {
    let base = json!({"users": {ALICE: 50, BOB: 50, "@carol:b": 60, "@dave:b": 40}, "state_default": 0});
    let with = |change: &dyn Fn(&mut Value)| {
        let mut levels = base.clone();
        change(&mut levels);
        levels
    };
    type Set<'a> = &'a dyn Fn(&mut Value);
    let cases: [(&str, Set<'_>, Set<'_>, bool); 27] = [
        ("nothing", &|_| {}, &|_| {}, true),
        ("a level up to her own", &|_| {}, &|new| new["ban"] = json!(50), true),
        ("a level above her own", &|_| {}, &|new| new["ban"] = json!(51), false),
        ("a level that is above her", &|old| old["ban"] = json!(51), &|new| new["ban"] = json!(50), false),
        ("naming a default", &|_| {}, &|new| new["invite"] = json!(0), true),
        ("removing a level", &|old| old["invite"] = json!(50), &|_| {}, true),
        ("removing a level above her", &|old| old["invite"] = json!(51), &|_| {}, false),
        ("users_default", &|_| {}, &|new| new["users_default"] = json!(50), true),
        ("users_default too high", &|_| {}, &|new| new["users_default"] = json!(51), false),
        ("events_default", &|_| {}, &|new| new["events_default"] = json!(51), false),
        ("state_default", &|_| {}, &|new| new["state_default"] = json!(51), false),
        ("redact", &|_| {}, &|new| new["redact"] = json!(51), false),
        ("kick", &|_| {}, &|new| new["kick"] = json!(51), false),
        ("an event level", &|_| {}, &|new| new["events"] = json!({"x": 50}), true),
        ("an event level too high", &|_| {}, &|new| new["events"] = json!({"x": 51}), false),
        ("an event level lowered", &|old| old["events"] = json!({"x": 51}), &|_| {}, false),
        ("an event level from her own", &|old| old["events"] = json!({"x": 50}), &|_| {}, true),
        ("a notification level", &|_| {}, &|new| new["notifications"] = json!({"room": 50}), true),
        ("a notification level too high", &|_| {}, &|new| new["notifications"] = json!({"room": 51}), false),
        ("a notification level above her", &|old| old["notifications"] = json!({"room": 51}), &|_| {}, false),
        ("a new user", &|_| {}, &|new| new["users"]["@eve:b"] = json!(50), true),
        ("a new user too high", &|_| {}, &|new| new["users"]["@eve:b"] = json!(51), false),
        ("a weaker user", &|_| {}, &|new| new["users"]["@dave:b"] = json!(50), true),
        ("an equal user", &|_| {}, &|new| new["users"][BOB] = json!(49), false),
        ("a stronger user", &|_| {}, &|new| new["users"]["@carol:b"] = json!(0), false),
        ("herself down", &|_| {}, &|new| new["users"][ALICE] = json!(0), true),
        ("herself up", &|_| {}, &|new| new["users"][ALICE] = json!(51), false),
    ];
    for version in versions::SUPPORTED {
        for (case, old, new, allowed) in &cases {
            let found = alice_changes(&version, &with(old), &with(new));
            assert_eq!(found.is_ok(), *allowed, "{case} in version {version}: {found:?}");
        }
    }
}

#[test]
fn the_first_power_levels_may_say_anything() {
    for version in versions::SUPPORTED {
        let scene = Scene::new(&version);
        scene
            .tries(CREATOR, "m.room.power_levels", "", json!({"ban": 900, "users": {ALICE: 900}}))
            .expect("nothing to compare with");
    }
}

#[test]
fn the_form_of_power_levels() {
    // (content, allowed before version 10, allowed since)
    let cases = [
        (json!({"ban": 5}), true, true),
        (json!({"ban": -5}), true, true),
        (json!({"ban": "5"}), true, false),
        (json!({"ban": " +005 "}), true, false),
        (json!({"ban": "-5"}), true, false),
        (json!({"ban": "5.0"}), false, false),
        (json!({"ban": ""}), false, false),
        (json!({"ban": null}), false, false),
        (json!({"ban": true}), false, false),
        (json!({"ban": [5]}), false, false),
        (json!({"events": {"x": "5"}}), true, false),
        (json!({"events": {"x": null}}), false, false),
        (json!({"events": []}), false, false),
        (json!({"notifications": {"room": "5"}}), true, false),
        (json!({"notifications": 5}), false, false),
        (json!({"users": {ALICE: "5"}}), true, false),
        (json!({"users": {"alice": 5}}), false, false),
        (json!({"users": [ALICE]}), false, false),
        (json!({"something_else": {"x": []}}), true, true),
    ];
    for version in versions::SUPPORTED {
        for (content, before_10, since_10) in &cases {
            let allowed = if number(&version) < 10 { before_10 } else { since_10 };
            let found = Scene::new(&version).tries(CREATOR, "m.room.power_levels", "", content.clone());
            assert_eq!(found.is_ok(), *allowed, "{content} in version {version}: {found:?}");
        }
    }
}

#[test]
fn creators_since_version_12_have_no_level() {
    for version in versions::SUPPORTED {
        let infinite = number(&version) >= 12;
        let scene = Scene::created(&version, json!({"additional_creators": [ALICE]})).member(ALICE, "join");
        for creator in [CREATOR, ALICE] {
            let found = scene.tries(CREATOR, "m.room.power_levels", "", json!({"users": {creator: 100}}));
            assert_eq!(found.is_ok(), !infinite, "{creator} in version {version}: {found:?}");
        }
        let levels = read(&scene, None);
        let high = |user: &str| levels.user(user.try_into().expect("a user id"));
        assert_eq!(high(CREATOR), if infinite { Power::Infinite } else { Power::Level(100) });
        assert_eq!(high(ALICE), if infinite { Power::Infinite } else { Power::Level(0) });
        // They may change everything, also what is above every level.
        let scene = scene.power_levels(json!({"ban": 9000, "state_default": 9000}));
        let found = scene.tries(CREATOR, "m.room.power_levels", "", json!({}));
        assert_eq!(found.is_ok(), infinite, "{version}: {found:?}");
    }
}

fn read(scene: &Scene, content: Option<Value>) -> PowerLevels {
    let mut scene = scene.clone();
    let levels = content.map(|content| scene.event(CREATOR, "m.room.power_levels", Some(""), content));
    let create = scene.read("m.room.create", "").expect("it is there");
    PowerLevels::of(&create, levels.as_ref(), scene.rules).expect("they are well-formed")
}

#[test]
fn the_defaults() {
    let scene = Scene::new(&RoomVersionId::V11);
    let alice: &UserId = ALICE.try_into().expect("a user id");
    let creator: &UserId = CREATOR.try_into().expect("a user id");
    for levels in [read(&scene, None), read(&scene, Some(json!({})))] {
        assert_eq!((levels.ban(), levels.kick(), levels.redact(), levels.invite()), (50, 50, 50, 0));
        assert_eq!((levels.event("x", true), levels.event("x", false)), (50, 0));
        assert_eq!(levels.notification("room"), 50);
        assert_eq!(levels.user(alice), Power::Level(0));
    }
    assert_eq!(read(&scene, None).user(creator), Power::Level(100));
    assert_eq!(read(&scene, Some(json!({}))).user(creator), Power::Level(0), "they are not in `users`");
    let levels = read(&scene, Some(json!({"users": {ALICE: 7}, "users_default": 3, "events": {"x": 4}})));
    assert_eq!((levels.user(alice), levels.user(creator)), (Power::Level(7), Power::Level(3)));
    assert_eq!((levels.event("x", true), levels.event("x", false)), (4, 4));
}
