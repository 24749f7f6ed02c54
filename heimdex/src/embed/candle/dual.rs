//! SigLIP, SigLIP 2 of fixed resolution, and CLIP: pictures and texts in one space.
//!
//! Papers: Zhai et al., "Sigmoid Loss for Language Image Pre-Training", 2023; Tschannen et al.,
//! "SigLIP 2", 2025; Radford et al., "Learning Transferable Visual Models From Natural Language
//! Supervision", 2021. Reference: transformers `SiglipModel` and `CLIPModel`. Tensors keep the
//! checkpoint's names.

use std::path::Path;

use candle_core::{Device, Tensor};

use super::encoder::{Encoder, LayerNorm, Mlp, Names, Shape};
use super::math::Activation;
use super::ops::{Keys, Linear, attention};
use super::weights::Weights;
use crate::embed::Calibration;
use crate::embed::config::{DualConfig, Family};
use crate::embed::model::{ImageTower, TextTower, Towers};
use crate::{Error, Result};

const NAMES: Names = Names {
    query: "self_attn.q_proj",
    key: "self_attn.k_proj",
    value: "self_attn.v_proj",
    out: "self_attn.out_proj",
    attention_norm: "layer_norm1",
    up: "mlp.fc1",
    down: "mlp.fc2",
    mlp_norm: "layer_norm2",
    norm_first: true,
};

fn shape(config: &DualConfig, model: &str, text: bool) -> Result<Shape> {
    let family = config.family();
    let tower = if text { &config.text_config } else { &config.vision_config };
    let (inner, heads) = if family == Family::Clip && text { (2048, 8) } else { (3072, 12) };
    let (activation, epsilon) = match family {
        Family::Siglip => ("gelu_pytorch_tanh", 1e-6),
        Family::Clip => ("quick_gelu", 1e-5),
    };
    let activation = tower.hidden_act.as_deref().unwrap_or(activation);
    let shape = Shape {
        hidden: config.hidden(text),
        inner: tower.intermediate_size.unwrap_or(inner),
        heads: tower.num_attention_heads.unwrap_or(heads),
        layers: tower.num_hidden_layers.unwrap_or(12),
        epsilon: tower.layer_norm_eps.unwrap_or(epsilon),
        activation: Activation::named(activation).ok_or_else(|| {
            Error::model(model, format!("config.json: activation `{activation}` is not known"))
        })?,
    };
    if shape.heads == 0 || !shape.hidden.is_multiple_of(shape.heads) {
        return Err(Error::model(model, "config.json: the heads do not divide hidden_size"));
    }
    Ok(shape)
}

/// Reads the two towers of a model.
pub(crate) fn towers(folder: &Path, model: &str, config: &DualConfig) -> Result<Towers> {
    let family = config.family();
    let weights = Weights::open(folder, model)?;
    let text = Text::read(&weights, model, config, family, config.max_tokens())?;
    let vision = Vision::read(&weights, model, config, family)?;
    let calibration = match family {
        Family::Siglip => {
            let value = |name| {
                let tensor = weights.tensor(name, &[1])?;
                tensor
                    .get(0)
                    .and_then(|v| v.to_scalar::<f32>())
                    .map_err(|e| Error::model(model, e.to_string()))
            };
            Some(Calibration { scale: value("logit_scale")?.exp(), bias: value("logit_bias")? })
        }
        Family::Clip => None,
    };
    let (dim, picture_dim) = (text.dim(), vision.dim());
    if dim != picture_dim {
        return Err(Error::model(model, format!("texts have {dim} dimensions, pictures {picture_dim}")));
    }
    Ok(Towers {
        calibration,
        sha256: weights.sha256.clone(),
        dim,
        text: Box::new(text),
        image: Box::new(vision),
        precision: None,
        cosine_to_f32: None,
    })
}

/// The tower for texts.
struct Text {
    words: Tensor,
    positions: Tensor,
    encoder: Encoder,
    norm: LayerNorm,
    head: Linear,
    /// The state of which token stands for the text.
    pooled: Pooled,
}

#[derive(Debug, Clone, Copy)]
enum Pooled {
    /// The last position, padding or not; every token sees all others.
    Last,
    /// The first end of text; no token sees what comes after it.
    End(u32),
    /// The highest id, which is the end of text where the configuration names another one.
    Highest,
}

