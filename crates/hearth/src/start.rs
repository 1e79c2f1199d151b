//! From a configuration to a running server, and from a signal to its end.
//!
//! This is the only file that looks at the clock and rolls the dice of the real world; everything
//! else is handed [`Clock`] and [`Dice`]. It is also the one place where every background loop is
//! listed.

use std::{
    fs::{self, File, TryLockError},
    io,
    net::SocketAddr,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use homeserver::{
    Clock, Dice, Home, accounts, bell, config::Config, outage, presence, pushers, rooms, typing,
};
use metrics_exporter_prometheus::PrometheusHandle;
use rules::signing_key::SigningKey;
use store::{Batch, Db};
use tokio::{
    signal::unix::{SignalKind, signal},
    task::JoinSet,
    time::{sleep, timeout},
};
use tracing::{error, info, warn};

use crate::{health, listen, listen::Door, metrics};

/// How long requests under way may take once the server stops.
const DRAIN_MAX: Duration = Duration::from_secs(3);
/// How long the last writes may take after that.
const FLUSH_MAX: Duration = Duration::from_secs(1);
/// Connections to the listener of the figures.
const METRICS_CONNECTIONS_MAX: u32 = 64;
/// How often the figures forget what is too old to be shown.
const METRICS_UPKEEP: Duration = Duration::from_secs(5);

/// Why the server does not start.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The database is broken, is not reachable, or belongs to somebody else.
    #[error("database: {0}")]
    Database(#[from] store::Error),
    /// A file or folder of the server.
    #[error("{}: {error}", path.display())]
    File {
        /// Which one.
        path: PathBuf,
        /// What the operating system says.
        error: io::Error,
    },
    /// The signing key is there but can not be used.
    #[error("{}: {reason}; put the right file back: other servers know this one by its key", path.display())]
    SigningKey {
        /// Its file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A second server over the same SQLite database.
    #[error("{}: another hearth is running with this data_dir, stop it first", path.display())]
    Running {
        /// The file that the other one has locked.
        path: PathBuf,
    },
    /// An address that can not be listened on.
    #[error("listen.{key}: {address}: {error}")]
    Listen {
        /// The key of the configuration.
        key: &'static str,
        /// Its value.
        address: SocketAddr,
        /// What the operating system says.
        error: io::Error,
    },
    /// The operating system does not pass signals on.
    #[error("signals: {0}")]
    Signals(io::Error),
}

/// Opens the database and the signing key that `config` names, or makes them, and claims the
/// server name. What runs in the background begins with [`Server::run`].
pub async fn open(config: Config) -> Result<Home, Failure> {
    make_folder(&config.data_dir)?;
    let dice = dice();
    let key = signing_key(&config.signing_key_path(), &dice)?;
    let db = Db::open(&config.database_url()).await?;
    store::settings::claim_server_name(&db, config.server_name.as_str()).await?;
    Ok(Home::new(config, db, key, clock(), dice))
}

/// The database as it is now, to be read alone, and the signing key that goes with it. Makes and
/// changes nothing; a server may run meanwhile.
pub async fn open_to_read(config: Config) -> Result<Home, Failure> {
    let path = config.signing_key_path();
    let text = fs::read_to_string(&path).map_err(|error| Failure::File { path: path.clone(), error })?;
    let wrong = |reason: String| Failure::SigningKey { path: path.clone(), reason };
    let key = SigningKey::from_file(&text).map_err(|error| wrong(error.to_string()))?;
    let db = Db::snapshot(&config.database_url()).await?;
    Ok(Home::new(config, db, key, clock(), dice()))
}

/// Makes sure that, as long as the answer is kept, this is the only server over a SQLite database:
/// two would each keep rooms in memory and not hear of each other's changes. Any number of servers
/// may share a PostgreSQL database. To be called before [`open`], which may change the schema.
pub fn be_the_only_one(config: &Config) -> Result<Option<File>, Failure> {
    if !config.database_url().starts_with("sqlite:") {
        return Ok(None);
    }
    make_folder(&config.data_dir)?;
    let path = config.data_dir.join("hearth.lock");
    let failed = |error| Failure::File { path: path.clone(), error };
    let file = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path)
        .map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Err(Failure::Running { path }),
        Err(TryLockError::Error(error)) => Err(failed(error)),
    }
}

/// A server whose addresses are taken.
pub struct Server {
    home: Home,
    client: Door,
    metrics: Option<(Door, PrometheusHandle)>,
}

impl Server {
    /// Takes the addresses. `figures` are shown on the metrics listener, if there is one.
    pub fn bind(home: Home, figures: Option<PrometheusHandle>) -> Result<Self, Failure> {
        let everything = api::router(home.clone()).merge(health::router(home.clone()));
        let listen = &home.config.listen;
        let client = open_door("client", listen.client, everything, listen::connections_max())?;
        let metrics = match (listen.metrics, figures) {
            (Some(address), Some(kept)) => {
                let router = metrics::router(kept.clone(), home.clone(), health::router(home.clone()));
                Some((open_door("metrics", address, router, METRICS_CONNECTIONS_MAX)?, kept))
            }
            _ => None,
        };
        if listen.federation_tls.is_some() {
            warn!("listen.federation_tls is not served: this version does not talk to other servers yet");
        }
        Ok(Self { home, client, metrics })
    }

    /// Where clients reach it.
    pub fn address(&self) -> SocketAddr {
        self.client.address()
    }

    /// Where the figures are shown.
    pub fn metrics_address(&self) -> Option<SocketAddr> {
        self.metrics.as_ref().map(|(door, _)| door.address())
    }

