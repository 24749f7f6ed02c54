//! `heimdex index`

use std::collections::{BTreeSet, HashMap};
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures::StreamExt;
use heimdex::index::{IndexOutcome, IndexReport};
use heimdex::open::Opened;
use heimdex::{Cancel, Error, ErrorKind, Heimdex, Progress, Result};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use serde_json::json;

use crate::args::{Global, IndexArgs};
use crate::library::{self, count};
use crate::output::{self, Failure, Outcome, safe};
use crate::{doctor, jobs, shots};

pub(crate) async fn run(global: &Global, args: IndexArgs) -> Outcome {
    let started = Instant::now();
    let mut options = global.library();
    let files = find(&args.paths, &options.files()?)?;
    let one_only = args.title.is_some() || args.description.is_some() || args.subtitles.is_some();
    if one_only && files.len() != 1 {
        return Err(Error::invalid(
            "paths",
            "--title, --description and --subtitles go with exactly one file",
        )
        .into());
    }
    if args.queue {
        return jobs::queue(global, &args, files.iter().map(|file| file.path.as_path())).await;
    }
    options.create = true;
    options.keep_thumbnails = !args.no_thumbnails;
    options.settings = settings(&args)?;
    options.sidecars.clone_from(&args.sidecars);
    options.speech_model.clone_from(&args.speech.speech_model);
    args.model.choose(&mut options);
    args.tags.choose(&mut options);
    let Opened { library, models, .. } = library::open(&options).await?;
    let words_only = models.text.is_none() && models.image.is_none();
    // Once, and not for each file.
    library.check_models().await.map_err(switch_first)?;

    let cancel = Cancel::new();
    stop_on_ctrl_c(cancel.clone());
    let screen = Arc::new(Screen::new(global, files.len()));
    let named: BTreeSet<PathBuf> = files.iter().filter(|f| f.named).map(|f| f.path.clone()).collect();
    let work = files.into_iter().map(|file| {
        let mut work = library.index(&file.path).cancel(&cancel).force(args.force);
        if let Some(title) = &args.title {
            work = work.title(title);
        }
        if let Some(description) = &args.description {
            work = work.description(description);
        }
        if let Some(subtitles) = &args.subtitles {
            work = work.subtitles(subtitles);
        }
        let screen = Arc::clone(&screen);
        work.on_progress(move |progress| screen.progress(&file.path, progress))
    });
    let mut tally = Tally::default();
    let mut results = std::pin::pin!(Heimdex::index_many(work, usize::from(args.jobs)));
    while let Some((path, result)) = results.next().await {
        screen.finish(&path);
        tally.add(global, &screen, &path, named.contains(&path), result);
    }
    screen.clear();
    // The videos are indexed in any case, and whoever stops wants no more work.
    if !cancel.is_cancelled()
        && let Err(error) = library::build_indexes(global).await
    {
        output::note(format!("vector indexes could not be made: {}", safe(&error.to_string())));
    }
    tally.close(global, started.elapsed(), words_only && !args.model.no_model, &cancel)
}

pub(crate) fn switch_first(error: Error) -> Error {
    match error {
        Error::Space(message) => Error::Space(format!("{message} with: heimdex models switch")),
        error => error,
    }
}

fn settings(args: &IndexArgs) -> Result<heimdex::index::PipelineSettings> {
    let mut settings = heimdex::index::PipelineSettings::default();
    settings.detector = shots::detector(&args.detector)?;
    settings.decode.exact = args.detector.exact;
    settings.subtitles.languages.clone_from(&args.language);
    settings.speech = args.speech.settings(args.speech_language.as_ref());
    settings.speech.over_subtitles = args.over_subtitles;
    if let Some(seconds) = args.max_scene {
        let valid = (1.0..=86_400.0).contains(&seconds);
        if !valid {
            return Err(Error::invalid("max-scene", "give 1 to 86400 seconds"));
        }
        settings.scenes.max = Duration::from_secs_f64(seconds);
    }
    Ok(settings)
}

/// First Ctrl-C: stop cleanly. Second: at once.
pub(crate) fn stop_on_ctrl_c(cancel: Cancel) {
    tokio::spawn(async move {
        if tokio::signal::ctrl_c().await.is_ok() {
            cancel.cancel();
            output::note("stopping; what is done is kept, the same command goes on from there");
        }
        if tokio::signal::ctrl_c().await.is_ok() {
            std::process::exit(130);
        }
    });
}

