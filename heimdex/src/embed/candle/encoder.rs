//! The transformer encoder, as BERT, CLIP and SigLIP have it.
//!
//! Paper: Vaswani et al., "Attention Is All You Need", 2017.

use candle_core::{Result, Tensor};

use super::math::Activation;
use super::ops::{Keys, Linear, attention, layer_norm};
use super::weights::Weights;

/// Normalisation over the last dimension.
#[derive(Debug, Clone)]
pub(super) struct LayerNorm {
    pub(super) weight: Tensor,
    pub(super) bias: Tensor,
    pub(super) epsilon: f32,
}

impl LayerNorm {
    pub(super) fn forward(&self, x: &Tensor) -> Result<Tensor> {
        layer_norm(x, &self.weight, &self.bias, self.epsilon)
    }
}

/// Attention of a sequence to itself.
struct SelfAttention {
    query: Linear,
    /// Keys, then values.
    keys_values: Linear,
    out: Linear,
    heads: usize,
}

impl SelfAttention {
    fn forward(&self, x: &Tensor, keys: Keys<'_>) -> Result<Tensor> {
        let (query, keys_values) = (self.query.forward(x)?, self.keys_values.forward(x)?);
        self.out.forward(&attention(&query, &keys_values, self.heads, keys)?)
    }
}

/// Two layers with an activation between them.
pub(super) struct Mlp {
    pub(super) up: Linear,
    pub(super) down: Linear,
    pub(super) activation: Activation,
}

impl Mlp {
    pub(super) fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.down.forward(&self.up.activated(x, Some(self.activation))?)
    }
}

struct Layer {
    attention: SelfAttention,
    attention_norm: LayerNorm,
    mlp: Mlp,
    mlp_norm: LayerNorm,
}

/// Sizes of an encoder.
#[derive(Debug, Clone)]
pub(super) struct Shape {
    pub(super) hidden: usize,
    pub(super) inner: usize,
    pub(super) heads: usize,
    pub(super) layers: usize,
    pub(super) epsilon: f64,
    pub(super) activation: Activation,
}

/// What a layer's tensors are called, after the layer's own name.
pub(super) struct Names {
    pub(super) query: &'static str,
    pub(super) key: &'static str,
    pub(super) value: &'static str,
    pub(super) out: &'static str,
    pub(super) attention_norm: &'static str,
    pub(super) up: &'static str,
    pub(super) down: &'static str,
    pub(super) mlp_norm: &'static str,
    /// Whether the norms come before what they belong to, or after its sum with the input.
    pub(super) norm_first: bool,
}

/// A stack of layers.
pub(super) struct Encoder {
    layers: Vec<Layer>,
    norm_first: bool,
}

impl Encoder {
    /// The layers `PREFIX.0`, `PREFIX.1` and so on.
    pub(super) fn read(weights: &Weights, prefix: &str, shape: &Shape, names: &Names) -> crate::Result<Self> {
        let Shape { hidden, inner, heads, layers, epsilon, activation } = *shape;
        let layer = |i: usize| {
            let name = |part: &str| format!("{prefix}.{i}.{part}");
            Ok(Layer {
                attention: SelfAttention {
                    query: weights.linear(&name(names.query), hidden, hidden)?,
                    keys_values: weights.side_by_side(
                        &[name(names.key), name(names.value)],
                        hidden,
                        hidden,
                    )?,
                    out: weights.linear(&name(names.out), hidden, hidden)?,
                    heads,
                },
                attention_norm: weights.layer_norm(&name(names.attention_norm), hidden, epsilon)?,
                mlp: Mlp {
                    up: weights.linear(&name(names.up), inner, hidden)?,
                    down: weights.linear(&name(names.down), hidden, inner)?,
                    activation,
                },
                mlp_norm: weights.layer_norm(&name(names.mlp_norm), hidden, epsilon)?,
            })
        };
        let layers = (0..layers).map(layer).collect::<crate::Result<_>>()?;
        Ok(Self { layers, norm_first: names.norm_first })
    }

    /// `x` is `(b, n, hidden)`, and so is the result.
    pub(super) fn forward(&self, mut x: Tensor, keys: Keys<'_>) -> Result<Tensor> {
        for layer in &self.layers {
            if self.norm_first {
                x = (layer.attention.forward(&layer.attention_norm.forward(&x)?, keys)? + x)?;
                x = (layer.mlp.forward(&layer.mlp_norm.forward(&x)?)? + x)?;
            } else {
                x = layer.attention_norm.forward(&(layer.attention.forward(&x, keys)? + x)?)?;
                x = layer.mlp_norm.forward(&(layer.mlp.forward(&x)? + x)?)?;
            }
        }
        Ok(x)
    }
}
