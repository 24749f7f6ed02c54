//! What can be seen, and how it is called.

use std::collections::BTreeSet;

use crate::{Error, Result};

/// Most concepts of a vocabulary.
const MAX: usize = 20_000;

/// Something that can be seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Concept {
    /// What pictures are compared with, in the model's language.
    pub label: String,
    /// Other names that it is found by.
    pub names: Vec<String>,
}

/// The concepts that pictures are compared with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vocabulary {
    concepts: Vec<Concept>,
}

impl Vocabulary {
    /// About 470 everyday concepts: people, animals, nature, food, things, vehicles, places, actions,
    /// kinds of shot and mood, in English with Korean names.
    pub fn everyday() -> Self {
        // The file is part of the program and tested.
        Self::read(include_str!("../../data/tags.tsv")).unwrap_or(Self { concepts: Vec::new() })
    }

    /// Reads one concept a line: a label, then other names, separated by tabs. Empty lines and what
    /// follows a `#` at the beginning of a line are left out.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) naming the line: a label twice, none at all, or
    /// more than 20,000.
    pub fn read(text: &str) -> Result<Self> {
        let wrong =
            |line: usize, message: &str| Error::invalid("vocabulary", format!("line {line}: {message}"));
        let mut concepts = Vec::new();
        let mut seen = BTreeSet::new();
        for (i, line) in text.trim_start_matches('\u{feff}').lines().enumerate() {
            if line.trim().is_empty() || line.starts_with('#') {
                continue;
            }
            let mut names =
                line.split('\t').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned);
            let label = names.next().ok_or_else(|| wrong(i + 1, "there is no label"))?;
            if crate::text::analyze(&label).is_empty() {
                return Err(wrong(i + 1, "the label holds no word"));
            }
            if !seen.insert(label.clone()) {
                return Err(wrong(i + 1, &format!("`{label}` is there twice")));
            }
            concepts.push(Concept { label, names: names.collect() });
            if concepts.len() > MAX {
                return Err(wrong(i + 1, "more than 20,000 concepts"));
            }
        }
        if concepts.is_empty() {
            return Err(Error::invalid("vocabulary", "it holds no concept"));
        }
        Ok(Self { concepts })
    }

    /// The concepts, in order.
    pub fn concepts(&self) -> &[Concept] {
        &self.concepts
    }

    /// A hash of all of it.
    #[cfg(feature = "media")]
    pub(crate) fn hash(&self) -> String {
        let mut hasher = blake3::Hasher::new();
        for concept in &self.concepts {
            hasher.update(concept.label.as_bytes()).update(&[0]);
            for name in &concept.names {
                hasher.update(name.as_bytes()).update(&[1]);
            }
        }
        hasher.finalize().to_hex()[..16].to_owned()
    }
}
