//! The towers alone, from the inputs of the reference to its outputs; and the bytes of exports.

#![allow(clippy::unwrap_used, clippy::print_stderr)]

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::file::Export;
use super::library;
use super::towers::{Image, Pooled, Text, TextNeeds};
use crate::ErrorKind;
use crate::embed::model::{ImageTower, TextTower};
use crate::embed::{Backend, ModelOptions, Precision, Vector};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

/// As `tests/onnx.rs` finds it, which also fails where it must be there and is not.
fn options() -> Option<ModelOptions> {
    let cache = std::env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| std::env::home_dir().map(|home| home.join(".cache")))?;
    let mut options = ModelOptions::of(Backend::Onnx);
    options.library = Some(cache.join("heimdex/onnxruntime/1.31.1")).filter(|folder| folder.is_dir());
    (options.library.is_some() || std::env::var_os("ORT_DYLIB_PATH").is_some_and(|path| !path.is_empty()))
        .then_some(options)
}

fn rows(value: &Value) -> Vec<Vec<f32>> {
    let row = |row: &Value| row.as_array().unwrap().iter().map(|v| v.as_f64().unwrap() as f32).collect();
    value.as_array().unwrap().iter().map(row).collect()
}

/// Within 5e-6 of the reference, as unit vectors.
fn equal(found: Vec<Vec<f32>>, golden: &[Vec<f32>], what: &str) {
    assert_eq!(found.len(), golden.len(), "{what}");
    let mut largest = 0.0_f32;
    for (found, golden) in found.into_iter().zip(golden) {
        let found = Vector::normalize(found).unwrap();
        let off = found.as_slice().iter().zip(golden).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        largest = largest.max(off);
    }
    eprintln!("{what}: largest difference {largest}");
    assert!(largest <= 5e-6, "{what}: {largest}");
}

/// Both towers of a folder on the inputs of the reference.
fn towers_equal(folder: &Path, size: usize, max_tokens: usize, dim: usize, inputs: &Inputs) {
    let Some(options) = options() else { return };
    let environment = library::environment("tiny", &options).unwrap();
    let names = ["pooler_output"];
    let file = Export::find(folder, "tiny", "vision_model", Precision::F32).unwrap();
    let mut image = Image::open(&environment, "tiny", &file, &options, size, dim, &names).unwrap();
    let count = inputs.image_embeds.len();
    equal(image.forward(&inputs.pixels, count).unwrap(), &inputs.image_embeds, "pictures");
    assert!(image.forward(&inputs.pixels[1..], count).is_err(), "too few pixels");
    let file = Export::find(folder, "tiny", "text_model", Precision::F32).unwrap();
    let needs = TextNeeds { dim, max_tokens, pad: 0, pooled: Pooled::Given, names: &names };
    let mut text = Text::open(&environment, "tiny", &file, &options, &needs).unwrap();
    let batch: Vec<&[u32]> = inputs.ids.iter().map(Vec::as_slice).collect();
    equal(text.forward(&batch).unwrap(), &inputs.text_embeds, "texts");
    assert!(text.forward(&[&vec![5; max_tokens + 1]]).is_err(), "a text that is too long");
}

struct Inputs {
    pixels: Vec<f32>,
    ids: Vec<Vec<u32>>,
    image_embeds: Vec<Vec<f32>>,
    text_embeds: Vec<Vec<f32>>,
}

fn ids(golden: &Value) -> Vec<Vec<u32>> {
    let text = |text: &Value| {
        text["input_ids"].as_array().unwrap().iter().map(|id| id.as_u64().unwrap() as u32).collect()
    };
    golden["texts"].as_array().unwrap().iter().map(text).collect()
}

#[test]
fn siglip2_towers_equal_transformers() {
    let folder = fixture("tiny-siglip2");
    let golden: Value = serde_json::from_slice(&std::fs::read(folder.join("golden.json")).unwrap()).unwrap();
    let inputs = Inputs {
        pixels: rows(&golden["pixel_values"]).concat(),
        ids: ids(&golden),
        image_embeds: rows(&golden["image_embeds"]),
        text_embeds: rows(&golden["text_embeds"]),
    };
    towers_equal(&folder, 36, 24, 16, &inputs);
}

#[test]
fn shared_siglip_towers_equal_transformers() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/fixtures/models/siglip-tiny");
    if !folder.is_dir() {
        return;
    }
    let golden: Value = serde_json::from_slice(&std::fs::read(folder.join("golden.json")).unwrap()).unwrap();
    let bytes = std::fs::read(folder.join("golden.safetensors")).unwrap();
    let tensors = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let floats = |name: &str| -> Vec<f32> {
        let data = tensors.tensor(name).unwrap().data();
        data.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect()
    };
    let rows = |name: &str| floats(name).chunks(64).map(<[f32]>::to_vec).collect();
    let inputs = Inputs {
        pixels: floats("pixel_values"),
        ids: ids(&golden),
        image_embeds: rows("image_embeds"),
        text_embeds: rows("text_embeds"),
    };
    towers_equal(&folder, 64, 64, 64, &inputs);
}

/// Whatever the bytes are: an error or an export, never a panic or a read outside of them.
#[test]
fn bytes_that_are_no_export_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("onnx")).unwrap();
    let path = folder.path().join("onnx/model.onnx");
    let whole = std::fs::read(fixture("tiny-bert/onnx/model.onnx")).unwrap();
    let find = || Export::find(folder.path(), "tiny", "model", Precision::F32);
    for bytes in [&b""[..], b"not an export", &[0xff; 40], &whole[..whole.len() / 2], &whole[..100]] {
        std::fs::write(&path, bytes).unwrap();
        let error = find().err().unwrap();
        assert_eq!(error.kind(), ErrorKind::Model, "{error}");
        assert!(error.to_string().contains("onnx/model.onnx"), "{error}");
    }
    let mut changed = whole.clone();
    for (at, value) in (0..whole.len()).step_by(97).zip((0..=255).cycle()) {
        changed[at] = value;
        std::fs::write(&path, &changed).unwrap();
        if let Ok(export) = find() {
            export.scalar("logit_scale");
        }
    }
}
