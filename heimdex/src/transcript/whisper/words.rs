//! Tokens become phrases, and words with times.

use super::super::Word;
use super::super::transcriber::Phrase;
use super::super::words::split;
use crate::{Span, Timestamp};

/// One token of the decoder. Times count from the beginning of the window.
#[derive(Debug, Clone, Default)]
pub(super) struct Token {
    pub(super) id: u32,
    /// Its text: often a part of a word, sometimes a part of a character. Empty for tokens without text.
    pub(super) bytes: Vec<u8>,
    pub(super) probability: f32,
    pub(super) log_probability: f32,
    /// By the attention of the alignment heads.
    pub(super) end: Timestamp,
}

/// How times are read.
pub(super) struct Times {
    /// The token of time zero; those after are 20 ms apart.
    pub(super) begin: u32,
    /// The sound of the window.
    pub(super) bounds: Span,
}

impl Times {
    fn of(&self, token: &Token) -> Option<Timestamp> {
        let steps = token.id.checked_sub(self.begin)?;
        Some(Timestamp::from_millis(i64::from(steps) * 20).min(self.bounds.end))
    }
}

/// The phrases of a window: what stands between its timestamps.
pub(super) fn phrases(tokens: &[Token], times: &Times) -> Vec<Phrase> {
    let mut phrases = Vec::new();
    let mut begin = times.bounds.start;
    let mut first = 0;
    // Where the last token of text ended.
    let mut at = times.bounds.start;
    for (i, token) in tokens.iter().enumerate() {
        let Some(time) = times.of(token) else { continue };
        phrases.extend(phrase(&tokens[first..i], Span::new(begin, time), &mut at));
        (begin, first) = (time, i + 1);
    }
    let rest = Span::new(begin, times.bounds.end);
    phrases.extend(phrase(&tokens[first..], rest, &mut at));
    phrases
}

/// Where a window is to be decoded on: openai-whisper's rule, that two times at the end close what was
/// heard and open what was not. `None` where all was heard, or what is left is too short to matter.
pub(super) fn resumes(tokens: &[Token], times: &Times) -> Option<Timestamp> {
    const LEAST_MICROS: i64 = 1_000_000;
    let [.., before, last] = tokens else { return None };
    times.of(before)?;
    let at = times.of(last)?;
    let (done, left) = (at.micros_since(times.bounds.start), times.bounds.end.micros_since(at));
    (done >= LEAST_MICROS && left >= LEAST_MICROS).then_some(at)
}

/// Whether the text says the same again and again: its last tokens are few different ones.
///
/// The measure is whisper.cpp's: entropy over the last 32 tokens, below 2.4.
pub(super) fn repeats(tokens: &[Token]) -> bool {
    const LAST: usize = 32;
    let text: Vec<u32> = tokens.iter().filter(|t| !t.bytes.is_empty()).map(|t| t.id).collect();
    if text.len() <= LAST {
        return false;
    }
    let mut last = text[text.len() - LAST..].to_vec();
    last.sort_unstable();
    let entropy: f64 = last
        .chunk_by(|a, b| a == b)
        .map(|same| same.len() as f64 / LAST as f64)
        .map(|part| -part * part.ln())
        .sum();
    entropy < 2.4
}

fn phrase(tokens: &[Token], span: Span, at: &mut Timestamp) -> Option<Phrase> {
    let pieces = pieces(tokens, span, at);
    let bytes: Vec<u8> = tokens.iter().flat_map(|t| t.bytes.iter().copied()).collect();
    let (text, places) = readable(&bytes, &pieces);
    let trimmed = text.trim();
    if trimmed.is_empty() {
        return None;
    }
    let lead = text.len() - text.trim_start().len();
    let mut words: Vec<Word> = split(trimmed)
        .into_iter()
        .map(|part| {
            let from = lead + (part.as_ptr() as usize - trimmed.as_ptr() as usize);
            word(part, &places[from..from + part.len()], &pieces)
        })
        .collect();
    not_too_long(&mut words);
    let spoken = tokens.iter().filter(|t| !t.bytes.is_empty());
    let sum: f32 = spoken.clone().map(|t| t.log_probability).sum();
    let (first, last) = (words.first()?, words.last()?);
    Some(Phrase {
        span: Span::new(first.span.start, last.span.end),
        text: trimmed.to_owned(),
        no_speech_probability: None,
        average_log_probability: Some(sum / spoken.count().max(1) as f32),
        words,
    })
}

