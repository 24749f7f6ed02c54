//! Event lines of Advanced SubStation Alpha: what FFmpeg's decoders make of every embedded text.

use super::cue::Cue;
use crate::Span;

/// A cue of `ReadOrder,Layer,Style,Name,MarginL,MarginR,MarginV,Effect,Text`.
///
/// Drawings and lines that are not of this form give nothing.
pub(super) fn read_event(event: &str, span: Span) -> Option<Cue> {
    let mut fields = event.splitn(9, ',');
    let name = fields.nth(3)?.trim();
    let text = fields.nth(4)?;
    let text = plain(text);
    let speaker = (!name.is_empty()).then(|| name.to_owned());
    (!text.trim().is_empty()).then_some(Cue { span, text, speaker })
}

fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut drawing = false;
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        if let Some(end) = rest.strip_prefix('{').and_then(|inner| inner.find('}')) {
            // `\p1` and above start a drawing, `\p0` ends it; `\pos` is another thing.
            for tag in rest[1..=end].split('\\').filter_map(|tag| tag.strip_prefix('p')) {
                let level = tag.trim_end_matches('}').trim();
                if let Ok(level) = level.parse::<u32>() {
                    drawing = level > 0;
                }
            }
            rest = &rest[end + 2..];
            continue;
        }
        let (shown, length) = match rest.get(..2) {
            Some("\\N" | "\\n") => ('\n', 2),
            Some("\\h") => (' ', 2),
            _ => (c, c.len_utf8()),
        };
        if !drawing {
            out.push(shown);
        }
        rest = &rest[length..];
    }
    out
}
