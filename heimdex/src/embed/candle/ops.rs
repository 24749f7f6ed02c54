//! The operations that transformers spend their time in.
//!
//! They run fused and on all cores, with scratch memory that does not grow with the batch, and give the
//! numbers of candle's own operations but for rounding.

use candle_core::{CpuStorage, CustomOp2, CustomOp3, DType, Layout, Result, Shape, Storage, Tensor, bail};
use gemm::{Parallelism, gemm};
use rayon::prelude::*;

use super::math::Activation;
use crate::math::{normalize, softmax};

/// Rows of queries that are scored at once.
const QUERIES: usize = 128;

/// Values that a task of element-wise work takes.
const CHUNK: usize = 16 * 1024;

/// `y = f(x Wᵀ + b)`.
#[derive(Debug, Clone)]
pub(super) struct Linear {
    /// `(in, out)`: a product of few rows spends its time on bringing the weights into the order that the
    /// cores want, and from here that is twice as fast.
    weight: Tensor,
    /// `(out)`.
    bias: Tensor,
}

/// Rows of a transposed matrix that are written together: a cache line of reads.
const LINE: usize = 16;

impl Linear {
    /// From weights `(out, in)`, as checkpoints store them, and a bias `(out)`.
    pub(super) fn new(weight: &Tensor, bias: Tensor) -> Result<Self> {
        let (columns, inner) = weight.dims2()?;
        if bias.dims() != [columns] {
            bail!("linear: {:?} with a bias of {:?}", weight.shape(), bias.shape());
        }
        let (storage, layout) = weight.storage_and_layout();
        let Storage::Cpu(storage) = &*storage else { bail!("linear: weights of another device") };
        let stored = slice(storage, layout)?;
        let mut turned = vec![0.0_f32; stored.len()];
        turned.par_chunks_mut((LINE * columns).max(1)).enumerate().for_each(|(part, rows)| {
            for column in 0..columns {
                let line = &stored[column * inner + part * LINE..];
                for (row, value) in rows.chunks_exact_mut(columns).zip(line) {
                    row[column] = *value;
                }
            }
        });
        Ok(Self { weight: Tensor::from_vec(turned, (inner, columns), weight.device())?, bias })
    }

    /// Values that come out.
    pub(super) fn out(&self) -> usize {
        self.weight.dims()[1]
    }

    /// `x` is `(…, in)`, the result `(…, out)`.
    pub(super) fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.activated(x, None)
    }

    /// As [`forward`](Self::forward), then an activation.
    pub(super) fn activated(&self, x: &Tensor, activation: Option<Activation>) -> Result<Tensor> {
        x.contiguous()?.apply_op3_no_bwd(&self.weight, &self.bias, &Affine { activation })
    }
}

struct Affine {
    activation: Option<Activation>,
}

impl CustomOp3 for Affine {
    fn name(&self) -> &'static str {
        "affine"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        weight: &CpuStorage,
        weight_layout: &Layout,
        bias: &CpuStorage,
        bias_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (inner, columns) = weight_layout.shape().dims2()?;
        let x_dims = x_layout.shape().dims();
        if x_dims.last() != Some(&inner) || bias_layout.shape().dims() != [columns] {
            bail!("affine: {x_dims:?} times {:?}", weight_layout.shape());
        }
        let (x, weight, bias) =
            (slice(x, x_layout)?, slice(weight, weight_layout)?, slice(bias, bias_layout)?);
        let rows = x.len() / inner.max(1);
        let mut y = vec![0.0_f32; rows * columns];
        let step = (CHUNK / columns).max(1) * columns;
        each_part(&mut y, step, |part| {
            for row in part.chunks_exact_mut(columns) {
                row.copy_from_slice(bias);
            }
        });
        let product = Product { rows, inner, columns };
        multiply(
            &product,
            &mut y,
            columns,
            (x, inner, 1),
            (weight, columns, 1),
            1.0,
            true,
            parallel(&product),
        );
        if let Some(activation) = self.activation {
            each_part(&mut y, CHUNK, |part| activation.apply(part));
        }
        let mut dims = x_dims.to_vec();
        if let Some(last) = dims.last_mut() {
            *last = columns;
        }
        Ok((CpuStorage::F32(y), Shape::from(dims)))
    }
}

/// Each row of `x`, `(…, n)`, less its mean and divided by its deviation, then by `weight` and `bias`, `(n)`.
pub(super) fn layer_norm(x: &Tensor, weight: &Tensor, bias: &Tensor, epsilon: f32) -> Result<Tensor> {
    x.contiguous()?.apply_op3_no_bwd(weight, bias, &LayerNormed { epsilon })
}

