//! Embedders and annotators that are written in JavaScript. The work's thread asks the event loop and
//! waits for the answer; the event loop never waits.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crossbeam_channel::{RecvTimeoutError, Sender, bounded};
use heimdex::annotate::{Annotation, Annotator, SceneView};
use heimdex::embed::{EmbedSpec, ImageEmbedder, Role, TextEmbedder, Vector};
use heimdex::media::RgbPicture;
use heimdex::{Error, Result};
use napi::Status;
use napi::bindgen_prelude::{Buffer, Float32Array, FnArgs, Function};
use napi::threadsafe_function::{ThreadsafeFunction, ThreadsafeFunctionCallMode};
use napi_derive::napi;

use crate::error::wrong_option;
use crate::library::NativeOwn;

/// How often a waiting thread looks whether the event loop is still there.
const LOOP_LOOKED_AT_EVERY: Duration = Duration::from_millis(200);

type Request = FnArgs<(u32, u32, String, String, Vec<Buffer>)>;

/// `request(ticket, id, method, facts, pictures)`.
pub(crate) type Requests<'a> = Function<'a, Request, ()>;

/// Weak: an open library alone keeps no process alive.
type Asker = ThreadsafeFunction<Request, (), Request, Status, false, true>;

enum Reply {
    Text(String),
    Rows(Vec<f32>),
    Nothing,
}

type Replies = Mutex<HashMap<u32, Sender<std::result::Result<Reply, String>>>>;

static REPLIES: Mutex<Option<Replies>> = Mutex::new(None);
static TICKETS: AtomicU32 = AtomicU32::new(0);

fn with_replies<T>(act: impl FnOnce(&Replies) -> T) -> T {
    act(REPLIES.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_default())
}

fn take(ticket: u32) -> Option<Sender<std::result::Result<Reply, String>>> {
    with_replies(|replies| replies.lock().unwrap_or_else(PoisonError::into_inner).remove(&ticket))
}

/// Answers a request: with an error, a text, rows of numbers, or nothing.
#[napi]
pub fn answer(ticket: u32, error: Option<String>, text: Option<String>, rows: Option<Float32Array>) {
    // A thread that no longer waits wants no answer.
    if let Some(waiting) = take(ticket) {
        let reply = match (error, text, rows) {
            (Some(error), _, _) => Err(error),
            (None, Some(text), _) => Ok(Reply::Text(text)),
            (None, None, Some(rows)) => Ok(Reply::Rows(rows.to_vec())),
            (None, None, None) => Ok(Reply::Nothing),
        };
        let _ = waiting.send(reply);
    }
}

/// Asks the event loop.
#[derive(Clone)]
pub(crate) struct Caller {
    asker: Arc<Asker>,
}

impl Caller {
    pub(crate) fn new(request: Requests<'_>) -> napi::Result<Self> {
        let asker = request.build_threadsafe_function().weak::<true>().build()?;
        Ok(Self { asker: Arc::new(asker) })
    }

    fn ask(
        &self,
        name: &str,
        id: u32,
        method: &str,
        facts: String,
        pictures: &[&RgbPicture],
    ) -> Result<Reply> {
        let ticket = TICKETS.fetch_add(1, Ordering::Relaxed);
        let (send, receive) = bounded(1);
        with_replies(|r| r.lock().unwrap_or_else(PoisonError::into_inner).insert(ticket, send));
        let pictures = pictures.iter().map(|picture| picture.data.clone().into()).collect();
        let request = FnArgs::from((ticket, id, method.to_owned(), facts, pictures));
        let gone = || Error::model(name, "the event loop has ended");
        if self.asker.call(request, ThreadsafeFunctionCallMode::NonBlocking) != Status::Ok {
            take(ticket);
            return Err(gone());
        }
        loop {
            match receive.recv_timeout(LOOP_LOOKED_AT_EVERY) {
                Ok(reply) => return reply.map_err(|message| Error::model(name, message)),
                Err(RecvTimeoutError::Timeout) if !self.asker.aborted() => {}
                Err(_) => {
                    take(ticket);
                    return Err(gone());
                }
            }
        }
    }
}

fn spec_of(own: &NativeOwn) -> napi::Result<EmbedSpec> {
    let spec = own.spec.as_deref().unwrap_or("{}");
    heimdex::calls::own_spec(spec).map_err(|e| wrong_option(&e))
}

