//! The schema: the files in `migrations/postgres`, embedded, applied in order.

use std::borrow::Cow;
use std::collections::BTreeSet;

use sqlx::PgPool;
use sqlx::migrate::{MigrateError, Migration, MigrationType, Migrator};

use super::failed;
use crate::{Error, Result};

/// Never edited after a release: a change is a new file.
pub(super) const MIGRATIONS: [(i64, &str, &str); 3] = [
    (
        1,
        "initial",
        include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/migrations/postgres/0001_initial.sql")),
    ),
    (2, "jobs", include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/migrations/postgres/0002_jobs.sql"))),
    (
        3,
        "changes",
        include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/migrations/postgres/0003_changes.sql")),
    ),
];

/// The columns of a table beside `library_id` and `video_id`, with the types that are bound to them.
///
/// Inserts are written from these, so that the code's rows and the table's cannot differ unseen.
pub(super) struct Table {
    pub(super) name: &'static str,
    pub(super) columns: &'static [(&'static str, &'static str)],
}

impl Table {
    /// Takes the library, the video, then an array for each column.
    pub(super) fn insert(&self) -> String {
        let names: Vec<&str> = self.columns.iter().map(|(name, _)| *name).collect();
        let arrays: Vec<String> =
            self.columns.iter().enumerate().map(|(i, (_, kind))| format!("${}::{kind}[]", i + 3)).collect();
        format!(
            "INSERT INTO {} (library_id, video_id, {}) SELECT $1, $2, * FROM unnest({})",
            self.name,
            names.join(", "),
            arrays.join(", ")
        )
    }
}

pub(super) const SHOTS: Table =
    Table { name: "shots", columns: &[("ordinal", "integer"), ("start_us", "bigint"), ("end_us", "bigint")] };

pub(super) const KEYFRAMES: Table = Table {
    name: "keyframes",
    columns: &[
        ("ordinal", "integer"),
        ("time_us", "bigint"),
        ("shot", "integer"),
        ("quality", "real"),
        ("thumbnail", "text"),
        ("picture", "text"),
    ],
};

pub(super) const SEGMENTS: Table =
    Table { name: "segments", columns: &[("ordinal", "integer"), ("segment", "text")] };

pub(super) const SCENES: Table = Table {
    name: "scenes",
    columns: &[
        ("ordinal", "integer"),
        ("start_us", "bigint"),
        ("end_us", "bigint"),
        ("shot", "integer"),
        ("speech", "text"),
        ("words", "text"),
        ("texts", "text"),
        ("tags", "text"),
    ],
};

pub(super) const TAGS: Table = Table {
    name: "tags",
    columns: &[("tag", "text"), ("ordinal", "integer"), ("label", "text"), ("score", "double precision")],
};

pub(super) const VECTORS: Table = Table {
    name: "vectors",
    columns: &[
        ("ordinal", "integer"),
        ("space_id", "integer"),
        ("position", "integer"),
        ("origin", "text"),
        ("time_us", "bigint"),
        ("embedding", "vector"),
    ],
};

/// The first so many migrations.
pub(super) fn migrator_of(count: usize) -> Migrator {
    let migrations = MIGRATIONS
        .iter()
        .take(count)
        .map(|(version, name, sql)| {
            Migration::new(
                *version,
                Cow::Borrowed(name),
                MigrationType::Simple,
                sqlx::SqlSafeStr::into_sql_str(*sql),
                false,
            )
        })
        .collect();
    Migrator::with_migrations(migrations)
}

/// The versions that were applied.
async fn applied(pool: &PgPool) -> Result<BTreeSet<i64>> {
    let failed = failed("reading the schema's version");
    let there: bool = sqlx::query_scalar("SELECT to_regclass('heimdex._sqlx_migrations') IS NOT NULL")
        .fetch_one(pool)
        .await
        .map_err(&failed)?;
    if !there {
        return Ok(BTreeSet::new());
    }
    let versions: Vec<i64> = sqlx::query_scalar("SELECT version FROM heimdex._sqlx_migrations WHERE success")
        .fetch_all(pool)
        .await
        .map_err(&failed)?;
    Ok(versions.into_iter().collect())
}

fn refuse_newer(applied: &BTreeSet<i64>, address: &str) -> Result<()> {
    match applied.last().filter(|last| MIGRATIONS.iter().all(|(version, ..)| version != *last)) {
        Some(version) => Err(Error::store(
            format!("{address} was made by a newer Heimdex"),
            format!("it has schema version {version}"),
        )),
        None => Ok(()),
    }
}

/// The SQL that is still to be run.
pub(super) async fn pending(pool: &PgPool, address: &str) -> Result<String> {
    let applied = applied(pool).await?;
    refuse_newer(&applied, address)?;
    let mut sql = String::new();
    if applied.is_empty() {
        sql.push_str(MAKE_SCHEMA);
        sql.push_str(";\n\n");
    }
    for (version, name, migration) in MIGRATIONS.iter().filter(|(version, ..)| !applied.contains(version)) {
        sql.push_str(&format!("-- {version:04} {name}\n{migration}\n"));
    }
    Ok(sql)
}

const MAKE_SCHEMA: &str = "CREATE SCHEMA IF NOT EXISTS heimdex";

/// "heimdex" as a number: who makes the schema holds this lock.
const MAKING: i64 = 0x68_6569_6d64_6578;

pub(super) async fn migrate(pool: &PgPool, address: &str) -> Result<()> {
    let applied = applied(pool).await?;
    refuse_newer(&applied, address)?;
    if MIGRATIONS.iter().all(|(version, ..)| applied.contains(version)) {
        return Ok(());
    }
    let failed = |error| Error::store(format!("preparing {address}"), error);
    // Two that make one schema at once fail, whatever IF NOT EXISTS says; so they take turns.
    let mut tx = pool.begin().await.map_err(failed)?;
    sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(MAKING).execute(&mut *tx).await.map_err(failed)?;
    sqlx::query(MAKE_SCHEMA).execute(&mut *tx).await.map_err(failed)?;
    tx.commit().await.map_err(failed)?;
    match migrator_of(MIGRATIONS.len()).run(pool).await {
        Ok(()) => Ok(()),
        Err(MigrateError::VersionMissing(version)) => Err(Error::store(
            format!("{address} was made by a newer Heimdex"),
            format!("it has schema version {version}"),
        )),
        Err(error) => {
            Err(Error::store(format!("preparing {address}; it needs pgvector 0.8 or newer"), error))
        }
    }
}
