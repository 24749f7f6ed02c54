//! What a worker says to the queue: that it takes a job, that it is still at it, how it ended.

use std::time::Duration;

use sqlx::Row;
use uuid::Uuid;

use super::jobs::{Job, job, mark_video};
use super::{PostgresStore, failed, storable};
use crate::{Error, ErrorKind, LibraryId, Result, VideoId};

/// How often a job may fail: once, and two more times.
const MOST_FAILURES: i32 = 3;

/// How often its worker may be lost: a video that kills whoever looks at it does not go round for ever.
const MOST_LOSSES: i32 = 10;

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

fn micros(duration: Duration) -> f64 {
    duration.as_micros() as f64
}
