//! Addresses of people (third-party identifiers): whose they are, where they are bound, and sessions
//! in which somebody shows that one is theirs.

use crate::{
    Batch, Db, Result,
    database::{FromRow, Row},
};

/// An address of a user.
#[derive(Clone, Debug)]
pub struct ThreepidRow {
    /// `email` or `msisdn`.
    pub medium: String,
    /// The address in canonical form.
    pub address: String,
    /// When somebody showed that it is theirs, milliseconds since 1970.
    pub validated_ts: i64,
    /// When it was added to the account, milliseconds since 1970.
    pub added_ts: i64,
}

impl FromRow for ThreepidRow {
    fn from_row(row: &Row<'_>) -> Result<Self> {
        Ok(ThreepidRow {
            medium: row.get(0)?,
            address: row.get(1)?,
            validated_ts: row.get(2)?,
            added_ts: row.get(3)?,
        })
    }
}

/// The user whose address it is.
pub async fn user(db: &Db, medium: &str, address: &str) -> Result<Option<String>> {
    let sql = "SELECT user_id FROM threepid WHERE medium = $1 AND address = $2";
    let row = db.row::<(String,)>(sql, &[medium.into(), address.into()]).await?;
    Ok(row.map(|(user_id,)| user_id))
}

/// The addresses of a user, oldest first.
pub async fn of_user(db: &Db, user_id: &str) -> Result<Vec<ThreepidRow>> {
    db.rows(
        "SELECT medium, address, validated_ts, added_ts FROM threepid WHERE user_id = $1
         ORDER BY added_ts, medium, address",
        &[user_id.into()],
    )
    .await
}

/// Gives a user an address, or notes that it was validated once more. Refuses the batch if it is
/// somebody else's, if the user has more than `others_max` other ones, or if there is no such account.
pub fn add(batch: &mut Batch, user_id: &str, new: ThreepidRow, others_max: i64) {
    batch.must(
        "INSERT INTO threepid (medium, address, user_id, validated_ts, added_ts)
         SELECT CAST($1 AS TEXT), CAST($2 AS TEXT), user_id, CAST($4 AS BIGINT), CAST($5 AS BIGINT)
         FROM account WHERE user_id = $3 AND NOT deactivated AND (SELECT COUNT(*) FROM threepid
            WHERE user_id = $3 AND NOT (medium = $1 AND address = $2)) <= $6
         ON CONFLICT (medium, address) DO UPDATE SET validated_ts = $4 WHERE threepid.user_id = $3",
        vec![
            new.medium.into(),
            new.address.into(),
            user_id.to_owned().into(),
            new.validated_ts.into(),
            new.added_ts.into(),
            others_max.into(),
        ],
    );
}

/// Takes an address from a user, if it is theirs.
pub fn remove(batch: &mut Batch, user_id: &str, medium: &str, address: &str) {
    batch.run(
        "DELETE FROM threepid WHERE medium = $2 AND address = $3 AND user_id = $1",
        vec![user_id.to_owned().into(), medium.to_owned().into(), address.to_owned().into()],
    );
}

/// An address that an identity server tells others.
#[derive(Clone, Debug)]
pub struct BindingRow {
    /// `email` or `msisdn`.
    pub medium: String,
    /// The address in canonical form.
    pub address: String,
    /// The identity server.
    pub id_server: String,
}

impl FromRow for BindingRow {
    fn from_row(row: &Row<'_>) -> Result<Self> {
        Ok(BindingRow { medium: row.get(0)?, address: row.get(1)?, id_server: row.get(2)? })
    }
}

