//! The library on disk, and the commands that only read it or take from it.

use std::path::PathBuf;

use heimdex::index::Pipeline;
use heimdex::store::{Page, PostgresStore, SqliteStore, StageState, VideoRecord, VideoState, sidecar};
use heimdex::{Error, Heimdex, Result, Timestamp};
use serde_json::json;

use crate::args::{Global, Library, MigrateArgs};
use crate::output::{self, Outcome, Style, safe};

/// Where the library is: in a folder, or in a database with a folder for its files.
pub(crate) struct Place {
    pub(crate) folder: PathBuf,
    database: Option<String>,
}

impl Place {
    /// As given, else in the user's data folder.
    pub(crate) fn of(global: &Global) -> Result<Self> {
        let data = || {
            heimdex::models::data_folder().ok_or_else(|| {
                let message = "there is no home folder; say where with --library or HEIMDEX_LIBRARY";
                Error::invalid("library", message)
            })
        };
        Ok(match &global.library {
            Some(Library::Folder(folder)) => Self { folder: folder.clone(), database: None },
            Some(Library::Database(url)) => {
                let address = PostgresStore::address_of(url)?;
                let name: String =
                    address.chars().map(|c| if c.is_alphanumeric() || c == '.' { c } else { '-' }).collect();
                let folder = match &global.data {
                    Some(folder) => folder.clone(),
                    None => data()?.join("databases").join(name.trim_matches('-')),
                };
                Self { folder, database: Some(url.clone()) }
            }
            None => Self { folder: data()?.join("library"), database: None },
        })
    }

    /// The same with another database, where one is given.
    pub(crate) fn with_database(global: &Global, url: Option<&Library>) -> Result<Self> {
        match url {
            None => Self::of(global),
            Some(Library::Database(_)) => {
                let library = url.cloned();
                Self::of(&Global { library, ..global.clone() })
            }
            Some(Library::Folder(_)) => {
                let message = "write postgres://USER:PASSWORD@HOST/DATABASE";
                Err(Error::invalid("database-url", message))
            }
        }
    }

    pub(crate) fn thumbnails(&self) -> PathBuf {
        self.folder.join("thumbnails")
    }

    fn file(&self) -> PathBuf {
        self.folder.join("library.db")
    }

    /// For people; no secret is in it.
    pub(crate) fn shown(&self) -> String {
        match self.database.as_deref().map(PostgresStore::address_of) {
            Some(Ok(address)) => address,
            _ => self.folder.display().to_string(),
        }
    }

    /// The database, where that is where the library is.
    pub(crate) async fn database(&self, what: &'static str) -> Result<PostgresStore> {
        match &self.database {
            Some(url) => PostgresStore::connect(url).await,
            None => {
                let message =
                    "goes with a database; name one with --library postgres://USER:PASSWORD@HOST/DATABASE";
                Err(Error::invalid(what, message))
            }
        }
    }

    /// Opens a library that is there.
    pub(crate) async fn open(&self, pipeline: Pipeline) -> Result<Heimdex> {
        if self.database.is_none() && !self.file().is_file() {
            let name = format!("{}; make one with: heimdex index VIDEO", self.folder.display());
            return Err(Error::not_found("library", name));
        }
        self.open_or_make(pipeline).await
    }

    /// Opens the library, made when it is not there.
    pub(crate) async fn open_or_make(&self, pipeline: Pipeline) -> Result<Heimdex> {
        let builder = Heimdex::builder().pipeline(pipeline);
        if let Some(url) = &self.database {
            return builder.store(PostgresStore::connect(url).await?).build();
        }
        std::fs::create_dir_all(&self.folder).map_err(|e| Error::io(&self.folder, e))?;
        builder.store(SqliteStore::open(self.file()).await?).build()
    }

    /// Makes the indexes that a large database lacks.
    pub(crate) async fn build_indexes(&self, global: &Global) -> Result<()> {
        let Some(url) = &self.database else { return Ok(()) };
        let made = PostgresStore::connect(url).await?.build_indexes().await?;
        if !made.is_empty() && !global.quiet && !global.json {
            output::note(format!("made {}", count(made.len(), "vector index").replace("indexs", "indexes")));
        }
        Ok(())
    }
}

/// Opens a library that is there.
pub(crate) async fn open(global: &Global, pipeline: Pipeline) -> Result<Heimdex> {
    Place::of(global)?.open(pipeline).await
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
        let place = Place::of(global)?;
        output::note(format!("{} in {}", count(videos.len(), "video"), safe(&place.shown())));
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
    let place = Place::of(global)?;
    let pipeline = Pipeline::builder().thumbnails(place.thumbnails()).build()?;
    let library = place.open(pipeline).await?;
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
    let place = Place::with_database(global, args.database_url.as_ref())?;
    if args.dry_run {
        let Some(url) = &place.database else {
            return Err(Error::invalid(
                "dry-run",
                "goes with a database; a file is brought up to date when opened",
            )
            .into());
        };
        let sql = PostgresStore::pending_migrations(url).await?;
        if global.json {
            return output::json(&json!({"library": place.shown(), "sql": sql}));
        }
        return output::bytes(sql.as_bytes());
    }
    // Opening brings the schema up to date.
    place.open_or_make(Pipeline::builder().build()?).await?;
    place.build_indexes(global).await?;
    if global.json {
        return output::json(&json!({"library": place.shown(), "migrated": true}));
    }
    output::line(format!("{} is up to date", place.shown()))
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
