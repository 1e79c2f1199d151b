//! `/_matrix/client/v3/pushrules/…`

use serde_json::{Value, json};

use crate::harness::{Reply, User, encode, on_both_databases};

fn path(kind: &str, rule_id: &str, rest: &str) -> String {
    format!("/v3/pushrules/global/{kind}/{}{rest}", encode(rule_id))
}

impl User {
    async fn sets_rule(&self, kind: &str, rule_id: &str, rule: Value) -> Reply {
        self.put(&path(kind, rule_id, ""), rule).await
    }

    /// The ids of the rules of a kind that the user added, the most important first.
    async fn own_rules(&self, kind: &str) -> Vec<String> {
        let all = self.get("/v3/pushrules/").await.ok();
        let rules = all["global"][kind].as_array().expect("a list of rules").clone();
        let own = rules.iter().filter(|rule| rule["default"] == false);
        own.map(|rule| rule["rule_id"].as_str().expect("an id").to_owned()).collect()
    }
}

async fn sync(user: &User, since: Option<&str>) -> Value {
    let since = since.map(|since| format!("?since={since}")).unwrap_or_default();
    user.get(&format!("/v3/sync{since}")).await.ok()
}

/// The push rules in the account data of a sync.
fn told(sync: &Value) -> Option<&Value> {
    let events = sync["account_data"]["events"].as_array()?;
    Some(&events.iter().find(|event| event["type"] == "m.push_rules")?["content"])
}

const MASTER: &str = ".m.rule.master";

