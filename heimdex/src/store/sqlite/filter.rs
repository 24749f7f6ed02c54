//! Which videos a filter lets through.

use std::collections::{BTreeSet, HashSet};

use sqlx::sqlite::SqliteArguments;
use sqlx::{Arguments, SqliteConnection};

use super::{failed, library_bytes, scene_id, video_id};
use crate::store::Filter;
use crate::store::parts::{date, language_codes};
use crate::{Error, LibraryId, Result, SceneId, Span, VideoId};

/// The videos that pass a filter's conditions on videos; `None` when there are no conditions.
pub(super) async fn allowed_videos(
    reader: &mut SqliteConnection,
    library: LibraryId,
    filter: &Filter,
) -> Result<Option<BTreeSet<VideoId>>> {
    let Filter {
        videos,
        within: _,
        min_duration,
        max_duration,
        created_from,
        created_before,
        languages,
        tags: _,
    } = filter;
    let mut sql = String::from("SELECT video_id FROM videos WHERE library_id = ? AND searchable");
    let conditions = sql.len();
    let mut values = SqliteArguments::default();
    values.add(library_bytes(library)).map_err(|e| Error::store("a filter", e))?;
    let mut add = |condition: &str, value: String| {
        sql.push_str(condition);
        values.add(value).map_err(|e| Error::store("a filter", e))
    };
    if let Some(least) = min_duration {
        add(" AND duration_us >= CAST(? AS INTEGER)", least.as_micros().to_string())?;
    }
    if let Some(most) = max_duration {
        add(" AND duration_us <= CAST(? AS INTEGER)", most.as_micros().to_string())?;
    }
    if let Some(from) = created_from {
        add(" AND julianday(created_at) >= julianday(?)", date("created_from", from)?.to_owned())?;
    }
    if let Some(before) = created_before {
        add(" AND julianday(created_at) < julianday(?)", date("created_before", before)?.to_owned())?;
    }
    if !languages.is_empty() {
        add(" AND language IN (SELECT value FROM json_each(?))", super::json(&language_codes(languages)?)?)?;
    }
    let given = (!videos.is_empty()).then(|| videos.iter().copied().collect::<BTreeSet<_>>());
    if sql.len() == conditions {
        return Ok(given);
    }
    let ids: Vec<Vec<u8>> = sqlx::query_scalar_with(sqlx::AssertSqlSafe(sql), values)
        .fetch_all(reader)
        .await
        .map_err(failed("filtering videos"))?;
    let ids = ids.iter().map(|id| video_id(id)).collect::<Result<BTreeSet<_>>>()?;
    Ok(Some(match given {
        Some(given) => ids.intersection(&given).copied().collect(),
        None => ids,
    }))
}

/// The scenes that have every tag that a filter wants; `None` when it wants none.
pub(super) async fn tagged_scenes(
    reader: &mut SqliteConnection,
    library: LibraryId,
    filter: &Filter,
) -> Result<Option<HashSet<SceneId>>> {
    if filter.tags.is_empty() {
        return Ok(None);
    }
    let failed = failed("filtering by tag");
    let sql = format!(
        "SELECT s.video_id, s.ordinal FROM scenes s WHERE s.library_id = ?1 AND {}",
        super::tags::has_tags("s", "?2")
    );
    let rows: Vec<(Vec<u8>, i64)> = sqlx::query_as(sqlx::AssertSqlSafe(sql))
        .bind(library_bytes(library))
        .bind(super::tags::wanted(filter)?)
        .fetch_all(reader)
        .await
        .map_err(&failed)?;
    rows.iter().map(|(video, ordinal)| scene_id(video, *ordinal)).collect::<Result<_>>().map(Some)
}

/// Videos as a JSON list of what `unhex` reads; `None` where any may be found.
pub(super) fn listed(videos: Option<&BTreeSet<VideoId>>) -> Result<Option<String>> {
    let ids = videos.map(|v| v.iter().map(|v| v.0.simple().to_string()).collect::<Vec<_>>());
    ids.as_ref().map(super::json).transpose()
}

/// What scenes have to end after and begin before, in microseconds.
pub(super) fn bounds(within: Option<Span>) -> (i64, i64) {
    within.map_or((i64::MIN, i64::MAX), |w| (w.start.as_micros(), w.end.as_micros()))
}
