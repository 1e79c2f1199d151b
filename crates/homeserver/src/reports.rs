//! Reports to the administrator of the server, who reads them with `hearth reports`.
//!
//! Spec: client-server API, «Reporting content».

use ruma::{EventId, RoomId, UserId};
use store::{
    Batch,
    reports::{NewReport, Report},
};

use crate::{
    Home,
    refusal::{Answer, Refusal},
    rooms::{self, context},
    who::Device,
};

/// Bytes of a reason.
const REASON_BYTES_MAX: usize = 4_096;

/// Reports that a user may send in a day.
const REPORTS_MAX: i64 = 200;

/// Reports on a page.
const PAGE_REPORTS_MAX: u32 = 1_000;

/// A day in milliseconds.
const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// Reports an event of a room that the user is in.
///
/// # Errors
/// `M_NOT_FOUND` whatever the reason: there is no such event, the user may not see it, or is not joined.
pub async fn event(
    home: &Home,
    who: &Device,
    room_id: &RoomId,
    event_id: &EventId,
    reason: Option<String>,
) -> Answer<()> {
    let unknown = || Refusal::not_found("There is no such event, or you are not in its room");
    let found = context::find(home, who.user(), room_id, event_id).await;
    let found = found.map_err(|refusal| if refusal.status < 500 { unknown() } else { refusal });
    let (_, viewer, event) = found?;
    if !viewer.is_joined() {
        return Err(unknown());
    }
    let report = NewReport {
        room_id: Some(room_id.to_string()),
        event_id: Some(event_id.to_string()),
        user_id: Some(event.event.sender().to_string()),
        ..NewReport::default()
    };
    keep(home, who, report, reason).await
}

/// Reports a room; the user need not be in it.
///
/// # Errors
/// `M_NOT_FOUND` if this server does not know it.
pub async fn room(home: &Home, who: &Device, room_id: &RoomId, reason: String) -> Answer<()> {
    rooms::find(home, room_id).await?;
    let report = NewReport { room_id: Some(room_id.to_string()), ..NewReport::default() };
    keep(home, who, report, Some(reason)).await
}

/// Reports a user.
///
/// # Errors
/// `M_NOT_FOUND` if this server does not know the user.
pub async fn user(home: &Home, who: &Device, user: &UserId, reason: String) -> Answer<()> {
    let known = match user.server_name() == home.server_name() {
        true => store::accounts::exists(&home.db, user.as_str()).await?,
        false => !store::members::of_user(&home.db, user.as_str()).await?.is_empty(),
    };
    if !known {
        return Err(Refusal::not_found("This server does not know that user"));
    }
    keep(home, who, NewReport { user_id: Some(user.to_string()), ..NewReport::default() }, Some(reason)).await
}

/// A page of reports, the newest first: those with numbers below `before`, at most `limit`. Whether the
/// reader is an administrator is asked before.
///
/// # Errors
/// If the database does not answer.
pub async fn page(home: &Home, before: Option<i64>, limit: u32) -> Answer<Vec<Report>> {
    let limit = i64::from(limit.min(PAGE_REPORTS_MAX));
    Ok(store::reports::before(&home.db, before.unwrap_or(i64::MAX), limit).await?)
}

async fn keep(home: &Home, who: &Device, report: NewReport, reason: Option<String>) -> Answer<()> {
    if reason.as_ref().is_some_and(|reason| reason.len() > REASON_BYTES_MAX) {
        return Err(Refusal::too_large(format!("A reason has at most {REASON_BYTES_MAX} bytes")));
    }
    let received_ts = home.clock.now_ms();
    tracing::info!(
        reporter = %who.user_id,
        room = report.room_id,
        event = report.event_id,
        user = report.user_id,
        "reported"
    );
    let report = NewReport { reporter: who.user_id.to_string(), reason, received_ts, ..report };
    let mut batch = Batch::new();
    store::reports::add(&mut batch, report, received_ts - DAY_MS, REPORTS_MAX);
    match home.db.commit(batch).await {
        Ok(_) => Ok(()),
        Err(store::Error::Refused { .. }) => {
            let wait = std::time::Duration::from_millis(DAY_MS.unsigned_abs());
            Err(Refusal::limit_exceeded(wait))
        }
        Err(error) => Err(error.into()),
    }
}
