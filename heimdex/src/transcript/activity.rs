//! Which 20 ms of sound are speech.
//!
//! Speech is loud and quiet by turns, its spectrum is now harmonic and now noisy, and what is harmonic
//! glides. Noise stays noise, however loud it becomes; notes stay on their pitch. A second of sound is
//! speech where all three hold, and in it the frames that stand out from the background.

use std::collections::VecDeque;
use std::f32::consts::PI;

/// Samples of a frame.
pub(super) const FRAME: usize = 320;

/// Samples that a spectrum is taken of: 64 ms, so that neighbouring harmonics stand apart.
const WINDOW: usize = 1024;

/// Samples of the window before its frame.
const LEAD: usize = (WINDOW - FRAME) / 2;

/// Bins that are looked at: 200 to 4000 Hz.
const BINS: std::ops::Range<usize> = 13..256;

/// Frames that are judged together, and how far apart.
const TOGETHER: usize = 50;
const STEP: usize = 12;

/// Frames that the background is taken from: ten seconds.
const BACKGROUND: usize = 500;

/// Frames between the two spectra that are compared.
const APART: usize = 3;

/// Levels in dB below full scale: what counts as nothing, and what is never speech.
const NOTHING: f32 = -70.0;
const FAINT: f32 = -62.0;

/// Tells speech from other sound, frame by frame, some time after the frame.
pub(super) trait VoiceActivity: Send {
    /// Adds samples; appends one flag for each frame that is decided, in order.
    fn push(&mut self, pcm: &[f32], out: &mut Vec<bool>) -> crate::Result<()>;

    /// Decides all frames that are left, a started one too; then begins anew.
    fn finish(&mut self, out: &mut Vec<bool>) -> crate::Result<()>;
}

/// Every frame is speech.
#[derive(Debug, Default)]
pub(super) struct Everything {
    samples: usize,
}

impl VoiceActivity for Everything {
    fn push(&mut self, pcm: &[f32], out: &mut Vec<bool>) -> crate::Result<()> {
        self.samples += pcm.len();
        out.extend(std::iter::repeat_n(true, self.samples / FRAME));
        self.samples %= FRAME;
        Ok(())
    }

    fn finish(&mut self, out: &mut Vec<bool>) -> crate::Result<()> {
        out.extend((self.samples > 0).then_some(true));
        self.samples = 0;
        Ok(())
    }
}

/// What is measured of a frame.
#[derive(Debug, Clone, Copy)]
struct Measures {
    /// Level in dB.
    level: f32,
    /// Geometric over arithmetic mean of the spectrum in dB: near 0 for noise, far below for tones.
    flatness: f32,
    /// Cosine of the spectrum and that of three frames before: 1 for what stays on its pitch.
    likeness: f32,
}

/// By loudness and by how the spectrum moves.
pub(super) struct Spectral {
    /// Samples not yet used, from the beginning of the next frame's window.
    pcm: VecDeque<f32>,
    /// Samples that arrived and belong to no frame yet.
    unframed: usize,
    frames: VecDeque<(Measures, bool)>,
    since_judged: usize,
    levels: VecDeque<f32>,
    spectra: VecDeque<Vec<f32>>,
    fourier: Fourier,
}

impl Spectral {
    pub(super) fn new() -> Self {
        Self {
            pcm: std::iter::repeat_n(0.0, LEAD).collect(),
            unframed: 0,
            frames: VecDeque::new(),
            since_judged: 0,
            levels: VecDeque::new(),
            spectra: VecDeque::new(),
            fourier: Fourier::new(),
        }
    }

    fn frame(&mut self, out: &mut Vec<bool>) {
        let window: Vec<f32> = self.pcm.iter().take(WINDOW).copied().collect();
        self.pcm.drain(..FRAME);
        let measures = self.measure(&window);
        self.frames.push_back((measures, false));
        self.levels.push_back(measures.level);
        if self.levels.len() > BACKGROUND {
            self.levels.pop_front();
        }
        self.since_judged += 1;
        if self.frames.len() >= TOGETHER && self.since_judged >= STEP {
            self.judge();
            let done = self.frames.len() - (TOGETHER - STEP);
            out.extend(self.frames.drain(..done).map(|(_, speech)| speech));
        }
    }

