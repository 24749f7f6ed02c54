//! A durable queue of videos to index.
//!
//! A job is written in the transaction that lists its video, and taken by one worker at a time, who
//! holds it for as long as it says so. A worker that falls silent loses it to another. Whoever lost a
//! job cannot end it: each hold has a number of its own.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use sqlx::Row;
use sqlx::postgres::PgRow;
use uuid::Uuid;

use super::write::{Turn, Tx, set_state_in, take_turn};
use super::{PostgresStore, failed, json, storable, unreadable};
use crate::store::parts::variant_name;
use crate::store::{VideoRecord, VideoState};
use crate::{Error, ErrorKind, LibraryId, Result, VideoId};

/// How often a job may fail: once, and two more times.
const MOST_FAILURES: i32 = 3;

/// How often its worker may be lost: a video that kills whoever looks at it does not go round for ever.
const MOST_LOSSES: i32 = 10;

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
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
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
}

/// A job in the hands of this process.
#[derive(Debug, Clone)]
pub(crate) struct Held {
    pub(crate) library: LibraryId,
    pub(crate) job: Job,
    hold: Uuid,
}

/// What the queue says to a worker that says it is at work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Heard {
    /// Go on.
    Kept,
    /// Somebody asked for the job's end.
    Cancelled,
    /// Another worker holds it now, or it is gone.
    Lost,
}

/// How work on a job ended.
#[derive(Debug)]
pub(crate) enum Ended<'a> {
    Done,
    Failed(&'a Error),
    /// Because somebody asked for it.
    Cancelled,
    /// The worker goes home; another may take it at once.
    Released,
}

/// What became of the record of an end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Recorded {
    Yes,
    /// Another worker holds the job.
    Lost,
    /// The job is gone: its video was deleted.
    Gone,
}

impl PostgresStore {
    /// Lists a video and asks for its index, in one transaction: there is no video without a job, and no
    /// job without its video. A video that is asked for already is not asked for twice. Gives the
    /// number of the job.
    ///
    /// # Errors
    /// [`ErrorKind::Store`].
    pub async fn enqueue(&self, library: LibraryId, video: &VideoRecord, task: &IndexTask) -> Result<i64> {
        let failed = failed("queueing a video");
        let mut tx = self.pool.begin().await.map_err(&failed)?;
        take_turn(&mut tx, library, video.id, Turn::OfVideo).await?;
        // An index that is there stays what it is until there is a new one.
        let indexed: Option<bool> = sqlx::query_scalar(
            "SELECT state = 'indexed' AND searchable FROM videos WHERE library_id = $1 AND video_id = $2",
        )
        .bind(library.0)
        .bind(video.id.0)
        .fetch_optional(&mut *tx)
        .await
        .map_err(&failed)?;
        if indexed != Some(true) {
            set_state_in(&mut tx, library, video).await?;
        }
        let job = sqlx::query_scalar(
            "INSERT INTO jobs (library_id, video_id, task) VALUES ($1, $2, $3)
             ON CONFLICT (library_id, video_id) WHERE state IN ('queued', 'running')
             DO UPDATE SET task = CASE WHEN jobs.state = 'queued' THEN excluded.task ELSE jobs.task END
             RETURNING job_id",
        )
        .bind(library.0)
        .bind(video.id.0)
        .bind(json(task)?)
        .fetch_one(&mut *tx)
        .await
        .map_err(&failed)?;
        tx.commit().await.map_err(&failed)?;
        Ok(job)
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
        let found: Option<(String, Uuid)> = sqlx::query_as(
            "UPDATE jobs SET cancelled = true,
                 state = CASE WHEN state = 'queued' THEN 'cancelled' ELSE state END,
                 ended_at = CASE WHEN state = 'queued' THEN now() END
             WHERE library_id = $1 AND job_id = $2 AND state IN ('queued', 'running') RETURNING state, video_id",
        )
        .bind(library.0)
        .bind(job)
        .fetch_optional(&mut *tx)
        .await
        .map_err(&failed)?;
        if let Some((state, video)) = &found
            && state == "cancelled"
        {
            mark_video(&mut tx, library, VideoId(*video), "cancelled before it began", true).await?;
        }
        tx.commit().await.map_err(&failed)?;
        Ok(found.is_some())
    }

