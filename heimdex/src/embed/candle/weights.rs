//! Weights: safetensors, in one file or several, copied into memory tensor by tensor.

use std::collections::HashMap;
use std::fs::File;
use std::path::{Path, PathBuf};

use candle_core::{DType, Device, Tensor};
use memmap2::Mmap;
use safetensors::{Dtype, SafeTensors};

use super::super::folder;
use super::encoder::LayerNorm;
use super::ops::Linear;
use crate::{Error, Result};

/// The weights of a model.
pub(super) struct Weights {
    model: String,
    files: Vec<(PathBuf, Mmap)>,
    /// Which file holds a tensor, and what is known of it.
    tensors: HashMap<String, Entry>,
    pub(super) sha256: String,
}

struct Entry {
    file: usize,
    dtype: Dtype,
    shape: Vec<usize>,
    bytes: std::ops::Range<usize>,
}

impl Weights {
    /// Opens `model.safetensors`, or all the files that `model.safetensors.index.json` names.
    ///
    /// # Errors
    /// [`ErrorKind::ModelMissing`](crate::ErrorKind::ModelMissing) naming a file that is not there,
    /// [`ErrorKind::Model`](crate::ErrorKind::Model) naming one that is not whole.
    pub(super) fn open(folder: &Path, model: &str) -> Result<Self> {
        let paths = folder::weight_files(folder, model)?;
        let sha256 = folder::sha256(&paths)?;
        let mut weights =
            Self { model: model.to_owned(), files: Vec::new(), tensors: HashMap::new(), sha256 };
        for path in paths {
            let file = File::open(&path).map_err(|e| Error::io(&path, e))?;
            // SAFETY: the file is only read; as with every mapped file, who changes it meanwhile
            // changes the weights.
            let map = unsafe { Mmap::map(&file) }.map_err(|e| Error::io(&path, e))?;
            weights.list(&map).map_err(|error| {
                let name = path.file_name().unwrap_or_default().display();
                Error::model(model, format!("{name} is damaged or not whole; get it again ({error})"))
            })?;
            weights.files.push((path, map));
        }
        Ok(weights)
    }

    /// Notes where the tensors of a file are.
    fn list(&mut self, map: &Mmap) -> std::result::Result<(), safetensors::SafeTensorError> {
        let file = self.files.len();
        let start = map.as_ptr() as usize;
        for (name, view) in SafeTensors::deserialize(map)?.tensors() {
            let first = view.data().as_ptr() as usize - start;
            let bytes = first..first + view.data().len();
            let entry = Entry { file, dtype: view.dtype(), shape: view.shape().to_vec(), bytes };
            self.tensors.insert(name, entry);
        }
        Ok(())
    }

    /// Whether a tensor is there.
    pub(super) fn holds(&self, name: &str) -> bool {
        self.tensors.contains_key(name)
    }

    /// A tensor as 32-bit floats.
    ///
    /// # Errors
    /// [`ErrorKind::Model`](crate::ErrorKind::Model) naming the tensor that is missing, of another
    /// shape or of a type that holds no floats.
    pub(super) fn tensor(&self, name: &str, shape: &[usize]) -> Result<Tensor> {
        let error = |message: String| Error::model(&self.model, format!("tensor {name} {message}"));
        let entry = self.tensors.get(name).ok_or_else(|| error("is missing".to_owned()))?;
        if entry.shape != shape {
            return Err(error(format!("has shape {:?}, not {shape:?}", entry.shape)));
        }
        let dtype = match entry.dtype {
            Dtype::F32 => DType::F32,
            Dtype::F16 => DType::F16,
            Dtype::BF16 => DType::BF16,
            other => return Err(error(format!("holds {other:?}, not floats"))),
        };
        let (path, map) = &self.files[entry.file];
        let tensor = Tensor::from_raw_buffer(&map[entry.bytes.clone()], dtype, shape, &Device::Cpu)
            .and_then(|tensor| tensor.to_dtype(DType::F32))
            .map_err(|e| error(format!("cannot be read: {e}")))?;
        // What was copied need not stay in memory twice.
        #[cfg(unix)]
        // SAFETY: the map is of a file and only read, so pages that are dropped come back as they were.
        unsafe {
            map.unchecked_advise_range(
                memmap2::UncheckedAdvice::DontNeed,
                entry.bytes.start,
                entry.bytes.len(),
            )
        }
        .map_err(|e| Error::io(path, e))?;
        #[cfg(not(unix))]
        let _ = path;
        Ok(tensor)
    }

    /// `NAME.weight` and `NAME.bias`.
    pub(super) fn linear(&self, name: &str, out: usize, inner: usize) -> Result<Linear> {
        self.side_by_side(&[name.to_owned()], out, inner)
    }

    /// `NAME.weight` of a layer that has no bias.
    pub(super) fn linear_without_bias(&self, name: &str, out: usize, inner: usize) -> Result<Linear> {
        let weight = self.tensor(&format!("{name}.weight"), &[out, inner])?;
        let bias = Tensor::zeros(out, DType::F32, &Device::Cpu);
        self.usable(bias.and_then(|bias| Linear::new(&weight, bias)))
    }

    /// Several layers of the same input as one that gives all their outputs side by side.
    pub(super) fn side_by_side(&self, names: &[String], out: usize, inner: usize) -> Result<Linear> {
        let joined = |part: &str, shape: &[usize]| {
            let parts = names.iter().map(|name| self.tensor(&format!("{name}.{part}"), shape));
            self.usable(Tensor::cat(&parts.collect::<Result<Vec<_>>>()?, 0))
        };
        self.usable(Linear::new(&joined("weight", &[out, inner])?, joined("bias", &[out])?))
    }

    fn usable<T>(&self, made: candle_core::Result<T>) -> Result<T> {
        made.map_err(|e| Error::model(&self.model, e.to_string()))
    }

    /// `NAME.weight` and `NAME.bias` of a normalisation.
    pub(super) fn layer_norm(&self, name: &str, size: usize, epsilon: f64) -> Result<LayerNorm> {
        let weight = self.tensor(&format!("{name}.weight"), &[size])?;
        let bias = self.tensor(&format!("{name}.bias"), &[size])?;
        Ok(LayerNorm { weight, bias, epsilon: epsilon as f32 })
    }
}
