//! Element-wise functions as straight-line arithmetic, so that they run as wide as the machine allows.
//!
//! Exponential: range reduction and the polynomial of Cephes `expf`; error function: formula 7.1.26
//! of Abramowitz and Stegun. Both stay within 3e-7 of the exact value.

use multiversion::multiversion;

/// The activations of the models that are read here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Activation {
    /// `x Φ(x)`, exact.
    Gelu,
    /// `x Φ(x)` by its tanh formula.
    GeluTanh,
    /// `x σ(1.702 x)`.
    QuickGelu,
}

impl Activation {
    /// By the name that `config.json` uses.
    pub(super) fn named(name: &str) -> Option<Self> {
        match name {
            "gelu" => Some(Self::Gelu),
            "gelu_pytorch_tanh" | "gelu_new" => Some(Self::GeluTanh),
            "quick_gelu" => Some(Self::QuickGelu),
            _ => None,
        }
    }

    pub(super) fn apply(self, values: &mut [f32]) {
        match self {
            Self::Gelu => gelu(values),
            Self::GeluTanh => gelu_tanh(values),
            Self::QuickGelu => quick_gelu(values),
        }
    }
}

/// e^x; 0 far below, finite far above.
// Compiled anew, for more than the least machine, into each function that calls it.
#[allow(clippy::inline_always)]
#[inline(always)]
fn exp(x: f32) -> f32 {
    let x = x.clamp(-87.0, 88.0);
    let n = (x * std::f32::consts::LOG2_E).round_ties_even();
    // ln 2 in two parts, so that the product with n is exact.
    let r = n.mul_add(2.121_944_4e-4, n.mul_add(-0.693_359_4, x));
    let p = 1.987_569_1e-4_f32
        .mul_add(r, 1.398_2e-3)
        .mul_add(r, 8.333_452e-3)
        .mul_add(r, 4.166_579_6e-2)
        .mul_add(r, 0.166_666_66)
        .mul_add(r, 0.5);
    let e = (r * r).mul_add(p, r) + 1.0;
    e * f32::from_bits(((n as i32 + 127) << 23) as u32)
}

#[multiversion(targets("x86_64+avx512f+avx512vl+avx512dq+fma", "x86_64+avx2+fma", "aarch64+neon"))]
fn gelu(values: &mut [f32]) {
    for value in values {
        let x = *value;
        let z = x.abs() * std::f32::consts::FRAC_1_SQRT_2;
        let t = 1.0 / 0.327_591_1_f32.mul_add(z, 1.0);
        let p = 1.061_405_4_f32
            .mul_add(t, -1.453_152)
            .mul_add(t, 1.421_413_7)
            .mul_add(t, -0.284_496_74)
            .mul_add(t, 0.254_829_6)
            * t;
        // Half the complement of the error function: what is left of the normal distribution.
        let tail = 0.5 * p * exp(-z * z);
        *value = x * if x < 0.0 { tail } else { 1.0 - tail };
    }
}

#[multiversion(targets("x86_64+avx512f+avx512vl+avx512dq+fma", "x86_64+avx2+fma", "aarch64+neon"))]
fn gelu_tanh(values: &mut [f32]) {
    /// √(2/π), twice: tanh(y) = 1 - 2 / (e^2y + 1).
    const SCALE: f32 = 2.0 * 0.797_884_6;
    for value in values {
        let x = *value;
        let inner = SCALE * x * (0.044_715 * x).mul_add(x, 1.0);
        *value = x - x / (exp(inner) + 1.0);
    }
}

#[multiversion(targets("x86_64+avx512f+avx512vl+avx512dq+fma", "x86_64+avx2+fma", "aarch64+neon"))]
fn quick_gelu(values: &mut [f32]) {
    for value in values {
        *value /= 1.0 + exp(-1.702 * *value);
    }
}

/// Turns a row of scores into weights that sum to 1.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512dq+fma", "x86_64+avx2+fma", "aarch64+neon"))]
pub(super) fn softmax(row: &mut [f32]) {
    let (chunks, rest) = row.as_chunks::<16>();
    let mut lanes = [f32::NEG_INFINITY; 16];
    for chunk in chunks {
        for (lane, value) in lanes.iter_mut().zip(chunk) {
            *lane = lane.max(*value);
        }
    }
    let highest = lanes.iter().chain(rest).fold(f32::NEG_INFINITY, |a, b| a.max(*b));
    let mut sums = [0.0_f32; 16];
    let (chunks, rest) = row.as_chunks_mut::<16>();
    for chunk in chunks {
        for (sum, value) in sums.iter_mut().zip(chunk) {
            *value = exp(*value - highest);
            *sum += *value;
        }
    }
    let mut sum: f32 = sums.iter().sum();
    for value in rest {
        *value = exp(*value - highest);
        sum += *value;
    }
    let scale = 1.0 / sum;
    for value in row {
        *value *= scale;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn normal(x: f64) -> f64 {
        // By the series and the continued fraction, whichever converges: good to 1e-15.
        let z = x / std::f64::consts::SQRT_2;
        if z.abs() < 3.0 {
            let (mut term, mut sum) = (z, z);
            for n in 1..200 {
                term *= -z * z / f64::from(n);
                sum += term / f64::from(2 * n + 1);
            }
            return 0.5 + sum / std::f64::consts::PI.sqrt();
        }
        let a = z.abs();
        let fraction = (1..200).rev().fold(a, |f, n| a + f64::from(n) / 2.0 / f);
        let tail = (-a * a).exp() / fraction / std::f64::consts::PI.sqrt() / 2.0;
        if z > 0.0 { 1.0 - tail } else { tail }
    }

    type Case = (Activation, fn(f64) -> f64);

    #[test]
    fn activations_are_those_of_their_formulas() {
        let xs: Vec<f32> = (-4000..4000).map(|i| i as f32 / 400.0).chain([-1e4, 1e4, 0.0]).collect();
        let cases: [Case; 3] = [
            (Activation::Gelu, |x| x * normal(x)),
            (Activation::GeluTanh, |x| {
                let inner = (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044_715 * x * x * x);
                0.5 * x * (1.0 + inner.tanh())
            }),
            (Activation::QuickGelu, |x| x / (1.0 + (-1.702 * x).exp())),
        ];
        for (activation, exact) in cases {
            let mut values = xs.clone();
            activation.apply(&mut values);
            for (x, y) in xs.iter().zip(values) {
                let expected = exact(f64::from(*x));
                let difference = (f64::from(y) - expected).abs();
                assert!(
                    difference < 1e-6 * expected.abs().max(1.0),
                    "{activation:?} {x}: {y} not {expected}"
                );
            }
        }
    }

    #[test]
    fn softmax_sums_to_one() {
        for n in [1, 15, 16, 17, 77, 729] {
            let scores: Vec<f32> = (0..n).map(|i| (i * 37 % 101) as f32 / 7.0 - 5.0).collect();
            let mut weights = scores.clone();
            softmax(&mut weights);
            let sum: f64 = scores.iter().map(|s| f64::from(*s).exp()).sum();
            for (score, weight) in scores.iter().zip(weights) {
                let expected = f64::from(*score).exp() / sum;
                assert!((f64::from(weight) - expected).abs() < 1e-6, "{n}");
            }
        }
        let mut masked = [1.0, f32::NEG_INFINITY, 1.0];
        softmax(&mut masked);
        assert!(masked[1] < 1e-30 && (masked[0] - 0.5).abs() < 1e-6);
    }
}
