//! What is told of an event's children with the event itself: `unsigned.m.relations`.
//!
//! Spec: client-server API, «Aggregations of child events». One query finds out which events have
//! children at all, mostly none; further ones are made for all events of a list at once.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use ruma::{EventId, OwnedEventId};
use serde::Deserialize;
use store::relations::Summary;

use super::{
    Room, TimelineEvent, relations,
    show::{self, Form, Relations, Shown},
    timeline,
    visibility::Viewer,
};
use crate::{
    Home,
    refusal::Answer,
    settings::{self, Settings},
};

/// Edits of an event that are tried, the newest first, until one is valid.
const EDITS_TRIED_MAX: i64 = 3;

/// References that are named.
const REFERENCES_MAX: i64 = 50;

/// The aggregations of `events`, as JSON objects by the event's id.
///
/// # Errors
/// If the database does not answer.
pub(super) async fn bundle(
    home: &Home,
    room: &Room,
    viewer: &Viewer,
    events: &[Arc<TimelineEvent>],
    form: Form<'_>,
) -> Answer<Relations> {
    let mut bundle = Bundle::of(home, room, viewer, events).await?;
    if bundle.summaries.is_empty() {
        return Ok(Relations::new());
    }
    bundle.add_edits(home, room, viewer, form).await?;
    bundle.add_references(home, room, viewer).await?;
    let latest = bundle.latest_in_threads(home, room, viewer).await?;
    if !latest.is_empty() {
        // The newest event of a thread may be edited, but can not begin another one.
        let mut within = Bundle::of(home, room, viewer, &latest).await?;
        within.add_edits(home, room, viewer, form).await?;
        within.add_references(home, room, viewer).await?;
        let shown = show::with_relations(home, room, viewer, &latest, form, &within.written()).await?;
        let latest = latest.iter().map(|event| event.pos).zip(shown).collect();
        bundle.add_threads(viewer, &latest);
    }
    Ok(bundle.written())
}

/// Which of `roots` are threads that the viewer takes part in.
///
/// # Errors
/// If the database does not answer.
pub(super) async fn taking_part(
    home: &Home,
    room: &Room,
    viewer: &Viewer,
    roots: impl Iterator<Item = &Arc<TimelineEvent>>,
) -> Answer<HashSet<OwnedEventId>> {
    let roots: Vec<_> = roots.cloned().collect();
    let bundle = Bundle::of(home, room, viewer, &roots).await?;
    let threads = bundle.summaries.iter().filter(|summary| summary.rel_type == "m.thread");
    let own = threads.filter(|summary| bundle.takes_part(viewer, summary));
    Ok(own.filter_map(|summary| EventId::parse(&*summary.parent).ok()).collect())
}

/// Aggregations under construction.
struct Bundle {
    parents: HashMap<String, Arc<TimelineEvent>>,
    summaries: Vec<Summary>,
    /// The children after this position are not the viewer's business.
    upto: i64,
    /// Whom the viewer ignores: what they send counts for nothing.
    settings: Option<Arc<Settings>>,
    /// Members of the JSON object, by parent.
    parts: HashMap<OwnedEventId, Vec<String>>,
}

impl Bundle {
    async fn of(home: &Home, room: &Room, viewer: &Viewer, events: &[Arc<TimelineEvent>]) -> Answer<Self> {
        // State events have no aggregations.
        let parents = events.iter().filter(|event| event.has_children && event.event.state_key().is_none());
        let parents: HashMap<_, _> =
            parents.map(|event| (event.event.event_id().to_string(), event.clone())).collect();
        let upto = viewer.horizon(home);
        let ids: Vec<String> = parents.keys().cloned().collect();
        let user = viewer.user().map_or("", |user| user.as_str());
        let settings = match viewer.user() {
            Some(user) if !ids.is_empty() => Some(settings::of(home, user).await?),
            _ => None,
        };
        let ignored = settings.iter().flat_map(|settings| &settings.ignored);
        let ignored: Vec<String> = ignored.map(ToString::to_string).collect();
        let summaries = match ids.is_empty() {
            true => Vec::new(),
            false => store::relations::summaries(&home.db, room.key, &ids, upto, user, &ignored).await?,
        };
        Ok(Bundle { parents, summaries, upto, settings, parts: HashMap::new() })
    }

    /// Whether the viewer ignores who sent `event`.
    fn hides(&self, event: &TimelineEvent) -> bool {
        self.settings.as_ref().is_some_and(|settings| settings.hides(&event.event))
    }

    /// The parents that have children of this kind.
    fn with(&self, rel_type: &str) -> Vec<String> {
        let such = self.summaries.iter().filter(|summary| summary.rel_type == rel_type);
        such.map(|summary| summary.parent.clone()).collect()
    }

