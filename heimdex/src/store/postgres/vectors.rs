//! Vectors: found by looking at each where they are few, else through an HNSW index, and scored in
//! full precision in either case.

use std::collections::{BTreeMap, BTreeSet};

use sqlx::postgres::PgRow;
use sqlx::{PgPool, Postgres, QueryBuilder, Row};
use uuid::Uuid;

use super::filter::{SceneFilter, allowed_videos};
use super::schema::VECTORS;
use super::write::Tx;
use super::{failed, json, scene_number, unreadable};
use crate::embed::{EmbedSpec, Vector};
use crate::store::parts::best_first;
use crate::store::{Filter, IndexedVideo, ScoredScene, check_space};
use crate::{Error, LibraryId, Result, SceneId, Timestamp, VideoId};

/// So many vectors of a space get no index, and so many that pass a filter are looked at one by one.
pub(super) const FEW: i64 = 10_000;

/// The same for vectors that are too long to stay in their rows, which take several times as long.
const FEW_LONG: i64 = 3_000;
const LONGEST_IN_ROW: i32 = 960;

/// Vectors that travel in one statement.
const AT_ONCE: usize = 1000;

/// How many candidates an index of so many vectors keeps at hand while it looks. In a larger one more of them
/// lead astray: it keeps more by the square root. pgvector takes 1000 at most.
const LEAST_EF_SEARCH: usize = 200;
const MOST_EF_SEARCH: usize = 1000;
const LEAST_VECTORS: usize = 100_000;

/// Products of unit vectors in 32 bits are closer to the true ones than this.
const ROUNDING: f32 = 1e-5;

/// Whether a video's vectors are of spaces that are searched, and may be beside the others.
pub(super) async fn spaces_are_known(
    tx: &mut Tx<'_>,
    library: LibraryId,
    video: &IndexedVideo,
) -> Result<bool> {
    let held = held(tx, library).await?;
    Ok(video.spaces.iter().all(|spec| {
        held.iter().any(|(held, active)| *active && held.space() == spec.space())
            && held.iter().all(|(held, active)| check_space(spec, held, *active).is_ok())
    }))
}

/// The spaces of a library, and whether each is searched.
async fn held(tx: &mut Tx<'_>, library: LibraryId) -> Result<Vec<(EmbedSpec, bool)>> {
    let held: Vec<(String, bool)> = sqlx::query_as("SELECT spec, active FROM spaces WHERE library_id = $1")
        .bind(library.0)
        .fetch_all(&mut **tx)
        .await
        .map_err(failed("reading embedding spaces"))?;
    held.iter()
        .map(|(spec, active)| Ok((serde_json::from_str(spec).map_err(unreadable("spec"))?, *active)))
        .collect()
}

/// Makes a video's spaces, which are searched. Nobody else writes to the library meanwhile.
pub(super) async fn make_spaces(tx: &mut Tx<'_>, library: LibraryId, video: &IndexedVideo) -> Result<()> {
    forget_empty_spaces(tx, library).await?;
    let held = held(tx, library).await?;
    for spec in &video.spaces {
        for (held, active) in &held {
            check_space(spec, held, *active)?;
        }
        make_space(tx, library, spec, true).await?;
    }
    Ok(())
}

/// Spaces whose last vectors are gone.
pub(super) async fn forget_empty_spaces(tx: &mut Tx<'_>, library: LibraryId) -> Result<()> {
    sqlx::query(
        "DELETE FROM spaces s WHERE library_id = $1 AND NOT EXISTS
             (SELECT 1 FROM vectors v WHERE v.library_id = s.library_id AND v.space_id = s.space_id)",
    )
    .bind(library.0)
    .execute(&mut **tx)
    .await
    .map(|_| ())
    .map_err(failed("removing empty spaces"))
}

