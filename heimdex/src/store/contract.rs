//! What a store keeps and answers.

use std::collections::BTreeMap;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::annotate::Tag;
use crate::embed::{EmbedSpec, Vector};
use crate::keyframes::Keyframe;
use crate::media::MediaInfo;
use crate::scenes::Scene;
use crate::shots::Shot;
use crate::transcript::{Segment, TranscriptSource};
use crate::{ErrorKind, LibraryId, Result, SceneId, Span, Stage, Timestamp, VideoId};

/// Where a video stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum VideoState {
    /// Its bytes are on the way.
    Uploading,
    /// It is being probed.
    Validating,
    /// Stages run.
    Processing,
    /// It can be searched.
    Indexed,
    /// A stage failed; an earlier index of it, if any, still serves.
    Failed,
    /// It is gone.
    Deleted,
}

/// A video as the library lists it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct VideoRecord {
    /// Identity inside the library.
    pub id: VideoId,
    /// Where it comes from: a path (bytes that are not UTF-8 escaped as `\xNN`, a backslash
    /// doubled only in a name that needs escapes) or an address.
    pub source: String,
    /// Shown to people.
    pub title: String,
    /// Free text, searched with the title.
    pub description: String,
    /// BLAKE3 of the file's bytes, hexadecimal.
    pub fingerprint: String,
    /// Length as decoded, in microseconds from zero.
    #[serde(rename = "duration_us")]
    pub duration: Timestamp,
    /// Facts of the file.
    pub media: MediaInfo,
    /// ISO 639 code of what is said, where known.
    pub language: Option<String>,
    /// When it was made, RFC 3339, as tagged in the file.
    pub created_at: Option<String>,
    /// What was missing or damaged, one line each; empty when all was well.
    pub warnings: Vec<String>,
    /// Settings that made the index, by stage.
    pub settings: BTreeMap<String, String>,
    /// Where it stands.
    pub state: VideoState,
}

/// Everything that indexing a video gives. `replace_video` stores it in one transaction.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct IndexedVideo {
    /// The video.
    pub video: VideoRecord,
    /// Tile the video.
    pub shots: Vec<Shot>,
    /// In order of time.
    pub keyframes: Vec<Keyframe>,
    /// Where the words come from; `None` when no stage looked for any ("never ran"), which is
    /// another thing than an empty transcript ("ran and found nothing").
    pub transcript: Option<TranscriptSource>,
    /// Cues or phrases in order of start, as read; empty when nothing is said.
    pub segments: Vec<Segment>,
    /// In order of ordinal, tile the video.
    pub scenes: Vec<IndexedScene>,
    /// The embedding spaces that the vectors are of.
    pub spaces: Vec<EmbedSpec>,
}

/// A scene and its vectors.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct IndexedScene {
    /// The scene.
    #[serde(flatten)]
    pub scene: Scene,
    /// Texts by channel beside `speech`, such as `ocr` or a user's own.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub texts: BTreeMap<String, String>,
    /// What it shows, the surest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<Tag>,
    /// Vectors of the scene, in any space of [`IndexedVideo::spaces`].
    pub vectors: Vec<VectorRow>,
}

/// What a vector was made from.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[non_exhaustive]
pub enum VectorOrigin {
    /// A text of the scene, by channel (`speech`).
    Text {
        /// The channel.
        channel: String,
    },
    /// A keyframe of the video, by its index.
    Keyframe {
        /// Index in [`IndexedVideo::keyframes`].
        keyframe: u32,
    },
    /// What an annotator found, by its channel.
    Annotation {
        /// The channel.
        channel: String,
    },
}

/// A vector of a scene.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct VectorRow {
    /// [`EmbedSpec::space`].
    pub space: String,
    /// What it was made from.
    pub origin: VectorOrigin,
    /// The moment it stands for, inside the scene.
    #[serde(rename = "time_us")]
    pub time: Timestamp,
    /// Unit length.
    pub vector: Vector,
}

/// Which scenes may be found. Empty fields do not restrict.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Filter {
    /// Only these videos.
    pub videos: Vec<VideoId>,
    /// Only scenes that overlap this part of their video.
    pub within: Option<Span>,
    /// Only videos at least this long.
    #[serde(rename = "min_duration_us")]
    pub min_duration: Option<Timestamp>,
    /// Only videos at most this long.
    #[serde(rename = "max_duration_us")]
    pub max_duration: Option<Timestamp>,
    /// Only videos made at or after this RFC 3339 date or time.
    pub created_from: Option<String>,
    /// Only videos made before this RFC 3339 date or time.
    pub created_before: Option<String>,
    /// Only videos in one of these languages.
    pub languages: Vec<String>,
    /// Only scenes with all of these tags, by any of their names.
    pub tags: Vec<String>,
}

