//! Logging in.

use ruma::OwnedUserId;
use serde::Deserialize;
use store::Batch;

use super::{
    attempts, login_tokens,
    names::{self, Identifier},
    opening::{self, Opened},
    passwords,
};
use crate::{
    Home, limits,
    refusal::{Answer, Refusal},
};

/// How a client logs in.
#[derive(Clone, Debug, Deserialize)]
pub struct Wish {
    /// `m.login.password` or `m.login.token`
    #[serde(rename = "type")]
    pub login_type: Option<String>,
    /// Who, for `m.login.password`.
    pub identifier: Option<Identifier>,
    /// Who, as in r0.
    pub user: Option<String>,
    /// The kind of address that names the user, as in r0.
    pub medium: Option<String>,
    /// The address, as in r0.
    pub address: Option<String>,
    /// The password.
    pub password: Option<String>,
    /// The login token.
    pub token: Option<String>,
    /// With which a client may use the same login token again.
    pub txn_id: Option<String>,
    /// The session.
    #[serde(flatten)]
    pub session: opening::Wish,
}

/// Opens a session for whoever proves who they are.
///
/// # Errors
/// `M_FORBIDDEN` for a wrong name, password or token, `M_USER_DEACTIVATED`, `M_USER_LOCKED`,
/// `M_LIMIT_EXCEEDED` after too many wrong passwords or too many logins, `M_UNKNOWN` for a type that is not offered,
/// `M_MISSING_PARAM`.
pub async fn login(home: &Home, wish: &Wish) -> Answer<Opened> {
    wish.session.check()?;
    let (mut batch, mut session) = (Batch::new(), wish.session.clone());
    let user_id = match wish.login_type.as_deref() {
        Some("m.login.password") => by_password(home, wish).await?,
        Some("m.login.token") => by_token(home, wish, &mut batch, &mut session).await?,
        Some(_) => return Err(Refusal::unknown("This server does not offer that type of login")),
        None => return Err(Refusal::missing_param("type is missing: ask GET /login which there are")),
    };
    limits::log_in(home, &user_id)?;
    let opened = opening::open(home, &mut batch, &user_id, &session);
    home.db.commit(batch).await.map_err(|error| match error {
        store::Error::Refused { .. } => login_tokens::bad(),
        error => error.into(),
    })?;
    Ok(opened)
}

async fn by_password(home: &Home, wish: &Wish) -> Answer<OwnedUserId> {
    let wrong = || Refusal::forbidden("Wrong username or password");
    let password = wish.password.as_deref();
    let password = password.ok_or_else(|| Refusal::missing_param("password is missing"))?;
    let by_address = || Identifier::by_address(wish.medium.clone(), wish.address.clone());
    let identifier = wish.identifier.clone().or_else(|| wish.medium.as_ref().map(|_| by_address()));
    let user_id = names::find(home, identifier.as_ref(), wish.user.as_deref()).await?;
    if let Some(user_id) = &user_id {
        attempts::may_guess(home, user_id)?;
    }
    let account = match &user_id {
        Some(user_id) => store::accounts::get(&home.db, user_id.as_str()).await?,
        None => None,
    };
    let hash = account.as_ref().and_then(|account| account.password_hash.clone());
    let right = passwords::verify(home, password, hash).await?;
    if let (false, Some(user_id)) = (right, &user_id) {
        attempts::was_wrong(home, user_id);
    }
    let (user_id, account) = user_id.zip(account).ok_or_else(wrong)?;
    if account.deactivated {
        return Err(Refusal::user_deactivated("This account has been deactivated"));
    }
    match (right, account.locked) {
        (false, _) => Err(wrong()),
        (true, true) => Err(Refusal::user_locked()),
        (true, false) => Ok(user_id),
    }
}

async fn by_token(
    home: &Home,
    wish: &Wish,
    batch: &mut Batch,
    session: &mut opening::Wish,
) -> Answer<OwnedUserId> {
    let token = wish.token.as_deref().ok_or_else(|| Refusal::missing_param("token is missing"))?;
    let txn_id = wish.txn_id.as_deref();
    let good = login_tokens::check(home, token, txn_id).await?;
    if !login_tokens::is_called(wish.user.as_deref(), &good.user_id) {
        return Err(login_tokens::bad());
    }
    let account = store::accounts::get(&home.db, good.user_id.as_str()).await?;
    match account.filter(|account| !account.deactivated) {
        None => Err(login_tokens::bad()),
        Some(account) if account.locked => Err(Refusal::user_locked()),
        Some(_) => {
            // Whoever asks again means the same device.
            let device_id = session.device_id.take().unwrap_or_else(|| good.device(home, txn_id));
            good.use_up(batch, txn_id, Some(device_id.as_str()));
            session.device_id = Some(device_id);
            Ok(good.user_id)
        }
    }
}
