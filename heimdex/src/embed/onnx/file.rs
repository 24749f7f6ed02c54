//! The files of an export: which there are, what belongs to them, and single values in them.
//!
//! Format: onnx/onnx.proto3. Only the fields that name other files and the values of initializers are
//! read; the rest is ONNX Runtime's to read.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::{Component, Path, PathBuf};
use std::time::UNIX_EPOCH;

use half::{bf16, f16};
use memmap2::Mmap;
use safetensors::{Dtype, SafeTensors};

use crate::embed::{Precision, folder};
use crate::{Error, Result};

/// A file of an export, and the files that it keeps its weights in.
pub(super) struct Export {
    /// Below the model's folder, for messages.
    pub(super) name: String,
    pub(super) path: PathBuf,
    pub(super) precision: Precision,
    external: Vec<PathBuf>,
}

impl Export {
    /// Whether there is a file of this precision.
    pub(super) fn is_there(folder: &Path, stem: &str, precision: Precision) -> bool {
        precision.exports(stem).iter().any(|name| folder.join(name).is_file())
    }

    /// The file of a precision, with all that it refers to.
    ///
    /// # Errors
    /// [`ErrorKind::ModelMissing`](crate::ErrorKind::ModelMissing) naming the file that is not there.
    pub(super) fn find(folder: &Path, model: &str, stem: &str, precision: Precision) -> Result<Self> {
        let names = precision.exports(stem);
        let Some(name) = names.iter().find(|name| folder.join(name).is_file()) else {
            return Err(Error::model_missing(model, format!("{} is not there", names.join(" or "))));
        };
        let path = folder.join(name);
        let mut refers = Refers::default();
        let map = map(&path)?;
        model_proto(&map, &mut refers)
            .ok_or_else(|| Error::model(model, format!("{name} is damaged or not whole; get it again")))?;
        let mut external = Vec::new();
        for file in refers.files {
            let inside = Path::new(&file).components().all(|part| matches!(part, Component::Normal(_)));
            if !inside || file.is_empty() {
                return Err(Error::model(
                    model,
                    format!("{name} refers to `{file}`, which is not beside it"),
                ));
            }
            let beside = path.with_file_name(&file);
            if !beside.is_file() {
                return Err(Error::model_missing(
                    model,
                    format!("onnx/{file}, which {name} refers to, is not there"),
                ));
            }
            external.push(beside);
        }
        Ok(Self { name: name.clone(), path, precision, external })
    }

    /// The value of an initializer of one element.
    pub(super) fn scalar(&self, name: &str) -> Option<f32> {
        let map = map(&self.path).ok()?;
        let mut refers = Refers { wanted: Some(name), ..Refers::default() };
        model_proto(&map, &mut refers)?;
        refers.found
    }
}

/// Exports and the files that they refer to.
fn files<'a>(exports: &'a [&'a Export]) -> impl Iterator<Item = &'a PathBuf> {
    exports.iter().flat_map(|export| std::iter::once(&export.path).chain(&export.external))
}

/// SHA-256 over exports and the files that they refer to.
pub(super) fn sha256(exports: &[&Export]) -> Result<String> {
    folder::sha256(&files(exports).cloned().collect::<Vec<_>>())
}

/// Where the files are, how long, and when they were changed: without reading them.
pub(super) fn standing(exports: &[&Export]) -> Result<String> {
    let standing = |path: &PathBuf| {
        let there = path.metadata().map_err(|e| Error::io(path, e))?;
        let changed = there.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        Ok(format!("{} {} {changed:?}\n", path.display(), there.len()))
    };
    files(exports).map(standing).collect()
}

/// `logit_scale` and `logit_bias` of the published weights, where these are here.
pub(super) fn weights_of_scale(folder: &Path, model: &str) -> Result<Option<(f32, f32)>> {
    let Ok(paths) = folder::weight_files(folder, model) else { return Ok(None) };
    let (mut scale, mut bias) = (None, None);
    for path in paths {
        let map = map(&path)?;
        let tensors = SafeTensors::deserialize(&map).map_err(|error| {
            let name = path.file_name().unwrap_or_default().display();
            Error::model(model, format!("{name} is damaged or not whole; get it again ({error})"))
        })?;
        let value = |name: &str| {
            let tensor = tensors.tensor(name).ok()?;
            float(tensor.data(), tensor.dtype())
        };
        scale = scale.or_else(|| value("logit_scale"));
        bias = bias.or_else(|| value("logit_bias"));
    }
    Ok(scale.zip(bias))
}

/// A single float.
fn float(bytes: &[u8], dtype: Dtype) -> Option<f32> {
    match dtype {
        Dtype::F32 => bytes.try_into().ok().map(f32::from_le_bytes),
        Dtype::F16 => bytes.try_into().ok().map(|bytes| f16::from_le_bytes(bytes).to_f32()),
        Dtype::BF16 => bytes.try_into().ok().map(|bytes| bf16::from_le_bytes(bytes).to_f32()),
        _ => None,
    }
}

fn map(path: &Path) -> Result<Mmap> {
    let file = File::open(path).map_err(|e| Error::io(path, e))?;
    // SAFETY: the file is only read; as with every mapped file, who changes it meanwhile changes what
    // is read, and every length is checked against the map's.
    unsafe { Mmap::map(&file) }.map_err(|e| Error::io(path, e))
}

/// What is looked for in a graph.
#[derive(Default)]
struct Refers<'a> {
    files: BTreeSet<String>,
    wanted: Option<&'a str>,
    found: Option<f32>,
}

