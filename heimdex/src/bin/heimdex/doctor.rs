//! `heimdex doctor`, and the models that the commands use.

use std::path::PathBuf;

use heimdex::ErrorKind;
use heimdex::embed::{TextEmbedder, TextEncoder};
use heimdex::models::{self, Preset};
use heimdex::open::DEFAULT_TEXT_MODEL;
use serde_json::json;

use crate::args::Global;
use crate::library::{self, count};
use crate::output::{self, Failure, Outcome, Style};

/// Said where search by meaning is not to be had.
pub(crate) const MODEL_HINT: &str =
    "search is by word only; to add meaning: heimdex models pull all-MiniLM-L6-v2, then index again";

/// Whether search by meaning is to be had without naming a model.
pub(crate) fn has_default_model() -> bool {
    models::resolve(DEFAULT_TEXT_MODEL).is_ok()
}

/// The presets, what their models take in memory together, and which of them are not here.
fn presets() -> impl Iterator<Item = (Preset, u64, Vec<&'static str>)> {
    Preset::ALL.into_iter().map(|preset| {
        let models = preset.models();
        let missing = models.iter().filter(|m| models::resolve(m.name).is_err()).map(|m| m.name);
        (preset, models.iter().map(|m| m.memory_bytes).sum(), missing.collect())
    })
}

/// The speech models of the presets that are here.
fn speech() -> impl Iterator<Item = (&'static str, PathBuf)> {
    let name = |preset: Preset| preset.speech().name;
    Preset::ALL.into_iter().filter_map(move |p| Some((name(p), models::resolve(name(p)).ok()?)))
}

pub(crate) async fn run(global: &Global) -> Outcome {
    let options = global.library();
    let place = options.location()?.to_string();
    let model: std::result::Result<PathBuf, String> =
        models::resolve(DEFAULT_TEXT_MODEL).map_err(|e| e.to_string());
    let loads = model
        .as_ref()
        .ok()
        .map(|path| TextEncoder::open(path).map(|m| m.spec().clone()).map_err(|e| e.to_string()));
    let library = match library::open(&options).await {
        Ok(opened) => Ok(Some(library::all_videos(&opened.library).await?.len())),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.to_string()),
    };
    let works = library.is_ok() && !matches!(loads, Some(Err(_)));
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    if global.json {
        output::json(&json!({
            "version": env!("CARGO_PKG_VERSION"),
            "ffmpeg": heimdex::media::ffmpeg_version(),
            "device": "cpu",
            "cores": cores,
            "library": {"folder": options.files()?, "address": place, "videos": library.as_ref().ok().copied().flatten(), "error": library.as_ref().err()},
            "model": {
                "name": DEFAULT_TEXT_MODEL,
                "folder": model.as_ref().ok(),
                "spec": loads.as_ref().and_then(|l| l.as_ref().ok()),
                "error": model.as_ref().err().or(loads.as_ref().and_then(|l| l.as_ref().err())),
            },
            "speech": speech().map(|(name, path)| json!({"name": name, "path": path})).collect::<Vec<_>>(),
            "presets": presets().map(|(preset, memory, missing)| {
                json!({"preset": preset.as_str(), "memory_bytes": memory, "missing": missing})
            }).collect::<Vec<_>>(),
            "ok": works,
        }))?;
    } else {
        let style = Style::stdout();
        let row = |name: &str, text: String| {
            output::line(format!("{}{name:<9}{} {}", style.bold, style.off, output::safe(&text)))
        };
        row("heimdex", env!("CARGO_PKG_VERSION").to_owned())?;
        row("ffmpeg", heimdex::media::ffmpeg_version())?;
        row("device", format!("cpu, {}", count(cores, "core")))?;
        row(
            "library",
            match &library {
                Ok(Some(videos)) => format!("{place}: {}", count(*videos, "video")),
                Ok(None) => format!("{place}: none yet; make one with: heimdex index VIDEO"),
                Err(error) => format!("{place}: {error}"),
            },
        )?;
        row(
            "model",
            match (&model, &loads) {
                (Ok(path), Some(Ok(spec))) => {
                    format!("{DEFAULT_TEXT_MODEL} in {}, {} dimensions", path.display(), spec.dim)
                }
                (Ok(_), Some(Err(error))) | (Err(error), _) => error.clone(),
                (Ok(path), None) => path.display().to_string(),
            },
        )?;
        let speech: Vec<&str> = speech().map(|(name, _)| name).collect();
        row(
            "speech",
            match speech.as_slice() {
                [] => "no model; get one with: heimdex models pull whisper-base".to_owned(),
                here => here.join(", "),
            },
        )?;
        for (preset, memory, missing) in presets() {
            let state = match missing.as_slice() {
                [] => "all here".to_owned(),
                missing => {
                    format!("missing {}; get it with: heimdex models pull {preset}", missing.join(", "))
                }
            };
            let name = if preset == Preset::ALL[0] { "presets" } else { "" };
            row(name, format!("{:<9}{:.1} GB of memory; {state}", preset.as_str(), memory as f64 / 1e9))?;
        }
        if model.is_err() {
            output::note(MODEL_HINT);
        }
    }
    if works { Ok(()) } else { Err(Failure::Some) }
}
