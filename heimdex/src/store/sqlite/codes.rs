//! Vectors as one byte a component, and what can be proven from them.
//!
//! A unit vector `v` is `scale * code + rest`, a query `q` likewise with codes of 14 bits. The
//! product of the codes is then off from `v . q` by at most
//! `|rest_v| * |q| + |scale * code_v| * |rest_q|`. Whatever cannot be among the best by this bound
//! is left out; the others are scored in full precision. The result is that of a full scan.

/// Components of a query are coded in this range, which keeps sums inside 32 bits.
const QUERY_RANGE: f32 = 8191.0;

/// The rounding of 32-bit floats over a few thousand terms stays far below this.
const SLACK: f32 = 1e-5;

/// The codes of one video's vectors in one space, ordered by scene.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Codes {
    pub(super) rows: Vec<CodeRow>,
    /// `dim` a row.
    components: Vec<i8>,
    dim: usize,
}

/// A vector but for its codes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct CodeRow {
    pub(super) vector_id: i64,
    pub(super) ordinal: u32,
    pub(super) time_us: i64,
    /// Span of its scene, for filters.
    pub(super) start_us: i64,
    pub(super) end_us: i64,
    scale: f32,
    /// Length of what the codes leave out, rounded up.
    rest: f32,
}

/// Bytes of a row before its codes.
const HEAD_BYTES: usize = 8 + 4 + 8 + 8 + 8 + 4 + 4;

impl Codes {
    pub(super) fn new(dim: usize) -> Self {
        Self { rows: Vec::new(), components: Vec::new(), dim }
    }

    /// Adds a vector of `dim` components. Rows come in order of their scene.
    pub(super) fn push(
        &mut self,
        vector_id: i64,
        ordinal: u32,
        time_us: i64,
        span_us: (i64, i64),
        vector: &[f32],
    ) {
        let largest = vector.iter().fold(0.0_f32, |m, v| m.max(v.abs()));
        let scale = if largest > 0.0 { largest / 127.0 } else { 1.0 };
        let mut rest = 0.0_f64;
        for value in vector {
            let code = (value / scale).round().clamp(-127.0, 127.0);
            rest += f64::from(value - code * scale).powi(2);
            self.components.push(code as i8);
        }
        let rest = rest.sqrt() as f32 + SLACK;
        let (start_us, end_us) = span_us;
        self.rows.push(CodeRow { vector_id, ordinal, time_us, start_us, end_us, scale, rest });
    }

    /// Lowest and highest possible cosine of each row.
    pub(super) fn bounds(&self, query: &QueryCodes, out: &mut Vec<(f32, f32)>) {
        out.clear();
        let rows = self.rows.iter().zip(self.components.chunks_exact(self.dim.max(1)));
        out.extend(rows.map(|(row, codes)| {
            let near = dot(codes, &query.codes) as f32 * row.scale * query.scale;
            let off = row.rest + (1.0 + row.rest) * query.rest + SLACK;
            (near - off, near + off)
        }));
    }

    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.rows.len() * (HEAD_BYTES + self.dim));
        for (row, codes) in self.rows.iter().zip(self.components.chunks_exact(self.dim.max(1))) {
            bytes.extend(row.vector_id.to_le_bytes());
            bytes.extend(row.ordinal.to_le_bytes());
            bytes.extend(row.time_us.to_le_bytes());
            bytes.extend(row.start_us.to_le_bytes());
            bytes.extend(row.end_us.to_le_bytes());
            bytes.extend(row.scale.to_le_bytes());
            bytes.extend(row.rest.to_le_bytes());
            bytes.extend(codes.iter().map(|c| c.cast_unsigned()));
        }
        bytes
    }

    /// `None` for bytes that are not whole rows.
    pub(super) fn from_bytes(bytes: &[u8], dim: usize) -> Option<Self> {
        let mut codes = Self::new(dim);
        let size = HEAD_BYTES + dim;
        if !bytes.len().is_multiple_of(size) {
            return None;
        }
        codes.components.reserve(bytes.len() / size * dim);
        for row in bytes.chunks_exact(size) {
            let (head, body) = row.split_at(HEAD_BYTES);
            codes.rows.push(CodeRow {
                vector_id: i64::from_le_bytes(head[0..8].try_into().ok()?),
                ordinal: u32::from_le_bytes(head[8..12].try_into().ok()?),
                time_us: i64::from_le_bytes(head[12..20].try_into().ok()?),
                start_us: i64::from_le_bytes(head[20..28].try_into().ok()?),
                end_us: i64::from_le_bytes(head[28..36].try_into().ok()?),
                scale: f32::from_le_bytes(head[36..40].try_into().ok()?),
                rest: f32::from_le_bytes(head[40..44].try_into().ok()?),
            });
            codes.components.extend(body.iter().map(|b| b.cast_signed()));
        }
        Some(codes)
    }
}

/// A query, coded once and compared with every row.
#[derive(Debug)]
pub(super) struct QueryCodes {
    codes: Vec<i16>,
    scale: f32,
    rest: f32,
}

impl QueryCodes {
    pub(super) fn of(query: &[f32]) -> Self {
        let range = QUERY_RANGE.min(i32::MAX as f32 / (127.0 * query.len().max(1) as f32) - 1.0);
        let largest = query.iter().fold(0.0_f32, |m, v| m.max(v.abs()));
        let scale = if largest > 0.0 { largest / range } else { 1.0 };
        let codes: Vec<i16> = query.iter().map(|v| (v / scale).round() as i16).collect();
        let rest: f64 =
            query.iter().zip(&codes).map(|(v, c)| f64::from(v - f32::from(*c) * scale).powi(2)).sum();
        Self { codes, scale, rest: rest.sqrt() as f32 + SLACK }
    }
}

/// Sum of products. Written so that the compiler makes 16-bit multiply-adds of it; with AVX2 where
/// the machine has it.
fn dot(codes: &[i8], query: &[i16]) -> i32 {
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx2") {
        // SAFETY: the machine has AVX2, which is all that the function asks for.
        return unsafe { dot_avx2(codes, query) };
    }
    sum(codes, query)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn dot_avx2(codes: &[i8], query: &[i16]) -> i32 {
    sum(codes, query)
}

#[inline]
fn sum(codes: &[i8], query: &[i16]) -> i32 {
    codes.iter().zip(query).map(|(c, q)| i32::from(*c) * i32::from(*q)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn unit(values: &[f32]) -> Vec<f32> {
        crate::embed::Vector::normalize(values.to_vec()).unwrap().into()
    }

    proptest! {
        #[test]
        fn the_true_cosine_lies_within_the_bounds(
            a in proptest::collection::vec(-1.0f32..1.0, 48),
            b in proptest::collection::vec(-1.0f32..1.0, 48),
            spike in 0usize..48,
        ) {
            let mut a = a;
            a[spike] += 5.0;
            let (a, b) = (unit(&a), unit(&b));
            let mut codes = Codes::new(48);
            codes.push(1, 0, 0, (0, 1), &a);
            let mut bounds = Vec::new();
            codes.bounds(&QueryCodes::of(&b), &mut bounds);
            let truth: f64 = a.iter().zip(&b).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum();
            prop_assert!(f64::from(bounds[0].0) <= truth && truth <= f64::from(bounds[0].1));
            prop_assert!(bounds[0].1 - bounds[0].0 < 0.2, "and they are of use");
            prop_assert_eq!(Codes::from_bytes(&codes.to_bytes(), 48), Some(codes));
        }
    }
}
