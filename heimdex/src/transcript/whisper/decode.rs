//! One region through the model.

use std::collections::HashMap;
use std::ffi::{c_int, c_void};

use whisper_rs::{FullParams, SamplingStrategy, WhisperState, whisper_rs_sys as sys};

use super::super::transcriber::{Heard, Phrase, Region, SAMPLE_RATE_HZ, micros};
use super::model::Loaded;
use super::words::{self, Token};
use crate::{Cancel, Error, Result, Span, Timestamp};

/// Changes whenever the rules in this folder do.
pub(super) const RULES: &str = "whisper 1";

/// The shortest sound that is given to whisper.cpp, which reads and asserts past the end of less.
const SHORTEST: usize = SAMPLE_RATE_HZ as usize;

/// Tokens of a window. One more and whisper.cpp counts the window as failed, moves on by next to nothing,
/// and ends the process where it aligns that.
const MOST_TOKENS: i32 = 218;

/// Tokens that go before: half of the decoder's positions, but one that marks them.
const MOST_BEFORE: usize = 223;

/// Openai-whisper follows more hypotheses below this average log-probability.
const DOUBTFUL: f32 = -1.0;

/// A state: buffers, caches and results of one region at a time.
pub(super) struct Worker {
    state: WhisperState,
    /// By language and whether to translate; their strings live as long as the process.
    parameters: HashMap<(String, bool, usize), FullParams<'static, 'static>>,
}

/// What one window gave.
pub(super) struct Window {
    pub(super) tokens: Vec<Token>,
    pub(super) average_log_probability: f32,
}

/// What the first step of the decoder says of a window: of its language, and whether it is speech.
pub(super) struct First {
    pub(super) language: String,
    pub(super) language_probability: f32,
    pub(super) no_speech: f32,
}

impl Worker {
    pub(super) fn new(loaded: &Loaded) -> Result<Self> {
        let state = loaded.context.create_state();
        let state = state.map_err(|e| loaded.error("there is no memory to work in", e))?;
        Ok(Self { state, parameters: HashMap::new() })
    }

    pub(super) fn transcribe(
        &mut self,
        loaded: &Loaded,
        region: &Region<'_>,
        threads: usize,
        beams: usize,
        cancel: &Cancel,
    ) -> Result<Heard> {
        let multilingual = loaded.context.is_multilingual();
        let (mut language, mut probability) = match region.language {
            Some(given) if !multilingual && given != "en" => {
                let message = format!("{} knows English only; `{given}` needs another model", loaded.name);
                return Err(Error::invalid("speech.language", message));
            }
            Some(given) if multilingual && whisper_rs::get_lang_id(given).is_none() => {
                return Err(Error::invalid("speech.language", format!("Whisper does not know `{given}`")));
            }
            Some(given) => (given.to_owned(), None),
            None if !multilingual => ("en".to_owned(), None),
            // Most often it is the language of before; if not, the first step of the decoder will tell.
            None => match region.likely.filter(|likely| whisper_rs::get_lang_id(likely).is_some()) {
                Some(likely) => (likely.to_owned(), None),
                None => {
                    let first = self.look(loaded, region.pcm, threads)?;
                    (first.language, Some(first.language_probability))
                }
            },
        };
        let detects = region.language.is_none() && multilingual;
        let mut phrases = Vec::new();
        let mut before = Self::before(loaded, region);
        let mut from = 0;
        loop {
            cancel.check()?;
            let pcm = padded(&region.pcm[from..]);
            let run = Run { language: &language, translate: region.translate, before: &before, threads };
            let mut window = self.window(loaded, &pcm, &run, 1, cancel)?;
            let first = self.first(loaded, threads)?;
            if detects && from == 0 && probability.is_none() {
                probability = Some(first.language_probability);
                if first.language != language {
                    if first.language_probability >= region.language_floor {
                        language = first.language;
                        continue;
                    }
                    // What is taken instead has the probability that it has.
                    probability = None;
                }
            }
            let doubtful = window.average_log_probability < DOUBTFUL || words::repeats(&window.tokens);
            if doubtful && beams > 1 && first.no_speech < 0.6 {
                // whisper.cpp draws hypotheses by chance: a fresh state draws the same each time.
                let other = Self::new(loaded)?.window(loaded, &pcm, &run, beams, cancel)?;
                if other.average_log_probability > window.average_log_probability {
                    window = other;
                }
            }
            let length = Timestamp::from_micros(micros(region.pcm.len() - from));
            let bounds = Span::new(Timestamp::ZERO, length);
            let times = words::Times { begin: loaded.context.token_beg(), aligned: loaded.aligned, bounds };
            let mut found = words::phrases(&window.tokens, &times);
            let next = words::resumes(&window.tokens, &times);
            before.extend(window.tokens.iter().filter(|t| !t.bytes.is_empty()).map(|t| t.id));
            for phrase in &mut found {
                phrase.no_speech_probability = Some(first.no_speech);
                shift(phrase, micros(from));
            }
            phrases.append(&mut found);
            let Some(next) = next else { break };
            from += (next.as_micros() * i64::from(SAMPLE_RATE_HZ) / 1_000_000) as usize;
        }
        Ok(Heard { language: Some(language), language_probability: probability, phrases })
    }

