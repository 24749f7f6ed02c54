//! A model on a thread of its own, behind a bounded queue, loaded once per process.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread::JoinHandle;

use crossbeam_channel::{Receiver, Sender, bounded};

use super::model::Model;
use super::{Calibration, EmbedSpec, Role, Vector};
use crate::{Error, Result};

/// Calls that wait for the model.
const QUEUED_CALLS: usize = 4;

struct Call {
    work: Work,
    answer: Sender<Result<Vec<Vector>>>,
}

enum Work {
    Texts(Vec<String>, Role),
    Images(Vec<f32>, usize),
}

/// The thread that owns a model. Ends when the last user is gone.
pub(super) struct ModelThread {
    spec: EmbedSpec,
    calibration: Option<Calibration>,
    calls: Option<Sender<Call>>,
    thread: Option<JoinHandle<()>>,
}

/// The models that run, by what they are used as and their folder.
type Running = HashMap<(String, PathBuf), Weak<ModelThread>>;

/// The thread of the model in `folder`: the one that runs, else a new one. Models of another `kind`
/// are read in another way.
pub(super) fn shared(
    kind: String,
    folder: &Path,
    load: impl FnOnce(&Path) -> Result<Model>,
) -> Result<Arc<ModelThread>> {
    static RUNNING: Mutex<Option<Running>> = Mutex::new(None);
    let missing = |e: std::io::Error| Error::model_missing(folder.display().to_string(), e.to_string());
    let real = folder.canonicalize().map_err(missing)?;
    // Held while loading: two that ask at once load it once.
    let mut running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
    let running = running.get_or_insert_default();
    if let Some(thread) = running.get(&(kind.clone(), real.clone())).and_then(Weak::upgrade) {
        return Ok(thread);
    }
    let thread = Arc::new(ModelThread::start(load(folder)?)?);
    running.retain(|_, thread| thread.strong_count() > 0);
    running.insert((kind, real), Arc::downgrade(&thread));
    Ok(thread)
}

impl ModelThread {
    fn start(model: Model) -> Result<Self> {
        let (calls, received) = bounded(QUEUED_CALLS);
        let (spec, calibration) = (model.spec.clone(), model.calibration);
        let thread = std::thread::Builder::new()
            .name("heimdex-model".into())
            .spawn(move || serve(model, &received))
            .map_err(|e| Error::io("thread heimdex-model", e))?;
        Ok(Self { spec, calibration, calls: Some(calls), thread: Some(thread) })
    }

    pub(super) fn spec(&self) -> &EmbedSpec {
        &self.spec
    }

    pub(super) fn calibration(&self) -> Option<Calibration> {
        self.calibration
    }

    pub(super) fn embed_texts(&self, texts: &[&str], role: Role) -> Result<Vec<Vector>> {
        if texts.is_empty() {
            return Ok(Vec::new());
        }
        self.call(Work::Texts(texts.iter().map(|text| (*text).to_owned()).collect(), role))
    }

    /// `pixels` as the model's preprocessor gives them, for `count` pictures.
    pub(super) fn embed_images(&self, pixels: Vec<f32>, count: usize) -> Result<Vec<Vector>> {
        if count == 0 {
            return Ok(Vec::new());
        }
        self.call(Work::Images(pixels, count))
    }

    fn call(&self, work: Work) -> Result<Vec<Vector>> {
        let gone = || Error::model(&self.spec.model, "the model's thread has ended");
        let (answer, answered) = bounded(1);
        let calls = self.calls.as_ref().ok_or_else(gone)?;
        calls.send(Call { work, answer }).map_err(|_| gone())?;
        answered.recv().map_err(|_| gone())?
    }
}

fn serve(mut model: Model, calls: &Receiver<Call>) {
    for Call { work, answer } in calls {
        let result = catch_unwind(AssertUnwindSafe(|| match &work {
            Work::Texts(texts, role) => model.embed_texts(texts, *role),
            Work::Images(pixels, count) => model.embed_images(pixels, *count),
        }));
        let result = result
            .unwrap_or_else(|_| Err(Error::model(&model.spec.model, "the model panicked on this batch")));
        // A caller that is gone no longer wants its vectors.
        let _ = answer.send(result);
    }
}

impl Drop for ModelThread {
    fn drop(&mut self) {
        self.calls = None;
        if let Some(thread) = self.thread.take() {
            // Its panics were answered as errors already.
            let _ = thread.join();
        }
    }
}
