//! The indexes on vectors: one for each large space, made while the library is in use.

use std::collections::BTreeMap;

use sqlx::error::DatabaseError;
use sqlx::postgres::PgConnection;
use sqlx::{Connection, PgPool};

use super::failed;
use super::vectors::{FEW, index_expression, index_name};
use crate::Result;

/// Who makes indexes holds this lock. It is tried and never waited for: whoever waits in the database
/// holds a view of it, and making an index waits for all older views.
const MAKING: i64 = 0x6864_785f_7665_6373;

/// Memory that making an index may take, where the server allows less: a graph that does not fit
/// takes many times as long.
const MOST_MEMORY_KB: i64 = 2 << 20;

pub(super) async fn build(pool: &PgPool) -> Result<Vec<String>> {
    let failed = failed("making vector indexes");
    // A connection of its own: the lock and the settings end with it, however this ends.
    let mut connection = pool.acquire().await.map_err(&failed)?.detach();
    let alone: bool = sqlx::query_scalar("SELECT pg_try_advisory_lock($1)")
        .bind(MAKING)
        .fetch_one(&mut connection)
        .await
        .map_err(&failed)?;
    if !alone {
        tracing::info!("another process makes vector indexes");
        return Ok(Vec::new());
    }
    let made = build_alone(&mut connection).await;
    if let Err(error) = connection.close().await {
        tracing::debug!(%error, "closing a connection");
    }
    made.map_err(failed)
}

/// With the lock held: no index that is not whole is in the making.
async fn build_alone(connection: &mut PgConnection) -> sqlx::Result<Vec<String>> {
    let there: Vec<(String, bool)> = sqlx::query_as(
        "SELECT c.relname::text, i.indisvalid FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
         WHERE i.indrelid = 'heimdex.vectors'::regclass AND c.relname ~ '^vectors_[0-9]+$'",
    )
    .fetch_all(&mut *connection)
    .await?;
    let mut there: BTreeMap<String, bool> = there.into_iter().collect();
    let spaces: Vec<(i32, i32, i64)> = sqlx::query_as(
        "SELECT space_id, dim, (SELECT count(*) FROM vectors v
             WHERE v.library_id = s.library_id AND v.space_id = s.space_id) FROM spaces s ORDER BY space_id",
    )
    .fetch_all(&mut *connection)
    .await?;
    let mut made = Vec::new();
    for (space_id, dim, count) in spaces {
        let name = index_name(space_id);
        let whole = there.remove(&name);
        let Some(expression) = index_expression(dim).filter(|_| count > FEW || whole.is_some()) else {
            continue;
        };
        if whole == Some(true) {
            continue;
        }
        if whole == Some(false) {
            tracing::warn!(name, "an index was left unfinished; it is made again");
            drop_index(connection, &name).await?;
        }
        tracing::info!(name, vectors = count, "making a vector index");
        make(connection, &name, space_id, dim, &expression, count).await?;
        made.push(name);
    }
    for name in there.keys() {
        drop_index(connection, name).await?;
    }
    Ok(made)
}

async fn make(
    connection: &mut PgConnection,
    name: &str,
    space_id: i32,
    dim: i32,
    expression: &str,
    count: i64,
) -> sqlx::Result<()> {
    // A component takes two bytes; neighbours and the rest of a node less than 600.
    let needed_kb = count.saturating_mul(i64::from(dim) * 2 + 600) / 1024 * 5 / 4;
    sqlx::query(
        "SELECT set_config('maintenance_work_mem', greatest($1, (SELECT setting::bigint FROM pg_settings
             WHERE name = 'maintenance_work_mem'))::text || 'kB', false)",
    )
    .bind(needed_kb.clamp(1024, MOST_MEMORY_KB))
    .execute(&mut *connection)
    .await?;
    let sql = format!(
        "CREATE INDEX CONCURRENTLY {name} ON heimdex.vectors USING hnsw (({expression}) halfvec_cosine_ops)
         WITH (m = 16, ef_construction = 64) WHERE space_id = {space_id}"
    );
    let result = sqlx::query(sqlx::AssertSqlSafe(sql.clone())).execute(&mut *connection).await;
    // Several processes share their memory in a place that containers keep small; one needs none of it.
    let crowded =
        result.as_ref().err().and_then(sqlx::Error::as_database_error).and_then(DatabaseError::code);
    if crowded.as_deref() != Some("53100") && crowded.as_deref() != Some("53200") {
        return result.map(|_| ());
    }
    tracing::warn!(name, "too little shared memory; the index is made by one process");
    drop_index(connection, name).await?;
    sqlx::query("SET max_parallel_maintenance_workers = 0").execute(&mut *connection).await?;
    sqlx::query(sqlx::AssertSqlSafe(sql)).execute(&mut *connection).await.map(|_| ())
}

async fn drop_index(connection: &mut PgConnection, name: &str) -> sqlx::Result<()> {
    let sql = format!("DROP INDEX CONCURRENTLY IF EXISTS heimdex.{name}");
    sqlx::query(sqlx::AssertSqlSafe(sql)).execute(connection).await.map(|_| ())
}
