//! Texts and pictures become vectors of one space.
//!
//! Uses errors, pictures, and [`crate::models`] for the names of folders; callers bring texts and
//! pictures. A model is read by one of two backends, `candle` and `onnx`; what both need stands here.

#[cfg(feature = "candle")]
mod candle;
#[cfg(any(feature = "candle", feature = "onnx"))]
mod config;
#[cfg(any(feature = "candle", feature = "onnx"))]
mod dual;
#[cfg(any(feature = "candle", feature = "onnx"))]
mod folder;
#[cfg(any(feature = "candle", feature = "onnx"))]
mod model;
#[cfg(feature = "onnx")]
mod onnx;
mod options;
#[cfg(any(feature = "candle", feature = "onnx"))]
mod preprocess;
mod spec;
#[cfg(any(feature = "candle", feature = "onnx"))]
mod text;
#[cfg(any(feature = "candle", feature = "onnx"))]
mod thread;
#[cfg(any(feature = "candle", feature = "onnx"))]
mod tokens;

#[cfg(any(feature = "candle", feature = "onnx"))]
pub use dual::DualEncoder;
pub use options::{Backend, ModelOptions, Precision, Provider};
pub use spec::{Calibration, EmbedSpec, ImageEmbedder, Modality, Pooling, Role, TextEmbedder, Vector};
#[cfg(any(feature = "candle", feature = "onnx"))]
pub use text::TextEncoder;
