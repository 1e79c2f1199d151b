//! Rooms in common: the path of v1.19 and the two of the proposal.

use std::{collections::BTreeSet, time::Duration};

use serde_json::Value;
use store::{Batch, members::NewMember};

use crate::harness::{Reply, Server, User, encode, on_both_databases};

const STABLE: &str = "/v1/mutual_rooms";
const PROPOSED: &str = "/v1/user/mutual_rooms";
const UNSTABLE: &str = "/unstable/uk.half-shot.msc2666/user/mutual_rooms";
const PATHS: [&str; 3] = [STABLE, PROPOSED, UNSTABLE];

/// Puts users into a room as far as the tables go: rooms by the thousand take too long over HTTP.
fn stand(batch: &mut Batch, room: store::Value<'static>, pos: store::PosRef, user: &str, membership: &str) {
    let event_id = "$of-no-account";
    let member = NewMember {
        user_id: user,
        room,
        membership,
        event_id,
        sender: user,
        display_name: None,
        avatar_url: None,
    };
    store::members::set(batch, pos, member);
}

/// What was written past the server is not in its memory.
fn forget(server: &Server, user: &str) {
    server.home.rooms.memberships.changed(user.try_into().expect("a user id"));
}

/// A room with these members; answers its key and its id.
async fn room(server: &Server, name: &str, members: &[(&str, &str)]) -> (i64, String) {
    let room_id = format!("!{name}:hearth.test");
    let mut batch = Batch::new();
    let pos = batch.pos();
    store::rooms::create(&mut batch, pos, &room_id, "12", false);
    for (user, membership) in members {
        stand(&mut batch, pos.into(), pos, user, membership);
    }
    let at = server.home.db.commit(batch).await.expect("a room");
    members.iter().for_each(|(user, _)| forget(server, user));
    (at.at(pos), room_id)
}

async fn change(server: &Server, room: i64, user: &str, membership: &str) {
    let mut batch = Batch::new();
    let pos = batch.pos();
    stand(&mut batch, room.into(), pos, user, membership);
    server.home.db.commit(batch).await.expect("a change");
    forget(server, user);
}

async fn ask(who: &User, path: &str, target: &str, from: Option<&str>) -> Reply {
    let from = from.map(|from| format!("&from={}", encode(from))).unwrap_or_default();
    who.get(&format!("{path}?user_id={}{from}", encode(target))).await
}

fn joined(page: &Value) -> Vec<String> {
    let rooms = page["joined"].as_array().expect("a list");
    rooms.iter().map(|room| room.as_str().expect("a room id").to_owned()).collect()
}

const BOB: &str = "@bob:hearth.test";

/// Bob and Alice in `rooms` rooms; answers their keys and ids.
async fn many(server: &Server, rooms: usize) -> (User, Vec<(i64, String)>) {
    let alice = server.user("alice").await;
    let mut made = Vec::new();
    for n in 0..rooms {
        let members = [(alice.user_id.as_str(), "join"), (BOB, "join")];
        made.push(room(server, &format!("r{n}"), &members).await);
    }
    (alice, made)
}

