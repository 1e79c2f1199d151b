//! Brings the answers of the writer's thread to the tasks that wait for them, through a pipe.
//!
//! A task that is woken from a thread outside of the runtime wakes two of the runtime's threads: one for
//! the task, and that one another to look for more, for nothing unless there is a crowd. What comes in
//! through a pipe wakes one, and Linux takes who writes into a pipe for somebody who is about to rest: it
//! lets the other side go on on the same processor.

use crate::database::queue::Letter;
use crate::database::{Error, Result};
use parking_lot::Mutex;
use std::fs::File;
use std::io::{ErrorKind, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::net::unix::pipe;

/// The writer's side. Dropping it ends the task once everything is handed out.
pub(super) struct Postman {
    bag: Arc<Bag>,
    bell: File,
}

#[derive(Default)]
struct Bag {
    letters: Mutex<Vec<Letter>>,
    /// A byte is under way: what is in the bag by now will be found.
    rung: AtomicBool,
}

impl Postman {
    /// Starts the task that hands out.
    pub(super) fn start() -> Result<Self> {
        let failed = |error: std::io::Error| Error::Unavailable(format!("cannot start the writer: {error}"));
        let (bell, heard) = pipe::pipe().map_err(failed)?;
        let bell = File::from(bell.into_nonblocking_fd().map_err(failed)?);
        let bag = Arc::new(Bag::default());
        tokio::spawn(hand_out(bag.clone(), heard));
        Ok(Postman { bag, bell })
    }

    /// Has letters handed out.
    pub(super) fn post(&self, mut letters: Vec<Letter>) {
        self.bag.letters.lock().append(&mut letters);
        if !self.bag.rung.swap(true, Ordering::AcqRel) {
            // There are never more than two bytes in the pipe, and the task outlives this side.
            let _ = (&self.bell).write(&[0]);
        }
    }
}

async fn hand_out(bag: Arc<Bag>, heard: pipe::Receiver) {
    let mut letters = Vec::new();
    loop {
        let more = rings(&heard).await;
        bag.rung.store(false, Ordering::Release);
        letters.append(&mut bag.letters.lock());
        letters.drain(..).for_each(Letter::deliver);
        if !more {
            return;
        }
    }
}

/// Waits for the bell; false if it will never ring again.
async fn rings(heard: &pipe::Receiver) -> bool {
    loop {
        if heard.readable().await.is_err() {
            return false;
        }
        match heard.try_read(&mut [0; 8]) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            read => return read.is_ok_and(|bytes| bytes > 0),
        }
    }
}
