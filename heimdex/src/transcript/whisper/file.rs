//! A ggml file: which Whisper it is, whether it is whole, and what it holds.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use whisper_rs::whisper_rs_sys as sys;

use super::network::{Matrix, Precision};
use crate::{Error, Result};

/// Frequencies of a spectrum of 400 samples.
pub(super) const FREQUENCIES: usize = 201;

/// The longest name or token that is read.
const MOST_BYTES: usize = 1024;

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

/// What a file holds.
pub(super) struct Contents {
    pub(super) shape: Shape,
    /// Mel bands by frequencies.
    pub(super) filters: Vec<f32>,
    /// The bytes of each token of text.
    pub(super) pieces: Vec<Vec<u8>>,
    tensors: HashMap<String, Tensor>,
    file: File,
    name: String,
}

/// Where a tensor lies.
struct Tensor {
    kind: u32,
    /// The fastest first.
    lengths: Vec<usize>,
    at: u64,
    bytes: usize,
}

/// Reads the head and the tables of the file at `path`, and looks at where each part of it ends.
pub(super) fn open(path: &Path, name: &str) -> Result<Contents> {
    let mut bytes = [0; 4 + 11 * 4];
    let file = File::open(path).map_err(|e| {
        Error::model_missing(name, format!("{e}; get a model with: heimdex models pull whisper-base"))
    })?;
    let length = file.metadata().map_err(|e| Error::io(path, e))?.len();
    let mut reader = BufReader::new(file);
    reader.read_exact(&mut bytes).map_err(|_| Error::model(name, "the file ends within its first bytes"))?;
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
    let (filters, pieces, tensors) = walk(&mut reader, length, &shape).ok_or_else(|| {
        let message = format!("the file ends within its tables, after {length} bytes; get the model again");
        Error::model(name, message)
    })?;
    let expected = 11 + 15 * shape.audio_layers as usize + 24 * shape.text_layers as usize;
    if tensors.len() != expected {
        let message =
            format!("the file holds {} tensors, not {expected}; get the model again", tensors.len());
        return Err(Error::model(name, message));
    }
    let (file, name) = (reader.into_inner(), name.to_owned());
    Ok(Contents { shape, filters, pieces, tensors, file, name })
}

type Tables = (Vec<f32>, Vec<Vec<u8>>, HashMap<String, Tensor>);

/// Mel filters, vocabulary, and where tensors lie. `None` where one would end behind the file, or is none of
/// Whisper's.
fn walk(file: &mut BufReader<File>, length: u64, shape: &Shape) -> Option<Tables> {
    let number = |file: &mut BufReader<File>| {
        let mut bytes = [0; 4];
        file.read_exact(&mut bytes).ok()?;
        usize::try_from(i32::from_le_bytes(bytes)).ok()
    };
    let bytes = |file: &mut BufReader<File>, count: usize| {
        let mut bytes = vec![0; count];
        file.read_exact(&mut bytes).ok()?;
        Some(bytes)
    };
    let (rows, columns) = (number(file)?, number(file)?);
    if rows != shape.mels as usize || columns != FREQUENCIES {
        return None;
    }
    let filters = bytes(file, rows * columns * 4)?;
    let filters = filters.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect();
    let count = number(file).filter(|count| *count <= shape.vocabulary as usize)?;
    let mut pieces = Vec::with_capacity(count);
    for _ in 0..count {
        let count = number(file).filter(|count| *count <= MOST_BYTES)?;
        pieces.push(bytes(file, count)?);
    }
    let mut tensors = HashMap::new();
    while file.stream_position().ok()? < length {
        let (dimensions, of_name, kind) = (number(file)?, number(file)?, number(file)?);
        let mut lengths = Vec::new();
        for _ in 0..(dimensions <= 4).then_some(dimensions)? {
            lengths.push(number(file)?);
        }
        let name = String::from_utf8(bytes(file, (of_name <= MOST_BYTES).then_some(of_name)?)?).ok()?;
        let (of_block, in_bytes) = block(kind)?;
        let values = lengths.iter().try_fold(1_usize, |product, length| product.checked_mul(*length))?;
        if !values.is_multiple_of(of_block) {
            return None;
        }
        let (at, bytes) = (file.stream_position().ok()?, (values / of_block).checked_mul(in_bytes)?);
        file.seek_relative(i64::try_from(bytes).ok()?).ok()?;
        if file.stream_position().ok()? > length {
            return None;
        }
        tensors.insert(name, Tensor { kind: kind as u32, lengths, at, bytes });
    }
    Some((filters, pieces, tensors))
}

