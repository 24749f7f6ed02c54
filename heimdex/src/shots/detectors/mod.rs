//! Detectors: settings as plain structs, and the streaming rules that turn scores into cuts.
//!
//! Algorithms: PySceneDetect 0.7.2, `detector.py` and `detectors/*.py`.

mod adaptive;
mod content;
mod threshold;

use serde::{Deserialize, Serialize};

use super::{Cut, FrameScores};
use crate::{Error, Result, Timestamp};

pub use adaptive::AdaptiveDetector;
pub use content::{ContentDetector, FlashMode, Weights};
pub use threshold::ThresholdDetector;

/// Which rule finds the cuts, with its settings.
///
/// ```
/// use heimdex::shots::{ContentDetector, Detector};
/// let detector: Detector = ContentDetector::default().into();
/// let finder = detector.start(Some((30_000, 1001)))?;
/// # drop(finder);
/// # Ok::<(), heimdex::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Detector {
    /// Hard cuts, by change against the neighbouring frames; the default.
    Adaptive(AdaptiveDetector),
    /// Hard cuts, by change against the frame before.
    Content(ContentDetector),
    /// Fades through black.
    Threshold(ThresholdDetector),
}

impl Default for Detector {
    fn default() -> Self {
        AdaptiveDetector::default().into()
    }
}

impl From<AdaptiveDetector> for Detector {
    fn from(settings: AdaptiveDetector) -> Self {
        Self::Adaptive(settings)
    }
}

impl From<ContentDetector> for Detector {
    fn from(settings: ContentDetector) -> Self {
        Self::Content(settings)
    }
}

impl From<ThresholdDetector> for Detector {
    fn from(settings: ThresholdDetector) -> Self {
        Self::Threshold(settings)
    }
}

impl Detector {
    /// Whether its scores need edges.
    #[cfg(feature = "media")]
    pub(super) fn weighs_edges(&self) -> bool {
        match self {
            Self::Adaptive(settings) => settings.weights.edges > 0.0,
            Self::Content(settings) => settings.weights.edges > 0.0,
            Self::Threshold(_) => false,
        }
    }

    /// Begins with a video of `rate` frames a second (its average, as a fraction).
    ///
    /// Minimum lengths are in frames but measured in time, so that frames that last long count as
    /// several. Without a rate they count decoded frames.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) with the name of a setting that cannot be used.
    pub fn start(&self, rate: Option<(u32, u32)>) -> Result<CutFinder> {
        let clock = Clock::new(rate);
        let rule = match self {
            Self::Adaptive(settings) => Rule::Adaptive(adaptive::Adaptive::new(settings)?),
            Self::Content(settings) => Rule::Content(content::Content::new(settings)?),
            Self::Threshold(settings) => Rule::Threshold(threshold::Threshold::new(settings)?),
        };
        Ok(CutFinder { clock, rule })
    }
}

/// Takes the scores of one video in order and gives each cut as soon as it is certain.
///
/// Memory does not grow with the length of the video.
#[derive(Debug, Clone)]
pub struct CutFinder {
    clock: Clock,
    rule: Rule,
}

#[derive(Debug, Clone)]
enum Rule {
    Adaptive(adaptive::Adaptive),
    Content(content::Content),
    Threshold(threshold::Threshold),
}

impl CutFinder {
    /// Takes the next frame; gives a cut that it makes certain, at this frame or an earlier one.
    ///
    /// A cut that needs a later frame is never given once the video has ended, as in PySceneDetect.
    pub fn push(&mut self, scores: &FrameScores) -> Option<Cut> {
        let frame = Frame { index: scores.index, time: scores.time };
        let cut = match &mut self.rule {
            Rule::Adaptive(rule) => rule.push(self.clock, frame, scores),
            Rule::Content(rule) => rule.push(self.clock, frame, scores),
            Rule::Threshold(rule) => rule.push(self.clock, frame, scores),
        };
        cut.map(|frame| Cut { frame: frame.index, time: frame.time })
    }
}

/// A frame's place in the video.
#[derive(Debug, Clone, Copy)]
struct Frame {
    index: u64,
    time: Timestamp,
}

/// Measures time in frames.
#[derive(Debug, Clone, Copy)]
struct Clock {
    /// Frames a second; `None` when it is not known.
    rate: Option<f64>,
}

impl Clock {
    fn new(rate: Option<(u32, u32)>) -> Self {
        let rate = rate.filter(|&(n, d)| n > 0 && d > 0);
        Self { rate: rate.map(|(n, d)| f64::from(n) / f64::from(d)) }
    }

    /// Frames from `earlier` to `later`; 0 when time goes back.
    fn frames(self, earlier: Frame, later: Frame) -> u64 {
        match self.rate {
            Some(rate) => {
                (later.time.micros_since(earlier.time).max(0) as f64 / 1e6 * rate).round_ties_even() as u64
            }
            None => later.index.saturating_sub(earlier.index),
        }
    }
}

/// A finite number within bounds, or an error that names the setting.
fn check(field: &'static str, value: f64, low: f64, high: f64) -> Result<f64> {
    if value.is_finite() && (low..=high).contains(&value) {
        return Ok(value);
    }
    Err(Error::invalid(field, format!("{value} is not between {low} and {high}")))
}

#[cfg(test)]
mod tests;
