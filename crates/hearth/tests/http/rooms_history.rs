//! Who sees which part of a room's history: `/messages`, `/event`, `/context`.

use homeserver::accounts;
use serde_json::{Value, json};

use crate::{
    harness::{Server, User, encode, on_both_databases},
    scene::{Scene, guest, text, texts},
};

/// A room where one message was sent before, during and after everything that can happen to a user.
struct Told<'a> {
    scene: Scene<'a>,
    /// Invited, joined.
    stayed: User,
    /// Invited, joined, left.
    left: User,
    /// Invited, joined, banned.
    banned: User,
    /// Invited.
    invited: User,
    never: User,
    guest: User,
    /// Body and event id of the messages.
    messages: Vec<(&'static str, String)>,
}

async fn told<'a>(server: &'a Server, history: Option<&str>) -> Told<'a> {
    let tag = history.unwrap_or("none").replace('.', "-");
    let alice = server.user(&format!("alice-{tag}")).await;
    let scene = Scene::new(server, &alice, history).await;
    let [stayed, left, banned, invited, never] = {
        let mut users = Vec::new();
        for name in ["stayed", "left", "banned", "invited", "never"] {
            users.push(server.user(&format!("{name}-{tag}")).await);
        }
        users.try_into().ok().expect("five users")
    };
    let mut messages = Vec::new();
    let mut say = async |body: &'static str| {
        messages.push((body, scene.send(&alice, "m.room.message", text(body)).await));
    };
    say("alone").await;
    for user in [&stayed, &left, &banned, &invited] {
        scene.member(&alice, user, "invite").await;
    }
    say("invited").await;
    for user in [&stayed, &left, &banned] {
        scene.member(user, user, "join").await;
    }
    say("joined").await;
    scene.member(&left, &left, "leave").await;
    scene.member(&alice, &banned, "ban").await;
    say("after").await;
    let guest = guest(server, &format!("guest-{tag}")).await;
    Told { scene, stayed, left, banned, invited, never, guest, messages }
}

impl Told<'_> {
    /// Asks for every message in every way there is; `who` must see exactly these. `inside` says
    /// whether the room itself is open to them.
    async fn sees(&self, who: &User, seen: &[&str], inside: bool) {
        for (body, event_id) in &self.messages {
            let place = format!("{} and «{body}»", who.user_id);
            let event = self.scene.event(who, event_id).await;
            let context = self.scene.get(who, &format!("/context/{}?limit=50", encode(event_id))).await;
            if seen.contains(body) {
                assert_eq!(event.status, 200, "{place}: {}", event.body);
                let context = context.ok();
                let mut around: Vec<Value> = Vec::new();
                around.extend(context["events_before"].as_array().expect("a list").iter().rev().cloned());
                around.push(context["event"].clone());
                around.extend(context["events_after"].as_array().expect("a list").iter().cloned());
                assert_eq!(texts(&around), seen, "around {place}");
            } else {
                assert_eq!((event.status, &event.body["errcode"]), (404, &json!("M_NOT_FOUND")), "{place}");
                context.refused(404, "M_NOT_FOUND");
            }
        }
        if inside {
            assert_eq!(texts(&self.scene.walk(who, 'f', 3, "").await), seen, "{}", who.user_id);
            let mut back = seen.to_vec();
            back.reverse();
            assert_eq!(texts(&self.scene.walk(who, 'b', 2, "").await), back, "{}", who.user_id);
        } else {
            for dir in ["b", "f"] {
                self.scene.get(who, &format!("/messages?dir={dir}")).await.refused(403, "M_FORBIDDEN");
            }
        }
    }
}

const ALL: [&str; 4] = ["alone", "invited", "joined", "after"];

