//! Values on their way out of the database.

use super::{Error, Result};
use bytes::Bytes;

/// One row of an answer, of either engine.
pub enum Row<'a> {
    /// A row of SQLite.
    #[doc(hidden)]
    Sqlite(&'a rusqlite::Row<'a>),
    /// A row of PostgreSQL.
    #[doc(hidden)]
    Postgres(&'a tokio_postgres::Row),
}

impl Row<'_> {
    /// The column at `index`, counted from 0.
    ///
    /// Fails with [`Error::Broken`] if there is no such column or it holds another type.
    pub fn get<T: FromCell>(&self, index: usize) -> Result<T> {
        let cell = match self {
            Row::Sqlite(row) => super::sqlite::cell(row, index)?,
            Row::Postgres(row) => super::postgres::cell(row, index)?,
        };
        T::from_cell(cell).ok_or_else(|| {
            let wanted = std::any::type_name::<T>();
            Error::Broken(format!("column {index} holds {}, not {wanted}", cell.kind()))
        })
    }
}

/// What one column of one row holds, borrowed from the engine.
#[derive(Debug, Clone, Copy)]
pub enum Cell<'a> {
    /// SQL's NULL.
    Null,
    /// BIGINT; on SQLite also BOOLEAN.
    Int(i64),
    /// BOOLEAN on PostgreSQL.
    Bool(bool),
    /// TEXT.
    Text(&'a str),
    /// BYTEA.
    Bytes(&'a [u8]),
}

impl Cell<'_> {
    /// The name of the type, never the content: it ends up in logs.
    fn kind(&self) -> &'static str {
        match self {
            Cell::Null => "NULL",
            Cell::Int(_) => "a number",
            Cell::Bool(_) => "a boolean",
            Cell::Text(_) => "text",
            Cell::Bytes(_) => "bytes",
        }
    }
}

/// A type that one column can be read as.
pub trait FromCell: Sized {
    /// The value, or nothing if the column holds another type.
    fn from_cell(cell: Cell<'_>) -> Option<Self>;
}

macro_rules! from_cell {
    ($($to:ty: $pattern:pat => $value:expr;)*) => {$(
        impl FromCell for $to {
            fn from_cell(cell: Cell<'_>) -> Option<Self> {
                match cell {
                    $pattern => $value,
                    _ => None,
                }
            }
        }
    )*};
}

from_cell! {
    i64: Cell::Int(value) => Some(value);
    u64: Cell::Int(value) => value.try_into().ok();
    u32: Cell::Int(value) => value.try_into().ok();
    String: Cell::Text(value) => Some(value.to_owned());
    Box<str>: Cell::Text(value) => Some(value.into());
    Vec<u8>: Cell::Bytes(value) => Some(value.to_vec());
    Bytes: Cell::Bytes(value) => Some(Bytes::copy_from_slice(value));
}

impl FromCell for bool {
    fn from_cell(cell: Cell<'_>) -> Option<Self> {
        match cell {
            Cell::Bool(value) => Some(value),
            Cell::Int(0) => Some(false),
            Cell::Int(1) => Some(true),
            _ => None,
        }
    }
}

impl<const N: usize> FromCell for [u8; N] {
    fn from_cell(cell: Cell<'_>) -> Option<Self> {
        match cell {
            Cell::Bytes(value) => value.try_into().ok(),
            _ => None,
        }
    }
}

impl<T: FromCell> FromCell for Option<T> {
    fn from_cell(cell: Cell<'_>) -> Option<Self> {
        match cell {
            Cell::Null => Some(None),
            cell => T::from_cell(cell).map(Some),
        }
    }
}

/// A type that a whole row can be read as: a tuple of columns, or a struct of its own.
pub trait FromRow: Sized {
    /// Reads the row; fails with [`Error::Broken`] if it has other columns than expected.
    fn from_row(row: &Row<'_>) -> Result<Self>;
}

macro_rules! from_row_for_tuples {
    ($($name:ident $index:tt),*) => {
        impl<$($name: FromCell),*> FromRow for ($($name,)*) {
            fn from_row(row: &Row<'_>) -> Result<Self> {
                Ok(($(row.get::<$name>($index)?,)*))
            }
        }
    };
}

from_row_for_tuples!(A 0);
from_row_for_tuples!(A 0, B 1);
from_row_for_tuples!(A 0, B 1, C 2);
from_row_for_tuples!(A 0, B 1, C 2, D 3);
from_row_for_tuples!(A 0, B 1, C 2, D 3, E 4);
from_row_for_tuples!(A 0, B 1, C 2, D 3, E 4, F 5);
from_row_for_tuples!(A 0, B 1, C 2, D 3, E 4, F 5, G 6);
from_row_for_tuples!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7);
from_row_for_tuples!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8);
from_row_for_tuples!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9);
from_row_for_tuples!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9, K 10);
from_row_for_tuples!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9, K 10, L 11);
