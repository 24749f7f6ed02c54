//! Products of bytes on processors with AVX2: as pairs of 16 bits, where no sum of two products is too large.

use std::arch::x86_64::{
    __m256i, _mm_loadu_si128, _mm256_add_epi32, _mm256_cvtepi8_epi16, _mm256_cvtepi32_ps,
    _mm256_cvtepu8_epi16, _mm256_cvtph_ps, _mm256_fmadd_ps, _mm256_hadd_epi32, _mm256_madd_epi16,
    _mm256_mul_ps, _mm256_permute4x64_epi64, _mm256_set1_epi32, _mm256_set1_epi64x, _mm256_set1_ps,
    _mm256_setzero_ps, _mm256_setzero_si256, _mm256_storeu_ps,
};
use std::sync::LazyLock;

use super::bytes::Parts;
use super::columns::Columns;
use super::formats::WIDTH;

const GROUP: usize = 4;
const LANES: usize = 16;

/// Registers of 16 bits that hold a group of sixteen rows.
const QUARTERS: usize = 4;

/// Whether the machine has the instructions.
pub(super) fn is_there() -> bool {
    static THERE: LazyLock<bool> = LazyLock::new(|| {
        is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("fma")
            && is_x86_feature_detected!("f16c")
    });
    *THERE
}

/// The products of sixteen rows with one column or two, from column `from` on.
///
/// # Safety
/// The machine has the instructions; the register is there.
pub(super) unsafe fn tile<const C: usize>(
    parts: &Parts,
    columns: &Columns,
    from: usize,
) -> [[f32; LANES]; C] {
    // SAFETY: by contract.
    unsafe {
        match (parts.signed, parts.offsets.is_null()) {
            (true, _) => tile_of::<C, true, false>(parts, columns, from),
            (false, true) => tile_of::<C, false, false>(parts, columns, from),
            (false, false) => tile_of::<C, false, true>(parts, columns, from),
        }
    }
}

/// # Safety
/// As for [`tile`].
// Loops over numbers keep all in registers.
#[allow(clippy::needless_range_loop)]
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn tile_of<const C: usize, const SIGNED: bool, const OFFSETS: bool>(
    parts: &Parts,
    columns: &Columns,
    from: usize,
) -> [[f32; LANES]; C] {
    let blocks = parts.blocks;
    let values = &columns.values[from * blocks * WIDTH..][..C * blocks * WIDTH];
    let scales = &columns.scales[from * blocks..][..C * blocks];
    let mut sums = [[_mm256_setzero_ps(); 2]; C];
    for block in 0..blocks {
        let mut whole = [[_mm256_setzero_si256(); QUARTERS]; C];
        for group in 0..WIDTH / GROUP {
            let mut weights = [_mm256_setzero_si256(); QUARTERS];
            for quarter in 0..QUARTERS {
                // SAFETY: by contract the panel is there, of four times 16 bytes a group.
                let bytes = unsafe {
                    _mm_loadu_si128((&(*parts.panels.add(block)).0[group])[quarter * GROUP..].as_ptr().cast())
                };
                weights[quarter] =
                    if SIGNED { _mm256_cvtepi8_epi16(bytes) } else { _mm256_cvtepu8_epi16(bytes) };
            }
            for column in 0..C {
                let at = (column * blocks + block) * WIDTH + group * GROUP;
                let mut four = 0_u64;
                for i in 0..GROUP {
                    let value = values[at + i];
                    let wide = if SIGNED {
                        u64::from(value.cast_unsigned())
                    } else {
                        u64::from(i16::from(value).cast_unsigned())
                    };
                    four |= wide << (16 * i);
                }
                let value = _mm256_set1_epi64x(four.cast_signed());
                for quarter in 0..QUARTERS {
                    let products = _mm256_madd_epi16(weights[quarter], value);
                    whole[column][quarter] = _mm256_add_epi32(whole[column][quarter], products);
                }
            }
        }
        for column in 0..C {
            let of = &scales[column * blocks + block];
            let scale = _mm256_set1_ps(of.scale);
            let start = _mm256_set1_epi32(parts.bias.wrapping_mul(of.sum).wrapping_neg());
            for half in 0..2 {
                // SAFETY: by contract the scales of the block are there, and offsets where there are any.
                unsafe {
                    let whole = in_order(whole[column][2 * half], whole[column][2 * half + 1]);
                    let product = _mm256_cvtepi32_ps(_mm256_add_epi32(whole, start));
                    let step = _mm256_cvtph_ps(_mm_loadu_si128(
                        parts.scales.add(block).cast::<u8>().add(half * LANES).cast(),
                    ));
                    sums[column][half] =
                        _mm256_fmadd_ps(product, _mm256_mul_ps(step, scale), sums[column][half]);
                    if OFFSETS {
                        let offset = _mm256_cvtph_ps(_mm_loadu_si128(
                            parts.offsets.add(block).cast::<u8>().add(half * LANES).cast(),
                        ));
                        let total = _mm256_set1_ps(of.scale * of.sum as f32);
                        sums[column][half] = _mm256_fmadd_ps(offset, total, sums[column][half]);
                    }
                }
            }
        }
    }
    let mut out = [[0.0; LANES]; C];
    for column in 0..C {
        for half in 0..2 {
            // SAFETY: half of the lanes of a column.
            unsafe { _mm256_storeu_ps(out[column][half * LANES / 2..].as_mut_ptr(), sums[column][half]) };
        }
    }
    out
}

/// The sums of neighbours, in the order of the rows.
#[target_feature(enable = "avx2")]
fn in_order(low: __m256i, high: __m256i) -> __m256i {
    _mm256_permute4x64_epi64::<0b11_01_10_00>(_mm256_hadd_epi32(low, high))
}
