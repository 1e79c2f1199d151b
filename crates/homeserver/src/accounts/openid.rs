//! OpenID: how users prove to a service who they are, without giving it a session.
//!
//! Spec: client-server API, «OpenID»; server-server API, «OpenID».

use std::time::Duration;

use ruma::UserId;
use store::Batch;

use super::sessions::token_hash;
use crate::{
    Home,
    refusal::{Answer, Refusal},
    who::Device,
};

/// How long a token is good.
pub const TOKEN_LIFE: Duration = Duration::from_secs(60 * 60);

/// Tokens of a user that are good at the same time; the oldest goes for one more.
const TOKENS_MAX: i64 = 100;

/// Gives `user`, who must be who asks, a token by which a service learns who it talks to. It is good for
/// nothing else.
///
/// # Errors
/// `M_FORBIDDEN` for somebody else.
pub async fn request_token(home: &Home, who: &Device, user: &UserId) -> Answer<String> {
    if user != who.user() {
        return Err(Refusal::forbidden("You can prove only that you are yourself"));
    }
    let token = home.dice.secret("openid_");
    let life_ms = i64::try_from(TOKEN_LIFE.as_millis()).unwrap_or(i64::MAX);
    let expires_ts = home.clock.now_ms().saturating_add(life_ms);
    let mut batch = Batch::new();
    store::openid::add(&mut batch, &token_hash(&token), user.as_str(), expires_ts, TOKENS_MAX - 1);
    home.db.commit(batch).await?;
    Ok(token)
}

/// The user whom a token belongs to.
///
/// # Errors
/// `M_UNKNOWN_TOKEN`
pub async fn user_of(home: &Home, token: &str) -> Answer<String> {
    let user = store::openid::user(&home.db, &token_hash(token), home.clock.now_ms()).await?;
    user.ok_or_else(|| Refusal::new(401, "M_UNKNOWN_TOKEN", "The token is unknown or has expired"))
}
