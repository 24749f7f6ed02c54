//! Where models are: a folder given, our own data folder, or the cache of the Hugging Face hub.
//!
//! Uses errors only. Nothing is downloaded.

use std::path::{Path, PathBuf};

use crate::{Error, Result};

/// Where Heimdex keeps what it made and got: `$XDG_DATA_HOME/heimdex`, else
/// `~/.local/share/heimdex`. `None` without a home folder.
pub fn data_folder() -> Option<PathBuf> {
    let set = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    let data = set("XDG_DATA_HOME").or_else(|| Some(set("HOME")?.join(".local/share")))?;
    Some(data.join("heimdex"))
}

/// The folder for models: `HEIMDEX_MODELS`, else `models` in the data folder.
fn models_folder() -> Option<PathBuf> {
    let set = std::env::var_os("HEIMDEX_MODELS").filter(|v| !v.is_empty());
    set.map(PathBuf::from).or_else(|| Some(data_folder()?.join("models")))
}

/// The cache of the Hugging Face hub, by the variables that mean it elsewhere.
fn hub_cache() -> Option<PathBuf> {
    let set = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    set("HF_HUB_CACHE")
        .or_else(|| Some(set("HF_HOME")?.join("hub")))
        .or_else(|| Some(set("HOME")?.join(".cache/huggingface/hub")))
}

/// The folder of a model: `name` itself when it is one, else `ORG/NAME` in the folder for models or
/// in the hub's cache. `all-MiniLM-L6-v2` alone means that of sentence-transformers.
///
/// # Errors
/// [`ErrorKind::ModelMissing`](crate::ErrorKind::ModelMissing) when it is not on this machine, or
/// only a part of it is, with the places that were looked at.
pub fn resolve(name: &str) -> Result<PathBuf> {
    let given = Path::new(name);
    if given.is_dir() {
        return whole(given, name).map(|()| given.to_owned());
    }
    let full = if name.contains('/') { name.to_owned() } else { format!("sentence-transformers/{name}") };
    let plain = |part: &str| !part.is_empty() && part != "." && part != ".." && !part.contains('\\');
    if full.starts_with('/') || !full.split('/').all(plain) {
        return Err(Error::model_missing(name, "there is no such folder"));
    }
    let mut looked = Vec::new();
    let mut incomplete = None;
    let ours = models_folder().map(|folder| folder.join(&full));
    for folder in ours.into_iter().chain(snapshot(&full)) {
        if folder.is_dir() {
            match whole(&folder, name) {
                Ok(()) => return Ok(folder),
                Err(error) => incomplete = incomplete.or(Some(error)),
            }
        }
        looked.push(folder.display().to_string());
    }
    Err(incomplete.unwrap_or_else(|| {
        let places = looked.join(" and ");
        Error::model_missing(
            name,
            format!("not on this machine (looked at {places}); get it with: make model"),
        )
    }))
}

/// The snapshot of the main revision in the hub's cache.
fn snapshot(full: &str) -> Option<PathBuf> {
    let model = hub_cache()?.join(format!("models--{}", full.replace('/', "--")));
    let revision = std::fs::read_to_string(model.join("refs/main")).ok()?;
    Some(model.join("snapshots").join(revision.trim()))
}

/// A download that was cut off never counts as a model.
fn whole(folder: &Path, name: &str) -> Result<()> {
    let entries = std::fs::read_dir(folder).map_err(|e| Error::io(folder, e))?;
    for entry in entries.flatten() {
        if entry.file_name().as_encoded_bytes().ends_with(b".incomplete") {
            let message = format!("{} was not downloaded whole; get the model again", entry.path().display());
            return Err(Error::model_missing(name, message));
        }
    }
    for file in ["config.json", "tokenizer.json", "model.safetensors"] {
        let path = folder.join(file);
        if !path.metadata().is_ok_and(|m| m.is_file() && m.len() > 0) {
            return Err(Error::model_missing(name, format!("{} is missing or empty", path.display())));
        }
    }
    Ok(())
}

/// What [`resolve`] takes to find a folder again: `ORG/NAME` in the known places, else its path.
#[cfg(feature = "candle")]
pub(crate) fn name_of(folder: &Path) -> String {
    let real = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
    let ours = models_folder().and_then(|f| f.canonicalize().ok());
    if let Some(inside) = ours.and_then(|ours| real.strip_prefix(ours).ok().map(Path::to_owned)) {
        return inside.to_string_lossy().into_owned();
    }
    // The hub's cache: models--ORG--NAME/snapshots/REVISION.
    let model = folder.parent().and_then(Path::parent).and_then(Path::file_name).and_then(|n| n.to_str());
    match model.and_then(|n| n.strip_prefix("models--")) {
        Some(name) => name.replacen("--", "/", 1),
        None => real.to_string_lossy().into_owned(),
    }
}
