//! Devices: listed, renamed, and when they were seen last.

use std::{collections::HashMap, net::IpAddr, time::Duration};

use parking_lot::Mutex;
use ruma::{OwnedDeviceId, OwnedUserId};
use store::Batch;

use crate::{Home, who::Device};

/// Devices that wait for their visit to be written. More are not noted until the next time.
const SEEN_MAX: usize = 65_536;

/// Devices written in one batch.
const SEEN_BATCH_MAX: usize = 500;

/// How often visits are written.
const WRITTEN_EVERY: Duration = Duration::from_secs(60);

/// When and from where devices were seen, as far as it is not written.
#[derive(Default)]
pub(super) struct Seen(Mutex<HashMap<(OwnedUserId, OwnedDeviceId), Visit>>);

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
}

/// Writes when and from where devices were seen.
pub async fn write_seen(home: &Home) {
    let seen: Vec<_> = std::mem::take(&mut *home.accounts.seen.0.lock()).into_iter().collect();
    for some in seen.chunks(SEEN_BATCH_MAX) {
        let mut batch = Batch::new();
        for ((user_id, device_id), visit) in some {
            let ip = visit.address.map(|address| address.to_canonical().to_string());
            store::devices::seen(&mut batch, user_id.as_str(), device_id.as_str(), visit.ts, ip);
        }
        if let Err(error) = home.db.commit(batch).await {
            tracing::warn!(%error, "when devices were seen could not be written");
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
