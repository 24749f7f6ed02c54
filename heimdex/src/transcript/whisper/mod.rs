//! Whisper.
//!
//! Paper: Radford et al., Robust Speech Recognition via Large-Scale Weak Supervision, 2022. Reference:
//! openai-whisper 20250625. Weights: a file in the format of whisper.cpp, of any size and precision. Computed
//! on the processor by [`network`], on graphics cards by whisper.cpp.

mod align;
mod cpp;
mod engine;
mod file;
mod model;
mod network;
mod own;
mod region;
mod rules;
mod silero;
mod vocabulary;
mod words;

#[cfg(test)]
mod tests;

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use self::model::Loaded;
use super::{Heard, Region, SpeechSpec, Transcriber};
use crate::{Cancel, Error, Result};

pub(super) use silero::Silero;

/// What Whisper is run with.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct WhisperOptions {
    /// Threads that work on one region; 0 for as many as there are cores. They change no words.
    pub threads: usize,
    /// Hypotheses that are followed at once where the best single one is improbable or repeats itself; 1
    /// for never.
    pub beams: usize,
    /// Compute on the graphics card. On by default in a build with the feature `cuda` or `metal`, an error
    /// in one without.
    pub gpu: bool,
}

impl Default for WhisperOptions {
    /// All cores, five hypotheses, the graphics card where it is built in.
    fn default() -> Self {
        Self { threads: 0, beams: 5, gpu: cfg!(any(feature = "cuda", feature = "metal")) }
    }
}

/// A Whisper model. Clones, and models opened from the same file, share one copy of the weights; each
/// region that is worked on at the same time has a state of its own.
///
/// Words have the times at which the decoder looked at the sound while it wrote them (dynamic time warping over
/// the published models' alignment heads, over the upper half of the layers of other models).
///
/// ```no_run
/// use heimdex::{Cancel, transcript::{Region, Transcriber, Whisper}};
///
/// let whisper = Whisper::open("models/ggml-base.bin")?;
/// let second = vec![0.0; 16_000];
/// for phrase in whisper.transcribe(&Region::new(&second), &Cancel::new())?.phrases {
///     println!("{} {}", phrase.span, phrase.text);
/// }
/// # Ok::<(), heimdex::Error>(())
/// ```
#[derive(Clone)]
pub struct Whisper {
    loaded: Arc<Loaded>,
    spec: SpeechSpec,
    threads: usize,
    beams: usize,
}

impl fmt::Debug for Whisper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Whisper").field("spec", &self.spec).finish_non_exhaustive()
    }
}

impl Whisper {
    /// Loads a model file of whisper.cpp.
    ///
    /// # Errors
    /// [`ErrorKind::ModelMissing`](crate::ErrorKind::ModelMissing) when the file is not there;
    /// [`ErrorKind::Model`](crate::ErrorKind::Model) when it is no model, or not whole.
    pub fn open(file: impl AsRef<Path>) -> Result<Self> {
        Self::open_with(file, &WhisperOptions::default())
    }

    /// Loads a model file with settings of the caller's choice.
    ///
    /// # Errors
    /// Those of [`open`](Self::open); [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) naming an option
    /// that cannot be used.
    pub fn open_with(file: impl AsRef<Path>, options: &WhisperOptions) -> Result<Self> {
        const MOST_BEAMS: usize = 8;
        if !(1..=MOST_BEAMS).contains(&options.beams) {
            return Err(Error::invalid("beams", format!("must lie between 1 and {MOST_BEAMS}")));
        }
        if options.gpu && !cfg!(any(feature = "cuda", feature = "metal")) {
            let message =
                "this build computes on the processor only; build with the feature `cuda` or `metal`";
            return Err(Error::invalid("gpu", message));
        }
        let loaded = model::shared(file.as_ref(), options.gpu)?;
        let threads = match options.threads {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            threads => threads,
        };
        let version = format!("{} {}", region::RULES, options.beams);
        let spec = SpeechSpec::new(&loaded.name, &loaded.sha256, version);
        Ok(Self { loaded, spec, threads: threads.min(64), beams: options.beams })
    }

    /// Whether the model knows other languages than English.
    pub fn is_multilingual(&self) -> bool {
        self.loaded.vocabulary.is_multilingual()
    }
}

#[cfg(feature = "testing")]
impl Whisper {
    /// Of a processor, to measure: how long it takes to listen to at most 30 s of sound, and how long that and
    /// `tokens` tokens take, which are the most probable each time but never the end.
    ///
    /// # Errors
    /// None that are to be expected.
    pub fn pace(&self, pcm: &[f32], tokens: usize) -> Result<[std::time::Duration; 2]> {
        self.loaded.pace(pcm, self.threads, tokens)
    }
}

impl Transcriber for Whisper {
    fn spec(&self) -> &SpeechSpec {
        &self.spec
    }

    /// Cancel is seen after each step of the decoder and each layer of the encoder; on graphics cards after the
    /// whole encoder.
    fn transcribe(&self, region: &Region<'_>, cancel: &Cancel) -> Result<Heard> {
        let mut engine = self.loaded.engine()?;
        let work = (self.threads, self.beams);
        let heard = region::transcribe(engine.as_mut(), &self.loaded, region, work, cancel)?;
        // One that failed or was stopped is not used again.
        self.loaded.give_back(engine);
        Ok(heard)
    }
}
