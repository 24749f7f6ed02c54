//! The frames that stand for a shot, their quality, and thumbnails.
//!
//! Uses [`crate::shots`] and [`crate::media`].

#[cfg(feature = "media")]
mod selection;
#[cfg(feature = "media")]
mod thumbnails;

#[cfg(all(test, feature = "media"))]
mod tests;

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{Error, Result, Timestamp};

#[cfg(feature = "media")]
pub(crate) use selection::{Candidate, KeyframeSelector, SelectedKeyframe};
#[cfg(feature = "media")]
pub use thumbnails::Thumbnails;
#[cfg(feature = "media")]
pub(crate) use thumbnails::{decode, look};

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
    /// Key of the picture that models look at, in the same store.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub picture: Option<String>,
}

/// Which frames stand for a shot.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct KeyframeSettings {
    /// A shot has one keyframe for each stretch of this length.
    pub window: Duration,
    /// Frames looked at in a window.
    pub candidates: u32,
    /// Keyframes of one shot differ at least by this much, in grey levels of a tiny picture.
    pub min_difference: f32,
}

impl Default for KeyframeSettings {
    /// One per 4 s, the best of 8, 4 levels apart.
    fn default() -> Self {
        Self { window: Duration::from_secs(4), candidates: 8, min_difference: 4.0 }
    }
}

impl KeyframeSettings {
    /// Checks the values themselves.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) naming the field.
    pub fn validate(&self) -> Result<()> {
        if self.window < Duration::from_millis(100) || self.window > Duration::from_hours(24) {
            return Err(Error::invalid("keyframes.window", "must be 0.1 s to a day"));
        }
        if !(1..=64).contains(&self.candidates) {
            return Err(Error::invalid("keyframes.candidates", "must be 1 to 64"));
        }
        if !(0.0..=255.0).contains(&self.min_difference) {
            return Err(Error::invalid("keyframes.min_difference", "must be 0 to 255"));
        }
        Ok(())
    }
}