struct LayerNormed {
    epsilon: f32,
}

impl CustomOp3 for LayerNormed {
    fn name(&self) -> &'static str {
        "layer-norm"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        weight: &CpuStorage,
        weight_layout: &Layout,
        bias: &CpuStorage,
        bias_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let n = weight_layout.shape().elem_count();
        if x_layout.shape().dims().last() != Some(&n) || bias_layout.shape().dims() != [n] {
            bail!("layer norm: {:?} by {:?}", x_layout.shape(), weight_layout.shape());
        }
        let mut y = slice(x, x_layout)?.to_vec();
        let (weight, bias) = (slice(weight, weight_layout)?, slice(bias, bias_layout)?);
        let n = n.max(1);
        each_part(&mut y, (CHUNK / n).max(1) * n, |part| {
            for row in part.chunks_exact_mut(n) {
                normalize(row, weight, bias, self.epsilon);
            }
        });
        Ok((CpuStorage::F32(y), x_layout.shape().clone()))
    }
}

/// Which keys a query may look at.
#[derive(Debug, Clone, Copy)]
pub(super) enum Keys<'a> {
    /// All of them.
    All,
    /// Of each sequence of the batch, the first so many.
    First(&'a [usize]),
    /// Those at or before the query.
    Past,
}

/// Softmax attention over heads. `query` is `(b, q, hidden)`, or `(1, q, hidden)` for the same
/// queries of the whole batch; `keys_values` is `(b, n, 2 hidden)`, keys first. Gives `(b, q, hidden)`.
pub(super) fn attention(
    query: &Tensor,
    keys_values: &Tensor,
    heads: usize,
    keys: Keys<'_>,
) -> Result<Tensor> {
    let (batch, _, double) = keys_values.dims3()?;
    let (queries_batch, _, hidden) = query.dims3()?;
    if hidden * 2 != double || hidden % heads != 0 || (queries_batch != batch && queries_batch != 1) {
        bail!("attention: {:?} over {:?} in {heads} heads", query.shape(), keys_values.shape());
    }
    let lengths = match keys {
        Keys::First(lengths) => Some(lengths.to_vec()),
        _ => None,
    };
    let op = Attention { heads, lengths, past: matches!(keys, Keys::Past) };
    query.contiguous()?.apply_op2_no_bwd(&keys_values.contiguous()?, &op)
}

struct Attention {
    heads: usize,
    lengths: Option<Vec<usize>>,
    past: bool,
}

impl CustomOp2 for Attention {
    fn name(&self) -> &'static str {
        "attention"
    }

    fn cpu_fwd(
        &self,
        query: &CpuStorage,
        query_layout: &Layout,
        keys_values: &CpuStorage,
        keys_values_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (queries_batch, queries, hidden) = query_layout.shape().dims3()?;
        let (batch, n, _) = keys_values_layout.shape().dims3()?;
        let (query, keys_values) = (slice(query, query_layout)?, slice(keys_values, keys_values_layout)?);
        if self.lengths.as_ref().is_some_and(|l| l.len() != batch || l.iter().any(|l| *l == 0 || *l > n)) {
            bail!("attention: lengths do not fit {batch} sequences of {n}");
        }
        let dim = hidden / self.heads;
        let scale = (dim as f32).powf(-0.5);
        let mut out = vec![0.0_f32; batch * queries * hidden];
        // A task takes some rows of queries through all heads: it owns its rows of the result.
        let scratch = || vec![0.0_f32; QUERIES.min(queries) * n];
        let attend = |scores: &mut Vec<f32>, (b, first, rows): (usize, usize, &mut [f32])| {
            let count = rows.len() / hidden;
            let sequence = &keys_values[b * n * 2 * hidden..][..n * 2 * hidden];
            let query = &query[(b % queries_batch * queries + first) * hidden..];
            let visible = self.lengths.as_ref().map_or(n, |lengths| lengths[b]);
            let visible = if self.past { visible.min(first + count) } else { visible };
            for head in 0..self.heads {
                let product = Product { rows: count, inner: dim, columns: visible };
                let q = &query[head * dim..];
                let k = &sequence[head * dim..];
                multiply(
                    &product,
                    scores,
                    visible,
                    (q, hidden, 1),
                    (k, 1, 2 * hidden),
                    scale,
                    false,
                    Parallelism::None,
                );
                for (i, row) in scores.chunks_exact_mut(visible).take(count).enumerate() {
                    if self.past {
                        row[(first + i + 1).min(visible)..].fill(f32::NEG_INFINITY);
                    }
                    softmax(row, 1.0);
                }
                let product = Product { rows: count, inner: visible, columns: dim };
                let v = &sequence[hidden + head * dim..];
                multiply(
                    &product,
                    &mut rows[head * dim..],
                    hidden,
                    (scores, visible, 1),
                    (v, 2 * hidden, 1),
                    1.0,
                    false,
                    Parallelism::None,
                );
            }
        };
        if small(batch * queries * n * hidden) {
            let mut scores = scratch();
            for (b, rows) in out.chunks_mut((queries * hidden).max(1)).enumerate() {
                for (part, rows) in rows.chunks_mut(QUERIES * hidden).enumerate() {
                    attend(&mut scores, (b, part * QUERIES, rows));
                }
            }
        } else {
            let tasks = out.par_chunks_mut(queries * hidden).enumerate().flat_map(|(b, rows)| {
                rows.par_chunks_mut(QUERIES * hidden)
                    .enumerate()
                    .map(move |(part, rows)| (b, part * QUERIES, rows))
            });
            tasks.for_each_init(scratch, attend);
        }
        Ok((CpuStorage::F32(out), Shape::from((batch, queries, hidden))))
    }
}

