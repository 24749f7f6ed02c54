//! Products of matrices as ggml describes them, on all cores.
//!
//! The left matrix may be of any type of ggml's: it is read block by block, so that what is converted stays
//! in the cache of the core that multiplies it and memory does not grow with the model. Products are of
//! 32-bit floats; of 8-bit integers where [`eight_bits`](super::eight_bits) has them.

use whisper_rs::whisper_rs_sys as sys;

#[cfg(target_arch = "x86_64")]
use super::eight_bits::{Columns, Format, Kernel, Panels};
use super::tensors::{self, View, is_of_floats, share, to_floats};

/// Products with a shorter side, such as those of single tokens, are left to ggml.
pub(super) const SHORTEST: i64 = 32;

/// Rows of the left matrix that are converted and multiplied at once.
pub(super) const BLOCK: usize = 128;

/// Values of a right matrix that are converted, all at once: more than those of any convolution.
const MOST_CONVERTED: i64 = 1 << 23;

/// Whether [`multiply`] computes this operation.
///
/// # Safety
/// The sources of `product` are tensors, or null.
pub(super) unsafe fn fits(product: &sys::ggml_tensor) -> bool {
    // SAFETY: by contract.
    let (left, right) = unsafe { (product.src[0].as_ref(), product.src[1].as_ref()) };
    let (Some(left), Some(right)) = (left, right) else { return false };
    let beside = |t: &sys::ggml_tensor| {
        // SAFETY: a function of numbers.
        t.nb[0] == unsafe { sys::ggml_type_size(t.type_) } && to_floats(t.type_).is_some()
    };
    let converted = right.type_ == sys::ggml_type_GGML_TYPE_F16
        && beside(right)
        && right.ne.iter().product::<i64>() <= MOST_CONVERTED;
    let reads = (is_of_floats(left) || beside(left)) && (is_of_floats(right) || converted);
    let large = [left.ne[0], left.ne[1], right.ne[1]].iter().all(|length| *length >= SHORTEST);
    let repeats = (2..4).all(|i| left.ne[i] > 0 && right.ne[i] % left.ne[i] == 0);
    product.op == sys::ggml_op_GGML_OP_MUL_MAT && large && repeats && reads && is_of_floats(product)
}

/// The lengths of a product: of its sums, its rows, columns, matrices and batches.
#[derive(Clone, Copy)]
struct Shape {
    inner: usize,
    rows: usize,
    columns: usize,
    matrices: usize,
    batches: usize,
    /// How often each left matrix and batch is used.
    repeat: [usize; 2],
}

impl Shape {
    fn of(left: &sys::ggml_tensor, right: &sys::ggml_tensor) -> Self {
        let [inner, rows, ..] = left.ne.map(|n| n as usize);
        let [_, columns, matrices, batches] = right.ne.map(|n| n as usize);
        let repeat = [2, 3].map(|i| (right.ne[i] / left.ne[i]) as usize);
        Self { inner, rows, columns, matrices, batches, repeat }
    }

    /// Blocks of rows, of all matrices.
    fn blocks(&self) -> usize {
        self.rows.div_ceil(BLOCK) * self.matrices * self.batches
    }

    fn block(&self, number: usize) -> Block {
        let blocks = self.rows.div_ceil(BLOCK);
        let first = number % blocks * BLOCK;
        let (matrix, batch) = (number / blocks % self.matrices, number / blocks / self.matrices);
        let left = [matrix / self.repeat[0], batch / self.repeat[1]];
        Block { first, count: BLOCK.min(self.rows - first), matrix, batch, left }
    }
}

/// Some rows of a matrix.
struct Block {
    first: usize,
    count: usize,
    matrix: usize,
    batch: usize,
    /// Matrix and batch of the left side.
    left: [usize; 2],
}

/// Computes `product[j][i] = Σ left[i][k] · right[j][k]` for each of its matrices; the left ones are repeated
/// to be as many as the right ones.
///
/// # Safety
/// [`fits`] says so of `product`, and the data of it and of its sources is in memory as they describe it.
pub(super) unsafe fn multiply(product: &sys::ggml_tensor, threads: usize) {
    // SAFETY: `fits` has seen both.
    let (left, right) = unsafe { (&*product.src[0], &*product.src[1]) };
    let shape = Shape::of(left, right);
    #[cfg(target_arch = "x86_64")]
    if is_of_floats(right)
        && let (Some(kernel), Some(format)) = (Kernel::of_this_machine(), Format::of(left.type_))
    {
        let (left, right, product) = (View::of(left), View::of(right), View::of(product));
        // SAFETY: by contract.
        unsafe { integers((kernel, format), shape, &left, &right, &product, threads) };
        return;
    }
    // SAFETY: by contract.
    unsafe { floats(shape, left, right, &View::of(product), threads) };
}

