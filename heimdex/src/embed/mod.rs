//! Texts and pictures become vectors of one space.
//!
//! Uses errors only; callers bring texts and pictures.

mod spec;

pub use spec::{EmbedSpec, Pooling, Role, TextEmbedder, Vector};
