//! The hashes that the hub names its files by: SHA-256 of large files, git's blob hash of small
//! ones.

use std::io::Read;
use std::path::Path;

use sha1::Sha1;
use sha2::{Digest, Sha256};

use crate::{Cancel, Error, Result};

/// What a file's content must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Expected {
    Sha256(String),
    /// SHA-1 of `blob LENGTH\0` and the content.
    GitBlob(String),
}

impl Expected {
    /// What an etag of the hub promises; `None` where it is no hash.
    pub(super) fn of_etag(etag: &str) -> Option<Self> {
        match etag.len() {
            64 if is_hex(etag) => Some(Self::Sha256(etag.to_owned())),
            40 if is_hex(etag) => Some(Self::GitBlob(etag.to_owned())),
            _ => None,
        }
    }

    pub(super) fn hex(&self) -> &str {
        let (Self::Sha256(hex) | Self::GitBlob(hex)) = self;
        hex
    }
}

/// Whether `text` is hex in lower case.
pub(super) fn is_hex(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

/// Both hashes of a file that arrives piece by piece.
pub(super) struct Hasher {
    sha256: Sha256,
    git: Sha1,
}

impl Hasher {
    /// For a file of `bytes` bytes.
    pub(super) fn new(bytes: u64) -> Self {
        let mut git = Sha1::new();
        git.update(format!("blob {bytes}\0"));
        Self { sha256: Sha256::new(), git }
    }

    pub(super) fn update(&mut self, bytes: &[u8], expected: &[Expected]) {
        if expected.iter().any(|e| matches!(e, Expected::Sha256(_))) {
            self.sha256.update(bytes);
        }
        if expected.iter().any(|e| matches!(e, Expected::GitBlob(_))) {
            self.git.update(bytes);
        }
    }

    /// The first hash that is not as expected, with what was found.
    pub(super) fn mismatch(&self, expected: &[Expected]) -> Option<(String, String)> {
        expected.iter().find_map(|e| {
            let found = match e {
                Expected::Sha256(_) => hex(&self.sha256.clone().finalize()),
                Expected::GitBlob(_) => hex(&self.git.clone().finalize()),
            };
            (found != e.hex()).then(|| (e.hex().to_owned(), found))
        })
    }
}

/// Reads a file through `hasher`.
pub(super) fn feed(hasher: &mut Hasher, path: &Path, expected: &[Expected], cancel: &Cancel) -> Result<()> {
    let mut file = std::fs::File::open(path).map_err(|e| Error::io(path, e))?;
    let mut buffer = vec![0; 1 << 20];
    loop {
        cancel.check()?;
        match file.read(&mut buffer).map_err(|e| Error::io(path, e))? {
            0 => return Ok(()),
            n => hasher.update(&buffer[..n], expected),
        }
    }
}

/// The first hash of a file that is not as expected, with what was found.
pub(super) fn mismatch_of(
    path: &Path,
    expected: &[Expected],
    cancel: &Cancel,
) -> Result<Option<(String, String)>> {
    let bytes = path.metadata().map_err(|e| Error::io(path, e))?.len();
    let mut hasher = Hasher::new(bytes);
    feed(&mut hasher, path, expected, cancel)?;
    Ok(hasher.mismatch(expected))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Against `git hash-object` and `sha256sum`.
    #[test]
    fn hashes_equal_those_of_git_and_sha256sum() {
        let expected = [
            Expected::of_etag("980a0d5f19a64b4b30a87d4206aade58726b60e3").unwrap(),
            Expected::of_etag("03ba204e50d126e4674c005e04d82e84c21366780af1f43bd54a37816b6ab340").unwrap(),
        ];
        let mut hasher = Hasher::new(13);
        hasher.update(b"Hello ", &expected);
        hasher.update(b"World!\n", &expected);
        assert_eq!(hasher.mismatch(&expected), None);
        hasher.update(b"x", &expected);
        assert_eq!(hasher.mismatch(&expected).unwrap().0, expected[0].hex());
    }

    #[test]
    fn an_etag_that_is_no_hash_promises_nothing() {
        assert_eq!(Expected::of_etag("abc"), None);
        assert_eq!(Expected::of_etag(&"Z".repeat(64)), None);
    }
}
