//! A ggml file, as far as it has to be known: which Whisper it is, and whether it is whole.

use std::fs::File;
use std::io::{BufReader, Read, Seek};
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

/// Reads the head of the file at `path`, and looks at where each part of it ends: whisper.cpp takes a
/// file that was cut off for one with other numbers, or without any.
pub(super) fn read(path: &Path, name: &str) -> Result<Shape> {
    let mut bytes = [0; 4 + 11 * 4];
    let file = File::open(path).map_err(|e| {
        Error::model_missing(name, format!("{e}; get a model with: heimdex models pull whisper-base"))
    })?;
    let length = file.metadata().map_err(|e| Error::io(path, e))?.len();
    let mut file = BufReader::new(file);
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
    let tensors = walk(&mut file, length).ok_or_else(|| {
        let message = format!("the file ends within its tables, after {length} bytes; get the model again");
        Error::model(name, message)
    })?;
    let expected = 11 + 15 * shape.audio_layers as u64 + 24 * shape.text_layers as u64;
    if tensors != expected {
        let message = format!("the file holds {tensors} tensors, not {expected}; get the model again");
        return Err(Error::model(name, message));
    }
    Ok(shape)
}

/// Steps over mel filters, vocabulary and tensors; how many of these there are. `None` where one would end
/// behind the file.
fn walk(file: &mut BufReader<File>, length: u64) -> Option<u64> {
    let number = |file: &mut BufReader<File>| {
        let mut bytes = [0; 4];
        file.read_exact(&mut bytes).ok()?;
        u64::try_from(i32::from_le_bytes(bytes)).ok()
    };
    let skip = |file: &mut BufReader<File>, bytes: u64| {
        file.seek_relative(i64::try_from(bytes).ok()?).ok()?;
        (file.stream_position().ok()? <= length).then_some(())
    };
    let (rows, columns) = (number(file)?, number(file)?);
    skip(file, rows.checked_mul(columns)?.checked_mul(4)?)?;
    for _ in 0..number(file)? {
        let bytes = number(file)?;
        skip(file, bytes)?;
    }
    let mut tensors = 0;
    while file.stream_position().ok()? < length {
        let (dimensions, name, kind) = (number(file)?, number(file)?, number(file)?);
        let mut values: u64 = 1;
        for _ in 0..(dimensions <= 4).then_some(dimensions)? {
            values = values.checked_mul(number(file)?)?;
        }
        let (block, bytes) = block(kind)?;
        skip(file, name)?;
        skip(file, (values / block).checked_mul(bytes)?)?;
        tensors += 1;
    }
    Some(tensors)
}

/// How many values of a kind are stored together, and in how many bytes.
///
/// Source: `ggml.c`, `type_traits`.
const fn block(kind: u64) -> Option<(u64, u64)> {
    Some(match kind {
        0 => (1, 4),
        1 | 30 => (1, 2),
        2 => (32, 18),
        3 => (32, 20),
        6 => (32, 22),
        7 => (32, 24),
        8 => (32, 34),
        10 => (256, 84),
        11 => (256, 110),
        12 => (256, 144),
        13 => (256, 176),
        14 => (256, 210),
        _ => return None,
    })
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
