//! Whether everything in the database is what it says it is: `hearth verify`.
//!
//! Reads all of a snapshot ([`store::Db::snapshot`]) and changes nothing. Room by room every event is
//! hashed, its signature checked, its right to be there judged once more, and the state after it computed
//! anew from the state before; then the tables are compared with what the events say. In memory there is one room's members, a page of rows
//! and eight bytes for each state node, however many events there are.

mod authority;
mod rooms;
mod state;

use std::collections::HashSet;

use ruma::{
    serde::Base64,
    signatures::{PublicKeyMap, PublicKeySet},
};

use crate::{Home, refusal::Answer};

/// Findings that are told in words; of further ones there is the number.
const FINDINGS_MAX: usize = 100;

/// Rows that are read at once. Events have up to 64 KiB.
const PAGE: i64 = 256;

/// What is being looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The engine's own structures. How far it is nobody knows.
    Database,
    /// Events, room by room.
    Events,
    /// The nodes of state trees.
    Nodes,
    /// Positions, and what tables say of each other.
    Tables,
}

/// Hears how far it is: so many of so many.
pub type Told<'a> = &'a mut (dyn FnMut(Step, u64, u64) + Send);

/// What was looked at and what was found.
#[derive(Debug, Default)]
pub struct Report {
    /// How many rooms were looked at.
    pub rooms: u64,
    /// How many events.
    pub events: u64,
    /// How many memberships.
    pub members: u64,
    /// How many state nodes.
    pub nodes: u64,
    /// How many things are wrong.
    pub wrong: u64,
    /// The first of them, in words.
    pub findings: Vec<String>,
}

/// A verification under way.
struct Verify<'a> {
    home: &'a Home,
    keys: PublicKeyMap,
    report: Report,
    told: Told<'a>,
    /// The state nodes that events need, by the beginnings of their names.
    needed: HashSet<u64>,
}

impl Verify<'_> {
    fn find(&mut self, what: impl Into<String>) {
        self.report.wrong += 1;
        if self.report.findings.len() < FINDINGS_MAX {
            self.report.findings.push(what.into());
        }
    }
}

/// Looks at everything in the database of `home`, which is a snapshot.
///
/// # Errors
/// If the database does not answer; what is wrong in it is in the report.
pub async fn everything(home: &Home, told: Told<'_>) -> Answer<Report> {
    let public = Base64::parse(home.signing_key.public_key())
        .map_err(|error| crate::Refusal::broken(format!("the signing key has no public half: {error}")))?;
    let set = PublicKeySet::from([(home.signing_key.key_id().to_string(), public)]);
    let keys = PublicKeyMap::from([(home.server_name().to_string(), set)]);
    let needed = HashSet::new();
    let mut verify = Verify { home, keys, report: Report::default(), told, needed };
    (verify.told)(Step::Database, 0, 0);
    for damage in home.db.damage(FINDINGS_MAX).await? {
        verify.find(format!("the database file is damaged: {damage}"));
    }
    let (_, events, _, nodes) = store::verify::counts(&home.db).await?;
    rooms::verify(&mut verify, events.unsigned_abs()).await?;
    state::verify(&mut verify, nodes.unsigned_abs()).await?;
    tables(&mut verify).await?;
    Ok(verify.report)
}

async fn tables(verify: &mut Verify<'_>) -> Answer<()> {
    const QUESTIONS: u64 = 4;
    let db = &verify.home.db;
    (verify.told)(Step::Tables, 0, QUESTIONS);
    match store::verify::stream(db).await? {
        None => verify.find("the table stream has not exactly one row: there is no newest position"),
        Some(stream) => {
            for (table, newest) in store::verify::newest(db).await? {
                if newest > stream {
                    verify.find(format!(
                        "the stream is at position {stream}, but {table} has position {newest}: it would be \
                         given out again"
                    ));
                }
            }
        }
    }
    (verify.told)(Step::Tables, 1, QUESTIONS);
    for (table, rows) in store::verify::without_room(db).await? {
        if rows > 0 {
            verify.find(format!("{rows} rows of {table} belong to rooms that are not there"));
        }
    }
    (verify.told)(Step::Tables, 2, QUESTIONS);
    for (table, rows) in store::verify::without_event(db).await? {
        if rows > 0 {
            verify.find(format!("{rows} rows of {table} lead to events that are not there"));
        }
    }
    (verify.told)(Step::Tables, 3, QUESTIONS);
    for (table, rows) in store::verify::without_account(db).await? {
        if rows > 0 {
            verify.find(format!("{rows} rows of {table} belong to accounts or devices that are not there"));
        }
    }
    (verify.told)(Step::Tables, QUESTIONS, QUESTIONS);
    Ok(())
}
