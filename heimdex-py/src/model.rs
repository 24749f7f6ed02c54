//! Models alone: texts and pictures to vectors.

use std::sync::Arc;

use heimdex::calls::{ModelCallOptions, read};
use heimdex::embed::{ImageEmbedder, Role, TextEmbedder, Vector};
use heimdex::media::RgbPicture;
use heimdex::open::{open_image_model, open_text_model};
use heimdex::{Error, Result};
use pyo3::prelude::*;
use pyo3::types::PyByteArray;

use crate::error::{exception, wrong_option};
use crate::picture::Picture;
use crate::runtime::use_models;

/// The rows one after another, as little as Python can copy: once, into the memory that an array uses.
fn rows<'py>(py: Python<'py>, vectors: &Result<Vec<Vector>>) -> PyResult<Bound<'py, PyByteArray>> {
    let vectors = vectors.as_ref().map_err(|error| exception(py, error))?;
    let bytes = vectors.iter().map(|vector| vector.dim() * size_of::<f32>()).sum();
    PyByteArray::new_with(py, bytes, |memory| {
        let values = vectors.iter().flat_map(Vector::as_slice);
        for (to, value) in memory.as_chunks_mut::<4>().0.iter_mut().zip(values) {
            *to = value.to_ne_bytes();
        }
        Ok(())
    })
}

/// A model for texts, or for pictures and texts.
#[pyclass(frozen, module = "heimdex._native")]
pub(crate) struct NativeModel {
    texts: Arc<dyn TextEmbedder>,
    images: Option<Arc<dyn ImageEmbedder>>,
}

#[pymethods]
impl NativeModel {
    /// For texts, or where `images`, for pictures and texts.
    #[new]
    fn new(py: Python<'_>, options: &str, images: bool) -> PyResult<Self> {
        let options: ModelCallOptions = read(options).map_err(|e| wrong_option(py, &e))?;
        let (name, run_with) = (&options.model, options.model_options());
        let open = || {
            use_models()?;
            Ok(if images {
                let model = open_image_model(name, &run_with)?;
                Self { texts: Arc::new(model.clone()), images: Some(Arc::new(model)) }
            } else {
                Self { texts: Arc::new(open_text_model(name, &run_with)?), images: None }
            })
        };
        py.detach(open).map_err(|error| exception(py, &error))
    }

    /// What makes its vectors, as JSON.
    fn spec(&self) -> String {
        serde_json::json!(self.texts.spec()).to_string()
    }

    /// Rows of 32-bit floats.
    fn embed<'py>(
        &self,
        py: Python<'py>,
        texts: Vec<String>,
        role: &str,
    ) -> PyResult<Bound<'py, PyByteArray>> {
        let role: Role = role.parse().map_err(|error| exception(py, &error))?;
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let vectors = py.detach(|| self.texts.embed(&texts, role));
        rows(py, &vectors)
    }

    /// Rows of 32-bit floats.
    fn embed_images<'py>(
        &self,
        py: Python<'py>,
        pictures: Vec<Picture>,
    ) -> PyResult<Bound<'py, PyByteArray>> {
        let pictures: Vec<RgbPicture> =
            pictures.into_iter().map(|picture| picture.read(py)).collect::<PyResult<_>>()?;
        let pictures: Vec<&RgbPicture> = pictures.iter().collect();
        let vectors = py.detach(|| match &self.images {
            Some(model) => model.embed_images(&pictures),
            None => Err(Error::invalid("images", "this model reads texts only")),
        });
        rows(py, &vectors)
    }
}
