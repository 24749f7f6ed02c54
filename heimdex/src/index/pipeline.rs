//! The pipeline: stages with their settings and models, usable without any store.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::fingerprint::{fingerprint, key};
use super::models::ImageQueue;
use super::pass::{self, AtWork, Seen, Shots, Spoken};
use super::resume::{Forgetful, Run};
use super::source::Source;
use super::video::IndexOptions;
use super::{PipelineBuilder, PipelineSettings};
use crate::annotate::{Annotator, Tagger};
use crate::embed::{EmbedSpec, ImageEmbedder, TextEmbedder, Vector};
use crate::keyframes::{Keyframe, Thumbnails};
use crate::media::{DecodeReport, MediaFile, MediaInfo};
use crate::scenes::{Scene, build_scenes};
use crate::search::Models;
use crate::store::{IndexedScene, IndexedVideo, VectorRow, VideoRecord, VideoState};
use crate::transcript::{self, Transcriber};
use crate::{Cancel, Error, Progress, Result, Stage};

/// Where a record keeps the key of its index, and of its vectors.
pub(super) const INDEX_KEY: &str = "key";
pub(super) const KEYFRAMES_KEY: &str = "keyframes_key";
pub(super) const SCENES_KEY: &str = "scenes_key";
pub(super) const TEXT_KEY: &str = "embed_text_key";
pub(super) const IMAGES_KEY: &str = "embed_images_key";

/// Stages with their settings and models. Clones share the models.
///
/// ```no_run
/// use heimdex::{Cancel, index::Pipeline};
///
/// let pipeline = Pipeline::builder().build()?;
/// let video = pipeline.run("talk.mp4", &Cancel::new(), |_| ())?;
/// for shot in &video.shots {
///     println!("{}", shot.span);
/// }
/// # Ok::<(), heimdex::Error>(())
/// ```
#[derive(Clone)]
pub struct Pipeline {
    pub(super) settings: PipelineSettings,
    pub(super) text: Option<Arc<dyn TextEmbedder>>,
    pub(super) image: Option<Arc<dyn ImageEmbedder>>,
    pub(super) speech: Option<Arc<dyn Transcriber>>,
    /// What tells speech from other sound.
    pub(super) activity: String,
    pub(super) tagger: Option<Arc<Tagger>>,
    pub(super) annotators: Vec<Arc<dyn Annotator>>,
    pub(super) thumbnails: Option<Thumbnails>,
    pub(super) sidecars: Option<PathBuf>,
}

impl fmt::Debug for Pipeline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pipeline")
            .field("settings", &self.settings)
            .field("text", &self.text.as_ref().map(|t| t.spec()))
            .field("image", &self.image.as_ref().map(|i| i.spec()))
            .field("speech", &self.speech.as_ref().map(|s| s.spec()))
            .finish_non_exhaustive()
    }
}

/// What the first stage finds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Validated {
    fingerprint: String,
    media: MediaInfo,
}

/// The keys of a run: each a hash of all that its stage follows from.
struct Keys {
    decode: String,
    shots: String,
    transcribe: String,
    made: ModelKeys,
}

/// The keys of the stages where models work, and of what they follow from.
pub(super) struct ModelKeys {
    keyframes: String,
    scenes: String,
    pub(super) embed_text: String,
    pub(super) embed_images: String,
    pub(super) tags: String,
    /// Follows from everything: two runs with the same key give the same index.
    pub(super) commit: String,
}

/// What models made before: of the index that is there, kept by an earlier run, and in this pass.
pub(super) struct FromModels<'a> {
    pub(super) before: Option<&'a IndexedVideo>,
    pub(super) kept: Option<Vec<Vector>>,
    pub(super) looks: Option<Vec<Vector>>,
}

/// What is known before anything is decoded.
pub(super) struct Plan {
    pub(super) source: Source,
    file: Option<MediaFile>,
    validated: Validated,
    subtitles: Option<transcript::SubtitleFile>,
    title: String,
    description: String,
    keys: Keys,
}

impl Plan {
    /// Whether this index was made from the same file with the same settings.
    pub(super) fn is_done(&self, video: &VideoRecord) -> bool {
        video.state == VideoState::Indexed && video.settings.get(INDEX_KEY) == Some(&self.keys.made.commit)
    }
}

impl Pipeline {
    /// Starts a builder.
    pub fn builder() -> PipelineBuilder {
        PipelineBuilder::default()
    }

    /// The settings of all stages.
    pub fn settings(&self) -> &PipelineSettings {
        &self.settings
    }

