//! Devices: listed, renamed, and when they were seen last.

use std::{collections::HashMap, net::IpAddr, time::Duration};

use parking_lot::Mutex;
use ruma::{DeviceId, OwnedDeviceId, OwnedUserId, UserId};
use store::{Batch, devices::DeviceRow};

use super::opening;
use crate::{
    Home,
    refusal::{Answer, Refusal},
    who::Device,
};

/// Devices that wait for their visit to be written. More are not noted until the next time.
const SEEN_MAX: usize = 65_536;

/// Devices written in one batch.
const SEEN_BATCH_MAX: usize = 500;

/// How often visits are written.
const WRITTEN_EVERY: Duration = Duration::from_secs(60);

/// When and from where devices were seen, as far as it is not written.
#[derive(Default)]
pub(super) struct Seen(Mutex<HashMap<(OwnedUserId, OwnedDeviceId), Visit>>);

#[derive(Clone, Copy, PartialEq)]
struct Visit {
    ts: i64,
    address: Option<IpAddr>,
}

impl Seen {
    /// Notes that `who` was seen at `ts`.
    pub(super) fn note(&self, who: &Device, ts: i64) {
        let mut seen = self.0.lock();
        let key = (who.user_id.clone(), who.device_id.clone());
        if seen.len() < SEEN_MAX || seen.contains_key(&key) {
            seen.insert(key, Visit { ts, address: who.address });
        }
    }

    /// What is not written yet.
    fn waiting(&self) -> Vec<((OwnedUserId, OwnedDeviceId), Visit)> {
        self.0.lock().iter().map(|(device, visit)| (device.clone(), *visit)).collect()
    }

    /// Forgets what is written, but for devices that were seen again meanwhile.
    fn written(&self, visits: &[((OwnedUserId, OwnedDeviceId), Visit)]) {
        let mut seen = self.0.lock();
        for (device, visit) in visits {
            if seen.get(device) == Some(visit) {
                seen.remove(device);
            }
        }
    }

    /// Adds to what is written of a device what is not yet.
    fn complete(&self, user_id: &UserId, row: &mut DeviceRow) {
        let key = (user_id.to_owned(), OwnedDeviceId::from(&*row.device_id));
        if let Some(visit) = self.0.lock().get(&key) {
            row.last_seen_ts = Some(visit.ts);
            row.last_seen_ip = visit.ip();
        }
    }
}

impl Visit {
    fn ip(&self) -> Option<String> {
        self.address.map(|address| address.to_canonical().to_string())
    }
}

/// The devices of a user.
///
/// # Errors
/// If the database does not answer.
pub async fn list(home: &Home, user_id: &UserId) -> Answer<Vec<DeviceRow>> {
    let mut devices = store::devices::of_user(&home.db, user_id.as_str()).await?;
    devices.iter_mut().for_each(|device| home.accounts.seen.complete(user_id, device));
    Ok(devices)
}

/// One device of a user.
///
/// # Errors
/// `M_NOT_FOUND`
pub async fn get(home: &Home, user_id: &UserId, device_id: &DeviceId) -> Answer<DeviceRow> {
    // No device has such an id, and no database takes it.
    let possible = !device_id.as_str().contains('\0');
    let device = match possible {
        true => store::devices::get(&home.db, user_id.as_str(), device_id.as_str()).await?,
        false => None,
    };
    let mut device = device.ok_or_else(no_such_device)?;
    home.accounts.seen.complete(user_id, &mut device);
    Ok(device)
}

/// Calls a device `name`; without a name it stays as it is.
///
/// # Errors
/// `M_NOT_FOUND`, `M_TOO_LARGE`
pub async fn rename(home: &Home, user_id: &UserId, device_id: &DeviceId, name: Option<&str>) -> Answer<()> {
    opening::check_device_name(name)?;
    get(home, user_id, device_id).await?;
    let Some(name) = name else { return Ok(()) };
    let mut batch = Batch::new();
    store::devices::rename(&mut batch, user_id.as_str(), device_id.as_str(), Some(name));
    home.db.commit(batch).await.map(drop).map_err(|error| match error {
        store::Error::Refused { .. } => no_such_device(),
        error => error.into(),
    })
}

fn no_such_device() -> Refusal {
    Refusal::not_found("You have no such device")
}

/// Writes when and from where devices were seen; what can not be written waits for the next time.
pub async fn write_seen(home: &Home) {
    for some in home.accounts.seen.waiting().chunks(SEEN_BATCH_MAX) {
        let mut batch = Batch::new();
        for ((user_id, device_id), visit) in some {
            store::devices::seen(&mut batch, user_id.as_str(), device_id.as_str(), visit.ts, visit.ip());
        }
        match home.db.commit(batch).await {
            Ok(_) => home.accounts.seen.written(some),
            Err(error) => tracing::warn!(%error, "when devices were seen could not be written"),
        }
    }
}

/// Writes it every minute. A background loop: runs until the server stops.
pub async fn keep_seen(home: &Home) {
    let mut stopping = home.stopping.subscribe();
    loop {
        let stop = stopping.wait_for(|stopping| *stopping);
        let stopped = tokio::time::timeout(WRITTEN_EVERY, stop).await.is_ok();
        write_seen(home).await;
        if stopped {
            return;
        }
    }
}
