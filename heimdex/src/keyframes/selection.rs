//! Which frames stand for a shot, decided while frames go by.

use super::KeyframeSettings;
use crate::Timestamp;
use crate::shots::PictureMeasures;

/// How late a detector may tell of a cut and every frame still goes to its own shot.
const LAG_MICROS: i64 = 1_000_000;

/// This far from a cut, a frame no longer shows any of the change.
const CLEAR_OF_CUTS_MICROS: i64 = 500_000;

/// Most frames held at once, for any length of video.
const MAX_HELD: usize = 12;

/// A frame that may stand for its shot.
pub(crate) struct Candidate<F> {
    pub(crate) time: Timestamp,
    pub(crate) measures: PictureMeasures,
    pub(crate) frame: F,
}

/// A frame that does.
#[derive(Debug)]
pub(crate) struct SelectedKeyframe<F> {
    pub(crate) time: Timestamp,
    pub(crate) quality: f32,
    pub(crate) frame: F,
}

/// Picks the best frame of each window of each shot. Holds few frames, however long the video.
pub(crate) struct KeyframeSelector<F> {
    window: i64,
    step: i64,
    min_difference: f32,
    /// Where the current shot begins, and the window in it that is not decided yet.
    shot: Timestamp,
    open: Timestamp,
    wanted: Option<Timestamp>,
    held: Vec<Candidate<F>>,
    /// Of the keyframes of the current shot.
    signatures: Vec<[u8; 64]>,
    ready: Vec<SelectedKeyframe<F>>,
}

impl<F> KeyframeSelector<F> {
    pub(crate) fn new(settings: &KeyframeSettings) -> Self {
        let window = i64::try_from(settings.window.as_micros()).unwrap_or(i64::MAX);
        Self {
            window,
            step: window / i64::from(settings.candidates.max(1)),
            min_difference: settings.min_difference,
            shot: Timestamp::ZERO,
            open: Timestamp::ZERO,
            wanted: None,
            held: Vec::new(),
            signatures: Vec::new(),
            ready: Vec::new(),
        }
    }

    /// Whether a frame at `time` is to be offered. The first frame after a change always is, so
    /// that the shortest shot has one; others a few times in a window.
    pub(crate) fn wants(&self, time: Timestamp, changed: bool) -> bool {
        changed || self.wanted.is_none_or(|wanted| time >= wanted)
    }

    /// Takes a frame. Frames come in the order they are shown.
    pub(crate) fn offer(&mut self, candidate: Candidate<F>) {
        let now = candidate.time;
        if self.wanted.is_none() {
            (self.shot, self.open) = (now, now);
        }
        self.wanted = Some(now.plus_micros(self.step));
        self.held.push(candidate);
        while now.micros_since(self.open) >= self.window.saturating_add(LAG_MICROS) {
            self.close_window(self.open.plus_micros(self.window), None);
        }
        self.forget_beaten(now);
    }

    /// A new shot begins at `time`.
    pub(crate) fn cut(&mut self, time: Timestamp) {
        self.close_shot(time);
        self.shot = time;
        self.open = time;
        self.signatures.clear();
    }

    #[cfg(test)]
    pub(crate) fn held_frames(&self) -> usize {
        self.held.len()
    }

    /// The keyframes that are decided.
    pub(crate) fn take(&mut self) -> std::vec::Drain<'_, SelectedKeyframe<F>> {
        self.ready.drain(..)
    }

    /// The keyframes that are left when the video ends.
    pub(crate) fn finish(mut self) -> Vec<SelectedKeyframe<F>> {
        self.close_shot(Timestamp::MAX);
        self.ready
    }

    fn close_shot(&mut self, end: Timestamp) {
        while self.held.iter().any(|c| c.time < end) {
            // A window that time has jumped over holds nothing and is closed all the same.
            let next = self.held.iter().map(|c| c.time).filter(|t| *t < end).min().unwrap_or(end);
            if next.micros_since(self.open) >= self.window {
                self.open = next;
            }
            let until = end.min(self.open.plus_micros(self.window));
            self.close_window(until, Some(end));
        }
    }

    /// Decides the window from `open` to `until`. `cut` is where the shot ends, if that is known.
    fn close_window(&mut self, until: Timestamp, cut: Option<Timestamp>) {
        let best = (0..self.held.len())
            .filter(|i| self.held[*i].time < until)
            .max_by(|a, b| self.quality(*a, cut).total_cmp(&self.quality(*b, cut)).then(b.cmp(a)));
        if let Some(best) = best {
            let quality = self.quality(best, cut);
            let chosen = self.held.swap_remove(best);
            let signature = chosen.measures.signature;
            if self.signatures.iter().all(|kept| difference(kept, &signature) >= self.min_difference) {
                self.signatures.push(signature);
                self.ready.push(SelectedKeyframe { time: chosen.time, quality, frame: chosen.frame });
            }
        }
        self.held.retain(|c| c.time >= until);
        self.held.sort_by_key(|c| c.time);
        self.open = until;
    }

    /// Frames so old that no cut can come before them: only the best of them can be chosen.
    fn forget_beaten(&mut self, now: Timestamp) {
        let settled = now.plus_micros(-LAG_MICROS).min(self.open.plus_micros(self.window));
        let old = self.held.partition_point(|c| c.time < settled);
        let best =
            (0..old).max_by(|a, b| self.quality(*a, None).total_cmp(&self.quality(*b, None)).then(b.cmp(a)));
        let mut i = 0;
        self.held.retain(|_| {
            i += 1;
            i > old || Some(i - 1) == best
        });
        if self.held.len() > MAX_HELD {
            // Many changes in a second: the first and the last of them are kept for their shots.
            let worst = (1..self.held.len() - 1)
                .min_by(|a, b| self.quality(*a, None).total_cmp(&self.quality(*b, None)));
            if let Some(worst) = worst {
                self.held.remove(worst);
            }
        }
    }

    /// In 0..=1: mostly sharpness, then brightness, then distance from cuts.
    fn quality(&self, index: usize, cut: Option<Timestamp>) -> f32 {
        let candidate = &self.held[index];
        let sharpness = candidate.measures.sharpness.max(0.0);
        let sharp = sharpness / (sharpness + 150.0);
        let light = (1.0 - (candidate.measures.brightness - 118.0).abs() / 118.0).clamp(0.0, 1.0);
        let since = candidate.time.micros_since(self.shot);
        let until = cut.map_or(i64::MAX, |cut| cut.micros_since(candidate.time));
        let clear = since.min(until).clamp(0, CLEAR_OF_CUTS_MICROS) as f32 / CLEAR_OF_CUTS_MICROS as f32;
        0.5 * sharp + 0.3 * light + 0.2 * clear
    }
}

/// Mean difference of two tiny pictures in grey levels.
fn difference(a: &[u8; 64], b: &[u8; 64]) -> f32 {
    a.iter().zip(b).map(|(a, b)| f32::from(a.abs_diff(*b))).sum::<f32>() / 64.0
}
