//! Models: which there are, where they are, how to get them and whether they are whole.
//!
//! Uses errors, [`Cancel`](crate::Cancel) and, for getting models, HTTP. Nothing is downloaded but
//! by `pull` of the feature `hub`.

mod catalog;
mod known;
mod places;
mod presets;

#[cfg(feature = "hub")]
mod address;
#[cfg(feature = "hub")]
mod cache;
#[cfg(feature = "hub")]
mod check;
#[cfg(feature = "hub")]
mod download;
#[cfg(feature = "hub")]
mod hash;
#[cfg(feature = "hub")]
mod http;
#[cfg(feature = "hub")]
mod hub;
#[cfg(feature = "hub")]
mod options;
#[cfg(feature = "hub")]
mod retry;
#[cfg(feature = "hub")]
mod target;

use std::path::PathBuf;

use crate::Result;

#[cfg(feature = "hub")]
pub use check::{CheckedFile, CheckedModel, FileState, ListedModel, list, verify};
#[cfg(feature = "hub")]
pub use hub::{PullProgress, PulledModel, path, pull};
pub use known::{KnownFile, KnownModel, ModelKind, known};
#[cfg(feature = "hub")]
pub use options::{HubOptions, Token};
pub use places::data_folder;
#[cfg(any(feature = "candle", feature = "onnx"))]
pub(crate) use places::name_of;
pub use presets::Preset;

/// The folder of a model: `name` itself when it is one, else `ORG/NAME` in the folder for models or
/// in the hub's cache. `all-MiniLM-L6-v2` alone means that of sentence-transformers, as
/// [`known`] names mean theirs. Of a speech model such as `whisper-small`, and where `name` is a
/// file, the file.
///
/// In the hub's cache the revision that a known model is pinned to comes first, then `main`.
///
/// # Errors
/// [`ErrorKind::ModelMissing`](crate::ErrorKind::ModelMissing) when it is not on this machine, or
/// only a part of it is, with the places that were looked at.
pub fn resolve(name: &str) -> Result<PathBuf> {
    places::find(name, &places::Places::from_env())
}
