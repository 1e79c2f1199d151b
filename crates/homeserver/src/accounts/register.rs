//! Making accounts.

use ruma::{DeviceId, UserId};
use store::Batch;

use crate::{
    Home,
    accounts::sessions::token_hash,
    refusal::{Answer, Refusal},
    who::Kind,
};

/// Makes an account without asking anything: the caller has decided that it may be made.
///
/// # Errors
/// `M_USER_IN_USE`
pub async fn create(
    home: &Home,
    user_id: &UserId,
    kind: Kind,
    password_hash: Option<String>,
    admin: bool,
) -> Answer<()> {
    let mut batch = Batch::new();
    store::accounts::create(
        &mut batch,
        user_id.as_str(),
        kind.as_str(),
        password_hash,
        admin,
        home.clock.now_ms(),
    );
    home.db.commit(batch).await.map(drop).map_err(|error| match error {
        store::Error::Refused { .. } => Refusal::user_in_use("This user id is taken"),
        error => error.into(),
    })
}

/// Opens a session of `device_id` without end, and answers its access token.
///
/// # Errors
/// If the database does not answer.
pub async fn open_session(
    home: &Home,
    user_id: &UserId,
    device_id: &DeviceId,
    name: Option<&str>,
) -> Answer<String> {
    let token = home.dice.secret("hat_");
    let mut batch = Batch::new();
    store::devices::put(&mut batch, user_id.as_str(), device_id.as_str(), name, home.clock.now_ms());
    store::tokens::add(&mut batch, &token_hash(&token), user_id.as_str(), device_id.as_str(), None, None);
    home.db.commit(batch).await?;
    Ok(token)
}
