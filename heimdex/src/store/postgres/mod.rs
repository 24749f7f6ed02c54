//! The store of a team: Postgres with pgvector.

mod changes;
mod filter;
#[cfg(feature = "media")]
mod holds;
mod indexes;
mod jobs;
mod read;
mod schema;
mod staged;
mod standing;
mod tags;
mod vectors;
mod words;
mod write;

#[cfg(test)]
mod tests;

pub use changes::{Change, Changes};
#[cfg(feature = "media")]
pub(crate) use holds::{Ended, Heard, Held, Recorded};
pub use jobs::{IndexTask, Job, JobState};
pub use standing::Standing;

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use async_trait::async_trait;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{ConnectOptions, Connection, PgPool};

use super::{
    Filter, IndexStore, IndexedVideo, Page, SceneRecord, ScoredScene, StageRecord, TextQuery, VectorRow,
    VideoRecord,
};
use crate::embed::{EmbedSpec, Vector};
use crate::{Error, LibraryId, Result, SceneId, Stage, VideoId};

/// Connections of a store at most.
const CONNECTIONS: u32 = 10;

/// How long a database may take to answer at first.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a caller waits for one of them.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(30);

/// Keeps libraries in a Postgres database, in a schema of its own called `heimdex`. Clones share its
/// connections. Any number of processes may use one database.
///
/// Words, tags and filters give what [`SqliteStore`](super::SqliteStore) gives, scores included. So do
/// vectors where a library or a filter leaves few enough to look at each; else an HNSW index is
/// asked, which finds at least 99 of 100 of the best, and never fewer than there are.
#[derive(Clone)]
pub struct PostgresStore {
    pool: PgPool,
    address: String,
}

impl fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresStore").field("address", &self.address).finish_non_exhaustive()
    }
}

impl PostgresStore {
    /// Connects to `postgres://USER:PASSWORD@HOST:PORT/DATABASE` and brings the schema up to date.
    /// Several processes may do so at once. What libpq reads from the environment counts too.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) when the address cannot be read;
    /// [`ErrorKind::Store`](crate::ErrorKind::Store) when the database cannot be reached, lacks
    /// pgvector, or was made by a newer Heimdex. No text of an error holds the password.
    pub async fn connect(url: &str) -> Result<Self> {
        let store = Self::open(url).await?;
        schema::migrate(&store.pool, &store.address).await?;
        Ok(store)
    }

    /// The SQL that [`connect`](Self::connect) would run on this database, nothing of which is run;
    /// empty when the schema is up to date.
    ///
    /// # Errors
    /// As [`connect`](Self::connect).
    pub async fn pending_migrations(url: &str) -> Result<String> {
        let store = Self::open(url).await?;
        schema::pending(&store.pool, &store.address).await
    }

    async fn open(url: &str) -> Result<Self> {
        let options = options(url)?;
        let address = address(&options);
        let options = options
            .application_name("heimdex")
            // Estimates of parts that change much make better plans than reused ones; and compiling a
            // query takes longer than most of them run.
            .options([
                ("search_path", "heimdex,public"),
                ("plan_cache_mode", "force_custom_plan"),
                ("jit", "off"),
            ]);
        // A pool tries again for as long as it waits for a connection; an address that is wrong is said
        // to be so at once.
        let connecting = || format!("connecting to {address}");
        match tokio::time::timeout(CONNECT_TIMEOUT, options.connect()).await {
            Ok(Ok(connection)) => connection.close().await.map_err(|e| Error::store(connecting(), e))?,
            Ok(Err(error)) => return Err(Error::store(connecting(), error)),
            Err(_) => return Err(Error::store(connecting(), "it does not answer")),
        }
        let pool = PgPoolOptions::new()
            .max_connections(CONNECTIONS)
            .acquire_timeout(ACQUIRE_TIMEOUT)
            .connect_lazy_with(options);
        Ok(Self { pool, address })
    }

    /// `HOST:PORT/DATABASE` of an address, without user or password.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) when it cannot be read.
    pub fn address_of(url: &str) -> Result<String> {
        options(url).map(|options| address(&options))
    }

    /// Where it is, without user or password: `HOST:PORT/DATABASE`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Makes the vector indexes that are missing, and those whose making was interrupted, for every
    /// library that is large enough to need one; drops those of spaces that are gone. Searching and
    /// writing go on meanwhile. Returns the names of those made.
    ///
    /// Without an index a search looks at every vector: right, and slow in a large library.
    ///
    /// # Errors
    /// [`ErrorKind::Store`](crate::ErrorKind::Store).
    pub async fn build_indexes(&self) -> Result<Vec<String>> {
        indexes::build(&self.pool).await
    }

    /// Ends all connections.
    pub async fn close(&self) {
        self.pool.close().await;
    }
}

fn options(url: &str) -> Result<PgConnectOptions> {
    PgConnectOptions::from_str(url).map_err(|_| {
        // The cause may quote the address, and the address holds a password.
        let message = "the address cannot be read; write postgres://USER:PASSWORD@HOST/DATABASE";
        Error::invalid("database", message)
    })
}

