//! The sidecar: everything the index holds of a video, as JSON that outlives any database.

use serde::Deserialize;
use serde_json::Value;

use crate::store::{IndexedVideo, check_video};
use crate::{Error, Result};

/// What the document says it is. A change that an older reader would misread changes the number.
const FORMAT: &str = "heimdex/1";

/// Largest document that is read.
const MAX_BYTES: usize = 2 << 30;

/// As [`write_sidecar`], as a value.
///
/// # Errors
/// As [`write_sidecar`].
pub fn sidecar(video: &IndexedVideo, vectors: bool) -> Result<Value> {
    let mut document = serde_json::to_value(video).map_err(|e| Error::store("writing JSON", e))?;
    if !vectors {
        for scene in document["scenes"].as_array_mut().into_iter().flatten() {
            if let Some(scene) = scene.as_object_mut() {
                scene.remove("vectors");
            }
        }
    }
    document["format"] = FORMAT.into();
    Ok(document)
}

/// The index of a video as JSON; the same for the same file and settings, on any machine. Without its
/// vectors it can be read by people and programs, but not [put back](read_sidecar).
///
/// # Errors
/// [`ErrorKind::Store`](crate::ErrorKind::Store) when it cannot be written as JSON.
pub fn write_sidecar(video: &IndexedVideo, vectors: bool) -> Result<String> {
    serde_json::to_string_pretty(&sidecar(video, vectors)?)
        .map(|text| text + "\n")
        .map_err(|e| Error::store("writing JSON", e))
}

/// The index that [`write_sidecar`] wrote with its vectors.
///
/// # Errors
/// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) when it is something else, of a newer Heimdex,
/// without vectors, or when its parts do not belong together;
/// [`ErrorKind::Space`](crate::ErrorKind::Space) when a vector is not of its space.
pub fn read_sidecar(json: &[u8]) -> Result<IndexedVideo> {
    let wrong = |message: String| Error::invalid("sidecar", message);
    if json.len() > MAX_BYTES {
        return Err(wrong(format!("it is larger than {MAX_BYTES} bytes")));
    }
    let document: Value = serde_json::from_slice(json).map_err(|e| wrong(format!("it is no JSON ({e})")))?;
    match document["format"].as_str() {
        Some(FORMAT) => {}
        Some(other) if other.starts_with("heimdex/") => {
            return Err(wrong(format!("it is of format {other}, this Heimdex reads {FORMAT}")));
        }
        _ => return Err(wrong("it was not written by Heimdex".to_owned())),
    }
    let scenes = document["scenes"].as_array().map(Vec::as_slice).unwrap_or_default();
    if scenes.iter().any(|scene| scene.get("vectors").is_none()) {
        return Err(wrong("it was written without vectors; export it with them".to_owned()));
    }
    let video = IndexedVideo::deserialize(document).map_err(|e| wrong(e.to_string()))?;
    check_video(&video)?;
    Ok(video)
}
