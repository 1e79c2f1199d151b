//! What is to be pushed through a pusher: found in the store, from where the pusher is on.

use std::{collections::HashMap, sync::Arc};

use ruma::UserId;
use store::{members::Member, pushers::Pusher};

use super::round::Progress;
use crate::{
    Home,
    refusal::Answer,
    rooms::{self, Room, memberships::Standings, timeline},
    settings::{self, Settings},
    sync::{
        self,
        notifying::{self, Notified, Notifying},
        unread,
    },
};

/// Events of one room that are looked at at once.
const EVENTS_MAX: usize = 100;

/// Events that are kept to be pushed.
const DUE_MAX: usize = 256;

/// An event that is to be pushed.
pub(super) struct Due {
    /// Its room.
    pub(super) room: Arc<Room>,
    /// The event, and what is to be done about it.
    pub(super) what: Notifying,
}

impl Due {
    fn pos(&self) -> i64 {
        self.what.event.pos
    }
}

/// What one look found.
pub(super) struct Look {
    /// What is to be pushed, oldest first.
    pub(super) due: Vec<Due>,
    /// All up to this position is in it.
    pub(super) upto: i64,
    /// Whether there is more after it.
    pub(super) more: bool,
}

/// What a look looks at.
struct Looking<'a> {
    home: &'a Home,
    user: &'a UserId,
    settings: Arc<Settings>,
    profile_tag: Option<&'a str>,
    since: i64,
    end: i64,
    due: Vec<Due>,
    /// All up to this position is in `due`.
    upto: i64,
}

/// Looks for what is to be pushed to `user`, whose `pusher` it is, and counts what the user has not read.
///
/// # Errors
/// If the database does not answer.
pub(super) async fn look(
    home: &Home,
    pusher: &Pusher,
    user: &UserId,
    progress: &mut Progress,
) -> Answer<Look> {
    let (end, standings) = sync::settled(home, user).await?;
    let since = pusher.pushed_upto.max(progress.looked_upto).min(end);
    let mut looking = Looking {
        home,
        user,
        settings: settings::of(home, user).await?,
        profile_tag: pusher.set.profile_tag.as_deref(),
        since,
        end,
        due: Vec::new(),
        upto: end,
    };
    if progress.unread.is_none() {
        progress.unread = Some(looking.count(&standings).await?);
    }
    let unread = progress.unread.get_or_insert_default();
    for member in standings.changed_after(since).filter(|member| member.membership != "join") {
        unread.remove(&member.room);
        if member.membership == "invite" && !looking.settings.refuses_invite(&member.sender) {
            looking.invite(member).await?;
        }
    }
    for room in sync::rooms_changed(home, user, &standings, since).await? {
        if let Some(member) = standings.in_room(room).filter(|member| member.membership == "join") {
            let count = looking.joined(member).await?;
            if count == 0 {
                unread.remove(&room)
            } else {
                unread.insert(room, count)
            };
        }
    }
    looking.cut(usize::MAX);
    Ok(Look { due: looking.due, upto: looking.upto, more: looking.upto < end })
}

impl Looking<'_> {
    /// How much the user has not read in each room, where there is any.
    async fn count(&self, standings: &Standings) -> Answer<HashMap<i64, u32>> {
        let mut unread = HashMap::new();
        for key in store::pushers::perhaps_unread(&self.home.db, self.user.as_str()).await? {
            let Some(member) = standings.in_room(key).filter(|member| member.membership == "join") else {
                continue;
            };
            let room = rooms::find_by_key(self.home, key).await?;
            let counts = unread::counts(self.home, &room, member, self.user, self.end).await?;
            if counts.total().notify > 0 {
                unread.insert(key, counts.total().notify);
            }
        }
        Ok(unread)
    }

    fn notified<'a>(&'a self, room: &'a Room, member: &'a Member) -> Notified<'a> {
        let first = self.profile_tag.and_then(|tag| self.settings.push_rules_by_tag.get(tag));
        Notified { room, member, user: self.user, first, upto: self.end }
    }

    /// Finds what is new in a room that the user is joined to; answers how much of it the user has not read.
    async fn joined(&mut self, member: &Member) -> Answer<u32> {
        let home = self.home;
        let room = rooms::find_by_key(home, member.room).await?;
        let unread = unread::counts(home, &room, member, self.user, self.end).await?;
        let count = unread.total().notify;
        // Rules that are meant for some clients only are not in the count.
        if count == 0 && self.notified(&room, member).first.is_none() {
            return Ok(0);
        }
        let events = timeline::after(home, &room, self.since, self.upto, EVENTS_MAX).await?;
        if let Some(last) = events.last().filter(|_| events.len() == EVENTS_MAX) {
            self.upto = self.upto.min(last.pos);
        }
        let found = notifying::among(home, &self.notified(&room, member), &unread, &events).await?;
        let new = found.notifying.into_iter().filter(|what| !what.read);
        self.due.extend(new.map(|what| Due { room: room.clone(), what }));
        self.cut(DUE_MAX);
        Ok(count)
    }

    async fn invite(&mut self, member: &Member) -> Answer<()> {
        let home = self.home;
        let room = rooms::find_by_key(home, member.room).await?;
        let events = timeline::at(home, &room, &[member.pos]).await?;
        for event in events {
            let found = notifying::invite(home, &self.notified(&room, member), event).await?;
            self.due.extend(found.map(|what| Due { room: room.clone(), what }));
        }
        self.cut(DUE_MAX);
        Ok(())
    }

    /// Puts what was found in order, and leaves out what comes after the position up to which it is whole;
    /// past twice `count` the newest, too.
    fn cut(&mut self, count: usize) {
        if count != usize::MAX && self.due.len() <= count * 2 {
            return;
        }
        self.due.sort_by_key(Due::pos);
        if let Some(last) = self.due.get(count.saturating_sub(1)).filter(|_| self.due.len() > count) {
            self.upto = self.upto.min(last.pos());
        }
        let upto = self.upto;
        self.due.retain(|due| due.pos() <= upto);
    }
}
