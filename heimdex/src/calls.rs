//! What bindings for other languages call: a name, options as JSON, an answer as JSON.
//!
//! The options of every call are a plain struct here or beside what it configures; [`options`] lists
//! them with their defaults, and each binding is tested against that list. So no language can have an
//! option that another lacks, and all give the same answers.
//!
//! Uses the whole crate; nothing uses it.

use std::fmt;
use std::future::IntoFuture;
use std::path::PathBuf;
use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::runtime::Handle;

use crate::embed::{Backend, EmbedSpec, ModelOptions, Pooling, Precision, Provider};
use crate::index::{IndexOptions, Pipeline, PipelineSettings};
use crate::media::{self, Limits, RgbPicture};
use crate::models::{self, HubOptions};
use crate::open::{OpenOptions, open_speech_model};
use crate::search::SearchRequest;
use crate::shots::Detector;
use crate::store::{Filter, IndexedVideo, Page, VideoRecord};
use crate::transcript::{self, Activity, AudioTrack, Segment, SpeechSettings};
use crate::{Cancel, Error, Heimdex, Progress, Result, Stage, Timestamp, VideoId};

/// Longest options that are read, in bytes.
const MAX_OPTIONS_BYTES: usize = 16 << 20;

/// Options of `video` and `remove`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct VideoOptions {
    /// Its id, the beginning of its id, its path, or its title.
    pub video: String,
}

/// Options of `shots`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct ShotsOptions {
    /// The file.
    pub path: PathBuf,
    /// How shots are found.
    pub detector: Detector,
    /// Decode every frame bit for bit, as `PySceneDetect` does; slower.
    pub exact: bool,
}

/// Options of `probe`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct ProbeOptions {
    /// The file.
    pub path: PathBuf,
    /// What is opened at most.
    pub limits: Limits,
}

/// Options of `pull`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct PullOptions {
    /// Its name, `ORG/NAME`, or a preset.
    pub model: String,
    /// The branch, tag or commit to get in place of the pinned one.
    pub revision: Option<String>,
    /// Hash what is already there and get again what is wrong.
    pub force: bool,
}

/// Options of `transcribe`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct TranscribeOptions {
    /// The file.
    pub path: PathBuf,
    /// The model: a preset, a name or a ggml file; one that is on this machine when not given.
    pub speech_model: Option<String>,
    /// The language that is spoken; detected when not given.
    pub language: Option<String>,
    /// Translate to English.
    pub translate: bool,
    /// Names and terms to expect.
    pub prompt: Option<String>,
    /// Which track of sound is listened to.
    pub track: AudioTrack,
    /// What tells speech from other sound.
    pub activity: Activity,
    /// What is opened at most.
    pub limits: Limits,
}

/// Options of `write_subtitles`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct WriteSubtitlesOptions {
    /// What is said, as a transcript or an indexed video has it.
    pub segments: Vec<Segment>,
    /// What to write.
    pub format: SubtitleFormat,
}

/// A format of subtitles that can be written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum SubtitleFormat {
    /// `SubRip`.
    #[default]
    Srt,
    /// `WebVTT`.
    Vtt,
}

/// Which model to use alone, and what it is run with.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct ModelCallOptions {
    /// Its name, or its folder.
    pub model: String,
    /// What runs it.
    pub backend: Backend,
    /// The numbers that weights are kept in (backend `onnx`).
    pub precision: Precision,
    /// What ONNX Runtime computes on.
    pub provider: Provider,
    /// Threads that work on one batch (backend `onnx`); 0 for as many as there are cores.
    pub threads: usize,
    /// The library of ONNX Runtime, or the folder of its Python package.
    pub onnxruntime: Option<PathBuf>,
}

impl ModelCallOptions {
    /// What the model is run with.
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

/// What is done with an open library.
#[derive(Debug)]
#[non_exhaustive]
pub enum Call {
    /// Finds scenes.
    Search(Box<SearchRequest>),
    /// Indexes one file.
    Index(IndexOptions),
    /// Every video, in order of id.
    Videos,
    /// All that the index holds of a video, but the vectors.
    Video(VideoOptions),
    /// Takes a video out of the library.
    Remove(VideoOptions),
    /// Changes the library to the models that it was opened with.
    SwitchModels,
}

/// What is done without a library.
#[derive(Debug)]
#[non_exhaustive]
pub enum FreeCall {
    /// The facts of a file, without decoding it.
    Probe(ProbeOptions),
    /// The shots of a file.
    Shots(ShotsOptions),
    /// What is said in a file.
    Transcribe(Box<TranscribeOptions>),
    /// What is said as the text of a subtitle file.
    WriteSubtitles(WriteSubtitlesOptions),
    /// The known models, and which of them are here.
    Models,
    /// Gets a model.
    Pull(PullOptions),
}

/// An option that is not known or cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct WrongOption {
    /// Its name.
    pub name: String,
    /// What was wrong.
    pub message: String,
    /// It is of another type, not just a value that does not fit; or there is no such option.
    pub mistyped: bool,
}

