//! Sentence embeddings of the BERT family on candle: MiniLM, e5 and their like.
//!
//! Paper: Devlin et al., "BERT", 2018; pooling as in Reimers and Gurevych, "Sentence-BERT", 2019.
//! Reference: transformers `BertModel` with sentence-transformers' pooling. Tensors keep the
//! checkpoint's names (`embeddings.word_embeddings.weight`, `encoder.layer.0.…`).

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use candle_core::{DType, Device, Tensor};
use candle_nn::VarBuilder;
use candle_transformers::models::bert::{BertModel, Config};
use sha2::{Digest, Sha256};
use tokenizers::{Tokenizer, TruncationParams};
use unicode_normalization::UnicodeNormalization;

use super::folder::{self, Weights};
use super::thread::{self, Model, ModelThread};
use super::{EmbedSpec, Pooling, Role, TextEmbedder, Vector};
use crate::{Error, Result};

/// Tokens of a batch, padding included: some megabytes of activations.
const BATCH_TOKENS: usize = 4096;

/// A text model of the BERT family. Clones, and models opened from the same folder, share one copy
/// of the weights and one thread that owns it.
///
/// ```no_run
/// use heimdex::embed::{Bert, Role, TextEmbedder};
///
/// let model = Bert::open("models/all-MiniLM-L6-v2")?;
/// let vectors = model.embed(&["a red car in the rain"], Role::Query)?;
/// assert_eq!(vectors[0].dim(), model.spec().dim);
/// # Ok::<(), heimdex::Error>(())
/// ```
#[derive(Clone)]
pub struct Bert {
    thread: Arc<ModelThread>,
}

impl fmt::Debug for Bert {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bert").field("spec", self.spec()).finish_non_exhaustive()
    }
}

impl Bert {
    /// Loads a folder in the layout of the Hugging Face hub: `config.json`, `tokenizer.json`,
    /// `model.safetensors`, and where they are there `1_Pooling/config.json`,
    /// `sentence_bert_config.json` and `config_sentence_transformers.json`.
    ///
    /// # Errors
    /// [`ErrorKind::ModelMissing`](crate::ErrorKind::ModelMissing) naming a file that is not there
    /// or not whole; [`ErrorKind::Model`](crate::ErrorKind::Model) naming a tensor that is missing
    /// or of another shape, or an architecture that is not of this family.
    pub fn open(folder: impl AsRef<Path>) -> Result<Self> {
        thread::shared(folder.as_ref(), |folder| {
            let loaded = Loaded::read(folder)?;
            let spec = loaded.spec.clone();
            Ok((spec, Box::new(loaded) as Box<dyn Model>))
        })
        .map(|thread| Self { thread })
    }
}

impl TextEmbedder for Bert {
    fn spec(&self) -> &EmbedSpec {
        self.thread.spec()
    }

    fn embed(&self, texts: &[&str], role: Role) -> Result<Vec<Vector>> {
        self.thread.embed(texts, role)
    }
}

/// The model itself; lives on its thread.
struct Loaded {
    name: String,
    model: BertModel,
    tokenizer: Tokenizer,
    pad: u32,
    prefixes: Prefixes,
    spec: EmbedSpec,
}

/// What some models want before a text.
#[derive(Debug, Default)]
struct Prefixes {
    query: String,
    passage: String,
}

