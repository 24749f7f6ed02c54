//! Models at work while other things go on. No wait for one outlasts a cancel: a thread whose answer
//! nobody wants any more ends by itself.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, SendTimeoutError, Sender, bounded};

use crate::embed::{EmbedSpec, ImageEmbedder, Role, TextEmbedder, Vector};
use crate::media::RgbPicture;
use crate::{Cancel, Error, Result};

/// Pictures that wait for the model: some megabytes.
const QUEUED: usize = 8;

/// Pictures of one call.
const TOGETHER: usize = 4;

/// How often a wait is left to look at `cancel`.
const PATIENCE: Duration = Duration::from_millis(50);

/// A model at work on pictures that come one by one.
pub(super) struct ImageQueue {
    pictures: Sender<RgbPicture>,
    vectors: Receiver<Result<Vec<Vector>>>,
    cancel: Cancel,
}

impl ImageQueue {
    pub(super) fn start(embedder: Arc<dyn ImageEmbedder>, cancel: &Cancel) -> Result<Self> {
        let (pictures, received) = bounded(QUEUED);
        let (send, vectors) = bounded(1);
        let stop = cancel.clone();
        // Nobody joins it: after a cancel it ends by itself once the model has answered.
        thread::Builder::new()
            .name("heimdex-embed-images".into())
            .spawn(move || {
                let result = embed(&*embedder, &received, &stop);
                // Who cancelled does not wait for vectors.
                let _ = send.send(result);
            })
            .map_err(|e| Error::io("thread heimdex-embed-images", e))?;
        Ok(Self { pictures, vectors, cancel: cancel.clone() })
    }

    /// Adds a picture; waits while the queue is full.
    pub(super) fn push(&self, picture: RgbPicture) -> Result<()> {
        let mut picture = picture;
        loop {
            self.cancel.check()?;
            match self.pictures.send_timeout(picture, PATIENCE) {
                Ok(()) => return Ok(()),
                Err(SendTimeoutError::Timeout(back)) => picture = back,
                // The model failed; its own error tells more than that.
                Err(SendTimeoutError::Disconnected(_)) => return self.wait().and(Err(Error::Cancelled)),
            }
        }
    }

    /// The vectors of all pictures, in the order they came.
    pub(super) fn finish(mut self) -> Result<Vec<Vector>> {
        self.pictures = bounded(0).0;
        self.wait()
    }

    fn wait(&self) -> Result<Vec<Vector>> {
        wait(&self.vectors, &self.cancel)
    }
}

fn wait<T>(answer: &Receiver<Result<T>>, cancel: &Cancel) -> Result<T> {
    loop {
        cancel.check()?;
        match answer.recv_timeout(PATIENCE) {
            Ok(result) => return result,
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => {
                return Err(Error::model("index", "a model or an annotator panicked"));
            }
        }
    }
}

/// Does work that may take long on a thread of its own, and waits no longer than until a cancel.
pub(super) fn detached<T: Send + 'static>(
    name: &str,
    cancel: &Cancel,
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    let (send, answer) = bounded(1);
    thread::Builder::new()
        .name(name.to_owned())
        .spawn(move || {
            // Who cancelled does not wait for an answer.
            let _ = send.send(work());
        })
        .map_err(|e| Error::io(format!("thread {name}"), e))?;
    wait(&answer, cancel)
}

/// One vector for each text, in order.
pub(super) fn embed_texts(
    embedder: &Arc<dyn TextEmbedder>,
    texts: Vec<String>,
    cancel: &Cancel,
) -> Result<Vec<Vector>> {
    let embedder = Arc::clone(embedder);
    detached("heimdex-embed-text", cancel, move || {
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        whole(embedder.embed(&texts, Role::Passage)?, texts.len(), embedder.spec())
    })
}

/// What a model gave, if it is what it was to give: anyone can bring a model.
fn whole(made: Vec<Vector>, count: usize, spec: &EmbedSpec) -> Result<Vec<Vector>> {
    if made.len() == count && made.iter().all(|v| v.dim() == spec.dim) {
        return Ok(made);
    }
    let message =
        format!("{count} inputs gave {} vectors, or not all of {} dimensions", made.len(), spec.dim);
    Err(Error::model(&spec.model, message))
}

fn embed(
    embedder: &dyn ImageEmbedder,
    pictures: &Receiver<RgbPicture>,
    cancel: &Cancel,
) -> Result<Vec<Vector>> {
    let mut vectors = Vec::new();
    let mut batch = Vec::with_capacity(TOGETHER);
    let mut more = true;
    while more {
        match pictures.recv() {
            Ok(picture) => batch.push(picture),
            Err(_) => more = false,
        }
        if batch.len() == TOGETHER || (!more && !batch.is_empty()) {
            cancel.check()?;
            let pictures: Vec<&RgbPicture> = batch.iter().collect();
            vectors.extend(whole(embedder.embed_images(&pictures)?, batch.len(), embedder.spec())?);
            batch.clear();
        }
    }
    Ok(vectors)
}
