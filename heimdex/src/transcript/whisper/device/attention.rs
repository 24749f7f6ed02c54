//! Attention: two products with a softmax between them, a few queries at a time.
//!
//! As three operations, the scores of all queries go to memory and come back twice: 70 MB a layer of the
//! smallest models. So many queries at once as stay in the cache of a core save that.

use whisper_rs::whisper_rs_sys as sys;

use super::rows::of_softmax;
use super::tensors::{View, is_of_floats, product, share, to_floats};
use super::{products, rows};
use crate::math::softmax;

/// Queries that are scored at once: with 1,500 keys, their scores take 0.8 MB. With fewer, keys and values are
/// brought into the order for products too often.
const QUERIES: usize = 128;

/// Queries that a task takes: it converts keys and values once.
const TASK: usize = 4 * QUERIES;

/// Whether [`attend`] computes these operations, which come after each other.
///
/// # Safety
/// They are operations whose sources are tensors, or null.
pub(super) unsafe fn fits(
    scores: &sys::ggml_tensor,
    weights: &sys::ggml_tensor,
    sums: &sys::ggml_tensor,
) -> bool {
    // SAFETY: by contract.
    let each = unsafe {
        products::fits(scores)
            && weights.op == sys::ggml_op_GGML_OP_SOFT_MAX
            && rows::fits(weights)
            && products::fits(sums)
    };
    if !each {
        return false;
    }
    // SAFETY: `fits` has seen the sources.
    let (keys, queries, values) = unsafe { (&*scores.src[0], &*scores.src[1], &*sums.src[0]) };
    std::ptr::eq(weights.src[0], scores)
        && std::ptr::eq(sums.src[1], weights)
        // The weights take the place of the scores.
        && weights.data == scores.data
        && weights.nb == scores.nb
        && is_of_floats(queries)
        && keys.ne[2..] == queries.ne[2..]
        && values.ne[2..] == queries.ne[2..]
}

/// Computes them.
///
/// # Safety
/// [`fits`] says so, and the data of the operations and of their sources is in memory as they describe it.
pub(super) unsafe fn attend(
    scores: &sys::ggml_tensor,
    weights: &sys::ggml_tensor,
    sums: &sys::ggml_tensor,
    threads: usize,
) {
    // SAFETY: `fits` has seen the sources.
    let (keys, queries, values) = unsafe { (&*scores.src[0], &*scores.src[1], &*sums.src[0]) };
    let (scale, _) = of_softmax(weights);
    let [dim, count, heads, batches] = queries.ne.map(|n| n as usize);
    let (seen, wide) = (keys.ne[1] as usize, values.ne[1] as usize);
    let (keys, values) = (Factor::of(keys), Factor::of(values));
    let (queries, scores) = (View::of(queries), View::of(scores));
    // ggml may give the sums the memory of the queries or the keys, which it takes to be done with.
    let mut found = vec![0.0_f32; wide * count * heads * batches];
    let to = View::whole(&mut found, wide, count, heads);
    let parts = count.div_ceil(TASK);
    let scratch = || (Vec::new(), Vec::new());
    share(threads, parts * heads * batches, scratch, |(key_floats, value_floats), task| {
        let (part, head, batch) = (task % parts, task / parts % heads, task / parts / heads);
        // SAFETY: by contract all rows are there, and `found` has room for the sums. No other task has these
        // queries of this head.
        unsafe {
            let keys = keys.floats(key_floats, head, batch);
            let values = values.floats(value_floats, head, batch);
            let end = count.min((part + 1) * TASK);
            for first in (part * TASK..end).step_by(QUERIES) {
                let some = QUERIES.min(end - first);
                let query = queries.at(first, head, batch).cast::<f32>().cast_const();
                let score = scores.at(first, head, batch).cast::<f32>();
                product((some, seen, dim), (score, scores.floats()), (query, queries.floats()), keys);
                for row in first..first + some {
                    let row = scores.at(row, head, batch).cast::<f32>();
                    softmax(std::slice::from_raw_parts_mut(row, seen), scale);
                }
                let sum = to.at(first, head, batch).cast::<f32>();
                product((some, wide, seen), (sum, wide), (score, scores.floats()), values);
            }
        }
    });
    let sums = View::of(sums);
    for (row, values) in found.chunks_exact(wide).enumerate() {
        let (query, head, batch) = (row % count, row / count % heads, row / count / heads);
        // SAFETY: by contract the row is there; nothing else reads or writes it now.
        unsafe {
            std::ptr::copy_nonoverlapping(values.as_ptr(), sums.at(query, head, batch).cast(), wide);
        }
    }
}

