//! What a user was notified of: derived from the rooms and the user's rules whenever somebody asks, and
//! nowhere kept.
//!
//! Spec: client-server API, «Listing Notifications». The rooms are gone through together, from the newest
//! event backwards, each only as far as the answer needs it. Rules and state are those of now.

use std::sync::Arc;

use ruma::{UserId, push::Action};
use store::members::Member;

use crate::{
    Home,
    refusal::{Answer, Refusal},
    rooms::{
        self, Room,
        memberships::Standings,
        show::{self, Form},
        timeline,
        visibility::Viewer,
    },
    sync::{
        self,
        notifying::{self, Notified, Notifying},
        unread::{self, Unread},
    },
    token::Token,
    who::Device,
};

/// Notifications in one answer, if the client does not say.
pub const LIMIT_DEFAULT: usize = 20;

/// Notifications in one answer.
const LIMIT_MAX: usize = 100;

/// Events that are looked at for one answer; who goes on from there finds more.
const EVENTS_MAX: usize = 2_000;

/// Events of one room that are read at once.
const PAGE: usize = 50;

/// What a client wants to know.
#[derive(Clone, Debug)]
pub struct Ask {
    /// Backwards from here; from now, if absent.
    pub from: Option<Token>,
    /// So many at most.
    pub limit: usize,
    /// Only what was highlighted.
    pub only_highlight: bool,
}

/// What the user was notified of, newest first: an answer of `GET /notifications`.
///
/// # Errors
/// If the database does not answer.
pub async fn list(home: &Home, who: &Device, ask: &Ask) -> Answer<String> {
    let (end, standings) = sync::settled(home, who.user()).await?;
    let limit = ask.limit.clamp(1, LIMIT_MAX);
    let mut walk = Walk { home, who, end, looked_at: 0, lanes: Vec::new() };
    walk.begin(&standings, ask.from.map_or(end, |from| from.pos.min(end))).await?;
    let mut out = String::from(r#"{"notifications":["#);
    let mut count = 0;
    let mut last = None;
    while count < limit
        && let Some((lane, what)) = walk.next().await?
    {
        let wanted = !ask.only_highlight || what.actions.iter().any(Action::is_highlight);
        last = Some(what.event.pos);
        if wanted {
            out.push_str(if count == 0 { "" } else { "," });
            out.push_str(&walk.shown(lane, &what).await?);
            count += 1;
        }
    }
    out.push(']');
    // Whatever is left comes at or before the newest of it, and before what was told last.
    if let Some(left) = walk.newest().map(|(_, pos)| pos) {
        let next = last.map_or(left, |last: i64| left.min(last - 1));
        out.push_str(&format!(r#","next_token":"{}""#, Token::after(next)));
    }
    out.push('}');
    Ok(out)
}

/// The way back through the rooms of a user.
struct Walk<'a> {
    home: &'a Home,
    who: &'a Device,
    end: i64,
    looked_at: usize,
    lanes: Vec<Lane>,
}

/// The way back through one room.
struct Lane {
    /// The position at or before which events are to be read; `None` if there are no more.
    rest: Option<i64>,
    /// What was found after it and is not told yet, oldest first.
    found: Vec<Notifying>,
    member: Member,
    /// What is known once something was read.
    known: Option<(Arc<Room>, Arc<Unread>)>,
}

impl Lane {
    /// The position at or before which everything is that the lane has left.
    fn newest(&self) -> Option<i64> {
        self.found.last().map(|what| what.event.pos).or(self.rest)
    }
}

impl Walk<'_> {
    fn user(&self) -> &UserId {
        self.who.user()
    }

    async fn begin(&mut self, standings: &Standings, from: i64) -> Answer<()> {
        let user = self.user().as_str();
        for (room, newest) in store::pushers::newest_events(&self.home.db, user, from).await? {
            if let Some(member) = standings.in_room(room).filter(|member| member.membership == "join") {
                let member = member.clone();
                self.lanes.push(Lane { rest: newest, found: Vec::new(), member, known: None });
            }
        }
        Ok(())
    }

    /// The lane that has the newest left, and how new that is.
    fn newest(&self) -> Option<(usize, i64)> {
        let left = self.lanes.iter().enumerate().filter_map(|(lane, left)| Some((lane, left.newest()?)));
        left.max_by_key(|(_, pos)| *pos)
    }

    /// The next notification, and the lane it is in; `None` at the end, or if enough was looked at.
    async fn next(&mut self) -> Answer<Option<(usize, Notifying)>> {
        while let Some((lane, _)) = self.newest() {
            if let Some(what) = self.lanes[lane].found.pop() {
                return Ok(Some((lane, what)));
            }
            if self.looked_at >= EVENTS_MAX {
                return Ok(None);
            }
            self.read(lane).await?;
        }
        Ok(None)
    }

    /// Reads a page more of a room.
    async fn read(&mut self, index: usize) -> Answer<()> {
        let (home, end) = (self.home, self.end);
        let lane = &mut self.lanes[index];
        let Some(rest) = lane.rest.take() else { return Ok(()) };
        let user = self.who.user();
        let (room, unread) = match &lane.known {
            Some(known) => known.clone(),
            None => {
                let room = rooms::find_by_key(home, lane.member.room).await?;
                let unread = unread::counts(home, &room, &lane.member, user, end).await?;
                lane.known.insert((room, unread)).clone()
            }
        };
        let mut events = timeline::before(home, &room, rest, PAGE).await?;
        self.looked_at += events.len();
        events.reverse();
        let who = Notified { room: &room, member: &lane.member, user, first: None, upto: end };
        let found = notifying::among(home, &who, &unread, &events).await?;
        let is_last = events.len() < PAGE || found.begins;
        lane.rest = events.first().map(|oldest| oldest.pos - 1).filter(|_| !is_last);
        lane.found = found.notifying;
        Ok(())
    }

    async fn shown(&self, lane: usize, what: &Notifying) -> Answer<String> {
        let lane = &self.lanes[lane];
        let Some((room, _)) = &lane.known else { return Err(Refusal::broken("a room was not read")) };
        let viewer = Viewer::with(Some(self.user()), Some(lane.member.clone()), self.end);
        let form = Form { with_room_id: false, ..Form::whole(Some(self.who.device())) };
        let event = show::event(self.home, room, &viewer, &what.event, form).await?;
        let actions = serde_json::to_string(&what.actions);
        Ok(format!(
            r#"{{"actions":{},"event":{},"read":{},"room_id":"{}","ts":{}}}"#,
            actions.map_err(|error| Refusal::broken(error.to_string()))?,
            event.as_str(),
            what.read,
            room.room_id,
            what.event.event.origin_server_ts().0,
        ))
    }
}
