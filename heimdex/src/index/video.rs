//! One video into a store.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use serde::{Deserialize, Serialize};
use tokio::runtime::Handle;

use super::Pipeline;
use super::resume::{Checkpoints, Run};
use super::source::Source;
use super::speech::dropped;
use crate::media::MediaInfo;
use crate::store::{
    IndexStore, IndexedVideo, Page, StageRecord, VideoRecord, VideoState, check_space, write_sidecar,
};
use crate::transcript::Dropped;
use crate::{Cancel, Error, ErrorKind, LibraryId, Progress, Result, Stage, Timestamp, VideoId};

/// What to index, and how it is to be called.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct IndexOptions {
    /// The file.
    pub path: PathBuf,
    /// The title people see; the file's name when not given.
    pub title: Option<String>,
    /// Free text that is searched with the title.
    pub description: Option<String>,
    /// A subtitle file to use in place of those beside or inside the video.
    pub subtitles: Option<PathBuf>,
    /// Does all stages again, even where the index is up to date.
    pub force: bool,
    /// What the video is known by in place of its path, such as the address it was got from. Its id
    /// follows from this, so the file may lie anywhere.
    #[serde(skip)]
    pub source: Option<String>,
}

/// How indexing a video ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum IndexOutcome {
    /// It was indexed, or indexed again.
    Indexed,
    /// The file and the settings are those of its index: nothing was done.
    UpToDate,
}

/// What indexing a video did.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct IndexReport {
    /// The video.
    pub id: VideoId,
    /// Its title.
    pub title: String,
    /// How it ended.
    pub outcome: IndexOutcome,
    /// Its length.
    #[serde(rename = "duration_us")]
    pub duration: Timestamp,
    /// Shots found.
    pub shots: usize,
    /// Keyframes kept.
    pub keyframes: usize,
    /// Scenes that can be found.
    pub scenes: usize,
    /// Cues or phrases of its transcript; `None` when nothing looked for any.
    pub segments: Option<usize>,
    /// Phrases that a speech model gave and that were not believed, by reason.
    pub dropped: Dropped,
    /// What was missing or damaged, one line each.
    pub warnings: Vec<String>,
    /// The stages, with their times and whether an earlier run's output was used.
    pub stages: Vec<StageRecord>,
    /// Wall time.
    pub seconds: f64,
}

/// Checkpoints of one video in a store, reached from a thread of our own.
pub(super) struct Kept<'a> {
    pub(super) store: &'a dyn IndexStore,
    pub(super) library: LibraryId,
    pub(super) video: VideoId,
    pub(super) runtime: &'a Handle,
    /// Outputs of earlier runs are not used.
    pub(super) forget: bool,
}

impl Checkpoints for Kept<'_> {
    fn load(&self, stage: Stage, key: &str) -> Result<Option<Vec<u8>>> {
        if self.forget {
            return Ok(None);
        }
        self.runtime.block_on(self.store.checkpoint(self.library, self.video, stage, key))
    }

    fn save(&self, stage: Stage, key: &str, output: &[u8]) -> Result<()> {
        self.runtime.block_on(self.store.save_checkpoint(self.library, self.video, stage, key, output))
    }

    fn record(&self, record: &StageRecord) -> Result<()> {
        self.runtime.block_on(self.store.record_stage(self.library, self.video, record))
    }
}

/// Checks that a library's vectors are of the models of a pipeline, before anything is decoded. The
/// store looks again when it is written to. A library of one video may change its models with it: `only`
/// tells which that may be, or any where none is named.
pub(crate) async fn check_models(
    pipeline: &Pipeline,
    store: &dyn IndexStore,
    library: LibraryId,
    only: Option<VideoId>,
) -> Result<()> {
    let held = store.spaces(library).await?;
    let wanted = pipeline.spaces();
    let fits =
        wanted.iter().try_for_each(|new| held.iter().try_for_each(|held| check_space(new, held, true)));
    if fits.is_ok() {
        return Ok(());
    }
    let (videos, all) = store.videos(library, Page { limit: 1, after: None }).await?;
    let replaced = videos.iter().all(|video| only.is_none_or(|only| only == video.id));
    if all <= 1 && replaced { Ok(()) } else { fits }
}

/// Indexes a file into a store. Blocks; runs on a thread of its own.
pub(crate) fn index_video(
    pipeline: &Pipeline,
    store: &Arc<dyn IndexStore>,
    library: LibraryId,
    options: &IndexOptions,
    runtime: &Handle,
    cancel: &Cancel,
    progress: &mut dyn FnMut(Progress),
) -> Result<IndexReport> {
    let begun = Instant::now();
    let source = Source::of_options(options)?;
    let kept = Kept { store: &**store, library, video: source.id, runtime, forget: options.force };
    runtime.block_on(check_models(pipeline, &**store, library, Some(source.id)))?;
    let before = runtime.block_on(store.video(library, source.id))?;
    let placeholder = before.is_none().then(|| placeholder(&source, options));
    if let Some(placeholder) = &placeholder {
        runtime.block_on(store.set_state(library, placeholder))?;
    }
    // Before any file is made again under a name that is still to be deleted.
    runtime.block_on(delete_leftovers(pipeline, &**store, library, Some(source.id)))?;
    if let Some(thumbnails) = pipeline.thumbnails() {
        runtime.block_on(thumbnails.forget_unfinished(source.id))?;
    }
    let mut run = Run::new(&kept, cancel, progress);
    let result = indexed(pipeline, &kept, options, before.as_ref(), &mut run);
    match result {
        Ok(report) => {
            Ok(IndexReport { stages: run.stages, seconds: begun.elapsed().as_secs_f64(), ..report })
        }
        Err(error) => {
            if let Some(placeholder) = placeholder
                && let Err(unrecorded) = runtime.block_on(record_failure(&kept, placeholder, &error))
            {
                tracing::warn!(%unrecorded, "a failed video could not be recorded");
            }
            Err(error)
        }
    }
}

