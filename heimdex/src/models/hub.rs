//! Getting models from a Hugging Face hub.

use std::path::PathBuf;

use serde::Serialize;

use super::cache::Repo;
use super::download::Download;
use super::hash::{Expected, is_hex};
use super::http::{Client, Described, Wanted};
use super::known::KnownFile;
use super::options::HubOptions;
use super::places;
use super::retry::Retry;
use super::target::{Target, has, targets};
use crate::embed::Precision;
use crate::{Cancel, Error, Result};

/// How far a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct PullProgress<'a> {
    /// The model, as it is called here.
    pub model: &'a str,
    /// The file, by its path in the repository.
    pub file: &'a str,
    /// How much of it is here.
    pub bytes: u64,
    /// How large it is.
    pub total: u64,
}

/// A model that is here, whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct PulledModel {
    /// The model, as it is called here.
    pub name: String,
    /// The repository, `ORG/NAME`.
    pub repo: String,
    /// The commit that was got.
    pub revision: String,
    /// Its folder, or its file where it is one file.
    pub path: PathBuf,
    /// What was received now; 0 when everything was there.
    pub received_bytes: u64,
}

/// Gets a model, or the three models of a [`Preset`](super::Preset), into the cache.
///
/// `name` is a preset, a name of [`known`](super::known) or any `ORG/NAME` of the hub with weights
/// as safetensors. Files that are whole are not asked for again; what was cut off is taken up where
/// it stopped. Each file is held against its size and its hash before it is put in its place, and a
/// known model against the hashes that are known of it as well. Several processes may pull at once:
/// one gets a file and the others wait for it.
///
/// # Errors
/// [`ErrorKind::ModelMissing`](crate::ErrorKind::ModelMissing) when the hub has no such model, refuses
/// access, or must not be asked (`offline`); [`ErrorKind::Model`](crate::ErrorKind::Model) when what
/// it sends is wrong; [`ErrorKind::Io`](crate::ErrorKind::Io) when it cannot be reached or the disk
/// fails; [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) for options that cannot be used.
///
/// # Cancellation
/// Checked before each request and each piece; what has arrived is kept for the next time.
pub fn pull(
    name: &str,
    options: &HubOptions,
    cancel: &Cancel,
    on_progress: &mut dyn FnMut(PullProgress<'_>),
) -> Result<Vec<PulledModel>> {
    let targets = targets(name, options)?;
    let client = if options.offline { None } else { Some(Client::new(options)?) };
    targets
        .iter()
        .map(|target| match &client {
            Some(client) => Pull { target, client, options, cancel }.run(on_progress),
            None => target.offline(options),
        })
        .collect()
}

/// Where a model is: [`resolve`](super::resolve) with these folders in place of the environment's.
///
/// # Errors
/// Those of [`resolve`](super::resolve).
pub fn path(name: &str, options: &HubOptions) -> Result<PathBuf> {
    places::find(name, &options.places())
}

struct Pull<'a> {
    target: &'a Target,
    client: &'a Client,
    options: &'a HubOptions,
    cancel: &'a Cancel,
}

