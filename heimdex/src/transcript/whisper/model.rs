//! A model in memory, once per process and file.

use std::collections::HashMap;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use sha2::{Digest, Sha256};

use super::align;
use super::cpp::{self, Cpp};
use super::engine::Engine;
use super::file::{self, Shape};
use super::network::{HeadOf, Network};
use super::own::Own;
use super::rules::Rules;
use super::vocabulary::Vocabulary;
use crate::models::{self, ModelKind};
use crate::{Error, Result};

/// A model, and the engines that wait for a region.
pub(super) struct Loaded {
    pub(super) name: String,
    pub(super) sha256: String,
    pub(super) shape: Shape,
    pub(super) vocabulary: Vocabulary,
    pub(super) rules: Rules,
    /// The heads of attention that words get their times by.
    pub(super) heads: Vec<HeadOf>,
    /// They end before what they compute with.
    idle: Mutex<Vec<Box<dyn Engine>>>,
    computed: Computed,
}

/// The weights, and where they are multiplied.
enum Computed {
    Here(Arc<Network>),
    OnCard(cpp::Context),
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
    let loaded = Arc::new(Loaded::read(&real, name_of(&real), gpu)?);
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
    /// Reads a model.
    pub(super) fn read(real: &Path, name: String, gpu: bool) -> Result<Self> {
        let mut contents = file::open(real, &name)?;
        let sha256 = sha256(real)?;
        let vocabulary = Vocabulary::of(&mut contents)?;
        let rules = Rules::of(&vocabulary);
        let file = real.file_name().map(|f| f.to_string_lossy().into_owned()).unwrap_or_default();
        let shape = contents.shape;
        let heads = align::heads(&shape, &file);
        let computed = if gpu {
            Computed::OnCard(cpp::read(
                real,
                &name,
                &shape,
                &heads,
                cfg!(any(feature = "cuda", feature = "metal")),
            )?)
        } else {
            Computed::Here(Arc::new(Network::read(&mut contents)?))
        };
        Ok(Self { name, sha256, shape, vocabulary, rules, heads, computed, idle: Mutex::default() })
    }

    /// Whether the model writes times. The first distilled ones do not.
    ///
    /// Source: whisper.cpp, `whisper_full_with_state`.
    pub(super) fn has_times(&self) -> bool {
        self.shape.text_layers != 2 || self.shape.vocabulary == 51_866
    }

    /// Something to work with.
    pub(super) fn engine(&self) -> Result<Box<dyn Engine>> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        match (idle, &self.computed) {
            (Some(engine), _) => Ok(engine),
            (None, Computed::Here(network)) => Ok(Box::new(Own::new(Arc::clone(network)))),
            (None, Computed::OnCard(_)) => Ok(Box::new(self.fresh_state()?)),
        }
    }

    #[cfg(feature = "testing")]
    pub(super) fn pace(
        &self,
        pcm: &[f32],
        threads: usize,
        tokens: usize,
    ) -> Result<[std::time::Duration; 2]> {
        match &self.computed {
            Computed::Here(network) => Own::new(Arc::clone(network)).pace(self, pcm, threads, tokens),
            Computed::OnCard(_) => Err(Error::model(&self.name, "it is on a graphics card")),
        }
    }

    /// A state of whisper.cpp's.
    pub(super) fn fresh_state(&self) -> Result<Cpp> {
        match &self.computed {
            Computed::OnCard(context) => Cpp::new(context, &self.name),
            Computed::Here(_) => Err(Error::model(&self.name, "it is not on a graphics card")),
        }
    }

    pub(super) fn give_back(&self, engine: Box<dyn Engine>) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(engine);
    }
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
