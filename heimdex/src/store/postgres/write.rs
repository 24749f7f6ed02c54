//! What changes the index. Every change is one transaction.

use std::collections::BTreeSet;

use sqlx::{PgPool, Postgres, Transaction};
use uuid::Uuid;

use super::schema::{KEYFRAMES, SCENES, SEGMENTS, SHOTS, TAGS};
use super::{failed, json, storable, vectors, words};
use crate::annotate::Tag;
use crate::store::parts::{date_ms, variant_name};
use crate::store::{IndexedVideo, StageRecord, VideoRecord, tag_key};
use crate::{LibraryId, Result, Stage, VideoId};

pub(super) type Tx<'a> = Transaction<'a, Postgres>;

pub(super) async fn replace(pool: &PgPool, library: LibraryId, video: &IndexedVideo) -> Result<()> {
    // Most videos change nothing but their own rows. One that brings a space waits for all others.
    if !replace_in_turn(pool, library, video, Turn::OfVideo).await? {
        replace_in_turn(pool, library, video, Turn::OfLibrary).await?;
    }
    Ok(())
}

/// False, and nothing is changed, when it takes the turn of the library.
async fn replace_in_turn(
    pool: &PgPool,
    library: LibraryId,
    video: &IndexedVideo,
    turn: Turn,
) -> Result<bool> {
    let failed = failed("storing a video");
    let mut tx = pool.begin().await.map_err(&failed)?;
    let id = video.video.id;
    take_turn(&mut tx, library, id, turn).await?;
    if turn == Turn::OfVideo && !vectors::spaces_are_known(&mut tx, library, video).await? {
        return Ok(false);
    }
    leave_files(&mut tx, library, id).await?;
    let before = words::count(&mut tx, library, id).await?;
    delete_rows(&mut tx, library, id).await?;
    if turn == Turn::OfLibrary {
        vectors::make_spaces(&mut tx, library, video).await?;
    }
    insert_record(&mut tx, library, &video.video, Some(video)).await?;
    insert_parts(&mut tx, library, video).await?;
    let after = words::insert(&mut tx, library, video).await?;
    insert_tags(&mut tx, library, id, video.scenes.iter().map(|s| s.tags.as_slice())).await?;
    vectors::insert(&mut tx, library, video, &BTreeSet::new()).await?;
    let files: Vec<&String> =
        video.keyframes.iter().flat_map(|k| [&k.thumbnail, &k.picture]).flatten().collect();
    sqlx::query("DELETE FROM leftovers WHERE library_id = $1 AND video_id = $2 AND file = ANY($3)")
        .bind(library.0)
        .bind(id.0)
        .bind(files)
        .execute(&mut *tx)
        .await
        .map_err(&failed)?;
    forget_checkpoints(&mut tx, library, id).await?;
    words::add_count(&mut tx, library, after - before).await?;
    tx.commit().await.map_err(&failed)?;
    Ok(true)
}

/// Whom a writer keeps out until its transaction ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    /// Other writers of the video, and whoever changes the library's spaces.
    OfVideo,
    /// All writers of the library: its spaces change.
    OfLibrary,
}

/// Makes the library's row where there is none, and waits for the turn.
pub(super) async fn take_turn(tx: &mut Tx<'_>, library: LibraryId, video: VideoId, turn: Turn) -> Result<()> {
    let failed = failed("waiting for other writers");
    sqlx::query("INSERT INTO libraries (library_id) VALUES ($1) ON CONFLICT DO NOTHING")
        .bind(library.0)
        .execute(&mut **tx)
        .await
        .map_err(&failed)?;
    lock_library(tx, library, turn).await?;
    let (high, low) = (library.0.as_u64_pair(), video.0.as_u64_pair());
    let key = high.0 ^ high.1.rotate_left(17) ^ low.0 ^ low.1.rotate_left(31);
    sqlx::query("SELECT pg_advisory_xact_lock($1)")
        .bind(key.cast_signed())
        .execute(&mut **tx)
        .await
        .map(|_| ())
        .map_err(&failed)
}

pub(super) async fn lock_library(tx: &mut Tx<'_>, library: LibraryId, turn: Turn) -> Result<()> {
    let (high, low) = library.0.as_u64_pair();
    let sql = match turn {
        Turn::OfVideo => "SELECT pg_advisory_xact_lock_shared($1)",
        Turn::OfLibrary => "SELECT pg_advisory_xact_lock($1)",
    };
    sqlx::query(sql)
        .bind((high ^ low.rotate_left(7)).cast_signed())
        .execute(&mut **tx)
        .await
        .map(|_| ())
        .map_err(failed("waiting for other writers"))
}

