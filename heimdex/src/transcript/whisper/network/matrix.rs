//! Matrices of weights, and of what attention looks at, in the precision that they are kept in.

use half::f16;
use multiversion::multiversion;

use super::bytes::Bytes;
use super::columns::Columns;
use super::formats::{Format, WIDTH};
use super::panels::{self, Panels, Value};
use super::team::{Parts, Team};
use crate::math::exponentials;

/// Rows that a task multiplies with one column or a few.
const TASK: usize = 64;

/// What a matrix is kept in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Precision {
    /// 32-bit floats.
    Floats,
    /// 16-bit floats.
    Halves,
    /// 8 bits, with a scale for each 32 values.
    Bytes,
}

/// Rows of values, multiplied with columns of as many values.
pub(crate) enum Matrix {
    Floats(Panels<f32>),
    Halves(Panels<f16>),
    Bytes(Bytes),
}

/// The right side of products: columns, made ready for matrices of bytes where there are any.
pub(super) struct Input<'a> {
    floats: &'a [f32],
    stride: usize,
    count: usize,
    columns: Columns,
}

impl<'a> Input<'a> {
    /// `count` columns of as many floats as the rows of `matrix` have, `stride` apart.
    pub(super) fn new(matrix: &Matrix, floats: &'a [f32], count: usize, stride: usize) -> Self {
        let mut columns = Columns::default();
        if let Matrix::Bytes(bytes) = matrix
            && Bytes::multiplies_bytes(count)
        {
            columns.clear(bytes.inner());
            for column in 0..count {
                columns.push(&floats[column * stride..][..bytes.inner()]);
            }
        }
        Self { floats, stride, count, columns }
    }

    /// Columns of the exponentials of scores, each times `by` and over the highest of its row; and their sums.
    /// `scores` are rows for a matrix that was made of columns.
    pub(super) fn of_weights(matrix: &Matrix, scores: &'a mut [f32], by: f32) -> (Self, Vec<f32>) {
        let inner = matrix.inner();
        let (mut columns, count) = (Columns::default(), scores.len() / inner);
        let rows = scores.chunks_exact_mut(inner);
        let sums = if matches!(matrix, Matrix::Bytes(_)) && Bytes::multiplies_bytes(count) {
            columns.clear(inner);
            rows.map(|row| columns.push_weights(row, by)).collect()
        } else {
            rows.map(|row| exponentials(row, by)).collect()
        };
        (Self { floats: scores, stride: inner, count, columns }, sums)
    }
}

impl Matrix {
    /// The weights of a file, of a kind of ggml's: `rows` rows of `inner` values. `None` of a kind that is to be
    /// converted first.
    pub(crate) fn read(kind: u32, rows: usize, inner: usize, bytes: &[u8]) -> Option<Self> {
        if let Some(format) = Format::of(kind) {
            return inner.is_multiple_of(WIDTH).then(|| Self::Bytes(Bytes::read(format, rows, inner, bytes)));
        }
        if kind != 1 {
            return None;
        }
        let values = bytes.as_chunks::<2>().0;
        Some(Self::Halves(Panels::new(rows, inner, |row, i| f16::from_le_bytes(values[row * inner + i]))))
    }

    /// Of rows of `inner` floats that begin `stride` apart.
    pub(crate) fn of_rows(
        precision: Precision,
        floats: &[f32],
        rows: usize,
        inner: usize,
        stride: usize,
    ) -> Self {
        if precision == Precision::Bytes {
            return Self::Bytes(Bytes::of_rows(floats, rows, inner, stride));
        }
        Self::of(precision, rows, inner, |row, i| floats[row * stride + i])
    }

    /// The rows become columns: `inner` rows of `rows` floats, `stride` apart.
    pub(super) fn of_columns(
        precision: Precision,
        floats: &[f32],
        rows: usize,
        inner: usize,
        stride: usize,
    ) -> Self {
        if precision == Precision::Bytes {
            return Self::Bytes(Bytes::of_columns(floats, rows, inner, stride));
        }
        Self::of(precision, rows, inner, |row, i| floats[i * stride + row])
    }

