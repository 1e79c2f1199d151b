//! `POST /_matrix/client/v3/rooms/{roomId}/upgrade`: a room in a newer version takes the place of an old
//! one.

use std::{collections::BTreeSet, sync::Arc};

use rules::{canonical, power_levels::PowerLevels, versions};
use ruma::{
    CanonicalJsonObject, CanonicalJsonValue, Int, OwnedRoomId, OwnedUserId, RoomVersionId,
    events::room::member::MembershipState, room_version_rules::RoomVersionRules,
};
use serde_json::json;

use super::{
    Chain, Intent, Room,
    chain::{ATTEMPTS_MAX, Failed},
    create::{Piece, Plan, create_content, raise_tombstone},
    effects::MemberContent,
    membership, moving, state,
};
use crate::{
    Home,
    refusal::{Answer, Refusal},
    who::Device,
};

/// State events that are taken along, bans and children of a space included.
const EVENTS_MAX: usize = 2_000;

/// State that is taken along, in the order in which the new room gets it.
const TAKEN_ALONG: [&str; 9] = [
    "m.room.join_rules",
    "m.room.history_visibility",
    "m.room.guest_access",
    "m.room.server_acl",
    "m.room.encryption",
    "m.room.name",
    "m.room.topic",
    "m.room.avatar",
    "m.room.canonical_alias",
];

/// Puts a new room of `version` in the place of `old`, and answers its id. The new room begins and the old
/// one ends in one batch.
///
/// # Errors
/// `M_UNSUPPORTED_ROOM_VERSION`, `M_FORBIDDEN` to who may not send m.room.tombstone.
pub async fn upgrade(
    home: &Home,
    who: &Device,
    old: &Arc<Room>,
    version: &RoomVersionId,
    additional_creators: Vec<OwnedUserId>,
) -> Answer<OwnedRoomId> {
    who.may_act()?;
    let rules = versions::rules(version)?;
    for _ in 0..ATTEMPTS_MAX {
        let mut chain = Chain::on(home, old).await?;
        let plan = Successor { home, who, old, chain: &chain, version, rules };
        let born = plan.plan(&additional_creators).await?.build(home).await?;
        let (key, new) = chain.together_with(born)?;
        bury(&mut chain, who, &new).await?;
        quieten(&mut chain, who).await?;
        store::aliases::move_all(chain.batch(), old.key, key);
        store::rooms::set_public(chain.batch(), old.key.into(), false);
        moving::settings(home, chain.batch(), who.user(), old, (key.into(), &new)).await?;
        match chain.commit().await {
            Ok(_) => return Ok(new),
            Err(Failed::Overtaken) => {}
            Err(Failed::Broken(error)) => return Err(error.into()),
        }
    }
    Err(Failed::Overtaken.into())
}

/// Says in the old room where it goes on.
async fn bury(chain: &mut Chain, who: &Device, new: &OwnedRoomId) -> Answer<()> {
    let content = json!({ "body": "This room has been replaced", "replacement_room": new });
    let content = canonical::object_of(&content)?;
    chain.push(Intent::state(who.user(), "m.room.tombstone", "", content)).await.map(drop)
}

/// Makes the old room one in which only few can talk, and which has no alias: as far as `who` may.
async fn quieten(chain: &mut Chain, who: &Device) -> Answer<()> {
    let levels = chain.state("m.room.power_levels", "").await?;
    if let Some(levels) = levels {
        let mut content: CanonicalJsonObject = levels.content_as()?;
        let users_default = level_of(&content, "users_default").unwrap_or(0);
        let muted = users_default.saturating_add(1).max(50);
        for key in ["events_default", "invite"] {
            let level = level_of(&content, key).unwrap_or(0).max(muted);
            content.insert(key.to_owned(), Int::new_saturating(level).into());
        }
        push_if_allowed(chain, Intent::state(who.user(), "m.room.power_levels", "", content)).await?;
    }
    if chain.state("m.room.canonical_alias", "").await?.is_some() {
        let none = CanonicalJsonObject::new();
        push_if_allowed(chain, Intent::state(who.user(), "m.room.canonical_alias", "", none)).await?;
    }
    Ok(())
}

