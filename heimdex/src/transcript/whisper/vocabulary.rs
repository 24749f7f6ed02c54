//! Whisper's tokens: parts of words, languages, times and signs.
//!
//! Source: openai-whisper, `tokenizer.py`; byte pairs are merged as tiktoken does.

use std::collections::HashMap;

use regex::Regex;

use super::file::Contents;
use crate::{Error, Result};

/// Languages in the order of their tokens. The last only in the last large models.
const LANGUAGES: [&str; 100] = [
    "en", "zh", "de", "es", "ru", "ko", "fr", "ja", "pt", "tr", "pl", "ca", "nl", "ar", "sv", "it", "id",
    "hi", "fi", "vi", "he", "uk", "el", "ms", "cs", "ro", "da", "hu", "ta", "no", "th", "ur", "hr", "bg",
    "lt", "la", "mi", "ml", "cy", "sk", "te", "fa", "lv", "bn", "sr", "az", "sl", "kn", "et", "mk", "br",
    "eu", "is", "hy", "ne", "mn", "bs", "kk", "sq", "sw", "gl", "mr", "pa", "si", "km", "sn", "yo", "so",
    "af", "oc", "ka", "be", "tg", "sd", "gu", "am", "yi", "lo", "uz", "fo", "ht", "ps", "tk", "nn", "mt",
    "sa", "lb", "my", "bo", "tl", "mg", "as", "tt", "haw", "ln", "ha", "ba", "jw", "su", "yue",
];

/// What a word or a sign that nobody speaks is written with.
const UNSPOKEN: [&str; 54] = [
    "\"",
    "#",
    "(",
    ")",
    "*",
    "+",
    "/",
    ":",
    ";",
    "<",
    "=",
    ">",
    "@",
    "[",
    "\\",
    "]",
    "^",
    "_",
    "`",
    "{",
    "|",
    "}",
    "~",
    "「",
    "」",
    "『",
    "』",
    "<<",
    ">>",
    "<<<",
    ">>>",
    "--",
    "---",
    "-(",
    "-[",
    "('",
    "(\"",
    "((",
    "))",
    "(((",
    ")))",
    "[[",
    "]]",
    "{{",
    "}}",
    "♪♪",
    "♪♪♪",
    "♩",
    "♪",
    "♫",
    "♬",
    "♭",
    "♮",
    "♯",
];

/// Text that is read at most: far more than the decoder has places for.
const MOST_BYTES: usize = 8192;

pub(super) struct Vocabulary {
    pieces: Vec<Vec<u8>>,
    ranks: HashMap<Vec<u8>, u32>,
    words: Regex,
    multilingual: bool,
    languages: u32,
    /// The token that ends a text.
    pub(super) end: u32,
}

impl Vocabulary {
    pub(super) fn of(contents: &mut Contents) -> Result<Self> {
        let size = contents.shape.vocabulary as u32;
        let multilingual = size >= 51_865;
        let pieces = std::mem::take(&mut contents.pieces);
        let ranks = pieces.iter().enumerate().map(|(i, piece)| (piece.clone(), i as u32)).collect();
        // As published, but that what is left of spaces before a word is taken apart below.
        let words = Regex::new(r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+");
        let words = words.map_err(|e| Error::model("whisper", e.to_string()))?;
        Ok(Self {
            pieces,
            ranks,
            words,
            multilingual,
            languages: if size > 51_865 { 100 } else { 99 },
            end: if multilingual { 50_257 } else { 50_256 },
        })
    }

    pub(super) fn is_multilingual(&self) -> bool {
        self.multilingual
    }

    /// The token that begins a text.
    pub(super) fn start(&self) -> u32 {
        self.end + 1
    }

    fn after_languages(&self) -> u32 {
        self.start() + 1 + self.languages
    }

    pub(super) fn translate(&self) -> u32 {
        self.after_languages()
    }

    pub(super) fn transcribe(&self) -> u32 {
        self.after_languages() + 1
    }

    /// The token before what was said before.
    pub(super) fn before(&self) -> u32 {
        self.after_languages() + 3
    }

    /// The token of what is no speech.
    pub(super) fn silence(&self) -> u32 {
        self.after_languages() + 4
    }

    pub(super) fn without_times(&self) -> u32 {
        self.after_languages() + 5
    }

    /// The token of time zero; those after are 20 ms apart.
    pub(super) fn times(&self) -> u32 {
        self.after_languages() + 6
    }

    /// The token of a language that the model knows.
    pub(super) fn language(&self, code: &str) -> Option<u32> {
        self.languages().find(|(known, _)| *known == code).map(|(_, token)| token)
    }

    /// All that it knows, and their tokens.
    pub(super) fn languages(&self) -> impl Iterator<Item = (&'static str, u32)> + use<> {
        let first = self.start() + 1;
        let count = if self.multilingual { self.languages as usize } else { 0 };
        LANGUAGES.into_iter().take(count).zip(first..)
    }

    /// The text of a token; empty for one that is none.
    pub(super) fn bytes(&self, token: u32) -> &[u8] {
        let text = (token < self.end).then(|| self.pieces.get(token as usize)).flatten();
        text.map_or(&[], Vec::as_slice)
    }

    /// The tokens of a text.
    pub(super) fn encode(&self, text: &str) -> Vec<u32> {
        let text = &text[..text.floor_char_boundary(MOST_BYTES)];
        let mut tokens = Vec::new();
        let mut at = 0;
        while let Some(word) = self.words.find_at(text, at) {
            at = word.end();
            let found = word.as_str();
            // The last of several spaces belongs to the word that follows.
            if let Some(last) = found.chars().next_back().filter(|last| last.is_whitespace())
                && found.len() > last.len_utf8()
                && at < text.len()
            {
                at -= last.len_utf8();
            }
            self.merge(&text.as_bytes()[word.start()..at], &mut tokens);
        }
        tokens
    }

    /// Again and again, the two neighbours become one whose token is the first in the vocabulary.
    fn merge(&self, word: &[u8], tokens: &mut Vec<u32>) {
        let mut ends: Vec<usize> = (0..=word.len()).collect();
        loop {
            let pairs = ends.windows(3).enumerate();
            let ranks = pairs.filter_map(|(i, ends)| Some((*self.ranks.get(&word[ends[0]..ends[2]])?, i)));
            let Some((_, i)) = ranks.min() else { break };
            ends.remove(i + 1);
        }
        tokens.extend(ends.windows(2).filter_map(|ends| self.ranks.get(&word[ends[0]..ends[1]])));
    }

    /// Tokens that are never said: signs that are not spoken, and what steers the decoder but for languages.
    pub(super) fn unspoken(&self) -> Vec<u32> {
        let mut tokens: Vec<u32> = (self.after_languages()..self.times()).collect();
        tokens.push(self.start());
        for sign in UNSPOKEN {
            for text in [sign.to_owned(), format!(" {sign}")] {
                match self.encode(&text).as_slice() {
                    [token] => tokens.push(*token),
                    // Notes of music are the only characters that begin so.
                    [first, ..] if self.bytes(*first).trim_ascii_start() == [0xe2, 0x99] => {
                        tokens.push(*first);
                    }
                    _ => {}
                }
            }
        }
        // A hyphen or an apostrophe may stand in a word, not at its beginning.
        tokens.extend([" -", " '"].iter().filter_map(|text| self.encode(text).first().copied()));
        tokens.sort_unstable();
        tokens.dedup();
        tokens
    }

    /// The token of a space.
    pub(super) fn blank(&self) -> Option<u32> {
        self.encode(" ").first().copied()
    }
}
