//! The only way in which an event comes to be on this server.
//!
//! A [`Chain`] holds a room's lock, builds events one on the other, authorises each against the state
//! before it, and hands them to the writer as one batch: all of them happen or none. The lock is let
//! go before the commit is awaited, so that a room is not limited to one event for each fsync; the
//! next chain builds on a head that is not durable yet, and the batch says so (`room.head` must be
//! what it was built on), so that it falls with its predecessor.

use std::{collections::HashMap, sync::Arc, time::Duration};

use rules::{
    authorization,
    event::{Draft, Event},
    state_tree::{Entry, Root},
};
use ruma::{EventId, OwnedEventId, OwnedRoomId, RoomVersionId, UserId, room_version_rules::RoomVersionRules};
use store::{Batch, PosRef, Value};
use tokio::{sync::OwnedMutexGuard, time::timeout};

use super::{
    delayed_events,
    effects::{self, Effect},
    intent::{Intent, Txn},
    memory::{self, Head, Newest, Room},
    relations, state,
    txns::Alone,
    unsettled::Pins,
};
use crate::{
    Home,
    refusal::{Answer, RETRY_AFTER_MS, Refusal},
};

/// How often an append is built anew because another node was faster.
pub(crate) const ATTEMPTS_MAX: usize = 8;

/// How long somebody waits for the others who want something to happen in a room. Each of them takes
/// some milliseconds, unless the database hangs.
const TURN_MAX: Duration = Duration::from_secs(10);

/// Makes `intent` happen in `room` and answers its event id once it is durable. The same transaction
/// id leads to the same event; state that is there already is not set again.
///
/// # Errors
/// `M_FORBIDDEN` with the authorization rule that says no, `M_TOO_LARGE`, `M_NOT_FOUND` for a
/// redaction of nothing, those of [`relations::check`].
pub async fn append(home: &Home, room: &Arc<Room>, intent: Intent) -> Answer<OwnedEventId> {
    let _alone = alone(home, &intent.sender, intent.txn.as_ref()).await;
    for _ in 0..ATTEMPTS_MAX {
        if let Some(event_id) = done_before(home, &intent.sender, intent.txn.as_ref()).await? {
            return Ok(event_id);
        }
        let mut chain = Chain::on(home, room).await?;
        let event_id = chain.push(intent.clone()).await?;
        match chain.commit().await {
            Ok(_) => return Ok(event_id),
            Err(Failed::Overtaken) => {}
            Err(Failed::Broken(error)) => return Err(error.into()),
        }
    }
    Err(Failed::Overtaken.into())
}

/// Makes several things happen in `room`, one on the other: all of them or none. Answers their event
/// ids. Transaction ids are for [`append`] alone.
///
/// # Errors
/// As [`append`], for the first that can not be.
pub async fn append_all(home: &Home, room: &Arc<Room>, intents: &[Intent]) -> Answer<Vec<OwnedEventId>> {
    for _ in 0..ATTEMPTS_MAX {
        let mut chain = Chain::on(home, room).await?;
        let mut event_ids = Vec::with_capacity(intents.len());
        for intent in intents {
            event_ids.push(chain.push(intent.clone()).await?);
        }
        match chain.commit().await {
            Ok(_) => return Ok(event_ids),
            Err(Failed::Overtaken) => {}
            Err(Failed::Broken(error)) => return Err(error.into()),
        }
    }
    Err(Failed::Overtaken.into())
}

/// Waits until no other request with the same transaction id is under way.
pub(super) async fn alone<'a>(home: &'a Home, sender: &UserId, txn: Option<&Txn>) -> Option<Alone<'a>> {
    match txn {
        Some(txn) => Some(home.rooms.txns.alone(txn.key_of(sender)).await),
        None => None,
    }
}

/// What an earlier request with the same transaction id led to.
///
/// # Errors
/// If the database does not answer.
pub(super) async fn done_before(
    home: &Home,
    sender: &UserId,
    txn: Option<&Txn>,
) -> Answer<Option<OwnedEventId>> {
    let Some(txn) = txn else { return Ok(None) };
    if Txn::is_delay(&txn.device_id) {
        return delayed_events::done_before(home, txn.txn_id.as_str()).await;
    }
    let event_id = store::txns::event_id(&home.db, txn.key_of(sender)).await?;
    Ok(event_id.and_then(|event_id| EventId::parse(event_id).ok()))
}

/// Why a chain did not come to be.
#[derive(Debug)]
pub enum Failed {
    /// The room moved on, or the transaction was done before: look again.
    Overtaken,
    /// The database did not keep it.
    Broken(store::Error),
}

