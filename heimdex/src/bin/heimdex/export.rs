//! `heimdex export`

use heimdex::index::Pipeline;
use heimdex::store::IndexedVideo;
use heimdex::transcript;
use heimdex::{Error, Result};

use crate::args::{ExportArgs, ExportFormat, Global};
use crate::library;
use crate::output::{self, Outcome};

pub(crate) async fn run(global: &Global, args: ExportArgs) -> Outcome {
    let library = library::open(global, Pipeline::builder().build()?).await?;
    let video = library.find_video(&args.video).await?;
    let indexed = library.indexed_video(video.id).await?;
    let text = match args.format {
        ExportFormat::Srt => transcript::write_srt(&indexed.segments),
        ExportFormat::Vtt => transcript::write_vtt(&indexed.segments),
        ExportFormat::Json => pretty(&document(&indexed, args.vectors))?,
    };
    match args.output {
        Some(path) => std::fs::write(&path, text).map_err(|e| Error::io(&path, e).into()),
        None => output::bytes(text.as_bytes()),
    }
}

/// The index of a video as JSON; the same for the same file and settings, on any machine.
pub(crate) fn document(indexed: &IndexedVideo, vectors: bool) -> serde_json::Value {
    let mut document = serde_json::json!(indexed);
    if !vectors {
        for scene in document["scenes"].as_array_mut().into_iter().flatten() {
            if let Some(scene) = scene.as_object_mut() {
                scene.remove("vectors");
            }
        }
    }
    document["format"] = "heimdex/1".into();
    document
}

fn pretty(document: &serde_json::Value) -> Result<String> {
    serde_json::to_string_pretty(document)
        .map(|text| text + "\n")
        .map_err(|e| Error::store("writing JSON", e))
}
