//! A model on a thread of its own, behind a bounded queue, loaded once per process.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread::JoinHandle;

use crossbeam_channel::{Receiver, Sender, bounded};

use super::{EmbedSpec, Role, Vector};
use crate::{Error, Result};

/// Calls that wait for the model.
const QUEUED_CALLS: usize = 4;

/// What runs on the thread.
pub(super) trait Model: Send {
    fn embed(&mut self, texts: &[String], role: Role) -> Result<Vec<Vector>>;
}

struct Call {
    texts: Vec<String>,
    role: Role,
    answer: Sender<Result<Vec<Vector>>>,
}

/// The thread that owns a model. Ends when the last user is gone.
pub(super) struct ModelThread {
    spec: EmbedSpec,
    calls: Option<Sender<Call>>,
    thread: Option<JoinHandle<()>>,
}

type Loaded = (EmbedSpec, Box<dyn Model>);

/// The thread of the model in `folder`: the one that runs, else a new one.
pub(super) fn shared(folder: &Path, load: impl FnOnce(&Path) -> Result<Loaded>) -> Result<Arc<ModelThread>> {
    static RUNNING: Mutex<Option<HashMap<PathBuf, Weak<ModelThread>>>> = Mutex::new(None);
    let missing = |e: std::io::Error| Error::model_missing(folder.display().to_string(), e.to_string());
    let real = folder.canonicalize().map_err(missing)?;
    // Held while loading: two that ask at once load it once.
    let mut running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
    let running = running.get_or_insert_default();
    if let Some(thread) = running.get(&real).and_then(Weak::upgrade) {
        return Ok(thread);
    }
    let thread = Arc::new(ModelThread::start(load(folder)?)?);
    running.retain(|_, thread| thread.strong_count() > 0);
    running.insert(real, Arc::downgrade(&thread));
    Ok(thread)
}

impl ModelThread {
    fn start((spec, model): Loaded) -> Result<Self> {
        let (calls, received) = bounded(QUEUED_CALLS);
        let name = spec.model.clone();
        let thread = std::thread::Builder::new()
            .name("heimdex-text-model".into())
            .spawn(move || serve(model, &received, &name))
            .map_err(|e| Error::io("thread heimdex-text-model", e))?;
        Ok(Self { spec, calls: Some(calls), thread: Some(thread) })
    }

    pub(super) fn spec(&self) -> &EmbedSpec {
        &self.spec
    }

    pub(super) fn embed(&self, texts: &[&str], role: Role) -> Result<Vec<Vector>> {
        if texts.is_empty() {
            return Ok(Vec::new());
        }
        let gone = || Error::model(&self.spec.model, "the model's thread has ended");
        let (answer, answered) = bounded(1);
        let texts = texts.iter().map(|text| (*text).to_owned()).collect();
        let calls = self.calls.as_ref().ok_or_else(gone)?;
        calls.send(Call { texts, role, answer }).map_err(|_| gone())?;
        answered.recv().map_err(|_| gone())?
    }
}

fn serve(mut model: Box<dyn Model>, calls: &Receiver<Call>, name: &str) {
    for call in calls {
        let result = catch_unwind(AssertUnwindSafe(|| model.embed(&call.texts, call.role)))
            .unwrap_or_else(|_| Err(Error::model(name, "the model panicked on this batch")));
        // A caller that is gone no longer wants its vectors.
        let _ = call.answer.send(result);
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
