//! An open library.

use std::sync::{Arc, Mutex, PoisonError};

use heimdex::calls::{Call, read};
use heimdex::open::OpenOptions;
use heimdex::search::Models;
use heimdex::{Error, Heimdex, Result};
use pyo3::prelude::*;

use crate::error::{exception, wrong_option};
use crate::job::{Answer, Job, spawn};
use crate::own::{OwnAnnotator, OwnImages, OwnTexts};
use crate::picture::Picture;
use crate::runtime::use_models;

/// A library that is open in this process.
#[pyclass(frozen, module = "heimdex._native")]
pub(crate) struct NativeLibrary {
    library: Mutex<Option<Heimdex>>,
    notes: Vec<String>,
    process: u32,
}

impl NativeLibrary {
    pub(crate) fn new(library: Heimdex, notes: Vec<String>) -> Self {
        Self { library: Mutex::new(Some(library)), notes, process: std::process::id() }
    }

    fn library(&self) -> Result<Heimdex> {
        if self.process != std::process::id() {
            let message = "it was opened before this process was forked; open it again here";
            return Err(Error::invalid("library", message));
        }
        let library = self.library.lock().unwrap_or_else(PoisonError::into_inner);
        library.clone().ok_or_else(|| Error::invalid("library", "it is closed"))
    }
}

#[pymethods]
impl NativeLibrary {
    /// Starts a call. `image` is what a search is to look like.
    #[pyo3(signature = (name, options, image=None, watcher=None))]
    fn start(
        &self,
        py: Python<'_>,
        name: &str,
        options: &str,
        image: Option<Picture>,
        watcher: Option<Py<PyAny>>,
    ) -> PyResult<Job> {
        let library = self.library().map_err(|error| exception(py, &error))?;
        let image = image.map(|picture| picture.read(py)).transpose()?;
        let call = Call::of(name, options, image).map_err(|e| wrong_option(py, &e))?;
        spawn(py, watcher, move |runtime, cancel, report| {
            call.run(&library, runtime, cancel, report).map(Answer::Text)
        })
    }

    /// Starts reading a thumbnail: WebP.
    #[pyo3(signature = (key, watcher=None))]
    fn thumbnail(&self, py: Python<'_>, key: String, watcher: Option<Py<PyAny>>) -> PyResult<Job> {
        let library = self.library().map_err(|error| exception(py, &error))?;
        spawn(py, watcher, move |runtime, _, _| runtime.block_on(library.thumbnail(&key)).map(Answer::Bytes))
    }

    /// Lets go of the index. Work in progress ends first.
    fn close(&self, py: Python<'_>) {
        let library = self.library.lock().unwrap_or_else(PoisonError::into_inner).take();
        if self.process == std::process::id() {
            py.detach(|| drop(library));
        } else {
            // Its threads are those of the parent.
            std::mem::forget(library);
        }
    }

    /// What was left out in opening, one line each.
    #[getter]
    fn notes(&self) -> Vec<String> {
        self.notes.clone()
    }
}

impl Drop for NativeLibrary {
    fn drop(&mut self) {
        if self.process != std::process::id() {
            let library = self.library.get_mut().unwrap_or_else(PoisonError::into_inner);
            std::mem::forget(library.take());
        }
    }
}

/// Starts opening a library. `text`, `image` and `annotators` are adapters of `heimdex._own`.
#[pyfunction]
#[pyo3(signature = (options, text, image, annotators, watcher=None))]
pub(crate) fn open(
    py: Python<'_>,
    options: &str,
    text: Option<Py<PyAny>>,
    image: Option<Py<PyAny>>,
    annotators: Vec<Py<PyAny>>,
    watcher: Option<Py<PyAny>>,
) -> PyResult<Job> {
    let options: OpenOptions = read(options).map_err(|e| wrong_option(py, &e))?;
    if options.models {
        use_models().map_err(|error| exception(py, &error))?;
    }
    let mut own = Models::default();
    if let Some(text) = text {
        own.text = Some(Arc::new(OwnTexts::new(py, text)?));
    }
    if let Some(image) = image {
        own.image = Some(Arc::new(OwnImages::new(py, image)?));
    }
    for annotator in annotators {
        own.annotators.push(Arc::new(OwnAnnotator::new(py, annotator)?));
    }
    spawn(py, watcher, move |runtime, _, _| {
        let opened = runtime.block_on(heimdex::open::open(&options, own))?;
        Ok(Answer::Library(opened.library, opened.notes))
    })
}
