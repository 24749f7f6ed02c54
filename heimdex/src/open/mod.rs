//! A library by its place and the names of its models: what programs and other languages begin with.
//!
//! Uses the facade, the store and [`crate::models`]; [`Heimdex::builder`] stays for what is put together
//! by hand.

mod location;
mod models;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::annotate::{TagSettings, Vocabulary};
use crate::embed::{Backend, ModelOptions, Precision, Provider};
use crate::index::{Pipeline, PipelineSettings};
use crate::search::Models;
use crate::{Error, Heimdex, LibraryId, Result};

pub use location::Location;
#[cfg(feature = "whisper")]
pub use models::open_speech_model;
pub use models::{DEFAULT_TEXT_MODEL, open_image_model, open_text_model};

/// What to do when a model that the library was indexed with is not on this machine.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum MissingModels {
    /// Fail, and say how to get it.
    #[default]
    Refuse,
    /// Search by what is left, with a remark in [`Opened::notes`].
    LeaveOut,
}

/// Which library, and how it is searched and indexed.
///
/// ```
/// let options: heimdex::open::OpenOptions = serde_json::from_str(r#"{"location": "videos"}"#)?;
/// assert_eq!(options.location, Some("videos".into()));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
// Each is a question of its own; callers in other languages write true and false.
#[allow(clippy::struct_excessive_bools)]
pub struct OpenOptions {
    /// Its folder or its Postgres database; the folder in the user's data folder when not given.
    pub location: Option<Location>,
    /// With a database: the folder for thumbnails and pictures, the same for all who use it; one in the
    /// user's data folder when not given.
    pub data: Option<PathBuf>,
    /// Which of the store's libraries to use; `default` when not given.
    pub name: Option<String>,
    /// Make the library when it is not there.
    pub create: bool,
    /// Model for search by meaning: a name or a folder. When not given, the one that the library was
    /// indexed with, else all-MiniLM-L6-v2 where it is on this machine.
    pub text_model: Option<String>,
    /// Model for search by what is shown: a name or a folder. When not given, the one that the library
    /// was indexed with.
    pub image_model: Option<String>,
    /// Model that turns speech into words: a preset, a name, or a ggml file. When not given, the one that
    /// the library was indexed with, in a new library one that is on this machine.
    pub speech_model: Option<String>,
    /// Use models at all; without, scenes are found by the words of subtitles.
    pub models: bool,
    /// Transcribe speech where there are no subtitles and a model is here.
    pub speech: bool,
    /// When a model that the library was indexed with is not here.
    pub missing_models: MissingModels,
    /// What runs the models.
    pub backend: Backend,
    /// The numbers that weights are kept in (backend `onnx`).
    pub precision: Precision,
    /// What ONNX Runtime computes on.
    pub provider: Provider,
    /// Threads that work on one batch (backend `onnx`); 0 for as many as there are cores.
    pub threads: usize,
    /// The library of ONNX Runtime, or the folder of its Python package.
    pub onnxruntime: Option<PathBuf>,
    /// Keep thumbnails, and the pictures that models and annotators look at.
    pub keep_thumbnails: bool,
    /// Where thumbnails are kept; `thumbnails` in the folder for files when not given.
    pub thumbnails: Option<PathBuf>,
    /// Where a JSON file a video is written with all that is found in it; nowhere when not given.
    pub sidecars: Option<PathBuf>,
    /// Tag scenes with what the image model sees in them.
    pub tags: bool,
    /// The file with the concepts to tag with; 470 everyday things when not given.
    pub vocabulary: Option<PathBuf>,
    /// The settings of all stages of indexing.
    pub settings: PipelineSettings,
}

impl Default for OpenOptions {
    fn default() -> Self {
        Self {
            location: None,
            data: None,
            name: None,
            create: true,
            text_model: None,
            image_model: None,
            speech_model: None,
            models: true,
            speech: true,
            missing_models: MissingModels::default(),
            backend: Backend::default(),
            precision: Precision::default(),
            provider: Provider::default(),
            threads: 0,
            onnxruntime: None,
            keep_thumbnails: true,
            thumbnails: None,
            sidecars: None,
            tags: false,
            vocabulary: None,
            settings: PipelineSettings::default(),
        }
    }
}

