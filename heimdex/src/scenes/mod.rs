//! Shots and words become scenes: the unit that is searched.
//!
//! Uses [`crate::shots`] and [`crate::transcript`].

use serde::{Deserialize, Serialize};

use crate::Span;
use crate::transcript::Word;

/// A stretch of a video that is found as one thing: a shot, or a part of a long shot.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Scene {
    /// Its place in the video, from 0.
    pub ordinal: u32,
    /// Scenes are half-open and tile the video.
    #[serde(flatten)]
    pub span: Span,
    /// The shot it belongs to, from 0.
    pub shot: u32,
    /// What is said in it; empty when nothing is. Built from `words`, lines kept.
    pub speech: String,
    /// The words it owns. Each word of a video belongs to exactly one scene.
    pub words: Vec<Word>,
}