    /// The models, to search with what was indexed by them.
    pub(crate) fn models(&self) -> Models {
        Models { text: self.text.clone(), image: self.image.clone(), annotators: self.annotators.clone() }
    }

    pub(crate) fn thumbnails(&self) -> Option<&Thumbnails> {
        self.thumbnails.as_ref()
    }

    /// Runs all stages on a file. Nothing is kept but thumbnails.
    ///
    /// # Errors
    /// The media kinds when the file cannot be used, the model kinds when a model fails.
    ///
    /// # Cancellation
    /// Stops within two seconds, in every stage.
    pub fn run(
        &self,
        path: impl AsRef<Path>,
        cancel: &Cancel,
        mut progress: impl FnMut(Progress),
    ) -> Result<IndexedVideo> {
        let options = IndexOptions { path: path.as_ref().to_owned(), ..IndexOptions::default() };
        let mut run = Run::new(&Forgetful, cancel, &mut progress);
        let plan = self.plan(&options, &mut run)?;
        self.index(plan, None, &mut run)
    }

    /// Opens the file and works out every key. Nothing is decoded.
    pub(super) fn plan(&self, options: &IndexOptions, run: &mut Run<'_>) -> Result<Plan> {
        let source = Source::of_options(options)?;
        let metadata = std::fs::metadata(&source.path).map_err(|e| Error::io(&source.path, e))?;
        let modified = metadata.modified().ok().and_then(|t| t.duration_since(std::time::UNIX_EPOCH).ok());
        let validate = key(&[
            "validate 1",
            &source.text,
            &metadata.len().to_string(),
            &format!("{modified:?}"),
            &json(&self.settings.limits)?,
        ]);
        let mut file = None;
        let validated = run.stage(Stage::Validate, &validate, |run| {
            let opened = MediaFile::open(&source.path, &self.settings.limits, run.cancel)?;
            let media = opened.info().clone();
            file = Some(opened);
            let cancel = run.cancel.clone();
            let size = metadata.len().max(1) as f32;
            let fingerprint = fingerprint(&source.path, &cancel, |read| {
                run.progress(Stage::Validate, 0.99 * read as f32 / size);
            })?;
            Ok(Validated { fingerprint, media })
        })?;
        let subtitles =
            transcript::find_subtitles(&source.path, options.subtitles.as_deref(), &self.settings.subtitles)?;
        let title = options.title.clone().unwrap_or_else(|| source.title());
        let description = options
            .description
            .clone()
            .or_else(|| validated.media.tags.get("title").filter(|t| **t != title).cloned())
            .unwrap_or_default();
        let keys = self.keys(&validated, subtitles.as_ref(), &title, &description)?;
        Ok(Plan { source, file, validated, subtitles, title, description, keys })
    }

    fn keys(
        &self,
        validated: &Validated,
        subtitles: Option<&transcript::SubtitleFile>,
        title: &str,
        description: &str,
    ) -> Result<Keys> {
        let PipelineSettings {
            limits,
            decode: how,
            detector,
            keyframes: frames,
            subtitles: texts,
            speech: _,
            scenes: cut,
        } = &self.settings;
        // The number of threads changes no output.
        let decode = key(&["decode 1", &validated.fingerprint, &how.exact.to_string(), &json(limits)?]);
        let shots = key(&["shots 1", &decode, &json(detector)?]);
        let keyframes = key(&[
            "keyframes 1",
            &shots,
            &json(frames)?,
            &self.thumbnails.as_ref().map(|t| t.width().to_string()).unwrap_or_default(),
        ]);
        let given = subtitles.map(transcript::SubtitleFile::fingerprint).unwrap_or_default();
        let speech = self.speech_key()?;
        let transcribe = key(&["transcribe 2", &decode, &json(texts)?, &given, &speech]);
        let scenes = key(&["scenes 1", &shots, &transcribe, &json(cut)?]);
        let made = self.model_keys(keyframes, scenes, title, description);
        Ok(Keys { decode, shots, transcribe, made })
    }

