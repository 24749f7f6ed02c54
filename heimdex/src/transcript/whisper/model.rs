//! A model in memory, once per process and file.

use std::collections::HashMap;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, Once, PoisonError, Weak};

use sha2::{Digest, Sha256};
use whisper_rs::{DtwMode, DtwParameters, WhisperContext, WhisperContextParameters};

use super::decode::Worker;
use super::device;
use super::header::{self, Shape};
use crate::models::{self, ModelKind};
use crate::{Error, Result};

/// The weights, and the states that wait for a region.
pub(super) struct Loaded {
    pub(super) context: WhisperContext,
    pub(super) name: String,
    pub(super) sha256: String,
    pub(super) shape: Shape,
    /// Whether words get their times by attention.
    pub(super) aligned: bool,
    idle: Mutex<Vec<Worker>>,
}

/// The models that run, by their file and what they compute on.
type Running = HashMap<(PathBuf, bool), Weak<Loaded>>;

/// The model of `file`: the one that is loaded, else a new one.
pub(super) fn shared(file: &Path, gpu: bool) -> Result<Arc<Loaded>> {
    static RUNNING: Mutex<Option<Running>> = Mutex::new(None);
    let missing = |e: std::io::Error| {
        let message = format!("{e}; get a model with: heimdex models pull whisper-base");
        Error::model_missing(file.display().to_string(), message)
    };
    let real = file.canonicalize().map_err(missing)?;
    // Held while loading: two that ask at once load it once.
    let mut running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
    let running = running.get_or_insert_default();
    if let Some(loaded) = running.get(&(real.clone(), gpu)).and_then(Weak::upgrade) {
        return Ok(loaded);
    }
    let loaded = Arc::new(Loaded::read(&real, name_of(&real), gpu, None)?);
    running.retain(|_, loaded| loaded.strong_count() > 0);
    running.insert((real, gpu), Arc::downgrade(&loaded));
    Ok(loaded)
}

/// What [`models::resolve`] finds the file again by: the name of a known model, else the path.
fn name_of(real: &Path) -> String {
    let file = real.file_name();
    let mut known = models::known().iter().filter(|model| model.kind == ModelKind::Speech);
    // Contents in the hub's cache are named by their hash: the names that lead there tell more.
    let same =
        |name: &str| models::resolve(name).and_then(|p| p.canonicalize().map_err(|e| Error::io(&p, e)));
    match known.find(|model| same(model.name).is_ok_and(|path| path == real)) {
        Some(model) => model.name.to_owned(),
        None => file.map_or_else(String::new, |_| real.to_string_lossy().into_owned()),
    }
}

impl Loaded {
    /// Reads a model. `heads` in place of the published alignment heads, to test with small models.
    pub(super) fn read(real: &Path, name: String, gpu: bool, heads: Option<DtwMode<'_>>) -> Result<Self> {
        quiet_log();
        device::add();
        let shape = header::read(real, &name)?;
        let sha256 = sha256(real)?;
        let file = real.file_name().map(|f| f.to_string_lossy().into_owned()).unwrap_or_default();
        let preset = shape.alignment(&file).map(|model_preset| DtwMode::ModelPreset { model_preset });
        let mode = heads.or(preset);
        let aligned = mode.is_some();
        let mut parameters = WhisperContextParameters::default();
        parameters.use_gpu(gpu);
        // It attends to padding without a mask, which changes the words.
        parameters.flash_attn(false);
        parameters.dtw_parameters(DtwParameters {
            mode: mode.unwrap_or(DtwMode::None),
            dtw_mem_size: dtw_bytes(&shape),
        });
        let context = WhisperContext::new_with_params(real, parameters).map_err(|e| {
            let message = "whisper.cpp cannot read it; it was probably not copied whole".to_owned();
            Error::Model {
                model: name.clone(),
                kind: crate::ErrorKind::Model,
                message,
                source: Some(Box::new(e)),
            }
        })?;
        Ok(Self { context, name, sha256, shape, aligned, idle: Mutex::default() })
    }

    /// A state to work with.
    pub(super) fn worker(&self) -> Result<Worker> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        match idle {
            Some(worker) => Ok(worker),
            None => Worker::new(self),
        }
    }

    pub(super) fn give_back(&self, worker: Worker) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(worker);
    }

    pub(super) fn error(&self, what: &str, source: whisper_rs::WhisperError) -> Error {
        let (model, message) = (self.name.clone(), what.to_owned());
        Error::Model { model, kind: crate::ErrorKind::Model, message, source: Some(Box::new(source)) }
    }
}

/// Memory for dynamic time warping: some copies of the attention of all heads over a window. whisper.cpp
/// ends the process when it is too little.
fn dtw_bytes(shape: &Shape) -> usize {
    const COPIES: usize = 8;
    let tokens = shape.text_positions.unsigned_abs() as usize;
    let frames = shape.audio_positions.unsigned_abs() as usize;
    // At most as many as the published models have, and in tests all of the two upper layers.
    let heads = 2 * shape.text_heads.unsigned_abs().max(12) as usize;
    (COPIES * 4 * tokens * frames * heads / 4).max(128 << 20)
}

/// whisper.cpp's own messages go to `tracing`, not to standard error.
pub(super) fn quiet_log() {
    static ONCE: Once = Once::new();
    ONCE.call_once(whisper_rs::install_logging_hooks);
}

/// SHA-256 of a file, hexadecimal: the hash that it is published with.
fn sha256(path: &Path) -> Result<String> {
    let mut file = std::fs::File::open(path).map_err(|e| Error::io(path, e))?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        match file.read(&mut buffer).map_err(|e| Error::io(path, e))? {
            0 => return Ok(hasher.finalize().iter().map(|b| format!("{b:02x}")).collect()),
            n => hasher.update(&buffer[..n]),
        }
    }
}
