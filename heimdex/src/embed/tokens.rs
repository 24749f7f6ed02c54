//! Texts become token ids as the model's reference makes them.

use std::path::Path;

use sha2::{Digest, Sha256};
use tokenizers::{Tokenizer, TruncationParams};
use unicode_normalization::UnicodeNormalization;

use super::{Role, folder};
use crate::{Error, Result};

/// What a model family does to a text before its `tokenizer.json`, and to the ids after it.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Rules {
    /// BERT and XLM-RoBERTa: an own prefix for each role; no padding.
    Sentence {
        /// Before a text to search with.
        query: String,
        /// Before a text to be found.
        passage: String,
    },
    /// SigLIP: lower case, ASCII punctuation deleted, white space collapsed, bytes for what is not in
    /// the vocabulary; padded with 1.
    Siglip,
    /// SigLIP 2 of fixed resolution: lower case; padded with 0.
    Siglip2,
    /// CLIP: all of it is in its `tokenizer.json`; nothing follows the end, so no padding.
    Clip,
}

/// Longest text that is looked at, in characters: far more than any model reads.
const MAX_CHARS: usize = 1 << 16;

/// The tokenizer of a model.
pub(super) struct Tokens {
    model: String,
    tokenizer: Tokenizer,
    rules: Rules,
    max: usize,
    hash: String,
}

impl Tokens {
    /// Reads `tokenizer.json`. Its own limits are for other uses: `max`, special tokens included, is
    /// what the model was trained with. `rules` may depend on the kind of the tokenizer's model.
    pub(super) fn read(
        folder: &Path,
        model: &str,
        max: usize,
        rules: impl FnOnce(&str) -> Rules,
    ) -> Result<Self> {
        let failed = |error: String| Error::model(model, format!("tokenizer.json: {error}"));
        let bytes = folder::read(folder, "tokenizer.json", model)?;
        let mut json: serde_json::Value =
            serde_json::from_slice(&bytes).map_err(|e| failed(e.to_string()))?;
        let rules = rules(json["model"]["type"].as_str().unwrap_or_default());
        let mut tokenizer = if rules == Rules::Siglip {
            // The published file leaves this out; the reference falls back to bytes.
            json["model"]["byte_fallback"] = true.into();
            Tokenizer::from_bytes(json.to_string())
        } else {
            Tokenizer::from_bytes(&bytes)
        }
        .map_err(|e| failed(e.to_string()))?;
        let truncation = TruncationParams { max_length: max, ..TruncationParams::default() };
        tokenizer.with_truncation(Some(truncation)).map_err(|e| failed(e.to_string()))?;
        tokenizer.with_padding(None);
        let mut hasher = Sha256::new();
        hasher.update(&bytes);
        hasher.update(format!("trim nfc {max} {rules:?}"));
        let hash = folder::hex(&hasher.finalize());
        Ok(Self { model: model.to_owned(), tokenizer, rules, max, hash })
    }

    /// A hash of all that shapes the ids.
    pub(super) fn hash(&self) -> &str {
        &self.hash
    }

    /// Longest text, special tokens included.
    #[cfg(feature = "onnx")]
    pub(super) fn max(&self) -> usize {
        self.max
    }

    /// The ids of a text as the model reads it, padding included where it is part of the model.
    pub(super) fn ids(&self, text: &str, role: Role) -> Result<Vec<u32>> {
        let text = self.written(text, role);
        let encoding =
            self.tokenizer.encode(text, true).map_err(|e| Error::model(&self.model, e.to_string()))?;
        let mut ids = encoding.get_ids().to_vec();
        let pad = match self.rules {
            Rules::Sentence { .. } | Rules::Clip => return Ok(ids),
            Rules::Siglip => 1,
            Rules::Siglip2 => 0,
        };
        ids.resize(self.max, pad);
        Ok(ids)
    }

    /// The text as `tokenizer.json` is to see it.
    fn written(&self, text: &str, role: Role) -> String {
        let end = text.char_indices().nth(MAX_CHARS).map_or(text.len(), |(at, _)| at);
        let text = text[..end].trim();
        match &self.rules {
            Rules::Sentence { query, passage } => {
                let prefix = match role {
                    Role::Query => query,
                    Role::Passage => passage,
                };
                // Tokenizers do not compose what is decomposed, and would read it as unknown.
                prefix.chars().chain(text.nfc()).collect()
            }
            Rules::Siglip => {
                let kept: String =
                    text.to_lowercase().chars().filter(|c| !c.is_ascii_punctuation()).collect();
                kept.split_whitespace().collect::<Vec<_>>().join(" ").nfc().collect()
            }
            // A character at a time, as its tokenizer does: a sigma at the end of a word is no other letter.
            Rules::Siglip2 => text.chars().flat_map(char::to_lowercase).nfc().collect(),
            Rules::Clip => text.nfc().collect(),
        }
    }
}
