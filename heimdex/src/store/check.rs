//! What every store refuses before it writes.

use crate::store::{IndexedVideo, VectorOrigin};
use crate::{Error, Result};

/// Checks that the parts of an index belong together: what every store refuses before it writes.
///
/// # Errors
/// [`ErrorKind::Space`](crate::ErrorKind::Space) and [`Invalid`](crate::ErrorKind::Invalid), as
/// [`IndexStore::replace_video`](super::IndexStore::replace_video) says.
pub fn check_video(video: &IndexedVideo) -> Result<()> {
    let invalid = |field: &'static str, message: String| Err(Error::invalid(field, message));
    let spaces: Vec<(String, usize)> = video.spaces.iter().map(|s| (s.space(), s.dim)).collect();
    for (i, shot) in video.shots.iter().enumerate() {
        if shot.span.end < shot.span.start {
            return invalid("shots", format!("shot {i} ends before it begins"));
        }
    }
    for (i, keyframe) in video.keyframes.iter().enumerate() {
        if keyframe.shot as usize >= video.shots.len() {
            return invalid(
                "keyframes",
                format!("keyframe {i} is of shot {}, which is not there", keyframe.shot),
            );
        }
    }
    for (i, scene) in video.scenes.iter().enumerate() {
        let indexed = scene;
        let scene = &scene.scene;
        if scene.ordinal as usize != i {
            return invalid("scenes", format!("scene {i} has number {}", scene.ordinal));
        }
        if scene.span.end < scene.span.start {
            return invalid("scenes", format!("scene {i} ends before it begins"));
        }
        if scene.shot as usize >= video.shots.len() {
            return invalid("scenes", format!("scene {i} is of shot {}, which is not there", scene.shot));
        }
        for row in &indexed.vectors {
            let Some((_, dim)) = spaces.iter().find(|(space, _)| *space == row.space) else {
                return Err(Error::Space(format!(
                    "a vector of scene {i} is of {}, which is not listed",
                    row.space
                )));
            };
            if row.vector.dim() != *dim {
                let message = format!(
                    "a vector of scene {i} has {} dimensions, {} has {dim}",
                    row.vector.dim(),
                    row.space
                );
                return Err(Error::Space(message));
            }
            if let VectorOrigin::Keyframe { keyframe } = row.origin
                && keyframe as usize >= video.keyframes.len()
            {
                return invalid(
                    "vectors",
                    format!("a vector of scene {i} is of keyframe {keyframe}, which is not there"),
                );
            }
        }
    }
    Ok(())
}
