//! The other factor of matrices of bytes: columns, quantized when they are multiplied.

use multiversion::multiversion;

use super::formats::WIDTH;
use crate::math::{ROUND, exp, highest};

/// Rows that are quantized side by side.
const LANES: usize = 16;

/// Quantizes a block whose values lie in columns.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512dq+avx512bw+fma", "x86_64+avx2+fma", "aarch64+neon"))]
pub(super) fn turn(
    square: &[[f32; LANES]; WIDTH],
    panel: &mut [[u32; LANES]; WIDTH / 4],
    scales: &mut [f32; LANES],
) {
    let mut largest = [0.0_f32; LANES];
    for row in square {
        for (largest, value) in largest.iter_mut().zip(row) {
            *largest = if value.abs() > *largest { value.abs() } else { *largest };
        }
    }
    let inverse = largest.map(|largest| if largest > 0.0 { 127.0 / largest } else { 0.0 });
    for (to, rows) in panel.iter_mut().zip(square.as_chunks::<4>().0) {
        for lane in 0..LANES {
            let byte = |row: &[f32; LANES]| row[lane].mul_add(inverse[lane], ROUND).to_bits() & 255;
            to[lane] = byte(&rows[0]) | byte(&rows[1]) << 8 | byte(&rows[2]) << 16 | byte(&rows[3]) << 24;
        }
    }
    *scales = largest.map(|largest| largest / 127.0);
}

/// The scale of a block of a column, and the sum of its values.
#[derive(Clone, Copy, Default)]
pub(super) struct Scale {
    pub(super) scale: f32,
    pub(super) sum: i32,
}

/// The other factor: columns, each in blocks of 32 values from -127 to 127. What is missing in the last is 0.
#[derive(Default)]
pub(super) struct Columns {
    pub(super) values: Vec<i8>,
    pub(super) scales: Vec<Scale>,
    /// Of a column.
    pub(super) blocks: usize,
    /// Values are from 0 to 255.
    pub(super) unsigned: bool,
}

impl Columns {
    /// Makes room for columns of `inner` values.
    pub(super) fn clear(&mut self, inner: usize) {
        self.values.clear();
        self.scales.clear();
        self.blocks = inner.div_ceil(WIDTH);
        self.unsigned = false;
    }

    pub(super) fn count(&self) -> usize {
        self.scales.len().checked_div(self.blocks).unwrap_or(0)
    }

    /// Adds a column of the exponentials of scores, each times `by` and over the highest; gives their sum. All
    /// columns are such.
    pub(super) fn push_weights(&mut self, scores: &[f32], by: f32) -> f32 {
        self.unsigned = true;
        let (whole, rest) = scores.as_chunks::<WIDTH>();
        let (at, at_scale) = (self.values.len(), self.scales.len());
        self.values.resize(at + self.blocks * WIDTH, 0);
        self.scales.resize(at_scale + self.blocks, Scale::default());
        let (values, scales) = (self.values[at..].as_chunks_mut::<WIDTH>().0, &mut self.scales[at_scale..]);
        let highest = highest(scores);
        let mut sum = weigh(whole, (highest, by), values, scales);
        if !rest.is_empty() {
            let mut last = [f32::NEG_INFINITY; WIDTH];
            last[..rest.len()].copy_from_slice(rest);
            sum += weigh(&[last], (highest, by), &mut values[whole.len()..], &mut scales[whole.len()..]);
        }
        sum
    }

    /// Adds a column, or the next part of one: all but the last part of whole blocks.
    pub(super) fn push(&mut self, floats: &[f32]) {
        let (whole, rest) = floats.as_chunks::<WIDTH>();
        let blocks = whole.len() + usize::from(!rest.is_empty());
        let (at, at_scale) = (self.values.len(), self.scales.len());
        self.values.resize(at + blocks * WIDTH, 0);
        self.scales.resize(at_scale + blocks, Scale::default());
        let (values, scales) = (&mut self.values[at..], &mut self.scales[at_scale..]);
        quantize(whole, values.as_chunks_mut::<WIDTH>().0, scales);
        if !rest.is_empty() {
            let mut last = [0.0; WIDTH];
            last[..rest.len()].copy_from_slice(rest);
            let (values, scales) = (&mut values[whole.len() * WIDTH..], &mut scales[whole.len()..]);
            quantize(&[last], values.as_chunks_mut::<WIDTH>().0, scales);
        }
    }
}

fn weigh(scores: &[[f32; WIDTH]], over: (f32, f32), values: &mut [[i8; WIDTH]], scales: &mut [Scale]) -> f32 {
    #[cfg(target_arch = "x86_64")]
    if super::vnni::is_there() {
        // SAFETY: the machine has the instructions.
        return unsafe { super::vnni::weigh(scores, over, values, scales) };
    }
    weigh_simply(scores, over, values, scales)
}

/// Exponentials of scores over the highest, the largest of a block as 255; and their sum.
#[multiversion(targets("x86_64+avx2+fma", "aarch64+neon"))]
fn weigh_simply(
    scores: &[[f32; WIDTH]],
    (highest, by): (f32, f32),
    values: &mut [[i8; WIDTH]],
    scales: &mut [Scale],
) -> f32 {
    let mut sum = 0.0;
    for ((scores, values), scale) in scores.iter().zip(values).zip(scales) {
        let weights = scores.map(|score| exp((score - highest) * by));
        let largest =
            weights.iter().fold(0.0_f32, |most, weight| if *weight > most { *weight } else { most });
        sum += weights.iter().sum::<f32>();
        let inverse = 255.0 / largest;
        for (value, weight) in values.iter_mut().zip(weights) {
            *value = weight.mul_add(inverse, ROUND).to_bits() as i8;
        }
        // What is not signed needs no sum.
        *scale = Scale { scale: largest / 255.0, sum: 0 };
    }
    sum
}

fn quantize(floats: &[[f32; WIDTH]], values: &mut [[i8; WIDTH]], scales: &mut [Scale]) {
    #[cfg(target_arch = "x86_64")]
    if super::vnni::is_there() {
        // SAFETY: the machine has the instructions.
        unsafe { super::vnni::quantize(floats, values, scales) };
        return;
    }
    quantize_simply(floats, values, scales);
}

/// The largest value of a block becomes 127 or -127.
#[multiversion(targets("x86_64+avx2+fma", "aarch64+neon"))]
fn quantize_simply(floats: &[[f32; WIDTH]], values: &mut [[i8; WIDTH]], scales: &mut [Scale]) {
    for ((floats, values), scale) in floats.iter().zip(values).zip(scales) {
        let largest =
            floats.iter().fold(0.0_f32, |most, value| if value.abs() > most { value.abs() } else { most });
        let inverse = if largest > 0.0 { 127.0 / largest } else { 0.0 };
        let mut sum = 0;
        for (value, float) in values.iter_mut().zip(floats) {
            *value = (float * inverse).round_ties_even() as i8;
            sum += i32::from(*value);
        }
        *scale = Scale { scale: largest / 127.0, sum };
    }
}
