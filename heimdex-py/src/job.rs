//! Work that runs while Python goes on: waited for by a thread, or watched by an event loop.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use heimdex::{Cancel, Error, Heimdex, Result};
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString};
use tokio::runtime::Handle;

use crate::error::exception;
use crate::library::NativeLibrary;
use crate::runtime::runtime;

/// How often a waiting thread looks for signals.
const SIGNALS_EVERY: Duration = Duration::from_millis(50);

/// How long an interrupted thread waits for the work to end.
const STOPS_WITHIN: Duration = Duration::from_secs(2);

/// Reports that wait for their reader; more are left out.
const WAITING_REPORTS: usize = 64;

/// What a call gives.
pub(crate) enum Answer {
    Text(String),
    Bytes(Vec<u8>),
    Library(Heimdex, Vec<String>),
}

impl Answer {
    fn into_python(self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        Ok(match self {
            Self::Text(text) => PyString::new(py, &text).into_any().unbind(),
            Self::Bytes(bytes) => PyBytes::new(py, &bytes).into_any().unbind(),
            Self::Library(library, notes) => Py::new(py, NativeLibrary::new(library, notes))?.into_any(),
        })
    }
}

enum Event {
    Progress(String),
    Done(Result<Answer>),
}

/// Where events go: to the thread that waits, or to the watcher of an event loop.
#[derive(Clone)]
enum Sink {
    Thread(Sender<Event>),
    Watcher(Arc<Py<PyAny>>),
}

impl Sink {
    fn send(&self, event: Event) {
        match self {
            Self::Thread(events) => {
                // The place after the last report is kept for the result. A thread that no longer waits
                // wants neither.
                if matches!(event, Event::Done(_)) || events.len() < WAITING_REPORTS {
                    let _ = events.send(event);
                }
            }
            Self::Watcher(watcher) => {
                // An interpreter that is shutting down wants nothing more.
                Python::try_attach(|py| {
                    let told = match event {
                        Event::Progress(text) => watcher.call1(py, (Some(text), py.None(), py.None())),
                        Event::Done(Ok(answer)) => answer
                            .into_python(py)
                            .and_then(|answer| watcher.call1(py, (py.None(), answer, py.None()))),
                        Event::Done(Err(error)) => {
                            watcher.call1(py, (py.None(), py.None(), exception(py, &error)))
                        }
                    };
                    // Such as a loop that was closed before the work ended.
                    if let Err(error) = told {
                        error.write_unraisable(py, None);
                    }
                });
            }
        }
    }
}

/// Work that was started. Dropping it stops the work.
#[pyclass(frozen, module = "heimdex._native")]
pub(crate) struct Job {
    cancel: Cancel,
    events: Receiver<Event>,
}

impl Drop for Job {
    fn drop(&mut self) {
        self.cancel.cancel();
    }
}

#[pymethods]
impl Job {
    /// Stops the work.
    fn cancel(&self) {
        self.cancel.cancel();
    }

    /// Waits for the result. `on_progress` is called in this thread. A signal, such as Ctrl-C, or an
    /// exception of `on_progress` stops the work.
    #[pyo3(signature = (on_progress=None))]
    fn wait(&self, py: Python<'_>, on_progress: Option<Py<PyAny>>) -> PyResult<Py<PyAny>> {
        let mut stopped: Option<(PyErr, Instant)> = None;
        loop {
            let event = py.detach(|| self.events.recv_timeout(SIGNALS_EVERY));
            let heard = match event {
                Ok(Event::Done(answer)) => {
                    return match stopped {
                        Some((error, _)) => Err(error),
                        None => answer
                            .map_err(|error| exception(py, &error))
                            .and_then(|answer| answer.into_python(py)),
                    };
                }
                Ok(Event::Progress(text)) => match &on_progress {
                    Some(call) if stopped.is_none() => call.call1(py, (text,)).map(|_| ()),
                    _ => Ok(()),
                },
                Err(RecvTimeoutError::Timeout) => Ok(()),
                Err(RecvTimeoutError::Disconnected) => {
                    let lost = || PyRuntimeError::new_err("the work ended without a result");
                    return Err(stopped.map_or_else(lost, |(error, _)| error));
                }
            };
            if let Err(error) = heard.and_then(|()| py.check_signals()) {
                self.cancel.cancel();
                stopped.get_or_insert((error, Instant::now()));
            }
            if stopped.as_ref().is_some_and(|(_, since)| since.elapsed() > STOPS_WITHIN)
                && let Some((error, _)) = stopped.take()
            {
                return Err(error);
            }
        }
    }
}

/// Starts work on a thread where it may block. `watcher(progress, result, exception)` is called for every
/// event, on that thread; without one, [`Job::wait`] gives them.
pub(crate) fn spawn(
    py: Python<'_>,
    watcher: Option<Py<PyAny>>,
    work: impl FnOnce(&Handle, &Cancel, Box<dyn FnMut(String) + Send>) -> Result<Answer> + Send + 'static,
) -> PyResult<Job> {
    let runtime = runtime().map_err(|error| exception(py, &error))?;
    let cancel = Cancel::new();
    let (send, events) = bounded(WAITING_REPORTS + 1);
    let sink = watcher.map_or(Sink::Thread(send), |watcher| Sink::Watcher(Arc::new(watcher)));
    let (reports, stop, handle) = (sink.clone(), cancel.clone(), runtime.handle().clone());
    runtime.spawn_blocking(move || {
        let report = Box::new(move |text| reports.send(Event::Progress(text)));
        // A panic of the work is told too; nobody waits for ever.
        let work = AssertUnwindSafe(|| work(&handle, &stop, report));
        let answer = catch_unwind(work)
            .unwrap_or_else(|_| Err(Error::store("the work ended without a result", "its thread panicked")));
        sink.send(Event::Done(answer));
    });
    Ok(Job { cancel, events })
}