impl From<Failed> for Refusal {
    fn from(failed: Failed) -> Self {
        match failed {
            Failed::Overtaken => Refusal::unavailable("The room is too busy; try again in a moment")
                .with("retry_after_ms", RETRY_AFTER_MS.into()),
            Failed::Broken(error) => error.into(),
        }
    }
}

/// Events under construction, one on the other.
pub struct Chain {
    home: Home,
    place: Place,
    pub(super) room_id: Option<OwnedRoomId>,
    pub(super) rules: &'static RoomVersionRules,
    head: Head,
    head_before: String,
    pub(super) batch: Batch,
    /// Events of this chain, which nobody else can find yet.
    fresh: HashMap<OwnedEventId, Arc<Event>>,
    effects: Vec<Effect>,
    /// What others may build upon once the lock is let go.
    pins: Pins,
    pub(super) joined: i64,
    pub(super) invited: i64,
}

/// Where the chain hangs.
enum Place {
    Known(Arc<Room>, OwnedMutexGuard<Newest>),
    New(PosRef, RoomVersionId),
}

impl Chain {
    /// Takes the lock of a room.
    ///
    /// # Errors
    /// If the database does not answer, whoever waits for it: nobody waits longer than [`TURN_MAX`].
    pub async fn on(home: &Home, room: &Arc<Room>) -> Answer<Self> {
        let guard = timeout(TURN_MAX, room.newest.clone().lock_owned()).await;
        let hangs = |_| store::Error::Unavailable("others wait too long for the room".to_owned());
        let mut guard = guard.map_err(hangs)?;
        let head = guard.head(home, room).await?.clone();
        let place = Place::Known(room.clone(), guard);
        Ok(Chain::hung(home, place, Batch::new(), room.rules, head, Some(room.room_id.clone())))
    }

    /// Begins a room; the first event pushed must be its create event. `room_id` is `None` where the
    /// create event makes it (version 12).
    ///
    /// # Errors
    /// `M_UNSUPPORTED_ROOM_VERSION`
    pub fn new_room(home: &Home, version: &RoomVersionId, room_id: Option<OwnedRoomId>) -> Answer<Self> {
        let rules = rules::versions::rules(version)?;
        let head = Head { extremities: Vec::new(), depth: 0, root: Root::EMPTY };
        let mut batch = Batch::new();
        let place = Place::New(batch.pos(), version.clone());
        Ok(Chain::hung(home, place, batch, rules, head, room_id))
    }

    fn hung(
        home: &Home,
        place: Place,
        batch: Batch,
        rules: &'static RoomVersionRules,
        head: Head,
        room_id: Option<OwnedRoomId>,
    ) -> Self {
        Chain {
            home: home.clone(),
            place,
            room_id,
            rules,
            head_before: head.to_text(),
            head,
            batch,
            fresh: HashMap::new(),
            effects: Vec::new(),
            pins: Pins::new(&home.rooms.unsettled),
            joined: 0,
            invited: 0,
        }
    }

    /// Builds, authorises and adds an event. Answers its id, or that of the state event which says the
    /// same already.
    ///
    /// # Errors
    /// `M_FORBIDDEN`, `M_TOO_LARGE`, `M_BAD_JSON`; the chain is unchanged and may be used further.
    pub async fn push(&mut self, intent: Intent) -> Answer<OwnedEventId> {
        if intent.event_type == "m.room.redaction" && intent.redacts.is_none() {
            return Err(Refusal::bad_json("A redaction must say which event it redacts"));
        }
        let replaced = match &intent.state_key {
            Some(state_key) => self.state(&intent.event_type, state_key).await?,
            None => None,
        };
        let same = replaced.as_ref().filter(|event| intent.is_said_by(event)).cloned();
        let (txn, by_administrator) = (intent.txn.clone(), intent.by_administrator);
        // Who may not say it is told so, also if it is said already or has nothing to redact.
        let event = self.build(intent).await?;
        if let Some(same) = same {
            return Ok(same.event_id().to_owned());
        }
        if let Some(room) = self.room() {
            relations::check(&self.home, room, &event).await?;
        }
        let redacted = match event.redacts() {
            Some(_) => Some(effects::redacted(&self.home, self, &event, by_administrator).await?),
            None => None,
        };
        self.add(event, replaced, redacted, txn).await
    }

    /// The event in the chain's state at `(event_type, state_key)`.
    ///
    /// # Errors
    /// If the database does not answer.
    pub async fn state(&self, event_type: &str, state_key: &str) -> Answer<Option<Arc<Event>>> {
        match state::get(&self.home, self.head.root, event_type, state_key).await? {
            Some(event_id) => self.event(&event_id).await.map(Some),
            None => Ok(None),
        }
    }

