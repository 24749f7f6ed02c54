//! What computes a model: the processor, or a graphics card.

use super::model::Loaded;
use super::words::Token;
use crate::{Cancel, Result};

/// How a window is decoded.
pub(super) struct Run<'a> {
    pub(super) language: &'a str,
    pub(super) translate: bool,
    /// What was said before.
    pub(super) before: &'a [u32],
    /// Hypotheses that are followed at once.
    pub(super) beams: usize,
}

/// What one window gave.
pub(super) struct Window {
    pub(super) tokens: Vec<Token>,
    pub(super) average_log_probability: f32,
}

/// Works on one window at a time, of at most 30 s.
pub(super) trait Engine: Send {
    /// Takes the sound of a window.
    fn listen(&mut self, loaded: &Loaded, pcm: &[f32], threads: usize, cancel: &Cancel) -> Result<()>;

    /// The logits of what comes after the token that begins all texts: of languages, and of silence.
    fn first(&mut self, loaded: &Loaded) -> Result<Vec<f32>>;

    /// Decodes the window that was listened to last.
    fn window(&mut self, loaded: &Loaded, run: &Run<'_>, cancel: &Cancel) -> Result<Window>;
}
