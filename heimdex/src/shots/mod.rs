//! Shot detection, equal to PySceneDetect 0.7.
//!
//! A decoded frame becomes a small BGR picture ([`SmallPicture`], bit for bit what swscale and
//! OpenCV's linear resize give), the small picture becomes scores against its predecessor
//! ([`FrameScores`]), a [`Detector`] turns scores into cuts, and [`tile`] turns cuts into shots.
//!
//! Uses time, errors and pictures of [`crate::media`].

mod detectors;
#[cfg(feature = "media")]
mod edges;
#[cfg(feature = "media")]
mod hsv;
#[cfg(feature = "media")]
mod picture;
#[cfg(feature = "media")]
mod resize;
mod score;
#[cfg(feature = "media")]
mod scorer;
#[cfg(feature = "media")]
mod small;
#[cfg(all(test, feature = "media"))]
mod tests;
mod tile;
#[cfg(feature = "media")]
mod yuv;

use serde::{Deserialize, Serialize};

use crate::{Span, Timestamp};

pub use detectors::{
    AdaptiveDetector, ContentDetector, CutFinder, Detector, FlashMode, ThresholdDetector, Weights,
};
pub use score::FrameScores;
#[cfg(feature = "media")]
pub use scorer::FrameScorer;
#[cfg(feature = "media")]
pub use small::{PictureMeasures, SmallPicture};
pub use tile::tile;

/// An unbroken run of frames. Shots are half-open and tile the video exactly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shot {
    /// From its first frame to the first frame of the next shot, or the end of the video.
    #[serde(flatten)]
    pub span: Span,
}

/// Where a new shot begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cut {
    /// The first frame of the new shot, counted from 0 in the order shown.
    pub frame: u64,
    /// That frame's time.
    #[serde(rename = "time_us")]
    pub time: Timestamp,
}
