//! The stage that adds tags, and what annotators find.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::Pipeline;
use super::models::detached;
use super::pipeline::ModelKeys;
use super::resume::Run;
use super::vectors::keyframes_of;
use crate::annotate::{KeyframeView, SceneView, Tag};
use crate::embed::Vector;
use crate::keyframes::Keyframe;
use crate::media::RgbPicture;
use crate::scenes::Scene;
use crate::store::{VectorOrigin, VectorRow};
use crate::{Error, Result, Stage};

/// What tags and annotators add to a scene.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Notes {
    pub(super) texts: BTreeMap<String, String>,
    pub(super) tags: Vec<Tag>,
    pub(super) vectors: Vec<VectorRow>,
}

impl Pipeline {
    /// What tags and annotators make of each scene.
    pub(super) fn annotate(
        &self,
        scenes: &[Scene],
        keyframes: &[Keyframe],
        looks: &[Vector],
        keys: &ModelKeys,
        run: &mut Run<'_>,
    ) -> Result<Vec<Notes>> {
        if self.tagger.is_none() && self.annotators.is_empty() {
            return Ok(vec![Notes::default(); scenes.len()]);
        }
        run.stage(Stage::Tags, &keys.tags, |run| {
            if let Some(tagger) = &self.tagger {
                let (tagger, cancel) = (Arc::clone(tagger), run.cancel.clone());
                detached("heimdex-tags", run.cancel, move || tagger.prepare(&cancel))?;
            }
            let mut notes = Vec::with_capacity(scenes.len());
            for scene in scenes {
                run.cancel.check()?;
                run.progress(Stage::Tags, 0.99 * notes.len() as f32 / scenes.len() as f32);
                let mine = keyframes_of(scene, keyframes);
                let mut note = Notes::default();
                if let Some(tagger) = &self.tagger {
                    let looks: Vec<&Vector> = mine.iter().filter_map(|i| looks.get(*i)).collect();
                    note.tags = tagger.tags(&looks);
                }
                if !self.annotators.is_empty() {
                    let mine = mine.iter().map(|i| keyframes[*i].clone()).collect();
                    let (pipeline, scene) = (self.clone(), scene.clone());
                    note = detached("heimdex-annotate", run.cancel, move || {
                        pipeline.ask_annotators(&scene, mine, note)
                    })?;
                }
                notes.push(note);
            }
            Ok(notes)
        })
    }

    /// What all annotators find in a scene with these keyframes, added to what is known of it.
    fn ask_annotators(&self, scene: &Scene, keyframes: Vec<Keyframe>, mut note: Notes) -> Result<Notes> {
        let seen: Vec<(Keyframe, RgbPicture)> = keyframes
            .into_iter()
            .map(|keyframe| self.picture(&keyframe).map(|picture| (keyframe, picture)))
            .collect::<Result<_>>()?;
        for annotator in &self.annotators {
            let views = seen.iter().map(|(keyframe, picture)| KeyframeView { keyframe, picture });
            let found = annotator.annotate(&SceneView { scene, keyframes: views.collect() })?;
            let channel = annotator.channel();
            if !found.text.trim().is_empty() {
                note.texts.insert(channel.to_owned(), found.text);
            }
            note.tags.extend(found.tags);
            for (time, vector) in found.vectors {
                let spec = annotator.spec().filter(|spec| spec.dim == vector.dim()).ok_or_else(|| {
                    Error::Space(format!("annotator {channel} gave a vector that is not of its own spec"))
                })?;
                note.vectors.push(VectorRow {
                    space: spec.space(),
                    origin: VectorOrigin::Annotation { channel: channel.to_owned() },
                    time: time.clamp(scene.span.start, scene.span.end),
                    vector,
                });
            }
        }
        note.tags.sort_by(|a, b| b.score.total_cmp(&a.score));
        Ok(note)
    }
}
