//! Rows of the server's own tables. Whatever belongs to a user is only ever asked for with the user.

use chrono::{DateTime, Utc};
use sqlx::PgPool;
use uuid::Uuid;

use crate::accounts::SignedIn;
use crate::problem::{Answer, Problem};
use crate::storage::Upload;

/// What somebody brought.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct VideoRow {
    /// The video.
    pub video_id: Uuid,
    /// What the index calls it.
    pub source: String,
    /// The file's name.
    pub name: String,
    /// Its type: as it was said at first, as it was found to be later.
    pub content_type: String,
    /// Its size.
    pub bytes: i64,
    /// Bytes of a part.
    pub part_bytes: i64,
    /// The bucket's name of the upload.
    pub multipart: Option<String>,
    /// What people see.
    pub title: String,
    /// Free text.
    pub description: String,
    /// When it was begun.
    pub created_at: DateTime<Utc>,
    /// When all of it was there.
    pub completed_at: Option<DateTime<Utc>>,
}

impl VideoRow {
    /// As the storage knows it.
    pub fn upload(&self) -> Upload {
        Upload {
            video: self.video_id,
            bytes: self.bytes.unsigned_abs(),
            part_bytes: self.part_bytes.unsigned_abs(),
            multipart: self.multipart.clone(),
        }
    }
}

/// A video of this user.
///
/// # Errors
/// When there is none of this id, or it is another's.
pub async fn video(pool: &PgPool, by: SignedIn, video: Uuid) -> Answer<VideoRow> {
    let found = sqlx::query_as("SELECT * FROM server.videos WHERE user_id = $1 AND video_id = $2")
        .bind(by.user)
        .bind(video)
        .fetch_optional(pool)
        .await?;
    found.ok_or_else(|| Problem::not_found("video"))
}

/// Videos of this user, the newest first, after a place in the list; and how many there are.
///
/// # Errors
/// When the database fails.
pub async fn videos(
    pool: &PgPool,
    by: SignedIn,
    limit: u32,
    after: Option<(DateTime<Utc>, Uuid)>,
) -> Answer<(Vec<VideoRow>, u64)> {
    let mut tx = pool.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?;
    let total: i64 = sqlx::query_scalar("SELECT count(*) FROM server.videos WHERE user_id = $1")
        .bind(by.user)
        .fetch_one(&mut *tx)
        .await?;
    let videos = sqlx::query_as(
        "SELECT * FROM server.videos
         WHERE user_id = $1 AND ($2::timestamptz IS NULL OR (created_at, video_id) < ($2, $3))
         ORDER BY created_at DESC, video_id DESC LIMIT $4",
    )
    .bind(by.user)
    .bind(after.map(|(at, _)| at))
    .bind(after.map(|(_, id)| id))
    .bind(i64::from(limit))
    .fetch_all(&mut *tx)
    .await?;
    Ok((videos, total.unsigned_abs()))
}

/// The types of these videos of this user.
///
/// # Errors
/// When the database fails.
pub async fn types(
    pool: &PgPool,
    by: SignedIn,
    videos: &[Uuid],
) -> Answer<std::collections::HashMap<Uuid, String>> {
    let rows: Vec<(Uuid, String)> = sqlx::query_as(
        "SELECT video_id, content_type FROM server.videos WHERE user_id = $1 AND video_id = ANY($2)",
    )
    .bind(by.user)
    .bind(videos)
    .fetch_all(pool)
    .await?;
    Ok(rows.into_iter().collect())
}

/// Writes down that the files of a video are to be removed.
///
/// # Errors
/// When the database fails.
pub async fn leave(tx: &mut sqlx::PgConnection, video: Uuid, multipart: Option<&str>) -> Answer<()> {
    sqlx::query("INSERT INTO server.leftovers (video_id, multipart) VALUES ($1, $2) ON CONFLICT DO NOTHING")
        .bind(video)
        .bind(multipart)
        .execute(tx)
        .await?;
    Ok(())
}

/// Whether somebody is still sending a video.
///
/// # Errors
/// When the database fails.
pub async fn is_on_the_way(pool: &PgPool, video: Uuid) -> Answer<bool> {
    let sql = "SELECT EXISTS (SELECT FROM server.videos WHERE video_id = $1 AND completed_at IS NULL)";
    Ok(sqlx::query_scalar(sql).bind(video).fetch_one(pool).await?)
}