    /// Serves until `home.stop()` is called, then answers what waits, lets requests under way
    /// finish and writes what is queued, all within 5 s.
    pub async fn run(self) {
        let home = self.home;
        let mut serving = tokio::spawn(self.client.serve(home.stopping.subscribe(), DRAIN_MAX));
        // Every background loop of the server.
        let mut loops = JoinSet::new();
        loops.spawn(ring(home.clone()));
        loops.spawn(end_typing(home.clone()));
        loops.spawn(fade_presence(home.clone()));
        loops.spawn(note_who_is_seen(home.clone()));
        loops.spawn(leave_for_the_deactivated(home.clone()));
        loops.spawn(sweep_sessions(home.clone()));
        loops.spawn(send_what_was_delayed(home.clone()));
        loops.spawn(push(home.clone()));
        loops.spawn(watch_outages(home.clone()));
        if let Some((door, kept)) = self.metrics {
            loops.spawn(door.serve(home.stopping.subscribe(), DRAIN_MAX));
            loops.spawn(forget_old_figures(kept));
        }
        tokio::select! {
            _ = &mut serving => {}
            ended = loops.join_next() => {
                if !*home.stopping.borrow() {
                    error!(?ended, "a background loop ended: the server can not go on");
                    home.stop();
                }
                let _ = serving.await;
            }
        }
        loops.shutdown().await;
        // The writer works in order: when it has done nothing, it has done all that came before.
        match timeout(FLUSH_MAX, home.db.commit(Batch::new())).await {
            Ok(Ok(_)) => info!("stopped"),
            Ok(Err(error)) => warn!(%error, "stopped, but the last writes failed"),
            Err(_) => warn!("stopped, but the last writes took too long"),
        }
    }
}

/// Calls `home.stop()` at the first SIGTERM or SIGINT. A second one ends the process at once.
pub fn stop_at_signal(home: &Home) -> Result<(), Failure> {
    let mut terminate = signal(SignalKind::terminate()).map_err(Failure::Signals)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(Failure::Signals)?;
    // A file that may not grow is a full disk, and not the end of the process.
    let too_long = SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw());
    drop(signal(too_long).map_err(Failure::Signals)?);
    let home = home.clone();
    tokio::spawn(async move {
        for again in [false, true] {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            if again {
                warn!("stopped at once");
                std::process::exit(130);
            }
            info!("stopping");
            home.stop();
        }
    });
    Ok(())
}

fn open_door(
    key: &'static str,
    address: SocketAddr,
    router: axum::Router,
    connections_max: u32,
) -> Result<Door, Failure> {
    Door::open(address, router, connections_max).map_err(|error| Failure::Listen { key, address, error })
}

/// Wakes those who wait for what has been written.
async fn ring(home: Home) {
    bell::ringing(&home.bell).await;
}

/// Writes when devices were seen.
async fn note_who_is_seen(home: Home) {
    accounts::devices::keep_seen(&home).await;
}

/// Has deactivated users leave their rooms.
async fn leave_for_the_deactivated(home: Home) {
    accounts::departing::keep_departing(&home).await;
}

/// Forgets sessions and tokens that are good for nothing any more.
async fn sweep_sessions(home: Home) {
    accounts::sweeping::keep_sweeping(&home).await;
}

/// Sends delayed events when they are due.
async fn send_what_was_delayed(home: Home) {
    rooms::delayed_events::keep_sending(&home).await;
}

/// Pushes notifications.
async fn push(home: Home) {
    pushers::keep_pushing(&home).await;
}

/// Notices when the database works again.
async fn watch_outages(home: Home) {
    outage::watching(&home).await;
}

/// Lets those stop typing whose time is over.
async fn end_typing(home: Home) {
    typing::expiring(&home).await;
}

/// Lets those fade who are not about any more, and tells of it.
async fn fade_presence(home: Home) {
    presence::fading(&home).await;
}

async fn forget_old_figures(kept: PrometheusHandle) {
    loop {
        sleep(METRICS_UPKEEP).await;
        kept.run_upkeep();
    }
}

/// The clock on the wall.
#[expect(clippy::disallowed_methods, reason = "this is where the clock comes from")]
fn clock() -> Clock {
    // Before 1970 it is 1970.
    Clock::new(|| SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default())
}

/// Random bytes fit for secrets: a stream cipher that the operating system seeds.
fn dice() -> Dice {
    Dice::new(|bytes| rand::fill(bytes))
}

fn make_folder(path: &Path) -> Result<(), Failure> {
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(|error| Failure::File { path: path.to_owned(), error })
}

/// The key in the file at `path`; a new one if there is no such file.
fn signing_key(path: &Path, dice: &Dice) -> Result<SigningKey, Failure> {
    let wrong = |reason: String| Failure::SigningKey { path: path.to_owned(), reason };
    let failed = |error| Failure::File { path: path.to_owned(), error };
    match fs::read_to_string(path) {
        Ok(text) => {
            let mode = fs::metadata(path).map_err(failed)?.permissions().mode();
            if mode & 0o077 != 0 {
                warn!(path = %path.display(), "others can read the signing key, chmod it to 600");
            }
            SigningKey::from_file(&text).map_err(|error| wrong(error.to_string()))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let key = SigningKey::from_seed(dice.bytes(), &format!("a_{}", dice.letters(6)))
                .map_err(|error| wrong(error.to_string()))?;
            keep(path, &key.to_file()).map_err(failed)?;
            Ok(key)
        }
        Err(error) => Err(failed(error)),
    }
}

/// Writes a secret to a new file so that a crash leaves all of it or nothing.
fn keep(path: &Path, text: &str) -> io::Result<()> {
    let new = path.with_extension("new");
    let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
    io::Write::write_all(&mut file, text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&new, path)?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}
