//! From sound to what the decoder looks at.
//!
//! A task takes some positions through all of a layer, so that what it works on stays in the cache of its core,
//! and cores wait for each other only where attention needs the keys and values of all positions.

use std::sync::{Mutex, PoisonError};

use super::bytes::Bytes;
use super::layers::{Head, Linear, Mlp, Norm};
use super::matrix::Precision;
use super::spectrogram::FRAMES;
use super::team::Team;
use crate::math::gelu;
use crate::{Cancel, Result};

/// Positions of 20 ms.
pub(super) const POSITIONS: usize = FRAMES / 2;

/// Positions that a task takes at most: with more, what it works on leaves the cache.
const TASK: usize = 96;

/// Queries whose scores are worked on at once: with 1,500 keys they take 0.14 MB.
const QUERIES: usize = 24;

/// Places that a convolution looks at.
const KERNEL: usize = 3;

pub(super) struct Encoder {
    pub(super) first: Linear,
    pub(super) second: Linear,
    pub(super) positions: Vec<f32>,
    pub(super) layers: Vec<Layer>,
    pub(super) norm: Norm,
    pub(super) heads: usize,
}

pub(super) struct Layer {
    pub(super) norm: Norm,
    /// Queries, keys and values.
    pub(super) project: Linear,
    pub(super) out: Linear,
    pub(super) mlp: Mlp,
}

/// Memory of a thread.
#[derive(Default)]
struct Scratch {
    rows: Vec<f32>,
    mixed: Vec<f32>,
    scores: Vec<f32>,
    hidden: Vec<f32>,
}

impl Encoder {
    fn width(&self) -> usize {
        self.norm.weight.len()
    }

    /// 1,500 rows of a spectrogram of `bands` bands.
    pub(super) fn encode(
        &self,
        team: &Team<'_>,
        spectrogram: &[f32],
        bands: usize,
        cancel: &Cancel,
    ) -> Result<Vec<f32>> {
        let width = self.width();
        let scratch: Vec<_> = (0..team.members()).map(|_| Mutex::new(Scratch::default())).collect();
        let scratch = |member: usize| scratch[member].lock().unwrap_or_else(PoisonError::into_inner);
        // Of each position its state, and query, key and value for the attention to come.
        let wide = 4 * width;
        let mut state = vec![0.0; POSITIONS * wide];
        // At least two for each member, so that none waits for long.
        let each = POSITIONS.div_ceil(2 * team.members()).next_multiple_of(QUERIES).min(TASK);
        team.chunks(&mut state, each * wide, |member, task, state| {
            let mut scratch = scratch(member);
            self.convolve(spectrogram, bands, task * each, state, &mut scratch);
            if let Some(layer) = self.layers.first() {
                layer.project(state, width, &mut scratch);
            }
        });
        for (i, layer) in self.layers.iter().enumerate() {
            cancel.check()?;
            let precision = match layer.project.weight.precision() {
                Precision::Bytes if Bytes::multiplies_bytes(QUERIES) => Precision::Bytes,
                _ => Precision::Floats,
            };
            let keys = &state[2 * width..];
            let heads = heads(team, precision, self.heads, (keys, wide), (&keys[width..], wide), width);
            let next = self.layers.get(i + 1);
            team.chunks(&mut state, each * wide, |member, _, state| {
                let mut scratch = scratch(member);
                layer.advance(state, width, &heads, &mut scratch);
                match next {
                    Some(next) => next.project(state, width, &mut scratch),
                    None => {
                        self.norm.apply(state, state.len() / wide, wide, &mut scratch.rows);
                        for (row, found) in state.chunks_exact_mut(wide).zip(scratch.rows.chunks_exact(width))
                        {
                            row[..width].copy_from_slice(found);
                        }
                    }
                }
            });
        }
        let mut sound = Vec::with_capacity(POSITIONS * width);
        state.chunks_exact(wide).for_each(|row| sound.extend_from_slice(&row[..width]));
        Ok(sound)
    }

