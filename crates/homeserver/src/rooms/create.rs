//! `POST /_matrix/client/v3/createRoom`: a room with its first events, all of them or none.

use std::sync::atomic::{AtomicI64, Ordering};

use rules::{canonical, versions};
use ruma::{
    CanonicalJsonObject, CanonicalJsonValue, MilliSecondsSinceUnixEpoch, OwnedRoomAliasId, OwnedRoomId,
    OwnedUserId, RoomAliasId, RoomId, RoomVersionId, UInt, UserId,
    api::client::room::{
        Visibility,
        create_room::v3::{Request, RoomPreset},
    },
    events::room::member::MembershipState,
    room_version_rules::RoomVersionRules,
};
use serde::Deserialize;
use serde_json::{json, value::RawValue};

use crate::{
    Home,
    refusal::{Answer, Refusal},
    rooms::{
        Chain, Intent, Txn,
        chain::{self, Failed},
        membership::{self, reachable},
        memory, third_party,
    },
    who::Device,
};

/// Events in `initial_state`.
const INITIAL_STATE_MAX: usize = 500;

/// Users that a room may be created with.
const INVITES_MAX: usize = 500;

/// How often a room is built anew because its id was taken.
const ATTEMPTS_MAX: usize = 32;

/// Letters of a room id before version 12.
const ROOM_ID_LETTERS: usize = 18;

/// When the last room was created.
///
/// From version 12 on the hash of the create event names the room, and nothing in it but the time tells
/// apart two rooms that one user makes alike: no two rooms are made in the same millisecond.
#[derive(Debug, Default)]
pub struct Births(AtomicI64);

impl Births {
    fn next(&self, home: &Home) -> MilliSecondsSinceUnixEpoch {
        let now_ms = home.clock.now_ms();
        let next = |last: i64| Some(now_ms.max(last + 1));
        let last_ms = self.0.fetch_update(Ordering::SeqCst, Ordering::SeqCst, next).unwrap_or(now_ms);
        let born_ms = now_ms.max(last_ms + 1);
        MilliSecondsSinceUnixEpoch(UInt::new_saturating(u64::try_from(born_ms).unwrap_or(0)))
    }
}

/// Creates a room and answers its id once it is durable; that of the same room in the same transaction.
///
/// # Errors
/// `M_UNSUPPORTED_ROOM_VERSION`, `M_ROOM_IN_USE` if the alias is taken, `M_INVALID_ROOM_STATE` if the
/// events do not hold together, `M_BAD_JSON`, `M_TOO_LARGE`. There is no room then.
pub async fn create(home: &Home, who: &Device, mut ask: Request, txn: Option<Txn>) -> Answer<OwnedRoomId> {
    who.may_act()?;
    let _alone = chain::alone(home, who.user(), txn.as_ref()).await;
    if let Some(room_id) = created_before(home, who, txn.as_ref()).await? {
        return Ok(room_id);
    }
    let (known, unknown) = third_party::sort(home, std::mem::take(&mut ask.invite_3pid)).await?;
    ask.invite.extend(known);
    let plan = Plan { txn, ..Plan::of(home, who.user(), ask).await? };
    for _ in 0..ATTEMPTS_MAX {
        if let Some(alias) = &plan.alias
            && store::aliases::get(&home.db, alias.as_str()).await?.is_some()
        {
            return Err(Refusal::room_in_use(format!("The alias {alias} is taken")));
        }
        let mut chain = plan.build(home).await.map_err(state_refused)?;
        third_party::offer(home, &mut chain, who, &unknown).await?;
        let room_id = chain.room_id().cloned().ok_or_else(|| Refusal::broken("a room without an id"))?;
        match chain.commit().await {
            Ok(_) => return Ok(room_id),
            // The alias or the id is taken, which the next round tells; or the transaction is done.
            Err(Failed::Overtaken) => {
                if let Some(room_id) = created_before(home, who, plan.txn.as_ref()).await? {
                    return Ok(room_id);
                }
            }
            Err(Failed::Broken(error)) => return Err(error.into()),
        }
    }
    Err(Refusal::unavailable("No free id for the room was found; try again in a moment"))
}