impl WrongOption {
    /// A value that does not fit.
    pub fn value(name: impl Into<String>, message: impl Into<String>) -> Self {
        Self { name: name.into(), message: message.into(), mistyped: false }
    }
}

impl fmt::Display for WrongOption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.name, self.message)
    }
}

impl std::error::Error for WrongOption {}

/// Reads options; the first that cannot be read is named.
///
/// # Errors
/// [`WrongOption`].
pub fn read<T: DeserializeOwned>(options: &str) -> std::result::Result<T, WrongOption> {
    let wrong = |name: &str, e: &serde_json::Error| {
        let text = e.to_string();
        // Where in the text it stood says nothing to who gave values.
        let message = text.split(" at line ").next().unwrap_or(&text).to_owned();
        let mistyped = message.starts_with("invalid type") || message.starts_with("unknown field");
        WrongOption { name: name.to_owned(), message, mistyped }
    };
    if options.len() > MAX_OPTIONS_BYTES {
        let message = format!("{} bytes are more than {MAX_OPTIONS_BYTES}", options.len());
        return Err(WrongOption::value("options", message));
    }
    let error = match serde_json::from_str(options) {
        Ok(value) => return Ok(value),
        Err(error) => error,
    };
    let fields: serde_json::Map<String, Value> = serde_json::from_str(options).unwrap_or_default();
    // Each alone: the defaults stand in for the others.
    for (name, value) in fields {
        let alone = Value::Object([(name.clone(), value)].into_iter().collect());
        if let Err(error) = serde_json::from_value::<T>(alone) {
            return Err(wrong(&name, &error));
        }
    }
    Err(wrong("options", &error))
}

impl Call {
    /// The call of this name with these options; `image` is what a search is to look like.
    ///
    /// # Errors
    /// [`WrongOption`], also for a name that is not known.
    pub fn of(
        name: &str,
        options: &str,
        image: Option<RgbPicture>,
    ) -> std::result::Result<Self, WrongOption> {
        Ok(match name {
            "search" => {
                let mut request: SearchRequest = read(options)?;
                request.image = image.map(Arc::new);
                Self::Search(Box::new(request))
            }
            "index" => Self::Index(read(options)?),
            "videos" => Self::Videos,
            "video" => Self::Video(read(options)?),
            "remove" => Self::Remove(read(options)?),
            "switch_models" => Self::SwitchModels,
            name => return Err(unknown(name)),
        })
    }

    /// Does it, on the runtime that the library was opened in. Blocks: on a thread where that is allowed,
    /// such as one of `spawn_blocking`.
    ///
    /// # Errors
    /// Those of the same method of [`Heimdex`].
    ///
    /// # Cancellation
    /// By `cancel`. Indexing stops within two seconds; what is short ends by itself.
    pub fn run(
        self,
        library: &Heimdex,
        runtime: &Handle,
        cancel: &Cancel,
        mut on_progress: impl FnMut(String) + Send + 'static,
    ) -> Result<String> {
        cancel.check()?;
        match self {
            Self::Search(request) => text(&runtime.block_on(library.search_with(&request))?),
            Self::Index(options) => {
                let work = library.index_with(options).cancel(cancel);
                let work = work.on_progress(move |progress| on_progress(json!(progress).to_string()));
                text(&runtime.block_on(work.into_future())?)
            }
            Self::Videos => text(&runtime.block_on(all_videos(library))?),
            Self::Video(options) => {
                let video = runtime.block_on(library.find_video(&options.video))?;
                text(&document(&runtime.block_on(library.indexed_video(video.id))?))
            }
            Self::Remove(options) => {
                let video = runtime.block_on(library.find_video(&options.video))?;
                runtime.block_on(library.remove(video.id))?;
                text(&video.id)
            }
            Self::SwitchModels => {
                let work = library.switch_models(library.pipeline()).cancel(cancel);
                let work = work.on_progress(move |progress| on_progress(json!(progress).to_string()));
                text(&runtime.block_on(work.into_future())?)
            }
        }
    }
}