/// The time of a token inside its phrase, and how sure it is.
struct Piece {
    span: Span,
    /// Its bytes in the phrase.
    bytes: std::ops::Range<usize>,
    /// How many of these are the space before a word: part of the token, not of the sound.
    spaces: usize,
    probability: f32,
}

fn pieces(tokens: &[Token], span: Span, at: &mut Timestamp) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut from = 0;
    // A word cannot begin before its phrase, nor before the one before has ended.
    let mut last = (*at).max(span.start);
    for token in tokens.iter().filter(|t| !t.bytes.is_empty()) {
        let start = last;
        let end = token.end.clamp(start, span.end.max(start));
        last = end;
        let bytes = from..from + token.bytes.len();
        from = bytes.end;
        let spaces = token.bytes.iter().take_while(|byte| **byte == b' ').count();
        pieces.push(Piece { span: Span::new(start, end), bytes, spaces, probability: token.probability });
    }
    *at = last.max(*at);
    pieces
}

/// The bytes as text, without what is no UTF-8; for each byte of it, its place among the bytes.
fn readable(bytes: &[u8], pieces: &[Piece]) -> (String, Vec<usize>) {
    let mut text = String::with_capacity(bytes.len());
    let mut places = Vec::with_capacity(bytes.len());
    let mut at = 0;
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        places.extend(at..at + chunk.valid().len());
        at += chunk.valid().len() + chunk.invalid().len();
    }
    debug_assert!(pieces.last().is_none_or(|p| p.bytes.end == bytes.len()));
    (text, places)
}

/// A word from where its first byte is said to where its last is.
fn word(text: &str, places: &[usize], pieces: &[Piece]) -> Word {
    let first = places.first().copied().unwrap_or(0);
    let last = places.last().copied().unwrap_or(first);
    let of =
        |place: usize| pieces.partition_point(|p| p.bytes.end <= place).min(pieces.len().saturating_sub(1));
    let mine = pieces.get(of(first)..=of(last)).unwrap_or_default();
    // A token of several words shares its time by its bytes.
    let moment = |piece: &Piece, place: usize| {
        let sounding = piece.bytes.len().saturating_sub(piece.spaces).max(1) as i64;
        let part = place.saturating_sub(piece.bytes.start + piece.spaces) as i64;
        piece.span.start.plus_micros(piece.span.micros() * part.min(sounding) / sounding)
    };
    let (Some(begin), Some(end)) = (mine.first(), mine.last()) else {
        return Word { text: text.to_owned(), span: Span::default(), probability: None };
    };
    let sum: f32 = mine.iter().map(|p| p.probability).sum();
    Word {
        text: text.to_owned(),
        span: Span::new(moment(begin, first), moment(end, last + 1)),
        probability: Some((sum / mine.len() as f32).clamp(0.0, 1.0)),
    }
}

/// Attention gives the pause before a word to the word: the first of a phrase or sentence begins no
/// earlier than twice the usual length before its end.
///
/// The rule is openai-whisper's (`timing.py`, `add_word_timestamps`), there for both sides of a pause.
fn not_too_long(words: &mut [Word]) {
    let mut lengths: Vec<i64> = words.iter().map(|w| w.span.micros()).filter(|l| *l > 0).collect();
    lengths.sort_unstable();
    let Some(median) = lengths.get(lengths.len() / 2) else { return };
    let most = 2 * (*median).min(700_000);
    let mut opens = true;
    for word in words {
        if opens && word.span.micros() > most {
            word.span.start = word.span.end.plus_micros(-most);
        }
        opens = word.text.ends_with(['.', '!', '?', '。', '！', '？', '…']);
    }
}
