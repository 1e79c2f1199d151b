//! The user directory: people of this server, by the beginning of their id or of a word of their name.
//!
//! Shown are those whom the searching user could see anyhow: who shares a room with them, or is in a
//! room that anybody may join or read.

use std::collections::BTreeSet;

use ruma::UserId;
use store::profiles;

use super::mutual_rooms;
use crate::{
    Home,
    profiles::{AVATAR_URL, DISPLAYNAME},
    refusal::Answer,
    rooms::summary,
    who::Device,
};

/// People in one answer: if nothing else is asked for, and whatever is.
const PEOPLE_DEFAULT: usize = 10;
const PEOPLE_MAX: usize = 50;

/// People who are looked at, of each way to be found.
const CANDIDATES_MAX: i64 = 200;

/// Rooms of a person that are looked at, whether anybody may join or read them.
const ROOMS_MAX: i64 = 50;

/// Somebody who was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    /// The user id.
    pub user_id: String,
    /// The display name.
    pub display_name: Option<String>,
    /// The picture.
    pub avatar_url: Option<String>,
}

/// People whose id or name fits `term`, at most `limit`, and whether there are more. Each word of the
/// term must be the beginning of the id or of a word of the name; upper and lower case are the same.
///
/// # Errors
/// If the database does not answer.
pub async fn search(
    home: &Home,
    who: &Device,
    term: &str,
    limit: Option<usize>,
) -> Answer<(Vec<Person>, bool)> {
    let limit = limit.unwrap_or(PEOPLE_DEFAULT).clamp(1, PEOPLE_MAX);
    let id = term.trim().trim_start_matches('@').to_lowercase();
    let words = profiles::words(term);
    let Some(longest) = words.iter().max_by_key(|word| word.len()) else { return Ok((Vec::new(), false)) };
    let by_id = profiles::with_id(&home.db, &format!("@{id}"), CANDIDATES_MAX).await?;
    let by_name = profiles::with_word(&home.db, longest, CANDIDATES_MAX).await?;
    let (mut people, mut seen) = (Vec::new(), BTreeSet::from([who.user_id.to_string()]));
    for user_id in by_id.into_iter().chain(by_name) {
        if !seen.insert(user_id.clone()) {
            continue;
        }
        let person = person(home, user_id).await?;
        if fits(&person, &id, &words) && is_visible(home, who, &person.user_id).await? {
            if people.len() == limit {
                return Ok((people, true));
            }
            people.push(person);
        }
    }
    Ok((people, false))
}

async fn person(home: &Home, user_id: String) -> Answer<Person> {
    let fields = profiles::get(&home.db, &user_id).await?;
    let text = |name: &str| {
        let (_, value) = fields.iter().find(|(field, _)| field == name)?;
        serde_json::from_str::<String>(value).ok()
    };
    Ok(Person { display_name: text(DISPLAYNAME), avatar_url: text(AVATAR_URL), user_id })
}

fn fits(person: &Person, id: &str, words: &[String]) -> bool {
    let own_id = person.user_id.trim_start_matches('@');
    let name = person.display_name.as_deref().map(profiles::words).unwrap_or_default();
    let begins =
        |word: &String| own_id.starts_with(word.as_str()) || name.iter().any(|own| own.starts_with(word));
    own_id.starts_with(id) || words.iter().all(begins)
}

/// Whether `who` could see `user_id` without the directory.
async fn is_visible(home: &Home, who: &Device, user_id: &str) -> Answer<bool> {
    let Ok(user) = UserId::parse(user_id) else { return Ok(false) };
    if !mutual_rooms::shared(home, who.user(), &user).await?.is_empty() {
        return Ok(true);
    }
    for room in store::mutual_rooms::joined(&home.db, user_id, ROOMS_MAX).await? {
        let Some(listed) = store::public_rooms::get(&home.db, room).await? else { continue };
        let summary = summary::of(home, &listed).await?;
        if summary.join_rule == "public" || summary.world_readable {
            return Ok(true);
        }
    }
    Ok(false)
}
