//! `heimdex doctor`, and the model that the commands use.

use std::path::PathBuf;
use std::sync::Arc;

use heimdex::embed::{Bert, TextEmbedder};
use heimdex::index::Pipeline;
use heimdex::{ErrorKind, Heimdex, Result, models};
use serde_json::json;

use crate::args::{Global, ModelArgs};
use crate::library::{self, count};
use crate::output::{self, Failure, Outcome, Style};

/// The model for search by meaning where none is named.
const DEFAULT_MODEL: &str = "sentence-transformers/all-MiniLM-L6-v2";

/// Said where search by meaning is not to be had.
pub(crate) const MODEL_HINT: &str =
    "search is by word only; to add meaning: make model (or heimdex index --model FOLDER), then index again";

/// The model to index with: the one asked for, else the default where it is on this machine.
pub(crate) fn embedder(args: &ModelArgs) -> Result<Option<Arc<dyn TextEmbedder>>> {
    if args.no_model {
        return Ok(None);
    }
    let name = args.model.as_deref().unwrap_or(DEFAULT_MODEL);
    match open(name) {
        Err(error) if error.kind() == ErrorKind::ModelMissing && args.model.is_none() => Ok(None),
        result => result.map(Some),
    }
}

/// The model that made the library's vectors, where there are any.
///
/// A model that is not on this machine leaves search by word, and a remark.
pub(crate) async fn embedder_of(
    library: &Heimdex,
    args: &ModelArgs,
) -> Result<Option<Arc<dyn TextEmbedder>>> {
    let spaces = library.store().spaces(library.library()).await?;
    if args.no_model || spaces.is_empty() {
        return Ok(None);
    }
    if let Some(name) = &args.model {
        return open(name).map(Some);
    }
    let mut missing = Vec::new();
    for spec in &spaces {
        match open(&spec.model) {
            Ok(embedder) if embedder.spec().space() == spec.space() => return Ok(Some(embedder)),
            Ok(_) => missing.push(format!("{}: what is on this machine is another revision", spec.model)),
            Err(error) if error.kind() == ErrorKind::ModelMissing => missing.push(error.to_string()),
            Err(error) => return Err(error),
        }
    }
    for reason in missing {
        output::note(format!("by word only: {}", output::safe(&reason)));
    }
    Ok(None)
}

fn open(name: &str) -> Result<Arc<dyn TextEmbedder>> {
    let folder = models::resolve(name)?;
    Ok(Arc::new(Bert::open(folder)?))
}

pub(crate) async fn run(global: &Global) -> Outcome {
    let folder = library::folder(global)?;
    let model: std::result::Result<PathBuf, String> =
        models::resolve(DEFAULT_MODEL).map_err(|e| e.to_string());
    let loads =
        model.as_ref().ok().map(|path| Bert::open(path).map(|m| m.spec().clone()).map_err(|e| e.to_string()));
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
        if model.is_err() {
            output::note(MODEL_HINT);
        }
    }
    if works { Ok(()) } else { Err(Failure::Some) }
}
