//! The shapes of requests and answers. What the core has a shape for goes as the core writes it; the
//! types that end in `Shape` only describe that in the OpenAPI document, and a test holds them to it.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use heimdex::store::{StageRecord, StageState, VideoState};
use heimdex::{ErrorKind, Stage};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

/// An account.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct User {
    /// Who it is.
    pub id: Uuid,
    /// Null for accounts of another issuer that names none.
    pub email: Option<String>,
    /// Since when.
    pub created_at: DateTime<Utc>,
}

/// What signs somebody in.
#[derive(Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Credentials {
    /// An address, in any case.
    #[schema(
        min_length = 3,
        max_length = 254,
        pattern = "^[^@\\s]+@[^@\\s]+$",
        example = "mina@example.org"
    )]
    pub email: String,
    /// 8 to 200 characters.
    #[schema(min_length = 8, max_length = 200, format = Password)]
    pub password: String,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials").finish_non_exhaustive()
    }
}

/// A session's token.
#[derive(Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RefreshToken {
    /// As it was given, once.
    #[schema(min_length = 1, max_length = 200)]
    pub refresh_token: String,
}

impl std::fmt::Debug for RefreshToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RefreshToken").finish_non_exhaustive()
    }
}

/// The end of a session.
#[derive(Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Logout {
    /// Of the session.
    #[schema(min_length = 1, max_length = 200)]
    pub refresh_token: String,
    /// Ends all sessions of the user.
    #[serde(default)]
    pub everywhere: bool,
}

impl std::fmt::Debug for Logout {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Logout").field("everywhere", &self.everywhere).finish_non_exhaustive()
    }
}

/// Somebody who is signed in.
#[derive(Clone, Serialize, ToSchema)]
pub struct Session {
    /// Who.
    pub user: User,
    /// For the header `Authorization: Bearer ...`.
    pub access_token: String,
    /// Gives the next pair, once.
    pub refresh_token: String,
    /// Seconds that the access token is good for.
    pub expires_in: u64,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("user", &self.user).finish_non_exhaustive()
    }
}

/// Who is asking, and how much room they have.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Me {
    /// Who.
    pub user: User,
    /// What they use, and what they may.
    pub quota: Quota,
}

/// What a user uses, and what they may.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
pub struct Quota {
    /// Videos that are there or on the way.
    pub videos: u64,
    /// Bytes of those.
    pub bytes: u64,
    /// Most videos.
    pub max_videos: u64,
    /// Most bytes of all videos.
    pub max_bytes: u64,
}

/// Where accounts are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum AccountMode {
    /// Here: people can register.
    Local,
    /// Elsewhere: tokens come from another issuer.
    External,
}

/// What a page has to know before anybody is signed in.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
pub struct AuthConfig {
    /// Where accounts are kept.
    pub mode: AccountMode,
    /// Largest video in bytes.
    pub max_upload_bytes: u64,
}

/// A video that is to come.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UploadInit {
    /// The file's name.
    #[schema(min_length = 1, max_length = 255)]
    pub name: String,
    /// A video or sound type, such as `video/mp4`.
    #[schema(min_length = 3, max_length = 100, example = "video/mp4")]
    pub content_type: String,
    /// Its size.
    #[schema(minimum = 1)]
    pub bytes: u64,
    /// What people see; the file's name without its ending when not given.
    #[schema(max_length = 500)]
    pub title: Option<String>,
    /// Free text that is searched with the title.
    #[schema(max_length = 10000)]
    pub description: Option<String>,
}

/// How a video is to be sent.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct UploadPlan {
    /// The video's id, from now on.
    pub video_id: Uuid,
    /// Bytes of every part but the last, which has what is left.
    pub part_bytes: u64,
    /// Each is sent by a request of its own, in any order, several at once if you like.
    pub parts: Vec<PartRequest>,
}

/// The request that sends a part.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct PartRequest {
    /// From 1.
    pub number: u32,
    /// Bytes of this part.
    pub bytes: u64,
    /// Where to; relative to this server's address where it begins with `/`.
    pub url: String,
    /// `PUT`.
    pub method: String,
    /// Headers to send as they are.
    pub headers: BTreeMap<String, String>,
    /// Until when. Ask for the upload again for a new one.
    pub expires_at: DateTime<Utc>,
}

