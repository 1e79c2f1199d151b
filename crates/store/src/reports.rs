//! Reports: what users think an administrator should look at.

use crate::{Batch, Value};

/// What a user reports.
#[derive(Clone, Debug, Default)]
pub struct NewReport {
    /// Who reports.
    pub reporter: String,
    /// The room that is reported, or that the event is in.
    pub room_id: Option<String>,
    /// The event that is reported.
    pub event_id: Option<String>,
    /// The user who is reported, or who sent the event.
    pub user_id: Option<String>,
    /// Why.
    pub reason: Option<String>,
    /// When, milliseconds since 1970.
    pub received_ts: i64,
}

/// Keeps a report. Refuses the batch if the reporter sent `reports_max` since `since_ms`.
pub fn add(batch: &mut Batch, report: NewReport, since_ms: i64, reports_max: i64) {
    let pos = batch.pos();
    let params: Vec<Value<'static>> = vec![
        pos.into(),
        report.reporter.into(),
        report.room_id.into(),
        report.event_id.into(),
        report.user_id.into(),
        report.reason.into(),
        report.received_ts.into(),
        since_ms.into(),
        reports_max.into(),
    ];
    batch.must(
        "INSERT INTO report (report, reporter, room_id, event_id, user_id, reason, received_ts)
         SELECT CAST($1 AS BIGINT), CAST($2 AS TEXT), CAST($3 AS TEXT), CAST($4 AS TEXT), CAST($5 AS TEXT),
            CAST($6 AS TEXT), CAST($7 AS BIGINT)
         WHERE (SELECT COUNT(*) FROM report WHERE reporter = $2 AND received_ts > $8) < $9",
        params,
    );
}
