//! Whether what is here is what was published, file by file.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::hash::{Expected, mismatch_of};
use super::known::{KnownFile, KnownModel, known};
use super::options::HubOptions;
use super::places::{self, Place};
use super::target::{Target, targets};
use crate::{Cancel, Error, Result};

/// A known model and what is here of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ListedModel {
    /// The model.
    pub model: &'static KnownModel,
    /// Where it is, when it is whole.
    pub path: Option<PathBuf>,
    /// How much of it is on this machine.
    pub bytes: u64,
    /// Why it cannot be used, when only a part of it is here.
    pub problem: Option<String>,
}

/// The known models, and which of them are here. Sizes are looked at, hashes are not: for those
/// there is [`verify`].
pub fn list(options: &HubOptions) -> Vec<ListedModel> {
    known().iter().map(|model| listed(model, options)).collect()
}

fn listed(model: &'static KnownModel, options: &HubOptions) -> ListedModel {
    let size = |path: &Path| path.metadata().map_or(0, |m| if m.is_file() { m.len() } else { 0 });
    let found = places::find(model.name, &options.places());
    let places = places::places(model.name, &options.places()).unwrap_or_default();
    let bytes = |folder: &Path| {
        let here = |file: &KnownFile| match size(&folder.join(file.path)) {
            0 => incomplete(folder, file).map_or(0, |path| size(&path)),
            bytes => bytes,
        };
        model.files.iter().map(here).sum()
    };
    let bytes = places.iter().map(|place| bytes(&place.folder)).max().unwrap_or(0);
    let problem = found.as_ref().err().filter(|_| bytes > 0).map(ToString::to_string);
    ListedModel { model, path: found.ok(), bytes, problem }
}

/// What has arrived of a file of a snapshot, by its hash.
fn incomplete(snapshot: &Path, file: &KnownFile) -> Option<PathBuf> {
    let blobs = snapshot.parent()?.parent()?.join("blobs");
    let path = blobs.join(format!("{}.incomplete", file.sha256?));
    path.is_file().then_some(path)
}

/// What was found of one file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
#[non_exhaustive]
pub enum FileState {
    /// Its hash is the one that was published.
    Whole,
    /// It is there, and no hash is known to hold it against.
    Unchecked,
    /// It is not there.
    Missing,
    /// Its download was cut off; pulling the model again takes it up.
    Incomplete {
        /// What has arrived.
        bytes: u64,
    },
    /// It is shorter or longer than published.
    WrongSize {
        /// The size that was published.
        expected: u64,
        /// Its size.
        found: u64,
    },
    /// Its content is not what was published.
    WrongHash {
        /// The hash that was published.
        expected: String,
        /// Its hash.
        found: String,
    },
}

impl fmt::Display for FileState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole => f.write_str("whole"),
            Self::Unchecked => f.write_str("there; no hash is known to check it against"),
            Self::Missing => f.write_str("missing"),
            Self::Incomplete { bytes } => write!(f, "incomplete, {bytes} bytes have arrived"),
            Self::WrongSize { expected, found } => write!(f, "{found} bytes in place of {expected}"),
            Self::WrongHash { expected, found } => write!(f, "hash {found} in place of {expected}"),
        }
    }
}

/// One file of a model that was checked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct CheckedFile {
    /// Its path in the model's folder, or of what is left of a download its name in the cache.
    pub file: String,
    /// Where it is, or would be.
    pub path: PathBuf,
    /// What was found.
    #[serde(flatten)]
    pub state: FileState,
}

/// A model whose files were read and hashed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct CheckedModel {
    /// The model, as it is called here.
    pub name: String,
    /// Its folder.
    pub folder: PathBuf,
    /// Its files.
    pub files: Vec<CheckedFile>,
}

impl CheckedModel {
    /// Whether nothing is missing, incomplete or wrong.
    pub fn is_whole(&self) -> bool {
        self.problems().next().is_none()
    }

    /// The files that are missing, incomplete or wrong.
    pub fn problems(&self) -> impl Iterator<Item = &CheckedFile> {
        self.files.iter().filter(|f| !matches!(f.state, FileState::Whole | FileState::Unchecked))
    }
}

/// Reads every file of a model, or of a preset's models, and holds it against the hash that it is
/// named by in the cache and the one that is known. What was found wrong is put right by
/// [`pull`](super::pull) with [`HubOptions::force`].
///
/// # Errors
/// [`ErrorKind::ModelMissing`](crate::ErrorKind::ModelMissing) when nothing of a model is here;
/// [`ErrorKind::Io`](crate::ErrorKind::Io) when a file cannot be read. What is wrong with a file is
/// no error but a [`FileState`].
///
/// # Cancellation
/// Checked with every piece that is read.
pub fn verify(name: &str, options: &HubOptions, cancel: &Cancel) -> Result<Vec<CheckedModel>> {
    if Path::new(name).is_dir() {
        let place = Place { folder: PathBuf::from(name), pinned: None };
        return Ok(vec![check(name, &place, None, cancel)?]);
    }
    let checked = |target: &Target| {
        let (name, known) = (target.name.as_str(), target.known);
        let places = match &options.revision {
            Some(revision) => places::at(&target.repo, revision, known, &options.cache),
            None => {
                let mut places = places::places(name, &options.places())?;
                // A first pull that was cut off has no branch yet.
                places.extend(places::snapshots(&target.repo, &options.cache));
                places
            }
        };
        let here = |place: &&Place| is_here(&place.folder, known);
        match places.iter().find(here) {
            Some(place) => check(name, place, known, cancel),
            None => Err(Error::model_missing(
                name,
                format!("nothing of it is on this machine; get it with: heimdex models pull {name}"),
            )),
        }
    };
    targets(name, options)?.iter().map(checked).collect()
}

