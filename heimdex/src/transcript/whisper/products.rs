//! Products of matrices as ggml describes them, in 32-bit floats on all cores.
//!
//! The left matrix may be of any type of ggml's: it is read block by block, so that what is converted stays
//! in the cache of the core that multiplies it and memory does not grow with the model.

use std::ffi::c_void;
use std::sync::atomic::{AtomicUsize, Ordering};

use gemm::{Parallelism, gemm};
use rayon::prelude::*;
use whisper_rs::whisper_rs_sys as sys;

/// Products with a shorter side, such as those of single tokens, are left to ggml.
const SHORTEST: i64 = 32;

/// Rows of the left matrix that are converted and multiplied at once.
const BLOCK: usize = 128;

/// Values of a right matrix that are converted, all at once: more than those of any convolution.
const MOST_CONVERTED: i64 = 1 << 23;

const FLOAT: usize = size_of::<f32>();

/// Whether [`multiply`] computes this operation.
///
/// # Safety
/// The sources of `product` are tensors, or null.
pub(super) unsafe fn fits(product: &sys::ggml_tensor) -> bool {
    // SAFETY: by contract.
    let (left, right) = unsafe { (product.src[0].as_ref(), product.src[1].as_ref()) };
    let (Some(left), Some(right)) = (left, right) else { return false };
    // Whether elements lie beside each other, and rows at a distance of whole ones.
    let floats = |t: &sys::ggml_tensor| {
        t.type_ == sys::ggml_type_GGML_TYPE_F32
            && t.nb[0] == FLOAT
            && t.nb.iter().all(|step| step % FLOAT == 0)
    };
    let beside = |t: &sys::ggml_tensor| {
        // SAFETY: a function of numbers.
        t.nb[0] == unsafe { sys::ggml_type_size(t.type_) } && to_floats(t.type_).is_some()
    };
    let converted = right.type_ == sys::ggml_type_GGML_TYPE_F16
        && beside(right)
        && right.ne.iter().product::<i64>() <= MOST_CONVERTED;
    let reads = (floats(left) || beside(left)) && (floats(right) || converted);
    let large = [left.ne[0], left.ne[1], right.ne[1]].iter().all(|length| *length >= SHORTEST);
    let repeats = (2..4).all(|i| left.ne[i] > 0 && right.ne[i] % left.ne[i] == 0);
    product.op == sys::ggml_op_GGML_OP_MUL_MAT && large && repeats && reads && floats(product)
}

