//! Answering a sync at once, or waiting until there is something to answer.

use std::pin::pin;

use tokio::time::sleep;

use super::{
    Ask, Synced, TIMEOUT_MAX,
    look::{self, Look},
    plan::Plan,
    stream,
};
use crate::{
    Home,
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
/// `M_INVALID_PARAM` if the token is none of ours, `M_LIMIT_EXCEEDED` after too many initial syncs.
pub async fn sync(home: &Home, who: &Device, ask: Ask) -> Answer<Synced> {
    if let Some(since) = ask.since {
        look::check(home, since).await?;
    }
    presence::syncs(home, who.user(), &ask.set_presence);
    let Some(since) = ask.since.filter(|_| !ask.full_state) else {
        limits::spend(home, Class::Search, Some(who), who.address)?;
        let look = Look::new(home, who, &ask, ask.since).await?;
        return Ok(Synced::Streamed(stream::pieces(look).await?));
    };
    if ask.timeout.is_zero() {
        return Ok(Synced::Whole(Box::pin(changes(home, who, &ask, since)).await?.text));
    }
    poll(home, who, &ask, since).await.map(Synced::Whole)
}

/// What can be said of one stretch of the stream.
struct Changes {
    /// The answer.
    text: String,
    /// Whether it tells anything.
    any: bool,
    /// Where it ends.
    upto: Token,
}

async fn changes(home: &Home, who: &Device, ask: &Ask, since: Token) -> Answer<Changes> {
    let look = Look::new(home, who, ask, Some(since)).await?;
    let plan = Plan::of(&look).await?;
    let (text, any) = stream::whole(&look, plan).await?;
    Ok(Changes { text, any, upto: look.upto })
}

async fn poll(home: &Home, who: &Device, ask: &Ask, mut since: Token) -> Answer<String> {
    let ear = home.bell.listen(who.user());
    let mut stopping = home.stopping.subscribe();
    let mut out_of_time = pin!(sleep(ask.timeout.min(TIMEOUT_MAX)));
    let mut last = false;
    loop {
        let sound = ear.sound();
        // In a box of its own, for a sync that waits needs none of it.
        let changes = Box::pin(changes(home, who, ask, since)).await?;
        if changes.any || last || *stopping.borrow() {
            return Ok(changes.text);
        }
        // Nothing up to there concerns the user.
        since = changes.upto;
        drop(changes);
        tokio::select! {
            () = sound => {}
            () = &mut out_of_time => last = true,
            _ = stopping.changed() => last = true,
        }
    }
}
