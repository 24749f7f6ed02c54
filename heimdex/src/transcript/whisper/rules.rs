//! What a decoder may say next.

use super::vocabulary::Vocabulary;
use crate::math::{highest, sum_of_exponentials};

const NEVER: f32 = f32::NEG_INFINITY;

pub(super) struct Rules {
    unspoken: Vec<u32>,
    blank: Option<u32>,
    end: u32,
    times: u32,
}

impl Rules {
    pub(super) fn of(vocabulary: &Vocabulary) -> Self {
        Self {
            unspoken: vocabulary.unspoken(),
            blank: vocabulary.blank(),
            end: vocabulary.end,
            times: vocabulary.times(),
        }
    }

    /// Takes away what may not follow on `said`, which is all of a window so far; times altogether where a
    /// model has none.
    ///
    /// Source: openai-whisper, `decoding.py`, `SuppressBlank`, `SuppressTokens` and `ApplyTimestampRules`.
    pub(super) fn apply(&self, logits: &mut [f32], said: &[u32], times: bool) {
        let mut never = |token: u32| {
            if let Some(logit) = logits.get_mut(token as usize) {
                *logit = NEVER;
            }
        };
        self.unspoken.iter().copied().for_each(&mut never);
        if said.is_empty() {
            never(self.end);
            self.blank.into_iter().for_each(never);
        }
        if times {
            times_in_order(logits, said, self.end as usize, self.times as usize);
        } else {
            logits[self.times as usize..].fill(NEVER);
        }
    }
}

/// A window begins with a time of its first second, times come in pairs but at the end, none goes back and
/// no phrase is empty; and a time comes wherever all of them together are more probable than any word.
pub(super) fn times_in_order(logits: &mut [f32], said: &[u32], end: usize, begin: usize) {
    const FIRST_SECOND: usize = 50;
    // A model that knows no times has had them taken away by now.
    if begin > logits.len() || end > begin || logits[begin..].iter().all(|logit| *logit == NEVER) {
        return;
    }
    let is_time = |token: Option<&u32>| token.is_some_and(|token| *token as usize >= begin);
    let last_is = is_time(said.last());
    let before_is = said.len() < 2 || is_time(said.get(said.len() - 2));
    match (last_is, before_is) {
        (true, true) => logits[begin..].fill(NEVER),
        (true, false) => logits[..end].fill(NEVER),
        (false, _) => {}
    }
    if let Some(last) = said.iter().map(|token| *token as usize).rfind(|token| *token >= begin) {
        let least = if last_is && !before_is { last } else { last + 1 };
        let least = least.min(logits.len());
        logits[begin..least].fill(NEVER);
    }
    if said.is_empty() {
        logits[..begin].fill(NEVER);
        let most = (begin + FIRST_SECOND + 1).min(logits.len());
        logits[most..].fill(NEVER);
    }
    let times = log_sum(&logits[begin..]);
    let words = highest(&logits[..begin]);
    if times > words {
        logits[..begin].fill(NEVER);
    }
}

/// The logarithm of the sum of all exponentials: a logit less this is the logarithm of a probability.
pub(super) fn log_sum(logits: &[f32]) -> f32 {
    let most = highest(logits);
    if most == NEVER {
        return most;
    }
    sum_of_exponentials(logits, most).ln() + most
}
