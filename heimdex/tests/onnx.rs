//! ONNX Runtime gives the vectors of transformers, and says what it lacks.
#![cfg(feature = "onnx")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr, missing_docs)]

mod common;

use std::path::{Path, PathBuf};
use std::process::Command;

use common::vectors::{fixture, json, picture, rows, texts};
use heimdex::ErrorKind;
use heimdex::embed::{
    Backend, DualEncoder, ImageEmbedder, ModelOptions, Precision, Provider, Role, TextEmbedder, TextEncoder,
    Vector,
};
use heimdex::media::RgbPicture;
use serde_json::Value;
use unicode_normalization::UnicodeNormalization;

/// The library of `ORT_DYLIB_PATH`, else that of `dev/onnxruntime`. Without either a test is skipped, or
/// fails where the library must be there.
fn library() -> Option<PathBuf> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let cache = set("XDG_CACHE_HOME").or_else(|| std::env::home_dir().map(|home| home.join(".cache")));
    let ours = cache.map(|cache| cache.join("heimdex/onnxruntime/1.31.1/onnxruntime")).filter(|f| f.is_dir());
    let found = set("ORT_DYLIB_PATH").or(ours);
    if found.is_none() {
        assert!(
            set("HEIMDEX_REQUIRE_ONNXRUNTIME").is_none(),
            "ONNX Runtime is not on this machine: dev/onnxruntime"
        );
        eprintln!("ONNX Runtime is not here (dev/onnxruntime gets it); skipped");
    }
    found
}

fn options(precision: Precision) -> Option<ModelOptions> {
    let mut options = ModelOptions::of(Backend::Onnx);
    options.library = Some(library()?);
    options.precision = precision;
    Some(options)
}

/// A data folder of the test `name`'s own, in a process of its own; `None` where that has run.
fn own_data_folder(name: &str) -> Option<PathBuf> {
    const VARIABLE: &str = "HEIMDEX_TEST_OWN_DATA";
    if let Some(folder) = std::env::var_os(VARIABLE) {
        return Some(folder.into());
    }
    let folder = tempfile::tempdir().unwrap();
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture"])
        .envs(["XDG_DATA_HOME", VARIABLE].map(|variable| (variable, folder.path())))
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    eprintln!("{text}");
    assert!(output.status.success(), "{text}");
    None
}

