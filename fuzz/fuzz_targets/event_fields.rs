//! Fields from one stranger, an event from another: what is left is a part of what was there.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rules::event_fields::EventFields;
use serde_json::Value;

fn is_part(part: &Value, whole: &Value) -> bool {
    match (part, whole) {
        (Value::Object(part), Value::Object(whole)) => {
            part.iter().all(|(key, value)| whole.get(key).is_some_and(|whole| is_part(value, whole)))
        }
        (part, whole) => part == whole,
    }
}

fuzz_target!(|input: (Vec<&str>, &str)| {
    let (paths, event) = input;
    let Ok(fields) = EventFields::new(&paths) else { return };
    let pruned = fields.of(event);
    let (Ok(pruned), Ok(mut event)) = (serde_json::from_str::<Value>(&pruned), serde_json::from_str::<Value>(event))
    else {
        return;
    };
    if let Value::Object(event) = &mut event {
        event.entry("content").or_insert_with(|| Value::Object(Default::default()));
    }
    assert!(is_part(&pruned, &event));
});