/// Of the stages that made vectors: their outputs are in the index now, and are the large ones.
pub(super) async fn forget_checkpoints(tx: &mut Tx<'_>, library: LibraryId, video: VideoId) -> Result<()> {
    sqlx::query("DELETE FROM checkpoints WHERE library_id = $1 AND video_id = $2 AND stage LIKE 'embed\\_%'")
        .bind(library.0)
        .bind(video.0)
        .execute(&mut **tx)
        .await
        .map(|_| ())
        .map_err(failed("removing kept outputs"))
}

pub(super) async fn set_state(pool: &PgPool, library: LibraryId, video: &VideoRecord) -> Result<()> {
    let failed = failed("recording a video's state");
    let mut tx = pool.begin().await.map_err(&failed)?;
    set_state_in(&mut tx, library, video).await?;
    tx.commit().await.map_err(&failed)
}

/// As [`set_state`], as a part of more.
pub(super) async fn set_state_in(tx: &mut Tx<'_>, library: LibraryId, video: &VideoRecord) -> Result<()> {
    take_turn(tx, library, video.id, Turn::OfVideo).await?;
    let kept =
        sqlx::query("UPDATE videos SET state = $3 WHERE library_id = $1 AND video_id = $2 AND searchable")
            .bind(library.0)
            .bind(video.id.0)
            .bind(variant_name(&video.state)?)
            .execute(&mut **tx)
            .await
            .map_err(failed("recording a video's state"))?;
    if kept.rows_affected() == 0 {
        delete_rows(tx, library, video.id).await?;
        insert_record(tx, library, video, None).await?;
    }
    Ok(())
}

pub(super) async fn delete(pool: &PgPool, library: LibraryId, video: VideoId) -> Result<Option<Vec<String>>> {
    let failed = failed("deleting a video");
    let mut tx = pool.begin().await.map_err(&failed)?;
    take_turn(&mut tx, library, video, Turn::OfVideo).await?;
    let files: Vec<String> = sqlx::query_scalar(
        "SELECT file FROM (SELECT ordinal, thumbnail AS file FROM keyframes WHERE library_id = $1 AND video_id = $2
                           UNION ALL SELECT ordinal, picture FROM keyframes WHERE library_id = $1 AND video_id = $2)
         WHERE file IS NOT NULL ORDER BY ordinal, file COLLATE \"C\"",
    )
    .bind(library.0)
    .bind(video.0)
    .fetch_all(&mut *tx)
    .await
    .map_err(&failed)?;
    leave_files(&mut tx, library, video).await?;
    let before = words::count(&mut tx, library, video).await?;
    if !delete_rows(&mut tx, library, video).await? {
        return Ok(None);
    }
    for table in [
        "DELETE FROM stages WHERE library_id = $1 AND video_id = $2",
        "DELETE FROM checkpoints WHERE library_id = $1 AND video_id = $2",
        // A worker that holds it finds it gone, and stops.
        "DELETE FROM jobs WHERE library_id = $1 AND video_id = $2",
    ] {
        sqlx::query(table).bind(library.0).bind(video.0).execute(&mut *tx).await.map_err(&failed)?;
    }
    words::add_count(&mut tx, library, -before).await?;
    tx.commit().await.map_err(&failed)?;
    Ok(Some(files))
}

pub(super) async fn delete_library(pool: &PgPool, library: LibraryId) -> Result<()> {
    let failed = failed("deleting a library");
    let mut tx = pool.begin().await.map_err(&failed)?;
    lock_library(&mut tx, library, Turn::OfLibrary).await?;
    sqlx::query(
        "INSERT INTO leftovers (library_id, video_id, file)
         SELECT library_id, video_id, file
         FROM keyframes CROSS JOIN LATERAL unnest(ARRAY[thumbnail, picture]) AS file
         WHERE library_id = $1 AND file IS NOT NULL ON CONFLICT DO NOTHING",
    )
    .bind(library.0)
    .execute(&mut *tx)
    .await
    .map_err(&failed)?;
    for table in [
        "DELETE FROM stages WHERE library_id = $1",
        "DELETE FROM checkpoints WHERE library_id = $1",
        // Vectors name their space, so they go before it.
        "DELETE FROM videos WHERE library_id = $1",
        "DELETE FROM libraries WHERE library_id = $1",
    ] {
        sqlx::query(table).bind(library.0).execute(&mut *tx).await.map_err(&failed)?;
    }
    tx.commit().await.map_err(&failed)
}

