//! The activations and the normalisation of the models that are read here.
//!
//! Error function: formula 7.1.26 of Abramowitz and Stegun, within 3e-7 of the exact value.

use multiversion::multiversion;

use crate::math::{exp, gelu_tanh};

/// Functions of single values.
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
fn quick_gelu(values: &mut [f32]) {
    for value in values {
        *value /= 1.0 + exp(-1.702 * *value);
    }
}

/// Takes a row's mean from it and divides it by its deviation, then scales and shifts its values.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512dq+fma", "x86_64+avx2+fma", "aarch64+neon"))]
pub(super) fn normalize(row: &mut [f32], weight: &[f32], bias: &[f32], epsilon: f32) {
    let mut sums = [0.0_f32; 16];
    let (chunks, rest) = row.as_chunks::<16>();
    for chunk in chunks {
        for (sum, value) in sums.iter_mut().zip(chunk) {
            *sum += *value;
        }
    }
    let mean = (sums.iter().sum::<f32>() + rest.iter().sum::<f32>()) / row.len() as f32;
    let mut squares = [0.0_f32; 16];
    for chunk in chunks {
        for (sum, value) in squares.iter_mut().zip(chunk) {
            *sum = (*value - mean).mul_add(*value - mean, *sum);
        }
    }
    let rest = rest.iter().map(|value| (value - mean).powi(2)).sum::<f32>();
    let variance = (squares.iter().sum::<f32>() + rest) / row.len() as f32;
    let scale = 1.0 / (variance + epsilon).sqrt();
    for ((value, weight), bias) in row.iter_mut().zip(weight).zip(bias) {
        *value = ((*value - mean) * scale).mul_add(*weight, *bias);
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
}
