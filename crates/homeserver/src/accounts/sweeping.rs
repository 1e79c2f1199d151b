//! Sweeping: forgets sessions, tokens and outcomes that are good for nothing any more.

use std::time::Duration;

use store::Batch;

use super::uia::SESSION_LIFE_MS;
use crate::{Home, refusal::Answer, rooms, threepids};

/// How often it is swept.
const SWEPT_EVERY: Duration = Duration::from_secs(60 * 60);

/// How long an expired access token is remembered in milliseconds, so that its client is told to log
/// in again rather than to forget everything.
const EXPIRED_KEPT_MS: i64 = 7 * 24 * 60 * 60 * 1000;

/// How long a transaction id leads to the same event, in milliseconds.
const TXN_KEPT_MS: i64 = 7 * 24 * 60 * 60 * 1000;

/// Sweeps every hour. A background loop: runs until the server stops.
pub async fn keep_sweeping(home: &Home) {
    let mut stopping = home.stopping.subscribe();
    loop {
        let stop = tokio::time::timeout(SWEPT_EVERY, stopping.wait_for(|stopping| *stopping)).await.is_ok();
        if stop {
            return;
        }
        if let Err(error) = sweep(home).await {
            tracing::warn!(%error, "old sessions could not be swept");
        }
    }
}

/// Sweeps once.
///
/// # Errors
/// If the database does not answer.
pub async fn sweep(home: &Home) -> Answer<()> {
    let now_ms = home.clock.now_ms();
    let mut batch = Batch::new();
    store::uia::sweep(&mut batch, now_ms - SESSION_LIFE_MS);
    store::openid::sweep(&mut batch, now_ms);
    store::threepids::sweep(&mut batch, now_ms - 2 * threepids::sessions::SESSION_LIFE_MS);
    store::tokens::sweep(&mut batch, now_ms - EXPIRED_KEPT_MS);
    rooms::delayed_events::sweep(&mut batch, now_ms);
    home.db.commit(batch).await?;
    let before_ms = now_ms - TXN_KEPT_MS;
    let mut since = Vec::new();
    while let Some(until) = store::txns::old_until(&home.db, &since, before_ms).await? {
        let mut batch = Batch::new();
        store::txns::forget_before(&mut batch, (&since, &until), before_ms);
        home.db.commit(batch).await?;
        since = until;
    }
    Ok(())
}
