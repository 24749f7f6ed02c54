//! Products of weights in 8 or 5 bits, by the processor's instructions for bytes (AVX-512 VNNI).
//!
//! The numbers are those of ggml's own products of these types, but for rounding: the other factor is taken
//! in blocks of 32 with a scale too, blocks are multiplied in integers, and their products summed in floats.
//! What differs is the order: 32 rows by 6 columns stay in registers, where ggml takes one row and one column
//! at a time.

use std::arch::x86_64::{
    __m256i, __mmask16, _mm_loadu_si128, _mm_set1_epi8, _mm_setzero_si128, _mm_storeu_si128,
    _mm256_and_si256, _mm256_loadu_si256, _mm256_maskz_set1_epi8, _mm256_or_si256, _mm256_set_m128i,
    _mm256_set1_epi8, _mm256_srli_epi16, _mm256_storeu_si256, _mm256_xor_si256, _mm512_abs_ps,
    _mm512_add_epi32, _mm512_cvtepi32_epi8, _mm512_cvtepi32_ps, _mm512_cvtph_ps, _mm512_cvtps_epi32,
    _mm512_dpbusd_epi32, _mm512_fmadd_ps, _mm512_load_ps, _mm512_load_si512, _mm512_loadu_ps,
    _mm512_mask_storeu_ps, _mm512_max_ps, _mm512_mul_ps, _mm512_reduce_add_epi32, _mm512_reduce_max_ps,
    _mm512_set1_epi32, _mm512_set1_ps, _mm512_setzero_ps, _mm512_setzero_si512, _mm512_store_ps,
};
use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use whisper_rs::whisper_rs_sys as sys;

use super::products::BLOCK;
use super::tensors::share;

/// Values that share a scale.
const WIDTH: usize = 32;

/// Values that an instruction sums.
const GROUP: usize = 4;

/// Rows that a register holds.
const LANES: usize = 16;

/// Registers of rows that are multiplied at once, by as many columns: their sums fill most registers.
const ROWS: usize = 2;
const COLUMNS: usize = 6;

/// Columns that a task quantizes.
const QUANTIZED: usize = 64;

/// That the machine has the instructions.
#[derive(Clone, Copy)]
pub(super) struct Kernel(());

impl Kernel {
    pub(super) fn of_this_machine() -> Option<Self> {
        let has = is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512vl")
            && is_x86_feature_detected!("avx512vnni");
        has.then_some(Self(()))
    }
}

/// How ggml keeps a block of weights: a scale, an offset in one of the types, and 8 or 5 bits of each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    /// `scale · q`, from -128 to 127.
    Q8,
    /// `scale · (q - 16)`, from 0 to 31.
    Q5,
    /// `scale · q + offset`, from 0 to 31.
    Q5Offset,
}

impl Format {
    pub(super) fn of(kind: sys::ggml_type) -> Option<Self> {
        match kind {
            sys::ggml_type_GGML_TYPE_Q8_0 => Some(Self::Q8),
            sys::ggml_type_GGML_TYPE_Q5_0 => Some(Self::Q5),
            sys::ggml_type_GGML_TYPE_Q5_1 => Some(Self::Q5Offset),
            _ => None,
        }
    }

    /// Bytes of a block: those of the scale and the offset, of the fifth bits, and of the others.
    fn bytes(self) -> usize {
        match self {
            Self::Q8 => 2 + 32,
            Self::Q5 => 2 + 4 + 16,
            Self::Q5Offset => 2 + 2 + 4 + 16,
        }
    }

    /// The offset where it is none of the block's own, in scales, of values that are not negative.
    fn offset(self) -> f32 {
        match self {
            Self::Q8 => -128.0,
            Self::Q5 => -16.0,
            Self::Q5Offset => 0.0,
        }
    }
}

/// The scale of a block of a column, and the sum of its values.
#[derive(Clone, Copy, Default)]
struct Scale {
    scale: f32,
    sum: f32,
}

/// The right matrix.
pub(super) struct Columns {
    values: Vec<i8>,
    scales: Vec<Scale>,
    count: usize,
    /// Of a column.
    blocks: usize,
}

impl Columns {
    /// `count` columns of `inner` floats, a multiple of 32.
    pub(super) fn quantize<'a>(
        kernel: Kernel,
        count: usize,
        inner: usize,
        threads: usize,
        column: impl Fn(usize) -> &'a [f32] + Sync,
    ) -> Self {
        let blocks = inner / WIDTH;
        let mut columns = Self {
            values: vec![0; count * inner],
            scales: vec![Scale::default(); count * blocks],
            count,
            blocks,
        };
        let values = columns.values.chunks_mut(QUANTIZED * inner);
        let parts: Vec<_> =
            values.zip(columns.scales.chunks_mut(QUANTIZED * blocks)).map(Mutex::new).collect();
        share(
            threads,
            parts.len(),
            || (),
            |(), task| {
                let mut part = parts[task].lock().unwrap_or_else(PoisonError::into_inner);
                let (values, scales) = &mut *part;
                let each = values.chunks_exact_mut(inner).zip(scales.chunks_exact_mut(blocks));
                for (i, (values, scales)) in each.enumerate() {
                    let Kernel(()) = kernel;
                    // SAFETY: the machine has the instructions.
                    unsafe { quantize(column(task * QUANTIZED + i), values, scales) };
                }
            },
        );
        columns
    }
}

