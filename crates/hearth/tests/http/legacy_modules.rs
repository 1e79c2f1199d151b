//! Profiles, presence and its lists, push rules, and what there is not, through v1 of 2015.

use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    harness::{User, encode, on_both_databases},
    legacy_events::v1,
};

fn of(user: &User) -> String {
    encode(user.user_id.as_str())
}

on_both_databases! {
    async fn profiles_are_set_and_read(server: Server) {
        let (alice, bob) = (server.user("alice").await, server.user("bob").await);
        let profile = format!("/api/v1/profile/{}", of(&alice));
        alice.get(&format!("{profile}/displayname")).await.refused(404, "M_NOT_FOUND");
        alice.put(&format!("{profile}/displayname"), json!({ "displayname": "Alice" })).await.ok();
        alice.put(&format!("{profile}/avatar_url"), json!({ "avatar_url": "mxc://hearth.test/a" })).await.ok();
        assert_eq!(bob.get(&format!("{profile}/displayname")).await.ok(), json!({ "displayname": "Alice" }));
        assert_eq!(bob.get(&profile).await.ok(), json!({ "displayname": "Alice", "avatar_url": "mxc://hearth.test/a" }));
        bob.put(&format!("{profile}/displayname"), json!({ "displayname": "Eve" })).await.refused(403, "M_FORBIDDEN");
    }

    async fn presence_is_told_to_who_shares_a_room(server: Server) {
        let (alice, bob, carol) = (server.user("alice").await, server.user("bob").await, server.user("carol").await);
        let room = alice.creates_room(json!({ "preset": "public_chat" })).await;
        bob.joins(&room).await;
        let status = format!("/api/v1/presence/{}/status", of(&alice));
        alice.put(&status, json!({ "presence": "free_for_chat", "status_msg": "I am here." })).await.ok();
        let told = bob.get(&status).await.ok();
        assert_eq!((&told["presence"], &told["status_msg"]), (&json!("free_for_chat"), &json!("I am here.")));
        assert!(told["last_active_ago"].is_i64(), "{told}");
        let today = bob.get(&status.replace("/api/v1/", "/v3/")).await.ok();
        assert_eq!(today["presence"], "online");
        carol.get(&status).await.refused(404, "M_NOT_FOUND");
        bob.put(&status, json!({ "presence": "offline" })).await.refused(403, "M_FORBIDDEN");
        alice.put(&status, json!({ "presence": "asleep" })).await.refused(400, "M_BAD_JSON");
        // What she does, she does in the same mood.
        alice.say(&room, "hello").await;
        assert_eq!(bob.get(&status).await.ok()["presence"], "free_for_chat");
        let never = bob.get(&format!("/api/v1/presence/{}/status", of(&bob))).await.ok();
        assert_eq!(never["presence"], "offline");
    }

    async fn a_presence_list_follows_people(server: Server) {
        let (alice, bob, carol) = (server.user("alice").await, server.user("bob").await, server.user("carol").await);
        let room = alice.creates_room(json!({ "preset": "public_chat" })).await;
        bob.joins(&room).await;
        for who in [&bob, &carol] {
            who.put(&format!("/api/v1/presence/{}/status", of(who)), json!({ "presence": "online" })).await.ok();
        }
        let list = format!("/api/v1/presence/list/{}", of(&alice));
        assert_eq!(alice.get(&list).await.ok(), json!([]));
        alice.post(&list, json!({ "invite": [bob.user_id, carol.user_id, "@nobody:elsewhere.test"] })).await.ok();
        let told = alice.get(&list).await.ok();
        let of_each = |name: &str| told.as_array().expect("a list").iter().find(|event| event["content"]["user_id"] == name).cloned().expect("on the list");
        assert_eq!(of_each(bob.user_id.as_str())["content"]["presence"], "online");
        // She shares no room with these: they did not agree.
        for other in [carol.user_id.as_str(), "@nobody:elsewhere.test"] {
            assert_eq!(of_each(other)["content"], json!({ "presence": "offline", "user_id": other }));
        }
        alice.post(&list, json!({ "drop": [carol.user_id], "invite": [bob.user_id] })).await.ok();
        assert_eq!(alice.get(&list).await.ok().as_array().map(Vec::len), Some(2));
        bob.get(&list).await.refused(403, "M_FORBIDDEN");
        bob.post(&list, json!({ "invite": [] })).await.refused(403, "M_FORBIDDEN");
        let many: Vec<String> = (0..501).map(|n| format!("@u{n}:hearth.test")).collect();
        alice.post(&list, json!({ "invite": many })).await.refused(413, "M_TOO_LARGE");
        alice.post(&list, json!({ "invite": ["bob"] })).await.refused(400, "M_BAD_JSON");
    }

    async fn push_rules_are_for_all_clients_or_for_some(server: Server) {
        let alice = server.user("alice").await;
        let all = v1(&alice, "/pushrules/").await;
        assert_eq!(all["device"], json!({}));
        assert_eq!(v1(&alice, "/pushrules/global/").await, all["global"]);
        assert!(all["global"]["override"].as_array().is_some_and(|rules| !rules.is_empty()));
        let rule = json!({ "pattern": "cake*lie", "actions": ["dont_notify"] });
        for (scope, name) in [("global", "one"), ("device/phone", "two")] {
            let path = format!("/api/v1/pushrules/{scope}/content/{name}");
            alice.put(&path, rule.clone()).await.ok();
            let kept = alice.get(&path).await.ok();
            assert_eq!((&kept["pattern"], &kept["actions"], &kept["enabled"]), (&json!("cake*lie"), &json!(["dont_notify"]), &json!(true)));
            // The body is a boolean in the document, and was an object in practice.
            for (body, enabled) in [(json!(false), false), (json!({ "enabled": true }), true), (json!(false), false)] {
                alice.put(&format!("{path}/enabled"), body).await.ok();
                assert_eq!(alice.get(&path).await.ok()["enabled"], enabled);
            }
        }
        let all = v1(&alice, "/pushrules/").await;
        assert_eq!(all["device"]["phone"]["content"].as_array().map(Vec::len), Some(1));
        assert_eq!(v1(&alice, "/pushrules/device/").await, all["device"]);
        assert_eq!(v1(&alice, "/pushrules/device/phone/").await, all["device"]["phone"]);
        // Today's clients see the one for all, and changing it leaves the others alone.
        let today = alice.get("/v3/pushrules/global/content/one").await.ok();
        assert_eq!(today["enabled"], false);
        alice.put("/v3/pushrules/global/content/one/enabled", json!({ "enabled": true })).await.ok();
        alice.get("/api/v1/pushrules/device/phone/content/two").await.ok();
        alice.put("/api/v1/pushrules/global/content/three?before=gone", rule.clone()).await.refused(400, "M_UNKNOWN");
        for scope in ["global", "device/phone"] {
            let name = if scope == "global" { "one" } else { "two" };
            let path = format!("/api/v1/pushrules/{scope}/content/{name}");
            alice.delete(&path).await.ok();
            alice.get(&path).await.refused(404, "M_NOT_FOUND");
        }
        assert_eq!(v1(&alice, "/pushrules/").await["device"], json!({}));
        alice.get("/api/v1/pushrules/device/phone/").await.refused(404, "M_NOT_FOUND");
        let long = "x".repeat(33);
        alice.put(&format!("/api/v1/pushrules/device/{long}/content/a"), rule.clone()).await.refused(400, "M_INVALID_PARAM");
        alice.put("/api/v1/pushrules/device/phone/sometimes/a", rule).await.refused(400, "M_INVALID_PARAM");
    }

    async fn push_rules_are_written_as_in_the_documents_examples(server: Server) {
        let alice = server.user("alice").await;
        for scope in ["global", "device/phone"] {
            let at = |rest: &str| format!("/api/v1/pushrules/{scope}/{rest}");
            alice.put(&at("room/%21dj234r78wl45Gh4D%3Amatrix.org"), json!({ "actions": ["dont_notify"] })).await.ok();
            alice.put(&at("sender/%40spambot%3Amatrix.org"), json!({ "actions": ["dont_notify"] })).await.ok();
            let cake = json!({ "pattern": "cake", "actions": ["notify", { "set_sound": "cakealarm.wav" }] });
            alice.put(&at("content/cake"), cake.clone()).await.ok();
            assert_eq!(alice.get(&at("content/cake")).await.ok()["actions"], cake["actions"]);
            let lie = json!({ "pattern": "cake*lie", "actions": ["notify"] });
            alice.put(&at("content/lie?before=cake"), lie).await.ok();
            let beer = json!({ "conditions": [
                { "kind": "event_match", "key": "content.body", "pattern": "beer" },
                { "kind": "room_member_count", "is": "<=10" },
            ], "actions": ["notify", { "set_sound": "beeroclock.wav" }] });
            // The newest is the most important one, also where no rule of the server comes first.
            for name in ["beer", "more", "most"] {
                alice.put(&at(&format!("override/{name}")), beer.clone()).await.ok();
            }
            alice.put(&at("override/between?after=most"), beer.clone()).await.ok();
            let tag = json!({ "conditions": [{ "kind": "profile_tag", "profile_tag": "phone" }], "actions": ["coalesce"] });
            alice.put(&at("underride/tag"), tag).await.ok();
            let all = alice.get(&at("")).await.ok();
            let names = |kind: &str| -> Vec<String> {
                let rules = all[kind].as_array().expect("rules").iter().filter(|rule| rule["default"] == false);
                rules.map(|rule| rule["rule_id"].as_str().expect("an id").to_owned()).collect()
            };
            assert_eq!(names("override"), ["most", "between", "more", "beer"]);
            assert_eq!(names("content"), ["lie", "cake"]);
            assert_eq!(alice.get(&at("override/beer/enabled")).await.ok(), json!({ "enabled": true }));
            alice.put(&at("override/beer/actions"), json!({ "actions": ["notify"] })).await.ok();
            assert_eq!(alice.get(&at("override/beer/actions")).await.ok(), json!({ "actions": ["notify"] }));
        }
    }

    async fn words_are_found_in_what_one_may_read(server: Server) {
        let (alice, bob) = (server.user("alice").await, server.user("bob").await);
        let kitchen = alice.creates_room(json!({ "name": "Martian kitchen", "topic": "Men and food" })).await;
        let cellar = bob.creates_room(json!({})).await;
        let exact = alice.say(&kitchen, "Martians and men!").await;
        alice.say(&kitchen, "only men").await;
        alice.say(&kitchen, "of all the martians that I saw the fewest liked the men who came with us").await;
        bob.say(&cellar, "martians and men").await;
        let search = |user: &User, wanted: Value| {
            let user = user.clone();
            async move { user.post("/api/v1/search", json!({ "search_categories": { "room_events": wanted } })).await }
        };
        let told = search(&alice, json!({ "keys": ["content.body"], "search_term": "martians and men" })).await.ok();
        let found = &told["search_categories"]["room_events"];
        assert_eq!((&found["count"], found["results"].as_object().map(serde_json::Map::len)), (&json!(1), Some(1)));
        assert_eq!((&found["results"][&exact]["rank"], &found["results"][&exact]["result"]["user_id"]), (&json!(1.0), &json!(alice.user_id)));
        let all = search(&alice, json!({ "search_term": "MARTIAN" })).await.ok();
        assert_eq!(all["search_categories"]["room_events"]["count"], 3, "{all}");
        let filtered = search(&alice, json!({ "search_term": "men", "filter": { "types": ["m.room.topic"] } })).await.ok();
        assert_eq!(filtered["search_categories"]["room_events"]["count"], 1);
        let nothing = alice.post("/api/v1/search", json!({ "search_categories": {} })).await.ok();
        assert_eq!(nothing["search_categories"], json!({}));
        search(&alice, json!({ "search_term": " ?! " })).await.refused(400, "M_INVALID_PARAM");
        search(&alice, json!({ "keys": ["sender"], "search_term": "x" })).await.refused(400, "M_BAD_JSON");
        search(&server.stranger(), json!({ "search_term": "x" })).await.refused(401, "M_MISSING_TOKEN");

        // In a room that one has left, up to then; in one that is forgotten nothing.
        let count = async |user: &User, term: &str| {
            let found = search(user, json!({ "search_term": term })).await.ok();
            found["search_categories"]["room_events"]["count"].clone()
        };
        alice.post(&format!("/v3/rooms/{kitchen}/invite"), json!({ "user_id": bob.user_id })).await.ok();
        assert_eq!(count(&bob, "fewest").await, 0);
        bob.joins(&kitchen).await;
        bob.post(&format!("/v3/rooms/{kitchen}/leave"), json!({})).await.ok();
        let open = json!({ "history_visibility": "world_readable" });
        alice.put(&format!("/v3/rooms/{kitchen}/state/m.room.history_visibility"), open).await.ok();
        alice.say(&kitchen, "the fewest are left").await;
        assert_eq!(count(&alice, "fewest").await, 2);
        assert_eq!(count(&bob, "fewest").await, 1);
        bob.post(&format!("/v3/rooms/{kitchen}/forget"), json!({})).await.ok();
        assert_eq!(count(&bob, "fewest").await, 0);
    }

    async fn what_there_is_not_says_so(server: Server) {
        let alice = server.user("alice").await;
        for path in ["/turnServer", "/voip/turnServer"] {
            assert_eq!(v1(&alice, path).await, json!({}));
        }
        for (method, path) in [
            (Method::POST, "/_matrix/media/v1/upload"),
            (Method::GET, "/_matrix/media/v1/download/hearth.test/abc"),
            (Method::GET, "/_matrix/media/v1/thumbnail/hearth.test/abc?width=64&height=64&method=scale"),
        ] {
            let body = (method == Method::POST).then_some("{}");
            let refused: Value = alice.ask(method, path, body).await.refused(404, "M_UNRECOGNIZED");
            assert!(refused["error"].is_string());
        }
        for path in ["/voip/turnServer", "/pushrules/", "/presence/list/@a:b", "/presence/@a:b/status"] {
            server.stranger().get(&format!("/api/v1{path}")).await.refused(401, "M_MISSING_TOKEN");
        }
    }
}
