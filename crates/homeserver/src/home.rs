//! [`Home`]: what every verb needs at hand.

use std::{
    fmt,
    ops::Deref,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use rules::signing_key::SigningKey;
use ruma::{MilliSecondsSinceUnixEpoch, OwnedServerName, ServerName, UInt};
use store::Db;
use tokio::sync::watch;

use crate::{
    accounts,
    bell::Bell,
    config::Config,
    ephemera::Ephemera,
    lately::Lately,
    limits::Budgets,
    mail,
    outage::Outage,
    outgoing::Outgoing,
    pushers, rooms, settings,
    space::Space,
    sync::{filter, told, unread},
};

/// Who is at home: configuration, database, clock, dice, signing key, bell and caches. A handle:
/// cloning it is cheap.
#[derive(Clone)]
pub struct Home(Arc<Inside>);

/// The fields of [`Home`].
pub struct Inside {
    /// What the operator set.
    pub config: Config,
    /// Everything that is remembered.
    pub db: Db,
    /// The time.
    pub clock: Clock,
    /// Chance.
    pub dice: Dice,
    /// The key with which this server signs.
    pub signing_key: SigningKey,
    /// Wakes those who wait for something to happen.
    pub bell: Bell,
    /// Sessions and what else of accounts is in memory.
    pub accounts: accounts::Memory,
    /// How many requests users and addresses have left.
    pub limits: Budgets,
    /// Memory that bodies and answers have left.
    pub space: Space,
    /// Mails under way.
    pub mail: mail::Memory,
    /// Connections to other services.
    pub outgoing: Outgoing,
    /// Rooms, events and states that are in memory.
    pub rooms: rooms::Memory,
    /// Who is typing and who is about.
    pub ephemera: Ephemera,
    /// When account data of users was last set.
    pub lately_account_data: Lately,
    /// When receipts in rooms were last sent.
    pub lately_receipts: Lately,
    /// What users have set that the server goes by.
    pub settings: settings::Memory,
    /// What clients want of `/sync`.
    pub filters: filter::Memory,
    /// How much users have not read.
    pub unread: unread::Memory,
    /// Whose pushers are to be looked after.
    pub pushers: pushers::Memory,
    /// Which members devices have been told.
    pub told: told::Memory,
    /// Whether the database is out of order.
    pub outage: Outage,
    requests: AtomicU64,
    /// True once the server is about to stop: long polls answer at once.
    pub stopping: watch::Sender<bool>,
}

impl Home {
    /// A home over an open database.
    pub fn new(config: Config, db: Db, signing_key: SigningKey, clock: Clock, dice: Dice) -> Self {
        Home(Arc::new(Inside {
            accounts: accounts::Memory::new(&signing_key),
            limits: Budgets::default(),
            space: Space::default(),
            mail: mail::Memory::new(),
            outgoing: Outgoing::new(&config),
            rooms: rooms::Memory::new(db.upto(), &config.memory),
            ephemera: Ephemera::new(clock.now_ms()),
            lately_account_data: Lately::new(db.upto()),
            lately_receipts: Lately::new(db.upto()),
            settings: settings::Memory::new(&config.memory),
            filters: filter::Memory::new(&config.memory),
            unread: unread::Memory::new(&config.memory),
            pushers: pushers::Memory::default(),
            told: told::Memory::new(&config.memory, &dice),
            bell: Bell::default(),
            outage: Outage::default(),
            stopping: watch::Sender::new(false),
            requests: AtomicU64::new(0),
            config,
            db,
            clock,
            dice,
            signing_key,
        }))
    }

    /// What is kept in memory of the database, by kind, in bytes; together at most what
    /// [`config::Memory`](crate::config::Memory) allows.
    pub fn cached_bytes(&self) -> Vec<(&'static str, u64)> {
        let others = [
            ("unread", self.unread.weight()),
            ("told", self.told.weight()),
            ("settings", self.settings.weight()),
            ("filters", self.filters.weight()),
        ];
        self.rooms.weights().into_iter().chain(others).collect()
    }

    /// The name of this server.
    pub fn server_name(&self) -> &ServerName {
        &self.config.server_name
    }

    /// The name of this server, to keep.
    pub fn owned_server_name(&self) -> OwnedServerName {
        self.config.server_name.clone()
    }

    /// A number for a request, to find it in the log.
    pub fn request_id(&self) -> u64 {
        self.requests.fetch_add(1, Ordering::Relaxed)
    }

    /// Asks all who wait to answer now, for the server is about to stop.
    pub fn stop(&self) {
        self.stopping.send_replace(true);
    }
}

impl Deref for Home {
    type Target = Inside;

    fn deref(&self) -> &Inside {
        &self.0
    }
}

/// The time, as an argument: tests set it.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> Duration + Send + Sync>);

impl Clock {
    /// A clock that answers what `now` does: the time since 1970.
    pub fn new(now: impl Fn() -> Duration + Send + Sync + 'static) -> Self {
        Clock(Arc::new(now))
    }

    /// Milliseconds since 1970.
    pub fn now_ms(&self) -> i64 {
        i64::try_from((self.0)().as_millis()).unwrap_or(i64::MAX)
    }

    /// Now, as the type of timestamps in events.
    pub fn timestamp(&self) -> MilliSecondsSinceUnixEpoch {
        let now_ms = u64::try_from(self.now_ms()).unwrap_or(0);
        MilliSecondsSinceUnixEpoch(UInt::new_saturating(now_ms))
    }
}

/// Chance, as an argument: tests may load the dice. Must be fit for secrets.
#[derive(Clone)]
pub struct Dice(Arc<dyn Fn(&mut [u8]) + Send + Sync>);

impl Dice {
    /// Dice that fill bytes as `fill` does.
    pub fn new(fill: impl Fn(&mut [u8]) + Send + Sync + 'static) -> Self {
        Dice(Arc::new(fill))
    }

    /// `N` random bytes.
    pub fn bytes<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        (self.0)(&mut bytes);
        bytes
    }

    /// Text of `characters` out of `A–Z a–z 0–9`, for ids that people may read.
    pub fn letters(&self, characters: usize) -> String {
        const ALPHABET: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
        let mut text = String::with_capacity(characters);
        while text.len() < characters {
            // Bytes past the last full round of the alphabet would favour its beginning.
            let fair = self.bytes::<32>().into_iter().filter(|byte| *byte < 248);
            let letters = fair.map(|byte| char::from(ALPHABET[usize::from(byte) % ALPHABET.len()]));
            text.extend(letters.take(characters - text.len()));
        }
        text
    }

    /// A secret of 256 bits, in URL-safe base64 behind `prefix`.
    pub fn secret(&self, prefix: &str) -> String {
        format!("{prefix}{}", URL_SAFE_NO_PAD.encode(self.bytes::<32>()))
    }
}

impl fmt::Debug for Home {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Home").field("server_name", &self.config.server_name).finish_non_exhaustive()
    }
}
