//! What a name stands for: which repository, which commit, and which known model.

use super::cache::Repo;
use super::hash::is_hex;
use super::hub::PulledModel;
use super::known::{KnownFile, KnownModel};
use super::options::HubOptions;
use super::places;
use super::presets::Preset;
use crate::{Error, Result};

/// A model to get or to check.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) name: String,
    pub(super) repo: String,
    pub(super) revision: String,
    pub(super) known: Option<&'static KnownModel>,
}

/// What a name stands for: a preset's models, or one model.
pub(super) fn targets(name: &str, options: &HubOptions) -> Result<Vec<Target>> {
    if let Ok(preset) = name.parse::<Preset>() {
        if options.revision.is_some() {
            return Err(Error::invalid("revision", "a preset has a revision for each of its models"));
        }
        return preset.models().into_iter().map(|model| Target::new(model.name, options)).collect();
    }
    Ok(vec![Target::new(name, options)?])
}

impl Target {
    fn new(name: &str, options: &HubOptions) -> Result<Self> {
        let known = KnownModel::find(name);
        let repo = places::full_name(name)?;
        let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        let part = |part: &str| part.chars().all(plain) && !part.contains("--") && !part.contains("..");
        if repo.len() > 200 || repo.split('/').count() != 2 || !repo.split('/').all(part) {
            return Err(Error::model_missing(name, "this is no ORG/NAME of a hub"));
        }
        let pinned = known.and_then(|k| k.revision);
        let revision = options.revision.as_deref().or(pinned).unwrap_or("main").to_owned();
        let segment = |s: &str| !s.is_empty() && !s.starts_with('.') && part(s);
        if revision.len() > 200 || !revision.split('/').all(segment) {
            return Err(Error::invalid("revision", format!("{revision:?} is no branch, tag or commit")));
        }
        Ok(Self { name: name.to_owned(), repo, revision, known })
    }

    /// The model, where its revision is the one that its hashes are known for.
    pub(super) fn pinned(&self) -> Option<&'static KnownModel> {
        self.known.filter(|k| k.revision == Some(self.revision.as_str()))
    }

    pub(super) fn is_commit(&self) -> bool {
        self.revision.len() == 40 && is_hex(&self.revision)
    }

    /// The model in the cache, when it is whole.
    pub(super) fn pulled(&self, cache: &Repo, revision: String, received_bytes: u64) -> Result<PulledModel> {
        let folder = cache.snapshot(&revision);
        let path = match self.known.and_then(KnownModel::ggml) {
            Some(file) => folder.join(file),
            None => folder,
        };
        places::check(&path, self.known, self.pinned(), &self.name)?;
        let Self { name, repo, .. } = self;
        Ok(PulledModel { name: name.clone(), repo: repo.clone(), revision, path, received_bytes })
    }

    /// The model as it is in the cache, without a word to anybody.
    pub(super) fn offline(&self, options: &HubOptions) -> Result<PulledModel> {
        let cache = Repo::new(&options.cache, &self.repo);
        let commit =
            if self.is_commit() { Some(self.revision.clone()) } else { cache.commit_of(&self.revision) };
        let folder = cache.snapshot(commit.as_deref().unwrap_or(&self.revision));
        let there = |file: &&KnownFile| !has(&folder.join(file.path), self.pinned().and(file.bytes));
        let missing: Vec<&str> =
            self.known.map_or(&[][..], |k| k.files).iter().filter(there).map(|f| f.path).collect();
        let what = match (&commit, missing.is_empty()) {
            (Some(commit), true) => {
                return self.pulled(&cache, commit.clone(), 0).map_err(|e| {
                    Error::model_missing(&self.name, format!("{e}, and HF_HUB_OFFLINE forbids to get it"))
                });
            }
            (_, false) => missing.join(", "),
            (None, true) => format!("revision {}", self.revision),
        };
        let message = format!(
            "{what} of {} cannot be got: HF_HUB_OFFLINE is set and {} does not have it",
            self.repo,
            folder.display()
        );
        Err(Error::model_missing(&self.name, message))
    }
}

/// Whether a file is there with this size, or with any where it is not known.
pub(super) fn has(path: &std::path::Path, bytes: Option<u64>) -> bool {
    path.metadata().is_ok_and(|m| m.is_file() && bytes.map_or(m.len() > 0, |b| m.len() == b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_revisions_that_are_none_are_refused() {
        let mut options = HubOptions::new("/nowhere");
        for bad in ["a/b/c", "../b", "a/b--c", "a/b c", "a/..", "/a/b", "a/b?x", "a/b@c"] {
            assert!(targets(bad, &options).is_err(), "{bad}");
        }
        assert_eq!(targets("balanced", &options).unwrap().len(), 3);
        options.revision = Some("refs/pr/1".into());
        assert!(targets("balanced", &options).is_err());
        assert_eq!(targets("a/b", &options).unwrap()[0].revision, "refs/pr/1");
        for bad in ["", "../main", "a b", "a//b", ".git"] {
            options.revision = Some(bad.into());
            assert!(targets("a/b", &options).is_err(), "{bad}");
        }
    }
}