/// The left side of a product, of any type.
struct Factor {
    view: View,
    kind: sys::ggml_type,
    inner: usize,
    rows: usize,
}

impl Factor {
    fn of(tensor: &sys::ggml_tensor) -> Self {
        let [inner, rows, ..] = tensor.ne.map(|n| n as usize);
        Self { view: View::of(tensor), kind: tensor.type_, inner, rows }
    }

    /// One matrix in floats, and the steps between its rows: in `scratch` where it is of another type.
    ///
    /// # Safety
    /// The matrix is there.
    unsafe fn floats(&self, scratch: &mut Vec<f32>, matrix: usize, batch: usize) -> (*const f32, usize) {
        let Some(convert) = to_floats(self.kind) else {
            // SAFETY: by contract.
            return (unsafe { self.view.at(0, matrix, batch) }.cast(), self.view.floats());
        };
        scratch.resize(self.rows * self.inner, 0.0);
        for (row, values) in scratch.chunks_exact_mut(self.inner).enumerate() {
            // SAFETY: by contract the row is there; `values` has room for it.
            unsafe { convert(self.view.at(row, matrix, batch), values.as_mut_ptr(), self.inner as i64) };
        }
        (scratch.as_ptr(), self.inner)
    }
}

#[cfg(test)]
mod tests {
    use super::super::products::tests::fill;
    use super::*;

    /// As whisper.cpp has it: keys and values in 16 bits, queries beside those of other heads.
    #[test]
    fn attention_is_that_of_its_formula() {
        const HEADS: usize = 3;
        const DIM: usize = 64;
        let (float, half) = (sys::ggml_type_GGML_TYPE_F32, sys::ggml_type_GGML_TYPE_F16);
        for (count, seen) in [(33, 70), (500, 96)] {
            for threads in [1, 2] {
                // SAFETY: tensors are made in a context that is large enough, and filled within their sizes.
                unsafe {
                    // The table that 16-bit floats at the end of a row are looked up in.
                    sys::ggml_cpu_init();
                    let memory = sys::ggml_init_params {
                        mem_size: 32 << 20,
                        mem_buffer: std::ptr::null_mut(),
                        no_alloc: false,
                    };
                    let context = sys::ggml_init(memory);
                    let tensor = |kind, a: usize, b: usize, c: usize| {
                        sys::ggml_new_tensor_3d(context, kind, a as i64, b as i64, c as i64)
                    };
                    let keys = tensor(half, DIM, seen, HEADS);
                    let values = tensor(half, seen, DIM, HEADS);
                    let queries = tensor(float, DIM, HEADS, count);
                    let [k, v, q] = [(keys, 1), (values, 2), (queries, 3)].map(|(t, seed)| fill(&*t, seed));
                    let scores =
                        sys::ggml_mul_mat(context, keys, sys::ggml_permute(context, queries, 0, 2, 1, 3));
                    let weights = sys::ggml_soft_max_ext(context, scores, std::ptr::null_mut(), 0.5, 0.0);
                    let sums = sys::ggml_mul_mat(context, values, weights);
                    assert!(!fits(&*scores, &*weights, &*sums), "the scores have a place of their own");
                    (*weights).data = (*scores).data;
                    assert!(fits(&*scores, &*weights, &*sums));
                    attend(&*scores, &*weights, &*sums, threads);

                    let found = std::slice::from_raw_parts((*sums).data.cast::<f32>(), DIM * count * HEADS);
                    for (at, found) in found.iter().enumerate().step_by(7) {
                        let (row, query, head) = (at % DIM, at / DIM % count, at / DIM / count);
                        let exps: Vec<f64> = (0..seen)
                            .map(|key| {
                                let terms = (0..DIM).map(|i| {
                                    let query = q[(query * HEADS + head) * DIM + i];
                                    f64::from(k[(head * seen + key) * DIM + i]) * f64::from(query)
                                });
                                (0.5 * terms.sum::<f64>()).exp()
                            })
                            .collect();
                        let values = &v[(head * DIM + row) * seen..][..seen];
                        let weighed = exps.iter().zip(values).map(|(w, v)| w * f64::from(*v));
                        let expected = weighed.sum::<f64>() / exps.iter().sum::<f64>();
                        assert!((expected - f64::from(*found)).abs() < 1e-5, "{found}, not {expected}");
                    }
                    sys::ggml_free(context);
                }
            }
        }
    }
}