/// Whether anything of the model is in a folder, or on the way to it.
fn is_here(folder: &Path, known: Option<&KnownModel>) -> bool {
    match known {
        Some(model) if model.ggml().is_some() => {
            model.files.iter().any(|f| folder.join(f.path).exists() || incomplete(folder, f).is_some())
        }
        _ => {
            folder.is_dir() || known.is_some_and(|m| m.files.iter().any(|f| incomplete(folder, f).is_some()))
        }
    }
}

fn check(
    name: &str,
    place: &Place,
    known: Option<&'static KnownModel>,
    cancel: &Cancel,
) -> Result<CheckedModel> {
    let Place { folder, pinned } = place;
    let one_file = known.and_then(KnownModel::ggml);
    let mut names: Vec<String> = Vec::new();
    if let Some(file) = one_file {
        names.push(file.to_owned());
    } else {
        walk(folder, "", &mut names)?;
        let missing =
            known.map_or(&[][..], |k| k.files).iter().filter(|f| !names.iter().any(|n| n == f.path));
        let missing: Vec<_> = missing.map(|f| f.path.to_owned()).collect();
        // By hand only what the loader needs may be there.
        names.extend(missing.into_iter().filter(|f| pinned.is_some() || f == "model.safetensors"));
    }
    names.sort();
    // Another revision in the cache has hashes of its own; by hand there are only the known ones.
    let by_hand = !folder.parent().is_some_and(|p| p.ends_with("snapshots"));
    let mut files = Vec::new();
    for file in names {
        cancel.check()?;
        let mut path = folder.join(&file);
        let model = pinned.or(known.filter(|_| by_hand));
        let stated = model.and_then(|m| m.files.iter().find(|f| f.path == file));
        if let Some(part) = stated.and_then(|f| incomplete(folder, f)).filter(|_| !path.exists()) {
            path = part;
        }
        let state = state(&path, stated, cancel)?;
        files.push(CheckedFile { file, path, state });
    }
    if one_file.is_none() {
        files.extend(left_over(folder, &files));
    }
    Ok(CheckedModel { name: name.to_owned(), folder: folder.clone(), files })
}

fn state(path: &Path, stated: Option<&KnownFile>, cancel: &Cancel) -> Result<FileState> {
    let Ok(found) = path.metadata() else {
        return Ok(FileState::Missing);
    };
    if path.extension().is_some_and(|e| e == "incomplete") {
        return Ok(FileState::Incomplete { bytes: found.len() });
    }
    if let Some(expected) = stated.and_then(|f| f.bytes).filter(|b| *b != found.len()) {
        return Ok(FileState::WrongSize { expected, found: found.len() });
    }
    // In the cache a file is a link to its content, which is named by its hash.
    let named = std::fs::read_link(path).ok();
    let named = named.as_deref().and_then(Path::file_name).and_then(|n| n.to_str());
    let known = stated.and_then(|f| f.sha256).map(|sha| Expected::Sha256(sha.to_owned()));
    let expected: Vec<_> = named.and_then(Expected::of_etag).into_iter().chain(known).collect();
    if expected.is_empty() {
        return Ok(FileState::Unchecked);
    }
    Ok(match mismatch_of(path, &expected, cancel)? {
        None => FileState::Whole,
        Some((expected, found)) => FileState::WrongHash { expected, found },
    })
}

/// Downloads that were cut off and belong to no file listed.
fn left_over(snapshot: &Path, files: &[CheckedFile]) -> Vec<CheckedFile> {
    let blobs = snapshot.parent().filter(|p| p.ends_with("snapshots")).and_then(Path::parent);
    let Some(entries) = blobs.and_then(|repo| std::fs::read_dir(repo.join("blobs")).ok()) else {
        return Vec::new();
    };
    entries
        .flatten()
        .filter(|e| e.path().extension().is_some_and(|e| e == "incomplete"))
        .filter(|e| files.iter().all(|f| f.path != e.path()))
        .map(|e| CheckedFile {
            file: e.file_name().to_string_lossy().into_owned(),
            path: e.path(),
            state: FileState::Incomplete { bytes: e.metadata().map_or(0, |m| m.len()) },
        })
        .collect()
}

/// The files of a folder, by their paths in it.
fn walk(folder: &Path, inside: &str, names: &mut Vec<String>) -> Result<()> {
    let entries = match std::fs::read_dir(folder.join(inside)) {
        Ok(entries) => entries,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(Error::io(folder.join(inside), e)),
    };
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = if inside.is_empty() { name } else { format!("{inside}/{name}") };
        match entry.file_type() {
            // A link to a folder would lead out of the model.
            Ok(kind) if kind.is_dir() => walk(folder, &path, names)?,
            _ => names.push(path),
        }
    }
    Ok(())
}
