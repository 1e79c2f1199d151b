//! The server under measure: a process with a database of its own, or one that runs already.

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use nix::{time::clock_getcpuclockid, unistd::Pid};
use tempfile::TempDir;
use tokio::{
    net::TcpStream,
    process::{Child, Command},
};

use crate::Outcome;

/// How long a server may take to start.
const START_MAX: Duration = Duration::from_secs(20);

/// A running server.
pub(crate) struct Server {
    address: String,
    pid: u32,
    child: Option<Child>,
    data: Option<TempDir>,
}

impl Server {
    /// A server that runs already.
    pub(crate) fn running(base: &str, pid: u32) -> Outcome<Self> {
        let address = base.strip_prefix("http://").ok_or("the server's address must begin with http://")?;
        Ok(Server { address: address.trim_end_matches('/').to_owned(), pid, child: None, data: None })
    }

    /// Starts hearth on an empty database.
    pub(crate) async fn start(binary: &Path, database: &str) -> Outcome<Self> {
        let data = TempDir::new()?;
        let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let address = format!("127.0.0.1:{port}");
        let url = if database == "sqlite" {
            format!("sqlite:{}", data.path().join("hearth.db").display())
        } else {
            database.to_owned()
        };
        let config = format!(
            "server_name = \"bench.test\"\ndata_dir = {:?}\n[listen]\nclient = {address:?}\n\
             [database]\nurl = {url:?}\n[registration]\nenabled = true\n[limits]\nenabled = false\n\
             [log]\nlevel = \"warn\"\n",
            data.path().display().to_string(),
        );
        let file = data.path().join("hearth.toml");
        fs::write(&file, config)?;
        let child = Command::new(binary)
            .args(["serve", "--config"])
            .arg(&file)
            .stdout(std::process::Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| format!("{}: {error}; run `cargo build --release` first", binary.display()))?;
        let pid = child.id().ok_or("the server ended at once")?;
        let begun = Instant::now();
        while TcpStream::connect(&address).await.is_err() {
            if begun.elapsed() > START_MAX {
                return Err("the server does not start".into());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(Server { address, pid, child: Some(child), data: Some(data) })
    }

    /// Where it listens: `127.0.0.1:8008`.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// User and system time of its process so far, of threads that ended too.
    pub(crate) fn cpu(&self) -> Outcome<Duration> {
        let process = Pid::from_raw(self.pid.try_into()?);
        Ok(clock_getcpuclockid(process)?.now()?.into())
    }

    /// Its resident memory.
    pub(crate) fn resident_kb(&self) -> Outcome<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS")?;
        Ok(line.trim().trim_end_matches(" kB").parse()?)
    }

    /// Bytes of its SQLite database on disk once the write-ahead log is in it; `None` for others.
    pub(crate) fn database_bytes(&self) -> Outcome<Option<u64>> {
        let Some(data) = &self.data else { return Ok(None) };
        let main = data.path().join("hearth.db");
        if !main.exists() {
            return Ok(None);
        }
        let database = rusqlite::Connection::open(&main)?;
        database.busy_timeout(START_MAX)?;
        database.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
        Ok(Some(fs::metadata(main)?.len()))
    }

    /// Stops it, if we started it.
    pub(crate) async fn stop(self) -> Outcome<()> {
        if let Some(mut child) = self.child {
            child.kill().await?;
        }
        Ok(())
    }
}