    async fn event(&self, event_id: &EventId) -> Answer<Arc<Event>> {
        match (self.fresh.get(event_id), &self.place) {
            (Some(event), _) => Ok(event.clone()),
            (None, Place::Known(room, _)) => state::event_by_id(&self.home, room, event_id).await,
            (None, Place::New(..)) => Err(Refusal::broken("a new room knows an event from elsewhere")),
        }
    }

    async fn build(&self, intent: Intent) -> Answer<Arc<Event>> {
        let Intent { sender, event_type, state_key, content, redacts, .. } = intent;
        let auth_types =
            authorization::auth_types(&event_type, &sender, state_key.as_deref(), &content, self.rules)?;
        let mut auth: Vec<(&str, String, Arc<Event>)> = Vec::with_capacity(auth_types.len() + 1);
        for (auth_type, auth_key) in auth_types {
            if let Some(event) = self.state(auth_type, &auth_key).await? {
                auth.push((auth_type, auth_key, event));
            }
        }
        let auth_events = auth.iter().map(|(_, _, event)| event.event_id().to_owned()).collect();
        // Since version 12 the create event is known by the room id, not named among the auth events.
        let has_create = auth.iter().any(|(auth_type, ..)| *auth_type == "m.room.create");
        if !has_create && let Some(create) = self.state("m.room.create", "").await? {
            auth.push(("m.room.create", String::new(), create));
        }
        let draft = Draft {
            room_id: self.room_id.clone(),
            sender,
            event_type,
            state_key,
            content,
            redacts,
            prev_events: self.head.extremities.clone(),
            auth_events,
            depth: self.head.depth.saturating_add(1),
            origin_server_ts: intent.origin_server_ts.unwrap_or_else(|| self.home.clock.timestamp()),
        };
        let event = Event::build(draft, &self.home.signing_key, self.home.server_name(), self.rules)?;
        authorization::authorize(&event, self.rules, |auth_type, auth_key| {
            auth.iter().find(|(t, k, _)| *t == auth_type && k == auth_key).map(|(_, _, event)| event.clone())
        })?;
        Ok(Arc::new(event))
    }

    async fn add(
        &mut self,
        event: Arc<Event>,
        replaced: Option<Arc<Event>>,
        redacted: Option<Arc<Event>>,
        txn: Option<Txn>,
    ) -> Answer<OwnedEventId> {
        let event_id = event.event_id().to_owned();
        let mut root = self.head.root;
        if let Some(state_key) = event.state_key() {
            let change = Entry::new(event.event_type(), state_key, &event_id);
            let era = self.home.db.upto().unsigned_abs();
            let grown = state::put(&self.home, root, vec![change], era).await?;
            root = grown.root;
            for new in grown.nodes {
                self.pins.node(new.name, new.node);
                store::state::put(&mut self.batch, new.name.as_bytes(), new.bytes);
            }
        }
        let pos = match (&mut self.place, self.head.extremities.is_empty()) {
            (Place::New(key, version), true) => {
                let room_id = self.room_id.get_or_insert_with(|| event.room_id().to_owned());
                store::rooms::create(&mut self.batch, *key, room_id.as_str(), version.as_str(), false);
                *key
            }
            _ => self.batch.pos(),
        };
        let relation = relations::relates_to(&event);
        let effect = Effect { pos, event: event.clone(), root, replaced, redacted, txn, relation };
        effects::store(&self.home.clone(), self, &effect)?;
        self.effects.push(effect);
        self.fresh.insert(event_id.clone(), event.clone());
        self.head = Head { extremities: vec![event_id.clone()], depth: event.depth(), root };
        Ok(event_id)
    }

