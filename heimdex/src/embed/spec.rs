//! What made a vector, and the traits of what makes one.

use std::hash::{Hash, Hasher};

use serde::{Deserialize, Serialize};

use super::Precision;
use crate::media::RgbPicture;
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

    /// The cosine of the angle to another vector of the same space; what only one has counts as 0.
    pub fn dot(&self, other: &Self) -> f32 {
        self.0.iter().zip(&other.0).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>() as f32
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
    /// The model's own head: attention over all states, or a projection of one of them.
    Head,
}

/// What the vectors of an embedding space stand for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Modality {
    /// Texts.
    #[default]
    Text,
    /// Pictures, and texts where the model has a tower for them.
    Image,
    /// Whatever an annotator finds.
    Annotation,
}

/// What made the vectors of an embedding space. Two specs are one space only when all fields but what
/// was measured agree.
#[derive(Debug, Clone, Serialize, Deserialize)]
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
    /// Longest text in tokens.
    pub max_tokens: usize,
    /// What the vectors stand for.
    #[serde(default)]
    pub modality: Modality,
    /// The numbers that the weights are kept in, where they are not 32-bit floats.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub precision: Option<Precision>,
    /// The lowest cosine between this model's vectors and those of the same model in 32-bit floats, on a
    /// few inputs that are built in; `None` where it was not measured. Kernels differ between
    /// processors, and so does this: it is no part of [`space`](Self::space) nor of `==`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cosine_to_f32: Option<f32>,
}

impl PartialEq for EmbedSpec {
    fn eq(&self, other: &Self) -> bool {
        self.identity() == other.identity()
    }
}

impl Eq for EmbedSpec {}

impl Hash for EmbedSpec {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.identity().hash(state);
    }
}

impl EmbedSpec {
    /// All that two equal specs share.
    fn identity(&self) -> impl PartialEq + Hash + use<'_> {
        // Without `..`: a new field has to be put in or left out on purpose.
        let Self {
            model,
            revision,
            weights_sha256,
            preprocessing_sha256,
            dim,
            pooling,
            max_tokens,
            modality,
            precision,
            cosine_to_f32: _,
        } = self;
        let hashes = (weights_sha256, preprocessing_sha256);
        (model, revision, hashes, dim, pooling, max_tokens, modality, precision)
    }

    /// A spec of text vectors; `model` and the two hashes tell what made the vectors.
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
            modality: Modality::Text,
            precision: None,
            cosine_to_f32: None,
        }
    }

    /// The same for vectors of pictures.
    #[must_use]
    pub fn of_images(mut self) -> Self {
        self.modality = Modality::Image;
        self
    }

    /// The same vectors, standing for something else.
    #[cfg(feature = "media")]
    #[must_use]
    pub(crate) fn standing_for(&self, modality: Modality) -> Self {
        Self { modality, ..self.clone() }
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

impl Role {
    /// The name used in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Query => "query",
            Self::Passage => "passage",
        }
    }
}

impl std::str::FromStr for Role {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        [Self::Query, Self::Passage]
            .into_iter()
            .find(|role| role.as_str() == name)
            .ok_or_else(|| Error::invalid("role", format!("`{name}` is neither query nor passage")))
    }
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

/// Turns pictures into vectors of one space.
pub trait ImageEmbedder: Send + Sync {
    /// What made the vectors; stored with them.
    fn spec(&self) -> &EmbedSpec;

    /// One unit vector of `spec().dim` per picture, in order. Memory beyond the pictures themselves
    /// does not grow with their number.
    ///
    /// # Errors
    /// [`ErrorKind::Model`](crate::ErrorKind::Model) when the model fails; nothing is returned for
    /// part of a batch.
    fn embed_images(&self, pictures: &[&RgbPicture]) -> Result<Vec<Vector>>;

    /// What turns texts into vectors of the same space; `None` where pictures can only be compared
    /// with pictures.
    fn text(&self) -> Option<&dyn TextEmbedder> {
        None
    }

    /// How a cosine of text and picture becomes a probability; `None` where the model does not say.
    fn calibration(&self) -> Option<Calibration> {
        None
    }
}

/// What a model learned to make of a cosine: `σ(scale · cosine + bias)` is the probability that a text
/// describes a picture (SigLIP, 2023).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Calibration {
    /// Before the sum.
    pub scale: f32,
    /// After the product.
    pub bias: f32,
}

impl Calibration {
    /// The cosine that has this probability.
    pub fn cosine(self, probability: f32) -> f32 {
        ((probability / (1.0 - probability)).ln() - self.bias) / self.scale
    }

    /// The probability of a cosine, 0 to 1.
    pub fn probability(self, cosine: f32) -> f32 {
        1.0 / (1.0 + (-self.scale.mul_add(cosine, self.bias)).exp())
    }
}
