//! How many events a user has not read that notify.

use store::members::Member;

use super::write;
use crate::{Home, refusal::Answer, rooms::Room};

/// Unread events of one user in one room.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Those that notify.
    pub notify: u32,
    /// Those that are highlighted as well.
    pub highlight: u32,
}

/// Counts them.
///
/// # Errors
/// If the database does not answer.
pub async fn counts(_: &Home, _: &Room, _: &Member, _: i64) -> Answer<Counts> {
    Ok(Counts::default())
}

impl Counts {
    /// Writes `,"unread_notifications":{…}`.
    pub(super) fn write(&self, out: &mut String, _by_thread: bool) {
        out.push_str(r#","unread_notifications":{"highlight_count":"#);
        write::number(out, self.highlight);
        out.push_str(r#","notification_count":"#);
        write::number(out, self.notify);
        out.push('}');
    }
}
