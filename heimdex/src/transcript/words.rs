//! Words of a cue, with times estimated by length.

use unicode_segmentation::UnicodeSegmentation;

use super::Word;
use crate::{Span, Timestamp};

/// Splits a text into words; each gets the part of `span` that its characters are of the text's.
pub(super) fn estimate(text: &str, span: Span) -> Vec<Word> {
    let parts = split(text);
    let total: usize = parts.iter().map(|part| part.chars().count()).sum();
    let at = |chars: usize| -> Timestamp {
        let micros = i128::from(span.micros()) * chars as i128 / total.max(1) as i128;
        span.start.plus_micros(i64::try_from(micros).unwrap_or(i64::MAX))
    };
    let mut before = 0;
    parts
        .into_iter()
        .map(|part| {
            let start = at(before);
            before += part.chars().count();
            Word { text: part.to_owned(), span: Span::new(start, at(before)), probability: None }
        })
        .collect()
}

/// At white space, and inside runs of Han, Hiragana and Katakana at the word boundaries of UAX #29.
/// Punctuation stays with the word before it.
pub(super) fn split(text: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    for token in text.split_whitespace() {
        if !token.chars().any(is_unspaced) {
            parts.push(token);
            continue;
        }
        let mut start = 0;
        let mut has_word = false;
        for (at, piece) in token.split_word_bound_indices() {
            let is_word = piece.chars().any(char::is_alphanumeric);
            if is_word && has_word {
                parts.push(&token[start..at]);
                start = at;
            }
            has_word |= is_word;
        }
        parts.push(&token[start..]);
    }
    parts
}

/// Scripts that are written without spaces between words.
fn is_unspaced(c: char) -> bool {
    matches!(c, '\u{3040}'..='\u{30ff}' | '\u{3400}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{3ffff}')
}
