//! What a worker says to the queue: that it takes a job, that it is still at it, how it ended.

use std::time::Duration;

use sqlx::Row;
use uuid::Uuid;

use super::jobs::{Job, job, mark_video};
use super::write::{Turn, take_turn};
use super::{PostgresStore, failed, storable};
use crate::{Error, ErrorKind, LibraryId, Progress, Result, VideoId};

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
    /// Takes the job that waits longest, or one whose worker fell silent: of one library, or of all.
    pub(crate) async fn take_job(
        &self,
        library: impl Into<Option<LibraryId>>,
        worker: &str,
        lease: Duration,
    ) -> Result<Option<Held>> {
        let library = library.into().map(|library| library.0);
        self.bury_lost(library).await?;
        let failed = failed("taking a job");
        let row = sqlx::query(
            "UPDATE jobs j SET state = 'running', worker = $2, hold = gen_random_uuid(),
                 leased_until = now() + $3 * interval '1 microsecond',
                 losses = losses + CASE WHEN state = 'running' THEN 1 ELSE 0 END
             WHERE (library_id, job_id) = (SELECT library_id, job_id FROM jobs WHERE ($1 IS NULL OR library_id = $1)
                 AND (state = 'queued' AND run_at <= now() OR state = 'running' AND leased_until < now())
                 ORDER BY run_at, job_id LIMIT 1 FOR UPDATE SKIP LOCKED)
             RETURNING *",
        )
        .bind(library)
        .bind(storable(worker))
        .bind(micros(lease))
        .fetch_optional(&self.pool)
        .await
        .map_err(&failed)?;
        let Some(row) = row else { return Ok(None) };
        let library = LibraryId(row.try_get("library_id").map_err(&failed)?);
        let held = Held { library, hold: row.try_get("hold").map_err(&failed)?, job: job(&row)? };
        // For people alone, so nothing waits for it: the video's row may be in other hands.
        let shown = sqlx::query(
            "UPDATE videos SET state = 'processing' WHERE library_id = $1 AND video_id = $2 AND NOT searchable",
        )
        .bind(held.library.0)
        .bind(held.job.video.0)
        .execute(&self.pool)
        .await;
        if let Err(error) = shown {
            tracing::warn!(%error, "a video could not be shown as in work");
        }
        Ok(Some(held))
    }

    /// Jobs that lost too many workers are dead.
    async fn bury_lost(&self, library: Option<Uuid>) -> Result<()> {
        let failed = failed("ending lost jobs");
        let lost: Vec<(Uuid, i64, Uuid)> = sqlx::query_as(
            "SELECT library_id, job_id, video_id FROM jobs
             WHERE ($1 IS NULL OR library_id = $1) AND state = 'running' AND leased_until < now() AND losses + 1 >= $2",
        )
        .bind(library)
        .bind(MOST_LOSSES)
        .fetch_all(&self.pool)
        .await
        .map_err(&failed)?;
        for (library, job, video) in lost {
            let library = LibraryId(library);
            let mut tx = self.pool.begin().await.map_err(&failed)?;
            take_turn(&mut tx, library, VideoId(video), Turn::OfVideo).await?;
            let buried = sqlx::query(
                "UPDATE jobs SET state = 'dead', losses = losses + 1, ended_at = now(), error_kind = 'store',
                     task = coalesce(next_task, task), next_task = NULL, hold = NULL,
                     error = 'its workers were lost too often'
                 WHERE library_id = $1 AND job_id = $2 AND state = 'running' AND leased_until < now()",
            )
            .bind(library.0)
            .bind(job)
            .execute(&mut *tx)
            .await
            .map_err(&failed)?;
            if buried.rows_affected() > 0 {
                let why = "the program that indexed it was lost too often";
                mark_video(&mut tx, library, VideoId(video), why, false).await?;
            }
            tx.commit().await.map_err(&failed)?;
        }
        Ok(())
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

    /// Tells how far a job is. Never goes backwards, whoever worked on it before.
    pub(crate) async fn record_progress(&self, held: &Held, progress: Progress) -> Result<()> {
        sqlx::query(
            "UPDATE jobs SET stage = $4, stage_fraction = $5, fraction = $6
             WHERE library_id = $1 AND job_id = $2 AND hold = $3 AND state = 'running'
                 AND coalesce(fraction, 0) <= $6",
        )
        .bind(held.library.0)
        .bind(held.job.id)
        .bind(held.hold)
        .bind(progress.stage.as_str())
        .bind(progress.stage_fraction)
        .bind(progress.fraction)
        .execute(&self.pool)
        .await
        .map(|_| ())
        .map_err(failed("recording progress"))
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
        take_turn(&mut tx, held.library, held.job.video, Turn::OfVideo).await?;
        let found: Option<(Option<Uuid>, bool)> = sqlx::query_as(
            "SELECT hold, next_task IS NOT NULL FROM jobs WHERE library_id = $1 AND job_id = $2 FOR UPDATE",
        )
        .bind(held.library.0)
        .bind(held.job.id)
        .fetch_optional(&mut *tx)
        .await
        .map_err(&failed)?;
        let again = match found {
            None => return Ok(Recorded::Gone),
            Some((hold, _)) if hold != Some(held.hold) => return Ok(Recorded::Lost),
            Some((_, again)) => again,
        };
        let failures = held.job.failures as i32 + i32::from(matches!(ended, Ended::Failed(_)));
        let (state, error) = match ended {
            // Asked for anew while it ran: whatever came of it.
            _ if again => ("queued", None),
            Ended::Done => ("done", None),
            Ended::Cancelled => ("cancelled", None),
            Ended::Released => ("queued", None),
            Ended::Failed(error) if failures >= MOST_FAILURES || is_final(error) => ("dead", Some(*error)),
            Ended::Failed(error) => ("queued", Some(*error)),
        };
        // Ten seconds, then a minute.
        let wait = if error.is_some() { backoff * 6_u32.pow(failures as u32 - 1) } else { Duration::ZERO };
        sqlx::query(
            "UPDATE jobs SET state = $3, task = coalesce(next_task, task), next_task = NULL, failures = $4,
                 error_kind = $5, error = $6, hold = NULL, leased_until = NULL,
                 run_at = now() + $7 * interval '1 microsecond',
                 ended_at = CASE WHEN $3 <> 'queued' THEN now() END,
                 stage = CASE WHEN $8 THEN NULL WHEN $3 = 'done' THEN 'commit' ELSE stage END,
                 stage_fraction = CASE WHEN $8 THEN NULL WHEN $3 = 'done' THEN 1 ELSE stage_fraction END,
                 fraction = CASE WHEN $8 THEN NULL WHEN $3 = 'done' THEN 1 ELSE fraction END
             WHERE library_id = $1 AND job_id = $2",
        )
        .bind(held.library.0)
        .bind(held.job.id)
        .bind(state)
        .bind(if again { 0 } else { failures })
        .bind(error.map(|e| e.kind().as_str()))
        .bind(error.map(|e| storable(&e.to_string())))
        .bind(micros(wait))
        .bind(again)
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

    /// Libraries whose deletions left files, at most 1000.
    pub(crate) async fn libraries_with_leftovers(&self) -> Result<Vec<LibraryId>> {
        sqlx::query_scalar("SELECT DISTINCT library_id FROM leftovers LIMIT 1000")
            .fetch_all(&self.pool)
            .await
            .map(|found| found.into_iter().map(LibraryId).collect())
            .map_err(failed("reading what is left to delete"))
    }

    /// Whether jobs wait or run: of one library, or of all.
    pub(crate) async fn has_open_jobs(&self, library: Option<LibraryId>) -> Result<bool> {
        sqlx::query_scalar(
            "SELECT EXISTS (SELECT 1 FROM jobs
             WHERE ($1 IS NULL OR library_id = $1) AND state IN ('queued', 'running'))",
        )
        .bind(library.map(|library| library.0))
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
