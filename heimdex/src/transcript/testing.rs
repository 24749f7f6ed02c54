//! A transcriber that says what a test wants.

use super::{Heard, Phrase, Region, SpeechSpec, Transcriber, words};
use crate::{Cancel, Result, Span, Timestamp};

type Script = dyn Fn(&Region<'_>, &Cancel) -> Result<Heard> + Send + Sync;

/// Gives what a function makes of each region.
pub struct Scripted {
    spec: SpeechSpec,
    script: Box<Script>,
}

impl std::fmt::Debug for Scripted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Scripted").field("spec", &self.spec).finish_non_exhaustive()
    }
}

impl Scripted {
    /// A transcriber by this name; another name is another model.
    pub fn new(
        name: &str,
        script: impl Fn(&Region<'_>, &Cancel) -> Result<Heard> + Send + Sync + 'static,
    ) -> Self {
        Self { spec: SpeechSpec::new(name, name, "scripted"), script: Box::new(script) }
    }

    /// Says the same text, with full confidence, over the whole of every region: what a model that invents
    /// does.
    pub fn inventing(text: &str) -> Self {
        let text = text.to_owned();
        Self::new("inventing", move |region, _| {
            Ok(Heard { phrases: vec![said(&text, region)], ..Heard::default() })
        })
    }
}

/// A phrase over the whole of a region, its words' times by their length.
pub fn said(text: &str, region: &Region<'_>) -> Phrase {
    let span = Span::new(Timestamp::ZERO, Timestamp::from_micros(region.micros()));
    Phrase {
        span,
        text: text.to_owned(),
        words: words::estimate(text, span),
        no_speech_probability: Some(0.0),
        average_log_probability: Some(-0.1),
    }
}

impl Transcriber for Scripted {
    fn spec(&self) -> &SpeechSpec {
        &self.spec
    }

    fn transcribe(&self, region: &Region<'_>, cancel: &Cancel) -> Result<Heard> {
        (self.script)(region, cancel)
    }
}
