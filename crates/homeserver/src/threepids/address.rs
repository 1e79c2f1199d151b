//! Addresses in canonical form, so that every spelling of an address is the same address.
//! <https://spec.matrix.org/v1.19/appendices/#3pid-types>
//!
//! Messages go to the canonical form only. Whoever asks with another spelling, however alike it looks,
//! learns nothing that the owner of the canonical address did not learn.

use std::net::IpAddr;

use super::countries;
use crate::refusal::{Answer, Refusal};

/// Bytes of an e-mail address (RFC 5321), in canonical form.
const EMAIL_BYTES_MAX: usize = 254;

/// Bytes before the @ (RFC 5321).
const LOCAL_BYTES_MAX: usize = 64;

/// Bytes of a phone number as people write it.
const PHONE_BYTES_MAX: usize = 64;

/// Digits of a phone number with the code of its country (E.164).
const PHONE_DIGITS_MAX: usize = 15;
const PHONE_DIGITS_MIN: usize = 7;

/// The canonical form of an e-mail address.
///
/// # Errors
/// `M_INVALID_PARAM`
pub fn email(written: &str) -> Answer<String> {
    let wrong = || Refusal::invalid_param("That is no e-mail address: write somebody@example.org");
    if written.len() > EMAIL_BYTES_MAX {
        return Err(wrong());
    }
    let address = fold(written);
    let (local, domain) = address.rsplit_once('@').ok_or_else(wrong)?;
    let odd = |character: char| {
        character.is_control() || character.is_whitespace() || "<>()[],;:\\\"@".contains(character)
    };
    if address.len() > EMAIL_BYTES_MAX || local.len() > LOCAL_BYTES_MAX || local.chars().any(odd) {
        return Err(wrong());
    }
    if domain.chars().any(odd) || domain.parse::<IpAddr>().is_ok() {
        return Err(wrong());
    }
    lettre::Address::new(local, domain).map_err(|_| wrong())?;
    Ok(address)
}

/// Full case folding, by way of the capitals: ß and SS both become ss. (Of all of Unicode only Cherokee
/// differs: here its letters become small ones as well.)
fn fold(text: &str) -> String {
    let through_capitals = |character: char| -> Vec<char> {
        match character {
            // The one letter whose capital is another letter's: it stays what it is.
            'ı' => vec![character],
            _ => character.to_uppercase().flat_map(char::to_lowercase).collect(),
        }
    };
    text.chars().flat_map(char::to_lowercase).flat_map(through_capitals).collect()
}

/// The canonical form (MSISDN) of a phone number that is dialled in `country` (ISO 3166-1 alpha-2), or
/// begins with + and the code of its country.
///
/// # Errors
/// `M_INVALID_PARAM`
pub fn phone(country: &str, written: &str) -> Answer<String> {
    let wrong = |why: &'static str| Refusal::invalid_param(why);
    let odd = |character: char| !(character.is_ascii_digit() || " +-./()\u{a0}".contains(character));
    if written.len() > PHONE_BYTES_MAX || written.contains(odd) {
        return Err(wrong("That is no phone number: write digits"));
    }
    let digits = |text: &str| text.chars().filter(char::is_ascii_digit).collect::<String>();
    let country = countries::named(country).ok_or_else(|| {
        wrong("country is none that can be called: write its two letters (ISO 3166-1), \"GB\"")
    })?;
    let number = match written.trim().strip_prefix('+') {
        // In +44 (0)20 … the zero is not dialled from abroad.
        Some(international) => digits(&international.replace("(0)", "")),
        None => country.international(&digits(written)),
    };
    if !(PHONE_DIGITS_MIN..=PHONE_DIGITS_MAX).contains(&number.len()) || number.starts_with('0') {
        return Err(wrong("That phone number is too short or too long"));
    }
    Ok(number)
}

