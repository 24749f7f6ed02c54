//! `heimdex doctor`, and the models that the commands use.

use std::path::PathBuf;
use std::sync::Arc;

use heimdex::embed::{
    DualEncoder, EmbedSpec, ImageEmbedder, Modality, ModelOptions, TextEmbedder, TextEncoder,
};
use heimdex::index::Pipeline;
use heimdex::models::{self, Preset};
use heimdex::search::Models;
use heimdex::transcript::{SpeechSpec, Transcriber, Whisper};
use heimdex::{Error, ErrorKind, Heimdex, Result};
use serde_json::json;

use crate::args::{Global, ModelArgs};
use crate::library::{self, count};
use crate::output::{self, Failure, Outcome, Style};

/// The model for search by meaning where none is named.
const DEFAULT_MODEL: &str = "sentence-transformers/all-MiniLM-L6-v2";

/// Said where search by meaning is not to be had.
pub(crate) const MODEL_HINT: &str =
    "search is by word only; to add meaning: heimdex models pull all-MiniLM-L6-v2, then index again";

/// Whether search by meaning is to be had without naming a model.
pub(crate) fn has_default_model() -> bool {
    models::resolve(DEFAULT_MODEL).is_ok()
}

/// The models to index with: those asked for, else those that the library was indexed with, else the
/// default for texts where it is on this machine.
pub(crate) async fn models(global: &Global, args: &ModelArgs) -> Result<Models> {
    if args.no_model {
        return Ok(Models::default());
    }
    let spaces = match library::open(global, Pipeline::builder().build()?).await {
        Ok(library) => library.store().spaces(library.library()).await?,
        Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(error),
    };
    let options = args.options();
    let used =
        |modality| spaces.iter().find(|spec| spec.modality == modality).map(|spec| spec.model.as_str());
    let text = match args.model.as_deref().or(used(Modality::Text)) {
        Some(name) => Some(text_model(name, &options)?),
        None => match text_model(DEFAULT_MODEL, &options) {
            Err(error) if error.kind() == ErrorKind::ModelMissing => None,
            result => Some(result?),
        },
    };
    let image = args.image_model.as_deref().or(used(Modality::Image));
    let image = image.map(|name| image_model(name, &options)).transpose()?;
    Ok(Models { text, image, ..Models::default() })
}

/// The model to index speech with: the one asked for, else the one that the library was indexed with.
pub(crate) async fn speech_model(
    global: &Global,
    asked: Option<&str>,
) -> Result<Option<Arc<dyn Transcriber>>> {
    if asked.is_some() {
        return speech_model_named(asked).map(Some);
    }
    let library = match library::open(global, Pipeline::builder().build()?).await {
        Ok(library) => library,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let spec = library::all_videos(&library).await?.iter().rev().find_map(|video| {
        let speech: serde_json::Value = serde_json::from_str(video.settings.get("speech")?).ok()?;
        serde_json::from_value::<SpeechSpec>(speech["spec"].clone()).ok()
    });
    spec.map(|spec| speech_model_named(Some(&spec.model))).transpose()
}

/// A speech model by the name of a preset or of its own, or by its file.
pub(crate) fn speech_model_named(name: Option<&str>) -> Result<Arc<dyn Transcriber>> {
    let Some(name) = name else {
        let all = Preset::ALL.map(|preset| preset.speech().name);
        let here = all.into_iter().find(|name| models::resolve(name).is_ok());
        let Some(here) = here else {
            let message =
                "no speech model is on this machine; get one with: heimdex models pull whisper-base";
            return Err(Error::model_missing("whisper", message));
        };
        return speech_model_named(Some(here));
    };
    let name = name.parse::<Preset>().map_or(name, |preset| preset.speech().name);
    let path = models::resolve(name)?;
    if path.is_dir() {
        return Err(Error::invalid("speech-model", format!("{name} is a folder; give a ggml file")));
    }
    Ok(Arc::new(Whisper::open(path)?))
}

/// The models that made the library's vectors, where there are any.
///
/// A model that is not on this machine leaves search by what is left, and a remark.
pub(crate) async fn models_of(library: &Heimdex, args: &ModelArgs) -> Result<Models> {
    let mut models = Models::default();
    if args.no_model {
        return Ok(models);
    }
    let spaces = library.store().spaces(library.library()).await?;
    let options = args.options();
    let of = |modality: Modality| spaces.iter().filter(move |spec| spec.modality == modality);
    if let Some(name) = &args.model {
        models.text = Some(text_model(name, &options)?);
    } else {
        models.text = first(
            of(Modality::Text),
            "not by meaning",
            |name| text_model(name, &options),
            |model| model.spec().space(),
        )?;
    }
    if let Some(name) = &args.image_model {
        models.image = Some(image_model(name, &options)?);
    } else {
        models.image = first(
            of(Modality::Image),
            "not by what is shown",
            |name| image_model(name, &options),
            |model| model.spec().space(),
        )?;
    }
    Ok(models)
}

/// The first of these models that is on this machine as it was.
fn first<'a, T>(
    specs: impl Iterator<Item = &'a EmbedSpec>,
    without: &str,
    open: impl Fn(&str) -> Result<T>,
    space: impl Fn(&T) -> String,
) -> Result<Option<T>> {
    let mut missing = Vec::new();
    for spec in specs {
        match open(&spec.model) {
            Ok(model) if space(&model) == spec.space() => return Ok(Some(model)),
            Ok(_) => missing.push(format!("{}: what is on this machine is another revision", spec.model)),
            Err(error) if error.kind() == ErrorKind::ModelMissing => missing.push(error.to_string()),
            Err(error) => return Err(error),
        }
    }
    for reason in missing {
        output::note(format!("{without}: {}", output::safe(&reason)));
    }
    Ok(None)
}

fn text_model(name: &str, options: &ModelOptions) -> Result<Arc<dyn TextEmbedder>> {
    Ok(Arc::new(TextEncoder::open_with(folder_of(name)?, options)?))
}

fn image_model(name: &str, options: &ModelOptions) -> Result<Arc<dyn ImageEmbedder>> {
    Ok(Arc::new(DualEncoder::open_with(folder_of(name)?, options)?))
}

/// A folder that is given is taken as it is: which files it needs depends on what runs it.
fn folder_of(name: &str) -> Result<PathBuf> {
    let given = PathBuf::from(name);
    if given.is_dir() { Ok(given) } else { models::resolve(name) }
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
    let folder = library::folder(global)?;
    let model: std::result::Result<PathBuf, String> =
        models::resolve(DEFAULT_MODEL).map_err(|e| e.to_string());
    let loads = model
        .as_ref()
        .ok()
        .map(|path| TextEncoder::open(path).map(|m| m.spec().clone()).map_err(|e| e.to_string()));
    let library = match library::open(global, Pipeline::builder().build()?).await {
        Ok(library) => Ok(Some(library::all_videos(&library).await?.len())),
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
            "library": {"folder": folder, "videos": library.as_ref().ok().copied().flatten(), "error": library.as_ref().err()},
            "model": {
                "name": DEFAULT_MODEL,
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
                Ok(Some(videos)) => format!("{}: {}", folder.display(), count(*videos, "video")),
                Ok(None) => format!("{}: none yet; make one with: heimdex index VIDEO", folder.display()),
                Err(error) => format!("{}: {error}", folder.display()),
            },
        )?;
        row(
            "model",
            match (&model, &loads) {
                (Ok(path), Some(Ok(spec))) => {
                    format!("{DEFAULT_MODEL} in {}, {} dimensions", path.display(), spec.dim)
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
