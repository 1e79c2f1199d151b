//! `hearth verify`: reads everything in the database and says what is wrong with it.

use std::io::{self, Write};

use homeserver::{
    Home,
    verify::{self, Report, Step},
};

use crate::progress::{Progress, Unit};

/// Anything that ends the command; its text is for the person who typed it.
type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Verifies the database of `home`, which is a snapshot, and writes to standard output what was found.
///
/// # Errors
/// If anything was found, or the database can not be read.
pub async fn verify(home: &Home) -> Result<(), Failure> {
    let mut progress = Progress::new();
    let mut told = |step: Step, done: u64, total: u64| match step {
        Step::Database => progress.at("database file", done, None, Unit::Pieces),
        Step::Events => progress.at("events", done, Some(total), Unit::Pieces),
        Step::Nodes => progress.at("state nodes", done, Some(total), Unit::Pieces),
        Step::Tables => progress.at("tables", done, Some(total), Unit::Pieces),
    };
    let report = verify::everything(home, &mut told).await;
    progress.end();
    let report = report.map_err(|refusal| refusal.to_string())?;
    say(&report)?;
    match report.wrong {
        0 => Ok(()),
        1 => Err("one thing is wrong".into()),
        wrong => Err(format!("{wrong} things are wrong").into()),
    }
}

fn say(report: &Report) -> io::Result<()> {
    let mut out = io::stdout().lock();
    for finding in &report.findings {
        writeln!(out, "{finding}")?;
    }
    let told = report.findings.len() as u64;
    if report.wrong > told {
        writeln!(out, "and {} more", report.wrong - told)?;
    }
    let Report { rooms, events, members, nodes, .. } = report;
    writeln!(out, "looked at {rooms} rooms, {events} events, {members} memberships, {nodes} state nodes")?;
    out.flush()
}
