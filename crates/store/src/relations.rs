//! Which events point to which (`m.relates_to`), and the threads that come of it.

use crate::{
    Batch, Db, PosRef, Result, Value,
    database::{FromRow, Row},
    events::StoredEvent,
};

/// The relations of which aggregations tell.
pub const AGGREGATED: [&str; 3] = ["m.reference", "m.replace", "m.thread"];

/// Notes that the event at `pos` points to `parent`. The parent is marked if aggregations tell of it, so
/// that nobody has to look for the children of all the events that have none.
pub fn add(
    batch: &mut Batch,
    room: Value<'static>,
    pos: PosRef,
    (parent, rel_type): (&str, &str),
    event_type: &str,
    sender: &str,
) {
    if rel_type == "m.thread" {
        batch.run(
            "INSERT INTO thread (room, root, latest) VALUES ($1, $2, $3)
             ON CONFLICT (room, root) DO UPDATE SET latest = $3",
            vec![room.clone(), parent.to_owned().into(), pos.into()],
        );
    }
    if AGGREGATED.contains(&rel_type) {
        batch.run(
            "UPDATE event SET has_children = TRUE
             WHERE event_id = $1 AND room = $2 AND has_children = FALSE",
            vec![parent.to_owned().into(), room.clone()],
        );
    }
    batch.run(
        "INSERT INTO relation (room, parent, rel_type, pos, event_type, sender)
         VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (room, parent, rel_type, pos) DO NOTHING",
        vec![
            room,
            parent.to_owned().into(),
            rel_type.to_owned().into(),
            pos.into(),
            event_type.to_owned().into(),
            sender.to_owned().into(),
        ],
    );
}

/// Forgets where the event `event_id` of `room` pointed to: it was redacted.
pub fn remove(batch: &mut Batch, room: Value<'static>, event_id: &str) {
    batch.run(
        "DELETE FROM relation WHERE pos = (SELECT pos FROM event WHERE event_id = $1)",
        vec![event_id.to_owned().into()],
    );
    batch.run(
        "UPDATE thread SET latest = COALESCE((SELECT MAX(pos) FROM relation
            WHERE relation.room = thread.room AND parent = thread.root AND rel_type = 'm.thread'), 0)
         WHERE room = $1 AND latest = (SELECT pos FROM event WHERE event_id = $2)",
        vec![room.clone(), event_id.to_owned().into()],
    );
    batch.run("DELETE FROM thread WHERE room = $1 AND latest = 0", vec![room]);
}

/// Which children of an event are wanted.
#[derive(Clone, Copy, Debug)]
pub struct Children<'a> {
    /// The room.
    pub room: i64,
    /// The event that they point to.
    pub parent: &'a str,
    /// How they relate to it; in any way, if absent.
    pub rel_type: Option<&'a str>,
    /// Their type; any, if absent.
    pub event_type: Option<&'a str>,
}

/// Children at or before `upto`, newest first, at most `limit`.
pub async fn before(db: &Db, of: Children<'_>, upto: i64, limit: i64) -> Result<Vec<StoredEvent>> {
    db.rows(
        "SELECT event.pos, event.room, event.event_id, event.json, event.state_root, event.replaces,
            event.redacted_by, event.soft_failed, event.rejected, event.txn_device, event.txn_id,
            event.has_children
         FROM relation JOIN event ON event.pos = relation.pos
         WHERE relation.room = $1 AND relation.parent = $2
            AND relation.rel_type = COALESCE(CAST($3 AS TEXT), relation.rel_type)
            AND relation.event_type = COALESCE(CAST($4 AS TEXT), relation.event_type)
            AND relation.pos <= $5
         ORDER BY relation.pos DESC LIMIT $6",
        &[
            of.room.into(),
            of.parent.into(),
            of.rel_type.into(),
            of.event_type.into(),
            upto.into(),
            limit.into(),
        ],
    )
    .await
}

/// Children after `since` and at or before `upto`, oldest first, at most `limit`.
pub async fn after(db: &Db, of: Children<'_>, since: i64, upto: i64, limit: i64) -> Result<Vec<StoredEvent>> {
    db.rows(
        "SELECT event.pos, event.room, event.event_id, event.json, event.state_root, event.replaces,
            event.redacted_by, event.soft_failed, event.rejected, event.txn_device, event.txn_id,
            event.has_children
         FROM relation JOIN event ON event.pos = relation.pos
         WHERE relation.room = $1 AND relation.parent = $2
            AND relation.rel_type = COALESCE(CAST($3 AS TEXT), relation.rel_type)
            AND relation.event_type = COALESCE(CAST($4 AS TEXT), relation.event_type)
            AND relation.pos > $5 AND relation.pos <= $6
         ORDER BY relation.pos LIMIT $7",
        &[
            of.room.into(),
            of.parent.into(),
            of.rel_type.into(),
            of.event_type.into(),
            since.into(),
            upto.into(),
            limit.into(),
        ],
    )
    .await
}

/// A child, without the event itself.
#[derive(Clone, Debug)]
pub struct Child {
    /// Its position.
    pub pos: i64,
    /// Its event id.
    pub event_id: String,
    /// How it relates to its parent.
    pub rel_type: String,
    /// Its type.
    pub event_type: String,
}

impl FromRow for Child {
    fn from_row(row: &Row<'_>) -> Result<Self> {
        Ok(Child { pos: row.get(0)?, event_id: row.get(1)?, rel_type: row.get(2)?, event_type: row.get(3)? })
    }
}

