//! Rooms and their events, each room from its first event to its head.

use std::collections::{BTreeSet, HashMap};

use rules::{
    event::{Event, required_signers},
    state_tree::{Entry, Root},
};
use ruma::{EventId, OwnedEventId, RoomVersionId, room_version_rules::RoomVersionRules};
use serde::Deserialize;
use store::{rooms::StoredRoom, verify::WholeEvent};

use super::{PAGE, Step, Verify, authority::Authority};
use crate::{refusal::Answer, rooms::state as trees};

/// Every way to stand in a room.
const MEMBERSHIPS: [&str; 5] = ["join", "invite", "knock", "leave", "ban"];

/// Events whose place in the room is kept in mind: others are asked for.
const RECENT_MAX: usize = 64;

/// Looks at all rooms, which have `total` events.
pub(super) async fn verify(verify: &mut Verify<'_>, total: u64) -> Answer<()> {
    let mut since = i64::MIN;
    loop {
        let page = store::verify::rooms(&verify.home.db, since, PAGE).await?;
        let Some(last) = page.last() else { return Ok(()) };
        since = last.room;
        for room in page {
            verify.report.rooms += 1;
            match RoomVersionId::try_from(&*room.version).ok().map(|version| rules::versions::rules(&version))
            {
                Some(Ok(rules)) => verify_room(verify, &room, rules, total).await?,
                _ => verify.find(format!("{} has the version {}", room.room_id, room.version)),
            }
        }
    }
}

async fn verify_room(
    verify: &mut Verify<'_>,
    room: &StoredRoom,
    rules: &'static RoomVersionRules,
    total: u64,
) -> Answer<()> {
    let mut walk = Walk {
        room,
        rules,
        newest: None,
        recent: Vec::new(),
        head: BTreeSet::new(),
        members: HashMap::new(),
        authority: Authority::new(room.room, rules),
    };
    let mut since = i64::MIN;
    loop {
        (verify.told)(Step::Events, verify.report.events, total);
        let page = store::verify::events(&verify.home.db, room.room, since, PAGE).await?;
        let Some(last) = page.last() else { break };
        since = last.pos;
        for stored in page {
            verify.report.events += 1;
            walk.step(verify, &stored).await?;
        }
    }
    walk.end(verify).await
}

/// A walk through a room, oldest event first.
struct Walk<'a> {
    room: &'a StoredRoom,
    rules: &'static RoomVersionRules,
    /// The position of the newest event so far.
    newest: Option<i64>,
    /// The newest events, and what came of them.
    recent: Vec<(OwnedEventId, Place)>,
    /// The events so far that no later one names.
    head: BTreeSet<OwnedEventId>,
    /// The member events in force, by user: id, position and membership.
    members: HashMap<String, (OwnedEventId, i64, String)>,
    /// What allowed the events so far.
    authority: Authority,
}

/// Where an event leaves the room.
#[derive(Clone, Copy)]
struct Place {
    depth: u64,
    root: Root,
}

