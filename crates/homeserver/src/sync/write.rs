//! JSON, piece by piece, into a document that is being written.

use serde::Serialize;

/// Appends `,` unless an object or a list has just begun.
pub(super) fn comma(out: &mut String) {
    if !out.ends_with(['{', '[']) && !out.is_empty() {
        out.push(',');
    }
}

/// Appends `text` as a JSON string.
pub(super) fn text(out: &mut String, text: &str) {
    if text.bytes().all(|byte| byte >= b' ' && byte != b'"' && byte != b'\\') {
        out.push('"');
        out.push_str(text);
        out.push('"');
    } else {
        value(out, &text);
    }
}

/// Appends `"name":`.
pub(super) fn key(out: &mut String, name: &str) {
    text(out, name);
    out.push(':');
}

/// Appends any value as JSON.
pub(super) fn value(out: &mut String, value: &impl Serialize) {
    // Writing our own values into memory has no way to fail.
    out.push_str(&serde_json::to_string(value).unwrap_or_default());
}

/// Appends a whole number.
pub(super) fn number(out: &mut String, number: impl Into<i64>) {
    let number: i64 = number.into();
    out.push_str(&number.to_string());
}

/// Appends `{"events":[…]}`, each event written by `write`.
pub(super) fn events<T>(
    out: &mut String,
    events: impl IntoIterator<Item = T>,
    mut write: impl FnMut(&mut String, T),
) {
    out.push_str(r#"{"events":["#);
    let mut first = true;
    for event in events {
        if !std::mem::take(&mut first) {
            out.push(',');
        }
        write(out, event);
    }
    out.push_str("]}");
}
