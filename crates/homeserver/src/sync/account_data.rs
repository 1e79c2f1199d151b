//! Account data that changed, of the account and of its rooms.

use std::collections::HashMap;

use rules::filter::{self, Subject};
use store::account_data::{self, AccountData};

use super::{look::Look, write};
use crate::{push, refusal::Answer, rooms::Room};

/// The account data that `look` has to tell of, by room.
///
/// # Errors
/// If the database does not answer.
pub(super) async fn changed(look: &Look) -> Answer<HashMap<i64, Vec<AccountData>>> {
    let since = if look.is_whole() { 0 } else { look.since_pos() };
    let mut by_room: HashMap<i64, Vec<AccountData>> = HashMap::new();
    if !look.home.lately_account_data.perhaps_after(look.user(), since) {
        return Ok(by_room);
    }
    for data in account_data::after(&look.home.db, look.user().as_str(), since).await? {
        // What was set in the meantime comes with the next sync.
        if data.pos <= look.upto.pos {
            by_room.entry(data.room).or_default().push(data);
        }
    }
    Ok(by_room)
}

/// The data of the account itself that the client is to learn.
///
/// # Errors
/// If the database does not answer.
pub(super) async fn global(look: &Look) -> Answer<Vec<AccountData>> {
    let changed = look.account_data.get(&account_data::GLOBAL).map(Vec::as_slice).unwrap_or_default();
    let mut wanted: Vec<AccountData> = changed.iter().filter(|data| is_wanted(look, data)).cloned().collect();
    if look.is_whole() && !wanted.iter().any(|data| data.data_type == push::ACCOUNT_DATA_TYPE) {
        // Nobody set them yet, but every account has them.
        let rules = push::rules(&look.home, look.user()).await?;
        let content = serde_json::json!({ "global": push::global(&rules) }).to_string();
        let data_type = push::ACCOUNT_DATA_TYPE.to_owned();
        let defaults = AccountData { room: account_data::GLOBAL, data_type, content, pos: 0 };
        wanted.extend(Some(defaults).filter(|data| is_wanted(look, data)));
    }
    Ok(wanted)
}

fn is_wanted(look: &Look, data: &AccountData) -> bool {
    look.ask.filter.account_data.admits_subject(&Subject {
        event_type: &data.data_type,
        sender: None,
        room_id: None,
        has_url: false,
    })
}

/// The data of a room that the client is to learn; all of it if the room is new to it.
///
/// # Errors
/// If the database does not answer.
pub(super) async fn of_room(look: &Look, room: &Room, is_new: bool) -> Answer<Vec<AccountData>> {
    let mut wanted = match look.account_data.get(&room.key) {
        _ if is_new && !look.is_whole() => {
            let all = account_data::of_room(&look.home.db, look.user().as_str(), room.key).await?;
            all.into_iter().filter(|data| data.pos <= look.upto.pos).collect()
        }
        Some(changed) => changed.clone(),
        None => Vec::new(),
    };
    wanted.retain(|data| {
        look.ask.filter.room_account_data.admits_subject(&Subject {
            event_type: &data.data_type,
            sender: None,
            room_id: Some(&room.room_id),
            has_url: filter::has_url(&data.content),
        })
    });
    Ok(wanted)
}

/// Writes account data as events: `{"events":[…]}`.
pub(super) fn write(out: &mut String, data: Vec<AccountData>) {
    write::events(out, data, |out, data| write_one(out, &data));
}

/// Writes account data as an event.
pub(super) fn write_one(out: &mut String, data: &AccountData) {
    out.push_str(r#"{"type":"#);
    write::text(out, &data.data_type);
    out.push_str(r#","content":"#);
    out.push_str(&data.content);
    out.push('}');
}
