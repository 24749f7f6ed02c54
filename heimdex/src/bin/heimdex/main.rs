//! The `heimdex` program.

#![allow(missing_docs)]

mod args;
mod doctor;
mod export;
mod index;
mod jobs;
mod library;
mod models;
mod output;
mod search;
mod shots;
mod transcribe;

use std::process::ExitCode;

use clap::{CommandFactory, Parser};

use args::{Cli, Command};
use output::{Failure, Outcome};

fn main() -> ExitCode {
    let cli = Cli::parse();
    log(cli.global.verbose);
    let json = cli.global.json;
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(json, &heimdex::Error::io("tokio runtime", error)),
    };
    let outcome = runtime.block_on(run(cli));
    // Work that was cancelled has been told to stop; nothing is waited for.
    runtime.shutdown_background();
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Error(error)) => fail(json, &error),
        Err(Failure::Some) => ExitCode::from(3),
        Err(Failure::Cancelled) => ExitCode::from(130),
    }
}

async fn run(cli: Cli) -> Outcome {
    let Cli { global, command } = cli;
    match command {
        Command::Index(args) => index::run(&global, args).await,
        Command::Search(args) => search::run(&global, args).await,
        Command::Ls => library::list(&global).await,
        Command::Show { video } => library::show(&global, &video).await,
        Command::Rm { videos } => library::remove(&global, &videos).await,
        Command::Shots(args) => shots::run(&global, args).await,
        Command::Transcribe(args) => transcribe::run(&global, args).await,
        Command::Export(args) => export::run(&global, args).await,
        Command::Models { command } => models::run(&global, command).await,
        Command::Doctor => doctor::run(&global).await,
        Command::Migrate(args) => library::migrate(&global, args).await,
        Command::Import { files } => export::import(&global, &files).await,
        Command::Worker(args) => jobs::work(&global, args).await,
        Command::Jobs(args) => jobs::list(&global, args).await,
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "heimdex", &mut script);
            output::bytes(&script)
        }
    }
}

fn fail(json: bool, error: &heimdex::Error) -> ExitCode {
    if json {
        // Standard output carries the answer, and this is it.
        let _ =
            output::json(&serde_json::json!({"error": {"kind": error.kind(), "message": error.to_string()}}));
    } else {
        output::note(format!("heimdex: {}", output::safe(&error.to_string())));
        let mut cause = std::error::Error::source(error);
        while let Some(inner) = cause {
            output::note(format!("  because: {}", output::safe(&inner.to_string())));
            cause = inner.source();
        }
    }
    ExitCode::FAILURE
}

fn log(verbose: u8) {
    let level = match verbose {
        // What whisper.cpp logs as an error comes back as one, or was asked for by a cancel.
        0 => "error,whisper_rs=off",
        1 => "heimdex=info,warn",
        _ => "heimdex=debug,info",
    };
    let filter = tracing_subscriber::EnvFilter::try_from_env("HEIMDEX_LOG").unwrap_or_else(|_| level.into());
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
}