    /// What the prompt and the text before are to the model.
    fn before(loaded: &Loaded, region: &Region<'_>) -> Vec<i32> {
        // Never more tokens than bytes: whisper-rs trusts this number with memory.
        let tokens = |text: &str| match text.trim() {
            "" => Vec::new(),
            text => loaded.context.tokenize(&format!(" {text}"), text.len() + 2).unwrap_or_default(),
        };
        let mut prompt = tokens(region.prompt);
        prompt.truncate(MOST_BEFORE / 2);
        let before = tokens(region.before);
        let skip = before.len().saturating_sub(MOST_BEFORE - prompt.len());
        prompt.extend_from_slice(&before[skip..]);
        prompt
    }

    /// Decodes one window of at most 30 s; `beams` hypotheses at once.
    pub(super) fn window(
        &mut self,
        loaded: &Loaded,
        pcm: &[f32],
        run: &Run<'_>,
        beams: usize,
        cancel: &Cancel,
    ) -> Result<Window> {
        let key = (run.language.to_owned(), run.translate, beams);
        let base =
            self.parameters.entry(key).or_insert_with(|| parameters(run.language, run.translate, beams));
        let mut full = base.clone();
        full.set_n_threads(run.threads as i32);
        full.set_tokens(run.before);
        // SAFETY: the callbacks only read the switch, which outlives the call below, and what they are
        // given; whisper.cpp keeps nothing beyond it. (whisper-rs's own closure for a cancel is called as
        // another type than it is.)
        unsafe {
            full.set_filter_logits_callback(Some(keep_times_in_order));
            full.set_abort_callback(Some(is_cancelled));
            full.set_abort_callback_user_data(std::ptr::from_ref(cancel).cast_mut().cast::<c_void>());
        }
        let result = self.state.full(full, pcm);
        cancel.check()?;
        result.map_err(|e| loaded.error("whisper.cpp failed on a region", e))?;
        self.collect(loaded)
    }

    fn collect(&self, loaded: &Loaded) -> Result<Window> {
        let end = loaded.context.token_eot();
        let (mut tokens, mut sum) = (Vec::new(), 0.0);
        for segment in self.state.as_iter() {
            for i in 0..segment.n_tokens() {
                let Some(token) = segment.get_token(i) else { continue };
                let data = token.token_data();
                let bytes = if data.id < end { token.to_bytes() } else { Ok(&[][..]) };
                let bytes = bytes.map_err(|e| loaded.error("whisper.cpp gave no text of a token", e))?;
                sum += data.plog;
                if data.id == end {
                    continue;
                }
                tokens.push(Token {
                    id: data.id,
                    bytes: bytes.to_vec(),
                    probability: data.p,
                    log_probability: data.plog,
                    start: hundredths(data.t0),
                    end: hundredths(data.t1),
                    aligned: hundredths(data.t_dtw),
                });
            }
        }
        // The token that ends the text counts in the mean, also where it did not come.
        let average_log_probability = sum / (tokens.len() + 1) as f32;
        Ok(Window { tokens, average_log_probability })
    }

