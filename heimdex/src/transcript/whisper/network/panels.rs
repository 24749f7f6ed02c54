//! Matrices of floats, in 32 or 16 bits.
//!
//! Rows lie sixteen side by side: one value of each, then the next. So a register of rows is multiplied with a
//! value of a column at a time, and stays in the cache while all columns are.

use half::f16;
use multiversion::multiversion;

use super::halves;

/// Rows side by side.
const LANES: usize = 16;

/// So many columns are multiplied one by one: the time goes to reading the rows.
const FEW: usize = 2;

/// Columns that are multiplied at once.
const COLUMNS: usize = 6;

/// Values that a matrix may be of.
pub(crate) trait Value: Copy + Default + Send + Sync {
    fn of(float: f32) -> Self;

    /// Floats of the values of some panels: `from` itself, or in `scratch`.
    fn floats<'a>(from: &'a [[Self; LANES]], scratch: &'a mut Vec<[f32; LANES]>) -> &'a [[f32; LANES]];

    /// The products with one column.
    fn one(panel: &[[Self; LANES]], column: &[f32]) -> [f32; LANES];
}

impl Value for f32 {
    fn of(float: f32) -> Self {
        float
    }

    fn floats<'a>(from: &'a [[Self; LANES]], _: &'a mut Vec<[f32; LANES]>) -> &'a [[f32; LANES]] {
        from
    }

    fn one(panel: &[[Self; LANES]], column: &[f32]) -> [f32; LANES] {
        one(panel, column)
    }
}

impl Value for f16 {
    fn of(float: f32) -> Self {
        Self::from_f32(float)
    }

    fn floats<'a>(from: &'a [[Self; LANES]], scratch: &'a mut Vec<[f32; LANES]>) -> &'a [[f32; LANES]] {
        scratch.resize(from.len(), [0.0; LANES]);
        halves::convert(from.as_flattened(), scratch.as_flattened_mut());
        scratch
    }

    fn one(panel: &[[Self; LANES]], column: &[f32]) -> [f32; LANES] {
        halves::one(panel, column).unwrap_or_else(|| one(Self::floats(panel, &mut Vec::new()), column))
    }
}

/// What can give its rows as panels of floats.
pub(super) trait Source {
    /// Sixteen rows, one value of each, then the next: its own, or in `scratch`.
    fn panel<'a>(&'a self, register: usize, scratch: &'a mut Vec<[f32; LANES]>) -> &'a [[f32; LANES]];
}

/// A matrix of floats.
pub(crate) struct Panels<T> {
    /// By registers of 16 rows, then by values of a row.
    values: Vec<[T; LANES]>,
    rows: usize,
    inner: usize,
}

impl<T: Value> Panels<T> {
    /// `value(row, i)` for each of `inner` values of each row.
    pub(super) fn new(rows: usize, inner: usize, value: impl Fn(usize, usize) -> T) -> Self {
        let mut values = vec![[T::default(); LANES]; rows.div_ceil(LANES) * inner];
        for (register, panel) in values.chunks_exact_mut(inner.max(1)).enumerate() {
            for lane in 0..LANES.min(rows - register * LANES) {
                for (i, lanes) in panel.iter_mut().enumerate() {
                    lanes[lane] = value(register * LANES + lane, i);
                }
            }
        }
        Self { values, rows, inner }
    }

    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    pub(super) fn inner(&self) -> usize {
        self.inner
    }

    /// A row in floats.
    pub(super) fn row(&self, row: usize, out: &mut [f32]) {
        let mut scratch = Vec::new();
        let panel = &self.values[row / LANES * self.inner..][..self.inner];
        for (out, lanes) in out.iter_mut().zip(T::floats(panel, &mut scratch)) {
            *out = lanes[row % LANES];
        }
    }

    /// As [`multiply`], of this matrix.
    ///
    /// # Safety
    /// That of [`multiply`].
    pub(super) unsafe fn multiply(
        &self,
        part: (usize, usize),
        bias: &[f32],
        columns: (&[f32], usize, usize),
        out: *mut f32,
        stride: usize,
    ) {
        let (_, count, apart) = columns;
        if count > FEW {
            // SAFETY: by contract.
            unsafe { multiply(self, (part, self.inner), bias, columns, out, stride) };
            return;
        }
        for row in (part.0..part.1).step_by(LANES) {
            let panel = &self.values[row / LANES * self.inner..][..self.inner];
            let rows = LANES.min(part.1 - row);
            for column in 0..count {
                let mut sums = T::one(panel, &columns.0[column * apart..][..self.inner]);
                for (sum, bias) in sums.iter_mut().zip(bias.iter().skip(row)) {
                    *sum += bias;
                }
                // SAFETY: by contract.
                unsafe { std::ptr::copy_nonoverlapping(sums.as_ptr(), out.add(column * stride + row), rows) };
            }
        }
    }
}

impl<T: Value> Source for Panels<T> {
    fn panel<'a>(&'a self, register: usize, scratch: &'a mut Vec<[f32; LANES]>) -> &'a [[f32; LANES]] {
        T::floats(&self.values[register * self.inner..][..self.inner], scratch)
    }
}

