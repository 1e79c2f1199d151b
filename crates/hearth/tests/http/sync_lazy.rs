//! Members that are loaded lazily: told when they are needed, and not again to who remembers.

use serde_json::{Value, json};

use crate::{
    harness::{Server, User, encode, on_both_databases},
    sync::{next, sync_with},
};

const LAZY: &str = r#"{"room":{"state":{"lazy_load_members":true},"timeline":{"limit":2}}}"#;
const REDUNDANT: &str = r#"{"room":{"state":{"lazy_load_members":true,"include_redundant_members":true},"timeline":{"limit":2}}}"#;

async fn lazily(user: &User, since: &str, filter: &str) -> Value {
    sync_with(user, since, &format!("filter={}", encode(filter))).await
}

/// The localparts of those whose member events stand beside the timeline.
fn members(synced: &Value, room: &str) -> Vec<String> {
    of(&synced["rooms"]["join"][room]["state"]["events"])
}

fn of(events: &Value) -> Vec<String> {
    let events = events.as_array().map(Vec::as_slice).unwrap_or_default().iter();
    let members = events.filter(|event| event["type"] == "m.room.member");
    let mut names: Vec<String> = members
        .filter_map(|event| Some(event["state_key"].as_str()?.split([':', '@']).nth(1)?.to_owned()))
        .collect();
    names.sort_unstable();
    names
}

/// A named room with alice, bob, carol and dave in it.
async fn crowd(server: &Server) -> ([User; 4], String) {
    let users = [
        server.user("alice").await,
        server.user("bob").await,
        server.user("carol").await,
        server.user("dave").await,
    ];
    let room = users[0].creates_room(json!({ "preset": "public_chat", "name": "Hall" })).await;
    for user in &users[1..] {
        user.joins(&room).await;
    }
    (users, room)
}

