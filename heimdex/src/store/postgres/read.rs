//! What reads the index back.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, PgPool, Row};

use super::{PostgresStore, failed, scene_number, unreadable};
use crate::embed::{EmbedSpec, Vector};
use crate::keyframes::Keyframe;
use crate::scenes::Scene;
use crate::shots::Shot;
use crate::store::parts::of_scene;
use crate::store::{IndexedScene, IndexedVideo, Page, SceneRecord, StageRecord, VectorRow, VideoRecord};
use crate::transcript::Transcript;
use crate::{Error, LibraryId, Result, SceneId, Span, Stage, Timestamp, VideoId};

pub(super) const VIDEO_COLUMNS: &str =
    "video_id, source, title, description, fingerprint, duration_us, media, language,
    created_at, warnings, settings, state, transcript, spaces";

/// A column of a row that our own code wrote.
fn get<'r, T>(row: &'r PgRow, column: &'static str) -> Result<T>
where
    T: sqlx::Decode<'r, sqlx::Postgres> + sqlx::Type<sqlx::Postgres>,
{
    row.try_get(column).map_err(|e| Error::store(format!("column {column} of the index"), e))
}

/// A transaction that sees the database as of one moment: parts of two indexes are never mixed.
pub(super) async fn snapshot(pool: &PgPool) -> sqlx::Result<sqlx::Transaction<'static, sqlx::Postgres>> {
    pool.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await
}

fn parsed<T: DeserializeOwned>(row: &PgRow, column: &'static str) -> Result<T> {
    serde_json::from_str(get::<&str>(row, column)?).map_err(unreadable(column))
}

/// A unit variant that was stored by its name.
fn named<T: DeserializeOwned>(name: &str, what: &'static str) -> Result<T> {
    serde_json::from_value(serde_json::Value::from(name)).map_err(unreadable(what))
}

fn time(row: &PgRow, column: &'static str) -> Result<Timestamp> {
    get(row, column).map(Timestamp::from_micros)
}

fn span(row: &PgRow) -> Result<Span> {
    Ok(Span::new(time(row, "start_us")?, time(row, "end_us")?))
}

fn number(row: &PgRow, column: &'static str) -> Result<u32> {
    scene_number(get(row, column)?)
}

pub(super) fn record(row: &PgRow) -> Result<VideoRecord> {
    Ok(VideoRecord {
        id: VideoId(get(row, "video_id")?),
        source: get(row, "source")?,
        title: get(row, "title")?,
        description: get(row, "description")?,
        fingerprint: get(row, "fingerprint")?,
        duration: time(row, "duration_us")?,
        media: parsed(row, "media")?,
        language: get(row, "language")?,
        created_at: get(row, "created_at")?,
        warnings: parsed(row, "warnings")?,
        settings: parsed(row, "settings")?,
        state: named(get(row, "state")?, "state")?,
    })
}

pub(super) async fn video(pool: &PgPool, library: LibraryId, video: VideoId) -> Result<Option<VideoRecord>> {
    let mut connection = pool.acquire().await.map_err(failed("reading a video"))?;
    video_in(&mut connection, library, video).await
}

/// As [`video`], inside a transaction.
pub(super) async fn video_in(
    from: &mut PgConnection,
    library: LibraryId,
    video: VideoId,
) -> Result<Option<VideoRecord>> {
    let sql = format!("SELECT {VIDEO_COLUMNS} FROM videos WHERE library_id = $1 AND video_id = $2");
    let row = sqlx::query(sqlx::AssertSqlSafe(sql))
        .bind(library.0)
        .bind(video.0)
        .fetch_optional(from)
        .await
        .map_err(failed("reading a video"))?;
    row.as_ref().map(record).transpose()
}

