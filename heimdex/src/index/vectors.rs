//! The stages that make vectors, and the rows that they become.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::executor::block_on;

use super::Pipeline;
use super::models::{ImageQueue, embed_texts};
use super::pipeline::{IMAGES_KEY, ModelKeys, TEXT_KEY};
use super::resume::Run;
use crate::embed::{EmbedSpec, Modality, Vector};
use crate::keyframes::{self, Keyframe};
use crate::media::RgbPicture;
use crate::scenes::Scene;
use crate::store::{IndexedScene, IndexedVideo, VectorOrigin, VectorRow};
use crate::{Error, Result, Span, Stage};

/// Texts that are embedded in one call, so that progress moves and cancel is seen.
const TEXTS_A_CALL: usize = 64;

impl Pipeline {
    /// One vector per scene that says something.
    pub(super) fn embed(
        &self,
        scenes: &[Scene],
        keys: &ModelKeys,
        before: Option<&IndexedVideo>,
        run: &mut Run<'_>,
    ) -> Result<Vec<Option<Vector>>> {
        let Some(embedder) = &self.text else { return Ok(vec![None; scenes.len()]) };
        if let Some(before) = before.filter(|b| b.video.settings.get(TEXT_KEY) == Some(&keys.embed_text)) {
            run.reused(Stage::EmbedText)?;
            let spoken = |s: &IndexedScene| {
                let row = s.vectors.iter().find(|row| matches!(row.origin, VectorOrigin::Text { .. }));
                row.map(|row| row.vector.clone())
            };
            return Ok(before.scenes.iter().map(spoken).collect());
        }
        run.stage(Stage::EmbedText, &keys.embed_text, |run| {
            let spoken: Vec<usize> =
                (0..scenes.len()).filter(|i| !scenes[*i].speech.trim().is_empty()).collect();
            let mut vectors = vec![None; scenes.len()];
            for (done, batch) in spoken.chunks(TEXTS_A_CALL).enumerate() {
                run.cancel.check()?;
                let texts: Vec<String> = batch.iter().map(|i| scenes[*i].speech.clone()).collect();
                for (i, vector) in batch.iter().zip(embed_texts(embedder, texts, run.cancel)?) {
                    vectors[*i] = Some(vector);
                }
                run.progress(Stage::EmbedText, 0.99 * (done * TEXTS_A_CALL) as f32 / spoken.len() as f32);
            }
            Ok(vectors)
        })
    }

    /// The picture that is kept of a keyframe.
    pub(super) fn picture(&self, keyframe: &Keyframe) -> Result<RgbPicture> {
        let (Some(thumbnails), Some(key)) = (&self.thumbnails, &keyframe.picture) else {
            let message = format!("of the keyframe at {}; index its video again with force", keyframe.time);
            return Err(Error::not_found("kept picture", message));
        };
        keyframes::decode(&block_on(thumbnails.get(key))?)
    }

    pub(super) fn needs_pictures(&self, unseen: bool) -> bool {
        (unseen && self.image.is_some()) || !self.annotators.is_empty()
    }

    /// Whether the pictures of all keyframes are kept.
    pub(super) fn holds_pictures(&self, keyframes: &[Keyframe]) -> Result<bool> {
        let keys: Option<Vec<&str>> = keyframes.iter().map(|k| k.picture.as_deref()).collect();
        match (&self.thumbnails, keys) {
            (Some(thumbnails), Some(keys)) => block_on(thumbnails.hold(&keys)),
            _ => Ok(keyframes.is_empty()),
        }
    }

    /// The vectors of keyframes that an earlier run, or the index that is there, has.
    pub(super) fn kept_looks(
        &self,
        keys: &ModelKeys,
        before: Option<&IndexedVideo>,
        run: &Run<'_>,
    ) -> Result<Option<Vec<Vector>>> {
        if self.image.is_none() {
            return Ok(None);
        }
        let before = before.filter(|b| b.video.settings.get(IMAGES_KEY) == Some(&keys.embed_images));
        if let Some(before) = before {
            let rows = before.scenes.iter().flat_map(|s| &s.vectors);
            let looks: BTreeMap<u32, &Vector> = rows
                .filter_map(|row| match row.origin {
                    VectorOrigin::Keyframe { keyframe } => Some((keyframe, &row.vector)),
                    VectorOrigin::Text { .. } | VectorOrigin::Annotation { .. } => None,
                })
                .collect();
            if looks.keys().copied().eq(0..before.keyframes.len() as u32) {
                return Ok(Some(looks.into_values().cloned().collect()));
            }
        }
        run.kept(Stage::EmbedImages, &keys.embed_images)
    }

