//! Speech out of sound that streams by: regions are cut while a model transcribes those before, on a
//! thread of its own.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::thread;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, SendTimeoutError, Sender, bounded};

use super::activity::{Everything, FRAME, Spectral, VoiceActivity};
use super::gates::Gate;
use super::regions::{Cutter, Lengths, SpeechRegion};
use super::transcriber::{Phrase, Region, Transcriber, micros};
use super::{Activity, Segment, SpeechSettings, Transcript, TranscriptSource, Word};
use crate::{Cancel, Error, Result, Span, Timestamp};

/// Regions that wait for the model: some megabytes.
const QUEUED: usize = 2;

/// How often a wait is left to look at `cancel`.
const PATIENCE: Duration = Duration::from_millis(50);

/// What is said is given to the next region, at most so many characters of it.
const CARRIED_CHARS: usize = 400;

/// A transcript in the making: takes sound as it comes and needs no more memory for ten hours than for
/// ten minutes, but for the words themselves.
pub struct Listener {
    cutter: Cutter,
    regions: Option<Sender<SpeechRegion>>,
    transcript: Receiver<Result<Transcript>>,
    heard: Arc<AtomicI64>,
    cancel: Cancel,
    model: String,
}

impl std::fmt::Debug for Listener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Listener").field("model", &self.model).finish_non_exhaustive()
    }
}

impl Listener {
    /// Starts the thread that transcribes.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) naming a setting that cannot be used; the model
    /// kinds when the model of speech activity cannot be read.
    pub fn start(
        transcriber: Arc<dyn Transcriber>,
        settings: &SpeechSettings,
        cancel: &Cancel,
    ) -> Result<Self> {
        settings.validate()?;
        let frames = |length: Duration| (length.as_micros() as i64 / micros(FRAME)) as usize;
        let lengths = Lengths { pause: frames(settings.pause), max: frames(settings.max_region) };
        let cutter = Cutter::new(activity(&settings.activity)?, lengths);
        let (regions, received) = bounded(QUEUED);
        let (answer, transcript) = bounded(1);
        let heard = Arc::new(AtomicI64::new(i64::MIN));
        let model = transcriber.spec().model.clone();
        let work = Work {
            transcriber,
            settings: settings.clone(),
            cancel: cancel.clone(),
            heard: Arc::clone(&heard),
            gate: Gate::new(&settings.gates),
            before: String::new(),
            likely: None,
            said: BTreeMap::new(),
            segments: Vec::new(),
        };
        // Nobody joins it: after a cancel it ends by itself once the model has answered.
        thread::Builder::new()
            .name("heimdex-transcribe".into())
            .spawn(move || {
                // Who cancelled does not wait for a transcript.
                let _ = answer.send(work.all(&received));
            })
            .map_err(|e| Error::io("thread heimdex-transcribe", e))?;
        Ok(Self { cutter, regions: Some(regions), transcript, heard, cancel: cancel.clone(), model })
    }

    /// Adds 16 kHz mono samples in -1..=1 that begin at `start`; waits while the model is behind.
    ///
    /// # Errors
    /// What the model gave for an earlier region.
    ///
    /// # Cancellation
    /// Within 0.1 s.
    pub fn push(&mut self, start: Timestamp, pcm: &[f32]) -> Result<()> {
        // Seconds at a time, so that one large call is as cancelled as many small ones.
        const PART: usize = 160_000;
        for (i, part) in pcm.chunks(PART).enumerate() {
            self.cancel.check()?;
            let mut regions = Vec::new();
            self.cutter.push(start.plus_micros(micros(i * PART)), part, &mut regions)?;
            self.send(regions)?;
        }
        Ok(())
    }

    /// The transcript, once the model has heard all; `at` is told how far it is.
    ///
    /// # Errors
    /// What the model gave.
    ///
    /// # Cancellation
    /// Within 0.1 s.
    pub fn finish(mut self, at: &mut dyn FnMut(Timestamp)) -> Result<Transcript> {
        let mut regions = Vec::new();
        self.cutter.finish(&mut regions)?;
        self.send(regions)?;
        self.regions = None;
        self.wait(at)
    }

    fn send(&self, regions: Vec<SpeechRegion>) -> Result<()> {
        let Some(queue) = &self.regions else { return Ok(()) };
        for mut region in regions {
            loop {
                self.cancel.check()?;
                match queue.send_timeout(region, PATIENCE) {
                    Ok(()) => break,
                    Err(SendTimeoutError::Timeout(back)) => region = back,
                    // The model failed; its own error tells more than that.
                    Err(SendTimeoutError::Disconnected(_)) => {
                        return self.wait(&mut |_| ()).and(Err(Error::Cancelled));
                    }
                }
            }
        }
        Ok(())
    }

    fn wait(&self, at: &mut dyn FnMut(Timestamp)) -> Result<Transcript> {
        loop {
            self.cancel.check()?;
            match self.transcript.recv_timeout(PATIENCE) {
                Ok(result) => return result,
                Err(RecvTimeoutError::Timeout) => {
                    let heard = self.heard.load(Ordering::Relaxed);
                    if heard > i64::MIN {
                        at(Timestamp::from_micros(heard));
                    }
                }
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(Error::model(&self.model, "the speech model panicked"));
                }
            }
        }
    }
}

