//! What every store refuses before it writes.

use crate::embed::{EmbedSpec, Modality};
use crate::store::{IndexedScene, IndexedVideo, VectorOrigin, VectorRow};
use crate::transcript::Word;
use crate::{Error, Result, Span};

/// Channels that no annotator can have.
pub(crate) const OWN_CHANNELS: [&str; 6] = ["speech", "title", "meaning", "visual", "likeness", "tags"];

/// Checks that the parts of an index belong together: what every store refuses before it writes.
///
/// # Errors
/// [`ErrorKind::Space`](crate::ErrorKind::Space) and [`Invalid`](crate::ErrorKind::Invalid), as
/// [`IndexStore::replace_video`](super::IndexStore::replace_video) says.
pub fn check_video(video: &IndexedVideo) -> Result<()> {
    let spaces: Vec<(String, usize)> = video.spaces.iter().map(|s| (s.space(), s.dim)).collect();
    for (i, (space, _)) in spaces.iter().enumerate() {
        if spaces[..i].iter().any(|(other, _)| other == space) {
            return Err(Error::Space(format!("{space} is listed twice")));
        }
    }
    for (i, shot) in video.shots.iter().enumerate() {
        check_span("shots", &format!("shot {i}"), shot.span)?;
    }
    for (i, keyframe) in video.keyframes.iter().enumerate() {
        if keyframe.shot as usize >= video.shots.len() {
            let message = format!("keyframe {i} is of shot {}, which is not there", keyframe.shot);
            return Err(Error::invalid("keyframes", message));
        }
        if !keyframe.quality.is_finite() {
            return Err(Error::invalid("keyframes", format!("the quality of keyframe {i} is no number")));
        }
    }
    for (i, segment) in video.segments.iter().enumerate() {
        check_span("segments", &format!("segment {i}"), segment.span)?;
        check_words("segments", &format!("segment {i}"), &segment.words)?;
    }
    for (i, scene) in video.scenes.iter().enumerate() {
        check_scene(video, &spaces, i, scene)?;
    }
    Ok(())
}

/// Refuses vectors of `spec` beside those of `held`, which other videos of the library have: a space
/// beside another of its modality, and one that is being filled.
///
/// # Errors
/// [`ErrorKind::Space`](crate::ErrorKind::Space).
pub fn check_space(spec: &EmbedSpec, held: &EmbedSpec, active: bool) -> Result<()> {
    let named = |spec: &EmbedSpec| format!("{} ({} dimensions)", spec.model, spec.dim);
    if spec.space() == held.space() && !active {
        let message = format!("the library is on its way to {}; end the switch of models first", named(held));
        return Err(Error::Space(message));
    }
    let what = match spec.modality {
        Modality::Text => "texts",
        Modality::Image => "pictures",
        Modality::Annotation => return Ok(()),
    };
    if active && spec.modality == held.modality && spec.space() != held.space() {
        return Err(Error::Space(format!(
            "the library's {what} are embedded by {}, these by {}; go on with that model, or switch the whole \
             library to this one",
            named(held),
            named(spec),
        )));
    }
    Ok(())
}

/// Checks that nothing but what models make differs from the index that is there: what every store
/// refuses to stage.
///
/// # Errors
/// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid), as
/// [`IndexStore::stage_video`](super::IndexStore::stage_video) says, and those of [`check_video`].
pub fn check_staged(before: &IndexedVideo, staged: &IndexedVideo) -> Result<()> {
    check_video(staged)?;
    let shared: Vec<String> = before.spaces.iter().map(EmbedSpec::space).collect();
    let kept = |s: &IndexedScene| -> Vec<VectorRow> {
        s.vectors.iter().filter(|row| shared.contains(&row.space)).cloned().collect()
    };
    let stays = |space: &String| staged.spaces.iter().any(|s| s.space() == *space);
    let of_before = |s: &IndexedScene| -> Vec<VectorRow> {
        s.vectors.iter().filter(|row| stays(&row.space)).cloned().collect()
    };
    let parts = [
        ("record", {
            let (mut a, mut b) = (before.video.clone(), staged.video.clone());
            (a.settings, b.settings) = Default::default();
            b.state = a.state;
            a == b
        }),
        ("shots", before.shots == staged.shots),
        ("keyframes", before.keyframes == staged.keyframes),
        ("transcript", before.transcript == staged.transcript && before.segments == staged.segments),
        ("scenes", before.scenes.iter().map(|s| &s.scene).eq(staged.scenes.iter().map(|s| &s.scene))),
        ("texts", before.scenes.iter().map(|s| &s.texts).eq(staged.scenes.iter().map(|s| &s.texts))),
        ("vectors", before.scenes.iter().map(of_before).eq(staged.scenes.iter().map(kept))),
    ];
    match parts.iter().find(|(_, same)| !same) {
        Some((part, _)) => {
            let message =
                format!("the {part} of {} are not those of its index; index it again", before.video.id);
            Err(Error::invalid("staged", message))
        }
        None => Ok(()),
    }
}

fn check_span(field: &'static str, what: &str, span: Span) -> Result<()> {
    if span.end < span.start {
        return Err(Error::invalid(field, format!("{what} ends before it begins")));
    }
    Ok(())
}

fn check_words(field: &'static str, what: &str, words: &[Word]) -> Result<()> {
    for word in words {
        check_span(field, &format!("a word of {what}"), word.span)?;
        if word.probability.is_some_and(|p| !(0.0..=1.0).contains(&p)) {
            return Err(Error::invalid(
                field,
                format!("the probability of a word of {what} is not in 0..=1"),
            ));
        }
    }
    Ok(())
}

fn check_scene(
    video: &IndexedVideo,
    spaces: &[(String, usize)],
    number: usize,
    indexed: &IndexedScene,
) -> Result<()> {
    let scene = &indexed.scene;
    let what = format!("scene {number}");
    if scene.ordinal as usize != number {
        return Err(Error::invalid("scenes", format!("{what} has number {}", scene.ordinal)));
    }
    check_span("scenes", &what, scene.span)?;
    check_words("scenes", &what, &scene.words)?;
    if scene.shot as usize >= video.shots.len() {
        return Err(Error::invalid(
            "scenes",
            format!("{what} is of shot {}, which is not there", scene.shot),
        ));
    }
    if let Some(channel) = OWN_CHANNELS.iter().find(|channel| indexed.texts.contains_key(**channel)) {
        return Err(Error::invalid("texts", format!("{what} has a text in {channel}, a channel of Heimdex")));
    }
    if let Some(tag) = indexed.tags.iter().find(|tag| !(0.0..=1.0).contains(&tag.score)) {
        return Err(Error::invalid("tags", format!("the score of {} in {what} is not in 0..=1", tag.label)));
    }
    for row in &indexed.vectors {
        let Some((_, dim)) = spaces.iter().find(|(space, _)| *space == row.space) else {
            return Err(Error::Space(format!("a vector of {what} is of {}, which is not listed", row.space)));
        };
        if row.vector.dim() != *dim {
            let found = row.vector.dim();
            let message = format!("a vector of {what} has {found} dimensions, {} has {dim}", row.space);
            return Err(Error::Space(message));
        }
        if row.time < scene.span.start || row.time > scene.span.end {
            return Err(Error::invalid(
                "vectors",
                format!("a vector of {what} stands for a moment outside it"),
            ));
        }
        if let VectorOrigin::Keyframe { keyframe } = row.origin
            && keyframe as usize >= video.keyframes.len()
        {
            let message = format!("a vector of {what} is of keyframe {keyframe}, which is not there");
            return Err(Error::invalid("vectors", message));
        }
    }
    Ok(())
}