    /// The first step of the decoder over a sound that was not decoded yet.
    pub(super) fn look(&mut self, loaded: &Loaded, pcm: &[f32], threads: usize) -> Result<First> {
        let failed = |e| loaded.error("whisper.cpp failed on a region", e);
        self.state.pcm_to_mel(&padded(pcm), threads).map_err(failed)?;
        self.state.encode(0, threads).map_err(failed)?;
        self.first(loaded, threads)
    }

    /// The first step of the decoder over the window that was encoded last.
    ///
    /// whisper.cpp's own probability of silence is that of a row which it does not fill where the prompt
    /// has more than one token; here the prompt is the one token that openai-whisper looks at.
    pub(super) fn first(&mut self, loaded: &Loaded, threads: usize) -> Result<First> {
        let failed = |e| loaded.error("whisper.cpp failed on a region", e);
        let context = &loaded.context;
        self.state.decode(&[context.token_sot()], 0, threads).map_err(failed)?;
        let logits = self.state.get_logits().map_err(failed)?;
        let at = |token: i32| usize::try_from(token).ok().and_then(|t| logits.get(t)).copied();
        let no_speech = at(context.token_nosp()).unwrap_or(f32::NEG_INFINITY);
        let no_speech = (no_speech - log_sum(logits.iter().copied())).exp();
        // The last model knows one language more.
        let languages = if loaded.shape.vocabulary > 51_865 { 100 } else { 99 };
        let of = |id: i32| at(context.token_lang(id)).unwrap_or(f32::NEG_INFINITY);
        let best = (0..languages).max_by(|a, b| of(*a).total_cmp(&of(*b))).unwrap_or(0);
        let sum = log_sum((0..languages).map(of));
        Ok(First {
            language: whisper_rs::get_lang_str(best).unwrap_or("en").to_owned(),
            language_probability: (of(best) - sum).exp(),
            no_speech,
        })
    }
}

/// How a window is decoded.
pub(super) struct Run<'a> {
    pub(super) language: &'a str,
    pub(super) translate: bool,
    pub(super) before: &'a [i32],
    pub(super) threads: usize,
}

fn parameters(language: &str, translate: bool, beams: usize) -> FullParams<'static, 'static> {
    let strategy = match beams {
        1 => SamplingStrategy::Greedy { best_of: 1 },
        _ => SamplingStrategy::BeamSearch { beam_size: beams as i32, patience: -1.0 },
    };
    let mut full = FullParams::new(strategy);
    // whisper-rs never frees the string, so it is made once per language.
    let language = whisper_rs::get_lang_id(language).and_then(whisper_rs::get_lang_str);
    full.set_language(Some(language.unwrap_or("en")));
    full.set_translate(translate);
    full.set_print_special(false);
    full.set_print_progress(false);
    full.set_print_realtime(false);
    full.set_print_timestamps(false);
    full.set_token_timestamps(true);
    // What was said before comes from the caller: a state remembers nothing.
    full.set_no_context(true);
    // The whole region is one window, whatever times the model gives.
    full.set_single_segment(true);
    full.set_max_tokens(MOST_TOKENS);
    full.set_suppress_blank(true);
    full.set_suppress_nst(true);
    // Sampling would give other words each time.
    full.set_temperature(0.0);
    full.set_temperature_inc(0.0);
    // Silence is judged by the caller.
    full.set_no_speech_thold(2.0);
    full
}

/// Whether the switch behind `cancel` is set.
///
/// # Safety
/// `cancel` points to a [`Cancel`].
unsafe extern "C" fn is_cancelled(cancel: *mut c_void) -> bool {
    // SAFETY: by contract.
    unsafe { (*cancel.cast::<Cancel>()).is_cancelled() }
}

