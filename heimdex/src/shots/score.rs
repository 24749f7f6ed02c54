//! How much a frame differs from the one before.

use serde::Serialize;

use crate::Timestamp;

/// What detectors need to know of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[non_exhaustive]
pub struct FrameScores {
    /// The frame, counted from 0.
    pub index: u64,
    /// Its presentation time.
    #[serde(rename = "time_us")]
    pub time: Timestamp,
    /// Mean absolute difference of hue (0 to 179, not taken as a circle) to the frame before; 0 for the first.
    pub delta_hue: f64,
    /// The same of saturation, 0 to 255.
    pub delta_sat: f64,
    /// The same of brightness (the largest of B, G and R), 0 to 255.
    pub delta_lum: f64,
    /// The same of edges, 0 to 255; 0 unless the detector weighs them.
    pub delta_edges: f64,
    /// Mean of all B, G and R samples, 0 to 255.
    pub mean_bgr: f64,
}
