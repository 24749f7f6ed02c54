//! Where models are: a folder given, our own data folder, or the cache of the Hugging Face hub; and
//! which files make one whole.

use std::io::Read;
use std::path::{Path, PathBuf};

use super::known::KnownModel;
use crate::{Error, Result};

/// Where Heimdex keeps what it made and got: `$XDG_DATA_HOME/heimdex`, else
/// `~/.local/share/heimdex`. `None` without a home folder.
pub fn data_folder() -> Option<PathBuf> {
    let data = set("XDG_DATA_HOME").or_else(|| Some(set("HOME")?.join(".local/share")))?;
    Some(data.join("heimdex"))
}

/// The folders that models are looked for in.
#[derive(Debug, Clone, Default)]
pub(super) struct Places {
    /// For models put there by hand, as `ORG/NAME`.
    pub(super) models: Option<PathBuf>,
    /// The cache of the Hugging Face hub.
    pub(super) cache: Option<PathBuf>,
}

impl Places {
    /// By the variables that mean it here and elsewhere.
    pub(super) fn from_env() -> Self {
        let models = set("HEIMDEX_MODELS").or_else(|| Some(data_folder()?.join("models")));
        Self { models, cache: hub_cache() }
    }
}

pub(super) fn set(name: &str) -> Option<PathBuf> {
    std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from)
}

/// The folder of the Hugging Face tools, which also holds the token.
pub(super) fn hf_home() -> Option<PathBuf> {
    let cache = || set("XDG_CACHE_HOME").or_else(|| Some(set("HOME")?.join(".cache")));
    set("HF_HOME").or_else(|| Some(cache()?.join("huggingface")))
}

fn hub_cache() -> Option<PathBuf> {
    set("HF_HUB_CACHE").or_else(|| Some(hf_home()?.join("hub")))
}

/// One place of a model.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) folder: PathBuf,
    /// The model, where the folder is the snapshot of its pinned revision: every file and size of
    /// it is then known.
    pub(super) pinned: Option<&'static KnownModel>,
}

/// `ORG/NAME` of a name, which may be short.
pub(super) fn full_name(name: &str) -> Result<String> {
    let full = match KnownModel::find(name) {
        Some(known) => known.repo.to_owned(),
        None if name.contains('/') => name.to_owned(),
        None => format!("sentence-transformers/{name}"),
    };
    let plain = |part: &str| !part.is_empty() && part != "." && part != ".." && !part.contains('\\');
    if full.starts_with('/') || !full.split('/').all(plain) {
        return Err(Error::model_missing(name, "there is no such folder"));
    }
    Ok(full)
}

/// Where the model may be, best first.
pub(super) fn places(name: &str, places: &Places) -> Result<Vec<Place>> {
    let full = full_name(name)?;
    let known = KnownModel::find(name);
    let mut found = Vec::new();
    if let Some(models) = &places.models {
        found.push(Place { folder: models.join(&full), pinned: None });
    }
    if let Some(cache) = &places.cache {
        let model = repo_folder(cache, &full);
        let pinned = known.and_then(|k| Some((k, k.revision?)));
        if let Some((known, revision)) = pinned {
            found.push(Place { folder: model.join("snapshots").join(revision), pinned: Some(known) });
        }
        if let Some(folder) = main_snapshot(&model)
            && found.iter().all(|place| place.folder != folder)
        {
            found.push(Place { folder, pinned: None });
        }
    }
    Ok(found)
}

/// The snapshot of one revision.
#[cfg(feature = "hub")]
pub(super) fn at(full: &str, revision: &str, known: Option<&'static KnownModel>, cache: &Path) -> Vec<Place> {
    let model = repo_folder(cache, full);
    let commit = std::fs::read_to_string(model.join("refs").join(revision));
    let commit = commit.map_or_else(|_| revision.to_owned(), |c| c.trim().to_owned());
    let pinned = known.filter(|k| k.revision == Some(commit.as_str()));
    vec![Place { folder: model.join("snapshots").join(commit), pinned }]
}

