//! Element-wise functions as straight-line arithmetic, so that they run as wide as the machine allows.
//!
//! Exponential: range reduction and the polynomial of Cephes `expf`, within 3e-7 of the exact value. Error
//! function: formula 7.1.26 of Abramowitz and Stegun, within 3e-7 too.

use multiversion::multiversion;

/// Added to a float of less than 2^22, it rounds it, and leaves it in the last bits.
pub(crate) const ROUND: f32 = 12_582_912.0;

/// e^x; 0 far below, finite far above.
// Compiled anew, for more than the least machine, into each function that calls it.
#[allow(clippy::inline_always)]
#[inline(always)]
pub(crate) fn exp(x: f32) -> f32 {
    let x = x.clamp(-87.0, 88.0);
    let rounded = x.mul_add(std::f32::consts::LOG2_E, ROUND);
    let n = rounded - ROUND;
    // ln 2 in two parts, so that the product with n is exact.
    let r = n.mul_add(2.121_944_4e-4, n.mul_add(-0.693_359_4, x));
    let p = 1.987_569_1e-4_f32
        .mul_add(r, 1.398_2e-3)
        .mul_add(r, 8.333_452e-3)
        .mul_add(r, 4.166_579_6e-2)
        .mul_add(r, 0.166_666_66)
        .mul_add(r, 0.5);
    let e = (r * r).mul_add(p, r) + 1.0;
    // Not by a cast to an integer: those of Rust saturate, which is done one by one.
    e * f32::from_bits((rounded.to_bits() << 23).wrapping_add(127 << 23))
}

/// `x Φ(x)`, exact.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512dq+fma", "x86_64+avx2+fma", "aarch64+neon"))]
pub(crate) fn gelu(values: &mut [f32]) {
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

/// Turns a row of scores, each times `scale`, which is not negative, into weights that sum to 1.
pub(crate) fn softmax(row: &mut [f32], scale: f32) {
    let share = 1.0 / exponentials(row, scale);
    for value in row {
        *value *= share;
    }
}

/// The largest of some values; of none, or where all are no numbers, less than any.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512dq+fma", "x86_64+avx2+fma", "aarch64+neon"))]
pub(crate) fn highest(row: &[f32]) -> f32 {
    let larger = |a: f32, b: f32| if b > a { b } else { a };
    let (chunks, rest) = row.as_chunks::<16>();
    let mut lanes = [f32::NEG_INFINITY; 16];
    for chunk in chunks {
        for (lane, value) in lanes.iter_mut().zip(chunk) {
            *lane = larger(*lane, *value);
        }
    }
    lanes.iter().chain(rest).fold(f32::NEG_INFINITY, |a, b| larger(a, *b))
}

/// The exponentials of a row of scores, each times `scale`, which is not negative, over the largest; and their
/// sum.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512dq+fma", "x86_64+avx2+fma", "aarch64+neon"))]
pub(crate) fn exponentials(row: &mut [f32], scale: f32) -> f32 {
    let highest = highest(row);
    let mut sums = [0.0_f32; 16];
    let (chunks, rest) = row.as_chunks_mut::<16>();
    for chunk in chunks {
        for (sum, value) in sums.iter_mut().zip(chunk) {
            *value = exp((*value - highest) * scale);
            *sum += *value;
        }
    }
    let mut sum: f32 = sums.iter().sum();
    for value in rest {
        *value = exp((*value - highest) * scale);
        sum += *value;
    }
    sum
}

/// The sum of the exponentials of what values are more than `highest`.
#[cfg(feature = "whisper")]
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512dq+fma", "x86_64+avx2+fma", "aarch64+neon"))]
pub(crate) fn sum_of_exponentials(values: &[f32], highest: f32) -> f32 {
    let (chunks, rest) = values.as_chunks::<16>();
    let mut sums = [0.0_f32; 16];
    for chunk in chunks {
        for (sum, value) in sums.iter_mut().zip(chunk) {
            *sum += exp(*value - highest);
        }
    }
    sums.iter().sum::<f32>() + rest.iter().map(|value| exp(value - highest)).sum::<f32>()
}

/// Takes a row's mean from it and divides it by its deviation, then scales and shifts its values.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512dq+fma", "x86_64+avx2+fma", "aarch64+neon"))]
pub(crate) fn normalize(row: &mut [f32], weight: &[f32], bias: &[f32], epsilon: f32) {
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

    #[test]
    fn the_exponential_is_near() {
        for i in -8700..=8800 {
            let x = i as f32 / 100.0;
            let exact = f64::from(x).exp();
            assert!((f64::from(exp(x)) - exact).abs() < 3e-7 * exact, "{x}");
        }
        assert!(exp(f32::NEG_INFINITY) < 1e-37 && exp(1000.0).is_finite());
    }

    #[test]
    fn softmax_sums_to_one() {
        for n in [1, 15, 16, 17, 77, 729] {
            let scores: Vec<f32> = (0..n).map(|i| (i * 37 % 101) as f32 / 7.0 - 5.0).collect();
            for scale in [1.0, 0.125] {
                let mut weights = scores.clone();
                softmax(&mut weights, scale);
                let exp = |score: &f32| (f64::from(*score) * f64::from(scale)).exp();
                let sum: f64 = scores.iter().map(exp).sum();
                for (score, weight) in scores.iter().zip(weights) {
                    assert!((f64::from(weight) - exp(score) / sum).abs() < 1e-6, "{n}");
                }
            }
        }
        let mut masked = [1.0, f32::NEG_INFINITY, 1.0];
        softmax(&mut masked, 1.0);
        assert!(masked[1] < 1e-30 && (masked[0] - 0.5).abs() < 1e-6);
    }
}
