//! How the core writes its values, for the OpenAPI document alone.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

/// Where a video stands.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum VideoStateShape {
    Uploading,
    Validating,
    Processing,
    Indexed,
    Failed,
    Deleted,
}

/// How a job stands.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum JobStateShape {
    Queued,
    Running,
    Done,
    Dead,
    Cancelled,
}

/// The stages of indexing, in order.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum StageNameShape {
    Validate,
    Decode,
    Shots,
    Keyframes,
    Transcribe,
    Scenes,
    EmbedText,
    EmbedImages,
    Tags,
    Faces,
    Sidecar,
    Commit,
}

/// How a stage stands.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum StageStateShape {
    Pending,
    Running,
    Completed,
    Failed,
    Cancelled,
}

/// How far indexing is. Never goes backwards.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
pub struct ProgressShape {
    /// The stage that runs.
    pub stage: StageNameShape,
    /// How much of it is done, 0 to 1.
    pub stage_fraction: f32,
    /// How much of the video is done, 0 to 1.
    pub fraction: f32,
}

/// A run of a stage.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
pub struct StageShape {
    /// Which.
    pub stage: StageNameShape,
    /// How it stands.
    pub state: StageStateShape,
    /// Unix time in microseconds.
    pub started_us: Option<i64>,
    /// Unix time in microseconds.
    pub ended_us: Option<i64>,
    /// Whether the output was taken from an earlier run.
    pub reused: bool,
    /// The stable name of its failure.
    pub error_kind: Option<String>,
    /// Its failure in words.
    pub error: Option<String>,
}

/// A scene's identity.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SceneIdShape {
    /// The video.
    pub video: Uuid,
    /// Its place in the video, from 0.
    pub ordinal: u32,
}

/// A word with its times.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
pub struct WordShape {
    /// As written.
    pub text: String,
    /// Its start.
    pub start_us: i64,
    /// Its end.
    pub end_us: i64,
    /// How sure the recogniser was, 0 to 1; not for subtitles.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub probability: Option<f32>,
}

/// A cue of subtitles, or a phrase of speech.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
pub struct SegmentShape {
    /// Its start.
    pub start_us: i64,
    /// Its end.
    pub end_us: i64,
    /// Plain text.
    pub text: String,
    /// Its words in order.
    pub words: Vec<WordShape>,
    /// Who speaks, where the source says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub speaker: Option<String>,
    /// ISO 639 code, where it differs from the transcript's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub language: Option<String>,
    /// Probability that this is not speech.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub no_speech_probability: Option<f32>,
}

/// A scene.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
pub struct SceneShape {
    /// Its place in the video, from 0.
    pub ordinal: u32,
    /// Its start.
    pub start_us: i64,
    /// Its end.
    pub end_us: i64,
    /// The shot it belongs to, from 0.
    pub shot: u32,
    /// What is said in it.
    pub speech: String,
    /// The words it owns.
    pub words: Vec<WordShape>,
}

/// A word for what a scene shows.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
pub struct TagShape {
    /// The label.
    pub label: String,
    /// Other names that it is found by.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    pub names: Vec<String>,
    /// How sure it is, 0 to 1.
    pub score: f32,
}

/// The video of a hit.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
pub struct HitVideoShape {
    /// Its title.
    pub title: String,
    /// What the index calls it.
    pub source: String,
    /// Its length.
    pub duration_us: i64,
}

/// What a channel says of a hit.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
pub struct ChannelShape {
    /// Its name.
    pub channel: String,
    /// From 1.
    pub rank: usize,
    /// BM25 for words, cosine for vectors.
    pub score: f32,
}

