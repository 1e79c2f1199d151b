//! A room in which the user is joined.

use std::sync::Arc;

use rules::event::Event;
use store::{account_data::AccountData, members::Member};

use super::{
    account_data,
    ephemeral::{self, Ephemeral},
    look::Look,
    state::{self, Extent},
    stays::Stays,
    summary::Summary,
    timeline::{self, Stretch, Timeline},
    unread, write,
};
use crate::{
    refusal::Answer,
    rooms::{
        self, Room,
        show::{self, Shown},
        visibility::Viewer,
    },
    token::Token,
};

/// What there is to tell of the room, in whatever form.
pub(super) struct Joined {
    pub(super) room: Arc<Room>,
    pub(super) viewer: Viewer,
    pub(super) summary: Summary,
    pub(super) state: Vec<Arc<Event>>,
    pub(super) timeline: Timeline,
    pub(super) ephemeral: Ephemeral,
    pub(super) account_data: Vec<AccountData>,
}

/// Finds what there is to tell of the room, if anything.
///
/// # Errors
/// If the database does not answer.
pub(super) async fn find(look: &Look, member: &Member) -> Answer<Option<Joined>> {
    let room = rooms::find_by_key(&look.home, member.room).await?;
    if !look.ask.filter.rooms.admits_room(&room.room_id) {
        return Ok(None);
    }
    let viewer = look.viewer(member);
    let known = known(look, &room, member).await?;
    let stretch = Stretch { since: known.unwrap_or(0), upto: look.upto.pos, all_visible: known.is_some() };
    let timeline = timeline::cut(look, &room, &viewer, stretch).await?;
    let extent = match known {
        Some(since) if !look.ask.full_state => Extent::Since(since),
        _ => Extent::Whole,
    };
    let is_new = known.is_none() || look.ask.full_state;
    let summary = Summary::of(look, &room, &timeline, is_new).await?;
    let state = state::events(look, &room, &timeline, extent, summary.heroes()).await?;
    let ephemeral = ephemeral::of(look, &room, is_new).await?;
    let account_data = account_data::of_room(look, &room, known.is_none()).await?;
    let nothing = timeline.events.is_empty()
        && !timeline.limited
        && state.is_empty()
        && ephemeral.is_empty()
        && account_data.is_empty();
    if nothing && !is_new {
        return Ok(None);
    }
    Ok(Some(Joined { room, viewer, summary, state, timeline, ephemeral, account_data }))
}

/// Writes the room as a member of `rooms.join`, if there is anything to tell.
///
/// # Errors
/// If the database does not answer.
pub(super) async fn write(look: &Look, out: &mut String, member: &Member) -> Answer<()> {
    let Some(joined) = find(look, member).await? else { return Ok(()) };
    let Joined { room, viewer, summary, state, timeline, ephemeral, account_data } = joined;
    let unread = unread::counts(&look.home, &room, member, look.user(), look.upto.pos).await?;
    write::key(out, room.room_id.as_str());
    out.push_str(r#"{"summary":"#);
    summary.write(out);
    out.push(',');
    state::write(look, out, &state);
    out.push_str(r#","timeline":"#);
    write_timeline(look, out, &room, &viewer, &timeline).await?;
    out.push_str(r#","ephemeral":{"events":["#);
    ephemeral.write(out, None);
    out.push_str(r#"]},"account_data":"#);
    account_data::write(out, account_data);
    unread.write(out, look.ask.filter.timeline.unread_thread_notifications);
    out.push('}');
    Ok(())
}

/// The position at which the client knows the room: where it stands, if the user was joined then and
/// ever since.
pub(super) async fn known(look: &Look, room: &Room, member: &Member) -> Answer<Option<i64>> {
    let Some(since) = look.since else { return Ok(None) };
    if member.pos <= since.pos {
        return Ok(Some(since.pos));
    }
    let stays = Stays::of(look, room, member, since.pos).await?;
    Ok(stays.joined_all_the_time(member.pos + 1).then_some(since.pos))
}

/// Writes a timeline: `{"events":[…],"limited":…,"prev_batch":…}`.
pub(super) async fn write_timeline(
    look: &Look,
    out: &mut String,
    room: &Room,
    viewer: &Viewer,
    timeline: &Timeline,
) -> Answer<()> {
    let shown = shown(look, room, viewer, timeline).await?;
    out.push_str(r#"{"events":"#);
    show::write_list(out, &shown);
    write_place(out, timeline);
    Ok(())
}

/// The events of a timeline as the client gets them, in the same order. They count as told.
pub(super) async fn shown(
    look: &Look,
    room: &Room,
    viewer: &Viewer,
    timeline: &Timeline,
) -> Answer<Vec<Shown>> {
    if let Some(telling) = &look.telling {
        telling.tells(&look.home.told, room.key, timeline.events.iter().map(|event| &*event.event));
    }
    let shown = show::events(&look.home, room, viewer, &timeline.events, look.form(timeline.limited)).await?;
    Ok(match &look.ask.filter.fields {
        Some(fields) => shown.into_iter().map(|event| event.pruned(fields)).collect(),
        None => shown,
    })
}

/// Writes what stands in a timeline behind its events: `,"limited":…,"prev_batch":…}`.
pub(super) fn write_place(out: &mut String, timeline: &Timeline) {
    out.push_str(r#","limited":"#);
    out.push_str(if timeline.limited { "true" } else { "false" });
    out.push_str(r#","prev_batch":"#);
    write::text(out, &Token::after(timeline.start).to_string());
    out.push('}');
}