/// Notes that an identity server tells others whose address it is, unless `bindings_max` of the user are
/// noted already.
pub fn bind(batch: &mut Batch, user_id: &str, binding: BindingRow, bindings_max: i64) {
    let user = || user_id.to_owned().into();
    batch.run(
        "INSERT INTO threepid_binding (user_id, medium, address, id_server)
         SELECT CAST($1 AS TEXT), CAST($2 AS TEXT), CAST($3 AS TEXT), CAST($4 AS TEXT)
         WHERE (SELECT COUNT(*) FROM threepid_binding WHERE user_id = $1) < $5
         ON CONFLICT (user_id, medium, address, id_server) DO NOTHING",
        vec![
            user(),
            binding.medium.into(),
            binding.address.into(),
            binding.id_server.into(),
            bindings_max.into(),
        ],
    );
}

/// Notes that an identity server tells nobody any more.
pub fn unbind(batch: &mut Batch, user_id: &str, binding: &BindingRow) {
    batch.run(
        "DELETE FROM threepid_binding WHERE user_id = $1 AND medium = $2 AND address = $3 AND id_server = $4",
        vec![
            user_id.to_owned().into(),
            binding.medium.clone().into(),
            binding.address.clone().into(),
            binding.id_server.clone().into(),
        ],
    );
}

/// Where the addresses of a user are bound.
pub async fn bindings(db: &Db, user_id: &str) -> Result<Vec<BindingRow>> {
    db.rows(
        "SELECT medium, address, id_server FROM threepid_binding WHERE user_id = $1
         ORDER BY medium, address, id_server",
        &[user_id.into()],
    )
    .await
}

/// A session in which somebody is to show that an address is theirs.
#[derive(Clone, Debug)]
pub struct SessionRow {
    /// Its id.
    pub sid: String,
    /// What it is for: `register`, `password` or `add`.
    pub purpose: String,
    /// `email` or `msisdn`.
    pub medium: String,
    /// The address in canonical form.
    pub address: String,
    /// The hash of the client's secret.
    pub secret_hash: Vec<u8>,
    /// The client's count of the messages it wanted.
    pub send_attempt: i64,
    /// When that attempt began, milliseconds since 1970; 0 if it failed.
    pub claimed_ts: i64,
    /// When the message was handed over, milliseconds since 1970; none if it was not, or not yet.
    pub sent_ts: Option<i64>,
    /// How many tokens were tried.
    pub guesses: i64,
    /// Where the client wants people to go on.
    pub next_link: Option<String>,
    /// When somebody showed the token, milliseconds since 1970.
    pub validated_ts: Option<i64>,
    /// When it began, milliseconds since 1970.
    pub created_ts: i64,
}

impl FromRow for SessionRow {
    fn from_row(row: &Row<'_>) -> Result<Self> {
        Ok(SessionRow {
            sid: row.get(0)?,
            purpose: row.get(1)?,
            medium: row.get(2)?,
            address: row.get(3)?,
            secret_hash: row.get(4)?,
            send_attempt: row.get(5)?,
            claimed_ts: row.get(6)?,
            sent_ts: row.get(7)?,
            guesses: row.get(8)?,
            next_link: row.get(9)?,
            validated_ts: row.get(10)?,
            created_ts: row.get(11)?,
        })
    }
}

/// The session with this id.
pub async fn session(db: &Db, sid: &str) -> Result<Option<SessionRow>> {
    db.row(
        "SELECT sid, purpose, medium, address, secret_hash, send_attempt, claimed_ts, sent_ts, guesses,
            next_link, validated_ts, created_ts
         FROM threepid_session WHERE sid = $1",
        &[sid.into()],
    )
    .await
}

/// The session that a client with this secret has for an address and a purpose.
pub async fn session_of(
    db: &Db,
    medium: &str,
    address: &str,
    purpose: &str,
    secret_hash: &[u8; 32],
) -> Result<Option<SessionRow>> {
    db.row(
        "SELECT sid, purpose, medium, address, secret_hash, send_attempt, claimed_ts, sent_ts, guesses,
            next_link, validated_ts, created_ts
         FROM threepid_session WHERE medium = $1 AND address = $2 AND purpose = $3 AND secret_hash = $4",
        &[medium.into(), address.into(), purpose.into(), secret_hash.into()],
    )
    .await
}

