//! The embedded store: one SQLite file, no server.

mod cache;
mod codes;
mod filter;
mod read;
mod schema;
mod staged;
mod tags;
mod vectors;
mod words;
mod write;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use deadpool::managed;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{Connection, SqliteConnection, SqlitePool};

use super::{
    Filter, IndexStore, IndexedVideo, Page, SceneRecord, ScoredScene, StageRecord, TextQuery, VectorRow,
    VideoRecord,
};
use crate::embed::{EmbedSpec, Vector};
use crate::{Error, LibraryId, Result, SceneId, Stage, VideoId};
use cache::CodeCache;

/// Readers at once. A writer never waits for them, nor they for it.
const READERS: usize = 4;

/// How long a writer waits for another process's.
const BUSY_TIMEOUT: Duration = Duration::from_secs(30);

/// Keeps libraries in one SQLite file, with its write-ahead log beside it. Clones share it.
#[derive(Debug, Clone)]
pub struct SqliteStore {
    writer: SqlitePool,
    readers: managed::Pool<Readers>,
    codes: Arc<CodeCache>,
}

impl SqliteStore {
    /// Opens a file, makes it where there is none, and brings its schema up to date. Several
    /// processes may do so at once.
    ///
    /// # Errors
    /// [`ErrorKind::Store`](crate::ErrorKind::Store) when the folder is missing, the file is no
    /// SQLite database, another program's database, or a newer Heimdex made it.
    pub async fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        schema::refuse_foreign(path).await?;
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Normal)
            .foreign_keys(true)
            .busy_timeout(BUSY_TIMEOUT)
            .pragma("cache_size", "-32768")
            .pragma("mmap_size", "1073741824")
            .optimize_on_close(true, None);
        let writer = connect(&options, path).await?;
        schema::migrate(&writer, path).await?;
        let readers = managed::Pool::builder(Readers(options)).max_size(READERS).build();
        let readers = readers.map_err(|e| Error::store(format!("opening {}", path.display()), e))?;
        Ok(Self { writer, readers, codes: Arc::default() })
    }

    async fn reader(&self) -> Result<managed::Object<Readers>> {
        self.readers.get().await.map_err(|e| Error::store("opening the index to read", e))
    }

    /// Ends all connections. What was committed is on disk in any case.
    pub async fn close(&self) {
        let idle = self.readers.retain(|_, _| false).removed;
        self.readers.close();
        for reader in idle {
            if let Err(error) = reader.close().await {
                tracing::warn!(%error, "a reader of the index was not closed in order");
            }
        }
        self.writer.close().await;
    }
}

/// Opens readers as they are needed.
///
/// They do not wait in a pool of sqlx's, which asks each connection whether it still works when it is given
/// back, on another thread: that was half of the switches between threads in a search.
#[derive(Debug)]
struct Readers(SqliteConnectOptions);

impl managed::Manager for Readers {
    type Type = SqliteConnection;
    type Error = sqlx::Error;

    async fn create(&self) -> std::result::Result<SqliteConnection, sqlx::Error> {
        SqliteConnection::connect_with(&self.0).await
    }

    /// A transaction that was left open is rolled back before the next query, and a file does not go away.
    async fn recycle(
        &self,
        _: &mut SqliteConnection,
        _: &managed::Metrics,
    ) -> managed::RecycleResult<sqlx::Error> {
        Ok(())
    }
}

