//! Whisper computed by whisper.cpp, on graphics cards.
//!
//! whisper.cpp 1.8 decodes by the rules of openai-whisper but where this file says otherwise.

use std::collections::HashMap;
use std::ffi::{c_int, c_void};
use std::path::Path;

use whisper_rs::{
    DtwAhead, DtwMode, DtwParameters, FullParams, SamplingStrategy, WhisperContext, WhisperContextParameters,
    WhisperError, WhisperState, whisper_rs_sys as sys,
};

use super::super::transcriber::SAMPLE_RATE_HZ;
use super::engine::{Engine, Run, Window};
use super::file::Shape;
use super::model::Loaded;
use super::network::HeadOf;
use super::rules;
use super::words::Token;
use crate::{Cancel, Error, ErrorKind, Result, Timestamp};

/// The shortest sound that is given to whisper.cpp, which reads and asserts past the end of less.
const SHORTEST: usize = SAMPLE_RATE_HZ as usize;

/// Tokens of a window. One more and whisper.cpp counts the window as failed, moves on by next to nothing,
/// and ends the process where it aligns that.
const MOST_TOKENS: i32 = 218;

/// A model of whisper.cpp's.
pub(super) struct Context {
    context: WhisperContext,
    /// It points to them.
    _heads: Vec<DtwAhead>,
}

/// Reads a model.
pub(super) fn read(file: &Path, name: &str, shape: &Shape, heads: &[HeadOf], gpu: bool) -> Result<Context> {
    quiet_log();
    let heads: Vec<DtwAhead> = heads
        .iter()
        .map(|(layer, head)| DtwAhead { n_text_layer: *layer as c_int, n_head: *head as c_int })
        .collect();
    let mut parameters = WhisperContextParameters::default();
    parameters.use_gpu(gpu);
    // It attends to padding without a mask, which changes the words.
    parameters.flash_attn(false);
    parameters.dtw_parameters(DtwParameters {
        mode: DtwMode::Custom { aheads: &heads },
        dtw_mem_size: dtw_bytes(shape, heads.len()),
    });
    let context = WhisperContext::new_with_params(file, parameters)
        .map_err(|e| error(name, "whisper.cpp cannot read it; it was probably not copied whole", e))?;
    Ok(Context { context, _heads: heads })
}

/// Memory for dynamic time warping: some copies of the attention of all heads over a window. whisper.cpp
/// ends the process when it is too little.
fn dtw_bytes(shape: &Shape, heads: usize) -> usize {
    const COPIES: usize = 8;
    let tokens = shape.text_positions.unsigned_abs() as usize;
    let frames = shape.audio_positions.unsigned_abs() as usize;
    (COPIES * tokens * frames * heads).max(128 << 20)
}

/// whisper.cpp's own messages go to `tracing`, not to standard error.
pub(super) fn quiet_log() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(whisper_rs::install_logging_hooks);
}

fn error(model: &str, message: &str, source: WhisperError) -> Error {
    let (model, message) = (model.to_owned(), message.to_owned());
    Error::Model { model, kind: ErrorKind::Model, message, source: Some(Box::new(source)) }
}

/// A state: buffers, caches and results of one region at a time.
pub(super) struct Cpp {
    state: WhisperState,
    /// By language, whether to translate, and hypotheses; their strings live as long as the process.
    parameters: HashMap<(&'static str, bool, usize), FullParams<'static, 'static>>,
    pcm: Vec<f32>,
    threads: usize,
}

impl Cpp {
    pub(super) fn new(context: &Context, name: &str) -> Result<Self> {
        let state = context.context.create_state();
        let state = state.map_err(|e| error(name, "there is no memory to work in", e))?;
        Ok(Self { state, parameters: HashMap::new(), pcm: Vec::new(), threads: 1 })
    }
}

impl Engine for Cpp {
    fn listen(&mut self, loaded: &Loaded, pcm: &[f32], threads: usize, _: &Cancel) -> Result<()> {
        let failed = |e| error(&loaded.name, "whisper.cpp failed on a region", e);
        self.pcm.clear();
        self.pcm.extend_from_slice(pcm);
        self.pcm.resize(pcm.len().max(SHORTEST), 0.0);
        self.threads = threads;
        self.state.pcm_to_mel(&self.pcm, threads).map_err(failed)?;
        self.state.encode(0, threads).map_err(failed)
    }