pub(super) async fn videos(pool: &PgPool, library: LibraryId, page: Page) -> Result<(Vec<VideoRecord>, u64)> {
    let failed = failed("listing videos");
    let mut tx = snapshot(pool).await.map_err(&failed)?;
    let total: i64 = sqlx::query_scalar("SELECT count(*) FROM videos WHERE library_id = $1")
        .bind(library.0)
        .fetch_one(&mut *tx)
        .await
        .map_err(&failed)?;
    let sql = format!(
        "SELECT {VIDEO_COLUMNS} FROM videos WHERE library_id = $1 AND ($2 IS NULL OR video_id > $2) ORDER BY video_id LIMIT $3"
    );
    let rows = sqlx::query(sqlx::AssertSqlSafe(sql))
        .bind(library.0)
        .bind(page.after.map(|id| id.0))
        .bind(i64::from(page.limit))
        .fetch_all(&mut *tx)
        .await
        .map_err(&failed)?;
    let videos = rows.iter().map(record).collect::<Result<_>>()?;
    Ok((videos, total.unsigned_abs()))
}

pub(super) async fn indexed_video(
    pool: &PgPool,
    library: LibraryId,
    video: VideoId,
) -> Result<Option<IndexedVideo>> {
    let mut tx = snapshot(pool).await.map_err(failed("reading a video's index"))?;
    index_in(&mut tx, library, video).await
}

impl PostgresStore {
    /// What is said in a video, without all else that [`indexed_video`](crate::store::IndexStore::indexed_video)
    /// reads; `None` when it is not indexed, or nothing looked for words.
    ///
    /// # Errors
    /// [`ErrorKind::Store`](crate::ErrorKind::Store).
    pub async fn transcript(&self, library: LibraryId, video: VideoId) -> Result<Option<Transcript>> {
        let failed = failed("reading a transcript");
        let mut tx = snapshot(&self.pool).await.map_err(&failed)?;
        let row = sqlx::query(
            "SELECT transcript, language FROM videos
             WHERE library_id = $1 AND video_id = $2 AND searchable AND transcript IS NOT NULL",
        )
        .bind(library.0)
        .bind(video.0)
        .fetch_optional(&mut *tx)
        .await
        .map_err(&failed)?;
        let Some(row) = row else { return Ok(None) };
        let segments = sqlx::query(
            "SELECT segment FROM segments WHERE library_id = $1 AND video_id = $2 ORDER BY ordinal",
        )
        .bind(library.0)
        .bind(video.0)
        .fetch_all(&mut *tx)
        .await
        .map_err(&failed)?;
        Ok(Some(Transcript {
            source: parsed(&row, "transcript")?,
            language: get(&row, "language")?,
            segments: segments.iter().map(|row| parsed(row, "segment")).collect::<Result<_>>()?,
        }))
    }
}

/// As [`indexed_video`], inside a transaction.
pub(super) async fn index_in(
    tx: &mut PgConnection,
    library: LibraryId,
    video: VideoId,
) -> Result<Option<IndexedVideo>> {
    let failed = failed("reading a video's index");
    let sql =
        format!("SELECT {VIDEO_COLUMNS} FROM videos WHERE library_id = $1 AND video_id = $2 AND searchable");
    let mut all = Vec::new();
    for sql in [
        sql.as_str(),
        "SELECT start_us, end_us FROM shots WHERE library_id = $1 AND video_id = $2 ORDER BY ordinal",
        "SELECT time_us, shot, quality, thumbnail, picture FROM keyframes WHERE library_id = $1 AND video_id = $2 ORDER BY ordinal",
        "SELECT segment FROM segments WHERE library_id = $1 AND video_id = $2 ORDER BY ordinal",
        "SELECT ordinal, start_us, end_us, shot, speech, words, texts, tags FROM scenes
         WHERE library_id = $1 AND video_id = $2 ORDER BY ordinal",
        "SELECT v.ordinal, s.space, v.origin, v.time_us, v.embedding FROM vectors v JOIN spaces s USING (space_id)
         WHERE v.library_id = $1 AND v.video_id = $2 AND s.active ORDER BY v.ordinal, v.position, v.space_id",
    ] {
        let rows = sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(library.0)
            .bind(video.0)
            .fetch_all(&mut *tx)
            .await
            .map_err(&failed)?;
        all.push(rows);
    }
    let [videos, shots, keyframes, segments, scenes, vectors] = all.as_slice() else { return Ok(None) };
    let Some(row) = videos.first() else { return Ok(None) };
    let transcript: Option<&str> = get(row, "transcript")?;
    let mut scenes = scenes
        .iter()
        .map(|row| {
            let texts: BTreeMap<String, String> = parsed(row, "texts")?;
            Ok(IndexedScene { scene: scene(row)?, texts, tags: parsed(row, "tags")?, vectors: Vec::new() })
        })
        .collect::<Result<Vec<_>>>()?;
    for row in vectors {
        let ordinal = number(row, "ordinal")?;
        if let Some(scene) = scenes.get_mut(ordinal as usize) {
            scene.vectors.push(vector(row)?);
        }
    }
    Ok(Some(IndexedVideo {
        video: record(row)?,
        shots: shots.iter().map(|row| Ok(Shot { span: span(row)? })).collect::<Result<_>>()?,
        keyframes: keyframes.iter().map(keyframe).collect::<Result<_>>()?,
        transcript: transcript.map(serde_json::from_str).transpose().map_err(unreadable("transcript"))?,
        segments: segments.iter().map(|row| parsed(row, "segment")).collect::<Result<_>>()?,
        scenes,
        spaces: parsed(row, "spaces")?,
    }))
}

