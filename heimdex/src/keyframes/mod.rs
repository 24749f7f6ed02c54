//! The frames that stand for a shot, their quality, and thumbnails.
//!
//! Uses [`crate::shots`] and [`crate::media`].

use serde::{Deserialize, Serialize};

use crate::Timestamp;

/// A frame that stands for a shot, or for a window of a long one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Keyframe {
    /// The frame's own time.
    #[serde(rename = "time_us")]
    pub time: Timestamp,
    /// The shot it lies in, counted from 0.
    pub shot: u32,
    /// Quality in 0..=1: sharpness, brightness and distance from cuts.
    pub quality: f32,
    /// Key of the thumbnail in the object store; `None` when none was asked for.
    pub thumbnail: Option<String>,
}