fn difference(vector: &Vector, golden: &[f32]) -> f32 {
    assert_eq!(vector.dim(), golden.len());
    vector.as_slice().iter().zip(golden).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

fn lowest_cosine(vectors: &[Vector], golden: &[Vec<f32>]) -> f32 {
    assert_eq!(vectors.len(), golden.len());
    let cosine =
        |(vector, golden): (&Vector, &Vec<f32>)| vector.dot(&Vector::normalize(golden.clone()).unwrap());
    vectors.iter().zip(golden).map(cosine).fold(f32::INFINITY, f32::min)
}

/// Within 5e-6, together and alone. What we trim and compose first is the composed text's.
fn texts_equal(model: &dyn TextEmbedder, texts: &[&str], golden: &[Vec<f32>]) {
    let all = model.embed(texts, Role::Passage).unwrap();
    assert_eq!(all.len(), golden.len());
    for ((text, vector), golden) in texts.iter().zip(&all).zip(golden) {
        let composed: String = text.trim().nfc().collect();
        if composed != *text {
            let alone = model.embed(&[&composed], Role::Passage).unwrap();
            assert!(difference(vector, alone[0].as_slice()) <= 5e-6, "{text:?}");
            continue;
        }
        let alone = model.embed(&[text], Role::Passage).unwrap();
        for vector in [vector, &alone[0]] {
            let off = difference(vector, golden);
            assert!(off <= 5e-6, "{text:?}: {off}");
        }
    }
}

/// A picture's vector is the same bits whatever is beside it.
fn alone_is_together(model: &DualEncoder, pictures: &[RgbPicture], together: &[Vector]) {
    for (picture, vector) in pictures.iter().zip(together) {
        assert_eq!(model.embed_images(&[picture]).unwrap()[0], *vector);
    }
}

fn tiny_pictures() -> (Value, Vec<RgbPicture>) {
    let folder = fixture("tiny-siglip2");
    let golden = json(&folder.join("golden.json"));
    let names = golden["pictures"].as_array().unwrap();
    let pictures = names.iter().map(|n| picture(&folder.join(n.as_str().unwrap()))).collect();
    (golden, pictures)
}

#[test]
fn siglip2_equals_transformers() {
    let Some(options) = options(Precision::F32) else { return };
    let (golden, pictures) = tiny_pictures();
    let model = DualEncoder::open_with(fixture("tiny-siglip2"), &options).unwrap();
    texts_equal(&model, &texts(&golden), &rows(&golden["text_embeds"]));
    let looks = model.embed_images(&pictures.iter().collect::<Vec<_>>()).unwrap();
    let cosine = lowest_cosine(&looks, &rows(&golden["image_embeds"]));
    assert!(cosine >= 0.9999, "cosine {cosine}");
    alone_is_together(&model, &pictures, &looks);
    let spec = ImageEmbedder::spec(&model);
    assert_eq!((spec.precision, spec.cosine_to_f32), (None, None));
    let calibration = model.calibration().unwrap();
    assert!((calibration.scale.ln() - 4.7).abs() < 1e-5 && (calibration.bias + 16.5).abs() < 1e-6);
    assert!(model.embed_images(&[]).unwrap().is_empty());
}

/// Every provider that the library has gives the vectors of transformers; one that it does not have is never
/// silently replaced.
#[test]
fn providers_equal_transformers_or_are_refused() {
    let Some(mut options) = options(Precision::F32) else { return };
    let (golden, pictures) = tiny_pictures();
    let mut refused = 0;
    for (provider, name) in [
        (Provider::OpenVino, "OpenVINOExecutionProvider"),
        (Provider::Cuda, "CUDAExecutionProvider"),
        (Provider::CoreMl, "CoreMLExecutionProvider"),
    ] {
        options.provider = provider;
        let model = match DualEncoder::open_with(fixture("tiny-siglip2"), &options) {
            Ok(model) => model,
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Model);
                assert!(error.to_string().contains(&format!("{name} is not in")), "{error}");
                assert!(error.to_string().contains("CPUExecutionProvider"), "{error}");
                refused += 1;
                continue;
            }
        };
        let looks = model.embed_images(&pictures.iter().collect::<Vec<_>>()).unwrap();
        let cosine = lowest_cosine(&looks, &rows(&golden["image_embeds"]));
        eprintln!("tiny-siglip2 on {provider:?}: cosine {cosine}");
        assert!(cosine >= 0.9999, "{provider:?}: cosine {cosine}");
    }
    assert!(refused >= 1, "no build has the accelerators of all makers");
}

/// SPEC F7: 8 and 16 bits are near, and it is recorded how near.
#[test]
fn other_precisions_are_near_and_measured() {
    let Some(data) = own_data_folder("other_precisions_are_near_and_measured") else { return };
    let (golden, pictures) = tiny_pictures();
    let golden = rows(&golden["image_embeds"]);
    let mut spaces = Vec::new();
    for (precision, least) in [(Precision::F32, 0.9999), (Precision::F16, 0.999), (Precision::Int8, 0.99)] {
        let Some(options) = options(precision) else { return };
        let model = DualEncoder::open_with(fixture("tiny-siglip2"), &options).unwrap();
        let looks = model.embed_images(&pictures.iter().collect::<Vec<_>>()).unwrap();
        let cosine = lowest_cosine(&looks, &golden);
        let spec = ImageEmbedder::spec(&model);
        eprintln!("tiny-siglip2 {precision:?}: cosine {cosine}, measured at load {:?}", spec.cosine_to_f32);
        assert!(cosine >= least, "{precision:?}: cosine {cosine}");
        assert_eq!(spec.cosine_to_f32.is_some(), precision != Precision::F32);
        assert!(spec.cosine_to_f32.is_none_or(|measured| measured >= least), "{spec:?}");
        assert_eq!(spec.precision, Some(precision).filter(|p| *p != Precision::F32));
        alone_is_together(&model, &pictures, &looks);
        // The text tower is there in 32 bits only.
        assert_eq!(model.embed(&["a red car in the rain"], Role::Query).unwrap()[0].dim(), spec.dim);
        spaces.push(spec.space());
    }
    spaces.dedup();
    assert_eq!(spaces.len(), 3, "other weights are another space");

    // It is measured once: the next process reads what was kept, if it is whole.
    let kept: Vec<_> = std::fs::read_dir(data.join("heimdex/precision")).unwrap().flatten().collect();
    assert_eq!(kept.len(), 2, "{kept:?}");
    let measured = || {
        let model = DualEncoder::open_with(fixture("tiny-siglip2"), &options(Precision::Int8).unwrap());
        ImageEmbedder::spec(&model.unwrap()).cosine_to_f32.unwrap()
    };
    let before = measured();
    for file in &kept {
        std::fs::write(file.path(), "0.5\n").unwrap();
    }
    assert_eq!(measured().to_bits(), 0.5_f32.to_bits());
    for file in &kept {
        std::fs::write(file.path(), "0.5").unwrap();
    }
    assert_eq!(measured().to_bits(), before.to_bits());
}

