//! What those who run the server do to accounts: make them, lock them, suspend them.

use ruma::{OwnedUserId, UserId};
use store::{Batch, accounts::AccountRow};

use super::{names, passwords, register, sessions};
use crate::{
    Home,
    refusal::{Answer, Refusal},
    who::{Device, Kind},
};

/// Makes an account called `localpart` with a password.
///
/// # Errors
/// `M_INVALID_USERNAME`, `M_USER_IN_USE`, those of [`passwords::hash`].
pub async fn create_user(home: &Home, localpart: &str, password: &str, admin: bool) -> Answer<OwnedUserId> {
    let user_id = names::new_user_id(home.server_name(), localpart)?;
    let hash = passwords::hash(home, password).await?;
    register::create(home, &user_id, Kind::User, Some(hash), admin).await?;
    Ok(user_id)
}

/// Gives an account a new password and ends all its sessions.
///
/// # Errors
/// `M_NOT_FOUND`, those of [`passwords::hash`].
pub async fn set_password(home: &Home, user_id: &UserId, password: &str) -> Answer<()> {
    passwords::set(home, user_id, password, None).await
}

/// Makes a registration token that is good for `uses_allowed` accounts (`None`: any number) until
/// `expires_ts` (milliseconds since 1970; `None`: for ever). Without a `token` one is made up.
///
/// # Errors
/// `M_INVALID_PARAM` if the token is not one of the specification's opaque identifiers of at most 64
/// characters, or is there already.
pub async fn create_registration_token(
    home: &Home,
    token: Option<String>,
    uses_allowed: Option<u32>,
    expires_ts: Option<i64>,
) -> Answer<String> {
    let token = token.unwrap_or_else(|| home.dice.letters(MADE_UP_TOKEN_CHARACTERS));
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._~-".contains(&byte);
    if token.is_empty() || token.len() > register::TOKEN_CHARACTERS_MAX || !token.bytes().all(allowed) {
        return Err(Refusal::invalid_param("A registration token has 1 to 64 of A-Z a-z 0-9 . _ ~ -"));
    }
    let mut batch = Batch::new();
    store::registration_tokens::create(&mut batch, &token, uses_allowed.map(i64::from), expires_ts);
    home.db.commit(batch).await.map_err(|error| match error {
        store::Error::Refused { .. } => Refusal::invalid_param("There is such a registration token already"),
        error => error.into(),
    })?;
    Ok(token)
}

/// Characters of a registration token that the server makes up.
const MADE_UP_TOKEN_CHARACTERS: usize = 16;

/// What can be done to an account, and undone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measure {
    /// Nothing goes but logging out.
    Lock,
    /// The account may look and leave, not speak.
    Suspend,
}

/// Whether `measure` is in force for the account `user_id`.
///
/// # Errors
/// `M_INVALID_PARAM` for a user of another server, `M_NOT_FOUND`, `M_FORBIDDEN` for another
/// administrator.
pub async fn in_force(home: &Home, who: &Device, user_id: &UserId, measure: Measure) -> Answer<bool> {
    let account = account(home, user_id).await?;
    if account.admin && user_id != who.user_id {
        return Err(Refusal::forbidden("That user is an administrator as well"));
    }
    Ok(match measure {
        Measure::Lock => account.locked,
        Measure::Suspend => account.suspended,
    })
}

/// Puts `measure` in force for the account `user_id`, or ends it.
///
/// # Errors
/// `M_INVALID_PARAM` for a user of another server, `M_NOT_FOUND`, `M_FORBIDDEN` for administrators.
pub async fn put(home: &Home, user_id: &UserId, measure: Measure, on: bool) -> Answer<()> {
    if account(home, user_id).await?.admin {
        return Err(Refusal::forbidden("Administrators can not be locked or suspended"));
    }
    let mut batch = Batch::new();
    match measure {
        Measure::Lock => store::accounts::set_locked(&mut batch, user_id.as_str(), on),
        Measure::Suspend => store::accounts::set_suspended(&mut batch, user_id.as_str(), on),
    }
    sessions::changed(home, &mut batch, user_id);
    home.db.commit(batch).await.map_err(|error| match error {
        store::Error::Refused { .. } => no_such_account(),
        error => error.into(),
    })?;
    tracing::info!(user = %user_id, ?measure, on, "account moderated");
    Ok(())
}

async fn account(home: &Home, user_id: &UserId) -> Answer<AccountRow> {
    if user_id.server_name() != home.server_name() {
        return Err(Refusal::invalid_param("That user is not of this server"));
    }
    let account = store::accounts::get(&home.db, user_id.as_str()).await?;
    account.filter(|account| !account.deactivated).ok_or_else(no_such_account)
}

fn no_such_account() -> Refusal {
    Refusal::not_found("There is no such account")
}
