//! `GET /events`: what happened in all rooms of a user, or in certain rooms, in the order in which it came.
//!
//! An answer is bounded: it ends at a position up to which it is complete, and the next one goes on from
//! there. Rooms that the user is not in may be named as well (`room_id`), if everybody may read them.

use std::{collections::BTreeSet, future::Future, sync::Arc, time::Duration};

use futures_util::future::select_all;
use ruma::{OwnedRoomId, presence::PresenceState};
use store::members::Member;

use super::{
    Ask, Filter, ephemeral, look,
    look::Look,
    plan::{Entry, Plan},
    presence,
    stays::Stays,
    wait::{self, Changes},
    write,
};
use crate::{
    Home,
    bell::Ear,
    presence as about,
    refusal::{Answer, Refusal},
    rooms::{
        self, Room, TimelineEvent,
        show::{self, Form, Format},
        timeline,
        visibility::{self, Reach, Viewer},
    },
    token::Token,
    who::Device,
};

/// Room events in one answer.
const EVENTS_MAX: usize = 250;

/// Rooms that may be named.
const ROOMS_MAX: usize = 20;

/// How long to wait, if the client does not say.
pub const TIMEOUT_DEFAULT: Duration = Duration::from_secs(30);

/// What a client asks of `/events`.
#[derive(Clone, Debug)]
pub struct EventsAsk {
    /// From where on; from now on, if absent.
    pub from: Option<Token>,
    /// Where to end at the latest.
    pub to: Option<Token>,
    /// In these rooms; in all of the user's, if there are none.
    pub rooms: BTreeSet<OwnedRoomId>,
    /// How long to wait for something to happen.
    pub timeout: Duration,
    /// How events are written.
    pub format: Format,
}

/// What happened; waits until something did, or the time is over, or the server stops.
///
/// # Errors
/// `M_INVALID_PARAM` if a token is none of ours or too many rooms are named, `M_FORBIDDEN` if the user may
/// not look into one of them, `M_UNKNOWN_TOKEN` or `M_USER_LOCKED` if the session ends while it waits.
pub async fn events(home: &Home, who: &Device, ask: EventsAsk) -> Answer<String> {
    if ask.rooms.len() > ROOMS_MAX {
        return Err(Refusal::invalid_param(format!("At most {ROOMS_MAX} rooms may be named")));
    }
    let from = ask.from.unwrap_or_else(|| Token::newest(home));
    look::check(home, from).await?;
    about::syncs(home, who, &PresenceState::Online);
    let changes = |since| changes(home, who, &ask, from, since);
    if ask.rooms.is_empty() {
        let ear = home.bell.listen(who.user())?;
        return wait::poll(home, who, || ear.sound(), ask.timeout, from, changes).await;
    }
    // Of the end of the session only the user is told.
    let mut ears = vec![home.bell.listen(who.user())?];
    for room_id in &ask.rooms {
        let (room, _) = visibility::look(home, room_id, Some(who.user())).await?;
        ears.push(home.bell.listen_in(room.key));
    }
    wait::poll(home, who, || any(&ears), ask.timeout, from, changes).await
}

