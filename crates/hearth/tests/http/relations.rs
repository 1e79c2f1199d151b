//! Relations between events: `/relations`, `/threads`, and what is told of them with an event.

use serde_json::{Value, json};

use crate::{
    harness::{Server, User, encode, on_both_databases},
    scene::{Scene, ids, text},
};

fn related(rel_type: &str, event_id: &str, mut content: Value) -> Value {
    content["m.relates_to"] = json!({ "rel_type": rel_type, "event_id": event_id });
    content
}

fn edit(event_id: &str, body: &str) -> Value {
    let mut content = text(&format!("* {body}"));
    content["m.new_content"] = text(body);
    related("m.replace", event_id, content)
}

fn reaction(event_id: &str, key: &str) -> Value {
    json!({ "m.relates_to": { "rel_type": "m.annotation", "event_id": event_id, "key": key } })
}

async fn alice_and_bob(server: &Server) -> (User, User, Scene<'_>) {
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let scene = Scene::new(server, &alice, Some("shared")).await;
    scene.member(&bob, &bob, "join").await;
    (alice, bob, scene)
}

/// All pages of `/relations{path}`.
async fn relations(scene: &Scene<'_>, who: &User, path: &str, dir: char) -> Vec<Value> {
    let (mut all, mut from) = (Vec::new(), String::new());
    loop {
        let path = format!("/relations/{path}?limit=2&dir={dir}{from}");
        let page = scene.get_v1(who, &path).await.ok();
        assert!(page.get("recursion_depth").is_none(), "{page}");
        all.extend(page["chunk"].as_array().expect("a chunk").iter().cloned());
        assert_eq!(page.get("prev_batch").is_none(), from.is_empty(), "{page}");
        match page["next_batch"].as_str() {
            Some(next) => from = format!("&from={next}"),
            None => return all,
        }
    }
}

/// The aggregations told with an event, wherever it is read.
async fn told(scene: &Scene<'_>, who: &User, event_id: &str) -> Value {
    let event = scene.event(who, event_id).await.ok();
    let told = event["unsigned"]["m.relations"].clone();
    let context = scene.get(who, &format!("/context/{}", encode(event_id))).await.ok();
    assert_eq!(context["event"]["unsigned"]["m.relations"], told);
    let pages = scene.walk(who, 'b', 100, "").await;
    let same = pages.iter().find(|event| event["event_id"] == event_id).expect("the event");
    assert_eq!(same["unsigned"]["m.relations"], told);
    told
}

