//! From tokens, and what the encoder made of sound, to how likely each token is to come next.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use multiversion::multiversion;

use super::encoder::{POSITIONS, heads};
use super::layers::{Head, Linear, Mlp, Norm};
use super::matrix::{Input, Matrix, Precision, add};
use super::team::Team;
use crate::math::{gelu, softmax};
use crate::{Cancel, Result};

pub(super) struct Decoder {
    /// A row for each token; what comes out is multiplied with them again.
    pub(super) tokens: Matrix,
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
    pub(super) sound_norm: Norm,
    /// Queries of the sound.
    pub(super) ask: Linear,
    /// Keys and values of the sound.
    pub(super) answer: Linear,
    pub(super) sound_out: Linear,
    pub(super) mlp: Mlp,
}

/// A token to go through the network.
pub(crate) struct Step<'a> {
    pub(crate) token: u32,
    /// The slots of the tokens before it, and its own as the last.
    pub(crate) path: &'a [usize],
}

/// What attention to the sound is to be kept of: a head of a layer.
pub(crate) type HeadOf = (usize, usize);

/// What was said to the decoder, and what it looks at.
#[derive(Default)]
pub(super) struct Memory {
    /// Of each layer.
    sound: Vec<Vec<Head>>,
    said: Vec<Said>,
}

/// Keys and values of tokens, by slots.
#[derive(Default)]
struct Said {
    keys: Vec<f32>,
    values: Vec<f32>,
}

impl Decoder {
    fn width(&self) -> usize {
        self.norm.weight.len()
    }

    /// Takes what the encoder made.
    pub(super) fn listen(
        &self,
        team: &Team<'_>,
        memory: &mut Memory,
        sound: &[f32],
        cancel: &Cancel,
    ) -> Result<()> {
        const TASK: usize = 96;
        let width = self.width();
        memory.sound.clear();
        memory.said.resize_with(self.layers.len(), Said::default);
        let mut both = vec![0.0; POSITIONS * 2 * width];
        for layer in &self.layers {
            cancel.check()?;
            team.chunks(&mut both, TASK * 2 * width, |_, task, both| {
                let count = both.len() / (2 * width);
                layer.answer.apply(&sound[task * TASK * width..][..count * width], count, both, 2 * width);
            });
            let precision = match layer.answer.weight.precision() {
                Precision::Bytes => Precision::Bytes,
                _ => Precision::Halves,
            };
            let (keys, values) = ((&both[..], 2 * width), (&both[width..], 2 * width));
            memory.sound.push(heads(team, precision, self.heads, keys, values, width));
        }
        Ok(())
    }

    /// Takes tokens at once, and gives the logits of those after the first `silent`. The scores of the sound of
    /// the heads in `watched` are added to what is found there: a row of 1,500 for each token.
    pub(super) fn decode(
        &self,
        team: &Team<'_>,
        memory: &mut Memory,
        steps: &[Step<'_>],
        silent: usize,
        watched: &mut HashMap<HeadOf, Vec<f32>>,
    ) -> Vec<f32> {
        let (width, count) = (self.width(), steps.len());
        let mut state = vec![0.0; count * width];
        for (step, row) in steps.iter().zip(state.chunks_exact_mut(width)) {
            self.tokens.row(step.token as usize, row);
            add(row, 1.0, &self.positions[(step.path.len() - 1) * width..][..width]);
        }
        let slots = steps.iter().filter_map(|step| step.path.iter().max()).max().map_or(0, |slot| slot + 1);
        let (mut rows, mut found) = (Vec::new(), Vec::new());
        for (i, layer) in self.layers.iter().enumerate() {
            let said = &mut memory.said[i];
            layer.norm.apply(&state, count, width, &mut rows);
            layer.project.apply_with(team, &rows, count, &mut found);
            said.take(&found, steps, slots, width);
            let mixed = self.of_said(team, said, &found, steps);
            layer.out.apply_with(team, &mixed, count, &mut found);
            add(&mut state, 1.0, &found);

            layer.sound_norm.apply(&state, count, width, &mut rows);
            layer.ask.apply_with(team, &rows, count, &mut found);
            let mixed = self.of_sound(team, &memory.sound[i], &found, count, i, watched);
            layer.sound_out.apply_with(team, &mixed, count, &mut found);
            add(&mut state, 1.0, &found);

            layer.mlp.norm.apply(&state, count, width, &mut rows);
            layer.mlp.up.apply_with(team, &rows, count, &mut found);
            gelu(&mut found);
            layer.mlp.down.apply_with(team, &found, count, &mut rows);
            add(&mut state, 1.0, &rows);
        }
        let asked = count - silent;
        if asked == 0 {
            return Vec::new();
        }
        self.norm.apply(&state[silent * width..], asked, width, &mut rows);
        let mut logits = vec![0.0; asked * self.tokens.rows()];
        self.tokens.multiply_with(team, &[], &Input::new(&self.tokens, &rows, asked, width), &mut logits);
        logits
    }

    /// Attention to the tokens before.
    fn of_said(&self, team: &Team<'_>, said: &Said, project: &[f32], steps: &[Step<'_>]) -> Vec<f32> {
        let width = self.width();
        let each = width / self.heads;
        let scale = 1.0 / (each as f32).sqrt();
        let mut mixed = vec![0.0; steps.len() * width];
        team.chunks(&mut mixed, each, |_, task, out| {
            let (step, head) = (task / self.heads, task % self.heads);
            let query = &project[step * 3 * width + head * each..][..each];
            let path = steps[step].path;
            let mut weights = vec![0.0; path.len()];
            score(query, &said.keys, (width, head * each), path, &mut weights);
            softmax(&mut weights, scale);
            gather(&weights, &said.values, (width, head * each), path, out);
        });
        mixed
    }