    /// Two convolutions, the second of every second place; and what tells positions apart.
    fn convolve(
        &self,
        spectrogram: &[f32],
        bands: usize,
        first: usize,
        state: &mut [f32],
        scratch: &mut Scratch,
    ) {
        let (width, wide) = (self.width(), 4 * self.width());
        let count = state.len() / wide;
        // Places of the first convolution that the second looks at: one before the first, to one after the
        // last.
        let places = 2 * count + 1;
        let begin = 2 * first;
        scratch.rows.clear();
        scratch.rows.resize(places * bands * KERNEL, 0.0);
        for (place, column) in scratch.rows.chunks_exact_mut(bands * KERNEL).enumerate() {
            for k in 0..KERNEL {
                // Before the beginning and behind the end there is nothing.
                let Some(frame) = (begin + place + k).checked_sub(2).filter(|frame| *frame < FRAMES) else {
                    continue;
                };
                for (band, value) in spectrogram[frame * bands..][..bands].iter().enumerate() {
                    column[band * KERNEL + k] = *value;
                }
            }
        }
        scratch.hidden.resize(places * width, 0.0);
        self.first.apply(&scratch.rows, places, &mut scratch.hidden, width);
        gelu(&mut scratch.hidden[..places * width]);
        if begin == 0 {
            scratch.hidden[..width].fill(0.0);
        }
        scratch.rows.clear();
        scratch.rows.resize(count * width * KERNEL, 0.0);
        for (position, column) in scratch.rows.chunks_exact_mut(width * KERNEL).enumerate() {
            for k in 0..KERNEL {
                let place = &scratch.hidden[(2 * position + k) * width..][..width];
                for (i, value) in place.iter().enumerate() {
                    column[i * KERNEL + k] = *value;
                }
            }
        }
        self.second.apply(&scratch.rows, count, state, wide);
        for (i, row) in state.chunks_exact_mut(wide).enumerate() {
            gelu(&mut row[..width]);
            for (value, of_position) in row.iter_mut().zip(&self.positions[(first + i) * width..][..width]) {
                *value += of_position;
            }
        }
    }
}

impl Layer {
    /// Queries, keys and values of some positions.
    fn project(&self, state: &mut [f32], width: usize, scratch: &mut Scratch) {
        let count = state.len() / (4 * width);
        self.norm.apply(state, count, 4 * width, &mut scratch.rows);
        self.project.apply(&scratch.rows, count, &mut state[width..], 4 * width);
    }

    /// The rest of the layer.
    fn advance(&self, state: &mut [f32], width: usize, heads: &[Head], scratch: &mut Scratch) {
        let wide = 4 * width;
        let count = state.len() / wide;
        let each = width / heads.len();
        let Scratch { rows, mixed, scores, hidden } = scratch;
        mixed.resize(count * width, 0.0);
        for (h, head) in heads.iter().enumerate() {
            for first in (0..count).step_by(QUERIES) {
                let some = QUERIES.min(count - first);
                let queries = (&state[first * wide + width + h * each..], some, wide);
                let out = (&mut mixed[first * width + h * each..], width);
                head.attend(queries, scores, out, |_, _| ());
            }
        }
        rows.resize(count * width, 0.0);
        self.out.apply(&mixed[..count * width], count, rows, width);
        add_rows(state, wide, rows, width);
        self.mlp.norm.apply(state, count, wide, rows);
        let between = self.mlp.up.bias.len();
        hidden.resize(count * between, 0.0);
        self.mlp.up.apply(rows, count, hidden, between);
        gelu(&mut hidden[..count * between]);
        self.mlp.down.apply(&hidden[..count * between], count, rows, width);
        add_rows(state, wide, rows, width);
    }
}

fn add_rows(state: &mut [f32], wide: usize, rows: &[f32], width: usize) {
    for (state, row) in state.chunks_exact_mut(wide).zip(rows.chunks_exact(width)) {
        super::matrix::add(&mut state[..width], 1.0, row);
    }
}

/// The heads of attention over rows of keys and of values, each with what lies between rows.
pub(super) fn heads(
    team: &Team<'_>,
    precision: Precision,
    count: usize,
    keys: (&[f32], usize),
    values: (&[f32], usize),
    width: usize,
) -> Vec<Head> {
    let each = width / count;
    let mut parts: Vec<_> = (0..2 * count).map(|_| None).collect();
    team.chunks(&mut parts, 1, |_, task, part| {
        let at = task / 2 * each;
        part[0] = Some(if task % 2 == 0 {
            super::matrix::Matrix::of_rows(precision, &keys.0[at..], POSITIONS, each, keys.1)
        } else {
            super::matrix::Matrix::of_columns(precision, &values.0[at..], each, POSITIONS, values.1)
        });
    });
    let mut parts = parts.into_iter().flatten();
    let mut heads = Vec::with_capacity(count);
    while let (Some(keys), Some(values)) = (parts.next(), parts.next()) {
        heads.push(Head { keys, values });
    }
    heads
}
