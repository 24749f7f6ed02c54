//! What a model is run with.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

#[cfg(any(feature = "candle", feature = "onnx"))]
use crate::{Error, Result};

/// What runs a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Backend {
    /// candle, from `model.safetensors`; nothing else is needed.
    Candle,
    /// ONNX Runtime, from `onnx/*.onnx`; its library is found at run time.
    Onnx,
}

impl Default for Backend {
    /// candle where it is built in, else ONNX Runtime.
    fn default() -> Self {
        if cfg!(feature = "onnx") && !cfg!(feature = "candle") { Self::Onnx } else { Self::Candle }
    }
}

/// What ONNX Runtime computes on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Provider {
    /// The processor; in every library.
    #[default]
    Cpu,
    /// Intel's processors and graphics, by OpenVINO.
    OpenVino,
    /// NVIDIA's graphics.
    Cuda,
    /// Apple's processors, graphics and neural engine.
    CoreMl,
}

/// The numbers that the weights are kept in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Precision {
    /// 32-bit floats: what all others are measured against.
    #[default]
    F32,
    /// 16-bit floats: half the memory, and faster where the hardware has them.
    F16,
    /// 8-bit integers: a quarter of the memory, faster on most processors, and not the same vectors
    /// (see [`EmbedSpec::cosine_to_f32`](super::EmbedSpec::cosine_to_f32)).
    Int8,
}

#[cfg(any(feature = "onnx", feature = "hub"))]
impl Precision {
    /// How the export of a part of a model in this precision may be called, below the model's folder.
    pub(crate) fn exports(self, stem: &str) -> Vec<String> {
        let endings: &[&str] = match self {
            Self::F32 => &[""],
            Self::F16 => &["_fp16"],
            Self::Int8 => &["_int8", "_quantized"],
        };
        endings.iter().map(|ending| format!("onnx/{stem}{ending}.onnx")).collect()
    }
}

/// What a model is run with.
///
/// ```
/// use heimdex::embed::{Backend, ModelOptions, Precision};
///
/// let mut options = ModelOptions::of(Backend::Onnx);
/// options.precision = Precision::Int8;
/// options.threads = 4;
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct ModelOptions {
    /// What runs the model.
    pub backend: Backend,
    /// Threads that work on one batch; 0 for as many as there are cores. candle takes all cores: with it
    /// this must be 0.
    pub threads: usize,
    /// What ONNX Runtime computes on. One that the library does not have is an error.
    pub provider: Provider,
    /// The library of ONNX Runtime, or the folder of its Python package. `ORT_DYLIB_PATH` comes first;
    /// without either the system's is taken. A process loads one library, that of its first model.
    pub library: Option<PathBuf>,
    /// Which file of the export is read. A text tower that is not there in this precision is read in
    /// [`Precision::F32`]; a picture tower or a text model that is not there is an error.
    pub precision: Precision,
}

impl ModelOptions {
    /// The defaults of a backend.
    pub fn of(backend: Backend) -> Self {
        Self { backend, ..Self::default() }
    }
}

#[cfg(any(feature = "candle", feature = "onnx"))]
impl ModelOptions {
    /// What a running model is shared by, besides its folder: `kind`, and all that makes it another one.
    pub(super) fn key(&self, kind: &str) -> String {
        match self.backend {
            Backend::Candle => format!("{kind} candle"),
            Backend::Onnx => format!("{kind} onnx {} {:?} {:?}", self.threads, self.provider, self.precision),
        }
    }

    /// Refuses what the backend cannot do, so that nothing that was asked for is silently left out.
    pub(super) fn check(&self) -> Result<()> {
        if self.backend == Backend::Onnx {
            return Ok(());
        }
        let only =
            |field, what: &str| Err(Error::invalid(field, format!("candle {what}; use backend `onnx`")));
        match self {
            Self { provider, .. } if *provider != Provider::Cpu => {
                only("provider", "runs on the processor only")
            }
            Self { precision, .. } if *precision != Precision::F32 => {
                only("precision", "reads 32-bit floats only")
            }
            Self { threads, .. } if *threads != 0 => only("threads", "takes all cores there are"),
            _ => Ok(()),
        }
    }

    /// A backend that was left out when this was built.
    #[cfg(not(all(feature = "candle", feature = "onnx")))]
    pub(super) fn not_built(&self) -> Error {
        let name = match self.backend {
            Backend::Candle => "candle",
            Backend::Onnx => "onnx",
        };
        Error::invalid("backend", format!("this build has no `{name}`; build with the feature `{name}`"))
    }
}
