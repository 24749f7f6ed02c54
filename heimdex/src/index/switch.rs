//! A whole library to other models: what they make is kept beside what is searched until all of it is
//! there, and then takes its place at once.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;
use tokio::runtime::Handle;

use super::Pipeline;
use super::pipeline::{FromModels, INDEX_KEY, KEYFRAMES_KEY, SCENES_KEY};
use super::resume::Run;
use super::video::Kept;
use crate::store::{IndexStore, IndexedVideo, Page, VideoRecord};
use crate::{Cancel, Error, LibraryId, Result};

/// Videos that are listed at a time.
const VIDEOS_A_PAGE: u32 = 100;

/// How far a switch of models is.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[non_exhaustive]
pub struct SwitchProgress<'a> {
    /// Title of the video in work.
    pub title: &'a str,
    /// Videos that are done, of `videos`.
    pub done: u64,
    /// Videos of the library.
    pub videos: u64,
    /// How far the whole is, 0 to 1; never goes backwards. 1 once the new models are searched.
    pub fraction: f32,
}

/// What a switch of models did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[non_exhaustive]
pub struct SwitchReport {
    /// Videos that the new models looked at.
    pub videos: u64,
    /// Videos that an earlier, interrupted switch to the same models had done.
    pub kept: u64,
}

impl Pipeline {
    /// Another version of an index, with what the models of this pipeline make of its scenes and kept
    /// pictures. Nothing is decoded, and the file is not needed.
    fn remake(&self, before: &IndexedVideo, run: &mut Run<'_>) -> Result<IndexedVideo> {
        let VideoRecord { title, description, settings, .. } = &before.video;
        let of_before = |key: &str| {
            let message =
                format!("{title} was indexed by an earlier version of Heimdex; index it again first");
            settings.get(key).cloned().ok_or_else(|| Error::invalid("models", message))
        };
        let keys = self.model_keys(of_before(KEYFRAMES_KEY)?, of_before(SCENES_KEY)?, title, description);
        let kept = self.kept_looks(&keys, Some(before), run)?;
        let scenes = before.scenes.iter().map(|s| s.scene.clone()).collect();
        let models = FromModels { before: Some(before), kept, looks: None };
        let mut video = before.clone();
        video.scenes = self.with_models(scenes, &before.keyframes, models, &keys, run)?;
        video.spaces = self.spaces();
        video.video.settings.retain(|key, _| !of_models(key));
        video.video.settings.extend(self.provenance_of_models(&keys)?);
        Ok(video)
    }

    /// Gives a record another title and description, with the key that an index made anew would have.
    pub(crate) fn describe(&self, video: &mut VideoRecord, title: &str, description: &str) {
        let kept = |name: &str| video.settings.get(name).cloned().unwrap_or_default();
        let (keyframes, scenes, before) = (kept(KEYFRAMES_KEY), kept(SCENES_KEY), kept(INDEX_KEY));
        let key = |title: &str, description: &str| {
            self.model_keys(keyframes.clone(), scenes.clone(), title, description).commit
        };
        // Where other models made it, it stays to be made again.
        if key(&video.title, &video.description) == before {
            video.settings.insert(INDEX_KEY.to_owned(), key(title, description));
        }
        title.clone_into(&mut video.title);
        description.clone_into(&mut video.description);
    }

    /// Whether what is staged for a video is what [`remake`](Self::remake) would make.
    fn is_remade(&self, video: &VideoRecord, staged: &BTreeMap<String, String>) -> bool {
        let key = |key: &str| video.settings.get(key).cloned().unwrap_or_default();
        let keys = self.model_keys(key(KEYFRAMES_KEY), key(SCENES_KEY), &video.title, &video.description);
        staged.get(INDEX_KEY) == Some(&keys.commit)
    }
}

/// Whether a setting is one of those that models change.
fn of_models(key: &str) -> bool {
    key == INDEX_KEY || key == "tags" || key.starts_with("embed_") || key.starts_with("annotate_")
}

/// Fills what a library needs to switch to the models of a pipeline, until `switch` says that nothing is
/// missing. Blocks; runs on a thread of its own.
pub(crate) fn switch_models(
    pipeline: &Pipeline,
    store: &Arc<dyn IndexStore>,
    library: LibraryId,
    runtime: &Handle,
    cancel: &Cancel,
    progress: &mut dyn FnMut(SwitchProgress<'_>),
    switch: impl Fn() -> Result<u64>,
) -> Result<SwitchReport> {
    let mut report = SwitchReport::default();
    let (mut fraction, mut title) = (0.0_f32, String::new());
    // Videos that were indexed meanwhile are missing, and are looked at in another round.
    for round in 0.. {
        let mut page = Page { limit: VIDEOS_A_PAGE, after: None };
        let mut done = 0;
        loop {
            let (videos, all) = runtime.block_on(store.videos(library, page))?;
            let Some(last) = videos.last() else { break };
            page.after = Some(last.id);
            for video in videos {
                cancel.check()?;
                let mut at = |of_video: f32| {
                    fraction = fraction.max((done as f32 + of_video) / all.max(1) as f32).min(0.99);
                    progress(SwitchProgress { title: &video.title, done, videos: all, fraction });
                };
                at(0.0);
                let staged = runtime.block_on(store.staged_settings(library, video.id))?;
                if staged.is_some_and(|staged| pipeline.is_remade(&video, &staged)) {
                    report.kept += u64::from(round == 0);
                } else if let Some(before) = runtime.block_on(store.indexed_video(library, video.id))? {
                    let kept = Kept { store: &**store, library, video: video.id, runtime, forget: false };
                    let mut of_video = |progress: crate::Progress| at(progress.stage_fraction);
                    let remade = pipeline.remake(&before, &mut Run::new(&kept, cancel, &mut of_video))?;
                    runtime.block_on(store.stage_video(library, &remade))?;
                    report.videos += 1;
                }
                done += 1;
                title = video.title;
            }
        }
        cancel.check()?;
        if switch()? == 0 {
            progress(SwitchProgress { title: &title, done, videos: done, fraction: 1.0 });
            break;
        }
    }
    Ok(report)
}
