//! How much a frame differs from the one before.

use super::SmallPicture;
use super::hsv::HsvPlanes;
use crate::Timestamp;

/// What detectors need to know of a frame.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct FrameScores {
    /// The frame, counted from 0.
    pub index: u64,
    /// Its presentation time.
    pub time: Timestamp,
    /// Mean absolute difference of hue (0 to 179, not taken as a circle) to the frame before; 0 for the first.
    pub delta_hue: f64,
    /// The same of saturation, 0 to 255.
    pub delta_sat: f64,
    /// The same of brightness (the largest of B, G and R), 0 to 255.
    pub delta_lum: f64,
    /// Mean of all B, G and R samples, 0 to 255.
    pub mean_bgr: f64,
}

/// Scores pictures against their predecessors.
///
/// Algorithm: PySceneDetect 0.7, `content_detector.py` and `threshold_detector.py`.
#[derive(Debug, Clone, Default)]
pub(super) struct Differ {
    current: HsvPlanes,
    previous: HsvPlanes,
    frames: u64,
}

impl Differ {
    /// The scores of the next picture. All pictures are of one size; one of another size scores 0.
    pub(super) fn score(&mut self, time: Timestamp, picture: &SmallPicture) -> FrameScores {
        std::mem::swap(&mut self.current, &mut self.previous);
        let sums = self.current.fill(picture, &self.previous);
        let pixels = picture.blue.len().max(1) as f64;
        let index = self.frames;
        self.frames += 1;
        FrameScores {
            index,
            time,
            delta_hue: sums.hue as f64 / pixels,
            delta_sat: sums.saturation as f64 / pixels,
            delta_lum: sums.value as f64 / pixels,
            mean_bgr: sums.samples as f64 / (pixels * 3.0),
        }
    }
}
