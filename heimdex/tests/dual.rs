//! Pictures and texts in one space equal transformers, from the files to the vectors.
#![cfg(feature = "candle")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr, missing_docs)]

mod common;

use std::path::Path;

use common::vectors::{fixture, json, picture, rows, texts};
use heimdex::ErrorKind;
use heimdex::embed::{DualEncoder, ImageEmbedder, Role, TextEmbedder, TextEncoder, Vector};
use heimdex::media::RgbPicture;
use serde_json::Value;
use unicode_normalization::UnicodeNormalization;

fn largest_difference(vector: &Vector, golden: &[f32]) -> f32 {
    assert_eq!(vector.dim(), golden.len());
    vector.as_slice().iter().zip(golden).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

fn cosine(vector: &Vector, golden: &[f32]) -> f32 {
    vector.dot(&Vector::normalize(golden.to_vec()).unwrap())
}

/// Whether a text is one that we trim and compose (NFC) first, because the reference would read
/// decomposed Hangul as unknown and a space at the end as a token: it is then what it looks like.
fn is_composed(model: &dyn TextEmbedder, text: &str, vector: &Vector) -> bool {
    let composed: String = text.trim().nfc().collect();
    if composed == text {
        return false;
    }
    let clean = model.embed(&[&composed], Role::Query).unwrap();
    assert!(largest_difference(vector, clean[0].as_slice()) <= 1e-6, "{text:?}");
    true
}

/// Each text together with the others and alone, within 5e-6. Returns how many are read in another way
/// than the reference does, on purpose.
fn texts_equal(model: &dyn TextEmbedder, texts: &[&str], golden: &[Vec<f32>]) -> usize {
    let mut composed = 0;
    let all = model.embed(texts, Role::Query).unwrap();
    for ((text, vector), golden) in texts.iter().zip(&all).zip(golden) {
        let off = largest_difference(vector, golden);
        if off > 5e-6 && is_composed(model, text, vector) {
            composed += 1;
            continue;
        }
        assert!(off <= 5e-6, "{text:?}: {off}");
        let alone = model.embed(&[text], Role::Passage).unwrap();
        assert!(largest_difference(&alone[0], golden) <= 5e-6, "{text:?} alone");
    }
    composed
}

/// Pictures within a cosine of 0.9999 from the file, and the same bits together and alone.
fn pictures_equal(model: &DualEncoder, pictures: &[RgbPicture], golden: &[Vec<f32>]) {
    let all = model.embed_images(&pictures.iter().collect::<Vec<_>>()).unwrap();
    for (i, (vector, golden)) in all.iter().zip(golden).enumerate() {
        let close = cosine(vector, golden);
        assert!(close >= 0.9999, "picture {i}: cosine {close}");
        assert_eq!(model.embed_images(&[&pictures[i]]).unwrap()[0], *vector, "picture {i} alone");
    }
}

fn tiny(name: &str) {
    let folder = fixture(name);
    let golden = json(&folder.join("golden.json"));
    let names = golden["pictures"].as_array().unwrap();
    let pictures: Vec<RgbPicture> =
        names.iter().map(|n| picture(&folder.join(n.as_str().unwrap()))).collect();
    let model = DualEncoder::open(&folder).unwrap();
    assert_eq!(texts_equal(&model, &texts(&golden), &rows(&golden["text_embeds"])), 0);
    pictures_equal(&model, &pictures, &rows(&golden["image_embeds"]));
}

#[test]
fn clip_equals_transformers() {
    tiny("tiny-clip");
}

#[test]
fn siglip2_equals_transformers() {
    tiny("tiny-siglip2");
}

/// The rows of a tensor.
fn tensor(file: &safetensors::SafeTensors<'_>, name: &str) -> Vec<Vec<f32>> {
    let tensor = file.tensor(name).unwrap();
    let values: Vec<f32> = tensor.data().as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect();
    values.chunks(values.len() / tensor.shape()[0]).map(<[f32]>::to_vec).collect()
}

/// Both generations of SigLIP: preprocessing of six pictures, twelve texts in two scripts, both towers,
/// and the probabilities that its scale and bias make of them.
fn shared_siglip(name: &str, composed: usize) {
    let Some(shared) = common::shared() else { return };
    let folder = shared.join("fixtures/models").join(name);
    let golden = json(&folder.join("golden.json"));
    let bytes = std::fs::read(folder.join("golden.safetensors")).unwrap();
    let tensors = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let model = DualEncoder::open(&folder).unwrap();
    let images = golden["images"].as_array().unwrap();
    let pictures: Vec<RgbPicture> =
        images.iter().map(|i| picture(&folder.join(i["file"].as_str().unwrap()))).collect();
    assert_eq!(texts_equal(&model, &texts(&golden), &tensor(&tensors, "text_embeds")), composed);
    pictures_equal(&model, &pictures, &tensor(&tensors, "image_embeds"));

    let calibration = model.calibration().unwrap();
    assert!((calibration.scale.ln() - golden["logit_scale"].as_f64().unwrap() as f32).abs() < 1e-5);
    assert!((calibration.bias - golden["logit_bias"].as_f64().unwrap() as f32).abs() < 1e-6);
    let probabilities = tensor(&tensors, "probabilities_per_image");
    let looks = model.embed_images(&pictures.iter().collect::<Vec<_>>()).unwrap();
    let words = model.embed(&texts(&golden), Role::Query).unwrap();
    for (look, expected) in looks.iter().zip(&probabilities) {
        for ((word, expected), text) in words.iter().zip(expected).zip(texts(&golden)) {
            if composed > 0 && text.trim().nfc().collect::<String>() != text {
                continue;
            }
            let probability = calibration.probability(look.dot(word));
            assert!((probability - expected).abs() < 0.02, "{probability} not {expected}");
        }
    }
}

#[test]
fn shared_siglip_equals_transformers() {
    shared_siglip("siglip-tiny", 0);
}

#[test]
fn shared_siglip2_equals_transformers() {
    shared_siglip("siglip2-tiny", 2);
}

/// XLM-RoBERTa: positions from 2, padding left out, the first state; Korean and English in one batch.
#[test]
fn shared_bge_m3_equals_transformers() {
    let Some(shared) = common::shared() else { return };
    let folder = shared.join("fixtures/models/bge-m3-tiny");
    let golden = json(&folder.join("golden.json"));
    let bytes = std::fs::read(folder.join("golden.safetensors")).unwrap();
    let tensors = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let model = TextEncoder::open(&folder).unwrap();
    assert_eq!(texts_equal(&model, &texts(&golden), &tensor(&tensors, "dense")), 2);
}

/// A copy of a fixture in which something is changed.
fn changed(name: &str, change: impl FnOnce(&Path)) -> heimdex::Result<DualEncoder> {
    let folder = tempfile::tempdir().unwrap();
    for file in ["config.json", "tokenizer.json", "model.safetensors", "preprocessor_config.json"] {
        std::fs::copy(fixture(name).join(file), folder.path().join(file)).unwrap();
    }
    change(folder.path());
    DualEncoder::open(folder.path())
}

fn edit(path: &Path, change: impl FnOnce(&mut Value)) {
    let mut value = json(path);
    change(&mut value);
    std::fs::write(path, value.to_string()).unwrap();
}

/// SPEC F3, O4: by name, before anything runs.
#[test]
fn what_does_not_fit_is_named() {
    type Case = (&'static str, fn(&Path), &'static str);
    let cases: [Case; 10] = [
        ("config.json", |f| edit(f, |c| c["model_type"] = "siglip3".into()), "siglip3"),
        ("config.json", |f| edit(f, |c| c["text_config"]["num_hidden_layers"] = 3.into()), "layers.2"),
        ("config.json", |f| edit(f, |c| c["vision_config"]["hidden_size"] = 8.into()), "has shape"),
        ("config.json", |f| edit(f, |c| c["vision_config"]["hidden_act"] = "relu6".into()), "relu6"),
        ("config.json", |f| edit(f, |c| c["vision_config"]["image_size"] = 64.into()), "position_embedding"),
        ("preprocessor_config.json", |f| edit(f, |c| c["size"]["height"] = 64.into()), "64"),
        ("preprocessor_config.json", |f| edit(f, |c| c["resample"] = 9.into()), "filter 9"),
        ("model.safetensors", |f| std::fs::write(f, b"not weights").unwrap(), "model.safetensors"),
        // Those of another model.
        (
            "model.safetensors",
            |f| drop(std::fs::copy(fixture("tiny-clip").join("model.safetensors"), f)),
            "tensor",
        ),
        ("preprocessor_config.json", |f| std::fs::remove_file(f).unwrap(), "preprocessor_config.json"),
    ];
    for (file, change, named) in cases {
        let error = changed("tiny-siglip2", |folder| change(&folder.join(file))).unwrap_err();
        assert!(error.to_string().contains(named), "{error} does not name {named}");
        assert!(matches!(error.kind(), ErrorKind::Model | ErrorKind::ModelMissing), "{error}");
    }
    let error = TextEncoder::open(fixture("tiny-siglip2")).unwrap_err();
    assert!(error.to_string().contains("siglip"), "{error}");
}

/// SPEC O8: one copy in a process, however often and from wherever it is opened.
#[test]
fn a_model_is_loaded_once_and_shared() {
    let models: Vec<DualEncoder> = std::thread::scope(|scope| {
        let open = || DualEncoder::open(fixture("tiny-clip")).unwrap();
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(open)).collect();
        threads.into_iter().map(|t| t.join().unwrap()).collect()
    });
    let spec = |model: &DualEncoder| std::ptr::from_ref(ImageEmbedder::spec(model));
    assert!(models.windows(2).all(|w| spec(&w[0]) == spec(&w[1])));
}

