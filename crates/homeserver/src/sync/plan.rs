//! Which rooms a sync tells of.

use std::collections::BTreeSet;

use ruma::UserId;
use store::{account_data, members::Member};

use super::look::Look;
use crate::{
    Home,
    refusal::Answer,
    rooms::{self, memberships::Standings},
};

/// A room to tell of, by its place among the user's rooms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Entry {
    /// The user is joined.
    Join(usize),
    /// The user is invited.
    Invite(usize),
    /// The user has knocked.
    Knock(usize),
    /// The user has left, or was made to.
    Leave(usize),
}

impl Entry {
    /// Where the user stands in the room.
    pub(super) fn member(self, look: &Look) -> &Member {
        let (Entry::Join(place) | Entry::Invite(place) | Entry::Knock(place) | Entry::Leave(place)) = self;
        &look.standings[place]
    }
}

/// The rooms to tell of, section by section.
pub(super) struct Plan {
    pub(super) entries: Vec<Entry>,
}

impl Plan {
    /// Finds the rooms that `look` has to tell of.
    pub(super) async fn of(look: &Look) -> Answer<Self> {
        let places =
            if look.is_whole() { (0..look.standings.len()).collect() } else { changed(look).await? };
        let mut sections: [Vec<Entry>; 4] = Default::default();
        for place in places {
            let member = &look.standings[place];
            match &*member.membership {
                "join" => sections[0].push(Entry::Join(place)),
                "invite" if look.settings.refuses_invite(&member.sender) => {}
                "invite" => sections[1].push(Entry::Invite(place)),
                "knock" => sections[2].push(Entry::Knock(place)),
                _ if is_left(look, member) => sections[3].push(Entry::Leave(place)),
                _ => {}
            }
        }
        Ok(Plan { entries: sections.concat() })
    }
}

/// Whether the room of somebody who is gone is to be told of.
fn is_left(look: &Look, member: &Member) -> bool {
    let news = look.since.is_some_and(|since| member.pos > since.pos);
    news || (look.is_whole() && look.ask.filter.include_leave && !member.forgotten)
}

/// Where, among the user's rooms, something changed.
async fn changed(look: &Look) -> Answer<BTreeSet<usize>> {
    let (since, serial) = (look.since_pos(), look.since_serial());
    let standings = &look.standings;
    let place = |room: i64| standings.place(room);
    let mut places: BTreeSet<usize> =
        standings.changed_after(since).filter_map(|member| place(member.room)).collect();
    let mut joined = |room: i64| {
        if let Some(place) = place(room).filter(|place| standings[*place].membership == "join") {
            places.insert(place);
        }
    };
    look.account_data.keys().filter(|room| **room != account_data::GLOBAL).for_each(|room| joined(*room));
    look.home.ephemera.typing_changed_after(serial).into_iter().for_each(&mut joined);
    rooms_changed(&look.home, look.user(), standings, since).await?.into_iter().for_each(joined);
    Ok(places)
}

/// The rooms in which something happened after `since`; perhaps others than those of `user`, who stands
/// in rooms as `standings` say.
///
/// # Errors
/// If the database does not answer.
pub(crate) async fn rooms_changed(
    home: &Home,
    user: &UserId,
    standings: &Standings,
    since: i64,
) -> Answer<Vec<i64>> {
    let memory: &rooms::Memory = &home.rooms;
    if let Some(changed) = memory.changed_after(since, standings.len().max(8)) {
        return Ok(changed);
    }
    let rooms = standings.iter().map(|member| member.room);
    match memory.of_those_changed_after(since, rooms) {
        Some(changed) => Ok(changed),
        None => Ok(store::rooms::changed(&home.db, user.as_str(), since).await?),
    }
}
