//! Identities. They follow from names, so that the same input gives the same index anywhere.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{Error, Result};

/// A library: one tenant's videos. Nothing is shared between libraries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LibraryId(pub Uuid);

impl LibraryId {
    /// The library of this name.
    pub fn named(name: &str) -> Self {
        Self(derive("heimdex library", &[name.as_bytes()]))
    }
}

impl Default for LibraryId {
    fn default() -> Self {
        Self::named("default")
    }
}

/// A video inside a library.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct VideoId(pub Uuid);

impl VideoId {
    /// The video that comes from `source`: the bytes of an absolute path, or an address.
    pub fn of_source(source: &[u8]) -> Self {
        Self(derive("heimdex video", &[source]))
    }
}

fn derive(context: &str, parts: &[&[u8]]) -> Uuid {
    let mut hasher = blake3::Hasher::new_derive_key(context);
    for part in parts {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
    uuid::Builder::from_custom_bytes(bytes).into_uuid()
}

impl fmt::Display for LibraryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for VideoId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for VideoId {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        text.parse().map(Self).map_err(|_| Error::invalid("video", format!("`{text}` is not a video id")))
    }
}

/// A scene: the n-th of its video.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SceneId {
    /// The video.
    pub video: VideoId,
    /// Its place in the video, from 0.
    pub ordinal: u32,
}

impl fmt::Display for SceneId {
    /// `VIDEO:ORDINAL`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.video, self.ordinal)
    }
}

impl FromStr for SceneId {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let wrong = || Error::invalid("scene", format!("`{text}` is not a scene; write VIDEO:NUMBER"));
        let (video, ordinal) = text.rsplit_once(':').ok_or_else(wrong)?;
        Ok(Self { video: video.parse()?, ordinal: ordinal.parse().map_err(|_| wrong())? })
    }
}
