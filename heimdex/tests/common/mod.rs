//! What the integration tests share.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::case_sensitive_file_extension_comparisons,
    missing_docs
)]

#[cfg(feature = "image")]
pub mod vectors;

use std::path::{Path, PathBuf};

/// The clips and goldens kept beside the repository, where they are.
pub fn shared() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared");
    if folder.join("media/golden").is_dir() {
        return folder.canonicalize().ok();
    }
    eprintln!("../shared is not here; the small fixtures of the repository are tested alone");
    None
}

/// The small clips of the repository.
pub fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/media")
}

/// Every golden of a clip: (path below `shared/media`, golden).
pub fn goldens(shared: &Path) -> Vec<(PathBuf, serde_json::Value)> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(shared.join("media/golden")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if !name.ends_with(".json") || !name.contains("__") {
            continue;
        }
        let golden: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        all.push((shared.join("media").join(golden["file"].as_str().unwrap()), golden));
    }
    all.sort_by(|a, b| a.0.cmp(&b.0));
    all
}
