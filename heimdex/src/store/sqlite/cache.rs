//! Codes in memory, kept in step with the file whoever writes it.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use sqlx::{Connection, Row, SqliteConnection, SqliteExecutor};

use super::codes::Codes;
use super::{failed, library_bytes, video_bytes, video_id};
use crate::{Error, LibraryId, Result, VideoId};

/// The codes of every space that was searched: `dim` + 44 bytes a vector.
#[derive(Debug, Default)]
pub(super) struct CodeCache {
    spaces: Mutex<HashMap<(LibraryId, String), Arc<SpaceCodes>>>,
}

/// All codes of a space, as of a change.
#[derive(Debug, Clone)]
pub(super) struct SpaceCodes {
    pub(super) dim: usize,
    space_id: i64,
    change: i64,
    pub(super) videos: BTreeMap<VideoId, Arc<Codes>>,
}

impl SpaceCodes {
    pub(super) fn rows(&self) -> usize {
        self.videos.values().map(|codes| codes.rows.len()).sum()
    }
}

impl CodeCache {
    /// The codes of a space as they are now. Only videos that changed are read.
    pub(super) async fn current(
        &self,
        reader: &mut SqliteConnection,
        library: LibraryId,
        space: &str,
    ) -> Result<Arc<SpaceCodes>> {
        let failed = failed("reading vectors");
        let name = (library, space.to_owned());
        let known = self.spaces.lock().unwrap_or_else(PoisonError::into_inner).get(&name).cloned();
        let now = Now::read(&mut *reader, library, space).await?;
        if let Some(known) = known.as_ref().filter(|known| now.is_of(known)) {
            return Ok(Arc::clone(known));
        }
        let mut tx = reader.begin().await.map_err(&failed)?;
        let Now { space_id, dim, oldest, change } = Now::read(&mut *tx, library, space).await?;
        let known = known.filter(|known| known.space_id == space_id);
        let mut fresh = match known.filter(|known| known.change + 1 >= oldest && known.change <= change) {
            Some(known) => {
                let mut fresh = SpaceCodes::clone(&known);
                let changed: Vec<Vec<u8>> = sqlx::query_scalar(
                    "SELECT DISTINCT video_id FROM changes WHERE library_id = ? AND change_id > ?",
                )
                .bind(library_bytes(library))
                .bind(known.change)
                .fetch_all(&mut *tx)
                .await
                .map_err(&failed)?;
                for id in changed {
                    let id = video_id(&id)?;
                    let codes: Option<Vec<u8>> = sqlx::query_scalar(
                        "SELECT codes FROM codes WHERE library_id = ? AND space_id = ? AND video_id = ?",
                    )
                    .bind(library_bytes(library))
                    .bind(fresh.space_id)
                    .bind(video_bytes(id))
                    .fetch_optional(&mut *tx)
                    .await
                    .map_err(&failed)?;
                    match codes {
                        Some(codes) => fresh.videos.insert(id, Arc::new(decode(&codes, fresh.dim)?)),
                        None => fresh.videos.remove(&id),
                    };
                }
                fresh
            }
            None => read_all(&mut tx, library, space_id, dim).await?,
        };
        fresh.change = change;
        let fresh = Arc::new(fresh);
        self.spaces.lock().unwrap_or_else(PoisonError::into_inner).insert(name, Arc::clone(&fresh));
        Ok(fresh)
    }
}

/// A space that is searched, and how far its library's changes are.
struct Now {
    space_id: i64,
    dim: usize,
    /// The first change that is still recorded.
    oldest: i64,
    change: i64,
}

impl Now {
    async fn read(from: impl SqliteExecutor<'_>, library: LibraryId, space: &str) -> Result<Self> {
        let found: Option<(i64, i64, i64, i64)> = sqlx::query_as(
            "SELECT space_id, dim, (SELECT coalesce(min(change_id), 0) FROM changes),
                    (SELECT coalesce(max(change_id), 0) FROM changes)
             FROM spaces WHERE library_id = ? AND space = ? AND active",
        )
        .bind(library_bytes(library))
        .bind(space)
        .fetch_optional(from)
        .await
        .map_err(failed("reading vectors"))?;
        let Some((space_id, dim, oldest, change)) = found else {
            return Err(Error::Space(format!("this library holds no vectors of {space}")));
        };
        let dim = usize::try_from(dim).map_err(|e| Error::store("the size of a space", e))?;
        Ok(Self { space_id, dim, oldest, change })
    }

    fn is_of(&self, codes: &SpaceCodes) -> bool {
        codes.space_id == self.space_id && codes.change == self.change
    }
}

async fn read_all(
    tx: &mut SqliteConnection,
    library: LibraryId,
    space_id: i64,
    dim: usize,
) -> Result<SpaceCodes> {
    let failed = failed("reading vectors");
    let rows = sqlx::query("SELECT video_id, codes FROM codes WHERE library_id = ? AND space_id = ?")
        .bind(library_bytes(library))
        .bind(space_id)
        .fetch_all(&mut *tx)
        .await
        .map_err(&failed)?;
    let mut videos = BTreeMap::new();
    for row in rows {
        let id: &[u8] = row.try_get(0).map_err(&failed)?;
        let codes: &[u8] = row.try_get(1).map_err(&failed)?;
        videos.insert(video_id(id)?, Arc::new(decode(codes, dim)?));
    }
    Ok(SpaceCodes { dim, space_id, change: 0, videos })
}

fn decode(bytes: &[u8], dim: usize) -> Result<Codes> {
    Codes::from_bytes(bytes, dim)
        .ok_or_else(|| Error::store("codes in the index cannot be read", "not whole rows"))
}
