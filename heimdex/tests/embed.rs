//! Text embeddings equal transformers; models that are not whole are never used.
#![cfg(feature = "candle")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::case_sensitive_file_extension_comparisons,
    missing_docs
)]

mod common;

use std::path::{Path, PathBuf};

use heimdex::ErrorKind;
use heimdex::embed::{Role, TextEmbedder, TextEncoder, Vector};
use serde_json::Value;

/// The largest difference of two vectors.
fn difference(vector: &Vector, golden: &[f32]) -> f32 {
    assert_eq!(vector.dim(), golden.len());
    vector.as_slice().iter().zip(golden).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

fn texts(golden: &Value) -> Vec<&str> {
    golden["texts"].as_array().unwrap().iter().map(|t| t["text"].as_str().unwrap()).collect()
}

fn floats(values: &Value) -> Vec<f32> {
    values.as_array().unwrap().iter().map(|v| v.as_f64().unwrap() as f32).collect()
}

/// All texts in one batch and each alone: both equal the golden vectors, within 5e-6.
fn equals(model: &TextEncoder, texts: &[&str], golden: &[Vec<f32>]) {
    let batch = model.embed(texts, Role::Passage).unwrap();
    assert_eq!(batch.len(), texts.len());
    for ((text, vector), golden) in texts.iter().zip(&batch).zip(golden) {
        let off = difference(vector, golden);
        assert!(off <= 5e-6, "{text}: {off}");
        let alone = model.embed(&[text], Role::Passage).unwrap();
        let off = difference(&alone[0], golden);
        assert!(off <= 5e-6, "{text} alone: {off}");
    }
}

fn tiny() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/tiny-bert")
}

#[test]
fn a_tiny_model_equals_transformers() {
    let golden: Value = serde_json::from_slice(&std::fs::read(tiny().join("golden.json")).unwrap()).unwrap();
    let model = TextEncoder::open(tiny()).unwrap();
    let vectors: Vec<Vec<f32>> = golden["embeddings"].as_array().unwrap().iter().map(floats).collect();
    equals(&model, &texts(&golden), &vectors);
}

#[test]
fn the_shared_model_equals_transformers() {
    let Some(shared) = common::shared() else { return };
    let folder = shared.join("fixtures/models/minilm-tiny");
    let golden: Value = serde_json::from_slice(&std::fs::read(folder.join("golden.json")).unwrap()).unwrap();
    let bytes = std::fs::read(folder.join("golden.safetensors")).unwrap();
    let tensors = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let name = tensors.names().into_iter().find(|n| n.contains("embed")).unwrap().to_owned();
    let tensor = tensors.tensor(&name).unwrap();
    let values: Vec<f32> = tensor.data().as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect();
    let vectors: Vec<Vec<f32>> = values.chunks(tensor.shape()[1]).map(<[f32]>::to_vec).collect();
    equals(&TextEncoder::open(folder).unwrap(), &texts(&golden), &vectors);
}

#[test]
fn the_real_model_equals_transformers() {
    let (Some(shared), Ok(folder)) = (common::shared(), heimdex::models::resolve("all-MiniLM-L6-v2")) else {
        assert!(
            std::env::var_os("HEIMDEX_REQUIRE_MODEL").is_none(),
            "the model is not on this machine: make model"
        );
        return;
    };
    let path = shared.join("fixtures/models/minilm-real-golden.json");
    let golden: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let model = TextEncoder::open(folder).unwrap();
    assert_eq!(model.spec().weights_sha256, golden["model_safetensors_sha256"].as_str().unwrap());
    assert_eq!((model.spec().dim, model.spec().max_tokens), (384, 256));
    let vectors: Vec<Vec<f32>> = golden["embeddings"].as_array().unwrap().iter().map(floats).collect();
    equals(&model, &texts(&golden), &vectors);
}

/// SPEC O8: one copy in a process, and many threads may ask.
#[test]
fn a_model_is_loaded_once_and_shared() {
    let models: Vec<TextEncoder> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    let model = TextEncoder::open(tiny()).unwrap();
                    model.embed(&["shared"; 40], Role::Query).unwrap();
                    model
                })
            })
            .collect();
        threads.into_iter().map(|t| t.join().unwrap()).collect()
    });
    assert!(models.windows(2).all(|w| std::ptr::eq(w[0].spec(), w[1].spec())));
    assert!(models[0].embed(&[], Role::Query).unwrap().is_empty());
    let empty = models[0].embed(&["", " "], Role::Passage).unwrap();
    assert_eq!(empty[0], empty[1], "an empty text has a vector: that of its frame");
}