    fn add(&mut self, parent: &str, rel_type: &str, json: &str) {
        if let Some(parent) = self.parents.get(parent) {
            let parts = self.parts.entry(parent.event.event_id().to_owned()).or_default();
            parts.push(format!(r#""{rel_type}":{json}"#));
        }
    }

    async fn add_edits(&mut self, home: &Home, room: &Room, viewer: &Viewer, form: Form<'_>) -> Answer<()> {
        let mut edited = self.with("m.replace");
        // An event that was redacted stays empty; an edit can not be edited.
        edited.retain(|parent| {
            self.parents.get(parent).is_some_and(|parent| {
                let kind = relations::relates_to(&parent.event).rel_type;
                parent.redacted_by.is_none() && kind.as_deref() != Some("m.replace")
            })
        });
        if edited.is_empty() {
            return Ok(());
        }
        let found = store::relations::edits(&home.db, room.key, &edited, self.upto, EDITS_TRIED_MAX).await?;
        let found = viewer.filter(home, room, timeline::read_all(found, room)?).await?;
        let mut newest: HashMap<String, Arc<TimelineEvent>> = HashMap::new();
        for edit in found.into_iter().filter(|edit| is_valid_edit(edit) && !self.hides(edit)) {
            if let Some(parent) = relations::relates_to(&edit.event).event_id {
                newest.entry(parent.to_string()).or_insert(edit);
            }
        }
        let (parents, edits): (Vec<String>, Vec<_>) = newest.into_iter().unzip();
        let shown = show::with_relations(home, room, viewer, &edits, form, &Relations::new()).await?;
        for (parent, edit) in parents.iter().zip(&shown) {
            self.add(parent, "m.replace", edit.as_str());
        }
        Ok(())
    }

    async fn add_references(&mut self, home: &Home, room: &Room, viewer: &Viewer) -> Answer<()> {
        let referred = self.with("m.reference");
        if referred.is_empty() {
            return Ok(());
        }
        let found = store::relations::references(&home.db, room.key, &referred, self.upto, REFERENCES_MAX);
        let found = viewer.filter(home, room, timeline::read_all(found.await?, room)?).await?;
        let mut chunks: HashMap<OwnedEventId, Vec<String>> = HashMap::new();
        for event in found.into_iter().filter(|event| !self.hides(event)) {
            if let Some(parent) = relations::relates_to(&event.event).event_id {
                let entry = format!(r#"{{"event_id":"{}"}}"#, event.event.event_id());
                chunks.entry(parent).or_default().push(entry);
            }
        }
        for (parent, chunk) in chunks {
            self.add(parent.as_str(), "m.reference", &format!(r#"{{"chunk":[{}]}}"#, chunk.join(",")));
        }
        Ok(())
    }

    /// The newest event of each thread, as far as the viewer may see it.
    async fn latest_in_threads(
        &self,
        home: &Home,
        room: &Room,
        viewer: &Viewer,
    ) -> Answer<Vec<Arc<TimelineEvent>>> {
        let threads = self.summaries.iter().filter(|summary| summary.rel_type == "m.thread");
        let latest: Vec<i64> = threads.map(|summary| summary.latest).collect();
        if latest.is_empty() {
            return Ok(Vec::new());
        }
        viewer.filter(home, room, timeline::at(home, room, &latest).await?).await
    }

    fn add_threads(&mut self, viewer: &Viewer, latest: &HashMap<i64, Shown>) {
        for summary in std::mem::take(&mut self.summaries) {
            let shown = latest.get(&summary.latest).filter(|_| summary.rel_type == "m.thread");
            let Some(shown) = shown else { continue };
            let json = format!(
                r#"{{"count":{},"current_user_participated":{},"latest_event":{}}}"#,
                summary.count,
                self.takes_part(viewer, &summary),
                shown.as_str()
            );
            self.add(&summary.parent, "m.thread", &json);
        }
    }

    fn takes_part(&self, viewer: &Viewer, summary: &Summary) -> bool {
        let root = self.parents.get(&summary.parent);
        summary.own > 0 || root.is_some_and(|root| viewer.user() == Some(root.event.sender()))
    }

    fn written(self) -> Relations {
        self.parts.into_iter().map(|(parent, parts)| (parent, format!("{{{}}}", parts.join(",")))).collect()
    }
}

/// Whether an edit says what it puts in the place of the original; who encrypts says it inside.
fn is_valid_edit(edit: &TimelineEvent) -> bool {
    #[derive(Deserialize)]
    struct Content {
        #[serde(rename = "m.new_content")]
        new_content: Option<serde::de::IgnoredAny>,
    }
    edit.event.state_key().is_none()
        && (edit.event.event_type() == "m.room.encrypted"
            || edit.event.content_as::<Content>().is_ok_and(|content| content.new_content.is_some()))
}
