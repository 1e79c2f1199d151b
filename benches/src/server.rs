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
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    process::{Child, Command},
};

use crate::Outcome;

/// How long a server may take to start.
const START_MAX: Duration = Duration::from_secs(20);
/// How often it is looked what a command takes.
const LOOK: Duration = Duration::from_millis(20);

/// A running server.
pub(crate) struct Server {
    address: String,
    process: Mutex<Process>,
    ours: Option<Ours>,
}

struct Process {
    pid: u32,
    child: Option<Child>,
    started_in: Duration,
}

/// What a command took.
pub(crate) struct Ran {
    /// User and system time.
    pub(crate) cpu: Duration,
    /// How long it took.
    pub(crate) wall: Duration,
    /// The most memory that was resident.
    pub(crate) peak_kb: u64,
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
        let process = Mutex::new(Process { pid, child: None, started_in: Duration::ZERO });
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

    /// How long a server of ours took from its start to its first answer.
    pub(crate) fn started_in(&self) -> Duration {
        self.process.lock().unwrap_or_else(PoisonError::into_inner).started_in
    }

    /// Runs `hearth verify` or `hearth backup` on the data of a server of ours.
    pub(crate) async fn run(&self, command: &str) -> Outcome<Ran> {
        let ours = self.ours.as_ref().ok_or("this is no server of ours")?;
        let mut line = Command::new(&ours.binary);
        line.arg(command).arg("--config").arg(ours.data.path().join("hearth.toml"));
        if command == "backup" {
            line.arg(ours.data.path().join("copy"));
        }
        let begun = Instant::now();
        let mut child = line.stdout(std::process::Stdio::null()).kill_on_drop(true).spawn()?;
        let pid = child.id().ok_or("it ended at once")?;
        let (mut cpu, mut peak_kb) = (Duration::ZERO, 0);
        let status = loop {
            if let Ok(status) = tokio::time::timeout(LOOK, child.wait()).await {
                break status?;
            }
            // It may just have ended.
            cpu = cpu_of(pid).unwrap_or(cpu);
            peak_kb = memory_kb(pid, "VmHWM:").unwrap_or(peak_kb);
        };
        if !status.success() {
            return Err(format!("hearth {command} ended with {status}").into());
        }
        Ok(Ran { cpu, wall: begun.elapsed(), peak_kb })
    }

    /// Where it listens: `127.0.0.1:8008`.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// User and system time of its process so far, of threads that ended too.
    pub(crate) fn cpu(&self) -> Outcome<Duration> {
        cpu_of(self.pid())
    }

    /// Its resident memory.
    pub(crate) fn resident_kb(&self) -> Outcome<u64> {
        memory_kb(self.pid(), "VmRSS:")
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

fn cpu_of(pid: u32) -> Outcome<Duration> {
    Ok(clock_getcpuclockid(Pid::from_raw(pid.try_into()?))?.now()?.into())
}

/// What the kernel says of the memory of a process.
fn memory_kb(pid: u32, key: &str) -> Outcome<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix(key)).ok_or_else(|| format!("no {key}"))?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}

impl Ours {
    async fn start(&self, address: &str) -> Outcome<Process> {
        let binary = &self.binary;
        let begun = Instant::now();
        let child = Command::new(binary)
            .args(["serve", "--config"])
            .arg(self.data.path().join("hearth.toml"))
            .stdout(std::process::Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| format!("{}: {error}; run `cargo build --release` first", binary.display()))?;
        let pid = child.id().ok_or("the server ended at once")?;
        while !answers(address).await {
            if begun.elapsed() > START_MAX {
                return Err("the server does not start".into());
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        Ok(Process { pid, child: Some(child), started_in: begun.elapsed() })
    }
}

/// Whether somebody answers a request there.
async fn answers(address: &str) -> bool {
    let Ok(mut stream) = TcpStream::connect(address).await else { return false };
    let ask =
        format!("GET /_matrix/client/versions HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    let mut answer = [0; 12];
    stream.write_all(ask.as_bytes()).await.is_ok()
        && stream.read_exact(&mut answer).await.is_ok()
        && answer == *b"HTTP/1.1 200"
}