/// Every snapshot of a repository.
#[cfg(feature = "hub")]
pub(super) fn snapshots(full: &str, cache: &Path) -> Vec<Place> {
    let entries = std::fs::read_dir(repo_folder(cache, full).join("snapshots"));
    let folders = entries.into_iter().flatten().flatten().map(|e| e.path());
    let mut places: Vec<_> = folders.map(|folder| Place { folder, pinned: None }).collect();
    places.sort_by(|a, b| a.folder.cmp(&b.folder));
    places
}

/// The folder of a repository in the hub's cache.
pub(super) fn repo_folder(cache: &Path, full: &str) -> PathBuf {
    cache.join(format!("models--{}", full.replace('/', "--")))
}

/// The snapshot of the main revision in the hub's cache.
fn main_snapshot(model: &Path) -> Option<PathBuf> {
    let revision = std::fs::read_to_string(model.join("refs/main")).ok()?;
    Some(model.join("snapshots").join(revision.trim()))
}

/// The folder of a model, or its file where it is one file.
pub(super) fn find(name: &str, among: &Places) -> Result<PathBuf> {
    let given = Path::new(name);
    if given.is_dir() {
        return whole(given, name).map(|()| given.to_owned());
    }
    if given.is_file() {
        return ggml(given, None, name).map(|()| given.to_owned());
    }
    let known = KnownModel::find(name);
    let mut looked = Vec::new();
    let mut incomplete = None;
    for Place { folder, pinned } in places(name, among)? {
        let path = match known.and_then(KnownModel::ggml) {
            Some(file) => folder.join(file),
            None => folder,
        };
        if path.exists() {
            match check(&path, known, pinned, name) {
                Ok(()) => return Ok(path),
                Err(error) => incomplete = incomplete.or(Some(error)),
            }
        }
        looked.push(path.display().to_string());
    }
    Err(incomplete.unwrap_or_else(|| {
        let places = looked.join(" and ");
        let message =
            format!("not on this machine (looked at {places}); get it with: heimdex models pull {name}");
        Error::model_missing(name, message)
    }))
}

/// Fails when a known model's file, or any model's folder, is not whole.
pub(super) fn check(
    path: &Path,
    known: Option<&KnownModel>,
    pinned: Option<&KnownModel>,
    name: &str,
) -> Result<()> {
    if known.is_some_and(|k| k.ggml().is_some()) {
        return ggml(path, pinned.and_then(|p| p.files[0].bytes), name);
    }
    whole(path, name)?;
    // A pull that was stopped between files leaves a folder that looks like a model.
    for file in pinned.map_or(&[][..], |p| p.files) {
        present(&path.join(file.path), file.bytes, name)?;
    }
    Ok(())
}

/// A download that was cut off never counts as a model.
fn whole(folder: &Path, name: &str) -> Result<()> {
    let entries = std::fs::read_dir(folder).map_err(|e| Error::io(folder, e))?;
    let mut speech = Vec::new();
    for entry in entries.flatten() {
        let file = entry.file_name();
        if file.as_encoded_bytes().ends_with(b".incomplete") {
            let message = format!("{} was not downloaded whole; get the model again", entry.path().display());
            return Err(Error::model_missing(name, message));
        }
        if file.to_str().is_some_and(|f| f.strip_suffix(".bin").is_some_and(|f| f.starts_with("ggml-"))) {
            speech.push(entry.path());
        }
    }
    if !speech.is_empty() && !folder.join("config.json").exists() {
        return speech.iter().try_for_each(|file| ggml(file, None, name));
    }
    for file in ["config.json", "tokenizer.json"] {
        present(&folder.join(file), None, name)?;
    }
    let index = folder.join("model.safetensors.index.json");
    let exported = || {
        let entries = std::fs::read_dir(folder.join("onnx")).into_iter().flatten().flatten();
        let mut paths = entries.map(|entry| entry.path());
        paths.find(|path| path.extension().is_some_and(|ending| ending == "onnx"))
    };
    if !index.exists()
        && !folder.join("model.safetensors").exists()
        && let Some(export) = exported()
    {
        // Which of them are needed, and what they refer to, is the loader's to judge.
        return present(&export, None, name);
    }
    if folder.join("model.safetensors").exists() || !index.exists() {
        return weights(&folder.join("model.safetensors"), name);
    }
    shards(&index, name)?.iter().try_for_each(|shard| weights(&folder.join(shard), name))
}

