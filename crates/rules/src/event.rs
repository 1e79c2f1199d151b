//! Events: drafting, hashing, signing, verifying and parsing them.
//!
//! An event is parsed once and kept as the canonical bytes of its PDU, the bytes that were hashed and signed.
//! Readers take slices of them; nobody parses to serialise.

mod verify;

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use ruma::{
    CanonicalJsonObject, CanonicalJsonValue, EventId, MilliSecondsSinceUnixEpoch, OwnedEventId, OwnedRoomId,
    OwnedUserId, RoomId, ServerName, UserId,
    room_version_rules::{EventIdFormatVersion, RoomVersionRules},
    serde::{
        Base64,
        base64::{Standard, UrlSafe},
    },
    signatures::PublicKeyMap,
};
use serde::Deserialize;
use serde_json::{Value, value::RawValue};
use sha2::{Digest, Sha256};

pub use self::verify::required_signers;
use crate::{
    Refused, canonical,
    power_levels::Levels,
    redaction,
    signing_key::SigningKey,
    weight::{self, allocated},
};

/// The largest PDU, in canonical bytes with its hashes and signatures.
pub const PDU_BYTES_MAX: usize = 65_536;
/// The longest sender, room id, state key, type and event id, in bytes.
pub const FIELD_BYTES_MAX: usize = 255;
/// The most events that may come right before one.
pub const PREV_EVENTS_MAX: usize = 20;
/// The most events that may authorise one.
pub const AUTH_EVENTS_MAX: usize = 10;

/// The greatest depth: the greatest number of canonical JSON.
pub const DEPTH_MAX: u64 = (1 << 53) - 1;

/// What a buffer takes beside its bytes once it is shared.
const SHARED_BYTES: usize = 32;
/// How much more memory power levels take than their text, once they are read.
const LEVELS_FACTOR: usize = 4;

/// An event that somebody on this server wants to happen.
#[derive(Debug, Clone)]
pub struct Draft {
    /// The room; `None` for the create event of a room whose id is made from that event (version 12).
    pub room_id: Option<OwnedRoomId>,
    /// Who sends it.
    pub sender: OwnedUserId,
    /// Its type, as the client wrote it.
    pub event_type: String,
    /// Its state key, if it is a state event.
    pub state_key: Option<String>,
    /// Its content; from a client through [`canonical::canonical_object`].
    pub content: CanonicalJsonObject,
    /// The event it redacts. [`Event::build`] puts it where the room version wants it.
    pub redacts: Option<OwnedEventId>,
    /// The newest events of the room.
    pub prev_events: Vec<OwnedEventId>,
    /// The events that authorise it, as [`crate::authorization::auth_types`] selects them.
    pub auth_events: Vec<OwnedEventId>,
    /// One more than the deepest of `prev_events`.
    pub depth: u64,
    /// When it was made.
    pub origin_server_ts: MilliSecondsSinceUnixEpoch,
}

/// One event of a room. Immutable.
#[derive(Debug, Clone)]
pub struct Event {
    event_id: OwnedEventId,
    room_id: OwnedRoomId,
    sender: OwnedUserId,
    event_type: Box<str>,
    state_key: Option<String>,
    origin_server_ts: MilliSecondsSinceUnixEpoch,
    depth: u64,
    prev_events: Vec<OwnedEventId>,
    auth_events: Vec<OwnedEventId>,
    redacts: Option<OwnedEventId>,
    redacts_in_content: bool,
    /// Where in `json` the content begins and ends.
    content: (usize, usize),
    json: Bytes,
    room_id_in_json: bool,
    rejected: bool,
    /// Of an `m.room.power_levels` event, once somebody asked: every event of the room is weighed by them.
    levels: OnceLock<Result<Arc<Levels>, Box<Refused>>>,
}

