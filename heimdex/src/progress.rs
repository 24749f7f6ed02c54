//! Cancellation, stages and progress: what every long operation shares.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// A switch that stops work. Clones share it.
///
/// ```
/// let cancel = heimdex::Cancel::new();
/// cancel.clone().cancel();
/// assert!(cancel.is_cancelled());
/// ```
#[derive(Debug, Clone, Default)]
pub struct Cancel {
    set: Arc<AtomicBool>,
    parent: Option<Arc<Cancel>>,
}

impl Cancel {
    /// A switch that is not set.
    pub fn new() -> Self {
        Self::default()
    }

    /// A switch of its own that is also set when this one is.
    #[cfg(feature = "media")]
    #[must_use]
    pub(crate) fn child(&self) -> Self {
        Self { set: Arc::default(), parent: Some(Arc::new(self.clone())) }
    }

    /// Stops all work that holds a clone, at its next check.
    pub fn cancel(&self) {
        self.set.store(true, Ordering::Release);
    }

    /// Whether the work is to stop.
    pub fn is_cancelled(&self) -> bool {
        self.set.load(Ordering::Acquire) || self.parent.as_ref().is_some_and(|p| p.is_cancelled())
    }

    /// Fails when the work is to stop.
    ///
    /// # Errors
    /// [`ErrorKind::Cancelled`](crate::ErrorKind::Cancelled).
    pub fn check(&self) -> Result<()> {
        if self.is_cancelled() { Err(Error::Cancelled) } else { Ok(()) }
    }
}

/// The stages of indexing one video, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Stage {
    /// Probe, limits, fingerprint.
    Validate,
    /// The one pass over pictures and sound.
    Decode,
    /// Cuts into shots.
    Shots,
    /// Frames that stand for shots, and thumbnails.
    Keyframes,
    /// Subtitles or speech to words.
    Transcribe,
    /// Shots and words into scenes.
    Scenes,
    /// Vectors of what is said.
    EmbedText,
    /// Vectors of what is shown.
    EmbedImages,
    /// Zero-shot tags.
    Tags,
    /// Faces and people.
    Faces,
    /// The sidecar file.
    Sidecar,
    /// One transaction makes the video searchable.
    Commit,
}

impl Stage {
    /// Every stage, in order.
    pub const ALL: [Self; 12] = [
        Self::Validate,
        Self::Decode,
        Self::Shots,
        Self::Keyframes,
        Self::Transcribe,
        Self::Scenes,
        Self::EmbedText,
        Self::EmbedImages,
        Self::Tags,
        Self::Faces,
        Self::Sidecar,
        Self::Commit,
    ];

    /// The name used in JSON and SQL.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Validate => "validate",
            Self::Decode => "decode",
            Self::Shots => "shots",
            Self::Keyframes => "keyframes",
            Self::Transcribe => "transcribe",
            Self::Scenes => "scenes",
            Self::EmbedText => "embed_text",
            Self::EmbedImages => "embed_images",
            Self::Tags => "tags",
            Self::Faces => "faces",
            Self::Sidecar => "sidecar",
            Self::Commit => "commit",
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How far the work on one video is. Never goes backwards.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// The stage that runs.
    pub stage: Stage,
    /// How much of this stage is done, 0 to 1. A stage reports 1 once its output is saved.
    pub stage_fraction: f32,
    /// How much of the video is done, 0 to 1.
    pub fraction: f32,
}
