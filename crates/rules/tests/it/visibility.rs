//! History visibility: all combinations, against the rules written as a list.

use rules::visibility::{Kind, Standing, may_see, may_see_kind};
use ruma::events::room::{history_visibility::HistoryVisibility, member::MembershipState};
use serde_json::json;

use crate::scene::{ALICE, BOB, CREATOR, Scene};

const VISIBILITIES: [&str; 5] = ["world_readable", "shared", "invited", "joined", "whatever"];
const MEMBERSHIPS: [&str; 5] = ["join", "invite", "knock", "leave", "ban"];

fn standing(visibility: &str, membership: &str) -> Standing {
    Standing {
        history_visibility: HistoryVisibility::from(visibility),
        membership: MembershipState::from(membership),
    }
}

/// The specification's list, one line each.
fn by_the_list(visibility: &str, membership: &str, joined_later: bool) -> bool {
    let visibility = if visibility == "whatever" { "shared" } else { visibility };
    if visibility == "world_readable" {
        return true;
    }
    if membership == "join" {
        return true;
    }
    if visibility == "shared" && joined_later {
        return true;
    }
    if membership == "invite" && visibility == "invited" {
        return true;
    }
    false
}

#[test]
fn every_combination() {
    for visibility in VISIBILITIES {
        for membership in MEMBERSHIPS {
            for later in [false, true] {
                for after_visibility in VISIBILITIES {
                    for after_membership in MEMBERSHIPS {
                        let at = standing(visibility, membership);
                        let after = standing(after_visibility, after_membership);
                        let case = format!("{at:?} {after:?} {later}");
                        let before = by_the_list(visibility, membership, later);
                        assert_eq!(may_see_kind(Kind::Other, &at, &after, later), before, "{case}");
                        let either = before || by_the_list(after_visibility, membership, later);
                        assert_eq!(
                            may_see_kind(Kind::HistoryVisibility, &at, &after, later),
                            either,
                            "{case}"
                        );
                        assert!(may_see_kind(Kind::OwnMembership, &at, &after, later), "{case}");
                    }
                }
            }
        }
    }
}

#[test]
fn which_events_are_special() {
    let mut scene = Scene::new(&ruma::RoomVersionId::V12);
    let at = standing("joined", "leave");
    let after = standing("world_readable", "leave");
    let mut sees = |kind: &str, key: Option<&str>| {
        let event = scene.event(CREATOR, kind, key, json!({}));
        may_see(&event, ALICE.try_into().expect("a user id"), &at, &after, false)
    };
    assert!(sees("m.room.history_visibility", Some("")));
    assert!(!sees("m.room.history_visibility", Some("x")));
    assert!(!sees("m.room.history_visibility", None));
    assert!(sees("m.room.member", Some(ALICE)));
    assert!(!sees("m.room.member", Some(BOB)));
    assert!(!sees("m.room.message", None));
}