impl Walk<'_> {
    async fn step(&mut self, verify: &mut Verify<'_>, stored: &WholeEvent) -> Answer<()> {
        let id = &stored.event_id;
        if self.newest.is_none() && stored.pos != self.room.room {
            verify.find(format!(
                "{} begins at position {}, but its first event {id} is at {}",
                self.room.room_id, self.room.room, stored.pos
            ));
        }
        self.newest = Some(stored.pos);
        let Some(event) = read(verify, stored, self.rules) else { return Ok(()) };
        if event.room_id().as_str() != self.room.room_id {
            verify.find(format!("{id} says that it is in {}, not in {}", event.room_id(), self.room.room_id));
        }
        let Some(root) = Root::from_bytes(&stored.state_root) else {
            verify.find(format!("{id} has a state root of {} bytes", stored.state_root.len()));
            return Ok(());
        };
        let before = self.before(verify, stored, &event).await?;
        self.authority.check(verify, stored, &event, before).await?;
        self.check_state(verify, stored, &event, before, root).await?;
        self.advance(verify, stored, &event, root);
        self.check_redaction(verify, stored, &event).await
    }

    /// The state before an event; nothing if it can not be told from that of the events it names.
    async fn before(
        &self,
        verify: &mut Verify<'_>,
        stored: &WholeEvent,
        event: &Event,
    ) -> Answer<Option<Root>> {
        let id = &stored.event_id;
        if event.prev_events().is_empty() {
            if event.event_type() != "m.room.create" {
                verify.find(format!("{id} names no event before it and is not the first of its room"));
            }
            return Ok(Some(Root::EMPTY));
        }
        let (mut roots, mut depth) = (BTreeSet::new(), 0);
        for prev in event.prev_events() {
            match self.place(verify, prev, stored.pos).await? {
                Some(place) => {
                    roots.insert(place.root);
                    depth = depth.max(place.depth);
                }
                None => {
                    verify.find(format!(
                        "{id} names {prev} before it, which is not there: the room has a hole"
                    ));
                    return Ok(None);
                }
            }
        }
        if event.depth() != depth + 1 {
            verify.find(format!("{id} says depth {}, after events of depth {depth}", event.depth()));
        }
        // Where branches of different states meet, resolution has the word.
        Ok(if roots.len() == 1 { roots.pop_first() } else { None })
    }

    /// What an earlier event of the room left.
    async fn place(&self, verify: &Verify<'_>, event_id: &EventId, before: i64) -> Answer<Option<Place>> {
        if let Some((_, place)) = self.recent.iter().rev().find(|(id, _)| id == event_id) {
            return Ok(Some(*place));
        }
        let stored = store::events::by_id(&verify.home.db, event_id.as_str()).await?;
        let stored = stored.filter(|stored| stored.room == self.room.room && stored.pos < before);
        Ok(stored.and_then(|stored| {
            let root = Root::from_bytes(&stored.state_root)?;
            let event = Event::parse(event_id.to_owned(), stored.json, self.rules).ok()?;
            Some(Place { depth: event.depth(), root })
        }))
    }

    /// Compares the state after an event with what it must be, and notes the nodes that it needs.
    async fn check_state(
        &self,
        verify: &mut Verify<'_>,
        stored: &WholeEvent,
        event: &Event,
        before: Option<Root>,
        root: Root,
    ) -> Answer<()> {
        let id = &stored.event_id;
        let Some(before) = before else { return Ok(()) };
        let Some((event_type, state_key)) = event.state_place().filter(|_| !stored.rejected) else {
            if before != root {
                verify.find(format!("{id} is no state event, but the state after it is another than before"));
            }
            return Ok(());
        };
        let replaced = trees::get(verify.home, before, event_type, state_key).await;
        let entry = Entry::new(event_type, state_key, event.event_id());
        let grown = trees::put(verify.home, before, vec![entry], root.era()).await;
        let (replaced, grown) = match (replaced, grown) {
            (Ok(replaced), Ok(grown)) => (replaced, grown),
            (Err(refusal), _) | (_, Err(refusal)) if refusal.status == 500 => {
                let cause = refusal.cause.unwrap_or(refusal.message);
                verify.find(format!("the state before {id} can not be read: {cause}"));
                return Ok(());
            }
            (Err(refusal), _) | (_, Err(refusal)) => return Err(refusal),
        };
        if grown.root != root {
            verify.find(format!(
                "the state after {id} is stored as {root:?}, but the state before it and the event make {:?}",
                grown.root
            ));
        }
        if replaced.as_ref().map(|event_id| event_id.as_str()) != stored.replaces.as_deref() {
            let of = |event_id: Option<&str>| event_id.unwrap_or("nothing").to_owned();
            let (says, is) = (of(stored.replaces.as_deref()), of(replaced.as_ref().map(|id| id.as_str())));
            verify.find(format!("{id} is stored as replacing {says}, but it replaces {is}"));
        }
        for name in grown.nodes.iter().map(|new| new.name) {
            if verify.needed.insert(name.mark())
                && store::state::get(&verify.home.db, name.as_bytes()).await?.is_none()
            {
                verify.find(format!("the state node {name:?} of {id} is not there"));
            }
        }
        Ok(())
    }

    fn advance(&mut self, verify: &mut Verify<'_>, stored: &WholeEvent, event: &Event, root: Root) {
        for prev in event.prev_events() {
            self.head.remove(prev);
        }
        if !stored.rejected && !stored.soft_failed {
            self.head.insert(event.event_id().to_owned());
        }
        if self.recent.len() == RECENT_MAX {
            self.recent.remove(0);
        }
        self.recent.push((event.event_id().to_owned(), Place { depth: event.depth(), root }));
        if let Some(("m.room.member", user)) = event.state_place().filter(|_| !stored.rejected) {
            #[derive(Deserialize)]
            struct Content {
                membership: String,
            }
            match event.content_as::<Content>() {
                Ok(Content { membership }) => {
                    let member = (event.event_id().to_owned(), stored.pos, membership);
                    self.members.insert(user.to_owned(), member);
                }
                Err(refused) => verify.find(format!("{} has no membership: {refused}", stored.event_id)),
            }
        }
    }

    async fn check_redaction(
        &self,
        verify: &mut Verify<'_>,
        stored: &WholeEvent,
        event: &Event,
    ) -> Answer<()> {
        let Some(redaction) = &stored.redacted_by else { return Ok(()) };
        let found = store::events::by_id(&verify.home.db, redaction).await?;
        if found.is_none_or(|found| found.room != self.room.room) {
            verify
                .find(format!("{} was redacted by {redaction}, which is not in the room", event.event_id()));
        }
        Ok(())
    }

    /// Compares what is stored of the room with where the walk ended.
    async fn end(mut self, verify: &mut Verify<'_>) -> Answer<()> {
        let room = self.room;
        let id = &room.room_id;
        let stored: BTreeSet<&str> = room.head.split(',').filter(|id| !id.is_empty()).collect();
        let walked: BTreeSet<&str> = self.head.iter().map(|id| id.as_str()).collect();
        if stored != walked {
            verify.find(format!("{id} has the head {stored:?}, but its events end with {walked:?}"));
        }
        if self.newest.is_some_and(|newest| newest > room.last_pos) {
            verify
                .find(format!("{id} says it changed last at {}, but has an event after that", room.last_pos));
        }
        let mut counted = HashMap::new();
        for membership in MEMBERSHIPS {
            counted.insert(membership, self.check_members(verify, membership).await?);
        }
        for (what, says) in [("join", room.joined), ("invite", room.invited)] {
            let is = counted.get(what).copied().unwrap_or(0);
            if says != is {
                verify.find(format!("{id} counts {says} members with the membership {what}, but has {is}"));
            }
        }
        for (user, (event_id, ..)) in self.members {
            verify.find(format!("{user} stands in {id} by {event_id}, but has no such membership"));
        }
        Ok(())
    }

    /// Compares the table of members with the state; takes those that were found out of the walk's.
    async fn check_members(&mut self, verify: &mut Verify<'_>, membership: &str) -> Answer<i64> {
        let (mut since, mut count) = (String::new(), 0);
        loop {
            let (db, room) = (&verify.home.db, self.room);
            let page = store::verify::members(db, room.room, membership, &since, PAGE).await?;
            let Some((last, ..)) = page.last() else { return Ok(count) };
            since = last.clone();
            for (user, event_id, pos) in page {
                verify.report.members += 1;
                count += 1;
                let stands = self.members.remove(&user);
                let fits = stands.as_ref().is_some_and(|(id, at, by_state)| {
                    *id == *event_id && *at == pos && by_state == membership
                });
                if !fits {
                    let by_state = stands
                        .map_or("nothing".to_owned(), |(id, _, by_state)| format!("{by_state} by {id}"));
                    verify.find(format!(
                        "{user} has the membership {membership} by {event_id} in {}, but the state says {by_state}",
                        room.room_id
                    ));
                }
            }
        }
    }
}

