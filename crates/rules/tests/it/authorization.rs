//! Every authorization rule of room versions 6 to 12, one by one; those of `m.room.member` in their own file.

use rules::{Refused, authorization, canonical, power_levels::Power, versions};
use ruma::{EventId, OwnedEventId, RoomVersionId};
use serde_json::{Value, json};

use crate::scene::{ALICE, BOB, CREATOR, Scene, name};

/// Asserts yes or no in every version for which the expectation is not `None`.
pub(crate) fn in_versions(
    case: &str,
    expect: impl Fn(u8) -> Option<bool>,
    run: impl Fn(&RoomVersionId) -> Result<(), Refused>,
) {
    for version in versions::SUPPORTED {
        let number = version.as_str().parse().expect("a number");
        if let Some(expected) = expect(number) {
            let found = run(&version);
            assert_eq!(found.is_ok(), expected, "{case}, room version {version}: {found:?}");
        }
    }
}

pub(crate) fn always(case: &str, expected: bool, run: impl Fn(&RoomVersionId) -> Result<(), Refused>) {
    in_versions(case, |_| Some(expected), run);
}

/// A public room with the creator, Alice at 50 and Bob at 0, all joined.
pub(crate) fn public(version: &RoomVersionId) -> Scene {
    let mut levels = json!({"users": {ALICE: 50}});
    if version.as_str() != "12" {
        levels["users"][CREATOR] = json!(100);
    }
    Scene::new(version).join_rule("public").power_levels(levels).member(ALICE, "join").member(BOB, "join")
}

fn create(version: &RoomVersionId, change: impl FnOnce(&mut Value)) -> Result<(), Refused> {
    let mut content = json!({"room_version": version.as_str(), "creator": CREATOR});
    change(&mut content);
    let scene = Scene::new(version);
    let event = scene.pdu(&name(0), CREATOR, "m.room.create", Some(""), content, vec![], vec![]);
    authorization::authorize(&event, scene.rules, |_, _| None)
}

#[test]
fn rule_1_create() {
    always("plain", true, |version| create(version, |_| {}));
    always("unknown room version", false, |version| {
        create(version, |content| content["room_version"] = json!("one of mine"))
    });
    always("room version that is no text", false, |version| {
        create(version, |content| content["room_version"] = json!(12))
    });
    in_versions(
        "no creator",
        |version| Some(version >= 11),
        |version| {
            create(version, |content| {
                content.as_object_mut().expect("an object").remove("creator");
            })
        },
    );
    always("with a previous event", false, |version| {
        let scene = Scene::new(version);
        let event = scene.pdu(
            &name(0),
            CREATOR,
            "m.room.create",
            Some(""),
            json!({"creator": CREATOR}),
            vec![],
            vec![name(3)],
        );
        scene.judge(&event)
    });
    for (additional, allowed) in [
        (json!([ALICE, BOB]), true),
        (json!([]), true),
        (json!(null), false),
        (json!(ALICE), false),
        (json!([1]), false),
        (json!(["alice"]), false),
    ] {
        in_versions(
            "additional creators",
            |version| Some(version < 12 || allowed),
            |version| create(version, |content| content["additional_creators"] = additional.clone()),
        );
    }
}

#[test]
fn rule_1_the_room_id_of_a_create_event() {
    in_versions(
        "of another server",
        |version| (version < 12).then_some(false),
        |version| {
            let mut scene = Scene::new(version);
            scene.room_id = "!room:elsewhere".to_owned();
            let content = json!({"creator": CREATOR});
            scene.judge(&scene.pdu(&name(0), CREATOR, "m.room.create", Some(""), content, vec![], vec![]))
        },
    );
    in_versions(
        "since 12 none at all",
        |version| (version >= 12).then_some(false),
        |version| {
            let scene = Scene::new(version);
            let pdu = json!({
                "auth_events": [], "content": {}, "depth": 1, "origin_server_ts": 1, "prev_events": [],
                "room_id": scene.room_id, "sender": CREATOR, "state_key": "", "type": "m.room.create",
            });
            let event =
                rules::event::Event::parse(name(0), pdu.to_string().into(), scene.rules).expect("a PDU");
            scene.judge(&event)
        },
    );
}

/// What the rules say to a message of Alice with other auth events than were selected for it.
fn judge_auth_events(scene: &Scene, change: impl Fn(&mut Vec<OwnedEventId>)) -> Result<(), Refused> {
    let event = scene.clone().event(ALICE, "m.room.message", None, json!({}));
    let mut auth_events = event.auth_events().to_vec();
    change(&mut auth_events);
    let event = scene.pdu(&name(77), ALICE, "m.room.message", None, json!({}), auth_events, vec![name(999)]);
    let fetch = |id: &EventId| scene.state.values().find(|event| event.event_id() == id).cloned();
    authorization::check_auth_events(&event, scene.rules, fetch)
}

