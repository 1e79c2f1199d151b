//! Accounts, registration tokens and reports from the command line. It writes to the database like the server does, and may do so
//! while the server runs.

use std::{
    fs,
    io::{self, BufRead, IsTerminal, Read, Write},
    path::Path,
};

use homeserver::{Home, Refusal, accounts, reports};
use ruma::{OwnedUserId, UserId};
use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
use store::reports::Report;

/// Longest password that is read.
const PASSWORD_BYTES_MAX: u64 = 512;
/// Characters of a password that is made up: 95 bits.
const PASSWORD_CHARACTERS: usize = 16;

/// Milliseconds of a day.
const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// Anything that ends the command; its text is for the person who typed it.
type Failure = Box<dyn std::error::Error + Send + Sync>;

/// `hearth user create`: makes the account `name`, and says so on standard output, with the
/// password if it was made up.
pub async fn create_user(
    home: &Home,
    name: &str,
    admin: bool,
    password_file: Option<&Path>,
) -> Result<(), Failure> {
    let wanted = user_id(home, name)?;
    let password = password(home, password_file)?;
    let created = accounts::admin::create_user(home, wanted.localpart(), password.text(), admin);
    let user_id = created.await.map_err(plain)?;
    let what = if admin { "an administrator" } else { "an account" };
    say(&format!("{user_id} is {what} now"), &password)
}

/// `hearth user password`: sets the password of the account `name` and ends all its sessions.
pub async fn set_password(home: &Home, name: &str, password_file: Option<&Path>) -> Result<(), Failure> {
    let user_id = user_id(home, name)?;
    let password = password(home, password_file)?;
    accounts::admin::set_password(home, &user_id, password.text()).await.map_err(plain)?;
    say(&format!("{user_id} has a new password, and all its sessions have ended"), &password)
}

/// `hearth registration-token create`: makes a token for `registration.require = ["token"]`, and
/// prints it.
pub async fn create_registration_token(
    home: &Home,
    token: Option<String>,
    uses: Option<u32>,
    days: Option<u32>,
) -> Result<(), Failure> {
    let expires_ts = days.map(|days| home.clock.now_ms() + i64::from(days) * DAY_MS);
    let created = accounts::admin::create_registration_token(home, token, uses, expires_ts);
    let token = created.await.map_err(plain)?;
    Ok(writeln!(io::stdout(), "{token}")?)
}

/// `hearth reports`: prints what users reported, the newest first, and how to read on.
pub async fn print_reports(home: &Home, before: Option<i64>, limit: u32) -> Result<(), Failure> {
    let page = reports::page(home, before, limit).await.map_err(plain)?;
    let mut out = io::stdout().lock();
    for report in &page {
        writeln!(out, "{}", report_line(report))?;
    }
    match page.last() {
        Some(last) if page.len() >= limit as usize => {
            writeln!(out, "older ones: hearth reports --before {}", last.number)?;
        }
        Some(_) => {}
        None => writeln!(out, "there are no reports")?,
    }
    Ok(out.flush()?)
}

/// A report on one line. What strangers wrote is quoted: it must not move the cursor of a terminal.
fn report_line(report: &Report) -> String {
    let said = &report.said;
    let what = match (&said.event_id, &said.room_id, &said.user_id) {
        (Some(event_id), Some(room_id), Some(user_id)) => {
            format!("the event {event_id} of {user_id} in {room_id}")
        }
        (_, Some(room_id), _) => format!("the room {room_id}"),
        (_, _, Some(user_id)) => format!("the user {user_id}"),
        _ => "nothing".to_owned(),
    };
    let reason = said.reason.as_deref().unwrap_or_default();
    let (number, date, reporter) = (report.number, date(said.received_ts), &said.reporter);
    format!("{number}  {date}  {reporter} reports {}: {reason:?}", what.escape_debug())
}

/// `2026-01-31 23:59` in UTC, of milliseconds since 1970.
fn date(ts_ms: i64) -> String {
    let (days, minutes) = (ts_ms.div_euclid(DAY_MS), ts_ms.rem_euclid(DAY_MS) / 60_000);
    // Years that begin in March end with the day that is there or not.
    let days = days + 719_468;
    let (era, of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year + era * 400 + i64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02} {:02}:{:02}", minutes / 60, minutes % 60)
}

