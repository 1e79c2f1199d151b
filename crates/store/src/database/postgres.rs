//! PostgreSQL.

use super::meter::Meter;
use super::queue::{Job, Upto};
use super::row::{Cell, FromRow};
use super::{Error, Result, Value};
use std::sync::Arc;
use tokio::sync::mpsc;

pub(super) struct Readers;

impl Readers {
    pub(super) async fn rows<T: FromRow>(
        &self,
        _: &'static str,
        _: &[Value<'_>],
        _: usize,
    ) -> Result<Vec<T>> {
        Err(Error::Unfit("PostgreSQL comes later".into()))
    }
    pub(super) async fn scan<T: FromRow>(&self, _: &'static str, _: &[Value<'_>]) -> Result<Vec<T>> {
        Err(Error::Unfit("PostgreSQL comes later".into()))
    }
}

pub(super) fn cell(_: &tokio_postgres::Row, _: usize) -> Result<Cell<'_>> {
    Err(Error::Unfit("PostgreSQL comes later".into()))
}

pub(super) async fn open(
    _: &str,
    _: mpsc::UnboundedReceiver<Job>,
    _: Arc<Meter>,
) -> Result<(Readers, Arc<Upto>)> {
    Err(Error::Unfit("PostgreSQL comes later".into()))
}
