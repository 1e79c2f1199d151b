//! Power levels as a room sees them.
//!
//! Spec: client-server API, `m.room.power_levels`; rooms/v10 (integers only), rooms/v12 (creators).

use std::{collections::BTreeMap, fmt, sync::Arc};

use ruma::{OwnedUserId, UserId, room_version_rules::RoomVersionRules};
use serde_json::{Map, Value};

use crate::{Refused, event::Event};

/// How much power a user has, or a deed needs. Creators since room version 12 have more than any number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Power {
    /// An ordinary level.
    Level(i64),
    /// A creator's.
    Infinite,
}

impl From<i64> for Power {
    fn from(level: i64) -> Self {
        Self::Level(level)
    }
}

impl fmt::Display for Power {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Level(level) => level.fmt(f),
            Self::Infinite => f.write_str("infinite"),
        }
    }
}

/// Who made a room, and whether that still means power.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Creators {
    users: Vec<OwnedUserId>,
    infinite: bool,
}

impl Creators {
    /// Reads them from the create event.
    ///
    /// # Errors
    /// [`Refused::Authorization`] if `additional_creators` is there in a room version that knows it and is not a
    /// list of user ids.
    pub fn of(create: &Event, rules: &RoomVersionRules) -> Result<Self, Refused> {
        let rules = &rules.authorization;
        if rules.use_room_create_sender && !rules.additional_room_creators {
            return Ok(Self { users: vec![create.sender().to_owned()], infinite: false });
        }
        let mut content: Map<String, Value> = create.content_as()?;
        let mut users = Vec::new();
        if rules.use_room_create_sender {
            users.push(create.sender().to_owned());
        } else if let Some(creator) = content.get("creator").and_then(Value::as_str) {
            // A creator that is not a user id is nobody.
            users.extend(UserId::parse(creator));
        }
        if rules.additional_room_creators
            && let Some(more) = content.remove("additional_creators")
        {
            let more: Vec<OwnedUserId> = serde_json::from_value(more).map_err(|_| {
                Refused::Authorization("additional_creators is not a list of user ids".to_owned())
            })?;
            users.extend(more);
        }
        Ok(Self { users, infinite: rules.explicitly_privilege_room_creators })
    }

    /// Whether `user` is one of them.
    pub fn contains(&self, user: &UserId) -> bool {
        self.users.iter().any(|creator| creator == user)
    }

    /// The creators, the sender of the create event first.
    pub fn users(&self) -> &[OwnedUserId] {
        &self.users
    }
}

/// The content of `m.room.power_levels` as the room version reads it. Absent fields are absent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Levels {
    /// `ban`, `invite`, `kick`, `redact`, `events_default`, `state_default`, `users_default`.
    pub(crate) single: BTreeMap<&'static str, i64>,
    pub(crate) events: BTreeMap<String, i64>,
    pub(crate) notifications: BTreeMap<String, i64>,
    pub(crate) users: BTreeMap<String, i64>,
}

/// The fields of `m.room.power_levels` that are one level each.
pub(crate) const SINGLE_LEVELS: [&str; 7] =
    ["users_default", "events_default", "state_default", "ban", "redact", "kick", "invite"];

impl Levels {
    /// Reads the content of an `m.room.power_levels` event. [`Event::levels`] does it only once.
    ///
    /// # Errors
    /// [`Refused::Authorization`] if a level is not what the room version allows: integers since version 10,
    /// before also strings with integers in them.
    pub fn of(event: &Event, rules: &RoomVersionRules) -> Result<Self, Refused> {
        let content: Map<String, Value> = event.content_as()?;
        let strict = rules.authorization.integer_power_levels;
        let mut levels = Self::default();
        for field in SINGLE_LEVELS {
            if let Some(value) = content.get(field) {
                levels.single.insert(field, level(field, value, strict)?);
            }
        }
        levels.events = map(&content, "events", strict)?;
        levels.notifications = map(&content, "notifications", strict)?;
        levels.users = map(&content, "users", strict)?;
        if let Some(user) = levels.users.keys().find(|user| UserId::parse(user.as_str()).is_err()) {
            return Err(Refused::Authorization(format!("{user:?} in m.room.power_levels is no user id")));
        }
        Ok(levels)
    }

