//! The cache as the Hugging Face tools lay it out: contents in `blobs` by their hash, names in
//! `snapshots` by commit, and `refs` that say which commit a branch is.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::places::repo_folder;
use crate::{Cancel, Error, Result};

/// One repository's part of the cache.
#[derive(Debug)]
pub(super) struct Repo {
    folder: PathBuf,
    locks: PathBuf,
}

impl Repo {
    /// Of `ORG/NAME`.
    pub(super) fn new(cache: &Path, repo: &str) -> Self {
        let locks = repo_folder(&cache.join(".locks"), repo);
        Self { folder: repo_folder(cache, repo), locks }
    }

    pub(super) fn blobs(&self) -> PathBuf {
        self.folder.join("blobs")
    }

    pub(super) fn blob(&self, etag: &str) -> PathBuf {
        self.blobs().join(etag)
    }

    /// What has arrived of a blob so far.
    pub(super) fn incomplete(&self, etag: &str) -> PathBuf {
        self.blobs().join(format!("{etag}.incomplete"))
    }

    pub(super) fn snapshot(&self, commit: &str) -> PathBuf {
        self.folder.join("snapshots").join(commit)
    }

    /// The commit that a branch or tag last was.
    pub(super) fn commit_of(&self, revision: &str) -> Option<String> {
        let commit = std::fs::read_to_string(self.folder.join("refs").join(revision)).ok()?;
        Some(commit.trim().to_owned())
    }

    /// Keeps which commit a branch or tag is.
    pub(super) fn set_commit(&self, revision: &str, commit: &str) -> Result<()> {
        let path = self.folder.join("refs").join(revision);
        if self.commit_of(revision).as_deref() == Some(commit) {
            return Ok(());
        }
        make_parent(&path)?;
        let beside = beside(&path);
        std::fs::write(&beside, commit).map_err(|e| Error::io(&beside, e))?;
        std::fs::rename(&beside, &path).map_err(|e| Error::io(&path, e))
    }

    /// Waits until no other process gets this blob. The lock ends with its process.
    pub(super) fn lock(&self, etag: &str, cancel: &Cancel) -> Result<File> {
        let path = self.locks.join(format!("{etag}.lock"));
        make_parent(&path)?;
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(|e| Error::io(&path, e))?;
        loop {
            cancel.check()?;
            match file.try_lock() {
                Ok(()) => return Ok(file),
                Err(TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(50)),
                // Some network file systems have no locks; the hash still guards the content.
                Err(TryLockError::Error(e)) if e.kind() == std::io::ErrorKind::Unsupported => {
                    tracing::warn!(path = %path.display(), "no locks here; get one model at a time");
                    return Ok(file);
                }
                Err(TryLockError::Error(e)) => return Err(Error::io(&path, e)),
            }
        }
    }

    /// Gives a blob its name in a snapshot: a relative link, or a copy where there are no links.
    pub(super) fn name(&self, etag: &str, commit: &str, file: &str) -> Result<()> {
        let path = self.snapshot(commit).join(file);
        let up = "../".repeat(2 + file.matches('/').count());
        let target = PathBuf::from(format!("{up}blobs/{etag}"));
        if std::fs::read_link(&path).is_ok_and(|t| t == target) {
            return Ok(());
        }
        make_parent(&path)?;
        let beside = beside(&path);
        let _ = std::fs::remove_file(&beside);
        if link(&target, &beside).is_err() {
            std::fs::copy(self.blob(etag), &beside).map_err(|e| Error::io(&beside, e))?;
            File::open(&beside).and_then(|f| f.sync_all()).map_err(|e| Error::io(&beside, e))?;
        }
        std::fs::rename(&beside, &path).map_err(|e| Error::io(&path, e))
    }
}

#[cfg(unix)]
fn link(target: &Path, path: &Path) -> std::io::Result<()> {
    std::os::unix::fs::symlink(target, path)
}

#[cfg(windows)]
fn link(target: &Path, path: &Path) -> std::io::Result<()> {
    std::os::windows::fs::symlink_file(target, path)
}

#[cfg(not(any(unix, windows)))]
fn link(_: &Path, _: &Path) -> std::io::Result<()> {
    Err(std::io::ErrorKind::Unsupported.into())
}

/// A name that nobody else uses, in the same folder.
fn beside(path: &Path) -> PathBuf {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.{}-{count}.tmp", std::process::id()))
}

pub(super) fn make_parent(path: &Path) -> Result<()> {
    let parent = path.parent().unwrap_or(path);
    std::fs::create_dir_all(parent).map_err(|e| Error::io(parent, e))
}

/// Makes a rename in this folder outlive a power cut.
pub(super) fn sync_folder(folder: &Path) {
    #[cfg(unix)]
    if let Err(error) = File::open(folder).and_then(|f| f.sync_all()) {
        tracing::debug!(%error, "a folder cannot be synced");
    }
    #[cfg(not(unix))]
    let _ = folder;
}
