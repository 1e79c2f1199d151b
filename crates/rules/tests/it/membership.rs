//! The authorization rules of `m.room.member`, one by one. Numbers are those of rooms/v12.

use rules::signing_key::SigningKey;
use ruma::{RoomVersionId, canonical_json::CanonicalJsonValue, serde::Base64};
use serde_json::{Value, json};

use crate::{
    authorization::{always, in_versions, public},
    scene::{ALICE, BOB, CREATOR, Scene, name},
};

#[test]
fn rule_5_1_form_of_a_member_event() {
    always("no state key", false, |version| {
        let scene = public(version);
        let event = scene.clone().event(ALICE, "m.room.member", None, json!({"membership": "join"}));
        scene.judge(&event)
    });
    always("state key that is no user", false, |version| public(version).moves(ALICE, "alice", "join"));
    always("no membership", false, |version| public(version).tries(ALICE, "m.room.member", ALICE, json!({})));
    always("membership that is no text", false, |version| {
        public(version).tries(ALICE, "m.room.member", ALICE, json!({"membership": 1}))
    });
    always("unknown membership", false, |version| public(version).moves(ALICE, ALICE, "dance"));
    in_versions(
        "knock is new in 7",
        |version| Some(version >= 7),
        |version| Scene::new(version).join_rule("knock").moves(BOB, BOB, "knock"),
    );
}

#[test]
fn rule_5_3_1_the_first_join() {
    let first = |version: &RoomVersionId, create: Value, who: &str, prev: Vec<ruma::OwnedEventId>| {
        let mut scene = Scene::created(version, create);
        scene.state.retain(|(kind, _), _| kind == "m.room.create");
        let join = json!({"membership": "join"});
        let event = scene.pdu(&name(50), who, "m.room.member", Some(who), join, vec![name(0)], prev);
        scene.judge(&event)
    };
    always("the creator", true, |version| first(version, json!({}), CREATOR, vec![name(0)]));
    always("somebody else", false, |version| first(version, json!({}), ALICE, vec![name(0)]));
    always("not right after create", false, |version| first(version, json!({}), CREATOR, vec![name(1)]));
    always("more before it", false, |version| first(version, json!({}), CREATOR, vec![name(0), name(1)]));
    in_versions(
        "content.creator counts until 10",
        |version| Some(version < 11),
        |version| first(version, json!({"creator": ALICE}), ALICE, vec![name(0)]),
    );
    always("an additional creator is not the first", false, |version| {
        first(version, json!({"additional_creators": [ALICE]}), ALICE, vec![name(0)])
    });
}

#[test]
fn rule_5_3_join() {
    always("for somebody else", false, |version| {
        Scene::new(version).join_rule("public").moves(CREATOR, ALICE, "join")
    });
    always("no join rules, a stranger", false, |version| Scene::new(version).moves(ALICE, ALICE, "join"));
    always("no join rules, invited", true, |version| {
        Scene::new(version).member(ALICE, "invite").moves(ALICE, ALICE, "join")
    });
    // (join rule, membership before) -> since which room version it is allowed; 99 is never.
    for (rule, membership, since) in [
        ("public", "leave", 6),
        ("public", "knock", 6),
        ("public", "invite", 6),
        ("public", "join", 6),
        ("public", "ban", 99),
        ("invite", "leave", 99),
        ("invite", "knock", 99),
        ("invite", "invite", 6),
        ("invite", "join", 6),
        ("invite", "ban", 99),
        ("knock", "leave", 99),
        ("knock", "knock", 99),
        ("knock", "invite", 7),
        ("knock", "join", 7),
        ("knock", "ban", 99),
        ("restricted", "leave", 99),
        ("restricted", "invite", 8),
        ("restricted", "join", 8),
        ("restricted", "ban", 99),
        ("knock_restricted", "leave", 99),
        ("knock_restricted", "knock", 99),
        ("knock_restricted", "invite", 10),
        ("knock_restricted", "join", 10),
        ("knock_restricted", "ban", 99),
        ("private", "invite", 99),
        ("private", "join", 99),
    ] {
        in_versions(
            &format!("{rule} after {membership}"),
            |version| Some(version >= since),
            |version| Scene::new(version).join_rule(rule).member(BOB, membership).moves(BOB, BOB, "join"),
        );
    }
}

