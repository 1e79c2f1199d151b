//! Searching for words in what was said, as v1 of 2015 asks for it.
//!
//! There is no index yet: the newest events of the user's rooms are looked through, so many and no more. In
//! rooms that the user has left, those from before that (`search.rst`).

use std::sync::Arc;

use rules::{event::Event, filter::EventFilter};
use ruma::api::Direction;
use serde::Deserialize;
use store::members::Member;

use super::{
    Room, TimelineEvent, find_by_key, memberships,
    messages::{self, Source, Stretch},
    show::{self, Form, Shown},
    visibility::Viewer,
};
use crate::{
    Home, Token,
    refusal::{Answer, Refusal},
    who::Device,
};

/// Rooms that are looked into: those that the user came to last, then those that the user left last.
const ROOMS_MAX: usize = 20;

/// Events of a room that are looked at.
const EVENTS_MAX: usize = 1_000;

/// Events that are answered, those that fit best.
const RESULTS_MAX: usize = 100;

/// Words that are looked for.
const WORDS_MAX: usize = 16;

/// Where words are looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum Key {
    /// In messages.
    #[serde(rename = "content.body")]
    Body,
    /// In the names of rooms.
    #[serde(rename = "content.name")]
    Name,
    /// In their topics.
    #[serde(rename = "content.topic")]
    Topic,
}

/// What somebody searches for.
pub struct Wanted {
    /// The words: all of them must be there.
    pub term: String,
    /// Where.
    pub keys: Vec<Key>,
    /// In which events.
    pub filter: EventFilter,
}

/// An event that was found.
pub struct Match {
    /// How much of its text was looked for: 1 at most.
    pub rank: f64,
    /// The event.
    pub event: Arc<TimelineEvent>,
    /// As the client gets it.
    pub shown: Shown,
}

/// The events that fit best among those of the user's rooms, and how many fit at all.
///
/// # Errors
/// `M_INVALID_PARAM` if there is no word to look for.
pub async fn search(
    home: &Home,
    who: &Device,
    wanted: &Wanted,
    form: Form<'_>,
) -> Answer<(Vec<Match>, usize)> {
    let words = words(&wanted.term);
    if words.is_empty() {
        return Err(Refusal::invalid_param("`search_term` has no word to look for"));
    }
    let standings = memberships::of_user(home, who.user()).await?;
    let mut found: Vec<(f64, Arc<TimelineEvent>, Arc<Room>)> = Vec::new();
    let joined = standings.changed_after(0).filter(|member| member.membership == "join");
    let left = standings.changed_after(0).filter(|member| has_left(member));
    for member in joined.chain(left).take(ROOMS_MAX) {
        let room = find_by_key(home, member.room).await?;
        let viewer = Viewer::with(Some(who.user()), Some(member.clone()), home.db.upto());
        let (from, to) = (Token::after(viewer.horizon(home)), Token::before(room.key));
        let stretch = Stretch { direction: Direction::Backward, from, to };
        let walked =
            messages::walk(home, &room, &viewer, Source::Timeline, stretch, EVENTS_MAX, &wanted.filter)
                .await?;
        for event in walked.events {
            if let Some(rank) = rank(&event.event, &wanted.keys, &words) {
                found.push((rank, event, room.clone()));
            }
        }
        // Others have a turn between two rooms.
        tokio::task::yield_now().await;
    }
    let count = found.len();
    found.sort_by(|one, other| other.0.total_cmp(&one.0).then(other.1.pos.cmp(&one.1.pos)));
    found.truncate(RESULTS_MAX);
    let mut matches = Vec::with_capacity(found.len());
    for (rank, event, room) in found {
        let viewer = Viewer::of(home, &room, Some(who.user())).await?;
        let shown = show::event(home, &room, &viewer, &event, form).await?;
        matches.push(Match { rank, event, shown });
    }
    Ok((matches, count))
}

/// Whether the user was in the room, and remembers it.
fn has_left(member: &Member) -> bool {
    member.membership != "join" && member.joined_upto.is_some() && !member.forgotten
}

fn words(text: &str) -> Vec<String> {
    let lower = text.to_lowercase();
    let words = lower.split(|letter: char| !letter.is_alphanumeric()).filter(|word| !word.is_empty());
    words.take(WORDS_MAX).map(str::to_owned).collect()
}

/// Which part of the event's text was looked for; nothing if a word is missing.
fn rank(event: &Event, keys: &[Key], words: &[String]) -> Option<f64> {
    #[derive(Deserialize)]
    struct Content {
        body: Option<String>,
        name: Option<String>,
        topic: Option<String>,
    }
    let key = match event.event_type() {
        "m.room.message" => Key::Body,
        "m.room.name" => Key::Name,
        "m.room.topic" => Key::Topic,
        _ => return None,
    };
    if !keys.contains(&key) {
        return None;
    }
    let content: Content = event.content_as().ok()?;
    let text = match key {
        Key::Body => content.body,
        Key::Name => content.name,
        Key::Topic => content.topic,
    };
    let text = text?.to_lowercase();
    let said = || text.split(|letter: char| !letter.is_alphanumeric()).filter(|word| !word.is_empty());
    let all = words.iter().all(|word| said().any(|said| said.starts_with(&**word)));
    let hits = said().filter(|said| words.iter().any(|word| said.starts_with(&**word))).count();
    all.then(|| hits as f64 / said().count().max(1) as f64)
}
