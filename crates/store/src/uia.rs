//! User-interactive authentication under way: sessions of which a part is done.

use crate::{Batch, Db, Result};

/// Keeps what has been completed in a session (stages, separated by spaces), and what the stages
/// found out (JSON). Refuses the batch if something was kept before.
pub fn begin(batch: &mut Batch, session_hash: &[u8; 32], completed: &str, facts: String, now_ms: i64) {
    batch.must(
        "INSERT INTO uia_session (session_hash, completed, facts, created_ts) VALUES ($1, $2, $3, $4)
         ON CONFLICT (session_hash) DO NOTHING",
        vec![(*session_hash).into(), completed.to_owned().into(), facts.into(), now_ms.into()],
    );
}

/// Keeps what has been completed since. Refuses the batch if `before` (completed stages and facts) is
/// not what is kept now.
pub fn go_on(
    batch: &mut Batch,
    session_hash: &[u8; 32],
    before: &(String, String),
    completed: &str,
    facts: String,
) {
    batch.must(
        "UPDATE uia_session SET completed = $2, facts = $3
         WHERE session_hash = $1 AND completed = $4 AND facts = $5",
        vec![
            (*session_hash).into(),
            completed.to_owned().into(),
            facts.into(),
            before.0.clone().into(),
            before.1.clone().into(),
        ],
    );
}

/// Keeps that something was done that is done only once. Refuses the batch if it was done before.
pub fn once(batch: &mut Batch, session_hash: &[u8; 32], now_ms: i64) {
    batch.must(
        "INSERT INTO uia_session (session_hash, completed, facts, created_ts) VALUES ($1, '', '{}', $2)
         ON CONFLICT (session_hash) DO NOTHING",
        vec![(*session_hash).into(), now_ms.into()],
    );
}

/// What has been completed in a session, and what was found out.
pub async fn get(db: &Db, session_hash: &[u8; 32]) -> Result<Option<(String, String)>> {
    db.row("SELECT completed, facts FROM uia_session WHERE session_hash = $1", &[session_hash.into()]).await
}

/// Forgets a session.
pub fn remove(batch: &mut Batch, session_hash: &[u8; 32]) {
    batch.run("DELETE FROM uia_session WHERE session_hash = $1", vec![(*session_hash).into()]);
}

/// Forgets sessions that began before `before_ts`.
pub fn sweep(batch: &mut Batch, before_ts: i64) {
    batch.run("DELETE FROM uia_session WHERE created_ts < $1", vec![before_ts.into()]);
}
