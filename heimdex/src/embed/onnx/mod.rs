//! Models on ONNX Runtime, in the layout of the exports of onnx-community: `onnx/vision_model.onnx`,
//! `onnx/text_model.onnx`, `onnx/model.onnx`, and beside them those of other precisions.
//!
//! Inputs and outputs are matched by the names that optimum and transformers.js give them.

mod file;
mod library;
mod measure;
mod session;
mod towers;

#[cfg(test)]
mod tests;

use std::path::Path;

use super::config::{BertConfig, DualConfig, Family};
use super::model::{TextModel, Towers};
use super::preprocess::Preprocessor;
use super::tokens::Tokens;
use super::{Calibration, ModelOptions, Pooling, Precision};
use crate::{Error, Result};

use file::Export;
use towers::{Image, Pooled, Text, TextNeeds};

/// Reads the two towers of a model.
pub(super) fn towers(
    folder: &Path,
    model: &str,
    config: &DualConfig,
    preprocessor: &Preprocessor,
    tokens: &Tokens,
    options: &ModelOptions,
) -> Result<Towers> {
    let image_file = Export::find(folder, model, "vision_model", options.precision)?;
    let text_precision = if Export::is_there(folder, "text_model", options.precision) {
        options.precision
    } else {
        Precision::F32
    };
    let text_file = Export::find(folder, model, "text_model", text_precision)?;
    let environment = library::environment(model, options)?;
    let dim = config.dim(true);
    if dim != config.dim(false) {
        let message = format!("texts have {dim} dimensions, pictures {}", config.dim(false));
        return Err(Error::model(model, message));
    }
    let (size, _) = config.image_size(model)?;
    // A projection comes behind CLIP's pooled state, none behind SigLIP's.
    let (image_names, text_names): (&[&str], &[&str]) = match config.family() {
        Family::Siglip => (&["image_embeds", "pooler_output"], &["text_embeds", "pooler_output"]),
        Family::Clip => (&["image_embeds"], &["text_embeds"]),
    };
    let needs =
        TextNeeds { dim, max_tokens: config.max_tokens(), pad: 0, pooled: Pooled::Given, names: text_names };
    let open_image = |file: &Export| Image::open(&environment, model, file, options, size, dim, image_names);
    let open_text = |file: &Export| Text::open(&environment, model, file, options, &needs);
    let (mut image, mut text) = (open_image(&image_file)?, open_text(&text_file)?);
    let pictures = measure::cosine_of(&image_file, folder, model, "vision_model", options, |whole| {
        measure::pictures(model, &mut image, &mut open_image(whole)?, preprocessor)
    })?;
    let texts = measure::cosine_of(&text_file, folder, model, "text_model", options, |whole| {
        measure::texts(model, &mut text, &mut open_text(whole)?, tokens)
    })?;
    let calibration = match config.family() {
        Family::Siglip => calibration(folder, model, &[&image_file, &text_file])?,
        Family::Clip => None,
    };
    Ok(Towers {
        sha256: file::sha256(&[&image_file, &text_file])?,
        dim,
        text: Box::new(text),
        image: Box::new(image),
        calibration,
        precision: (options.precision != Precision::F32).then_some(options.precision),
        cosine_to_f32: pictures.into_iter().chain(texts).reduce(f32::min),
    })
}

/// Reads a text model.
pub(super) fn text(
    folder: &Path,
    model: &str,
    config: &BertConfig,
    pooling: Pooling,
    tokens: &Tokens,
    options: &ModelOptions,
) -> Result<TextModel> {
    let file = Export::find(folder, model, "model", options.precision)?;
    let environment = library::environment(model, options)?;
    let needs = TextNeeds {
        dim: config.hidden_size,
        max_tokens: tokens.max(),
        pad: u32::try_from(config.pad_token_id).unwrap_or_default(),
        pooled: if pooling == Pooling::Cls { Pooled::First } else { Pooled::Mean },
        names: &["last_hidden_state", "token_embeddings"],
    };
    let open = |file: &Export| Text::open(&environment, model, file, options, &needs);
    let mut tower = open(&file)?;
    let cosine = measure::cosine_of(&file, folder, model, "model", options, |whole| {
        measure::texts(model, &mut tower, &mut open(whole)?, tokens)
    })?;
    Ok(TextModel {
        tower: Box::new(tower),
        sha256: file::sha256(&[&file])?,
        precision: (options.precision != Precision::F32).then_some(options.precision),
        cosine_to_f32: cosine,
    })
}

/// What SigLIP learned to make of a cosine: from the published weights, else from an export that has it,
/// which those of one tower leave out.
fn calibration(folder: &Path, model: &str, used: &[&Export]) -> Result<Option<Calibration>> {
    let mut found = (None, None);
    if let Some((scale, bias)) = file::weights_of_scale(folder, model)? {
        found = (Some(scale), Some(bias));
    }
    let both = Export::find(folder, model, "model", Precision::F32).ok();
    for export in used.iter().copied().chain(&both) {
        found.0 = found.0.or_else(|| export.scalar("logit_scale"));
        found.1 = found.1.or_else(|| export.scalar("logit_bias"));
    }
    Ok(match found {
        (Some(scale), Some(bias)) => Some(Calibration { scale: scale.exp(), bias }),
        _ => None,
    })
}
