//! Where a video comes from: a path, written so that it can be read back.

use std::path::{Path, PathBuf};

use super::video::IndexOptions;
use crate::{Error, Result, VideoId};

/// A file to index, under its own absolute name.
///
/// The folder is resolved (`..`, links), the last name is not: a link is a video of its own name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Source {
    pub(crate) path: PathBuf,
    /// As stored; see [`to_text`].
    pub(crate) text: String,
    pub(crate) id: VideoId,
}

impl Source {
    pub(crate) fn of(path: &Path) -> Result<Self> {
        let absolute = std::path::absolute(path).map_err(|e| Error::io(path, e))?;
        let resolved = match (absolute.parent(), absolute.file_name()) {
            (Some(folder), Some(name)) => folder.canonicalize().map_err(|e| Error::io(path, e))?.join(name),
            _ => absolute,
        };
        let text = to_text(&resolved);
        let id = VideoId::of_source(text.as_bytes());
        Ok(Self { path: resolved, text, id })
    }

    /// The file of these options, under the name that they give it.
    pub(crate) fn of_options(options: &IndexOptions) -> Result<Self> {
        let Some(text) = &options.source else { return Self::of(&options.path) };
        if text.is_empty() {
            return Err(Error::invalid("source", "it is empty"));
        }
        let path = std::path::absolute(&options.path).map_err(|e| Error::io(&options.path, e))?;
        Ok(Self { path, text: text.clone(), id: VideoId::of_source(text.as_bytes()) })
    }

    /// The file's name without its last extension; bytes that are not UTF-8 as `\xNN`.
    pub(crate) fn title(&self) -> String {
        let name = self.path.file_stem().unwrap_or(self.path.as_os_str());
        let mut title = String::new();
        for chunk in name.as_encoded_bytes().utf8_chunks() {
            title.push_str(chunk.valid());
            for byte in chunk.invalid() {
                title.push_str(&format!("\\x{byte:02x}"));
            }
        }
        title
    }
}

/// The id of the video at `path`.
pub(crate) fn video_id(path: &Path) -> Result<VideoId> {
    Source::of(path).map(|source| source.id)
}

/// The last name of a stored source.
pub(crate) fn file_name(source: &str) -> String {
    to_path(source).file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default()
}

/// The path itself when it is UTF-8, else a `file://` address with every other byte as `%NN`.
///
/// An absolute path never begins with `file:`, so the two cannot be confused.
pub(crate) fn to_text(path: &Path) -> String {
    if let Some(text) = path.to_str() {
        return text.to_owned();
    }
    let mut text = String::from("file://");
    for &byte in path.as_os_str().as_encoded_bytes() {
        match byte {
            b'/' | b'.' | b'-' | b'_' | b'~' => text.push(char::from(byte)),
            _ if byte.is_ascii_alphanumeric() => text.push(char::from(byte)),
            _ => text.push_str(&format!("%{byte:02X}")),
        }
    }
    text
}

/// The path that [`to_text`] wrote.
#[cfg(unix)]
pub(crate) fn to_path(text: &str) -> PathBuf {
    use std::os::unix::ffi::OsStringExt;

    let Some(encoded) = text.strip_prefix("file://") else { return PathBuf::from(text) };
    let mut bytes = Vec::with_capacity(encoded.len());
    let mut rest = encoded.as_bytes();
    while let [first, tail @ ..] = rest {
        let escaped = match tail {
            [high, low, ..] if *first == b'%' => hex(*high).zip(hex(*low)),
            _ => None,
        };
        match escaped {
            Some((high, low)) => {
                bytes.push(high << 4 | low);
                rest = &tail[2..];
            }
            None => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    PathBuf::from(std::ffi::OsString::from_vec(bytes))
}

/// The path that [`to_text`] wrote.
#[cfg(not(unix))]
pub(crate) fn to_path(text: &str) -> PathBuf {
    PathBuf::from(text)
}

#[cfg(unix)]
fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|d| u8::try_from(d).ok())
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    #[test]
    fn names_are_kept() {
        for name in ["/v/a\\xff.mp4", "/v/file:x.mp4", "/v/100%25.mp4", "/v/ a .mp4"] {
            assert_eq!(to_text(Path::new(name)), name);
            assert_eq!(to_path(name), Path::new(name));
        }
        let broken = Path::new(OsStr::from_bytes(b"/v/not-utf8-\xff\xfe%.mp4"));
        assert_eq!(to_text(broken), "file:///v/not-utf8-%FF%FE%25.mp4");
        assert_eq!(to_path(&to_text(broken)), broken);
    }

    proptest! {
        #[test]
        fn every_path_is_read_back(name in proptest::collection::vec(1u8..=255, 0..40)) {
            let mut bytes = b"/".to_vec();
            bytes.extend(name);
            let path = Path::new(OsStr::from_bytes(&bytes));
            prop_assert_eq!(to_path(&to_text(path)), path);
        }
    }
}