/// The children of all these parents, newest first, at most `limit`.
pub async fn of_all(db: &Db, room: i64, parents: &[String], limit: i64) -> Result<Vec<Child>> {
    db.rows(
        "SELECT relation.pos, event.event_id, relation.rel_type, relation.event_type
         FROM relation JOIN event ON event.pos = relation.pos
         WHERE relation.room = $1 AND relation.parent = ANY($2) ORDER BY relation.pos DESC LIMIT $3",
        &[room.into(), parents.into(), limit.into()],
    )
    .await
}

/// What is to be told of the children of one parent that relate to it in one way.
#[derive(Clone, Debug)]
pub struct Summary {
    /// The event that they point to.
    pub parent: String,
    /// `m.reference`, `m.replace` or `m.thread`.
    pub rel_type: String,
    /// How many there are.
    pub count: i64,
    /// The position of the newest.
    pub latest: i64,
    /// How many of them the user sent.
    pub own: i64,
}

impl FromRow for Summary {
    fn from_row(row: &Row<'_>) -> Result<Self> {
        Ok(Summary {
            parent: row.get(0)?,
            rel_type: row.get(1)?,
            count: row.get(2)?,
            latest: row.get(3)?,
            own: row.get(4)?,
        })
    }
}

/// Sums up the children at or before `upto` of all these parents, as far as aggregations are made of them.
/// Those that `ignored` users sent are left out.
pub async fn summaries(
    db: &Db,
    room: i64,
    parents: &[String],
    upto: i64,
    user_id: &str,
    ignored: &[String],
) -> Result<Vec<Summary>> {
    db.rows(
        "SELECT parent, rel_type, COUNT(*), MAX(pos), COUNT(CASE WHEN sender = $4 THEN 1 END)
         FROM relation
         WHERE room = $1 AND parent = ANY($2) AND rel_type IN ('m.reference', 'm.replace', 'm.thread')
            AND pos <= $3 AND sender <> ALL($5)
         GROUP BY parent, rel_type",
        &[room.into(), parents.into(), upto.into(), user_id.into(), ignored.into()],
    )
    .await
}

/// The newest edits of each of these parents by their own senders, `each` of them at most: by their own
/// time, newest first.
pub async fn edits(db: &Db, room: i64, parents: &[String], upto: i64, each: i64) -> Result<Vec<StoredEvent>> {
    db.rows(
        "SELECT event.pos, event.room, event.event_id, event.json, event.state_root, event.replaces,
            event.redacted_by, event.soft_failed, event.rejected, event.txn_device, event.txn_id,
            event.has_children
         FROM (SELECT edit.pos AS pos, ROW_NUMBER() OVER (
                PARTITION BY relation.parent ORDER BY edit.origin_server_ts DESC, edit.event_id DESC) AS nth
            FROM relation
            JOIN event AS original ON original.event_id = relation.parent
            JOIN event AS edit ON edit.pos = relation.pos
            WHERE relation.room = $1 AND relation.parent = ANY($2) AND relation.rel_type = 'm.replace'
                AND relation.pos <= $3 AND relation.sender = original.sender
                AND relation.event_type = original.event_type) AS ranked
         JOIN event ON event.pos = ranked.pos
         WHERE ranked.nth <= $4 ORDER BY event.origin_server_ts DESC, event.event_id DESC",
        &[room.into(), parents.into(), upto.into(), each.into()],
    )
    .await
}

/// The oldest references to each of these parents, `each` of them at most, in stream order.
pub async fn references(
    db: &Db,
    room: i64,
    parents: &[String],
    upto: i64,
    each: i64,
) -> Result<Vec<StoredEvent>> {
    db.rows(
        "SELECT event.pos, event.room, event.event_id, event.json, event.state_root, event.replaces,
            event.redacted_by, event.soft_failed, event.rejected, event.txn_device, event.txn_id,
            event.has_children
         FROM (SELECT pos, ROW_NUMBER() OVER (PARTITION BY parent ORDER BY pos) AS nth
            FROM relation
            WHERE room = $1 AND parent = ANY($2) AND rel_type = 'm.reference' AND pos <= $3) AS ranked
         JOIN event ON event.pos = ranked.pos
         WHERE ranked.nth <= $4 ORDER BY event.pos",
        &[room.into(), parents.into(), upto.into(), each.into()],
    )
    .await
}

/// The threads of `room` whose newest event is at or before `upto`, at most `limit`: the root of each and
/// the position of that event, newest first.
pub async fn threads(db: &Db, room: i64, upto: i64, limit: i64) -> Result<Vec<(String, i64)>> {
    db.rows(
        "SELECT root, latest FROM thread WHERE room = $1 AND latest <= $2 ORDER BY latest DESC LIMIT $3",
        &[room.into(), upto.into(), limit.into()],
    )
    .await
}

/// The events of this type by which `user_id` annotates `parent`, newest first, at most `limit`.
pub async fn annotations(
    db: &Db,
    room: i64,
    parent: &str,
    event_type: &str,
    user_id: &str,
    limit: i64,
) -> Result<Vec<StoredEvent>> {
    db.rows(
        "SELECT event.pos, event.room, event.event_id, event.json, event.state_root, event.replaces,
            event.redacted_by, event.soft_failed, event.rejected, event.txn_device, event.txn_id,
            event.has_children
         FROM relation JOIN event ON event.pos = relation.pos
         WHERE relation.room = $1 AND relation.parent = $2 AND relation.rel_type = 'm.annotation'
            AND relation.event_type = $3 AND relation.sender = $4
         ORDER BY relation.pos DESC LIMIT $5",
        &[room.into(), parent.into(), event_type.into(), user_id.into(), limit.into()],
    )
    .await
}
