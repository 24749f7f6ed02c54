//! Cuts where a frame differs enough from the one before, with short bursts merged.

use serde::{Deserialize, Serialize};

use super::{Clock, Frame, check};
use crate::shots::FrameScores;
use crate::{Error, Result};

/// Finds cuts where the weighted mean change of hue, saturation and brightness between
/// neighbouring frames reaches `threshold`.
///
/// Equal to PySceneDetect 0.7 `ContentDetector`.
///
/// Algorithm: PySceneDetect, `detectors/content_detector.py` and `FlashFilter` in `detector.py`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct ContentDetector {
    /// Score from which a frame begins a shot; above 0, up to 255. Lower finds more.
    pub threshold: f64,
    /// How much each component counts.
    pub weights: Weights,
    /// The least number of frames between cuts, and from the start to the first.
    pub min_scene_len: u32,
    /// What happens to cuts that come faster than that.
    pub filter: FlashMode,
}

impl Default for ContentDetector {
    fn default() -> Self {
        Self { threshold: 27.0, weights: Weights::default(), min_scene_len: 15, filter: FlashMode::Merge }
    }
}

/// Weights of the components of a frame's score, which is their weighted mean.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Weights {
    /// Of the change of hue.
    pub hue: f64,
    /// Of the change of saturation.
    pub saturation: f64,
    /// Of the change of brightness.
    pub brightness: f64,
    /// Of the change of edges; not negative. They cost more than all else, so they are found only
    /// when this is not 0.
    pub edges: f64,
}

impl Default for Weights {
    fn default() -> Self {
        Self { hue: 1.0, saturation: 1.0, brightness: 1.0, edges: 0.0 }
    }
}

impl Weights {
    pub(super) fn validate(&self) -> Result<()> {
        check("weights.hue", self.hue, -1e6, 1e6)?;
        check("weights.saturation", self.saturation, -1e6, 1e6)?;
        check("weights.brightness", self.brightness, -1e6, 1e6)?;
        check("weights.edges", self.edges, 0.0, 1e6)?;
        if self.total() <= 0.0 {
            return Err(Error::invalid("weights", "all are 0; at least one component must count"));
        }
        Ok(())
    }

    fn total(&self) -> f64 {
        self.hue.abs() + self.saturation.abs() + self.brightness.abs() + self.edges
    }

    /// The weighted mean of a frame's components.
    pub(super) fn score(&self, scores: &FrameScores) -> f64 {
        (scores.delta_hue * self.hue
            + scores.delta_sat * self.saturation
            + scores.delta_lum * self.brightness
            + scores.delta_edges * self.edges)
            / self.total()
    }
}

/// What happens to cuts that follow each other faster than the minimum length.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FlashMode {
    /// A burst becomes one cut at its end when it lasts at least the minimum length, else none.
    #[default]
    Merge,
    /// Cuts are ignored until the minimum length has passed since the last one.
    Suppress,
}

#[derive(Debug, Clone)]
pub(super) struct Content {
    settings: ContentDetector,
    /// Merge: the last frame above the threshold. Suppress: the last cut.
    last: Option<Frame>,
    merge: Merge,
}

#[derive(Debug, Clone, Copy)]
enum Merge {
    /// No cut was given yet; a burst before the first cut is dropped.
    Unarmed,
    Armed,
    /// In a burst since this frame.
    Since(Frame),
}

impl Content {
    pub(super) fn new(settings: &ContentDetector) -> Result<Self> {
        check("threshold", settings.threshold, f64::MIN_POSITIVE, 255.0)?;
        settings.weights.validate()?;
        Ok(Self { settings: settings.clone(), last: None, merge: Merge::Unarmed })
    }

    pub(super) fn push(&mut self, clock: Clock, frame: Frame, scores: &FrameScores) -> Option<Frame> {
        let above = self.settings.weights.score(scores) >= self.settings.threshold;
        let least = u64::from(self.settings.min_scene_len);
        if least == 0 {
            return above.then_some(frame);
        }
        let last = *self.last.get_or_insert(frame);
        let far = clock.frames(last, frame) >= least;
        match self.settings.filter {
            FlashMode::Suppress => (above && far).then(|| *self.last.insert(frame)),
            FlashMode::Merge => self.merge(clock, frame, above, far, last),
        }
    }

    fn merge(&mut self, clock: Clock, frame: Frame, above: bool, far: bool, last: Frame) -> Option<Frame> {
        if above {
            self.last = Some(frame);
        }
        match self.merge {
            Merge::Since(start) => {
                let long = clock.frames(start, last) >= u64::from(self.settings.min_scene_len);
                if !(far && !above && long) {
                    return None;
                }
                self.merge = Merge::Armed;
                Some(last)
            }
            _ if !above => None,
            _ if far => {
                self.merge = Merge::Armed;
                Some(frame)
            }
            Merge::Armed => {
                self.merge = Merge::Since(frame);
                None
            }
            Merge::Unarmed => None,
        }
    }
}