async fn push_if_allowed(chain: &mut Chain, intent: Intent) -> Answer<()> {
    match chain.push(intent).await {
        Err(refusal) if refusal.errcode != "M_FORBIDDEN" => Err(refusal),
        _ => Ok(()),
    }
}

/// A level in the content of m.room.power_levels; before room version 10 it may be text.
fn level_of(content: &CanonicalJsonObject, key: &str) -> Option<i64> {
    level(content.get(key)?)
}

fn level(value: &CanonicalJsonValue) -> Option<i64> {
    match value {
        CanonicalJsonValue::Integer(level) => Some((*level).into()),
        CanonicalJsonValue::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}

/// The room that is to be.
struct Successor<'a> {
    home: &'a Home,
    who: &'a Device,
    old: &'a Room,
    chain: &'a Chain,
    version: &'a RoomVersionId,
    rules: &'static RoomVersionRules,
}

impl Successor<'_> {
    async fn plan(&self, additional_creators: &[OwnedUserId]) -> Answer<Plan> {
        let create = self.create(additional_creators).await?;
        let (first, last) = self.power_levels(&create).await?;
        let mut pieces = vec![Piece::new("m.room.power_levels", first)];
        for event_type in TAKEN_ALONG {
            if let Some(event) = self.chain.state(event_type, "").await? {
                pieces.push(Piece::new(event_type, self.adapted(event_type, event.content_as()?)));
            }
        }
        pieces.extend(self.many(additional_creators).await?);
        pieces.push(Piece::new("m.room.power_levels", last));
        let stored = store::rooms::by_key(&self.home.db, self.old.key).await?;
        let join = membership::content(self.home, self.who.user(), &MembershipState::Join).await?;
        Ok(Plan {
            creator: self.who.user_id.clone(),
            version: self.version.clone(),
            public: stored.is_some_and(|room| room.public),
            alias: None,
            create,
            join,
            pieces,
            invites: Vec::new(),
            txn: None,
        })
    }

    async fn create(&self, additional_creators: &[OwnedUserId]) -> Answer<CanonicalJsonObject> {
        let old = self.chain.state("m.room.create", "").await?;
        let old: CanonicalJsonObject = old.map(|event| event.content_as()).transpose()?.unwrap_or_default();
        let mut predecessor = json!({ "room_id": self.old.room_id });
        if !self.rules.authorization.room_create_event_id_as_room_id {
            // The last event before the tombstone, whose id is not known yet.
            let last = self.chain.head().extremities.first();
            predecessor["event_id"] = last.map(|event_id| event_id.as_str()).into();
        }
        let mut content = canonical::object_of(&json!({ "predecessor": predecessor }))?;
        for key in ["type", "m.federate"] {
            if let Some(value) = old.get(key) {
                content.insert(key.to_owned(), value.clone());
            }
        }
        create_content(self.who.user(), self.version, self.rules, content, additional_creators)
    }

    /// The power levels with which the new room is filled, and those that it has in the end.
    async fn power_levels(
        &self,
        create: &CanonicalJsonObject,
    ) -> Answer<(CanonicalJsonObject, CanonicalJsonObject)> {
        let event = self.chain.state("m.room.power_levels", "").await?;
        let old_create = self.chain.state("m.room.create", "").await?;
        let old_create = old_create.ok_or_else(|| Refusal::broken("a room without m.room.create"))?;
        let old = PowerLevels::of(&old_create, event.as_deref(), self.chain.rules)?;
        let mut last: CanonicalJsonObject =
            event.map(|event| event.content_as()).transpose()?.unwrap_or_default();
        to_integers(&mut last);
        let highest = highest(&last).max(100);
        let mut users = match last.remove("users") {
            Some(CanonicalJsonValue::Object(users)) => users,
            _ => CanonicalJsonObject::new(),
        };
        if self.rules.authorization.explicitly_privilege_room_creators {
            let more = create.get("additional_creators").and_then(CanonicalJsonValue::as_array);
            let more = more.into_iter().flatten().filter_map(CanonicalJsonValue::as_str);
            for creator in more.chain([self.who.user_id.as_str()]) {
                users.remove(creator);
            }
            last.insert("users".to_owned(), users.into());
            raise_tombstone(&mut last);
            return Ok((last.clone(), last));
        }
        // Those whom no number could measure in the old room get the highest there is.
        let creators = old.creators().users().iter().filter(|_| self.creators_reigned());
        for creator in creators {
            users.insert(creator.to_string(), Int::new_saturating(highest).into());
        }
        last.insert("users".to_owned(), users.into());
        let first = json!({ "users": { self.who.user_id.as_str(): highest } });
        Ok((canonical::object_of(&first)?, last))
    }

    fn creators_reigned(&self) -> bool {
        self.chain.rules.authorization.explicitly_privilege_room_creators
    }

    /// Content as the new version understands it.
    fn adapted(&self, event_type: &str, mut content: CanonicalJsonObject) -> CanonicalJsonObject {
        let rules = &self.rules.authorization;
        if event_type == "m.room.join_rules" {
            let known = match content.get("join_rule").and_then(CanonicalJsonValue::as_str) {
                Some("knock") => rules.knocking,
                Some("restricted") => rules.restricted_join_rule,
                Some("knock_restricted") => rules.knock_restricted_join_rule,
                _ => true,
            };
            if !known {
                content.insert("join_rule".to_owned(), "invite".into());
            }
        }
        content
    }

    /// State that a room has many of: bans, and the children of a space. Creators can not be banned.
    async fn many(&self, additional_creators: &[OwnedUserId]) -> Answer<Vec<Piece>> {
        let wanted = |event_type: &str| matches!(event_type, "m.room.member" | "m.space.child");
        let entries = state::entries(self.home, self.chain.head().root, wanted).await?;
        let mut pieces = Vec::new();
        for entry in entries {
            let event = state::event_by_id(self.home, self.old, &entry.event_id).await?;
            let Some((event_type, state_key)) = event.state_place() else { continue };
            let banned = || {
                let content = event.content_as::<MemberContent>();
                content.is_ok_and(|content| content.membership == MembershipState::Ban)
            };
            let mut content: CanonicalJsonObject = event.content_as()?;
            let keep = match event_type {
                "m.room.member" => {
                    banned() && !additional_creators.iter().any(|creator| creator.as_str() == state_key)
                }
                _ => !content.is_empty(),
            };
            if keep && pieces.len() < EVENTS_MAX {
                if event_type == "m.room.member" {
                    content.retain(|key, _| matches!(&**key, "membership" | "reason"));
                }
                let (event_type, state_key) = (event_type.to_owned(), state_key.to_owned());
                pieces.push(Piece { event_type, state_key, content });
            }
        }
        Ok(pieces)
    }
}

/// Levels that are text become numbers; what is neither is left out.
fn to_integers(content: &mut CanonicalJsonObject) {
    let maps: BTreeSet<&str> = ["events", "users", "notifications"].into();
    content.retain(|key, value| match value {
        CanonicalJsonValue::Object(levels) if maps.contains(&**key) => {
            levels.retain(|_, value| to_integer(value));
            true
        }
        CanonicalJsonValue::Object(_) => false,
        value => to_integer(value),
    });
}

fn to_integer(value: &mut CanonicalJsonValue) -> bool {
    let level = level(value).map(Int::new_saturating);
    if let Some(level) = level {
        *value = level.into();
    }
    level.is_some()
}

/// The highest level that occurs anywhere.
fn highest(content: &CanonicalJsonObject) -> i64 {
    let of = |value: &CanonicalJsonValue| match value {
        CanonicalJsonValue::Object(levels) => levels.values().filter_map(level).max(),
        value => level(value),
    };
    content.values().filter_map(of).max().unwrap_or(0)
}
