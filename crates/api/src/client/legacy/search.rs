//! `search.yaml` of v1.

use std::collections::BTreeMap;

use homeserver::{
    Answer, Home,
    rooms::{
        search::{self, Key, Wanted},
        show::Form,
    },
    who::Device,
};
use rules::filter::EventFilter;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json, value::RawValue};

use crate::{answer::Json, plain::Plain};

#[derive(Deserialize)]
struct Body {
    search_categories: Categories,
}

#[derive(Deserialize)]
struct Categories {
    room_events: Option<RoomEvents>,
}

#[derive(Deserialize)]
struct RoomEvents {
    search_term: String,
    #[serde(default = "all_keys")]
    keys: Vec<Key>,
    #[serde(default = "nothing")]
    filter: Value,
}

fn all_keys() -> Vec<Key> {
    vec![Key::Body, Key::Name, Key::Topic]
}

fn nothing() -> Value {
    json!({})
}

#[derive(Serialize)]
struct Found<'a> {
    rank: f64,
    result: &'a RawValue,
}

/// `POST /_matrix/client/api/v1/search`
pub async fn search(home: Home, who: Device, ask: Plain) -> Answer<Json> {
    let Body { search_categories } = ask.json()?;
    let Some(RoomEvents { search_term, keys, filter }) = search_categories.room_events else {
        return Json::of(&json!({ "search_categories": {} }));
    };
    let wanted = Wanted { term: search_term, keys, filter: EventFilter::read_room_events(filter)? };
    let form = Form::v1(Some(who.device()));
    let (matches, count) = search::search(&home, &who, &wanted, form).await?;
    let mut results: BTreeMap<&str, Found<'_>> = BTreeMap::new();
    for found in &matches {
        if let Ok(result) = serde_json::from_str(found.shown.as_str()) {
            results.insert(found.event.event.event_id().as_str(), Found { rank: found.rank, result });
        }
    }
    #[derive(Serialize)]
    struct Reply<'a> {
        search_categories: BTreeMap<&'a str, Category<'a>>,
    }
    #[derive(Serialize)]
    struct Category<'a> {
        count: usize,
        results: BTreeMap<&'a str, Found<'a>>,
    }
    let category = Category { count, results };
    Json::of(&Reply { search_categories: BTreeMap::from([("room_events", category)]) })
}
