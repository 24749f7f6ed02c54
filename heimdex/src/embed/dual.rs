//! Pictures and texts of one model in one space: SigLIP, SigLIP 2 and CLIP.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use rayon::prelude::*;

use super::model::Model;
use super::preprocess::Preprocessor;
use super::thread::{self, ModelThread};
use super::tokens::{Rules, Tokens};
use super::{Calibration, EmbedSpec, ImageEmbedder, Pooling, Role, TextEmbedder, Vector, candle, folder};
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
        let folder = folder.as_ref();
        let name = folder::model_name(folder);
        let preprocessor = Preprocessor::read(folder, &name)?;
        let thread = thread::shared("dual", folder, |folder| read(folder, &name, &preprocessor))?;
        let calibration = thread.calibration();
        Ok(Self { thread, preprocessor, calibration })
    }
}

fn read(folder: &Path, name: &str, preprocessor: &Preprocessor) -> Result<Model> {
    let dual = candle::Dual::read(folder, name)?;
    let (width, height) = preprocessor.size();
    if (width as usize, height as usize) != (dual.image_size, dual.image_size) {
        let message = format!(
            "preprocessor_config.json gives pictures of {width} x {height}, the model reads {0} x {0}",
            dual.image_size
        );
        return Err(Error::model(name, message));
    }
    let tokens = Tokens::read(folder, name, dual.max_tokens, |kind| match (dual.clip, kind) {
        (true, _) => Rules::Clip,
        (false, "Unigram") => Rules::Siglip,
        (false, _) => Rules::Siglip2,
    })?;
    let preprocessing = folder::hash(&[tokens.hash(), preprocessor.hash()]);
    let spec = EmbedSpec::new(name, &dual.sha256, preprocessing, dual.dim, Pooling::Head, dual.max_tokens)
        .of_images();
    Ok(Model {
        spec,
        tokens: Some(tokens),
        text: Some(Box::new(dual.text)),
        image: Some(Box::new(dual.vision)),
        calibration: dual.calibration,
    })
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
