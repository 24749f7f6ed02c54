//! Text embeddings of one model: MiniLM, e5, bge-m3 and their like.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use super::config::BertConfig;
use super::model::{Model, TextModel};
use super::thread::{self, ModelThread};
use super::tokens::{Rules, Tokens};
use super::{Backend, EmbedSpec, ModelOptions, Pooling, Role, TextEmbedder, Vector, folder};
use crate::{Error, Result};

/// A text model of the BERT or XLM-RoBERTa family. Clones, and models opened from the same folder,
/// share one copy of the weights and one thread that owns it.
///
/// ```no_run
/// use heimdex::embed::{Role, TextEmbedder, TextEncoder};
///
/// let model = TextEncoder::open("models/all-MiniLM-L6-v2")?;
/// let vectors = model.embed(&["a red car in the rain"], Role::Query)?;
/// assert_eq!(vectors[0].dim(), model.spec().dim);
/// # Ok::<(), heimdex::Error>(())
/// ```
#[derive(Clone)]
pub struct TextEncoder {
    thread: Arc<ModelThread>,
}

impl fmt::Debug for TextEncoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TextEncoder").field("spec", self.spec()).finish_non_exhaustive()
    }
}

impl TextEncoder {
    /// Loads a folder in the layout of the Hugging Face hub: `config.json`, `tokenizer.json`,
    /// `model.safetensors` (or several and their index), and where they are there
    /// `1_Pooling/config.json`, `sentence_bert_config.json` and `config_sentence_transformers.json`.
    ///
    /// # Errors
    /// [`ErrorKind::ModelMissing`](crate::ErrorKind::ModelMissing) naming a file that is not there
    /// or not whole; [`ErrorKind::Model`](crate::ErrorKind::Model) naming a tensor that is missing
    /// or of another shape, or an architecture that is not of these families.
    pub fn open(folder: impl AsRef<Path>) -> Result<Self> {
        Self::open_with(folder, &ModelOptions::default())
    }

    /// Loads a folder with a backend of the caller's choice. ONNX Runtime reads `onnx/model.onnx` in
    /// place of `model.safetensors`, in other precisions `model_fp16.onnx`, `model_int8.onnx` or
    /// `model_quantized.onnx`.
    ///
    /// # Errors
    /// Those of [`open`](Self::open); [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) for what the
    /// backend cannot do; [`ErrorKind::Model`](crate::ErrorKind::Model) when the library or the
    /// provider is not there.
    pub fn open_with(folder: impl AsRef<Path>, options: &ModelOptions) -> Result<Self> {
        options.check()?;
        let read = |folder: &Path| read(folder, options);
        thread::shared(options.key("text"), folder.as_ref(), read).map(|thread| Self { thread })
    }
}

impl TextEmbedder for TextEncoder {
    fn spec(&self) -> &EmbedSpec {
        self.thread.spec()
    }

    fn embed(&self, texts: &[&str], role: Role) -> Result<Vec<Vector>> {
        self.thread.embed_texts(texts, role)
    }
}

fn read(folder: &Path, options: &ModelOptions) -> Result<Model> {
    let name = folder::model_name(folder);
    let config = BertConfig::read(folder, &name)?;
    let positions = config.max_tokens();
    let stated = folder::optional_json(folder, "sentence_bert_config.json")
        .and_then(|json| json["max_seq_length"].as_u64())
        .and_then(|n| usize::try_from(n).ok());
    let max = stated.unwrap_or(positions).clamp(8, positions.max(8));
    let pooling = pooling(folder, &name)?;
    let tokens = Tokens::read(folder, &name, max, |_| prefixes(folder, &name))?;
    let read: TextModel = match options.backend {
        #[cfg(feature = "candle")]
        Backend::Candle => {
            let (tower, sha256) = super::candle::Bert::read(folder, &name, &config, pooling)?;
            TextModel { tower: Box::new(tower), sha256, precision: None, cosine_to_f32: None }
        }
        #[cfg(feature = "onnx")]
        Backend::Onnx => super::onnx::text(folder, &name, &config, pooling, &tokens, options)?,
        #[cfg(not(all(feature = "candle", feature = "onnx")))]
        _ => return Err(options.not_built()),
    };
    let mut spec = EmbedSpec::new(&name, read.sha256, tokens.hash(), config.hidden_size, pooling, max);
    spec.precision = read.precision;
    spec.cosine_to_f32 = read.cosine_to_f32;
    Ok(Model { spec, tokens, text: read.tower, image: None, calibration: None })
}

fn pooling(folder: &Path, name: &str) -> Result<Pooling> {
    let Some(json) = folder::optional_json(folder, "1_Pooling/config.json") else { return Ok(Pooling::Mean) };
    let is = |key: &str| json[key].as_bool() == Some(true);
    match (is("pooling_mode_mean_tokens"), is("pooling_mode_cls_token")) {
        (true, false) => Ok(Pooling::Mean),
        (false, true) => Ok(Pooling::Cls),
        _ => Err(Error::model(name, "1_Pooling/config.json: only mean and cls pooling are known")),
    }
}

fn prefixes(folder: &Path, name: &str) -> Rules {
    let prompts = folder::optional_json(folder, "config_sentence_transformers.json")
        .map(|json| json["prompts"].clone());
    let prompt = |keys: &[&str]| {
        let prompts = prompts.as_ref()?;
        keys.iter().find_map(|key| prompts[*key].as_str()).map(str::to_owned)
    };
    // The e5 models were trained with these and do not say so in a file.
    let e5 = name.rsplit('/').next().is_some_and(|n| n.contains("e5-"));
    let or = |text: &str| if e5 { text.to_owned() } else { String::new() };
    Rules::Sentence {
        query: prompt(&["query"]).unwrap_or_else(|| or("query: ")),
        passage: prompt(&["passage", "document"]).unwrap_or_else(|| or("passage: ")),
    }
}