/// SPEC O1: another resize filter is another space.
#[test]
fn other_preprocessing_is_another_space() {
    let one = DualEncoder::open(fixture("tiny-siglip2")).unwrap();
    let two =
        changed("tiny-siglip2", |f| edit(&f.join("preprocessor_config.json"), |c| c["resample"] = 3.into()))
            .unwrap();
    assert_ne!(ImageEmbedder::spec(&one).space(), ImageEmbedder::spec(&two).space());
}

/// Weights in several files are those in one, and a file that the index names must be there.
#[test]
fn sharded_weights_are_read_whole() {
    let split = |folder: &Path| {
        let bytes = std::fs::read(folder.join("model.safetensors")).unwrap();
        let all = safetensors::SafeTensors::deserialize(&bytes).unwrap();
        let mut map = serde_json::Map::new();
        for (number, file) in
            ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"].iter().enumerate()
        {
            let part: Vec<_> =
                all.iter().enumerate().filter(|(i, _)| i % 2 == number).map(|(_, t)| t).collect();
            for (name, _) in &part {
                map.insert((*name).to_owned(), (*file).into());
            }
            safetensors::serialize_to_file(part, None, &folder.join(file)).unwrap();
        }
        let index = serde_json::json!({ "metadata": {}, "weight_map": map });
        std::fs::write(folder.join("model.safetensors.index.json"), index.to_string()).unwrap();
        std::fs::remove_file(folder.join("model.safetensors")).unwrap();
    };
    let whole = DualEncoder::open(fixture("tiny-clip")).unwrap();
    let sharded = changed("tiny-clip", split).unwrap();
    let text = ["a red car"];
    assert_eq!(whole.embed(&text, Role::Query).unwrap(), sharded.embed(&text, Role::Query).unwrap());
    let error = changed("tiny-clip", |folder| {
        split(folder);
        std::fs::remove_file(folder.join("model-00002-of-00002.safetensors")).unwrap();
    })
    .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ModelMissing);
    assert!(error.to_string().contains("model-00002-of-00002.safetensors"), "{error}");
}

/// Whatever file a person searches with: a vector, or an error that says what is wrong.
#[test]
fn pictures_from_outside_are_bounded() {
    for wrong in [&b""[..], b"not a picture", b"\x89PNG\r\n\x1a\n", b"GIF89a"] {
        assert_eq!(RgbPicture::decode(wrong).unwrap_err().kind(), ErrorKind::Invalid);
    }
    let whole = std::fs::read(fixture("tiny-clip").join("wide.png")).unwrap();
    assert_eq!(RgbPicture::decode(&whole[..whole.len() / 2]).unwrap_err().kind(), ErrorKind::Invalid);
    let model = DualEncoder::open(fixture("tiny-siglip2")).unwrap();
    let dot = RgbPicture { width: 1, height: 1, data: vec![200, 10, 10] };
    let line = RgbPicture { width: 5000, height: 1, data: vec![9; 15_000] };
    assert_eq!(model.embed_images(&[&dot, &line]).unwrap().len(), 2);
    let short = RgbPicture { width: 10, height: 10, data: vec![0; 7] };
    assert_eq!(model.embed_images(&[&short]).unwrap_err().kind(), ErrorKind::Invalid);
    assert!(model.embed_images(&[]).unwrap().is_empty());
}