/// The user of this server that `name` means: `alice` or `@alice:example.org`.
fn user_id(home: &Home, name: &str) -> Result<OwnedUserId, Failure> {
    let server_name = home.server_name();
    let parsed = UserId::parse_with_server_name(name, server_name);
    let user_id = parsed.map_err(|error| format!("\"{name}\" is no name of a user: {error}"))?;
    if user_id.server_name() != server_name {
        return Err(
            format!("{user_id} is not of this server, write @{}:{server_name}", user_id.localpart()).into()
        );
    }
    Ok(user_id)
}

/// What a refusal says to somebody who does not speak HTTP.
fn plain(refusal: Refusal) -> Failure {
    match refusal.cause {
        Some(cause) => format!("{} ({cause})", refusal.message).into(),
        None => refusal.message.into(),
    }
}

enum Password {
    Given(String),
    MadeUp(String),
}

impl Password {
    fn text(&self) -> &str {
        match self {
            Self::Given(text) | Self::MadeUp(text) => text,
        }
    }
}

fn say(what: &str, password: &Password) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    writeln!(out, "{what}")?;
    if let Password::MadeUp(text) = password {
        writeln!(out, "password: {text}")?;
    }
    Ok(out.flush()?)
}

fn password(home: &Home, file: Option<&Path>) -> Result<Password, Failure> {
    match file {
        Some(path) if path == Path::new("-") => first_line(io::stdin().lock()),
        Some(path) => {
            let file = fs::File::open(path);
            first_line(file.map_err(|error| format!("{}: {error}", path.display()))?)
        }
        None if io::stdin().is_terminal() => ask(),
        None => Ok(Password::MadeUp(home.dice.letters(PASSWORD_CHARACTERS))),
    }
}

fn first_line(from: impl Read) -> Result<Password, Failure> {
    let mut text = String::new();
    io::BufReader::new(from.take(PASSWORD_BYTES_MAX)).read_line(&mut text)?;
    let text = text.trim_end_matches(['\r', '\n']);
    if text.is_empty() {
        return Err("the password is empty, write it on the first line".into());
    }
    Ok(Password::Given(text.to_owned()))
}

/// Asks at the terminal, twice, without showing what is typed.
fn ask() -> Result<Password, Failure> {
    let first = ask_for("Password: ")?;
    let second = ask_for("The same again: ")?;
    if first.text() != second.text() {
        return Err("the passwords are not the same, nothing was changed".into());
    }
    Ok(first)
}

fn ask_for(question: &str) -> Result<Password, Failure> {
    let mut err = io::stderr();
    write!(err, "{question}")?;
    err.flush()?;
    let input = io::stdin();
    let shown = tcgetattr(&input)?;
    let mut hidden = shown.clone();
    hidden.local_modes.remove(LocalModes::ECHO);
    tcsetattr(&input, OptionalActions::Flush, &hidden)?;
    let answer = first_line(input.lock());
    tcsetattr(&input, OptionalActions::Now, &shown)?;
    writeln!(err)?;
    answer
}

#[cfg(test)]
mod tests {
    use store::reports::NewReport;

    use super::*;

    #[test]
    fn days_have_dates() {
        for (ts_ms, text) in [
            (0, "1970-01-01 00:00"),
            (951_782_399_000, "2000-02-28 23:59"),
            (951_782_400_000, "2000-02-29 00:00"),
            (1_767_225_600_000, "2026-01-01 00:00"),
            (4_107_542_399_999, "2100-02-28 23:59"),
            (4_107_542_400_000, "2100-03-01 00:00"),
            (-1, "1969-12-31 23:59"),
        ] {
            assert_eq!(date(ts_ms), text);
        }
    }

    #[test]
    fn what_strangers_wrote_moves_no_cursor() {
        let said = NewReport {
            reporter: "@a:b".to_owned(),
            room_id: Some("!r:b\u{1b}[2J".to_owned()),
            reason: Some("bad\u{1b}[2J\n7  all is well".to_owned()),
            ..NewReport::default()
        };
        let line = report_line(&Report { number: 6, said });
        assert!(!line.contains(['\u{1b}', '\n']), "{line:?}");
        assert!(line.starts_with("6  1970-01-01 00:00  @a:b reports the room !r:b"), "{line}");
    }
}
