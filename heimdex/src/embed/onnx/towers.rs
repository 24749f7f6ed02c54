//! The towers of an export.

use ort::environment::Environment;

use super::file::Export;
use super::session::{Failed, Graph, Values};
use crate::embed::model::{ImageTower, TextTower};
use crate::embed::{ModelOptions, Precision};
use crate::{Error, Result};

/// The tower for pictures.
pub(super) struct Image {
    graph: Graph,
    size: usize,
    dim: usize,
}

impl Image {
    pub(super) fn open(
        environment: &Environment,
        model: &str,
        file: &Export,
        options: &ModelOptions,
        size: usize,
        dim: usize,
        outputs: &[&str],
    ) -> Result<Self> {
        let graph = Graph::open(environment, model, file, options, ("pixel_values", &[]), outputs, true)?;
        let edge = size as i64;
        fits(&graph, model, file, "pixel_values", &[1, 3, edge, edge])?;
        gives(&graph, model, file, &[1, dim as i64])?;
        Ok(Self { graph, size, dim })
    }
}

impl ImageTower for Image {
    fn forward(&mut self, pixels: &[f32], count: usize) -> std::result::Result<Vec<Vec<f32>>, Failed> {
        let (size, dim) = (self.size, self.dim);
        let picture = 3 * size * size;
        if pixels.len() != count * picture {
            return Err(format!("{} values are no {count} pictures of {picture}", pixels.len()));
        }
        let mut vectors = Vec::with_capacity(count);
        // A picture at a time: memory does not grow with their number, and 8-bit scales, which are taken over
        // a whole batch, do not depend on what comes before and after.
        for pixels in pixels.chunks(picture) {
            let (shape, values) =
                self.graph.run(&[("pixel_values", Values::Floats(pixels))], &[1, 3, size, size])?;
            if shape != [1, dim] || values.len() != dim {
                return Err(format!("a picture gave {shape:?}, not [1, {dim}]"));
            }
            vectors.push(values);
        }
        Ok(vectors)
    }
}

/// What stands for a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pooled {
    /// The export gives one vector a text.
    Given,
    /// The mean of the states of tokens that are no padding.
    Mean,
    /// The state of the first token.
    First,
}

/// What a model needs of its text tower.
pub(super) struct TextNeeds<'a> {
    pub(super) dim: usize,
    /// Longest text.
    pub(super) max_tokens: usize,
    /// Behind the shorter texts of a batch.
    pub(super) pad: u32,
    pub(super) pooled: Pooled,
    /// Names of the output, best first.
    pub(super) names: &'a [&'a str],
}

/// The tower for texts.
pub(super) struct Text {
    graph: Graph,
    dim: usize,
    pad: i64,
    pooled: Pooled,
    /// The length that the export takes, where it takes one only.
    length: Option<usize>,
    alone: bool,
}

impl Text {
    pub(super) fn open(
        environment: &Environment,
        model: &str,
        file: &Export,
        options: &ModelOptions,
        needs: &TextNeeds<'_>,
    ) -> Result<Self> {
        let known = (("input_ids"), &["attention_mask", "token_type_ids"][..]);
        let graph = Graph::open(environment, model, file, options, known, needs.names, false)?;
        let declared = graph.takes("input_ids").map(|taken| taken.shape.clone()).unwrap_or_default();
        let length = declared.get(1).and_then(|n| usize::try_from(*n).ok());
        let longest = length.unwrap_or(needs.max_tokens);
        for name in ["input_ids", "attention_mask", "token_type_ids"] {
            fits(&graph, model, file, name, &[1, longest as i64])?;
        }
        let error = |message: String| Err(Error::model(model, format!("{} {message}", file.name)));
        if longest < needs.max_tokens {
            return error(format!(
                "takes texts of {longest} tokens, the model's are of up to {}",
                needs.max_tokens
            ));
        }
        if needs.pooled != Pooled::Given && graph.takes("attention_mask").is_none() {
            return error("has no input `attention_mask`, so padding would count".to_owned());
        }
        let dim = needs.dim as i64;
        let expected: &[i64] =
            if needs.pooled == Pooled::Given { &[1, dim] } else { &[1, longest as i64, dim] };
        gives(&graph, model, file, expected)?;
        Ok(Self {
            // 8-bit scales are taken over a whole batch: a text's vector would depend on the others.
            alone: file.precision == Precision::Int8 || declared.first() == Some(&1),
            graph,
            dim: needs.dim,
            pad: i64::from(needs.pad),
            pooled: needs.pooled,
            length,
        })
    }

