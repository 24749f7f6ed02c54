//! SubRip, as found in the wild.

use super::Segment;
use super::cue::{Cue, timing, unescape, without_overrides};
use crate::Timestamp;

/// Reads cues. A cue begins at a line with an arrow between two times; its number may be missing.
pub(super) fn read(text: &str) -> Vec<Cue> {
    let lines: Vec<&str> = text.lines().collect();
    let mut cues: Vec<Cue> = Vec::new();
    let mut at = 0;
    while at < lines.len() {
        let Some(span) = timing(lines[at]) else {
            at += 1;
            continue;
        };
        let first = at + 1;
        at = first;
        while at < lines.len() && !lines[at].trim().is_empty() && timing(lines[at]).is_none() {
            at += 1;
        }
        // Without an empty line between cues, the last line before the next times is its number.
        let next_follows = lines.get(at).is_some_and(|line| timing(line).is_some());
        let last = if next_follows && at > first && is_number(lines[at - 1]) { at - 1 } else { at };
        let text = lines[first..last].join("\n");
        cues.push(Cue { span, text: unescape(&without_tags(&without_overrides(&text))), speaker: None });
    }
    cues
}

fn is_number(line: &str) -> bool {
    let line = line.trim();
    !line.is_empty() && line.bytes().all(|b| b.is_ascii_digit())
}

/// Removes `<b>`, `</font>` and their like; a `<` that opens no tag stays.
fn without_tags(text: &str) -> String {
    const TAGS: [&str; 6] = ["b", "i", "u", "s", "font", "c"];
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('<') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let inner = rest[1..].split(['>', '\n']).next().unwrap_or_default();
        let name = inner
            .trim_start_matches('/')
            .split(|c: char| !c.is_ascii_alphanumeric())
            .next()
            .unwrap_or_default();
        let closed = rest[1 + inner.len()..].starts_with('>');
        if closed && TAGS.iter().any(|tag| tag.eq_ignore_ascii_case(name)) {
            rest = &rest[inner.len() + 2..];
        } else {
            out.push('<');
            rest = &rest[1..];
        }
    }
    out.push_str(rest);
    out
}

/// Writes SubRip: numbered cues, times to the millisecond.
pub fn write_srt(segments: &[Segment]) -> String {
    let mut out = String::new();
    for (i, segment) in segments.iter().enumerate() {
        let text = segment
            .text
            .replace('&', "&amp;")
            .replace('<', "&lt;")
            .replace('{', "&#123;")
            .replace("-->", "--&gt;");
        let number = i + 1;
        let (start, end) = (stamp(segment.span.start), stamp(segment.span.end));
        out.push_str(&format!("{number}\n{start} --> {end}\n{text}\n\n"));
    }
    out
}

fn stamp(time: Timestamp) -> String {
    time.max(Timestamp::ZERO).to_string().replace('.', ",")
}
