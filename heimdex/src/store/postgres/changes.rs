//! What changes, as the database tells it: progress in one process, shown by another.

use sqlx::postgres::PgListener;

use super::{PostgresStore, failed};
use crate::{LibraryId, Result, VideoId};

/// The channel of the triggers.
const CHANNEL: &str = "heimdex";

/// A video whose state, title, stages or job changed, or that is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Change {
    /// Its library.
    pub library: LibraryId,
    /// The video.
    pub video: VideoId,
}

/// Hears of every change in all libraries of a database. Holds one of the store's connections: the store
/// is closed only after this is dropped.
#[derive(Debug)]
pub struct Changes {
    listener: PgListener,
}

impl PostgresStore {
    /// Begins to listen: what is committed from now on is heard. How a video then stands is read by
    /// [`standing`](Self::standing).
    ///
    /// # Errors
    /// [`ErrorKind::Store`](crate::ErrorKind::Store).
    pub async fn changes(&self) -> Result<Changes> {
        let failed = failed("listening for changes");
        let mut listener = PgListener::connect_with(&self.pool).await.map_err(&failed)?;
        listener.listen(CHANNEL).await.map_err(&failed)?;
        Ok(Changes { listener })
    }
}

impl Changes {
    /// Waits for the next change. `None` when the connection was lost and is there again: anything may
    /// have changed meanwhile.
    ///
    /// # Errors
    /// [`ErrorKind::Store`](crate::ErrorKind::Store) while the database is away; ask again later.
    pub async fn next(&mut self) -> Result<Option<Change>> {
        loop {
            let heard = self.listener.try_recv().await.map_err(failed("listening for changes"))?;
            let Some(heard) = heard else { return Ok(None) };
            let ids = heard.payload().split_once(' ');
            let ids = ids.and_then(|(library, video)| Some((library.parse().ok()?, video.parse().ok()?)));
            // Others may speak on the same channel.
            if let Some((library, video)) = ids {
                return Ok(Some(Change { library: LibraryId(library), video: VideoId(video) }));
            }
        }
    }
}
