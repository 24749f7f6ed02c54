//! Which videos a filter lets through.

use std::collections::BTreeSet;

use sqlx::{PgPool, Postgres, QueryBuilder};
use uuid::Uuid;

use super::failed;
use crate::store::Filter;
use crate::store::parts::{date, date_ms, language_codes, wanted_tags};
use crate::{LibraryId, Result};

/// The videos that pass a filter's conditions on videos, in order; `None` when there are no conditions.
pub(super) async fn allowed_videos(
    pool: &PgPool,
    library: LibraryId,
    filter: &Filter,
) -> Result<Option<Vec<Uuid>>> {
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
    let given = (!videos.is_empty()).then(|| videos.iter().map(|v| v.0).collect::<BTreeSet<_>>());
    let none = min_duration.is_none()
        && max_duration.is_none()
        && created_from.is_none()
        && created_before.is_none()
        && languages.is_empty();
    if none {
        return Ok(given.map(|given| given.into_iter().collect()));
    }
    let mut sql =
        QueryBuilder::<Postgres>::new("SELECT video_id FROM videos WHERE searchable AND library_id = ");
    sql.push_bind(library.0);
    if let Some(least) = min_duration {
        sql.push(" AND duration_us >= ").push_bind(least.as_micros());
    }
    if let Some(most) = max_duration {
        sql.push(" AND duration_us <= ").push_bind(most.as_micros());
    }
    // A time that is none compares to nothing.
    if let Some(from) = created_from {
        sql.push(" AND created_ms >= ").push_bind(date_ms(date("created_from", from)?));
    }
    if let Some(before) = created_before {
        sql.push(" AND created_ms < ").push_bind(date_ms(date("created_before", before)?));
    }
    if !languages.is_empty() {
        sql.push(" AND language = ANY(").push_bind(language_codes(languages)?).push(")");
    }
    if let Some(given) = given {
        sql.push(" AND video_id = ANY(").push_bind(given.into_iter().collect::<Vec<_>>()).push(")");
    }
    sql.push(" ORDER BY video_id");
    sql.build_query_scalar().fetch_all(pool).await.map(Some).map_err(failed("filtering videos"))
}

/// What a filter asks of a scene beside its video.
pub(super) struct SceneFilter {
    within: Option<(i64, i64)>,
    tags: Vec<String>,
}

impl SceneFilter {
    pub(super) fn of(filter: &Filter) -> Result<Self> {
        let within = filter.within.map(|w| (w.start.as_micros(), w.end.as_micros()));
        Ok(Self { within, tags: wanted_tags(filter)? })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.within.is_none() && self.tags.is_empty()
    }

    /// Adds the conditions on the row `s` of `scenes`.
    pub(super) fn push(&self, sql: &mut QueryBuilder<Postgres>) {
        if let Some((start, end)) = self.within {
            sql.push(" AND s.end_us > ").push_bind(start).push(" AND s.start_us < ").push_bind(end);
        }
        if !self.tags.is_empty() {
            sql.push(" AND NOT EXISTS (SELECT 1 FROM unnest(").push_bind(self.tags.clone()).push(
                ") AS wanted WHERE NOT EXISTS (SELECT 1 FROM tags g WHERE g.library_id = s.library_id
                  AND g.tag = wanted AND g.video_id = s.video_id AND g.ordinal = s.ordinal))",
            );
        }
    }
}
