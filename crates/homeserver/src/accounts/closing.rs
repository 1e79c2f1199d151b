//! Closing: logging out, the end of devices and of accounts.

use ruma::{DeviceId, UserId};
use store::Batch;

use super::sessions;
use crate::{
    Home,
    refusal::{Answer, Refusal},
    who::Device,
};

/// Ends the session that `who` uses, and its device.
///
/// # Errors
/// If the database does not answer.
pub async fn logout(home: &Home, who: &Device) -> Answer<()> {
    let mut batch = Batch::new();
    device(home, &mut batch, who.user(), who.device());
    home.db.commit(batch).await?;
    Ok(())
}

/// Ends all sessions and devices of the user.
///
/// # Errors
/// If the database does not answer.
pub async fn logout_all(home: &Home, who: &Device) -> Answer<()> {
    let mut batch = Batch::new();
    all_devices(home, &mut batch, who.user(), None);
    home.db.commit(batch).await?;
    Ok(())
}

/// Adds to `batch` the end of a device, of its sessions and of all that is kept for it.
pub fn device(home: &Home, batch: &mut Batch, user_id: &UserId, device_id: &DeviceId) {
    store::tokens::remove_of_device(batch, user_id.as_str(), device_id.as_str());
    store::devices::remove(batch, user_id.as_str(), device_id.as_str());
    store::pushers::remove_of_device(batch, user_id.as_str(), device_id.as_str());
    sessions::changed(home, batch, user_id);
}

/// Adds to `batch` the end of all devices of a user, except `keep`.
pub fn all_devices(home: &Home, batch: &mut Batch, user_id: &UserId, keep: Option<&DeviceId>) {
    let keep = keep.map(DeviceId::as_str);
    store::tokens::remove_of_user(batch, user_id.as_str(), keep);
    store::devices::remove_of_user(batch, user_id.as_str(), keep);
    store::pushers::remove_of_user(batch, user_id.as_str(), keep);
    sessions::changed(home, batch, user_id);
}

/// Adds to `batch` the end of an account: nobody logs in to it any more, what was kept for it is
/// gone, and it leaves its rooms afterwards. `erase` also hides what it sent from those who come later.
pub fn account(home: &Home, batch: &mut Batch, user_id: &UserId, erase: bool) {
    store::accounts::deactivate(batch, user_id.as_str(), erase);
    all_devices(home, batch, user_id, None);
    let home = home.clone();
    batch.then(move |_| home.accounts.departures.begin());
}

/// Closes the account of `user_id` for good.
///
/// # Errors
/// `M_NOT_FOUND` if there is no such account, or no longer.
pub async fn deactivate(home: &Home, mut batch: Batch, user_id: &UserId, erase: bool) -> Answer<()> {
    account(home, &mut batch, user_id, erase);
    home.db.commit(batch).await.map_err(|error| match error {
        store::Error::Refused { .. } => Refusal::not_found("There is no such account"),
        error => error.into(),
    })?;
    tracing::info!(user = %user_id, erase, "deactivated");
    Ok(())
}