/// A block of 16 rows, in the order that the instructions want.
#[repr(C, align(64))]
#[derive(Clone)]
struct Panel {
    /// By groups of 4, then by rows; not negative.
    values: [[u32; LANES]; WIDTH / GROUP],
    scales: [f32; LANES],
    /// What is added to each value times its scale.
    offsets: [f32; LANES],
}

/// Some rows of the left matrix.
pub(super) struct Panels {
    blocks_by_register: Vec<Panel>,
    /// Of a row.
    blocks: usize,
    count: usize,
}

impl Panels {
    /// Room for rows of `inner` values.
    pub(super) fn new(inner: usize) -> Self {
        let blocks = inner / WIDTH;
        let values = [[0; LANES]; WIDTH / GROUP];
        let empty = Panel { values, scales: [0.0; LANES], offsets: [0.0; LANES] };
        Self { blocks_by_register: vec![empty; BLOCK / LANES * blocks], blocks, count: 0 }
    }

    /// Takes `count` rows, at most [`BLOCK`].
    ///
    /// # Safety
    /// `row` gives the blocks of as many values as [`new`](Self::new) was told.
    pub(super) unsafe fn fill(
        &mut self,
        kernel: Kernel,
        format: Format,
        count: usize,
        row: impl Fn(usize) -> *const u8,
    ) {
        self.count = count.min(BLOCK);
        let bytes = format.bytes();
        for (register, panels) in self.blocks_by_register.chunks_exact_mut(self.blocks.max(1)).enumerate() {
            // SAFETY: by contract.
            let rows: Vec<&[u8]> = (register * LANES..self.count.min((register + 1) * LANES))
                .map(|i| unsafe { std::slice::from_raw_parts(row(i), self.blocks * bytes) })
                .collect();
            for (block, panel) in panels.iter_mut().enumerate() {
                let Kernel(()) = kernel;
                // SAFETY: the machine has the instructions.
                unsafe { interleave(panel, format, &rows, block * bytes..(block + 1) * bytes) };
            }
        }
    }

    /// Writes the product with each column to `to`, columns `stride` floats apart.
    ///
    /// # Safety
    /// `to` has room for them, and nobody else has it.
    pub(super) unsafe fn multiply(&self, kernel: Kernel, columns: &Columns, to: *mut f32, stride: usize) {
        assert_eq!(self.blocks, columns.blocks, "factors of one product");
        let Kernel(()) = kernel;
        for first in (0..columns.count).step_by(COLUMNS) {
            let some = COLUMNS.min(columns.count - first);
            let values = &columns.values[first * self.blocks * WIDTH..][..some * self.blocks * WIDTH];
            let scales = &columns.scales[first * self.blocks..][..some * self.blocks];
            for row in (0..self.count).step_by(ROWS * LANES) {
                let panels = &self.blocks_by_register[row / LANES * self.blocks..][..ROWS * self.blocks];
                let rows = self.count - row;
                // SAFETY: the machine has the instructions; the slices are as long as the sizes say, and by
                // contract there is room for so many rows in each column.
                unsafe {
                    let to = to.add(first * stride + row);
                    match some {
                        1 => tile::<1>(panels, values, scales, to, stride, rows),
                        2 => tile::<2>(panels, values, scales, to, stride, rows),
                        3 => tile::<3>(panels, values, scales, to, stride, rows),
                        4 => tile::<4>(panels, values, scales, to, stride, rows),
                        5 => tile::<5>(panels, values, scales, to, stride, rows),
                        _ => tile::<COLUMNS>(panels, values, scales, to, stride, rows),
                    }
                }
            }
        }
    }
}

/// The largest value of a block becomes 127.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
fn quantize(column: &[f32], values: &mut [i8], scales: &mut [Scale]) {
    let blocks = column.as_chunks::<WIDTH>().0.iter().zip(values.as_chunks_mut::<WIDTH>().0);
    for ((floats, values), scale) in blocks.zip(scales) {
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
        let step = largest / 127.0;
        *scale = Scale { scale: step, sum: sum as f32 * step };
    }
}

