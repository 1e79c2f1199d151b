//! Push rules from one stranger, an event from another.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rules::{
    event::Event,
    power_levels::PowerLevels,
    push::{EventForPush, RoomForPush, evaluate},
    versions,
};
use ruma::{EventId, push::Ruleset, user_id};

fuzz_target!(|input: (&str, &str)| {
    let (ruleset, content) = input;
    let Ok(ruleset) = serde_json::from_str::<Ruleset>(ruleset) else { return };
    let rules = versions::rules(&versions::DEFAULT).expect("it is supported");
    let pdu = format!(
        r#"{{"auth_events":[],"content":{content},"depth":1,"origin_server_ts":1,"prev_events":[],
            "room_id":"!a:b","sender":"@a:b","type":"m.room.message"}}"#
    );
    let event_id = EventId::parse("$x").expect("an id");
    let Ok(event) = Event::parse(event_id, pdu.into(), rules) else { return };
    let power_levels = PowerLevels::default();
    let room = RoomForPush { power_levels: &power_levels, member_count: 2, display_name: Some("B") };
    let _ = evaluate(&ruleset, user_id!("@b:b"), &EventForPush::new(&event), &room);
});
