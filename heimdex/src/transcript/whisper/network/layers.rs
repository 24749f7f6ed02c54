//! The parts that both halves of the network are built of.

use super::matrix::{Input, Matrix};
use super::team::Team;
use crate::math::normalize;

/// Of all of Whisper's normalisations.
const EPSILON: f32 = 1e-5;

/// A row's mean is taken from it, it is divided by its deviation, scaled and shifted.
pub(super) struct Norm {
    pub(super) weight: Vec<f32>,
    pub(super) bias: Vec<f32>,
}

impl Norm {
    /// Of `count` rows that begin `stride` apart.
    pub(super) fn apply(&self, rows: &[f32], count: usize, stride: usize, out: &mut Vec<f32>) {
        let width = self.weight.len();
        out.clear();
        for row in 0..count {
            out.extend_from_slice(&rows[row * stride..][..width]);
            normalize(&mut out[row * width..], &self.weight, &self.bias, EPSILON);
        }
    }
}

/// A product with a bias.
pub(super) struct Linear {
    pub(super) weight: Matrix,
    pub(super) bias: Vec<f32>,
}

impl Linear {
    /// Of `count` columns without gaps, on one core; results begin `stride` apart.
    pub(super) fn apply(&self, columns: &[f32], count: usize, out: &mut [f32], stride: usize) {
        let inner = columns.len() / count.max(1);
        self.weight.multiply(&self.bias, &Input::new(&self.weight, columns, count, inner), out, stride);
    }

    /// The same on all cores, results without gaps.
    pub(super) fn apply_with(&self, team: &Team<'_>, columns: &[f32], count: usize, out: &mut Vec<f32>) {
        let (inner, rows) = (columns.len() / count.max(1), self.weight.rows());
        out.clear();
        out.resize(count * rows, 0.0);
        let input = Input::new(&self.weight, columns, count, inner);
        self.weight.multiply_with(team, &self.bias, &input, out);
    }
}

/// The layers that follow attention.
pub(super) struct Mlp {
    pub(super) norm: Norm,
    pub(super) up: Linear,
    pub(super) down: Linear,
}

/// What a head of attention looks at.
pub(super) struct Head {
    /// A row for each position.
    pub(super) keys: Matrix,
    /// A column for each position.
    pub(super) values: Matrix,
}

impl Head {
    /// The sums of the values, weighed by how alike keys and queries are: `count` rows of `out`, `out_stride`
    /// apart. `look` is shown the products of all queries and keys, a row for each query, before they are
    /// weighed.
    pub(super) fn attend(
        &self,
        (queries, count, stride): (&[f32], usize, usize),
        scores: &mut Vec<f32>,
        (out, out_stride): (&mut [f32], usize),
        look: impl FnOnce(&[f32], usize),
    ) {
        let (seen, width) = (self.keys.rows(), self.values.rows());
        scores.resize(count * seen, 0.0);
        self.keys.multiply(&[], &Input::new(&self.keys, queries, count, stride), scores, seen);
        look(scores, seen);
        let scale = 1.0 / (width as f32).sqrt();
        let (weights, sums) = Input::of_weights(&self.values, scores, scale);
        self.values.multiply(&[], &weights, out, out_stride);
        for (row, sum) in out.chunks_mut(out_stride).zip(sums) {
            let share = 1.0 / sum;
            for value in &mut row[..width] {
                *value *= share;
            }
        }
    }
}