    /// Attention to the sound.
    fn of_sound(
        &self,
        team: &Team<'_>,
        sound: &[Head],
        queries: &[f32],
        count: usize,
        layer: usize,
        watched: &mut HashMap<HeadOf, Vec<f32>>,
    ) -> Vec<f32> {
        let width = self.width();
        let each = width / self.heads;
        let mut by_head = vec![0.0; count * width];
        let watched: HashMap<_, _> = watched.iter_mut().map(|(at, rows)| (*at, Mutex::new(rows))).collect();
        team.chunks(&mut by_head, count * each, |_, head, out| {
            let look = |scores: &[f32], seen: usize| {
                if let Some(rows) = watched.get(&(layer, head)) {
                    let mut rows = rows.lock().unwrap_or_else(PoisonError::into_inner);
                    rows.extend(scores.chunks_exact(seen).flatten());
                }
            };
            let queries = (&queries[head * each..], count, width);
            sound[head].attend(queries, &mut Vec::new(), (out, each), look);
        });
        if count == 1 {
            return by_head;
        }
        let mut mixed = vec![0.0; count * width];
        for (head, rows) in by_head.chunks_exact(count * each).enumerate() {
            for (row, from) in rows.chunks_exact(each).enumerate() {
                mixed[row * width + head * each..][..each].copy_from_slice(from);
            }
        }
        mixed
    }
}

/// The products of a query with the keys of a head, which begin at a place of each row of `width`.
#[multiversion(targets("x86_64+avx512f+avx512vl+fma", "x86_64+avx2+fma", "aarch64+neon"))]
fn score(query: &[f32], keys: &[f32], (width, place): (usize, usize), path: &[usize], scores: &mut [f32]) {
    const LANES: usize = 16;
    let each = query.len();
    let (query, rest) = query.as_chunks::<LANES>();
    for (slot, score) in path.iter().zip(scores) {
        let (key, key_rest) = keys[slot * width + place..][..each].as_chunks::<LANES>();
        let mut sums = [0.0_f32; LANES];
        for (query, key) in query.iter().zip(key) {
            for ((sum, query), key) in sums.iter_mut().zip(query).zip(key) {
                *sum = query.mul_add(*key, *sum);
            }
        }
        let rest: f32 = rest.iter().zip(key_rest).map(|(a, b)| a * b).sum();
        *score = sums.iter().sum::<f32>() + rest;
    }
}

/// The sum of the values of a head, each times its weight.
#[multiversion(targets("x86_64+avx512f+avx512vl+fma", "x86_64+avx2+fma", "aarch64+neon"))]
fn gather(weights: &[f32], values: &[f32], (width, place): (usize, usize), path: &[usize], out: &mut [f32]) {
    for (slot, weight) in path.iter().zip(weights) {
        for (out, value) in out.iter_mut().zip(&values[slot * width + place..]) {
            *out = weight.mul_add(*value, *out);
        }
    }
}

impl Said {
    /// Keeps keys and values of tokens in the last slots of their paths.
    fn take(&mut self, project: &[f32], steps: &[Step<'_>], slots: usize, width: usize) {
        for side in [&mut self.keys, &mut self.values] {
            if side.len() < slots * width {
                side.resize(slots * width, 0.0);
            }
        }
        for (step, row) in steps.iter().zip(project.chunks_exact(3 * width)) {
            let Some(slot) = step.path.last() else { continue };
            self.keys[slot * width..][..width].copy_from_slice(&row[width..2 * width]);
            self.values[slot * width..][..width].copy_from_slice(&row[2 * width..]);
        }
    }
}