/// The room that an earlier request with the same transaction id created.
async fn created_before(home: &Home, who: &Device, txn: Option<&Txn>) -> Answer<Option<OwnedRoomId>> {
    let Some(event_id) = chain::done_before(home, who.user(), txn).await? else { return Ok(None) };
    let Some(create) = store::events::by_id(&home.db, event_id.as_str()).await? else { return Ok(None) };
    Ok(Some(memory::find_by_key(home, create.room).await?.room_id.clone()))
}

/// What the rules do not allow to happen in the new room is a fault of the request.
fn state_refused(refusal: Refusal) -> Refusal {
    if refusal.errcode == "M_FORBIDDEN" { Refusal::invalid_room_state(refusal.message) } else { refusal }
}

/// A state event of the new room.
pub(super) struct Piece {
    pub(super) event_type: String,
    pub(super) state_key: String,
    pub(super) content: CanonicalJsonObject,
}

impl Piece {
    pub(super) fn new(event_type: &str, content: CanonicalJsonObject) -> Self {
        Piece { event_type: event_type.to_owned(), state_key: String::new(), content }
    }

    fn is(&self, event_type: &str) -> bool {
        self.event_type == event_type && self.state_key.is_empty()
    }
}

/// A room that is to be, checked and completed: everything but the ids.
pub(super) struct Plan {
    pub(super) creator: OwnedUserId,
    pub(super) version: RoomVersionId,
    /// Whether it is listed in the directory.
    pub(super) public: bool,
    pub(super) alias: Option<OwnedRoomAliasId>,
    /// The content of m.room.create.
    pub(super) create: CanonicalJsonObject,
    /// The content of the creator's join.
    pub(super) join: CanonicalJsonObject,
    /// Everything between the join and the invites, in the order of the specification.
    pub(super) pieces: Vec<Piece>,
    pub(super) invites: Vec<(OwnedUserId, CanonicalJsonObject)>,
    /// The transaction it is asked for in.
    pub(super) txn: Option<Txn>,
}

impl Plan {
    async fn of(home: &Home, creator: &UserId, ask: Request) -> Answer<Self> {
        check_limits(home, &ask)?;
        let version = ask.room_version.clone().unwrap_or_else(|| home.config.default_room_version.clone());
        let rules = versions::rules(&version)?;
        let public = ask.visibility == Visibility::Public;
        let preset = preset_of(&ask)?;
        let mut invited: Vec<OwnedUserId> = Vec::with_capacity(ask.invite.len());
        for user in &ask.invite {
            if !invited.contains(user) {
                invited.push(user.clone());
            }
        }
        let alias = ask.room_alias_name.as_deref().map(|name| alias_named(home, name)).transpose()?;
        let initial = initial_state(&ask, alias.as_deref())?;
        // All who are invited into a room of trust have the creator's power.
        let trusted: &[OwnedUserId] = if preset == RoomPreset::TrustedPrivateChat { &invited } else { &[] };
        let create = create_content(creator, &version, rules, content_of(&ask.creation_content)?, trusted)?;
        let levels = content_of(&ask.power_level_content_override)?;
        let levels = power_levels(creator, rules, &preset, &initial, levels, trusted)?;
        let pieces = pieces(&ask, &preset, alias.as_deref(), levels, initial)?;
        let mut invites = Vec::with_capacity(invited.len());
        for user in invited {
            membership::wants_invites(home, &user).await?;
            let mut content = membership::content(home, &user, &MembershipState::Invite).await?;
            if ask.is_direct {
                content.insert("is_direct".to_owned(), true.into());
            }
            invites.push((user, content));
        }
        let join = membership::content(home, creator, &MembershipState::Join).await?;
        let creator = creator.to_owned();
        Ok(Plan { creator, version, public, alias, create, join, pieces, invites, txn: None })
    }

