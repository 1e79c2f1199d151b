//! The token of `/sync`, `/messages` and whatever else pages through the stream.
//!
//! One number orders everything, so one kind of token serves everywhere: it stands between two
//! positions. Forwards from it lies what came after `pos`, backwards what came at or before it.

use std::{fmt, str::FromStr};

use crate::{
    Home,
    refusal::{Answer, Refusal},
};

/// Bytes of a token that somebody sends.
const TOKEN_BYTES_MAX: usize = 128;

/// A place in the stream. Written as `s<pos>`, `s<pos>_<ephemeral>` or `s<pos>_<ephemeral>_<link>`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Token {
    /// Everything up to this position lies before the token.
    pub pos: i64,
    /// How far whoever holds it has seen what is never stored (typing, presence); only `/sync` looks
    /// at it. It counts anew when the server starts.
    pub ephemeral: u64,
    /// Which answer of `/sync` it stood in, if that matters to the next one; else 0.
    pub link: u64,
}

impl Token {
    /// The token right after the position `pos`.
    pub fn after(pos: i64) -> Self {
        Token { pos: pos.max(0), ephemeral: 0, link: 0 }
    }

    /// The token after everything that there is now.
    pub fn newest(home: &Home) -> Self {
        Token { ephemeral: home.ephemera.serial(), ..Token::after(home.db.upto()) }
    }

    /// The token right before the position `pos`.
    pub fn before(pos: i64) -> Self {
        Token::after(pos.saturating_sub(1))
    }
}

impl fmt::Display for Token {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.ephemeral, self.link) {
            (0, 0) => write!(out, "s{}", self.pos),
            (ephemeral, 0) => write!(out, "s{}_{ephemeral}", self.pos),
            (ephemeral, link) => write!(out, "s{}_{ephemeral}_{link}", self.pos),
        }
    }
}

impl FromStr for Token {
    type Err = Refusal;

    /// Reads a token. Takes more than is written today, so that a token outlives a new version of the
    /// server: further numbers are passed over.
    ///
    /// # Errors
    /// `M_INVALID_PARAM`
    fn from_str(text: &str) -> Answer<Self> {
        let wrong = || Refusal::invalid_param("The token is not one that this server gave out");
        let numbers = text.strip_prefix(['s', 't']).filter(|_| text.len() <= TOKEN_BYTES_MAX);
        let mut numbers = numbers.ok_or_else(wrong)?.split('_').map(|number| {
            let digits = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
            digits.then_some(number).ok_or_else(wrong)
        });
        let pos = numbers.next().ok_or_else(wrong)??.parse().map_err(|_| wrong())?;
        let ephemeral = numbers.next().transpose()?.map_or(Ok(0), str::parse).map_err(|_| wrong())?;
        // A number of another version that is no link leads nowhere, and so does the link 0.
        let link = numbers.next().transpose()?.and_then(|link| link.parse().ok()).unwrap_or(0);
        numbers.try_for_each(|number| number.map(drop))?;
        Ok(Token { pos, ephemeral, link })
    }
}

#[cfg(test)]
mod tests {
    use super::Token;

    #[test]
    fn a_token_is_read_as_it_was_written() {
        let largest = Token { pos: i64::MAX, ephemeral: u64::MAX, link: u64::MAX };
        for token in [Token::after(0), Token::after(7), largest, Token { link: 5, ..Token::after(7) }] {
            assert_eq!(token.to_string().parse::<Token>().ok(), Some(token));
        }
        assert_eq!(Token::before(0), Token::after(0));
    }

    #[test]
    fn tokens_of_other_versions_are_read_too() {
        for (text, token) in [
            ("t12", Token::after(12)),
            ("s12_3_99_4", Token { pos: 12, ephemeral: 3, link: 99 }),
            ("s12_3_99999999999999999999", Token { pos: 12, ephemeral: 3, link: 0 }),
            ("s5_0", Token::after(5)),
        ] {
            assert_eq!(text.parse::<Token>().ok(), Some(token), "{text}");
        }
    }

    #[test]
    fn what_is_no_token_is_refused() {
        let long = format!("s1{}", "_1".repeat(100));
        let texts =
            ["", "s", "t", "s-1", "s+1", "1", "s1_", "s_1", "s1_x", "s9223372036854775808", "s1 ", &long];
        for text in texts {
            assert!(text.parse::<Token>().is_err(), "{text:?}");
        }
    }
}
