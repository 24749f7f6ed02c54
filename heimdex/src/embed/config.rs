//! What `config.json` says of an architecture, whatever runs it.
//!
//! Reference: transformers `BertConfig`, `XLMRobertaConfig`, `SiglipConfig` and `CLIPConfig`; what a
//! published file leaves out is what they take for it.

use std::path::Path;

use serde::Deserialize;

use super::folder;
use crate::{Error, Result};

/// The families of two towers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    Siglip,
    Clip,
}

/// `config.json` of two towers.
#[derive(Debug, Deserialize)]
pub(super) struct DualConfig {
    #[serde(default)]
    model_type: String,
    #[serde(default)]
    pub(super) text_config: TowerConfig,
    #[serde(default)]
    pub(super) vision_config: TowerConfig,
    projection_dim: Option<usize>,
}

#[derive(Debug, Default, Deserialize)]
#[cfg_attr(not(feature = "candle"), expect(dead_code, reason = "an export has the rest built in"))]
pub(super) struct TowerConfig {
    pub(super) hidden_size: Option<usize>,
    pub(super) intermediate_size: Option<usize>,
    pub(super) num_hidden_layers: Option<usize>,
    pub(super) num_attention_heads: Option<usize>,
    pub(super) hidden_act: Option<String>,
    pub(super) layer_norm_eps: Option<f64>,
    pub(super) vocab_size: Option<usize>,
    max_position_embeddings: Option<usize>,
    projection_size: Option<usize>,
    pub(super) eos_token_id: Option<u32>,
    image_size: Option<usize>,
    patch_size: Option<usize>,
}

impl DualConfig {
    pub(super) fn read(folder: &Path, model: &str) -> Result<Self> {
        let config: Self = folder::json(folder, "config.json", model)?;
        if ["siglip", "clip"].contains(&config.model_type.as_str()) {
            return Ok(config);
        }
        let message = format!(
            "config.json: architecture `{}` is none of SigLIP, SigLIP 2 of fixed resolution and CLIP",
            config.model_type
        );
        Err(Error::model(model, message))
    }

    pub(super) fn family(&self) -> Family {
        if self.model_type == "clip" { Family::Clip } else { Family::Siglip }
    }

    /// Longest text, special tokens included.
    pub(super) fn max_tokens(&self) -> usize {
        self.text_config.max_position_embeddings.unwrap_or(match self.family() {
            Family::Siglip => 64,
            Family::Clip => 77,
        })
    }

    /// Width and height of the pictures, and of the patches that they are read in.
    pub(super) fn image_size(&self, model: &str) -> Result<(usize, usize)> {
        let size = self.vision_config.image_size.unwrap_or(224);
        let patch = self.vision_config.patch_size.unwrap_or(match self.family() {
            Family::Siglip => 16,
            Family::Clip => 32,
        });
        if patch == 0 || size < patch || size > 4096 {
            return Err(Error::model(
                model,
                format!("config.json: patches of {patch} in pictures of {size}"),
            ));
        }
        Ok((size, patch))
    }

    /// Width of the states of a tower.
    pub(super) fn hidden(&self, text: bool) -> usize {
        let tower = if text { &self.text_config } else { &self.vision_config };
        tower.hidden_size.unwrap_or(if text && self.family() == Family::Clip { 512 } else { 768 })
    }

    /// Components of a tower's vectors.
    pub(super) fn dim(&self, text: bool) -> usize {
        match self.family() {
            Family::Clip => self.projection_dim.unwrap_or(512),
            Family::Siglip if text => self.text_config.projection_size.unwrap_or(self.hidden(true)),
            Family::Siglip => self.hidden(false),
        }
    }
}

/// `config.json` of BERT and XLM-RoBERTa.
#[derive(Debug, Deserialize)]
#[cfg_attr(not(feature = "candle"), expect(dead_code, reason = "an export has the rest built in"))]
pub(super) struct BertConfig {
    model_type: String,
    pub(super) vocab_size: usize,
    pub(super) hidden_size: usize,
    pub(super) num_hidden_layers: usize,
    pub(super) num_attention_heads: usize,
    pub(super) intermediate_size: usize,
    #[serde(default = "gelu")]
    pub(super) hidden_act: String,
    pub(super) max_position_embeddings: usize,
    pub(super) type_vocab_size: usize,
    pub(super) layer_norm_eps: f64,
    #[serde(default)]
    pub(super) pad_token_id: usize,
}

fn gelu() -> String {
    "gelu".to_owned()
}

impl BertConfig {
    pub(super) fn read(folder: &Path, model: &str) -> Result<Self> {
        let kind: serde_json::Value = folder::json(folder, "config.json", model)?;
        let architecture = kind["model_type"].as_str().unwrap_or("none");
        if !["bert", "xlm-roberta"].contains(&architecture) {
            let message =
                format!("config.json: architecture `{architecture}` is neither BERT nor XLM-RoBERTa");
            return Err(Error::model(model, message));
        }
        serde_json::from_value(kind).map_err(|e| Error::model(model, format!("config.json: {e}")))
    }

    /// Where positions begin: RoBERTa's stand behind that of padding.
    pub(super) fn first_position(&self) -> usize {
        if self.model_type == "xlm-roberta" { self.pad_token_id + 1 } else { 0 }
    }

    /// Longest text, special tokens included.
    pub(super) fn max_tokens(&self) -> usize {
        self.max_position_embeddings.saturating_sub(self.first_position())
    }
}
