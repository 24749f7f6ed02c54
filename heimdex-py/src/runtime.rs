//! One runtime per process; a forked child makes its own.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use heimdex::{Error, Result};
use tokio::runtime::{Builder, Runtime};

/// Threads that carry searches: a text is embedded on the thread of its search.
const MIN_THREADS: usize = 2;

static RUNTIME: Mutex<Option<(u32, Arc<Runtime>)>> = Mutex::new(None);

/// The process in which models were opened first; 0 before.
static MODELS_IN: AtomicU32 = AtomicU32::new(0);

/// The runtime of this process. Called with the interpreter held, and forking holds it too: so no child
/// finds the lock taken.
pub(crate) fn runtime() -> Result<Arc<Runtime>> {
    let mut kept = RUNTIME.lock().unwrap_or_else(PoisonError::into_inner);
    let process = std::process::id();
    if let Some((of, runtime)) = &*kept
        && *of == process
    {
        return Ok(Arc::clone(runtime));
    }
    let threads = std::thread::available_parallelism().map_or(MIN_THREADS, |n| n.get().max(MIN_THREADS));
    let runtime = Builder::new_multi_thread()
        .worker_threads(threads)
        .thread_name("heimdex")
        .enable_all()
        .build()
        .map_err(|e| Error::io("tokio runtime", e))?;
    let runtime = Arc::new(runtime);
    // The parent's threads are not in this process, so there is nothing to wait for in dropping it.
    std::mem::forget(kept.replace((process, Arc::clone(&runtime))));
    Ok(runtime)
}

/// Refuses models where the process that forked this one had some: their threads stayed behind, and
/// whoever waits for them waits for ever.
pub(crate) fn use_models() -> Result<()> {
    let process = std::process::id();
    match MODELS_IN.compare_exchange(0, process, Ordering::Relaxed, Ordering::Relaxed) {
        Err(other) if other != process => Err(Error::invalid(
            "fork",
            "models were open before this process was forked; fork earlier, use the start method `spawn`, \
             or open with models=False",
        )),
        _ => Ok(()),
    }
}