/// How much of a video is there.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct UploadState {
    /// The video's id.
    pub video_id: Uuid,
    /// Its size.
    pub bytes: u64,
    /// Bytes of every part but the last.
    pub part_bytes: u64,
    /// Whether all is there and was accepted: nothing is left to be sent.
    pub completed: bool,
    /// All parts in order.
    pub parts: Vec<PartState>,
}

/// How a part stands.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct PartState {
    /// From 1.
    pub number: u32,
    /// Bytes of this part.
    pub bytes: u64,
    /// Whether it is there.
    pub done: bool,
    /// What it was answered with when it was sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub etag: Option<String>,
    /// The request that sends it; not for one that is there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request: Option<PartRequest>,
}

/// All parts were sent.
#[derive(Debug, Clone, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UploadComplete {
    /// What each was answered with; leave out those that you do not know.
    #[serde(default)]
    pub parts: Vec<SentPart>,
}

/// A part that was sent.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SentPart {
    /// From 1.
    #[schema(minimum = 1)]
    pub number: u32,
    /// The header `ETag` of the answer.
    #[schema(max_length = 200)]
    pub etag: String,
}

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

/// A page of hits, best first.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct SearchAnswer {
    /// The hits.
    pub hits: Vec<SearchHit>,
    /// Scenes found in all, under the same filters as the hits.
    pub total: usize,
    /// Give this as `cursor` for the next page; null on the last.
    pub next: Option<String>,
}

/// A scene that was found.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct SearchHit {
    /// What the core says of it.
    #[serde(flatten)]
    #[schema(value_type = HitShape)]
    pub hit: heimdex::search::Hit,
    /// The picture nearest to the moment.
    pub thumbnail_url: Option<String>,
    /// Where to play it.
    pub playback: Moment,
}

/// How the server is.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Health {
    /// Whether everything it needs answers.
    pub status: HealthStatus,
    /// The version of Heimdex.
    pub version: String,
    /// What this build can do.
    pub features: Vec<String>,
    /// What this process does.
    pub role: String,
    /// The database.
    pub database: PartHealth,
    /// The storage of videos.
    pub storage: PartHealth,
    /// Seconds since the process began.
    pub uptime_seconds: u64,
}

/// In a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum HealthStatus {
    /// All is well.
    Ok,
    /// Something does not answer.
    Degraded,
}

/// How something that the server needs is, as of the last look at it.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct PartHealth {
    /// Whether it answers.
    pub ok: bool,
    /// What it is.
    pub kind: String,
    /// Milliseconds that it took to answer.
    pub latency_ms: f64,
}

/// Whether requests can be served.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Ready {
    /// Whether.
    pub ready: bool,
    /// What was looked at, and what is worth knowing of it.
    pub checks: Vec<Check>,
}

/// A thing that was looked at.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Check {
    /// What.
    pub name: String,
    /// Whether it is as it has to be.
    pub ok: bool,
    /// In a sentence.
    pub detail: String,
}

/// The models of a process.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ModelsView {
    /// Those that are loaded, once for all libraries.
    pub models: Vec<ModelView>,
    /// What is not there, and what that means.
    pub notes: Vec<String>,
    /// What they compute on.
    pub device: String,
    /// Memory of the process; null where it cannot be told.
    pub memory_bytes: Option<u64>,
    /// Seconds since the process began.
    pub uptime_seconds: u64,
}

/// A model.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ModelView {
    /// `text`, `image` or `speech`.
    pub role: String,
    /// Its name.
    pub model: String,
    /// Its revision, where it has one.
    pub revision: Option<String>,
    /// Components of its vectors; null for speech.
    pub dim: Option<usize>,
}

// ---- How the core writes its values.

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

/// How much of a stage is done: all of it, as much as the worker says, or nothing.
pub fn fraction_of(record: &StageRecord, running: Option<heimdex::Progress>) -> f32 {
    match (record.state, running) {
        (StageState::Completed, _) => 1.0,
        (StageState::Running, Some(at)) if at.stage == record.stage => at.stage_fraction,
        // A stage that shares the one pass with the one that reports.
        (StageState::Running, Some(at)) if at.stage == Stage::Decode => at.stage_fraction,
        _ => 0.0,
    }
}