/// Gives openai-whisper's rules of times to whisper.cpp, which has them in part, and has them after it has
/// worked out how probable a token is.
///
/// # Safety
/// Called by whisper.cpp: `tokens` holds `count` tokens, `logits` one number for each of the vocabulary.
unsafe extern "C" fn keep_times_in_order(
    context: *mut sys::whisper_context,
    _: *mut sys::whisper_state,
    tokens: *const sys::whisper_token_data,
    count: c_int,
    logits: *mut f32,
    _: *mut c_void,
) {
    // SAFETY: by contract; the functions only read numbers of the context.
    let (logits, tokens, end, begin) = unsafe {
        let vocabulary = sys::whisper_n_vocab(context).max(0) as usize;
        let end = sys::whisper_token_eot(context).max(0) as usize;
        let begin = sys::whisper_token_beg(context).max(0) as usize;
        let tokens = if count > 0 { std::slice::from_raw_parts(tokens, count as usize) } else { &[] };
        (std::slice::from_raw_parts_mut(logits, vocabulary), tokens, end, begin)
    };
    let tokens: Vec<usize> = tokens.iter().map(|token| token.id.max(0) as usize).collect();
    if begin < logits.len() && end < begin {
        times_in_order(logits, &tokens, end, begin);
    }
}

/// A window begins with a time of its first second, times come in pairs but at the end, none goes back and
/// no phrase is empty; and a time comes wherever all of them together are more probable than any word.
///
/// Source: openai-whisper, `decoding.py`, `ApplyTimestampRules`.
fn times_in_order(logits: &mut [f32], tokens: &[usize], end: usize, begin: usize) {
    const FIRST_SECOND: usize = 50;
    const NEVER: f32 = f32::NEG_INFINITY;
    // A model that knows no times has had them taken away by now.
    if logits[begin..].iter().all(|logit| *logit == NEVER) {
        return;
    }
    let is_time = |token: Option<&usize>| token.is_some_and(|token| *token >= begin);
    let last_is = is_time(tokens.last());
    let before_is = tokens.len() < 2 || is_time(tokens.get(tokens.len() - 2));
    match (last_is, before_is) {
        (true, true) => logits[begin..].fill(NEVER),
        (true, false) => logits[..end].fill(NEVER),
        (false, _) => {}
    }
    if let Some(last) = tokens.iter().rfind(|token| **token >= begin) {
        let least = if last_is && !before_is { *last } else { last + 1 };
        let least = least.min(logits.len());
        logits[begin..least].fill(NEVER);
    }
    if tokens.is_empty() {
        logits[..begin].fill(NEVER);
        let most = (begin + FIRST_SECOND + 1).min(logits.len());
        logits[most..].fill(NEVER);
    }
    let times = log_sum(logits[begin..].iter().copied());
    let words = logits[..begin].iter().copied().fold(NEVER, f32::max);
    if times > words {
        logits[..begin].fill(NEVER);
    }
}

/// At least [`SHORTEST`], silence added.
fn padded(pcm: &[f32]) -> std::borrow::Cow<'_, [f32]> {
    if pcm.len() >= SHORTEST {
        return pcm.into();
    }
    let mut longer = pcm.to_vec();
    longer.resize(SHORTEST, 0.0);
    longer.into()
}

fn hundredths(time: i64) -> Timestamp {
    Timestamp::from_millis(time.saturating_mul(10))
}

fn log_sum(values: impl Iterator<Item = f32> + Clone) -> f32 {
    let most = values.clone().fold(f32::NEG_INFINITY, f32::max);
    if most == f32::NEG_INFINITY {
        return most;
    }
    values.map(|v| (v - most).exp()).sum::<f32>().ln() + most
}

fn shift(phrase: &mut Phrase, by: i64) {
    let moved = |span: Span| Span::new(span.start.plus_micros(by), span.end.plus_micros(by));
    phrase.span = moved(phrase.span);
    for word in &mut phrase.words {
        word.span = moved(word.span);
    }
}