/// A copy of the tiny model in which something is changed.
fn changed(change: impl FnOnce(&Path)) -> heimdex::Result<TextEncoder> {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("1_Pooling")).unwrap();
    for file in [
        "config.json",
        "tokenizer.json",
        "model.safetensors",
        "1_Pooling/config.json",
        "sentence_bert_config.json",
    ] {
        std::fs::copy(tiny().join(file), folder.path().join(file)).unwrap();
    }
    change(folder.path());
    TextEncoder::open(folder.path())
}

fn edit(folder: &Path, key: &str, value: Value) {
    let path = folder.join("config.json");
    let mut config: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    config[key] = value;
    std::fs::write(&path, config.to_string()).unwrap();
}

/// SPEC F3: by name, before anything runs.
#[test]
fn what_does_not_fit_is_named() {
    let error = changed(|f| edit(f, "num_hidden_layers", 3.into())).unwrap_err();
    assert!(error.to_string().contains("encoder.layer.2.attention.self.query.weight is missing"), "{error}");
    let error = changed(|f| edit(f, "vocab_size", 7.into())).unwrap_err();
    assert!(error.to_string().contains("embeddings.word_embeddings.weight has shape"), "{error}");
    let error = changed(|f| edit(f, "model_type", "gpt2".into())).unwrap_err();
    assert!(error.to_string().contains("gpt2"), "{error}");
    assert_eq!(error.kind(), ErrorKind::Model);
}

/// SPEC O5.
#[test]
fn a_partial_download_is_never_used() {
    let cut = |folder: &Path| {
        let path = folder.join("model.safetensors");
        let bytes = std::fs::read(&path).unwrap();
        std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    };
    let error = changed(cut).unwrap_err();
    assert!(error.to_string().contains("not whole"), "{error}");
    let error = changed(|f| std::fs::remove_file(f.join("tokenizer.json")).unwrap()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ModelMissing);

    let folder = tempfile::tempdir().unwrap();
    for file in ["config.json", "tokenizer.json", "model.safetensors"] {
        std::fs::copy(tiny().join(file), folder.path().join(file)).unwrap();
    }
    let name = folder.path().to_str().unwrap();
    heimdex::models::resolve(name).unwrap();
    std::fs::write(folder.path().join("model.safetensors.incomplete"), "").unwrap();
    let error = heimdex::models::resolve(name).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ModelMissing);
    assert!(error.to_string().contains(".incomplete"), "{error}");
    let error = heimdex::models::resolve("nobody/no-such-model").unwrap_err();
    assert!(error.to_string().contains("heimdex models pull nobody/no-such-model"), "{error}");
}

/// SPEC O2 and O4: what made a vector tells one space from another.
#[test]
fn other_preprocessing_is_another_space() {
    let plain = TextEncoder::open(tiny()).unwrap();
    let shorter = changed(|f| {
        std::fs::write(f.join("sentence_bert_config.json"), r#"{"max_seq_length": 16}"#).unwrap();
    })
    .unwrap();
    assert_ne!(plain.spec().space(), shorter.spec().space());
    let prompts = r#"{"prompts": {"query": "query: ", "passage": "passage: "}}"#;
    let prompted =
        changed(|f| std::fs::write(f.join("config_sentence_transformers.json"), prompts).unwrap()).unwrap();
    assert_ne!(plain.spec().space(), prompted.spec().space());
    let embed = |model: &TextEncoder, role| model.embed(&["red car"], role).unwrap().remove(0);
    assert_eq!(embed(&plain, Role::Query), embed(&plain, Role::Passage));
    assert_ne!(embed(&prompted, Role::Query), embed(&prompted, Role::Passage));
    let length: f32 = embed(&prompted, Role::Query).as_slice().iter().map(|v| v * v).sum();
    assert!((length - 1.0).abs() < 1e-5);
}
