//! The program.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use heimdex_server::config::{Config, LogFormat, Role};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

/// A server on Heimdex. Settings come from a file and from variables: see docs/server.md.
#[derive(Debug, Parser)]
#[command(version)]
struct Args {
    /// A file with settings.
    #[arg(long, env = "HEIMDEX_SERVER_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// What this process does; the setting `role` when not given.
    #[arg(long, value_enum)]
    role: Option<Role>,
    /// Prints the OpenAPI document, and does nothing else.
    #[arg(long)]
    openapi: bool,
}

fn main() -> ExitCode {
    let args = Args::parse();
    match start(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // The first thing that anybody looks for.
            let _ =
                writeln!(std::io::stderr(), "heimdex-server: {}", heimdex_server::problem::Chain(&*error));
            ExitCode::FAILURE
        }
    }
}

fn start(args: &Args) -> Result<(), Box<dyn std::error::Error>> {
    if args.openapi {
        let document = heimdex_server::routes::document().to_pretty_json()?;
        return Ok(writeln!(std::io::stdout(), "{document}")?);
    }
    let mut config = Config::read(
        args.config.as_deref(),
        std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?))),
    )?;
    if let Some(role) = args.role {
        config.role = role;
    }
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match config.log_format {
        LogFormat::Text => log.init(),
        LogFormat::Json => log.json().init(),
    }
    // A library that is already there has another; either does.
    let _ = rustls::crypto::ring::default_provider().install_default();
    raise_descriptors();
    let metrics = heimdex_server::measure().map_err(|e| e.to_string())?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let ended = runtime.block_on(async {
        let stop = CancellationToken::new();
        tokio::spawn(stop_on_signal(stop.clone()));
        heimdex_server::run(config, metrics, stop, |address| {
            // The one line that is not a log.
            let _ = writeln!(std::io::stdout(), "http://{address}");
            let _ = std::io::stdout().flush();
        })
        .await
    });
    runtime.shutdown_timeout(std::time::Duration::from_secs(2));
    ended.map_err(|error| -> Box<dyn std::error::Error> { error })
}

/// As many open files as the system lets this process have: each connection is one.
fn raise_descriptors() {
    let mut limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(error) = rustix::process::setrlimit(rustix::process::Resource::Nofile, limit) {
        tracing::warn!(%error, "the limit of open files could not be raised");
    }
}

async fn stop_on_signal(stop: CancellationToken) {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut terminate) = signal(SignalKind::terminate()) {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = tokio::signal::ctrl_c() => {}
            }
            stop.cancel();
            return;
        }
    }
    // Without a way to hear of it, it is stopped by force.
    if tokio::signal::ctrl_c().await.is_ok() {
        stop.cancel();
    }
}