on_both_databases! {
    async fn what_the_world_may_read_everybody_reads(server: Server) {
        let told = told(&server, Some("world_readable")).await;
        for who in [&told.stayed, &told.left, &told.banned, &told.invited, &told.never, &told.guest] {
            told.sees(who, &ALL, true).await;
        }
    }

    async fn shared_history_is_read_by_who_joined_at_any_time(server: Server) {
        // What is not set, and what is not understood, counts as shared.
        for history in [Some("shared"), None, Some("org.example.whatever")] {
            let told = told(&server, history).await;
            told.sees(&told.stayed, &ALL, true).await;
            told.sees(&told.left, &ALL[..3], true).await;
            told.sees(&told.banned, &ALL[..3], true).await;
            for who in [&told.invited, &told.never, &told.guest] {
                told.sees(who, &[], false).await;
            }
        }
    }

    async fn history_for_the_invited_begins_with_the_invitation(server: Server) {
        let told = told(&server, Some("invited")).await;
        told.sees(&told.stayed, &ALL[1..], true).await;
        told.sees(&told.left, &ALL[1..3], true).await;
        told.sees(&told.banned, &ALL[1..3], true).await;
        told.sees(&told.invited, &ALL[1..], false).await;
        told.sees(&told.never, &[], false).await;
        told.sees(&told.guest, &[], false).await;
    }

    async fn history_for_the_joined_begins_with_the_join(server: Server) {
        let told = told(&server, Some("joined")).await;
        told.sees(&told.stayed, &ALL[2..], true).await;
        told.sees(&told.left, &ALL[2..3], true).await;
        told.sees(&told.banned, &ALL[2..3], true).await;
        for who in [&told.invited, &told.never, &told.guest] {
            told.sees(who, &[], false).await;
        }
    }

    async fn a_change_of_visibility_does_not_reach_back(server: Server) {
        let alice = server.user("alice").await;
        let scene = Scene::new(&server, &alice, Some("joined")).await;
        let visible = |history: &str| json!({ "history_visibility": history });
        scene.send(&alice, "m.room.message", text("among members")).await;
        let opened = scene.set(&alice, "m.room.history_visibility", "", visible("world_readable")).await;
        scene.send(&alice, "m.room.message", text("in the open")).await;
        let closed = scene.set(&alice, "m.room.history_visibility", "", visible("joined")).await;
        let late = scene.send(&alice, "m.room.message", text("among members again")).await;
        let bob = server.user("bob").await;
        // The change itself is seen if the visibility before or after it allows.
        scene.event(&bob, &opened).await.ok();
        scene.event(&bob, &closed).await.ok();
        scene.event(&bob, &late).await.refused(404, "M_NOT_FOUND");
        scene.get(&bob, "/messages?dir=b").await.refused(403, "M_FORBIDDEN");
        scene.member(&bob, &bob, "join").await;
        assert_eq!(texts(&scene.walk(&bob, 'f', 2, "").await), ["in the open"]);
    }

    async fn ones_own_comings_and_goings_are_always_seen(server: Server) {
        let alice = server.user("alice").await;
        let scene = Scene::new(&server, &alice, Some("joined")).await;
        let (bob, carol) = (server.user("bob").await, server.user("carol").await);
        let of_carol = scene.member(&carol, &carol, "join").await;
        let invited = scene.member(&alice, &bob, "invite").await;
        let joined = scene.member(&bob, &bob, "join").await;
        let left = scene.member(&bob, &bob, "leave").await;
        scene.event(&bob, &of_carol).await.refused(404, "M_NOT_FOUND");
        for own in [&invited, &joined, &left] {
            scene.event(&bob, own).await.ok();
        }
        let seen = scene.walk(&bob, 'f', 1, "").await;
        // What came before the history visibility was set counts as shared.
        let seen = crate::scene::ids(&seen);
        assert_eq!(seen[seen.len() - 3..], [invited, joined, left]);
        assert!(!seen.contains(&&*of_carol));
    }

    async fn who_comes_and_goes_sees_what_came_while_they_were_in(server: Server) {
        let alice = server.user("alice").await;
        let scene = Scene::new(&server, &alice, Some("joined")).await;
        let bob = server.user("bob").await;
        for round in 0..3 {
            scene.send(&alice, "m.room.message", text(&format!("without {round}"))).await;
            scene.member(&bob, &bob, "join").await;
            scene.send(&alice, "m.room.message", text(&format!("with {round}"))).await;
            scene.member(&bob, &bob, "leave").await;
        }
        scene.send(&alice, "m.room.message", text("without 3")).await;
        assert_eq!(texts(&scene.walk(&bob, 'b', 1, "").await), ["with 2", "with 1", "with 0"]);
        // An invitation after that opens nothing more.
        scene.member(&alice, &bob, "invite").await;
        assert_eq!(texts(&scene.walk(&bob, 'f', 50, "").await), ["with 0", "with 1", "with 2"]);
    }

    async fn a_room_that_is_forgotten_is_closed(server: Server) {
        let alice = server.user("alice").await;
        let scene = Scene::new(&server, &alice, Some("shared")).await;
        let bob = server.user("bob").await;
        let said = scene.send(&alice, "m.room.message", text("hello")).await;
        scene.member(&bob, &bob, "join").await;
        scene.member(&bob, &bob, "leave").await;
        scene.event(&bob, &said).await.ok();
        let room_id = scene.room_id.as_str().try_into().expect("a room id");
        let room = homeserver::rooms::find(&server.home, room_id).await.expect("the room");
        let mut batch = store::Batch::new();
        store::members::forget(&mut batch, bob.user_id.as_str(), room.key);
        server.home.db.commit(batch).await.expect("forgotten");
        scene.event(&bob, &said).await.refused(404, "M_NOT_FOUND");
        scene.get(&bob, "/messages?dir=b").await.refused(403, "M_FORBIDDEN");
        // Coming back opens it again.
        scene.member(&bob, &bob, "join").await;
        assert_eq!(texts(&scene.walk(&bob, 'b', 10, "").await), ["hello"]);
    }

    async fn a_room_that_is_not_there_is_just_closed(server: Server) {
        let alice = server.user("alice").await;
        let scene = Scene::new(&server, &alice, Some("shared")).await;
        let (bob, stranger) = (server.user("bob").await, server.stranger());
        let path = "/v3/rooms/!nowhere:hearth.test/messages?dir=b";
        let nowhere = bob.get(path).await.refused(403, "M_FORBIDDEN");
        assert_eq!(scene.get(&bob, "/messages?dir=b").await.refused(403, "M_FORBIDDEN"), nowhere);
        for path in ["/messages?dir=b", "/context/$a", "/event/$a"] {
            scene.get(&stranger, path).await.refused(401, "M_MISSING_TOKEN");
        }
        bob.get("/v3/rooms/!nowhere:hearth.test/event/$a").await.refused(404, "M_NOT_FOUND");
    }

    async fn an_event_is_found_only_in_its_own_room(server: Server) {
        let alice = server.user("alice").await;
        let one = Scene::new(&server, &alice, Some("joined")).await;
        let other = Scene::new(&server, &alice, Some("world_readable")).await;
        let said = one.send(&alice, "m.room.message", text("here")).await;
        other.event(&alice, &said).await.refused(404, "M_NOT_FOUND");
        other.get(&alice, &format!("/context/{}", encode(&said))).await.refused(404, "M_NOT_FOUND");
    }

    async fn what_an_erased_account_sent_is_empty_for_who_comes_later(server: Server) {
        let (alice, bob, carol) = (server.user("alice").await, server.user("bob").await, server.user("carol").await);
        let scene = Scene::new(&server, &alice, Some("shared")).await;
        scene.member(&bob, &bob, "join").await;
        let said = scene.send(&bob, "m.room.message", text("secret")).await;
        scene.send(&alice, "m.room.message", text("open")).await;
        scene.member(&carol, &carol, "join").await;
        assert_eq!(scene.event(&carol, &said).await.ok()["content"]["body"], "secret");
        let batch = store::Batch::new();
        accounts::closing::deactivate(&server.home, batch, &bob.user_id, true).await.expect("erased");
        let event = scene.event(&carol, &said).await.ok();
        assert_eq!((&event["content"], &event["sender"]), (&json!({}), &json!(bob.user_id)));
        let seen = scene.walk(&carol, 'f', 50, "").await;
        assert_eq!(texts(&seen), ["open"]);
        assert!(!json!(seen).to_string().contains("secret"));
        // Alice was there.
        assert_eq!(texts(&scene.walk(&alice, 'f', 50, "").await), ["secret", "open"]);
    }
}
