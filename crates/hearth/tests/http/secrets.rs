//! No password and no token is written anywhere: neither to the log nor to the database.

use std::{
    io,
    sync::{Arc, Mutex},
};

use homeserver::config::Secret;
use serde_json::{Value, json};
use tracing_subscriber::fmt::MakeWriter;

use crate::{
    harness::{Server, User},
    login::{by_password, whose},
};

/// Keeps what is logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("no panic while logging").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Log;

    fn make_writer(&'a self) -> Log {
        self.clone()
    }
}

/// Registers, logs in, refreshes, changes the password, gets a login token; answers all secrets.
async fn live(server: &Server) -> Vec<String> {
    let stranger = server.stranger();
    let body = json!({ "username": "alice", "password": "open sesame 1" });
    let begun = stranger.post("/v3/register", body.clone()).await.body;
    let mut register = body;
    register["auth"] = json!({ "type": "m.login.dummy", "session": begun["session"] });
    let registered = stranger.post("/v3/register", register).await.ok();
    let mut login = by_password("alice", "open sesame 1");
    login["refresh_token"] = true.into();
    let session = stranger.post("/v3/login", login).await.ok();
    stranger.post("/v3/login", by_password("alice", "close sesame 2")).await.refused(403, "M_FORBIDDEN");
    let refreshed = json!({ "refresh_token": session["refresh_token"] });
    let refreshed = stranger.post("/v3/refresh", refreshed).await.ok();
    let alice: User = whose(server, &refreshed);
    alice.get(&format!("/v3/account/whoami?access_token={}", alice.token)).await.ok();
    alice.post("/v3/account/password", json!({ "new_password": "open sesame 3" })).await;
    let mut texts: Vec<String> = ["open sesame", "close sesame"].into_iter().map(str::to_owned).collect();
    for answer in [&registered, &session, &refreshed, &begun] {
        for key in ["access_token", "refresh_token", "session"] {
            texts.extend(answer.get(key).and_then(Value::as_str).map(str::to_owned));
        }
    }
    texts
}

#[tokio::test]
async fn no_secret_is_logged_or_stored() {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_writer(log.clone());
    // Server and test share this thread.
    let _logging = tracing::subscriber::set_default(subscriber.finish());
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("hearth.db");
    let server = Server::on_sqlite(|config| {
        config.registration.shared_secret = Some(Secret::new("the shared secret"));
        config.database.url = Some(Secret::new(format!("sqlite:{}", path.display())));
    })
    .await;
    let mut secrets = live(&server).await;
    secrets.push("the shared secret".to_owned());
    let logged = log.0.lock().expect("no panic while logging").clone();
    assert!(!logged.is_empty());
    let stored = ["hearth.db", "hearth.db-wal"]
        .map(|file| std::fs::read(folder.path().join(file)).unwrap_or_default());
    assert!(contains(&stored.concat(), "@alice:hearth.test"));
    for secret in secrets {
        assert!(!contains(&logged, &secret), "{secret} is in the log");
        assert!(!contains(&stored.concat(), &secret), "{secret} is in the database");
    }
}

fn contains(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}
