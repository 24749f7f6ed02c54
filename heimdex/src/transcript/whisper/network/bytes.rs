//! Matrices of 8 bits a value, with a scale for each 32 values of a row.
//!
//! The numbers are those of ggml's products of such matrices but for rounding: the other factor is taken in
//! blocks of 32 with a scale too, blocks are multiplied in integers, and their products summed in floats. Rows
//! lie sixteen side by side, in the order in which an instruction takes them, whether there is one column to
//! multiply with or a hundred.

use half::f16;
use half::slice::HalfFloatSliceExt;
use multiversion::multiversion;

use super::columns::{Columns, Scale, turn};
use super::formats::{Format, WIDTH};
use super::panels::Source;

/// Values that an instruction sums.
const GROUP: usize = 4;

/// Rows side by side.
const LANES: usize = 16;

/// Columns that are multiplied at once.
const COLUMNS: usize = 6;

/// What multiplies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kernel {
    #[cfg(target_arch = "x86_64")]
    Vnni,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    Simple,
}

impl Kernel {
    /// Those that this machine has, the fastest first.
    fn all() -> &'static [Self] {
        #[cfg(target_arch = "x86_64")]
        {
            if super::vnni::is_there() {
                return &[Self::Vnni, Self::Avx2, Self::Simple];
            }
            if super::avx2::is_there() {
                return &[Self::Avx2, Self::Simple];
            }
        }
        &[Self::Simple]
    }

    /// Faster than floats are.
    fn is_fast(self) -> bool {
        #[cfg(target_arch = "x86_64")]
        return self == Self::Vnni;
        #[cfg(not(target_arch = "x86_64"))]
        return false;
    }
}

/// A block of 16 rows: by groups of four values, then by rows.
#[repr(C, align(64))]
#[derive(Clone, Copy)]
pub(super) struct Panel(pub(super) [[u32; LANES]; WIDTH / GROUP]);

type Halves = [f16; LANES];

/// A matrix of 8 bits a value.
pub(crate) struct Bytes {
    /// By registers of 16 rows, then by blocks.
    panels: Vec<Panel>,
    scales: Vec<Halves>,
    /// Empty where blocks have none.
    offsets: Vec<Halves>,
    /// What is added to each value so that none is negative; 0 too where they are signed, and the values that
    /// they are multiplied with are not.
    bias: i32,
    signed: bool,
    rows: usize,
    inner: usize,
}

impl Bytes {
    fn empty(rows: usize, inner: usize, bias: i32, offsets: bool) -> Self {
        let count = rows.div_ceil(LANES) * inner.div_ceil(WIDTH);
        let (panel, none) = (Panel([[0; LANES]; WIDTH / GROUP]), [f16::ZERO; LANES]);
        let offsets = if offsets { vec![none; count] } else { Vec::new() };
        Self {
            panels: vec![panel; count],
            scales: vec![none; count],
            offsets,
            bias,
            signed: false,
            rows,
            inner,
        }
    }

    /// The weights of a file: `rows` rows of blocks. `inner` is a multiple of 32.
    pub(super) fn read(format: Format, rows: usize, inner: usize, data: &[u8]) -> Self {
        let mut bytes = Self::empty(rows, inner, format.bias(), format.has_offset());
        let blocks = bytes.blocks();
        for (i, block) in data.chunks_exact(format.bytes()).take(rows * blocks).enumerate() {
            let (row, block_of_row) = (i / blocks, i % blocks);
            let (at, lane) = (row / LANES * blocks + block_of_row, row % LANES);
            let (scale, offset, values) = format.read(block);
            bytes.scales[at][lane] = f16::from_bits(scale);
            if let Some(offsets) = bytes.offsets.get_mut(at) {
                offsets[lane] = f16::from_bits(offset);
            }
            for (to, group) in bytes.panels[at].0.iter_mut().zip(values.as_chunks::<GROUP>().0) {
                to[lane] = u32::from_le_bytes(*group);
            }
        }
        bytes
    }