pub(super) async fn make_space(
    tx: &mut Tx<'_>,
    library: LibraryId,
    spec: &EmbedSpec,
    active: bool,
) -> Result<()> {
    sqlx::query(
        "INSERT INTO spaces (library_id, space, spec, dim, active) VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (library_id, space) DO NOTHING",
    )
    .bind(library.0)
    .bind(spec.space())
    .bind(json(spec)?)
    .bind(spec.dim as i32)
    .bind(active)
    .execute(&mut **tx)
    .await
    .map(|_| ())
    .map_err(failed("making an embedding space"))
}

/// Stores the vectors of a video, but those of spaces in `without`.
pub(super) async fn insert(
    tx: &mut Tx<'_>,
    library: LibraryId,
    video: &IndexedVideo,
    without: &BTreeSet<String>,
) -> Result<()> {
    let failed = failed("storing vectors");
    let numbers: Vec<(String, i32)> =
        sqlx::query_as("SELECT space, space_id FROM spaces WHERE library_id = $1")
            .bind(library.0)
            .fetch_all(&mut **tx)
            .await
            .map_err(&failed)?;
    let numbers: BTreeMap<String, i32> = numbers.into_iter().collect();
    let number = |space: &String| {
        numbers.get(space).copied().ok_or_else(|| Error::Space(format!("{space} is not listed")))
    };
    let rows: Vec<_> = video
        .scenes
        .iter()
        .flat_map(|scene| scene.vectors.iter().enumerate().map(|(i, row)| (scene.scene.ordinal, i, row)))
        .filter(|(.., row)| !without.contains(&row.space))
        .collect();
    for part in rows.chunks(AT_ONCE) {
        sqlx::query(sqlx::AssertSqlSafe(VECTORS.insert()))
            .bind(library.0)
            .bind(video.video.id.0)
            .bind(part.iter().map(|(ordinal, ..)| *ordinal as i32).collect::<Vec<_>>())
            .bind(part.iter().map(|(.., row)| number(&row.space)).collect::<Result<Vec<_>>>()?)
            .bind(part.iter().map(|(_, i, _)| *i as i32).collect::<Vec<_>>())
            .bind(part.iter().map(|(.., row)| json(&row.origin)).collect::<Result<Vec<_>>>()?)
            .bind(part.iter().map(|(.., row)| row.time.as_micros()).collect::<Vec<_>>())
            .bind(part.iter().map(|(.., row)| bound(&row.vector)).collect::<Vec<_>>())
            .execute(&mut **tx)
            .await
            .map_err(&failed)?;
    }
    Ok(())
}

fn bound(vector: &Vector) -> pgvector::Vector {
    pgvector::Vector::from(vector.as_slice().to_vec())
}

/// The name of the index on the vectors of a space.
pub(super) fn index_name(space_id: i32) -> String {
    format!("vectors_{space_id}")
}

/// What a space's vectors are compared by in its index: 16 bits a component. `None` for vectors that
/// are too long for one.
pub(super) fn index_expression(dim: i32) -> Option<String> {
    (dim <= 4000).then(|| format!("embedding::halfvec({dim})"))
}

/// Which vectors may be found, and how many scenes are wanted.
struct Search<'a> {
    pool: &'a PgPool,
    library: LibraryId,
    space_id: i32,
    dim: i32,
    query: &'a Vector,
    videos: Option<Vec<Uuid>>,
    scenes: SceneFilter,
    limit: usize,
}

