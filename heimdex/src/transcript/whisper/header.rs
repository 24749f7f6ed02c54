//! The head of a ggml file: which Whisper it is.

use std::io::Read;
use std::path::Path;

use whisper_rs::DtwModelPreset;

use crate::{Error, Result};

/// The shape of a model, in the order of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shape {
    pub(super) vocabulary: i32,
    pub(super) audio_positions: i32,
    pub(super) audio_state: i32,
    pub(super) audio_heads: i32,
    pub(super) audio_layers: i32,
    pub(super) text_positions: i32,
    pub(super) text_state: i32,
    pub(super) text_heads: i32,
    pub(super) text_layers: i32,
    pub(super) mels: i32,
}

/// Reads the head of the file at `path`.
pub(super) fn read(path: &Path, name: &str) -> Result<Shape> {
    let mut bytes = [0; 4 + 10 * 4];
    let mut file = std::fs::File::open(path).map_err(|e| {
        Error::model_missing(name, format!("{e}; get a model with: heimdex models pull whisper-base"))
    })?;
    file.read_exact(&mut bytes).map_err(|_| Error::model(name, "the file ends within its first bytes"))?;
    if &bytes[..4] != b"lmgg" {
        return Err(Error::model(
            name,
            "this is no ggml file; give a model of whisper.cpp such as ggml-base.bin",
        ));
    }
    let number = |i: usize| i32::from_le_bytes([0, 1, 2, 3].map(|b| bytes[4 + 4 * i + b]));
    let shape = Shape {
        vocabulary: number(0),
        audio_positions: number(1),
        audio_state: number(2),
        audio_heads: number(3),
        audio_layers: number(4),
        text_positions: number(5),
        text_state: number(6),
        text_heads: number(7),
        text_layers: number(8),
        mels: number(9),
    };
    shape.check(name)?;
    Ok(shape)
}

impl Shape {
    /// Refuses what is no Whisper: whisper.cpp allocates by these numbers before it looks further, and
    /// some of its code assumes the published ones.
    fn check(&self, name: &str) -> Result<()> {
        let fits = |field: &str, value: i32, range: std::ops::RangeInclusive<i32>| {
            if range.contains(&value) {
                return Ok(());
            }
            let (least, most) = range.into_inner();
            Err(Error::model(name, format!("{field} is {value}; Whisper's is {least} to {most}")))
        };
        fits("n_vocab", self.vocabulary, 51_864..=51_866)?;
        fits("n_audio_ctx", self.audio_positions, 1500..=1500)?;
        fits("n_audio_state", self.audio_state, 16..=1280)?;
        fits("n_audio_head", self.audio_heads, 1..=20)?;
        fits("n_audio_layer", self.audio_layers, 1..=32)?;
        fits("n_text_ctx", self.text_positions, 448..=448)?;
        fits("n_text_state", self.text_state, 16..=1280)?;
        fits("n_text_head", self.text_heads, 1..=20)?;
        fits("n_text_layer", self.text_layers, 1..=32)?;
        fits("n_mels", self.mels, 80..=128)?;
        if self.audio_state % self.audio_heads != 0 || self.text_state % self.text_heads != 0 {
            return Err(Error::model(name, "its states do not divide by its heads"));
        }
        Ok(())
    }

    /// The alignment heads, where `OpenAI` published them for this shape.
    ///
    /// Source: `whisper/__init__.py` of openai-whisper. The first two large models have one shape and
    /// other heads; the file's name tells the first.
    pub(super) fn alignment(&self, file: &str) -> Option<DtwModelPreset> {
        let english = self.vocabulary == 51_864;
        let third = self.vocabulary == 51_866;
        let layers = (self.audio_layers, self.text_layers);
        let preset = match (layers, self.text_heads, self.text_state, english, third) {
            ((4, 4), 6, 384, true, _) => DtwModelPreset::TinyEn,
            ((4, 4), 6, 384, _, false) => DtwModelPreset::Tiny,
            ((6, 6), 8, 512, true, _) => DtwModelPreset::BaseEn,
            ((6, 6), 8, 512, _, false) => DtwModelPreset::Base,
            ((12, 12), 12, 768, true, _) => DtwModelPreset::SmallEn,
            ((12, 12), 12, 768, _, false) => DtwModelPreset::Small,
            ((24, 24), 16, 1024, true, _) => DtwModelPreset::MediumEn,
            ((24, 24), 16, 1024, _, false) => DtwModelPreset::Medium,
            ((32, 32), 20, 1280, false, true) => DtwModelPreset::LargeV3,
            ((32, 4), 20, 1280, false, true) => DtwModelPreset::LargeV3Turbo,
            ((32, 32), 20, 1280, false, false) if file.contains("v1") => DtwModelPreset::LargeV1,
            ((32, 32), 20, 1280, false, false) => DtwModelPreset::LargeV2,
            _ => return None,
        };
        Some(preset)
    }
}
