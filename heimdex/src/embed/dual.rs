//! Pictures and texts of one model in one space: SigLIP, SigLIP 2 and CLIP.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use rayon::prelude::*;

use super::config::{DualConfig, Family};
use super::model::Model;
use super::preprocess::Preprocessor;
use super::thread::{self, ModelThread};
use super::tokens::{Rules, Tokens};
use super::{
    Backend, Calibration, EmbedSpec, ImageEmbedder, ModelOptions, Pooling, Role, TextEmbedder, Vector, folder,
};
use crate::media::RgbPicture;
use crate::{Error, Result};

/// Pictures that go to the model at once.
const PICTURES: usize = 16;

/// A model of two towers. Clones, and models opened from the same folder, share one copy of the
/// weights and one thread that owns it.
///
/// ```no_run
/// use heimdex::embed::{DualEncoder, ImageEmbedder, Role, TextEmbedder};
/// use heimdex::media::RgbPicture;
///
/// let model = DualEncoder::open("models/siglip2-base-patch16-256")?;
/// let picture = RgbPicture::decode(&std::fs::read("car.jpg").expect("a picture"))?;
/// let pictures = model.embed_images(&[&picture])?;
/// let texts = model.embed(&["a red car in the rain"], Role::Query)?;
/// println!("cosine {}", pictures[0].dot(&texts[0]));
/// # Ok::<(), heimdex::Error>(())
/// ```
#[derive(Clone)]
pub struct DualEncoder {
    thread: Arc<ModelThread>,
    preprocessor: Preprocessor,
    calibration: Option<Calibration>,
}

impl fmt::Debug for DualEncoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DualEncoder").field("spec", self.thread.spec()).finish_non_exhaustive()
    }
}

impl DualEncoder {
    /// Loads a folder in the layout of the Hugging Face hub: `config.json`, `tokenizer.json`,
    /// `preprocessor_config.json` and `model.safetensors` (or several and their index).
    ///
    /// # Errors
    /// [`ErrorKind::ModelMissing`](crate::ErrorKind::ModelMissing) naming a file that is not there
    /// or not whole; [`ErrorKind::Model`](crate::ErrorKind::Model) naming a tensor that is missing
    /// or of another shape, or an architecture that is not of these families.
    pub fn open(folder: impl AsRef<Path>) -> Result<Self> {
        Self::open_with(folder, &ModelOptions::default())
    }

    /// Loads a folder with a backend of the caller's choice. ONNX Runtime reads
    /// `onnx/vision_model.onnx` and `onnx/text_model.onnx` in place of `model.safetensors`, in other
    /// precisions `vision_model_fp16.onnx`, `vision_model_int8.onnx` or `vision_model_quantized.onnx`.
    ///
    /// # Errors
    /// Those of [`open`](Self::open); [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) for what the
    /// backend cannot do; [`ErrorKind::Model`](crate::ErrorKind::Model) when the library or the
    /// provider is not there.
    pub fn open_with(folder: impl AsRef<Path>, options: &ModelOptions) -> Result<Self> {
        options.check()?;
        let folder = folder.as_ref();
        let name = folder::model_name(folder);
        let preprocessor = Preprocessor::read(folder, &name)?;
        let read = |folder: &Path| read(folder, &name, &preprocessor, options);
        let thread = thread::shared(options.key("dual"), folder, read)?;
        let calibration = thread.calibration();
        Ok(Self { thread, preprocessor, calibration })
    }
}

fn read(folder: &Path, name: &str, preprocessor: &Preprocessor, options: &ModelOptions) -> Result<Model> {
    let config = DualConfig::read(folder, name)?;
    let max_tokens = config.max_tokens();
    let tokens = Tokens::read(folder, name, max_tokens, |kind| match (config.family(), kind) {
        (Family::Clip, _) => Rules::Clip,
        (Family::Siglip, "Unigram") => Rules::Siglip,
        (Family::Siglip, _) => Rules::Siglip2,
    })?;
    let towers = match options.backend {
        #[cfg(feature = "candle")]
        Backend::Candle => {
            // Its own shapes come first: they say which of the two files is wrong.
            let towers = super::candle::towers(folder, name, &config)?;
            reads(name, &config, preprocessor)?;
            towers
        }
        #[cfg(feature = "onnx")]
        Backend::Onnx => {
            reads(name, &config, preprocessor)?;
            super::onnx::towers(folder, name, &config, preprocessor, &tokens, options)?
        }
        #[cfg(not(all(feature = "candle", feature = "onnx")))]
        _ => return Err(options.not_built()),
    };
    let preprocessing = folder::hash(&[tokens.hash(), preprocessor.hash()]);
    let mut spec = EmbedSpec::new(name, &towers.sha256, preprocessing, towers.dim, Pooling::Head, max_tokens)
        .of_images();
    spec.precision = towers.precision;
    spec.cosine_to_f32 = towers.cosine_to_f32;
    Ok(Model { spec, tokens, text: towers.text, image: Some(towers.image), calibration: towers.calibration })
}

/// Refuses a preprocessor that gives pictures of another size than the model reads.
fn reads(name: &str, config: &DualConfig, preprocessor: &Preprocessor) -> Result<()> {
    let (size, _) = config.image_size(name)?;
    let (width, height) = preprocessor.size();
    if (width as usize, height as usize) == (size, size) {
        return Ok(());
    }
    let message = format!(
        "preprocessor_config.json gives pictures of {width} x {height}, the model reads {size} x {size}"
    );
    Err(Error::model(name, message))
}

impl TextEmbedder for DualEncoder {
    fn spec(&self) -> &EmbedSpec {
        self.thread.spec()
    }

    /// Both roles are the same to these models.
    fn embed(&self, texts: &[&str], role: Role) -> Result<Vec<Vector>> {
        self.thread.embed_texts(texts, role)
    }
}

impl ImageEmbedder for DualEncoder {
    fn spec(&self) -> &EmbedSpec {
        self.thread.spec()
    }

    fn embed_images(&self, pictures: &[&RgbPicture]) -> Result<Vec<Vector>> {
        let mut vectors = Vec::with_capacity(pictures.len());
        for batch in pictures.chunks(PICTURES) {
            let pixels: Vec<Vec<f32>> = batch
                .par_iter()
                .map(|picture| {
                    let mut pixels = Vec::new();
                    self.preprocessor.pixels(picture, &mut pixels).map(|()| pixels)
                })
                .collect::<Result<_>>()?;
            vectors.extend(self.thread.embed_images(pixels.concat(), batch.len())?);
        }
        Ok(vectors)
    }

    fn text(&self) -> Option<&dyn TextEmbedder> {
        Some(self)
    }

    fn calibration(&self) -> Option<Calibration> {
        self.calibration
    }
}
