//! A durable queue of videos to index.
//!
//! A job is written in the transaction that lists its video, and taken by one worker at a time, who
//! holds it for as long as it says so. A worker that falls silent loses it to another. Whoever lost a
//! job cannot end it: each hold has a number of its own.

use serde::{Deserialize, Serialize};
use sqlx::Row;
use sqlx::postgres::PgRow;
use uuid::Uuid;

use super::write::{Turn, Tx, set_state_in, take_turn};
use super::{PostgresStore, failed, json, unreadable};
use crate::store::parts::variant_name;
use crate::store::{VideoRecord, VideoState};
use crate::{ErrorKind, LibraryId, Progress, Result, VideoId};

/// Jobs that are listed at most.
const LISTED: i64 = 1000;

/// What a job asks for.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct IndexTask {
    /// The file, as in [`VideoRecord::source`].
    pub source: String,
    /// The title people see; the file's name when not given.
    pub title: Option<String>,
    /// Free text that is searched with the title.
    pub description: Option<String>,
    /// A subtitle file to use in place of those beside or inside the video, written as the source is.
    pub subtitles: Option<String>,
    /// Does all stages again, even where the index is up to date.
    pub force: bool,
}

/// How a job stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum JobState {
    /// It waits, for its turn or for its next attempt.
    Queued,
    /// A worker holds it.
    Running,
    /// Its video is indexed.
    Done,
    /// It failed too often, or in a way that no attempt can mend. It stays until somebody looks at it.
    Dead,
    /// Somebody ended it.
    Cancelled,
}

/// A job of the queue.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Job {
    /// Its number.
    pub id: i64,
    /// The video that it is about.
    pub video: VideoId,
    /// What it asks for.
    pub task: IndexTask,
    /// How it stands.
    pub state: JobState,
    /// How often it failed.
    pub failures: u32,
    /// How often the worker that held it fell silent.
    pub losses: u32,
    /// Who holds it, or held it last.
    pub worker: Option<String>,
    /// Kind of the last failure.
    pub error_kind: Option<ErrorKind>,
    /// Text of the last failure.
    pub error: Option<String>,
    /// How far it is, told twice a second; `None` until a worker has begun.
    pub progress: Option<Progress>,
}

impl PostgresStore {
    /// Lists a video and asks for its index, in one transaction: there is no video without a job, and no
    /// job without its video. A video that waits already does not wait twice; one that is in work is
    /// done once more afterwards. Gives the number of the job.
    ///
    /// # Errors
    /// [`ErrorKind::Store`].
    pub async fn enqueue(&self, library: LibraryId, video: &VideoRecord, task: &IndexTask) -> Result<i64> {
        let mut tx = self.begin().await?;
        let job = Self::enqueue_in(&mut tx, library, video, task).await?;
        tx.commit().await.map_err(failed("queueing a video"))?;
        Ok(job)
    }