    pub(super) fn model_keys(
        &self,
        keyframes: String,
        scenes: String,
        title: &str,
        description: &str,
    ) -> ModelKeys {
        let space = self.text.as_ref().map(|t| t.spec().space()).unwrap_or_default();
        let embed_text = key(&["embed_text 1", &scenes, &space]);
        let space = self.image.as_ref().map(|i| i.spec().space()).unwrap_or_default();
        let embed_images = key(&["embed_images 1", &keyframes, &space]);
        let mut notes = vec!["tags 1".to_owned(), scenes.clone(), keyframes.clone()];
        notes.extend(self.tagger.iter().flat_map(|tagger| [embed_images.clone(), tagger.key()]));
        for annotator in &self.annotators {
            let space = annotator.spec().map(EmbedSpec::space).unwrap_or_default();
            notes.push(format!("{} {} {space}", annotator.channel(), annotator.version()));
        }
        let tags = key(&notes.iter().map(String::as_str).collect::<Vec<_>>());
        let commit = key(&["commit 3", &embed_images, &embed_text, &tags, title, description]);
        ModelKeys { keyframes, scenes, embed_text, embed_images, tags, commit }
    }

    /// All stages after the plan, but for the commit. `before` is the index that is there, whose
    /// vectors are used again where nothing they follow from has changed.
    pub(super) fn index(
        &self,
        plan: Plan,
        before: Option<&IndexedVideo>,
        run: &mut Run<'_>,
    ) -> Result<IndexedVideo> {
        let Plan { source, file, validated, subtitles, title, description, keys } = plan;
        let Validated { fingerprint, media } = validated;
        let kept = self.kept_looks(&keys.made, before, run)?;
        let heard: Option<Spoken> = run.kept(Stage::Transcribe, &keys.transcribe)?;
        let listens = heard.is_none() && self.listens_at_once(subtitles.as_ref(), &media);
        let Seen { report, shots, keyframes, looks, spoken } =
            self.see(&source, file, &media, &keys, (kept.is_none(), listens), run)?;
        let Spoken { transcript, warnings: unheard } =
            run.stage(Stage::Transcribe, &keys.transcribe, |run| match spoken {
                Some(spoken) => Ok(spoken),
                None => self.words(&source, subtitles.as_ref(), &media, &report, run),
            })?;
        let segments = transcript.as_ref().map(|t| t.segments.clone()).unwrap_or_default();
        let scenes: Vec<Scene> = run.stage(Stage::Scenes, &keys.made.scenes, |_| {
            Ok(build_scenes(&shots.shots, &segments, &self.settings.scenes))
        })?;
        let models = FromModels { before, kept, looks };
        let scenes = self.with_models(scenes, &keyframes, models, &keys.made, run)?;

        let mut warnings = report.damage.clone();
        if media.video().is_none() {
            warnings.push("there are no pictures: no shots, keyframes or thumbnails".to_owned());
        }
        if media.audio().is_none() {
            warnings.push("there is no sound".to_owned());
        }
        warnings.extend(unheard);
        warnings.extend(subtitles.iter().flat_map(|s| s.warnings().iter().cloned()));
        let language = transcript.as_ref().and_then(|t| t.language.clone());
        let created_at = media.tags.get("creation_time").cloned();
        let video = VideoRecord {
            id: source.id,
            source: source.text,
            title,
            description,
            fingerprint,
            duration: report.end,
            media,
            language,
            created_at,
            warnings,
            settings: self.provenance(&keys.made)?,
            state: VideoState::Indexed,
        };
        Ok(IndexedVideo {
            video,
            shots: shots.shots,
            keyframes,
            transcript: transcript.map(|t| t.source),
            segments,
            scenes,
            spaces: self.spaces(),
        })
    }

    /// Scenes with what models, tags and annotators add to them.
    pub(super) fn with_models(
        &self,
        scenes: Vec<Scene>,
        keyframes: &[Keyframe],
        models: FromModels<'_>,
        keys: &ModelKeys,
        run: &mut Run<'_>,
    ) -> Result<Vec<IndexedScene>> {
        let FromModels { before, kept, looks } = models;
        let vectors = self.embed(&scenes, keys, before, run)?;
        let looks = self.look(keyframes, kept, looks, keys, run)?;
        let notes = self.annotate(&scenes, keyframes, &looks, keys, run)?;
        let rows = self.image_rows(&scenes, keyframes, &looks);
        let parts = scenes.into_iter().zip(vectors).zip(rows).zip(notes);
        Ok(parts
            .map(|(((scene, vector), rows), notes)| {
                let mut vectors: Vec<VectorRow> =
                    vector.into_iter().map(|vector| self.text_row(&scene, vector)).collect();
                vectors.extend(rows);
                vectors.extend(notes.vectors);
                IndexedScene { vectors, scene, texts: notes.texts, tags: notes.tags }
            })
            .collect())
    }

