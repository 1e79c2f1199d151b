//! Whose account here somebody of another service is.
//!
//! Accounts are linked by what the service never changes, not by names: who is called the same over
//! there is somebody else.

use ruma::{OwnedUserId, UserId};
use store::{Batch, external_ids};

use super::Identity;
use crate::{
    Home,
    accounts::{names, opening, opening::Opened},
    limits,
    refusal::{Answer, Refusal},
    who::Kind,
};

/// How many names are tried for a new account.
const NAMES_MAX: usize = 4;

/// The account of `who`. One that comes for the first time gets a new one, called as at the service if
/// that name is free.
///
/// # Errors
/// `M_USER_DEACTIVATED`, `M_USER_LOCKED`, `M_USER_IN_USE` if no name is free.
pub(super) async fn of(home: &Home, who: &Identity) -> Answer<OwnedUserId> {
    for attempt in 0..NAMES_MAX {
        if let Some(user_id) = linked(home, who).await? {
            return Ok(user_id);
        }
        let user_id = name(home, who, attempt)?;
        let (mut batch, now_ms) = (Batch::new(), home.clock.now_ms());
        store::accounts::create(&mut batch, user_id.as_str(), Kind::User.as_str(), None, false, now_ms);
        link(&mut batch, who, &user_id);
        match home.db.commit(batch).await {
            Ok(_) => {
                tracing::info!(user = %user_id, provider = who.provider, "registered");
                return Ok(user_id);
            }
            // The name is taken, or they came twice at once.
            Err(store::Error::Refused { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(Refusal::user_in_use("No name is free for your account: try again"))
}

async fn linked(home: &Home, who: &Identity) -> Answer<Option<OwnedUserId>> {
    let Some(user_id) = external_ids::user(&home.db, &who.provider, &who.subject).await? else {
        return Ok(None);
    };
    let account = store::accounts::get(&home.db, &user_id).await?;
    match account {
        Some(account) if account.deactivated => {
            Err(Refusal::user_deactivated("This account has been deactivated"))
        }
        Some(account) if account.locked => Err(Refusal::user_locked()),
        _ => Ok(OwnedUserId::try_from(user_id).ok()),
    }
}

/// A name for a new account.
fn name(home: &Home, who: &Identity, attempt: usize) -> Answer<OwnedUserId> {
    let wanted = who.localpart.as_deref().map(mapped).filter(|wanted| !wanted.is_empty());
    let Some(wanted) = wanted else { return names::made_up(home) };
    let name = match attempt {
        0 => wanted,
        _ => format!("{wanted}-{}", home.dice.letters(4).to_ascii_lowercase()),
    };
    match names::new_user_id(home.server_name(), &name) {
        Ok(user_id) if names::must_not_be_exclusive(home, &user_id).is_ok() => Ok(user_id),
        _ => names::made_up(home),
    }
}

/// `name` with the characters that a localpart can have
/// (<https://spec.matrix.org/v1.19/appendices/#mapping-from-other-character-sets>).
fn mapped(name: &str) -> String {
    let mut localpart = String::with_capacity(name.len());
    for byte in name.to_ascii_lowercase().bytes() {
        match byte {
            b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'-' => localpart.push(char::from(byte)),
            _ => localpart.push_str(&format!("={byte:02x}")),
        }
    }
    localpart
}

/// Adds to `batch` that `who` is `user_id` here. Refuses the batch if they are somebody else already.
pub(in crate::accounts) fn link(batch: &mut Batch, who: &Identity, user_id: &UserId) {
    external_ids::link(batch, &who.provider, &who.subject, user_id.as_str());
}

/// Refuses whoever is not `user_id`.
///
/// # Errors
/// `M_FORBIDDEN`
pub(super) async fn must_be(home: &Home, who: &Identity, user_id: &UserId) -> Answer<()> {
    let known = external_ids::user(&home.db, &who.provider, &who.subject).await?;
    if known.as_deref() == Some(user_id.as_str()) {
        return Ok(());
    }
    Err(Refusal::forbidden("You logged in with another account than the one that this is about"))
}

/// Refuses whoever has an account here already.
///
/// # Errors
/// `M_FORBIDDEN`
pub(super) async fn must_be_new(home: &Home, who: &Identity) -> Answer<()> {
    match external_ids::user(&home.db, &who.provider, &who.subject).await? {
        None => Ok(()),
        Some(_) => Err(Refusal::forbidden("You have an account already: log in")),
    }
}

/// Opens a session of `user_id`, for a client of 2015.
///
/// # Errors
/// `M_LIMIT_EXCEEDED`
pub(super) async fn open(home: &Home, user_id: &UserId) -> Answer<Opened> {
    limits::log_in(home, user_id)?;
    let wish = opening::Wish { refresh_token: Some(true), lasting: true, ..opening::Wish::default() };
    let mut batch = Batch::new();
    let opened = opening::open(home, &mut batch, user_id, &wish);
    home.db.commit(batch).await?;
    Ok(opened)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_mapped_to_what_a_localpart_can_have() {
        for (name, localpart) in [
            ("alice", "alice"),
            ("Alice.B", "alice.b"),
            ("a b@c", "a=20b=40c"),
            ("é", "=c3=a9"),
            ("=", "=3d"),
        ] {
            assert_eq!(mapped(name), localpart, "{name}");
        }
    }
}
