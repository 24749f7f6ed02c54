//! Uploads in parts.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

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
