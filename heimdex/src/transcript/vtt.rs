//! WebVTT: <https://www.w3.org/TR/webvtt1/>.

use super::Segment;
use super::cue::{Cue, timing, unescape};
use crate::Timestamp;

/// Whether this text says that it is WebVTT.
pub(super) fn is_vtt(text: &str) -> bool {
    text.strip_prefix("WEBVTT").is_some_and(|rest| rest.is_empty() || rest.starts_with(char::is_whitespace))
}

/// Reads cues; styles, regions and notes are left out.
pub(super) fn read(text: &str) -> Vec<Cue> {
    let lines: Vec<&str> = text.lines().collect();
    let mut cues = Vec::new();
    let mut at = 0;
    while at < lines.len() {
        let begins_block = at == 0 || lines[at - 1].trim().is_empty();
        if begins_block && is_note(lines[at]) {
            while at < lines.len() && !lines[at].trim().is_empty() {
                at += 1;
            }
            continue;
        }
        let Some(span) = timing(lines[at]) else {
            at += 1;
            continue;
        };
        at += 1;
        let first = at;
        // An arrow ends a cue even inside its text.
        while at < lines.len() && !lines[at].trim().is_empty() && !lines[at].contains("-->") {
            at += 1;
        }
        let (text, speaker) = plain(&lines[first..at].join("\n"));
        cues.push(Cue { span, text: unescape(&text), speaker: speaker.map(|s| unescape(&s)) });
    }
    cues
}

fn is_note(line: &str) -> bool {
    ["NOTE", "STYLE", "REGION"].iter().any(|word| {
        line.strip_prefix(word).is_some_and(|rest| rest.is_empty() || rest.starts_with(char::is_whitespace))
    })
}

/// The text without its tags, and the voice of the first `<v Name>`.
fn plain(text: &str) -> (String, Option<String>) {
    let mut out = String::with_capacity(text.len());
    let mut speaker = None;
    let mut rest = text;
    while let Some(at) = rest.find('<') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        let end = rest.find('>').unwrap_or(rest.len());
        let tag = &rest[..end];
        let (name, annotation) = tag.split_once(char::is_whitespace).unwrap_or((tag, ""));
        if name.split('.').next() == Some("v") && !annotation.trim().is_empty() {
            speaker.get_or_insert_with(|| annotation.trim().to_owned());
        }
        rest = rest.get(end + 1..).unwrap_or_default();
    }
    out.push_str(rest);
    (out, speaker)
}

/// Writes WebVTT: times to the millisecond, the speaker as a voice.
pub fn write_vtt(segments: &[Segment]) -> String {
    let mut out = String::from("WEBVTT\n\n");
    for segment in segments {
        let text = escape(&segment.text);
        let voice = match &segment.speaker {
            Some(speaker) => format!("<v {}>", escape(&speaker.replace('\n', " "))),
            None => String::new(),
        };
        let start = segment.span.start.max(Timestamp::ZERO);
        let end = segment.span.end.max(start);
        out.push_str(&format!("{start} --> {end}\n{voice}{text}\n\n"));
    }
    out
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