on_both_databases! {
    async fn a_rule_is_added_changed_and_removed(server: Server) {
        let alice = server.user("alice").await;
        let cake = json!({ "pattern": "cake*lie", "actions": ["notify"] });
        alice.sets_rule("content", "nocake", cake).await.ok();
        let rule = alice.get(&path("content", "nocake", "")).await.ok();
        assert_eq!(
            rule,
            json!({
                "actions": ["notify"], "pattern": "cake*lie", "rule_id": "nocake",
                "enabled": true, "default": false,
            })
        );
        alice.put(&path("content", "nocake", "/enabled"), json!({ "enabled": false })).await.ok();
        let actions = json!({ "actions": ["notify", { "set_tweak": "sound", "value": "bing" }] });
        alice.put(&path("content", "nocake", "/actions"), actions.clone()).await.ok();
        assert_eq!(alice.get(&path("content", "nocake", "/actions")).await.ok(), actions);
        let pie = json!({ "pattern": "pie", "actions": [] });
        alice.sets_rule("content", "nocake", pie).await.ok();
        let rule = alice.get(&path("content", "nocake", "")).await.ok();
        assert_eq!((&rule["pattern"], &rule["enabled"]), (&json!("pie"), &json!(false)));
        let enabled = alice.get(&path("content", "nocake", "/enabled")).await.ok();
        assert_eq!(enabled, json!({ "enabled": false }));
        alice.delete(&path("content", "nocake", "")).await.ok();
        alice.get(&path("content", "nocake", "")).await.refused(404, "M_NOT_FOUND");
        alice.delete(&path("content", "nocake", "")).await.refused(404, "M_NOT_FOUND");
    }

    async fn rules_stand_where_they_are_put(server: Server) {
        let alice = server.user("alice").await;
        for kind in ["override", "underride", "room", "sender", "content"] {
            let id = |name: &str| match kind {
                "room" => format!("!{name}:hearth.test"),
                "sender" => format!("@{name}:hearth.test"),
                _ => name.to_owned(),
            };
            let rule = json!({ "actions": ["notify"], "pattern": "x" });
            let put = async |name: &str, query: &str| {
                alice.put(&format!("{}{query}", path(kind, &id(name), "")), rule.clone()).await
            };
            for name in ["a", "b", "c"] {
                put(name, "").await.ok();
            }
            let names = ["c", "b", "a"].map(id);
            assert_eq!(alice.own_rules(kind).await, names, "{kind}: the newest is the most important");
            put("d", &format!("?after={}", encode(&id("c")))).await.ok();
            put("e", &format!("?before={}", encode(&id("a")))).await.ok();
            assert_eq!(alice.own_rules(kind).await, ["c", "d", "b", "e", "a"].map(id));
            put("c", &format!("?after={}", encode(&id("a")))).await.ok();
            put("a", &format!("?before={}", encode(&id("d")))).await.ok();
            assert_eq!(alice.own_rules(kind).await, ["a", "d", "b", "e", "c"].map(id));
            // What is only changed stays where it is.
            put("b", "").await.ok();
            assert_eq!(alice.own_rules(kind).await, ["a", "d", "b", "e", "c"].map(id));
            for query in ["?after=nobody", "?before=nobody", "?before=.m.rule.master"] {
                put("b", query).await.refused(400, "M_UNKNOWN");
            }
            for side in ["before", "after"] {
                put("b", &format!("?{side}={}", encode(&id("b")))).await.refused(400, "M_UNKNOWN");
                put("new", &format!("?{side}={}", encode(&id("new")))).await.refused(400, "M_UNKNOWN");
            }
        }
        // Nothing comes before the rule that turns all of them off.
        let all = alice.get("/v3/pushrules/global/").await.ok();
        assert_eq!(all["override"][0]["rule_id"], MASTER);
    }

    async fn the_servers_own_rules_can_be_turned_off_but_not_removed(server: Server) {
        let alice = server.user("alice").await;
        let before = alice.get("/v3/pushrules/").await.ok();
        alice.delete(&path("override", MASTER, "")).await.refused(400, "M_INVALID_PARAM");
        for (kind, rule_id) in [("override", MASTER), ("override", ".mine"), ("room", ".x"), ("sender", ".x")] {
            let refused = alice.sets_rule(kind, rule_id, json!({ "actions": [] })).await;
            refused.refused(400, "M_INVALID_PARAM");
        }
        assert_eq!(alice.get("/v3/pushrules/").await.ok(), before);
        alice.put(&path("override", MASTER, "/enabled"), json!({ "enabled": true })).await.ok();
        let message = path("underride", ".m.rule.message", "/actions");
        alice.put(&message, json!({ "actions": [] })).await.ok();
        assert_eq!(alice.get(&message).await.ok(), json!({ "actions": [] }));
        let master = alice.get(&path("override", MASTER, "")).await.ok();
        assert_eq!((&master["enabled"], &master["default"]), (&json!(true), &json!(true)));
    }

    async fn every_device_learns_of_the_rules(server: Server) {
        let (alice, bob) = (server.user("alice").await, server.user("bob").await);
        let first = sync(&alice, None).await;
        let defaults = told(&first).expect("the rules that every account begins with");
        assert_eq!(defaults["global"]["override"][0]["rule_id"], MASTER);
        let since = first["next_batch"].as_str().expect("a token");
        alice.sets_rule("content", "x", json!({ "pattern": "x", "actions": [] })).await.ok();
        let second = sync(&alice, Some(since)).await;
        let content = &told(&second).expect("the new rules")["global"]["content"];
        assert_eq!(content[0]["rule_id"], "x");
        assert_eq!(bob.own_rules("content").await, [""; 0]);
        let data = format!("/v3/user/{}/account_data/m.push_rules", encode(alice.user_id.as_str()));
        assert_eq!(alice.get(&data).await.ok()["global"]["content"][0]["rule_id"], "x");
        let since = second["next_batch"].as_str().expect("a token");
        // The same again is no news.
        alice.sets_rule("content", "x", json!({ "pattern": "x", "actions": [] })).await.ok();
        assert_eq!(told(&sync(&alice, Some(since)).await), None);
    }

    async fn the_users_own_rules_decide_what_counts(server: Server) {
        let (alice, bob) = (server.user("alice").await, server.user("bob").await);
        let room = alice.creates_room(json!({ "preset": "public_chat" })).await;
        bob.joins(&room).await;
        bob.say(&room, "cake").await;
        let count = async || {
            let unread = sync(&alice, None).await["rooms"]["join"][&room]["unread_notifications"].clone();
            (unread["notification_count"].as_i64(), unread["highlight_count"].as_i64())
        };
        assert_eq!(count().await, (Some(1), Some(0)));
        let highlight = json!({ "pattern": "cake", "actions": ["notify", { "set_tweak": "highlight" }] });
        alice.sets_rule("content", "cake", highlight).await.ok();
        assert_eq!(count().await, (Some(1), Some(1)));
        alice.sets_rule("room", &room, json!({ "actions": [] })).await.ok();
        alice.delete(&path("content", "cake", "")).await.ok();
        assert_eq!(count().await, (Some(0), Some(0)));
        alice.delete(&path("room", &room, "")).await.ok();
        assert_eq!(count().await, (Some(1), Some(0)));
    }

    async fn what_is_no_rule_is_refused(server: Server) {
        let alice = server.user("alice").await;
        for (kind, rule_id, rule, status, errcode) in [
            ("cake", "x", json!({ "actions": [] }), 400, "M_INVALID_PARAM"),
            ("content", "x", json!({ "actions": [] }), 400, "M_BAD_JSON"),
            ("content", "x", json!({ "pattern": "x" }), 400, "M_BAD_JSON"),
            ("content", "x", json!({ "pattern": 5, "actions": [] }), 400, "M_BAD_JSON"),
            ("content", "x", json!({ "pattern": "x", "actions": [5] }), 400, "M_BAD_JSON"),
            ("content", "x", json!({ "pattern": "x", "actions": "notify" }), 400, "M_BAD_JSON"),
            ("content", "x", json!({ "pattern": "x".repeat(100_000), "actions": [] }), 413, "M_TOO_LARGE"),
            ("content", "a/b", json!({ "pattern": "x", "actions": [] }), 400, "M_INVALID_PARAM"),
            ("content", "a\\b", json!({ "pattern": "x", "actions": [] }), 400, "M_INVALID_PARAM"),
            ("content", &*"x".repeat(256), json!({ "pattern": "x", "actions": [] }), 400, "M_INVALID_PARAM"),
            ("room", "x", json!({ "actions": [] }), 400, "M_INVALID_PARAM"),
            ("sender", "x", json!({ "actions": [] }), 400, "M_INVALID_PARAM"),
            ("override", "x", json!({ "actions": [], "conditions": 5 }), 400, "M_BAD_JSON"),
            ("override", "x", json!({ "actions": [], "conditions": [5] }), 400, "M_BAD_JSON"),
            (
                "override", "x",
                json!({ "actions": vec!["notify"; 1000] }),
                413, "M_TOO_LARGE",
            ),
            (
                "override", "x",
                json!({ "actions": [], "conditions": vec![json!({ "kind": "contains_display_name" }); 1000] }),
                413, "M_TOO_LARGE",
            ),
        ] {
            alice.sets_rule(kind, rule_id, rule).await.refused(status, errcode);
        }
        for rest in ["", "/enabled", "/actions"] {
            alice.get(&path("content", "nothing", rest)).await.refused(404, "M_NOT_FOUND");
            server.stranger().get(&path("content", "x", rest)).await.refused(401, "M_MISSING_TOKEN");
        }
        let enabled = path("content", "nothing", "/enabled");
        alice.put(&enabled, json!({ "enabled": true })).await.refused(404, "M_NOT_FOUND");
        alice.put(&enabled, json!({ "enabled": "yes" })).await.refused(400, "M_BAD_JSON");
        alice.put(&enabled, json!({})).await.refused(400, "M_BAD_JSON");
        // A condition of another day is kept, and never holds.
        let unheard = json!({ "actions": ["notify"], "conditions": [{ "kind": "org.example", "x": [1] }] });
        alice.sets_rule("override", "\u{0}\u{1F980} %", unheard.clone()).await.ok();
        let kept = alice.get(&path("override", "\u{0}\u{1F980} %", "")).await.ok();
        assert_eq!(kept["conditions"], unheard["conditions"]);
    }

    async fn rules_have_a_limit(server: Server) {
        let alice = server.user("alice").await;
        let large = |n: usize| {
            let condition = json!({ "kind": "event_match", "key": "content.body", "pattern": "x".repeat(4_000) });
            json!({ "actions": [], "conditions": vec![condition; 16], "n": n })
        };
        for n in 0..3 {
            alice.sets_rule("override", &n.to_string(), large(n)).await.ok();
        }
        alice.sets_rule("override", "more", large(9)).await.refused(413, "M_TOO_LARGE");
        assert_eq!(alice.own_rules("override").await, ["2", "1", "0"]);
    }
}
