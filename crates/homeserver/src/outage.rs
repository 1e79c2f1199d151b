//! When the database is out of order: said in the log once when it begins and once when it is over, not
//! once for each request that is refused meanwhile.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::{
    sync::Notify,
    time::{sleep, timeout},
};

use crate::{Home, Refusal};

/// How often it is looked whether it is over.
const LOOK: Duration = Duration::from_secs(1);
/// How long the database may take to answer.
const ANSWER_MAX: Duration = Duration::from_secs(2);

/// The outage of this moment, if there is one.
#[derive(Default)]
pub struct Outage {
    now: Mutex<Option<Refused>>,
    begun: Notify,
    over: Notify,
}

/// What became of requests since it began.
struct Refused {
    requests: u64,
    since_ms: i64,
}

impl Outage {
    /// A request is refused because the database is out of order.
    pub fn refuses(&self, refusal: &Refusal, now_ms: i64) {
        let cause = refusal.cause.as_deref().unwrap_or(&refusal.message);
        let mut now = self.now.lock();
        if let Some(refused) = &mut *now {
            refused.requests += 1;
            tracing::debug!(cause, "request refused");
            return;
        }
        *now = Some(Refused { requests: 1, since_ms: now_ms });
        tracing::error!(cause, "the database is out of order: requests are refused until it is back");
        self.begun.notify_one();
    }

    /// How many requests were refused so far in an outage.
    fn requests(&self) -> u64 {
        self.now.lock().as_ref().map_or(0, |refused| refused.requests)
    }

    /// Waits until there is no outage.
    pub fn over(&self) -> impl Future<Output = ()> {
        let over = self.over.notified();
        let is_over = self.now.lock().is_none();
        async move {
            if !is_over {
                over.await;
            }
        }
    }

    fn ends(&self, now_ms: i64) {
        if let Some(Refused { requests, since_ms }) = self.now.lock().take() {
            let seconds = (now_ms - since_ms) / 1_000;
            tracing::warn!(requests, seconds, "the database works again; so many requests were refused");
        }
        self.over.notify_waiters();
    }
}

/// Notices when an outage is over. A background loop: runs until the server stops.
pub async fn watching(home: &Home) {
    let outage = &home.outage;
    loop {
        outage.begun.notified().await;
        let mut refused = 0;
        // What is small may be written where other things can not be: it is over when nobody is refused.
        while refused != outage.requests() || writing(home).await.is_some() {
            refused = outage.requests();
            sleep(LOOK).await;
        }
        outage.ends(home.clock.now_ms());
    }
}

/// What is wrong with the database, in a few words for load balancers; nothing if it works.
pub async fn ailment(home: &Home) -> Option<&'static str> {
    match timeout(ANSWER_MAX, store::settings::get(&home.db, "server_name")).await {
        // Where the last write failed, the next one says whether that is over. Nobody else may write for
        // long, if load balancers believe what they read here.
        Ok(Ok(Some(_))) if home.db.ailment().is_some() => writing(home).await,
        Ok(Ok(Some(_))) => None,
        Ok(_) => Some("the database fails"),
        Err(_) => Some("the database does not answer"),
    }
}

async fn writing(home: &Home) -> Option<&'static str> {
    match timeout(ANSWER_MAX, store::settings::touch(&home.db)).await {
        Ok(Ok(())) => None,
        Ok(Err(store::Error::Full)) => Some("the database has no room left"),
        Ok(Err(store::Error::ReadOnly)) => Some("the database is read-only"),
        Ok(Err(_)) => Some("the database fails"),
        Err(_) => Some("the database does not answer"),
    }
}
