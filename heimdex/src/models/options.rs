//! Which hub, which cache, and how patiently.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use super::places::{self, Places};
use crate::embed::Precision;
use crate::{Error, Result};

/// The hub to get models from, the cache to put them in, and the limits on both.
///
/// ```
/// # fn main() -> heimdex::Result<()> {
/// let mut options = heimdex::models::HubOptions::new("/srv/models");
/// options.offline = true;
/// assert!(heimdex::models::path("bge-m3", &options).is_err());
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct HubOptions {
    /// The address of the hub (`HF_ENDPOINT`, default `https://huggingface.co`).
    pub endpoint: String,
    /// Sent to the hub itself and to no other host (`HF_TOKEN`, or the file `token` in `HF_HOME`).
    pub token: Option<Token>,
    /// The cache that is shared with the Hugging Face tools (`HF_HUB_CACHE`, `HF_HOME/hub`, default
    /// `~/.cache/huggingface/hub`).
    pub cache: PathBuf,
    /// The folder for models put there by hand (`HEIMDEX_MODELS`); `None` looks at none.
    pub models: Option<PathBuf>,
    /// Never use the network (`HF_HUB_OFFLINE`).
    pub offline: bool,
    /// The branch, tag or commit to get in place of the pinned one, or of `main`; hashes that are
    /// known for the pinned one then say nothing.
    pub revision: Option<String>,
    /// Get the ONNX export of this precision (`onnx/model*.onnx`, or one file for each tower) in place of
    /// safetensors, from the repository of an export such as those of `onnx-community`.
    pub onnx: Option<Precision>,
    /// Hash what is already there and get again what is wrong.
    pub force: bool,
    /// PEM file with the certificate authorities to trust in place of Mozilla's
    /// (`SSL_CERT_FILE`), for a network that inspects TLS.
    pub ca_file: Option<PathBuf>,
    /// How often in a row a request is tried again that made no progress.
    pub retries: u32,
    /// The wait before the first retry; it doubles with each. What the hub asks for comes first.
    pub retry_wait: Duration,
    /// The longest wait before a retry, whatever the hub asks for.
    pub max_retry_wait: Duration,
    /// A connection on which nothing arrives for so long is given up and taken up again.
    pub idle_timeout: Duration,
    /// A file larger than this is refused.
    pub max_file_bytes: u64,
}

impl HubOptions {
    /// The public hub and this cache, without a token; nothing is read from the environment.
    pub fn new(cache: impl Into<PathBuf>) -> Self {
        Self {
            endpoint: "https://huggingface.co".to_owned(),
            token: None,
            cache: cache.into(),
            models: None,
            offline: false,
            revision: None,
            onnx: None,
            force: false,
            ca_file: None,
            retries: 5,
            retry_wait: Duration::from_millis(500),
            max_retry_wait: Duration::from_mins(1),
            idle_timeout: Duration::from_secs(30),
            max_file_bytes: 64 << 30,
        }
    }

    /// What the environment says, in the variables that mean the same to `huggingface_hub`.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) when there is no folder for the cache.
    pub fn from_env() -> Result<Self> {
        let Places { models, cache } = Places::from_env();
        let cache = cache.ok_or_else(|| Error::invalid("HF_HUB_CACHE", "there is no home folder; set it"))?;
        let mut options = Self::new(cache);
        options.models = models;
        if let Some(endpoint) = text("HF_ENDPOINT") {
            options.endpoint = endpoint;
        }
        options.token = if is_true("HF_HUB_DISABLE_IMPLICIT_TOKEN") { None } else { token() };
        options.offline = is_true("HF_HUB_OFFLINE") || is_true("TRANSFORMERS_OFFLINE");
        options.ca_file = places::set("SSL_CERT_FILE");
        Ok(options)
    }

    pub(super) fn places(&self) -> Places {
        Places { models: self.models.clone(), cache: Some(self.cache.clone()) }
    }
}

fn text(name: &str) -> Option<String> {
    std::env::var(name).ok().map(|v| v.trim().to_owned()).filter(|v| !v.is_empty())
}

fn is_true(name: &str) -> bool {
    text(name).is_some_and(|v| ["1", "ON", "YES", "TRUE"].contains(&v.to_ascii_uppercase().as_str()))
}

fn token() -> Option<Token> {
    let file = places::set("HF_TOKEN_PATH").or_else(|| Some(places::hf_home()?.join("token")));
    let stored = || std::fs::read_to_string(file?).ok();
    let token = text("HF_TOKEN").or_else(|| text("HUGGING_FACE_HUB_TOKEN")).or_else(stored)?;
    let token = token.trim();
    (!token.is_empty()).then(|| Token::new(token))
}

/// A secret that says who asks. It is never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    /// A token of the hub, such as `hf_...`.
    pub fn new(token: impl Into<String>) -> Self {
        Self(token.into())
    }

    pub(super) fn secret(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(hidden)")
    }
}
