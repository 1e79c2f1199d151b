//! One line of the table.

use std::{
    fmt,
    time::{Duration, Instant},
};

use crate::{Outcome, server::Server};

/// What an operation costs.
pub(crate) struct Figure {
    name: String,
    operations: usize,
    cpu: Duration,
    wall: Duration,
    latencies: Vec<Duration>,
    resident_kb: u64,
}

impl Figure {
    /// The head of the table.
    pub(crate) const HEAD: &str = "| operation | n | server CPU µs each | p50 ms | p95 ms | per second | resident MB |\n\
         |---|---|---|---|---|---|---|";
}

/// Measures from its making to its end.
pub(crate) struct Measure<'a> {
    server: &'a Server,
    cpu: Duration,
    paused: Duration,
    begun: Instant,
}

impl<'a> Measure<'a> {
    /// Begins.
    pub(crate) fn begin(server: &'a Server) -> Outcome<Self> {
        Ok(Measure { server, cpu: server.cpu()?, paused: Duration::ZERO, begun: Instant::now() })
    }

    /// What the server does from here on does not count.
    pub(crate) fn pause(&mut self, server: &Server) -> Outcome<()> {
        self.paused = server.cpu()?;
        Ok(())
    }

    /// What the server does counts again.
    pub(crate) fn go_on(&mut self, server: &Server) -> Outcome<()> {
        self.cpu += server.cpu()?.saturating_sub(self.paused);
        Ok(())
    }

    /// Ends: so many operations took place, these are the latencies that were taken.
    pub(crate) fn end(
        self,
        name: impl Into<String>,
        operations: usize,
        latencies: Vec<Duration>,
    ) -> Outcome<Figure> {
        let wall = self.begun.elapsed();
        Ok(Figure {
            name: name.into(),
            operations,
            cpu: self.server.cpu()?.saturating_sub(self.cpu),
            wall,
            latencies,
            resident_kb: self.server.resident_kb()?,
        })
    }
}

impl Figure {
    /// What was measured in another way. It took as long as `latencies` say together.
    pub(crate) fn of(
        name: impl Into<String>,
        operations: usize,
        cpu: Duration,
        latencies: Vec<Duration>,
        resident_kb: u64,
    ) -> Self {
        let wall = latencies.iter().sum();
        Figure { name: name.into(), operations, cpu, wall, latencies, resident_kb }
    }

    /// It took so long from begin to end.
    pub(crate) fn in_all(self, wall: Duration) -> Self {
        Figure { wall, ..self }
    }
}

impl fmt::Display for Figure {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut sorted = self.latencies.clone();
        sorted.sort_unstable();
        let at = |percent: usize| {
            let index = (sorted.len() * percent / 100).min(sorted.len().saturating_sub(1));
            sorted.get(index).map_or("–".to_owned(), |time| format!("{:.2}", time.as_secs_f64() * 1e3))
        };
        let each = self.cpu.as_secs_f64() * 1e6 / self.operations.max(1) as f64;
        let rate = match self.wall.as_secs_f64() {
            0.0 => "–".to_owned(),
            seconds => format!("{:.0}", self.operations as f64 / seconds),
        };
        let resident = self.resident_kb as f64 / 1024.0;
        let (name, n) = (&self.name, self.operations);
        write!(out, "| {name} | {n} | {each:.0} | {} | {} | {rate} | {resident:.1} |", at(50), at(95))
    }
}