impl Text {
    fn read(
        weights: &Weights,
        model: &str,
        config: &DualConfig,
        family: Family,
        max_tokens: usize,
    ) -> Result<Self> {
        let text = &config.text_config;
        let shape = shape(config, model, true)?;
        let hidden = shape.hidden;
        let vocabulary = text.vocab_size.unwrap_or(match family {
            Family::Siglip => 32_000,
            Family::Clip => 49_408,
        });
        let table = |name: &str, rows: usize| {
            weights.tensor(&format!("text_model.embeddings.{name}.weight"), &[rows, hidden])
        };
        let dim = config.dim(true);
        let head = match family {
            Family::Siglip => weights.linear("text_model.head", dim, hidden)?,
            Family::Clip => weights.linear_without_bias("text_projection", dim, hidden)?,
        };
        let pooled = match (family, text.eos_token_id) {
            (Family::Siglip, _) => Pooled::Last,
            // Files from before the end of text was written into them say 2.
            (Family::Clip, Some(2)) => Pooled::Highest,
            (Family::Clip, end) => Pooled::End(end.unwrap_or(49_407)),
        };
        Ok(Self {
            words: table("token_embedding", vocabulary)?,
            positions: table("position_embedding", max_tokens)?,
            encoder: Encoder::read(weights, "text_model.encoder.layers", &shape, &NAMES)?,
            norm: weights.layer_norm("text_model.final_layer_norm", hidden, shape.epsilon)?,
            head,
            pooled,
        })
    }

    fn dim(&self) -> usize {
        self.head.out()
    }

    fn run(&self, batch: &[&[u32]]) -> candle_core::Result<Vec<Vec<f32>>> {
        let length = batch.iter().map(|ids| ids.len()).max().unwrap_or(0);
        let hidden = self.words.dim(1)?;
        let mut ids = Vec::with_capacity(batch.len() * length);
        for text in batch {
            ids.extend(text.iter().copied().chain(std::iter::repeat(0)).take(length));
        }
        let ids = Tensor::from_vec(ids, batch.len() * length, &Device::Cpu)?;
        let words = self.words.index_select(&ids, 0)?.reshape((batch.len(), length, hidden))?;
        let x = words.broadcast_add(&self.positions.narrow(0, 0, length)?)?;
        let keys = if matches!(self.pooled, Pooled::Last) { Keys::All } else { Keys::Past };
        let states = self.encoder.forward(x, keys)?;
        let rows = batch.iter().enumerate().map(|(i, ids)| {
            let at = match self.pooled {
                Pooled::Last => length - 1,
                Pooled::End(end) => ids.iter().position(|id| *id == end).unwrap_or(ids.len() - 1),
                Pooled::Highest => {
                    let highest = ids.iter().copied().max().unwrap_or_default();
                    ids.iter().position(|id| *id == highest).unwrap_or_default()
                }
            };
            states.get(i)?.get(at)
        });
        let pooled = Tensor::stack(&rows.collect::<candle_core::Result<Vec<_>>>()?, 0)?;
        self.head.forward(&self.norm.forward(&pooled)?)?.to_vec2()
    }
}

impl TextTower for Text {
    fn forward(&mut self, batch: &[&[u32]]) -> std::result::Result<Vec<Vec<f32>>, String> {
        self.run(batch).map_err(|e| e.to_string())
    }
}

/// The tower for pictures.
struct Vision {
    patches: Linear,
    positions: Tensor,
    /// CLIP: the state that stands for the picture, and the normalisation before the first layer.
    class: Option<(Tensor, LayerNorm)>,
    encoder: Encoder,
    norm: LayerNorm,
    head: Head,
    image_size: usize,
    patch: usize,
}

enum Head {
    /// SigLIP: a query of its own attends to all patches.
    Attention {
        /// Already through its layer: the same for all pictures.
        query: Tensor,
        keys_values: Linear,
        out: Linear,
        norm: LayerNorm,
        mlp: Mlp,
        heads: usize,
    },
    /// CLIP: the class's state, projected.
    Projection(Linear),
}

impl Vision {
    fn read(weights: &Weights, model: &str, config: &DualConfig, family: Family) -> Result<Self> {
        let shape = shape(config, model, false)?;
        let hidden = shape.hidden;
        let failed = |e: candle_core::Error| Error::model(model, e.to_string());
        let (image_size, patch) = config.image_size(model)?;
        let count = (image_size / patch).pow(2);
        let inner = 3 * patch * patch;
        let embeddings = "vision_model.embeddings";
        // A convolution whose step is its size is a product with each patch.
        let kernel =
            weights.tensor(&format!("{embeddings}.patch_embedding.weight"), &[hidden, 3, patch, patch])?;
        let weight = kernel.reshape((hidden, inner)).map_err(failed)?;
        let bias = match family {
            Family::Siglip => weights.tensor(&format!("{embeddings}.patch_embedding.bias"), &[hidden])?,
            Family::Clip => Tensor::zeros(hidden, weight.dtype(), &Device::Cpu).map_err(failed)?,
        };
        let class = match family {
            Family::Siglip => None,
            Family::Clip => Some((
                weights.tensor(&format!("{embeddings}.class_embedding"), &[hidden])?,
                weights.layer_norm("vision_model.pre_layrnorm", hidden, shape.epsilon)?,
            )),
        };
        let states = count + usize::from(class.is_some());
        Ok(Self {
            patches: Linear::new(&weight, bias).map_err(failed)?,
            positions: weights
                .tensor(&format!("{embeddings}.position_embedding.weight"), &[states, hidden])?,
            class,
            encoder: Encoder::read(weights, "vision_model.encoder.layers", &shape, &NAMES)?,
            norm: weights.layer_norm("vision_model.post_layernorm", hidden, shape.epsilon)?,
            head: Head::read(weights, model, config, &shape, family)?,
            image_size,
            patch,
        })
    }

