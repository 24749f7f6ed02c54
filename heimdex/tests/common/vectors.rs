//! Reading the goldens of models.

use std::path::{Path, PathBuf};

use heimdex::media::RgbPicture;
use serde_json::Value;

pub fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

pub fn json(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

pub fn rows(value: &Value) -> Vec<Vec<f32>> {
    let row = |row: &Value| row.as_array().unwrap().iter().map(|v| v.as_f64().unwrap() as f32).collect();
    value.as_array().unwrap().iter().map(row).collect()
}

pub fn texts(golden: &Value) -> Vec<&str> {
    golden["texts"].as_array().unwrap().iter().map(|t| t["text"].as_str().unwrap()).collect()
}

pub fn picture(path: &Path) -> RgbPicture {
    RgbPicture::decode(&std::fs::read(path).unwrap()).unwrap()
}
