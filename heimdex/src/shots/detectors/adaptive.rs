//! Cuts where a frame's change stands out from that of its neighbours.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::{Clock, Frame, Weights, check};
use crate::shots::FrameScores;
use crate::{Error, Result};

/// Finds cuts where a frame's score is `threshold` times the mean of its neighbours' scores.
///
/// Steady motion raises the neighbours too and makes no cut, so it is the default for indexing.
/// Equal to PySceneDetect 0.7 `AdaptiveDetector`.
///
/// Algorithm: PySceneDetect, `detectors/adaptive_detector.py`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct AdaptiveDetector {
    /// Ratio of a frame's score to its neighbours' from which it begins a shot; above 0, up to 255.
    pub threshold: f64,
    /// Neighbours on each side; 1 to 1000.
    pub window: u32,
    /// The least score of a frame that begins a shot; 0 to 255.
    pub min_content: f64,
    /// The least number of frames between cuts, and from the start to the first.
    pub min_scene_len: u32,
    /// How much each component counts.
    pub weights: Weights,
}

impl Default for AdaptiveDetector {
    fn default() -> Self {
        Self { threshold: 3.0, window: 2, min_content: 15.0, min_scene_len: 15, weights: Weights::default() }
    }
}

#[derive(Debug, Clone)]
pub(super) struct Adaptive {
    settings: AdaptiveDetector,
    /// The frame in question in the middle, its neighbours around it.
    near: VecDeque<(Frame, f64)>,
    last_cut: Option<Frame>,
}

impl Adaptive {
    pub(super) fn new(settings: &AdaptiveDetector) -> Result<Self> {
        check("threshold", settings.threshold, f64::MIN_POSITIVE, 255.0)?;
        check("min_content", settings.min_content, 0.0, 255.0)?;
        if !(1..=1000).contains(&settings.window) {
            return Err(Error::invalid("window", format!("{} is not between 1 and 1000", settings.window)));
        }
        settings.weights.validate()?;
        Ok(Self { settings: settings.clone(), near: VecDeque::new(), last_cut: None })
    }

    pub(super) fn push(&mut self, clock: Clock, frame: Frame, scores: &FrameScores) -> Option<Frame> {
        let AdaptiveDetector { threshold, window, min_content, min_scene_len, weights } = self.settings;
        let last_cut = *self.last_cut.get_or_insert(frame);
        let window = window as usize;
        if self.near.len() == 2 * window + 1 {
            self.near.pop_front();
        }
        self.near.push_back((frame, weights.score(scores)));
        if self.near.len() <= 2 * window {
            return None;
        }
        let (frame, score) = self.near[window];
        let around: f64 =
            self.near.iter().enumerate().filter(|&(i, _)| i != window).map(|(_, &(_, score))| score).sum();
        let mean = around / (2 * window) as f64;
        let ratio = if mean.abs() >= 0.00001 {
            (score / mean).min(255.0)
        } else if score >= min_content {
            255.0
        } else {
            0.0
        };
        let cut = ratio >= threshold
            && score >= min_content
            && clock.frames(last_cut, frame) >= u64::from(min_scene_len);
        cut.then(|| *self.last_cut.insert(frame))
    }
}