/// Projections, and texts of several lengths in one batch.
#[test]
fn clip_equals_transformers() {
    let Some(options) = options(Precision::F32) else { return };
    let folder = fixture("tiny-clip");
    let golden = json(&folder.join("golden.json"));
    let names = golden["pictures"].as_array().unwrap();
    let pictures: Vec<RgbPicture> =
        names.iter().map(|n| picture(&folder.join(n.as_str().unwrap()))).collect();
    let model = DualEncoder::open_with(&folder, &options).unwrap();
    texts_equal(&model, &texts(&golden), &rows(&golden["text_embeds"]));
    let looks = model.embed_images(&pictures.iter().collect::<Vec<_>>()).unwrap();
    let cosine = lowest_cosine(&looks, &rows(&golden["image_embeds"]));
    assert!(cosine >= 0.9999, "cosine {cosine}");
    assert_eq!(model.calibration(), None);
}

#[test]
fn bert_equals_transformers() {
    let Some(options) = options(Precision::F32) else { return };
    let golden = json(&fixture("tiny-bert").join("golden.json"));
    let model = TextEncoder::open_with(fixture("tiny-bert"), &options).unwrap();
    texts_equal(&model, &texts(&golden), &rows(&golden["embeddings"]));
}

#[test]
fn bert_in_8_bits_is_near_and_measured() {
    let Some(_) = own_data_folder("bert_in_8_bits_is_near_and_measured") else { return };
    let Some(options) = options(Precision::Int8) else { return };
    let golden = json(&fixture("tiny-bert").join("golden.json"));
    let texts = texts(&golden);
    let model = TextEncoder::open_with(fixture("tiny-bert"), &options).unwrap();
    let vectors = model.embed(&texts, Role::Passage).unwrap();
    let cosine = lowest_cosine(&vectors, &rows(&golden["embeddings"]));
    eprintln!("tiny-bert Int8: cosine {cosine}, measured at load {:?}", model.spec().cosine_to_f32);
    assert!(cosine >= 0.99 && model.spec().cosine_to_f32.unwrap() >= 0.99, "{cosine} {:?}", model.spec());
    for (text, vector) in texts.iter().zip(&vectors) {
        assert_eq!(model.embed(&[text], Role::Passage).unwrap()[0], *vector, "{text:?} alone");
    }
}

/// The rows of a tensor.
fn tensor(file: &safetensors::SafeTensors<'_>, name: &str) -> Vec<Vec<f32>> {
    let tensor = file.tensor(name).unwrap();
    let values: Vec<f32> = tensor.data().as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect();
    values.chunks(values.len() / tensor.shape()[0]).map(<[f32]>::to_vec).collect()
}

