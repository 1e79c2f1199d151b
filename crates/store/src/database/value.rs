//! Values on their way into a statement.

use super::batch::{PosRef, Positions};
use super::{Error, Result};
use bytes::Bytes;
use std::borrow::Cow;

/// One parameter of a statement. `$1` is the first.
///
/// | here | SQL type |
/// |---|---|
/// | `Int`, `Pos` | BIGINT |
/// | `Bool` | BOOLEAN |
/// | `Text` | TEXT, without U+0000 |
/// | `Bytes`, `Shared` | BYTEA |
/// | `Ints`, `Texts` | what `= ANY($1)` and `<> ALL($1)` compare with |
#[derive(Debug, Clone, PartialEq)]
pub enum Value<'a> {
    /// SQL's NULL, of any type.
    Null,
    /// A whole number.
    Int(i64),
    /// True or false.
    Bool(bool),
    /// Text.
    Text(Cow<'a, str>),
    /// Bytes.
    Bytes(Cow<'a, [u8]>),
    /// Bytes that somebody else holds too.
    Shared(Bytes),
    /// A list of whole numbers.
    Ints(Cow<'a, [i64]>),
    /// A list of texts.
    Texts(Cow<'a, [String]>),
    /// A stream position that the writer gives when it commits. Only in a [`Batch`](super::Batch).
    Pos(PosRef),
}

impl Value<'_> {
    /// The same value, borrowing nothing.
    pub fn into_owned(self) -> Value<'static> {
        match self {
            Value::Null => Value::Null,
            Value::Int(value) => Value::Int(value),
            Value::Bool(value) => Value::Bool(value),
            Value::Text(value) => Value::Text(Cow::Owned(value.into_owned())),
            Value::Bytes(value) => Value::Bytes(Cow::Owned(value.into_owned())),
            Value::Shared(value) => Value::Shared(value),
            Value::Ints(value) => Value::Ints(Cow::Owned(value.into_owned())),
            Value::Texts(value) => Value::Texts(Cow::Owned(value.into_owned())),
            Value::Pos(value) => Value::Pos(value),
        }
    }

    /// Roughly what the value occupies in memory, in bytes.
    pub(super) fn size_bytes(&self) -> usize {
        size_of::<Self>()
            + match self {
                Value::Text(text) => text.len(),
                Value::Bytes(bytes) => bytes.len(),
                Value::Shared(bytes) => bytes.len(),
                Value::Ints(list) => size_of_val::<[i64]>(list),
                Value::Texts(list) => list.iter().map(|text| size_of::<String>() + text.len()).sum(),
                Value::Null | Value::Int(_) | Value::Bool(_) | Value::Pos(_) => 0,
            }
    }

    /// Refuses what one of the two engines could not store.
    pub(super) fn check(&self) -> Result<()> {
        let nul = match self {
            Value::Text(text) => text.as_bytes().contains(&0),
            Value::Texts(list) => list.iter().any(|text| text.as_bytes().contains(&0)),
            _ => false,
        };
        if nul { Err(Error::Nul) } else { Ok(()) }
    }
}

macro_rules! value_from {
    ($($from:ty => |$name:ident| $value:expr;)*) => {$(
        impl<'a> From<$from> for Value<'a> {
            fn from($name: $from) -> Self {
                $value
            }
        }
    )*};
}

value_from! {
    i64 => |value| Value::Int(value);
    i32 => |value| Value::Int(value.into());
    u32 => |value| Value::Int(value.into());
    bool => |value| Value::Bool(value);
    &'a str => |value| Value::Text(Cow::Borrowed(value));
    &'a String => |value| Value::Text(Cow::Borrowed(value));
    String => |value| Value::Text(Cow::Owned(value));
    Box<str> => |value| Value::Text(Cow::Owned(value.into_string()));
    Cow<'a, str> => |value| Value::Text(value);
    &'a [u8] => |value| Value::Bytes(Cow::Borrowed(value));
    &'a Vec<u8> => |value| Value::Bytes(Cow::Borrowed(value));
    Vec<u8> => |value| Value::Bytes(Cow::Owned(value));
    Cow<'a, [u8]> => |value| Value::Bytes(value);
    Bytes => |value| Value::Shared(value);
    &'a Bytes => |value| Value::Bytes(Cow::Borrowed(value));
    &'a [i64] => |value| Value::Ints(Cow::Borrowed(value));
    &'a Vec<i64> => |value| Value::Ints(Cow::Borrowed(value));
    Vec<i64> => |value| Value::Ints(Cow::Owned(value));
    &'a [String] => |value| Value::Texts(Cow::Borrowed(value));
    &'a Vec<String> => |value| Value::Texts(Cow::Borrowed(value));
    Vec<String> => |value| Value::Texts(Cow::Owned(value));
    PosRef => |value| Value::Pos(value);
}

impl<'a, const N: usize> From<&'a [u8; N]> for Value<'a> {
    fn from(value: &'a [u8; N]) -> Self {
        Value::Bytes(Cow::Borrowed(value))
    }
}

impl<const N: usize> From<[u8; N]> for Value<'_> {
    fn from(value: [u8; N]) -> Self {
        Value::Bytes(Cow::Owned(value.to_vec()))
    }
}

impl<'a, T: Into<Value<'a>>> From<Option<T>> for Value<'a> {
    fn from(value: Option<T>) -> Self {
        value.map_or(Value::Null, Into::into)
    }
}

/// A value on its way into a statement, with the positions that its batch was given.
pub(super) struct Bound<'a> {
    pub(super) value: &'a Value<'a>,
    pub(super) positions: Option<Positions>,
}

/// What a position outside a batch is told.
pub(super) const NO_POSITION: &str = "a position has no value outside its batch";

/// Says nothing of the value, because drivers log their parameters.
impl std::fmt::Debug for Bound<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("…")
    }
}