    fn run(&mut self, batch: &[&[u32]]) -> std::result::Result<Vec<Vec<f32>>, Failed> {
        let longest = batch.iter().map(|ids| ids.len()).max().unwrap_or(0);
        let length = self.length.unwrap_or(longest);
        if longest > length {
            return Err(format!("a text of {longest} tokens is longer than {length}"));
        }
        let (mut ids, mut mask) = (Vec::new(), Vec::new());
        for text in batch {
            let padding = length - text.len();
            ids.extend(text.iter().map(|id| i64::from(*id)).chain(std::iter::repeat_n(self.pad, padding)));
            mask.extend(std::iter::repeat_n(1, text.len()).chain(std::iter::repeat_n(0, padding)));
        }
        let kinds = vec![0; ids.len()];
        let inputs = [
            ("input_ids", Values::Integers(&ids)),
            ("attention_mask", Values::Integers(&mask)),
            ("token_type_ids", Values::Integers(&kinds)),
        ];
        let (shape, values) = self.graph.run(&inputs, &[batch.len(), length])?;
        let dim = self.dim;
        let tokens = if self.pooled == Pooled::Given { 1 } else { length };
        let expected = if self.pooled == Pooled::Given {
            vec![batch.len(), dim]
        } else {
            vec![batch.len(), length, dim]
        };
        if shape != expected || values.len() != batch.len() * tokens * dim {
            return Err(format!("{} texts gave {shape:?}, not {expected:?}", batch.len()));
        }
        let pool = |(states, ids): (&[f32], &&[u32])| match self.pooled {
            Pooled::Given | Pooled::First => states[..dim].to_vec(),
            Pooled::Mean => {
                let count = ids.len().max(1) as f32;
                let sum = |i| states.chunks(dim).take(ids.len()).map(|state| state[i]).sum::<f32>();
                (0..dim).map(|i| sum(i) / count).collect()
            }
        };
        Ok(values.chunks(tokens * dim).zip(batch).map(pool).collect())
    }
}

impl TextTower for Text {
    fn forward(&mut self, batch: &[&[u32]]) -> std::result::Result<Vec<Vec<f32>>, Failed> {
        let at_once = if self.alone { 1 } else { batch.len().max(1) };
        let mut vectors = Vec::with_capacity(batch.len());
        for batch in batch.chunks(at_once) {
            vectors.extend(self.run(batch)?);
        }
        Ok(vectors)
    }
}

/// Whether one value of a shape that an export declares can stand for what is needed.
fn agrees(declared: &[i64], needed: &[i64]) -> bool {
    declared.len() == needed.len() && declared.iter().zip(needed).all(|(d, n)| *d < 0 || d == n)
}

/// Refuses an export whose input is of another shape.
fn fits(graph: &Graph, model: &str, file: &Export, input: &str, needed: &[i64]) -> Result<()> {
    match graph.takes(input) {
        Some(taken) if !agrees(&taken.shape, needed) => {
            let message =
                format!("{}: input `{input}` is of {:?}, the model's of {needed:?}", file.name, taken.shape);
            Err(Error::model(model, message))
        }
        _ => Ok(()),
    }
}

/// Refuses an export whose output is of another shape.
fn gives(graph: &Graph, model: &str, file: &Export, needed: &[i64]) -> Result<()> {
    let declared = graph.gives();
    // Some exports do not say how long what they give is.
    if declared.is_empty() || agrees(&declared, needed) {
        return Ok(());
    }
    let message = format!("{} gives {declared:?}, config.json says {needed:?}", file.name);
    Err(Error::model(model, message))
}