fn vector(row: &PgRow) -> Result<VectorRow> {
    Ok(VectorRow {
        space: get(row, "space")?,
        origin: parsed(row, "origin")?,
        time: time(row, "time_us")?,
        vector: Vector::try_from(get::<pgvector::Vector>(row, "embedding")?.to_vec())?,
    })
}

pub(super) async fn scene_vectors(
    pool: &PgPool,
    library: LibraryId,
    scene: SceneId,
) -> Result<Vec<VectorRow>> {
    let rows = sqlx::query(
        "SELECT s.space, v.origin, v.time_us, v.embedding FROM vectors v JOIN spaces s USING (space_id)
         WHERE v.library_id = $1 AND v.video_id = $2 AND v.ordinal = $3 AND s.active ORDER BY v.position, v.space_id",
    )
    .bind(library.0)
    .bind(scene.video.0)
    .bind(scene.ordinal as i32)
    .fetch_all(pool)
    .await
    .map_err(failed("reading vectors"))?;
    rows.iter().map(vector).collect()
}

fn scene(row: &PgRow) -> Result<Scene> {
    Ok(Scene {
        ordinal: number(row, "ordinal")?,
        span: span(row)?,
        shot: number(row, "shot")?,
        speech: get(row, "speech")?,
        words: parsed(row, "words")?,
    })
}

fn keyframe(row: &PgRow) -> Result<Keyframe> {
    Ok(Keyframe {
        time: time(row, "time_us")?,
        shot: number(row, "shot")?,
        quality: get(row, "quality")?,
        thumbnail: get(row, "thumbnail")?,
        picture: get(row, "picture")?,
    })
}

pub(super) async fn scenes(pool: &PgPool, library: LibraryId, ids: &[SceneId]) -> Result<Vec<SceneRecord>> {
    let failed = failed("reading scenes");
    let mut tx = snapshot(pool).await.map_err(&failed)?;
    let videos: Vec<uuid::Uuid> = ids.iter().map(|id| id.video.0).collect();
    let ordinals: Vec<i32> = ids.iter().map(|id| id.ordinal as i32).collect();
    let rows = sqlx::query(
        "SELECT asked.place, s.ordinal, s.start_us, s.end_us, s.shot, s.speech, s.words, s.tags, v.title, v.source,
                v.duration_us
         FROM unnest($2::uuid[], $3::integer[]) WITH ORDINALITY AS asked (video_id, ordinal, place)
         JOIN scenes s ON s.library_id = $1 AND s.video_id = asked.video_id AND s.ordinal = asked.ordinal
         JOIN videos v ON v.library_id = $1 AND v.video_id = asked.video_id
         ORDER BY asked.place",
    )
    .bind(library.0)
    .bind(&videos)
    .bind(&ordinals)
    .fetch_all(&mut *tx)
    .await
    .map_err(&failed)?;
    let keyframes = sqlx::query(
        "SELECT asked.place, k.time_us, k.shot, k.quality, k.thumbnail, k.picture
         FROM unnest($2::uuid[], $3::integer[]) WITH ORDINALITY AS asked (video_id, ordinal, place)
         JOIN scenes s ON s.library_id = $1 AND s.video_id = asked.video_id AND s.ordinal = asked.ordinal
         JOIN keyframes k ON k.library_id = $1 AND k.video_id = asked.video_id AND k.shot = s.shot
         ORDER BY asked.place, k.ordinal",
    )
    .bind(library.0)
    .bind(&videos)
    .bind(&ordinals)
    .fetch_all(&mut *tx)
    .await
    .map_err(&failed)?;
    let mut of_shot: BTreeMap<i64, Vec<Keyframe>> = BTreeMap::new();
    for row in &keyframes {
        of_shot.entry(get(row, "place")?).or_default().push(keyframe(row)?);
    }
    rows.iter()
        .map(|row| {
            let place: i64 = get(row, "place")?;
            let scene = scene(row)?;
            // Places are counted from 1.
            let id = usize::try_from(place - 1).ok().and_then(|place| ids.get(place));
            Ok(SceneRecord {
                id: *id.ok_or_else(|| Error::store("reading scenes", "a row that was not asked for"))?,
                keyframes: of_scene(of_shot.remove(&place).unwrap_or_default(), scene.span),
                scene,
                tags: parsed(row, "tags")?,
                video_title: get(row, "title")?,
                video_source: get(row, "source")?,
                video_duration: time(row, "duration_us")?,
            })
        })
        .collect()
}

