//! `POST /user_directory/search`

use serde_json::{Value, json};

use crate::harness::{Server, User, encode, on_both_databases};

async fn named(server: &Server, localpart: &str, name: &str) -> User {
    let user = server.user(localpart).await;
    let path = format!("/v3/profile/{}/displayname", encode(user.user_id.as_str()));
    user.put(&path, json!({ "displayname": name })).await.ok();
    user
}

async fn found(who: &User, term: &str) -> Vec<String> {
    let reply = who.post("/v3/user_directory/search", json!({ "search_term": term })).await.ok();
    assert_eq!(reply["limited"], false);
    let people = reply["results"].as_array().expect("results");
    people.iter().map(|person| person["user_id"].as_str().expect("a user id").to_owned()).collect()
}

const BOB: [&str; 1] = ["@bob:hearth.test"];

on_both_databases! {
    async fn people_are_found_by_their_id_and_the_words_of_their_name(server: Server) {
        let alice = server.user("alice").await;
        let bob = named(&server, "bob", "Robert Ägidius O'Neil").await;
        let room = alice.creates_room(json!({ "preset": "public_chat" })).await;
        bob.joins(&room).await;
        for term in ["bob", "BOB", "@bob", "@bob:hearth.test", "bo", "rob", "robert", "ÄGI", "neil", "rob äg", "neil bob"] {
            assert_eq!(found(&alice, term).await, BOB, "{term}");
        }
        for term in ["", " ", "%", "_ob", "obert", "robx", "rob x", "nobody", "alice", "'"] {
            assert_eq!(found(&alice, term).await, Vec::<String>::new(), "{term}");
        }
        let path = "/v3/user_directory/search";
        let reply = alice.post(path, json!({ "search_term": "bob" })).await.ok();
        let person = json!({ "user_id": BOB[0], "display_name": "Robert Ägidius O'Neil" });
        assert_eq!(reply, json!({ "results": [person], "limited": false }));
        // A new name takes the place of the old one.
        let name = format!("/v3/profile/{}/displayname", encode(bob.user_id.as_str()));
        bob.put(&name, json!({ "displayname": "Bobby" })).await.ok();
        assert_eq!(found(&alice, "robert").await, Vec::<String>::new());
        assert_eq!(found(&alice, "bobby").await, BOB);
        bob.delete(&name).await.ok();
        assert_eq!(found(&alice, "bobby").await, Vec::<String>::new());
        alice.post(path, json!({})).await.refused(400, "M_BAD_JSON");
        alice.post(path, json!({ "search_term": "a\u{0}" })).await.refused(400, "M_BAD_JSON");
        server.stranger().post(path, json!({ "search_term": "bob" })).await.refused(401, "M_MISSING_TOKEN");
    }

    async fn nobody_is_found_who_could_not_be_seen_anyhow(server: Server) {
        let (alice, bob) = (server.user("alice").await, server.user("bob").await);
        assert_eq!(found(&alice, "bob").await, Vec::<String>::new());
        let private = bob.creates_room(json!({ "preset": "private_chat" })).await;
        assert_eq!(found(&alice, "bob").await, Vec::<String>::new());
        bob.invites(&private, &alice).await;
        assert_eq!(found(&alice, "bob").await, Vec::<String>::new());
        alice.joins(&private).await;
        assert_eq!(found(&alice, "bob").await, BOB);
        alice.leaves(&private).await;
        assert_eq!(found(&alice, "bob").await, Vec::<String>::new());
        bob.creates_room(json!({ "preset": "public_chat" })).await;
        assert_eq!(found(&alice, "bob").await, BOB);
    }

    async fn the_answer_has_a_limit_and_says_so(server: Server) {
        let alice = server.user("alice").await;
        let room = alice.creates_room(json!({ "preset": "public_chat" })).await;
        for n in 0..12 {
            server.user(&format!("person{n}")).await.joins(&room).await;
        }
        let ask = async |limit: Value| {
            alice.post("/v3/user_directory/search", json!({ "search_term": "person", "limit": limit })).await.ok()
        };
        for (limit, people, limited) in [(json!(null), 10, true), (json!(3), 3, true), (json!(12), 12, false)] {
            let reply = ask(limit).await;
            assert_eq!(reply["results"].as_array().map(Vec::len), Some(people));
            assert_eq!(reply["limited"], limited);
        }
    }
}