    /// Of rows of `inner` floats that begin `stride` floats apart.
    pub(super) fn of_rows(floats: &[f32], rows: usize, inner: usize, stride: usize) -> Self {
        let mut bytes = Self::empty(rows, inner, 128, false);
        let blocks = bytes.blocks();
        let mut columns = Columns::default();
        for row in 0..rows {
            columns.clear(inner);
            columns.push(&floats[row * stride..][..inner]);
            let lane = row % LANES;
            let first = row / LANES * blocks;
            let each = columns.values.as_chunks::<WIDTH>().0.iter().zip(&columns.scales);
            for (i, (values, scale)) in each.enumerate() {
                bytes.scales[first + i][lane] = f16::from_f32(scale.scale);
                for (to, group) in bytes.panels[first + i].0.iter_mut().zip(values.as_chunks::<GROUP>().0) {
                    to[lane] = u32::from_le_bytes(group.map(i8::cast_unsigned)) ^ 0x8080_8080;
                }
            }
        }
        bytes
    }

    /// The rows of this matrix are the columns of that one: `inner` rows of `rows` floats, `stride` apart. It is
    /// multiplied with [`weights`](Columns::push_weights).
    pub(super) fn of_columns(floats: &[f32], rows: usize, inner: usize, stride: usize) -> Self {
        let mut bytes = Self { signed: true, ..Self::empty(rows, inner, 0, false) };
        let blocks = bytes.blocks();
        let mut square = [[0.0; LANES]; WIDTH];
        for register in 0..rows.div_ceil(LANES) {
            let lanes = LANES.min(rows - register * LANES);
            for block in 0..blocks {
                let some = WIDTH.min(inner - block * WIDTH);
                for (i, to) in square.iter_mut().enumerate() {
                    *to = [0.0; LANES];
                    if i < some {
                        let from = &floats[(block * WIDTH + i) * stride + register * LANES..][..lanes];
                        to[..lanes].copy_from_slice(from);
                    }
                }
                let at = register * blocks + block;
                let mut scales = [0.0; LANES];
                turn(&square, &mut bytes.panels[at].0, &mut scales);
                bytes.scales[at].convert_from_f32_slice(&scales);
            }
        }
        bytes
    }

    /// Whether columns are to be of bytes, not of floats: one or a few take the time of reading the rows, many
    /// that of the processor, which has to have instructions for bytes.
    pub(super) fn multiplies_bytes(count: usize) -> bool {
        const FEW: usize = 8;
        count <= FEW || Kernel::all()[0].is_fast()
    }

    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    pub(super) fn inner(&self) -> usize {
        self.inner
    }

    fn blocks(&self) -> usize {
        self.inner.div_ceil(WIDTH)
    }

    /// A row in floats.
    pub(super) fn row(&self, row: usize, out: &mut [f32]) {
        let (register, lane) = (row / LANES, row % LANES);
        for (block, out) in out.chunks_mut(WIDTH).enumerate() {
            let at = register * self.blocks() + block;
            let scale = self.scales[at][lane].to_f32();
            let offset = self.offsets.get(at).map_or(0.0, |offsets| offsets[lane].to_f32());
            for (out, group) in out.chunks_mut(GROUP).zip(&self.panels[at].0) {
                for (out, value) in out.iter_mut().zip(group[lane].to_le_bytes()) {
                    let value = if self.signed { i32::from(value.cast_signed()) } else { i32::from(value) };
                    *out = (value - self.bias) as f32 * scale + offset;
                }
            }
        }
    }

    /// Writes the products of rows from `first`, a multiple of 32, to before `end`, with each column: to
    /// `out`, which begins at the first row of the matrix, columns `stride` floats apart. To each the row's
    /// part of `bias` is added, which may be empty.
    ///
    /// # Safety
    /// `out` has room for them, and nobody else has that part of it.
    pub(super) unsafe fn multiply(
        &self,
        (first, end): (usize, usize),
        bias: &[f32],
        columns: &Columns,
        out: *mut f32,
        stride: usize,
    ) {
        // SAFETY: by contract.
        unsafe { self.multiply_by(Kernel::all()[0], (first, end), bias, columns, out, stride) };
    }

