//! Softmax and activations: what is done to each row of a tensor by itself.

use whisper_rs::whisper_rs_sys as sys;

use super::products::SHORTEST;
use super::tensors::{View, is_of_floats, share};
use crate::math::{gelu_tanh, softmax};

/// Rows that a task takes.
const ROWS: usize = 64;

/// Whether [`compute`] does this: a softmax without a mask, or a GELU, of at least as many rows as make a
/// product that is worth while.
///
/// # Safety
/// The sources of `operation` are tensors, or null.
pub(super) unsafe fn fits(operation: &sys::ggml_tensor) -> bool {
    // SAFETY: by contract; the kind of activation is a parameter of the operation.
    let (source, known) = unsafe {
        let known = match operation.op {
            sys::ggml_op_GGML_OP_SOFT_MAX => {
                operation.src[1..].iter().all(|source| source.is_null()) && of_softmax(operation).1 == 0.0
            }
            sys::ggml_op_GGML_OP_UNARY => {
                sys::ggml_get_unary_op(operation) == sys::ggml_unary_op_GGML_UNARY_OP_GELU
            }
            _ => false,
        };
        (operation.src[0].as_ref(), known)
    };
    known
        && is_of_floats(operation)
        && operation.ne[1] >= SHORTEST
        && source.is_some_and(|source| is_of_floats(source) && source.ne == operation.ne)
}

/// What a softmax multiplies scores by, and how much it biases them by position.
pub(super) fn of_softmax(operation: &sys::ggml_tensor) -> (f32, f32) {
    let [scale, bias, ..] = operation.op_params.map(|bits| f32::from_bits(bits.cast_unsigned()));
    (scale, bias)
}

/// Does it.
///
/// # Safety
/// [`fits`] says so of `operation`, and the data of it and of its source is in memory as they describe it.
pub(super) unsafe fn compute(operation: &sys::ggml_tensor, threads: usize) {
    // SAFETY: `fits` has seen the source.
    let source = View::of(unsafe { &*operation.src[0] });
    let result = View::of(operation);
    let [inner, rows, matrices, batches] = operation.ne.map(|n| n as usize);
    let is_softmax = operation.op == sys::ggml_op_GGML_OP_SOFT_MAX;
    let (scale, _) = of_softmax(operation);
    let parts = rows.div_ceil(ROWS);
    share(
        threads,
        parts * matrices * batches,
        || (),
        |(), task| {
            let (part, matrix, batch) = (task % parts, task / parts % matrices, task / parts / matrices);
            for row in part * ROWS..rows.min((part + 1) * ROWS) {
                // SAFETY: by contract the rows are there. Those of source and result are the same or apart, and
                // no other task has this one.
                let row = unsafe {
                    let (from, to) =
                        (source.at(row, matrix, batch), result.at(row, matrix, batch).cast::<f32>());
                    if from != to.cast() {
                        std::ptr::copy_nonoverlapping(from.cast(), to, inner);
                    }
                    std::slice::from_raw_parts_mut(to, inner)
                };
                if is_softmax {
                    softmax(row, scale);
                } else {
                    gelu_tanh(row);
                }
            }
        },
    );
}

#[cfg(test)]
mod tests {
    use super::super::products::tests::fill;
    use super::*;

    #[test]
    fn rows_are_those_of_the_formulas() {
        // SAFETY: tensors are made in a context that is large enough, and filled within their sizes.
        unsafe {
            let memory = sys::ggml_init_params {
                mem_size: 8 << 20,
                mem_buffer: std::ptr::null_mut(),
                no_alloc: false,
            };
            let context = sys::ggml_init(memory);
            let source = sys::ggml_new_tensor_3d(context, sys::ggml_type_GGML_TYPE_F32, 50, 70, 3);
            let values = fill(&*source, 1);
            let softmax = sys::ggml_soft_max_ext(context, source, std::ptr::null_mut(), 3.0, 0.0);
            let gelu = sys::ggml_gelu(context, source);
            let found = |operation: *mut sys::ggml_tensor| {
                assert!(fits(&*operation));
                compute(&*operation, 2);
                std::slice::from_raw_parts((*operation).data.cast::<f32>(), values.len())
            };
            for (row, found) in values.chunks(50).zip(found(softmax).chunks(50)) {
                let sum: f64 = row.iter().map(|value| (3.0 * f64::from(*value)).exp()).sum();
                for (value, found) in row.iter().zip(found) {
                    let expected = (3.0 * f64::from(*value)).exp() / sum;
                    assert!((expected - f64::from(*found)).abs() < 1e-6, "{found}, not {expected}");
                }
            }
            for (value, found) in values.iter().zip(found(gelu)) {
                let x = f64::from(*value);
                let inner = (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044_715 * x.powi(3));
                let expected = 0.5 * x * (1.0 + inner.tanh());
                assert!((expected - f64::from(*found)).abs() < 1e-6, "{found}, not {expected}");
            }
            // One token's row, a mask, and another activation are left to ggml.
            let row = sys::ggml_new_tensor_2d(context, sys::ggml_type_GGML_TYPE_F32, 50, 1);
            let mask = sys::ggml_new_tensor_2d(context, sys::ggml_type_GGML_TYPE_F32, 50, 70);
            assert!(!fits(&*sys::ggml_soft_max(context, row)));
            assert!(!fits(&*sys::ggml_soft_max_ext(context, source, mask, 1.0, 0.0)));
            assert!(!fits(&*sys::ggml_relu(context, source)));
            sys::ggml_free(context);
        }
    }
}
