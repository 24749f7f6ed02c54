//! The page that is built in: made from the sources beside it, and asking nothing of other hosts.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use std::fs;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

fn web() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("web")
}

fn collect(root: &Path, name: &str, files: &mut Vec<String>) {
    let path = root.join(name);
    if !path.is_dir() {
        files.push(name.to_owned());
        return;
    }
    for entry in fs::read_dir(path).unwrap() {
        let below = entry.unwrap().file_name().into_string().unwrap();
        collect(root, &format!("{name}/{below}"), files);
    }
}

/// The same as `web/source-hash.mjs`, without Node.
#[test]
fn the_page_was_built_from_these_sources() {
    let root = web();
    let mut files = Vec::new();
    for name in ["src", "public", "index.html", "package.json", "vite.config.mjs"] {
        collect(&root, name, &mut files);
    }
    files.sort();
    let mut hash = Sha256::new();
    for name in &files {
        let bytes = fs::read(root.join(name)).unwrap();
        hash.update(format!("{name}\n{}\n", bytes.len()));
        hash.update(&bytes);
    }
    let hash: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    let built = fs::read_to_string(root.join("dist/source.sha256")).unwrap();
    assert_eq!(built.trim(), hash, "run `npm run build` in examples/server/web and commit web/dist");
}

#[test]
fn the_page_is_small_and_asks_nothing_of_other_hosts() {
    let root = web();
    let mut files = Vec::new();
    collect(&root, "dist", &mut files);
    let mut bytes = 0;
    for name in &files {
        let text = fs::read_to_string(root.join(name)).unwrap();
        bytes += text.len();
        // The namespaces of XML are names, not addresses.
        let text = text.replace("http://www.w3.org/", "");
        for scheme in ["http://", "https://", "//cdn", "@import"] {
            assert!(!text.contains(scheme), "{name} names {scheme}");
        }
        if name.strip_suffix(".html").is_some() {
            assert!(
                !text.contains("<style") && !text.contains(" style=") && !text.contains("<script>"),
                "{name}"
            );
        }
    }
    assert!(bytes < 200_000, "{bytes} bytes");
}
