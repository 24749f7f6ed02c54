//! Videos: lists, how they stand, changes, deletion, playback.

use std::collections::HashMap;

use axum::extract::State;
use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use heimdex::keyframes::Keyframe;
use heimdex::store::{JobState, StageRecord, StageState, Standing, VideoState};
use heimdex::{SceneId, Stage, VideoId};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::uploads;
use crate::accounts::SignedIn;
use crate::app::App;
use crate::audit::{self, Event};
use crate::extract::{Json, Params, Video};
use crate::problem::{Answer, Problem};
use crate::rows::{self, VideoRow};
use crate::serve::{self, Peer};
use crate::storage::{self, PICTURE_LASTS, PLAYBACK_LASTS};
use crate::wire::{
    self, Failure, JobStatus, Playback, StageStatus, VideoChange, VideoList, VideoStatus, VideosQuery,
};

/// Scenes that a video's picture is taken from.
const FIRST_SCENES: u32 = 4;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(get, change, delete))
        .routes(routes!(status))
        .routes(routes!(cancel))
        .routes(routes!(retry))
        .routes(routes!(playback))
}

/// One video of somebody, as it stands.
pub(super) async fn one(app: &App, by: SignedIn, video: Uuid) -> Answer<wire::Video> {
    let row = rows::video(&app.pool, by, video).await?;
    views(app, by, vec![row]).await?.pop().ok_or_else(|| Problem::not_found("video"))
}

/// How videos of somebody stand, in their order.
pub(super) async fn views(app: &App, by: SignedIn, rows: Vec<VideoRow>) -> Answer<Vec<wire::Video>> {
    let ids: Vec<VideoId> = rows.iter().map(|row| VideoId(row.video_id)).collect();
    let standing = app.store.standing(by.library(), &ids).await?;
    let mut standing: HashMap<VideoId, Standing> = standing.into_iter().map(|s| (s.video.id, s)).collect();
    let searchable: Vec<VideoId> = standing.values().filter(|s| s.searchable).map(|s| s.video.id).collect();
    let mut pictures = pictures(app, by, &searchable).await?;
    let views = rows.into_iter().map(|row| {
        let id = VideoId(row.video_id);
        view(row, standing.remove(&id), pictures.remove(&id))
    });
    Ok(views.collect())
}

/// The best picture of the first scenes of each video: many begin in black.
async fn pictures(app: &App, by: SignedIn, videos: &[VideoId]) -> Answer<HashMap<VideoId, String>> {
    let first = |video: VideoId| (0..FIRST_SCENES).map(move |ordinal| SceneId { video, ordinal });
    let scenes: Vec<SceneId> = videos.iter().copied().flat_map(first).collect();
    let mut keyframes: HashMap<VideoId, Vec<Keyframe>> = HashMap::new();
    for scene in app.library(by).store().scenes(by.library(), &scenes).await? {
        keyframes.entry(scene.id.video).or_default().extend(scene.keyframes);
    }
    let mut pictures = HashMap::new();
    for (video, keyframes) in keyframes {
        if let Some(key) = best(&keyframes) {
            pictures.insert(video, picture(app, key).await?);
        }
    }
    Ok(pictures)
}

/// The picture that says most; of equal ones the first.
pub(super) fn best(keyframes: &[Keyframe]) -> Option<&str> {
    let shown = keyframes.iter().filter(|keyframe| keyframe.thumbnail.is_some());
    let best = shown.max_by(|a, b| a.quality.total_cmp(&b.quality).then(b.time.cmp(&a.time)));
    best.and_then(|keyframe| keyframe.thumbnail.as_deref())
}

/// The address of a picture by the core's key.
pub(super) async fn picture(app: &App, key: &str) -> Answer<String> {
    let place = app.storage.address(&format!("thumbnails/{key}"), "image/webp", PICTURE_LASTS).await?;
    Ok(place.url)
}

/// The address of a whole video.
pub(super) async fn play(app: &App, video: Uuid, content_type: &str) -> Answer<Playback> {
    app.storage.address(storage::video_key(video).as_ref(), content_type, PLAYBACK_LASTS).await
}

