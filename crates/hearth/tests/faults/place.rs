//! A server's folder, database and port, which outlive its process.

use std::{
    any::Any,
    fs::{self, File},
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
};

use store::testing;
use tempfile::TempDir;

use crate::port::Port;

/// Where a server lives.
pub struct Place {
    folder: TempDir,
    /// Where it listens, whenever it runs: `http://127.0.0.1:…`.
    pub base: String,
    /// Its database.
    pub url: String,
    _port: Port,
    _database: Option<Box<dyn Any + Send + Sync>>,
}

impl Place {
    /// With SQLite in the folder.
    pub fn on_sqlite() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let url = format!("sqlite:{}", folder.path().join("data/hearth.db").display());
        Place::over(folder, url, None)
    }

    /// With a new PostgreSQL database.
    pub async fn on_postgres() -> Self {
        let (url, guard) = testing::fresh_postgres().await.expect("run scripts/test, it starts PostgreSQL");
        Place::with(url, Some(Box::new(guard)))
    }

    /// With the database at `url`, which goes with `guard`.
    pub fn with(url: String, guard: Option<Box<dyn Any + Send + Sync>>) -> Self {
        Place::over(tempfile::tempdir().expect("a temporary folder"), url, guard)
    }

    fn over(folder: TempDir, url: String, database: Option<Box<dyn Any + Send + Sync>>) -> Self {
        let port = Port::claim();
        let base = format!("http://127.0.0.1:{}", port.number);
        let place = Place { folder, base, url, _port: port, _database: database };
        place.configure("hearth.toml", &place.data(), &place.url);
        place
    }

    /// Writes the configuration `name`, of a server with that folder and that database.
    pub fn configure(&self, name: &str, data: &Path, url: &str) {
        let address = self.base.trim_start_matches("http://");
        let text = format!(
            "data_dir = {data:?}\n[listen]\nclient = {address:?}\n[database]\nurl = {url:?}\n\
             [registration]\nenabled = true\n[limits]\nenabled = false\n\
             [push]\nallowed_gateways = [\"127.0.0.1\"]\n"
        );
        fs::write(self.path(name), text).expect("the configuration is written");
    }

    /// A path in the folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Its `data_dir`.
    pub fn data(&self) -> PathBuf {
        self.path("data")
    }

    /// The program with a command and this configuration.
    pub fn command(&self, arguments: &[&str], config: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hearth"));
        command.args(arguments).args(["--config", config]).current_dir(self.folder.path());
        command.stdin(Stdio::null());
        command
    }

    /// Starts the server and waits until it listens.
    pub fn start(&self) -> Running {
        self.start_with("hearth.toml")
    }

    /// The same with another configuration.
    pub fn start_with(&self, config: &str) -> Running {
        let log = File::options().create(true).append(true).open(self.path("log")).expect("a log");
        let mut child = self
            .command(&["serve"], config)
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .expect("hearth starts");
        let out = child.stdout.take().expect("its output is piped");
        let ready =
            BufReader::new(out).lines().map_while(Result::ok).any(|line| line.contains("user create"));
        assert!(ready, "it does not start: {}", self.log());
        Running { child }
    }

    /// What it said so far.
    pub fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    /// What `hearth verify` says, which must find nothing.
    #[track_caller]
    pub fn verified(&self) -> String {
        let (fine, said) = said(&self.command(&["verify"], "hearth.toml").output().expect("hearth runs"));
        assert!(fine, "{said}");
        said
    }
}

/// Whoever wants to know why a test failed wants to know what the server said.
impl Drop for Place {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the log of the server:\n{}", self.log());
        }
    }
}

/// Whether a command went well, and everything it said.
pub fn said(output: &Output) -> (bool, String) {
    let both = [&output.stdout[..], &output.stderr[..]].concat();
    (output.status.success(), String::from_utf8_lossy(&both).into_owned())
}

/// A server that runs until it is killed.
pub struct Running {
    child: Child,
}

impl Running {
    /// The process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Resident memory in KiB.
    pub fn resident_kb(&self) -> u64 {
        self.memory_kb("VmRSS:")
    }

    /// The most that it ever was.
    pub fn peak_kb(&self) -> u64 {
        self.memory_kb("VmHWM:")
    }

    fn memory_kb(&self, what: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.id())).expect("it runs");
        let line = status.lines().find_map(|line| line.strip_prefix(what)).expect("it has memory");
        line.trim().trim_end_matches(" kB").parse().expect("a number")
    }

    /// Whether the process is there still.
    pub fn lives(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }
}

/// SIGKILL: it has no time for anything.
impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