pub(super) async fn forget_leftovers(pool: &PgPool, library: LibraryId, files: &[String]) -> Result<()> {
    sqlx::query("DELETE FROM leftovers WHERE library_id = $1 AND file = ANY($2)")
        .bind(library.0)
        .bind(files)
        .execute(pool)
        .await
        .map(|_| ())
        .map_err(failed("recording deleted files"))
}

/// The files of a video are to be deleted, unless a new index names them.
async fn leave_files(tx: &mut Tx<'_>, library: LibraryId, video: VideoId) -> Result<()> {
    sqlx::query(
        "INSERT INTO leftovers (library_id, video_id, file)
         SELECT library_id, video_id, file
         FROM keyframes CROSS JOIN LATERAL unnest(ARRAY[thumbnail, picture]) AS file
         WHERE library_id = $1 AND video_id = $2 AND file IS NOT NULL ON CONFLICT DO NOTHING",
    )
    .bind(library.0)
    .bind(video.0)
    .execute(&mut **tx)
    .await
    .map(|_| ())
    .map_err(failed("recording files to delete"))
}

/// Removes a video and, by cascade, all that was derived from it. False when it was not there.
async fn delete_rows(tx: &mut Tx<'_>, library: LibraryId, video: VideoId) -> Result<bool> {
    sqlx::query("DELETE FROM videos WHERE library_id = $1 AND video_id = $2")
        .bind(library.0)
        .bind(video.0)
        .execute(&mut **tx)
        .await
        .map(|done| done.rows_affected() > 0)
        .map_err(failed("removing what was stored before"))
}

async fn insert_record(
    tx: &mut Tx<'_>,
    library: LibraryId,
    video: &VideoRecord,
    index: Option<&IndexedVideo>,
) -> Result<()> {
    let transcript = index.and_then(|i| i.transcript.as_ref()).map(json).transpose()?;
    sqlx::query(
        "INSERT INTO videos (library_id, video_id, source, title, description, fingerprint, duration_us, media,
             language, created_at, created_ms, warnings, settings, state, searchable, transcript, spaces)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)",
    )
    .bind(library.0)
    .bind(video.id.0)
    .bind(storable(&video.source))
    .bind(storable(&video.title))
    .bind(storable(&video.description))
    .bind(storable(&video.fingerprint))
    .bind(video.duration.as_micros())
    .bind(json(&video.media)?)
    .bind(video.language.as_deref().map(storable))
    .bind(video.created_at.as_deref().map(storable))
    .bind(video.created_at.as_deref().and_then(date_ms))
    .bind(json(&video.warnings)?)
    .bind(json(&video.settings)?)
    .bind(variant_name(&video.state)?)
    .bind(index.is_some())
    .bind(transcript)
    .bind(json(&index.map(|i| i.spaces.as_slice()).unwrap_or_default())?)
    .execute(&mut **tx)
    .await
    .map(|_| ())
    .map_err(failed("storing a video"))
}

/// The numbers 0, 1, ... as Postgres counts.
fn ordinals(count: usize) -> Vec<i32> {
    (0..count as i32).collect()
}

