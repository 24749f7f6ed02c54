//! 16-bit floats, as wide as the processor converts them.

use half::f16;
use half::slice::HalfFloatSliceExt;

/// As 32-bit floats.
pub(super) fn convert(from: &[f16], to: &mut [f32]) {
    #[cfg(target_arch = "x86_64")]
    if is_wide() {
        // SAFETY: the machine has the instructions.
        unsafe { wide::convert(from, to) };
        return;
    }
    from.convert_to_f32_slice(to);
}

/// The products of sixteen rows with a column; `None` where the processor has no instructions for it.
pub(super) fn one(rows: &[[f16; 16]], column: &[f32]) -> Option<[f32; 16]> {
    #[cfg(target_arch = "x86_64")]
    if is_wide() {
        // SAFETY: the machine has the instructions.
        return Some(unsafe { wide::one(rows, column) });
    }
    let _ = (rows, column);
    None
}

#[cfg(target_arch = "x86_64")]
fn is_wide() -> bool {
    static WIDE: std::sync::LazyLock<bool> = std::sync::LazyLock::new(|| {
        is_x86_feature_detected!("avx") && is_x86_feature_detected!("fma") && is_x86_feature_detected!("f16c")
    });
    *WIDE
}

#[cfg(target_arch = "x86_64")]
mod wide {
    use std::arch::x86_64::{
        _mm_loadu_si128, _mm256_add_ps, _mm256_cvtph_ps, _mm256_fmadd_ps, _mm256_set1_ps, _mm256_setzero_ps,
        _mm256_storeu_ps,
    };

    use half::f16;

    const LANES: usize = 8;

    #[target_feature(enable = "avx,f16c")]
    pub(super) fn convert(from: &[f16], to: &mut [f32]) {
        let ((from, from_rest), (to, to_rest)) = (from.as_chunks::<LANES>(), to.as_chunks_mut::<LANES>());
        for (from, to) in from.iter().zip(to) {
            // SAFETY: both are as long as a register has lanes.
            unsafe {
                _mm256_storeu_ps(to.as_mut_ptr(), _mm256_cvtph_ps(_mm_loadu_si128(from.as_ptr().cast())));
            };
        }
        for (from, to) in from_rest.iter().zip(to_rest) {
            *to = from.to_f32();
        }
    }

    #[target_feature(enable = "avx,fma,f16c")]
    pub(super) fn one(rows: &[[f16; 2 * LANES]], column: &[f32]) -> [f32; 2 * LANES] {
        // Four sums of each half, so that one does not wait for the other.
        let mut sums = [[_mm256_setzero_ps(); 2]; 4];
        for (rows, values) in rows.chunks(4).zip(column.chunks(4)) {
            for ((sums, row), value) in sums.iter_mut().zip(rows).zip(values) {
                let value = _mm256_set1_ps(*value);
                // SAFETY: a row has the lanes of two registers.
                let halves = unsafe {
                    [_mm_loadu_si128(row.as_ptr().cast()), _mm_loadu_si128(row[LANES..].as_ptr().cast())]
                };
                sums[0] = _mm256_fmadd_ps(_mm256_cvtph_ps(halves[0]), value, sums[0]);
                sums[1] = _mm256_fmadd_ps(_mm256_cvtph_ps(halves[1]), value, sums[1]);
            }
        }
        let mut all = [0.0; 2 * LANES];
        for half in 0..2 {
            let two = _mm256_add_ps(sums[0][half], sums[1][half]);
            let sum = _mm256_add_ps(two, _mm256_add_ps(sums[2][half], sums[3][half]));
            // SAFETY: as long as the register.
            unsafe { _mm256_storeu_ps(all[half * LANES..].as_mut_ptr(), sum) };
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_are_read() {
        for count in [0, 1, 7, 8, 31, 32, 33, 300] {
            let halves: Vec<f16> =
                (0..count).map(|i| f16::from_f32((i * 37 % 101) as f32 / 50.0 - 1.0)).collect();
            let mut floats = vec![0.0; count];
            convert(&halves, &mut floats);
            assert!(
                floats.iter().zip(&halves).all(|(float, half)| float.to_bits() == half.to_f32().to_bits())
            );
        }
    }
}