/// The canonical form of a phone number that should have it already, as in `m.id.thirdparty`; none if it
/// is no number.
pub fn msisdn(written: &str) -> Option<String> {
    let number = written.strip_prefix('+').unwrap_or(written);
    let length = (PHONE_DIGITS_MIN..=PHONE_DIGITS_MAX).contains(&number.len());
    (length && number.bytes().all(|byte| byte.is_ascii_digit())).then(|| number.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_an_email_address_become_one() {
        for (written, canonical) in [
            ("alice@example.org", "alice@example.org"),
            ("Alice@EXAMPLE.org", "alice@example.org"),
            ("Strauß@Example.com", "strauss@example.com"),
            ("STRAUẞ@Example.com", "strauss@example.com"),
            ("ΣΊΣΥΦΟΣ@example.gr", "σίσυφοσ@example.gr"),
            ("σίσυφος@example.gr", "σίσυφοσ@example.gr"),
            ("a+b.c_d-e@sub.example.org", "a+b.c_d-e@sub.example.org"),
            // A kelvin sign is a k, a dotless ı is no i.
            ("\u{212a}ate@example.org", "kate@example.org"),
            ("m\u{131}ke@example.org", "m\u{131}ke@example.org"),
        ] {
            assert_eq!(email(written).ok().as_deref(), Some(canonical), "{written}");
        }
    }

    #[test]
    fn what_is_canonical_stays_as_it_is() {
        for character in (0..=u32::from(char::MAX)).filter_map(char::from_u32) {
            let folded = fold(&character.to_string());
            assert_eq!(fold(&folded), folded, "{character:?}");
        }
    }

    #[test]
    fn what_is_no_email_address_is_refused() {
        let long = format!("{}@example.org", "a".repeat(65));
        let longer = format!("a@{}.org", "a.".repeat(130));
        for wrong in [
            "",
            "alice",
            "@",
            "alice@",
            "@example.org",
            "a b@example.org",
            "alice@example.org\r\nBcc: bob@example.org",
            "alice@example.org\n",
            "alice\0@example.org",
            "alice@example.org,bob@example.org",
            "Alice <alice@example.org>",
            "mailto:alice@example.org",
            "\"alice\"@example.org",
            "alice@bob@example.org",
            "alice@[127.0.0.1]",
            "alice@127.0.0.1",
            "alice@exa mple.org",
            "alice@-.org",
            "alice@.",
            &long,
            &longer,
        ] {
            let refusal = email(wrong).expect_err(wrong);
            assert_eq!(refusal.errcode, "M_INVALID_PARAM", "{wrong:?}");
        }
    }

    #[test]
    fn a_phone_number_is_what_would_be_dialled_from_abroad() {
        for (country, written, canonical) in [
            ("GB", "07700900001", "447700900001"),
            ("GB", "7700900001", "447700900001"),
            ("gb", "07700 900 001", "447700900001"),
            ("GB", "+44 7700 900001", "447700900001"),
            ("GB", "+44 (0)7700 900001", "447700900001"),
            ("DE", "00447700900001", "447700900001"),
            ("US", "011447700900001", "447700900001"),
            ("US", "(555) 010-1234", "15550101234"),
            ("US", "1 555 010 1234", "15550101234"),
            ("IT", "06 69812345", "390669812345"),
            ("RU", "8 912 345-67-89", "79123456789"),
            ("HU", "06 30 123 4567", "36301234567"),
            ("ES", "612 34 56 78", "34612345678"),
            ("FR", "+49 151 23456789", "4915123456789"),
        ] {
            assert_eq!(phone(country, written).ok().as_deref(), Some(canonical), "{country} {written}");
        }
        for (country, wrong) in [
            ("GB", ""),
            ("GB", "12"),
            ("GB", "07700900001 or so"),
            ("GB", "+0000000000"),
            ("GB", "07700\r\n900001"),
            ("GB", "1234567890123456"),
            ("ZZ", "07700900001"),
            ("", "07700900001"),
            ("GBR", "07700900001"),
        ] {
            let refusal = phone(country, wrong).expect_err(wrong);
            assert_eq!(refusal.errcode, "M_INVALID_PARAM", "{country} {wrong:?}");
        }
    }
}
