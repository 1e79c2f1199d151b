//! How far a long command is: a bar on standard error for a person at a terminal. Where nobody looks nothing
//! is said: a command that cron runs speaks only when something is wrong.

use std::{
    io::{self, IsTerminal},
    time::Duration,
};

use indicatif::{ProgressBar, ProgressStyle};

/// How often the bar moves although nothing is known.
const TICK: Duration = Duration::from_millis(200);

const COUNTED: &str = "{msg:>14} [{bar:40}] {human_pos} of {human_len}, {eta} left";
const BYTES: &str = "{msg:>14} [{bar:40}] {bytes} of {total_bytes}, {eta} left";
const UNCOUNTED: &str = "{msg:>14} {spinner} {elapsed}";
const UNCOUNTED_BYTES: &str = "{msg:>14} {spinner} {bytes}";

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Things.
    Pieces,
    /// Bytes.
    Bytes,
}

/// Shows how far it is.
pub struct Progress {
    /// Nothing if nobody looks.
    bar: Option<ProgressBar>,
    step: &'static str,
}

impl Progress {
    /// Nothing has begun.
    pub fn new() -> Self {
        let bar = io::stderr().is_terminal().then(ProgressBar::no_length);
        Progress { bar, step: "" }
    }

    /// So much of `step` is done, of `total` if that is known.
    pub fn at(&mut self, step: &'static str, done: u64, total: Option<u64>, unit: Unit) {
        let begins = self.step != step;
        self.step = step;
        let Some(bar) = &self.bar else { return };
        if begins {
            let template = match (unit, total) {
                (Unit::Pieces, Some(_)) => COUNTED,
                (Unit::Bytes, Some(_)) => BYTES,
                (Unit::Pieces, None) => UNCOUNTED,
                (Unit::Bytes, None) => UNCOUNTED_BYTES,
            };
            // The templates are constants that have been looked at.
            bar.set_style(
                ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()),
            );
            bar.set_message(step);
            bar.reset();
            bar.enable_steady_tick(TICK);
        }
        bar.set_length(total.unwrap_or(0));
        bar.set_position(done);
    }

    /// Everything is done, or will not be.
    pub fn end(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

impl Default for Progress {
    fn default() -> Self {
        Self::new()
    }
}