pub(super) async fn search(
    pool: &PgPool,
    library: LibraryId,
    space: &str,
    query: &Vector,
    filter: &Filter,
    limit: usize,
) -> Result<Vec<ScoredScene>> {
    let videos = allowed_videos(pool, library, filter).await?;
    let scenes = SceneFilter::of(filter)?;
    let found: Option<(i32, i32, bool)> = sqlx::query_as(
        "SELECT space_id, dim, EXISTS (SELECT 1 FROM pg_index
             WHERE indexrelid = to_regclass('heimdex.vectors_' || space_id) AND indisvalid)
         FROM spaces WHERE library_id = $1 AND space = $2 AND active",
    )
    .bind(library.0)
    .bind(super::storable(space))
    .fetch_optional(pool)
    .await
    .map_err(failed("reading vectors"))?;
    let Some((space_id, dim, indexed)) = found else {
        return Err(Error::Space(format!("this library holds no vectors of {space}")));
    };
    if query.dim() != dim as usize {
        let message = format!("the query has {} dimensions, space {space} has {dim}", query.dim());
        return Err(Error::Space(message));
    }
    if limit == 0 || videos.as_ref().is_some_and(Vec::is_empty) {
        return Ok(Vec::new());
    }
    let search = Search { pool, library, space_id, dim, query, videos, scenes, limit };
    if indexed && !search.few().await? {
        if let Some(found) = search.through_index().await? {
            return Ok(found);
        }
    } else if !indexed && search.is_open() && !search.few().await? {
        tracing::warn!(
            space,
            "a large space has no index yet: every vector is looked at; run `heimdex migrate`"
        );
    }
    search.one_by_one().await
}

