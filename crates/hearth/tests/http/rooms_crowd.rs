//! Many at once in one room: the way of an event holds under a crowd.

use std::{collections::HashSet, future::Future, pin::pin, sync::Arc, task::Poll};

use futures_util::{FutureExt, future::join_all};
use homeserver::rooms::{self, Intent, Room, TimelineEvent, state, timeline};
use ruma::{CanonicalJsonObject, RoomId};
use serde_json::json;

use crate::harness::{Server, User, encode, on_both_databases};

/// Everything that happened in a room, oldest first.
async fn history(server: &Server, room_id: &str) -> (Arc<Room>, Vec<Arc<TimelineEvent>>) {
    let room_id = RoomId::parse(room_id).expect("a room id");
    let room = rooms::find(&server.home, &room_id).await.expect("a room");
    let events = timeline::after(&server.home, &room, 0, i64::MAX, 100_000).await.expect("the history");
    (room, events)
}

/// The graph is a line: each event stands on the one before it, one deeper.
fn is_a_line(events: &[Arc<TimelineEvent>]) {
    for (depth, event) in events.iter().enumerate() {
        let before = depth.checked_sub(1).map(|before| events[before].event.event_id().to_owned());
        assert_eq!(event.event.prev_events(), before.as_slice(), "event {depth}");
        assert_eq!(event.event.depth(), depth as u64 + 1);
        assert!(depth == 0 || events[depth - 1].pos < event.pos);
    }
}

/// The store's counts are those of the state.
async fn counts_are_right(server: &Server, room: &Room, joined: i64, invited: i64) {
    let stored =
        store::rooms::by_key(&server.home.db, room.key).await.expect("the database").expect("the room");
    assert_eq!((stored.joined, stored.invited), (joined, invited));
    let users = store::members::users(&server.home.db, room.key, "join").await.expect("the database");
    assert_eq!(users.len() as i64, joined);
    let mut here = room.joined_here();
    here.sort();
    let mut users: Vec<_> = users.iter().map(String::as_str).collect();
    users.sort_unstable();
    assert_eq!(here, users);
    let head = room.head(&server.home).await.expect("a head");
    let entries =
        state::entries(&server.home, head.root, |kind| kind == "m.room.member").await.expect("state");
    let ids: Vec<_> = entries.into_iter().map(|entry| entry.event_id).collect();
    let events = state::events_by_id(&server.home, room, &ids).await.expect("members");
    let is = |what: &str| {
        events
            .iter()
            .filter(|event| event.content_str().contains(&format!("\"membership\":\"{what}\"")))
            .count()
    };
    assert_eq!((is("join") as i64, is("invite") as i64), (joined, invited));
}

async fn crowd(server: &Server, size: usize) -> Vec<User> {
    let names: Vec<String> = (0..size).map(|i| format!("user{i}")).collect();
    join_all(names.iter().map(|name| server.user(name))).await
}