impl Pull<'_> {
    fn run(&self, on_progress: &mut dyn FnMut(PullProgress<'_>)) -> Result<PulledModel> {
        let cache = Repo::new(&self.options.cache, &self.target.repo);
        let (mut commit, files) = self.files()?;
        let mut received = 0;
        for file in &files {
            self.cancel.check()?;
            let there = |commit: &String| has(&cache.snapshot(commit).join(&file.path), file.bytes);
            if !self.options.force && commit.as_ref().is_some_and(there) {
                continue;
            }
            // Once the commit is known every file is of that one, however the branch moves.
            let revision = commit.clone().unwrap_or_else(|| self.target.revision.clone());
            let wanted = Wanted { repo: &self.target.repo, revision: &revision, file: &file.path };
            let described = Retry::new(self.options, self.cancel).run(|| self.client.describe(wanted))?;
            let expected = self.expected(file, &described, commit.as_deref())?;
            let (model, total) = (self.target.name.as_str(), described.bytes);
            received += Download {
                client: self.client,
                options: self.options,
                cancel: self.cancel,
                repo: &cache,
                wanted,
                described: &described,
                expected: &expected,
            }
            .run(&mut |bytes| on_progress(PullProgress { model, file: &file.path, bytes, total }))?;
            cache.name(&described.etag, &described.commit, &file.path)?;
            commit = Some(described.commit);
        }
        let commit = commit.ok_or_else(|| Error::model_missing(&self.target.name, "it has no files"))?;
        if !self.target.is_commit() {
            cache.set_commit(&self.target.revision, &commit)?;
        }
        self.target.pulled(&cache, commit, received)
    }

    /// The commit, where it is known before the first file is asked for, and the files to get.
    fn files(&self) -> Result<(Option<String>, Vec<File>)> {
        let target = self.target;
        let commit = target.is_commit().then(|| target.revision.clone());
        if let Some(known) = target.known {
            if self.options.onnx.is_some() {
                let message = format!(
                    "{} is known by its safetensors; name the repository of its export, such as \
                     onnx-community/{}-ONNX",
                    target.name,
                    known.repo.rsplit('/').next().unwrap_or(known.name)
                );
                return Err(Error::invalid("onnx", message));
            }
            let pinned = target.pinned().is_some();
            let file = |f: &KnownFile| File {
                path: f.path.to_owned(),
                bytes: f.bytes.filter(|_| pinned),
                sha256: f.sha256.filter(|_| pinned),
            };
            return Ok((commit, known.files.iter().map(file).collect()));
        }
        let listing =
            Retry::new(self.options, self.cancel).run(|| self.client.list(&target.repo, &target.revision))?;
        if listing.sha.len() != 40 || !is_hex(&listing.sha) || commit.is_some_and(|c| c != listing.sha) {
            return Err(Error::model(&target.name, "the hub answers with another commit than asked for"));
        }
        let names: Vec<String> = listing.siblings.into_iter().map(|s| s.rfilename).collect();
        if let Some(bad) = names.iter().find(|n| !is_inside(n)) {
            let message = format!("the hub names a file outside its folder ({bad:?})");
            return Err(Error::model(&target.name, message));
        }
        let files: Vec<File> = needed(&names, self.options.onnx)
            .into_iter()
            .map(|path| File { path: path.to_owned(), bytes: None, sha256: None })
            .collect();
        let (ending, what) = match self.options.onnx {
            None => (".safetensors", "weights as safetensors".to_owned()),
            Some(precision) => (".onnx", format!("export ({})", precision.exports("model").join(" or "))),
        };
        if !files.iter().any(|f| f.path.ends_with(ending)) {
            let message = format!("{} has no {what} at {}", target.repo, target.revision);
            return Err(Error::model_missing(&target.name, message));
        }
        Ok((Some(listing.sha), files))
    }

    /// The hashes that a file must have: what the hub says and what is known must agree.
    fn expected(&self, file: &File, described: &Described, commit: Option<&str>) -> Result<Vec<Expected>> {
        let wrong = |what: String| Err(Error::model(&self.target.name, format!("{}: {what}", file.path)));
        if let Some(commit) = commit.filter(|c| *c != described.commit) {
            return wrong(format!("the hub answers for commit {}, not {commit}", described.commit));
        }
        if described.bytes > self.options.max_file_bytes {
            let limit = self.options.max_file_bytes;
            return wrong(format!("{} bytes are more than the limit of {limit}", described.bytes));
        }
        if let Some(bytes) = file.bytes.filter(|b| *b != described.bytes) {
            return wrong(format!("the hub has {} bytes in place of {bytes}", described.bytes));
        }
        let etag = Expected::of_etag(&described.etag);
        let known = file.sha256.map(|sha| Expected::Sha256(sha.to_owned()));
        if let (Some(Expected::Sha256(found)), Some(known)) = (&etag, &known)
            && found != known.hex()
        {
            return wrong(format!("the hub has the hash {found} in place of {}", known.hex()));
        }
        let mut expected: Vec<_> = etag.into_iter().chain(known).collect();
        expected.dedup();
        Ok(expected)
    }
}

struct File {
    path: String,
    bytes: Option<u64>,
    sha256: Option<&'static str>,
}

/// Whether a path of a repository stays inside the folder it is put in, on every system.
fn is_inside(path: &str) -> bool {
    let plain = |part: &str| {
        !part.is_empty()
            && !part.ends_with(['.', ' '])
            && !part.contains(['\\', ':', '"', '<', '>', '|', '?', '*'])
            && !part.chars().any(char::is_control)
    };
    path.len() <= 500 && path.split('/').all(plain)
}