/// A scene that was found.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
pub struct HitShape {
    /// The scene.
    pub scene: SceneIdShape,
    /// Its video.
    pub video: HitVideoShape,
    /// Its start.
    pub start_us: i64,
    /// Its end.
    pub end_us: i64,
    /// Where to seek to.
    pub moment_us: i64,
    /// What is said in the scene.
    pub text: String,
    /// The words that matched.
    pub matched_words: Vec<WordShape>,
    /// What the scene shows.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    pub tags: Vec<TagShape>,
    /// Key of the picture nearest to the moment; `thumbnail_url` shows it.
    pub thumbnail: Option<String>,
    /// The fused score; only comparable within one search.
    pub score: f32,
    /// Rank and score in each channel, when explained.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    pub channels: Vec<ChannelShape>,
}

/// A part of a video.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
pub struct SpanShape {
    /// Its start.
    pub start_us: i64,
    /// Its end.
    pub end_us: i64,
}

/// Which scenes may be found. Empty fields do not restrict.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
#[derive(Default)]
pub struct FilterShape {
    /// Only these videos.
    #[schema(max_items = 1000)]
    pub videos: Vec<Uuid>,
    /// Only scenes that overlap this part of their video.
    pub within: Option<SpanShape>,
    /// Only videos at least this long.
    pub min_duration_us: Option<i64>,
    /// Only videos at most this long.
    pub max_duration_us: Option<i64>,
    /// Only videos made at or after this RFC 3339 date or time.
    pub created_from: Option<String>,
    /// Only videos made before this RFC 3339 date or time.
    pub created_before: Option<String>,
    /// Only videos in one of these languages.
    #[schema(max_items = 100)]
    pub languages: Vec<String>,
    /// Only scenes with all of these tags.
    #[schema(max_items = 100)]
    pub tags: Vec<String>,
}

/// How the rankings of channels become one.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum FusionShape {
    /// The sum over channels of `weight / (k + rank)`.
    ReciprocalRank {
        /// How little the first ranks stand out.
        #[schema(minimum = 0)]
        k: f32,
    },
    /// The weighted sum of scores brought to 0..=1.
    Weighted {
        /// For words, titles and meaning.
        #[schema(minimum = 0)]
        text: f32,
        /// For what is shown.
        #[schema(minimum = 0)]
        vision: f32,
        /// For tags.
        #[schema(minimum = 0)]
        tags: f32,
    },
}

/// A search: the core's request, and a picture.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SearchShape {
    /// Words, `"quoted phrases"`. May be empty with `like` or `image`.
    #[schema(max_length = 1000, example = "a red car in the rain")]
    pub query: String,
    /// Which scenes may be found.
    pub filter: FilterShape,
    /// Hits on a page.
    #[schema(minimum = 1, maximum = 200)]
    pub limit: usize,
    /// `next` of the page before.
    #[schema(max_length = 2000)]
    pub cursor: Option<String>,
    /// At most this many hits of one video.
    #[schema(minimum = 1)]
    pub per_video: Option<usize>,
    /// What is like this scene.
    pub like: Option<SceneIdShape>,
    /// What looks like this picture: PNG, JPEG, WebP, GIF or BMP in base64, at most 8 MiB before it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// Weight of each channel; 0 leaves one out.
    pub weights: BTreeMap<String, f32>,
    /// How rankings become one.
    pub fusion: Option<FusionShape>,
    /// Least cosine at which two texts are about the same thing.
    pub min_similarity: f32,
    /// Least probability that the words describe a picture.
    pub min_probability: f32,
    /// Least cosine at which two pictures look alike.
    pub min_likeness: f32,
    /// Tell rank and score by channel with every hit.
    pub explain: bool,
}

impl Default for SearchShape {
    /// The core's.
    fn default() -> Self {
        let core = heimdex::search::SearchRequest::default();
        Self {
            query: core.query,
            filter: FilterShape::default(),
            limit: core.limit,
            cursor: None,
            per_video: None,
            like: None,
            image: None,
            weights: core.weights,
            fusion: None,
            min_similarity: core.min_similarity,
            min_probability: core.min_probability,
            min_likeness: core.min_likeness,
            explain: core.explain,
        }
    }
}
