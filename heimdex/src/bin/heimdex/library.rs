//! The library on disk, and the commands that only read it or take from it.

use heimdex::open::{self, Location, OpenOptions, Opened};
use heimdex::search::Models;
use heimdex::store::{Page, PostgresStore, StageState, VideoRecord, VideoState, sidecar};
use heimdex::{Error, Heimdex, Result, Timestamp};
use serde_json::json;

use crate::args::{Global, MigrateArgs};
use crate::output::{self, Outcome, Style, safe};

/// Opens a library and says what is left out. `options` says with what.
pub(crate) async fn open(options: &OpenOptions) -> Result<Opened> {
    let opened = open::open(options, Models::default()).await.map_err(|error| match error {
        Error::NotFound { what: "library", name } => {
            Error::not_found("library", format!("{name}; make one with: heimdex index VIDEO"))
        }
        error => error,
    })?;
    for note in &opened.notes {
        output::note(safe(note));
    }
    Ok(opened)
}

/// The database, where that is where the library is.
pub(crate) async fn database(global: &Global, what: &'static str) -> Result<PostgresStore> {
    match &global.library {
        Some(Location::Database(url)) => PostgresStore::connect(url).await,
        _ => {
            let message =
                "goes with a database; name one with --library postgres://USER:PASSWORD@HOST/DATABASE";
            Err(Error::invalid(what, message))
        }
    }
}

/// Makes the indexes that a large database lacks.
pub(crate) async fn build_indexes(global: &Global) -> Result<()> {
    let Some(Location::Database(url)) = &global.library else { return Ok(()) };
    let made = PostgresStore::connect(url).await?.build_indexes().await?;
    if !made.is_empty() && !global.quiet && !global.json {
        output::note(format!("made {}", count(made.len(), "vector index").replace("indexs", "indexes")));
    }
    Ok(())
}

/// Every video, in order of id.
pub(crate) async fn all_videos(library: &Heimdex) -> Result<Vec<VideoRecord>> {
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
    let library = open(&global.library()).await?.library;
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
        let place = global.library().location()?.to_string();
        output::note(format!("{} in {}", count(videos.len(), "video"), safe(&place)));
    }
    Ok(())
}

pub(crate) async fn show(global: &Global, name: &str) -> Outcome {
    let library = open(&global.library()).await?.library;
    let video = library.find_video(name).await?;
    let stages = library.stages(video.id).await?;
    let indexed = library.store().indexed_video(library.library(), video.id).await?;
    if global.json {
        let mut value = indexed
            .as_ref()
            .map_or_else(|| Ok(json!({"video": video})), |indexed| sidecar(indexed, false))?;
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
    let mut options = global.library();
    options.keep_thumbnails = true;
    let library = open(&options).await?.library;
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

pub(crate) async fn migrate(global: &Global, args: MigrateArgs) -> Outcome {
    let global = &global.in_database(args.database_url.as_ref())?;
    let mut options = global.library();
    let place = options.location()?;
    if args.dry_run {
        let Location::Database(url) = &place else {
            return Err(Error::invalid(
                "dry-run",
                "goes with a database; a file is brought up to date when opened",
            )
            .into());
        };
        let sql = PostgresStore::pending_migrations(url).await?;
        if global.json {
            return output::json(&json!({"library": place.to_string(), "sql": sql}));
        }
        return output::bytes(sql.as_bytes());
    }
    // Opening brings the schema up to date.
    options.create = true;
    open(&options).await?;
    build_indexes(global).await?;
    if global.json {
        return output::json(&json!({"library": place.to_string(), "migrated": true}));
    }
    output::line(format!("{place} is up to date"))
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
