//! A wire between a server and its PostgreSQL that can be cut or fall silent at a chosen moment.

use crate::database::{Error, Result};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// What the wire does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Carries everything.
    Open,
    /// Keeps connections and carries nothing: PostgreSQL hangs.
    Silent,
    /// Ends connections, and each new one at once: PostgreSQL is gone.
    Gone,
    /// Carries the next COMMIT, waits until PostgreSQL has answered it, keeps the answer to itself
    /// and turns to the mode it was given.
    AnswerLost(After),
    /// Keeps the next COMMIT to itself, ends its connection and turns to the mode it was given.
    CommitLost(After),
}

/// What a wire that lost something does from then on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum After {
    /// As [`Mode::Open`].
    Open,
    /// As [`Mode::Gone`].
    Gone,
    /// As [`Mode::Silent`].
    Silent,
}

impl From<After> for Mode {
    fn from(after: After) -> Self {
        match after {
            After::Open => Mode::Open,
            After::Gone => Mode::Gone,
            After::Silent => Mode::Silent,
        }
    }
}

/// The wire. It works as long as this is kept.
pub struct Wire {
    mode: watch::Sender<Mode>,
    lost: Arc<AtomicUsize>,
}

impl Wire {
    /// A wire to the PostgreSQL at `url`, and the URL at its near end.
    ///
    /// # Errors
    /// [`Error::Unfit`] if the URL names no host and port.
    pub async fn to(url: &str) -> Result<(Self, String)> {
        let unfit = || Error::Unfit(format!("a wire needs a URL with a host and a port, not {url}"));
        let (scheme, rest) = url.split_once("://").ok_or_else(unfit)?;
        let (authority, path) = rest.split_once('/').ok_or_else(unfit)?;
        let (user, far) = authority.rsplit_once('@').ok_or_else(unfit)?;
        let listener = TcpListener::bind("127.0.0.1:0").await.map_err(|_| unfit())?;
        let near = listener.local_addr().map_err(|_| unfit())?;
        let (mode, lost) = (watch::Sender::new(Mode::Open), Arc::default());
        tokio::spawn(accept(listener, far.to_owned(), mode.clone(), Arc::clone(&lost)));
        Ok((Wire { mode, lost }, format!("{scheme}://{user}@{near}/{path}")))
    }

    /// Changes what it does.
    pub fn set(&self, mode: Mode) {
        self.mode.send_replace(mode);
    }

    /// How many commits or answers were lost so far.
    pub fn lost(&self) -> usize {
        self.lost.load(Ordering::SeqCst)
    }
}

async fn accept(listener: TcpListener, far: String, mode: watch::Sender<Mode>, lost: Arc<AtomicUsize>) {
    while let Ok((near, _)) = listener.accept().await {
        let (far, mode, lost) = (far.clone(), mode.clone(), lost.clone());
        tokio::spawn(async move {
            // Whatever ends one side ends the other.
            let _ = carry(near, &far, mode, &lost).await;
        });
    }
}

async fn carry(
    near: TcpStream,
    far: &str,
    mode: watch::Sender<Mode>,
    lost: &AtomicUsize,
) -> std::io::Result<()> {
    let mut ended = mode.subscribe();
    if *ended.borrow() == Mode::Gone {
        return Ok(());
    }
    let far = TcpStream::connect(far).await?;
    let (near_in, near_out) = near.into_split();
    let (far_in, far_out) = far.into_split();
    tokio::select! {
        done = ask(near_in, far_out, &mode, lost) => done,
        done = tell(far_in, near_out, &mode, lost) => done,
        _ = ended.wait_for(|mode| *mode == Mode::Gone) => Ok(()),
    }
}

/// Waits while the wire is silent.
async fn speaking(mode: &watch::Sender<Mode>) {
    // The sender is at hand, so there is always an answer.
    let _ = mode.subscribe().wait_for(|mode| *mode != Mode::Silent).await;
}

/// What hearth says.
async fn ask(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mode: &watch::Sender<Mode>,
    lost: &AtomicUsize,
) -> std::io::Result<()> {
    let mut bytes = vec![0; 64 * 1024];
    loop {
        let length = read(&mut from, &mut bytes).await?;
        speaking(mode).await;
        let said = &bytes[..length];
        let now = *mode.borrow();
        if let (Mode::CommitLost(after), true) = (now, names_commit(said)) {
            return lose(mode, lost, after).await;
        }
        to.write_all(said).await?;
    }
}

/// Whether a commit is asked for, or answered: a command that is complete says its name.
fn names_commit(said: &[u8]) -> bool {
    said.windows(7).any(|word| word == b"COMMIT\0")
}

/// Turns to the mode after a loss, and ends the connection unless the wire falls silent.
async fn lose(mode: &watch::Sender<Mode>, lost: &AtomicUsize, after: After) -> std::io::Result<()> {
    lost.fetch_add(1, Ordering::SeqCst);
    mode.send_replace(after.into());
    if after == After::Silent { std::future::pending().await } else { Ok(()) }
}

/// What PostgreSQL says.
async fn tell(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mode: &watch::Sender<Mode>,
    lost: &AtomicUsize,
) -> std::io::Result<()> {
    let mut bytes = vec![0; 64 * 1024];
    loop {
        let length = read(&mut from, &mut bytes).await?;
        let said = &bytes[..length];
        let now = *mode.borrow();
        if let (Mode::AnswerLost(after), true) = (now, names_commit(said)) {
            return lose(mode, lost, after).await;
        }
        speaking(mode).await;
        to.write_all(said).await?;
    }
}

async fn read(from: &mut OwnedReadHalf, bytes: &mut [u8]) -> std::io::Result<usize> {
    match from.read(bytes).await? {
        0 => Err(std::io::ErrorKind::UnexpectedEof.into()),
        length => Ok(length),
    }
}