/// Computes `product[j][i] = Σ left[i][k] · right[j][k]` for each of its matrices; the left ones are repeated
/// to be as many as the right ones.
///
/// # Safety
/// [`fits`] says so of `product`, and the data of it and of its sources is in memory as they describe it.
pub(super) unsafe fn multiply(product: &sys::ggml_tensor, threads: usize) {
    // SAFETY: `fits` has seen both.
    let (left, right) = unsafe { (&*product.src[0], &*product.src[1]) };
    let [inner, rows, ..] = left.ne.map(|n| n as usize);
    let [_, columns, matrices, batches] = right.ne.map(|n| n as usize);
    let repeat = [2, 3].map(|i| (right.ne[i] / left.ne[i]) as usize);
    let blocks = rows.div_ceil(BLOCK);
    let (convert_left, convert_right) = (to_floats(left.type_), to_floats(right.type_));
    let (left, product, mut right) = (View::of(left), View::of(product), View::of(right));
    let mut right_converted = Vec::new();
    if let Some(convert) = convert_right {
        right_converted.resize(inner * columns * matrices * batches, 0.0_f32);
        for (row, values) in right_converted.chunks_exact_mut(inner).enumerate() {
            let (column, matrix, batch) = (row % columns, row / columns % matrices, row / columns / matrices);
            // SAFETY: by contract each row is there; `values` has room for one.
            unsafe { convert(right.at(column, matrix, batch), values.as_mut_ptr(), inner as i64) };
        }
        let steps = [inner, inner * columns, inner * columns * matrices].map(|step| step * FLOAT);
        right = View { data: right_converted.as_mut_ptr().cast(), steps };
    }
    let next = AtomicUsize::new(0);
    let work = || {
        let (left, right, product) = (&left, &right, &product);
        let mut converted = vec![0.0_f32; if convert_left.is_some() { BLOCK.min(rows) * inner } else { 0 }];
        loop {
            let task = next.fetch_add(1, Ordering::Relaxed);
            if task >= blocks * matrices * batches {
                break;
            }
            let (first, matrix, batch) =
                (task % blocks * BLOCK, task / blocks % matrices, task / blocks / matrices);
            let count = BLOCK.min(rows - first);
            let (of_left, batch_of_left) = (matrix / repeat[0], batch / repeat[1]);
            // SAFETY: by contract the strides stay inside the data that each tensor describes, and no two
            // tasks write to the same rows of the same matrix.
            unsafe {
                let (block, step) = match convert_left {
                    Some(convert) => {
                        for (row, values) in converted.chunks_exact_mut(inner).take(count).enumerate() {
                            let from = left.at(first + row, of_left, batch_of_left);
                            convert(from, values.as_mut_ptr(), inner as i64);
                        }
                        (converted.as_ptr(), inner)
                    }
                    None => {
                        (left.at(first, of_left, batch_of_left).cast::<f32>().cast_const(), left.floats())
                    }
                };
                gemm(
                    columns,
                    count,
                    inner,
                    product.at(0, matrix, batch).cast::<f32>().add(first),
                    1,
                    product.floats() as isize,
                    false,
                    right.at(0, matrix, batch).cast::<f32>(),
                    1,
                    right.floats() as isize,
                    block,
                    step as isize,
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
    };
    if threads > 1 {
        (0..threads).into_par_iter().with_max_len(1).for_each(|_| work());
    } else {
        work();
    }
}

/// Where matrices lie.
struct View {
    data: *mut c_void,
    /// Bytes to the next row, matrix and batch.
    steps: [usize; 3],
}

// SAFETY: `multiply` only reads what is behind the factors, and each of its tasks writes to its own part of
// the product.
unsafe impl Sync for View {}

impl View {
    fn of(tensor: &sys::ggml_tensor) -> Self {
        let [_, row, matrix, batch] = tensor.nb;
        Self { data: tensor.data, steps: [row, matrix, batch] }
    }

    /// The beginning of a row.
    ///
    /// # Safety
    /// It is there.
    unsafe fn at(&self, row: usize, matrix: usize, batch: usize) -> *mut c_void {
        // SAFETY: by contract.
        unsafe { self.data.byte_add(row * self.steps[0] + matrix * self.steps[1] + batch * self.steps[2]) }
    }

    /// Floats to the next row.
    fn floats(&self) -> usize {
        self.steps[0] / FLOAT
    }
}

type ToFloats = unsafe extern "C" fn(*const c_void, *mut f32, i64);

/// Makes floats of a row of a type; `None` where it is of floats, or nothing can.
fn to_floats(kind: sys::ggml_type) -> Option<ToFloats> {
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Every type of weights and every layout that whisper.cpp multiplies, against the sum itself.
    #[test]
    fn products_are_those_of_the_sum() {
        let kinds = [
            sys::ggml_type_GGML_TYPE_F32,
            sys::ggml_type_GGML_TYPE_F16,
            sys::ggml_type_GGML_TYPE_Q8_0,
            sys::ggml_type_GGML_TYPE_Q5_1,
            sys::ggml_type_GGML_TYPE_Q5_0,
        ];
        // Rows of the left, columns, length of the sums, matrices of either.
        let shapes = [(32, 32, 32, 1, 1), (200, 61, 96, 1, 1), (130, 150, 64, 2, 4), (64, 150, 160, 3, 3)];
        for kind in kinds {
            for shape in shapes {
                for right in [Right::Floats, Right::Heads, Right::Halves] {
                    for threads in [1, 3] {
                        one(kind, shape, right, threads);
                    }
                }
            }
        }
    }

    #[derive(Debug, Clone, Copy, PartialEq)]
    enum Right {
        Floats,
        /// As the heads of attention lie: columns beside each other, each with all of its matrices.
        Heads,
        /// As the weights of a convolution are.
        Halves,
    }

    fn one(
        kind: sys::ggml_type,
        (rows, columns, inner, lefts, rights): (i64, i64, i64, i64, i64),
        right_kind: Right,
        threads: usize,
    ) {
        let float = sys::ggml_type_GGML_TYPE_F32;
        // SAFETY: tensors are made in a context that is large enough, and filled within their sizes.
        unsafe {
            let memory = sys::ggml_init_params {
                mem_size: 64 << 20,
                mem_buffer: std::ptr::null_mut(),
                no_alloc: false,
            };
            let context = sys::ggml_init(memory);
            let left = sys::ggml_new_tensor_4d(context, kind, inner, rows, lefts, 1);
            let left_values = fill(&*left, 1);
            let right = match right_kind {
                Right::Floats => sys::ggml_new_tensor_4d(context, float, inner, columns, rights, 1),
                Right::Heads => sys::ggml_new_tensor_4d(context, float, inner, rights, columns, 1),
                Right::Halves => {
                    let half = sys::ggml_type_GGML_TYPE_F16;
                    sys::ggml_new_tensor_4d(context, half, inner, columns, rights, 1)
                }
            };
            let right_values = fill(&*right, 2);
            let heads = right_kind == Right::Heads;
            let right = if heads { sys::ggml_permute(context, right, 0, 2, 1, 3) } else { right };
            let product = sys::ggml_mul_mat(context, left, right);
            assert!(fits(&*product));
            multiply(&*product, threads);

            let [rows, columns, inner, lefts, rights] =
                [rows, columns, inner, lefts, rights].map(|n| n as usize);
            let found = std::slice::from_raw_parts((*product).data.cast::<f32>(), rows * columns * rights);
            for (at, found) in found.iter().enumerate() {
                let (row, column, matrix) = (at % rows, at / rows % columns, at / rows / columns);
                let l = (matrix / (rights / lefts) * rows + row) * inner;
                let r = if heads { column * rights + matrix } else { matrix * columns + column };
                let terms = (0..inner)
                    .map(|k| f64::from(left_values[l + k]) * f64::from(right_values[r * inner + k]));
                let expected = terms.sum::<f64>();
                let off = (expected - f64::from(*found)).abs();
                assert!(
                    off < 2e-5,
                    "{kind} {right_kind:?} {rows} {columns} {inner}: {found}, not {expected}"
                );
            }
            sys::ggml_free(context);
        }
    }

    /// Fills a tensor with values between -1 and 1, and gives them as its type keeps them.
    ///
    /// # Safety
    /// Its data is there and lies in one piece.
    unsafe fn fill(tensor: &sys::ggml_tensor, mut seed: u32) -> Vec<f32> {
        let mut next = || {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (seed >> 8) as f32 / (1 << 23) as f32 - 1.0
        };
        let count = tensor.ne.iter().product::<i64>();
        let mut values: Vec<f32> = (0..count).map(|_| next()).collect();
        // SAFETY: by contract; there is a value for each element.
        unsafe {
            match to_floats(tensor.type_) {
                Some(convert) => {
                    let (width, none) = (tensor.ne[0], std::ptr::null());
                    let from = values.as_ptr();
                    sys::ggml_quantize_chunk(tensor.type_, from, tensor.data, 0, count / width, width, none);
                    convert(tensor.data, values.as_mut_ptr(), count);
                }
                None => std::ptr::copy_nonoverlapping(values.as_ptr(), tensor.data.cast(), values.len()),
            }
        }
        values
    }

    #[test]
    fn what_is_small_or_lies_otherwise_is_left_to_ggml() {
        // SAFETY: as above; nothing is computed.
        unsafe {
            let memory =
                sys::ggml_init_params { mem_size: 1 << 20, mem_buffer: std::ptr::null_mut(), no_alloc: true };
            let context = sys::ggml_init(memory);
            let float = sys::ggml_type_GGML_TYPE_F32;
            let tensor = |kind, a, b| sys::ggml_new_tensor_4d(context, kind, a, b, 1, 1);
            let token = sys::ggml_mul_mat(context, tensor(float, 64, 512), tensor(float, 64, 5));
            assert!(!fits(&*token), "few columns");
            let half = sys::ggml_type_GGML_TYPE_F16;
            let long = sys::ggml_mul_mat(context, tensor(half, 1024, 64), tensor(half, 1024, 8193));
            assert!(!fits(&*long), "too much to convert");
            assert!(!fits(&*tensor(float, 64, 64)), "no product");
            sys::ggml_free(context);
        }
    }
}