fn view(row: VideoRow, standing: Option<Standing>, thumbnail_url: Option<String>) -> wire::Video {
    let status = status_of(&row, standing.as_ref());
    let record = standing.map(|standing| standing.video);
    let failed = status.state == VideoState::Failed;
    let known = record.as_ref().is_some_and(|record| !record.media.container.is_empty());
    wire::Video {
        title: row.title,
        description: row.description,
        content_type: row.content_type,
        bytes: row.bytes.unsigned_abs(),
        uploaded_at: row.created_at,
        duration_us: record.as_ref().map_or(0, |record| record.duration.as_micros()),
        language: record.as_ref().and_then(|record| record.language.clone()),
        created_at: record.as_ref().and_then(|record| record.created_at.clone()),
        // A failure stands in `error`.
        warnings: record.as_ref().filter(|_| !failed).map(|r| r.warnings.clone()).unwrap_or_default(),
        media: record.filter(|_| known).map(|record| record.media),
        thumbnail_url,
        name: row.name,
        status,
    }
}

/// Texts of failures begin with the file's place on the worker, which is nobody's business.
fn without_place(text: &str, row: &VideoRow) -> String {
    let place = format!("{}/source: ", row.video_id);
    match text.split_once(&place) {
        Some((_, rest)) => format!("{}: {rest}", row.name),
        None => text.replace(&row.source, &row.name),
    }
}

/// How a video stands.
pub(super) fn status_of(row: &VideoRow, standing: Option<&Standing>) -> VideoStatus {
    let job = standing.and_then(|standing| standing.job.as_ref());
    let running = job.filter(|job| job.state == JobState::Running).and_then(|job| job.progress);
    let state = match standing {
        Some(standing) => standing.video.state,
        None if row.completed_at.is_none() => VideoState::Uploading,
        // Accepted, and taken out of the index: about to be gone.
        None => VideoState::Deleted,
    };
    let error = job.and_then(|job| {
        let ended = matches!(job.state, JobState::Dead | JobState::Cancelled);
        let tried = job.failures > 0 && job.state != JobState::Done;
        let message = match (&job.error, job.state) {
            (Some(error), _) if ended || tried => without_place(error, row),
            (_, JobState::Cancelled) => "cancelled".to_owned(),
            _ => return None,
        };
        let kind = if job.state == JobState::Cancelled {
            Some(heimdex::ErrorKind::Cancelled)
        } else {
            job.error_kind
        };
        Some(Failure { kind, message })
    });
    let stages = standing.map(|standing| standing.stages.as_slice()).unwrap_or_default();
    let stages = stages.iter().map(|record| {
        let mut record = record.clone();
        record.error = record.error.map(|error| without_place(&error, row));
        StageStatus { fraction: fraction_of(&record, running), record }
    });
    VideoStatus {
        id: row.video_id,
        state,
        searchable: standing.is_some_and(|standing| standing.searchable),
        progress: job.and_then(|job| job.progress),
        stages: stages.collect(),
        job: job.map(|job| JobStatus { state: job.state, failures: job.failures }),
        error,
    }
}

/// How much of a stage is done: all of it, as much as the worker says, or nothing.
fn fraction_of(record: &StageRecord, running: Option<heimdex::Progress>) -> f32 {
    match (record.state, running) {
        (StageState::Completed, _) => 1.0,
        (StageState::Running, Some(at)) if at.stage == record.stage => at.stage_fraction,
        // A stage that shares the one pass with the one that reports.
        (StageState::Running, Some(at)) if at.stage == Stage::Decode => at.stage_fraction,
        _ => 0.0,
    }
}

/// Videos, the newest first.
#[utoipa::path(get, path = "/videos", tag = "videos", security(("bearer" = [])), params(VideosQuery),
    responses((status = 200, body = VideoList)))]
async fn list(
    State(app): State<App>,
    by: SignedIn,
    Params(query): Params<VideosQuery>,
) -> Answer<axum::Json<VideoList>> {
    if !(1..=100).contains(&query.limit) {
        return Err(Problem::invalid("limit", "must be 1 to 100"));
    }
    let wrong = || Problem::invalid("after", "is no `next` of an earlier page");
    let after = match &query.after {
        None => None,
        Some(text) => {
            let (at, id) = text.split_once('.').ok_or_else(wrong)?;
            let at = at.parse().ok().and_then(DateTime::<Utc>::from_timestamp_micros).ok_or_else(wrong)?;
            // Postgres knows fewer years than a timestamp has room for.
            let year = chrono::Datelike::year(&at);
            if !(1970..=9999).contains(&year) {
                return Err(wrong());
            }
            Some((at, id.parse().map_err(|_| wrong())?))
        }
    };
    let (mut rows, total) = rows::videos(&app.pool, by, query.limit + 1, after).await?;
    let more = rows.len() > query.limit as usize;
    rows.truncate(query.limit as usize);
    let next = rows
        .last()
        .filter(|_| more)
        .map(|row| format!("{}.{}", row.created_at.timestamp_micros(), row.video_id));
    Ok(axum::Json(VideoList { videos: views(&app, by, rows).await?, next, total }))
}

