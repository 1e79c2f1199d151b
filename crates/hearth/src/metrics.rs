//! Figures about the work of this process, in Prometheus' text format.
//!
//! The other crates count with the `metrics` crate where the work is done; here stands how the
//! figures are kept, what they mean, and what the operating system says about the process.

use std::{fmt::Write as _, fs};

use axum::{
    Router,
    extract::State,
    http::{HeaderName, header::CONTENT_TYPE},
    routing::get,
};
use homeserver::Home;
use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};

/// Bounds of durations, in seconds: from a read of the database to a long poll.
const SECONDS: [f64; 14] =
    [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0];
/// Bounds of counts: how many batches the writer commits together, and the like.
const COUNTS: [f64; 9] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0];

/// From now on figures are kept. Once per process, before anything is counted.
pub fn begin() -> Result<PrometheusHandle, BuildError> {
    let kept = PrometheusBuilder::new()
        .set_buckets(&COUNTS)?
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS)?
        .install_recorder()?;
    describe();
    Ok(kept)
}

/// What each figure means.
fn describe() {
    describe_histogram!("hearth_request_seconds", Unit::Seconds, "Requests and how long they took");
    describe_gauge!("hearth_requests_under_way", "Requests that are being answered");
    describe_counter!("hearth_requests_refused_total", "Requests answered with 4xx");
    describe_counter!("hearth_requests_broken_total", "Requests answered with 5xx");
    describe_gauge!("hearth_connections_open", "Connections of clients");
    describe_gauge!("hearth_syncs_waiting", "Long polls that wait for something to happen");
    describe_gauge!("hearth_cache_bytes", Unit::Bytes, "What is kept in memory of the database");
    describe_counter!("hearth_database_commits_total", "Commits, each of a group of batches");
    describe_histogram!("hearth_database_commit_batches", "How many batches a commit made durable");
    describe_histogram!("hearth_database_commit_seconds", Unit::Seconds, "From queued to durable");
    describe_counter!("hearth_database_batches_total", "Batches, whatever became of them");
    describe_counter!("hearth_database_batches_refused_total", "Batches whose condition did not hold");
    describe_counter!("hearth_database_batches_failed_total", "Batches that the database could not do");
    describe_gauge!("hearth_database_queue_batches", "Batches that wait for the writer");
    describe_counter!("hearth_pushes_total", "Notifications, by what became of them");
    describe_histogram!("hearth_push_seconds", Unit::Seconds, "How long push gateways took to answer");
    describe_gauge!("hearth_pushers_waiting", "Pushers that wait to try again");
    describe_histogram!("hearth_database_read_seconds", Unit::Seconds, "Reads, a sample of them");
}

/// `GET /metrics` and `GET /health` for a listener of their own.
pub fn router(kept: PrometheusHandle, home: Home, health: Router) -> Router {
    Router::new().route("/metrics", get(show)).with_state((kept, home)).merge(health)
}

type Shown = ([(HeaderName, &'static str); 1], String);

async fn show(State((kept, home)): State<(PrometheusHandle, Home)>) -> Shown {
    look_at(&home);
    let mut text = kept.render();
    process(&mut text);
    ([(CONTENT_TYPE, "text/plain; version=0.0.4")], text)
}

/// Notes what is not counted as it happens, but can be seen.
fn look_at(home: &Home) {
    metrics::gauge!("hearth_syncs_waiting").set(home.bell.listeners() as f64);
    for (cache, bytes) in home.cached_bytes() {
        metrics::gauge!("hearth_cache_bytes", "cache" => cache).set(bytes as f64);
    }
}

/// Appends what the operating system says about this process. What it does not say is left out:
/// only Linux has `/proc`.
fn process(text: &mut String) {
    let mut put = |name: &str, kind: &str, value: Option<f64>| {
        if let Some(value) = value {
            // Writing to a String can not fail.
            let _ = write!(text, "# TYPE {name} {kind}\n{name} {value}\n");
        }
    };
    put("process_resident_memory_bytes", "gauge", resident_bytes());
    put("process_cpu_seconds_total", "counter", cpu_seconds());
    put("process_open_fds", "gauge", open_descriptors());
}

fn resident_bytes() -> Option<f64> {
    let pages = fs::read_to_string("/proc/self/statm").ok()?;
    let pages: f64 = pages.split(' ').nth(1)?.parse().ok()?;
    Some(pages * rustix::param::page_size() as f64)
}

fn cpu_seconds() -> Option<f64> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    // The name of the program stands in parentheses and may hold anything: count from its end.
    let mut fields = stat.rsplit_once(") ")?.1.split(' ').skip(11);
    let mut ticks = || fields.next()?.parse::<f64>().ok();
    Some((ticks()? + ticks()?) / rustix::param::clock_ticks_per_second() as f64)
}

fn open_descriptors() -> Option<f64> {
    Some(fs::read_dir("/proc/self/fd").ok()?.count() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_operating_system_is_asked_about_the_process() {
        let mut text = String::new();
        process(&mut text);
        for name in ["process_resident_memory_bytes", "process_cpu_seconds_total", "process_open_fds"] {
            assert!(text.contains(&format!("\n{name} ")), "{name} is missing in\n{text}");
        }
    }
}
