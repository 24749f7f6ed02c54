//! Puts the built web page into the program: every file of `web/dist`, with its type and hash.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let root = PathBuf::from(std::env::var("CARGO_MANIFEST_DIR")?);
    println!("cargo::rerun-if-changed=migrations");
    println!("cargo::rerun-if-changed=web/dist");
    println!("cargo::rerun-if-changed=src/docs");
    let dist = root.join("web/dist");
    let mut files = Vec::new();
    collect(&dist, &mut files)?;
    files.sort();
    // Copies, so that a page that is built anew meanwhile does not stop the compiler.
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    let copies = out.join("web");
    std::fs::create_dir_all(&copies)?;
    let mut code = String::from("const ASSETS: &[Asset] = &[\n");
    for (number, file) in files.iter().enumerate() {
        let name = file.strip_prefix(&dist)?.to_str().ok_or("a name that is not UTF-8")?.replace('\\', "/");
        let bytes = std::fs::read(file)?;
        let hash = blake3::hash(&bytes).to_hex();
        let file = copies.join(number.to_string());
        std::fs::write(&file, bytes)?;
        let file = file.to_str().ok_or("a folder that is not UTF-8")?;
        writeln!(code, "({name:?}, {:?}, {:?}, include_bytes!({file:?})),", kind(&name), hash.as_str())?;
    }
    code.push_str("];\nconst DOCS_HASHES: [&str; 3] = [");
    for name in ["docs.html", "docs.js", "docs.css"] {
        write!(
            code,
            "{:?}, ",
            blake3::hash(&std::fs::read(root.join("src/docs").join(name))?).to_hex().as_str()
        )?;
    }
    code.push_str("];\n");
    std::fs::write(out.join("assets.rs"), code)?;
    Ok(())
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> std::io::Result<()> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Ok(()) };
    for entry in entries {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else if path.extension().is_none_or(|kind| kind != "sha256") {
            // The hash of the sources is for the check alone.
            files.push(path);
        }
    }
    Ok(())
}

fn kind(name: &str) -> &'static str {
    match name.rsplit('.').next().unwrap_or_default() {
        "html" => "text/html; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "webp" => "image/webp",
        "ico" => "image/x-icon",
        "json" | "webmanifest" => "application/manifest+json",
        "woff2" => "font/woff2",
        "txt" => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}
