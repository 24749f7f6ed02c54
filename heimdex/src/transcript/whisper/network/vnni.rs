//! Products of bytes by the instructions that are made for them (AVX-512 VNNI): 32 rows by 6 columns stay in
//! registers.

use std::arch::x86_64::{
    __mmask16, _mm_storeu_si128, _mm256_loadu_si256, _mm512_abs_ps, _mm512_add_epi32, _mm512_add_ps,
    _mm512_cvtepi32_epi8, _mm512_cvtepi32_ps, _mm512_cvtph_ps, _mm512_cvtps_epi32, _mm512_dpbusd_epi32,
    _mm512_fmadd_ps, _mm512_load_si512, _mm512_loadu_ps, _mm512_mask_storeu_ps, _mm512_maskz_loadu_ps,
    _mm512_max_ps, _mm512_mul_ps, _mm512_reduce_add_epi32, _mm512_reduce_add_ps, _mm512_reduce_max_ps,
    _mm512_set1_epi32, _mm512_set1_ps, _mm512_setzero_ps, _mm512_setzero_si512, _mm512_storeu_ps,
};
use std::sync::LazyLock;

use crate::math::exp;

use super::bytes::{Bytes, Parts};
use super::columns::{Columns, Scale};
use super::formats::WIDTH;

const GROUP: usize = 4;
const LANES: usize = 16;

/// Whether the machine has them.
pub(super) fn is_there() -> bool {
    static THERE: LazyLock<bool> = LazyLock::new(|| {
        is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("avx512vl")
            && is_x86_feature_detected!("avx512vnni")
    });
    *THERE
}

/// The largest value of a block becomes 127 or -127.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
pub(super) fn quantize(floats: &[[f32; WIDTH]], values: &mut [[i8; WIDTH]], scales: &mut [Scale]) {
    for ((floats, values), scale) in floats.iter().zip(values).zip(scales) {
        // SAFETY: both halves of the block are there.
        let (low, high) =
            unsafe { (_mm512_loadu_ps(floats.as_ptr()), _mm512_loadu_ps(floats[LANES..].as_ptr())) };
        let largest = _mm512_reduce_max_ps(_mm512_max_ps(_mm512_abs_ps(low), _mm512_abs_ps(high)));
        let inverse = _mm512_set1_ps(if largest > 0.0 { 127.0 / largest } else { 0.0 });
        let low = _mm512_cvtps_epi32(_mm512_mul_ps(low, inverse));
        let high = _mm512_cvtps_epi32(_mm512_mul_ps(high, inverse));
        // SAFETY: as above.
        unsafe {
            _mm_storeu_si128(values.as_mut_ptr().cast(), _mm512_cvtepi32_epi8(low));
            _mm_storeu_si128(values[LANES..].as_mut_ptr().cast(), _mm512_cvtepi32_epi8(high));
        }
        let sum = _mm512_reduce_add_epi32(_mm512_add_epi32(low, high));
        *scale = Scale { scale: largest / 127.0, sum };
    }
}

/// Exponentials of scores over the highest, the largest of a block as 255; and their sum.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,fma")]
pub(super) fn weigh(
    scores: &[[f32; WIDTH]],
    (highest, by): (f32, f32),
    values: &mut [[i8; WIDTH]],
    scales: &mut [Scale],
) -> f32 {
    let mut sums = _mm512_setzero_ps();
    for ((scores, values), scale) in scores.iter().zip(values).zip(scales) {
        let mut weights = [0.0_f32; WIDTH];
        for i in 0..WIDTH {
            weights[i] = exp((scores[i] - highest) * by);
        }
        // SAFETY: both halves are there.
        let (low, high) =
            unsafe { (_mm512_loadu_ps(weights.as_ptr()), _mm512_loadu_ps(weights[LANES..].as_ptr())) };
        sums = _mm512_add_ps(sums, _mm512_add_ps(low, high));
        let largest = _mm512_reduce_max_ps(_mm512_max_ps(low, high));
        let inverse = _mm512_set1_ps(255.0 / largest);
        let low = _mm512_cvtps_epi32(_mm512_mul_ps(low, inverse));
        let high = _mm512_cvtps_epi32(_mm512_mul_ps(high, inverse));
        // SAFETY: as above.
        unsafe {
            _mm_storeu_si128(values.as_mut_ptr().cast(), _mm512_cvtepi32_epi8(low));
            _mm_storeu_si128(values[LANES..].as_mut_ptr().cast(), _mm512_cvtepi32_epi8(high));
        }
        // What is not signed needs no sum.
        *scale = Scale { scale: largest / 255.0, sum: 0 };
    }
    _mm512_reduce_add_ps(sums)
}

