//! A copy of the whole database, taken while others write to it: the one thing that each engine does
//! its own way. SQLite writes a second file, PostgreSQL has its `pg_dump`.

use super::{Error, Result, postgres, sqlite};
use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::process::Command;
use tokio_postgres::Config;
use tokio_postgres::config::Host;

/// How often it is told how far a copy is.
const LOOK: Duration = Duration::from_millis(100);
/// Letters of what `pg_dump` complains about that are passed on.
const COMPLAINT_MAX: usize = 1_000;

/// A copy that was made.
#[derive(Debug)]
pub struct Copied {
    /// The file: `hearth.db`, or `hearth.pgdump` for `pg_restore`.
    pub file: PathBuf,
    /// Its bytes.
    pub bytes: u64,
}

/// Copies the database at `url` into a new file in `folder`: consistent, whatever the server writes
/// meanwhile, and on disk when this returns. `told` hears now and then how many bytes there are, and of
/// how many if that is known.
///
/// Fails with [`Error::Unfit`] and a sentence for the operator if it can not be done.
pub async fn backup(url: &str, folder: &Path, mut told: impl FnMut(u64, Option<u64>)) -> Result<Copied> {
    let file = match url.strip_prefix("sqlite:") {
        Some(path) => {
            let into = new_file(folder, "hearth.db")?;
            sqlite::copy(path, &into, |bytes, total| told(bytes, Some(total))).await?;
            into
        }
        None => {
            let into = new_file(folder, "hearth.pgdump")?;
            dump(url, &into, |bytes| told(bytes, None)).await?;
            into
        }
    };
    let failed = |error: std::io::Error| Error::Unfit(format!("{}: {error}", file.display()));
    let copied = File::open(&file).map_err(failed)?;
    copied.sync_all().map_err(failed)?;
    let bytes = copied.metadata().map_err(failed)?.len();
    Ok(Copied { file, bytes })
}

/// An empty file for the owner alone: what goes in holds secrets.
fn new_file(folder: &Path, name: &str) -> Result<PathBuf> {
    let path = folder.join(name);
    let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
    made.map_err(|error| Error::Unfit(format!("{}: {error}", path.display())))?;
    Ok(path)
}

/// Has `pg_dump` write the schema of this hearth into `into`.
async fn dump(url: &str, into: &Path, mut told: impl FnMut(u64)) -> Result<()> {
    let config = postgres::config(url)?;
    let schema = postgres::schema(&config).await?;
    let mut command = Command::new("pg_dump");
    command.args(["--format=custom", "--no-owner", "--no-privileges", "--no-password"]);
    command.arg(format!("--schema=\"{}\"", schema.replace('"', "\"\"")));
    let mut file = OsString::from("--file=");
    file.push(into);
    command.arg(file).arg(format!("--dbname={}", conninfo(&config)));
    if let Some(password) = config.get_password() {
        // Everybody may read the arguments of a process.
        command.env("PGPASSWORD", String::from_utf8_lossy(password).into_owned());
    }
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
    let started = command.spawn().map_err(|error| {
        Error::Unfit(format!(
            "pg_dump: {error}; it comes with PostgreSQL's client (apt install postgresql-client)"
        ))
    })?;
    let mut dumping = std::pin::pin!(started.wait_with_output());
    loop {
        tokio::select! {
            done = &mut dumping => {
                let done = done.map_err(|error| Error::Unfit(format!("pg_dump: {error}")))?;
                let said: String = String::from_utf8_lossy(&done.stderr).chars().take(COMPLAINT_MAX).collect();
                return if done.status.success() { Ok(()) } else { Err(Error::Unfit(said.trim().to_owned())) };
            }
            () = tokio::time::sleep(LOOK) => told(fs::metadata(into).map_or(0, |file| file.len())),
        }
    }
}

/// Where the database is, in the words of libpq, without the password.
fn conninfo(config: &Config) -> String {
    let hosts = config.get_hosts().iter().map(|host| match host {
        Host::Tcp(name) => name.clone(),
        Host::Unix(folder) => folder.display().to_string(),
    });
    let ports = config.get_ports().iter().map(u16::to_string);
    let mut words = Vec::new();
    let mut say = |key: &str, value: Option<String>| {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            words.push(format!("{key}='{}'", value.replace('\\', "\\\\").replace('\'', "\\'")));
        }
    };
    say("host", Some(hosts.collect::<Vec<_>>().join(",")));
    say("port", Some(ports.collect::<Vec<_>>().join(",")));
    say("user", config.get_user().map(str::to_owned));
    say("dbname", config.get_dbname().map(str::to_owned));
    words.join(" ")
}