/// A file that is not there or holds no media leaves no trace; any other is listed as failed.
async fn record_failure(kept: &Kept<'_>, mut video: VideoRecord, error: &Error) -> Result<()> {
    let no_video = matches!(
        error.kind(),
        ErrorKind::NotAMediaFile | ErrorKind::RefusedPlaylist | ErrorKind::NoVideoStream | ErrorKind::Io
    );
    if no_video {
        return kept.store.delete_video(kept.library, kept.video).await.map(|_| ());
    }
    video.state = VideoState::Failed;
    video.warnings = vec![error.to_string()];
    kept.store.set_state(kept.library, &video).await
}

fn indexed(
    pipeline: &Pipeline,
    kept: &Kept<'_>,
    options: &IndexOptions,
    before: Option<&VideoRecord>,
    run: &mut Run<'_>,
) -> Result<IndexReport> {
    let Kept { store, library, video, runtime, .. } = *kept;
    let plan = pipeline.plan(options, run)?;
    if let Some(done) = before.filter(|v| !options.force && plan.is_done(v)) {
        let index = runtime
            .block_on(store.indexed_video(library, video))?
            .ok_or_else(|| Error::not_found("indexed video", done.id.to_string()))?;
        return Ok(report(&index, IndexOutcome::UpToDate));
    }
    let old = match before {
        Some(_) => runtime.block_on(store.indexed_video(library, video))?,
        None => None,
    };
    let index = pipeline.index(plan, old.as_ref().filter(|_| !options.force), run)?;
    if let Some(folder) = &pipeline.sidecars {
        run.begin(Stage::Sidecar)?;
        if let Err(error) = keep_sidecar(folder, &index) {
            run.fail(Stage::Sidecar, &error);
            return Err(error);
        }
        run.complete(Stage::Sidecar)?;
    }
    run.begin(Stage::Commit)?;
    if let Err(error) = runtime.block_on(store.replace_video(library, &index)) {
        run.fail(Stage::Commit, &error);
        return Err(error);
    }
    run.complete(Stage::Commit)?;
    // The index is whole without this, and the next run does it.
    if let Err(error) = runtime.block_on(delete_leftovers(pipeline, store, library, Some(video))) {
        tracing::warn!(%error, "thumbnails of the index before could not be deleted");
    }
    Ok(report(&index, IndexOutcome::Indexed))
}

/// Writes `VIDEO.json`, renamed into its place at the end.
fn keep_sidecar(folder: &Path, index: &IndexedVideo) -> Result<()> {
    std::fs::create_dir_all(folder).map_err(|e| Error::io(folder, e))?;
    let path = folder.join(format!("{}.json", index.video.id));
    let unfinished = folder.join(format!(".{}.{}.incomplete", index.video.id, std::process::id()));
    std::fs::write(&unfinished, write_sidecar(index, true)?)
        .and_then(|()| std::fs::rename(&unfinished, &path))
        .map_err(|e| Error::io(&path, e))
}

/// Deletes thumbnails and pictures that no index names any more: of one video, or of all that are gone.
pub(crate) async fn delete_leftovers(
    pipeline: &Pipeline,
    store: &dyn IndexStore,
    library: LibraryId,
    video: Option<VideoId>,
) -> Result<()> {
    let Some(thumbnails) = pipeline.thumbnails() else { return Ok(()) };
    let files = store.leftovers(library, video).await?;
    if files.is_empty() {
        return Ok(());
    }
    thumbnails.delete(&files).await?;
    store.forget_leftovers(library, &files).await
}

fn report(index: &crate::store::IndexedVideo, outcome: IndexOutcome) -> IndexReport {
    IndexReport {
        id: index.video.id,
        title: index.video.title.clone(),
        outcome,
        duration: index.video.duration,
        shots: index.shots.len(),
        keyframes: index.keyframes.len(),
        scenes: index.scenes.len(),
        segments: index.transcript.as_ref().map(|_| index.segments.len()),
        dropped: dropped(index.transcript.as_ref()),
        warnings: index.video.warnings.clone(),
        stages: Vec::new(),
        seconds: 0.0,
    }
}

/// The video that these options are about, listed before anything is known of it.
#[cfg(feature = "postgres")]
pub(crate) fn placeholder_of(options: &IndexOptions) -> Result<VideoRecord> {
    let mut video = placeholder(&Source::of_options(options)?, options);
    video.state = VideoState::Validating;
    Ok(video)
}

/// A video that is listed before anything is known of it.
fn placeholder(source: &Source, options: &IndexOptions) -> VideoRecord {
    VideoRecord {
        id: source.id,
        source: source.text.clone(),
        title: options.title.clone().unwrap_or_else(|| source.title()),
        description: options.description.clone().unwrap_or_default(),
        fingerprint: String::new(),
        duration: Timestamp::ZERO,
        media: MediaInfo::default(),
        language: None,
        created_at: None,
        warnings: Vec::new(),
        settings: std::collections::BTreeMap::new(),
        state: VideoState::Processing,
    }
}
