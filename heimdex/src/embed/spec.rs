//! What made a vector, and the traits of what makes one.

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// A unit vector: finite, not zero, length 1 within 1e-4.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Vec<f32>", into = "Vec<f32>")]
pub struct Vector(Vec<f32>);

impl Vector {
    /// Scales `values` to length 1.
    ///
    /// # Errors
    /// [`ErrorKind::Space`](crate::ErrorKind::Space) for a zero or non-finite vector.
    pub fn normalize(mut values: Vec<f32>) -> Result<Self> {
        let length = values.iter().map(|v| f64::from(*v) * f64::from(*v)).sum::<f64>().sqrt();
        if !length.is_finite() || length < 1e-12 {
            return Err(Error::Space(format!("a vector of length {length} has no direction")));
        }
        for value in &mut values {
            *value = (f64::from(*value) / length) as f32;
        }
        Ok(Self(values))
    }

    /// The components.
    pub fn as_slice(&self) -> &[f32] {
        &self.0
    }

    /// The number of components.
    pub fn dim(&self) -> usize {
        self.0.len()
    }
}

impl TryFrom<Vec<f32>> for Vector {
    type Error = Error;

    fn try_from(values: Vec<f32>) -> Result<Self> {
        let square = values.iter().map(|v| f64::from(*v) * f64::from(*v)).sum::<f64>();
        if square.is_finite() && (square.sqrt() - 1.0).abs() < 1e-4 {
            return Ok(Self(values));
        }
        Err(Error::Space(format!("a vector of length {} is not normalised", square.sqrt())))
    }
}

impl From<Vector> for Vec<f32> {
    fn from(vector: Vector) -> Self {
        vector.0
    }
}

/// How token states become one vector.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Pooling {
    /// Mean over the tokens that are no padding.
    Mean,
    /// The state of the first token.
    Cls,
}

/// What made the vectors of an embedding space. Two specs are one space only when all fields agree.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub struct EmbedSpec {
    /// Name of the model, such as `sentence-transformers/all-MiniLM-L6-v2`.
    pub model: String,
    /// Revision of the model, where known.
    pub revision: Option<String>,
    /// SHA-256 of the weights, hexadecimal.
    pub weights_sha256: String,
    /// SHA-256 of the tokenizer and of every setting that shapes the input, hexadecimal.
    pub preprocessing_sha256: String,
    /// Components of a vector.
    pub dim: usize,
    /// How token states become one vector.
    pub pooling: Pooling,
    /// Longest input in tokens.
    pub max_tokens: usize,
}

impl EmbedSpec {
    /// A spec; `model` and the two hashes tell what made the vectors.
    pub fn new(
        model: impl Into<String>,
        weights_sha256: impl Into<String>,
        preprocessing_sha256: impl Into<String>,
        dim: usize,
        pooling: Pooling,
        max_tokens: usize,
    ) -> Self {
        Self {
            model: model.into(),
            revision: None,
            weights_sha256: weights_sha256.into(),
            preprocessing_sha256: preprocessing_sha256.into(),
            dim,
            pooling,
            max_tokens,
        }
    }

    /// The name of the space: the model's short name and 12 digits of a hash over all fields but
    /// the model's name and revision, so that the same weights in another folder are the same space.
    pub fn space(&self) -> String {
        let short = self.model.trim_end_matches('/').rsplit('/').next().unwrap_or(&self.model);
        let mut hasher = blake3::Hasher::new_derive_key("heimdex embedding space");
        for part in [
            self.weights_sha256.as_str(),
            self.preprocessing_sha256.as_str(),
            &self.dim.to_string(),
            &format!("{:?}", self.pooling),
            &self.max_tokens.to_string(),
        ] {
            hasher.update(part.as_bytes());
            hasher.update(&[0]);
        }
        format!("{short}-{}", &hasher.finalize().to_hex()[..12])
    }
}

/// What a text is for; some models prefix the two differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// A text to search with.
    Query,
    /// A text to be found.
    Passage,
}

/// Turns texts into vectors of one space.
pub trait TextEmbedder: Send + Sync {
    /// What made the vectors; stored with them.
    fn spec(&self) -> &EmbedSpec;

    /// One unit vector of `spec().dim` per text, in order.
    ///
    /// # Errors
    /// [`ErrorKind::Model`](crate::ErrorKind::Model) when the model fails; nothing is returned for
    /// part of a batch.
    fn embed(&self, texts: &[&str], role: Role) -> Result<Vec<Vector>>;
}