/// A lexical query in analyzed tokens (see [`crate::text`]).
///
/// A run is one or more tokens that stand side by side, in this order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TextQuery {
    /// A text matches when it holds at least one of these runs, and better the rarer and more. With
    /// `all` they only add to the score.
    pub any: Vec<Vec<String>>,
    /// As `any`, for single tokens of which the beginning is enough.
    pub any_prefix: Vec<String>,
    /// A text matches only when it holds every one of these runs.
    pub all: Vec<Vec<String>>,
}

/// A scene and its raw score in one channel; higher is better.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ScoredScene {
    /// The scene.
    pub scene: SceneId,
    /// BM25 (positive) for text, cosine for vectors.
    pub score: f32,
    /// The moment that matched, where the channel knows one.
    pub time: Option<Timestamp>,
}

/// A scene with its video, as search shows it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SceneRecord {
    /// Identity.
    pub id: SceneId,
    /// The scene with its words.
    pub scene: Scene,
    /// What it shows, the surest first.
    pub tags: Vec<Tag>,
    /// Title of its video.
    pub video_title: String,
    /// Source of its video.
    pub video_source: String,
    /// Length of its video.
    #[serde(rename = "video_duration_us")]
    pub video_duration: Timestamp,
    /// Keyframes inside the scene, in order of time. A scene without one of its own has the nearest
    /// of its shot.
    pub keyframes: Vec<Keyframe>,
}

/// Which part of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Page {
    /// At most this many.
    pub limit: u32,
    /// The last id of the page before.
    pub after: Option<VideoId>,
}

/// How a stage stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StageState {
    /// Not begun.
    Pending,
    /// Begun and not ended.
    Running,
    /// Its output is saved.
    Completed,
    /// It failed.
    Failed,
    /// It was cancelled.
    Cancelled,
}

/// A run of a stage on a video.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StageRecord {
    /// Which.
    pub stage: Stage,
    /// How it stands.
    pub state: StageState,
    /// Unix time in microseconds.
    pub started_us: Option<i64>,
    /// Unix time in microseconds.
    pub ended_us: Option<i64>,
    /// Whether the output was taken from an earlier run.
    pub reused: bool,
    /// Kind of the failure.
    pub error_kind: Option<ErrorKind>,
    /// Text of the failure.
    pub error: Option<String>,
}

/// Keeps the index of any number of libraries and answers ranked look-ups in one channel at a time.
///
/// Rankings are deterministic: ties are ordered by scene id. Every method is safe to call from
/// several tasks and processes at once. Libraries share nothing.
#[async_trait]
pub trait IndexStore: Send + Sync + std::fmt::Debug {
    /// Stores all of a video in one transaction, in place of what was there. Drops the checkpoints
    /// of stages that made vectors: the index holds them now. A library has one space for texts and one
    /// for pictures, so that every query finds all of its videos.
    ///
    /// # Errors
    /// [`ErrorKind::Space`] when a vector's size is not that of its space, its space is not listed, or
    /// other videos have vectors of the same modality in another space; [`ErrorKind::Invalid`] when scenes are not numbered from 0 or a keyframe, shot or
    /// word points outside; [`ErrorKind::Store`] when writing fails. Nothing changes then.
    async fn replace_video(&self, library: LibraryId, video: &IndexedVideo) -> Result<()>;

    /// Sets the state of a video that `replace_video` stored, and nothing else of it; or makes or
    /// replaces a placeholder that lists the video. Search never shows a placeholder.
    async fn set_state(&self, library: LibraryId, video: &VideoRecord) -> Result<()>;

    /// Removes a video, all that was derived from it, its stages and checkpoints. Returns the keys
    /// of its thumbnails and pictures, for the caller to delete; they are [leftovers](Self::leftovers)
    /// until then. `None` when there was no such video.
    async fn delete_video(&self, library: LibraryId, video: VideoId) -> Result<Option<Vec<String>>>;

    /// Removes a library with all its videos, stages and checkpoints. Its files become leftovers.
    async fn delete_library(&self, library: LibraryId) -> Result<()>;

    /// Keys of files that no index names any more and that nobody has said are deleted: of one video,
    /// or of all that the library does not list. Replacing and deleting leave them, in the same
    /// transaction, so that a deletion that was interrupted is finished later.
    async fn leftovers(&self, library: LibraryId, video: Option<VideoId>) -> Result<Vec<String>>;