    /// Puts a dead or cancelled job into the queue again, as if it had never failed. False when it is
    /// neither, or its video was asked for anew.
    ///
    /// # Errors
    /// [`ErrorKind::Store`].
    pub async fn retry_job(&self, library: LibraryId, job: i64) -> Result<bool> {
        sqlx::query(
            "UPDATE jobs j SET state = 'queued', cancelled = false, failures = 0, losses = 0, run_at = now(),
                 ended_at = NULL
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

    /// Takes the job that waits longest, or one whose worker fell silent.
    pub(crate) async fn take_job(
        &self,
        library: LibraryId,
        worker: &str,
        lease: Duration,
    ) -> Result<Option<Held>> {
        self.bury_lost(library).await?;
        let failed = failed("taking a job");
        let mut tx = self.pool.begin().await.map_err(&failed)?;
        let row = sqlx::query(
            "UPDATE jobs j SET state = 'running', worker = $2, hold = gen_random_uuid(),
                 leased_until = now() + $3 * interval '1 microsecond',
                 losses = losses + CASE WHEN state = 'running' THEN 1 ELSE 0 END
             WHERE library_id = $1 AND job_id = (SELECT job_id FROM jobs WHERE library_id = $1
                 AND (state = 'queued' AND run_at <= now() OR state = 'running' AND leased_until < now())
                 ORDER BY run_at, job_id LIMIT 1 FOR UPDATE SKIP LOCKED)
             RETURNING *",
        )
        .bind(library.0)
        .bind(storable(worker))
        .bind(micros(lease))
        .fetch_optional(&mut *tx)
        .await
        .map_err(&failed)?;
        let Some(row) = row else { return Ok(None) };
        let hold = row.try_get("hold").map_err(&failed)?;
        let job = job(&row)?;
        sqlx::query(
            "UPDATE videos SET state = 'processing' WHERE library_id = $1 AND video_id = $2 AND NOT searchable",
        )
        .bind(library.0)
        .bind(job.video.0)
        .execute(&mut *tx)
        .await
        .map_err(&failed)?;
        tx.commit().await.map_err(&failed)?;
        Ok(Some(Held { library, job, hold }))
    }

    /// Jobs that lost too many workers are dead.
    async fn bury_lost(&self, library: LibraryId) -> Result<()> {
        let failed = failed("ending lost jobs");
        let mut tx = self.pool.begin().await.map_err(&failed)?;
        let lost: Vec<Uuid> = sqlx::query_scalar(
            "UPDATE jobs SET state = 'dead', losses = losses + 1, ended_at = now(), error_kind = 'store',
                 error = 'its workers were lost too often'
             WHERE library_id = $1 AND state = 'running' AND leased_until < now() AND losses + 1 >= $2
             RETURNING video_id",
        )
        .bind(library.0)
        .bind(MOST_LOSSES)
        .fetch_all(&mut *tx)
        .await
        .map_err(&failed)?;
        for video in &lost {
            let text = "the program that indexed it was lost too often";
            mark_video(&mut tx, library, VideoId(*video), text, false).await?;
        }
        tx.commit().await.map_err(&failed)
    }

    /// Says that a job is still being worked on.
    pub(crate) async fn keep_job(&self, held: &Held, lease: Duration) -> Result<Heard> {
        let cancelled: Option<bool> = sqlx::query_scalar(
            "UPDATE jobs SET leased_until = now() + $4 * interval '1 microsecond'
             WHERE library_id = $1 AND job_id = $2 AND hold = $3 AND state = 'running' RETURNING cancelled",
        )
        .bind(held.library.0)
        .bind(held.job.id)
        .bind(held.hold)
        .bind(micros(lease))
        .fetch_optional(&self.pool)
        .await
        .map_err(failed("keeping a job"))?;
        Ok(match cancelled {
            Some(false) => Heard::Kept,
            Some(true) => Heard::Cancelled,
            None => Heard::Lost,
        })
    }

    /// Records how work on a job ended, with what that means for its video, in one transaction.
    pub(crate) async fn end_job(
        &self,
        held: &Held,
        ended: &Ended<'_>,
        backoff: Duration,
    ) -> Result<Recorded> {
        let failed = failed("ending a job");
        let mut tx = self.pool.begin().await.map_err(&failed)?;
        let hold: Option<Option<Uuid>> =
            sqlx::query_scalar("SELECT hold FROM jobs WHERE library_id = $1 AND job_id = $2 FOR UPDATE")
                .bind(held.library.0)
                .bind(held.job.id)
                .fetch_optional(&mut *tx)
                .await
                .map_err(&failed)?;
        match hold {
            None => return Ok(Recorded::Gone),
            Some(hold) if hold != Some(held.hold) => return Ok(Recorded::Lost),
            Some(_) => {}
        }
        let failures = held.job.failures as i32 + i32::from(matches!(ended, Ended::Failed(_)));
        let (state, error) = match ended {
            Ended::Done => ("done", None),
            Ended::Cancelled => ("cancelled", None),
            Ended::Released => ("queued", None),
            Ended::Failed(error) if failures >= MOST_FAILURES || is_final(error) => ("dead", Some(*error)),
            Ended::Failed(error) => ("queued", Some(*error)),
        };
        // Ten seconds, then a minute.
        let wait = if matches!(ended, Ended::Failed(_)) {
            backoff * 6_u32.pow(failures as u32 - 1)
        } else {
            Duration::ZERO
        };
        sqlx::query(
            "UPDATE jobs SET state = $3, failures = $4, error_kind = $5, error = $6, hold = NULL, leased_until = NULL,
                 run_at = now() + $7 * interval '1 microsecond',
                 ended_at = CASE WHEN $3 <> 'queued' THEN now() END
             WHERE library_id = $1 AND job_id = $2",
        )
        .bind(held.library.0)
        .bind(held.job.id)
        .bind(state)
        .bind(failures)
        .bind(error.map(|e| e.kind().as_str()))
        .bind(error.map(|e| storable(&e.to_string())))
        .bind(micros(wait))
        .execute(&mut *tx)
        .await
        .map_err(&failed)?;
        match (state, error) {
            ("dead", Some(error)) => {
                mark_video(&mut tx, held.library, held.job.video, &error.to_string(), false).await?;
            }
            ("cancelled", _) => mark_video(&mut tx, held.library, held.job.video, "cancelled", true).await?,
            _ => {}
        }
        tx.commit().await.map_err(&failed)?;
        Ok(Recorded::Yes)
    }

    /// Whether jobs wait or run.
    pub(crate) async fn has_open_jobs(&self, library: LibraryId) -> Result<bool> {
        sqlx::query_scalar(
            "SELECT EXISTS (SELECT 1 FROM jobs WHERE library_id = $1 AND state IN ('queued', 'running'))",
        )
        .bind(library.0)
        .fetch_one(&self.pool)
        .await
        .map_err(failed("reading jobs"))
    }
}

/// What the file itself decides: another attempt ends in the same way.
fn is_final(error: &Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::NotAMediaFile
            | ErrorKind::Unsupported
            | ErrorKind::RefusedPlaylist
            | ErrorKind::TooLarge
            | ErrorKind::NoVideoStream
            | ErrorKind::Invalid
            | ErrorKind::Subtitle
    )
}

/// A video whose job ended without a new index has failed; one that was only called off, and has an
/// index, is as it was.
async fn mark_video(
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

fn micros(duration: Duration) -> f64 {
    duration.as_micros() as f64
}

fn job(row: &PgRow) -> Result<Job> {
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
    })
}
