//! The library on disk, and the commands that only read it or take from it.

use std::path::{Path, PathBuf};

use heimdex::index::Pipeline;
use heimdex::store::{Page, SqliteStore, StageState, VideoRecord, VideoState};
use heimdex::{Error, Heimdex, Timestamp};
use serde_json::json;

use crate::args::Global;
use crate::output::{self, Outcome, Style, safe};

/// The folder of the library: as given, else in the user's data folder.
pub(crate) fn folder(global: &Global) -> heimdex::Result<PathBuf> {
    if let Some(folder) = &global.library {
        return Ok(folder.clone());
    }
    heimdex::models::data_folder().map(|data| data.join("library")).ok_or_else(|| {
        Error::invalid("library", "there is no home folder; say where with --library or HEIMDEX_LIBRARY")
    })
}

pub(crate) fn database(folder: &Path) -> PathBuf {
    folder.join("library.db")
}

pub(crate) fn thumbnails(folder: &Path) -> PathBuf {
    folder.join("thumbnails")
}

/// Opens a library that is there.
pub(crate) async fn open(global: &Global, pipeline: Pipeline) -> heimdex::Result<Heimdex> {
    let folder = folder(global)?;
    let database = database(&folder);
    if !database.is_file() {
        let name = format!("{}; make one with: heimdex index VIDEO", folder.display());
        return Err(Error::not_found("library", name));
    }
    Heimdex::builder().store(SqliteStore::open(&database).await?).pipeline(pipeline).build()
}

/// Opens the library, made when it is not there.
pub(crate) async fn open_or_make(folder: &Path, pipeline: Pipeline) -> heimdex::Result<Heimdex> {
    std::fs::create_dir_all(folder).map_err(|e| Error::io(folder, e))?;
    Heimdex::builder().store(SqliteStore::open(database(folder)).await?).pipeline(pipeline).build()
}

/// Every video, in order of id.
pub(crate) async fn all_videos(library: &Heimdex) -> heimdex::Result<Vec<VideoRecord>> {
    let mut all = Vec::new();
    let mut page = Page { limit: 500, after: None };
    loop {
        let (videos, _) = library.videos(page).await?;
        let Some(last) = videos.last() else { return Ok(all) };
        page.after = Some(last.id);
        all.extend(videos);
    }
}

pub(crate) async fn list(global: &Global) -> Outcome {
    let library = open(global, Pipeline::builder().build()?).await?;
    let mut videos = all_videos(&library).await?;
    videos.sort_by(|a, b| a.title.cmp(&b.title).then(a.id.cmp(&b.id)));
    if global.json {
        return output::json(&videos);
    }
    let style = Style::stdout();
    for video in &videos {
        let id = video.id.to_string();
        let state = match video.state {
            VideoState::Indexed if video.warnings.is_empty() => "",
            VideoState::Indexed => "  (with warnings)",
            VideoState::Failed => "  (failed)",
            _ => "  (in work)",
        };
        output::line(format!(
            "{}{}{}  {}  {}{}{}{state}",
            style.dim,
            &id[..8],
            style.off,
            clock(video.duration),
            style.bold,
            safe(&video.title),
            style.off,
        ))?;
    }
    if !global.quiet {
        let folder = folder(global)?;
        output::note(format!("{} in {}", count(videos.len(), "video"), folder.display()));
    }
    Ok(())
}

pub(crate) async fn show(global: &Global, name: &str) -> Outcome {
    let library = open(global, Pipeline::builder().build()?).await?;
    let video = library.find_video(name).await?;
    let stages = library.stages(video.id).await?;
    let indexed = library.store().indexed_video(library.library(), video.id).await?;
    if global.json {
        let mut value = indexed
            .as_ref()
            .map_or_else(|| json!({"video": video}), |indexed| crate::export::document(indexed, false));
        value["stages"] = json!(stages);
        return output::json(&value);
    }
    let style = Style::stdout();
    output::line(format!("{}{}{}", style.bold, safe(&video.title), style.off))?;
    output::line(format!("  id        {}", video.id))?;
    output::line(format!("  source    {}", safe(&video.source)))?;
    output::line(format!("  length    {}", video.duration))?;
    if let Some(picture) = video.media.video() {
        output::line(format!(
            "  picture   {} {}x{}, {} degrees",
            picture.codec,
            picture.display_width,
            picture.display_height,
            u16::from(picture.rotation)
        ))?;
    }
    if let Some(sound) = video.media.audio() {
        output::line(format!(
            "  sound     {} {} Hz {}",
            sound.codec, sound.sample_rate_hz, sound.channel_layout
        ))?;
    }
    for warning in &video.warnings {
        output::line(format!("  warning   {}", safe(warning)))?;
    }
    for stage in stages.iter().filter(|s| s.state != StageState::Completed) {
        let error = stage.error.as_deref().unwrap_or("not finished");
        output::line(format!("  {:<9} {}", stage.stage, safe(error)))?;
    }
    let Some(indexed) = indexed else { return Ok(()) };
    output::line(format!(
        "  holds     {}, {}, {}, {}",
        count(indexed.shots.len(), "shot"),
        count(indexed.keyframes.len(), "keyframe"),
        count(indexed.scenes.len(), "scene"),
        count(indexed.segments.len(), "cue"),
    ))?;
    for space in &indexed.spaces {
        output::line(format!("  vectors   {} ({} dimensions)", safe(&space.model), space.dim))?;
    }
    for scene in &indexed.scenes {
        let scene = &scene.scene;
        output::line(format!(
            "  {}{:>4}{}  {} – {}  {}",
            style.dim,
            scene.ordinal,
            style.off,
            scene.span.start,
            scene.span.end,
            safe(&scene.speech.replace('\n', " ")),
        ))?;
    }
    Ok(())
}

pub(crate) async fn remove(global: &Global, names: &[String]) -> Outcome {
    let folder = folder(global)?;
    let pipeline = Pipeline::builder().thumbnails(thumbnails(&folder)).build()?;
    let library = open(global, pipeline).await?;
    // All names are looked up first: a wrong one removes nothing.
    let mut videos = Vec::new();
    for name in names {
        videos.push(library.find_video(name).await?);
    }
    for video in videos {
        library.remove(video.id).await?;
        if global.json {
            output::json(&json!({"removed": video.id, "source": video.source}))?;
        } else if !global.quiet {
            output::line(format!("removed {} ({})", safe(&video.title), safe(&video.source)))?;
        }
    }
    Ok(())
}

pub(crate) async fn migrate(global: &Global) -> Outcome {
    let folder = folder(global)?;
    // Opening brings the schema up to date.
    open_or_make(&folder, Pipeline::builder().build()?).await?;
    if global.json {
        return output::json(&json!({"library": folder, "migrated": true}));
    }
    output::line(format!("{} is up to date", database(&folder).display()))
}

/// `1:02:03` or `2:03`: for lists, where milliseconds only disturb.
pub(crate) fn clock(time: Timestamp) -> String {
    let seconds = time.as_millis().max(0) / 1000;
    if seconds >= 3600 {
        format!("{}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
    } else {
        format!("{}:{:02}", seconds / 60, seconds % 60)
    }
}

/// `1 video`, `2 videos`.
pub(crate) fn count(n: usize, what: &str) -> String {
    if n == 1 { format!("1 {what}") } else { format!("{n} {what}s") }
}