/// The next ring that one of `ears` hears. There is at least one.
fn any(ears: &[Ear<'_>]) -> impl Future<Output = ()> + use<> {
    // All are taken now, not when somebody waits.
    let sounds: Vec<_> = ears.iter().map(|ear| Box::pin(ear.sound())).collect();
    async move { drop(select_all(sounds).await) }
}

async fn changes(home: &Home, who: &Device, ask: &EventsAsk, from: Token, since: Token) -> Answer<Changes> {
    let mut look = Look::new(home, who, &sync_ask(ask), Some(since)).await?;
    if let Some(to) = ask.to {
        look.upto.pos = to.pos.clamp(since.pos, look.upto.pos.max(since.pos));
    }
    let mut found = Found { upto: look.upto.pos, stretches: Vec::new(), count: 0 };
    if ask.rooms.is_empty() {
        for entry in Plan::of(&look).await?.entries {
            found.add(&look, entry.member(&look), matches!(entry, Entry::Join(_))).await?;
        }
    } else {
        for room_id in &ask.rooms {
            found.look_into(&look, room_id).await?;
        }
    }
    found.cut();
    // There is more than fits into one answer, or than is asked for.
    let ends_early = found.upto < look.upto.pos || ask.to.is_some_and(|to| to.pos <= look.upto.pos);
    look.upto.pos = found.upto;
    let mut text = format!(r#"{{"start":"{from}","end":"{}","chunk":["#, look.upto);
    let begun = text.len();
    found.write(&look, &mut text).await?;
    if ask.format == Format::V1 {
        write_ephemeral(&look, &found, &mut text).await?;
        if ask.rooms.is_empty() {
            presence::write_2015(&look, &mut text, false).await?;
        }
    }
    let any = text.len() > begun || ends_early;
    text.push_str("]}");
    Ok(Changes { text, any, upto: look.upto, telling: None })
}

fn sync_ask(ask: &EventsAsk) -> Ask {
    Ask {
        since: ask.from,
        filter: Arc::new(Filter::of_format(ask.format)),
        full_state: false,
        use_state_after: false,
        set_presence: PresenceState::Online,
        timeout: ask.timeout,
    }
}

/// What happened in some rooms; complete up to a position.
struct Found {
    upto: i64,
    stretches: Vec<Stretch>,
    count: usize,
}

/// What happened in one room.
struct Stretch {
    room: Arc<Room>,
    viewer: Viewer,
    events: Vec<Arc<TimelineEvent>>,
    /// Whether the user is in the room, and learns who types and reads there …
    joined: bool,
    /// … also of what went on before.
    is_new: bool,
}

impl Found {
    /// Adds what happened in a room of the user: what came while the user was joined, and what became of
    /// the user.
    async fn add(&mut self, look: &Look, member: &Member, joined: bool) -> Answer<()> {
        let room = rooms::find_by_key(&look.home, member.room).await?;
        let viewer = look.viewer(member);
        let since = look.since_pos();
        let end = if joined { self.upto } else { member.joined_upto.unwrap_or(0).min(self.upto) };
        let stays = match member.pos > since {
            true => Some(Stays::of(look, &room, member, since).await?),
            false => None,
        };
        let all_the_time = if joined { member.pos + 1 } else { end };
        let is_new = stays.as_ref().is_some_and(|stays| !stays.joined_all_the_time(all_the_time));
        let mut events = Vec::new();
        for event in self.read(look, &room, end).await? {
            let own = event.event.state_place() == Some(("m.room.member", look.user().as_str()));
            let seen = match (event.hidden, is_new) {
                (true, _) => false,
                (false, false) => true,
                (false, true) => own || was_joined(look, &room, &viewer, &event).await?,
            };
            if seen && !look.settings.hides(&event.event) {
                events.push(event);
            }
        }
        let farewells = stays.iter().flat_map(Stays::changes).filter(|event| event.pos > end);
        events.extend(farewells.cloned());
        self.push(Stretch { room, viewer, events, joined, is_new });
        Ok(())
    }

    /// Adds what happened in a room that the user names.
    async fn look_into(&mut self, look: &Look, room_id: &OwnedRoomId) -> Answer<()> {
        let (room, viewer) = visibility::look(&look.home, room_id, Some(look.user())).await?;
        if let Some(member) = look.standings.in_room(room.key).filter(|member| member.membership == "join") {
            return self.add(look, member, true).await;
        }
        let end = match viewer.reach(&look.home, &room).await? {
            Reach::Now => self.upto,
            Reach::Until(left_at) => left_at.min(self.upto),
        };
        let mut events = viewer.filter(&look.home, &room, self.read(look, &room, end).await?).await?;
        events.retain(|event| !look.settings.hides(&event.event));
        self.push(Stretch { room, viewer, events, joined: false, is_new: false });
        Ok(())
    }

    /// The events of a room up to `end`. If there are too many, all that is found will end with the last of
    /// those that are read, whether anybody sees it or not.
    async fn read(&mut self, look: &Look, room: &Room, end: i64) -> Answer<Vec<Arc<TimelineEvent>>> {
        let since = look.since_pos();
        if end <= since {
            return Ok(Vec::new());
        }
        let events = timeline::after(&look.home, room, since, end, EVENTS_MAX).await?;
        if let Some(last) = events.last().filter(|_| events.len() == EVENTS_MAX) {
            self.upto = self.upto.min(last.pos);
        }
        Ok(events)
    }

    fn push(&mut self, stretch: Stretch) {
        self.count += stretch.events.len();
        self.stretches.push(stretch);
        if self.count > 2 * EVENTS_MAX {
            self.cut();
        }
    }

    /// Leaves out what comes after the position up to which everything fits.
    fn cut(&mut self) {
        let all = self.stretches.iter().flat_map(|stretch| &stretch.events).map(|event| event.pos);
        let mut positions: Vec<i64> = all.filter(|pos| *pos <= self.upto).collect();
        if positions.len() > EVENTS_MAX {
            let (_, last, _) = positions.select_nth_unstable(EVENTS_MAX - 1);
            self.upto = *last;
        }
        for stretch in &mut self.stretches {
            stretch.events.retain(|event| event.pos <= self.upto);
        }
        self.count = self.stretches.iter().map(|stretch| stretch.events.len()).sum();
    }

    /// Writes the events of all rooms in their order, with a comma between them.
    async fn write(&self, look: &Look, out: &mut String) -> Answer<()> {
        let form = Form::old(Some(look.who.device()), look.ask.filter.format);
        let mut all = Vec::with_capacity(self.count);
        for Stretch { room, viewer, events, .. } in &self.stretches {
            let shown = show::events(&look.home, room, viewer, events, form).await?;
            all.extend(events.iter().map(|event| event.pos).zip(shown));
        }
        all.sort_unstable_by_key(|(pos, _)| *pos);
        for (_, shown) in &all {
            write::comma(out);
            out.push_str(shown.as_str());
        }
        Ok(())
    }
}

async fn was_joined(look: &Look, room: &Room, viewer: &Viewer, event: &TimelineEvent) -> Answer<bool> {
    let then = viewer.membership_at(&look.home, room, event).await?;
    let joined = then == Some(ruma::events::room::member::MembershipState::Join);
    Ok(joined && viewer.may_see(&look.home, room, event).await?)
}

/// Writes who types and who has read.
async fn write_ephemeral(look: &Look, found: &Found, out: &mut String) -> Answer<()> {
    for stretch in found.stretches.iter().filter(|stretch| stretch.joined) {
        let ephemeral = ephemeral::of(look, &stretch.room, stretch.is_new).await?;
        if !ephemeral.is_empty() {
            write::comma(out);
            let mut events = String::new();
            ephemeral.write(&mut events, Some(&stretch.room.room_id));
            out.push_str(&events);
        }
    }
    Ok(())
}