    /// The room's key as a parameter of a statement.
    pub fn room_key(&self) -> Value<'static> {
        match &self.place {
            Place::Known(room, _) => room.key.into(),
            Place::New(key, _) => (*key).into(),
        }
    }

    /// The room that the chain hangs in, unless it is new.
    pub fn room(&self) -> Option<&Arc<Room>> {
        match &self.place {
            Place::Known(room, _) => Some(room),
            Place::New(..) => None,
        }
    }

    /// Where the room stands with the events of this chain.
    pub fn head(&self) -> &Head {
        &self.head
    }

    /// The room's id, once the create event is there.
    pub fn room_id(&self) -> Option<&OwnedRoomId> {
        self.room_id.as_ref()
    }

    /// Further statements that happen together with the events.
    pub fn batch(&mut self) -> &mut Batch {
        &mut self.batch
    }

    /// Moves the room's head to the last event of the chain.
    fn advance(&mut self) {
        let Some(last_pos) = self.effects.last().map(|last| last.pos) else { return };
        let counts = (self.joined, self.invited);
        let (old, new) = (self.head_before.clone(), self.head.to_text());
        let room_key = self.room_key();
        store::rooms::advance(&mut self.batch, room_key, (&old, &new), counts, last_pos);
    }

    /// Has the room that `born` begins come to be together with what this chain does: both or neither.
    /// To be called before anything is pushed. Answers the new room's key and id.
    ///
    /// # Errors
    /// A broken server if this chain has begun, or `born` is not of a new room.
    pub(super) fn together_with(&mut self, mut born: Chain) -> Answer<(PosRef, OwnedRoomId)> {
        born.advance();
        let Chain {
            place: Place::New(key, version), room_id: Some(room_id), effects, mut batch, pins, ..
        } = born
        else {
            return Err(Refusal::broken("a room can not begin twice"));
        };
        if !self.batch.is_empty() {
            return Err(Refusal::broken("a chain that has begun can not begin a room"));
        }
        begun(&self.home, &mut batch, (key, room_id.clone(), version), (effects, pins));
        self.batch = batch;
        Ok((key, room_id))
    }

    /// Hands the events to the writer and waits until they are durable. Answers the room.
    ///
    /// # Errors
    /// [`Failed`]; nothing of the chain happened then.
    pub async fn commit(mut self) -> Result<Option<Arc<Room>>, Failed> {
        if self.effects.is_empty() {
            let room = self.room().cloned();
            self.home.db.commit(self.batch).await.map_err(Failed::of)?;
            return Ok(room);
        }
        self.advance();
        // What can not be stored must not take down what others build on it meanwhile.
        self.batch.check().map_err(Failed::Broken)?;
        let Chain { home, place, mut batch, effects, mut pins, head, room_id, .. } = self;
        match place {
            Place::Known(room, mut guard) => {
                // The next chain builds on these before they are durable. Should they fall, nobody
                // ever learns their ids.
                effects.iter().for_each(|effect| pins.event(effect.event.clone()));
                let (home_then, room_then) = (home.clone(), room.clone());
                let concerned = effects::concerned(&home, &effects);
                let users = concerned.clone();
                batch.then(move |at| {
                    effects::happened(&home_then, &room_then, (effects, &users), at);
                    drop(pins);
                });
                let (home_then, room_then) = (home.clone(), room.clone());
                batch.once_published(move |_| home_then.bell.ring_soon(Some(room_then), concerned));
                // From here to the release of the lock nothing may be awaited: a request that is
                // dropped there would leave the writer ahead of the head.
                let commit = home.db.enqueue(batch);
                let fallen = guard.fallen;
                guard.head = Some(head);
                drop(guard);
                let Err(error) = commit.await else { return Ok(Some(room)) };
                let mut newest = room.newest.lock().await;
                if newest.fallen == fallen {
                    *newest = Newest { head: None, fallen: fallen + 1 };
                }
                Err(Failed::of(error))
            }
            Place::New(key, version) => {
                let room_id = room_id.ok_or(Failed::Overtaken)?;
                begun(&home, &mut batch, (key, room_id, version), (effects, pins));
                let at = home.db.commit(batch).await.map_err(Failed::of)?;
                Ok(memory::find_by_key(&home, at.at(key)).await.ok())
            }
        }
    }
}

/// Brings a new room into memory once it is durable.
fn begun(
    home: &Home,
    batch: &mut Batch,
    (key, room_id, version): (PosRef, OwnedRoomId, RoomVersionId),
    (effects, pins): (Vec<Effect>, Pins),
) {
    let (home_then, home) = (home.clone(), home.clone());
    // Its members are among them.
    let concerned = effects::concerned(&home, &effects);
    let users = concerned.clone();
    batch.then(move |at| match Room::new(at.at(key), room_id, version, &home_then.rooms.weights) {
        Ok(room) => {
            let room = home_then.rooms.insert(room);
            effects::happened(&home_then, &room, (effects, &users), at);
            drop(pins);
        }
        Err(refusal) => tracing::error!(%refusal, "a new room can not be read"),
    });
    batch.once_published(move |_| home.bell.ring_soon(None, concerned));
}

impl Failed {
    fn of(error: store::Error) -> Self {
        match error {
            store::Error::Refused { .. } => Failed::Overtaken,
            error => Failed::Broken(error),
        }
    }
}