    /// One of [`SINGLE_LEVELS`], or its default.
    pub(crate) fn single(&self, field: &str) -> i64 {
        self.single.get(field).copied().unwrap_or_else(|| default_of(field))
    }
}

/// What a field of [`SINGLE_LEVELS`] means when it is absent from an `m.room.power_levels` event.
pub(crate) fn default_of(field: &str) -> i64 {
    match field {
        "state_default" | "ban" | "kick" | "redact" => 50,
        _ => 0,
    }
}

/// `m.room.power_levels` of a room with its defaults applied, and the room's creators.
#[derive(Debug, Clone, Default)]
pub struct PowerLevels {
    creators: Creators,
    levels: Option<Arc<Levels>>,
}

impl PowerLevels {
    /// Reads them from the room's create event and, if there is one, its power levels event.
    ///
    /// # Errors
    /// [`Refused::Authorization`] if one of them is not what the room version allows.
    pub fn of(
        create: &Event,
        power_levels: Option<&Event>,
        rules: &RoomVersionRules,
    ) -> Result<Self, Refused> {
        let levels = power_levels.map(|event| event.levels(rules)).transpose()?;
        Ok(Self { creators: Creators::of(create, rules)?, levels })
    }

    /// The room's creators.
    pub fn creators(&self) -> &Creators {
        &self.creators
    }

    /// The content of the power levels event, if the room has one.
    pub fn levels(&self) -> Option<&Levels> {
        self.levels.as_deref()
    }

    /// The power of `user`, who need not be in the room.
    pub fn user(&self, user: &UserId) -> Power {
        let is_creator = self.creators.contains(user);
        if is_creator && self.creators.infinite {
            return Power::Infinite;
        }
        Power::Level(match &self.levels {
            Some(levels) => match levels.users.get(user.as_str()) {
                Some(level) => *level,
                None => levels.single("users_default"),
            },
            // A room without power levels has one ruler.
            None if is_creator => 100,
            None => 0,
        })
    }

    /// The level that sending an event of this type needs.
    pub fn event(&self, event_type: &str, is_state: bool) -> i64 {
        let level = self.levels.as_ref().and_then(|levels| levels.events.get(event_type));
        let default = if is_state { "state_default" } else { "events_default" };
        level.copied().unwrap_or_else(|| self.single(default))
    }

    /// The level that inviting needs.
    pub fn invite(&self) -> i64 {
        self.single("invite")
    }

    /// The level that kicking needs.
    pub fn kick(&self) -> i64 {
        self.single("kick")
    }

    /// The level that banning and unbanning need.
    pub fn ban(&self) -> i64 {
        self.single("ban")
    }

    /// The level that redacting events of others needs.
    pub fn redact(&self) -> i64 {
        self.single("redact")
    }

    /// The level that notifying in the way `key` needs; `room` is the way that the specification knows.
    pub fn notification(&self, key: &str) -> i64 {
        let level = self.levels.as_ref().and_then(|levels| levels.notifications.get(key));
        level.copied().unwrap_or(50)
    }

    fn single(&self, field: &str) -> i64 {
        self.levels.as_ref().map_or_else(|| default_of(field), |levels| levels.single(field))
    }
}

fn map(content: &Map<String, Value>, field: &str, strict: bool) -> Result<BTreeMap<String, i64>, Refused> {
    match content.get(field) {
        None => Ok(BTreeMap::new()),
        Some(Value::Object(entries)) => {
            entries.iter().map(|(key, value)| Ok((key.clone(), level(field, value, strict)?))).collect()
        }
        Some(_) => Err(Refused::Authorization(format!("`{field}` of m.room.power_levels is not an object"))),
    }
}

fn level(field: &str, value: &Value, strict: bool) -> Result<i64, Refused> {
    let level = match value {
        Value::Number(number) => number.as_i64(),
        Value::String(text) if !strict => text.trim().parse().ok(),
        _ => None,
    };
    level.ok_or_else(|| Refused::Authorization(format!("`{field}` of m.room.power_levels has no integer")))
}