on_both_databases! {
    async fn a_refusal_tells_nobody_what_they_can_not_read(server: Server) {
        let (alice, bob) = (server.user("alice").await, server.user("bob").await);
        let scene = Scene::new(&server, &alice, Some("joined")).await;
        let root = scene.send(&alice, "m.room.message", text("root")).await;
        let within = scene.send(&alice, "m.room.message", related("m.thread", &root, text("within"))).await;
        let send = async |who: &User, txn: &str, event_type: &str, content: Value| {
            who.put(&format!("/v3/rooms/{}/send/{event_type}/{txn}", encode(&scene.room_id)), content).await
        };
        // Who is not in the room learns only that.
        for (txn, target) in [("t1", &root), ("t2", &within)] {
            let thread = related("m.thread", target, text("x"));
            let refused = send(&bob, txn, "m.room.message", thread).await.refused(403, "M_FORBIDDEN");
            assert!(!refused["error"].as_str().expect("why").contains("thread"), "{refused}");
        }
        // Who is, but may not see the event, can answer to it as to one that is not there.
        scene.member(&bob, &bob, "join").await;
        send(&bob, "t3", "m.room.message", related("m.thread", &within, text("x"))).await.ok();
        send(&alice, "t1", "m.room.message", related("m.thread", &within, text("x"))).await.refused(400, "M_UNKNOWN");
        // The same annotation twice, and once more in the same transaction.
        send(&bob, "r1", "m.reaction", reaction(&root, "a")).await.ok();
        send(&bob, "r1", "m.reaction", reaction(&root, "a")).await.ok();
        send(&bob, "r2", "m.reaction", reaction(&root, "a")).await.refused(400, "M_DUPLICATE_ANNOTATION");
    }

    async fn children_are_found_by_kind_and_type(server: Server) {
        let (alice, bob, scene) = alice_and_bob(&server).await;
        let root = scene.send(&alice, "m.room.message", text("root")).await;
        let mut children = Vec::new();
        for n in 0..3 {
            children.push(scene.send(&alice, "m.room.message", related("m.thread", &root, text("x"))).await);
            children.push(scene.send(&bob, "m.reaction", reaction(&root, &n.to_string())).await);
            let odd = related("m.thread", &root, json!({}));
            children.push(scene.send(&bob, "org.example.odd", odd).await);
        }
        scene.send(&bob, "m.reaction", reaction(&children[0], "a")).await;
        let root = encode(&root);
        for dir in ['f', 'b'] {
            let picked = |step: usize, first: usize| {
                let mut picked: Vec<&str> =
                    children.iter().skip(first).step_by(step).map(String::as_str).collect();
                if dir == 'b' {
                    picked.reverse();
                }
                picked
            };
            assert_eq!(ids(&relations(&scene, &alice, &root, dir).await), picked(1, 0));
            let reactions = relations(&scene, &alice, &format!("{root}/m.annotation"), dir).await;
            assert_eq!(ids(&reactions), picked(3, 1));
            let odd = relations(&scene, &bob, &format!("{root}/m.thread/org.example.odd"), dir).await;
            assert_eq!(ids(&odd), picked(3, 2));
        }
        assert!(relations(&scene, &bob, &format!("{root}/m.replace"), 'b').await.is_empty());
        // A token of another endpoint will do.
        let page = scene.get(&alice, "/messages?dir=b&limit=2").await.ok();
        let from = page["end"].as_str().expect("a token");
        let page = scene.get_v1(&alice, &format!("/relations/{root}?limit=1&from={from}")).await.ok();
        assert_eq!(ids(page["chunk"].as_array().expect("a chunk")), [children[7].as_str()]);
        scene.get_v1(&alice, &format!("/relations/{root}?from=x")).await.refused(400, "M_INVALID_PARAM");
    }

    async fn relations_are_followed_further_if_asked(server: Server) {
        let (alice, bob, scene) = alice_and_bob(&server).await;
        let root = scene.send(&alice, "m.room.message", text("root")).await;
        let reply = scene.send(&bob, "m.room.message", related("m.thread", &root, text("reply"))).await;
        let like = scene.send(&alice, "m.reaction", reaction(&reply, "+1")).await;
        let deep = scene.send(&bob, "m.reaction", reaction(&like, "+2")).await;
        let path = format!("/relations/{}?recurse=true", encode(&root));
        let page = scene.get_v1(&alice, &path).await.ok();
        assert_eq!(ids(page["chunk"].as_array().expect("a chunk")), [&*deep, &*like, &*reply]);
        assert_eq!(page["recursion_depth"], 3);
        let path = format!("/relations/{}/m.annotation?recurse=true&dir=f&limit=1", encode(&root));
        let page = scene.get_v1(&alice, &path).await.ok();
        assert_eq!(ids(page["chunk"].as_array().expect("a chunk")), [&*like]);
        let next = page["next_batch"].as_str().expect("more");
        let page = scene.get_v1(&alice, &format!("{path}&from={next}")).await.ok();
        assert_eq!(ids(page["chunk"].as_array().expect("a chunk")), [&*deep]);
        assert_eq!(page.get("next_batch"), None);
    }

    async fn relations_tell_nobody_what_they_may_not_see(server: Server) {
        let (alice, bob, scene) = alice_and_bob(&server).await;
        let root = scene.send(&alice, "m.room.message", text("root")).await;
        let seen = scene.send(&alice, "m.room.message", related("m.thread", &root, text("seen"))).await;
        scene.member(&bob, &bob, "leave").await;
        let hidden = related("m.thread", &root, text("hidden"));
        scene.send(&alice, "m.room.message", hidden).await;
        scene.send(&alice, "m.room.message", edit(&root, "hidden")).await;
        assert_eq!(ids(&relations(&scene, &bob, &encode(&root), 'b').await), [&*seen]);
        let told_bob = told(&scene, &bob, &root).await;
        assert_eq!(told_bob["m.thread"]["count"], 1);
        assert_eq!(told_bob["m.thread"]["latest_event"]["event_id"], json!(seen));
        assert!(!told_bob.to_string().contains("hidden"), "{told_bob}");
        assert_eq!(told(&scene, &alice, &root).await["m.thread"]["count"], 2);
        let carol = server.user("carol").await;
        for rest in ["", "/m.thread", "/m.thread/m.room.message"] {
            let path = format!("/relations/{}{rest}", encode(&root));
            scene.get_v1(&carol, &path).await.refused(404, "M_NOT_FOUND");
        }
        scene.get_v1(&carol, "/threads").await.refused(403, "M_FORBIDDEN");
        scene.get_v1(&bob, "/relations/$nothing").await.refused(404, "M_NOT_FOUND");
        server.stranger().get(&format!("/v1/rooms/{}/threads", encode(&scene.room_id))).await
            .refused(401, "M_MISSING_TOKEN");
    }

    async fn the_newest_valid_edit_is_told(server: Server) {
        let (alice, bob, scene) = alice_and_bob(&server).await;
        let original = scene.send(&alice, "m.room.message", text("one")).await;
        assert_eq!(told(&scene, &bob, &original).await, Value::Null);
        let first = scene.send(&alice, "m.room.message", edit(&original, "two")).await;
        let second = scene.send(&alice, "m.room.message", edit(&original, "three")).await;
        // None of these counts: another's, of another type, without new content, a state event.
        scene.send(&bob, "m.room.message", edit(&original, "mine")).await;
        scene.send(&alice, "org.example.odd", edit(&original, "odd")).await;
        let empty = related("m.replace", &original, text("nothing new"));
        scene.send(&alice, "m.room.message", empty).await;
        scene.set(&alice, "m.room.message", "", edit(&original, "state")).await;
        let of_original = told(&scene, &bob, &original).await;
        let edit_told = &of_original["m.replace"];
        assert_eq!((&edit_told["event_id"], &edit_told["sender"]), (&json!(second), &json!(alice.user_id)));
        assert_eq!(edit_told["content"]["m.new_content"]["body"], "three");
        // The original is left as it is.
        assert_eq!(scene.event(&bob, &original).await.ok()["content"]["body"], "one");
        // An edit of an edit is none.
        scene.send(&alice, "m.room.message", edit(&first, "four")).await;
        assert_eq!(told(&scene, &bob, &first).await, Value::Null);
        scene.redact(&alice, &second).await;
        assert_eq!(told(&scene, &bob, &original).await["m.replace"]["event_id"], json!(first));
        scene.redact(&alice, &original).await;
        assert_eq!(told(&scene, &bob, &original).await.get("m.replace"), None);
    }

    async fn references_are_told(server: Server) {
        let (alice, bob, scene) = alice_and_bob(&server).await;
        let poll = scene.send(&alice, "org.example.poll", json!({})).await;
        let mut answers = Vec::new();
        for who in [&alice, &bob] {
            let answer = related("m.reference", &poll, json!({}));
            answers.push(scene.send(who, "org.example.answer", answer).await);
        }
        let expected = json!({ "chunk": [{ "event_id": answers[0] }, { "event_id": answers[1] }] });
        assert_eq!(told(&scene, &bob, &poll).await["m.reference"], expected);
        scene.redact(&alice, &answers[0]).await;
        let expected = json!({ "chunk": [{ "event_id": answers[1] }] });
        assert_eq!(told(&scene, &bob, &poll).await["m.reference"], expected);
        assert_eq!(ids(&relations(&scene, &bob, &encode(&poll), 'b').await), [&*answers[1]]);
    }

    async fn a_thread_is_told_with_its_newest_event(server: Server) {
        let (alice, bob, scene) = alice_and_bob(&server).await;
        let carol = server.user("carol").await;
        scene.member(&carol, &carol, "join").await;
        let root = scene.send(&alice, "m.room.message", text("root")).await;
        let one = scene.send(&bob, "m.room.message", related("m.thread", &root, text("one"))).await;
        let two = scene.send(&bob, "m.room.message", related("m.thread", &root, text("two"))).await;
        let edited = scene.send(&bob, "m.room.message", edit(&two, "three")).await;
        for (who, takes_part) in [(&alice, true), (&bob, true), (&carol, false)] {
            let thread = &told(&scene, who, &root).await["m.thread"];
            assert_eq!((&thread["count"], &thread["current_user_participated"]), (&json!(2), &json!(takes_part)));
            let latest = &thread["latest_event"];
            assert_eq!((&latest["event_id"], &latest["content"]["body"]), (&json!(two), &json!("two")));
            assert_eq!(latest["unsigned"]["m.relations"]["m.replace"]["event_id"], json!(edited));
        }
        scene.redact(&bob, &two).await;
        let thread = &told(&scene, &carol, &root).await["m.thread"];
        assert_eq!((&thread["count"], &thread["latest_event"]["event_id"]), (&json!(1), &json!(one)));
    }

    async fn threads_are_listed_by_their_newest_event(server: Server) {
        let (alice, bob, scene) = alice_and_bob(&server).await;
        let mut roots = Vec::new();
        for n in 0..5 {
            roots.push(scene.send(&alice, "m.room.message", text(&n.to_string())).await);
        }
        let mut replies = Vec::new();
        for n in [3, 0, 2, 1, 0] {
            let who = if n == 2 { &bob } else { &alice };
            replies.push(scene.send(who, "m.room.message", related("m.thread", &roots[n], text("x"))).await);
        }
        let list = async |who: &User, rest: &str| {
            let (mut all, mut from) = (Vec::new(), String::new());
            loop {
                let page = scene.get_v1(who, &format!("/threads?limit=1{from}{rest}")).await.ok();
                all.extend(page["chunk"].as_array().expect("a chunk").iter().cloned());
                match page["next_batch"].as_str() {
                    Some(next) => from = format!("&from={next}"),
                    None => return all,
                }
            }
        };
        let all = list(&bob, "").await;
        assert_eq!(ids(&all), [&*roots[0], &*roots[1], &*roots[2], &*roots[3]]);
        assert_eq!(all[0]["unsigned"]["m.relations"]["m.thread"]["count"], 2);
        let bobs = list(&bob, "&include=participated").await;
        assert_eq!(ids(&bobs), [&*roots[2]]);
        let alices = list(&alice, "&include=participated").await;
        assert_eq!(alices.len(), 4);
        // Without its newest event a thread falls back; without any it is none.
        scene.redact(&alice, &replies[4]).await;
        assert_eq!(ids(&list(&bob, "").await), [&*roots[1], &*roots[2], &*roots[0], &*roots[3]]);
        scene.redact(&alice, &replies[3]).await;
        assert_eq!(ids(&list(&bob, "").await), [&*roots[2], &*roots[0], &*roots[3]]);
    }

    async fn the_same_annotation_is_not_sent_twice(server: Server) {
        let (alice, bob, scene) = alice_and_bob(&server).await;
        let said = scene.send(&alice, "m.room.message", text("hello")).await;
        let path = |txn: &str| format!("/v3/rooms/{}/send/m.reaction/{txn}", encode(&scene.room_id));
        let first = bob.put(&path("1"), reaction(&said, "+1")).await.ok();
        assert_eq!(bob.put(&path("1"), reaction(&said, "+1")).await.ok(), first);
        bob.put(&path("2"), reaction(&said, "+1")).await.refused(400, "M_DUPLICATE_ANNOTATION");
        bob.put(&path("3"), reaction(&said, "+2")).await.ok();
        alice.put(&path("4"), reaction(&said, "+1")).await.ok();
        scene.redact(&bob, first["event_id"].as_str().expect("an event id")).await;
        bob.put(&path("5"), reaction(&said, "+1")).await.ok();
    }

    async fn a_thread_does_not_begin_within_another(server: Server) {
        let (alice, _, scene) = alice_and_bob(&server).await;
        let root = scene.send(&alice, "m.room.message", text("root")).await;
        let path = |txn: &str| format!("/v3/rooms/{}/send/m.room.message/{txn}", encode(&scene.room_id));
        let reply = alice.put(&path("1"), related("m.thread", &root, text("reply"))).await.ok();
        let reply = reply["event_id"].as_str().expect("an event id");
        alice.put(&path("2"), related("m.thread", reply, text("deeper"))).await.refused(400, "M_UNKNOWN");
    }

    async fn malformed_relations_do_no_harm(server: Server) {
        let (alice, bob, scene) = alice_and_bob(&server).await;
        let root = scene.send(&alice, "m.room.message", text("root")).await;
        let path = |txn: usize| format!("/v3/rooms/{}/send/m.room.message/{txn}", encode(&scene.room_id));
        for (n, relation) in [
            json!(1),
            json!([]),
            json!({ "rel_type": 1, "event_id": root }),
            json!({ "rel_type": "m.thread", "event_id": "x" }),
            json!({ "rel_type": "m.thread" }),
            json!({ "rel_type": "m.annotation", "event_id": root }),
            json!({ "rel_type": "m.annotation", "event_id": root, "key": 7 }),
            json!({ "rel_type": "m.replace", "event_id": root, "key": {} }),
        ].into_iter().enumerate() {
            alice.put(&path(n), json!({ "m.relates_to": relation, "m.new_content": null })).await.ok();
        }
        let own = scene.send(&alice, "m.room.message", text("self")).await;
        scene.send(&alice, "m.room.message", edit(&own, "\u{2028}")).await;
        scene.walk(&bob, 'b', 50, "").await;
        scene.event(&bob, &root).await.ok();
        relations(&scene, &bob, &encode(&root), 'b').await;
        scene.get_v1(&bob, "/threads").await.ok();
    }
}
