//! Hue, saturation and value of 8-bit pixels, and the distances between two pictures of them.
//!
//! Algorithm: OpenCV `color_hsv.simd.hpp`, `RGB2HSV_b` with hues 0 to 179. Its two tables hold
//! rounded quotients of 20 bits; here the quotient is taken in `f32`, which rounds to the same
//! integer for every divisor of 1 to 255, so that the loop needs no table and vectorises.

#![allow(clippy::inline_always, reason = "one body is compiled for AVX2 and for every processor")]

use super::SmallPicture;

/// Fixed-point fraction bits of OpenCV's tables.
const SHIFT: i32 = 12;
const HALF: i32 = 1 << (SHIFT - 1);

/// Hue, saturation and value planes of a picture.
#[derive(Debug, Clone, Default)]
pub(super) struct HsvPlanes {
    pub(super) hue: Vec<u8>,
    pub(super) saturation: Vec<u8>,
    pub(super) value: Vec<u8>,
}

/// Sums over a picture: exact integers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Sums {
    pub(super) hue: u64,
    pub(super) saturation: u64,
    pub(super) value: u64,
    /// All B, G and R samples.
    pub(super) samples: u64,
}

impl HsvPlanes {
    /// Fills the planes from `picture`, and sums the absolute differences to `previous` (zero
    /// where the sizes differ) and the samples.
    pub(super) fn fill(&mut self, picture: &SmallPicture, previous: &Self) -> Sums {
        let pixels = picture.blue.len();
        for plane in [&mut self.hue, &mut self.saturation, &mut self.value] {
            plane.resize(pixels, 0);
        }
        #[cfg(target_arch = "x86_64")]
        if std::arch::is_x86_feature_detected!("avx2") {
            // SAFETY: the processor has AVX2, which is all that the function asks for.
            return unsafe { fill_avx2(self, picture, previous) };
        }
        fill(self, picture, previous)
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn fill_avx2(planes: &mut HsvPlanes, picture: &SmallPicture, previous: &HsvPlanes) -> Sums {
    fill(planes, picture, previous)
}

#[inline(always)]
fn fill(planes: &mut HsvPlanes, picture: &SmallPicture, previous: &HsvPlanes) -> Sums {
    let pixels = planes.hue.len();
    let (blue, green, red) = (&picture.blue[..pixels], &picture.green[..pixels], &picture.red[..pixels]);
    let (hue, saturation, value) =
        (&mut planes.hue[..], &mut planes.saturation[..pixels], &mut planes.value[..pixels]);
    for i in 0..pixels {
        (hue[i], saturation[i], value[i]) = hsv(blue[i], green[i], red[i]);
    }
    let samples = total(blue) + total(green) + total(red);
    if previous.hue.len() != pixels {
        return Sums { samples, ..Sums::default() };
    }
    Sums {
        hue: distance(hue, &previous.hue),
        saturation: distance(saturation, &previous.saturation),
        value: distance(value, &previous.value),
        samples,
    }
}

/// One pixel. Branch-free, so that a loop over it vectorises.
#[inline(always)]
fn hsv(blue: u8, green: u8, red: u8) -> (u8, u8, u8) {
    let (b, g, r) = (i32::from(blue), i32::from(green), i32::from(red));
    let value = b.max(g).max(r);
    let spread = value - b.min(g).min(r);
    let saturation = (spread * quotient(255 << SHIFT, value) + HALF) >> SHIFT;
    let from_red = g - b;
    let from_green = b - r + 2 * spread;
    let from_blue = r - g + 4 * spread;
    let sector = if value == r {
        from_red
    } else if value == g {
        from_green
    } else {
        from_blue
    };
    let hue = (sector * quotient((180 << SHIFT) / 6, spread) + HALF) >> SHIFT;
    let hue = hue + if hue < 0 { 180 } else { 0 };
    (hue as u8, saturation as u8, value as u8)
}

/// `numerator / divisor` rounded half to even; whatever is multiplied with it is 0 when `divisor` is.
#[inline(always)]
fn quotient(numerator: i32, divisor: i32) -> i32 {
    // Adding 1.5 * 2^23 rounds and leaves the integer in the low bits of the mantissa.
    const ROUND: f32 = 12_582_912.0;
    let exact = numerator as f32 / divisor.max(1) as f32;
    (exact + ROUND).to_bits() as i32 - ROUND.to_bits() as i32
}

#[inline(always)]
fn distance(a: &[u8], b: &[u8]) -> u64 {
    // Chunks keep the sum of a chunk in 32 bits, where it vectorises best.
    a.chunks(1 << 16)
        .zip(b.chunks(1 << 16))
        .map(|(a, b)| u64::from(a.iter().zip(b).map(|(&a, &b)| u32::from(a.abs_diff(b))).sum::<u32>()))
        .sum()
}

#[inline(always)]
fn total(plane: &[u8]) -> u64 {
    plane.chunks(1 << 16).map(|chunk| u64::from(chunk.iter().map(|&v| u32::from(v)).sum::<u32>())).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotients_equal_those_of_opencv() {
        for divisor in 1..256 {
            let exact = |numerator: i32| (f64::from(numerator) / f64::from(divisor)).round_ties_even() as i32;
            assert_eq!(quotient(255 << SHIFT, divisor), exact(255 << SHIFT));
            assert_eq!(quotient((180 << SHIFT) / 6, divisor), exact((180 << SHIFT) / 6));
        }
    }
}
