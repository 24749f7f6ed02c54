//! How a pipeline is put together.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use object_store::ObjectStore;

use super::fingerprint::fingerprint;
use super::{Pipeline, PipelineSettings};
use crate::annotate::{Annotator, TagSettings, Tagger, Vocabulary};
use crate::embed::{ImageEmbedder, TextEmbedder};
use crate::keyframes::Thumbnails;
use crate::store::OWN_CHANNELS;
use crate::transcript::{Activity, Transcriber};
use crate::{Cancel, Error, Result};

/// Builds a [`Pipeline`].
#[derive(Default)]
pub struct PipelineBuilder {
    settings: PipelineSettings,
    text: Option<Arc<dyn TextEmbedder>>,
    image: Option<Arc<dyn ImageEmbedder>>,
    speech: Option<Arc<dyn Transcriber>>,
    tags: Option<(Vocabulary, TagSettings)>,
    annotators: Vec<Arc<dyn Annotator>>,
    thumbnails: Option<PathBuf>,
    thumbnail_store: Option<Arc<dyn ObjectStore>>,
    sidecars: Option<PathBuf>,
}

impl fmt::Debug for PipelineBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PipelineBuilder").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl PipelineBuilder {
    /// The settings of all stages; defaults when not given.
    #[must_use]
    pub fn settings(mut self, settings: PipelineSettings) -> Self {
        self.settings = settings;
        self
    }

    /// The model for search by what is shown. Without one, pictures play no part in search.
    #[must_use]
    pub fn image(mut self, embedder: Arc<dyn ImageEmbedder>) -> Self {
        self.image = Some(embedder);
        self
    }

    /// The model that turns speech into words, where a video has no subtitles. Without one, subtitles are
    /// all that is known of what is said.
    #[must_use]
    pub fn speech(mut self, transcriber: Arc<dyn Transcriber>) -> Self {
        self.speech = Some(transcriber);
        self
    }

    /// Tags scenes with the concepts of a vocabulary that the image model sees in them.
    #[must_use]
    pub fn tags(mut self, vocabulary: Vocabulary, settings: TagSettings) -> Self {
        self.tags = Some((vocabulary, settings));
        self
    }

    /// Adds what an annotator of your own finds, as a channel. They look at kept pictures, so they need
    /// a folder for them.
    #[must_use]
    pub fn annotate(mut self, annotator: Arc<dyn Annotator>) -> Self {
        self.annotators.push(annotator);
        self
    }

    /// The model for search by meaning. Without one, scenes are found by their words.
    #[must_use]
    pub fn text(mut self, embedder: Arc<dyn TextEmbedder>) -> Self {
        self.text = Some(embedder);
        self
    }

    /// The folder for thumbnails, and for the pictures that models look at. Without one, none are kept,
    /// and another image model needs another decoding.
    #[must_use]
    pub fn thumbnails(mut self, folder: impl Into<PathBuf>) -> Self {
        self.thumbnails = Some(folder.into());
        self
    }

    /// As [`thumbnails`](Self::thumbnails), in an object store such as a bucket, so that machines share
    /// them. Keys are `VIDEO/...`; put them below a prefix with
    /// [`PrefixStore`](object_store::prefix::PrefixStore).
    #[must_use]
    pub fn thumbnails_in(mut self, store: Arc<dyn ObjectStore>) -> Self {
        self.thumbnail_store = Some(store);
        self
    }

    /// The folder for sidecars: all that is found of a video, as JSON, in `VIDEO.json`. See
    /// [`read_sidecar`](crate::store::read_sidecar).
    #[must_use]
    pub fn sidecars(mut self, folder: impl Into<PathBuf>) -> Self {
        self.sidecars = Some(folder.into());
        self
    }

    /// Checks the settings.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) naming the field that cannot be used;
    /// [`ErrorKind::Io`](crate::ErrorKind::Io) when the folder cannot be made.
    pub fn build(self) -> Result<Pipeline> {
        self.settings.validate()?;
        let thumbnails = match (self.thumbnails, self.thumbnail_store) {
            (Some(_), Some(_)) => {
                return Err(Error::invalid("thumbnails", "give a folder or an object store, not both"));
            }
            (Some(folder), None) => Some(Thumbnails::folder(&folder)?),
            (None, store) => store.map(Thumbnails::in_store),
        };
        let tagger = match (self.tags, &self.image) {
            (Some((vocabulary, settings)), Some(image)) => {
                let kept = crate::models::data_folder().map(|data| data.join("tags"));
                Some(Arc::new(Tagger::new(vocabulary, settings, Arc::clone(image), kept.as_deref())?))
            }
            (Some(_), None) => return Err(Error::invalid("tags", "they need an image model")),
            (None, _) => None,
        };
        for (i, annotator) in self.annotators.iter().enumerate() {
            let channel = annotator.channel();
            check_channel(channel)?;
            if self.annotators[..i].iter().any(|other| other.channel() == channel) {
                return Err(Error::invalid("annotate", format!("two annotators have the channel {channel}")));
            }
            if thumbnails.is_none() {
                let message =
                    format!("{channel}: annotators look at kept pictures; give a folder for thumbnails");
                return Err(Error::invalid("annotate", message));
            }
        }
        // The words follow from what the model of speech activity is, not from where it lies.
        let activity = match (&self.speech, &self.settings.speech.activity) {
            (Some(_), Activity::Silero(path)) => fingerprint(path, &Cancel::new(), |_| ())?,
            (_, activity) => format!("{activity:?}"),
        };
        Ok(Pipeline {
            settings: self.settings,
            text: self.text,
            image: self.image,
            speech: self.speech,
            activity,
            tagger,
            annotators: self.annotators,
            thumbnails,
            sidecars: self.sidecars,
        })
    }
}

fn check_channel(channel: &str) -> Result<()> {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    if channel.is_empty() || channel.len() > 64 || !channel.chars().all(plain) {
        let message = format!("`{channel}` is no channel: write lower case letters, digits and _");
        return Err(Error::invalid("annotate", message));
    }
    if OWN_CHANNELS.contains(&channel) {
        return Err(Error::invalid("annotate", format!("{channel} is a channel of Heimdex")));
    }
    Ok(())
}