on_both_databases! {
    async fn what_is_on_its_way_is_built_upon_whatever_the_caches_forget(server: Server) {
        let alice = server.user("alice").await;
        let room_id = alice.creates_room(json!({})).await;
        let (room, _) = history(&server, &room_id).await;
        let home = &server.home;
        // The writer is busy, so that the topic stays on its way.
        let (release, busy) = std::sync::mpsc::channel::<()>();
        let mut batch = store::Batch::new();
        batch.then(move |_| busy.recv().unwrap_or_default());
        let first = home.db.enqueue(batch);
        let says = |kind: &str| {
            let mut content = CanonicalJsonObject::new();
            content.insert("text".to_owned(), "anything".to_owned().into());
            rooms::append(home, &room, Intent::state(&alice.user_id, kind, "", content))
        };
        let mut topic = pin!(says("m.room.topic"));
        assert!(topic.as_mut().now_or_never().is_none());
        home.rooms.nodes.clear();
        home.rooms.events.clear();
        let mut name = pin!(says("m.room.name"));
        assert!(name.as_mut().now_or_never().is_none());
        release.send(()).expect("the writer waits");
        first.await.expect("nothing to write");
        topic.await.expect("the topic");
        name.await.expect("the name");
        let (room, events) = history(&server, &room_id).await;
        is_a_line(&events);
        counts_are_right(&server, &room, 1, 0).await;
    }

    async fn fifty_who_talk_and_come_and_go_make_one_line(server: Server) {
        let alice = server.user("alice").await;
        let users = crowd(&server, 50).await;
        let room = alice.creates_room(json!({ "preset": "public_chat" })).await;
        let begun = history(&server, &room).await.1.len();
        join_all(users.iter().enumerate().map(|(i, user)| {
            let (alice, room) = (&alice, &room);
            async move {
                user.joins(room).await;
                let texts: Vec<_> = (0..4).map(|n| format!("{i} {n}")).collect();
                let said = join_all(texts.iter().map(|text| user.say(room, text))).await;
                assert_eq!(said.iter().collect::<HashSet<_>>().len(), 4);
                if i % 5 == 0 {
                    user.leaves(room).await;
                    alice.invites(room, user).await;
                }
            }
        }))
        .await;
        let (in_memory, events) = history(&server, &room).await;
        is_a_line(&events);
        assert_eq!(events.len(), begun + 50 + 200 + 10 + 10);
        counts_are_right(&server, &in_memory, 41, 10).await;
        let before = in_memory.head(&server.home).await.expect("a head");
        let mut server = server;
        server.restart().await;
        let (after_restart, _) = history(&server, &room).await;
        let after = after_restart.head(&server.home).await.expect("a head");
        assert_eq!((&after.extremities, after.depth, after.root), (&before.extremities, before.depth, before.root));
        counts_are_right(&server, &after_restart, 41, 10).await;
    }

    async fn one_transaction_id_asked_at_once_is_one_event(server: Server) {
        let alice = server.user("alice").await;
        let room = alice.creates_room(json!({})).await;
        let path = format!("/v3/rooms/{}/send/m.room.message/same", encode(&room));
        let others = (0..10).map(|i| format!("/v3/rooms/{}/send/m.room.message/other{i}", encode(&room)));
        let others: Vec<_> = others.collect();
        let same = join_all((0..20).map(|_| alice.put(&path, json!({ "body": "once" }))));
        let rest = join_all(others.iter().map(|path| alice.put(path, json!({ "body": "other" }))));
        let (same, rest) = tokio::join!(same, rest);
        let ids: HashSet<_> = same.into_iter().map(|reply| reply.ok()["event_id"].to_string()).collect();
        assert_eq!(ids.len(), 1);
        let rest: HashSet<_> = rest.into_iter().map(|reply| reply.ok()["event_id"].to_string()).collect();
        assert_eq!(rest.len(), 10);
        is_a_line(&history(&server, &room).await.1);
    }

    async fn requests_that_break_off_do_no_harm(server: Server) {
        let alice = server.user("alice").await;
        let room = alice.creates_room(json!({})).await;
        let room_id = RoomId::parse(&*room).expect("a room id");
        let known = rooms::find(&server.home, &room_id).await.expect("the room");
        for n in 0..100_u64 {
            let content = rules::canonical::object_of(&json!({ "n": n })).expect("content");
            let intent = rooms::Intent::state(&alice.user_id, "org.example.n", "", content);
            let mut append = Box::pin(rooms::append(&server.home, &known, intent));
            // The request is dropped after so many steps.
            for _ in 0..n % 10 {
                let step = std::future::poll_fn(|context| Poll::Ready(append.as_mut().poll(context)));
                if step.await.is_ready() {
                    break;
                }
                tokio::task::yield_now().await;
            }
        }
        alice.say(&room, "and yet").await;
        is_a_line(&history(&server, &room).await.1);
    }

    async fn what_can_not_be_stored_takes_nothing_down_with_it(server: Server) {
        let alice = server.user("alice").await;
        let room = alice.creates_room(json!({})).await;
        join_all((0..40).map(|n| {
            let (alice, room) = (&alice, &room);
            async move {
                if n % 2 == 0 {
                    alice.say(room, "fine").await;
                } else {
                    let key = format!("{n}\u{0}");
                    alice.sets(room, "org.example.bad", &key, json!({})).await.refused(400, "M_BAD_JSON");
                }
            }
        }))
        .await;
        is_a_line(&history(&server, &room).await.1);
    }
}