    /// The room's first events, one on the other.
    pub(super) async fn build(&self, home: &Home) -> Answer<Chain> {
        let rules = versions::rules(&self.version)?;
        let room_id = if rules.authorization.room_create_event_id_as_room_id {
            None
        } else {
            let id = format!("!{}:{}", home.dice.letters(ROOM_ID_LETTERS), home.server_name());
            Some(RoomId::parse(id).map_err(|_| Refusal::broken("the server name makes no room id"))?)
        };
        let mut chain = Chain::new_room(home, &self.version, room_id)?;
        let creator = &*self.creator;
        let mut create = Intent::state(creator, "m.room.create", "", self.create.clone());
        create.origin_server_ts = Some(home.rooms.births.next(home));
        create.txn = self.txn.clone();
        chain.push(create).await?;
        chain.push(Intent::state(creator, "m.room.member", creator.as_str(), self.join.clone())).await?;
        for Piece { event_type, state_key, content } in &self.pieces {
            chain.push(Intent::state(creator, event_type, state_key, content.clone())).await?;
        }
        for (user, content) in &self.invites {
            chain.push(Intent::state(creator, "m.room.member", user.as_str(), content.clone())).await?;
        }
        let room = chain.room_key();
        if let Some(alias) = &self.alias {
            let now_ms = home.clock.now_ms();
            store::aliases::add(chain.batch(), alias.as_str(), room.clone(), creator.as_str(), now_ms);
        }
        if self.public {
            store::rooms::set_public(chain.batch(), room, true);
        }
        Ok(chain)
    }
}

fn check_limits(home: &Home, ask: &Request) -> Answer<()> {
    if ask.initial_state.len() > INITIAL_STATE_MAX {
        return Err(Refusal::too_large(format!("`initial_state` has at most {INITIAL_STATE_MAX} events")));
    }
    if ask.invite.len() > INVITES_MAX {
        return Err(Refusal::too_large(format!("`invite` has at most {INVITES_MAX} users")));
    }
    ask.invite.iter().try_for_each(|user| reachable(home, user))
}

/// The preset that is asked for, or that the visibility implies.
fn preset_of(ask: &Request) -> Answer<RoomPreset> {
    match &ask.preset {
        Some(
            preset @ (RoomPreset::PrivateChat | RoomPreset::PublicChat | RoomPreset::TrustedPrivateChat),
        ) => Ok(preset.clone()),
        Some(other) => Err(Refusal::bad_json(format!("There is no preset {:?}", other.as_str()))),
        None if ask.visibility == Visibility::Public => Ok(RoomPreset::PublicChat),
        None if ask.visibility == Visibility::Private => Ok(RoomPreset::PrivateChat),
        None => Err(Refusal::bad_json("`visibility` is public or private")),
    }
}

/// The alias of this server with this localpart.
fn alias_named(home: &Home, name: &str) -> Answer<OwnedRoomAliasId> {
    let bad = || Refusal::invalid_param(format!("{name:?} can not be the localpart of an alias"));
    if name.is_empty() || name.contains([':', '#', '\0']) || name.contains(char::is_whitespace) {
        return Err(bad());
    }
    RoomAliasId::parse(format!("#{name}:{}", home.server_name())).map_err(|_| bad())
}

fn content_of<T>(raw: &Option<ruma::serde::Raw<T>>) -> Answer<CanonicalJsonObject> {
    match raw {
        Some(raw) => Ok(canonical::canonical_object(raw.json().get().as_bytes())?),
        None => Ok(CanonicalJsonObject::new()),
    }
}

