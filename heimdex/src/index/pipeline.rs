//! The pipeline: stages with their settings and models, usable without any store.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures::executor::block_on;
use serde::{Deserialize, Serialize};

use super::PipelineSettings;
use super::fingerprint::{fingerprint, key};
use super::models::{ImageQueue, embed_texts};
use super::pass::{self, Seen, Shots};
use super::resume::{Forgetful, Run};
use super::source::Source;
use super::video::IndexOptions;
use crate::embed::{EmbedSpec, ImageEmbedder, Models, TextEmbedder, Vector};
use crate::keyframes::{self, Keyframe, Thumbnails};
use crate::media::{DecodeReport, MediaFile, MediaInfo};
use crate::scenes::{Scene, build_scenes};
use crate::store::{IndexedScene, IndexedVideo, VectorOrigin, VectorRow, VideoRecord, VideoState};
use crate::transcript::{self, Transcript};
use crate::{Cancel, Error, Progress, Result, Span, Stage};

/// Texts that are embedded in one call, so that progress moves and cancel is seen.
const TEXTS_A_CALL: usize = 64;

/// Where a record keeps the key of its index, and of its vectors.
const INDEX_KEY: &str = "key";
const TEXT_KEY: &str = "embed_text_key";
const IMAGES_KEY: &str = "embed_images_key";

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
    settings: PipelineSettings,
    text: Option<Arc<dyn TextEmbedder>>,
    image: Option<Arc<dyn ImageEmbedder>>,
    thumbnails: Option<Thumbnails>,
}

impl fmt::Debug for Pipeline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pipeline")
            .field("settings", &self.settings)
            .field("text", &self.text.as_ref().map(|t| t.spec()))
            .field("image", &self.image.as_ref().map(|i| i.spec()))
            .finish_non_exhaustive()
    }
}

/// Builds a [`Pipeline`].
#[derive(Default)]
pub struct PipelineBuilder {
    settings: PipelineSettings,
    text: Option<Arc<dyn TextEmbedder>>,
    image: Option<Arc<dyn ImageEmbedder>>,
    thumbnails: Option<PathBuf>,
}

