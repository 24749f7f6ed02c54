//! What turns speech into words: the trait, what it is given and what it gives.

use serde::{Deserialize, Serialize};

use super::Word;
use crate::{Cancel, Result, Span};

/// Samples per second of all sound that is transcribed.
pub const SAMPLE_RATE_HZ: u32 = 16_000;

/// What made a transcript. Two equal specs hear the same in the same sound.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SpeechSpec {
    /// Name of the model, such as `ggml-base.bin`.
    pub model: String,
    /// SHA-256 of the weights, hexadecimal.
    pub weights_sha256: String,
    /// Changes whenever anything else that shapes the words does.
    pub version: String,
}

impl SpeechSpec {
    /// A spec; `weights_sha256` and `version` tell what made the words, `model` only how it is called.
    pub fn new(
        model: impl Into<String>,
        weights_sha256: impl Into<String>,
        version: impl Into<String>,
    ) -> Self {
        Self { model: model.into(), weights_sha256: weights_sha256.into(), version: version.into() }
    }
}

/// A stretch of sound with speech in it, and what is known of it.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Region<'a> {
    /// 16 kHz mono in -1..=1; at most `SpeechSettings::max_region` long.
    pub pcm: &'a [f32],
    /// What was said just before; empty where nothing was.
    pub before: &'a str,
    /// Names and terms to expect.
    pub prompt: &'a str,
    /// The language that is spoken, where the caller says so.
    pub language: Option<&'a str>,
    /// The language of what was heard before: taken where what is detected is less probable than
    /// `language_floor`.
    pub likely: Option<&'a str>,
    /// The least probability of a language to be believed, 0 to 1.
    pub language_floor: f32,
    /// Translate to English.
    pub translate: bool,
}

impl<'a> Region<'a> {
    /// A region of which nothing more is known.
    pub fn new(pcm: &'a [f32]) -> Self {
        Self {
            pcm,
            before: "",
            prompt: "",
            language: None,
            likely: None,
            language_floor: 0.0,
            translate: false,
        }
    }

    /// Length in microseconds.
    pub fn micros(&self) -> i64 {
        micros(self.pcm.len())
    }
}

/// Microseconds that so many samples take.
pub(super) fn micros(samples: usize) -> i64 {
    samples as i64 * 1_000_000 / i64::from(SAMPLE_RATE_HZ)
}

/// What was heard in a region.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Heard {
    /// ISO 639-1 code of what is spoken, where known.
    pub language: Option<String>,
    /// How probable the language is, 0 to 1; `None` where it was given.
    pub language_probability: Option<f32>,
    /// Phrases in order of start.
    pub phrases: Vec<Phrase>,
}

/// A run of words. Times count from the beginning of the region.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Phrase {
    /// From its start to its end.
    pub span: Span,
    /// As written.
    pub text: String,
    /// Its words in the order of the text; without any, their times are estimated by length.
    pub words: Vec<Word>,
    /// Probability that this is not speech, 0 to 1.
    pub no_speech_probability: Option<f32>,
    /// Mean of the natural logarithms of the tokens' probabilities.
    pub average_log_probability: Option<f32>,
}

/// Turns speech into words.
pub trait Transcriber: Send + Sync {
    /// What makes the words; kept with them.
    fn spec(&self) -> &SpeechSpec;

    /// The words of one region. What lies outside of the region, or goes back in time, is moved inside by
    /// the caller; what is no speech is dropped by it.
    ///
    /// # Errors
    /// [`ErrorKind::Model`](crate::ErrorKind::Model) when the model fails.
    ///
    /// # Cancellation
    /// `cancel` is to be looked at where the model allows it; the caller does not wait longer than that.
    fn transcribe(&self, region: &Region<'_>, cancel: &Cancel) -> Result<Heard>;
}
