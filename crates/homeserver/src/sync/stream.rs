//! The answer as text: in one piece if it is short, else room by room.
//!
//! What the text looks like is the business of a [`Shape`]; each of them is in a file of its own:
//! [`v3`](super::v3), [`v2_alpha`](super::v2_alpha) and [`initial`](super::initial).

use std::future::Future;

use bytes::Bytes;
use futures_util::stream::{self, BoxStream, StreamExt};
use store::members::Member;

use super::{
    look::Look,
    plan::{Entry, Plan},
};
use crate::refusal::Answer;

/// Bytes that are sent at once.
const PIECE_BYTES: usize = 64 * 1024;

/// How an answer is written: its beginning, its rooms one by one, its end.
pub(super) trait Shape: Default + Send + Sync + 'static {
    /// Writes what is not about rooms; answers whether that tells anything.
    fn begin(&mut self, look: &Look, out: &mut String) -> impl Future<Output = Answer<bool>> + Send;

    /// Writes a room, if there is anything to tell of it.
    fn room(
        &mut self,
        look: &Look,
        out: &mut String,
        entry: Entry,
        member: &Member,
    ) -> impl Future<Output = Answer<()>> + Send;

    /// Whether a room was written.
    fn has_rooms(&self) -> bool;

    /// Writes what is left.
    fn end(self, look: &Look, out: &mut String);
}

/// The whole answer, and whether it tells anything.
///
/// # Errors
/// If the database does not answer.
pub(super) async fn whole<S: Shape>(look: &Look, plan: Plan) -> Answer<(String, bool)> {
    let mut shape = S::default();
    let mut out = String::new();
    let mut any = shape.begin(look, &mut out).await?;
    for entry in plan.entries {
        shape.room(look, &mut out, entry, entry.member(look)).await?;
    }
    any |= shape.has_rooms();
    shape.end(look, &mut out);
    Ok((out, any))
}

/// The answer piece by piece, each as it is asked for.
///
/// # Errors
/// If the database does not answer; once the first piece is out, the stream breaks off instead.
pub(super) async fn pieces<S: Shape>(look: Look) -> Answer<BoxStream<'static, Answer<Bytes>>> {
    let entries = Plan::of(&look).await?.entries.into_iter();
    let mut shape = S::default();
    let mut first = String::new();
    shape.begin(&look, &mut first).await?;
    let state = Some((look, shape, entries, first));
    Ok(stream::try_unfold(state, |state| async {
        let Some((mut look, mut shape, mut entries, mut out)) = state else { return Ok(None) };
        while out.len() < PIECE_BYTES {
            let Some(entry) = entries.next() else {
                shape.end(&look, &mut out);
                look.told();
                return Ok(Some((out.into(), None)));
            };
            shape.room(&look, &mut out, entry, entry.member(&look)).await?;
        }
        Ok(Some((out.into(), Some((look, shape, entries, String::new())))))
    })
    .boxed())
}
