//! Embedders and annotators that are written in Python. The adapters of `heimdex._own` stand between.

use heimdex::annotate::{Annotation, Annotator, SceneView};
use heimdex::embed::{EmbedSpec, ImageEmbedder, Role, TextEmbedder, Vector};
use heimdex::media::RgbPicture;
use heimdex::{Error, ErrorKind, Result};
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::PyBytes;

use crate::error::wrong_option;

/// What Python code raised, as the failure of what it stands for.
fn failed(name: &str, error: PyErr) -> Error {
    let message = error.to_string();
    Error::Model { model: name.to_owned(), kind: ErrorKind::Model, message, source: Some(Box::new(error)) }
}

fn attached<T>(name: &str, call: impl FnOnce(Python<'_>) -> PyResult<T>) -> Result<T> {
    Python::try_attach(call)
        .unwrap_or_else(|| Err(pyo3::exceptions::PyRuntimeError::new_err("the interpreter is shutting down")))
        .map_err(|error| failed(name, error))
}

fn spec_of(py: Python<'_>, adapter: &Py<PyAny>) -> PyResult<EmbedSpec> {
    let text: String = adapter.call_method0(py, "spec")?.extract(py)?;
    heimdex::calls::own_spec(&text).map_err(|e| wrong_option(py, &e))
}

/// The rows that Python gave, each brought to length 1.
fn vectors(spec: &EmbedSpec, bytes: &[u8], count: usize) -> Result<Vec<Vector>> {
    if bytes.len() != count * spec.dim * size_of::<f32>() {
        let message =
            format!("it gave {} numbers for {count} rows of {}", bytes.len() / size_of::<f32>(), spec.dim);
        return Err(Error::model(&spec.model, message));
    }
    let values: Vec<f32> = bytes.as_chunks::<4>().0.iter().map(|b| f32::from_ne_bytes(*b)).collect();
    values.chunks_exact(spec.dim).map(|row| Vector::normalize(row.to_vec())).collect()
}

fn pixels<'py>(py: Python<'py>, picture: &RgbPicture) -> (u32, u32, Bound<'py, PyBytes>) {
    (picture.width, picture.height, PyBytes::new(py, &picture.data))
}

/// Texts to vectors, in Python.
pub(crate) struct OwnTexts {
    adapter: Py<PyAny>,
    spec: EmbedSpec,
}

impl OwnTexts {
    pub(crate) fn new(py: Python<'_>, adapter: Py<PyAny>) -> PyResult<Self> {
        let spec = spec_of(py, &adapter)?;
        Ok(Self { adapter, spec })
    }
}

impl TextEmbedder for OwnTexts {
    fn spec(&self) -> &EmbedSpec {
        &self.spec
    }

    fn embed(&self, texts: &[&str], role: Role) -> Result<Vec<Vector>> {
        let bytes = attached(&self.spec.model, |py| {
            let bytes = self.adapter.call_method1(py, "embed", (texts.to_vec(), role.as_str()))?;
            Ok(bytes.extract::<PyBackedBytes>(py)?)
        })?;
        vectors(&self.spec, &bytes, texts.len())
    }
}

/// Pictures to vectors, in Python.
pub(crate) struct OwnImages {
    adapter: Py<PyAny>,
    spec: EmbedSpec,
    text: Option<OwnTexts>,
}

impl OwnImages {
    pub(crate) fn new(py: Python<'_>, adapter: Py<PyAny>) -> PyResult<Self> {
        let spec = spec_of(py, &adapter)?.of_images();
        let reads_texts: bool = adapter.getattr(py, "reads_texts")?.extract(py)?;
        let text = reads_texts.then(|| OwnTexts { adapter: adapter.clone_ref(py), spec: spec.clone() });
        Ok(Self { adapter, spec, text })
    }
}

impl ImageEmbedder for OwnImages {
    fn spec(&self) -> &EmbedSpec {
        &self.spec
    }

    fn embed_images(&self, pictures: &[&RgbPicture]) -> Result<Vec<Vector>> {
        let bytes = attached(&self.spec.model, |py| {
            let pictures: Vec<_> = pictures.iter().map(|picture| pixels(py, picture)).collect();
            let bytes = self.adapter.call_method1(py, "embed_images", (pictures,))?;
            Ok(bytes.extract::<PyBackedBytes>(py)?)
        })?;
        vectors(&self.spec, &bytes, pictures.len())
    }

    fn text(&self) -> Option<&dyn TextEmbedder> {
        self.text.as_ref().map(|text| text as &dyn TextEmbedder)
    }
}

/// A channel of the user's own, in Python.
pub(crate) struct OwnAnnotator {
    adapter: Py<PyAny>,
    channel: String,
    version: String,
    spec: Option<EmbedSpec>,
}

impl OwnAnnotator {
    pub(crate) fn new(py: Python<'_>, adapter: Py<PyAny>) -> PyResult<Self> {
        let channel = adapter.getattr(py, "channel")?.extract(py)?;
        let version = adapter.getattr(py, "version")?.extract(py)?;
        let gives_vectors: bool = adapter.getattr(py, "gives_vectors")?.extract(py)?;
        let spec = if gives_vectors { Some(spec_of(py, &adapter)?) } else { None };
        Ok(Self { adapter, channel, version, spec })
    }
}

impl Annotator for OwnAnnotator {
    fn channel(&self) -> &str {
        &self.channel
    }

    fn version(&self) -> String {
        self.version.clone()
    }

    fn spec(&self) -> Option<&EmbedSpec> {
        self.spec.as_ref()
    }

    fn annotate(&self, scene: &SceneView<'_>) -> Result<Annotation> {
        let facts = serde_json::json!({
            "scene": scene.scene,
            "keyframes": scene.keyframes.iter().map(|k| k.keyframe).collect::<Vec<_>>(),
        });
        let text = attached(&self.channel, |py| {
            let pictures: Vec<_> = scene.keyframes.iter().map(|k| pixels(py, k.picture)).collect();
            let found = self.adapter.call_method1(py, "annotate", (facts.to_string(), pictures))?;
            found.extract::<String>(py)
        })?;
        serde_json::from_str(&text).map_err(|e| Error::model(&self.channel, format!("what it found: {e}")))
    }

    fn embed_query(&self, query: &str) -> Result<Option<Vector>> {
        let Some(spec) = &self.spec else { return Ok(None) };
        let bytes = attached(&self.channel, |py| {
            let bytes = self.adapter.call_method1(py, "embed_query", (query,))?;
            Ok(bytes.extract::<Option<PyBackedBytes>>(py)?)
        })?;
        bytes.map_or(Ok(None), |bytes| Ok(vectors(spec, &bytes, 1)?.pop()))
    }
}
