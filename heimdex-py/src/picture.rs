//! Pictures from Python.

use heimdex::calls::WrongOption;
use heimdex::media::RgbPicture;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;

use crate::error::{exception, wrong_option};

/// A picture as Python hands it over.
#[derive(FromPyObject)]
pub(crate) enum Picture {
    /// Width, height, and rows of R, G, B.
    Pixels(u32, u32, PyBackedBytes),
    /// The bytes of a file.
    #[pyo3(transparent)]
    File(PyBackedBytes),
}

impl Picture {
    pub(crate) fn read(self, py: Python<'_>) -> PyResult<RgbPicture> {
        match self {
            Self::File(bytes) => {
                py.detach(|| RgbPicture::decode(&bytes)).map_err(|error| exception(py, &error))
            }
            Self::Pixels(width, height, data) => {
                let expected = u64::from(width) * u64::from(height) * 3;
                if expected == 0 || data.len() as u64 != expected {
                    let message = format!("{width} x {height} pixels are not {} bytes", data.len());
                    return Err(wrong_option(py, &WrongOption::value("image", message)));
                }
                Ok(RgbPicture { width, height, data: data.to_vec() })
            }
        }
    }
}
