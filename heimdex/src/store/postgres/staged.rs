//! What other models made of videos, beside what is searched, until the library switches to it.

use std::collections::{BTreeMap, BTreeSet};

use sqlx::PgPool;
use uuid::Uuid;

use super::write::{Turn, Tx, forget_checkpoints, insert_tags, lock_library, take_turn};
use super::{failed, json, unreadable, vectors};
use crate::annotate::Tag;
use crate::embed::EmbedSpec;
use crate::store::{IndexedVideo, check_staged};
use crate::{Error, LibraryId, Result, VideoId};

pub(super) async fn stage(pool: &PgPool, library: LibraryId, video: &IndexedVideo) -> Result<()> {
    let failed = failed("staging a video");
    let id = video.video.id;
    let mut tx = pool.begin().await.map_err(&failed)?;
    take_turn(&mut tx, library, id, Turn::OfLibrary).await?;
    let before = super::read::index_in(&mut tx, library, id)
        .await?
        .ok_or_else(|| Error::not_found("indexed video", id.to_string()))?;
    check_staged(&before, video)?;
    for sql in [
        "DELETE FROM staged WHERE library_id = $1 AND video_id = $2",
        "DELETE FROM vectors WHERE library_id = $1 AND video_id = $2
         AND space_id IN (SELECT space_id FROM spaces WHERE library_id = $1 AND NOT active)",
    ] {
        sqlx::query(sql).bind(library.0).bind(id.0).execute(&mut *tx).await.map_err(&failed)?;
    }
    vectors::forget_empty_spaces(&mut tx, library).await?;
    let held: BTreeSet<String> = before.spaces.iter().map(EmbedSpec::space).collect();
    for spec in video.spaces.iter().filter(|spec| !held.contains(&spec.space())) {
        vectors::make_space(&mut tx, library, spec, false).await?;
    }
    vectors::insert(&mut tx, library, video, &held).await?;
    let tags: Vec<&[Tag]> = video.scenes.iter().map(|s| s.tags.as_slice()).collect();
    sqlx::query(
        "INSERT INTO staged (library_id, video_id, settings, spaces, tags) VALUES ($1, $2, $3, $4, $5)",
    )
    .bind(library.0)
    .bind(id.0)
    .bind(json(&video.video.settings)?)
    .bind(json(&video.spaces)?)
    .bind(json(&tags)?)
    .execute(&mut *tx)
    .await
    .map_err(&failed)?;
    forget_checkpoints(&mut tx, library, id).await?;
    tx.commit().await.map_err(&failed)
}

pub(super) async fn settings(
    pool: &PgPool,
    library: LibraryId,
    video: VideoId,
) -> Result<Option<BTreeMap<String, String>>> {
    let settings: Option<String> =
        sqlx::query_scalar("SELECT settings FROM staged WHERE library_id = $1 AND video_id = $2")
            .bind(library.0)
            .bind(video.0)
            .fetch_optional(pool)
            .await
            .map_err(failed("reading what is staged"))?;
    settings.map(|settings| serde_json::from_str(&settings).map_err(unreadable("settings"))).transpose()
}

pub(super) async fn switch(pool: &PgPool, library: LibraryId) -> Result<u64> {
    let failed = failed("switching to what is staged");
    let mut tx = pool.begin().await.map_err(&failed)?;
    lock_library(&mut tx, library, Turn::OfLibrary).await?;
    let missing: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM videos v WHERE library_id = $1 AND searchable AND NOT EXISTS
             (SELECT 1 FROM staged s WHERE s.library_id = v.library_id AND s.video_id = v.video_id)",
    )
    .bind(library.0)
    .fetch_one(&mut *tx)
    .await
    .map_err(&failed)?;
    if missing > 0 {
        return Ok(missing.unsigned_abs());
    }
    let videos: Vec<Uuid> =
        sqlx::query_scalar("SELECT video_id FROM staged WHERE library_id = $1 ORDER BY 1")
            .bind(library.0)
            .fetch_all(&mut *tx)
            .await
            .map_err(&failed)?;
    let mut spaces = BTreeSet::new();
    for video in videos {
        spaces.extend(take(&mut tx, library, VideoId(video)).await?);
    }
    let spaces: Vec<String> = spaces.into_iter().collect();
    sqlx::query("UPDATE spaces SET active = space = ANY($2) WHERE library_id = $1")
        .bind(library.0)
        .bind(spaces)
        .execute(&mut *tx)
        .await
        .map_err(&failed)?;
    for sql in [
        "DELETE FROM vectors WHERE library_id = $1
         AND space_id IN (SELECT space_id FROM spaces WHERE library_id = $1 AND NOT active)",
        "DELETE FROM spaces WHERE library_id = $1 AND NOT active",
        "DELETE FROM staged WHERE library_id = $1",
    ] {
        sqlx::query(sql).bind(library.0).execute(&mut *tx).await.map_err(&failed)?;
    }
    tx.commit().await.map_err(&failed)?;
    Ok(0)
}

/// Puts what is staged for a video in its place, and gives its spaces.
async fn take(tx: &mut Tx<'_>, library: LibraryId, video: VideoId) -> Result<Vec<String>> {
    let failed = failed("switching to what is staged");
    let (spaces, staged): (String, String) = sqlx::query_as(
        "UPDATE videos v SET settings = s.settings, spaces = s.spaces FROM staged s
         WHERE v.library_id = $1 AND v.video_id = $2 AND s.library_id = $1 AND s.video_id = $2
         RETURNING s.spaces, s.tags",
    )
    .bind(library.0)
    .bind(video.0)
    .fetch_one(&mut **tx)
    .await
    .map_err(&failed)?;
    let spaces: Vec<EmbedSpec> = serde_json::from_str(&spaces).map_err(unreadable("spaces"))?;
    let scenes: Vec<Vec<Tag>> = serde_json::from_str(&staged).map_err(unreadable("tags"))?;
    sqlx::query("DELETE FROM tags WHERE library_id = $1 AND video_id = $2")
        .bind(library.0)
        .bind(video.0)
        .execute(&mut **tx)
        .await
        .map_err(&failed)?;
    insert_tags(tx, library, video, scenes.iter().map(Vec::as_slice)).await?;
    sqlx::query(
        "UPDATE scenes SET tags = t.tags FROM unnest($3::text[]) WITH ORDINALITY AS t (tags, place)
         WHERE library_id = $1 AND video_id = $2 AND ordinal = t.place - 1",
    )
    .bind(library.0)
    .bind(video.0)
    .bind(scenes.iter().map(json).collect::<Result<Vec<_>>>()?)
    .execute(&mut **tx)
    .await
    .map_err(&failed)?;
    Ok(spaces.iter().map(EmbedSpec::space).collect())
}
