//! Words with times: speech to text, subtitles in and out.
//!
//! Uses time and errors; embedded streams come from [`crate::media`].

mod activity;
#[cfg(feature = "media")]
mod ass;
mod cue;
mod encoding;
#[cfg(feature = "media")]
mod file;
mod gates;
mod language;
mod listen;
mod read;
mod regions;
mod settings;
#[cfg(feature = "media")]
mod source;
mod srt;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
mod transcriber;
mod vtt;
#[cfg(feature = "whisper")]
mod whisper;
mod words;

#[cfg(test)]
mod speech_tests;
#[cfg(test)]
mod tests;

#[cfg(feature = "media")]
pub(crate) use file::{Listen, forced};
#[cfg(feature = "media")]
pub use file::{Transcribed, transcribe};
pub use gates::Dropped;
#[cfg(feature = "sqlite")]
pub(crate) use language::normalize as normalize_language;
pub use listen::Listener;
pub use read::read_subtitles;
pub use settings::{Activity, AudioTrack, Gates, SpeechSettings};
#[cfg(feature = "media")]
pub use source::SubtitleSettings;
#[cfg(feature = "media")]
pub(crate) use source::{SubtitleFile, choose, find_subtitles};
pub use srt::write_srt;
pub use transcriber::{Heard, Phrase, Region, SAMPLE_RATE_HZ, SpeechSpec, Transcriber};
pub use vtt::write_vtt;
#[cfg(feature = "whisper")]
pub use whisper::{Whisper, WhisperOptions};

use serde::{Deserialize, Serialize};

use crate::Span;

/// A word as heard or read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Word {
    /// As written, without surrounding space; punctuation stays with its word.
    pub text: String,
    /// From its start to its end.
    #[serde(flatten)]
    pub span: Span,
    /// How sure the recogniser was, 0 to 1; `None` for subtitles, whose word times are estimated
    /// from the cue by length.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probability: Option<f32>,
}

/// A run of words: a cue of subtitles, or a phrase of speech.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Segment {
    /// From its start to its end.
    #[serde(flatten)]
    pub span: Span,
    /// Plain text; a newline separates lines of a cue.
    pub text: String,
    /// Its words in order; both ends of each lie inside `span`.
    pub words: Vec<Word>,
    /// Who speaks, where the source says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub speaker: Option<String>,
    /// ISO 639 code, where it differs from the transcript's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
    /// Probability that this is not speech, from a recogniser.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub no_speech_probability: Option<f32>,
}

/// Where a transcript comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[non_exhaustive]
pub enum TranscriptSource {
    /// A subtitle file beside the video or given by the caller; its file name.
    File {
        /// The file's name without folders.
        name: String,
    },
    /// A subtitle stream inside the video.
    Embedded {
        /// Index of the stream in the file.
        stream: usize,
    },
    /// A speech recogniser.
    Speech {
        /// The model.
        model: String,
        /// What it gave and was not believed.
        #[serde(default, skip_serializing_if = "Dropped::is_empty")]
        dropped: Dropped,
    },
}

/// Everything that is said or shown as text in one track.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Transcript {
    /// Where it comes from.
    pub source: TranscriptSource,
    /// ISO 639 code, where known.
    pub language: Option<String>,
    /// In order of start.
    pub segments: Vec<Segment>,
}
