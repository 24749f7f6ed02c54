//! Cuts inside fades: between the picture going dark and coming back.

use serde::{Deserialize, Serialize};

use super::{Clock, Frame, check};
use crate::Result;
use crate::shots::FrameScores;

/// Finds fades: a cut between the frame where the mean brightness falls below `threshold` and the
/// one where it is back.
///
/// Equal to PySceneDetect 0.7 `ThresholdDetector` with its method `FLOOR` and without a final scene.
///
/// Algorithm: PySceneDetect, `detectors/threshold_detector.py`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct ThresholdDetector {
    /// Mean of B, G and R below which a frame is dark; above 0, up to 255.
    pub threshold: f64,
    /// Where the cut lies: -1 where the picture goes dark, 0 in the middle, 1 where it comes back.
    pub fade_bias: f64,
    /// The least number of frames between cuts, and from the start to the first.
    pub min_scene_len: u32,
}

impl Default for ThresholdDetector {
    fn default() -> Self {
        Self { threshold: 12.0, fade_bias: 0.0, min_scene_len: 15 }
    }
}

#[derive(Debug, Clone)]
pub(super) struct Threshold {
    settings: ThresholdDetector,
    /// Time zero of frame numbers, and the start of the minimum length.
    first: Option<Frame>,
    last_cut: Option<Frame>,
    dark: Option<Dark>,
}

impl Threshold {
    pub(super) fn new(settings: &ThresholdDetector) -> Result<Self> {
        check("threshold", settings.threshold, f64::MIN_POSITIVE, 255.0)?;
        check("fade_bias", settings.fade_bias, -1.0, 1.0)?;
        Ok(Self { settings: settings.clone(), first: None, last_cut: None, dark: None })
    }

    pub(super) fn push(&mut self, clock: Clock, frame: Frame, scores: &FrameScores) -> Option<Frame> {
        let first = *self.first.get_or_insert(frame);
        let last_cut = *self.last_cut.get_or_insert(frame);
        if scores.mean_bgr < self.settings.threshold {
            self.dark.get_or_insert_default().push(frame);
            return None;
        }
        let mut dark = self.dark.take()?;
        dark.frames.push(frame);
        if clock.frames(last_cut, frame) < u64::from(self.settings.min_scene_len) {
            return None;
        }
        self.last_cut = Some(frame);
        let start = clock.frames(first, *dark.frames.first()?) as f64;
        let length = clock.frames(first, frame) as f64 - start;
        let number = start + (length * (1.0 + self.settings.fade_bias) / 2.0).round_ties_even();
        dark.nearest(clock, first, number)
    }

    /// How many frames are kept.
    #[cfg(test)]
    pub(super) fn remembered(&self) -> usize {
        self.dark.as_ref().map_or(0, |dark| dark.frames.len())
    }
}

/// The frames of a dark stretch, thinned as it grows so that an hour of black stays small.
#[derive(Debug, Clone)]
struct Dark {
    frames: Vec<Frame>,
    /// Every how many-th frame is kept.
    step: u64,
    seen: u64,
}

impl Default for Dark {
    fn default() -> Self {
        Self { frames: Vec::new(), step: 1, seen: 0 }
    }
}

impl Dark {
    const MOST: usize = 1 << 14;

    fn push(&mut self, frame: Frame) {
        if self.seen.is_multiple_of(self.step) {
            self.frames.push(frame);
        }
        self.seen += 1;
        if self.frames.len() == Self::MOST {
            self.step *= 2;
            let mut kept = 0u8;
            self.frames.retain(|_| {
                kept ^= 1;
                kept == 1
            });
        }
    }

    /// The frame that lies nearest to frame number `number` of a constant rate.
    fn nearest(&self, clock: Clock, first: Frame, number: f64) -> Option<Frame> {
        let place = |frame: &Frame| match clock.rate {
            Some(rate) => frame.time.micros_since(first.time) as f64 / 1e6 * rate,
            None => frame.index.saturating_sub(first.index) as f64,
        };
        let distance = |frame: &&Frame| (place(frame) - number).abs();
        self.frames.iter().min_by(|a, b| distance(a).total_cmp(&distance(b))).copied()
    }
}