/// Reads an event and checks what it says of itself: hash, signature, id, and the columns beside it.
fn read(verify: &mut Verify<'_>, stored: &WholeEvent, rules: &RoomVersionRules) -> Option<Event> {
    let id = &stored.event_id;
    let ours = verify.home.server_name().as_str();
    let signers = required_signers(&stored.json, rules);
    let event = match signers {
        Ok(signers) if signers.iter().all(|server| server == ours) => {
            Event::verify(&stored.json, &verify.keys, rules)
        }
        // Whose keys are not at hand.
        Ok(_) => EventId::parse(&**id)
            .map_err(|error| rules::Refused::BadJson(error.to_string()))
            .and_then(|id| Event::parse(id, stored.json.clone(), rules)),
        Err(refused) => Err(refused),
    };
    let event = match event {
        Ok(event) => event,
        Err(refused) => {
            verify.find(format!("{id} is not what this server signed: {refused}"));
            return None;
        }
    };
    if event.event_id() != &**id {
        verify.find(format!("{id} has the hash of {}", event.event_id()));
        return None;
    }
    if *event.json() != stored.json && stored.redacted_by.is_none() {
        verify.find(format!("the content of {id} is not what was hashed"));
    }
    let ts = u64::from(event.origin_server_ts().0);
    let beside = event.event_type() == stored.event_type
        && event.state_key() == stored.state_key.as_deref()
        && event.sender().as_str() == stored.sender
        && i64::try_from(ts).is_ok_and(|ts| ts == stored.origin_server_ts);
    if !beside {
        verify.find(format!(
            "the columns beside {id} (type, state key, sender, time) are not those of the event"
        ));
    }
    Some(event)
}