/// What an embedding model needs of all that a repository holds.
fn needed(names: &[String], onnx: Option<Precision>) -> Vec<&str> {
    let whole = names.iter().any(|n| n == "model.safetensors");
    let exports: Vec<&str> = onnx.map_or_else(Vec::new, |precision| exports(names, precision));
    let mut files: Vec<&str> = names
        .iter()
        .map(String::as_str)
        .filter(|name| match name.split_once('/') {
            None if name.ends_with(".safetensors") => {
                onnx.is_none() && (*name == "model.safetensors" || (!whole && name.starts_with("model-")))
            }
            None if name.ends_with(".index.json") => {
                onnx.is_none() && *name == "model.safetensors.index.json" && !whole
            }
            None => name.strip_suffix(".json").is_some(),
            // What an export refers to is called after it, such as `model.onnx_data`.
            Some(("onnx", _)) => exports.iter().any(|export| name.starts_with(export)),
            // The modules of sentence-transformers: 1_Pooling, 2_Dense.
            Some((folder, file)) => {
                folder.starts_with(|c: char| c.is_ascii_digit())
                    && folder.contains('_')
                    && matches!(file, "config.json" | "model.safetensors")
            }
        })
        .collect();
    // The large files last: what is wrong shows early.
    files.sort_by_key(|f| (f.ends_with(".safetensors") || f.starts_with("onnx/"), *f));
    files
}

/// The exports of a precision: of each tower, or of the whole where there are none.
fn exports(names: &[String], precision: Precision) -> Vec<&str> {
    let of = |stem: &str| {
        let known = precision.exports(stem);
        names.iter().map(String::as_str).find(|name| known.iter().any(|known| known == name))
    };
    let towers: Vec<&str> = ["vision_model", "text_model"].into_iter().filter_map(of).collect();
    if towers.is_empty() { of("model").into_iter().collect() } else { towers }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_that_leave_their_folder_are_refused() {
        for bad in ["", "../x", "a/../b", "/etc/x", "a//b", "a/", ".", "a\\b", "C:x", "a/.", "a\0", "nul\n"] {
            assert!(!is_inside(bad), "{bad:?}");
        }
        for good in
            ["config.json", "1_Pooling/config.json", ".gitattributes", "model-00001-of-00002.safetensors"]
        {
            assert!(is_inside(good), "{good:?}");
        }
    }

    #[test]
    fn of_exports_the_precision_asked_for_is_got() {
        let all = [
            "config.json",
            "tokenizer.json",
            "model.safetensors",
            "onnx/model.onnx",
            "onnx/model_int8.onnx",
            "onnx/text_model.onnx",
            "onnx/text_model.onnx_data",
            "onnx/text_model_quantized.onnx",
            "onnx/vision_model.onnx",
            "onnx/vision_model_fp16.onnx",
            "onnx/vision_model_int8.onnx",
        ];
        let names = all.map(str::to_owned);
        let of = |precision| needed(&names, Some(precision))[2..].to_vec();
        let whole = ["onnx/text_model.onnx", "onnx/text_model.onnx_data", "onnx/vision_model.onnx"];
        assert_eq!(of(Precision::F32), whole);
        assert_eq!(of(Precision::Int8), ["onnx/text_model_quantized.onnx", "onnx/vision_model_int8.onnx"]);
        assert_eq!(of(Precision::F16), ["onnx/vision_model_fp16.onnx"]);
        let text: Vec<_> = names.iter().filter(|n| !n.contains("_model")).cloned().collect();
        assert_eq!(needed(&text, Some(Precision::Int8))[2..], ["onnx/model_int8.onnx"]);
        assert!(needed(&text, Some(Precision::F16))[2..].is_empty());
    }

    #[test]
    fn only_what_is_needed_is_got() {
        let all = [
            "README.md",
            "config.json",
            "pytorch_model.bin",
            "model.safetensors",
            "onnx/model.onnx",
            "1_Pooling/config.json",
            "tokenizer.json",
            "onnx/config.json",
            "model.safetensors.index.json",
            "model-00001-of-00002.safetensors",
            "other.safetensors",
        ];
        let names = all.map(str::to_owned);
        assert_eq!(
            needed(&names, None),
            ["1_Pooling/config.json", "config.json", "tokenizer.json", "model.safetensors"]
        );
        let sharded: Vec<_> = names.iter().filter(|n| *n != "model.safetensors").cloned().collect();
        assert!(needed(&sharded, None).contains(&"model.safetensors.index.json"));
        assert!(needed(&sharded, None).contains(&"model-00001-of-00002.safetensors"));
    }
}