#[test]
fn rule_5_3_5_restricted_joins() {
    let joins = |scene: Scene, via: Value| {
        let content = json!({"membership": "join", "join_authorised_via_users_server": via});
        scene.tries(BOB, "m.room.member", BOB, content)
    };
    let room = |version: &RoomVersionId, rule: &str, invite: i64| {
        Scene::new(version).join_rule(rule).power_levels(json!({"invite": invite, "users": {ALICE: 50}}))
    };
    for (rule, since) in [("restricted", 8), ("knock_restricted", 10)] {
        let since = |allowed: bool| move |version| Some(allowed && version >= since);
        in_versions("by who may invite", since(true), |version| {
            joins(room(version, rule, 50).member(ALICE, "join"), json!(ALICE))
        });
        in_versions("by who may not invite", since(false), |version| {
            joins(room(version, rule, 51).member(ALICE, "join"), json!(ALICE))
        });
        in_versions("by who has left", since(false), |version| {
            joins(room(version, rule, 0).member(ALICE, "leave"), json!(ALICE))
        });
        in_versions("by who was never here", since(false), |version| {
            joins(room(version, rule, 0), json!(ALICE))
        });
        in_versions("by what is no user", since(false), |version| {
            joins(room(version, rule, 0), json!("alice"))
        });
        in_versions("by a number", since(false), |version| joins(room(version, rule, 0), json!(1)));
        in_versions("banned", since(false), |version| {
            joins(room(version, rule, 0).member(ALICE, "join").member(BOB, "ban"), json!(ALICE))
        });
    }
    // A creator without an entry: infinite since version 12, the default before.
    in_versions(
        "by a creator",
        |version| Some(version >= 12),
        |version| {
            let room = Scene::new(version).join_rule("restricted").power_levels(json!({"invite": 100}));
            joins(room, json!(CREATOR))
        },
    );
}

#[test]
fn rule_5_4_invite() {
    always("by who may", true, |version| public(version).moves(ALICE, "@carol:b", "invite"));
    for (membership, allowed) in
        [("leave", true), ("knock", true), ("invite", true), ("join", false), ("ban", false)]
    {
        always(membership, allowed, |version| {
            public(version).member("@carol:b", membership).moves(ALICE, "@carol:b", "invite")
        });
    }
    for membership in ["leave", "invite", "knock", "ban"] {
        always("by who is not in the room", false, |version| {
            Scene::new(version).member(ALICE, membership).moves(ALICE, BOB, "invite")
        });
    }
    for (needed, allowed) in [(50, true), (51, false)] {
        always("the invite level", allowed, |version| {
            Scene::new(version)
                .member(ALICE, "join")
                .power_levels(json!({"invite": needed, "users": {ALICE: 50}}))
                .moves(ALICE, BOB, "invite")
        });
    }
    let refused = Scene::new(&RoomVersionId::V12)
        .member(ALICE, "join")
        .power_levels(json!({"invite": 30, "users": {ALICE: 20}}))
        .moves(ALICE, BOB, "invite")
        .expect_err("too little power");
    assert_eq!(refused.to_string(), "@alice:a needs power level 30 to invite, has 20",);
}

#[test]
fn rule_5_4_1_third_party_invite() {
    let key = SigningKey::from_seed([3; 32], "0").expect("a key");
    let other = SigningKey::from_seed([4; 32], "0").expect("a key");
    let signed = |change: &dyn Fn(&mut Value), key: &SigningKey| {
        let mut signed = json!({"mxid": BOB, "sender": ALICE, "token": "t"});
        change(&mut signed);
        let CanonicalJsonValue::Object(mut object) = signed.try_into().expect("canonical") else {
            unreachable!("an object")
        };
        key.sign_json("id.example".try_into().expect("a server name"), &mut object).expect("signed");
        json!({"membership": "invite", "third_party_invite": {"display_name": "B", "signed": object}})
    };
    let good = signed(&|_| {}, &key);
    let room = |version: &RoomVersionId| {
        public(version).member(BOB, "leave").with(
            ALICE,
            "m.room.third_party_invite",
            "t",
            json!({"public_key": other.public_key(), "public_keys": [{"public_key": key.public_key()}]}),
        )
    };
    let invites = |scene: Scene, sender: &str, content: &Value| {
        scene.tries(sender, "m.room.member", BOB, content.clone())
    };
    always("signed by one of the keys", true, |version| invites(room(version), ALICE, &good));
    always("the single key", true, |version| invites(room(version), ALICE, &signed(&|_| {}, &other)));
    always("a key in the other alphabet", true, |version| {
        let bytes: Base64 = Base64::parse(key.public_key()).expect("base64");
        let url_safe = Base64::<ruma::serde::base64::UrlSafe, _>::new(bytes.into_inner()).encode();
        let scene = public(version).member(BOB, "leave").with(
            ALICE,
            "m.room.third_party_invite",
            "t",
            json!({"public_key": url_safe}),
        );
        invites(scene, ALICE, &good)
    });
    always("a member already", true, |version| invites(room(version).member(BOB, "join"), ALICE, &good));
    always("banned", false, |version| invites(room(version).member(BOB, "ban"), ALICE, &good));
    always("by another sender", false, |version| invites(room(version), CREATOR, &good));
    always("no such offer", false, |version| invites(public(version).member(BOB, "leave"), ALICE, &good));
    always("a foreign key", false, |version| {
        let stranger = SigningKey::from_seed([5; 32], "0").expect("a key");
        invites(room(version), ALICE, &signed(&|_| {}, &stranger))
    });
    always("for another user", false, |version| {
        invites(room(version), ALICE, &signed(&|signed| signed["mxid"] = json!(CREATOR), &key))
    });
    for gone in ["mxid", "token"] {
        always(gone, false, |version| {
            let change = |signed: &mut Value| {
                signed.as_object_mut().expect("an object").remove(gone);
            };
            invites(room(version), ALICE, &signed(&change, &key))
        });
    }
    for broken in [json!(null), json!({}), json!({"signed": 1}), json!("x")] {
        always("not signed", false, |version| {
            let content = json!({"membership": "invite", "third_party_invite": broken});
            invites(room(version), ALICE, &content)
        });
    }
    always("a malformed signature beside a good one", true, |version| {
        let mut content = good.clone();
        content["third_party_invite"]["signed"]["signatures"]["aaa"] = json!("nonsense");
        invites(room(version), ALICE, &content)
    });
}

