//! What changes the index. Every change is one transaction.

use serde_json::{Value, json};
use sqlx::{Sqlite, SqlitePool, Transaction};

use super::{failed, json as text, library_bytes, tags, vectors, video_bytes, words};
use crate::store::parts::variant_name;
use crate::store::{IndexedVideo, StageRecord, VideoRecord};
use crate::{LibraryId, Result, Stage, VideoId};

/// How many changes processes with codes in memory can be behind before they read all again.
const KEPT_CHANGES: i64 = 10_000;

pub(super) async fn replace(pool: &SqlitePool, library: LibraryId, video: &IndexedVideo) -> Result<()> {
    let failed = failed("storing a video");
    let mut tx = pool.begin_with("BEGIN IMMEDIATE").await.map_err(&failed)?;
    let id = video.video.id;
    leave_files(&mut tx, library, id).await?;
    delete_rows(&mut tx, library, id).await?;
    insert_record(&mut tx, library, &video.video, Some(video)).await?;
    insert_parts(&mut tx, library, video).await?;
    words::insert(&mut tx, library, video).await?;
    tags::insert(&mut tx, library, id, video.scenes.iter().map(|s| s.tags.as_slice())).await?;
    vectors::insert(&mut tx, library, video).await?;
    let files: Vec<&String> =
        video.keyframes.iter().flat_map(|k| [&k.thumbnail, &k.picture]).flatten().collect();
    sqlx::query(
        "DELETE FROM leftovers WHERE library_id = ? AND video_id = ? AND file IN (SELECT value FROM json_each(?))",
    )
    .bind(library_bytes(library))
    .bind(video_bytes(id))
    .bind(text(&files)?)
    .execute(&mut *tx)
    .await
    .map_err(&failed)?;
    forget_checkpoints(&mut tx, library, id).await?;
    note_change(&mut tx, library, id).await?;
    tx.commit().await.map_err(&failed)
}

pub(super) async fn set_state(pool: &SqlitePool, library: LibraryId, video: &VideoRecord) -> Result<()> {
    let failed = failed("recording a video's state");
    let mut tx = pool.begin_with("BEGIN IMMEDIATE").await.map_err(&failed)?;
    let kept =
        sqlx::query("UPDATE videos SET state = ? WHERE library_id = ? AND video_id = ? AND searchable")
            .bind(variant_name(&video.state)?)
            .bind(library_bytes(library))
            .bind(video_bytes(video.id))
            .execute(&mut *tx)
            .await
            .map_err(&failed)?;
    if kept.rows_affected() == 0 {
        delete_rows(&mut tx, library, video.id).await?;
        insert_record(&mut tx, library, video, None).await?;
    }
    tx.commit().await.map_err(&failed)
}

pub(super) async fn delete(
    pool: &SqlitePool,
    library: LibraryId,
    video: VideoId,
) -> Result<Option<Vec<String>>> {
    let failed = failed("deleting a video");
    let mut tx = pool.begin_with("BEGIN IMMEDIATE").await.map_err(&failed)?;
    let files = sqlx::query_scalar(
        "SELECT file FROM (SELECT ordinal, thumbnail AS file FROM keyframes WHERE library_id = ?1 AND video_id = ?2
                           UNION ALL SELECT ordinal, picture FROM keyframes WHERE library_id = ?1 AND video_id = ?2)
         WHERE file IS NOT NULL ORDER BY ordinal, file",
    )
    .bind(library_bytes(library))
    .bind(video_bytes(video))
    .fetch_all(&mut *tx)
    .await
    .map_err(&failed)?;
    leave_files(&mut tx, library, video).await?;
    if !delete_rows(&mut tx, library, video).await? {
        return Ok(None);
    }
    for table in [
        "DELETE FROM stages WHERE library_id = ? AND video_id = ?",
        "DELETE FROM checkpoints WHERE library_id = ? AND video_id = ?",
    ] {
        sqlx::query(table)
            .bind(library_bytes(library))
            .bind(video_bytes(video))
            .execute(&mut *tx)
            .await
            .map_err(&failed)?;
    }
    note_change(&mut tx, library, video).await?;
    tx.commit().await.map_err(&failed)?;
    Ok(Some(files))
}