/// By 8-bit integers: `left` is of that format, `right` of floats.
///
/// # Safety
/// The data is in memory as the shape and the views describe it.
#[cfg(target_arch = "x86_64")]
unsafe fn integers(
    (kernel, format): (Kernel, Format),
    shape: Shape,
    left: &View,
    right: &View,
    product: &View,
    threads: usize,
) {
    let Shape { inner, columns, matrices, batches, .. } = shape;
    let all: Vec<Columns> = (0..matrices * batches)
        .map(|number| {
            let (matrix, batch) = (number % matrices, number / matrices);
            // SAFETY: by contract each column is there.
            Columns::quantize(kernel, columns, inner, threads, |column| unsafe {
                right.row(column, matrix, batch, inner)
            })
        })
        .collect();
    let scratch = || Panels::new(inner);
    share(threads, shape.blocks(), scratch, |panels, number| {
        let Block { first, count, matrix, batch, left: [of_left, batch_of_left] } = shape.block(number);
        // SAFETY: by contract each row is there, and the block of the result; no other task writes to it.
        unsafe {
            panels.fill(kernel, format, count, |row| left.at(first + row, of_left, batch_of_left).cast());
            let to = product.at(0, matrix, batch).cast::<f32>().add(first);
            panels.multiply(kernel, &all[matrix + batch * matrices], to, product.floats());
        }
    });
}

/// By 32-bit floats.
///
/// # Safety
/// The data is in memory as the tensors describe it.
unsafe fn floats(
    shape: Shape,
    left: &sys::ggml_tensor,
    right: &sys::ggml_tensor,
    product: &View,
    threads: usize,
) {
    let Shape { inner, rows, columns, matrices, batches, .. } = shape;
    let (convert_left, convert_right) = (to_floats(left.type_), to_floats(right.type_));
    let (left, mut right) = (View::of(left), View::of(right));
    let mut converted;
    if let Some(convert) = convert_right {
        converted = vec![0.0_f32; inner * columns * matrices * batches];
        for (row, values) in converted.chunks_exact_mut(inner).enumerate() {
            let (column, matrix, batch) = (row % columns, row / columns % matrices, row / columns / matrices);
            // SAFETY: by contract each row is there; `values` has room for one.
            unsafe { convert(right.at(column, matrix, batch), values.as_mut_ptr(), inner as i64) };
        }
        right = View::whole(&mut converted, inner, columns, matrices);
    }
    let scratch = || vec![0.0_f32; if convert_left.is_some() { BLOCK.min(rows) * inner } else { 0 }];
    share(threads, shape.blocks(), scratch, |converted, number| {
        let Block { first, count, matrix, batch, left: [of_left, batch_of_left] } = shape.block(number);
        // SAFETY: by contract the strides stay inside the data that each tensor describes, and no two tasks
        // write to the same rows of the same matrix.
        unsafe {
            let (block, step) = match convert_left {
                Some(convert) => {
                    for (row, values) in converted.chunks_exact_mut(inner).take(count).enumerate() {
                        let from = left.at(first + row, of_left, batch_of_left);
                        convert(from, values.as_mut_ptr(), inner as i64);
                    }
                    (converted.as_ptr(), inner)
                }
                None => (left.at(first, of_left, batch_of_left).cast::<f32>().cast_const(), left.floats()),
            };
            let to = product.at(0, matrix, batch).cast::<f32>().add(first);
            let column = right.at(0, matrix, batch).cast::<f32>().cast_const();
            tensors::product(
                (columns, count, inner),
                (to, product.floats()),
                (column, right.floats()),
                (block, step),
            );
        }
    });
}

#[cfg(test)]
pub(super) mod tests {
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
            sys::ggml_type_GGML_TYPE_Q4_0,
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
            let mut right_values = fill(&*right, 2);
            if right_kind != Right::Halves {
                as_multiplied(kind, &mut right_values);
            }
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

    /// The values of the right side as they are multiplied with weights of few bits, where the machine has the
    /// instructions: in blocks of 32 with a scale.
    fn as_multiplied(kind: sys::ggml_type, values: &mut [f32]) {
        #[cfg(target_arch = "x86_64")]
        if Kernel::of_this_machine().is_some() && Format::of(kind).is_some() {
            for block in values.chunks_exact_mut(32) {
                let largest = block.iter().fold(0.0_f32, |most, value| most.max(value.abs()));
                for value in block {
                    *value = (*value * (127.0 / largest)).round_ties_even() * (largest / 127.0);
                }
            }
        }
    }

    /// Fills a tensor with values between -1 and 1, and gives them as its type keeps them.
    ///
    /// # Safety
    /// Its data is there and lies in one piece.
    pub(in super::super) unsafe fn fill(tensor: &sys::ggml_tensor, mut seed: u32) -> Vec<f32> {
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