impl FreeCall {
    /// The call of this name with these options.
    ///
    /// # Errors
    /// [`WrongOption`], also for a name that is not known.
    pub fn of(name: &str, options: &str) -> std::result::Result<Self, WrongOption> {
        Ok(match name {
            "probe" => Self::Probe(read(options)?),
            "shots" => Self::Shots(read(options)?),
            "transcribe" => Self::Transcribe(Box::new(read(options)?)),
            "write_subtitles" => Self::WriteSubtitles(read(options)?),
            "models" => Self::Models,
            "pull" => Self::Pull(read(options)?),
            name => return Err(unknown(name)),
        })
    }

    /// Does it. Blocks.
    ///
    /// # Errors
    /// Those of [`media::probe`], [`Pipeline::run`], [`transcript::transcribe`] and [`models::pull`].
    ///
    /// # Cancellation
    /// By `cancel`. Stops within two seconds.
    pub fn run(self, cancel: &Cancel, mut on_progress: impl FnMut(String)) -> Result<String> {
        cancel.check()?;
        match self {
            Self::Probe(options) => text(&media::probe(&options.path, &options.limits)?),
            Self::Shots(options) => {
                let mut settings =
                    PipelineSettings { detector: options.detector, ..PipelineSettings::default() };
                settings.decode.exact = options.exact;
                settings.subtitles.beside = false;
                settings.subtitles.embedded = false;
                let pipeline = Pipeline::builder().settings(settings).build()?;
                let report = |progress| on_progress(json!(progress).to_string());
                text(&pipeline.run(&options.path, cancel, report)?.shots)
            }
            Self::Transcribe(options) => {
                let TranscribeOptions { path, limits, track, activity, language, translate, .. } = *options;
                let model = open_speech_model(options.speech_model.as_deref())?;
                let length = media::probe(&path, &limits)?.declared_duration.unwrap_or_default();
                let mut report = |at: Timestamp| {
                    let done = (at.as_seconds() / length.as_seconds().max(0.001)).min(1.0) as f32;
                    let progress =
                        Progress { stage: Stage::Transcribe, stage_fraction: done, fraction: done };
                    on_progress(json!(progress).to_string());
                };
                let prompt = options.prompt.unwrap_or_default();
                let settings =
                    SpeechSettings { track, language, translate, prompt, activity, ..Default::default() };
                text(&transcript::transcribe(path, model, &settings, &limits, cancel, &mut report)?)
            }
            Self::WriteSubtitles(options) => text(&match options.format {
                SubtitleFormat::Srt => transcript::write_srt(&options.segments),
                SubtitleFormat::Vtt => transcript::write_vtt(&options.segments),
            }),
            Self::Models => text(&models::list(&HubOptions::from_env()?)),
            Self::Pull(options) => {
                let mut hub = HubOptions::from_env()?;
                hub.revision = options.revision;
                hub.force = options.force;
                let mut report =
                    |progress: models::PullProgress<'_>| on_progress(json!(progress).to_string());
                text(&models::pull(&options.model, &hub, cancel, &mut report)?)
            }
        }
    }
}

/// The options of every call with their defaults, by its name. Those of `search` hold those of its
/// filter, in place of `filter`, and `image`, which is no JSON.
pub fn options() -> Value {
    let mut search = json!(SearchRequest::default());
    if let (Some(search), Value::Object(filter)) = (search.as_object_mut(), json!(Filter::default())) {
        search.remove("filter");
        search.insert("image".to_owned(), Value::Null);
        search.extend(filter);
    }
    json!({
        "open": OpenOptions::default(),
        "search": search,
        "index": IndexOptions::default(),
        "videos": {},
        "video": VideoOptions::default(),
        "remove": VideoOptions::default(),
        "switch_models": {},
        "probe": ProbeOptions::default(),
        "shots": ShotsOptions::default(),
        "transcribe": TranscribeOptions::default(),
        "write_subtitles": WriteSubtitlesOptions::default(),
        "models": {},
        "pull": PullOptions::default(),
        "text_model": ModelCallOptions::default(),
        "image_model": ModelCallOptions::default(),
    })
}

/// Most components of a vector of an embedder in another language.
const MAX_DIM: usize = 65_536;

/// Longest text in tokens that such an embedder is taken to read; it cuts by itself.
const MAX_OWN_TOKENS: usize = 8192;