/// A video.
#[utoipa::path(get, path = "/videos/{id}", tag = "videos", security(("bearer" = [])), params(("id" = Uuid, Path)),
    responses((status = 200, body = wire::Video)))]
async fn get(State(app): State<App>, by: SignedIn, video: Video) -> Answer<axum::Json<wire::Video>> {
    one(&app, by, video.0).await.map(axum::Json)
}

/// How a video stands.
#[utoipa::path(get, path = "/videos/{id}/status", tag = "videos", security(("bearer" = [])),
    params(("id" = Uuid, Path)), responses((status = 200, body = VideoStatus)))]
async fn status(State(app): State<App>, by: SignedIn, video: Video) -> Answer<axum::Json<VideoStatus>> {
    let row = rows::video(&app.pool, by, video.0).await?;
    let standing = app.store.standing(by.library(), &[video.id()]).await?;
    Ok(axum::Json(status_of(&row, standing.first())))
}

/// Gives a video another title or description.
#[utoipa::path(patch, path = "/videos/{id}", tag = "videos", security(("bearer" = [])), params(("id" = Uuid, Path)),
    request_body = VideoChange, responses((status = 200, body = wire::Video)))]
async fn change(
    State(app): State<App>,
    by: SignedIn,
    video: Video,
    Json(change): Json<VideoChange>,
) -> Answer<axum::Json<wire::Video>> {
    let mut row = rows::video(&app.pool, by, video.0).await?;
    if let Some(title) = &change.title {
        row.title = uploads::text("title", title, 500)?;
        if row.title.is_empty() {
            return Err(Problem::invalid("title", "is empty"));
        }
    }
    if let Some(description) = &change.description {
        row.description = uploads::text("description", description, 10_000)?;
    }
    let mut tx = app.store.begin().await?;
    sqlx::query("UPDATE server.videos SET title = $3, description = $4 WHERE user_id = $1 AND video_id = $2")
        .bind(by.user)
        .bind(video.0)
        .bind(&row.title)
        .bind(&row.description)
        .execute(&mut *tx)
        .await?;
    let standing = app.store.standing(by.library(), &[video.id()]).await?;
    let open = |standing: &Standing| {
        standing.job.as_ref().is_some_and(|job| matches!(job.state, JobState::Queued | JobState::Running))
    };
    match standing.first() {
        // Whoever works on it would write the old title: it is done once more, which costs little.
        Some(standing) if open(standing) => {
            uploads::enqueue(&mut tx, by, &row).await?;
            tx.commit().await?;
        }
        Some(standing) if standing.searchable => {
            tx.commit().await?;
            app.library(by).describe(video.id(), &row.title, &row.description).await?;
        }
        _ => tx.commit().await?,
    }
    one(&app, by, video.0).await.map(axum::Json)
}

/// Removes a video, its index and its files.
#[utoipa::path(delete, path = "/videos/{id}", tag = "videos", security(("bearer" = [])), params(("id" = Uuid, Path)),
    responses((status = 204)))]
async fn delete(State(app): State<App>, by: SignedIn, peer: Peer, video: Video) -> Answer<StatusCode> {
    rows::video(&app.pool, by, video.0).await?;
    let work = {
        let app = app.clone();
        async move { forget(&app, by, video.0).await }
    };
    // Whoever asked may hang up in the middle.
    serve::detached(work).await.map_err(Problem::internal)??;
    audit::record(&app, Event::new("video-deleted").user(by.user).from(peer.0).video(video.0)).await;
    Ok(StatusCode::NO_CONTENT)
}

