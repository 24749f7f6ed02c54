//! A model's folder: files that must be whole before anything runs.

use std::collections::BTreeSet;
use std::io::Read;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};

use crate::{Error, Result};

/// Configuration files are small; what is larger is no configuration.
const MAX_CONFIG_BYTES: u64 = 64 << 20;

/// How the model is called: `ORG/NAME` where the folder says so, else the folder itself, so that it
/// is found again.
pub(super) fn model_name(folder: &Path) -> String {
    crate::models::name_of(folder)
}

/// A file of the folder, whole.
pub(super) fn read(folder: &Path, file: &str, model: &str) -> Result<Vec<u8>> {
    let path = folder.join(file);
    let missing = |e: std::io::Error| Error::model_missing(model, format!("{}: {e}", path.display()));
    let mut bytes = Vec::new();
    std::fs::File::open(&path)
        .map_err(missing)?
        .take(MAX_CONFIG_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(|e| Error::io(&path, e))?;
    if bytes.len() as u64 > MAX_CONFIG_BYTES {
        return Err(Error::model(model, format!("{file} is larger than {MAX_CONFIG_BYTES} bytes")));
    }
    Ok(bytes)
}

/// A JSON file that need not be there.
pub(super) fn optional_json(folder: &Path, file: &str) -> Option<serde_json::Value> {
    serde_json::from_slice(&std::fs::read(folder.join(file)).ok()?).ok()
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// SHA-256 over files, one after the other, hexadecimal. A single file has the hash that it is
/// published with.
pub(super) fn sha256(files: &[PathBuf]) -> Result<String> {
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    for path in files {
        let mut file = std::fs::File::open(path).map_err(|e| Error::io(path, e))?;
        loop {
            match file.read(&mut buffer).map_err(|e| Error::io(path, e))? {
                0 => break,
                n => hasher.update(&buffer[..n]),
            }
        }
    }
    Ok(hex(&hasher.finalize()))
}

/// A JSON file that must be there, as the type that it is read into.
pub(super) fn json<T: DeserializeOwned>(folder: &Path, file: &str, model: &str) -> Result<T> {
    let bytes = read(folder, file, model)?;
    serde_json::from_slice(&bytes).map_err(|e| Error::model(model, format!("{file}: {e}")))
}

/// A hash over hashes.
pub(super) fn hash(parts: &[&str]) -> String {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update(part.as_bytes());
        hasher.update([0]);
    }
    hex(&hasher.finalize())
}

/// `model.safetensors`, or the files that its index names, in order of their names; all of them there.
pub(super) fn weight_files(folder: &Path, model: &str) -> Result<Vec<PathBuf>> {
    let index = "model.safetensors.index.json";
    let single = folder.join("model.safetensors");
    if single.exists() || !folder.join(index).exists() {
        let there = |e: std::io::Error| Error::model_missing(model, format!("{}: {e}", single.display()));
        std::fs::File::open(&single).map_err(there)?;
        return Ok(vec![single]);
    }
    let content: serde_json::Value = json(folder, index, model)?;
    let map = content["weight_map"]
        .as_object()
        .ok_or_else(|| Error::model(model, format!("{index}: no weight_map")))?;
    let names: BTreeSet<&str> = map.values().filter_map(serde_json::Value::as_str).collect();
    if names.is_empty() {
        return Err(Error::model(model, format!("{index} names no files")));
    }
    let mut paths = Vec::new();
    for name in names {
        if Path::new(name).components().count() != 1 || name == ".." {
            return Err(Error::model(model, format!("{index} names `{name}`, which is not in the folder")));
        }
        let path = folder.join(name);
        std::fs::File::open(&path)
            .map_err(|e| Error::model_missing(model, format!("{}: {e}", path.display())))?;
        paths.push(path);
    }
    Ok(paths)
}