    fn dim(&self) -> usize {
        match &self.head {
            Head::Attention { out: linear, .. } | Head::Projection(linear) => linear.out(),
        }
    }

    fn run(&self, pixels: &[f32]) -> candle_core::Result<Vec<f32>> {
        let (size, patch) = (self.image_size, self.patch);
        let across = size / patch;
        let x = Tensor::from_slice(pixels, (1, 3, size, size), &Device::Cpu)?;
        // What does not fill a patch at the right and bottom edge is left out.
        let x = x.narrow(2, 0, across * patch)?.narrow(3, 0, across * patch)?.contiguous()?;
        let x = x
            .reshape(&[1, 3, across, patch, across, patch])?
            .permute([0, 2, 4, 1, 3, 5])?
            .contiguous()?
            .reshape((1, across * across, 3 * patch * patch))?;
        let mut x = self.patches.forward(&x)?;
        if let Some((class, _)) = &self.class {
            let class = class.reshape((1, 1, class.elem_count()))?;
            x = Tensor::cat(&[class, x], 1)?;
        }
        x = x.broadcast_add(&self.positions)?;
        if let Some((_, norm)) = &self.class {
            x = norm.forward(&x)?;
        }
        let states = self.encoder.forward(x, Keys::All)?;
        match &self.head {
            Head::Attention { query, keys_values, out, norm, mlp, heads } => {
                let states = self.norm.forward(&states)?;
                let pooled = attention(query, &keys_values.forward(&states)?, *heads, Keys::All)?;
                let pooled = out.forward(&pooled)?;
                (mlp.forward(&norm.forward(&pooled)?)? + pooled)?.flatten_all()?.to_vec1()
            }
            Head::Projection(linear) => {
                let class = states.narrow(1, 0, 1)?;
                linear.forward(&self.norm.forward(&class)?)?.flatten_all()?.to_vec1()
            }
        }
    }
}

impl Head {
    fn read(
        weights: &Weights,
        model: &str,
        config: &DualConfig,
        shape: &Shape,
        family: Family,
    ) -> Result<Self> {
        let Shape { hidden, inner, heads, epsilon, activation, .. } = *shape;
        if family == Family::Clip {
            return weights
                .linear_without_bias("visual_projection", config.dim(false), hidden)
                .map(Self::Projection);
        }
        let failed = |e: candle_core::Error| Error::model(model, e.to_string());
        let name = |part: &str| format!("vision_model.head.{part}");
        let weight = weights.tensor(&name("attention.in_proj_weight"), &[3 * hidden, hidden])?;
        let bias = weights.tensor(&name("attention.in_proj_bias"), &[3 * hidden])?;
        let part = |from: usize, count: usize| -> candle_core::Result<Linear> {
            let weight = weight.narrow(0, from * hidden, count * hidden)?.contiguous()?;
            Linear::new(&weight, bias.narrow(0, from * hidden, count * hidden)?.contiguous()?)
        };
        let probe = weights.tensor(&name("probe"), &[1, 1, hidden])?;
        let query = part(0, 1).and_then(|query| query.forward(&probe)).map_err(failed)?;
        Ok(Self::Attention {
            query,
            keys_values: part(1, 2).map_err(failed)?,
            out: weights.linear(&name("attention.out_proj"), hidden, hidden)?,
            norm: weights.layer_norm(&name("layernorm"), hidden, epsilon)?,
            mlp: Mlp {
                up: weights.linear(&name("mlp.fc1"), inner, hidden)?,
                down: weights.linear(&name("mlp.fc2"), hidden, inner)?,
                activation,
            },
            heads,
        })
    }
}

impl ImageTower for Vision {
    fn forward(&mut self, pixels: &[f32], count: usize) -> std::result::Result<Vec<Vec<f32>>, String> {
        let picture = 3 * self.image_size * self.image_size;
        if pixels.len() != count * picture {
            return Err(format!("{} values are no {count} pictures of {picture}", pixels.len()));
        }
        // A picture at a time: memory does not grow with their number, all cores work on each anyway, and
        // the same products give the same bits whatever comes before and after.
        pixels.chunks(picture).map(|pixels| self.run(pixels).map_err(|e| e.to_string())).collect()
    }
}