/// `initial_state`, checked as far as the rules of the room do not.
fn initial_state(ask: &Request, alias: Option<&RoomAliasId>) -> Answer<Vec<Piece>> {
    #[derive(Deserialize)]
    struct Given<'a> {
        #[serde(rename = "type")]
        event_type: String,
        #[serde(default)]
        state_key: String,
        #[serde(borrow)]
        content: &'a RawValue,
    }
    let mut pieces = Vec::with_capacity(ask.initial_state.len());
    for raw in &ask.initial_state {
        let given: Given<'_> = serde_json::from_str(raw.json().get())
            .map_err(|error| Refusal::bad_json(format!("`initial_state`: {error}")))?;
        let content = canonical::canonical_object(given.content.get().as_bytes())?;
        match &*given.event_type {
            "m.room.create" => {
                return Err(Refusal::invalid_room_state("`creation_content` says what m.room.create has"));
            }
            "m.room.member" => {
                return Err(Refusal::invalid_room_state("`invite` says who comes, not `initial_state`"));
            }
            "m.room.canonical_alias" if given.state_key.is_empty() => check_aliases(&content, alias)?,
            _ => {}
        }
        pieces.push(Piece { event_type: given.event_type, state_key: given.state_key, content });
    }
    Ok(pieces)
}

/// A new room has no alias but the one it is created with.
fn check_aliases(content: &CanonicalJsonObject, alias: Option<&RoomAliasId>) -> Answer<()> {
    let others = content.get("alt_aliases").and_then(CanonicalJsonValue::as_array).into_iter().flatten();
    let mut named =
        content.get("alias").into_iter().chain(others).filter(|value| **value != CanonicalJsonValue::Null);
    if named.all(|value| value.as_str().is_some() && value.as_str() == alias.map(RoomAliasId::as_str)) {
        return Ok(());
    }
    Err(Refusal::invalid_room_state(
        "m.room.canonical_alias names an alias that does not lead to the new room",
    ))
}

/// The content of m.room.create. `trusted` become creators where the room version has several.
pub(super) fn create_content(
    creator: &UserId,
    version: &RoomVersionId,
    rules: &RoomVersionRules,
    mut content: CanonicalJsonObject,
    trusted: &[OwnedUserId],
) -> Answer<CanonicalJsonObject> {
    if content.get("type").is_some_and(|value| value.as_str().is_none()) {
        return Err(Refusal::bad_json("`type` in `creation_content` is a string"));
    }
    if content.get("m.federate").is_some_and(|value| value.as_bool().is_none()) {
        return Err(Refusal::bad_json("`m.federate` in `creation_content` is a boolean"));
    }
    content.remove("creator");
    if !rules.authorization.use_room_create_sender {
        content.insert("creator".to_owned(), creator.as_str().into());
    }
    content.insert("room_version".to_owned(), version.as_str().into());
    if rules.authorization.additional_room_creators {
        let given = content.remove("additional_creators").unwrap_or(CanonicalJsonValue::Array(Vec::new()));
        let CanonicalJsonValue::Array(mut creators) = given else {
            return Err(Refusal::bad_json("`additional_creators` is a list of user ids"));
        };
        if creators.len() > INVITES_MAX {
            return Err(Refusal::too_large(format!("`additional_creators` has at most {INVITES_MAX} users")));
        }
        creators.extend(trusted.iter().map(|user| user.as_str().into()));
        let mut distinct: Vec<CanonicalJsonValue> = Vec::with_capacity(creators.len());
        for user in creators {
            if !distinct.contains(&user) {
                distinct.push(user);
            }
        }
        if !distinct.is_empty() {
            content.insert("additional_creators".to_owned(), distinct.into());
        }
    }
    Ok(content)
}

/// The power level of m.room.tombstone in rooms whose creators outrank every level.
const TOMBSTONE_LEVEL: i64 = 150;