fn address(options: &PgConnectOptions) -> String {
    let database = options.get_database().unwrap_or(options.get_username());
    match options.get_socket() {
        Some(socket) => format!("{}/{database}", socket.display()),
        None => format!("{}:{}/{database}", options.get_host(), options.get_port()),
    }
}

/// Names what was being done when Postgres failed.
fn failed(what: &'static str) -> impl Fn(sqlx::Error) -> Error {
    move |error| {
        let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
        match code.as_deref() {
            Some("53100") => Error::store(format!("{what}: the disk of the database is full"), error),
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

/// Text as Postgres can hold it: it has no NUL.
fn storable(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

fn scene_number(ordinal: i32) -> Result<u32> {
    u32::try_from(ordinal).map_err(|e| Error::store("a scene's number", e))
}

#[async_trait]
impl IndexStore for PostgresStore {
    async fn replace_video(&self, library: LibraryId, video: &IndexedVideo) -> Result<()> {
        super::check_video(video)?;
        write::replace(&self.pool, library, video).await
    }

    async fn set_state(&self, library: LibraryId, video: &VideoRecord) -> Result<()> {
        write::set_state(&self.pool, library, video).await
    }

    async fn delete_video(&self, library: LibraryId, video: VideoId) -> Result<Option<Vec<String>>> {
        write::delete(&self.pool, library, video).await
    }

    async fn delete_library(&self, library: LibraryId) -> Result<()> {
        write::delete_library(&self.pool, library).await
    }

    async fn leftovers(&self, library: LibraryId, video: Option<VideoId>) -> Result<Vec<String>> {
        read::leftovers(&self.pool, library, video).await
    }

    async fn forget_leftovers(&self, library: LibraryId, files: &[String]) -> Result<()> {
        write::forget_leftovers(&self.pool, library, files).await
    }

    async fn video(&self, library: LibraryId, video: VideoId) -> Result<Option<VideoRecord>> {
        read::video(&self.pool, library, video).await
    }

    async fn videos(&self, library: LibraryId, page: Page) -> Result<(Vec<VideoRecord>, u64)> {
        read::videos(&self.pool, library, page).await
    }

    async fn indexed_video(&self, library: LibraryId, video: VideoId) -> Result<Option<IndexedVideo>> {
        read::indexed_video(&self.pool, library, video).await
    }

    async fn search_text(
        &self,
        library: LibraryId,
        channel: &str,
        query: &TextQuery,
        filter: &Filter,
        limit: usize,
    ) -> Result<Vec<ScoredScene>> {
        words::search(&self.pool, library, channel, query, filter, limit).await
    }

    async fn search_vectors(
        &self,
        library: LibraryId,
        space: &str,
        query: &Vector,
        filter: &Filter,
        limit: usize,
    ) -> Result<Vec<ScoredScene>> {
        vectors::search(&self.pool, library, space, query, filter, limit).await
    }

    async fn search_tags(
        &self,
        library: LibraryId,
        tags: &[String],
        filter: &Filter,
        limit: usize,
    ) -> Result<Vec<ScoredScene>> {
        tags::search(&self.pool, library, tags, filter, limit).await
    }

    async fn scenes(&self, library: LibraryId, ids: &[SceneId]) -> Result<Vec<SceneRecord>> {
        read::scenes(&self.pool, library, ids).await
    }

    async fn scene_vectors(&self, library: LibraryId, scene: SceneId) -> Result<Vec<VectorRow>> {
        read::scene_vectors(&self.pool, library, scene).await
    }

    async fn spaces(&self, library: LibraryId) -> Result<Vec<EmbedSpec>> {
        read::spaces(&self.pool, library).await
    }

    async fn stage_video(&self, library: LibraryId, video: &IndexedVideo) -> Result<()> {
        staged::stage(&self.pool, library, video).await
    }

    async fn staged_settings(
        &self,
        library: LibraryId,
        video: VideoId,
    ) -> Result<Option<BTreeMap<String, String>>> {
        staged::settings(&self.pool, library, video).await
    }

    async fn switch_staged(&self, library: LibraryId) -> Result<u64> {
        staged::switch(&self.pool, library).await
    }

    async fn save_checkpoint(
        &self,
        library: LibraryId,
        video: VideoId,
        stage: Stage,
        key: &str,
        output: &[u8],
    ) -> Result<()> {
        write::save_checkpoint(&self.pool, library, video, stage, key, output).await
    }

    async fn checkpoint(
        &self,
        library: LibraryId,
        video: VideoId,
        stage: Stage,
        key: &str,
    ) -> Result<Option<Vec<u8>>> {
        read::checkpoint(&self.pool, library, video, stage, key).await
    }

    async fn record_stage(&self, library: LibraryId, video: VideoId, record: &StageRecord) -> Result<()> {
        write::record_stage(&self.pool, library, video, record).await
    }

    async fn stages(&self, library: LibraryId, video: VideoId) -> Result<Vec<StageRecord>> {
        read::stages(&self.pool, library, video).await
    }
}
