//! `POST /_matrix/client/v3/user_directory/search`

use homeserver::{
    Answer, Home,
    directory::users::{self, Person},
    who::Device,
};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{answer::Json, plain::Plain};

#[derive(Deserialize)]
struct Search {
    search_term: String,
    limit: Option<usize>,
}

/// `POST /_matrix/client/v3/user_directory/search`
pub async fn search(home: Home, who: Device, ask: Plain) -> Answer<Json> {
    let Search { search_term, limit } = ask.json()?;
    let (people, limited) = users::search(&home, &who, &search_term, limit).await?;
    let results: Vec<Value> = people.iter().map(result).collect();
    Json::of(&json!({ "results": results, "limited": limited }))
}

fn result(person: &Person) -> Value {
    let mut json = json!({ "user_id": person.user_id });
    for (key, text) in [("display_name", &person.display_name), ("avatar_url", &person.avatar_url)] {
        if let Some(text) = text {
            json[key] = text.as_str().into();
        }
    }
    json
}
