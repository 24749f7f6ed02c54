//! Zero-shot tags: pictures compared with words, by the model's own calibration.
//!
//! Paper: Zhai et al., "Sigmoid Loss for Language Image Pre-Training", 2023: each pair of picture and
//! text has a probability of its own, so a scene may have ten tags or none.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use serde::{Deserialize, Serialize};

use super::{Tag, Vocabulary};
use crate::embed::{Calibration, ImageEmbedder, Role, Vector};
use crate::{Cancel, Error, Result};

/// Labels that are embedded in one call: few, so that cancel is seen.
const TOGETHER: usize = 4;

/// Which tags a scene gets.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct TagSettings {
    /// At most this many, the surest first.
    pub top: usize,
    /// Least probability.
    pub floor: f32,
    /// The sentence that a label is put into, at `{}`.
    pub prompt: String,
}

impl Default for TagSettings {
    /// Ten, 0.01 and `This is a photo of {}.`, which SigLIP was evaluated with.
    fn default() -> Self {
        Self { top: 10, floor: 0.01, prompt: "This is a photo of {}.".to_owned() }
    }
}

impl TagSettings {
    pub(crate) fn validate(&self) -> Result<()> {
        if !(1..=1000).contains(&self.top) {
            return Err(Error::invalid("tags.top", "must be 1 to 1000"));
        }
        if !(0.0..=1.0).contains(&self.floor) {
            return Err(Error::invalid("tags.floor", "must be 0 to 1"));
        }
        if !self.prompt.contains("{}") {
            return Err(Error::invalid("tags.prompt", "must hold {}, where the label goes"));
        }
        Ok(())
    }
}

/// Compares pictures with a vocabulary.
pub(crate) struct Tagger {
    vocabulary: Vocabulary,
    settings: TagSettings,
    image: Arc<dyn ImageEmbedder>,
    calibration: Calibration,
    /// Where the labels' vectors are kept between runs.
    kept: Option<PathBuf>,
    labels: OnceLock<Vec<Vector>>,
}

impl Tagger {
    /// # Errors
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) when the model reads no texts or has no
    /// calibration, so that its cosines say nothing of how sure it is.
    pub(crate) fn new(
        vocabulary: Vocabulary,
        settings: TagSettings,
        image: Arc<dyn ImageEmbedder>,
        folder: Option<&Path>,
    ) -> Result<Self> {
        settings.validate()?;
        let model = &image.spec().model;
        let calibration = image.calibration().filter(|_| image.text().is_some()).ok_or_else(|| {
            Error::invalid("tags", format!("{model} gives no probabilities; take a SigLIP model"))
        })?;
        let mut tagger =
            Self { vocabulary, settings, image, calibration, kept: None, labels: OnceLock::new() };
        tagger.kept = folder.map(|folder| folder.join(format!("{}.vectors", &tagger.key()[..32])));
        Ok(tagger)
    }

    /// Which tags it gives.
    pub(crate) fn settings(&self) -> &TagSettings {
        &self.settings
    }

    /// A hash of all that its tags follow from but the pictures.
    pub(crate) fn key(&self) -> String {
        let TagSettings { top, floor, prompt } = &self.settings;
        let all = format!("{} {} {prompt} {top} {floor}", self.image.spec().space(), self.vocabulary.hash());
        blake3::hash(all.as_bytes()).to_hex().to_string()
    }

    /// Gets the labels' vectors ready: those kept by an earlier run, else embedded now. Between calls of
    /// the model it looks at `cancel`.
    pub(crate) fn prepare(&self, cancel: &Cancel) -> Result<()> {
        if self.labels.get().is_some() {
            return Ok(());
        }
        let vectors = match self.read() {
            Some(vectors) => vectors,
            None => {
                let concepts = self.vocabulary.concepts();
                let mut vectors = Vec::with_capacity(concepts.len());
                for part in concepts.chunks(TOGETHER) {
                    cancel.check()?;
                    let texts: Vec<String> =
                        part.iter().map(|c| self.settings.prompt.replace("{}", &c.label)).collect();
                    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
                    let Some(model) = self.image.text() else { break };
                    vectors.extend(model.embed(&texts, Role::Query)?);
                }
                if vectors.len() != concepts.len() {
                    return Err(Error::model(
                        &self.image.spec().model,
                        "it did not give a vector for each label",
                    ));
                }
                if let Err(error) = self.keep(&vectors) {
                    tracing::warn!(%error, "the vectors of tags could not be kept");
                }
                vectors
            }
        };
        // Two that prepared at once made the same.
        let _ = self.labels.set(vectors);
        Ok(())
    }

    /// The tags of a scene whose keyframes have these vectors, the surest first.
    pub(crate) fn tags(&self, looks: &[&Vector]) -> Vec<Tag> {
        let Some(labels) = self.labels.get() else { return Vec::new() };
        let mut found: Vec<(f32, usize)> = labels
            .iter()
            .enumerate()
            .filter_map(|(i, label)| {
                let best = looks.iter().map(|look| look.dot(label)).max_by(f32::total_cmp)?;
                let probability = self.calibration.probability(best);
                (probability >= self.settings.floor).then_some((probability, i))
            })
            .collect();
        found.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        let concepts = self.vocabulary.concepts();
        let tag = |(score, i): (f32, usize)| Tag {
            label: concepts[i].label.clone(),
            names: concepts[i].names.clone(),
            score,
        };
        found.into_iter().take(self.settings.top).map(tag).collect()
    }

    fn read(&self) -> Option<Vec<Vector>> {
        let bytes = std::fs::read(self.kept.as_ref()?).ok()?;
        let dim = self.image.spec().dim;
        let (body, hash) = bytes.split_at_checked(bytes.len().checked_sub(32)?)?;
        if blake3::hash(body).as_bytes() != hash || body.len() != self.vocabulary.concepts().len() * dim * 4 {
            return None;
        }
        let values: Vec<f32> = body.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect();
        values.chunks(dim).map(|row| Vector::try_from(row.to_vec()).ok()).collect()
    }

    /// Whole or not at all: what is read checks its own hash.
    fn keep(&self, vectors: &[Vector]) -> std::io::Result<()> {
        let Some(path) = &self.kept else { return Ok(()) };
        let mut bytes: Vec<u8> =
            vectors.iter().flat_map(Vector::as_slice).flat_map(|value| value.to_le_bytes()).collect();
        let hash = blake3::hash(&bytes);
        bytes.extend(hash.as_bytes());
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        std::fs::write(path, bytes)
    }
}