async fn insert_parts(tx: &mut Tx<'_>, library: LibraryId, video: &IndexedVideo) -> Result<()> {
    let failed = failed("storing a video's parts");
    let (library, id): (Uuid, Uuid) = (library.0, video.video.id.0);
    let rows = |sql: String| sqlx::query(sqlx::AssertSqlSafe(sql)).bind(library).bind(id);

    let shots = &video.shots;
    rows(SHOTS.insert())
        .bind(ordinals(shots.len()))
        .bind(shots.iter().map(|s| s.span.start.as_micros()).collect::<Vec<_>>())
        .bind(shots.iter().map(|s| s.span.end.as_micros()).collect::<Vec<_>>())
        .execute(&mut **tx)
        .await
        .map_err(&failed)?;

    let keyframes = &video.keyframes;
    rows(KEYFRAMES.insert())
        .bind(ordinals(keyframes.len()))
        .bind(keyframes.iter().map(|k| k.time.as_micros()).collect::<Vec<_>>())
        .bind(keyframes.iter().map(|k| k.shot as i32).collect::<Vec<_>>())
        .bind(keyframes.iter().map(|k| k.quality).collect::<Vec<_>>())
        .bind(keyframes.iter().map(|k| k.thumbnail.as_deref().map(storable)).collect::<Vec<_>>())
        .bind(keyframes.iter().map(|k| k.picture.as_deref().map(storable)).collect::<Vec<_>>())
        .execute(&mut **tx)
        .await
        .map_err(&failed)?;

    rows(SEGMENTS.insert())
        .bind(ordinals(video.segments.len()))
        .bind(video.segments.iter().map(json).collect::<Result<Vec<_>>>()?)
        .execute(&mut **tx)
        .await
        .map_err(&failed)?;

    let scenes = &video.scenes;
    rows(SCENES.insert())
        .bind(ordinals(scenes.len()))
        .bind(scenes.iter().map(|s| s.scene.span.start.as_micros()).collect::<Vec<_>>())
        .bind(scenes.iter().map(|s| s.scene.span.end.as_micros()).collect::<Vec<_>>())
        .bind(scenes.iter().map(|s| s.scene.shot as i32).collect::<Vec<_>>())
        .bind(scenes.iter().map(|s| storable(&s.scene.speech)).collect::<Vec<_>>())
        .bind(scenes.iter().map(|s| json(&s.scene.words)).collect::<Result<Vec<_>>>()?)
        .bind(scenes.iter().map(|s| json(&s.texts)).collect::<Result<Vec<_>>>()?)
        .bind(scenes.iter().map(|s| json(&s.tags)).collect::<Result<Vec<_>>>()?)
        .execute(&mut **tx)
        .await
        .map(|_| ())
        .map_err(&failed)
}

/// Stores the tags of a video's scenes, given in order of ordinal.
pub(super) async fn insert_tags(
    tx: &mut Tx<'_>,
    library: LibraryId,
    video: VideoId,
    scenes: impl Iterator<Item = &[Tag]>,
) -> Result<()> {
    let (mut keys, mut ordinals, mut labels, mut scores) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for (ordinal, tags) in (0_i32..).zip(scenes) {
        for tag in tags {
            for name in std::iter::once(&tag.label).chain(&tag.names) {
                let key = tag_key(name);
                if !key.is_empty() {
                    keys.push(key);
                    ordinals.push(ordinal);
                    labels.push(storable(&tag.label));
                    // As it is written, so that sums are those of other stores.
                    scores.push(tag.score.to_string().parse().unwrap_or_else(|_| f64::from(tag.score)));
                }
            }
        }
    }
    // Two names of a tag may be one key.
    sqlx::query(sqlx::AssertSqlSafe(format!("{} ON CONFLICT DO NOTHING", TAGS.insert())))
        .bind(library.0)
        .bind(video.0)
        .bind(keys)
        .bind(ordinals)
        .bind(labels)
        .bind(scores)
        .execute(&mut **tx)
        .await
        .map(|_| ())
        .map_err(failed("storing tags"))
}

pub(super) async fn save_checkpoint(
    pool: &PgPool,
    library: LibraryId,
    video: VideoId,
    stage: Stage,
    key: &str,
    output: &[u8],
) -> Result<()> {
    sqlx::query(
        "INSERT INTO checkpoints (library_id, video_id, stage, key, output) VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (library_id, video_id, stage) DO UPDATE SET key = excluded.key, output = excluded.output",
    )
    .bind(library.0)
    .bind(video.0)
    .bind(stage.as_str())
    .bind(key)
    .bind(output)
    .execute(pool)
    .await
    .map(|_| ())
    .map_err(failed("keeping a stage's output"))
}

pub(super) async fn record_stage(
    pool: &PgPool,
    library: LibraryId,
    video: VideoId,
    record: &StageRecord,
) -> Result<()> {
    let position = Stage::ALL.iter().position(|s| *s == record.stage).unwrap_or_default();
    sqlx::query(
        "INSERT INTO stages (library_id, video_id, stage, position, state, started_us, ended_us, reused, error_kind,
             error)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
         ON CONFLICT (library_id, video_id, stage) DO UPDATE SET state = excluded.state,
             started_us = excluded.started_us, ended_us = excluded.ended_us, reused = excluded.reused,
             error_kind = excluded.error_kind, error = excluded.error",
    )
    .bind(library.0)
    .bind(video.0)
    .bind(record.stage.as_str())
    .bind(position as i32)
    .bind(variant_name(&record.state)?)
    .bind(record.started_us)
    .bind(record.ended_us)
    .bind(record.reused)
    .bind(record.error_kind.map(crate::error::ErrorKind::as_str))
    .bind(record.error.as_deref().map(storable))
    .execute(pool)
    .await
    .map(|_| ())
    .map_err(failed("recording a stage"))
}