/// Opens the writer. Switching a new file to its write-ahead log does not wait for another process that does
/// the same, so it is tried again.
async fn connect(options: &SqliteConnectOptions, path: &Path) -> Result<SqlitePool> {
    let begun = Instant::now();
    loop {
        match SqlitePoolOptions::new().max_connections(1).connect_with(options.clone()).await {
            Ok(pool) => return Ok(pool),
            Err(sqlx::Error::Database(error)) if is_busy(&*error) && begun.elapsed() < BUSY_TIMEOUT => {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            Err(error) => return Err(Error::store(format!("opening {}", path.display()), error)),
        }
    }
}

/// `SQLITE_BUSY` and its kin.
fn is_busy(error: &dyn sqlx::error::DatabaseError) -> bool {
    error.code().and_then(|code| code.parse::<i32>().ok()).is_some_and(|code| code & 0xff == 5)
}

/// Names what was being done when SQLite failed.
fn failed(what: &'static str) -> impl Fn(sqlx::Error) -> Error {
    move |error| {
        let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
        // SQLITE_FULL
        match code.as_deref() {
            Some("13") => Error::store(format!("{what}: the disk is full"), error),
            _ => Error::store(what, error),
        }
    }
}

/// A row that our own code wrote and can no longer read.
fn unreadable(what: &'static str) -> impl Fn(serde_json::Error) -> Error {
    move |error| Error::store(format!("{what} in the index cannot be read"), error)
}

fn json(value: &impl serde::Serialize) -> Result<String> {
    serde_json::to_string(value).map_err(|e| Error::store("writing JSON", e))
}

fn library_bytes(library: LibraryId) -> Vec<u8> {
    library.0.as_bytes().to_vec()
}

fn video_bytes(video: VideoId) -> Vec<u8> {
    video.0.as_bytes().to_vec()
}

fn video_id(bytes: &[u8]) -> Result<VideoId> {
    uuid::Uuid::from_slice(bytes).map(VideoId).map_err(|e| Error::store("a video id in the index", e))
}

fn scene_id(video: &[u8], ordinal: i64) -> Result<SceneId> {
    let ordinal = u32::try_from(ordinal).map_err(|e| Error::store("a scene's number", e))?;
    Ok(SceneId { video: video_id(video)?, ordinal })
}

#[async_trait]
impl IndexStore for SqliteStore {
    async fn replace_video(&self, library: LibraryId, video: &IndexedVideo) -> Result<()> {
        super::check_video(video)?;
        write::replace(&self.writer, library, video).await
    }

    async fn set_state(&self, library: LibraryId, video: &VideoRecord) -> Result<()> {
        write::set_state(&self.writer, library, video).await
    }

    async fn delete_video(&self, library: LibraryId, video: VideoId) -> Result<Option<Vec<String>>> {
        write::delete(&self.writer, library, video).await
    }

    async fn delete_library(&self, library: LibraryId) -> Result<()> {
        write::delete_library(&self.writer, library).await
    }

    async fn leftovers(&self, library: LibraryId, video: Option<VideoId>) -> Result<Vec<String>> {
        read::leftovers(&mut *self.reader().await?, library, video).await
    }

    async fn forget_leftovers(&self, library: LibraryId, files: &[String]) -> Result<()> {
        write::forget_leftovers(&self.writer, library, files).await
    }

    async fn video(&self, library: LibraryId, video: VideoId) -> Result<Option<VideoRecord>> {
        read::video(&mut *self.reader().await?, library, video).await
    }

    async fn videos(&self, library: LibraryId, page: Page) -> Result<(Vec<VideoRecord>, u64)> {
        read::videos(&mut *self.reader().await?, library, page).await
    }

    async fn indexed_video(&self, library: LibraryId, video: VideoId) -> Result<Option<IndexedVideo>> {
        read::indexed_video(&mut *self.reader().await?, library, video).await
    }

    async fn search_text(
        &self,
        library: LibraryId,
        channel: &str,
        query: &TextQuery,
        filter: &Filter,
        limit: usize,
    ) -> Result<Vec<ScoredScene>> {
        words::search(&mut *self.reader().await?, library, channel, query, filter, limit).await
    }

    async fn search_vectors(
        &self,
        library: LibraryId,
        space: &str,
        query: &Vector,
        filter: &Filter,
        limit: usize,
    ) -> Result<Vec<ScoredScene>> {
        vectors::search(&mut *self.reader().await?, &self.codes, library, space, query, filter, limit).await
    }

    async fn search_tags(
        &self,
        library: LibraryId,
        tags: &[String],
        filter: &Filter,
        limit: usize,
    ) -> Result<Vec<ScoredScene>> {
        tags::search(&mut *self.reader().await?, library, tags, filter, limit).await
    }

    async fn scenes(&self, library: LibraryId, ids: &[SceneId]) -> Result<Vec<SceneRecord>> {
        read::scenes(&mut *self.reader().await?, library, ids).await
    }

    async fn scene_vectors(&self, library: LibraryId, scene: SceneId) -> Result<Vec<VectorRow>> {
        read::scene_vectors(&mut *self.reader().await?, library, scene).await
    }

    async fn stage_video(&self, library: LibraryId, video: &IndexedVideo) -> Result<()> {
        staged::stage(&self.writer, library, video).await
    }

    async fn staged_settings(
        &self,
        library: LibraryId,
        video: VideoId,
    ) -> Result<Option<BTreeMap<String, String>>> {
        staged::settings(&mut *self.reader().await?, library, video).await
    }

    async fn switch_staged(&self, library: LibraryId) -> Result<u64> {
        staged::switch(&self.writer, library).await
    }

    async fn spaces(&self, library: LibraryId) -> Result<Vec<EmbedSpec>> {
        read::spaces(&mut *self.reader().await?, library).await
    }

    async fn save_checkpoint(
        &self,
        library: LibraryId,
        video: VideoId,
        stage: Stage,
        key: &str,
        output: &[u8],
    ) -> Result<()> {
        write::save_checkpoint(&self.writer, library, video, stage, key, output).await
    }

    async fn checkpoint(
        &self,
        library: LibraryId,
        video: VideoId,
        stage: Stage,
        key: &str,
    ) -> Result<Option<Vec<u8>>> {
        read::checkpoint(&mut *self.reader().await?, library, video, stage, key).await
    }

    async fn record_stage(&self, library: LibraryId, video: VideoId, record: &StageRecord) -> Result<()> {
        write::record_stage(&self.writer, library, video, record).await
    }

    async fn stages(&self, library: LibraryId, video: VideoId) -> Result<Vec<StageRecord>> {
        read::stages(&mut *self.reader().await?, library, video).await
    }
}