    /// # Safety
    /// As for [`multiply`](Self::multiply), and the machine has the kernel.
    unsafe fn multiply_by(
        &self,
        kernel: Kernel,
        (first, end): (usize, usize),
        bias: &[f32],
        columns: &Columns,
        out: *mut f32,
        stride: usize,
    ) {
        assert!(self.blocks() == columns.blocks && self.signed == columns.unsigned, "factors of one product");
        assert!(bias.is_empty() || bias.len() >= end, "a bias for each row");
        assert!(end <= self.rows && first.is_multiple_of(2 * LANES), "rows of the matrix");
        let count = columns.count();
        for from in (0..count).step_by(COLUMNS) {
            let some = COLUMNS.min(count - from);
            for row in (first..end).step_by(2 * LANES) {
                let rows = (end - row).min(2 * LANES);
                let bias = bias.get(row..row + rows).unwrap_or(&[]);
                // SAFETY: by contract there is room for as many rows as are left, in each of these columns.
                unsafe {
                    let to = out.add(from * stride + row);
                    self.tile(kernel, row / LANES, bias, columns, (from, some), to, stride, rows);
                }
            }
        }
    }

    /// At most 32 rows from a register on, by at most six columns.
    ///
    /// # Safety
    /// As for [`multiply`](Self::multiply); the registers and columns are there.
    #[allow(clippy::too_many_arguments)]
    unsafe fn tile(
        &self,
        kernel: Kernel,
        register: usize,
        bias: &[f32],
        columns: &Columns,
        (from, some): (usize, usize),
        to: *mut f32,
        stride: usize,
        rows: usize,
    ) {
        #[cfg(target_arch = "x86_64")]
        if kernel == Kernel::Vnni {
            // SAFETY: the machine has the instructions; the rest by contract.
            unsafe { super::vnni::tile(self, register, bias, columns, (from, some), to, stride, rows) };
            return;
        }
        for half in 0..rows.div_ceil(LANES) {
            let left = LANES.min(rows - half * LANES);
            let mut column = 0;
            while column < some {
                let two = some - column > 1;
                let mut sums = self.sixteen(kernel, register + half, columns, from + column, two);
                for (i, sums) in sums.iter_mut().enumerate().take(1 + usize::from(two)) {
                    for (sum, bias) in sums.iter_mut().zip(bias.iter().skip(half * LANES)) {
                        *sum += bias;
                    }
                    // SAFETY: by contract.
                    unsafe {
                        let to = to.add((column + i) * stride + half * LANES);
                        std::ptr::copy_nonoverlapping(sums.as_ptr(), to, left);
                    }
                }
                column += 1 + usize::from(two);
            }
        }
    }

    /// The products of sixteen rows with a column and, where `two`, the next.
    fn sixteen(
        &self,
        kernel: Kernel,
        register: usize,
        columns: &Columns,
        column: usize,
        two: bool,
    ) -> [[f32; LANES]; 2] {
        #[cfg(target_arch = "x86_64")]
        if kernel == Kernel::Avx2 {
            let parts = self.parts(register);
            // SAFETY: the machine has the instructions.
            return unsafe {
                if two {
                    super::avx2::tile::<2>(&parts, columns, column)
                } else {
                    let [one] = super::avx2::tile::<1>(&parts, columns, column);
                    [one, one]
                }
            };
        }
        let _ = kernel;
        let blocks = self.blocks();
        let at = register * blocks;
        let offsets = self.offsets.get(at..at + blocks).unwrap_or(&[]);
        let weights = Sixteen {
            panels: &self.panels[at..][..blocks],
            scales: &self.scales[at..][..blocks],
            offsets,
            signed: self.signed,
            bias: self.bias,
        };
        let of = |column: usize| {
            let values = &columns.values[column * blocks * WIDTH..][..blocks * WIDTH];
            sixteen(&weights, values, &columns.scales[column * blocks..][..blocks])
        };
        let one = of(column);
        [one, if two { of(column + 1) } else { one }]
    }