impl Search<'_> {
    /// Whether no filter restricts it.
    fn is_open(&self) -> bool {
        self.videos.is_none() && self.scenes.is_empty()
    }

    /// The vectors that may be found: a FROM and a WHERE.
    fn push_source(&self, sql: &mut QueryBuilder<Postgres>) {
        // The number is written out: an index of a space serves those queries alone that name it.
        sql.push(format!(" FROM vectors v WHERE v.space_id = {} AND v.library_id = ", self.space_id));
        sql.push_bind(self.library.0);
        if let Some(videos) = &self.videos {
            sql.push(" AND v.video_id = ANY(").push_bind(videos.clone()).push(")");
        }
        if !self.scenes.is_empty() {
            sql.push(
                " AND EXISTS (SELECT 1 FROM scenes s WHERE s.library_id = v.library_id AND s.video_id = v.video_id
                  AND s.ordinal = v.ordinal",
            );
            self.scenes.push(sql);
            sql.push(")");
        }
    }

    /// Whether those that may be found are few.
    async fn few(&self) -> Result<bool> {
        let mut sql = QueryBuilder::<Postgres>::new("SELECT count(*) FROM (SELECT 1");
        self.push_source(&mut sql);
        let few = if self.dim > LONGEST_IN_ROW { FEW_LONG } else { FEW };
        sql.push(" LIMIT ").push_bind(few + 1).push(") some_of_them");
        let count: i64 =
            sql.build_query_scalar().fetch_one(self.pool).await.map_err(failed("counting vectors"))?;
        Ok(count <= few)
    }

    /// Looks at every vector. The products that Postgres makes choose, with room for their rounding,
    /// what is scored in full precision here.
    async fn one_by_one(&self) -> Result<Vec<ScoredScene>> {
        let failed = failed("comparing vectors");
        let mut depth = self.limit + 64;
        loop {
            let mut sql = QueryBuilder::<Postgres>::new(
                "SELECT v.video_id, v.ordinal, v.position, v.time_us, v.embedding, (-(v.embedding <#> ",
            );
            // Vectors are of unit length: their product is their cosine.
            sql.push_bind(bound(self.query)).push("))::real AS product");
            self.push_source(&mut sql);
            sql.push(" ORDER BY v.embedding <#> ").push_bind(bound(self.query));
            sql.push(" LIMIT ").push_bind(i64::try_from(depth).unwrap_or(i64::MAX));
            let rows = sql.build().fetch_all(self.pool).await.map_err(&failed)?;
            let full = rows.len() >= depth;
            let last: Option<f32> =
                rows.last().map(|row| row.try_get("product")).transpose().map_err(&failed)?;
            let mut found = self.scored(&rows)?;
            // Equal scores are ordered by scene, so a group of them must not be cut in the middle.
            let surely =
                found.get(self.limit - 1).zip(last).is_some_and(|(f, last)| f.score > last + ROUNDING);
            if !full || surely {
                found.truncate(self.limit);
                return Ok(found);
            }
            depth = depth.saturating_mul(4);
        }
    }

    /// Asks the index. `None` when it ends before enough is found.
    async fn through_index(&self) -> Result<Option<Vec<ScoredScene>>> {
        let failed = failed("searching vectors");
        let Some(expression) = index_expression(self.dim) else { return Ok(None) };
        // More than wanted: a scene may have several vectors, and 16 bits order a little differently.
        let mut depth = self.limit + self.limit / 2 + 16;
        loop {
            let mut tx = self.pool.begin().await.map_err(&failed)?;
            sqlx::query(
                "SELECT set_config('hnsw.ef_search', least($1, greatest($2, $3 * sqrt(greatest(
                            (SELECT reltuples FROM pg_class WHERE oid = to_regclass('heimdex.' || $5)), 0) / $4)
                        ))::int::text, true),
                        set_config('enable_sort', 'off', true),
                        set_config('hnsw.iterative_scan', 'relaxed_order', true),
                        set_config('hnsw.scan_mem_multiplier', '4', true)",
            )
            .bind(MOST_EF_SEARCH as f64)
            .bind(depth.max(LEAST_EF_SEARCH) as f64)
            .bind(LEAST_EF_SEARCH as f64)
            .bind(LEAST_VECTORS as f64)
            .bind(index_name(self.space_id))
            .execute(&mut *tx)
            .await
            .map_err(&failed)?;
            let mut sql = QueryBuilder::<Postgres>::new(
                "SELECT v.video_id, v.ordinal, v.position, v.time_us, v.embedding",
            );
            self.push_source(&mut sql);
            sql.push(format!(" ORDER BY v.{expression} <=> "));
            sql.push_bind(bound(self.query)).push(format!("::halfvec({})", self.dim));
            sql.push(" LIMIT ").push_bind(i64::try_from(depth).unwrap_or(i64::MAX));
            let rows = sql.build().fetch_all(&mut *tx).await.map_err(&failed)?;
            tx.commit().await.map_err(&failed)?;
            let mut found = self.scored(&rows)?;
            if found.len() >= self.limit {
                found.truncate(self.limit);
                return Ok(Some(found));
            }
            if rows.len() < depth {
                return Ok(None);
            }
            depth = depth.saturating_mul(4);
        }
    }

    /// Scores in full precision, each scene by its best vector.
    fn scored(&self, rows: &[PgRow]) -> Result<Vec<ScoredScene>> {
        let failed = failed("reading vectors");
        let mut best: BTreeMap<SceneId, (ScoredScene, i32)> = BTreeMap::new();
        for row in rows {
            let video = VideoId(row.try_get("video_id").map_err(&failed)?);
            let ordinal = scene_number(row.try_get("ordinal").map_err(&failed)?)?;
            let vector: pgvector::Vector = row.try_get("embedding").map_err(&failed)?;
            let pairs = self.query.as_slice().iter().zip(vector.as_slice());
            let score = pairs.map(|(q, v)| f64::from(*q) * f64::from(*v)).sum::<f64>() as f32;
            let time = Some(Timestamp::from_micros(row.try_get("time_us").map_err(&failed)?));
            let position: i32 = row.try_get("position").map_err(&failed)?;
            let scored = ScoredScene { scene: SceneId { video, ordinal }, score, time };
            let entry = best.entry(scored.scene).or_insert((scored, position));
            // Of equal ones the first of the scene stands.
            if best_first(&scored, &entry.0).then(position.cmp(&entry.1)).is_lt() {
                *entry = (scored, position);
            }
        }
        let mut found: Vec<ScoredScene> = best.into_values().map(|(scored, _)| scored).collect();
        found.sort_by(best_first);
        Ok(found)
    }
}