#[test]
fn shared_siglip_equals_transformers() {
    let Some(_) = own_data_folder("shared_siglip_equals_transformers") else { return };
    let (Some(shared), Some(f32), Some(int8)) =
        (common::shared(), options(Precision::F32), options(Precision::Int8))
    else {
        return;
    };
    let folder = shared.join("fixtures/models/siglip-tiny");
    let golden = json(&folder.join("golden.json"));
    let bytes = std::fs::read(folder.join("golden.safetensors")).unwrap();
    let tensors = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let images = golden["images"].as_array().unwrap();
    let pictures: Vec<RgbPicture> =
        images.iter().map(|i| picture(&folder.join(i["file"].as_str().unwrap()))).collect();
    let pictures: Vec<&RgbPicture> = pictures.iter().collect();

    let model = DualEncoder::open_with(&folder, &f32).unwrap();
    texts_equal(&model, &texts(&golden), &tensor(&tensors, "text_embeds"));
    let cosine = lowest_cosine(&model.embed_images(&pictures).unwrap(), &tensor(&tensors, "image_embeds"));
    eprintln!("siglip-tiny F32: cosine {cosine}");
    assert!(cosine >= 0.9999, "cosine {cosine}");
    let calibration = model.calibration().unwrap();
    assert!((calibration.scale.ln() - golden["logit_scale"].as_f64().unwrap() as f32).abs() < 1e-5);

    let model = DualEncoder::open_with(&folder, &int8).unwrap();
    let cosine = lowest_cosine(&model.embed_images(&pictures).unwrap(), &tensor(&tensors, "image_embeds"));
    let measured = ImageEmbedder::spec(&model).cosine_to_f32.unwrap();
    eprintln!("siglip-tiny Int8: cosine {cosine}, measured at load {measured}");
    assert!(cosine >= 0.99 && measured >= 0.99, "cosine {cosine}, measured {measured}");
}

#[cfg(feature = "candle")]
#[test]
fn both_backends_agree() {
    let Some(options) = options(Precision::F32) else { return };
    let (golden, pictures) = tiny_pictures();
    let pictures: Vec<&RgbPicture> = pictures.iter().collect();
    let onnx = DualEncoder::open_with(fixture("tiny-siglip2"), &options).unwrap();
    let candle = DualEncoder::open(fixture("tiny-siglip2")).unwrap();
    let texts = texts(&golden);
    let pairs = [
        (onnx.embed(&texts, Role::Query).unwrap(), candle.embed(&texts, Role::Query).unwrap()),
        (onnx.embed_images(&pictures).unwrap(), candle.embed_images(&pictures).unwrap()),
    ];
    for (ours, theirs) in pairs.iter().flat_map(|(a, b)| a.iter().zip(b)) {
        let off = difference(ours, theirs.as_slice());
        assert!(off <= 1e-5, "{off}");
    }
    assert_eq!(onnx.calibration().unwrap().bias.to_bits(), candle.calibration().unwrap().bias.to_bits());
    assert_ne!(ImageEmbedder::spec(&onnx).space(), ImageEmbedder::spec(&candle).space());

    // The first state in place of the mean.
    let folder = copy("tiny-bert");
    std::fs::create_dir(folder.path().join("1_Pooling")).unwrap();
    let pooling = serde_json::json!({ "pooling_mode_cls_token": true, "pooling_mode_mean_tokens": false });
    std::fs::write(folder.path().join("1_Pooling/config.json"), pooling.to_string()).unwrap();
    let onnx = TextEncoder::open_with(folder.path(), &options).unwrap();
    let candle = TextEncoder::open(folder.path()).unwrap();
    let theirs: Vec<Vec<f32>> =
        candle.embed(&texts, Role::Passage).unwrap().into_iter().map(Vec::from).collect();
    for (ours, theirs) in onnx.embed(&texts, Role::Passage).unwrap().iter().zip(&theirs) {
        assert!(difference(ours, theirs) <= 1e-5);
    }

    let mut asked = ModelOptions::of(Backend::Candle);
    asked.precision = Precision::Int8;
    assert_eq!(
        DualEncoder::open_with(fixture("tiny-siglip2"), &asked).unwrap_err().kind(),
        ErrorKind::Invalid
    );
}

/// A copy of a fixture and its exports.
fn copy(name: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for inside in ["", "onnx"] {
        std::fs::create_dir_all(folder.path().join(inside)).unwrap();
        for entry in std::fs::read_dir(fixture(name).join(inside)).unwrap() {
            let path = entry.unwrap().path();
            if path.is_file() {
                std::fs::copy(&path, folder.path().join(inside).join(path.file_name().unwrap())).unwrap();
            }
        }
    }
    folder
}

