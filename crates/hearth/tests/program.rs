//! The program as a person runs it: its command line, its files, its signals.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Child, Command, ExitStatus, Output, Stdio},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tempfile::TempDir;

/// How long the server may take to stop.
const STOP_MAX: Duration = Duration::from_secs(5);

/// `hearth` in a folder of its own.
fn hearth(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hearth"));
    command.args(arguments).current_dir(folder).stdin(Stdio::null());
    command
}

fn output(folder: &Path, arguments: &[&str]) -> Output {
    hearth(folder, arguments).output().expect("hearth runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A folder with a configuration that takes a free port.
fn folder() -> TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    fs::write(folder.path().join("hearth.toml"), "[listen]\nclient = \"127.0.0.1:0\"\n")
        .expect("the configuration is written");
    folder
}

/// A server that runs until it is told to stop.
struct Running {
    child: Child,
    /// Everything it printed before it was ready.
    greeting: String,
    base: String,
}

impl Running {
    fn start(folder: &Path) -> Self {
        let mut child = hearth(folder, &["serve", "--config", "hearth.toml"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("hearth starts");
        let out = child.stdout.take().expect("its output is piped");
        let mut greeting = String::new();
        for line in BufReader::new(out).lines().map_while(Result::ok) {
            greeting.push_str(&line);
            greeting.push('\n');
            if line.contains("user create") {
                break;
            }
        }
        let base = greeting.lines().find_map(|line| line.trim().strip_prefix("clients"));
        let base = base.expect("it says where clients go").trim().to_owned();
        Running { child, greeting, base }
    }

    /// Sends `signal` and waits for the end, which must come in time.
    fn stop(mut self, signal: Signal) -> ExitStatus {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, signal).expect("it runs");
        let begun = Instant::now();
        let status = self.child.wait().expect("it ends");
        assert!(begun.elapsed() < STOP_MAX, "it took {:?} to stop", begun.elapsed());
        status
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test]
async fn it_says_where_it_listens_where_the_data_is_and_how_to_make_an_account() {
    let folder = folder();
    let server = Running::start(folder.path());
    let data = folder.path().canonicalize().expect("the folder is there").join("data");
    assert!(server.greeting.contains(&data.display().to_string()), "{}", server.greeting);
    assert!(server.greeting.contains("user create NAME --admin"), "{}", server.greeting);
    let health = reqwest::get(format!("{}/health", server.base)).await.expect("it answers");
    assert_eq!(health.status(), 200);
    for secret in ["signing.key", "hearth.db"] {
        let mode = fs::metadata(data.join(secret)).expect("it is there").permissions().mode();
        assert_eq!(mode & 0o077, 0, "others can read {secret}");
    }
}

#[test]
fn both_signals_stop_it_and_it_keeps_its_key() {
    let folder = folder();
    let mut keys = Vec::new();
    for signal in [Signal::TERM, Signal::INT] {
        let server = Running::start(folder.path());
        keys.push(fs::read_to_string(folder.path().join("data/signing.key")).expect("there is a key"));
        assert!(server.stop(signal).success());
    }
    assert_eq!(keys[0], keys[1]);
}

#[test]
fn a_second_server_over_the_same_data_does_not_start() {
    let folder = folder();
    let _server = Running::start(folder.path());
    let second = output(folder.path(), &["serve", "--config", "hearth.toml"]);
    assert!(!second.status.success());
    assert!(text(&second.stderr).contains("another hearth is running"), "{}", text(&second.stderr));
}

#[test]
fn the_data_of_another_server_is_refused() {
    let folder = folder();
    assert!(Running::start(folder.path()).stop(Signal::TERM).success());
    fs::write(folder.path().join("other.toml"), "server_name = \"other\"\n").expect("it is written");
    let other = output(folder.path(), &["serve", "--config", "other.toml"]);
    assert!(!other.status.success());
    assert!(text(&other.stderr).contains("belongs to the server localhost"), "{}", text(&other.stderr));
}

#[test]
fn a_wrong_key_stops_the_start_with_one_line() {
    let folder = folder();
    fs::write(folder.path().join("wrong.toml"), "[registration]\nenable = true\n").expect("it is written");
    for command in ["serve", "config"] {
        let refused = output(folder.path(), &[command, "--config", "wrong.toml"]);
        assert!(!refused.status.success());
        assert_eq!(
            text(&refused.stderr),
            "hearth: wrong.toml:2: unknown key registration.enable, write enabled instead\n"
        );
    }
    assert!(!folder.path().join("data").exists(), "nothing was started");
}

#[test]
fn config_prints_every_setting_with_its_documentation() {
    let folder = folder();
    let printed = output(folder.path(), &["config", "--config", "hearth.toml"]);
    assert!(printed.status.success());
    let printed = text(&printed.stdout);
    assert!(printed.contains("client = \"127.0.0.1:0\""), "{printed}");
    assert!(printed.contains("# Whether clients may make accounts"), "{printed}");
}

#[tokio::test]
async fn an_account_made_while_the_server_runs_can_log_in() {
    let folder = folder();
    let server = Running::start(folder.path());
    let created = output(folder.path(), &["user", "create", "alice", "--admin", "--config", "hearth.toml"]);
    assert!(created.status.success(), "{}", text(&created.stderr));
    let said = text(&created.stdout);
    let password = said.lines().find_map(|line| line.strip_prefix("password: "));
    let first = log_in(&server.base, password.expect("a password was made up")).await;
    assert_eq!(first["user_id"], "@alice:localhost");

    let mut changing = hearth(
        folder.path(),
        &["user", "password", "alice", "--password-file", "-", "--config", "hearth.toml"],
    )
    .stdin(Stdio::piped())
    .stdout(Stdio::null())
    .spawn()
    .expect("hearth starts");
    let mut input = changing.stdin.take().expect("its input is piped");
    input.write_all(b"another good password\n").expect("it reads");
    drop(input);
    assert!(changing.wait().expect("it ends").success());

    assert_eq!(log_in(&server.base, "another good password").await["user_id"], "@alice:localhost");
    let token = first["access_token"].as_str().expect("a token");
    let whoami = format!("{}/_matrix/client/v3/account/whoami", server.base);
    let refused = http_client().get(whoami).bearer_auth(token).send().await;
    assert_eq!(refused.expect("it answers").status(), 401, "the old session goes on");
}

#[tokio::test]
async fn a_long_poll_is_answered_when_the_server_stops() {
    let folder = folder();
    let server = Running::start(folder.path());
    let created = output(folder.path(), &["user", "create", "alice", "--config", "hearth.toml"]);
    let said = text(&created.stdout);
    let password = said.lines().find_map(|line| line.strip_prefix("password: "));
    let session = log_in(&server.base, password.expect("a password was made up")).await;
    let token = session["access_token"].as_str().expect("a token").to_owned();
    let sync = format!("{}/_matrix/client/v3/sync", server.base);
    let client = http_client();
    let first = client.get(format!("{sync}?set_presence=offline")).bearer_auth(&token).send().await;
    let first: Value = first.expect("it answers").json().await.expect("an object");
    let since = first["next_batch"].as_str().expect("a token");
    let poll = client.get(format!("{sync}?timeout=30000&since={since}")).bearer_auth(&token).send();
    let poll = tokio::spawn(poll);
    // The poll is under way when it is seen that she is about.
    let status = format!("{}/_matrix/client/v3/presence/@alice:localhost/status", server.base);
    loop {
        let about = client.get(&status).bearer_auth(&token).send().await.expect("it answers");
        if about.json::<Value>().await.expect("an object")["presence"] == "online" {
            break;
        }
    }
    let stopped = tokio::task::spawn_blocking(move || server.stop(Signal::TERM));
    let answer = poll.await.expect("the poll ends");
    assert!(answer.is_ok_and(|answer| answer.status() == 200), "the poll was cut off");
    assert!(stopped.await.expect("it stops").success());
}

/// A newcomer types what the README says, and reads «hello».
#[test]
fn the_conversation_in_the_readme_works() {
    let folder = folder();
    let server = Running::start(folder.path());
    let readme = include_str!("../../../README.md");
    let blocks = readme.split("```sh\n").skip(1).filter_map(|block| block.split("```").next());
    let conversation: String = blocks.filter(|block| !block.contains("cargo run")).collect();
    let create = format!("'{}' user create --config hearth.toml", env!("CARGO_BIN_EXE_hearth"));
    let script = conversation
        .replace("target/release/hearth user create", &create)
        .replace("http://127.0.0.1:8008", &server.base);
    let typed = Command::new("bash")
        .args(["-euo", "pipefail", "-c", &script])
        .current_dir(folder.path())
        .output()
        .expect("bash and curl are installed");
    let said = text(&typed.stdout);
    assert!(typed.status.success(), "{script}\n{said}\n{}", text(&typed.stderr));
    assert!(said.contains("\"body\":\"hello\""), "{script}\n{said}");
}

async fn log_in(base: &str, password: &str) -> Value {
    let identifier = json!({ "type": "m.id.user", "user": "alice" });
    let ask = json!({ "type": "m.login.password", "identifier": identifier, "password": password });
    let answer = http_client().post(format!("{base}/_matrix/client/v3/login")).json(&ask).send().await;
    let answer = answer.expect("it answers");
    assert_eq!(answer.status(), 200);
    answer.json().await.expect("an object")
}

/// A client; whoever makes one must have chosen a provider for TLS, though this one speaks none.
fn http_client() -> reqwest::Client {
    rustls::crypto::ring::default_provider().install_default().ok();
    reqwest::Client::new()
}
