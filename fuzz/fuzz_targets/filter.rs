//! A filter from anywhere is refused or answers quickly.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rules::{
    event::Event,
    filter::{EventFilter, Names, Subject},
    versions,
};
use ruma::{EventId, api::client::filter::FilterDefinition};

const PDU: &str = r#"{"auth_events":[],"content":{"url":"mxc://a/b"},"depth":1,"hashes":{},"origin_server_ts":1,
    "prev_events":[],"room_id":"!a:b","sender":"@a:b","signatures":{},"state_key":"","type":"m.room.message"}"#;

fuzz_target!(|bytes: &[u8]| {
    let Ok(filter) = serde_json::from_slice::<FilterDefinition>(bytes) else { return };
    let rules = versions::rules(&versions::DEFAULT).expect("it is supported");
    let event_id = EventId::parse("$x").expect("an id");
    let event = Event::parse(event_id, PDU.into(), rules).expect("a PDU");
    for filter in [&filter.room.timeline, &filter.room.state, &filter.room.ephemeral] {
        let Ok(compiled) = EventFilter::of_room_events(filter) else { continue };
        assert!(!(compiled.admits_nothing() && compiled.admits(&event)));
        let subject =
            Subject { event_type: "m.typing", sender: None, room_id: Some(event.room_id()), has_url: false };
        let _ = compiled.admits_subject(&subject);
    }
    let _ = EventFilter::of_events(&filter.presence);
    let _ = Names::new(filter.room.rooms.as_deref(), &filter.room.not_rooms);
});
