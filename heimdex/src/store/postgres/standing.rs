//! How videos stand: what a page that shows them needs, in one look.

use std::collections::HashMap;

use sqlx::Row;
use uuid::Uuid;

use super::jobs::{Job, job};
use super::read::{VIDEO_COLUMNS, record, snapshot, stage};
use super::{PostgresStore, failed};
use crate::store::{StageRecord, VideoRecord};
use crate::{LibraryId, Result, VideoId};

/// A video, the stages of its last run, and its last job.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Standing {
    /// The video.
    pub video: VideoRecord,
    /// Whether an index of it can be searched, whatever became of a later attempt.
    pub searchable: bool,
    /// In order of the stages.
    pub stages: Vec<StageRecord>,
    /// The newest; `None` when nothing was ever queued.
    pub job: Option<Job>,
}

impl PostgresStore {
    /// How these videos stand, as of one moment, in the order given; those that the library does not
    /// list are left out.
    ///
    /// # Errors
    /// [`ErrorKind::Store`](crate::ErrorKind::Store).
    pub async fn standing(&self, library: LibraryId, videos: &[VideoId]) -> Result<Vec<Standing>> {
        let failed = failed("reading how videos stand");
        let ids: Vec<Uuid> = videos.iter().map(|video| video.0).collect();
        let mut tx = snapshot(&self.pool).await.map_err(&failed)?;
        let sql = format!(
            "SELECT {VIDEO_COLUMNS}, searchable FROM videos WHERE library_id = $1 AND video_id = ANY($2)"
        );
        let rows = sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(library.0)
            .bind(&ids)
            .fetch_all(&mut *tx)
            .await
            .map_err(&failed)?;
        let mut found = HashMap::new();
        for row in &rows {
            let (video, searchable) = (record(row)?, row.try_get("searchable").map_err(&failed)?);
            found.insert(video.id.0, Standing { video, searchable, stages: Vec::new(), job: None });
        }
        let rows = sqlx::query(
            "SELECT video_id, stage, state, started_us, ended_us, reused, error_kind, error FROM stages
             WHERE library_id = $1 AND video_id = ANY($2) ORDER BY position",
        )
        .bind(library.0)
        .bind(&ids)
        .fetch_all(&mut *tx)
        .await
        .map_err(&failed)?;
        for row in &rows {
            let id: Uuid = row.try_get("video_id").map_err(&failed)?;
            if let Some(standing) = found.get_mut(&id) {
                standing.stages.push(stage(row)?);
            }
        }
        let rows = sqlx::query(
            "SELECT DISTINCT ON (video_id) * FROM jobs WHERE library_id = $1 AND video_id = ANY($2)
             ORDER BY video_id, job_id DESC",
        )
        .bind(library.0)
        .bind(&ids)
        .fetch_all(&mut *tx)
        .await
        .map_err(&failed)?;
        for row in &rows {
            let job = job(row)?;
            if let Some(standing) = found.get_mut(&job.video.0) {
                standing.job = Some(job);
            }
        }
        Ok(ids.iter().filter_map(|id| found.remove(id)).collect())
    }
}
