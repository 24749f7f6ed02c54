//! Texts and pictures become vectors of one space.
//!
//! Uses errors, pictures, and [`crate::models`] for the names of folders; callers bring texts and
//! pictures.

#[cfg(feature = "candle")]
mod candle;
#[cfg(feature = "candle")]
mod dual;
#[cfg(feature = "candle")]
mod folder;
#[cfg(feature = "candle")]
mod model;
#[cfg(feature = "candle")]
mod preprocess;
mod spec;
#[cfg(feature = "candle")]
mod text;
#[cfg(feature = "candle")]
mod thread;
#[cfg(feature = "candle")]
mod tokens;

#[cfg(feature = "candle")]
pub use dual::DualEncoder;
pub use spec::{Calibration, EmbedSpec, ImageEmbedder, Modality, Pooling, Role, TextEmbedder, Vector};
#[cfg(feature = "candle")]
pub use text::TextEncoder;
