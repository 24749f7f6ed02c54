//! A loaded model: towers behind a tokenizer and a preprocessor, fed in batches of bounded size.

use super::tokens::Tokens;
use super::{Calibration, EmbedSpec, Precision, Role, Vector};
use crate::{Error, Result};

/// Tokens of a batch, padding included: some megabytes of activations.
const BATCH_TOKENS: usize = 4096;

/// Turns token ids into vectors.
pub(super) trait TextTower: Send {
    /// One vector a text, not yet of unit length.
    fn forward(&mut self, batch: &[&[u32]]) -> std::result::Result<Vec<Vec<f32>>, String>;
}

/// Turns pictures into vectors.
pub(super) trait ImageTower: Send {
    /// One vector a picture, not yet of unit length. `pixels` holds `count` pictures of `(3, height,
    /// width)`, one after the other. Memory does not grow with `count`.
    fn forward(&mut self, pixels: &[f32], count: usize) -> std::result::Result<Vec<Vec<f32>>, String>;
}

/// A text model as a backend reads it.
pub(super) struct TextModel {
    pub(super) tower: Box<dyn TextTower>,
    pub(super) sha256: String,
    /// Where it is not that of the published weights.
    pub(super) precision: Option<Precision>,
    pub(super) cosine_to_f32: Option<f32>,
}

/// The two towers of a model as a backend reads them, and what belongs to both.
pub(super) struct Towers {
    pub(super) text: Box<dyn TextTower>,
    pub(super) image: Box<dyn ImageTower>,
    /// Only SigLIP has one.
    pub(super) calibration: Option<Calibration>,
    pub(super) sha256: String,
    pub(super) dim: usize,
    /// Where it is not that of the published weights.
    pub(super) precision: Option<Precision>,
    pub(super) cosine_to_f32: Option<f32>,
}

/// What lives on a model's thread.
pub(super) struct Model {
    pub(super) spec: EmbedSpec,
    pub(super) tokens: Tokens,
    pub(super) text: Box<dyn TextTower>,
    pub(super) image: Option<Box<dyn ImageTower>>,
    pub(super) calibration: Option<Calibration>,
}

impl Model {
    pub(super) fn embed_texts(&mut self, texts: &[String], role: Role) -> Result<Vec<Vector>> {
        let name = &self.spec.model;
        let ids = texts.iter().map(|text| self.tokens.ids(text, role)).collect::<Result<Vec<_>>>()?;
        // Texts of one length together waste no work on padding.
        let mut order: Vec<usize> = (0..ids.len()).collect();
        order.sort_by_key(|i| ids[*i].len());
        let mut vectors: Vec<Option<Vector>> = vec![None; ids.len()];
        let mut rest = &order[..];
        while !rest.is_empty() {
            let fits =
                rest.iter().enumerate().take_while(|(n, i)| (n + 1) * ids[**i].len() <= BATCH_TOKENS).count();
            let (batch, after) = rest.split_at(fits.max(1));
            let inputs: Vec<&[u32]> = batch.iter().map(|i| ids[*i].as_slice()).collect();
            let outputs = self.text.forward(&inputs).map_err(|e| Error::model(name, e))?;
            for (i, values) in batch.iter().zip(outputs) {
                vectors[*i] = Some(Vector::normalize(values)?);
            }
            rest = after;
        }
        let whole: Option<Vec<Vector>> = vectors.into_iter().collect();
        whole.ok_or_else(|| Error::model(name, "a text was left without a vector"))
    }

    pub(super) fn embed_images(&mut self, pixels: &[f32], count: usize) -> Result<Vec<Vector>> {
        let name = &self.spec.model;
        let Some(tower) = &mut self.image else {
            return Err(Error::model(name, "this model reads no pictures"));
        };
        let outputs = tower.forward(pixels, count).map_err(|e| Error::model(name, e))?;
        if outputs.len() != count {
            return Err(Error::model(name, format!("{count} pictures gave {} vectors", outputs.len())));
        }
        outputs.into_iter().map(Vector::normalize).collect()
    }
}
