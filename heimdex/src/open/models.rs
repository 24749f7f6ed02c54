//! Models by their names, and those that a library was indexed with.

use std::path::PathBuf;
use std::sync::Arc;

use super::{MissingModels, OpenOptions};
use crate::embed::{
    DualEncoder, EmbedSpec, ImageEmbedder, Modality, ModelOptions, TextEmbedder, TextEncoder,
};
use crate::store::{IndexStore, Page, VideoRecord};
use crate::transcript::{SpeechSpec, Transcriber};
use crate::{Error, ErrorKind, LibraryId, Result, models};

/// The model for search by meaning where none is named.
pub const DEFAULT_TEXT_MODEL: &str = "sentence-transformers/all-MiniLM-L6-v2";

/// Videos that are asked which speech model made their words.
const ASKED: u32 = 100;

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

/// The speech model of a preset, of this name, or in this file; the first preset's that is on this machine
/// when none is named.
///
/// # Errors
/// As [`Whisper::open`](crate::transcript::Whisper::open).
#[cfg(feature = "whisper")]
pub fn open_speech_model(name: Option<&str>) -> Result<Arc<dyn Transcriber>> {
    use models::Preset;

    let Some(name) = name else {
        let all = Preset::ALL.map(|preset| preset.speech().name);
        let here = all.into_iter().find(|name| models::resolve(name).is_ok());
        let Some(here) = here else {
            let message =
                "no speech model is on this machine; get one with: heimdex models pull whisper-base";
            return Err(Error::model_missing("whisper", message));
        };
        return open_speech_model(Some(here));
    };
    let name = name.parse::<Preset>().map_or(name, |preset| preset.speech().name);
    let path = models::resolve(name).map_err(|error| match models::KnownModel::find(name) {
        Some(_) => error,
        None => unknown_speech(name),
    })?;
    if path.is_dir() {
        return Err(Error::invalid("speech_model", format!("{name} is a folder; give a ggml file")));
    }
    Ok(Arc::new(crate::transcript::Whisper::open(path)?))
}

/// Neither a file nor the name of a speech model.
#[cfg(feature = "whisper")]
fn unknown_speech(name: &str) -> Error {
    let speech = models::known().iter().filter(|model| model.kind == models::ModelKind::Speech);
    let names: Vec<&str> = speech.map(|model| model.name).collect();
    let message = format!("there is no such file, and the speech models are {}", names.join(", "));
    Error::model_missing(name, message)
}

#[cfg(not(feature = "whisper"))]
fn open_speech_model(name: Option<&str>) -> Result<Arc<dyn Transcriber>> {
    match name {
        Some(_) => Err(Error::invalid("speech_model", "this build lacks the feature `whisper`")),
        None => Err(Error::model_missing("whisper", "this build lacks the feature `whisper`")),
    }
}

/// A folder that is given is taken as it is: which files it needs depends on what runs it.
fn folder_of(name: &str) -> Result<PathBuf> {
    let given = PathBuf::from(name);
    if given.is_dir() { Ok(given) } else { models::resolve(name) }
}

/// Opens the models of a library, and notes what is left out.
pub(super) struct Models<'a> {
    pub(super) options: &'a OpenOptions,
    pub(super) spaces: &'a [EmbedSpec],
    pub(super) notes: Vec<String>,
}

impl Models<'_> {
    /// The model asked for, else that of the library, else the default where it is on this machine.
    pub(super) fn text(&mut self) -> Result<Option<Arc<dyn TextEmbedder>>> {
        let options = self.options.model_options();
        let open =
            |name: &str| -> Result<Arc<dyn TextEmbedder>> { Ok(Arc::new(open_text_model(name, &options)?)) };
        if !self.options.models {
            return Ok(None);
        }
        if let Some(name) = &self.options.text_model {
            return open(name).map(Some);
        }
        if self.spaces.iter().any(|spec| spec.modality == Modality::Text) {
            return self.used(Modality::Text, "not by meaning", open, |model| model.spec().space());
        }
        match open(DEFAULT_TEXT_MODEL) {
            Err(error) if error.kind() == ErrorKind::ModelMissing => Ok(None),
            model => model.map(Some),
        }
    }

    /// The model asked for, else that of the library.
    pub(super) fn image(&mut self) -> Result<Option<Arc<dyn ImageEmbedder>>> {
        let options = self.options.model_options();
        let open = |name: &str| -> Result<Arc<dyn ImageEmbedder>> {
            Ok(Arc::new(open_image_model(name, &options)?))
        };
        if !self.options.models {
            return Ok(None);
        }
        if let Some(name) = &self.options.image_model {
            return open(name).map(Some);
        }
        self.used(Modality::Image, "not by what is shown", open, |model| model.spec().space())
    }

    /// The model asked for, else that of the library, else in a new library one that is on this machine.
    pub(super) async fn speech(
        &mut self,
        store: &dyn IndexStore,
        library: LibraryId,
    ) -> Result<Option<Arc<dyn Transcriber>>> {
        if let Some(name) = &self.options.speech_model {
            return open_speech_model(Some(name)).map(Some);
        }
        if !self.options.models || !self.options.speech {
            return Ok(None);
        }
        let (videos, total) = store.videos(library, Page { limit: ASKED, after: None }).await?;
        if total == 0 {
            return match open_speech_model(None) {
                Err(error) if error.kind() == ErrorKind::ModelMissing => Ok(None),
                model => model.map(Some),
            };
        }
        let Some(spec) = videos.iter().find_map(spec_of) else { return Ok(None) };
        match open_speech_model(Some(&spec.model)) {
            Err(error) if error.kind() == ErrorKind::ModelMissing => {
                self.without("speech is not transcribed", error)
            }
            model => model.map(Some),
        }
    }

    /// The model that made the library's vectors, where it is on this machine as it was.
    fn used<M>(
        &mut self,
        modality: Modality,
        without: &str,
        open: impl Fn(&str) -> Result<M>,
        space: impl Fn(&M) -> String,
    ) -> Result<Option<M>> {
        let Some(spec) = self.spaces.iter().find(|spec| spec.modality == modality) else { return Ok(None) };
        let problem = match open(&spec.model) {
            Ok(model) if space(&model) == spec.space() => return Ok(Some(model)),
            Ok(_) => Error::Space(format!(
                "the library was indexed with another revision of {}, or with another backend or precision",
                spec.model
            )),
            Err(error) if error.kind() == ErrorKind::ModelMissing => error,
            Err(error) => return Err(error),
        };
        self.without(without, problem)
    }

    fn without<M>(&mut self, what: &str, problem: Error) -> Result<Option<M>> {
        match self.options.missing_models {
            MissingModels::Refuse => Err(problem),
            MissingModels::LeaveOut => {
                self.notes.push(format!("{what}: {problem}"));
                Ok(None)
            }
        }
    }
}

/// What made the words of a video, where speech did.
fn spec_of(video: &VideoRecord) -> Option<SpeechSpec> {
    let speech: serde_json::Value = serde_json::from_str(video.settings.get("speech")?).ok()?;
    serde_json::from_value(speech["spec"].clone()).ok()
}
