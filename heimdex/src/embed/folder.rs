//! A model's folder: files that must be whole before anything runs.

use std::collections::HashMap;
use std::io::Read;
use std::path::Path;

use candle_core::safetensors::MmapedSafetensors;
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

/// The weights, mapped into memory.
pub(super) struct Weights {
    pub(super) tensors: MmapedSafetensors,
    pub(super) sha256: String,
}

impl Weights {
    pub(super) fn open(folder: &Path, model: &str) -> Result<Self> {
        let path = folder.join("model.safetensors");
        let file = std::fs::File::open(&path)
            .map_err(|e| Error::model_missing(model, format!("{}: {e}", path.display())))?;
        let sha256 = sha256(file, &path)?;
        // SAFETY: the file is only read; as with every mapped file, who changes it meanwhile
        // changes the weights.
        let tensors = unsafe { MmapedSafetensors::new(&path) }.map_err(|e| {
            Error::model(model, format!("model.safetensors is damaged or not whole; get it again ({e})"))
        })?;
        Ok(Self { tensors, sha256 })
    }

    /// Fails with the name of the first tensor that is missing or of another shape.
    pub(super) fn require(&self, tensors: &[(String, Vec<usize>)], model: &str) -> Result<()> {
        let held: HashMap<String, Vec<usize>> =
            self.tensors.tensors().into_iter().map(|(name, view)| (name, view.shape().to_vec())).collect();
        for (name, shape) in tensors {
            match held.get(name).or_else(|| held.get(&format!("bert.{name}"))) {
                None => return Err(Error::model(model, format!("tensor {name} is missing"))),
                Some(found) if found != shape => {
                    let message = format!("tensor {name} has shape {found:?}, not {shape:?}");
                    return Err(Error::model(model, message));
                }
                Some(_) => {}
            }
        }
        Ok(())
    }
}

fn sha256(mut file: std::fs::File, path: &Path) -> Result<String> {
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        match file.read(&mut buffer).map_err(|e| Error::io(path, e))? {
            0 => return Ok(hex(&hasher.finalize())),
            n => hasher.update(&buffer[..n]),
        }
    }
}
