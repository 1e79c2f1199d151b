//! What a client needs to name a room: how many are in it, and who stands for them.

use super::{look::Look, timeline::Timeline, write};
use crate::{
    refusal::Answer,
    rooms::{Room, state, timeline},
};

/// Users who stand for a room without a name.
const HEROES_MAX: i64 = 5;

/// `summary` of a room; empty if nothing of it changed.
#[derive(Default)]
pub(super) struct Summary {
    counts: Option<(i64, i64)>,
    heroes: Option<Vec<String>>,
}

impl Summary {
    /// Looks it up if members changed in `timeline` or before it, or the client is new to the room.
    ///
    /// # Errors
    /// If the database does not answer.
    pub(super) async fn of(look: &Look, room: &Room, timeline: &Timeline, is_new: bool) -> Answer<Self> {
        // With a gap, members may have changed within it.
        let gap = timeline.limited || timeline.before.is_some();
        let mut events = timeline.events.iter();
        let about_members = events.any(|event| {
            let place = event.event.state_place().map(|(event_type, _)| event_type);
            matches!(place, Some("m.room.member" | "m.room.name" | "m.room.canonical_alias"))
        });
        if !(is_new || gap || about_members) {
            return Ok(Summary::default());
        }
        let stored = store::rooms::by_key(&look.home.db, room.key).await?;
        let counts = stored.map(|stored| (stored.joined, stored.invited));
        Ok(Summary { counts, heroes: heroes(look, room).await? })
    }

    /// The heroes, whose member events belong into the state.
    pub(super) fn heroes(&self) -> &[String] {
        self.heroes.as_deref().unwrap_or_default()
    }

    /// Writes the object.
    pub(super) fn write(&self, out: &mut String) {
        out.push('{');
        if let Some(heroes) = &self.heroes {
            out.push_str(r#""m.heroes":"#);
            write::value(out, heroes);
        }
        if let Some((joined, invited)) = self.counts {
            write::comma(out);
            out.push_str(r#""m.joined_member_count":"#);
            write::number(out, joined);
            out.push_str(r#","m.invited_member_count":"#);
            write::number(out, invited);
        }
        out.push('}');
    }
}

/// Who stands for the room, if it has neither name nor alias.
async fn heroes(look: &Look, room: &Room) -> Answer<Option<Vec<String>>> {
    let root = timeline::root_at(&look.home, room, look.upto.pos).await?;
    for (event_type, key) in [("m.room.name", "name"), ("m.room.canonical_alias", "alias")] {
        if let Some(event) = state::event(&look.home, room, root, event_type, "").await?
            && has_text(event.content_str(), key)
        {
            return Ok(None);
        }
    }
    let (db, own) = (&look.home.db, look.user().as_str());
    let mut heroes: Vec<String> = Vec::new();
    for memberships in [["join", "invite"], ["leave", "ban"]] {
        for membership in memberships {
            let more = HEROES_MAX - i64::try_from(heroes.len()).unwrap_or(HEROES_MAX);
            if more > 0 {
                heroes.extend(store::members::first(db, room.key, membership, own, more).await?);
            }
        }
        if !heroes.is_empty() {
            break;
        }
    }
    Ok(Some(heroes))
}

/// Whether the JSON object `content` has text at `key`, and not an empty one.
fn has_text(content: &str, key: &str) -> bool {
    let content: Option<serde_json::Value> = serde_json::from_str(content).ok();
    content.is_some_and(|content| content[key].as_str().is_some_and(|text| !text.is_empty()))
}
