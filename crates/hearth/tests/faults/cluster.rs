//! A PostgreSQL of a test's own, which keeps what it acknowledges, and which the test may stop, kill or freeze.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::port::Port;

/// What the cluster that all tests share does without.
const DURABLE: &str = "-c fsync=on -c full_page_writes=on -c synchronous_commit=on";

/// The cluster; gone when dropped.
pub struct Cluster {
    folder: TempDir,
    /// Where it listens, whenever it runs.
    port: Port,
}

impl Cluster {
    /// One that does not run yet.
    pub fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        // PostgreSQL does not run as root, and must be let in.
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).expect("it is ours");
        Cluster { folder, port: Port::claim() }
    }

    fn script(&self, arguments: &[&str]) -> String {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts/postgres-for-tests");
        let mut command = Command::new(script);
        command.args(arguments).env("HEARTH_TEST_POSTGRES_OPTIONS", DURABLE);
        command.env("HEARTH_TEST_POSTGRES_PORT", self.port.number.to_string());
        let done = command.env("HEARTH_TEST_POSTGRES_DIR", self.home()).output().expect("the script runs");
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        String::from_utf8_lossy(&done.stdout).trim().to_owned()
    }

    fn home(&self) -> PathBuf {
        self.folder.path().join("cluster")
    }

    fn pid_file(&self) -> PathBuf {
        self.home().join("data/postmaster.pid")
    }

    /// Starts it; answers its URL.
    pub fn start(&self) -> String {
        self.script(&[])
    }

    /// The process that all others come from, and these.
    fn processes(&self) -> Vec<Pid> {
        let text = fs::read_to_string(self.pid_file()).expect("it runs");
        let first: i32 = text.lines().next().and_then(|line| line.parse().ok()).expect("a process");
        let entries = fs::read_dir("/proc").expect("this is Linux").flatten();
        let children = entries.filter_map(|entry| {
            let pid = entry.file_name().to_str()?.parse::<i32>().ok()?;
            let stat = fs::read_to_string(entry.path().join("stat")).ok()?;
            // Its name, in parentheses, may hold anything.
            let parent = stat.rsplit_once(')')?.1.split_whitespace().nth(1)?;
            (parent.parse() == Ok(first)).then_some(pid)
        });
        [first].into_iter().chain(children).filter_map(Pid::from_raw).collect()
    }

    /// Ends it: as an operator would, so that connections end and what is committed stays, or with
    /// SIGKILL, as a crash would.
    pub async fn stop(&self, how: Signal) {
        if how == Signal::KILL {
            // Who is stopped makes no other, that would be overlooked here and in the way of the next one.
            self.signal(&self.processes()[..1], Signal::STOP);
            let processes = self.processes();
            self.signal(&processes, how);
            for pid in processes {
                while Path::new(&format!("/proc/{}", pid.as_raw_nonzero())).exists() {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            }
            return;
        }
        self.signal(&self.processes()[..1], how);
        while self.pid_file().exists() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Stops all its processes where they are. Its sockets stay open and take connections.
    pub fn freeze(&self) {
        // First the one that makes others.
        self.signal(&self.processes(), Signal::STOP);
        self.signal(&self.processes(), Signal::STOP);
    }

    /// Has them go on.
    pub fn thaw(&self) {
        self.signal(&self.processes(), Signal::CONT);
    }

    fn signal(&self, processes: &[Pid], signal: Signal) {
        for pid in processes {
            // One that has ended meanwhile can not be told any more.
            let _ = kill_process(*pid, signal);
        }
    }

    /// Has it execute statements.
    pub fn tell(&self, statements: &str) {
        for statement in statements.split("; ") {
            let told = Command::new("psql").args([&self.script(&[]), "-qc", statement]).output();
            let told = told.expect("psql is installed");
            assert!(told.status.success(), "{}", String::from_utf8_lossy(&told.stderr));
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if self.pid_file().exists() {
            self.thaw();
        }
        self.script(&["stop"]);
    }
}
