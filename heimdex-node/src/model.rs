//! Models alone: texts and pictures to vectors.

use std::sync::{Arc, Mutex, PoisonError};

use heimdex::calls::{ModelCallOptions, read};
use heimdex::embed::{DualEncoder, ImageEmbedder, Role, TextEmbedder, TextEncoder, Vector};
use heimdex::media::RgbPicture;
use heimdex::open::{open_image_model, open_text_model};
use heimdex::{Error, Result};
use napi_derive::napi;

use crate::error::wrong_option;
use crate::job::{Answer, Job, Watcher, spawn};
use crate::picture::{NativePicture, Pixels};

/// Either kind of model, once it is open.
#[derive(Clone)]
enum Open {
    Texts(TextEncoder),
    Images(DualEncoder),
}

impl Open {
    fn texts(&self) -> &dyn TextEmbedder {
        match self {
            Self::Texts(model) => model,
            Self::Images(model) => model,
        }
    }
}

/// A model; opened by the first call.
#[napi]
pub struct NativeModel {
    options: ModelCallOptions,
    images: bool,
    open: Arc<Mutex<Option<Open>>>,
}

/// The rows one after another, as the bytes of 32-bit floats.
fn rows(vectors: &[Vector]) -> Answer {
    let values = vectors.iter().flat_map(Vector::as_slice);
    Answer::Bytes(values.flat_map(|value| value.to_ne_bytes()).collect())
}

#[napi]
impl NativeModel {
    /// For texts, or where `images`, for pictures and texts.
    #[napi(constructor)]
    pub fn new(options: String, images: bool) -> napi::Result<Self> {
        let options = read(&options).map_err(|e| wrong_option(&e))?;
        Ok(Self { options, images, open: Arc::default() })
    }

    fn opening(&self) -> impl FnOnce() -> Result<Open> + Send + 'static {
        let (options, images, open) = (self.options.clone(), self.images, Arc::clone(&self.open));
        move || {
            let mut open = open.lock().unwrap_or_else(PoisonError::into_inner);
            if open.is_none() {
                let run_with = options.model_options();
                *open = Some(if images {
                    Open::Images(open_image_model(&options.model, &run_with)?)
                } else {
                    Open::Texts(open_text_model(&options.model, &run_with)?)
                });
            }
            open.clone().ok_or_else(|| Error::invalid("model", "it is not open"))
        }
    }

    /// Starts opening it; gives what makes its vectors, as JSON.
    #[napi]
    pub fn spec(&self, #[napi(ts_arg_type = "Watcher")] watcher: Watcher<'_>) -> napi::Result<Job> {
        let open = self.opening();
        spawn(watcher, move |_, _, _| Ok(Answer::Text(serde_json::json!(open()?.texts().spec()).to_string())))
    }

    /// Starts embedding texts; gives rows of 32-bit floats.
    #[napi]
    pub fn embed(
        &self,
        texts: Vec<String>,
        role: String,
        #[napi(ts_arg_type = "Watcher")] watcher: Watcher<'_>,
    ) -> napi::Result<Job> {
        let open = self.opening();
        spawn(watcher, move |_, _, _| {
            let role: Role = role.parse()?;
            let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
            Ok(rows(&open()?.texts().embed(&texts, role)?))
        })
    }

    /// Starts embedding pictures; gives rows of 32-bit floats.
    #[napi]
    pub fn embed_images(
        &self,
        pictures: Vec<NativePicture>,
        #[napi(ts_arg_type = "Watcher")] watcher: Watcher<'_>,
    ) -> napi::Result<Job> {
        let open = self.opening();
        let pictures: Vec<Pixels> = pictures.into_iter().map(Pixels::from).collect();
        spawn(watcher, move |_, _, _| {
            let Open::Images(model) = open()? else {
                return Err(Error::invalid("images", "this model reads texts only"));
            };
            let pictures: Vec<RgbPicture> = pictures.into_iter().map(Pixels::read).collect::<Result<_>>()?;
            let pictures: Vec<&RgbPicture> = pictures.iter().collect();
            Ok(rows(&model.embed_images(&pictures)?))
        })
    }
}