pub(super) async fn delete_library(pool: &SqlitePool, library: LibraryId) -> Result<()> {
    let failed = failed("deleting a library");
    let mut tx = pool.begin_with("BEGIN IMMEDIATE").await.map_err(&failed)?;
    words::forget_library(&mut tx, library).await?;
    for sql in [
        "INSERT OR IGNORE INTO leftovers (library_id, video_id, file)
         SELECT library_id, video_id, thumbnail FROM keyframes WHERE library_id = ?1 AND thumbnail IS NOT NULL
         UNION SELECT library_id, video_id, picture FROM keyframes WHERE library_id = ?1 AND picture IS NOT NULL",
        "DELETE FROM videos WHERE library_id = ?1",
        "DELETE FROM spaces WHERE library_id = ?1",
        "DELETE FROM stages WHERE library_id = ?1",
        "DELETE FROM checkpoints WHERE library_id = ?1",
    ] {
        sqlx::query(sql).bind(library_bytes(library)).execute(&mut *tx).await.map_err(&failed)?;
    }
    tx.commit().await.map_err(&failed)
}

pub(super) async fn forget_leftovers(pool: &SqlitePool, library: LibraryId, files: &[String]) -> Result<()> {
    sqlx::query("DELETE FROM leftovers WHERE library_id = ? AND file IN (SELECT value FROM json_each(?))")
        .bind(library_bytes(library))
        .bind(text(&files)?)
        .execute(pool)
        .await
        .map(|_| ())
        .map_err(failed("recording deleted files"))
}

/// The files of a video are to be deleted, unless a new index names them.
async fn leave_files(tx: &mut Tx<'_>, library: LibraryId, video: VideoId) -> Result<()> {
    sqlx::query(
        "INSERT OR IGNORE INTO leftovers (library_id, video_id, file)
         SELECT ?1, ?2, thumbnail FROM keyframes WHERE library_id = ?1 AND video_id = ?2 AND thumbnail IS NOT NULL
         UNION SELECT ?1, ?2, picture FROM keyframes WHERE library_id = ?1 AND video_id = ?2 AND picture IS NOT NULL",
    )
    .bind(library_bytes(library))
    .bind(video_bytes(video))
    .execute(&mut **tx)
    .await
    .map(|_| ())
    .map_err(failed("recording files to delete"))
}

/// Of the stages that made vectors: their outputs are in the index now, and are the large ones.
pub(super) async fn forget_checkpoints(tx: &mut Tx<'_>, library: LibraryId, video: VideoId) -> Result<()> {
    sqlx::query("DELETE FROM checkpoints WHERE library_id = ? AND video_id = ? AND stage LIKE 'embed\\_%' ESCAPE '\\'")
        .bind(library_bytes(library))
        .bind(video_bytes(video))
        .execute(&mut **tx)
        .await
        .map(|_| ())
        .map_err(failed("removing kept outputs"))
}

pub(super) type Tx<'a> = Transaction<'a, Sqlite>;

/// Removes a video and, by cascade, all that was derived from it. False when it was not there.
async fn delete_rows(tx: &mut Tx<'_>, library: LibraryId, video: VideoId) -> Result<bool> {
    words::forget(tx, library, video).await?;
    sqlx::query("DELETE FROM videos WHERE library_id = ? AND video_id = ?")
        .bind(library_bytes(library))
        .bind(video_bytes(video))
        .execute(&mut **tx)
        .await
        .map(|done| done.rows_affected() > 0)
        .map_err(failed("removing what was stored before"))
}

async fn note_change(tx: &mut Tx<'_>, library: LibraryId, video: VideoId) -> Result<()> {
    let failed = failed("recording a change");
    let change: i64 =
        sqlx::query_scalar("INSERT INTO changes (library_id, video_id) VALUES (?, ?) RETURNING change_id")
            .bind(library_bytes(library))
            .bind(video_bytes(video))
            .fetch_one(&mut **tx)
            .await
            .map_err(&failed)?;
    sqlx::query("DELETE FROM changes WHERE change_id <= ?")
        .bind(change - KEPT_CHANGES)
        .execute(&mut **tx)
        .await
        .map(|_| ())
        .map_err(&failed)
}

async fn insert_record(
    tx: &mut Tx<'_>,
    library: LibraryId,
    video: &VideoRecord,
    index: Option<&IndexedVideo>,
) -> Result<()> {
    let transcript = index.and_then(|i| i.transcript.as_ref()).map(text).transpose()?;
    sqlx::query(
        "INSERT INTO videos (library_id, video_id, source, title, description, fingerprint, duration_us, media,
             language, created_at, warnings, settings, state, searchable, transcript, spaces)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(library_bytes(library))
    .bind(video_bytes(video.id))
    .bind(&video.source)
    .bind(&video.title)
    .bind(&video.description)
    .bind(&video.fingerprint)
    .bind(video.duration.as_micros())
    .bind(text(&video.media)?)
    .bind(&video.language)
    .bind(&video.created_at)
    .bind(text(&video.warnings)?)
    .bind(text(&video.settings)?)
    .bind(variant_name(&video.state)?)
    .bind(index.is_some())
    .bind(transcript)
    .bind(text(&index.map(|i| i.spaces.as_slice()).unwrap_or_default())?)
    .execute(&mut **tx)
    .await
    .map(|_| ())
    .map_err(failed("storing a video"))
}