/// Takes a video out of the index, then out of the list, then removes its files. Interrupted anywhere, it
/// is finished by whoever asks again, or by a worker with nothing to do.
pub(super) async fn forget(app: &App, by: SignedIn, video: Uuid) -> Answer<()> {
    match app.library(by).remove(VideoId(video)).await {
        Err(error) if error.kind() == heimdex::ErrorKind::NotFound => {}
        result => result?,
    }
    let mut tx = app.pool.begin().await?;
    let gone: Option<Option<String>> = sqlx::query_scalar(
        "DELETE FROM server.videos WHERE user_id = $1 AND video_id = $2 RETURNING multipart",
    )
    .bind(by.user)
    .bind(video)
    .fetch_optional(&mut *tx)
    .await?;
    let Some(multipart) = gone else { return Ok(()) };
    rows::leave(&mut tx, video, multipart.as_deref()).await?;
    tx.commit().await?;
    if let Err(problem) = crate::janitor::remove_files(app, video, multipart.as_deref()).await {
        tracing::warn!(?problem, %video, "files of a video are still to be removed");
    }
    Ok(())
}

/// Ends the work on a video: at once when it waits, else as soon as its worker hears of it.
#[utoipa::path(post, path = "/videos/{id}/cancel", tag = "videos", security(("bearer" = [])),
    params(("id" = Uuid, Path)), responses((status = 202, body = wire::Video)))]
async fn cancel(
    State(app): State<App>,
    by: SignedIn,
    video: Video,
) -> Answer<(StatusCode, axum::Json<wire::Video>)> {
    rows::video(&app.pool, by, video.0).await?;
    let standing = app.store.standing(by.library(), &[video.id()]).await?;
    let nothing = || Problem::conflict("not-in-work", "nothing is being done about this video");
    let job = standing.first().and_then(|standing| standing.job.as_ref()).ok_or_else(nothing)?;
    if !app.store.cancel_job(by.library(), job.id).await? {
        return Err(nothing());
    }
    Ok((StatusCode::ACCEPTED, axum::Json(one(&app, by, video.0).await?)))
}

/// Begins anew with a video that failed or was cancelled. What was finished is not done again.
#[utoipa::path(post, path = "/videos/{id}/retry", tag = "videos", security(("bearer" = [])),
    params(("id" = Uuid, Path)), responses((status = 202, body = wire::Video)))]
async fn retry(
    State(app): State<App>,
    by: SignedIn,
    video: Video,
) -> Answer<(StatusCode, axum::Json<wire::Video>)> {
    let row = rows::video(&app.pool, by, video.0).await?;
    let standing = app.store.standing(by.library(), &[video.id()]).await?;
    let job = standing.first().and_then(|standing| standing.job.as_ref());
    let ended = job.is_some_and(|job| matches!(job.state, JobState::Dead | JobState::Cancelled));
    if row.completed_at.is_none() || !ended {
        return Err(Problem::conflict("not-failed", "only what failed or was cancelled can be tried again"));
    }
    let mut tx = app.store.begin().await?;
    uploads::enqueue(&mut tx, by, &row).await?;
    tx.commit().await?;
    Ok((StatusCode::ACCEPTED, axum::Json(one(&app, by, video.0).await?)))
}

/// Where a video can be played.
#[utoipa::path(get, path = "/videos/{id}/playback", tag = "videos", security(("bearer" = [])),
    params(("id" = Uuid, Path)), responses((status = 200, body = Playback)))]
async fn playback(State(app): State<App>, by: SignedIn, video: Video) -> Answer<axum::Json<Playback>> {
    let row = rows::video(&app.pool, by, video.0).await?;
    if row.completed_at.is_none() {
        return Err(Problem::conflict("still-uploading", "not all of this video is here yet"));
    }
    play(&app, row.video_id, &row.content_type).await.map(axum::Json)
}

#[cfg(test)]
mod tests {
    use heimdex::Timestamp;

    use super::*;

    #[test]
    fn a_video_that_begins_in_black_shows_what_comes_after() {
        let keyframe = |second: i64, quality, thumbnail: Option<&str>| Keyframe {
            time: Timestamp::from_micros(second * 1_000_000),
            shot: 0,
            quality,
            thumbnail: thumbnail.map(str::to_owned),
            picture: None,
        };
        let opening = [
            keyframe(0, 0.0, Some("black")),
            keyframe(3, 0.7, Some("deer")),
            keyframe(5, 0.7, Some("later")),
            keyframe(8, 0.9, None),
        ];
        assert_eq!(best(&opening), Some("deer"));
        assert_eq!(best(&opening[..1]), Some("black"));
        assert_eq!(best(&opening[3..]), None);
    }
}
