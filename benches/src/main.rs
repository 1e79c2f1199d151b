//! Measures what each operation costs a homeserver: its CPU time, not ours.
//!
//! Starts a release build of hearth on a database of its own, drives it over HTTP on loopback, checks
//! every answer, and prints a line for each scenario: server CPU per operation (user and system time
//! of the server's process), latency, throughput, resident memory.

mod archive;
mod crowd;
mod figure;
mod growth;
mod http;
mod scenarios;
mod server;
mod soak;

use std::{error::Error, path::PathBuf};

use clap::Parser;

use crate::{figure::Figure, server::Server};

/// What goes wrong ends the run: a figure of a server that answers wrongly is no figure.
type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// Measures what each operation costs a homeserver.
#[derive(Parser)]
struct Arguments {
    /// The server's binary: build it with `cargo build --release`.
    #[arg(long, default_value = "target/release/hearth")]
    server: PathBuf,
    /// The database: `sqlite`, or the URL of an empty PostgreSQL database.
    #[arg(long, default_value = "sqlite")]
    database: String,
    /// Measures another server that runs already and lets anybody register: `http://127.0.0.1:8008`.
    #[arg(long, requires = "pid")]
    compare: Option<String>,
    /// The process of that server.
    #[arg(long)]
    pid: Option<u32>,
    /// Members of the large room, and rooms of the large account.
    #[arg(long, default_value_t = 1_000)]
    size: usize,
    /// How long `soak` takes, which runs only if it is named.
    #[arg(long, default_value_t = 10)]
    minutes: u64,
    /// How many events `archive` writes, which runs only if it is named.
    #[arg(long, default_value_t = 1_000_000)]
    events: usize,
    /// Which scenarios, by the beginning of their names; all if none is named.
    scenarios: Vec<String>,
}

fn main() -> Outcome<()> {
    let arguments = Arguments::parse();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(run(arguments))
}

#[allow(clippy::print_stdout)]
async fn run(arguments: Arguments) -> Outcome<()> {
    let server = match (&arguments.compare, arguments.pid) {
        (Some(base), Some(pid)) => Server::running(base, pid)?,
        _ => Server::start(&arguments.server, &arguments.database).await?,
    };
    if arguments.scenarios == ["soak"] {
        soak::soak(&server, arguments.minutes).await?;
        return server.stop().await;
    }
    println!("{}", Figure::HEAD);
    if arguments.scenarios == ["archive"] {
        archive::archive(&server, arguments.events).await?.iter().for_each(|figure| println!("{figure}"));
        return server.stop().await;
    }
    for (name, scenario) in scenarios::all() {
        let wanted = &arguments.scenarios;
        if wanted.is_empty() || wanted.iter().any(|wanted| name.starts_with(wanted)) {
            for figure in
                scenario(&server, arguments.size).await.map_err(|error| format!("{name}: {error}"))?
            {
                println!("{figure}");
            }
        }
    }
    server.stop().await
}