fn activity(how: &Activity) -> Result<Box<dyn VoiceActivity>> {
    match how {
        Activity::Spectral => Ok(Box::new(Spectral::new())),
        Activity::Everything => Ok(Box::new(Everything::default())),
        #[cfg(feature = "whisper")]
        Activity::Silero(path) => Ok(Box::new(super::whisper::Silero::open(path)?)),
        #[cfg(not(feature = "whisper"))]
        Activity::Silero(_) => {
            Err(Error::invalid("speech.activity", "this build has no `whisper`, which reads Silero models"))
        }
    }
}

/// What the thread does.
struct Work {
    transcriber: Arc<dyn Transcriber>,
    settings: SpeechSettings,
    cancel: Cancel,
    heard: Arc<AtomicI64>,
    gate: Gate,
    before: String,
    likely: Option<String>,
    /// Microseconds spoken by language.
    said: BTreeMap<String, i64>,
    segments: Vec<Segment>,
}

impl Work {
    fn all(mut self, regions: &Receiver<SpeechRegion>) -> Result<Transcript> {
        for region in regions {
            self.cancel.check()?;
            self.one(&region)?;
            self.heard.fetch_max(region.span().end.as_micros(), Ordering::Relaxed);
        }
        // Times go back where streams were joined carelessly.
        self.segments.sort_by_key(|segment| segment.span.start);
        let language = match (&self.settings.language, self.settings.translate) {
            (_, true) => Some("en".to_owned()),
            (Some(given), false) => super::language::normalize(given),
            (None, false) => self.said.into_iter().max_by_key(|(_, micros)| *micros).map(|(code, _)| code),
        };
        for segment in &mut self.segments {
            if segment.language == language {
                segment.language = None;
            }
        }
        let model = self.transcriber.spec().model.clone();
        let source = TranscriptSource::Speech { model, dropped: self.gate.dropped };
        Ok(Transcript { source, language, segments: self.segments })
    }

    fn one(&mut self, region: &SpeechRegion) -> Result<()> {
        let SpeechSettings { language, language_floor, translate, prompt, carry, .. } = &self.settings;
        let given = language.as_deref().and_then(super::language::normalize);
        let heard = self.transcriber.transcribe(
            &Region {
                pcm: &region.pcm,
                before: if *carry { &self.before } else { "" },
                prompt,
                language: given.as_deref(),
                likely: self.likely.as_deref(),
                language_floor: *language_floor,
                translate: *translate,
            },
            &self.cancel,
        )?;
        self.cancel.check()?;
        let language = heard.language.as_deref().and_then(super::language::normalize);
        let mut phrases = heard.phrases;
        phrases.sort_by_key(|phrase| phrase.span.start);
        let dropped = self.gate.dropped;
        let mut said = String::new();
        let mut at = Timestamp::ZERO;
        for phrase in phrases {
            let Some(mut phrase) = self.gate.pass(phrase, region) else { continue };
            after(&mut phrase, at);
            at = phrase.words.last().map_or(at, |word| word.span.end);
            if !said.is_empty() {
                said.push(' ');
            }
            said.push_str(&phrase.text);
            if let Some(code) = &language {
                *self.said.entry(code.clone()).or_default() += phrase.span.micros();
            }
            let spoken = if *translate { Some("en".to_owned()) } else { language.clone() };
            self.segments.push(placed(phrase, region.start, spoken));
        }
        // What was doubtful must not lead the next region astray.
        let sound = self.gate.dropped == dropped && !said.is_empty();
        if sound && language.is_some() {
            self.likely = language;
        }
        let skip = said.chars().count().saturating_sub(CARRIED_CHARS);
        self.before = if sound { said.chars().skip(skip).collect() } else { String::new() };
        Ok(())
    }
}

/// Moves the words of a phrase that begin before the last of the phrase before it has ended.
fn after(phrase: &mut Phrase, at: Timestamp) {
    for word in &mut phrase.words {
        word.span = Span::new(word.span.start.max(at), word.span.end.max(at));
    }
    if let (Some(first), Some(last)) = (phrase.words.first(), phrase.words.last()) {
        let start = phrase.span.start.max(at).min(first.span.start);
        phrase.span = Span::new(start, phrase.span.end.max(last.span.end));
    }
}

/// A phrase in the time of the video.
fn placed(phrase: Phrase, start: Timestamp, language: Option<String>) -> Segment {
    let moved = |span: Span| {
        let by = start.as_micros();
        Span::new(span.start.plus_micros(by), span.end.plus_micros(by))
    };
    let words = phrase.words.into_iter();
    Segment {
        span: moved(phrase.span),
        text: phrase.text,
        words: words.map(|word| Word { span: moved(word.span), ..word }).collect(),
        speaker: None,
        language,
        no_speech_probability: phrase.no_speech_probability,
    }
}