/// The values of a tensor that lies in one piece.
fn slice<'a>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [f32]> {
    let values = storage.as_slice::<f32>()?;
    match layout.contiguous_offsets() {
        Some((start, end)) => Ok(&values[start..end]),
        None => bail!("a tensor of {} is not contiguous ({:?})", DType::F32.as_str(), layout.shape()),
    }
}

struct Product {
    rows: usize,
    inner: usize,
    columns: usize,
}

/// Whether so many multiplications are done before other cores have woken up. A query's text is: it then
/// leaves them to other queries.
fn small(multiplications: usize) -> bool {
    multiplications < 1 << 18
}

/// Element-wise work in parts of `size` values, on all cores where there is more than one part.
fn each_part(values: &mut [f32], size: usize, work: impl Fn(&mut [f32]) + Sync + Send) {
    if values.len() <= size {
        work(values);
    } else {
        values.par_chunks_mut(size).for_each(work);
    }
}

fn parallel(product: &Product) -> Parallelism {
    if small(product.rows * product.inner * product.columns) {
        Parallelism::None
    } else {
        Parallelism::Rayon(0)
    }
}

/// A matrix inside a slice: values, steps to the next row and to the next column.
type View<'a> = (&'a [f32], usize, usize);

/// `out = scale · a b`, or added to what is in `out`. Rows of `out` lie `stride` apart.
#[allow(clippy::too_many_arguments)]
fn multiply(
    product: &Product,
    out: &mut [f32],
    stride: usize,
    a: View<'_>,
    b: View<'_>,
    scale: f32,
    add: bool,
    parallelism: Parallelism,
) {
    let Product { rows, inner, columns } = *product;
    if rows == 0 || columns == 0 || inner == 0 {
        return;
    }
    let reach = |rows: usize, columns: usize, row_step: usize, column_step: usize| {
        (rows - 1) * row_step + (columns - 1) * column_step
    };
    assert!(out.len() > reach(rows, columns, stride, 1), "a product reaches past its result");
    assert!(a.0.len() > reach(rows, inner, a.1, a.2), "a product reaches past its left side");
    assert!(b.0.len() > reach(inner, columns, b.1, b.2), "a product reaches past its right side");
    // SAFETY: every element that the strides reach lies inside its slice, as just checked; `out` is
    // borrowed alone.
    unsafe {
        gemm(
            rows,
            columns,
            inner,
            out.as_mut_ptr(),
            1,
            stride as isize,
            add,
            a.0.as_ptr(),
            a.2 as isize,
            a.1 as isize,
            b.0.as_ptr(),
            b.2 as isize,
            b.1 as isize,
            1.0,
            scale,
            false,
            false,
            false,
            parallelism,
        );
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    fn tensor(shape: &[usize], seed: u32) -> Tensor {
        let mut state = seed;
        let values = (0..shape.iter().product::<usize>()).map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / (1 << 24) as f32 - 0.5
        });
        Tensor::from_vec(values.collect::<Vec<_>>(), shape, &Device::Cpu).unwrap()
    }

    /// What is added to scores: 0, or minus infinity where a query may not look. `(b, 1, q, n)`.
    fn mask(keys: Keys<'_>, batch: usize, queries: usize, n: usize) -> Tensor {
        let hidden = |b: usize, q: usize, k: usize| match keys {
            Keys::All => false,
            Keys::First(lengths) => k >= lengths[b],
            Keys::Past => k > q,
        };
        let mut mask = Vec::with_capacity(batch * queries * n);
        for (b, q) in (0..batch).flat_map(|b| (0..queries).map(move |q| (b, q))) {
            mask.extend((0..n).map(|k| if hidden(b, q, k) { f32::NEG_INFINITY } else { 0.0 }));
        }
        Tensor::from_vec(mask, (batch, 1, queries, n), &Device::Cpu).unwrap()
    }

    fn largest_difference(a: &Tensor, b: &Tensor) -> f32 {
        (a - b).unwrap().abs().unwrap().flatten_all().unwrap().max(0).unwrap().to_scalar().unwrap()
    }

    #[test]
    fn linear_is_that_of_candle() {
        for (rows, inner, columns) in [(1, 3, 5), (7, 64, 33), (130, 96, 200)] {
            let weight = tensor(&[columns, inner], 1);
            let linear = Linear::new(&weight, tensor(&[columns], 2)).unwrap();
            let x = tensor(&[2, rows, inner], 3);
            let expected =
                x.broadcast_matmul(&weight.t().unwrap()).unwrap().broadcast_add(&linear.bias).unwrap();
            assert!(largest_difference(&linear.forward(&x).unwrap(), &expected) < 1e-5);
            let activated = linear.activated(&x, Some(Activation::GeluTanh)).unwrap();
            assert!(largest_difference(&activated, &expected.gelu().unwrap()) < 1e-5);
        }
    }

    #[test]
    fn layer_norm_is_that_of_candle() {
        for (rows, n) in [(1, 1), (3, 5), (7, 384), (300, 768)] {
            let (weight, bias) = (tensor(&[n], 1), tensor(&[n], 2));
            let x = (tensor(&[2, rows, n], 3) * 20.0).unwrap();
            let expected = candle_nn::ops::layer_norm_slow(&x, &weight, &bias, 1e-5).unwrap();
            let normed = layer_norm(&x, &weight, &bias, 1e-5).unwrap();
            assert!(largest_difference(&normed, &expected) < 1e-5, "{rows} {n}");
        }
        assert!(layer_norm(&tensor(&[2, 3], 1), &tensor(&[2], 1), &tensor(&[2], 1), 1e-5).is_err());
    }

    #[test]
    fn attention_is_that_of_its_formula() {
        let (heads, dim) = (3, 8);
        let hidden = heads * dim;
        for (batch, queries, n) in [(1, 1, 1), (2, 5, 5), (3, 300, 300), (2, 1, 40)] {
            let keys_values = tensor(&[batch, n, 2 * hidden], 5);
            let lengths: Vec<usize> = (0..batch).map(|b| n - b.min(n - 1)).collect();
            for (queries_batch, keys) in
                [(batch, Keys::All), (1, Keys::All), (batch, Keys::First(&lengths)), (batch, Keys::Past)]
            {
                if matches!(keys, Keys::Past) && queries != n {
                    continue;
                }
                let query = tensor(&[queries_batch, queries, hidden], 6);
                let out = attention(&query, &keys_values, heads, keys).unwrap();
                let split = |x: &Tensor, n: usize| {
                    x.contiguous()
                        .unwrap()
                        .reshape((batch, n, heads, dim))
                        .unwrap()
                        .transpose(1, 2)
                        .unwrap()
                        .contiguous()
                        .unwrap()
                };
                let q = split(&query.broadcast_as((batch, queries, hidden)).unwrap(), queries);
                let k = split(&keys_values.narrow(2, 0, hidden).unwrap(), n);
                let v = split(&keys_values.narrow(2, hidden, hidden).unwrap(), n);
                let scores = (q.matmul(&k.t().unwrap()).unwrap() * (dim as f64).powf(-0.5)).unwrap();
                let scores = scores.broadcast_add(&mask(keys, batch, queries, n)).unwrap();
                let weights = candle_nn::ops::softmax_last_dim(&scores).unwrap();
                let expected = weights
                    .matmul(&v)
                    .unwrap()
                    .transpose(1, 2)
                    .unwrap()
                    .reshape((batch, queries, hidden))
                    .unwrap();
                assert!(largest_difference(&out, &expected) < 1e-5, "{keys:?} {batch} {queries} {n}");
            }
        }
    }
}