/// Begins a session, and forgets the oldest ones of the address past `others_max`. Refuses the batch
/// if the client has one already.
pub fn begin(batch: &mut Batch, new: SessionRow, others_max: i64) {
    batch.run(
        "DELETE FROM threepid_session WHERE sid IN (
            SELECT sid FROM threepid_session WHERE medium = $1 AND address = $2
            ORDER BY created_ts DESC, sid LIMIT 1000 OFFSET $3)",
        vec![new.medium.clone().into(), new.address.clone().into(), others_max.into()],
    );
    batch.must(
        "INSERT INTO threepid_session (sid, purpose, medium, address, secret_hash, send_attempt, claimed_ts,
            guesses, next_link, created_ts)
         VALUES ($1, $2, $3, $4, $5, $6, $7, 0, $8, $9)
         ON CONFLICT (medium, address, purpose, secret_hash) DO NOTHING",
        vec![
            new.sid.into(),
            new.purpose.into(),
            new.medium.into(),
            new.address.into(),
            new.secret_hash.into(),
            new.send_attempt.into(),
            new.claimed_ts.into(),
            new.next_link.into(),
            new.created_ts.into(),
        ],
    );
}

/// Claims the sending of another message, `next`, in a session that is as `was` says. Refuses the batch if
/// somebody else was faster.
pub fn claim(batch: &mut Batch, was: &SessionRow, next: i64, next_link: Option<String>, now_ms: i64) {
    batch.must(
        "UPDATE threepid_session SET send_attempt = $4, claimed_ts = $5, sent_ts = NULL, next_link = $6
         WHERE sid = $1 AND send_attempt = $2 AND claimed_ts = $3",
        vec![
            was.sid.clone().into(),
            was.send_attempt.into(),
            was.claimed_ts.into(),
            next.into(),
            now_ms.into(),
            next_link.into(),
        ],
    );
}

/// Notes that the message `send_attempt` was handed over, at `sent_ts`, or, if that is none, that it
/// could not be.
pub fn sent(batch: &mut Batch, sid: &str, send_attempt: i64, sent_ts: Option<i64>) {
    batch.run(
        "UPDATE threepid_session SET sent_ts = $3, claimed_ts = CASE WHEN CAST($3 AS BIGINT) IS NULL THEN 0
            ELSE claimed_ts END
         WHERE sid = $1 AND send_attempt = $2",
        vec![sid.to_owned().into(), send_attempt.into(), sent_ts.into()],
    );
}

/// Counts a token that is tried. Refuses the batch after `guesses_max` of them.
pub fn guess(batch: &mut Batch, sid: &str, guesses_max: i64) {
    batch.must(
        "UPDATE threepid_session SET guesses = guesses + 1 WHERE sid = $1 AND guesses < $2",
        vec![sid.to_owned().into(), guesses_max.into()],
    );
}

/// Notes that the token was shown. Refuses the batch if the session is gone.
pub fn validate(batch: &mut Batch, sid: &str, validated_ts: i64) {
    batch.must(
        "UPDATE threepid_session SET validated_ts = $2 WHERE sid = $1",
        vec![sid.to_owned().into(), validated_ts.into()],
    );
}

/// Ends a session that has served its purpose. Refuses the batch if it has done so before.
pub fn use_up(batch: &mut Batch, sid: &str) {
    batch.must("DELETE FROM threepid_session WHERE sid = $1", vec![sid.to_owned().into()]);
}

/// Forgets a session, whether it is there or not.
pub fn forget(batch: &mut Batch, sid: &str) {
    batch.run("DELETE FROM threepid_session WHERE sid = $1", vec![sid.to_owned().into()]);
}

/// Forgets sessions that began before `before_ts`.
pub fn sweep(batch: &mut Batch, before_ts: i64) {
    batch.run("DELETE FROM threepid_session WHERE created_ts < $1", vec![before_ts.into()]);
}
