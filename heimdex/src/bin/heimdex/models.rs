//! `heimdex models`

use std::io::IsTerminal;
use std::path::Path;

use clap::{Args, Subcommand};
use heimdex::index::SwitchProgress;
use heimdex::models::{self, HubOptions, KnownModel, Preset, PullProgress};
use heimdex::open::Opened;
use heimdex::{Cancel, Error, Result};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use crate::args::{Global, ModelArgs, PrecisionName, TagArgs};
use crate::index;
use crate::library::{self, count};
use crate::output::{self, Failure, Outcome, Style, safe};

#[derive(Debug, Subcommand)]
pub(crate) enum ModelsCommand {
    /// List the known models and what is here of them
    List,
    /// Get a model, or the models of a preset, from the hub
    Pull {
        /// A preset (fast, balanced, best, b2c), a known model or ORG/NAME
        #[arg(required = true, value_name = "NAME")]
        names: Vec<String>,
        /// Branch, tag or commit in place of the one that is pinned
        #[arg(long)]
        revision: Option<String>,
        /// Get the export to ONNX in this precision in place of safetensors; for ORG/NAME
        #[arg(long, value_enum, value_name = "PRECISION")]
        onnx: Option<PrecisionName>,
        /// Hash what is here and get again what is wrong
        #[arg(long)]
        force: bool,
    },
    /// Hash every file of a model and say what is wrong
    Verify {
        /// A preset, a model or a folder; all that are here when none is named
        #[arg(value_name = "NAME")]
        names: Vec<String>,
    },
    /// Change the library to other models: what they make of the kept texts and pictures takes the place
    /// of what the models before made, all at once, and nothing is decoded
    Switch(SwitchArgs),
    /// Print where a model is
    Path {
        /// A known model, ORG/NAME or a folder
        name: String,
    },
}

#[derive(Debug, Args)]
pub(crate) struct SwitchArgs {
    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    tags: TagArgs,
}

pub(crate) async fn run(global: &Global, command: ModelsCommand) -> Outcome {
    let mut options = HubOptions::from_env()?;
    match command {
        ModelsCommand::List => list(global, &options),
        ModelsCommand::Switch(args) => switch(global, args).await,
        ModelsCommand::Path { name } => path(global, &name, &options),
        ModelsCommand::Pull { names, revision, onnx, force } => {
            (options.revision, options.force) = (revision, force);
            options.onnx = onnx.map(PrecisionName::precision);
            stoppable(global, move |global, cancel| pull(global, &names, &options, cancel)).await
        }
        ModelsCommand::Verify { names } => {
            stoppable(global, move |global, cancel| verify(global, &names, &options, cancel)).await
        }
    }
}

/// Long work on a thread of its own, so that Ctrl-C is heard.
async fn stoppable(
    global: &Global,
    work: impl FnOnce(&Shown, &Cancel) -> Outcome + Send + 'static,
) -> Outcome {
    let cancel = Cancel::new();
    let inside = cancel.clone();
    let shown = Shown { json: global.json, quiet: global.quiet };
    let mut work = tokio::task::spawn_blocking(move || work(&shown, &inside));
    tokio::select! {
        done = &mut work => done.unwrap_or(Err(Failure::Cancelled)),
        _ = tokio::signal::ctrl_c() => {
            cancel.cancel();
            work.await.unwrap_or(Err(Failure::Cancelled))
        }
    }
}

/// What of the global options the work needs.
struct Shown {
    json: bool,
    quiet: bool,
}

fn list(global: &Global, options: &HubOptions) -> Outcome {
    let models = models::list(options);
    if global.json {
        return output::json(&json!({
            "presets": Preset::ALL.map(|p| json!({"name": p, "models": p.models().map(|m| m.name)})),
            "models": models,
        }));
    }
    let Style { bold, dim, off, .. } = Style::stdout();
    for listed in &models {
        let KnownModel { name, disk_bytes, memory_bytes, .. } = listed.model;
        let state = match (&listed.path, &listed.problem) {
            (Some(path), _) => safe(&path.to_string_lossy()),
            (None, Some(problem)) => format!("not whole: {}", safe(problem)),
            (None, None) => "not here".to_owned(),
        };
        output::line(format!(
            "{bold}{name:26}{off} {:>8}, needs {:>8} of memory  {dim}{state}{off}",
            size(*disk_bytes),
            size(*memory_bytes)
        ))?;
    }
    for preset in Preset::ALL {
        let names = preset.models().map(|m| m.name).join(", ");
        let default = if preset == Preset::default() { " (default)" } else { "" };
        output::line(format!("{bold}{:26}{off} {names}{default}", preset.as_str()))?;
    }
    Ok(())
}

fn path(global: &Global, name: &str, options: &HubOptions) -> Outcome {
    let path = models::path(name, options)?;
    if global.json {
        output::json(&json!({"name": name, "path": path}))
    } else {
        output::line(path.to_string_lossy())
    }
}

fn pull(shown: &Shown, names: &[String], options: &HubOptions, cancel: &Cancel) -> Outcome {
    for name in names {
        let mut screen = Screen::new(shown);
        let pulled = models::pull(name, options, cancel, &mut |progress| screen.show(progress));
        screen.clear();
        for model in pulled? {
            if shown.json {
                output::json(&json!({"event": "pulled", "model": model}))?;
            } else if !shown.quiet {
                let received = match model.received_bytes {
                    0 => "was here".to_owned(),
                    bytes => format!("{} received", size(bytes)),
                };
                let path = safe(&model.path.to_string_lossy());
                output::line(format!("{}: {received}, {path}", safe(&model.name)))?;
            }
        }
    }
    Ok(())
}