/// Writes the products of rows from the first of `part`, a multiple of 16, to before the other, with each of
/// `count` columns of `inner` floats that begin `apart`: to `out`, which begins at the first row of the matrix,
/// columns `stride` floats apart. To each the row's part of `bias` is added, which may be empty.
///
/// # Safety
/// `out` has room for them, and nobody else has that part of it.
pub(super) unsafe fn multiply(
    source: &impl Source,
    ((first, end), inner): ((usize, usize), usize),
    bias: &[f32],
    (columns, count, apart): (&[f32], usize, usize),
    out: *mut f32,
    stride: usize,
) {
    if inner == 0 {
        return;
    }
    let groups = side_by_side((columns, count, apart), inner);
    let mut scratch = Vec::new();
    for row in (first..end).step_by(LANES) {
        let panel = source.panel(row / LANES, &mut scratch);
        let rows = LANES.min(end - row);
        let mut of_bias = [0.0; LANES];
        if let Some(bias) = bias.get(row..row + rows) {
            of_bias[..rows].copy_from_slice(bias);
        }
        for (from, group) in (0..count).step_by(COLUMNS).zip(groups.chunks_exact(inner)) {
            let some = COLUMNS.min(count - from);
            let mut sums = [of_bias; COLUMNS];
            match some {
                1..=4 => tile::<4, 2>(panel, group, &mut sums),
                _ => tile::<COLUMNS, 1>(panel, group, &mut sums),
            }
            for (i, sums) in sums.iter().enumerate().take(some) {
                // SAFETY: by contract.
                unsafe {
                    let to = out.add((from + i) * stride + row);
                    std::ptr::copy_nonoverlapping(sums.as_ptr(), to, rows);
                }
            }
        }
    }
}

/// The products of sixteen rows with a column.
#[multiversion(targets("x86_64+avx512f+avx512vl+fma", "x86_64+avx2+fma", "aarch64+neon"))]
fn one(panel: &[[f32; LANES]], column: &[f32]) -> [f32; LANES] {
    let mut sums = [[0.0_f32; LANES]; 4];
    let ((panel, panel_rest), (column, column_rest)) = (panel.as_chunks::<4>(), column.as_chunks::<4>());
    for (rows, values) in panel.iter().zip(column) {
        for ((sums, row), value) in sums.iter_mut().zip(rows).zip(values) {
            for (sum, row) in sums.iter_mut().zip(row) {
                *sum = row.mul_add(*value, *sum);
            }
        }
    }
    let [mut all, others @ ..] = sums;
    for (row, value) in panel_rest.iter().zip(column_rest) {
        for (sum, row) in all.iter_mut().zip(row) {
            *sum = row.mul_add(*value, *sum);
        }
    }
    for other in others {
        for (sum, other) in all.iter_mut().zip(other) {
            *sum += other;
        }
    }
    all
}

/// Columns in groups of six, one value of each, then the next.
fn side_by_side((columns, count, apart): (&[f32], usize, usize), inner: usize) -> Vec<[f32; COLUMNS]> {
    let mut groups = vec![[0.0; COLUMNS]; count.div_ceil(COLUMNS) * inner];
    for (column, group) in (0..count).step_by(COLUMNS).zip(groups.chunks_exact_mut(inner)) {
        for i in 0..COLUMNS.min(count - column) {
            for (group, value) in group.iter_mut().zip(&columns[(column + i) * apart..][..inner]) {
                group[i] = *value;
            }
        }
    }
    groups
}

/// Adds the products of sixteen rows with the first `C` of a group of columns to `sums`; `N` values of the rows
/// at once, so that there are enough sums that do not wait for each other.
#[multiversion(targets("x86_64+avx512f+avx512vl+fma", "x86_64+avx2+fma", "aarch64+neon"))]
fn tile<const C: usize, const N: usize>(
    panel: &[[f32; LANES]],
    group: &[[f32; COLUMNS]],
    sums: &mut [[f32; LANES]; COLUMNS],
) {
    let mut found = [[[0.0_f32; LANES]; C]; N];
    let ((panel, panel_rest), (group, group_rest)) = (panel.as_chunks::<N>(), group.as_chunks::<N>());
    for (rows, values) in panel.iter().zip(group) {
        for n in 0..N {
            for c in 0..C {
                for lane in 0..LANES {
                    found[n][c][lane] = rows[n][lane].mul_add(values[n][c], found[n][c][lane]);
                }
            }
        }
    }
    for (rows, values) in panel_rest.iter().zip(group_rest) {
        for c in 0..C {
            for lane in 0..LANES {
                found[0][c][lane] = rows[lane].mul_add(values[c], found[0][c][lane]);
            }
        }
    }
    for found in &found {
        for (sums, found) in sums.iter_mut().zip(found) {
            for (sum, found) in sums.iter_mut().zip(found) {
                *sum += found;
            }
        }
    }
}
