//! Canonical JSON: reading it from strangers, writing it for hashes and signatures.
//!
//! Spec: appendices, «Canonical JSON». Two parsers must never understand the same bytes differently, so
//! duplicate keys, fractions, exponents, `-0` and integers outside ±(2^53 - 1) are refused, not repaired.

use std::fmt;

use ruma::{CanonicalJsonObject, CanonicalJsonValue, Int};
use serde::{
    Serialize,
    de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor},
};
use serde_json::error::Category;

use crate::Refused;

/// How deep objects and arrays may be nested, the outermost included.
pub const DEPTH_MAX: usize = 100;

/// Reads one JSON object that may become the content of an event of ours.
///
/// A number with an exponent or a fraction that is an integer after all (`1e10`, `-0`, `2.0`) becomes that
/// integer, as the examples of the specification have it: what is signed is the canonical form.
///
/// # Errors
/// [`Refused::NotJson`] if the bytes are not one JSON document; [`Refused::BadJson`] if it is not an object,
/// is nested deeper than [`DEPTH_MAX`], repeats a key or has a number that is not an integer in ±(2^53 - 1).
pub fn canonical_object(bytes: &[u8]) -> Result<CanonicalJsonObject, Refused> {
    object(read(bytes, Numbers::Integral)?)
}

/// Reads a JSON object that was signed as canonical JSON: any number in another form is refused.
///
/// # Errors
/// As [`canonical_object`].
pub fn pdu_object(bytes: &[u8]) -> Result<CanonicalJsonObject, Refused> {
    object(read(bytes, Numbers::Integers)?)
}

/// Reads any JSON value under the rules of [`canonical_object`].
///
/// # Errors
/// As [`canonical_object`], except that every kind of value is fine.
pub fn canonical_value(bytes: &[u8]) -> Result<CanonicalJsonValue, Refused> {
    read(bytes, Numbers::Integral)
}

fn object(value: CanonicalJsonValue) -> Result<CanonicalJsonObject, Refused> {
    match value {
        CanonicalJsonValue::Object(object) => Ok(object),
        _ => Err(Refused::BadJson("not a JSON object".to_owned())),
    }
}

fn read(bytes: &[u8], numbers: Numbers) -> Result<CanonicalJsonValue, Refused> {
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    Level { left: DEPTH_MAX, numbers }
        .deserialize(&mut reader)
        .and_then(|value| reader.end().map(|()| value))
        .map_err(|error| match error.classify() {
            Category::Data => Refused::BadJson(error.to_string()),
            Category::Io | Category::Syntax | Category::Eof => Refused::NotJson(error.to_string()),
        })
}

/// The content of an event made from one of our own types.
///
/// # Errors
/// [`Refused::BadJson`] if it does not serialise to a canonical object (a float, a repeated key, …).
pub fn object_of(content: &impl Serialize) -> Result<CanonicalJsonObject, Refused> {
    match ruma::canonical_json::to_canonical_value(content) {
        Ok(CanonicalJsonValue::Object(object)) => Ok(object),
        Ok(_) => Err(Refused::BadJson("not a JSON object".to_owned())),
        Err(error) => Err(Refused::BadJson(error.to_string())),
    }
}

/// Appends `value` as canonical JSON: sorted keys, shortest form, UTF-8.
pub fn write(out: &mut Vec<u8>, value: &impl Serialize) {
    // Writing canonical values and strings into memory has no way to fail.
    let written = serde_json::to_writer(out, value);
    debug_assert!(written.is_ok(), "{written:?}");
}

/// Which numbers are fine.
#[derive(Clone, Copy)]
enum Numbers {
    /// Integers, written as such.
    Integers,
    /// Also other ways to write an integer.
    Integral,
}

/// A value that may be nested so many levels deep.
struct Level {
    left: usize,
    numbers: Numbers,
}

impl<'de> DeserializeSeed<'de> for Level {
    type Value = CanonicalJsonValue;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl Level {
    fn deeper<E: serde::de::Error>(&self) -> Result<impl Fn() -> Level + use<E>, E> {
        let numbers = self.numbers;
        match self.left.checked_sub(1) {
            Some(left) => Ok(move || Level { left, numbers }),
            None => Err(E::custom(format_args!("nested deeper than {DEPTH_MAX} levels"))),
        }
    }
}

impl<'de> Visitor<'de> for Level {
    type Value = CanonicalJsonValue;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a canonical JSON value")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(CanonicalJsonValue::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Self::Value, E> {
        Ok(CanonicalJsonValue::Bool(value))
    }

    fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<Self::Value, E> {
        Int::try_from(value)
            .map(CanonicalJsonValue::Integer)
            .map_err(|_| E::custom(format_args!("integer {value} is outside ±(2^53 - 1)")))
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<Self::Value, E> {
        Int::try_from(value)
            .map(CanonicalJsonValue::Integer)
            .map_err(|_| E::custom(format_args!("integer {value} is outside ±(2^53 - 1)")))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Self::Value, E> {
        let integral = matches!(self.numbers, Numbers::Integral) && value.fract() == 0.0;
        // Within ±2^53 the conversion is exact; beyond it saturates, and the range check refuses.
        match Int::try_from(value as i64) {
            Ok(integer) if integral => Ok(CanonicalJsonValue::Integer(integer)),
            _ => Err(E::custom(format_args!("number {value} is not an integer in ±(2^53 - 1)"))),
        }
    }

    fn visit_str<E>(self, value: &str) -> Result<Self::Value, E> {
        Ok(CanonicalJsonValue::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Self::Value, E> {
        Ok(CanonicalJsonValue::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        let below = self.deeper()?;
        let mut array = Vec::new();
        while let Some(item) = items.next_element_seed(below())? {
            array.push(item);
        }
        Ok(CanonicalJsonValue::Array(array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
        let below = self.deeper()?;
        let mut object = CanonicalJsonObject::new();
        while let Some(key) = entries.next_key::<String>()? {
            let value = entries.next_value_seed(below())?;
            if object.insert(key, value).is_some() {
                return Err(A::Error::custom("an object has the same key twice"));
            }
        }
        Ok(CanonicalJsonValue::Object(object))
    }
}