fn verify(shown: &Shown, names: &[String], options: &HubOptions, cancel: &Cancel) -> Outcome {
    let here = |listed: &models::ListedModel| listed.bytes > 0;
    let all = || models::list(options).iter().filter(|m| here(m)).map(|m| m.model.name.to_owned()).collect();
    let names: Vec<String> = if names.is_empty() { all() } else { names.to_vec() };
    let mut whole = true;
    for name in &names {
        for model in checked(name, options, cancel)? {
            whole &= model.is_whole();
            if shown.json {
                output::json(&json!({"model": model, "whole": model.is_whole()}))?;
                continue;
            }
            for file in model.problems() {
                let file_name = safe(&file.path.to_string_lossy());
                output::line(format!("{}: {file_name}: {}", safe(&model.name), file.state))?;
            }
            if model.is_whole() && !shown.quiet {
                output::line(format!("{}: whole", safe(&model.name)))?;
            } else if !model.is_whole() && !Path::new(name).is_dir() {
                output::note(format!("put it right with: heimdex models pull --force {}", safe(name)));
            }
        }
    }
    if whole { Ok(()) } else { Err(Failure::Some) }
}

async fn switch(global: &Global, args: SwitchArgs) -> Outcome {
    let mut options = global.library();
    options.keep_thumbnails = true;
    options.speech = false;
    args.model.choose(&mut options);
    args.tags.choose(&mut options);
    let Opened { library, models, .. } = library::open(&options).await?;
    if models.text.is_none() && models.image.is_none() && !args.model.no_model {
        return Err(Error::model_missing(
            "switch",
            "no model is here to switch to; get one with: heimdex models pull",
        )
        .into());
    }
    let cancel = Cancel::new();
    index::stop_on_ctrl_c(cancel.clone());
    let on = std::io::stderr().is_terminal() && !global.json && !global.quiet;
    let bar = if on { ProgressBar::new(1000) } else { ProgressBar::hidden() };
    if let Ok(style) = ProgressStyle::with_template("{bar:30} {percent:>3}% {msg}  {eta}") {
        bar.set_style(style);
    }
    let shown = bar.clone();
    let json = global.json;
    let mut last = None;
    let on_progress = move |progress: SwitchProgress<'_>| {
        shown.set_position((progress.fraction * 1000.0) as u64);
        shown.set_message(format!("{}/{} {}", progress.done, progress.videos, safe(progress.title)));
        if json && last != Some(progress.done) {
            // A reader that is gone does not stop the work.
            let _ = output::json(&json!({"event": "progress", "progress": progress}));
            last = Some(progress.done);
        }
    };
    let report = library.switch_models(library.pipeline()).cancel(&cancel).on_progress(on_progress).await;
    bar.finish_and_clear();
    let report = match report {
        Err(Error::Cancelled) => return Err(Failure::Cancelled),
        report => report?,
    };
    library::build_indexes(global).await?;
    if global.json {
        output::json(&json!({"event": "switched", "report": report}))?;
    } else if !global.quiet {
        let kept = if report.kept > 0 { format!(", {} done before", report.kept) } else { String::new() };
        output::note(format!("{} switched{kept}", count(report.videos as usize, "video")));
    }
    Ok(())
}

fn checked(name: &str, options: &HubOptions, cancel: &Cancel) -> Result<Vec<models::CheckedModel>> {
    if name.is_empty() {
        return Err(Error::invalid("name", "give a preset, a model or a folder"));
    }
    models::verify(name, options, cancel)
}

/// A bar a file on a terminal, nothing elsewhere, lines of JSON when asked.
struct Screen {
    bar: Option<ProgressBar>,
    json: bool,
    file: String,
    percent: u64,
}

impl Screen {
    fn new(shown: &Shown) -> Self {
        let on = std::io::stderr().is_terminal() && !shown.json && !shown.quiet;
        let bar = on.then(|| {
            let bar = ProgressBar::new(0);
            let template = "{bar:30} {bytes:>10}/{total_bytes}  {bytes_per_sec}  {msg}  {eta}";
            if let Ok(style) = ProgressStyle::with_template(template) {
                bar.set_style(style);
            }
            bar
        });
        Self { bar, json: shown.json, file: String::new(), percent: 0 }
    }

    fn show(&mut self, progress: PullProgress<'_>) {
        let PullProgress { model, file, bytes, total, .. } = progress;
        let title = format!("{model} {file}");
        let new = title != self.file;
        let percent = (bytes * 100).checked_div(total).unwrap_or(100);
        // A reader of lines wants to know, not to drown.
        if self.json && (new || percent != self.percent) {
            // A reader that is gone does not stop the work.
            let _ = output::json(&json!({"event": "progress", "progress": progress}));
        }
        if let Some(bar) = &self.bar {
            if new {
                bar.set_length(total);
                bar.set_message(safe(&title));
                // What was here before says nothing about the speed.
                bar.set_position(bytes);
                bar.reset_eta();
            }
            bar.set_position(bytes);
        }
        (self.file, self.percent) = (title, percent);
    }

    fn clear(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// A size for people, in the units that disks are sold by.
fn size(bytes: u64) -> String {
    match bytes {
        0..1_000_000 => format!("{} kB", bytes.div_ceil(1000)),
        1_000_000..1_000_000_000 => format!("{} MB", bytes / 1_000_000),
        _ => format!("{:.1} GB", bytes as f64 / 1e9),
    }
}