    /// The outputs of the one pass: kept ones when all three are, else those of a new pass. `unseen`
    /// when the image model has not looked at the keyframes yet, `listens` when words are to be heard in
    /// the same pass.
    fn see(
        &self,
        source: &Source,
        file: Option<MediaFile>,
        media: &MediaInfo,
        keys: &Keys,
        (unseen, listens): (bool, bool),
        run: &mut Run<'_>,
    ) -> Result<Seen> {
        let kept: (Option<DecodeReport>, Option<Shots>, Option<Vec<Keyframe>>) = (
            run.kept(Stage::Decode, &keys.decode)?,
            run.kept(Stage::Shots, &keys.shots)?,
            run.kept(Stage::Keyframes, &keys.made.keyframes)?,
        );
        if let (Some(report), Some(shots), Some(keyframes)) = kept
            && (!self.needs_pictures(unseen) || self.holds_pictures(&keyframes)?)
        {
            for stage in [Stage::Decode, Stage::Shots, Stage::Keyframes] {
                run.reused(stage)?;
            }
            return Ok(Seen { report, shots, keyframes, looks: None, spoken: None });
        }
        run.begin(Stage::Decode)?;
        let opened = match file {
            Some(file) => Ok(file),
            None => MediaFile::open(&source.path, &self.settings.limits, run.cancel),
        };
        let length = media.declared_duration.map_or(1.0, |d| d.as_seconds().max(0.001));
        let cancel = run.cancel.clone();
        let mut at =
            |time: crate::Timestamp| run.progress(Stage::Decode, (0.99 * time.as_seconds() / length) as f32);
        let seen = opened.and_then(|file| {
            let image = self.image.as_ref().filter(|_| unseen);
            let images = image.map(|image| ImageQueue::start(Arc::clone(image), &cancel)).transpose()?;
            let listen = if listens { self.listen(media, &cancel)? } else { None };
            let models = AtWork { images, listen };
            pass::run(file, &self.settings, source.id, self.thumbnails.as_ref(), models, &cancel, &mut at)
        });
        let seen = match seen {
            Ok(seen) => seen,
            Err(error) => {
                run.fail(Stage::Decode, &error);
                return Err(error);
            }
        };
        run.keep(Stage::Decode, &keys.decode, &seen.report)?;
        run.begin(Stage::Shots)?;
        run.keep(Stage::Shots, &keys.shots, &seen.shots)?;
        run.begin(Stage::Keyframes)?;
        run.keep(Stage::Keyframes, &keys.made.keyframes, &seen.keyframes)?;
        Ok(seen)
    }

    /// The settings by stage, and the key that tells whether they changed.
    fn provenance(&self, keys: &ModelKeys) -> Result<BTreeMap<String, String>> {
        let settings = &self.settings;
        let mut all = BTreeMap::from([
            ("decode".to_owned(), json(&serde_json::json!({"exact": settings.decode.exact}))?),
            ("shots".to_owned(), json(&settings.detector)?),
            ("keyframes".to_owned(), json(&settings.keyframes)?),
            ("transcribe".to_owned(), json(&settings.subtitles)?),
            ("scenes".to_owned(), json(&settings.scenes)?),
            (KEYFRAMES_KEY.to_owned(), keys.keyframes.clone()),
            (SCENES_KEY.to_owned(), keys.scenes.clone()),
        ]);
        if let Some(transcriber) = &self.speech {
            let speech = serde_json::json!({"spec": transcriber.spec(), "settings": &settings.speech});
            all.insert("speech".to_owned(), json(&speech)?);
        }
        all.extend(self.provenance_of_models(keys)?);
        Ok(all)
    }

    /// The part of [`provenance`](Self::provenance) that other models change.
    pub(super) fn provenance_of_models(&self, keys: &ModelKeys) -> Result<BTreeMap<String, String>> {
        let mut all = BTreeMap::from([(INDEX_KEY.to_owned(), keys.commit.clone())]);
        if let Some(embedder) = &self.text {
            all.insert("embed_text".to_owned(), json(embedder.spec())?);
            all.insert(TEXT_KEY.to_owned(), keys.embed_text.clone());
        }
        if let Some(embedder) = &self.image {
            all.insert("embed_images".to_owned(), json(embedder.spec())?);
            all.insert(IMAGES_KEY.to_owned(), keys.embed_images.clone());
        }
        if let Some(tagger) = &self.tagger {
            all.insert("tags".to_owned(), json(tagger.settings())?);
        }
        for annotator in &self.annotators {
            all.insert(format!("annotate_{}", annotator.channel()), annotator.version());
        }
        Ok(all)
    }
}

pub(super) fn json(value: &impl Serialize) -> Result<String> {
    serde_json::to_string(value).map_err(|e| Error::store("settings cannot be written", e))
}
