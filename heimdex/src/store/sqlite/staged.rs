//! What other models made of videos, beside what is searched, until the library switches to it.

use std::collections::{BTreeMap, BTreeSet};

use sqlx::{Row, SqliteConnection, SqlitePool};

use super::write::{Tx, forget_checkpoints};
use super::{failed, json as text, library_bytes, tags, unreadable, vectors, video_bytes, video_id};
use crate::annotate::Tag;
use crate::embed::EmbedSpec;
use crate::store::{IndexedVideo, check_staged};
use crate::{Error, LibraryId, Result, VideoId};

pub(super) async fn stage(pool: &SqlitePool, library: LibraryId, video: &IndexedVideo) -> Result<()> {
    let failed = failed("staging a video");
    let id = video.video.id;
    let mut tx = pool.begin_with("BEGIN IMMEDIATE").await.map_err(&failed)?;
    let before = super::read::index_in(&mut tx, library, id)
        .await?
        .ok_or_else(|| Error::not_found("indexed video", id.to_string()))?;
    check_staged(&before, video)?;
    forget(&mut tx, library, id).await?;
    let held: BTreeSet<String> = before.spaces.iter().map(EmbedSpec::space).collect();
    for spec in video.spaces.iter().filter(|spec| !held.contains(&spec.space())) {
        vectors::insert_space(&mut tx, library, video, spec, false).await?;
    }
    let tags: Vec<&[Tag]> = video.scenes.iter().map(|s| s.tags.as_slice()).collect();
    sqlx::query("INSERT INTO staged (library_id, video_id, settings, spaces, tags) VALUES (?, ?, ?, ?, ?)")
        .bind(library_bytes(library))
        .bind(video_bytes(id))
        .bind(text(&video.video.settings)?)
        .bind(text(&video.spaces)?)
        .bind(text(&tags)?)
        .execute(&mut *tx)
        .await
        .map_err(&failed)?;
    forget_checkpoints(&mut tx, library, id).await?;
    tx.commit().await.map_err(&failed)
}

/// Takes away what was staged for a video before.
async fn forget(tx: &mut Tx<'_>, library: LibraryId, video: VideoId) -> Result<()> {
    for sql in [
        "DELETE FROM staged WHERE library_id = ? AND video_id = ?",
        "DELETE FROM codes WHERE library_id = ? AND video_id = ?
         AND space_id IN (SELECT space_id FROM spaces WHERE NOT active)",
        "DELETE FROM vectors WHERE library_id = ? AND video_id = ?
         AND space_id IN (SELECT space_id FROM spaces WHERE NOT active)",
    ] {
        sqlx::query(sql)
            .bind(library_bytes(library))
            .bind(video_bytes(video))
            .execute(&mut **tx)
            .await
            .map_err(failed("removing what was staged"))?;
    }
    vectors::forget_empty_spaces(tx, library).await
}

pub(super) async fn settings(
    reader: &mut SqliteConnection,
    library: LibraryId,
    video: VideoId,
) -> Result<Option<BTreeMap<String, String>>> {
    let settings: Option<String> =
        sqlx::query_scalar("SELECT settings FROM staged WHERE library_id = ? AND video_id = ?")
            .bind(library_bytes(library))
            .bind(video_bytes(video))
            .fetch_optional(reader)
            .await
            .map_err(failed("reading what is staged"))?;
    settings.map(|settings| serde_json::from_str(&settings).map_err(unreadable("settings"))).transpose()
}

pub(super) async fn switch(pool: &SqlitePool, library: LibraryId) -> Result<u64> {
    let failed = failed("switching to what is staged");
    let mut tx = pool.begin_with("BEGIN IMMEDIATE").await.map_err(&failed)?;
    let missing: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM videos v WHERE library_id = ? AND searchable AND NOT EXISTS
             (SELECT 1 FROM staged s WHERE s.library_id = v.library_id AND s.video_id = v.video_id)",
    )
    .bind(library_bytes(library))
    .fetch_one(&mut *tx)
    .await
    .map_err(&failed)?;
    if missing > 0 {
        return Ok(missing.unsigned_abs());
    }
    let videos: Vec<Vec<u8>> = sqlx::query_scalar("SELECT video_id FROM staged WHERE library_id = ?")
        .bind(library_bytes(library))
        .fetch_all(&mut *tx)
        .await
        .map_err(&failed)?;
    let mut spaces = BTreeSet::new();
    for video in videos {
        spaces.extend(take(&mut tx, library, video_id(&video)?).await?);
    }
    let spaces = text(&spaces)?;
    // Of videos that are only listed, and spaces that no video has any more.
    for sql in [
        "UPDATE spaces SET active = space IN (SELECT value FROM json_each(?2)) WHERE library_id = ?1",
        "DELETE FROM codes WHERE library_id = ?1 AND space_id IN (SELECT space_id FROM spaces WHERE NOT active)",
        "DELETE FROM vectors WHERE library_id = ?1 AND space_id IN (SELECT space_id FROM spaces WHERE NOT active)",
        "DELETE FROM spaces WHERE library_id = ?1 AND NOT active",
        "DELETE FROM staged WHERE library_id = ?1",
    ] {
        sqlx::query(sql)
            .bind(library_bytes(library))
            .bind(&spaces)
            .execute(&mut *tx)
            .await
            .map_err(&failed)?;
    }
    tx.commit().await.map_err(&failed)?;
    Ok(0)
}

/// Puts what is staged for a video in its place, and gives its spaces.
async fn take(tx: &mut Tx<'_>, library: LibraryId, video: VideoId) -> Result<Vec<String>> {
    let failed = failed("switching to what is staged");
    let row = sqlx::query(
        "UPDATE videos AS v SET settings = s.settings, spaces = s.spaces FROM staged s
         WHERE v.library_id = ?1 AND v.video_id = ?2 AND s.library_id = ?1 AND s.video_id = ?2
         RETURNING spaces, (SELECT tags FROM staged WHERE library_id = ?1 AND video_id = ?2)",
    )
    .bind(library_bytes(library))
    .bind(video_bytes(video))
    .fetch_one(&mut **tx)
    .await
    .map_err(&failed)?;
    let spaces: Vec<EmbedSpec> =
        serde_json::from_str(row.try_get(0).map_err(&failed)?).map_err(unreadable("spaces"))?;
    let staged: &str = row.try_get(1).map_err(&failed)?;
    let scenes: Vec<Vec<Tag>> = serde_json::from_str(staged).map_err(unreadable("tags"))?;
    sqlx::query("DELETE FROM tags WHERE library_id = ? AND video_id = ?")
        .bind(library_bytes(library))
        .bind(video_bytes(video))
        .execute(&mut **tx)
        .await
        .map_err(&failed)?;
    tags::insert(tx, library, video, scenes.iter().map(Vec::as_slice)).await?;
    sqlx::query(
        "UPDATE scenes SET tags = t.value FROM json_each(?3) t
         WHERE library_id = ?1 AND video_id = ?2 AND ordinal = t.key",
    )
    .bind(library_bytes(library))
    .bind(video_bytes(video))
    .bind(staged)
    .execute(&mut **tx)
    .await
    .map_err(&failed)?;
    Ok(spaces.iter().map(EmbedSpec::space).collect())
}
