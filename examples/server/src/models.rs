//! The models of a process: loaded once, shared by all libraries.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use heimdex::embed::{DualEncoder, EmbedSpec, ImageEmbedder, TextEmbedder, TextEncoder};
use heimdex::index::{Pipeline, PipelineSettings};
use heimdex::store::PostgresStore;
use heimdex::transcript::{Transcriber, Whisper};
use heimdex::{Error, ErrorKind, Heimdex};
use object_store::ObjectStore;

use crate::config::{Config, ConfigError};
use crate::wire::ModelView;

/// What `auto` means.
const AUTO_TEXT: &str = "sentence-transformers/all-MiniLM-L6-v2";

/// Which models a process has.
#[derive(Debug, Clone, Default)]
pub struct Loaded {
    /// Those that are there.
    pub models: Vec<ModelView>,
    /// What is not, and what that means.
    pub notes: Vec<String>,
}

/// Puts models, store and pictures together.
///
/// # Errors
/// Names the setting whose model is not here or cannot be used.
pub fn load(
    config: &Config,
    store: PostgresStore,
    thumbnails: Arc<dyn ObjectStore>,
) -> Result<(Heimdex, Loaded), ConfigError> {
    let mut loaded = Loaded::default();
    let mut settings = PipelineSettings::default();
    settings.limits.max_file_bytes = config.max_upload_bytes;
    settings.limits.max_duration = std::time::Duration::from_secs(config.max_video_seconds);
    let mut pipeline = Pipeline::builder().settings(settings).thumbnails_in(thumbnails);
    match text(&config.text_model)? {
        Some(model) => {
            loaded.models.push(view("text", model.spec()));
            pipeline = pipeline.text(model);
        }
        None => loaded.notes.push(
            "there is no text model: scenes are found by their words, not by meaning; dev/get-model gets one"
                .to_owned(),
        ),
    }
    match named(&config.image_model, "IMAGE_MODEL", |name| DualEncoder::open(folder_of(name)?))? {
        Some(model) => {
            loaded.models.push(view("image", ImageEmbedder::spec(&model)));
            pipeline = pipeline.image(Arc::new(model));
        }
        None => loaded
            .notes
            .push("there is no image model: what is shown plays no part in search (IMAGE_MODEL)".to_owned()),
    }
    match named(&config.speech_model, "SPEECH_MODEL", |name| Whisper::open(heimdex::models::resolve(name)?))?
    {
        Some(model) => {
            let spec = model.spec();
            loaded.models.push(ModelView {
                role: "speech".to_owned(),
                model: shown(&spec.model),
                revision: None,
                dim: None,
            });
            pipeline = pipeline.speech(Arc::new(model));
        }
        None => loaded
            .notes
            .push("there is no speech model: words come from subtitles alone (SPEECH_MODEL)".to_owned()),
    }
    let wrong = |e: Error| ConfigError::of("models", e.to_string());
    let heimdex =
        Heimdex::builder().store(store).pipeline(pipeline.build().map_err(wrong)?).build().map_err(wrong)?;
    Ok((heimdex, loaded))
}

/// A name of the hub as it is; of a folder only its last name, for where it lies is nobody's business.
fn shown(model: &str) -> String {
    let path = Path::new(model);
    let last = path.file_name().filter(|_| path.is_absolute());
    last.map_or_else(|| model.to_owned(), |name| name.to_string_lossy().into_owned())
}

fn view(role: &str, spec: &EmbedSpec) -> ModelView {
    ModelView {
        role: role.to_owned(),
        model: shown(&spec.model),
        revision: spec.revision.clone(),
        dim: Some(spec.dim),
    }
}

fn text(name: &str) -> Result<Option<Arc<dyn TextEmbedder>>, ConfigError> {
    if name == "auto" {
        return match folder_of(AUTO_TEXT).and_then(TextEncoder::open) {
            Ok(model) => Ok(Some(Arc::new(model))),
            Err(error) if error.kind() == ErrorKind::ModelMissing => Ok(None),
            Err(error) => Err(ConfigError::of("HEIMDEX_SERVER_TEXT_MODEL", error.to_string())),
        };
    }
    let model = named(name, "TEXT_MODEL", |name| TextEncoder::open(folder_of(name)?))?;
    Ok(model.map(|model| Arc::new(model) as Arc<dyn TextEmbedder>))
}

fn named<M>(
    name: &str,
    setting: &str,
    open: impl FnOnce(&str) -> heimdex::Result<M>,
) -> Result<Option<M>, ConfigError> {
    if name == "none" || name.is_empty() {
        return Ok(None);
    }
    let wrong = |e: Error| ConfigError::of(format!("HEIMDEX_SERVER_{setting}"), e.to_string());
    open(name).map(Some).map_err(wrong)
}

/// A folder that is given is taken as it is.
fn folder_of(name: &str) -> heimdex::Result<PathBuf> {
    if Path::new(name).is_dir() { Ok(PathBuf::from(name)) } else { heimdex::models::resolve(name) }
}