/// At most 32 rows from a register on, by at most six columns.
///
/// # Safety
/// The machine has the instructions; the registers and columns are there; `to` has room for `rows` in each
/// column, `stride` floats apart, and nobody else has it.
#[allow(clippy::too_many_arguments)]
pub(super) unsafe fn tile(
    bytes: &Bytes,
    register: usize,
    bias: &[f32],
    columns: &Columns,
    (from, some): (usize, usize),
    to: *mut f32,
    stride: usize,
    rows: usize,
) {
    let parts = bytes.parts(register);
    let values = columns.values[from * parts.blocks * WIDTH..][..some * parts.blocks * WIDTH].as_ptr();
    let scales = columns.scales[from * parts.blocks..][..some * parts.blocks].as_ptr();
    // SAFETY: by contract, and the slices are as long as that.
    unsafe {
        match (some, !parts.offsets.is_null(), parts.signed) {
            (1, false, false) => tile_of::<1, false, false>(&parts, bias, values, scales, to, stride, rows),
            (2, false, false) => tile_of::<2, false, false>(&parts, bias, values, scales, to, stride, rows),
            (3, false, false) => tile_of::<3, false, false>(&parts, bias, values, scales, to, stride, rows),
            (4, false, false) => tile_of::<4, false, false>(&parts, bias, values, scales, to, stride, rows),
            (5, false, false) => tile_of::<5, false, false>(&parts, bias, values, scales, to, stride, rows),
            (_, false, false) => tile_of::<6, false, false>(&parts, bias, values, scales, to, stride, rows),
            (1, true, false) => tile_of::<1, true, false>(&parts, bias, values, scales, to, stride, rows),
            (2, true, false) => tile_of::<2, true, false>(&parts, bias, values, scales, to, stride, rows),
            (3, true, false) => tile_of::<3, true, false>(&parts, bias, values, scales, to, stride, rows),
            (4, true, false) => tile_of::<4, true, false>(&parts, bias, values, scales, to, stride, rows),
            (5, true, false) => tile_of::<5, true, false>(&parts, bias, values, scales, to, stride, rows),
            (_, true, false) => tile_of::<6, true, false>(&parts, bias, values, scales, to, stride, rows),
            (1, false, true) => tile_of::<1, false, true>(&parts, bias, values, scales, to, stride, rows),
            (2, false, true) => tile_of::<2, false, true>(&parts, bias, values, scales, to, stride, rows),
            (3, false, true) => tile_of::<3, false, true>(&parts, bias, values, scales, to, stride, rows),
            (4, false, true) => tile_of::<4, false, true>(&parts, bias, values, scales, to, stride, rows),
            (5, false, true) => tile_of::<5, false, true>(&parts, bias, values, scales, to, stride, rows),
            (_, false, true) => tile_of::<6, false, true>(&parts, bias, values, scales, to, stride, rows),
            (_, true, true) => unreachable!("signed values have no offsets"),
        }
    }
}

/// The first lanes.
fn mask(lanes: usize) -> __mmask16 {
    ((1_u32 << lanes.min(LANES)) - 1) as __mmask16
}

/// # Safety
/// As for [`tile`]; there are `C` columns.
// Loops over numbers: what is called with a closure would not be compiled for these instructions.
#[allow(clippy::needless_range_loop)]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
unsafe fn tile_of<const C: usize, const OFFSETS: bool, const SIGNED: bool>(
    parts: &Parts,
    bias: &[f32],
    values: *const i8,
    scales: *const Scale,
    to: *mut f32,
    stride: usize,
    rows: usize,
) {
    const R: usize = 2;
    let blocks = parts.blocks;
    let mut sums = [[_mm512_setzero_ps(); C]; R];
    for row in 0..R {
        let left = bias.len().saturating_sub(row * LANES);
        if left > 0 {
            // SAFETY: as many as are left are read.
            let bias = unsafe { _mm512_maskz_loadu_ps(mask(left), bias[row * LANES..].as_ptr()) };
            sums[row] = [bias; C];
        }
    }
    for block in 0..blocks {
        // SAFETY: by contract the block is there, in the registers and in each column.
        unsafe {
            let at = [block, parts.second + block];
            let mut whole = [[_mm512_setzero_si512(); C]; R];
            for column in 0..C {
                if SIGNED {
                    break;
                }
                let of = &*scales.add(column * blocks + block);
                let start = _mm512_set1_epi32(parts.bias.wrapping_mul(of.sum).wrapping_neg());
                for row in 0..R {
                    whole[row][column] = start;
                }
            }
            for group in 0..WIDTH / GROUP {
                let mut weights = [_mm512_setzero_si512(); R];
                for row in 0..R {
                    weights[row] = _mm512_load_si512((*parts.panels.add(at[row])).0[group].as_ptr().cast());
                }
                for column in 0..C {
                    let four = values.add((column * blocks + block) * WIDTH + group * GROUP);
                    let value = _mm512_set1_epi32(four.cast::<i32>().read_unaligned());
                    for row in 0..R {
                        whole[row][column] = if SIGNED {
                            _mm512_dpbusd_epi32(whole[row][column], value, weights[row])
                        } else {
                            _mm512_dpbusd_epi32(whole[row][column], weights[row], value)
                        };
                    }
                }
            }
            let mut steps = [_mm512_setzero_ps(); R];
            for row in 0..R {
                steps[row] = _mm512_cvtph_ps(_mm256_loadu_si256(parts.scales.add(at[row]).cast()));
            }
            for column in 0..C {
                let of = &*scales.add(column * blocks + block);
                let scale = _mm512_set1_ps(of.scale);
                for row in 0..R {
                    let product = _mm512_cvtepi32_ps(whole[row][column]);
                    let step = _mm512_mul_ps(steps[row], scale);
                    sums[row][column] = _mm512_fmadd_ps(product, step, sums[row][column]);
                }
            }
            if OFFSETS {
                for row in 0..R {
                    let offset = _mm512_cvtph_ps(_mm256_loadu_si256(parts.offsets.add(at[row]).cast()));
                    for column in 0..C {
                        let of = &*scales.add(column * blocks + block);
                        let total = _mm512_set1_ps(of.scale * of.sum as f32);
                        sums[row][column] = _mm512_fmadd_ps(offset, total, sums[row][column]);
                    }
                }
            }
        }
    }
    for column in 0..C {
        for row in 0..R {
            let left = rows.saturating_sub(row * LANES);
            // SAFETY: by contract there is room for so many rows.
            unsafe {
                let to = to.add(column * stride + row * LANES);
                if left >= LANES {
                    _mm512_storeu_ps(to, sums[row][column]);
                } else if left > 0 {
                    _mm512_mask_storeu_ps(to, mask(left), sums[row][column]);
                }
            }
        }
    }
}