fn id(scene: &Scene, kind: &str, key: &str) -> OwnedEventId {
    scene.read(kind, key).expect("it is there").event_id().to_owned()
}

#[test]
fn rules_2_and_3_auth_events() {
    always("as selected", true, |version| judge_auth_events(&public(version), |_| {}));
    always("twice the same", false, |version| {
        judge_auth_events(&public(version), |list| list.push(list[0].clone()))
    });
    always("one that does not matter", false, |version| {
        let scene = public(version);
        let rule = id(&scene, "m.room.join_rules", "");
        judge_auth_events(&scene, move |list| list.push(rule.clone()))
    });
    always("somebody else's membership", false, |version| {
        let scene = public(version);
        let bob = id(&scene, "m.room.member", BOB);
        judge_auth_events(&scene, move |list| list.push(bob.clone()))
    });
    always("an unknown one", false, |version| {
        judge_auth_events(&public(version), |list| list.push(name(500)))
    });
    in_versions(
        "without create",
        |version| Some(version >= 12),
        |version| {
            let scene = public(version);
            let create = id(&scene, "m.room.create", "");
            judge_auth_events(&scene, move |list| list.retain(|id| *id != create))
        },
    );
    in_versions(
        "with create",
        |version| Some(version < 12),
        |version| {
            let scene = public(version);
            let create = id(&scene, "m.room.create", "");
            judge_auth_events(&scene, move |list| {
                list.retain(|id| *id != create);
                list.push(create.clone());
            })
        },
    );
}

#[test]
fn rule_3_auth_events_must_be_good_themselves() {
    always("a rejected one", false, |version| {
        let mut scene = public(version);
        let levels = scene.read("m.room.power_levels", "").expect("it is there");
        scene.put((*levels).clone().with_rejected(true));
        judge_auth_events(&scene, |_| {})
    });
    in_versions(
        "a rejected create",
        |version| (version >= 12).then_some(false),
        |version| {
            let mut scene = public(version);
            let create = scene.read("m.room.create", "").expect("it is there");
            scene.put((*create).clone().with_rejected(true));
            judge_auth_events(&scene, |_| {})
        },
    );
    always("one of another room", false, |version| {
        let mut scene = public(version);
        let levels = scene.read("m.room.power_levels", "").expect("it is there");
        let own = std::mem::replace(&mut scene.room_id, "!other:a".to_owned());
        let stranger =
            scene.pdu(levels.event_id(), CREATOR, "m.room.power_levels", Some(""), json!({}), vec![], vec![]);
        scene.room_id = own;
        scene.put(stranger);
        judge_auth_events(&scene, |_| {})
    });
}

#[test]
fn which_events_authorise() {
    let places = |version: &RoomVersionId, kind: &str, key: Option<&str>, content: Value| {
        let rules = versions::rules(version).expect("a supported version");
        let content = canonical::object_of(&content).expect("canonical");
        let sender = ALICE.try_into().expect("a user id");
        authorization::auth_types(kind, sender, key, &content, rules).map(|places| {
            let mut places: Vec<String> =
                places.iter().map(|(kind, key)| format!("{}|{key}", kind.replace("m.room.", ""))).collect();
            places.sort();
            places.join(" ")
        })
    };
    let v11 = RoomVersionId::V11;
    let v12 = RoomVersionId::V12;
    let said = |found: Result<String, Refused>| found.expect("it is well-formed");
    assert_eq!(said(places(&v12, "m.room.create", Some(""), json!({}))), "");
    assert_eq!(said(places(&v12, "m.room.message", None, json!({}))), "member|@alice:a power_levels|");
    assert_eq!(
        said(places(&v11, "m.room.message", None, json!({}))),
        "create| member|@alice:a power_levels|"
    );
    assert_eq!(
        said(places(&v12, "m.room.member", Some(ALICE), json!({"membership": "join"}))),
        "join_rules| member|@alice:a power_levels|"
    );
    assert_eq!(
        said(places(&v12, "m.room.member", Some(BOB), json!({"membership": "ban"}))),
        "member|@alice:a member|@bob:b power_levels|"
    );
    let restricted = json!({"membership": "join", "join_authorised_via_users_server": CREATOR});
    assert_eq!(
        said(places(&v12, "m.room.member", Some(ALICE), restricted.clone())),
        "join_rules| member|@alice:a member|@creator:a power_levels|"
    );
    assert_eq!(
        said(places(&RoomVersionId::V7, "m.room.member", Some(ALICE), restricted)),
        "create| join_rules| member|@alice:a power_levels|"
    );
    let third = json!({"membership": "invite", "third_party_invite": {"signed": {"token": "t"}}});
    assert_eq!(
        said(places(&v12, "m.room.member", Some(BOB), third)),
        "join_rules| member|@alice:a member|@bob:b power_levels| third_party_invite|t"
    );
    places(&v12, "m.room.member", None, json!({"membership": "join"})).expect_err("no state key");
    places(&v12, "m.room.member", Some(BOB), json!({})).expect_err("no membership");
}

