//! A library by its place and the names of its models: what programs and other languages begin with.
//!
//! Uses the facade, the store and [`crate::models`]; [`Heimdex::builder`] stays for what is put together
//! by hand.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::annotate::{TagSettings, Vocabulary};
use crate::embed::{
    Backend, DualEncoder, EmbedSpec, ImageEmbedder, Modality, ModelOptions, Precision, Provider,
    TextEmbedder, TextEncoder,
};
use crate::index::{Pipeline, PipelineSettings};
use crate::search::Models;
use crate::store::{IndexStore, SqliteStore};
use crate::{Error, ErrorKind, Heimdex, LibraryId, Result};

/// The model for search by meaning where none is named.
const DEFAULT_TEXT_MODEL: &str = "sentence-transformers/all-MiniLM-L6-v2";

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
/// assert!(options.create);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
// Each is a question of its own; callers in other languages write true and false.
#[allow(clippy::struct_excessive_bools)]
pub struct OpenOptions {
    /// Its folder; the one in the user's data folder when not given.
    pub location: Option<String>,
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
    /// Use models at all; without, scenes are found by their words.
    pub models: bool,
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
    /// Where thumbnails are kept; `thumbnails` in the library's folder when not given.
    pub thumbnails: Option<PathBuf>,
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
            name: None,
            create: true,
            text_model: None,
            image_model: None,
            models: true,
            missing_models: MissingModels::default(),
            backend: Backend::default(),
            precision: Precision::default(),
            provider: Provider::default(),
            threads: 0,
            onnxruntime: None,
            keep_thumbnails: true,
            thumbnails: None,
            tags: false,
            vocabulary: None,
            settings: PipelineSettings::default(),
        }
    }
}

impl OpenOptions {
    /// The library in this folder, with defaults for all else.
    pub fn new(location: impl Into<String>) -> Self {
        Self { location: Some(location.into()), ..Self::default() }
    }

    /// What its models are run with.
    pub fn model_options(&self) -> ModelOptions {
        let mut options = ModelOptions::of(self.backend);
        options.precision = self.precision;
        options.provider = self.provider;
        options.threads = self.threads;
        options.library.clone_from(&self.onnxruntime);
        options
    }

    fn folder(&self) -> Result<PathBuf> {
        let Some(location) = &self.location else {
            let data = crate::models::data_folder();
            return data.map(|data| data.join("library")).ok_or_else(|| {
                Error::invalid("location", "there is no home folder; say in which folder the library is")
            });
        };
        // `C:\videos` is a folder.
        match location.split_once("://") {
            Some((scheme, _)) => Err(Error::invalid(
                "location",
                format!("this build opens folders, not addresses that begin with {scheme}://"),
            )),
            None if location.is_empty() => Err(Error::invalid("location", "it is empty; name a folder")),
            None => Ok(PathBuf::from(location)),
        }
    }
}

/// A library that is open.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Opened {
    /// The library.
    pub library: Heimdex,
    /// What was left out, one line each.
    pub notes: Vec<String>,
}

/// Opens a library. What `own` holds comes before the models that the options name; its annotators
/// are used in indexing and in search.
///
/// # Errors
/// [`ErrorKind::NotFound`] when it is not there and is not to be made; [`ErrorKind::ModelMissing`] when a
/// model is not on this machine; [`ErrorKind::Invalid`] naming the option that cannot be used;
/// [`ErrorKind::Store`] when the index cannot be read.
pub async fn open(options: &OpenOptions, own: Models) -> Result<Opened> {
    options.settings.validate()?;
    let folder = options.folder()?;
    let database = folder.join("library.db");
    if !options.create && !database.is_file() {
        return Err(Error::not_found("library", folder.display().to_string()));
    }
    std::fs::create_dir_all(&folder).map_err(|e| Error::io(&folder, e))?;
    let store = SqliteStore::open(&database).await?;
    let library = options.name.as_deref().map_or_else(LibraryId::default, LibraryId::named);
    let spaces = store.spaces(library).await?;

    let mut notes = Vec::new();
    let mut pipeline = Pipeline::builder().settings(options.settings.clone());
    if options.keep_thumbnails {
        pipeline =
            pipeline.thumbnails(options.thumbnails.clone().unwrap_or_else(|| folder.join("thumbnails")));
    }
    let (text, image) = (own.text.is_some(), own.image.is_some());
    if let Some(model) = own.text.map_or_else(|| text_model(options, &spaces, &mut notes), |m| Ok(Some(m)))? {
        pipeline = pipeline.text(model);
    }
    if let Some(model) =
        own.image.map_or_else(|| image_model(options, &spaces, &mut notes), |m| Ok(Some(m)))?
    {
        pipeline = pipeline.image(model);
    }
    for (given, field, named) in
        [(text, "text_model", &options.text_model), (image, "image_model", &options.image_model)]
    {
        if given && named.is_some() {
            return Err(Error::invalid(field, "a model of your own is given too; leave one of them out"));
        }
    }
    if options.tags {
        pipeline = pipeline.tags(vocabulary(options.vocabulary.as_deref())?, TagSettings::default());
    } else if options.vocabulary.is_some() {
        return Err(Error::invalid("vocabulary", "it goes with `tags`"));
    }
    for annotator in own.annotators {
        pipeline = pipeline.annotate(annotator);
    }
    let mut builder = Heimdex::builder().store(store).pipeline(pipeline.build()?);
    if let Some(name) = &options.name {
        builder = builder.library(name);
    }
    Ok(Opened { library: builder.build()?, notes })
}