    fn measure(&mut self, window: &[f32]) -> Measures {
        let power = window.iter().map(|x| x * x).sum::<f32>() / WINDOW as f32;
        if decibels(power) < FAINT {
            self.spectra.clear();
            return Measures { level: NOTHING, flatness: 0.0, likeness: 0.0 };
        }
        let spectrum = self.fourier.magnitudes(window);
        let count = spectrum.len() as f32;
        let powers = || spectrum.iter().map(|m| m * m + 1e-10);
        let mean = powers().sum::<f32>() / count;
        let flatness = decibels((powers().map(f32::ln).sum::<f32>() / count).exp() / mean);
        // Of the power of the window, which is that of a Hann window.
        let level = decibels(mean / (WINDOW as f32 * 0.375)).max(NOTHING);
        self.spectra.push_back(spectrum);
        let likeness = if self.spectra.len() > APART {
            let before = self.spectra.pop_front().unwrap_or_default();
            cosine(&before, &self.spectra[APART - 1])
        } else {
            0.0
        };
        Measures { level, flatness, likeness }
    }

    /// Marks the speech among the last frames.
    fn judge(&mut self) {
        const ABOVE: f32 = 6.0;
        const MIN_LOUD: usize = 6;
        const MIN_LEVEL_DEVIATION: f32 = 3.0;
        const MIN_FLATNESS_DEVIATION: f32 = 2.0;
        const MIN_FLOWING: f32 = 0.35;

        self.since_judged = 0;
        let first = self.frames.len().saturating_sub(TOGETHER);
        let mut levels: Vec<f32> = self.levels.iter().copied().collect();
        let tenth = levels.len() / 10;
        let background = *levels.select_nth_unstable_by(tenth, f32::total_cmp).1;
        let threshold = (background + ABOVE).max(FAINT);
        let together = || self.frames.range(first..).map(|(measures, _)| measures);
        let loud: Vec<&Measures> = together().filter(|m| m.level > threshold).collect();
        if loud.len() < MIN_LOUD {
            return;
        }
        let flowing = |m: &&&Measures| m.likeness < 0.93 && m.flatness > -34.0 && m.flatness < -4.0;
        let flowing = loud.iter().filter(flowing).count() as f32 / loud.len() as f32;
        let speech = deviation(together().map(|m| m.level)) > MIN_LEVEL_DEVIATION
            && deviation(loud.iter().map(|m| m.flatness)) > MIN_FLATNESS_DEVIATION
            && flowing > MIN_FLOWING;
        if speech {
            for (measures, marked) in self.frames.range_mut(first..) {
                *marked |= measures.level > threshold;
            }
        }
    }
}

impl VoiceActivity for Spectral {
    fn push(&mut self, pcm: &[f32], out: &mut Vec<bool>) -> crate::Result<()> {
        // What is no number is no sound.
        self.pcm.extend(pcm.iter().map(|x| if x.is_finite() { *x } else { 0.0 }));
        self.unframed += pcm.len();
        while self.pcm.len() >= WINDOW {
            self.frame(out);
            self.unframed -= FRAME;
        }
        Ok(())
    }

    fn finish(&mut self, out: &mut Vec<bool>) -> crate::Result<()> {
        for _ in 0..self.unframed.div_ceil(FRAME) {
            let short = WINDOW.saturating_sub(self.pcm.len());
            self.pcm.extend(std::iter::repeat_n(0.0, short));
            self.frame(out);
        }
        if !self.frames.is_empty() {
            self.judge();
        }
        out.extend(self.frames.drain(..).map(|(_, speech)| speech));
        *self = Self::new();
        Ok(())
    }
}