impl fmt::Debug for PipelineBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PipelineBuilder").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl PipelineBuilder {
    /// The settings of all stages; defaults when not given.
    #[must_use]
    pub fn settings(mut self, settings: PipelineSettings) -> Self {
        self.settings = settings;
        self
    }

    /// The model for search by what is shown. Without one, pictures play no part in search.
    #[must_use]
    pub fn image(mut self, embedder: Arc<dyn ImageEmbedder>) -> Self {
        self.image = Some(embedder);
        self
    }

    /// The model for search by meaning. Without one, scenes are found by their words.
    #[must_use]
    pub fn text(mut self, embedder: Arc<dyn TextEmbedder>) -> Self {
        self.text = Some(embedder);
        self
    }

    /// The folder for thumbnails, and for the pictures that models look at. Without one, none are kept,
    /// and another image model needs another decoding.
    #[must_use]
    pub fn thumbnails(mut self, folder: impl Into<PathBuf>) -> Self {
        self.thumbnails = Some(folder.into());
        self
    }

    /// Checks the settings.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) naming the field that cannot be used;
    /// [`ErrorKind::Io`](crate::ErrorKind::Io) when the folder cannot be made.
    pub fn build(self) -> Result<Pipeline> {
        self.settings.validate()?;
        let thumbnails = self.thumbnails.map(|folder| Thumbnails::folder(&folder)).transpose()?;
        Ok(Pipeline { settings: self.settings, text: self.text, image: self.image, thumbnails })
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
    keyframes: String,
    transcribe: String,
    scenes: String,
    embed_text: String,
    embed_images: String,
    /// Follows from everything: two runs with the same key give the same index.
    commit: String,
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
        video.state == VideoState::Indexed && video.settings.get(INDEX_KEY) == Some(&self.keys.commit)
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
        Models { text: self.text.clone(), image: self.image.clone() }
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
        let source = Source::of(&options.path)?;
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
        let transcribe = key(&["transcribe 1", &decode, &json(texts)?, &given]);
        let scenes = key(&["scenes 1", &shots, &transcribe, &json(cut)?]);
        let space = self.text.as_ref().map(|t| t.spec().space()).unwrap_or_default();
        let embed_text = key(&["embed_text 1", &scenes, &space]);
        let space = self.image.as_ref().map(|i| i.spec().space()).unwrap_or_default();
        let embed_images = key(&["embed_images 1", &keyframes, &space]);
        let commit = key(&["commit 2", &embed_images, &embed_text, title, description]);
        Ok(Keys { decode, shots, keyframes, transcribe, scenes, embed_text, embed_images, commit })
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
        let kept = self.kept_looks(&keys, before, run)?;
        let Seen { report, shots, keyframes, looks } =
            self.see(&source, file, &media, &keys, kept.is_none(), run)?;

        let transcript: Option<Transcript> = run.stage(Stage::Transcribe, &keys.transcribe, |_| {
            let settings = &self.settings.subtitles;
            Ok(transcript::choose(subtitles.as_ref(), &media, &report.cues, report.end, settings))
        })?;
        let segments = transcript.as_ref().map(|t| t.segments.clone()).unwrap_or_default();
        let scenes: Vec<Scene> = run.stage(Stage::Scenes, &keys.scenes, |_| {
            Ok(build_scenes(&shots.shots, &segments, &self.settings.scenes))
        })?;
        let vectors = self.embed(&scenes, &keys, before, run)?;
        let looks = self.look(&keyframes, kept, looks, &keys, run)?;

        let mut warnings = report.damage.clone();
        if media.video().is_none() {
            warnings.push("there are no pictures: no shots, keyframes or thumbnails".to_owned());
        }
        if media.audio().is_none() {
            warnings.push("there is no sound".to_owned());
        }
        warnings.extend(subtitles.iter().flat_map(|s| s.warnings().iter().cloned()));
        let language = transcript.as_ref().and_then(|t| t.language.clone());
        let created_at = media.tags.get("creation_time").cloned();
        let mut rows = self.image_rows(&scenes, &keyframes, looks);
        let scenes = scenes
            .into_iter()
            .zip(vectors)
            .map(|(scene, vector)| {
                let mut vectors: Vec<VectorRow> =
                    vector.into_iter().map(|vector| self.text_row(&scene, vector)).collect();
                vectors.append(&mut rows[scene.ordinal as usize]);
                IndexedScene { vectors, scene, texts: BTreeMap::new() }
            })
            .collect();
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
            settings: self.provenance(&keys)?,
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

    /// The outputs of the one pass: kept ones when all three are, else those of a new pass. `unseen`
    /// when the image model has not looked at the keyframes yet.
    fn see(
        &self,
        source: &Source,
        file: Option<MediaFile>,
        media: &MediaInfo,
        keys: &Keys,
        unseen: bool,
        run: &mut Run<'_>,
    ) -> Result<Seen> {
        let kept: (Option<DecodeReport>, Option<Shots>, Option<Vec<Keyframe>>) = (
            run.kept(Stage::Decode, &keys.decode)?,
            run.kept(Stage::Shots, &keys.shots)?,
            run.kept(Stage::Keyframes, &keys.keyframes)?,
        );
        if let (Some(report), Some(shots), Some(keyframes)) = kept
            && (!unseen || self.image.is_none() || self.holds_pictures(&keyframes)?)
        {
            for stage in [Stage::Decode, Stage::Shots, Stage::Keyframes] {
                run.reused(stage)?;
            }
            return Ok(Seen { report, shots, keyframes, looks: None });
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
            pass::run(file, &self.settings, source.id, self.thumbnails.as_ref(), images, &cancel, &mut at)
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
        run.keep(Stage::Keyframes, &keys.keyframes, &seen.keyframes)?;
        Ok(seen)
    }

    /// One vector per scene that says something.
    fn embed(
        &self,
        scenes: &[Scene],
        keys: &Keys,
        before: Option<&IndexedVideo>,
        run: &mut Run<'_>,
    ) -> Result<Vec<Option<Vector>>> {
        let Some(embedder) = &self.text else { return Ok(vec![None; scenes.len()]) };
        if let Some(before) = before.filter(|b| b.video.settings.get(TEXT_KEY) == Some(&keys.embed_text)) {
            run.reused(Stage::EmbedText)?;
            let spoken = |s: &IndexedScene| {
                let row = s.vectors.iter().find(|row| matches!(row.origin, VectorOrigin::Text { .. }));
                row.map(|row| row.vector.clone())
            };
            return Ok(before.scenes.iter().map(spoken).collect());
        }
        run.stage(Stage::EmbedText, &keys.embed_text, |run| {
            let spoken: Vec<usize> =
                (0..scenes.len()).filter(|i| !scenes[*i].speech.trim().is_empty()).collect();
            let mut vectors = vec![None; scenes.len()];
            for (done, batch) in spoken.chunks(TEXTS_A_CALL).enumerate() {
                run.cancel.check()?;
                let texts: Vec<String> = batch.iter().map(|i| scenes[*i].speech.clone()).collect();
                for (i, vector) in batch.iter().zip(embed_texts(embedder, texts, run.cancel)?) {
                    vectors[*i] = Some(vector);
                }
                run.progress(Stage::EmbedText, 0.99 * (done * TEXTS_A_CALL) as f32 / spoken.len() as f32);
            }
            Ok(vectors)
        })
    }

    /// Whether the pictures of all keyframes are kept.
    fn holds_pictures(&self, keyframes: &[Keyframe]) -> Result<bool> {
        let keys: Option<Vec<&str>> = keyframes.iter().map(|k| k.picture.as_deref()).collect();
        match (&self.thumbnails, keys) {
            (Some(thumbnails), Some(keys)) => block_on(thumbnails.hold(&keys)),
            _ => Ok(keyframes.is_empty()),
        }
    }

    /// The vectors of keyframes that an earlier run, or the index that is there, has.
    fn kept_looks(
        &self,
        keys: &Keys,
        before: Option<&IndexedVideo>,
        run: &Run<'_>,
    ) -> Result<Option<Vec<Vector>>> {
        if self.image.is_none() {
            return Ok(None);
        }
        let before = before.filter(|b| b.video.settings.get(IMAGES_KEY) == Some(&keys.embed_images));
        if let Some(before) = before {
            let rows = before.scenes.iter().flat_map(|s| &s.vectors);
            let looks: BTreeMap<u32, &Vector> = rows
                .filter_map(|row| match row.origin {
                    VectorOrigin::Keyframe { keyframe } => Some((keyframe, &row.vector)),
                    VectorOrigin::Text { .. } => None,
                })
                .collect();
            if looks.keys().copied().eq(0..before.keyframes.len() as u32) {
                return Ok(Some(looks.into_values().cloned().collect()));
            }
        }
        run.kept(Stage::EmbedImages, &keys.embed_images)
    }

    /// One vector for each keyframe: those kept, those of the pass, or those of the pictures that were
    /// kept when the file was decoded.
    fn look(
        &self,
        keyframes: &[Keyframe],
        kept: Option<Vec<Vector>>,
        seen: Option<Vec<Vector>>,
        keys: &Keys,
        run: &mut Run<'_>,
    ) -> Result<Vec<Vector>> {
        let Some(image) = &self.image else { return Ok(Vec::new()) };
        if let Some(kept) = kept.filter(|kept| kept.len() == keyframes.len()) {
            run.reused(Stage::EmbedImages)?;
            return Ok(kept);
        }
        run.stage(Stage::EmbedImages, &keys.embed_images, |run| {
            if let Some(seen) = seen {
                return Ok(seen);
            }
            let queue = ImageQueue::start(Arc::clone(image), run.cancel)?;
            for (done, keyframe) in keyframes.iter().enumerate() {
                let (Some(thumbnails), Some(key)) = (&self.thumbnails, &keyframe.picture) else {
                    return Err(Error::store(
                        "reading a kept keyframe",
                        "none is kept; index again with force",
                    ));
                };
                queue.push(keyframes::decode(&block_on(thumbnails.get(key))?)?)?;
                run.progress(Stage::EmbedImages, 0.99 * done as f32 / keyframes.len() as f32);
            }
            queue.finish()
        })
    }

    /// The rows of each scene: its keyframes, or where it has none, the one of its shot that is nearest.
    fn image_rows(
        &self,
        scenes: &[Scene],
        keyframes: &[Keyframe],
        looks: Vec<Vector>,
    ) -> Vec<Vec<VectorRow>> {
        let Some(image) = self.image.as_ref().filter(|_| !looks.is_empty()) else {
            return vec![Vec::new(); scenes.len()];
        };
        let space = image.spec().space();
        let row = |(i, keyframe): (usize, &Keyframe), span: Span| VectorRow {
            space: space.clone(),
            origin: VectorOrigin::Keyframe { keyframe: u32::try_from(i).unwrap_or(u32::MAX) },
            time: keyframe.time.clamp(span.start, span.end),
            vector: looks[i].clone(),
        };
        let of_scene = |scene: &Scene| {
            let of_shot = || keyframes.iter().enumerate().filter(|(_, k)| k.shot == scene.shot);
            let inside: Vec<VectorRow> = of_shot()
                .filter(|(_, k)| scene.span.contains(k.time))
                .map(|keyframe| row(keyframe, scene.span))
                .collect();
            if !inside.is_empty() {
                return inside;
            }
            let middle = scene.span.middle();
            let nearest = of_shot().min_by_key(|(_, k)| k.time.micros_since(middle).abs());
            nearest.map(|keyframe| row(keyframe, scene.span)).into_iter().collect()
        };
        scenes.iter().map(of_scene).collect()
    }

    /// What made the vectors.
    fn spaces(&self) -> Vec<EmbedSpec> {
        let text = self.text.iter().map(|t| t.spec().clone());
        let mut all: Vec<EmbedSpec> = text.collect();
        for spec in self.image.iter().map(|i| i.spec()) {
            if all.iter().all(|other| other.space() != spec.space()) {
                all.push(spec.clone());
            }
        }
        all
    }

    fn text_row(&self, scene: &Scene, vector: Vector) -> VectorRow {
        VectorRow {
            space: self.text.as_ref().map(|t| t.spec().space()).unwrap_or_default(),
            origin: VectorOrigin::Text { channel: "speech".to_owned() },
            time: scene
                .words
                .first()
                .map_or(scene.span.start, |word| word.span.start.clamp(scene.span.start, scene.span.end)),
            vector,
        }
    }

    /// The settings by stage, and the key that tells whether they changed.
    fn provenance(&self, keys: &Keys) -> Result<BTreeMap<String, String>> {
        let settings = &self.settings;
        let mut all = BTreeMap::from([
            ("decode".to_owned(), json(&serde_json::json!({"exact": settings.decode.exact}))?),
            ("shots".to_owned(), json(&settings.detector)?),
            ("keyframes".to_owned(), json(&settings.keyframes)?),
            ("transcribe".to_owned(), json(&settings.subtitles)?),
            ("scenes".to_owned(), json(&settings.scenes)?),
            (INDEX_KEY.to_owned(), keys.commit.clone()),
        ]);
        if let Some(embedder) = &self.text {
            all.insert("embed_text".to_owned(), json(embedder.spec())?);
            all.insert(TEXT_KEY.to_owned(), keys.embed_text.clone());
        }
        if let Some(embedder) = &self.image {
            all.insert("embed_images".to_owned(), json(embedder.spec())?);
            all.insert(IMAGES_KEY.to_owned(), keys.embed_images.clone());
        }
        Ok(all)
    }
}

fn json(value: &impl Serialize) -> Result<String> {
    serde_json::to_string(value).map_err(|e| Error::store("settings cannot be written", e))
}