/// tiny-siglip2 in which something is changed.
fn changed(options: &ModelOptions, change: impl FnOnce(&Path)) -> heimdex::Result<DualEncoder> {
    let folder = copy("tiny-siglip2");
    change(folder.path());
    DualEncoder::open_with(folder.path(), options)
}

fn edit(path: &Path, change: impl FnOnce(&mut Value)) {
    let mut value = json(path);
    change(&mut value);
    std::fs::write(path, value.to_string()).unwrap();
}

/// SPEC F3, O4: by name, before anything runs.
#[test]
fn what_does_not_fit_is_named() {
    type Case = (Precision, fn(&Path), ErrorKind, &'static [&'static str]);
    let cases: [Case; 10] = [
        (
            Precision::F32,
            |f| std::fs::remove_file(f.join("onnx/vision_model.onnx")).unwrap(),
            ErrorKind::ModelMissing,
            &["onnx/vision_model.onnx"],
        ),
        (
            Precision::F32,
            |f| std::fs::remove_file(f.join("onnx/text_model.onnx")).unwrap(),
            ErrorKind::ModelMissing,
            &["onnx/text_model.onnx"],
        ),
        (
            Precision::Int8,
            |f| std::fs::remove_file(f.join("onnx/vision_model_int8.onnx")).unwrap(),
            ErrorKind::ModelMissing,
            &["onnx/vision_model_int8.onnx", "onnx/vision_model_quantized.onnx"],
        ),
        (
            Precision::F16,
            |f| std::fs::remove_file(f.join("onnx/vision_model_fp16.onnx_data")).unwrap(),
            ErrorKind::ModelMissing,
            &["onnx/vision_model_fp16.onnx_data"],
        ),
        (
            Precision::F16,
            |f| {
                let path = f.join("onnx/vision_model_fp16.onnx");
                let mut bytes = std::fs::read(&path).unwrap();
                let (name, outside) = (b"vision_model_fp16.onnx_data", b"../ion_model_fp16.onnx_data");
                for at in 0..bytes.len() - name.len() {
                    if bytes[at..].starts_with(name) {
                        bytes[at..at + name.len()].copy_from_slice(outside);
                    }
                }
                std::fs::write(path, bytes).unwrap();
            },
            ErrorKind::Model,
            &["../ion_model_fp16.onnx_data", "not beside it"],
        ),
        (
            Precision::F32,
            |f| {
                std::fs::copy(f.join("onnx/text_model.onnx"), f.join("onnx/vision_model.onnx")).unwrap();
            },
            ErrorKind::Model,
            &["onnx/vision_model.onnx", "`pixel_values`", "takes input_ids", "pooler_output"],
        ),
        (
            Precision::F32,
            |f| {
                edit(&f.join("config.json"), |c| c["vision_config"]["image_size"] = 40.into());
                edit(&f.join("preprocessor_config.json"), |p| {
                    p["size"] = serde_json::json!({ "height": 40, "width": 40 });
                });
            },
            ErrorKind::Model,
            &["`pixel_values`", "36", "40"],
        ),
        (
            Precision::Int8,
            |f| edit(&f.join("preprocessor_config.json"), |p| p["size"]["height"] = 64.into()),
            ErrorKind::Model,
            &["36 x 64", "36 x 36"],
        ),
        (
            Precision::F32,
            |f| {
                edit(&f.join("config.json"), |c| {
                    c["vision_config"]["hidden_size"] = 24.into();
                    c["text_config"]["projection_size"] = 24.into();
                });
            },
            ErrorKind::Model,
            &["onnx/vision_model.onnx gives", "16", "24"],
        ),
        (
            Precision::F32,
            |f| edit(&f.join("config.json"), |c| c["text_config"]["max_position_embeddings"] = 32.into()),
            ErrorKind::Model,
            &["onnx/text_model.onnx", "24", "32"],
        ),
    ];
    for (precision, change, kind, named) in cases {
        let Some(options) = options(precision) else { return };
        let error = changed(&options, change).unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        for named in named {
            assert!(error.to_string().contains(named), "{error} does not name {named}");
        }
    }
}