#[test]
fn rule_4_federation() {
    for (federate, allowed) in
        [(json!(false), false), (json!(true), true), (json!("false"), true), (json!(0), true)]
    {
        always("from another server", allowed, |version| {
            Scene::created(version, json!({"m.federate": federate}))
                .join_rule("public")
                .moves(BOB, BOB, "join")
        });
        always("from the same server", true, |version| {
            Scene::created(version, json!({"m.federate": federate}))
                .join_rule("public")
                .moves(ALICE, ALICE, "join")
        });
    }
    always("no create event", false, |version| {
        let mut scene = public(version);
        scene.state.remove(&("m.room.create".to_owned(), String::new()));
        scene.says(ALICE)
    });
}

#[test]
fn rules_6_to_9_everything_else() {
    for (membership, allowed) in
        [("join", true), ("invite", false), ("knock", false), ("leave", false), ("ban", false)]
    {
        always(membership, allowed, |version| public(version).member(BOB, membership).says(BOB));
    }
    for (invite, allowed) in [(50, true), (51, false)] {
        always("third party invite", allowed, |version| {
            let levels = json!({"invite": invite, "state_default": 100, "users": {ALICE: 50}});
            let scene = Scene::new(version).power_levels(levels).member(ALICE, "join");
            scene.tries(ALICE, "m.room.third_party_invite", "t", json!({}))
        });
    }
    // (levels, type, state key, allowed) for Alice, who has 50.
    for (levels, kind, key, allowed) in [
        (json!({}), "m.room.name", Some(""), true),
        (json!({"state_default": 51}), "m.room.name", Some(""), false),
        (json!({"state_default": 51, "events": {"m.room.name": 50}}), "m.room.name", Some(""), true),
        (json!({"events": {"m.room.name": 51}}), "m.room.name", Some(""), false),
        (json!({"events_default": 51}), "m.room.message", None, false),
        (json!({"events_default": 51, "state_default": 0}), "m.room.name", Some(""), true),
        (json!({"events": {"org.example.x": 51}}), "org.example.x", None, false),
        (json!({"redact": 100}), "m.room.redaction", None, true),
        (json!({"events": {"m.room.redaction": 51}}), "m.room.redaction", None, false),
        (json!({"state_default": 0}), "org.example.x", Some(ALICE), true),
        (json!({"state_default": 0}), "org.example.x", Some(BOB), false),
        (json!({"state_default": 0}), "org.example.x", Some("@alice:ab"), false),
        (json!({"state_default": 0}), "org.example.x", Some("alice"), true),
        (json!({}), "m.room.aliases", Some("elsewhere"), true),
        // An unstable name has its own level, whatever the stable one's.
        (
            json!({"events": {"m.call.sdp_stream_metadata_changed": 51}}),
            "org.matrix.call.sdp_stream_metadata_changed",
            None,
            true,
        ),
    ] {
        always(&format!("{levels} {kind}"), allowed, |version| {
            let mut levels = levels.clone();
            levels["users"] = json!({ALICE: 50});
            let scene = Scene::new(version).power_levels(levels).member(ALICE, "join");
            let event = scene.clone().event(ALICE, kind, key, json!({}));
            scene.judge(&event)
        });
    }
    always("no power levels: the creator rules", true, |version| {
        Scene::new(version).tries(CREATOR, "m.room.name", "", json!({}))
    });
    always("no power levels: others do not", false, |version| {
        Scene::new(version).member(ALICE, "join").tries(ALICE, "m.room.name", "", json!({}))
    });
    always("no power levels: others may speak", true, |version| {
        Scene::new(version).member(ALICE, "join").says(ALICE)
    });
}

#[test]
fn a_refusal_says_what_is_missing() {
    let scene = public(&RoomVersionId::V12);
    assert_eq!(
        scene.tries(BOB, "m.room.name", "", json!({})),
        Err(Refused::PowerLevelTooLow {
            user: BOB.try_into().expect("a user id"),
            action: "send m.room.name".to_owned(),
            needed: Power::Level(50),
            has: Power::Level(0),
        })
    );
    let outside = scene.says("@carol:b").expect_err("she is not there");
    assert!(matches!(outside, Refused::NotJoined { .. }) && outside.is_authorization(), "{outside}");
    let banned = scene.clone().member(BOB, "ban").moves(BOB, BOB, "join").expect_err("he is banned");
    assert!(matches!(banned, Refused::Banned { .. }), "{banned}");
    let strong = scene.moves(ALICE, CREATOR, "ban").expect_err("she is too strong");
    assert_eq!(
        strong.to_string(),
        "@alice:a has power level 50, which is not more than the infinite of @creator:a"
    );
}
