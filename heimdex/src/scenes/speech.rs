//! Which word belongs to which scene, and what a scene says.

use super::{Placed, Scene};
use crate::transcript::Segment;

/// Every word of every segment with its place in the text, in order of start.
pub(super) fn placed(segments: &[Segment]) -> Vec<Placed<'_>> {
    let mut all = Vec::new();
    for (number, segment) in segments.iter().enumerate() {
        let mut from = 0;
        for word in &segment.words {
            // A recogniser may write a word otherwise than the text does; it then stands where the
            // one before it ends.
            let at = segment.text[from..].find(&word.text).map(|at| from + at);
            let bytes = at.map_or(from..from, |at| at..at + word.text.len());
            from = bytes.end;
            all.push(Placed { word, segment: number, bytes });
        }
    }
    all.sort_by_key(|placed| (placed.word.span.start, placed.segment, placed.bytes.start));
    all
}

/// Gives each word to the scene that it overlaps most, the earlier one when two are equal. Words
/// outside all scenes go to the nearest.
pub(super) fn assign(scenes: &mut [Scene], segments: &[Segment], words: &[Placed<'_>]) {
    if scenes.is_empty() {
        return;
    }
    let mut owned: Vec<Vec<&Placed<'_>>> = scenes.iter().map(|_| Vec::new()).collect();
    for placed in words {
        let span = placed.word.span;
        let first = scenes.partition_point(|s| s.span.start <= span.start).saturating_sub(1);
        let mut best = first;
        for i in first..scenes.len() {
            if i > first && scenes[i].span.start >= span.end {
                break;
            }
            if scenes[i].span.overlap_micros(span) > scenes[best].span.overlap_micros(span) {
                best = i;
            }
        }
        owned[best].push(placed);
    }
    for (scene, owned) in scenes.iter_mut().zip(owned) {
        scene.speech = text(segments, &owned);
        scene.words = owned.into_iter().map(|placed| placed.word.clone()).collect();
    }
}

/// The text between the first and last word of each segment, as written; a line per segment.
fn text(segments: &[Segment], words: &[&Placed<'_>]) -> String {
    let mut order: Vec<usize> = words.iter().map(|w| w.segment).collect();
    order.sort_unstable();
    order.dedup();
    let mut lines = Vec::new();
    for number in order {
        let mine = || words.iter().filter(|w| w.segment == number);
        let start = mine().map(|w| w.bytes.start).min().unwrap_or(0);
        let end = mine().map(|w| w.bytes.end).max().unwrap_or(0);
        let line = segments[number].text[start..end].trim();
        if !line.is_empty() {
            lines.push(line);
        }
    }
    lines.join("\n")
}