/// The first power levels: the default ones or those of `initial_state`, and `given` on top of them.
fn power_levels(
    creator: &UserId,
    rules: &RoomVersionRules,
    preset: &RoomPreset,
    initial: &[Piece],
    given: CanonicalJsonObject,
    trusted: &[OwnedUserId],
) -> Answer<CanonicalJsonObject> {
    let creators_reign = rules.authorization.explicitly_privilege_room_creators;
    let mut users = CanonicalJsonObject::new();
    if !creators_reign {
        let rulers = std::iter::once(creator).chain(trusted.iter().map(|user| &**user));
        users.extend(rulers.map(|user| (user.to_string(), ruma::Int::from(100).into())));
    }
    let mut content = match initial.iter().find(|piece| piece.is("m.room.power_levels")) {
        Some(piece) => piece.content.clone(),
        None => canonical::object_of(&json!({
            "users": users, "users_default": 0, "events_default": 0, "state_default": 50,
            "ban": 50, "kick": 50, "redact": 50,
            "invite": if *preset == RoomPreset::PublicChat { 50 } else { 0 },
            "events": {
                "m.room.name": 50, "m.room.avatar": 50, "m.room.canonical_alias": 50,
                "m.room.power_levels": 100, "m.room.history_visibility": 100,
                "m.room.encryption": 100, "m.room.server_acl": 100, "m.room.tombstone": 100,
            },
        }))?,
    };
    let tombstone_given = tombstone_level(&given).is_some();
    content.extend(given);
    if creators_reign && !tombstone_given {
        raise_tombstone(&mut content);
    }
    Ok(content)
}

/// Lets only creators replace the room, as long as they do not give that power away.
pub(super) fn raise_tombstone(levels: &mut CanonicalJsonObject) {
    let state_default = levels.get("state_default").and_then(CanonicalJsonValue::as_integer);
    let above = state_default.map_or(50, i64::from).saturating_add(1);
    let level = ruma::Int::new_saturating(TOMBSTONE_LEVEL.max(above));
    let events = levels.entry("events".to_owned()).or_insert_with(|| CanonicalJsonObject::new().into());
    if let CanonicalJsonValue::Object(events) = events {
        events.insert("m.room.tombstone".to_owned(), level.into());
    }
}

fn tombstone_level(content: &CanonicalJsonObject) -> Option<&CanonicalJsonValue> {
    content.get("events")?.as_object()?.get("m.room.tombstone")
}

/// The events after the creator's join and before the invites, in the order of the specification.
fn pieces(
    ask: &Request,
    preset: &RoomPreset,
    alias: Option<&RoomAliasId>,
    levels: CanonicalJsonObject,
    initial: Vec<Piece>,
) -> Answer<Vec<Piece>> {
    let mut pieces = vec![Piece::new("m.room.power_levels", levels)];
    if let Some(alias) = alias {
        pieces.push(Piece::new("m.room.canonical_alias", canonical::object_of(&json!({ "alias": alias }))?));
    }
    let (join_rule, guest_access) = match preset {
        RoomPreset::PublicChat => ("public", "forbidden"),
        _ => ("invite", "can_join"),
    };
    for (event_type, content) in [
        ("m.room.join_rules", json!({ "join_rule": join_rule })),
        ("m.room.history_visibility", json!({ "history_visibility": "shared" })),
        ("m.room.guest_access", json!({ "guest_access": guest_access })),
    ] {
        if !initial.iter().any(|piece| piece.is(event_type)) {
            pieces.push(Piece::new(event_type, canonical::object_of(&content)?));
        }
    }
    pieces.extend(initial.into_iter().filter(|piece| !piece.is("m.room.power_levels")));
    if let Some(name) = &ask.name {
        pieces.push(Piece::new("m.room.name", canonical::object_of(&json!({ "name": name }))?));
    }
    if let Some(topic) = &ask.topic {
        let texts = json!({ "m.text": [{ "mimetype": "text/plain", "body": topic }] });
        let content = json!({ "topic": topic, "m.topic": texts });
        pieces.push(Piece::new("m.room.topic", canonical::object_of(&content)?));
    }
    Ok(pieces)
}
