//! Figures about the work of this process, in Prometheus' text format.
//!
//! The other crates count with the `metrics` crate where the work is done; here stands how the
//! figures are kept, what they mean, and what the operating system says about the process.

use std::{fmt::Write as _, fs, sync::Arc};

use axum::{Router, extract::State, http::header::CONTENT_TYPE, routing::get};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};

/// Bounds of durations, in seconds: from a read of the database to a long poll.
const SECONDS: [f64; 14] =
    [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0];
/// Bounds of counts: how many batches the writer commits together, and the like.
const COUNTS: [f64; 9] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0];

/// From now on figures are kept. Once per process.
pub fn begin() -> Result<PrometheusHandle, BuildError> {
    PrometheusBuilder::new()
        .set_buckets(&COUNTS)?
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS)?
        .install_recorder()
}

/// `GET /metrics` and `GET /health` for a listener of their own.
pub fn router(kept: PrometheusHandle, health: Router) -> Router {
    Router::new().route("/metrics", get(show)).with_state(Arc::new(kept)).merge(health)
}

async fn show(
    State(kept): State<Arc<PrometheusHandle>>,
) -> ([(axum::http::HeaderName, &'static str); 1], String) {
    let mut text = kept.render();
    process(&mut text);
    ([(CONTENT_TYPE, "text/plain; version=0.0.4")], text)
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