on_both_databases! {
    async fn only_rooms_where_both_are_joined_are_in_common(server: Server) {
        let alice = server.user("alice").await;
        let us = alice.user_id.as_str();
        let (_, both) = room(&server, "both", &[(us, "join"), (BOB, "join")]).await;
        for (name, ours, theirs) in [
            ("left", "leave", "join"), ("right", "join", "leave"), ("invited", "join", "invite"),
            ("knocked", "knock", "join"), ("banned", "join", "ban"),
        ] {
            room(&server, name, &[(us, ours), (BOB, theirs)]).await;
        }
        room(&server, "mine", &[(us, "join")]).await;
        room(&server, "theirs", &[(BOB, "join")]).await;
        for path in PATHS {
            let page = ask(&alice, path, BOB, None).await.ok();
            assert_eq!(joined(&page), [&*both]);
            assert_eq!(page["count"], 1);
            assert_eq!(page.get("next_batch"), None);
        }
    }

    async fn nobody_shares_a_room_with_users_that_do_not_exist(server: Server) {
        let alice = server.user("alice").await;
        room(&server, "r", &[(alice.user_id.as_str(), "join")]).await;
        let legal = ["@nobody:hearth.test", "@a:elsewhere.example:8448", "@!\"#$%&'()*[]{|}~:h.test", "@A:[::1]"];
        for target in legal {
            for path in PATHS {
                let page = ask(&alice, path, target, None).await.ok();
                assert_eq!(page, serde_json::json!({ "joined": [], "count": 0 }), "{target}");
            }
        }
    }

    async fn what_is_no_user_id_is_an_invalid_parameter(server: Server) {
        let alice = server.user("alice").await;
        let long = format!("@{}:hearth.test", "a".repeat(255));
        let wrong = [
            "", "bob", "bob:hearth.test", "#bob:hearth.test", "@:hearth.test", "@bob", "@bob:", "@b b:hearth.test",
            "@b\u{7f}b:hearth.test", "@böb:hearth.test", "@b\u{0}b:hearth.test", "@b\nb:hearth.test", "@bob:a b",
            &long,
        ];
        for path in PATHS {
            for target in wrong {
                ask(&alice, path, target, None).await.refused(400, "M_INVALID_PARAM");
            }
            alice.get(path).await.refused(400, "M_INVALID_PARAM");
            let bob = encode(BOB);
            alice.get(&format!("{path}?user_id={bob}&user_id={bob}")).await.refused(400, "M_INVALID_PARAM");
            alice.get(&format!("{path}?user_id=%FF%FE")).await.refused(400, "M_INVALID_PARAM");
            alice.get(&format!("{path}?user_id[]={bob}")).await.refused(400, "M_INVALID_PARAM");
            alice.get(&format!("{path}?user_id={bob}&from=a&from=b")).await.refused(400, "M_INVALID_PARAM");
            server.stranger().get(path).await.refused(401, "M_MISSING_TOKEN");
        }
    }

    async fn about_oneself_the_documents_differ(server: Server) {
        let alice = server.user("alice").await;
        let me = alice.user_id.as_str();
        ask(&alice, STABLE, me, None).await.refused(400, "M_INVALID_PARAM");
        ask(&alice, PROPOSED, me, None).await.refused(400, "M_UNKNOWN");
        ask(&alice, UNSTABLE, me, None).await.refused(400, "M_UNKNOWN");
    }

    async fn each_room_comes_once_over_all_batches(server: Server) {
        let (alice, rooms) = many(&server, 250).await;
        for path in PATHS {
            let mut seen = Vec::new();
            let mut from: Option<String> = None;
            loop {
                let page = ask(&alice, path, BOB, from.as_deref()).await.ok();
                assert_eq!(page["count"], 250);
                seen.extend(joined(&page));
                let Some(next) = page.get("next_batch") else { break };
                let next = next.as_str().expect("a token").to_owned();
                let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._~-".contains(&byte);
                assert!(!next.is_empty() && next.len() <= 255 && next.bytes().all(plain), "{next}");
                from = Some(next);
            }
            assert_eq!(seen.len(), 250);
            let all: BTreeSet<String> = rooms.iter().map(|(_, room_id)| room_id.clone()).collect();
            assert_eq!(seen.into_iter().collect::<BTreeSet<_>>(), all);
        }
    }

    async fn rooms_joined_and_left_in_between_disturb_no_batch(server: Server) {
        let (alice, rooms) = many(&server, 250).await;
        let first = ask(&alice, STABLE, BOB, None).await.ok();
        let mut seen = joined(&first);
        // One that was listed already, and one that was not, are left; a listed one is joined again.
        change(&server, rooms[3].0, BOB, "leave").await;
        change(&server, rooms[4].0, BOB, "leave").await;
        change(&server, rooms[4].0, BOB, "join").await;
        change(&server, rooms[200].0, alice.user_id.as_str(), "leave").await;
        room(&server, "new", &[(alice.user_id.as_str(), "join"), (BOB, "join")]).await;
        let mut page = first;
        while let Some(next) = page.get("next_batch").and_then(Value::as_str) {
            page = ask(&alice, STABLE, BOB, Some(next)).await.ok();
            seen.extend(joined(&page));
        }
        let once: BTreeSet<_> = seen.iter().cloned().collect();
        assert_eq!(once.len(), seen.len(), "a room came twice");
        assert!(!once.contains(&rooms[200].1));
        let stayed = rooms.iter().enumerate().filter(|(n, _)| *n != 200);
        assert!(stayed.into_iter().all(|(_, (_, room_id))| once.contains(room_id)), "a room was lost");
    }

    async fn a_batch_token_is_worth_something_to_nobody_else(server: Server) {
        let (alice, rooms) = many(&server, 101).await;
        let carol = server.user("carol").await;
        for (key, _) in &rooms {
            change(&server, *key, carol.user_id.as_str(), "join").await;
        }
        let page = ask(&alice, STABLE, BOB, None).await.ok();
        let token = page["next_batch"].as_str().expect("a token");
        assert_eq!(joined(&ask(&alice, STABLE, BOB, Some(token)).await.ok()).len(), 1);
        // Another user's, another target's, another endpoint's.
        ask(&carol, STABLE, BOB, Some(token)).await.refused(400, "M_INVALID_PARAM");
        ask(&alice, STABLE, carol.user_id.as_str(), Some(token)).await.refused(400, "M_INVALID_PARAM");
        ask(&alice, PROPOSED, BOB, Some(token)).await.refused(400, "M_INVALID_PARAM");
        ask(&alice, UNSTABLE, BOB, Some(token)).await.refused(400, "M_INVALID_PARAM");
        for index in 0..token.len() {
            let mut altered = token.as_bytes().to_vec();
            altered[index] = if altered[index] == b'A' { b'B' } else { b'A' };
            let altered = String::from_utf8(altered).expect("ASCII");
            ask(&alice, STABLE, BOB, Some(&altered)).await.refused(400, "M_INVALID_PARAM");
        }
        let longer = format!("{token}AAAA");
        for wrong in ["", "x", "s12_34", &token[1..], &token[..token.len() - 4], &longer, "ü"] {
            ask(&alice, STABLE, BOB, Some(wrong)).await.refused(400, "M_INVALID_PARAM");
        }
    }

    async fn a_batch_token_outlives_a_restart_and_dies_of_age(server: Server) {
        let mut server = server;
        let (alice, _) = many(&server, 101).await;
        let page = ask(&alice, STABLE, BOB, None).await.ok();
        let token = page["next_batch"].as_str().expect("a token");
        server.restart().await;
        let alice = server.device_of(alice.user_id.clone(), "SECOND").await;
        server.pass(Duration::from_secs(11 * 60));
        assert_eq!(joined(&ask(&alice, STABLE, BOB, Some(token)).await.ok()).len(), 1);
        server.pass(Duration::from_secs(50 * 60));
        ask(&alice, STABLE, BOB, Some(token)).await.refused(400, "M_INVALID_PARAM");
    }

    async fn one_who_is_in_a_great_many_rooms_costs_only_what_the_other_has(server: Server) {
        let alice = server.user("alice").await;
        let mut shared = Vec::new();
        for hundred in 0..12 {
            let mut batch = Batch::new();
            for n in 0..100 {
                let pos = batch.pos();
                let room_id = format!("!{hundred}-{n}:hearth.test");
                store::rooms::create(&mut batch, pos, &room_id, "12", false);
                stand(&mut batch, pos.into(), pos, BOB, "join");
                if n % 40 == 0 {
                    stand(&mut batch, pos.into(), pos, alice.user_id.as_str(), "join");
                    shared.push(room_id);
                }
            }
            server.home.db.commit(batch).await.expect("rooms");
        }
        let page = ask(&alice, STABLE, BOB, None).await.ok();
        assert_eq!(joined(&page), shared);
        let bob = server.user("bob").await;
        assert_eq!(joined(&ask(&bob, STABLE, alice.user_id.as_str(), None).await.ok()), shared);
    }
}
