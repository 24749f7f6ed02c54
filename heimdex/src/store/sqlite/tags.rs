//! Scenes by what they show.

use serde_json::{Value, json};
use sqlx::{Row, SqliteConnection};

use super::filter::{allowed_videos, bounds, listed};
use super::write::{Tx, insert_rows};
use super::{failed, library_bytes, scene_id};
use crate::annotate::Tag;
use crate::store::parts::{best_first, wanted_tags};
use crate::store::{Filter, ScoredScene, tag_key};
use crate::{LibraryId, Result, VideoId};

/// Stores the tags of a video's scenes, given in order of ordinal.
pub(super) async fn insert(
    tx: &mut Tx<'_>,
    library: LibraryId,
    video: VideoId,
    scenes: impl Iterator<Item = &[Tag]>,
) -> Result<()> {
    let mut rows: Vec<Value> = Vec::new();
    for (ordinal, tags) in scenes.enumerate() {
        for tag in tags {
            for name in std::iter::once(&tag.label).chain(&tag.names) {
                rows.push(json!([tag_key(name), ordinal, tag.label, tag.score]));
            }
        }
    }
    // Two names of a tag may be one key.
    let sql = "INSERT OR IGNORE INTO tags (library_id, tag, video_id, ordinal, label, score)
               SELECT ?1, value ->> 0, ?2, value ->> 1, value ->> 2, value ->> 3 FROM json_each(?3)
               WHERE value ->> 0 != ''";
    insert_rows(tx, library, video, sql, rows).await
}

pub(super) async fn search(
    reader: &mut SqliteConnection,
    library: LibraryId,
    tags: &[String],
    filter: &Filter,
    limit: usize,
) -> Result<Vec<ScoredScene>> {
    let failed = failed("searching tags");
    let allowed = allowed_videos(reader, library, filter).await?;
    let (start, end) = bounds(filter.within);
    let sql = format!(
        "SELECT video_id, ordinal, sum(score) AS score FROM (
             SELECT t.video_id, t.ordinal, t.label, max(t.score) AS score FROM tags t
             JOIN scenes s ON s.library_id = t.library_id AND s.video_id = t.video_id AND s.ordinal = t.ordinal
             WHERE t.library_id = ?1 AND t.tag IN (SELECT value FROM json_each(?2))
             AND (?3 IS NULL OR t.video_id IN (SELECT unhex(value) FROM json_each(?3)))
             AND s.end_us > ?4 AND s.start_us < ?5 AND {HAS_TAGS}
             GROUP BY t.video_id, t.ordinal, t.label)
         GROUP BY video_id, ordinal ORDER BY score DESC, video_id, ordinal LIMIT ?7",
        HAS_TAGS = has_tags("s", "?6")
    );
    let rows = sqlx::query(sqlx::AssertSqlSafe(sql))
        .bind(library_bytes(library))
        .bind(super::json(&tags)?)
        .bind(listed(allowed.as_ref())?)
        .bind(start)
        .bind(end)
        .bind(wanted(filter)?)
        .bind(i64::try_from(limit).unwrap_or(i64::MAX))
        .fetch_all(reader)
        .await
        .map_err(&failed)?;
    let mut found = Vec::with_capacity(rows.len());
    for row in rows {
        let video = row.try_get("video_id").map_err(&failed)?;
        let scene = scene_id(video, row.try_get("ordinal").map_err(&failed)?)?;
        let score: f64 = row.try_get("score").map_err(&failed)?;
        found.push(ScoredScene { scene, score: score as f32, time: None });
    }
    found.sort_by(best_first);
    Ok(found)
}

/// The keys of the tags that a filter wants, as JSON.
pub(super) fn wanted(filter: &Filter) -> Result<String> {
    super::json(&wanted_tags(filter)?)
}

/// The condition that a scene has every tag of a JSON list.
pub(super) fn has_tags(scene: &str, list: &str) -> String {
    format!(
        "NOT EXISTS (SELECT 1 FROM json_each({list}) w WHERE NOT EXISTS (SELECT 1 FROM tags g
         WHERE g.library_id = {scene}.library_id AND g.tag = w.value AND g.video_id = {scene}.video_id
         AND g.ordinal = {scene}.ordinal))"
    )
}
