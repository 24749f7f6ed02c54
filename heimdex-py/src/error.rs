//! Errors of the core as exceptions of the package.

use heimdex::Error;
use heimdex::calls::{WrongOption, error_json};
use pyo3::prelude::*;
use pyo3::types::PyModule;

/// The exception of an error. What Python code of the user raised is its cause.
pub(crate) fn exception(py: Python<'_>, error: &Error) -> PyErr {
    let raised = made(py, "of_json", (error_json(error).to_string(),));
    let mut source = std::error::Error::source(error);
    while let Some(inner) = source {
        if let Some(cause) = inner.downcast_ref::<PyErr>() {
            raised.set_cause(py, Some(cause.clone_ref(py)));
        }
        source = inner.source();
    }
    raised
}

/// `TypeError` for an option of another type, `ValueError` for a value that does not fit.
pub(crate) fn wrong_option(py: Python<'_>, wrong: &WrongOption) -> PyErr {
    made(py, "wrong_argument", (wrong.name.as_str(), wrong.message.as_str(), wrong.mistyped))
}

fn made<'py>(py: Python<'py>, maker: &str, about: impl pyo3::call::PyCallArgs<'py>) -> PyErr {
    let exception = || PyModule::import(py, "heimdex._errors")?.getattr(maker)?.call1(about);
    exception().map_or_else(|error| error, PyErr::from_value)
}
