//! Scenes by what they show.

use sqlx::{PgPool, Postgres, QueryBuilder, Row};

use super::filter::{SceneFilter, allowed_videos};
use super::{failed, scene_number};
use crate::store::{Filter, ScoredScene};
use crate::{LibraryId, Result, SceneId, VideoId};

pub(super) async fn search(
    pool: &PgPool,
    library: LibraryId,
    tags: &[String],
    filter: &Filter,
    limit: usize,
) -> Result<Vec<ScoredScene>> {
    let failed = failed("searching tags");
    let scenes = SceneFilter::of(filter)?;
    let allowed = allowed_videos(pool, library, filter).await?;
    let tags: Vec<&String> = tags.iter().filter(|tag| !tag.contains('\0')).collect();
    let mut sql = QueryBuilder::<Postgres>::new(
        "SELECT video_id, ordinal, sum(score)::real AS score FROM (
             SELECT t.video_id, t.ordinal, max(t.score) AS score FROM tags t
             JOIN scenes s ON s.library_id = t.library_id AND s.video_id = t.video_id AND s.ordinal = t.ordinal
             WHERE t.library_id = ",
    );
    sql.push_bind(library.0).push(" AND t.tag = ANY(").push_bind(tags).push(")");
    if let Some(allowed) = allowed {
        sql.push(" AND t.video_id = ANY(").push_bind(allowed).push(")");
    }
    scenes.push(&mut sql);
    sql.push(
        " GROUP BY t.video_id, t.ordinal, t.label) AS named
         GROUP BY video_id, ordinal ORDER BY score DESC, video_id, ordinal LIMIT ",
    );
    sql.push_bind(i64::try_from(limit).unwrap_or(i64::MAX));
    let rows = sql.build().fetch_all(pool).await.map_err(&failed)?;
    rows.iter()
        .map(|row| {
            let video = VideoId(row.try_get("video_id").map_err(&failed)?);
            let ordinal = scene_number(row.try_get("ordinal").map_err(&failed)?)?;
            let score = row.try_get("score").map_err(&failed)?;
            Ok(ScoredScene { scene: SceneId { video, ordinal }, score, time: None })
        })
        .collect()
}