struct Found {
    path: PathBuf,
    /// Given by name: if it is no media file, that is a failure.
    named: bool,
}

/// Files given, files below folders given, matches of globs. Each once, in order.
fn find(paths: &[PathBuf], library: &Path) -> Result<Vec<Found>> {
    let mut files: Vec<Found> = Vec::new();
    for path in paths {
        if path.symlink_metadata().is_ok() {
            add(path, library, &mut files);
            continue;
        }
        let pattern = path.to_str().filter(|p| p.contains(['*', '?', '[']));
        let before = files.len();
        if let Some(pattern) = pattern {
            let matches =
                glob::glob(pattern).map_err(|e| Error::invalid("paths", format!("`{pattern}`: {e}")))?;
            for found in matches.flatten() {
                add(&found, library, &mut files);
            }
        }
        if files.len() == before {
            return Err(Error::not_found("file", path.display().to_string()));
        }
    }
    let mut seen = BTreeSet::new();
    files.retain(|f| seen.insert(f.path.clone()));
    if files.is_empty() {
        return Err(Error::not_found("file", "there are no files in what was given"));
    }
    Ok(files)
}

fn add(path: &Path, library: &Path, files: &mut Vec<Found>) {
    if !path.is_dir() {
        files.push(Found { path: path.to_owned(), named: true });
        return;
    }
    let library = library.canonicalize().ok();
    let hidden = |e: &walkdir::DirEntry| e.depth() > 0 && e.file_name().as_encoded_bytes().starts_with(b".");
    let walk = walkdir::WalkDir::new(path).sort_by_file_name().into_iter().filter_entry(|entry| {
        !entry.file_type().is_dir()
            || (!hidden(entry)
                && library.as_ref().is_none_or(|l| entry.path().canonicalize().ok().as_ref() != Some(l)))
    });
    for entry in walk.flatten() {
        let link_to_file = entry.file_type().is_symlink() && entry.path().is_file();
        if entry.file_type().is_file() || link_to_file {
            files.push(Found { path: entry.into_path(), named: false });
        }
    }
}

/// Whether a name promises a video, so that a file that is none deserves a word.
fn promises_media(path: &Path) -> bool {
    const ENDINGS: [&str; 22] = [
        "mp4", "m4v", "mov", "mkv", "webm", "avi", "ts", "mts", "m2ts", "mpg", "mpeg", "flv", "wmv", "ogv",
        "3gp", "mp3", "m4a", "wav", "flac", "ogg", "opus", "aac",
    ];
    path.extension()
        .and_then(|e| e.to_str())
        .is_some_and(|e| ENDINGS.iter().any(|known| known.eq_ignore_ascii_case(e)))
}

/// Progress bars on a terminal, nothing elsewhere, lines of JSON when asked.
struct Screen {
    bars: MultiProgress,
    active: Mutex<HashMap<PathBuf, ProgressBar>>,
    on: bool,
    json: bool,
    all: Option<ProgressBar>,
}

impl Screen {
    fn new(global: &Global, files: usize) -> Self {
        let bars = MultiProgress::new();
        let on = std::io::stderr().is_terminal() && !global.json && !global.quiet;
        let all = (on && files > 1).then(|| {
            let bar = bars.add(ProgressBar::new(files as u64));
            if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos}/{len} files  {elapsed}") {
                bar.set_style(style);
            }
            bar.enable_steady_tick(Duration::from_secs(1));
            bar
        });
        Self { bars, active: Mutex::default(), on, json: global.json, all }
    }

    fn progress(&self, path: &Path, progress: Progress) {
        if self.json && progress.stage_fraction >= 1.0 {
            let event = json!({"event": "stage", "path": path.to_string_lossy(), "stage": progress.stage, "fraction": progress.fraction});
            // A reader that is gone does not stop the work.
            let _ = output::json(&event);
        }
        if !self.on {
            return;
        }
        let mut active = self.active.lock().unwrap_or_else(PoisonError::into_inner);
        let bar = active.entry(path.to_owned()).or_insert_with(|| {
            let bar = self.bars.insert(0, ProgressBar::new(1000));
            if let Ok(style) = ProgressStyle::with_template("{bar:30} {percent:>3}% {msg}  {eta}") {
                bar.set_style(style);
            }
            bar
        });
        bar.set_position((progress.fraction * 1000.0) as u64);
        let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        bar.set_message(format!("{} {}", progress.stage, safe(&name)));
    }

    fn finish(&self, path: &Path) {
        if let Some(bar) = self.active.lock().unwrap_or_else(PoisonError::into_inner).remove(path) {
            bar.finish_and_clear();
        }
        if let Some(all) = &self.all {
            all.inc(1);
        }
    }

    fn clear(&self) {
        if let Some(all) = &self.all {
            all.finish_and_clear();
        }
    }

    fn say(&self, text: &str) {
        self.bars.suspend(|| output::note(text));
    }
}

