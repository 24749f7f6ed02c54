//! Work that runs while Node goes on: its events come to a function on the event loop.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::OnceLock;

use heimdex::calls::error_json;
use heimdex::{Cancel, Error, Heimdex, Result};
use napi::Status;
use napi::bindgen_prelude::{Buffer, Either3, FnArgs, Function};
use napi::threadsafe_function::{ThreadsafeFunction, ThreadsafeFunctionCallMode};
use napi_derive::napi;
use tokio::runtime::{Builder, Handle, Runtime};

use crate::error::thrown;
use crate::library::NativeLibrary;

/// What a call gives.
pub(crate) enum Answer {
    Text(String),
    Bytes(Vec<u8>),
    Library(Heimdex, Vec<String>),
}

type Given = Either3<String, Buffer, NativeLibrary>;
type Event = FnArgs<(Option<String>, Option<Given>, Option<String>)>;

/// `watcher(progress, result, error)`: one of them at a time, the others null.
pub(crate) type Watcher<'a> = Function<'a, Event, ()>;

/// A failure that could not be told, as `napi` wants it named.
type Sink = ThreadsafeFunction<Event, (), Event, Status, false>;

/// Work that was started.
#[napi]
pub struct Job {
    cancel: Cancel,
}

#[napi]
impl Job {
    /// Stops the work.
    #[napi]
    pub fn cancel(&self) {
        self.cancel.cancel();
    }
}

/// One runtime for the process.
pub(crate) fn runtime() -> Result<Handle> {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    if let Some(runtime) = RUNTIME.get() {
        return Ok(runtime.handle().clone());
    }
    let runtime = Builder::new_multi_thread()
        .thread_name("heimdex")
        .enable_all()
        .build()
        .map_err(|e| Error::io("tokio runtime", e))?;
    // Of two that were made at once, one is kept.
    Ok(RUNTIME.get_or_init(|| runtime).handle().clone())
}

/// Starts work on a thread where it may block. The watcher keeps the event loop alive until the work ends.
pub(crate) fn spawn(
    watcher: Watcher<'_>,
    work: impl FnOnce(&Handle, &Cancel, Box<dyn FnMut(String) + Send>) -> Result<Answer> + Send + 'static,
) -> napi::Result<Job> {
    let runtime = runtime().map_err(|e| thrown(&e))?;
    let sink: std::sync::Arc<Sink> = std::sync::Arc::new(watcher.build_threadsafe_function().build()?);
    let cancel = Cancel::new();
    let (stop, handle, reports) = (cancel.clone(), runtime.clone(), std::sync::Arc::clone(&sink));
    runtime.spawn_blocking(move || {
        // A loop that has ended wants nothing more, here and below.
        let tell = |sink: &Sink, event| {
            let _ = sink.call(FnArgs::from(event), ThreadsafeFunctionCallMode::NonBlocking);
        };
        let report = Box::new(move |text| tell(&reports, (Some(text), None, None)));
        // A panic of the work is told too; nobody waits for ever.
        let work = AssertUnwindSafe(|| work(&handle, &stop, report));
        let answer = catch_unwind(work)
            .unwrap_or_else(|_| Err(Error::store("the work ended without a result", "its thread panicked")));
        tell(
            &sink,
            match answer {
                Ok(Answer::Text(text)) => (None, Some(Either3::A(text)), None),
                Ok(Answer::Bytes(bytes)) => (None, Some(Either3::B(bytes.into())), None),
                Ok(Answer::Library(library, notes)) => {
                    (None, Some(Either3::C(NativeLibrary::new(library, notes))), None)
                }
                Err(error) => (None, None, Some(error_json(&error).to_string())),
            },
        );
    });
    Ok(Job { cancel })
}
