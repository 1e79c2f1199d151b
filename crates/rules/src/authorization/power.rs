//! The rules of `m.room.power_levels`. Numbers refer to rule 10 of rooms/v12 (9 or 10 in older versions).

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{Room, no};
use crate::{
    Refused,
    event::Event,
    power_levels::{Levels, Power, PowerLevels, SINGLE_LEVELS, default_of},
};

pub(super) fn check<F: Fn(&str, &str) -> Option<Arc<Event>>>(
    room: &Room<'_, F>,
    power_levels: &PowerLevels,
) -> Result<(), Refused> {
    // 10.1 to 10.3: what is read here has the right form.
    let new = room.event.levels(room.rules)?;
    // 10.4
    if room.rules.authorization.explicitly_privilege_room_creators {
        let creators = power_levels.creators().users();
        if let Some(creator) = creators.iter().find(|user| new.users.contains_key(user.as_str())) {
            return no(format!("{creator} is a creator of the room: no power level fits"));
        }
    }
    // 10.5
    let Some(old) = power_levels.levels() else { return Ok(()) };
    let change = Change { sender: room.event.sender().as_str(), has: power_levels.user(room.event.sender()) };
    change.check_single(old, &new)?;
    change.check_map("events", &old.events, &new.events)?;
    change.check_map("notifications", &old.notifications, &new.notifications)?;
    change.check_users(&old.users, &new.users)
}

/// Who changes power levels, and with which power.
struct Change<'a> {
    sender: &'a str,
    has: Power,
}

impl Change<'_> {
    /// 10.6
    fn check_single(&self, old: &Levels, new: &Levels) -> Result<(), Refused> {
        for field in SINGLE_LEVELS {
            let (old, new) = (old.single.get(field), new.single.get(field));
            if old != new {
                self.within(field, *old.unwrap_or(&default_of(field)))?;
                self.within(field, *new.unwrap_or(&default_of(field)))?;
            }
        }
        Ok(())
    }

    /// 10.7 and 10.8
    fn check_map(
        &self,
        field: &str,
        old: &BTreeMap<String, i64>,
        new: &BTreeMap<String, i64>,
    ) -> Result<(), Refused> {
        for (key, old, new) in changes(old, new) {
            for level in [old, new].into_iter().flatten() {
                self.within(&format!("{field}.{key}"), level)?;
            }
        }
        Ok(())
    }

    /// 10.9 and 10.10
    fn check_users(&self, old: &BTreeMap<String, i64>, new: &BTreeMap<String, i64>) -> Result<(), Refused> {
        for (user, old, new) in changes(old, new) {
            if let Some(old) = old
                && user != self.sender
                && Power::Level(old) >= self.has
            {
                return no(format!(
                    "{} has power level {} and cannot change that of {user}, who has {old}",
                    self.sender, self.has
                ));
            }
            if let Some(new) = new {
                self.within(&format!("users.{user}"), new)?;
            }
        }
        Ok(())
    }

    fn within(&self, field: &str, level: i64) -> Result<(), Refused> {
        if Power::Level(level) <= self.has {
            return Ok(());
        }
        no(format!(
            "{} has power level {} and cannot change {field} from or to {level}",
            self.sender, self.has
        ))
    }
}

/// What was added, changed or removed: the key, the old value, the new value.
fn changes<'a>(
    old: &'a BTreeMap<String, i64>,
    new: &'a BTreeMap<String, i64>,
) -> impl Iterator<Item = (&'a str, Option<i64>, Option<i64>)> {
    let keys: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    keys.into_iter()
        .map(|key| (key.as_str(), old.get(key).copied(), new.get(key).copied()))
        .filter(|(_, old, new)| old != new)
}