#[derive(Default)]
struct Tally {
    indexed: usize,
    up_to_date: usize,
    failed: usize,
    skipped: usize,
    scenes: usize,
}

impl Tally {
    fn add(
        &mut self,
        global: &Global,
        screen: &Screen,
        path: &Path,
        named: bool,
        result: Result<IndexReport>,
    ) {
        let shown = safe(&path.to_string_lossy());
        let event = match result {
            Ok(report) => {
                let new = report.outcome == IndexOutcome::Indexed;
                self.indexed += usize::from(new);
                self.up_to_date += usize::from(!new);
                self.scenes += report.scenes;
                if !global.quiet && !global.json {
                    let what = if new {
                        format!("{}, {}", count(report.shots, "shot"), count(report.scenes, "scene"))
                    } else {
                        "up to date".to_owned()
                    };
                    screen.say(&format!("{shown}: {what}"));
                    for warning in report.warnings.iter().filter(|_| new) {
                        screen.say(&format!("  {}", safe(warning)));
                    }
                    let dropped = report.dropped.total() as usize;
                    if new && dropped > 0 {
                        screen.say(&format!("  {} of speech not believed", count(dropped, "phrase")));
                    }
                }
                json!({"event": if new { "indexed" } else { "up_to_date" }, "path": path.to_string_lossy(), "report": report})
            }
            Err(error) => {
                let no_media = matches!(
                    error.kind(),
                    ErrorKind::NotAMediaFile
                        | ErrorKind::Unsupported
                        | ErrorKind::NoVideoStream
                        | ErrorKind::RefusedPlaylist
                );
                let skipped = no_media && !named && !promises_media(path);
                self.skipped += usize::from(skipped);
                if !skipped && error.kind() != ErrorKind::Cancelled {
                    self.failed += 1;
                    if !global.json {
                        screen.say(&format!("failed: {}", safe(&error.to_string())));
                    }
                }
                let event = if skipped { "skipped" } else { "failed" };
                json!({"event": event, "path": path.to_string_lossy(), "error": {"kind": error.kind(), "message": error.to_string()}})
            }
        };
        if global.json {
            // A reader that is gone does not stop the work.
            let _ = output::json(&event);
        }
    }

    fn close(&self, global: &Global, elapsed: Duration, hint: bool, cancel: &Cancel) -> Outcome {
        if global.json {
            output::json(&json!({
                "event": "done",
                "indexed": self.indexed,
                "up_to_date": self.up_to_date,
                "failed": self.failed,
                "skipped": self.skipped,
                "scenes": self.scenes,
                "seconds": elapsed.as_secs_f64(),
            }))?;
        } else if !global.quiet {
            let mut parts = vec![format!("{} indexed", count(self.indexed, "video"))];
            for (n, what) in [
                (self.up_to_date, "up to date"),
                (self.failed, "failed"),
                (self.skipped, "without media skipped"),
            ] {
                if n > 0 {
                    parts.push(format!("{n} {what}"));
                }
            }
            output::note(format!("{} in {:.1} s", parts.join(", "), elapsed.as_secs_f64()));
            if hint {
                output::note(doctor::MODEL_HINT);
            }
        }
        if cancel.is_cancelled() {
            return Err(Failure::Cancelled);
        }
        if self.failed == 0 { Ok(()) } else { Err(Failure::Some) }
    }
}