/// The spec of an embedder in another language, of its `name`, `version` and `dim`. Whenever it gives
/// other vectors for the same input, its version has to be another.
///
/// # Errors
/// [`WrongOption`].
pub fn own_spec(options: &str) -> std::result::Result<EmbedSpec, WrongOption> {
    #[derive(Default, Deserialize)]
    #[serde(default, deny_unknown_fields)]
    struct Own {
        name: String,
        version: String,
        dim: usize,
    }

    let Own { name, version, dim } = read(options)?;
    if name.is_empty() {
        return Err(WrongOption::value("name", "an embedder needs a name"));
    }
    if !(1..=MAX_DIM).contains(&dim) {
        return Err(WrongOption::value("dim", format!("must be 1 to {MAX_DIM}")));
    }
    let hash = blake3::hash(format!("{name} {version}").as_bytes()).to_hex().to_string();
    Ok(EmbedSpec::new(name, hash, version, dim, Pooling::Head, MAX_OWN_TOKENS))
}

/// An error as JSON: its kind and text, and the path, field or name that it is about.
pub fn error_json(error: &Error) -> Value {
    let mut value = json!({"kind": error.kind(), "message": error.to_string()});
    let about = match error {
        Error::Media { path, .. } | Error::Io { path, .. } => ("path", path.to_string_lossy().into_owned()),
        Error::Invalid { field, .. } => ("field", (*field).to_owned()),
        Error::Model { model, .. } => ("model", model.clone()),
        Error::NotFound { name, .. } | Error::Subtitle { name, .. } => ("name", name.clone()),
        _ => return value,
    };
    value[about.0] = about.1.into();
    value
}

fn unknown(name: &str) -> WrongOption {
    WrongOption { name: "call".to_owned(), message: format!("there is no `{name}`"), mistyped: true }
}

fn text(answer: &impl Serialize) -> Result<String> {
    serde_json::to_string(answer).map_err(|e| Error::store("writing JSON", e))
}

async fn all_videos(library: &Heimdex) -> Result<Vec<VideoRecord>> {
    let mut all = Vec::new();
    let mut after: Option<VideoId> = None;
    loop {
        let (videos, _) = library.videos(Page { limit: 500, after }).await?;
        let Some(last) = videos.last() else { return Ok(all) };
        after = Some(last.id);
        all.extend(videos);
    }
}

/// What `export json` writes, but the name of its format.
fn document(indexed: &IndexedVideo) -> Value {
    let mut document = json!(indexed);
    for scene in document["scenes"].as_array_mut().into_iter().flatten() {
        if let Some(scene) = scene.as_object_mut() {
            scene.remove("vectors");
        }
    }
    document
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;

    #[test]
    fn the_option_that_is_wrong_is_named() {
        let wrong = |options: &str| read::<SearchRequest>(options).unwrap_err();
        let mistyped = wrong(r#"{"query": "rain", "limit": "ten"}"#);
        assert_eq!((mistyped.name.as_str(), mistyped.mistyped), ("limit", true));
        let unknown = wrong(r#"{"query": "rain", "limits": 10}"#);
        assert_eq!((unknown.name.as_str(), unknown.mistyped), ("limits", true));
        let unfit = wrong(r#"{"limit": -1}"#);
        assert_eq!((unfit.name.as_str(), unfit.mistyped), ("limit", false));
        assert_eq!(wrong("[").name, "options");
    }

    #[test]
    fn every_call_reads_the_options_that_it_lists() {
        for (name, listed) in options().as_object().unwrap() {
            let mut listed = listed.clone();
            if name == "search" {
                let fields = listed.as_object_mut().unwrap();
                fields.remove("image");
                let filter = json!(Filter::default());
                for field in filter.as_object().unwrap().keys() {
                    fields.remove(field);
                }
                fields.insert("filter".to_owned(), filter);
            }
            let text = listed.to_string();
            let read = match name.as_str() {
                "open" => read::<OpenOptions>(&text).map(|_| ()),
                "text_model" | "image_model" => read::<ModelCallOptions>(&text).map(|_| ()),
                _ => {
                    Call::of(name, &text, None).map(|_| ()).or_else(|_| FreeCall::of(name, &text).map(|_| ()))
                }
            };
            assert_eq!(read, Ok(()), "{name}");
        }
        assert!(Call::of("sing", "{}", None).is_err() && FreeCall::of("sing", "{}").is_err());
    }

    #[test]
    fn an_error_says_what_it_is_about() {
        let error = Error::media("a.mp4", ErrorKind::Truncated, "it ends early");
        let expected = json!({"kind": "truncated", "message": "a.mp4: it ends early", "path": "a.mp4"});
        assert_eq!(error_json(&error), expected);
        assert_eq!(error_json(&Error::invalid("limit", "too high"))["field"], "limit");
        assert_eq!(error_json(&Error::Cancelled), json!({"kind": "cancelled", "message": "cancelled"}));
    }
}
