//! Where a long shot is split.

use super::Placed;
use crate::{Span, Timestamp};

/// A pause longer than this is as good as it gets.
const GOOD_PAUSE_MICROS: i64 = 1_000_000;

/// Parts of a shot, each at most `max` long, near `target`, none shorter than `min` where the shot
/// is long enough.
pub(super) fn split(shot: Span, words: &[Placed<'_>], (max, target, min): (i64, i64, i64)) -> Vec<Span> {
    let mut parts = Vec::new();
    let mut rest = shot;
    while rest.micros() > max {
        let at = best_cut(rest, words, (max, target, min));
        parts.push(Span::new(rest.start, at));
        rest.start = at;
    }
    parts.push(rest);
    parts
}

/// The moment where the first part ends.
fn best_cut(rest: Span, words: &[Placed<'_>], (max, target, min): (i64, i64, i64)) -> Timestamp {
    // What is left behind the cut is long enough, too.
    let earliest = rest.start.plus_micros(min.max(1));
    let latest = rest.start.plus_micros(max.min(rest.micros() - min.max(1)));
    // As many parts as needed, of equal length, as near as possible to the length wished.
    let parts = ((rest.micros() + target / 2) / target).max((rest.micros() + max - 1) / max);
    let even = rest.start.plus_micros(rest.micros() / parts.max(2)).clamp(earliest, latest);
    let from = words.partition_point(|w| w.word.span.start < rest.start);
    let mut best = (0.0_f64, even);
    // A word that began before this part may reach into it.
    let mut spoken_until = words[..from].iter().rev().take(64).map(Placed::end).max().unwrap_or(rest.start);
    let mut sentence = true;
    for (i, placed) in words[from..].iter().enumerate() {
        let start = placed.word.span.start;
        if start > latest {
            break;
        }
        let pause = start.micros_since(spoken_until);
        if i > 0 && pause >= 0 && start >= earliest {
            let at = spoken_until.plus_micros(pause / 2).clamp(earliest, latest);
            let quiet = (pause as f64 / GOOD_PAUSE_MICROS as f64).min(1.0);
            let quality = quiet + if sentence { 1.0 } else { 0.0 };
            let distance = at.micros_since(even).unsigned_abs() as f64 / max as f64;
            let score = quality - distance;
            // Anywhere between words beats the middle of one; nothing said at all does not.
            if score > best.0 - 1.0 && (best.1 == even || score > best.0) {
                best = (score, at);
            }
        }
        sentence = placed.ends_sentence();
        spoken_until = spoken_until.max(placed.end());
    }
    best.1
}