on_both_databases! {
    async fn only_who_speaks_is_told_and_only_once(server: Server) {
        let ([alice, bob, carol, dave], room) = crowd(&server).await;
        bob.say(&room, "1").await;
        bob.say(&room, "2").await;
        let first = lazily(&alice, "", LAZY).await;
        assert_eq!(members(&first, &room), ["alice", "bob"], "oneself and who speaks");
        bob.say(&room, "3").await;
        let second = lazily(&alice, &next(&first), LAZY).await;
        assert_eq!(members(&second, &room), Vec::<String>::new(), "bob is known");
        carol.say(&room, "4").await;
        bob.say(&room, "5").await;
        let third = lazily(&alice, &next(&second), LAZY).await;
        assert_eq!(members(&third, &room), ["carol"]);
        // A gap changes nothing in who is known.
        for _ in 0..5 {
            dave.say(&room, "6").await;
        }
        let fourth = lazily(&alice, &next(&third), LAZY).await;
        assert_eq!(fourth["rooms"]["join"][&room]["timeline"]["limited"], true);
        assert_eq!(members(&fourth, &room), ["dave"]);
        // Who remembers nothing is told every time.
        bob.say(&room, "7").await;
        for filter in [REDUNDANT, REDUNDANT] {
            assert_eq!(members(&lazily(&alice, &next(&fourth), filter).await, &room), ["bob"]);
        }
    }

    async fn who_has_changed_is_told_again(server: Server) {
        let ([alice, bob, carol, _dave], room) = crowd(&server).await;
        bob.say(&room, "1").await;
        carol.say(&room, "2").await;
        let first = lazily(&alice, "", LAZY).await;
        assert_eq!(members(&first, &room), ["alice", "bob", "carol"]);
        let name = |user: &User| format!("/v3/profile/{}/displayname", encode(user.user_id.as_str()));
        // In the timeline, where everybody sees it.
        bob.put(&name(&bob), json!({ "displayname": "Robert" })).await.ok();
        bob.say(&room, "3").await;
        let second = lazily(&alice, &next(&first), LAZY).await;
        assert_eq!(members(&second, &room), Vec::<String>::new(), "he comes with his own event");
        bob.say(&room, "4").await;
        let third = lazily(&alice, &next(&second), LAZY).await;
        assert_eq!(members(&third, &room), Vec::<String>::new());
        // In a gap, where nobody does.
        carol.put(&name(&carol), json!({ "displayname": "Caroline" })).await.ok();
        for _ in 0..3 {
            carol.say(&room, "5").await;
        }
        let fourth = lazily(&alice, &next(&third), LAZY).await;
        let state = fourth["rooms"]["join"][&room]["state"]["events"].as_array().expect("state").clone();
        assert!(state.iter().any(|event| event["content"]["displayname"] == "Caroline"), "{fourth}");
    }

    async fn an_answer_that_was_lost_is_told_again(server: Server) {
        let ([alice, bob, carol, _dave], room) = crowd(&server).await;
        alice.say(&room, "0").await;
        alice.say(&room, "0").await;
        let first = lazily(&alice, "", LAZY).await;
        bob.say(&room, "1").await;
        for _ in 0..3 {
            assert_eq!(members(&lazily(&alice, &next(&first), LAZY).await, &room), ["bob"], "lost on the way");
        }
        let second = lazily(&alice, &next(&first), LAZY).await;
        carol.say(&room, "2").await;
        bob.say(&room, "3").await;
        assert_eq!(members(&lazily(&alice, &next(&second), LAZY).await, &room), ["carol"]);
        // Back to where nothing was told yet.
        assert_eq!(members(&lazily(&alice, &next(&first), LAZY).await, &room), ["bob", "carol"]);
    }

    async fn every_connection_remembers_for_itself(server: Server) {
        let ([alice, bob, _carol, _dave], room) = crowd(&server).await;
        let phone = server.device_of(alice.user_id.clone(), "PHONE").await;
        bob.say(&room, "1").await;
        bob.say(&room, "2").await;
        let (first, of_phone) = (lazily(&alice, "", LAZY).await, lazily(&phone, "", LAZY).await);
        assert_eq!((members(&first, &room), members(&of_phone, &room)), (members(&first, &room), members(&first, &room)));
        bob.say(&room, "3").await;
        // The token of one device proves nothing about the other.
        assert_eq!(members(&lazily(&phone, &next(&first), LAZY).await, &room), ["bob"]);
        assert_eq!(members(&lazily(&alice, &next(&first), LAZY).await, &room), Vec::<String>::new());
        // Nor that of an answer in which all members were told.
        let eager = sync_with(&phone, "", "").await;
        bob.say(&room, "4").await;
        assert_eq!(members(&lazily(&phone, &next(&eager), LAZY).await, &room), ["bob"]);
    }

    async fn a_restart_forgets_and_loses_nothing(server: Server) {
        let mut server = server;
        let ([mut alice, mut bob, _carol, _dave], room) = crowd(&server).await;
        bob.say(&room, "1").await;
        let first = lazily(&alice, "", LAZY).await;
        server.restart().await;
        alice.moves_to(&server);
        bob.moves_to(&server);
        bob.say(&room, "2").await;
        let second = lazily(&alice, &next(&first), LAZY).await;
        assert_eq!(members(&second, &room), ["bob"]);
        bob.say(&room, "3").await;
        assert_eq!(members(&lazily(&alice, &next(&second), LAZY).await, &room), Vec::<String>::new());
    }

    async fn who_comes_back_is_told_everything_anew(server: Server) {
        let ([alice, bob, carol, _dave], room) = crowd(&server).await;
        bob.say(&room, "1").await;
        carol.say(&room, "2").await;
        let first = lazily(&alice, "", LAZY).await;
        assert_eq!(members(&first, &room), ["alice", "bob", "carol"]);
        alice.leaves(&room).await;
        let second = lazily(&alice, &next(&first), LAZY).await;
        assert!(second["rooms"]["leave"][&room].is_object());
        alice.joins(&room).await;
        let third = lazily(&alice, &next(&second), LAZY).await;
        carol.say(&room, "3").await;
        bob.say(&room, "4").await;
        let fourth = lazily(&alice, &next(&third), LAZY).await;
        let told: Vec<String> = [members(&third, &room), members(&fourth, &room)].concat();
        assert!(told.contains(&"bob".to_owned()) && told.contains(&"carol".to_owned()), "{told:?}");
    }

    async fn the_whole_state_is_told_to_who_asks_for_it(server: Server) {
        let ([alice, bob, _carol, _dave], room) = crowd(&server).await;
        bob.say(&room, "1").await;
        bob.say(&room, "2").await;
        let first = lazily(&alice, "", LAZY).await;
        let query = format!("full_state=true&filter={}", encode(LAZY));
        let whole = sync_with(&alice, &next(&first), &query).await;
        assert_eq!(members(&whole, &room), ["alice"], "nobody spoke since");
        let after = format!("use_state_after=true&filter={}", encode(LAZY));
        bob.say(&room, "3").await;
        let synced = sync_with(&alice, &next(&first), &after).await;
        assert_eq!(of(&synced["rooms"]["join"][&room]["state_after"]["events"]), ["bob"]);
    }

    async fn heroes_of_a_room_without_a_name_are_told(server: Server) {
        let (alice, bob) = (server.user("alice").await, server.user("bob").await);
        let room = alice.creates_room(json!({ "invite": [bob.user_id] })).await;
        for _ in 0..3 {
            alice.say(&room, "hello").await;
        }
        let synced = lazily(&alice, "", LAZY).await;
        assert_eq!(synced["rooms"]["join"][&room]["summary"]["m.heroes"], json!([bob.user_id]));
        assert_eq!(members(&synced, &room), ["alice", "bob"]);
    }

    async fn history_comes_with_those_who_wrote_it(server: Server) {
        let ([alice, bob, carol, _dave], room) = crowd(&server).await;
        for user in [&alice, &bob, &carol, &bob] {
            user.say(&room, "hello").await;
        }
        let page = async |limit: usize, from: &str, filter: &str| {
            let from = if from.is_empty() { String::new() } else { format!("&from={from}") };
            let query = format!("dir=b&limit={limit}{from}&filter={}", encode(filter));
            alice.get(&format!("/v3/rooms/{}/messages?{query}", encode(&room))).await.ok()
        };
        let lazy = r#"{"lazy_load_members":true}"#;
        let first = page(2, "", lazy).await;
        assert_eq!(of(&first["state"]), ["bob", "carol"]);
        let second = page(2, first["end"].as_str().expect("a token"), lazy).await;
        assert_eq!(of(&second["state"]), ["alice", "bob"], "each page can be understood by itself");
        assert_eq!(page(2, "", "{}").await.get("state"), None);
        let event = first["chunk"][1]["event_id"].as_str().expect("an event id");
        let path = format!("/v3/rooms/{}/context/{}", encode(&room), encode(event));
        let context = alice.get(&format!("{path}?limit=2&filter={}", encode(lazy))).await.ok();
        assert_eq!(of(&context["state"]), ["bob", "carol"]);
    }
}