    /// What instructions multiply: panels, scales, offsets and the bias, of a register of rows on.
    #[cfg(target_arch = "x86_64")]
    pub(super) fn parts(&self, register: usize) -> Parts {
        let at = register * self.blocks();
        let last = (register + 1) * LANES >= self.rows.div_ceil(LANES) * LANES;
        Parts {
            panels: self.panels[at..].as_ptr(),
            scales: self.scales[at..].as_ptr().cast(),
            offsets: if self.offsets.is_empty() {
                std::ptr::null()
            } else {
                self.offsets[at..].as_ptr().cast()
            },
            bias: self.bias,
            signed: self.signed,
            blocks: self.blocks(),
            // A second register is read even where there is none: then the first once more.
            second: if last { 0 } else { self.blocks() },
        }
    }
}

impl Source for Bytes {
    fn panel<'a>(&'a self, register: usize, scratch: &'a mut Vec<[f32; LANES]>) -> &'a [[f32; LANES]] {
        let blocks = self.blocks();
        scratch.resize(blocks * WIDTH, [0.0; LANES]);
        for (block, out) in scratch.as_chunks_mut::<WIDTH>().0.iter_mut().enumerate() {
            let at = register * blocks + block;
            let (mut scales, mut offsets) = ([0.0; LANES], [0.0; LANES]);
            self.scales[at].convert_to_f32_slice(&mut scales);
            if let Some(of_block) = self.offsets.get(at) {
                of_block.convert_to_f32_slice(&mut offsets);
            }
            spread(&self.panels[at], (self.signed, self.bias), &scales, &offsets, out);
        }
        &scratch[..self.inner]
    }
}

/// The values of a block in floats.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512dq+avx512bw+fma", "x86_64+avx2+fma", "aarch64+neon"))]
fn spread(
    panel: &Panel,
    (signed, bias): (bool, i32),
    scales: &[f32; LANES],
    offsets: &[f32; LANES],
    out: &mut [[f32; LANES]; WIDTH],
) {
    // From an unsigned value: a signed one is 128 more once its first bit is turned.
    let (turn, bias) = if signed { (0x80, 128) } else { (0, bias) };
    for (group, out) in panel.0.iter().zip(out.as_chunks_mut::<GROUP>().0) {
        for (i, out) in out.iter_mut().enumerate() {
            for lane in 0..LANES {
                let value = (((group[lane] >> (8 * i)) & 255) ^ turn).cast_signed() - bias;
                out[lane] = (value as f32).mul_add(scales[lane], offsets[lane]);
            }
        }
    }
}

/// Where the rows of a register, and of the next, lie.
#[cfg(target_arch = "x86_64")]
pub(super) struct Parts {
    pub(super) panels: *const Panel,
    pub(super) scales: *const [u16; LANES],
    /// Null where there are none.
    pub(super) offsets: *const [u16; LANES],
    pub(super) bias: i32,
    pub(super) signed: bool,
    pub(super) blocks: usize,
    /// Blocks to the second register.
    pub(super) second: usize,
}

/// Sixteen rows.
struct Sixteen<'a> {
    panels: &'a [Panel],
    scales: &'a [Halves],
    offsets: &'a [Halves],
    signed: bool,
    bias: i32,
}