/// The model of this name or folder, for search by meaning.
///
/// # Errors
/// As [`TextEncoder::open_with`].
pub fn open_text_model(name: &str, options: &ModelOptions) -> Result<TextEncoder> {
    TextEncoder::open_with(folder_of(name)?, options)
}

/// The model of this name or folder, for search by what is shown.
///
/// # Errors
/// As [`DualEncoder::open_with`].
pub fn open_image_model(name: &str, options: &ModelOptions) -> Result<DualEncoder> {
    DualEncoder::open_with(folder_of(name)?, options)
}

/// A folder that is given is taken as it is: which files it needs depends on what runs it.
fn folder_of(name: &str) -> Result<PathBuf> {
    let given = PathBuf::from(name);
    if given.is_dir() { Ok(given) } else { crate::models::resolve(name) }
}

fn text_model(
    options: &OpenOptions,
    spaces: &[EmbedSpec],
    notes: &mut Vec<String>,
) -> Result<Option<Arc<dyn TextEmbedder>>> {
    let open = |name: &str| -> Result<Arc<dyn TextEmbedder>> {
        Ok(Arc::new(open_text_model(name, &options.model_options())?))
    };
    if !options.models {
        return Ok(None);
    }
    if let Some(name) = &options.text_model {
        return open(name).map(Some);
    }
    if let Some(spec) = spaces.iter().find(|spec| spec.modality == Modality::Text) {
        return used(spec, options, notes, open, |model| model.spec().space());
    }
    match open(DEFAULT_TEXT_MODEL) {
        Err(error) if error.kind() == ErrorKind::ModelMissing => Ok(None),
        model => model.map(Some),
    }
}

fn image_model(
    options: &OpenOptions,
    spaces: &[EmbedSpec],
    notes: &mut Vec<String>,
) -> Result<Option<Arc<dyn ImageEmbedder>>> {
    let open = |name: &str| -> Result<Arc<dyn ImageEmbedder>> {
        Ok(Arc::new(open_image_model(name, &options.model_options())?))
    };
    if !options.models {
        return Ok(None);
    }
    if let Some(name) = &options.image_model {
        return open(name).map(Some);
    }
    let spec = spaces.iter().find(|spec| spec.modality == Modality::Image);
    spec.map_or(Ok(None), |spec| used(spec, options, notes, open, |model| model.spec().space()))
}

/// The model that made the library's vectors, where it is on this machine as it was.
fn used<M>(
    spec: &EmbedSpec,
    options: &OpenOptions,
    notes: &mut Vec<String>,
    open: impl Fn(&str) -> Result<M>,
    space: impl Fn(&M) -> String,
) -> Result<Option<M>> {
    let problem = match open(&spec.model) {
        Ok(model) if space(&model) == spec.space() => return Ok(Some(model)),
        Ok(_) => Error::Space(format!(
            "the library was indexed with another revision of {}, or with another backend or precision",
            spec.model
        )),
        Err(error) if error.kind() == ErrorKind::ModelMissing => error,
        Err(error) => return Err(error),
    };
    match options.missing_models {
        MissingModels::Refuse => Err(problem),
        MissingModels::LeaveOut => {
            notes.push(problem.to_string());
            Ok(None)
        }
    }
}

/// The concepts of a file, or the shipped ones where no file is named.
fn vocabulary(file: Option<&Path>) -> Result<Vocabulary> {
    let Some(file) = file else { return Ok(Vocabulary::everyday()) };
    Vocabulary::read(&std::fs::read_to_string(file).map_err(|e| Error::io(file, e))?)
}