    fn of(precision: Precision, rows: usize, inner: usize, value: impl Fn(usize, usize) -> f32) -> Self {
        match precision {
            Precision::Halves => Self::Halves(Panels::new(rows, inner, |row, i| f16::of(value(row, i)))),
            _ => Self::Floats(Panels::new(rows, inner, value)),
        }
    }

    pub(super) fn precision(&self) -> Precision {
        match self {
            Self::Floats(_) => Precision::Floats,
            Self::Halves(_) => Precision::Halves,
            Self::Bytes(_) => Precision::Bytes,
        }
    }

    pub(super) fn rows(&self) -> usize {
        match self {
            Self::Floats(panels) => panels.rows(),
            Self::Halves(panels) => panels.rows(),
            Self::Bytes(bytes) => bytes.rows(),
        }
    }

    fn inner(&self) -> usize {
        match self {
            Self::Floats(panels) => panels.inner(),
            Self::Halves(panels) => panels.inner(),
            Self::Bytes(bytes) => bytes.inner(),
        }
    }

    /// A row in floats.
    pub(super) fn row(&self, row: usize, out: &mut [f32]) {
        match self {
            Self::Floats(panels) => panels.row(row, out),
            Self::Halves(panels) => panels.row(row, out),
            Self::Bytes(bytes) => bytes.row(row, out),
        }
    }

    /// All products with all columns, on one core: each column of `out` has the products of all rows, and begins
    /// `stride` after the one before. To each the row's part of `bias` is added, which may be empty.
    pub(super) fn multiply(&self, bias: &[f32], input: &Input<'_>, out: &mut [f32], stride: usize) {
        let rows = self.rows();
        assert!(
            input.count == 0 || out.len() >= (input.count - 1) * stride + rows && stride >= rows,
            "room for the products"
        );
        // SAFETY: as just seen, and `out` is not shared.
        unsafe { self.multiply_rows((0, rows), bias, input, out.as_mut_ptr(), stride) };
    }

    /// The same on all cores of a team, columns without gaps.
    pub(super) fn multiply_with(&self, team: &Team<'_>, bias: &[f32], input: &Input<'_>, out: &mut [f32]) {
        let rows = self.rows();
        assert!(out.len() >= input.count * rows, "room for the products");
        let out = Parts(out.as_mut_ptr());
        team.share(rows.div_ceil(TASK), |_, task| {
            let part = (task * TASK, rows.min((task + 1) * TASK));
            // SAFETY: as just seen, and no other task has these rows.
            unsafe { self.multiply_rows(part, bias, input, out.at(0), rows) };
        });
    }

    /// # Safety
    /// `out` begins at the first row of the matrix and has room for rows from `first` to before `end` of each
    /// column, and nobody else has that part.
    unsafe fn multiply_rows(
        &self,
        part: (usize, usize),
        bias: &[f32],
        input: &Input<'_>,
        out: *mut f32,
        stride: usize,
    ) {
        let columns = (input.floats, input.count, input.stride);
        // SAFETY: by contract.
        unsafe {
            match self {
                Self::Floats(panels) => panels.multiply(part, bias, columns, out, stride),
                Self::Halves(panels) => panels.multiply(part, bias, columns, out, stride),
                Self::Bytes(bytes) if input.columns.count() == 0 => {
                    panels::multiply(bytes, (part, bytes.inner()), bias, columns, out, stride);
                }
                Self::Bytes(bytes) => bytes.multiply(part, bias, &input.columns, out, stride),
            }
        }
    }
}

/// `to[i] += by · from[i]`.
#[multiversion(targets("x86_64+avx512f+avx512vl+fma", "x86_64+avx2+fma", "aarch64+neon"))]
pub(super) fn add(to: &mut [f32], by: f32, from: &[f32]) {
    for (to, from) in to.iter_mut().zip(from) {
        *to = by.mul_add(*from, *to);
    }
}
