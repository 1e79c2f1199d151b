//! Profiles: their fields, their limits, and how they get into rooms.

use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    harness::{Server, User, encode, on_both_databases},
    scene::state_of,
};

fn path(user: &User, field: &str) -> String {
    format!("/v3/profile/{}/{}", encode(user.user_id.as_str()), encode(field))
}

fn whole(user: &User) -> String {
    format!("/v3/profile/{}", encode(user.user_id.as_str()))
}

/// The member event's content of `of` in `room_id`.
async fn member(server: &Server, room_id: &str, of: &User) -> Value {
    state_of(server, room_id, "m.room.member", of.user_id.as_str()).await
}

on_both_databases! {
    async fn a_profile_is_what_its_user_says(server: Server) {
        let (alice, stranger) = (server.user("alice").await, server.stranger());
        stranger.get(&whole(&alice)).await.ok();
        stranger.get(&path(&alice, "displayname")).await.refused(404, "M_NOT_FOUND");
        let avatar = "mxc://hearth.test/picture";
        for (field, value) in [
            ("displayname", json!("Alice Ä")), ("avatar_url", json!(avatar)), ("m.tz", json!("Europe/London")),
            ("org.example.pronouns", json!([{ "summary": "she", "n": 1.5, "null": null }])),
        ] {
            let body = json!({ field: value });
            assert_eq!(alice.put(&path(&alice, field), body.clone()).await.ok(), json!({}));
            assert_eq!(stranger.get(&path(&alice, field)).await.ok(), body);
        }
        let profile = stranger.get(&whole(&alice)).await.ok();
        assert_eq!(profile["displayname"], "Alice Ä");
        assert_eq!(profile["avatar_url"], avatar);
        assert_eq!(profile["org.example.pronouns"][0]["n"], 1.5);
        assert_eq!(profile.as_object().map(|fields| fields.len()), Some(4));
        alice.delete(&path(&alice, "m.tz")).await.ok();
        alice.delete(&path(&alice, "m.tz")).await.ok();
        stranger.get(&path(&alice, "m.tz")).await.refused(404, "M_NOT_FOUND");
        alice.put(&path(&alice, "displayname"), json!({ "displayname": "" })).await.ok();
        stranger.get(&path(&alice, "displayname")).await.refused(404, "M_NOT_FOUND");
    }

    async fn the_paths_before_extended_profiles_lead_there_too(server: Server) {
        let alice = server.user("alice").await;
        let user = encode(alice.user_id.as_str());
        let name = json!({ "displayname": "A" });
        alice.put(&format!("/r0/profile/{user}/displayname"), name.clone()).await.ok();
        assert_eq!(alice.get(&format!("/v3/profile/{user}/displayname")).await.ok(), name);
        let custom = json!({ "com.example.x": { "y": true } });
        let unstable = format!("/unstable/uk.tcpip.msc4133/profile/{user}/com.example.x");
        alice.put(&unstable, custom.clone()).await.ok();
        assert_eq!(alice.get(&unstable).await.ok(), custom);
    }

    async fn nobody_writes_the_profile_of_another(server: Server) {
        let (alice, bob) = (server.user("alice").await, server.user("bob").await);
        let mallory = json!({ "displayname": "Mallory" });
        bob.put(&path(&alice, "displayname"), mallory.clone()).await.refused(403, "M_FORBIDDEN");
        bob.delete(&path(&alice, "displayname")).await.refused(403, "M_FORBIDDEN");
        server.stranger().put(&path(&alice, "displayname"), mallory).await.refused(401, "M_MISSING_TOKEN");
    }

    async fn nobody_has_no_profile(server: Server) {
        let alice = server.user("alice").await;
        for user in ["@nobody:hearth.test", "@alice:elsewhere.example"] {
            let path = format!("/v3/profile/{}", encode(user));
            alice.get(&path).await.refused(404, "M_NOT_FOUND");
            alice.get(&format!("{path}/displayname")).await.refused(404, "M_NOT_FOUND");
        }
        alice.get("/v3/profile/alice").await.refused(400, "M_INVALID_PARAM");
        alice.get("/v3/profile/alice/displayname").await.refused(400, "M_INVALID_PARAM");
    }

    async fn a_field_must_be_what_it_is_called(server: Server) {
        let alice = server.user("alice").await;
        let put = async |field: &str, body: Value| alice.put(&path(&alice, field), body).await;
        put("displayname", json!({})).await.refused(400, "M_MISSING_PARAM");
        put("displayname", json!({ "name": "x" })).await.refused(400, "M_MISSING_PARAM");
        put("displayname", json!({ "displayname": 1 })).await.refused(400, "M_BAD_JSON");
        put("displayname", json!({ "displayname": null })).await.refused(400, "M_BAD_JSON");
        put("displayname", json!({ "displayname": "a\u{0}b" })).await.refused(400, "M_INVALID_PARAM");
        put("com.example.x", json!({ "com.example.x": "a\u{0}b" })).await.ok();
        put("displayname", json!({ "displayname": "x".repeat(1_025) })).await.refused(400, "M_INVALID_PARAM");
        put("avatar_url", json!({ "avatar_url": "https://a.test/x" })).await.refused(400, "M_INVALID_PARAM");
        put("m.tz", json!({ "m.tz": ["x"] })).await.refused(400, "M_BAD_JSON");
        put("displayname", json!(["displayname"])).await.refused(400, "M_BAD_JSON");
        for name in ["Capital.x", "x", "a..b", ".a", "a.", "a.ü", "a b.c", "9.a"] {
            put(name, json!({ name: 1 })).await.refused(400, "M_INVALID_PARAM");
            alice.delete(&path(&alice, name)).await.refused(400, "M_INVALID_PARAM");
        }
        let long = format!("a.{}", "b".repeat(254));
        put(&long, json!({ long.as_str(): 1 })).await.refused(400, "M_KEY_TOO_LARGE");
        let url = format!("/_matrix/client{}", path(&alice, "displayname"));
        alice.ask(Method::PUT, &url, Some("{")).await.refused(400, "M_NOT_JSON");
        let deep = format!("{{\"com.example.x\": {}1{}}}", "[".repeat(100), "]".repeat(100));
        let url = format!("/_matrix/client{}", path(&alice, "com.example.x"));
        alice.ask(Method::PUT, &url, Some(&deep)).await.refused(400, "M_BAD_JSON");
    }

    async fn a_profile_stays_below_64_kib(server: Server) {
        let alice = server.user("alice").await;
        let big = "x".repeat(30_000);
        for field in ["a.one", "a.two"] {
            alice.put(&path(&alice, field), json!({ field: big })).await.ok();
        }
        alice.put(&path(&alice, "a.three"), json!({ "a.three": big })).await.refused(400, "M_PROFILE_TOO_LARGE");
        // In the place of another it has room.
        alice.put(&path(&alice, "a.two"), json!({ "a.two": "y".repeat(30_000) })).await.ok();
        alice.delete(&path(&alice, "a.one")).await.ok();
        alice.put(&path(&alice, "a.three"), json!({ "a.three": big })).await.ok();
        let profile = alice.get(&whole(&alice)).await.ok();
        assert!(profile.to_string().len() < 64 * 1024);
    }

    async fn a_new_name_shows_in_all_rooms(server: Server) {
        let (alice, bob) = (server.user("alice").await, server.user("bob").await);
        let mut rooms = Vec::new();
        for _ in 0..20 {
            rooms.push(alice.creates_room(json!({ "preset": "public_chat" })).await);
        }
        bob.joins(&rooms[0]).await;
        alice.put(&path(&alice, "displayname"), json!({ "displayname": "Alice" })).await.ok();
        alice.put(&path(&alice, "avatar_url"), json!({ "avatar_url": "mxc://a/b" })).await.ok();
        let left = alice.creates_room(json!({})).await;
        alice.leaves(&left).await;
        for room in &rooms {
            let content = json!({ "membership": "join", "displayname": "Alice", "avatar_url": "mxc://a/b" });
            assert_eq!(member(&server, room, &alice).await, content);
        }
        alice.delete(&path(&alice, "displayname")).await.ok();
        let content = json!({ "membership": "join", "avatar_url": "mxc://a/b" });
        assert_eq!(member(&server, &rooms[0], &alice).await, content);
        // Others and rooms that were left are as they were.
        assert_eq!(member(&server, &rooms[0], &bob).await, json!({ "membership": "join" }));
        assert_eq!(member(&server, &left, &alice).await["membership"], "leave");
    }

    async fn of_two_changes_at_once_one_stays_everywhere(server: Server) {
        let alice = server.user("alice").await;
        let mut rooms = Vec::new();
        for _ in 0..8 {
            rooms.push(alice.creates_room(json!({})).await);
        }
        let set = async |name: &str| alice.put(&path(&alice, "displayname"), json!({ "displayname": name })).await;
        let (first, second) = tokio::join!(set("First"), set("Second"));
        first.ok();
        second.ok();
        let name = alice.get(&whole(&alice)).await.ok()["displayname"].clone();
        for room in &rooms {
            assert_eq!(member(&server, room, &alice).await["displayname"], name);
        }
    }
}
