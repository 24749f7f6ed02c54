//! An open library.

use std::sync::Arc;

use heimdex::calls::{Call, read};
use heimdex::open::OpenOptions;
use heimdex::search::Models;
use heimdex::{Error, Heimdex};
use napi::Result;
use napi_derive::napi;

use crate::error::{thrown, wrong_option};
use crate::job::{Answer, Job, Watcher, spawn};
use crate::own::{Caller, OwnAnnotator, OwnImages, OwnTexts, Requests};
use crate::picture::{NativePicture, Pixels};

/// A library that is open.
#[napi]
pub struct NativeLibrary {
    library: Option<Heimdex>,
    notes: Vec<String>,
}

impl NativeLibrary {
    pub(crate) fn new(library: Heimdex, notes: Vec<String>) -> Self {
        Self { library: Some(library), notes }
    }

    fn library(&self) -> Result<Heimdex> {
        self.library.clone().ok_or_else(|| thrown(&Error::invalid("library", "it is closed")))
    }
}

#[napi]
impl NativeLibrary {
    /// What was left out in opening, one line each.
    #[napi(getter)]
    pub fn notes(&self) -> Vec<String> {
        self.notes.clone()
    }

    /// Starts a call. `image` is what a search is to look like.
    #[napi]
    pub fn start(
        &self,
        name: String,
        options: String,
        image: Option<NativePicture>,
        #[napi(ts_arg_type = "Watcher")] watcher: Watcher<'_>,
    ) -> Result<Job> {
        let library = self.library()?;
        let mut call = Call::of(&name, &options, None).map_err(|e| wrong_option(&e))?;
        let image = image.map(Pixels::from);
        spawn(watcher, move |runtime, cancel, report| {
            if let (Call::Search(request), Some(image)) = (&mut call, image) {
                request.image = Some(Arc::new(image.read()?));
            }
            call.run(&library, runtime, cancel, report).map(Answer::Text)
        })
    }

    /// Starts reading a thumbnail: WebP.
    #[napi]
    pub fn thumbnail(
        &self,
        key: String,
        #[napi(ts_arg_type = "Watcher")] watcher: Watcher<'_>,
    ) -> Result<Job> {
        let library = self.library()?;
        spawn(watcher, move |runtime, _, _| runtime.block_on(library.thumbnail(&key)).map(Answer::Bytes))
    }

    /// Lets go of the index once work in progress has ended.
    #[napi]
    pub fn close(&mut self) {
        self.library = None;
    }
}

/// An embedder or annotator in JavaScript: `spec` is the JSON of its name, version and dim.
#[napi(object)]
pub struct NativeOwn {
    pub id: u32,
    pub spec: Option<String>,
    pub channel: Option<String>,
    pub version: Option<String>,
    pub reads_texts: bool,
}

/// Starts opening a library. `request` is called for what `text`, `image` and `annotators` are to do, and
/// answered with `answer`.
#[napi]
pub fn open(
    options: String,
    text: Option<NativeOwn>,
    image: Option<NativeOwn>,
    annotators: Vec<NativeOwn>,
    #[napi(ts_arg_type = "Requests")] request: Requests<'_>,
    #[napi(ts_arg_type = "Watcher")] watcher: Watcher<'_>,
) -> Result<Job> {
    let options: OpenOptions = read(&options).map_err(|e| wrong_option(&e))?;
    let caller = Caller::new(request)?;
    let mut own = Models::default();
    if let Some(text) = text {
        own.text = Some(Arc::new(OwnTexts::new(&caller, text)?));
    }
    if let Some(image) = image {
        own.image = Some(Arc::new(OwnImages::new(&caller, image)?));
    }
    for annotator in annotators {
        own.annotators.push(Arc::new(OwnAnnotator::new(&caller, annotator)?));
    }
    spawn(watcher, move |runtime, _, _| {
        let opened = runtime.block_on(heimdex::open::open(&options, own))?;
        Ok(Answer::Library(opened.library, opened.notes))
    })
}
