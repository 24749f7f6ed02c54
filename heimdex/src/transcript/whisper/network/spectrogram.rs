//! What Whisper sees of sound: the logarithm of the power in each band, a hundred times a second.
//!
//! Source: openai-whisper, `audio.py`, `log_mel_spectrogram`.

use std::sync::Arc;

use realfft::num_complex::Complex;
use realfft::{RealFftPlanner, RealToComplex};

use super::super::file::FREQUENCIES;
use super::team::Team;

/// Samples of a spectrum, and from one to the next.
const WINDOW: usize = 400;
const HOP: usize = 160;

/// Spectra of a window of 30 s.
pub(super) const FRAMES: usize = 3000;

/// Frames that a task takes.
const TASK: usize = 50;

pub(super) struct Spectrogram {
    transform: Arc<dyn RealToComplex<f32>>,
    /// Hann's.
    fade: Vec<f32>,
    /// Of each band the first frequency that counts, and the weights of it and those after.
    bands: Vec<(usize, Vec<f32>)>,
}

impl Spectrogram {
    /// With the filters of a model: a row of 201 weights for each band.
    pub(super) fn new(filters: &[f32]) -> Self {
        let fade = (0..WINDOW).map(|i| {
            let turn = 2.0 * std::f64::consts::PI * i as f64 / WINDOW as f64;
            (0.5 - 0.5 * turn.cos()) as f32
        });
        let bands = filters.chunks_exact(FREQUENCIES).map(|row| {
            let first = row.iter().position(|weight| *weight != 0.0).unwrap_or(0);
            let end = row.iter().rposition(|weight| *weight != 0.0).map_or(first, |last| last + 1);
            (first, row[first..end].to_vec())
        });
        Self {
            transform: RealFftPlanner::new().plan_fft_forward(WINDOW),
            fade: fade.collect(),
            bands: bands.collect(),
        }
    }

    pub(super) fn bands(&self) -> usize {
        self.bands.len()
    }

    /// The spectrogram of the first 30 s of `pcm`, with silence after its end: 3,000 rows of a value for each
    /// band.
    pub(super) fn of(&self, team: &Team<'_>, pcm: &[f32]) -> Vec<f32> {
        let mut rows = vec![-10.0; FRAMES * self.bands()];
        // Spectra of nothing are what is there already.
        let heard = (pcm.len() + WINDOW / 2).div_ceil(HOP).min(FRAMES);
        team.chunks(&mut rows[..heard * self.bands()], TASK * self.bands(), |_, task, rows| {
            let (mut input, mut output) = (self.transform.make_input_vec(), self.transform.make_output_vec());
            let mut scratch = self.transform.make_scratch_vec();
            for (i, row) in rows.chunks_exact_mut(self.bands()).enumerate() {
                let middle = (task * TASK + i) * HOP;
                for (k, (to, fade)) in input.iter_mut().zip(&self.fade).enumerate() {
                    // What lies before the beginning is its mirror image.
                    let at = (middle + k).abs_diff(WINDOW / 2);
                    *to = fade * pcm.get(at).copied().unwrap_or(0.0);
                }
                if self.transform.process_with_scratch(&mut input, &mut output, &mut scratch).is_ok() {
                    self.powers(&output, row);
                }
            }
        });
        let highest = rows.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        for value in &mut rows {
            *value = (value.max(highest - 8.0) + 4.0) / 4.0;
        }
        rows
    }

    fn powers(&self, spectrum: &[Complex<f32>], row: &mut [f32]) {
        let mut powers = [0.0; FREQUENCIES];
        for (power, value) in powers.iter_mut().zip(spectrum) {
            *power = value.norm_sqr();
        }
        for (value, (first, weights)) in row.iter_mut().zip(&self.bands) {
            let sum: f32 = weights.iter().zip(&powers[*first..]).map(|(weight, power)| weight * power).sum();
            *value = sum.max(1e-10).log10();
        }
    }
}
