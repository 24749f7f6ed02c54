//! Videos on their way: a plan of parts, the parts themselves at signed addresses, and their completion,
//! which puts the video into the queue in the same transaction.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::http::StatusCode;
use chrono::Utc;
use heimdex::media::MediaInfo;
use heimdex::store::{IndexTask, PostgresStore, VideoRecord, VideoState};
use heimdex::{Timestamp, VideoId};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::videos;
use crate::accounts::SignedIn;
use crate::app::App;
use crate::audit::{self, Event};
use crate::content;
use crate::extract::{Json, MaybeJson, Video};
use crate::problem::{Answer, Problem};
use crate::rows::{self, VideoRow};
use crate::serve::{self, Peer};
use crate::storage::{self, Upload};
use crate::wire::{self, PartState, Quota, UploadComplete, UploadInit, UploadPlan, UploadState};

/// Parts of a video at most.
const MOST_PARTS: u64 = 10_000;

/// Types that are taken beside `video/...` and `audio/...`: what browsers say of files they do not know.
const OTHER_TYPES: [&str; 3] = ["application/octet-stream", "application/ogg", "application/x-matroska"];

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(init)).routes(routes!(state)).routes(routes!(complete))
}

/// What somebody uses, and what they may.
pub(super) async fn quota(app: &App, from: impl sqlx::PgExecutor<'_>, by: SignedIn) -> Answer<Quota> {
    let (videos, bytes): (i64, i64) = sqlx::query_as(
        "SELECT count(*), coalesce(sum(bytes), 0)::bigint FROM server.videos WHERE user_id = $1",
    )
    .bind(by.user)
    .fetch_one(from)
    .await?;
    Ok(Quota {
        videos: videos.unsigned_abs(),
        bytes: bytes.unsigned_abs(),
        max_videos: app.config.max_videos,
        max_bytes: app.config.max_bytes,
    })
}

/// Text that people wrote, as it is kept.
pub(super) fn text(field: &'static str, text: &str, most: usize) -> Answer<String> {
    let text = text.trim();
    if text.chars().count() > most {
        return Err(Problem::invalid(field, format!("is longer than {most} characters")));
    }
    let plain = !text.chars().any(|c| c == '\0');
    if plain {
        Ok(text.to_owned())
    } else {
        Err(Problem::invalid(field, "holds a character that no text has"))
    }
}

/// Begins an upload.
#[utoipa::path(post, path = "/videos/upload/init", tag = "uploads", security(("bearer" = [])),
    request_body = UploadInit, responses((status = 201, body = UploadPlan)))]
async fn init(
    State(app): State<App>,
    by: SignedIn,
    peer: Peer,
    Json(init): Json<UploadInit>,
) -> Answer<(StatusCode, axum::Json<UploadPlan>)> {
    let name = text("name", &init.name, 255)?;
    if name.is_empty() || name.chars().any(char::is_control) {
        return Err(Problem::invalid("name", "is no name of a file"));
    }
    let content_type = init.content_type.trim().to_ascii_lowercase();
    let plain = content_type.chars().all(|c| c.is_ascii_alphanumeric() || "/.+-".contains(c));
    let known = content_type.starts_with("video/")
        || content_type.starts_with("audio/")
        || OTHER_TYPES.contains(&content_type.as_str());
    if !plain || !known || content_type.len() > 100 {
        return Err(Problem::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "unsupported-type",
            "send a video or a sound, with a type such as video/mp4",
        ));
    }
    let most = app.config.max_upload_bytes;
    if init.bytes == 0 {
        return Err(Problem::invalid("bytes", "the file is empty"));
    }
    let bytes = i64::try_from(init.bytes).map_err(|_| Problem::invalid("bytes", "is too large"))?;
    if init.bytes > most {
        let detail = format!("{} bytes are more than the {most} that a video may have", init.bytes);
        return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", detail));
    }
    let title = match init.title.as_deref().map(str::trim).filter(|title| !title.is_empty()) {
        Some(title) => text("title", title, 500)?,
        None => name.rsplit_once('.').map_or(name.as_str(), |(stem, _)| stem).to_owned(),
    };
    let title = if title.is_empty() { name.clone() } else { title };
    let description = text("description", init.description.as_deref().unwrap_or_default(), 10_000)?;

    // Its id follows from what nobody can guess.
    let source = format!("upload:{}", Uuid::new_v4());
    let video = VideoId::of_source(source.as_bytes()).0;
    let part_bytes = app.config.part_bytes.max(init.bytes.div_ceil(MOST_PARTS)).min(init.bytes);
    let mut upload = Upload { video, bytes: init.bytes, part_bytes, multipart: None };

    let mut tx = app.pool.begin().await?;
    // Uploads that begin at once count each other.
    sqlx::query("SELECT FROM server.users WHERE user_id = $1 FOR UPDATE")
        .bind(by.user)
        .execute(&mut *tx)
        .await?;
    let quota = quota(&app, &mut *tx, by).await?;
    let over = |field: &'static str, detail: String| {
        let problem = Problem::new(StatusCode::FORBIDDEN, "quota", detail);
        tracing::info!(user = %by.user, field, "quota");
        problem
    };
    if quota.videos >= quota.max_videos {
        return Err(over("videos", format!("you have {} videos, and may have no more", quota.videos)));
    }
    if quota.bytes.saturating_add(init.bytes) > quota.max_bytes {
        let detail =
            format!("you use {} of {} bytes; delete some videos first", quota.bytes, quota.max_bytes);
        return Err(over("bytes", detail));
    }
    // Whatever becomes of the rest, this is found again and removed when its time is over.
    upload.multipart = app.storage.begin(&upload).await?;
    let inserted = sqlx::query(
        "INSERT INTO server.videos (user_id, video_id, source, name, content_type, bytes, part_bytes, multipart,
             title, description) SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10
         WHERE EXISTS (SELECT FROM server.users WHERE user_id = $1)",
    )
    .bind(by.user)
    .bind(video)
    .bind(&source)
    .bind(&name)
    .bind(&content_type)
    .bind(bytes)
    .bind(part_bytes.cast_signed())
    .bind(&upload.multipart)
    .bind(&title)
    .bind(&description)
    .execute(&mut *tx)
    .await?;
    if inserted.rows_affected() == 0 {
        return Err(Problem::unauthorized("this account is gone"));
    }
    audit::write(&mut *tx, &Event::new("upload-begun").user(by.user).from(peer.0).video(video)).await?;
    tx.commit().await?;
    let mut parts = Vec::new();
    for number in 1..=upload.parts() {
        parts.push(app.storage.part(&upload, number).await?);
    }
    Ok((StatusCode::CREATED, axum::Json(UploadPlan { video_id: video, part_bytes, parts })))
}

