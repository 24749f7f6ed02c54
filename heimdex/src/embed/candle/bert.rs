//! BERT and XLM-RoBERTa.
//!
//! Papers: Devlin et al., "BERT", 2018; Conneau et al., "Unsupervised Cross-lingual Representation
//! Learning at Scale", 2019. Reference: transformers `BertModel` and `XLMRobertaModel`. Tensors keep
//! the checkpoint's names (`embeddings.word_embeddings.weight`, `encoder.layer.0.…`).

use std::path::Path;

use candle_core::{Device, Tensor};

use super::encoder::{Encoder, LayerNorm, Names, Shape};
use super::math::Activation;
use super::ops::Keys;
use super::weights::Weights;
use crate::embed::Pooling;
use crate::embed::config::BertConfig;
use crate::embed::model::TextTower;
use crate::{Error, Result};

const NAMES: Names = Names {
    query: "attention.self.query",
    key: "attention.self.key",
    value: "attention.self.value",
    out: "attention.output.dense",
    attention_norm: "attention.output.LayerNorm",
    up: "intermediate.dense",
    down: "output.dense",
    mlp_norm: "output.LayerNorm",
    norm_first: false,
};

/// A model of the family, in memory.
pub(crate) struct Bert {
    words: Tensor,
    positions: Tensor,
    norm: LayerNorm,
    encoder: Encoder,
    pooling: Pooling,
    pad: u32,
    /// Where positions begin.
    first: usize,
}

impl Bert {
    /// Reads the weights of a folder; and their SHA-256.
    pub(crate) fn read(
        folder: &Path,
        model: &str,
        config: &BertConfig,
        pooling: Pooling,
    ) -> Result<(Self, String)> {
        let activation = Activation::named(&config.hidden_act).ok_or_else(|| {
            Error::model(model, format!("config.json: activation `{}` is not known", config.hidden_act))
        })?;
        if config.num_attention_heads == 0 || !config.hidden_size.is_multiple_of(config.num_attention_heads) {
            return Err(Error::model(model, "config.json: the heads do not divide hidden_size"));
        }
        let weights = Weights::open(folder, model)?;
        let prefix = ["", "bert.", "roberta."]
            .into_iter()
            .find(|prefix| weights.holds(&format!("{prefix}embeddings.word_embeddings.weight")))
            .unwrap_or_default();
        let hidden = config.hidden_size;
        let name = |part: &str| format!("{prefix}embeddings.{part}");
        let table = |part: &str, rows: usize| weights.tensor(&name(part), &[rows, hidden]);
        let words = table("word_embeddings.weight", config.vocab_size)?;
        let kinds = table("token_type_embeddings.weight", config.type_vocab_size)?;
        // All texts are of the first kind: its row is part of every position.
        let positions = table("position_embeddings.weight", config.max_position_embeddings)?;
        let positions = kinds
            .narrow(0, 0, 1)
            .and_then(|kind| positions.broadcast_add(&kind))
            .map_err(|e| Error::model(model, e.to_string()))?;
        let shape = Shape {
            hidden,
            inner: config.intermediate_size,
            heads: config.num_attention_heads,
            layers: config.num_hidden_layers,
            epsilon: config.layer_norm_eps,
            activation,
        };
        let bert = Self {
            words,
            positions,
            norm: weights.layer_norm(&name("LayerNorm"), hidden, config.layer_norm_eps)?,
            encoder: Encoder::read(&weights, &format!("{prefix}encoder.layer"), &shape, &NAMES)?,
            pooling,
            pad: u32::try_from(config.pad_token_id).unwrap_or_default(),
            first: config.first_position(),
        };
        Ok((bert, weights.sha256))
    }
}

impl TextTower for Bert {
    fn forward(&mut self, batch: &[&[u32]]) -> std::result::Result<Vec<Vec<f32>>, String> {
        self.run(batch).map_err(|e| e.to_string())
    }
}

impl Bert {
    /// Texts padded to the longest, pooled.
    fn run(&self, batch: &[&[u32]]) -> candle_core::Result<Vec<Vec<f32>>> {
        let length = batch.iter().map(|ids| ids.len()).max().unwrap_or(0);
        let lengths: Vec<usize> = batch.iter().map(|ids| ids.len()).collect();
        let mut ids = Vec::with_capacity(batch.len() * length);
        for text in batch {
            ids.extend(text.iter().copied().chain(std::iter::repeat(self.pad)).take(length));
        }
        let hidden = self.words.dim(1)?;
        let ids = Tensor::from_vec(ids, batch.len() * length, &Device::Cpu)?;
        let words = self.words.index_select(&ids, 0)?.reshape((batch.len(), length, hidden))?;
        let x = words.broadcast_add(&self.positions.narrow(0, self.first, length)?)?;
        let states = self.encoder.forward(self.norm.forward(&x)?, Keys::First(&lengths))?;
        if self.pooling == Pooling::Cls {
            return states.narrow(1, 0, 1)?.squeeze(1)?.to_vec2();
        }
        let mean = |(i, length): (usize, &usize)| states.get(i)?.narrow(0, 0, *length)?.mean(0)?.to_vec1();
        lengths.iter().enumerate().map(mean).collect()
    }
}