/// The products of sixteen rows with a column.
#[multiversion(targets("x86_64+avx2+fma+f16c", "aarch64+neon"))]
fn sixteen(rows: &Sixteen<'_>, values: &[i8], of_column: &[Scale]) -> [f32; LANES] {
    let Sixteen { panels, scales, offsets, signed, bias } = *rows;
    let mut sums = [0.0_f32; LANES];
    let columns = values.as_chunks::<WIDTH>().0.iter().zip(of_column);
    for (block, ((panel, scales), (values, of_column))) in panels.iter().zip(scales).zip(columns).enumerate()
    {
        let mut whole = [bias.wrapping_mul(of_column.sum).wrapping_neg(); LANES];
        for (group, values) in panel.0.iter().zip(values.as_chunks::<GROUP>().0) {
            // One of the two is signed.
            let values =
                values.map(|value| if signed { i32::from(value.cast_unsigned()) } else { i32::from(value) });
            for (whole, four) in whole.iter_mut().zip(group) {
                let four = four.to_le_bytes();
                let [a, b, c, d] =
                    four.map(|value| if signed { i32::from(value.cast_signed()) } else { i32::from(value) });
                let four = a * values[0] + b * values[1] + c * values[2] + d * values[3];
                *whole = whole.wrapping_add(four);
            }
        }
        let mut floats = [0.0; LANES];
        scales.convert_to_f32_slice(&mut floats);
        for ((sum, whole), scale) in sums.iter_mut().zip(whole).zip(floats) {
            *sum += whole as f32 * scale * of_column.scale;
        }
        if let Some(offsets) = offsets.get(block) {
            offsets.convert_to_f32_slice(&mut floats);
            for (sum, offset) in sums.iter_mut().zip(floats) {
                *sum += offset * of_column.scale * of_column.sum as f32;
            }
        }
    }
    sums
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(count: usize, mut seed: u32) -> Vec<f32> {
        let mut next = || {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (seed >> 8) as f32 / (1 << 23) as f32 - 1.0
        };
        (0..count).map(|_| next()).collect()
    }

    /// Rows as a file has them, and the values that they stand for. All bits come up.
    fn stored(format: Format, rows: usize, inner: usize) -> (Vec<u8>, Vec<f64>) {
        let (mut bytes, mut floats) = (Vec::new(), Vec::new());
        let mut seed = 1_u32;
        for block in 0..rows * inner / WIDTH {
            let scale = f16::from_f32(0.01 + block as f32 % 7.0 / 100.0);
            let offset = f16::from_f32(block as f32 % 5.0 / 10.0 - 0.2);
            bytes.extend(scale.to_le_bytes());
            if format.has_offset() {
                bytes.extend(offset.to_le_bytes());
            }
            let at = bytes.len();
            for _ in 0..format.bytes() - if format.has_offset() { 4 } else { 2 } {
                seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                bytes.push((seed >> 24) as u8);
            }
            let data = &bytes[at..];
            for i in 0..WIDTH {
                let nibble = |data: &[u8]| i64::from(if i < 16 { data[i] & 15 } else { data[i - 16] >> 4 });
                let fifth = || i64::from(data[i / 8] >> (i % 8) & 1) << 4;
                let value = match format {
                    Format::Q8 => i64::from(data[i].cast_signed()),
                    Format::Q5 => (nibble(&data[4..]) | fifth()) - 16,
                    Format::Q5Offset => nibble(&data[4..]) | fifth(),
                    Format::Q4 => nibble(data) - 8,
                    Format::Q4Offset => nibble(data),
                };
                let offset = if format.has_offset() { offset.to_f64() } else { 0.0 };
                floats.push(value as f64 * scale.to_f64() + offset);
            }
        }
        (bytes, floats)
    }

    /// All formats by all kernels of the machine, sizes that fill no tile: what is read is what was written, and
    /// products are those of the values, the columns as they are quantized.
    #[test]
    fn products_are_those_of_the_values() {
        let formats = [Format::Q8, Format::Q5, Format::Q5Offset, Format::Q4, Format::Q4Offset];
        let sizes = [(64, 7, 96), (50, 13, 32), (1, 1, 64), (33, 2, 128), (96, 12, 64)];
        for (format, (rows, count, inner)) in formats.iter().flat_map(|f| sizes.iter().map(move |s| (*f, *s)))
        {
            let (bytes, expected) = stored(format, rows, inner);
            let matrix = Bytes::read(format, rows, inner, &bytes);
            let mut row = vec![0.0; inner];
            for (i, expected) in expected.chunks_exact(inner).enumerate() {
                matrix.row(i, &mut row);
                assert!(
                    row.iter().zip(expected).all(|(a, b)| (f64::from(*a) - b).abs() < 1e-5),
                    "{format:?}"
                );
                let mut scratch = Vec::new();
                let panel = matrix.panel(i / LANES, &mut scratch).iter().map(|lanes| lanes[i % LANES]);
                assert!(panel.zip(&row).all(|(a, b)| (a - b).abs() < 1e-5), "{format:?}");
            }
            let mut columns = Columns::default();
            columns.clear(inner);
            values(count * inner, 7).chunks_exact(inner).for_each(|column| columns.push(column));
            let bias = values(rows, 3);
            compare(&matrix, &expected, &columns, &bias, &format!("{format:?} {rows} {count} {inner}"));
        }
    }

    /// Of matrices that are made of floats, too: rows, and columns with weights.
    #[test]
    fn products_of_attention_are_those_of_the_values() {
        for (rows, count, inner) in [(64, 7, 1500), (80, 3, 33), (16, 6, 64), (5, 1, 31)] {
            let floats = values(rows * inner, 5);
            let by_rows = Bytes::of_rows(&floats, rows, inner, inner);
            let turned: Vec<f32> = (0..inner)
                .flat_map(|i| (0..rows).map(move |row| (row, i)))
                .map(|(r, i)| floats[r * inner + i])
                .collect();
            let by_columns = Bytes::of_columns(&turned, rows, inner, rows);
            let scores = values(count * inner, 9);
            let (mut plain, mut weights) = (Columns::default(), Columns::default());
            plain.clear(inner);
            weights.clear(inner);
            for row in scores.chunks_exact(inner) {
                plain.push(row);
                let sum = weights.push_weights(row, 8.0);
                let highest = row.iter().copied().fold(f32::MIN, f32::max);
                let expected: f64 = row.iter().map(|s| f64::from((s - highest) * 8.0).exp()).sum();
                assert!((f64::from(sum) - expected).abs() < 1e-5 * expected);
            }
            for (matrix, columns) in [(&by_rows, &plain), (&by_columns, &weights)] {
                let mut expected = vec![0.0; rows * inner];
                for (i, row) in expected.chunks_exact_mut(inner).enumerate() {
                    let mut found = vec![0.0; inner];
                    matrix.row(i, &mut found);
                    for ((to, found), exact) in row.iter_mut().zip(found).zip(&floats[i * inner..]) {
                        assert!((found - exact).abs() < 1.0 / 200.0, "half a step of the largest");
                        *to = f64::from(found);
                    }
                }
                compare(matrix, &expected, columns, &[], &format!("{rows} {count} {inner}"));
            }
        }
    }

    fn compare(matrix: &Bytes, rows: &[f64], columns: &Columns, bias: &[f32], what: &str) {
        let (count, inner) = (columns.count(), matrix.inner);
        for kernel in Kernel::all() {
            let mut found = vec![f32::NAN; count * matrix.rows];
            // SAFETY: there is room for all.
            unsafe {
                let out = found.as_mut_ptr();
                matrix.multiply_by(*kernel, (0, matrix.rows), bias, columns, out, matrix.rows);
            }
            for (at, found) in found.iter().enumerate() {
                let (row, column) = (at % matrix.rows, at / matrix.rows);
                let terms = (0..inner).map(|i| {
                    let value = columns.values[column * columns.blocks * WIDTH + i];
                    let value =
                        if columns.unsigned { i32::from(value.cast_unsigned()) } else { i32::from(value) };
                    let scale = columns.scales[column * columns.blocks + i / WIDTH].scale;
                    rows[row * inner + i] * f64::from(value) * f64::from(scale)
                });
                let expected = terms.sum::<f64>() + bias.get(row).map_or(0.0, |bias| f64::from(*bias));
                let off = (f64::from(*found) - expected).abs();
                assert!(off < 1e-4 * expected.abs().max(1.0), "{kernel:?} {what}: {found}, not {expected}");
            }
        }
    }
}