    /// A transaction of this database, for rows of your own that have to be written together with a
    /// job. Names without a schema mean the tables of Heimdex in it; yours need theirs.
    ///
    /// # Errors
    /// [`ErrorKind::Store`].
    pub async fn begin(&self) -> Result<sqlx::Transaction<'static, sqlx::Postgres>> {
        self.pool.begin().await.map_err(failed("beginning a transaction"))
    }

    /// As [`enqueue`](Self::enqueue), as a part of a transaction that [`begin`](Self::begin) gave. Other
    /// writers of the video wait until it ends.
    ///
    /// # Errors
    /// [`ErrorKind::Store`]; the transaction is good for nothing then.
    pub async fn enqueue_in(
        tx: &mut Tx<'_>,
        library: LibraryId,
        video: &VideoRecord,
        task: &IndexTask,
    ) -> Result<i64> {
        let failed = failed("queueing a video");
        take_turn(tx, library, video.id, Turn::OfVideo).await?;
        // An index that is there stays what it is until there is a new one.
        let indexed: Option<bool> = sqlx::query_scalar(
            "SELECT state = 'indexed' AND searchable FROM videos WHERE library_id = $1 AND video_id = $2",
        )
        .bind(library.0)
        .bind(video.id.0)
        .fetch_optional(&mut **tx)
        .await
        .map_err(&failed)?;
        if indexed != Some(true) {
            set_state_in(tx, library, video).await?;
        }
        sqlx::query_scalar(
            "INSERT INTO jobs (library_id, video_id, task) VALUES ($1, $2, $3)
             ON CONFLICT (library_id, video_id) WHERE state IN ('queued', 'running')
             DO UPDATE SET task = CASE WHEN jobs.state = 'queued' THEN excluded.task ELSE jobs.task END,
                 next_task = CASE WHEN jobs.state = 'running' THEN excluded.task END
             RETURNING job_id",
        )
        .bind(library.0)
        .bind(video.id.0)
        .bind(json(task)?)
        .fetch_one(&mut **tx)
        .await
        .map_err(&failed)
    }

    /// The jobs of a library, the newest first, at most 1000; those in one state where it is given.
    ///
    /// # Errors
    /// [`ErrorKind::Store`].
    pub async fn jobs(&self, library: LibraryId, state: Option<JobState>) -> Result<Vec<Job>> {
        let rows = sqlx::query(
            "SELECT * FROM jobs WHERE library_id = $1 AND ($2 IS NULL OR state = $2) ORDER BY job_id DESC LIMIT $3",
        )
        .bind(library.0)
        .bind(state.as_ref().map(variant_name).transpose()?)
        .bind(LISTED)
        .fetch_all(&self.pool)
        .await
        .map_err(failed("reading jobs"))?;
        rows.iter().map(job).collect()
    }

    /// Ends a job: one that waits at once, one that runs as soon as its worker hears of it. False when
    /// it has ended or is unknown.
    ///
    /// # Errors
    /// [`ErrorKind::Store`].
    pub async fn cancel_job(&self, library: LibraryId, job: i64) -> Result<bool> {
        let failed = failed("cancelling a job");
        let mut tx = self.pool.begin().await.map_err(&failed)?;
        let video: Option<Uuid> =
            sqlx::query_scalar("SELECT video_id FROM jobs WHERE library_id = $1 AND job_id = $2")
                .bind(library.0)
                .bind(job)
                .fetch_optional(&mut *tx)
                .await
                .map_err(&failed)?;
        let Some(video) = video.map(VideoId) else { return Ok(false) };
        // Before the row of the job, as everybody who changes both.
        take_turn(&mut tx, library, video, Turn::OfVideo).await?;
        let state: Option<String> = sqlx::query_scalar(
            "UPDATE jobs SET cancelled = true, next_task = NULL,
                 state = CASE WHEN state = 'queued' THEN 'cancelled' ELSE state END,
                 ended_at = CASE WHEN state = 'queued' THEN now() END
             WHERE library_id = $1 AND job_id = $2 AND state IN ('queued', 'running') RETURNING state",
        )
        .bind(library.0)
        .bind(job)
        .fetch_optional(&mut *tx)
        .await
        .map_err(&failed)?;
        if state.as_deref() == Some("cancelled") {
            mark_video(&mut tx, library, video, "cancelled before it began", true).await?;
        }
        tx.commit().await.map_err(&failed)?;
        Ok(state.is_some())
    }

    /// Puts a dead or cancelled job into the queue again, as if it had never failed. False when it is
    /// neither, or its video was asked for anew.
    ///
    /// # Errors
    /// [`ErrorKind::Store`].
    pub async fn retry_job(&self, library: LibraryId, job: i64) -> Result<bool> {
        sqlx::query(
            "UPDATE jobs j SET state = 'queued', cancelled = false, failures = 0, losses = 0, run_at = now(),
                 ended_at = NULL, stage = NULL, stage_fraction = NULL, fraction = NULL
             WHERE library_id = $1 AND job_id = $2 AND state IN ('dead', 'cancelled') AND NOT EXISTS
                 (SELECT 1 FROM jobs o WHERE o.library_id = j.library_id AND o.video_id = j.video_id
                  AND o.state IN ('queued', 'running'))",
        )
        .bind(library.0)
        .bind(job)
        .execute(&self.pool)
        .await
        .map(|done| done.rows_affected() > 0)
        .map_err(failed("queueing a job again"))
    }
}

/// A video whose job ended without a new index has failed; one that was only called off, and has an
/// index, is as it was.
pub(super) async fn mark_video(
    tx: &mut Tx<'_>,
    library: LibraryId,
    video: VideoId,
    why: &str,
    called_off: bool,
) -> Result<()> {
    let Some(mut record) = super::read::video_in(tx, library, video).await? else { return Ok(()) };
    let searchable: bool =
        sqlx::query_scalar("SELECT searchable FROM videos WHERE library_id = $1 AND video_id = $2")
            .bind(library.0)
            .bind(video.0)
            .fetch_one(&mut **tx)
            .await
            .map_err(failed("reading a video"))?;
    record.state = if called_off && searchable { VideoState::Indexed } else { VideoState::Failed };
    record.warnings = vec![why.to_owned()];
    set_state_in(tx, library, &record).await
}

pub(super) fn job(row: &PgRow) -> Result<Job> {
    let failed = failed("reading a job");
    let named = |name: String| serde_json::Value::from(name);
    let kind: Option<String> = row.try_get("error_kind").map_err(&failed)?;
    let count = |column| row.try_get::<i32, _>(column).map(i32::unsigned_abs).map_err(&failed);
    Ok(Job {
        id: row.try_get("job_id").map_err(&failed)?,
        video: VideoId(row.try_get("video_id").map_err(&failed)?),
        task: serde_json::from_str(row.try_get("task").map_err(&failed)?).map_err(unreadable("task"))?,
        state: serde_json::from_value(named(row.try_get("state").map_err(&failed)?))
            .map_err(unreadable("state"))?,
        failures: count("failures")?,
        losses: count("losses")?,
        worker: row.try_get("worker").map_err(&failed)?,
        error_kind: kind
            .map(|kind| serde_json::from_value(named(kind)).map_err(unreadable("error_kind")))
            .transpose()?,
        error: row.try_get("error").map_err(&failed)?,
        progress: progress(row)?,
    })
}

fn progress(row: &PgRow) -> Result<Option<Progress>> {
    let failed = failed("reading a job's progress");
    let stage: Option<String> = row.try_get("stage").map_err(&failed)?;
    let Some(stage) = stage else { return Ok(None) };
    Ok(Some(Progress {
        stage: serde_json::from_value(serde_json::Value::from(stage)).map_err(unreadable("stage"))?,
        stage_fraction: row.try_get("stage_fraction").map_err(&failed)?,
        fraction: row.try_get("fraction").map_err(&failed)?,
    }))
}