/// Graphs may hold graphs; exports do so once or twice.
const MAX_DEPTH: usize = 16;

/// A field of a message.
enum Field<'a> {
    Bytes(u64, &'a [u8]),
    Other(u64, u64),
}

/// The fields of a message; `None` ends the list where the bytes are no message.
fn fields(mut bytes: &[u8]) -> impl Iterator<Item = Option<Field<'_>>> {
    std::iter::from_fn(move || {
        if bytes.is_empty() {
            return None;
        }
        let field = field(&mut bytes);
        if field.is_none() {
            bytes = &[];
        }
        Some(field)
    })
}

fn field<'a>(bytes: &mut &'a [u8]) -> Option<Field<'a>> {
    let tag = varint(bytes)?;
    let number = tag >> 3;
    Some(match tag & 7 {
        0 => Field::Other(number, varint(bytes)?),
        1 => Field::Other(number, u64::from_le_bytes(take(bytes, 8)?.try_into().ok()?)),
        2 => {
            let count = varint(bytes)?;
            Field::Bytes(number, take(bytes, count)?)
        }
        5 => Field::Other(number, u64::from(u32::from_le_bytes(take(bytes, 4)?.try_into().ok()?))),
        _ => return None,
    })
}

fn take<'a>(bytes: &mut &'a [u8], count: u64) -> Option<&'a [u8]> {
    let (taken, rest) = bytes.split_at_checked(usize::try_from(count).ok()?)?;
    *bytes = rest;
    Some(taken)
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (first, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(first & 0x7f) << shift;
        if first & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

/// `ModelProto`; `None` where it is none.
fn model_proto(bytes: &[u8], refers: &mut Refers<'_>) -> Option<()> {
    let mut graphs = 0;
    for field in fields(bytes) {
        // graph
        if let Field::Bytes(7, graph) = field? {
            graph_proto(graph, refers, 0)?;
            graphs += 1;
        }
    }
    (graphs == 1).then_some(())
}

fn graph_proto(bytes: &[u8], refers: &mut Refers<'_>, depth: usize) -> Option<()> {
    if depth > MAX_DEPTH {
        return None;
    }
    for field in fields(bytes) {
        match field? {
            // node
            Field::Bytes(1, node) => {
                for field in fields(node) {
                    // attribute
                    if let Field::Bytes(5, attribute) = field? {
                        attribute_proto(attribute, refers, depth)?;
                    }
                }
            }
            // initializer
            Field::Bytes(5, tensor) => tensor_proto(tensor, refers)?,
            _ => (),
        }
    }
    Some(())
}

fn attribute_proto(bytes: &[u8], refers: &mut Refers<'_>, depth: usize) -> Option<()> {
    for field in fields(bytes) {
        match field? {
            // t, tensors
            Field::Bytes(5 | 10, tensor) => tensor_proto(tensor, refers)?,
            // g, graphs
            Field::Bytes(6 | 11, graph) => graph_proto(graph, refers, depth + 1)?,
            _ => (),
        }
    }
    Some(())
}

fn tensor_proto(bytes: &[u8], refers: &mut Refers<'_>) -> Option<()> {
    let (mut name, mut dtype, mut data) = (&[][..], 0, None);
    for field in fields(bytes) {
        match field? {
            Field::Other(2, value) => dtype = value,
            // float_data, where it is not packed and where it is, and raw_data
            Field::Other(4, value) => data = Some(value.to_le_bytes()[..4].to_vec()),
            Field::Bytes(4 | 9, value) if value.len() <= 4 => {
                data = Some(value.to_vec());
            }
            Field::Bytes(8, value) => name = value,
            // external_data: key and value
            Field::Bytes(13, entry) => {
                let (mut key, mut value) = (&[][..], &[][..]);
                for field in fields(entry) {
                    match field? {
                        Field::Bytes(1, bytes) => key = bytes,
                        Field::Bytes(2, bytes) => value = bytes,
                        _ => (),
                    }
                }
                if key == b"location" {
                    refers.files.insert(std::str::from_utf8(value).ok()?.to_owned());
                }
            }
            _ => (),
        }
    }
    if refers.wanted.is_some_and(|wanted| wanted.as_bytes() == name) {
        let dtype = match dtype {
            1 => Dtype::F32,
            10 => Dtype::F16,
            16 => Dtype::BF16,
            _ => return Some(()),
        };
        refers.found = data.and_then(|data| float(&data, dtype));
    }
    Some(())
}
