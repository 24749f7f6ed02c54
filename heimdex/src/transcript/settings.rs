//! Everything about listening that a user can change, in one plain value.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::language;
use crate::{Error, Result};

/// Whisper's window, and the longest region that is ever kept in memory.
const LONGEST: Duration = Duration::from_secs(30);

/// The longest prompt.
const MAX_PROMPT_CHARS: usize = 2000;

/// How speech is found and what of it is believed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct SpeechSettings {
    /// Listen even where there are subtitles. Otherwise these come first and nothing is transcribed.
    pub over_subtitles: bool,
    /// Which track of sound.
    pub track: AudioTrack,
    /// ISO 639-1 code of what is spoken; detected for each region when not given.
    pub language: Option<String>,
    /// A language that is detected with less than this probability is that of the region before.
    pub language_floor: f32,
    /// Translate to English.
    pub translate: bool,
    /// Names and terms to expect.
    pub prompt: String,
    /// Give the model what was said in the region before.
    pub carry: bool,
    /// Which frames of sound are speech.
    pub activity: Activity,
    /// Silence that ends a region.
    pub pause: Duration,
    /// Longest region; a longer one is cut where it is quietest. At most 30 s.
    pub max_region: Duration,
    /// What is dropped of what a model gives.
    pub gates: Gates,
}

impl Default for SpeechSettings {
    /// The language detected, regions of at most 30 s that end at pauses of 1 s.
    fn default() -> Self {
        Self {
            over_subtitles: false,
            track: AudioTrack::Default,
            language: None,
            language_floor: 0.5,
            translate: false,
            prompt: String::new(),
            carry: true,
            activity: Activity::Spectral,
            pause: Duration::from_secs(1),
            max_region: LONGEST,
            gates: Gates::default(),
        }
    }
}

/// Which frames of sound are speech.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Activity {
    /// By loudness and by how the spectrum moves; needs no model. Passes sung and played music that is
    /// rich enough, and misses speech below steady noise.
    #[default]
    Spectral,
    /// By a Silero model in the format of whisper.cpp (feature `whisper`).
    Silero(PathBuf),
    /// All sound is transcribed.
    Everything,
}

/// Which track of sound is listened to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum AudioTrack {
    /// The one that players choose: the default track, else the first.
    #[default]
    Default,
    /// By its place among the tracks of sound, from 0.
    Number(usize),
    /// The first in this language; the default one where there is none.
    Language(String),
}

impl FromStr for AudioTrack {
    type Err = Error;

    /// A number, or the code of a language.
    fn from_str(text: &str) -> Result<Self> {
        if let Ok(number) = text.parse() {
            return Ok(Self::Number(number));
        }
        let code = language::normalize(text).ok_or_else(|| {
            Error::invalid(
                "track",
                format!("`{text}` is no track: give its number from 0, or a language such as en"),
            )
        })?;
        Ok(Self::Language(code))
    }
}

impl fmt::Display for AudioTrack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::Number(number) => write!(f, "{number}"),
            Self::Language(code) => f.write_str(code),
        }
    }
}

/// What is dropped of what a model gives. `OpenAI`'s own thresholds, but for those of activity and
/// repetition.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Gates {
    /// A phrase goes when less than this part of its time is speech.
    pub min_activity: f32,
    /// A phrase goes when it is less probable to be speech than this and as improbable as
    /// `log_probability`.
    pub no_speech: f32,
    /// See `no_speech`.
    pub log_probability: f32,
    /// A phrase goes when its average log-probability is below this, whatever else is known.
    pub min_log_probability: f32,
    /// Words that come so often in a row are a loop: one time is kept. The same phrase so often in a row
    /// too.
    pub repeats: usize,
}

impl Default for Gates {
    fn default() -> Self {
        Self {
            min_activity: 0.1,
            no_speech: 0.6,
            log_probability: -1.0,
            min_log_probability: -2.0,
            repeats: 4,
        }
    }
}

impl SpeechSettings {
    /// Checks the values themselves.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) naming the field.
    pub fn validate(&self) -> Result<()> {
        let part = |field, value: f32| match value {
            0.0..=1.0 => Ok(()),
            _ => Err(Error::invalid(field, "must lie between 0 and 1")),
        };
        part("speech.language_floor", self.language_floor)?;
        part("speech.gates.min_activity", self.gates.min_activity)?;
        part("speech.gates.no_speech", self.gates.no_speech)?;
        if !self.gates.log_probability.is_finite() || !self.gates.min_log_probability.is_finite() {
            return Err(Error::invalid("speech.gates", "log-probabilities must be finite"));
        }
        if self.gates.repeats < 2 {
            return Err(Error::invalid("speech.gates.repeats", "must be at least 2"));
        }
        if self.max_region < Duration::from_secs(2) || self.max_region > LONGEST {
            return Err(Error::invalid("speech.max_region", "must lie between 2 and 30 s"));
        }
        if self.pause < Duration::from_millis(100) || self.pause > self.max_region {
            return Err(Error::invalid("speech.pause", "must lie between 0.1 s and max_region"));
        }
        if self.language.as_ref().is_some_and(|code| language::normalize(code).is_none()) {
            return Err(Error::invalid("speech.language", "give a code such as en"));
        }
        if self.prompt.chars().count() > MAX_PROMPT_CHARS || self.prompt.contains('\0') {
            return Err(Error::invalid("speech.prompt", "at most 2,000 characters, none of them zero"));
        }
        Ok(())
    }
}