    /// whisper.cpp's own probability of silence is that of a row which it does not fill where the prompt has
    /// more than one token; here the prompt is the one token that openai-whisper looks at.
    fn first(&mut self, loaded: &Loaded) -> Result<Vec<f32>> {
        let failed = |e| error(&loaded.name, "whisper.cpp failed on a region", e);
        self.state.decode(&[loaded.vocabulary.start() as c_int], 0, self.threads).map_err(failed)?;
        Ok(self.state.get_logits().map_err(failed)?.to_vec())
    }

    fn window(&mut self, loaded: &Loaded, run: &Run<'_>, cancel: &Cancel) -> Result<Window> {
        // Hypotheses are drawn by chance: a fresh state draws the same each time.
        if run.beams > 1 {
            let mut fresh = loaded.fresh_state()?;
            (fresh.pcm, fresh.threads) = (std::mem::take(&mut self.pcm), self.threads);
            return fresh.decode(loaded, run, cancel);
        }
        self.decode(loaded, run, cancel)
    }
}

impl Cpp {
    fn decode(&mut self, loaded: &Loaded, run: &Run<'_>, cancel: &Cancel) -> Result<Window> {
        let mut languages = loaded.vocabulary.languages();
        let language = languages.find(|(code, _)| *code == run.language).map_or("en", |(code, _)| code);
        let base = self
            .parameters
            .entry((language, run.translate, run.beams))
            .or_insert_with(|| parameters(language, run.translate, run.beams));
        let mut full = base.clone();
        full.set_n_threads(self.threads as c_int);
        let before: Vec<c_int> = run.before.iter().map(|token| *token as c_int).collect();
        full.set_tokens(&before);
        // SAFETY: the callbacks only read the switch, which outlives the call below, and what they are
        // given; whisper.cpp keeps nothing beyond it. (whisper-rs's own closure for a cancel is called as
        // another type than it is.)
        unsafe {
            full.set_filter_logits_callback(Some(keep_times_in_order));
            full.set_abort_callback(Some(is_cancelled));
            full.set_abort_callback_user_data(std::ptr::from_ref(cancel).cast_mut().cast::<c_void>());
        }
        let result = self.state.full(full, &self.pcm);
        cancel.check()?;
        result.map_err(|e| error(&loaded.name, "whisper.cpp failed on a region", e))?;
        let (mut tokens, mut sum) = (Vec::new(), 0.0);
        for segment in self.state.as_iter() {
            for i in 0..segment.n_tokens() {
                let Some(token) = segment.get_token(i) else { continue };
                let data = token.token_data();
                sum += data.plog;
                let Ok(id) = u32::try_from(data.id) else { continue };
                if id == loaded.vocabulary.end {
                    continue;
                }
                tokens.push(Token {
                    id,
                    bytes: loaded.vocabulary.bytes(id).to_vec(),
                    probability: data.p,
                    log_probability: data.plog,
                    // openai-whisper reads the rows of its matrix as the tokens that they lead to, whisper.cpp
                    // counts from the second row on: what it calls a token's time is where the next one begins.
                    end: Timestamp::from_millis(data.t_dtw.saturating_mul(10)),
                });
            }
        }
        // The token that ends the text counts in the mean, also where it did not come.
        let average_log_probability = sum / (tokens.len() + 1) as f32;
        Ok(Window { tokens, average_log_probability })
    }
}

fn parameters(language: &'static str, translate: bool, beams: usize) -> FullParams<'static, 'static> {
    let strategy = match beams {
        1 => SamplingStrategy::Greedy { best_of: 1 },
        _ => SamplingStrategy::BeamSearch { beam_size: beams as i32, patience: -1.0 },
    };
    let mut full = FullParams::new(strategy);
    // whisper-rs never frees the string, so it is made once per language.
    full.set_language(Some(language));
    full.set_translate(translate);
    full.set_print_special(false);
    full.set_print_progress(false);
    full.set_print_realtime(false);
    full.set_print_timestamps(false);
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
    let said: Vec<u32> = tokens.iter().map(|token| token.id.max(0).cast_unsigned()).collect();
    rules::times_in_order(logits, &said, end, begin);
}
