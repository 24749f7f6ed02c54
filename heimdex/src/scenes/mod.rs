//! Shots and words become scenes: the unit that is searched.
//!
//! Uses [`crate::shots`] and [`crate::transcript`].

mod speech;
mod split;

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::shots::Shot;
use crate::transcript::{Segment, Word};
use crate::{Error, Result, Span, Timestamp};

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
    /// What is said in it, as written, lines kept; empty when nothing is.
    pub speech: String,
    /// The words it owns. Each word of a video belongs to exactly one scene.
    pub words: Vec<Word>,
}

/// How shots become scenes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct SceneSettings {
    /// Longest scene. A longer shot is split.
    pub max: Duration,
    /// How long a part of a split shot is to be, where the words leave a choice.
    pub target: Duration,
    /// Shortest part of a split shot. A shot shorter than this stays a scene of its own.
    pub min: Duration,
}

impl Default for SceneSettings {
    /// 30 s at most, 20 s where possible, no part shorter than 3 s.
    fn default() -> Self {
        Self { max: Duration::from_secs(30), target: Duration::from_secs(20), min: Duration::from_secs(3) }
    }
}

impl SceneSettings {
    /// Checks the values themselves.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) naming the field.
    pub fn validate(&self) -> Result<()> {
        if self.max < Duration::from_millis(100) {
            return Err(Error::invalid("scenes.max", "must be at least 0.1 s"));
        }
        if self.max > Duration::from_hours(7 * 24) {
            return Err(Error::invalid("scenes.max", "must be at most a week"));
        }
        Ok(())
    }

    /// Longest, wished and shortest part in microseconds. The others follow a smaller `max`.
    fn micros(&self) -> (i64, i64, i64) {
        let micros = |d: Duration| i64::try_from(d.as_micros()).unwrap_or(i64::MAX);
        let max = micros(self.max);
        let target = micros(self.target).clamp(max / 3 + 1, max);
        (max, target, micros(self.min).min(max / 3))
    }
}

/// Scenes that tile the shots, each with the words that overlap it most.
///
/// A shot longer than `settings.max` is split near `settings.target`: at the best pause or end of a
/// sentence, else evenly. A shot is never joined to another.
pub fn build_scenes(shots: &[Shot], segments: &[Segment], settings: &SceneSettings) -> Vec<Scene> {
    let words = speech::placed(segments);
    let mut scenes = Vec::new();
    for (number, shot) in shots.iter().enumerate() {
        for span in split::split(shot.span, &words, settings.micros()) {
            scenes.push(Scene {
                ordinal: u32::try_from(scenes.len()).unwrap_or(u32::MAX),
                span,
                shot: u32::try_from(number).unwrap_or(u32::MAX),
                speech: String::new(),
                words: Vec::new(),
            });
        }
    }
    speech::assign(&mut scenes, segments, &words);
    scenes
}

/// A word of a segment, where it stands.
struct Placed<'a> {
    word: &'a Word,
    /// Which segment.
    segment: usize,
    /// Its bytes in the segment's text.
    bytes: std::ops::Range<usize>,
}

impl Placed<'_> {
    fn ends_sentence(&self) -> bool {
        let text = self.word.text.trim_end_matches(['"', '\'', '”', '’', ')', '」', '』']);
        text.ends_with(['.', '!', '?', '…', '。', '！', '？'])
    }

    fn end(&self) -> Timestamp {
        self.word.span.end
    }
}

#[cfg(test)]
mod tests;
