//! `hearth`: the command line.

use std::{
    io::{self, Write},
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use clap::{Args, Parser, Subcommand};
use hearth::{admin, backup, config, logs, metrics, start, verify};

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
    /// Make accounts and change their passwords; works while the server runs
    #[command(subcommand)]
    User(User),
    /// Make tokens for `registration.require = ["token"]`; works while the server runs
    #[command(subcommand)]
    RegistrationToken(RegistrationToken),
    /// Copy database, signing key and media into a new folder; works while the server runs
    Backup {
        /// The folder to make
        folder: PathBuf,
        #[command(flatten)]
        file: ConfigFile,
    },
    /// Read the whole database and say what is wrong with it; changes nothing, works while the
    /// server runs
    Verify(ConfigFile),
    /// Print what users reported to the administrator, the newest first
    Reports {
        /// Only those with numbers below this one: where the last page ended
        #[arg(long, value_name = "NUMBER")]
        before: Option<i64>,
        /// How many at most
        #[arg(long, default_value_t = 50)]
        limit: u32,
        #[command(flatten)]
        file: ConfigFile,
    },
}

#[derive(Subcommand)]
enum RegistrationToken {
    /// Make a token and print it
    Create {
        /// The token itself, of A-Z a-z 0-9 . _ ~ -; without it one is made up
        #[arg(long)]
        token: Option<String>,
        /// How many accounts may be made with it; without it any number
        #[arg(long)]
        uses: Option<u32>,
        /// For how many days it is good; without it for ever
        #[arg(long)]
        days: Option<u32>,
        #[command(flatten)]
        file: ConfigFile,
    },
}

#[derive(Subcommand)]
enum User {
    /// Make an account
    Create {
        /// The part of the user id between @ and :
        name: String,
        /// May use the administration API
        #[arg(long)]
        admin: bool,
        #[command(flatten)]
        password: PasswordFile,
        #[command(flatten)]
        file: ConfigFile,
    },
    /// Set a new password; logs the user out everywhere
    Password {
        /// The part of the user id between @ and :
        name: String,
        #[command(flatten)]
        password: PasswordFile,
        #[command(flatten)]
        file: ConfigFile,
    },
}

#[derive(Args)]
struct PasswordFile {
    /// Read the password from the first line of this file, - for standard input. Without it the
    /// password is asked for, or, if nobody is there to answer, made up and printed
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
}

/// Anything that ends the program; its text is for the person who started it.
type Failure = Box<dyn std::error::Error + Send + Sync>;

/// How long a thread that hashed a password or went through a table waits for more work. When it ends
/// the allocator gives back to the system what such work took, 19 MB for a password; it does not by itself.
const THREAD_REST: Duration = Duration::from_secs(2);

fn main() -> ExitCode {
    use_small_pages();
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let done = match runtime.enable_all().thread_keep_alive(THREAD_REST).build() {
        Ok(runtime) => runtime.block_on(run()),
        Err(error) => Err(error.into()),
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

/// The allocator asks for pages of two megabytes, of which a server at rest uses a quarter: it would
/// take 10 MB more, and 30 with a thousand users about. Without them nothing is slower that was measured.
fn use_small_pages() {
    // Where the system knows nothing of it there is nothing to do.
    #[cfg(target_os = "linux")]
    let _ = nix::sys::prctl::set_thp_disable(true);
}

async fn run() -> Result<(), Failure> {
    let line = Line::parse();
    match line.command {
        None => serve(line.file).await,
        Some(Command::Serve(file)) => serve(file).await,
        Some(Command::Config(file)) => print_config(file),
        Some(Command::User(command)) => user(command).await,
        Some(Command::RegistrationToken(command)) => registration_token(command).await,
        Some(Command::Backup { folder, file }) => back_up(&folder, file).await,
        Some(Command::Verify(file)) => verify(file).await,
        Some(Command::Reports { before, limit, file }) => reports(before, limit, file).await,
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
    greet(&home, &server, &file)?;
    server.run().await;
    Ok(())
}

fn print_config(file: ConfigFile) -> Result<(), Failure> {
    let config = config::read(file.config.as_deref())?;
    io::stdout().write_all(config::print(&config)?.as_bytes())?;
    Ok(())
}

async fn user(command: User) -> Result<(), Failure> {
    match command {
        User::Create { name, admin, password, file } => {
            let home = start::open(config::read(file.config.as_deref())?).await?;
            admin::create_user(&home, &name, admin, password.password_file.as_deref()).await
        }
        User::Password { name, password, file } => {
            let home = start::open(config::read(file.config.as_deref())?).await?;
            admin::set_password(&home, &name, password.password_file.as_deref()).await
        }
    }
}

async fn registration_token(command: RegistrationToken) -> Result<(), Failure> {
    let RegistrationToken::Create { token, uses, days, file } = command;
    let home = start::open(config::read(file.config.as_deref())?).await?;
    admin::create_registration_token(&home, token, uses, days).await
}

async fn back_up(folder: &Path, file: ConfigFile) -> Result<(), Failure> {
    let config = config::read(file.config.as_deref())?;
    backup::backup(&config, file.config.as_deref(), folder).await
}

async fn verify(file: ConfigFile) -> Result<(), Failure> {
    let home = start::open_to_read(config::read(file.config.as_deref())?).await?;
    verify::verify(&home).await
}

async fn reports(before: Option<i64>, limit: u32, file: ConfigFile) -> Result<(), Failure> {
    let home = start::open(config::read(file.config.as_deref())?).await?;
    admin::print_reports(&home, before, limit).await
}

/// Tells the person at the terminal where everything is.
fn greet(home: &homeserver::Home, server: &start::Server, file: &ConfigFile) -> io::Result<()> {
    let config = &home.config;
    let data = config.data_dir.canonicalize().unwrap_or_else(|_| config.data_dir.clone());
    let database = config.database_url();
    let database = match database.split_once(':') {
        Some(("sqlite", path)) => format!("SQLite in {path}"),
        _ => "PostgreSQL".to_owned(),
    };
    let program = std::env::args().next().unwrap_or_else(|| "hearth".to_owned());
    let with_file =
        file.config.as_ref().map(|path| format!(" --config {}", path.display())).unwrap_or_default();
    let mut out = io::stdout().lock();
    writeln!(out, "hearth {} serves {}", env!("CARGO_PKG_VERSION"), config.server_name)?;
    writeln!(out, "  clients     http://{}", server.address())?;
    if let Some(address) = server.metrics_address() {
        writeln!(out, "  metrics     http://{address}/metrics")?;
    }
    writeln!(out, "  data        {}", data.display())?;
    writeln!(out, "  database    {database}")?;
    writeln!(out, "  an account  {program} user create NAME --admin{with_file}")?;
    out.flush()
}