/// How much of a video is there, and how the rest is sent.
#[utoipa::path(get, path = "/videos/{id}/upload", tag = "uploads", security(("bearer" = [])),
    params(("id" = Uuid, Path)), responses((status = 200, body = UploadState)))]
async fn state(State(app): State<App>, by: SignedIn, video: Video) -> Answer<axum::Json<UploadState>> {
    let row = rows::video(&app.pool, by, video.0).await?;
    let upload = row.upload();
    let completed = row.completed_at.is_some();
    let there = if completed { BTreeMap::default() } else { app.storage.parts(&upload).await? };
    let mut parts = Vec::new();
    for number in 1..=upload.parts() {
        let bytes = upload.bytes_of(number);
        let part = there.get(&number).filter(|part| part.bytes == bytes);
        let done = completed || part.is_some();
        let request = if done { None } else { Some(app.storage.part(&upload, number).await?) };
        parts.push(PartState { number, bytes, done, etag: part.map(|part| part.etag.clone()), request });
    }
    let VideoRow { video_id, .. } = row;
    let (bytes, part_bytes) = (upload.bytes, upload.part_bytes);
    Ok(axum::Json(UploadState { video_id, bytes, part_bytes, completed, parts }))
}

/// Everything was sent: looks whether that is so, and asks for the index.
#[utoipa::path(post, path = "/videos/{id}/upload/complete", tag = "uploads", security(("bearer" = [])),
    params(("id" = Uuid, Path)), request_body(content = UploadComplete), responses((status = 202, body = wire::Video)))]
async fn complete(
    State(app): State<App>,
    by: SignedIn,
    peer: Peer,
    video: Video,
    MaybeJson(sent): MaybeJson<UploadComplete>,
) -> Answer<(StatusCode, axum::Json<wire::Video>)> {
    let row = rows::video(&app.pool, by, video.0).await?;
    if row.completed_at.is_none() {
        let app = app.clone();
        // Whoever asked may hang up in the middle; it goes on, and asking again is as good.
        let work = serve::detached(async move { accept(&app, by, peer, &row, &sent).await });
        work.await.map_err(Problem::internal)??;
    }
    Ok((StatusCode::ACCEPTED, axum::Json(videos::one(&app, by, video.0).await?)))
}

