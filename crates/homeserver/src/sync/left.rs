//! A room that the user has left, or was made to leave.

use std::sync::Arc;

use rules::event::Event;
use store::{account_data::AccountData, members::Member};

use super::{
    account_data, joined,
    look::Look,
    state::{self, Extent},
    stays::Stays,
    timeline::{self, Stretch, Timeline},
    write,
};
use crate::{
    refusal::Answer,
    rooms::{self, Room, visibility::Viewer},
};

/// What there is to tell of the room, in whatever form: what happened while the user was in it, and what
/// became of the user since; nothing that came after.
pub(super) struct Left {
    pub(super) room: Arc<Room>,
    pub(super) viewer: Viewer,
    pub(super) state: Vec<Arc<Event>>,
    pub(super) timeline: Timeline,
    pub(super) account_data: Vec<AccountData>,
}

/// Finds what there is to tell of the room; nothing if the client does not want it.
///
/// # Errors
/// If the database does not answer.
pub(super) async fn find(look: &Look, member: &Member) -> Answer<Option<Left>> {
    let room = rooms::find_by_key(&look.home, member.room).await?;
    if !look.ask.filter.rooms.admits_room(&room.room_id) {
        return Ok(None);
    }
    let viewer = look.viewer(member);
    let stays = Stays::of(look, &room, member, look.since_pos()).await?;
    let (mut timeline, extent) = match member.joined_upto.filter(|left_at| *left_at > look.since_pos()) {
        Some(left_at) => while_joined(look, &room, &viewer, &stays, left_at).await?,
        // The user was not in the room: an invitation was refused or taken back, a ban lifted.
        None => (nothing(member.pos), None),
    };
    // A ban after leaving, for example.
    if let Some(last) = stays.last().filter(|last| Some(last.pos) != member.joined_upto) {
        timeline.events.push(last.clone());
    }
    let state = match extent {
        Some(extent) => state::events(look, &room, &timeline, extent, &[]).await?,
        None => Vec::new(),
    };
    let account_data = account_data::of_room(look, &room, false).await?;
    Ok(Some(Left { room, viewer, state, timeline, account_data }))
}

/// Writes the room as a member of `rooms.leave`.
///
/// # Errors
/// If the database does not answer.
pub(super) async fn write(look: &Look, out: &mut String, member: &Member) -> Answer<()> {
    let Some(left) = find(look, member).await? else { return Ok(()) };
    let Left { room, viewer, state, timeline, account_data } = left;
    write::key(out, room.room_id.as_str());
    out.push('{');
    state::write(look, out, &state);
    out.push_str(r#","timeline":"#);
    joined::write_timeline(look, out, &room, &viewer, &timeline).await?;
    out.push_str(r#","account_data":"#);
    account_data::write(out, account_data);
    out.push('}');
    Ok(())
}

/// The end of a stay in the room, up to the event at `left_at`.
async fn while_joined(
    look: &Look,
    room: &Room,
    viewer: &Viewer,
    stays: &Stays,
    left_at: i64,
) -> Answer<(Timeline, Option<Extent>)> {
    let known = look.since.map(|since| since.pos).filter(|_| stays.joined_all_the_time(left_at));
    let stretch = Stretch { since: known.unwrap_or(0), upto: left_at, all_visible: known.is_some() };
    let timeline = timeline::cut(look, room, viewer, stretch).await?;
    let extent = match known {
        Some(since) if !look.ask.full_state => Extent::Since(since),
        _ => Extent::Whole,
    };
    Ok((timeline, Some(extent)))
}

/// A timeline without events, at `pos`.
fn nothing(pos: i64) -> Timeline {
    Timeline { events: Vec::new(), limited: false, start: pos - 1, before: None, after: None }
}
