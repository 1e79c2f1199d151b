//! The server under measure: a process with a database of its own, or one that runs already.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
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
    process: Mutex<Process>,
    ours: Option<Ours>,
}

struct Process {
    pid: u32,
    child: Option<Child>,
}

/// What a server of ours is made of.
struct Ours {
    binary: PathBuf,
    data: TempDir,
}

impl Server {
    /// A server that runs already.
    pub(crate) fn running(base: &str, pid: u32) -> Outcome<Self> {
        let address = base.strip_prefix("http://").ok_or("the server's address must begin with http://")?;
        let process = Mutex::new(Process { pid, child: None });
        Ok(Server { address: address.trim_end_matches('/').to_owned(), process, ours: None })
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
        fs::write(data.path().join("hearth.toml"), config)?;
        let ours = Ours { binary: binary.to_owned(), data };
        let process = Mutex::new(ours.start(&address).await?);
        Ok(Server { address, process, ours: Some(ours) })
    }

    /// Stops a server of ours and starts it again, so that what it did before takes no memory any more.
    /// Others go on. Connections end.
    pub(crate) async fn restart(&self) -> Outcome<()> {
        let Some(ours) = &self.ours else { return Ok(()) };
        self.stop().await?;
        *self.process.lock().unwrap_or_else(PoisonError::into_inner) = ours.start(&self.address).await?;
        Ok(())
    }

    /// Where it listens: `127.0.0.1:8008`.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// User and system time of its process so far, of threads that ended too.
    pub(crate) fn cpu(&self) -> Outcome<Duration> {
        let process = Pid::from_raw(self.pid().try_into()?);
        Ok(clock_getcpuclockid(process)?.now()?.into())
    }

    /// Its resident memory.
    pub(crate) fn resident_kb(&self) -> Outcome<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS")?;
        Ok(line.trim().trim_end_matches(" kB").parse()?)
    }

    /// Bytes of its SQLite database on disk once the write-ahead log is in it; `None` for others.
    pub(crate) fn database_bytes(&self) -> Outcome<Option<u64>> {
        let Some(ours) = &self.ours else { return Ok(None) };
        let main = ours.data.path().join("hearth.db");
        if !main.exists() {
            return Ok(None);
        }
        let database = rusqlite::Connection::open(&main)?;
        database.busy_timeout(START_MAX)?;
        database.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
        Ok(Some(fs::metadata(main)?.len()))
    }

    fn pid(&self) -> u32 {
        self.process.lock().unwrap_or_else(PoisonError::into_inner).pid
    }

    /// Stops it, if we started it.
    pub(crate) async fn stop(&self) -> Outcome<()> {
        let child = self.process.lock().unwrap_or_else(PoisonError::into_inner).child.take();
        if let Some(mut child) = child {
            child.kill().await?;
        }
        Ok(())
    }
}

impl Ours {
    async fn start(&self, address: &str) -> Outcome<Process> {
        let binary = &self.binary;
        let child = Command::new(binary)
            .args(["serve", "--config"])
            .arg(self.data.path().join("hearth.toml"))
            .stdout(std::process::Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| format!("{}: {error}; run `cargo build --release` first", binary.display()))?;
        let pid = child.id().ok_or("the server ended at once")?;
        let begun = Instant::now();
        while TcpStream::connect(address).await.is_err() {
            if begun.elapsed() > START_MAX {
                return Err("the server does not start".into());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(Process { pid, child: Some(child) })
    }
}