impl Event {
    /// Makes an event of this server: canonical JSON, content hash, signature, event id.
    ///
    /// # Errors
    /// [`Refused::TooLarge`] if a limit of the specification is exceeded; [`Refused::BadJson`] if it names too
    /// many events, or redacts without being a redaction.
    pub fn build(
        draft: Draft,
        key: &SigningKey,
        server: &ServerName,
        rules: &RoomVersionRules,
    ) -> Result<Self, Refused> {
        let draft = placed_redacts(draft, rules)?;
        check_lengths(&draft)?;
        let redacts_at_top = draft.redacts.is_some() && !rules.redaction.content_field_redacts;
        let parts = Parts::of(&draft, redacts_at_top);

        let mut content = Vec::with_capacity(256);
        canonical::write(&mut content, &draft.content);
        let hash = Base64::<Standard, _>::new(parts.content_hash(&content)).encode();
        let hashes = format!(r#","hashes":{{"sha256":"{hash}"}}"#);

        // One form is signed and named: the redacted event without signatures.
        let kept = redaction::redacted_content(&draft.event_type, &draft.content, rules);
        let signed = parts.join(&kept, &hashes, false, "");
        let event_id = event_id_of(&Sha256::digest(&signed).into(), rules)?;
        let signature = key.sign(&signed);
        let signatures =
            format!(r#","signatures":{{"{server}":{{"{}":"{signature}"}}}}"#, key.key_id().as_str());

        let json = parts.join(&content, &hashes, true, &signatures);
        if json.len() > PDU_BYTES_MAX {
            return Err(Refused::TooLarge { what: "event", bytes: json.len(), bytes_max: PDU_BYTES_MAX });
        }
        let room_id_in_json = draft.room_id.is_some();
        let room_id = match draft.room_id {
            Some(room_id) => room_id,
            None => room_id_of(&event_id)?,
        };
        Ok(Self {
            event_id,
            room_id,
            sender: draft.sender,
            event_type: draft.event_type.into(),
            state_key: draft.state_key,
            origin_server_ts: draft.origin_server_ts,
            depth: draft.depth,
            prev_events: draft.prev_events,
            auth_events: draft.auth_events,
            redacts: draft.redacts,
            redacts_in_content: rules.redaction.content_field_redacts,
            content: (parts.head.len(), parts.head.len() + content.len()),
            json: json.into(),
            room_id_in_json,
            rejected: false,
            levels: OnceLock::new(),
        })
    }

    /// Reads an event that this server stored itself: trusted, nothing is hashed or verified.
    ///
    /// # Errors
    /// [`Refused::BadJson`] if it is not a PDU after all.
    pub fn parse(event_id: OwnedEventId, json: Bytes, rules: &RoomVersionRules) -> Result<Self, Refused> {
        let bad = |error: serde_json::Error| Refused::BadJson(error.to_string());
        let header: Header<'_> = serde_json::from_slice(&json).map_err(bad)?;
        let start = header.content.get().as_ptr() as usize - json.as_ptr() as usize;
        let content = (start, start + header.content.get().len());
        let redacts = match header.event_type.as_str() {
            "m.room.redaction" => redacts_of(&header, rules),
            _ => None,
        };
        let room_id_in_json = header.room_id.is_some();
        let room_id = match header.room_id {
            Some(room_id) => room_id,
            None if header.event_type == "m.room.create" => room_id_of(&event_id)?,
            None => return Err(Refused::BadJson("an event has a room id".to_owned())),
        };
        Ok(Self {
            event_id,
            room_id,
            sender: header.sender,
            event_type: header.event_type.into(),
            state_key: header.state_key,
            origin_server_ts: header.origin_server_ts,
            depth: header.depth,
            prev_events: header.prev_events,
            auth_events: header.auth_events,
            redacts,
            redacts_in_content: rules.redaction.content_field_redacts,
            content,
            room_id_in_json,
            rejected: false,
            levels: OnceLock::new(),
            json,
        })
    }

    /// Takes a PDU from another server: checks its form, its signatures and its hash.
    ///
    /// A wrong content hash leaves the redacted form, as the specification wants; a wrong or missing signature
    /// of a server that must have signed refuses the event. `keys` has the keys of those servers, which
    /// [`required_signers`] tells, as far as they were valid at the event's time. `unsigned` is dropped.
    ///
    /// # Errors
    /// [`Refused::NotJson`], [`Refused::BadJson`], [`Refused::TooLarge`] or [`Refused::Signature`].
    pub fn verify(json: &[u8], keys: &PublicKeyMap, rules: &RoomVersionRules) -> Result<Self, Refused> {
        verify::verify(json, keys, rules)
    }

    /// The same event, marked as rejected by the authorization rules.
    #[must_use]
    pub fn with_rejected(mut self, rejected: bool) -> Self {
        self.rejected = rejected;
        self
    }

    /// About how many bytes it takes in memory behind an `Arc`, for a cache's budget.
    pub fn weight(&self) -> usize {
        let ids = |ids: &Vec<OwnedEventId>| {
            let texts = ids.iter().map(|id| allocated(id.as_str().len())).sum::<usize>();
            weight::list::<OwnedEventId>(ids.capacity()) + texts
        };
        let texts = [self.event_id.as_str(), self.room_id.as_str(), self.sender.as_str(), &self.event_type];
        let texts = texts.into_iter().map(|text| allocated(text.len())).sum::<usize>();
        let state_key = self.state_key.as_ref().map_or(0, |key| allocated(key.capacity()));
        let redacts = self.redacts.as_ref().map_or(0, |id| allocated(id.as_str().len()));
        let levels =
            if *self.event_type == *"m.room.power_levels" { LEVELS_FACTOR * self.content_bytes() } else { 0 };
        let lists = ids(&self.prev_events) + ids(&self.auth_events);
        let json = allocated(self.json.len()) + SHARED_BYTES;
        weight::shared::<Self>() + texts + state_key + redacts + lists + json + levels
    }

    fn content_bytes(&self) -> usize {
        self.content.1 - self.content.0
    }

    /// The event id.
    pub fn event_id(&self) -> &EventId {
        &self.event_id
    }

    /// The room; of a version 12 create event the one that the event id makes.
    pub fn room_id(&self) -> &RoomId {
        &self.room_id
    }

    /// Who sent it.
    pub fn sender(&self) -> &UserId {
        &self.sender
    }

    /// Its type, as its sender wrote it.
    ///
    /// Text, not ruma's enum: that takes some unstable names for their stable ones and forgets which it was.
    pub fn event_type(&self) -> &str {
        &self.event_type
    }

    /// Its state key, if it is a state event.
    pub fn state_key(&self) -> Option<&str> {
        self.state_key.as_deref()
    }

    /// Its place in a room's state, if it is a state event.
    pub fn state_place(&self) -> Option<(&str, &str)> {
        Some((self.event_type(), self.state_key()?))
    }

    /// When its server says it was made.
    pub fn origin_server_ts(&self) -> MilliSecondsSinceUnixEpoch {
        self.origin_server_ts
    }

    /// Its depth in the room's graph.
    pub fn depth(&self) -> u64 {
        self.depth
    }

    /// The events right before it.
    pub fn prev_events(&self) -> &[OwnedEventId] {
        &self.prev_events
    }

    /// The events that authorise it.
    pub fn auth_events(&self) -> &[OwnedEventId] {
        &self.auth_events
    }

    /// Whether the PDU has a `room_id`; the create event of a version 12 room must not.
    pub fn names_room(&self) -> bool {
        self.room_id_in_json
    }

    /// What it redacts, wherever its room version keeps that.
    pub fn redacts(&self) -> Option<&EventId> {
        self.redacts.as_deref()
    }

    /// Whether [`Event::redacts`] stands in the content (since room version 11) or at the top.
    pub fn redacts_in_content(&self) -> bool {
        self.redacts_in_content
    }

    /// Whether the authorization rules rejected it.
    pub fn rejected(&self) -> bool {
        self.rejected
    }

    /// The canonical bytes of the PDU, without `unsigned`.
    pub fn json(&self) -> &Bytes {
        &self.json
    }

    /// [`Event::json`] as text.
    pub fn json_str(&self) -> &str {
        str::from_utf8(&self.json).unwrap_or("{}")
    }

    /// The canonical JSON of the content: a slice of [`Event::json`], nearly free.
    pub fn content_str(&self) -> &str {
        str::from_utf8(&self.json[self.content.0..self.content.1]).unwrap_or("{}")
    }

    /// The content for serde and ruma. Looks over the bytes once; prefer [`Event::content_str`] to copy them.
    pub fn content(&self) -> &RawValue {
        serde_json::from_str(self.content_str()).unwrap_or(RawValue::NULL)
    }

    /// The power levels that an `m.room.power_levels` event sets. Read once, for the version of its room.
    ///
    /// # Errors
    /// As [`Levels::of`].
    pub fn levels(&self, rules: &RoomVersionRules) -> Result<Arc<Levels>, Refused> {
        let levels = self.levels.get_or_init(|| Levels::of(self, rules).map(Arc::new).map_err(Box::new));
        levels.clone().map_err(|refused| *refused)
    }

    /// Reads the content as `T`.
    ///
    /// # Errors
    /// [`Refused::BadJson`] if it does not have that shape.
    pub fn content_as<'a, T: Deserialize<'a>>(&'a self) -> Result<T, Refused> {
        serde_json::from_str(self.content_str())
            .map_err(|error| Refused::BadJson(format!("{}: {error}", self.event_type)))
    }
}

/// What [`Event::parse`] reads of a PDU.
#[derive(Deserialize)]
struct Header<'a> {
    auth_events: Vec<OwnedEventId>,
    #[serde(borrow)]
    content: &'a RawValue,
    depth: u64,
    origin_server_ts: MilliSecondsSinceUnixEpoch,
    prev_events: Vec<OwnedEventId>,
    redacts: Option<Value>,
    room_id: Option<OwnedRoomId>,
    sender: OwnedUserId,
    state_key: Option<String>,
    #[serde(rename = "type")]
    event_type: String,
}

/// What a redaction redacts; what is no event id redacts nothing.
fn redacts_of(header: &Header<'_>, rules: &RoomVersionRules) -> Option<OwnedEventId> {
    let redacts = if rules.redaction.content_field_redacts {
        serde_json::from_str::<RedactionContent>(header.content.get()).ok()?.redacts
    } else {
        header.redacts.clone()
    };
    EventId::parse(redacts?.as_str()?).ok()
}

#[derive(Deserialize)]
struct RedactionContent {
    redacts: Option<Value>,
}

/// The canonical PDU in pieces, in the order of its keys; what lies between them differs by purpose.
struct Parts {
    /// `{"auth_events":[…],"content":`
    head: String,
    /// `,"depth":…`
    depth: String,
    /// `,"origin_server_ts":…,"prev_events":[…]`
    origin: String,
    /// `,"redacts":"…"` before room version 11; redaction takes it away.
    redacts: String,
    /// `,"room_id":"…","sender":"…"`
    sender: String,
    /// `,"state_key":"…","type":"…"}`
    tail: String,
}

impl Parts {
    fn of(draft: &Draft, redacts_at_top: bool) -> Self {
        let mut sender = String::new();
        if let Some(room_id) = &draft.room_id {
            sender = format!(r#","room_id":{}"#, quoted(room_id.as_str()));
        }
        sender.push_str(r#","sender":"#);
        sender.push_str(&quoted(draft.sender.as_str()));
        let mut tail = String::new();
        if let Some(state_key) = &draft.state_key {
            tail = format!(r#","state_key":{}"#, quoted(state_key));
        }
        tail.push_str(r#","type":"#);
        tail.push_str(&quoted(&draft.event_type));
        tail.push('}');
        let redacts = match &draft.redacts {
            Some(redacts) if redacts_at_top => format!(r#","redacts":{}"#, quoted(redacts.as_str())),
            _ => String::new(),
        };
        Self {
            head: format!(r#"{{"auth_events":{},"content":"#, list(&draft.auth_events)),
            depth: format!(r#","depth":{}"#, draft.depth),
            origin: format!(
                r#","origin_server_ts":{},"prev_events":{}"#,
                draft.origin_server_ts.0,
                list(&draft.prev_events)
            ),
            redacts,
            sender,
            tail,
        }
    }

    fn content_hash(&self, content: &[u8]) -> [u8; 32] {
        let mut hash = Sha256::new();
        for piece in [
            self.head.as_bytes(),
            content,
            self.depth.as_bytes(),
            self.origin.as_bytes(),
            self.redacts.as_bytes(),
            self.sender.as_bytes(),
            self.tail.as_bytes(),
        ] {
            hash.update(piece);
        }
        hash.finalize().into()
    }

    fn join(&self, content: &[u8], hashes: &str, with_redacts: bool, signatures: &str) -> Vec<u8> {
        let redacts: &str = if with_redacts { &self.redacts } else { "" };
        [
            self.head.as_bytes(),
            content,
            self.depth.as_bytes(),
            hashes.as_bytes(),
            self.origin.as_bytes(),
            redacts.as_bytes(),
            self.sender.as_bytes(),
            signatures.as_bytes(),
            self.tail.as_bytes(),
        ]
        .concat()
    }
}

fn list(ids: &[OwnedEventId]) -> String {
    quoted(ids)
}

fn quoted<T: serde::Serialize + ?Sized>(value: &T) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

/// Puts `redacts` where the room version keeps it: into the content since 11. A redaction whose content names
/// its target already is taken at its word, as [`Event::parse`] will.
fn placed_redacts(mut draft: Draft, rules: &RoomVersionRules) -> Result<Draft, Refused> {
    if draft.event_type != "m.room.redaction" {
        if draft.redacts.is_some() {
            return Err(Refused::BadJson(format!("{} is no redaction", draft.event_type)));
        }
    } else if rules.redaction.content_field_redacts {
        match &draft.redacts {
            Some(redacts) => {
                draft.content.insert("redacts".to_owned(), redacts.as_str().into());
            }
            None => {
                let redacts = draft.content.get("redacts").and_then(CanonicalJsonValue::as_str);
                draft.redacts = redacts.and_then(|id| EventId::parse(id).ok());
            }
        }
    }
    draft.depth = draft.depth.min(DEPTH_MAX);
    Ok(draft)
}

fn check_lengths(draft: &Draft) -> Result<(), Refused> {
    let fields = [
        ("sender", draft.sender.as_str()),
        ("room_id", draft.room_id.as_ref().map_or("", |id| id.as_str())),
        ("state_key", draft.state_key.as_deref().unwrap_or_default()),
        ("type", &draft.event_type),
        ("redacts", draft.redacts.as_ref().map_or("", |id| id.as_str())),
    ];
    for (what, value) in fields {
        if value.len() > FIELD_BYTES_MAX {
            return Err(Refused::TooLarge { what, bytes: value.len(), bytes_max: FIELD_BYTES_MAX });
        }
    }
    let counts = [
        ("prev_events", draft.prev_events.len(), PREV_EVENTS_MAX),
        ("auth_events", draft.auth_events.len(), AUTH_EVENTS_MAX),
    ];
    for (what, count, count_max) in counts {
        if count > count_max {
            return Err(Refused::BadJson(format!("{what} names {count} events, at most {count_max} may")));
        }
    }
    Ok(())
}

fn event_id_of(hash: &[u8; 32], rules: &RoomVersionRules) -> Result<OwnedEventId, Refused> {
    let hash = match rules.event_id_format {
        EventIdFormatVersion::V3 => Base64::<UrlSafe, _>::new(&hash[..]).encode(),
        _ => Base64::<Standard, _>::new(&hash[..]).encode(),
    };
    EventId::parse(format!("${hash}")).map_err(|error| Refused::BadJson(error.to_string()))
}

/// The id of a room that is named after its create event.
fn room_id_of(create: &EventId) -> Result<OwnedRoomId, Refused> {
    let hash = create.as_str().trim_start_matches('$');
    RoomId::parse(format!("!{hash}")).map_err(|error| Refused::BadJson(error.to_string()))
}
