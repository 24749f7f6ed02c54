//! Where the values of ggml's tensors lie, and how work on them is shared.

use std::ffi::c_void;
use std::sync::atomic::{AtomicUsize, Ordering};

use gemm::{Parallelism, gemm};
use rayon::prelude::*;
use whisper_rs::whisper_rs_sys as sys;

const FLOAT: usize = size_of::<f32>();

/// Whether a tensor is of floats that lie beside each other, and its rows at a distance of whole ones.
pub(super) fn is_of_floats(tensor: &sys::ggml_tensor) -> bool {
    tensor.type_ == sys::ggml_type_GGML_TYPE_F32
        && tensor.nb[0] == FLOAT
        && tensor.nb.iter().all(|step| step % FLOAT == 0)
}

/// The matrices of a tensor.
pub(super) struct View {
    data: *mut c_void,
    /// Bytes to the next row, matrix and batch.
    steps: [usize; 3],
}

// SAFETY: operations only read what is behind their factors, and each of their tasks writes to its own part of
// the result.
unsafe impl Sync for View {}

impl View {
    pub(super) fn of(tensor: &sys::ggml_tensor) -> Self {
        let [_, row, matrix, batch] = tensor.nb;
        Self { data: tensor.data, steps: [row, matrix, batch] }
    }

    /// Rows of `inner` floats, without gaps, in matrices of `rows` and batches of `matrices`.
    pub(super) fn whole(floats: &mut [f32], inner: usize, rows: usize, matrices: usize) -> Self {
        let steps = [inner, inner * rows, inner * rows * matrices].map(|step| step * FLOAT);
        Self { data: floats.as_mut_ptr().cast(), steps }
    }

    /// The beginning of a row.
    ///
    /// # Safety
    /// It is there.
    pub(super) unsafe fn at(&self, row: usize, matrix: usize, batch: usize) -> *mut c_void {
        // SAFETY: by contract.
        unsafe { self.data.byte_add(row * self.steps[0] + matrix * self.steps[1] + batch * self.steps[2]) }
    }

    /// A row of floats.
    ///
    /// # Safety
    /// It is there, is of as many floats, and nobody writes to it.
    pub(super) unsafe fn row(&self, row: usize, matrix: usize, batch: usize, inner: usize) -> &[f32] {
        // SAFETY: by contract.
        unsafe { std::slice::from_raw_parts(self.at(row, matrix, batch).cast(), inner) }
    }

    /// Floats to the next row.
    pub(super) fn floats(&self) -> usize {
        self.steps[0] / FLOAT
    }
}

type ToFloats = unsafe extern "C" fn(*const c_void, *mut f32, i64);

/// Makes floats of a row of a type; `None` where it is of floats, or nothing can.
pub(super) fn to_floats(kind: sys::ggml_type) -> Option<ToFloats> {
    if kind == sys::ggml_type_GGML_TYPE_F16 {
        // That of the processor, which has an instruction for it.
        return Some(halves);
    }
    // SAFETY: there are traits of every type that a tensor can have.
    unsafe { sys::ggml_get_type_traits(kind).as_ref() }.and_then(|traits| traits.to_float)
}

unsafe extern "C" fn halves(from: *const c_void, to: *mut f32, count: i64) {
    // SAFETY: by the contract of `ToFloats`.
    unsafe { sys::ggml_cpu_fp16_to_fp32(from.cast(), to, count) };
}

/// `to[j][i] = Σ left[i][k] · right[j][k]` of `(columns, rows, inner)`, each
/// with the floats to its next row. On one core.
///
/// # Safety
/// All of it is there, and nobody else has `to`.
pub(super) unsafe fn product(
    (columns, rows, inner): (usize, usize, usize),
    to: (*mut f32, usize),
    right: (*const f32, usize),
    left: (*const f32, usize),
) {
    // SAFETY: by contract.
    unsafe {
        gemm(
            columns,
            rows,
            inner,
            to.0,
            1,
            to.1 as isize,
            false,
            right.0,
            1,
            right.1 as isize,
            left.0,
            left.1 as isize,
            1,
            0.0,
            1.0,
            false,
            false,
            false,
            Parallelism::None,
        );
    }
}

/// Gives tasks to threads, each with scratch memory of its own.
pub(super) fn share<T>(
    threads: usize,
    tasks: usize,
    scratch: impl Fn() -> T + Sync,
    work: impl Fn(&mut T, usize) + Sync,
) {
    let next = AtomicUsize::new(0);
    let run = || {
        let mut scratch = scratch();
        loop {
            let task = next.fetch_add(1, Ordering::Relaxed);
            if task >= tasks {
                break;
            }
            work(&mut scratch, task);
        }
    };
    let threads = threads.min(tasks);
    if threads > 1 {
        (0..threads).into_par_iter().with_max_len(1).for_each(|_| run());
    } else {
        run();
    }
}
