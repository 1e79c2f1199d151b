//! Reports: what users think an administrator should look at.

use crate::{
    Batch, Db, Result, Value,
    database::{FromRow, Row},
};

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

/// A report as it is kept.
#[derive(Clone, Debug)]
pub struct Report {
    /// Its number: newer ones have larger numbers.
    pub number: i64,
    /// What was said.
    pub said: NewReport,
}

impl FromRow for Report {
    fn from_row(row: &Row<'_>) -> Result<Self> {
        let said = NewReport {
            reporter: row.get(1)?,
            room_id: row.get(2)?,
            event_id: row.get(3)?,
            user_id: row.get(4)?,
            reason: row.get(5)?,
            received_ts: row.get(6)?,
        };
        Ok(Report { number: row.get(0)?, said })
    }
}

/// The reports with numbers below `before`, the newest first, at most `limit`.
pub async fn before(db: &Db, before: i64, limit: i64) -> Result<Vec<Report>> {
    db.rows(
        "SELECT report, reporter, room_id, event_id, user_id, reason, received_ts FROM report
         WHERE report < $1 ORDER BY report DESC LIMIT $2",
        &[before.into(), limit.into()],
    )
    .await
}
