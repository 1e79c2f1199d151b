//! A PDU from anywhere: no form of it brings anything down that reads events.
#![no_main]

use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use rules::{
    authorization,
    event::{Event, required_signers},
    format, push, redaction, versions,
};
use ruma::{EventId, signatures::PublicKeyMap};

fuzz_target!(|bytes: &[u8]| {
    for version in versions::SUPPORTED {
        let rules = versions::rules(&version).expect("it is supported");
        let _ = required_signers(bytes, rules);
        let _ = Event::verify(bytes, &PublicKeyMap::new(), rules);
        let event_id = EventId::parse("$0000000000000000000000000000000000000000000").expect("an id");
        let Ok(event) = Event::parse(event_id, bytes.to_vec().into(), rules) else { continue };
        let client = format::client_event(&event, Some(r#"{"age":1}"#), true);
        let _: serde_json::Value = serde_json::from_str(client.get()).expect("it is JSON");
        let _ = (format::stripped_state(&event), format::federation_event(&event, Some("{}")));
        let _ = (redaction::redacted(bytes, rules), event.levels(rules), push::EventForPush::new(&event));
        let event = Arc::new(event);
        let _ = authorization::check_auth_events(&event, rules, |_| Some(event.clone()));
        let _ = authorization::authorize(&event, rules, |_, _| Some(event.clone()));
    }
});