#[test]
fn rule_5_5_leave_and_kick() {
    for (membership, since) in [("join", 6), ("invite", 6), ("knock", 7), ("leave", 99), ("ban", 99)] {
        in_versions(
            &format!("leaving after {membership}"),
            |version| Some(version >= since),
            |version| public(version).member(BOB, membership).moves(BOB, BOB, "leave"),
        );
    }
    always("who was never here", false, |version| public(version).moves("@carol:b", "@carol:b", "leave"));
    always("a kick", true, |version| public(version).moves(ALICE, BOB, "leave"));
    always("taking an invitation back", true, |version| {
        public(version).member(BOB, "invite").moves(ALICE, BOB, "leave")
    });
    always("by who has no power", false, |version| public(version).moves(BOB, ALICE, "leave"));
    always("by who is not here", false, |version| {
        public(version).member(ALICE, "leave").moves(ALICE, BOB, "leave")
    });
    // (kick level, ban level, power of Alice, power of Bob, Bob is banned, allowed)
    for (kick, ban, alice, bob, banned, allowed) in [
        (50, 50, 50, 49, false, true),
        (50, 50, 50, 50, false, false),
        (51, 50, 50, 0, false, false),
        (0, 100, 1, 0, false, true),
        (50, 50, 50, 0, true, true),
        (50, 51, 50, 0, true, false),
        (51, 50, 50, 0, true, false),
    ] {
        always(&format!("{kick} {ban} {alice} {bob} {banned}"), allowed, |version| {
            Scene::new(version)
                .power_levels(json!({"kick": kick, "ban": ban, "users": {ALICE: alice, BOB: bob}}))
                .member(ALICE, "join")
                .member(BOB, if banned { "ban" } else { "join" })
                .moves(ALICE, BOB, "leave")
        });
    }
    in_versions(
        "nobody kicks a creator of version 12",
        |version| Some(version < 12),
        |version| {
            Scene::new(version)
                .power_levels(json!({"users": {ALICE: 9000}}))
                .member(ALICE, "join")
                .moves(ALICE, CREATOR, "leave")
        },
    );
}

#[test]
fn rule_5_6_ban() {
    for (ban, alice, bob, allowed) in
        [(50, 50, 49, true), (50, 50, 50, false), (51, 50, 0, false), (-5, 0, -1, true)]
    {
        for membership in ["join", "leave", "invite", "knock", "ban"] {
            always(&format!("{ban} {alice} {bob} {membership}"), allowed, |version| {
                Scene::new(version)
                    .power_levels(json!({"ban": ban, "users": {ALICE: alice, BOB: bob}}))
                    .member(ALICE, "join")
                    .member(BOB, membership)
                    .moves(ALICE, BOB, "ban")
            });
        }
    }
    always("by who is not here", false, |version| {
        public(version).member(ALICE, "leave").moves(ALICE, BOB, "ban")
    });
    always("oneself", false, |version| public(version).moves(ALICE, ALICE, "ban"));
}

#[test]
fn rule_5_7_knock() {
    for (rule, since) in
        [("knock", 7), ("knock_restricted", 10), ("public", 99), ("invite", 99), ("restricted", 99)]
    {
        in_versions(
            rule,
            |version| Some(version >= since),
            |version| Scene::new(version).join_rule(rule).moves(BOB, BOB, "knock"),
        );
    }
    for (membership, allowed) in
        [("leave", true), ("knock", true), ("ban", false), ("invite", false), ("join", false)]
    {
        in_versions(
            membership,
            |version| Some(allowed && version >= 7),
            |version| Scene::new(version).join_rule("knock").member(BOB, membership).moves(BOB, BOB, "knock"),
        );
    }
    always("for somebody else", false, |version| {
        Scene::new(version).join_rule("knock").member(ALICE, "join").moves(ALICE, BOB, "knock")
    });
}
