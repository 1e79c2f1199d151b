//! What is read as canonical JSON is written and read again as the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rules::canonical;

fuzz_target!(|bytes: &[u8]| {
    let Ok(object) = canonical::canonical_object(bytes) else {
        assert!(canonical::pdu_object(bytes).is_err(), "the strict reader takes no more than the lenient");
        return;
    };
    let mut written = Vec::new();
    canonical::write(&mut written, &object);
    let again = canonical::pdu_object(&written).expect("what we write is canonical");
    assert_eq!(again, object);
    let mut twice = Vec::new();
    canonical::write(&mut twice, &again);
    assert_eq!(twice, written);
    // An independent reader understands it alike.
    let theirs: serde_json::Value = serde_json::from_slice(&written).expect("it is JSON");
    let ours: serde_json::Value = ruma::CanonicalJsonValue::Object(object).into();
    assert_eq!(theirs, ours);
});
