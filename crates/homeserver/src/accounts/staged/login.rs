//! Logging in by a mail address, as the first version of the API had it: by a code or a link that this server
//! sends, or by what an identity server says. Who can read the mails of an account can set its password, too.

use std::net::IpAddr;

use ruma::UserId;
use serde_json::{Map, Value};
use store::Batch;

use super::{email, missing, text};
use crate::{
    Home,
    accounts::{
        names,
        opening::{self, Opened},
        uia::{Operation, stages::EMAIL},
    },
    limits,
    refusal::{Answer, Refusal},
    threepids::{self, Medium, Purpose, Validated, credentials::Credentials, identity, sessions},
};

/// What a stage led to.
pub enum LoggedIn {
    /// Into the account.
    In(Opened),
    /// A message is on its way: the same session shows what it says.
    Sent(String),
}

/// The ways to log in by an address, each of one stage.
pub fn stages(home: &Home) -> Vec<&'static str> {
    match Medium::Email.is_served(home) {
        true => vec![email::CODE, email::URL],
        false if identity::is_configured(home) => vec![EMAIL],
        false => Vec::new(),
    }
}

/// Does the stage of `body`, which is one of [`stages`].
///
/// # Errors
/// `M_FORBIDDEN` if the address is nobody's or another's, or was not shown; `M_THREEPID_NOT_FOUND` unless
/// accounts are hidden, `M_USER_DEACTIVATED`, `M_USER_LOCKED`, `M_LIMIT_EXCEEDED`,
/// `M_LOGIN_EMAIL_URL_NOT_YET`, those of a message that is sent.
pub async fn log_in(
    home: &Home,
    body: &Map<String, Value>,
    wish: &opening::Wish,
    address: Option<IpAddr>,
) -> Answer<LoggedIn> {
    wish.check()?;
    if text(body, "type")?.ok_or_else(|| missing("type"))? == EMAIL {
        let shown = sessions::validated(home, Purpose::Login, &Credentials::inside(body)?).await?;
        let not_shown = || Refusal::forbidden("Nobody has confirmed this address at that identity server");
        let shown = shown.filter(|shown| shown.medium == Medium::Email).ok_or_else(not_shown)?;
        return Ok(LoggedIn::In(open(home, &shown, text(body, "user")?, wish).await?));
    }
    let operation = Operation { name: "login", flows: vec![vec![EMAIL]], address, ..Operation::default() };
    match email::stage(home, &operation, Purpose::Login, body).await? {
        email::Stage::Sent(session) => Ok(LoggedIn::Sent(session.ticket)),
        email::Stage::Shown { validated, user, .. } => {
            Ok(LoggedIn::In(open(home, &validated, user.as_deref(), wish).await?))
        }
    }
}

/// Opens a session of whoever has the address, which uses up what has shown it.
async fn open(home: &Home, shown: &Validated, named: Option<&str>, wish: &opening::Wish) -> Answer<Opened> {
    let wrong = || Refusal::forbidden("No such account has this address");
    let user_id = threepids::user(home, shown.medium, &shown.address).await?.ok_or_else(wrong)?;
    if named.is_some() && names::find(home, None, named).await?.as_ref() != Some(&user_id) {
        return Err(wrong());
    }
    may_enter(home, &user_id).await?;
    limits::log_in(home, &user_id)?;
    let mut batch = Batch::new();
    shown.use_up(&mut batch);
    let opened = opening::open(home, &mut batch, &user_id, wish);
    home.db.commit(batch).await.map_err(|error| match error {
        store::Error::Refused { .. } => Refusal::forbidden("This code or link has been used already"),
        error => error.into(),
    })?;
    Ok(opened)
}

async fn may_enter(home: &Home, user_id: &UserId) -> Answer<()> {
    match store::accounts::get(&home.db, user_id.as_str()).await? {
        Some(account) if account.locked => Err(Refusal::user_locked()),
        Some(account) if !account.deactivated => Ok(()),
        _ => Err(Refusal::user_deactivated("This account has been deactivated")),
    }
}
