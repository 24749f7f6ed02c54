//! Everything about indexing that a user can change, in one plain value.

use serde::{Deserialize, Serialize};

use crate::Result;
use crate::keyframes::KeyframeSettings;
use crate::media::{DecodeOptions, Limits};
use crate::scenes::SceneSettings;
use crate::shots::Detector;
use crate::transcript::{SpeechSettings, SubtitleSettings};

/// How videos are indexed. Each field is the settings of one stage.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct PipelineSettings {
    /// What is opened at most.
    pub limits: Limits,
    /// How pictures are decoded.
    pub decode: DecodeOptions,
    /// How shots are found.
    pub detector: Detector,
    /// Which frames stand for a shot.
    pub keyframes: KeyframeSettings,
    /// Which subtitles are used.
    pub subtitles: SubtitleSettings,
    /// How speech is found and what of it is believed, where there is a model for it.
    pub speech: SpeechSettings,
    /// How shots become scenes.
    pub scenes: SceneSettings,
}

impl PipelineSettings {
    /// Checks the values themselves.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) naming the field.
    pub fn validate(&self) -> Result<()> {
        self.limits.validate()?;
        self.detector.start(None)?;
        self.keyframes.validate()?;
        self.speech.validate()?;
        self.scenes.validate()
    }
}