impl Loaded {
    fn read(folder: &Path) -> Result<Self> {
        let name = folder::model_name(folder);
        let failed = |what: &str, error: String| Error::model(&name, format!("{what}: {error}"));
        let config_bytes = folder::read(folder, "config.json", &name)?;
        let kind: serde_json::Value =
            serde_json::from_slice(&config_bytes).map_err(|e| failed("config.json", e.to_string()))?;
        let model_type = kind["model_type"].as_str().unwrap_or("none");
        if model_type != "bert" {
            return Err(failed(
                "config.json",
                format!("architecture `{model_type}` is not of the BERT family"),
            ));
        }
        let config: Config =
            serde_json::from_slice(&config_bytes).map_err(|e| failed("config.json", e.to_string()))?;
        let max_tokens = max_tokens(folder, &config);
        let pooling = pooling(folder, &name)?;
        let prefixes = prefixes(folder, &name);

        let tokenizer_bytes = folder::read(folder, "tokenizer.json", &name)?;
        let mut tokenizer =
            Tokenizer::from_bytes(&tokenizer_bytes).map_err(|e| failed("tokenizer.json", e.to_string()))?;
        // The file's own limits are for other uses: what the model was trained with counts.
        let truncation = TruncationParams { max_length: max_tokens, ..TruncationParams::default() };
        tokenizer.with_truncation(Some(truncation)).map_err(|e| failed("tokenizer.json", e.to_string()))?;
        tokenizer.with_padding(None);

        let weights = Weights::open(folder, &name)?;
        weights.require(&tensors(&config), &name)?;
        let variables = VarBuilder::from_backend(Box::new(weights.tensors), DType::F32, Device::Cpu);
        let model =
            BertModel::load(variables, &config).map_err(|e| failed("model.safetensors", e.to_string()))?;
        let preprocessing = preprocessing_hash(&tokenizer_bytes, max_tokens, &prefixes);
        let spec =
            EmbedSpec::new(&name, weights.sha256, preprocessing, config.hidden_size, pooling, max_tokens);
        Ok(Self { name, model, tokenizer, pad: config.pad_token_id as u32, prefixes, spec })
    }

    /// The ids of a text as the model reads it.
    fn tokenize(&self, text: &str, role: Role) -> Result<Vec<u32>> {
        let prefix = match role {
            Role::Query => &self.prefixes.query,
            Role::Passage => &self.prefixes.passage,
        };
        // Tokenizers do not compose what is decomposed, and would read it as unknown.
        let text: String = prefix.chars().chain(text.trim().nfc()).collect();
        let encoding =
            self.tokenizer.encode(text, true).map_err(|e| Error::model(&self.name, e.to_string()))?;
        Ok(encoding.get_ids().to_vec())
    }

    /// Unit vectors of texts that are padded to one length.
    fn forward(&self, batch: &[&Vec<u32>]) -> candle_core::Result<Vec<Vec<f32>>> {
        let length = batch.iter().map(|ids| ids.len()).max().unwrap_or(0).max(1);
        let mut ids = Vec::with_capacity(batch.len() * length);
        let mut mask = Vec::with_capacity(batch.len() * length);
        for text in batch {
            ids.extend(text.iter().copied().chain(std::iter::repeat(self.pad)).take(length));
            mask.extend((0..length).map(|i| f32::from(u8::from(i < text.len()))));
        }
        let shape = (batch.len(), length);
        let ids = Tensor::from_vec(ids, shape, &Device::Cpu)?;
        let mask = Tensor::from_vec(mask, shape, &Device::Cpu)?;
        let states = self.model.forward(&ids, &ids.zeros_like()?, Some(&mask))?;
        let pooled = match self.spec.pooling {
            Pooling::Cls => states.narrow(1, 0, 1)?.squeeze(1)?,
            Pooling::Mean => {
                let weights = mask.unsqueeze(2)?;
                let sum = states.broadcast_mul(&weights)?.sum(1)?;
                sum.broadcast_div(&weights.sum(1)?)?
            }
        };
        pooled.to_vec2::<f32>()
    }
}