/// The rows that were given, each brought to length 1.
fn vectors(spec: &EmbedSpec, reply: Reply, count: usize) -> Result<Vec<Vector>> {
    let Reply::Rows(values) = reply else {
        return Err(Error::model(&spec.model, "it gave no rows of numbers"));
    };
    if values.len() != count * spec.dim {
        let message = format!("it gave {} numbers for {count} rows of {}", values.len(), spec.dim);
        return Err(Error::model(&spec.model, message));
    }
    values.chunks_exact(spec.dim).map(|row| Vector::normalize(row.to_vec())).collect()
}

fn sizes(pictures: &[&RgbPicture]) -> Vec<[u32; 2]> {
    pictures.iter().map(|picture| [picture.width, picture.height]).collect()
}

/// Texts to vectors, in JavaScript.
pub(crate) struct OwnTexts {
    caller: Caller,
    id: u32,
    spec: EmbedSpec,
}

impl OwnTexts {
    pub(crate) fn new(caller: &Caller, own: NativeOwn) -> napi::Result<Self> {
        Ok(Self { caller: caller.clone(), id: own.id, spec: spec_of(&own)? })
    }
}

impl TextEmbedder for OwnTexts {
    fn spec(&self) -> &EmbedSpec {
        &self.spec
    }

    fn embed(&self, texts: &[&str], role: Role) -> Result<Vec<Vector>> {
        let facts = serde_json::json!({"texts": texts, "role": role}).to_string();
        let reply = self.caller.ask(&self.spec.model, self.id, "embed", facts, &[])?;
        vectors(&self.spec, reply, texts.len())
    }
}

/// Pictures to vectors, in JavaScript.
pub(crate) struct OwnImages {
    caller: Caller,
    id: u32,
    spec: EmbedSpec,
    text: Option<OwnTexts>,
}

impl OwnImages {
    pub(crate) fn new(caller: &Caller, own: NativeOwn) -> napi::Result<Self> {
        let spec = spec_of(&own)?.of_images();
        let text =
            own.reads_texts.then(|| OwnTexts { caller: caller.clone(), id: own.id, spec: spec.clone() });
        Ok(Self { caller: caller.clone(), id: own.id, spec, text })
    }
}

impl ImageEmbedder for OwnImages {
    fn spec(&self) -> &EmbedSpec {
        &self.spec
    }

    fn embed_images(&self, pictures: &[&RgbPicture]) -> Result<Vec<Vector>> {
        let facts = serde_json::json!({"sizes": sizes(pictures)}).to_string();
        let reply = self.caller.ask(&self.spec.model, self.id, "embedImages", facts, pictures)?;
        vectors(&self.spec, reply, pictures.len())
    }

    fn text(&self) -> Option<&dyn TextEmbedder> {
        self.text.as_ref().map(|text| text as &dyn TextEmbedder)
    }
}

/// A channel of the user's own, in JavaScript.
pub(crate) struct OwnAnnotator {
    caller: Caller,
    id: u32,
    channel: String,
    version: String,
    spec: Option<EmbedSpec>,
}

impl OwnAnnotator {
    pub(crate) fn new(caller: &Caller, own: NativeOwn) -> napi::Result<Self> {
        let spec = own.spec.is_some().then(|| spec_of(&own)).transpose()?;
        let channel = own.channel.unwrap_or_default();
        let version = own.version.unwrap_or_else(|| "1".to_owned());
        Ok(Self { caller: caller.clone(), id: own.id, channel, version, spec })
    }
}

impl Annotator for OwnAnnotator {
    fn channel(&self) -> &str {
        &self.channel
    }

    fn version(&self) -> String {
        self.version.clone()
    }

    fn spec(&self) -> Option<&EmbedSpec> {
        self.spec.as_ref()
    }

    fn annotate(&self, scene: &SceneView<'_>) -> Result<Annotation> {
        let pictures: Vec<&RgbPicture> = scene.keyframes.iter().map(|k| k.picture).collect();
        let facts = serde_json::json!({
            "scene": scene.scene,
            "keyframes": scene.keyframes.iter().map(|k| k.keyframe).collect::<Vec<_>>(),
            "sizes": sizes(&pictures),
        });
        match self.caller.ask(&self.channel, self.id, "annotate", facts.to_string(), &pictures)? {
            Reply::Text(text) => serde_json::from_str(&text)
                .map_err(|e| Error::model(&self.channel, format!("what it found: {e}"))),
            _ => Ok(Annotation::default()),
        }
    }

    fn embed_query(&self, query: &str) -> Result<Option<Vector>> {
        let Some(spec) = &self.spec else { return Ok(None) };
        let facts = serde_json::json!({"query": query}).to_string();
        match self.caller.ask(&self.channel, self.id, "embedQuery", facts, &[])? {
            Reply::Nothing => Ok(None),
            reply => Ok(vectors(spec, reply, 1)?.pop()),
        }
    }
}
