//! `hearth`: the command line.

use std::{
    io::{self, Write},
    path::PathBuf,
    process::ExitCode,
};

use clap::{Args, Parser, Subcommand};
use hearth::{config, logs, metrics, start};

/// Keeps less memory than the allocator of the C library when many threads come and go.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A Matrix homeserver. Without a command it serves.
#[derive(Parser)]
#[command(name = "hearth", version, args_conflicts_with_subcommands = true)]
struct Line {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    file: ConfigFile,
}

#[derive(Args)]
struct ConfigFile {
    /// The configuration. Without one: the name localhost, data in ./data, 127.0.0.1:8008
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

#[derive(Subcommand)]
enum Command {
    /// Run the server until SIGTERM or SIGINT
    Serve(ConfigFile),
    /// Print the configuration in force, each key with its documentation
    Config(ConfigFile),
}

/// Anything that ends the program; its text is for the person who started it.
type Failure = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main]
async fn main() -> ExitCode {
    let line = Line::parse();
    let done = match line.command {
        None => serve(line.file).await,
        Some(Command::Serve(file)) => serve(file).await,
        Some(Command::Config(file)) => print_config(file),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            // Nobody is left to tell if standard error is gone.
            let _ = writeln!(io::stderr(), "hearth: {failure}");
            ExitCode::FAILURE
        }
    }
}

async fn serve(file: ConfigFile) -> Result<(), Failure> {
    let config = config::read(file.config.as_deref())?;
    logs::begin(&config.log)?;
    let figures = match config.listen.metrics {
        Some(_) => Some(metrics::begin()?),
        None => None,
    };
    let _lock = start::be_the_only_one(&config)?;
    let home = start::open(config).await?;
    start::stop_at_signal(&home)?;
    let server = start::Server::bind(home.clone(), figures)?;
    greet(&home, &server)?;
    server.run().await;
    Ok(())
}

fn print_config(file: ConfigFile) -> Result<(), Failure> {
    let config = config::read(file.config.as_deref())?;
    io::stdout().write_all(config::print(&config)?.as_bytes())?;
    Ok(())
}

/// Tells the person at the terminal where everything is.
fn greet(home: &homeserver::Home, server: &start::Server) -> io::Result<()> {
    let config = &home.config;
    let data = config.data_dir.canonicalize().unwrap_or_else(|_| config.data_dir.clone());
    let database = config.database_url();
    let database = match database.split_once(':') {
        Some(("sqlite", path)) => format!("SQLite in {path}"),
        _ => "PostgreSQL".to_owned(),
    };
    let mut out = io::stdout().lock();
    writeln!(out, "hearth {} serves {}", env!("CARGO_PKG_VERSION"), config.server_name)?;
    writeln!(out, "  clients     http://{}", server.address())?;
    if let Some(address) = server.metrics_address() {
        writeln!(out, "  metrics     http://{address}/metrics")?;
    }
    writeln!(out, "  data        {}", data.display())?;
    writeln!(out, "  database    {database}")?;
    out.flush()
}
