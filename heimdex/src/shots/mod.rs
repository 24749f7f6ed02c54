//! Shot detection, equal to PySceneDetect 0.7.
//!
//! Uses time, errors and pictures of [`crate::media`].

use serde::{Deserialize, Serialize};

use crate::Span;

/// An unbroken run of frames. Shots are half-open and tile the video exactly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shot {
    /// From its first frame to the first frame of the next shot, or the end of the video.
    #[serde(flatten)]
    pub span: Span,
}
