//! Videos: their state, scenes, words and how they are played.

use chrono::{DateTime, Utc};
use heimdex::ErrorKind;
use heimdex::store::{StageRecord, VideoState};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::{
    JobStateShape, ProgressShape, SceneIdShape, SceneShape, SegmentShape, StageShape, TagShape,
    VideoStateShape,
};

/// What may be changed of a video.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct VideoChange {
    /// What people see.
    #[schema(min_length = 1, max_length = 500)]
    pub title: Option<String>,
    /// Free text that is searched with the title.
    #[schema(max_length = 10000)]
    pub description: Option<String>,
}

fn default_limit() -> u32 {
    24
}

/// Which videos.
#[derive(Debug, Clone, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct VideosQuery {
    /// At most this many.
    #[serde(default = "default_limit")]
    #[param(minimum = 1, maximum = 100, default = 24)]
    pub limit: u32,
    /// `next` of the page before.
    #[param(max_length = 100)]
    pub after: Option<String>,
}

/// Which scenes.
#[derive(Debug, Clone, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ScenesQuery {
    /// At most this many.
    #[serde(default = "default_scenes")]
    #[param(minimum = 1, maximum = 500, default = 200)]
    pub limit: u32,
    /// `next` of the page before: scenes after this one.
    #[param(value_type = Option<u64>, maximum = 4_294_967_295_u32)]
    pub after: Option<u32>,
}

fn default_scenes() -> u32 {
    200
}

/// How a video stands.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct VideoStatus {
    /// The video.
    pub id: Uuid,
    /// Where it stands.
    #[schema(value_type = VideoStateShape)]
    pub state: VideoState,
    /// Whether it can be found, whatever became of a later attempt.
    pub searchable: bool,
    /// How far its indexing is; null before it begins.
    #[schema(value_type = Option<ProgressShape>)]
    pub progress: Option<heimdex::Progress>,
    /// Stages that ran, in order.
    pub stages: Vec<StageStatus>,
    /// Its job; null while it is on the way here.
    pub job: Option<JobStatus>,
    /// Why it failed, or why the last attempt did.
    pub error: Option<Failure>,
}

/// A stage of indexing.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct StageStatus {
    /// The core's record.
    #[serde(flatten)]
    #[schema(value_type = StageShape)]
    pub record: StageRecord,
    /// How much of it is done, 0 to 1.
    pub fraction: f32,
}

/// The job of a video.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
pub struct JobStatus {
    /// How it stands.
    #[schema(value_type = JobStateShape)]
    pub state: heimdex::store::JobState,
    /// How often it failed; it is tried three times.
    pub failures: u32,
}

/// Why something failed.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Failure {
    /// The stable name, such as `truncated`.
    #[schema(value_type = String)]
    pub kind: Option<ErrorKind>,
    /// What was wrong, and the next step where there is one.
    pub message: String,
}

/// A video.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Video {
    /// How it stands.
    #[serde(flatten)]
    pub status: VideoStatus,
    /// What people see.
    pub title: String,
    /// Free text that is searched with the title.
    pub description: String,
    /// The file's name.
    pub name: String,
    /// The type it was sent as.
    pub content_type: String,
    /// Its size.
    pub bytes: u64,
    /// Since when it is here, or on the way.
    pub uploaded_at: DateTime<Utc>,
    /// Length as decoded; 0 until it is known.
    pub duration_us: i64,
    /// ISO 639 code of what is said, where known.
    pub language: Option<String>,
    /// When it was made, as tagged in the file.
    pub created_at: Option<String>,
    /// What was missing or damaged, one line each.
    pub warnings: Vec<String>,
    /// Facts of the file, as the core writes them; null until they are known.
    #[schema(value_type = Option<Object>)]
    pub media: Option<heimdex::media::MediaInfo>,
    /// A picture of it; null until there is one.
    pub thumbnail_url: Option<String>,
}

/// A page of videos, the newest first.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct VideoList {
    /// The videos.
    pub videos: Vec<Video>,
    /// Give this as `after` for the next page; null on the last.
    pub next: Option<String>,
    /// How many there are in all.
    pub total: u64,
}

/// An address to play or show something at.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Playback {
    /// For `<video src>`: answers ranges. Relative to this server's address where it begins with `/`.
    pub url: String,
    /// Until when.
    pub expires_at: DateTime<Utc>,
}

/// A part of a video to play.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Preview {
    /// As in `Playback`, with the part as `#t=START,END`.
    pub url: String,
    /// Until when.
    pub expires_at: DateTime<Utc>,
    /// Where the part begins.
    pub start_us: i64,
    /// Where it ends.
    pub end_us: i64,
}

/// A moment to play.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Moment {
    /// As in `Playback`, with the moment as `#t=SECONDS`.
    pub url: String,
    /// Until when.
    pub expires_at: DateTime<Utc>,
    /// The moment.
    pub moment_us: i64,
}

/// A scene.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct SceneView {
    /// Identity; in addresses it is written `VIDEO:ORDINAL`.
    #[schema(value_type = SceneIdShape)]
    pub id: heimdex::SceneId,
    /// The scene with its words.
    #[serde(flatten)]
    #[schema(value_type = SceneShape)]
    pub scene: heimdex::scenes::Scene,
    /// What it shows, the surest first.
    #[schema(value_type = Vec<TagShape>)]
    pub tags: Vec<heimdex::annotate::Tag>,
    /// Pictures in order of time.
    pub keyframes: Vec<KeyframeView>,
    /// The first of the pictures.
    pub thumbnail_url: Option<String>,
}

/// A picture of a scene.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct KeyframeView {
    /// Its time in the video.
    pub time_us: i64,
    /// Where it is; null when none was kept.
    pub thumbnail_url: Option<String>,
}

/// A page of scenes, in order.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct SceneList {
    /// The scenes.
    pub scenes: Vec<SceneView>,
    /// Give this as `after` for the next page; null on the last.
    pub next: Option<u32>,
}

/// What is said in a video.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct TranscriptView {
    /// Where the words come from; null when nothing looked for any.
    #[schema(value_type = Option<Object>)]
    pub source: Option<heimdex::transcript::TranscriptSource>,
    /// ISO 639 code, where known.
    pub language: Option<String>,
    /// In order of start; empty when nothing is said.
    #[schema(value_type = Vec<SegmentShape>)]
    pub segments: Vec<heimdex::transcript::Segment>,
}
