//! What is known of a model before it is here: where it is published, at which revision, and the
//! hash of each file.

use serde::Serialize;

use super::catalog::KNOWN;

/// What a model turns into what.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ModelKind {
    /// Speech into words.
    Speech,
    /// Texts into vectors.
    Text,
    /// Pictures, and texts about pictures, into vectors of one space.
    Image,
}

/// One file of a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct KnownFile {
    /// Its path in the repository, with `/` between folders.
    pub path: &'static str,
    /// Its size, where it is established.
    pub bytes: Option<u64>,
    /// Its SHA-256 in lower-case hex, where it is established.
    pub sha256: Option<&'static str>,
}

/// A model that Heimdex knows by name.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct KnownModel {
    /// The short name, such as `bge-m3` or `whisper-small`.
    pub name: &'static str,
    /// The repository on the hub, `ORG/NAME`.
    pub repo: &'static str,
    /// The commit that is used, 40 hex digits; `None` follows `main`.
    pub revision: Option<&'static str>,
    /// What it does.
    pub kind: ModelKind,
    /// The size of its vectors; `None` where it makes none.
    pub dim: Option<u32>,
    /// The files that it needs, and no others of the repository.
    pub files: &'static [KnownFile],
    /// About how much it takes on disk.
    pub disk_bytes: u64,
    /// About how much memory it takes while it works, in single precision: an estimate from the
    /// size of the weights.
    pub memory_bytes: u64,
}

impl KnownModel {
    /// The model called `name`: its short name, or `ORG/NAME` where that names one model only.
    ///
    /// ```
    /// let model = heimdex::models::KnownModel::find("BAAI/bge-m3").unwrap();
    /// assert_eq!(model.dim, Some(1024));
    /// ```
    pub fn find(name: &str) -> Option<&'static Self> {
        let by_name = KNOWN.iter().find(|m| m.name == name);
        by_name.or_else(|| KNOWN.iter().find(|m| m.repo == name && m.kind != ModelKind::Speech))
    }

    /// The one file of a speech model, which shares its repository with others.
    pub(crate) fn ggml(&self) -> Option<&'static str> {
        match self.files {
            [file] if self.kind == ModelKind::Speech => Some(file.path),
            _ => None,
        }
    }
}

/// Every model that is known by name.
pub const fn known() -> &'static [KnownModel] {
    KNOWN
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_hashes_and_sizes_are_well_formed() {
        let hex = |text: &str, len| {
            text.len() == len && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
        };
        for (n, model) in KNOWN.iter().enumerate() {
            assert!(KNOWN[..n].iter().all(|other| other.name != model.name), "{} twice", model.name);
            assert_eq!(KnownModel::find(model.name), Some(model));
            assert!(model.revision.is_some_and(|r| hex(r, 40)), "{}", model.name);
            for file in model.files {
                assert!(file.sha256.is_none_or(|h| hex(h, 64)), "{} {}", model.name, file.path);
            }
            let sum: u64 = model.files.iter().filter_map(|f| f.bytes).sum();
            assert!(sum <= model.disk_bytes && model.disk_bytes < sum + 40_000_000, "{}", model.name);
            assert!(model.memory_bytes > model.disk_bytes, "{}", model.name);
        }
    }

    #[test]
    fn a_repository_of_many_models_is_no_model() {
        assert!(KnownModel::find("ggerganov/whisper.cpp").is_none());
        assert_eq!(KnownModel::find("whisper-base").and_then(KnownModel::ggml), Some("ggml-base.bin"));
        assert_eq!(KnownModel::find("bge-m3").and_then(KnownModel::ggml), None);
    }
}