    /// These files are deleted.
    async fn forget_leftovers(&self, library: LibraryId, files: &[String]) -> Result<()>;

    /// One video.
    async fn video(&self, library: LibraryId, video: VideoId) -> Result<Option<VideoRecord>>;

    /// Videos in order of id, and how many there are in all.
    async fn videos(&self, library: LibraryId, page: Page) -> Result<(Vec<VideoRecord>, u64)>;

    /// Everything that `replace_video` stored. The vectors of a scene come in the order of the video's
    /// spaces, and inside a space as they were stored.
    async fn indexed_video(&self, library: LibraryId, video: VideoId) -> Result<Option<IndexedVideo>>;

    /// Scenes whose text in `channel` (`speech`, `title` or a custom one) matches, best first.
    ///
    /// `title` covers title and description of the video and matches all its scenes; the first
    /// scene that passes the filter stands for them.
    async fn search_text(
        &self,
        library: LibraryId,
        channel: &str,
        query: &TextQuery,
        filter: &Filter,
        limit: usize,
    ) -> Result<Vec<ScoredScene>>;

    /// Scenes by the cosine of their best vector in `space`, best first. Scores are exact, and there
    /// are never fewer scenes than there could be. Of the best, at least 99 of 100 are found at any
    /// filter; a store says when it finds all. SQLite always does, Postgres where few vectors
    /// pass the filter: 10,000, or 3,000 of more than 960 dimensions.
    ///
    /// # Errors
    /// [`ErrorKind::Space`] when the library has no such space, or the query has another size.
    async fn search_vectors(
        &self,
        library: LibraryId,
        space: &str,
        query: &Vector,
        filter: &Filter,
        limit: usize,
    ) -> Result<Vec<ScoredScene>>;

    /// Scenes with any of these tags, best first: the sum of the scores of those they have. A tag is
    /// named by [`tag_key`](super::tag_key) of its label or of another of its names.
    async fn search_tags(
        &self,
        library: LibraryId,
        tags: &[String],
        filter: &Filter,
        limit: usize,
    ) -> Result<Vec<ScoredScene>>;

    /// The scenes of these ids, in the order given; ids that are gone are left out.
    async fn scenes(&self, library: LibraryId, ids: &[SceneId]) -> Result<Vec<SceneRecord>>;

    /// The vectors of a scene, in the order stored; none for a scene that is gone.
    async fn scene_vectors(&self, library: LibraryId, scene: SceneId) -> Result<Vec<VectorRow>>;

    /// Keeps what other models made of an indexed video beside what is searched, in place of what was
    /// kept so before. Nothing of it is found or read back until
    /// [`switch_staged`](Self::switch_staged); [`replace_video`](Self::replace_video) drops it.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when the video has no index; [`ErrorKind::Invalid`] when more than spaces,
    /// vectors, tags and settings differ from it, or vectors of a space that it has.
    async fn stage_video(&self, library: LibraryId, video: &IndexedVideo) -> Result<()>;

    /// The settings of what is staged for a video; `None` when nothing is.
    async fn staged_settings(
        &self,
        library: LibraryId,
        video: VideoId,
    ) -> Result<Option<BTreeMap<String, String>>>;

    /// Puts what is staged in the place of what is searched, for all videos in one transaction, and
    /// drops the spaces that no video has any more. Changes nothing while indexed videos have nothing
    /// staged, and gives their number.
    async fn switch_staged(&self, library: LibraryId) -> Result<u64>;

    /// The embedding spaces of a library that are searched and hold vectors.
    async fn spaces(&self, library: LibraryId) -> Result<Vec<EmbedSpec>>;

    /// Keeps the output of a stage under `key`, a hash of all it follows from, in place of an
    /// earlier output of the same stage.
    async fn save_checkpoint(
        &self,
        library: LibraryId,
        video: VideoId,
        stage: Stage,
        key: &str,
        output: &[u8],
    ) -> Result<()>;

    /// The output kept for a stage, if it was made under the same key.
    async fn checkpoint(
        &self,
        library: LibraryId,
        video: VideoId,
        stage: Stage,
        key: &str,
    ) -> Result<Option<Vec<u8>>>;

    /// Records how a stage stands, in place of its earlier record.
    async fn record_stage(&self, library: LibraryId, video: VideoId, record: &StageRecord) -> Result<()>;

    /// The stages of a video, in order.
    async fn stages(&self, library: LibraryId, video: VideoId) -> Result<Vec<StageRecord>>;
}
