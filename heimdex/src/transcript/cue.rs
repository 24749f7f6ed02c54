//! A cue as read, before it has words; what the readers of all formats share.

use super::{Segment, words};
use crate::{Span, Timestamp};

/// The longest cue that is kept, in characters. Longer ones are no subtitles.
const MAX_CHARS: usize = 10_000;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Cue {
    pub(super) span: Span,
    pub(super) text: String,
    pub(super) speaker: Option<String>,
}

/// Cues in order of start, inside the video, with words. Cues without text are dropped.
pub(super) fn segments(mut cues: Vec<Cue>, end: Timestamp) -> Vec<Segment> {
    cues.sort_by_key(|cue| cue.span.start);
    let bounds = Span::new(Timestamp::ZERO, end);
    cues.into_iter()
        .filter(|cue| cue.span.start < end && cue.span.end >= Timestamp::ZERO)
        .filter_map(|cue| {
            let text = tidy(&cue.text);
            if text.is_empty() || text.chars().count() > MAX_CHARS {
                return None;
            }
            let span = cue.span.clamp_to(bounds);
            Some(Segment {
                words: words::estimate(&text, span),
                span,
                text,
                speaker: cue.speaker,
                language: None,
                no_speech_probability: None,
            })
        })
        .collect()
}

/// Lines without surrounding space, empty lines dropped, nothing that is not seen.
fn tidy(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for line in text.lines() {
        let line: String = line.chars().filter(|c| !c.is_control() || *c == '\t').collect();
        let line = line.trim_matches(|c: char| c.is_whitespace() || matches!(c, '\u{200b}' | '\u{feff}'));
        if !line.is_empty() {
            if !out.is_empty() {
                out.push('\n');
            }
            out.push_str(line);
        }
    }
    out
}

/// `HH:MM:SS,mmm`, `MM:SS.mmm` and what people make of them.
pub(super) fn time(text: &str) -> Option<Timestamp> {
    let text = text.trim().replace(',', ".");
    text.parse().ok()
}

/// The two times of a line with an arrow; what follows them is left out.
pub(super) fn timing(line: &str) -> Option<Span> {
    let (start, rest) = line.split_once("-->")?;
    let start = time(start.split_whitespace().last()?)?;
    let end = time(rest.split_whitespace().next()?)?;
    Some(Span::new(start, end))
}

/// Replaces the character references that subtitles use.
pub(super) fn unescape(text: &str) -> String {
    const NAMED: [(&str, &str); 8] = [
        ("amp;", "&"),
        ("lt;", "<"),
        ("gt;", ">"),
        ("quot;", "\""),
        ("apos;", "'"),
        ("nbsp;", "\u{a0}"),
        ("lrm;", ""),
        ("rlm;", ""),
    ];
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some((name, value)) = NAMED.iter().find(|(name, _)| rest.starts_with(name)) {
            out.push_str(value);
            rest = &rest[name.len()..];
        } else if let Some((c, length)) = numeric(rest) {
            out.push(c);
            rest = &rest[length..];
        } else {
            out.push('&');
        }
    }
    out.push_str(rest);
    out
}

fn numeric(text: &str) -> Option<(char, usize)> {
    let end = text.get(..text.len().min(10)).unwrap_or(text).find(';')?;
    let number = text.get(..end)?.strip_prefix('#')?;
    let code = match number.strip_prefix(['x', 'X']) {
        Some(hex) => u32::from_str_radix(hex, 16).ok()?,
        None => number.parse().ok()?,
    };
    Some((char::from_u32(code)?, end + 1))
}

/// Removes `{\...}` overrides that SubRip files borrow from Advanced SubStation Alpha.
pub(super) fn without_overrides(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("{\\") {
        let Some(close) = rest[at..].find('}') else { break };
        out.push_str(&rest[..at]);
        rest = &rest[at + close + 1..];
    }
    out.push_str(rest);
    out
}
