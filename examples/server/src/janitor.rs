//! What is removed after a while: uploads that nobody completed, files of videos that are gone, tokens
//! whose time is over.

use std::time::Duration;

use uuid::Uuid;

use crate::app::App;
use crate::problem::Answer;
use crate::routes::uploads;
use crate::storage;

/// How often.
const EVERY: Duration = Duration::from_mins(1);

/// "tidy" in a number: one process at a time does it.
const TIDYING: i64 = 0x7469_6479;

/// Files that are removed in one round.
const AT_ONCE: i64 = 1000;

/// Removes what is to be removed, again and again.
pub async fn run(app: App) {
    let mut tick = tokio::time::interval(EVERY);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        if let Err(problem) = tidy(&app).await {
            tracing::warn!(?problem, "not everything that is over could be removed");
        }
    }
}

/// One round.
///
/// # Errors
/// When the database or the storage does not answer; the next round goes on.
pub async fn tidy(app: &App) -> Answer<()> {
    let mut turn = app.pool.begin().await?;
    let ours: bool = sqlx::query_scalar("SELECT pg_try_advisory_xact_lock($1)")
        .bind(TIDYING)
        .fetch_one(&mut *turn)
        .await?;
    if !ours {
        return Ok(());
    }
    let abandoned = uploads::remove_abandoned(app).await?;
    if abandoned > 0 {
        tracing::info!(abandoned, "uploads that were not completed are removed");
    }
    let left: Vec<(Uuid, Option<String>)> =
        sqlx::query_as("SELECT video_id, multipart FROM server.leftovers ORDER BY since LIMIT $1")
            .bind(AT_ONCE)
            .fetch_all(&mut *turn)
            .await?;
    for (video, multipart) in left {
        remove_files(app, video, multipart.as_deref()).await?;
    }
    for sql in [
        "DELETE FROM server.refresh_tokens WHERE expires_at < now()",
        "DELETE FROM server.sessions s WHERE NOT EXISTS
             (SELECT FROM server.refresh_tokens t WHERE t.session_id = s.session_id)",
        "DELETE FROM server.rate_limits WHERE ends_at < now()",
    ] {
        sqlx::query(sql).execute(&app.pool).await?;
    }
    turn.commit().await?;
    Ok(())
}

/// Removes the files of a video that is gone, and writes down that they are.
///
/// # Errors
/// When the storage does not answer; they are tried again later.
pub async fn remove_files(app: &App, video: Uuid, multipart: Option<&str>) -> Answer<()> {
    app.storage.discard(video, multipart).await?;
    storage::remove(&*app.storage, video).await?;
    sqlx::query("DELETE FROM server.leftovers WHERE video_id = $1").bind(video).execute(&app.pool).await?;
    Ok(())
}
