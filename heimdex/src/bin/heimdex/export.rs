//! `heimdex export` and `heimdex import`

use std::path::{Path, PathBuf};

use heimdex::store::{IndexedVideo, read_sidecar, write_sidecar};
use heimdex::transcript;
use heimdex::{Error, Heimdex, Result};
use serde_json::json;

use crate::args::{ExportArgs, ExportFormat, Global};
use crate::library::{self, count};
use crate::output::{self, Failure, Outcome, safe};

pub(crate) async fn run(global: &Global, args: ExportArgs) -> Outcome {
    let library = library::open(&global.library()).await?.library;
    let video = library.find_video(&args.video).await?;
    let indexed = library.indexed_video(video.id).await?;
    let text = match args.format {
        ExportFormat::Srt => transcript::write_srt(&indexed.segments),
        ExportFormat::Vtt => transcript::write_vtt(&indexed.segments),
        ExportFormat::Json => write_sidecar(&indexed, args.vectors)?,
    };
    match args.output {
        Some(path) => std::fs::write(&path, text).map_err(|e| Error::io(&path, e).into()),
        None => output::bytes(text.as_bytes()),
    }
}

/// `heimdex import`: each file is put back, or fails alone.
pub(crate) async fn import(global: &Global, files: &[PathBuf]) -> Outcome {
    let mut options = global.library();
    options.create = true;
    let library = library::open(&options).await?.library;
    let mut failed = 0;
    for file in files {
        let result = put_back(&library, file).await;
        failed += usize::from(result.is_err());
        let path = file.to_string_lossy();
        match result {
            Ok(video) if global.json => {
                output::json(
                    &json!({"event": "imported", "path": path, "video": video.video.id, "scenes": video.scenes.len()}),
                )?;
            }
            Ok(video) if !global.quiet => {
                output::note(format!("{}: {}", safe(&path), count(video.scenes.len(), "scene")));
            }
            Ok(_) => {}
            Err(error) if global.json => {
                output::json(
                    &json!({"event": "failed", "path": path, "error": {"kind": error.kind(), "message": error.to_string()}}),
                )?;
            }
            Err(error) => output::note(format!("failed: {}: {}", safe(&path), safe(&error.to_string()))),
        }
    }
    library::build_indexes(global).await?;
    if failed == 0 { Ok(()) } else { Err(Failure::Some) }
}

async fn put_back(library: &Heimdex, file: &Path) -> Result<IndexedVideo> {
    let video = read_sidecar(&std::fs::read(file).map_err(|e| Error::io(file, e))?)?;
    library.import(&video).await?;
    Ok(video)
}
