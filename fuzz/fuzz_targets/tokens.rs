//! A token of `/sync` or `/messages` from anywhere is refused, or is a place in the stream.
#![no_main]

use homeserver::Token;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let Ok(token) = text.parse::<Token>() else { return };
    assert!(token.pos >= 0, "nothing lies before the beginning");
    // What we write ourselves leads to the same place.
    assert_eq!(token.to_string().parse::<Token>().ok(), Some(token));
    let (before, after) = (Token::before(token.pos), Token::after(token.pos));
    assert!(before.pos <= after.pos);
});
