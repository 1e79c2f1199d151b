//! What the server writes about its work: to standard error, for people or for machines.

use std::io::IsTerminal;

use homeserver::config::{Log, LogFormat};
use tracing_subscriber::{EnvFilter, fmt};

/// What a part of the server can be told to say, from nothing to everything.
const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

/// What `log.level` says, or why it says nothing.
///
/// Stricter than the filter itself, which takes any word for the name of a part.
pub fn filter(level: &str) -> Result<EnvFilter, String> {
    for directive in level.split(',') {
        let level = directive.rsplit_once('=').map_or(directive, |(_, level)| level);
        if !LEVELS.contains(&level.trim()) {
            return Err(format!("\"{level}\" is no level, write \"info\" or \"info,store=debug\""));
        }
    }
    EnvFilter::builder().parse(level).map_err(|error| format!("{error}, write \"info\""))
}

/// From now on everything that this process logs, panics among it, is written as `log` says. Once
/// per process.
pub fn begin(log: &Log) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string);
        let payload = panic.payload();
        let text = payload.downcast_ref::<&str>().map(ToString::to_string);
        let text = text.or_else(|| payload.downcast_ref::<String>().cloned());
        tracing::error!(place, text, "panicked");
    }));
    let written = fmt::Subscriber::builder()
        .with_env_filter(filter(&log.level)?)
        .with_writer(std::io::stderr)
        // It would complain on standard error that standard error is gone or full, and panic.
        .log_internal_errors(false);
    match log.format {
        LogFormat::Text => written.with_ansi(std::io::stderr().is_terminal()).try_init(),
        LogFormat::Json => {
            written.json().flatten_event(true).with_current_span(true).with_span_list(false).try_init()
        }
    }
}
