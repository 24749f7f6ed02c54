//! The activations and the normalisation of the models that are read here.

use multiversion::multiversion;

use crate::math::{exp, gelu};

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

/// `x Φ(x)` by its tanh formula.
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
