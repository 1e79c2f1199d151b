//! Answering a sync at once, or waiting until there is something to answer.

use std::{future::Future, pin::pin, time::Duration};

use futures_util::future::Either;
use tokio::time::sleep;

use super::{
    Ask, Synced, TIMEOUT_MAX,
    look::{self, Look},
    plan::Plan,
    stream::{self, Shape},
    told::Telling,
};
use crate::{
    Home,
    accounts::sessions,
    limits::{self, Class},
    presence,
    refusal::Answer,
    token::Token,
    who::Device,
};

/// What happened for `who` since `ask.since`; waits until something did, or `ask.timeout` is over, or
/// the server stops.
///
/// # Errors
/// `M_INVALID_PARAM` if the token is none of ours, `M_LIMIT_EXCEEDED` after too many initial syncs,
/// `M_UNKNOWN_TOKEN` or `M_USER_LOCKED` if the session ends while it waits.
pub(super) async fn sync<S: Shape>(home: &Home, who: &Device, ask: Ask) -> Answer<Synced> {
    if let Some(since) = ask.since {
        look::check(home, since).await?;
    }
    presence::syncs(home, who, &ask.set_presence);
    let Some(since) = ask.since.filter(|_| !ask.full_state) else {
        return Box::pin(whole::<S>(home, who, &ask)).await;
    };
    if ask.timeout.is_zero() {
        return Ok(Synced::Whole(Box::pin(changes::<S>(home, who, &ask, since)).await?.told(home, who)));
    }
    let ear = home.bell.listen(who.user())?;
    let changes = |since| changes::<S>(home, who, &ask, since);
    poll(home, who, || ear.sound(), ask.timeout, since, changes).await.map(Synced::Whole)
}

/// Everything, piece by piece.
async fn whole<S: Shape>(home: &Home, who: &Device, ask: &Ask) -> Answer<Synced> {
    limits::spend(home, Class::Search, Some(who), who.address)?;
    let look = Look::new(home, who, ask, ask.since).await?;
    Ok(Synced::Streamed(stream::pieces::<S>(look).await?))
}

/// What can be said of one stretch of the stream.
pub(super) struct Changes {
    /// The answer.
    pub(super) text: String,
    /// Whether it tells anything.
    pub(super) any: bool,
    /// Where it ends.
    pub(super) upto: Token,
    /// What it tells of members, if the client remembers that.
    pub(super) telling: Option<Telling>,
}

impl Changes {
    /// The answer, which is on its way now.
    fn told(self, home: &Home, who: &Device) -> String {
        if let Some(telling) = self.telling {
            telling.done(&home.told, who);
        }
        self.text
    }
}

async fn changes<S: Shape>(home: &Home, who: &Device, ask: &Ask, since: Token) -> Answer<Changes> {
    let look = Look::new(home, who, ask, Some(since)).await?;
    let plan = Plan::of(&look).await?;
    let (text, any) = stream::whole::<S>(&look, plan).await?;
    Ok(Changes { text, any, upto: look.upto, telling: look.telling })
}

/// Asks for `changes` from `since` on until they tell anything, the time is over or the server stops.
/// `sound` makes the next ring to wait for. An outage that begins meanwhile is waited out.
///
/// # Errors
/// Those of `changes`; `M_UNKNOWN_TOKEN` or `M_USER_LOCKED` if the session of `who` ends meanwhile.
pub(super) async fn poll<Ring: Future<Output = ()>, Looks: Future<Output = Answer<Changes>>>(
    home: &Home,
    who: &Device,
    sound: impl Fn() -> Ring,
    timeout: Duration,
    mut since: Token,
    changes: impl Fn(Token) -> Looks,
) -> Answer<String> {
    let mut stopping = home.stopping.subscribe();
    let mut out_of_time = pin!(sleep(timeout.min(TIMEOUT_MAX)));
    let (mut first, mut last, mut session) = (true, false, sessions::Watch::new());
    loop {
        let sound = sound();
        // In a box of its own, for a sync that waits needs none of it.
        let found = Box::pin(async {
            session.check(home, who).await?;
            changes(since).await
        });
        let again = match found.await {
            Ok(changes) if changes.any || last || *stopping.borrow() => return Ok(changes.told(home, who)),
            // Nothing up to there concerns the user.
            Ok(Changes { upto, .. }) => {
                since = Token { link: since.link, ..upto };
                Either::Left(sound)
            }
            // Who waited already goes on waiting: to be told so would only make everybody ask at once.
            Err(refusal) if refusal.is_outage && !(first || last || *stopping.borrow()) => {
                home.outage.refuses(&refusal, home.clock.now_ms());
                Either::Right(home.outage.over())
            }
            Err(refusal) => return Err(refusal),
        };
        first = false;
        tokio::select! {
            _ = again => {}
            () = &mut out_of_time => last = true,
            _ = stopping.changed() => last = true,
        }
    }
}
