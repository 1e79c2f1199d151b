//! The rooms of a user, kept in memory for those who are about: every sync asks for them.

use std::{ops::Deref, sync::Arc};

use parking_lot::Mutex;
use quick_cache::{Weighter, sync::Cache};
use rules::weight::{self, allocated};
use ruma::{OwnedUserId, RoomId, UserId};
use store::members::Member;

use super::memory::{self, Room};
use crate::{
    Home, config,
    refusal::{Answer, Refusal},
};

/// What memberships, and the keys of joined rooms alone, may take, in hundredths of all caches.
const PERCENT: u64 = 14;
const JOINED_PERCENT: u64 = 4;

/// What a list takes in a cache beside what is in it.
const KEPT_BYTES: usize = 256;

/// Where users stand in all their rooms.
pub struct Memberships {
    of_user: Cache<OwnedUserId, Arc<Standings>, ByBytes>,
    /// Of those that they are joined to, the keys alone.
    joined: Cache<OwnedUserId, Arc<Vec<i64>>, ByBytes>,
    /// Counts changes, so that a list read before one is not kept after it.
    changes: Mutex<u64>,
}

/// Where one user stands in all the rooms in which it was ever mentioned, by the rooms' keys.
#[derive(Debug, Default)]
pub struct Standings {
    members: Vec<Member>,
    /// Places in `members`, the last change first.
    newest_first: Vec<u32>,
}

impl Standings {
    fn new(members: Vec<Member>) -> Self {
        let mut newest_first: Vec<u32> = (0..).take(members.len()).collect();
        newest_first.sort_unstable_by_key(|place| std::cmp::Reverse(members[*place as usize].pos));
        Standings { members, newest_first }
    }

    /// Where the user stands in `room`, if it was ever mentioned there.
    pub fn in_room(&self, room: i64) -> Option<&Member> {
        self.place(room).map(|place| &self.members[place])
    }

    /// The place of `room` in this list.
    pub fn place(&self, room: i64) -> Option<usize> {
        self.members.binary_search_by_key(&room, |member| member.room).ok()
    }

    /// What changed after the position `since`, the last first.
    pub fn changed_after(&self, since: i64) -> impl Iterator<Item = &Member> {
        let newest = self.newest_first.iter().map(|place| &self.members[*place as usize]);
        newest.take_while(move |member| member.pos > since)
    }

    /// The position of the last change; 0 if there was none.
    pub fn last_pos(&self) -> i64 {
        self.changed_after(0).next().map_or(0, |member| member.pos)
    }
}

impl Deref for Standings {
    type Target = [Member];

    fn deref(&self) -> &[Member] {
        &self.members
    }
}

#[derive(Clone)]
struct ByBytes;

impl Weighter<OwnedUserId, Arc<Standings>> for ByBytes {
    fn weight(&self, _: &OwnedUserId, members: &Arc<Standings>) -> u64 {
        let places = weight::list::<Member>(members.members.capacity()) + weight::list::<u32>(members.len());
        (KEPT_BYTES + places + members.iter().map(texts).sum::<usize>()) as u64
    }
}

/// What the texts of a membership take.
fn texts(member: &Member) -> usize {
    let Member { user_id, membership, event_id, sender, display_name, avatar_url, .. } = member;
    let texts = [Some(user_id), Some(membership), Some(event_id), Some(sender)];
    let texts = texts.into_iter().chain([display_name.as_ref(), avatar_url.as_ref()]).flatten();
    texts.map(|text| allocated(text.capacity())).sum()
}

impl Weighter<OwnedUserId, Arc<Vec<i64>>> for ByBytes {
    fn weight(&self, _: &OwnedUserId, rooms: &Arc<Vec<i64>>) -> u64 {
        (KEPT_BYTES + weight::list::<i64>(rooms.capacity())) as u64
    }
}

impl Memberships {
    pub(super) fn new(budget: &config::Memory) -> Self {
        Memberships {
            of_user: Cache::with_weighter(4_096, budget.share(PERCENT), ByBytes),
            joined: Cache::with_weighter(4_096, budget.share(JOINED_PERCENT), ByBytes),
            changes: Mutex::new(0),
        }
    }

    pub(super) fn weight(&self) -> u64 {
        self.of_user.weight() + self.joined.weight()
    }

    /// Notes that where `user` stands somewhere has changed.
    pub fn changed(&self, user: &UserId) {
        let mut changes = self.changes.lock();
        *changes += 1;
        self.of_user.remove(user);
        self.joined.remove(user);
    }
}

/// The keys of the rooms that `user` is joined to, in their order; `None` if they are `limit` or more and
/// not at hand. Lists of users of this server are kept: a change of theirs is heard of here.
///
/// # Errors
/// If the database does not answer.
pub async fn joined(home: &Home, user: &UserId, limit: usize) -> Answer<Option<Arc<Vec<i64>>>> {
    let memory = &home.rooms.memberships;
    if let Some(rooms) = memory.joined.get(user) {
        return Ok(Some(rooms));
    }
    let changes = *memory.changes.lock();
    let rows_max = i64::try_from(limit).unwrap_or(i64::MAX);
    let rooms = store::mutual_rooms::joined(&home.db, user.as_str(), rows_max).await?;
    if rooms.len() >= limit {
        return Ok(None);
    }
    let rooms = Arc::new(rooms);
    if user.server_name() == home.server_name() {
        let unchanged = memory.changes.lock();
        if *unchanged == changes {
            memory.joined.insert(user.to_owned(), rooms.clone());
        }
    }
    Ok(Some(rooms))
}

/// Where `user` stands in all the rooms in which it was ever mentioned, as durable now. Rows may be
/// newer than a position looked at before this call.
///
/// # Errors
/// If the database does not answer.
pub async fn of_user(home: &Home, user: &UserId) -> Answer<Arc<Standings>> {
    let memory = &home.rooms.memberships;
    if let Some(members) = memory.of_user.get(user) {
        return Ok(members);
    }
    let changes = *memory.changes.lock();
    let members = Arc::new(Standings::new(store::members::of_user(&home.db, user.as_str()).await?));
    let unchanged = memory.changes.lock();
    if *unchanged == changes {
        memory.of_user.insert(user.to_owned(), members.clone());
    }
    Ok(members)
}

/// The room `room_id`, if `user` is joined to it.
///
/// # Errors
/// `M_FORBIDDEN` if not, just as if there were no such room.
pub async fn joined_room(home: &Home, user: &UserId, room_id: &RoomId) -> Answer<Arc<Room>> {
    let refused = || Refusal::forbidden("You are not in this room");
    let room = memory::find(home, room_id).await.map_err(|refusal| match refusal.status {
        404 => refused(),
        _ => refusal,
    })?;
    let standings = of_user(home, user).await?;
    let member = standings.in_room(room.key).filter(|member| member.membership == "join");
    member.map(|_| room).ok_or_else(refused)
}