/// Rows go in as one JSON array per table: SQLite takes them apart faster than statements arrive.
pub(super) async fn insert_rows(
    tx: &mut Tx<'_>,
    library: LibraryId,
    video: VideoId,
    sql: &str,
    rows: Vec<Value>,
) -> Result<()> {
    sqlx::query(sqlx::AssertSqlSafe(sql))
        .bind(library_bytes(library))
        .bind(video_bytes(video))
        .bind(Value::Array(rows).to_string())
        .execute(&mut **tx)
        .await
        .map(|_| ())
        .map_err(failed("storing a video's parts"))
}

async fn insert_parts(tx: &mut Tx<'_>, library: LibraryId, video: &IndexedVideo) -> Result<()> {
    let id = video.video.id;
    let shots = video.shots.iter().map(|s| json!([s.span.start, s.span.end])).collect();
    let sql = "INSERT INTO shots (library_id, video_id, ordinal, start_us, end_us)
               SELECT ?1, ?2, key, value ->> 0, value ->> 1 FROM json_each(?3)";
    insert_rows(tx, library, id, sql, shots).await?;

    let keyframes =
        video.keyframes.iter().map(|k| json!([k.time, k.shot, k.quality, k.thumbnail, k.picture])).collect();
    let sql = "INSERT INTO keyframes (library_id, video_id, ordinal, time_us, shot, quality, thumbnail, picture)
               SELECT ?1, ?2, key, value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4 FROM json_each(?3)";
    insert_rows(tx, library, id, sql, keyframes).await?;

    let segments = video.segments.iter().map(|segment| json!([segment])).collect();
    let sql = "INSERT INTO segments (library_id, video_id, ordinal, segment)
               SELECT ?1, ?2, key, value -> 0 FROM json_each(?3)";
    insert_rows(tx, library, id, sql, segments).await?;

    let scenes = video
        .scenes
        .iter()
        .map(|s| {
            json!([
                s.scene.span.start,
                s.scene.span.end,
                s.scene.shot,
                s.scene.speech,
                s.scene.words,
                s.texts,
                s.tags
            ])
        })
        .collect();
    let sql =
        "INSERT INTO scenes (library_id, video_id, ordinal, start_us, end_us, shot, speech, words, texts, tags)
               SELECT ?1, ?2, key, value ->> 0, value ->> 1, value ->> 2, value ->> 3, value -> 4, value -> 5,
                      value -> 6
               FROM json_each(?3)";
    insert_rows(tx, library, id, sql, scenes).await
}

/// The last id given out by a table with AUTOINCREMENT. Nobody else writes during a transaction.
pub(super) async fn last_id(tx: &mut Tx<'_>, table: &'static str) -> Result<i64> {
    sqlx::query_scalar("SELECT seq FROM sqlite_sequence WHERE name = ?")
        .bind(table)
        .fetch_optional(&mut **tx)
        .await
        .map(Option::unwrap_or_default)
        .map_err(failed("reading the last id"))
}

pub(super) async fn save_checkpoint(
    pool: &SqlitePool,
    library: LibraryId,
    video: VideoId,
    stage: Stage,
    key: &str,
    output: &[u8],
) -> Result<()> {
    sqlx::query("INSERT OR REPLACE INTO checkpoints (library_id, video_id, stage, key, output) VALUES (?, ?, ?, ?, ?)")
        .bind(library_bytes(library))
        .bind(video_bytes(video))
        .bind(stage.as_str())
        .bind(key)
        .bind(output)
        .execute(pool)
        .await
        .map(|_| ())
        .map_err(failed("keeping a stage's output"))
}

pub(super) async fn record_stage(
    pool: &SqlitePool,
    library: LibraryId,
    video: VideoId,
    record: &StageRecord,
) -> Result<()> {
    let position = Stage::ALL.iter().position(|s| *s == record.stage).unwrap_or_default();
    sqlx::query(
        "INSERT OR REPLACE INTO stages (library_id, video_id, stage, position, state, started_us, ended_us, reused,
             error_kind, error)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(library_bytes(library))
    .bind(video_bytes(video))
    .bind(record.stage.as_str())
    .bind(position as i64)
    .bind(variant_name(&record.state)?)
    .bind(record.started_us)
    .bind(record.ended_us)
    .bind(record.reused)
    .bind(record.error_kind.map(crate::error::ErrorKind::as_str))
    .bind(&record.error)
    .execute(pool)
    .await
    .map(|_| ())
    .map_err(failed("recording a stage"))
}