impl OpenOptions {
    /// The library in this folder or database, with defaults for all else.
    pub fn new(location: impl Into<Location>) -> Self {
        Self { location: Some(location.into()), ..Self::default() }
    }

    /// Where it is.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) when none is given and there is no home folder.
    pub fn location(&self) -> Result<Location> {
        self.location.clone().map_or_else(Location::of_user, Ok)
    }

    /// The folder for its files.
    ///
    /// # Errors
    /// As [`Location::files`].
    pub fn files(&self) -> Result<PathBuf> {
        self.location()?.files(self.data.as_deref())
    }

    /// What its models are run with.
    pub fn model_options(&self) -> ModelOptions {
        ModelOptions {
            backend: self.backend,
            precision: self.precision,
            provider: self.provider,
            threads: self.threads,
            library: self.onnxruntime.clone(),
        }
    }
}

/// A library that is open.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Opened {
    /// The library.
    pub library: Heimdex,
    /// The models that it is searched with.
    pub models: Models,
    /// What was left out, one line each.
    pub notes: Vec<String>,
}

/// Opens a library. What `own` holds comes before the models that the options name; its annotators
/// are used in indexing and in search.
///
/// # Errors
/// [`ErrorKind::NotFound`](crate::ErrorKind::NotFound) when it is not there and is not to be made;
/// [`ErrorKind::ModelMissing`](crate::ErrorKind::ModelMissing) when a model is not on this machine;
/// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) naming the option that cannot be used;
/// [`ErrorKind::Store`](crate::ErrorKind::Store) when the index cannot be read or reached.
pub async fn open(options: &OpenOptions, own: Models) -> Result<Opened> {
    options.settings.validate()?;
    for (given, field, named) in [
        (own.text.is_some(), "text_model", &options.text_model),
        (own.image.is_some(), "image_model", &options.image_model),
    ] {
        if given && named.is_some() {
            return Err(Error::invalid(field, "a model of your own is given too; leave one of them out"));
        }
    }
    if options.vocabulary.is_some() && !options.tags {
        return Err(Error::invalid("vocabulary", "it goes with `tags`"));
    }
    let files = options.files()?;
    let store = options.location()?.store(options.create).await?;
    let library = options.name.as_deref().map_or_else(LibraryId::default, LibraryId::named);
    let spaces = store.spaces(library).await?;

    let mut models = models::Models { options, spaces: &spaces, notes: Vec::new() };
    let mut used = Models { annotators: own.annotators, ..Models::default() };
    used.text = own.text.map_or_else(|| models.text(), |model| Ok(Some(model)))?;
    used.image = own.image.map_or_else(|| models.image(), |model| Ok(Some(model)))?;
    let speech = models.speech(&*store, library).await?;
    let notes = models.notes;

    let mut pipeline = Pipeline::builder().settings(options.settings.clone());
    if options.keep_thumbnails {
        pipeline =
            pipeline.thumbnails(options.thumbnails.clone().unwrap_or_else(|| files.join("thumbnails")));
    }
    if let Some(folder) = &options.sidecars {
        pipeline = pipeline.sidecars(folder);
    }
    if let Some(model) = &used.text {
        pipeline = pipeline.text(Arc::clone(model));
    }
    if let Some(model) = &used.image {
        pipeline = pipeline.image(Arc::clone(model));
    }
    if let Some(model) = speech {
        pipeline = pipeline.speech(model);
    }
    if options.tags {
        pipeline = pipeline.tags(vocabulary(options.vocabulary.as_deref())?, TagSettings::default());
    }
    for annotator in &used.annotators {
        pipeline = pipeline.annotate(Arc::clone(annotator));
    }
    let mut builder = Heimdex::builder().shared_store(store).pipeline(pipeline.build()?);
    if let Some(name) = &options.name {
        builder = builder.library(name);
    }
    Ok(Opened { library: builder.build()?, models: used, notes })
}

/// The concepts of a file, or the shipped ones where no file is named.
fn vocabulary(file: Option<&Path>) -> Result<Vocabulary> {
    let Some(file) = file else { return Ok(Vocabulary::everyday()) };
    Vocabulary::read(&std::fs::read_to_string(file).map_err(|e| Error::io(file, e))?)
}
