//! Texts and pictures become vectors of one space.
//!
//! Uses errors, and [`crate::models`] for the names of folders; callers bring texts and pictures.

#[cfg(feature = "candle")]
mod bert;
#[cfg(feature = "candle")]
mod folder;
mod spec;
#[cfg(feature = "candle")]
mod thread;

#[cfg(feature = "candle")]
pub use bert::Bert;
pub use spec::{EmbedSpec, Pooling, Role, TextEmbedder, Vector};