async fn accept(app: &App, by: SignedIn, peer: Peer, row: &VideoRow, sent: &UploadComplete) -> Answer<()> {
    // One at a time: a bucket puts parts together once.
    let mut turn = app.pool.begin().await?;
    let (high, low) = row.video_id.as_u64_pair();
    sqlx::query("SELECT pg_advisory_xact_lock($1)")
        .bind((high ^ low).cast_signed())
        .execute(&mut *turn)
        .await?;
    if rows::video(&app.pool, by, row.video_id).await?.completed_at.is_some() {
        return Ok(());
    }
    let upload = row.upload();
    let storage = &*app.storage;
    // It may have been put together by one that was killed before it could say so.
    if storage::size(storage, row.video_id).await? != Some(upload.bytes) {
        let mut parts = storage.parts(&upload).await?;
        for number in 1..=upload.parts() {
            let expected = upload.bytes_of(number);
            match parts.get(&number) {
                None => {
                    return Err(Problem::conflict(
                        "part-missing",
                        format!("part {number} is not there; send it"),
                    ));
                }
                Some(part) if part.bytes != expected => {
                    let detail = format!(
                        "part {number} has {} bytes in place of {expected}; send it again",
                        part.bytes
                    );
                    return Err(Problem::conflict("part-size", detail));
                }
                Some(_) => {}
            }
        }
        for sent in &sent.parts {
            let etag = sent.etag.trim_matches('"');
            match parts.get_mut(&sent.number) {
                // A bucket that does not list them believes the sender.
                Some(part) if part.etag.is_empty() => etag.clone_into(&mut part.etag),
                Some(part) if part.etag == etag => {}
                _ => {
                    let detail = format!("part {} is not the one that was sent; send it again", sent.number);
                    return Err(Problem::conflict("part-changed", detail));
                }
            }
        }
        storage.assemble(&upload, &parts).await?;
    }
    let size = storage::size(storage, row.video_id).await?;
    let head = storage::head(storage, row.video_id, content::HEAD_BYTES.min(upload.bytes)).await?;
    if size != Some(upload.bytes) || content::kind(&head).is_none() {
        // Nothing of it is of use: it counts no longer, and another attempt begins anew.
        videos::forget(app, by, row.video_id).await?;
        audit::record(app, Event::new("upload-refused").user(by.user).from(peer.0).video(row.video_id)).await;
        return Err(Problem::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "not-a-media-file",
            "this is no video and no sound of a kind that is known; the upload was removed",
        ));
    }
    let mut tx = app.store.begin().await?;
    let accepted = sqlx::query(
        "UPDATE server.videos SET completed_at = now(), content_type = $3, multipart = NULL
         WHERE user_id = $1 AND video_id = $2 AND completed_at IS NULL",
    )
    .bind(by.user)
    .bind(row.video_id)
    .bind(content::kind(&head).unwrap_or_default())
    .execute(&mut *tx)
    .await?;
    if accepted.rows_affected() > 0 {
        enqueue(&mut tx, by, row).await?;
        audit::write(
            &mut *tx,
            &Event::new("upload-completed").user(by.user).from(peer.0).video(row.video_id),
        )
        .await?;
        tx.commit().await?;
        metrics::counter!("uploads_accepted_total").increment(1);
        metrics::counter!("uploads_accepted_bytes_total").increment(upload.bytes);
    }
    // Of no use any more; what is left of it is removed with the video.
    if let Err(problem) = storage.discard(row.video_id, None).await {
        tracing::warn!(?problem, video = %row.video_id, "parts of a completed upload were not removed");
    }
    Ok(())
}

/// Asks for the index of a video.
pub(super) async fn enqueue(
    tx: &mut sqlx::Transaction<'static, sqlx::Postgres>,
    by: SignedIn,
    row: &VideoRow,
) -> Answer<()> {
    let mut task = IndexTask::default();
    task.source.clone_from(&row.source);
    task.title = Some(row.title.clone());
    task.description = Some(row.description.clone());
    PostgresStore::enqueue_in(tx, by.library(), &placeholder(row), &task).await?;
    Ok(())
}

/// The video as it is listed before anything is known of it.
fn placeholder(row: &VideoRow) -> VideoRecord {
    VideoRecord {
        id: VideoId(row.video_id),
        source: row.source.clone(),
        title: row.title.clone(),
        description: row.description.clone(),
        fingerprint: String::new(),
        duration: Timestamp::ZERO,
        media: MediaInfo::default(),
        language: None,
        created_at: None,
        warnings: Vec::new(),
        settings: BTreeMap::new(),
        state: VideoState::Validating,
    }
}

/// Removes uploads that were begun so many hours ago and not completed. Gives how many.
///
/// # Errors
/// When the database fails.
pub async fn remove_abandoned(app: &App) -> Answer<usize> {
    let before = Utc::now() - std::time::Duration::from_secs(app.config.upload_hours * 3600);
    let mut tx = app.pool.begin().await?;
    let gone: Vec<(Uuid, Uuid, Option<String>)> = sqlx::query_as(
        "DELETE FROM server.videos WHERE completed_at IS NULL AND created_at < $1
         RETURNING user_id, video_id, multipart",
    )
    .bind(before)
    .fetch_all(&mut *tx)
    .await?;
    for (user, video, multipart) in &gone {
        rows::leave(&mut tx, *video, multipart.as_deref()).await?;
        audit::write(&mut *tx, &Event::new("upload-abandoned").user(*user).video(*video)).await?;
    }
    tx.commit().await?;
    Ok(gone.len())
}
