//! Closing: logging out, and the end of devices.

use ruma::{DeviceId, UserId};
use store::Batch;

use super::sessions;
use crate::{Home, refusal::Answer, who::Device};

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
    sessions::changed(home, batch, user_id);
}

/// Adds to `batch` the end of all devices of a user, except `keep`.
pub fn all_devices(home: &Home, batch: &mut Batch, user_id: &UserId, keep: Option<&DeviceId>) {
    let keep = keep.map(DeviceId::as_str);
    store::tokens::remove_of_user(batch, user_id.as_str(), keep);
    store::devices::remove_of_user(batch, user_id.as_str(), keep);
    sessions::changed(home, batch, user_id);
}