impl Contents {
    /// A tensor of values that are read as floats.
    pub(super) fn floats(&mut self, name: &str, count: usize) -> Result<Vec<f32>> {
        let (kind, lengths, bytes) = self.tensor(name)?;
        let found: usize = lengths.iter().product();
        if found != count {
            return Err(self.wrong(name, &format!("{found} values, not {count}")));
        }
        Ok(to_floats(kind, &bytes, count))
    }

    /// Matrices of `inner` values a row, below each other.
    pub(super) fn matrix(&mut self, names: &[String], rows: usize, inner: usize) -> Result<Matrix> {
        let mut parts = Vec::new();
        for name in names {
            let (kind, lengths, bytes) = self.tensor(name)?;
            let (first, others): (usize, usize) = match lengths.as_slice() {
                // A convolution's rows are those of its kernels.
                [width, depth, count] => (width * depth, *count),
                [first, others @ ..] => (*first, others.iter().product()),
                [] => (0, 0),
            };
            if (first, others) != (inner, rows) {
                let message = format!("{others} rows of {first} values, not {rows} of {inner}");
                return Err(self.wrong(name, &message));
            }
            parts.push((kind, bytes));
        }
        let rows = rows * parts.len();
        let one = parts.first().map(|(kind, _)| *kind).filter(|kind| parts.iter().all(|(k, _)| k == kind));
        if let Some(kind) = one {
            let bytes: Vec<u8> = parts.iter().flat_map(|(_, bytes)| bytes).copied().collect();
            if let Some(matrix) = Matrix::read(kind, rows, inner, &bytes) {
                return Ok(matrix);
            }
        }
        // Kinds that nothing multiplies, or a mixture.
        let each = inner * rows / parts.len().max(1);
        let floats: Vec<f32> = parts.iter().flat_map(|(kind, bytes)| to_floats(*kind, bytes, each)).collect();
        let precision = if one == Some(0) { Precision::Floats } else { Precision::Halves };
        Ok(Matrix::of_rows(precision, &floats, rows, inner, inner))
    }

    fn tensor(&mut self, name: &str) -> Result<(u32, Vec<usize>, Vec<u8>)> {
        let Some(tensor) = self.tensors.get(name) else {
            return Err(Error::model(
                &self.name,
                format!("the tensor {name} is missing; get the model again"),
            ));
        };
        let (kind, lengths) = (tensor.kind, tensor.lengths.clone());
        let mut bytes = vec![0; tensor.bytes];
        let read = self.file.seek(SeekFrom::Start(tensor.at)).and_then(|_| self.file.read_exact(&mut bytes));
        read.map_err(|e| Error::io(&self.name, e))?;
        Ok((kind, lengths, bytes))
    }

    fn wrong(&self, tensor: &str, message: &str) -> Error {
        Error::model(&self.name, format!("the tensor {tensor} has {message}; this is another model"))
    }
}

/// Values of any kind in floats.
fn to_floats(kind: u32, bytes: &[u8], count: usize) -> Vec<f32> {
    let mut floats = vec![0.0; count];
    // SAFETY: the kind is one of those that `block` knows; there are as many bytes as its blocks of so many
    // values have, and room for them.
    unsafe {
        match sys::ggml_get_type_traits(kind).as_ref().and_then(|traits| traits.to_float) {
            Some(convert) => convert(bytes.as_ptr().cast(), floats.as_mut_ptr(), count as i64),
            // Floats need no conversion.
            None => {
                for (float, bytes) in floats.iter_mut().zip(bytes.as_chunks::<4>().0) {
                    *float = f32::from_le_bytes(*bytes);
                }
            }
        }
    }
    floats
}

/// How many values of a kind are stored together, and in how many bytes.
///
/// Source: `ggml.c`, `type_traits`.
const fn block(kind: usize) -> Option<(usize, usize)> {
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
        if self.audio_state != self.text_state {
            let message = format!("its halves have states of {} and {}", self.audio_state, self.text_state);
            return Err(Error::model(name, message));
        }
        if self.audio_state % self.audio_heads != 0 || self.text_state % self.text_heads != 0 {
            return Err(Error::model(name, "its states do not divide by its heads"));
        }
        Ok(())
    }
}