    /// One vector for each keyframe: those kept, those of the pass, or those of the pictures that were
    /// kept when the file was decoded.
    pub(super) fn look(
        &self,
        keyframes: &[Keyframe],
        kept: Option<Vec<Vector>>,
        seen: Option<Vec<Vector>>,
        keys: &ModelKeys,
        run: &mut Run<'_>,
    ) -> Result<Vec<Vector>> {
        let Some(image) = &self.image else { return Ok(Vec::new()) };
        if let Some(kept) = kept.filter(|kept| kept.len() == keyframes.len()) {
            run.reused(Stage::EmbedImages)?;
            return Ok(kept);
        }
        run.stage(Stage::EmbedImages, &keys.embed_images, |run| {
            if let Some(seen) = seen {
                return Ok(seen);
            }
            let queue = ImageQueue::start(Arc::clone(image), run.cancel)?;
            for (done, keyframe) in keyframes.iter().enumerate() {
                queue.push(self.picture(keyframe)?)?;
                run.progress(Stage::EmbedImages, 0.99 * done as f32 / keyframes.len() as f32);
            }
            queue.finish()
        })
    }

    /// The rows of each scene: its keyframes, or where it has none, the one of its shot that is nearest.
    pub(super) fn image_rows(
        &self,
        scenes: &[Scene],
        keyframes: &[Keyframe],
        looks: &[Vector],
    ) -> Vec<Vec<VectorRow>> {
        let Some(image) = self.image.as_ref().filter(|_| !looks.is_empty()) else {
            return vec![Vec::new(); scenes.len()];
        };
        let space = image.spec().space();
        let row = |i: usize, span: Span| VectorRow {
            space: space.clone(),
            origin: VectorOrigin::Keyframe { keyframe: u32::try_from(i).unwrap_or(u32::MAX) },
            time: keyframes[i].time.clamp(span.start, span.end),
            vector: looks[i].clone(),
        };
        let of_scene =
            |scene: &Scene| keyframes_of(scene, keyframes).into_iter().map(|i| row(i, scene.span)).collect();
        scenes.iter().map(of_scene).collect()
    }

    /// What made the vectors.
    pub(super) fn spaces(&self) -> Vec<EmbedSpec> {
        let text = self.text.iter().map(|t| t.spec().standing_for(Modality::Text));
        let image = self.image.iter().map(|i| i.spec().standing_for(Modality::Image));
        let annotators = self.annotators.iter().filter_map(|a| a.spec());
        let annotators = annotators.map(|spec| spec.standing_for(Modality::Annotation));
        let mut all: Vec<EmbedSpec> = Vec::new();
        for spec in text.chain(image).chain(annotators) {
            if all.iter().all(|other| other.space() != spec.space()) {
                all.push(spec);
            }
        }
        all
    }

    pub(super) fn text_row(&self, scene: &Scene, vector: Vector) -> VectorRow {
        VectorRow {
            space: self.text.as_ref().map(|t| t.spec().space()).unwrap_or_default(),
            origin: VectorOrigin::Text { channel: "speech".to_owned() },
            time: scene
                .words
                .first()
                .map_or(scene.span.start, |word| word.span.start.clamp(scene.span.start, scene.span.end)),
            vector,
        }
    }
}

/// The keyframes of a scene, by their place: those inside it, or where there is none, the one of its
/// shot that is nearest to its middle.
pub(super) fn keyframes_of(scene: &Scene, keyframes: &[Keyframe]) -> Vec<usize> {
    let of_shot = || (0..keyframes.len()).filter(|i| keyframes[*i].shot == scene.shot);
    let inside: Vec<usize> = of_shot().filter(|i| scene.span.contains(keyframes[*i].time)).collect();
    if !inside.is_empty() {
        return inside;
    }
    let middle = scene.span.middle();
    of_shot().min_by_key(|i| keyframes[*i].time.micros_since(middle).abs()).into_iter().collect()
}
