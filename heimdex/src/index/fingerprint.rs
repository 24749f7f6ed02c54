//! What tells one content from another: BLAKE3 over all bytes of a file.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use crate::{Cancel, Error, Result};

const BUFFER_BYTES: usize = 1 << 20;

/// BLAKE3 of the file, hexadecimal. Calls `progress` with the bytes read so far.
pub(crate) fn fingerprint(path: &Path, cancel: &Cancel, mut progress: impl FnMut(u64)) -> Result<String> {
    let mut file = File::open(path).map_err(|e| Error::io(path, e))?;
    let mut hasher = blake3::Hasher::new();
    let mut buffer = vec![0; BUFFER_BYTES];
    let mut read = 0;
    loop {
        cancel.check()?;
        match file.read(&mut buffer) {
            Ok(0) => return Ok(hasher.finalize().to_hex().to_string()),
            Ok(n) => {
                hasher.update(&buffer[..n]);
                read += n as u64;
                progress(read);
            }
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
            Err(e) => return Err(Error::io(path, e)),
        }
    }
}

/// A key that changes when any of `parts` does.
pub(crate) fn key(parts: &[&str]) -> String {
    let mut hasher = blake3::Hasher::new_derive_key("heimdex stage key");
    for part in parts {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part.as_bytes());
    }
    hasher.finalize().to_hex()[..32].to_owned()
}