fn present(path: &Path, bytes: Option<u64>, name: &str) -> Result<()> {
    match path.metadata() {
        Ok(m) if m.is_file() && m.len() > 0 => match bytes {
            Some(bytes) if m.len() != bytes => {
                let message = format!("{} has {} bytes, not {bytes}", path.display(), m.len());
                Err(Error::model_missing(name, format!("{message}; get the model again")))
            }
            _ => Ok(()),
        },
        _ => Err(Error::model_missing(name, format!("{} is missing or empty", path.display()))),
    }
}

/// Weights that are as long as they say; what they hold is the loader's to judge.
fn weights(path: &Path, name: &str) -> Result<()> {
    present(path, None, name)?;
    let found = path.metadata().map_or(0, |m| m.len());
    match stated_length(path) {
        Some(stated) if found < stated => {
            let message = format!("{} ends after {found} of {stated} bytes", path.display());
            Err(Error::model_missing(name, format!("{message}; get the model again")))
        }
        _ => Ok(()),
    }
}

/// How long a safetensors file says to be: its header ends with the last tensor's end.
fn stated_length(path: &Path) -> Option<u64> {
    const MAX_HEADER_BYTES: u64 = 100 << 20;
    let mut file = std::fs::File::open(path).ok()?;
    let mut length = [0; 8];
    file.read_exact(&mut length).ok()?;
    let length = u64::from_le_bytes(length);
    if length > MAX_HEADER_BYTES {
        return None;
    }
    let mut header = Vec::new();
    file.take(length).read_to_end(&mut header).ok()?;
    let header: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(&header).ok()?;
    let ends = header.values().filter_map(|tensor| tensor.get("data_offsets")?.get(1)?.as_u64());
    ends.max()?.checked_add(8 + length)
}

/// The files that an index of shards names.
fn shards(index: &Path, name: &str) -> Result<std::collections::BTreeSet<String>> {
    const MAX_INDEX_BYTES: u64 = 64 << 20;
    let broken = |what: &str| Error::model_missing(name, format!("{}: {what}", index.display()));
    let file = std::fs::File::open(index).map_err(|e| Error::io(index, e))?;
    let index: serde_json::Value = serde_json::from_reader(file.take(MAX_INDEX_BYTES))
        .map_err(|e| broken(&format!("not the index of a model ({e}); get the model again")))?;
    let map = index["weight_map"].as_object().filter(|map| !map.is_empty());
    let map = map.ok_or_else(|| broken("it names no weights"))?;
    let plain = |f: &&str| !f.is_empty() && *f != ".." && !f.contains(['/', '\\']);
    map.values()
        .map(|file| file.as_str().filter(plain).map(str::to_owned))
        .collect::<Option<_>>()
        .ok_or_else(|| broken("it names files outside its folder"))
}

/// A speech model of whisper.cpp is one file.
fn ggml(path: &Path, bytes: Option<u64>, name: &str) -> Result<()> {
    present(path, bytes, name)?;
    let mut magic = [0; 4];
    let read = std::fs::File::open(path).and_then(|mut file| file.read_exact(&mut magic));
    match read {
        Ok(()) if &magic == b"lmgg" => Ok(()),
        _ => Err(Error::model_missing(name, format!("{} is no ggml file", path.display()))),
    }
}

/// What [`resolve`](super::resolve) takes to find a folder again: `ORG/NAME` in the known places,
/// else its path.
#[cfg(any(feature = "candle", feature = "onnx"))]
pub(crate) fn name_of(folder: &Path) -> String {
    let real = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
    let ours = Places::from_env().models.and_then(|f| f.canonicalize().ok());
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
