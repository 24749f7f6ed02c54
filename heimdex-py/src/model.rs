//! Models alone: texts and pictures to vectors.

use heimdex::calls::{ModelCallOptions, read};
use heimdex::embed::{DualEncoder, ImageEmbedder, Role, TextEmbedder, TextEncoder, Vector};
use heimdex::media::RgbPicture;
use heimdex::open::{open_image_model, open_text_model};
use heimdex::{Error, Result};
use pyo3::prelude::*;
use pyo3::types::PyByteArray;

use crate::error::{exception, wrong_option};
use crate::picture::Picture;
use crate::runtime::use_models;

/// The model of a name or folder, on the backend that `options` say.
fn opened<M: Send>(
    py: Python<'_>,
    options: &str,
    open: impl FnOnce(&ModelCallOptions) -> Result<M> + Send,
) -> PyResult<M> {
    let options: ModelCallOptions = read(options).map_err(|e| wrong_option(py, &e))?;
    use_models().and_then(|()| py.detach(|| open(&options))).map_err(|error| exception(py, &error))
}

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

fn embedded<'py>(
    py: Python<'py>,
    model: &dyn TextEmbedder,
    texts: &[String],
    role: &str,
) -> PyResult<Bound<'py, PyByteArray>> {
    let role = match role {
        "query" => Role::Query,
        "passage" => Role::Passage,
        other => {
            let error = Error::invalid("role", format!("`{other}` is neither query nor passage"));
            return Err(exception(py, &error));
        }
    };
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let vectors = py.detach(|| model.embed(&texts, role));
    rows(py, &vectors)
}

fn spec(model: &dyn TextEmbedder) -> String {
    serde_json::json!(model.spec()).to_string()
}

/// A model for texts.
#[pyclass(frozen, module = "heimdex._native")]
pub(crate) struct TextModel {
    model: TextEncoder,
}

#[pymethods]
impl TextModel {
    #[new]
    fn new(py: Python<'_>, options: &str) -> PyResult<Self> {
        let model = opened(py, options, |o| open_text_model(&o.model, &o.model_options()))?;
        Ok(Self { model })
    }

    /// What makes its vectors, as JSON.
    fn spec(&self) -> String {
        spec(&self.model)
    }

    /// Rows of 32-bit floats.
    fn embed<'py>(
        &self,
        py: Python<'py>,
        texts: Vec<String>,
        role: &str,
    ) -> PyResult<Bound<'py, PyByteArray>> {
        embedded(py, &self.model, &texts, role)
    }
}

/// A model for pictures and texts.
#[pyclass(frozen, module = "heimdex._native")]
pub(crate) struct ImageModel {
    model: DualEncoder,
}

#[pymethods]
impl ImageModel {
    #[new]
    fn new(py: Python<'_>, options: &str) -> PyResult<Self> {
        let model = opened(py, options, |o| open_image_model(&o.model, &o.model_options()))?;
        Ok(Self { model })
    }

    /// What makes its vectors, as JSON.
    fn spec(&self) -> String {
        spec(&self.model)
    }

    /// Rows of 32-bit floats.
    fn embed<'py>(
        &self,
        py: Python<'py>,
        texts: Vec<String>,
        role: &str,
    ) -> PyResult<Bound<'py, PyByteArray>> {
        embedded(py, &self.model, &texts, role)
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
        let vectors = py.detach(|| self.model.embed_images(&pictures));
        rows(py, &vectors)
    }
}
