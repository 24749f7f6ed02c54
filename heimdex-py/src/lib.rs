//! The native half of the Python package `heimdex`.
//!
//! It starts calls and hands over text and bytes; what people see (classes, keyword arguments, asyncio)
//! is Python, in `python/heimdex`. The calls and their options are those of [`heimdex::calls`].

// Python's arguments come by value.
#![allow(clippy::needless_pass_by_value)]

mod error;
mod job;
mod library;
mod model;
mod own;
mod picture;
mod runtime;

use pyo3::prelude::*;

/// The native half of the package.
#[pymodule]
mod _native {
    use super::{Bound, FreeCall, Job, PyModule, PyResult};
    use crate::error::wrong_option;
    use crate::job::{Answer, spawn};

    #[pymodule_export]
    use crate::job::Job as ExportedJob;
    #[pymodule_export]
    use crate::library::{NativeLibrary, open};
    #[pymodule_export]
    use crate::model::NativeModel;
    use pyo3::prelude::*;

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        let kinds: Vec<&str> = heimdex::ErrorKind::ALL.iter().map(|kind| kind.as_str()).collect();
        module.add("ERROR_KINDS", kinds)?;
        module.add("VERSION", env!("CARGO_PKG_VERSION"))
    }

    /// The options of every call with their defaults, as JSON.
    #[pyfunction]
    fn options() -> String {
        heimdex::calls::options().to_string()
    }

    /// Starts a call that needs no library.
    #[pyfunction]
    #[pyo3(signature = (name, options, watcher=None))]
    fn start(py: Python<'_>, name: &str, options: &str, watcher: Option<Py<PyAny>>) -> PyResult<Job> {
        let call = FreeCall::of(name, options).map_err(|e| wrong_option(py, &e))?;
        spawn(py, watcher, move |_, cancel, report| call.run(cancel, report).map(Answer::Text))
    }
}

pub(crate) use heimdex::calls::FreeCall;
pub(crate) use job::Job;