fn decibels(power: f32) -> f32 {
    10.0 * power.max(1e-12).log10()
}

fn deviation(values: impl Iterator<Item = f32> + Clone) -> f32 {
    let count = values.clone().count().max(1) as f32;
    let mean = values.clone().sum::<f32>() / count;
    (values.map(|v| (v - mean) * (v - mean)).sum::<f32>() / count).sqrt()
}

fn cosine(a: &[f32], b: &[f32]) -> f32 {
    let dot = |x: &[f32], y: &[f32]| x.iter().zip(y).map(|(x, y)| x * y).sum::<f32>();
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt().max(1e-12)
}

/// A fast Fourier transform of `WINDOW` real samples (Cooley and Tukey, 1965).
struct Fourier {
    /// Hann's window.
    taper: Vec<f32>,
    /// Cosine and sine of `-2πk / WINDOW`.
    turns: Vec<(f32, f32)>,
    values: Vec<(f32, f32)>,
}

impl Fourier {
    fn new() -> Self {
        let angle = |k: usize, n: usize| 2.0 * PI * k as f32 / n as f32;
        Self {
            taper: (0..WINDOW).map(|k| 0.5 - 0.5 * angle(k, WINDOW - 1).cos()).collect(),
            turns: (0..WINDOW / 2).map(|k| (angle(k, WINDOW).cos(), -angle(k, WINDOW).sin())).collect(),
            values: vec![(0.0, 0.0); WINDOW],
        }
    }

    fn magnitudes(&mut self, window: &[f32]) -> Vec<f32> {
        let bits = WINDOW.trailing_zeros();
        for (k, (x, w)) in window.iter().zip(&self.taper).enumerate() {
            let at = (k as u32).reverse_bits() >> (32 - bits);
            self.values[at as usize] = (x * w, 0.0);
        }
        let mut half = 1;
        while half < WINDOW {
            let stride = WINDOW / (2 * half);
            for block in self.values.chunks_exact_mut(2 * half) {
                let (low, high) = block.split_at_mut(half);
                for ((a, b), turn) in low.iter_mut().zip(high).zip(self.turns.iter().step_by(stride)) {
                    let turned = (b.0 * turn.0 - b.1 * turn.1, b.0 * turn.1 + b.1 * turn.0);
                    *b = (a.0 - turned.0, a.1 - turned.1);
                    *a = (a.0 + turned.0, a.1 + turned.1);
                }
            }
            half *= 2;
        }
        self.values[BINS].iter().map(|(re, im)| re.hypot(*im)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_transform_finds_a_tone() {
        let tone: Vec<f32> =
            (0..WINDOW).map(|k| (2.0 * PI * 100.0 * k as f32 / WINDOW as f32).cos()).collect();
        let spectrum = Fourier::new().magnitudes(&tone);
        let peak = (0..spectrum.len()).max_by(|a, b| spectrum[*a].total_cmp(&spectrum[*b])).unwrap();
        assert_eq!(peak + BINS.start, 100);
        // Half the sum of the window's values.
        assert!((spectrum[peak] - (WINDOW - 1) as f32 / 4.0).abs() < 0.5, "{}", spectrum[peak]);
        assert!(spectrum[peak + 10] < 0.01);
    }

    #[test]
    fn every_frame_gets_one_flag() {
        let all: [Box<dyn VoiceActivity>; 2] = [Box::new(Spectral::new()), Box::new(Everything::default())];
        for mut activity in all {
            for count in [0usize, 1, 319, 320, 321, 16_000, 40_001] {
                for chunk in [1usize, 160, 1024, 50_000] {
                    let mut flags = Vec::new();
                    let pcm = vec![0.1; count];
                    for part in pcm.chunks(chunk) {
                        activity.push(part, &mut flags).unwrap();
                    }
                    activity.finish(&mut flags).unwrap();
                    assert_eq!(flags.len(), count.div_ceil(FRAME), "{count} in chunks of {chunk}");
                }
            }
        }
    }
}