impl Model for Loaded {
    fn embed(&mut self, texts: &[String], role: Role) -> Result<Vec<Vector>> {
        let tokens = texts.iter().map(|text| self.tokenize(text, role)).collect::<Result<Vec<_>>>()?;
        // Texts of one length together waste no work on padding.
        let mut order: Vec<usize> = (0..tokens.len()).collect();
        order.sort_by_key(|i| tokens[*i].len());
        let mut vectors: Vec<Option<Vector>> = vec![None; tokens.len()];
        let mut rest = &order[..];
        while !rest.is_empty() {
            let fits = rest
                .iter()
                .enumerate()
                .take_while(|(n, i)| (n + 1) * tokens[**i].len() <= BATCH_TOKENS)
                .count();
            let (batch, after) = rest.split_at(fits.max(1));
            let ids: Vec<&Vec<u32>> = batch.iter().map(|i| &tokens[*i]).collect();
            let pooled = self.forward(&ids).map_err(|e| Error::model(&self.name, e.to_string()))?;
            for (i, values) in batch.iter().zip(pooled) {
                vectors[*i] = Some(Vector::normalize(values)?);
            }
            rest = after;
        }
        let whole: Option<Vec<Vector>> = vectors.into_iter().collect();
        whole.ok_or_else(|| Error::model(&self.name, "a text was left without a vector"))
    }
}

/// Every tensor that the model needs, with its shape.
fn tensors(config: &Config) -> Vec<(String, Vec<usize>)> {
    let (hidden, inner) = (config.hidden_size, config.intermediate_size);
    let mut all = vec![
        ("embeddings.word_embeddings.weight".to_owned(), vec![config.vocab_size, hidden]),
        ("embeddings.position_embeddings.weight".to_owned(), vec![config.max_position_embeddings, hidden]),
        ("embeddings.token_type_embeddings.weight".to_owned(), vec![config.type_vocab_size, hidden]),
        ("embeddings.LayerNorm.weight".to_owned(), vec![hidden]),
        ("embeddings.LayerNorm.bias".to_owned(), vec![hidden]),
    ];
    for layer in 0..config.num_hidden_layers {
        for (part, rows, columns) in [
            ("attention.self.query", hidden, hidden),
            ("attention.self.key", hidden, hidden),
            ("attention.self.value", hidden, hidden),
            ("attention.output.dense", hidden, hidden),
            ("intermediate.dense", inner, hidden),
            ("output.dense", hidden, inner),
        ] {
            all.push((format!("encoder.layer.{layer}.{part}.weight"), vec![rows, columns]));
            all.push((format!("encoder.layer.{layer}.{part}.bias"), vec![rows]));
        }
        for part in ["attention.output.LayerNorm", "output.LayerNorm"] {
            all.push((format!("encoder.layer.{layer}.{part}.weight"), vec![hidden]));
            all.push((format!("encoder.layer.{layer}.{part}.bias"), vec![hidden]));
        }
    }
    all
}

fn max_tokens(folder: &Path, config: &Config) -> usize {
    let stated = folder::optional_json(folder, "sentence_bert_config.json")
        .and_then(|json| json["max_seq_length"].as_u64())
        .and_then(|n| usize::try_from(n).ok());
    stated.unwrap_or(config.max_position_embeddings).clamp(8, config.max_position_embeddings.max(8))
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

fn prefixes(folder: &Path, name: &str) -> Prefixes {
    let prompts = folder::optional_json(folder, "config_sentence_transformers.json")
        .map(|json| json["prompts"].clone());
    let prompt = |keys: &[&str]| {
        let prompts = prompts.as_ref()?;
        keys.iter().find_map(|key| prompts[*key].as_str()).map(str::to_owned)
    };
    // The e5 models were trained with these and do not say so in a file.
    let e5 = name.rsplit('/').next().is_some_and(|n| n.contains("e5-"));
    let or = |text: &str| if e5 { text.to_owned() } else { String::new() };
    Prefixes {
        query: prompt(&["query"]).unwrap_or_else(|| or("query: ")),
        passage: prompt(&["passage", "document"]).unwrap_or_else(|| or("passage: ")),
    }
}

fn preprocessing_hash(tokenizer: &[u8], max_tokens: usize, prefixes: &Prefixes) -> String {
    let mut hasher = Sha256::new();
    hasher.update(tokenizer);
    hasher.update(format!("trim nfc {max_tokens} {:?} {:?}", prefixes.query, prefixes.passage));
    folder::hex(&hasher.finalize())
}