/// Part of a message in the format of protocol buffers.
fn field(number: u8, content: &[u8]) -> Vec<u8> {
    let mut bytes = vec![number << 3 | 2, u8::try_from(content.len()).unwrap()];
    bytes.extend_from_slice(content);
    bytes
}

/// Without the published weights, from an export of both towers; without that, `None`.
#[test]
fn calibration_comes_from_what_is_there() {
    let Some(options) = options(Precision::F32) else { return };
    let without = |folder: &Path| std::fs::remove_file(folder.join("model.safetensors")).unwrap();
    assert_eq!(changed(&options, without).unwrap().calibration(), None);
    let model = changed(&options, |folder| {
        without(folder);
        let value = |name: &str, value: f32| {
            let float = [2 << 3, 1];
            let tensor = [&float[..], &field(8, name.as_bytes()), &field(9, &value.to_le_bytes())].concat();
            field(5, &tensor)
        };
        let graph = [value("logit_scale", 2.0), value("logit_bias", -3.5)].concat();
        std::fs::write(folder.join("onnx/model.onnx"), field(7, &graph)).unwrap();
    });
    let calibration = model.unwrap().calibration().unwrap();
    assert!((calibration.scale - 2.0_f32.exp()).abs() < 1e-5 && (calibration.bias + 3.5).abs() < 1e-6);
}

/// The child of `without_a_library_the_error_says_what_to_do`: a process loads one library, so those that
/// find none are processes of their own.
#[test]
#[ignore = "a child of another test"]
fn child_opens_a_model() {
    let mut options = ModelOptions::of(Backend::Onnx);
    options.library = std::env::var_os("CHILD_LIBRARY").map(PathBuf::from);
    match TextEncoder::open_with(fixture("tiny-bert"), &options) {
        Ok(_) => eprintln!("opened"),
        Err(error) => eprintln!("{}: {error}", error.kind()),
    }
}

fn child(variable: Option<&Path>, library: Option<&Path>) -> String {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "child_opens_a_model", "--ignored", "--nocapture"]);
    command.env_remove("ORT_DYLIB_PATH").env_remove("CHILD_LIBRARY");
    command.envs(variable.map(|path| ("ORT_DYLIB_PATH", path)));
    command.envs(library.map(|path| ("CHILD_LIBRARY", path)));
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{text}");
    assert!(!text.contains("panicked"), "{text}");
    text
}

#[test]
fn without_a_library_the_error_says_what_to_do() {
    let nowhere = Path::new("/nowhere/libonnxruntime.so");
    let no_library = fixture("tiny-bert/config.json");
    let system = if cfg!(windows) { "onnxruntime.dll" } else { "libonnxruntime." };
    let cases = [
        (Some(nowhere), None, "ORT_DYLIB_PATH /nowhere/libonnxruntime.so"),
        // The variable comes first.
        (Some(nowhere), Some(no_library.as_path()), "ORT_DYLIB_PATH /nowhere/libonnxruntime.so"),
        (None, Some(nowhere), "the option `library` /nowhere/libonnxruntime.so"),
        (None, Some(no_library.as_path()), "tiny-bert/config.json"),
        (None, None, system),
    ];
    for (variable, library, named) in cases {
        let text = child(variable, library);
        if variable.is_none() && library.is_none() && text.contains("opened") {
            continue;
        }
        assert!(text.contains("model: "), "{text}");
        for named in [named, "pip install onnxruntime", "ORT_DYLIB_PATH=", "capi/"] {
            assert!(text.contains(named), "{text} does not name {named}");
        }
    }
}

/// Another library, such as the one beside it in the package, is an error and no crash.
#[test]
fn another_library_is_refused() {
    let Some(library) = library() else { return };
    let folder = if library.is_dir() { library.join("capi") } else { library.parent().unwrap().to_owned() };
    let other = folder.join("libonnxruntime_providers_shared.so");
    if other.is_file() {
        let text = child(Some(&other), None);
        assert!(text.contains("OrtGetApiBase"), "{text}");
    }
    // The package's folder is as good as the file in it.
    let text = child(None, Some(&folder));
    assert!(text.contains("opened"), "{text}");
}