/// Files that no index names any more: of one video, or of all that are gone.
pub(super) async fn leftovers(
    pool: &PgPool,
    library: LibraryId,
    video: Option<VideoId>,
) -> Result<Vec<String>> {
    sqlx::query_scalar(
        "SELECT file FROM leftovers l WHERE library_id = $1 AND (video_id = $2 OR $2 IS NULL AND NOT EXISTS
             (SELECT 1 FROM videos v WHERE v.library_id = l.library_id AND v.video_id = l.video_id))
         ORDER BY file COLLATE \"C\"",
    )
    .bind(library.0)
    .bind(video.map(|id| id.0))
    .fetch_all(pool)
    .await
    .map_err(failed("reading files to delete"))
}

pub(super) async fn spaces(pool: &PgPool, library: LibraryId) -> Result<Vec<EmbedSpec>> {
    let rows = sqlx::query(
        "SELECT spec FROM spaces s WHERE library_id = $1 AND active
         AND EXISTS (SELECT 1 FROM vectors v WHERE v.library_id = s.library_id AND v.space_id = s.space_id)
         ORDER BY space COLLATE \"C\"",
    )
    .bind(library.0)
    .fetch_all(pool)
    .await
    .map_err(failed("reading embedding spaces"))?;
    rows.iter().map(|row| parsed(row, "spec")).collect()
}

pub(super) async fn checkpoint(
    pool: &PgPool,
    library: LibraryId,
    video: VideoId,
    stage: Stage,
    key: &str,
) -> Result<Option<Vec<u8>>> {
    sqlx::query_scalar(
        "SELECT output FROM checkpoints WHERE library_id = $1 AND video_id = $2 AND stage = $3 AND key = $4",
    )
    .bind(library.0)
    .bind(video.0)
    .bind(stage.as_str())
    .bind(key)
    .fetch_optional(pool)
    .await
    .map_err(failed("reading a stage's output"))
}

pub(super) async fn stages(pool: &PgPool, library: LibraryId, video: VideoId) -> Result<Vec<StageRecord>> {
    let rows = sqlx::query(
        "SELECT stage, state, started_us, ended_us, reused, error_kind, error FROM stages
         WHERE library_id = $1 AND video_id = $2 ORDER BY position",
    )
    .bind(library.0)
    .bind(video.0)
    .fetch_all(pool)
    .await
    .map_err(failed("reading stages"))?;
    rows.iter().map(stage).collect()
}

pub(super) fn stage(row: &PgRow) -> Result<StageRecord> {
    let kind: Option<&str> = get(row, "error_kind")?;
    Ok(StageRecord {
        stage: named(get(row, "stage")?, "stage")?,
        state: named(get(row, "state")?, "state")?,
        started_us: get(row, "started_us")?,
        ended_us: get(row, "ended_us")?,
        reused: get(row, "reused")?,
        error_kind: kind.map(|kind| named(kind, "error_kind")).transpose()?,
        error: get(row, "error")?,
    })
}