/// Brings a block of at most 16 rows into the order of a panel. What is in the lanes of others counts nothing.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
fn interleave(panel: &mut Panel, format: Format, rows: &[&[u8]], block: Range<usize>) {
    let (mut scales, mut offsets) = ([0_u16; LANES], [0_u16; LANES]);
    let half = |bytes: &[u8]| u16::from_le_bytes([bytes[0], bytes[1]]);
    for (lane, row) in rows.iter().enumerate() {
        let block = &row[block.clone()];
        scales[lane] = half(block);
        let head = if format == Format::Q5Offset { 4 } else { 2 };
        if head == 4 {
            offsets[lane] = half(&block[2..]);
        }
        let values = match (format, &block[head..]) {
            // Less than 0 there is no unsigned value: all are 128 more.
            (Format::Q8, values) => eight(values),
            (_, [a, b, c, d, values @ ..]) => five(u32::from_le_bytes([*a, *b, *c, *d]), values),
            (_, _) => continue,
        };
        let mut bytes = [0_u8; WIDTH];
        // SAFETY: as long as the register.
        unsafe { _mm256_storeu_si256(bytes.as_mut_ptr().cast(), values) };
        for (to, group) in panel.values.iter_mut().zip(bytes.as_chunks::<GROUP>().0) {
            to[lane] = u32::from_le_bytes(*group);
        }
    }
    // SAFETY: all are as long as a register, and the panel is aligned.
    unsafe {
        let scales = _mm512_cvtph_ps(_mm256_loadu_si256(scales.as_ptr().cast()));
        let offsets = _mm512_cvtph_ps(_mm256_loadu_si256(offsets.as_ptr().cast()));
        let offsets = _mm512_fmadd_ps(scales, _mm512_set1_ps(format.offset()), offsets);
        _mm512_store_ps(panel.scales.as_mut_ptr(), scales);
        _mm512_store_ps(panel.offsets.as_mut_ptr(), offsets);
    }
}

/// Signed bytes, each 128 more.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
fn eight(values: &[u8]) -> __m256i {
    assert!(values.len() >= WIDTH, "a whole block");
    // SAFETY: as just seen.
    let values = unsafe { _mm256_loadu_si256(values.as_ptr().cast()) };
    _mm256_xor_si256(values, _mm256_set1_epi8(i8::MIN))
}

/// The lower four bits of the first 16 values, then those of the others, each with its fifth bit.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
fn five(fifth: u32, values: &[u8]) -> __m256i {
    assert!(values.len() >= WIDTH / 2, "a whole block");
    // SAFETY: as just seen.
    let low = unsafe { _mm_loadu_si128(values.as_ptr().cast()) };
    let both = _mm256_set_m128i(low, low);
    let both = _mm256_or_si256(
        _mm256_and_si256(both, _mm256_set_m128i(_mm_setzero_si128(), _mm_set1_epi8(0x0f))),
        _mm256_and_si256(
            _mm256_srli_epi16::<4>(both),
            _mm256_set_m128i(_mm_set1_epi8(0x0f), _mm_setzero_si128()),
        ),
    );
    _mm256_or_si256(both, _mm256_maskz_set1_epi8(fifth, 0x10))
}

/// Multiplies two registers of rows by `C` columns.
///
/// # Safety
/// `panels` holds as many blocks twice as each of the columns has in `values` and `scales`; `to` has room for
/// `rows`, at most 32, in each column, `stride` floats apart.
#[allow(clippy::needless_range_loop)]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
unsafe fn tile<const C: usize>(
    panels: &[Panel],
    values: &[i8],
    scales: &[Scale],
    to: *mut f32,
    stride: usize,
    rows: usize,
) {
    let blocks = panels.len() / ROWS;
    let mut sums = [[_mm512_setzero_ps(); C]; ROWS];
    for block in 0..blocks {
        // Loops over numbers: what is called with a closure would not be compiled for these instructions.
        // SAFETY: by contract the block is there, in the panels and in each column.
        unsafe {
            let panels = [panels.get_unchecked(block), panels.get_unchecked(blocks + block)];
            let mut whole = [[_mm512_setzero_si512(); C]; ROWS];
            for group in 0..WIDTH / GROUP {
                let mut weights = [_mm512_setzero_si512(); ROWS];
                for row in 0..ROWS {
                    weights[row] = _mm512_load_si512(panels[row].values[group].as_ptr().cast());
                }
                for column in 0..C {
                    let at = (column * blocks + block) * WIDTH + group * GROUP;
                    let value = _mm512_set1_epi32(values.as_ptr().add(at).cast::<i32>().read_unaligned());
                    for row in 0..ROWS {
                        whole[row][column] = _mm512_dpbusd_epi32(whole[row][column], weights[row], value);
                    }
                }
            }
            for column in 0..C {
                let of = scales.get_unchecked(column * blocks + block);
                let (scale, total) = (_mm512_set1_ps(of.scale), _mm512_set1_ps(of.sum));
                for row in 0..ROWS {
                    let scale = _mm512_mul_ps(_mm512_load_ps(panels[row].scales.as_ptr()), scale);
                    let product = _mm512_cvtepi32_ps(whole[row][column]);
                    let offset = _mm512_load_ps(panels[row].offsets.as_ptr());
                    let sum = _mm512_fmadd_ps(offset, total, sums[row][column]);
                    sums[row][column] = _mm512_fmadd_ps(product, scale, sum);
                }
            }
        }
    }
    for (row, sums) in sums.iter().enumerate() {
        let lanes = rows.saturating_sub(row * LANES).min(LANES);
        let mask = ((1_u32 << lanes) - 1) as __mmask16;
        for (column, sum) in sums.iter().enumerate() {
            // SAFETY: by contract there is room for the rows that the mask leaves.
            unsafe { _mm512_mask_storeu_ps(to.wrapping_add(column * stride + row * LANES), mask, *sum) };
        }
    }
}
