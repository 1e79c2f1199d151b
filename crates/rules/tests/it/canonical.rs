//! Canonical JSON and signatures: the examples of the specification's appendices, and what strangers send.

use proptest::prelude::*;
use rules::{Refused, canonical, event::Event, signing_key::SigningKey, versions};
use ruma::{
    CanonicalJsonObject, RoomVersionId,
    serde::{Base64, base64::Standard},
    signatures::{Ed25519KeyPair, PublicKeyMap, PublicKeySet},
};

fn canonical(text: &str) -> Result<String, Refused> {
    let object = canonical::canonical_object(text.as_bytes())?;
    let mut bytes = Vec::new();
    canonical::write(&mut bytes, &object);
    Ok(String::from_utf8(bytes).expect("JSON is UTF-8"))
}

#[test]
fn the_examples_of_the_specification() {
    let profile = r#"{"auth": {"success": true, "mxid": "@john.doe:example.com", "profile": {
        "display_name": "John Doe", "three_pids": [
            {"medium": "email", "address": "john.doe@example.org"},
            {"medium": "msisdn", "address": "123456789"}]}}}"#;
    let written = r#"{"auth":{"mxid":"@john.doe:example.com","profile":{"display_name":"John Doe","three_pids":[{"address":"john.doe@example.org","medium":"email"},{"address":"123456789","medium":"msisdn"}]},"success":true}}"#;
    for (given, expected) in [
        ("{}", "{}"),
        (r#"{ "one": 1, "two": "Two" }"#, r#"{"one":1,"two":"Two"}"#),
        (r#"{ "b": "2", "a": "1" }"#, r#"{"a":"1","b":"2"}"#),
        (r#"{"b":"2","a":"1"}"#, r#"{"a":"1","b":"2"}"#),
        (profile, written),
        (r#"{ "a": "日本語" }"#, r#"{"a":"日本語"}"#),
        (r#"{ "本": 2, "日": 1 }"#, r#"{"日":1,"本":2}"#),
        (r#"{ "a": "\u65E5" }"#, r#"{"a":"日"}"#),
        (r#"{ "a": null }"#, r#"{"a":null}"#),
        (r#"{ "a": -0, "b": 1e10 }"#, r#"{"a":0,"b":10000000000}"#),
    ] {
        assert_eq!(canonical(given).as_deref(), Ok(expected));
    }
    // The grammar: the short escapes, small hexadecimals, everything else as it is.
    assert_eq!(
        canonical(
            r#"{"a":"\u0008\u0009\u000a\u000c\u000d\u0022\u005c\u002f\u0000\u001F\u007f😀\ud83d\ude00"}"#
        ),
        Ok("{\"a\":\"\\b\\t\\n\\f\\r\\\"\\\\/\\u0000\\u001f\u{7f}😀😀\"}".to_owned())
    );
    // Sorted by code point, not by UTF-16 unit: U+FF21 is before U+1F600.
    assert_eq!(canonical(r#"{"😀":1,"Ａ":2}"#), Ok(r#"{"Ａ":2,"😀":1}"#.to_owned()));
}

#[test]
fn unpadded_base64() {
    for (bytes, text) in [
        ("", ""),
        ("f", "Zg"),
        ("fo", "Zm8"),
        ("foo", "Zm9v"),
        ("foob", "Zm9vYg"),
        ("fooba", "Zm9vYmE"),
        ("foobar", "Zm9vYmFy"),
    ] {
        assert_eq!(Base64::<Standard, _>::new(bytes.as_bytes()).encode(), text);
        assert_eq!(Base64::<Standard>::parse(text).expect("base64").as_bytes(), bytes.as_bytes());
    }
    assert_eq!(Base64::<Standard>::parse("Zg==").expect("padding is fine").as_bytes(), b"f");
}

#[test]
fn numbers_that_are_no_integers_are_refused() {
    for good in ["0", "-1", "9007199254740991", "-9007199254740991", "2.0", "1E2"] {
        canonical(&format!(r#"{{"a":[{good}]}}"#)).expect(good);
    }
    for bad in
        ["1.5", "9007199254740992", "-9007199254740992", "1e20", "18446744073709551616", "1e400", "1e-1"]
    {
        let refused = canonical(&format!(r#"{{"a":[{bad}]}}"#)).expect_err(bad);
        assert!(matches!(refused, Refused::BadJson(_) | Refused::NotJson(_)), "{bad}: {refused}");
    }
    for signed in ["2.0", "-0", "1e2"] {
        canonical::pdu_object(format!(r#"{{"a":{signed}}}"#).as_bytes()).expect_err(signed);
    }
}

#[test]
fn what_is_not_an_object_is_refused() {
    for bad in [r#"{"a":1,"a":1}"#, r#"{"x":{"a":1,"b":2,"\u0061":3}}"#, "[]", "1", "null", r#""x""#] {
        assert!(matches!(canonical(bad), Err(Refused::BadJson(_))), "{bad}");
    }
    for bad in [
        "",
        " ",
        "{",
        "{}}",
        "{} x",
        "{'a':1}",
        r#"{"a":01}"#,
        r#"{"a":NaN}"#,
        r#"{"a":"\ud800"}"#,
        "\u{feff}{}",
    ] {
        assert!(matches!(canonical(bad), Err(Refused::NotJson(_))), "{bad}");
    }
    canonical::canonical_object(b"{\"a\":\"\xff\"}").expect_err("not UTF-8");
}

#[test]
fn depth_is_limited() {
    let nested = |depth: usize| format!("{}{}", r#"{"a":"#.repeat(depth - 1) + "{}", "}".repeat(depth - 1));
    canonical(&nested(canonical::DEPTH_MAX)).expect("just deep enough");
    assert!(matches!(canonical(&nested(canonical::DEPTH_MAX + 1)), Err(Refused::BadJson(_))));
    let lists = format!("{{\"a\":{}{}}}", "[".repeat(200_000), "]".repeat(200_000));
    canonical(&lists).expect_err("too deep by far");
}

/// The seed and the names of «Cryptographic test vectors».
fn key() -> SigningKey {
    SigningKey::from_file("ed25519 1 YJDBA9Xnr2sVqXD9Vj7XVUnmFZcZrlw8Md7kMW+3XA1\n").expect("a key file")
}

#[test]
fn json_signing_vectors() {
    let domain = "domain".try_into().expect("a server name");
    for (given, signature) in [
        ("{}", "K8280/U9SSy9IVtjBuVeLr+HpOB4BQFWbg+UZaADMtTdGYI7Geitb76LTrr5QV/7Xg4ahLwYGYZzuHGZKM5ZAQ"),
        (
            r#"{"one": 1, "two": "Two"}"#,
            "KqmLSbO39/Bzb0QIYE82zqLwsA+PDzYIpIRA2sRQ4sL53+sN6/fpNSoqE7BP7vBZhG6kYdD13EIMJpvhJI+6Bw",
        ),
    ] {
        let mut object = canonical::canonical_object(given.as_bytes()).expect("canonical");
        key().sign_json(domain, &mut object).expect("signed");
        let expected = format!(r#"{{"domain":{{"ed25519:1":"{signature}"}}}}"#);
        assert_eq!(serde_json::to_string(&object["signatures"]).expect("JSON"), expected);
        assert_eq!(key().sign(given.replace(": ", ":").replace(", ", ",").as_bytes()), signature);
    }
}

/// Ruma, which our own events are held equal to, signs as the specification does.
#[test]
fn event_signing_vectors() {
    let minimal = (
        r#"{"room_id": "!x:domain", "sender": "@a:domain", "origin": "domain", "origin_server_ts": 1000000,
            "signatures": {}, "hashes": {}, "type": "X", "content": {}, "prev_events": [], "auth_events": [],
            "depth": 3, "unsigned": {"age_ts": 1000000}}"#,
        "5jM4wQpv6lnBo7CLIghJuHdW+s2CMBJPUOGOC89ncos",
        "KxwGjPSDEtvnFgU00fwFz+l6d2pJM6XBIaMEn81SXPTRl16AqLAYqfIReFGZlHi5KLjAWbOoMszkwsQma+lYAg",
    );
    let message = (
        r#"{"content": {"body": "Here is the message content"}, "event_id": "$0:domain", "origin": "domain",
            "origin_server_ts": 1000000, "type": "m.room.message", "room_id": "!r:domain",
            "sender": "@u:domain", "signatures": {}, "unsigned": {"age_ts": 1000000}}"#,
        "onLKD1bGljeBWQhWZ1kaP9SorVmRQNdN5aM2JYU2n/g",
        "Wm+VzmOUOz08Ds+0NTWb1d4CZrVsJSikkeRxh6aCcUwu6pNC78FunoD7KNWzqFn241eYHYMGCA5McEiVPdhzBA",
    );
    let seed = Base64::<Standard>::parse("YJDBA9Xnr2sVqXD9Vj7XVUnmFZcZrlw8Md7kMW+3XA1").expect("base64");
    let mut document = vec![0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];
    document.extend(seed.as_bytes());
    let pair = Ed25519KeyPair::from_der(&document, "1".to_owned()).expect("a key");
    let rules = versions::rules(&RoomVersionId::V6).expect("supported");
    let mut signed = Vec::new();
    for (given, hash, signature) in [minimal, message] {
        let mut object = canonical::pdu_object(given.as_bytes()).expect("canonical");
        ruma::signatures::hash_and_sign_event("domain", &pair, &mut object, &rules.redaction)
            .expect("signed");
        let text = serde_json::to_string(&object).expect("JSON");
        assert!(text.contains(hash) && text.contains(signature), "{text}");
        signed.push(text);
    }
    // The first is a PDU that we accept, without what nobody signed.
    let public = Base64::parse(key().public_key()).expect("base64");
    let keys =
        PublicKeyMap::from([("domain".to_owned(), PublicKeySet::from([("ed25519:1".to_owned(), public)]))]);
    let event = Event::verify(signed[0].as_bytes(), &keys, rules).expect("it is signed");
    assert_eq!(event.sender(), "@a:domain");
    assert!(!event.json_str().contains("unsigned"));
}

#[test]
fn a_key_goes_to_its_file_and_back() {
    let key = key();
    // The specification's seed ends in bits that mean nothing; we write none.
    let file = "ed25519 1 YJDBA9Xnr2sVqXD9Vj7XVUnmFZcZrlw8Md7kMW+3XA0\n";
    assert_eq!(key.to_file(), file);
    assert_eq!(SigningKey::from_file(file).expect("a key file").public_key(), key.public_key());
    assert_eq!(key.public_key(), "XGX0JRS2Af3be3knz2fBiRbApjm2Dh61gXDJA8kcJNI");
    assert_eq!((key.key_id().as_str(), key.version()), ("ed25519:1", "1"));
    assert_eq!(format!("{key:?}"), "SigningKey(ed25519:1)");
    for bad in [
        "",
        "ed25519 1",
        "ed25519 1 x y",
        "rsa 1 AAAA",
        "ed25519 1 AAAA",
        "ed25519 a:b YJDBA9Xnr2sVqXD9Vj7XVUnmFZcZrlw8Md7kMW+3XA1",
    ] {
        SigningKey::from_file(bad).expect_err(bad);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_that_strangers_send_panics(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = canonical::canonical_object(&bytes);
    }

    #[test]
    fn what_is_read_is_written_and_read_again(text in r#"\{("[a-zé😀 ]{0,4}":("[ -~]{0,5}"|-?[0-9]{1,17}|\[\]|null|true),?){0,4}\}"#) {
        if let Ok(object) = canonical::canonical_object(text.as_bytes()) {
            let mut bytes = Vec::new();
            canonical::write(&mut bytes, &object);
            let again: CanonicalJsonObject = canonical::pdu_object(&bytes).expect("it is canonical now");
            prop_assert_eq!(again, object);
        }
    }
}
