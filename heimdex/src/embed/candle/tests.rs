//! The towers alone, from the inputs of the reference to its outputs.

#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};

use safetensors::SafeTensors;

use super::{Bert, towers};
use crate::embed::config::{BertConfig, DualConfig};
use crate::embed::model::TextTower;
use crate::embed::{Pooling, Vector};

fn shared() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/fixtures/models");
    folder.is_dir().then_some(folder)
}

fn floats(file: &SafeTensors<'_>, name: &str) -> (Vec<f32>, Vec<usize>) {
    let tensor = file.tensor(name).unwrap();
    let values = tensor.data().as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect();
    (values, tensor.shape().to_vec())
}

fn ids(golden: &serde_json::Value) -> Vec<Vec<u32>> {
    let text = |text: &serde_json::Value| {
        text["input_ids"].as_array().unwrap().iter().map(|id| id.as_u64().unwrap() as u32).collect()
    };
    golden["texts"].as_array().unwrap().iter().map(text).collect()
}

/// Within 5e-6 of the reference and a cosine of 0.999999, as unit vectors.
fn equal(found: Vec<Vec<f32>>, golden: &(Vec<f32>, Vec<usize>), what: &str) {
    let (values, shape) = golden;
    assert_eq!(found.len(), shape[0], "{what}");
    for (i, (found, golden)) in found.into_iter().zip(values.chunks(shape[1])).enumerate() {
        let found = Vector::normalize(found).unwrap();
        let off = found.as_slice().iter().zip(golden).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(off <= 5e-6, "{what} {i}: {off}");
        assert!(found.dot(&Vector::normalize(golden.to_vec()).unwrap()) >= 0.999_999, "{what} {i}");
    }
}

#[test]
fn siglip_towers_equal_transformers() {
    let Some(shared) = shared() else { return };
    for name in ["siglip-tiny", "siglip2-tiny"] {
        let folder = shared.join(name);
        let golden: serde_json::Value =
            serde_json::from_slice(&std::fs::read(folder.join("golden.json")).unwrap()).unwrap();
        let bytes = std::fs::read(folder.join("golden.safetensors")).unwrap();
        let tensors = SafeTensors::deserialize(&bytes).unwrap();
        let config = DualConfig::read(&folder, name).unwrap();
        let mut dual = towers(&folder, name, &config).unwrap();
        let (pixels, shape) = floats(&tensors, "pixel_values");
        let pictures = dual.image.forward(&pixels, shape[0]).unwrap();
        equal(pictures, &floats(&tensors, "image_embeds"), name);
        let ids = ids(&golden);
        let batch: Vec<&[u32]> = ids.iter().map(Vec::as_slice).collect();
        let texts = dual.text.forward(&batch).unwrap();
        equal(texts, &floats(&tensors, "text_embeds"), name);
        assert!(dual.image.forward(&pixels[1..], shape[0]).is_err(), "too few pixels");
    }
}

#[test]
fn xlm_roberta_equals_transformers() {
    let Some(shared) = shared() else { return };
    let folder = shared.join("bge-m3-tiny");
    let golden: serde_json::Value =
        serde_json::from_slice(&std::fs::read(folder.join("golden.json")).unwrap()).unwrap();
    let bytes = std::fs::read(folder.join("golden.safetensors")).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let config = BertConfig::read(&folder, "bge-m3-tiny").unwrap();
    let (mut bert, _) = Bert::read(&folder, "bge-m3-tiny", &config, Pooling::Cls).unwrap();
    let ids = ids(&golden);
    let batch: Vec<&[u32]> = ids.iter().map(Vec::as_slice).collect();
    equal(bert.forward(&batch).unwrap(), &floats(&tensors, "dense"), "together");
    for (i, text) in ids.iter().enumerate() {
        let (values, shape) = floats(&tensors, "dense");
        let row = (values[i * shape[1]..][..shape[1]].to_vec(), vec![1, shape[1]]);
        equal(bert.forward(&[text]).unwrap(), &row, "alone");
    }
}
