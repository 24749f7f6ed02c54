//! The schema: the files in `migrations/sqlite`, embedded, applied in order.

use std::borrow::Cow;
use std::path::Path;
use std::time::Duration;

use sqlx::migrate::{MigrateError, Migration, MigrationType, Migrator};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, SqlitePool};

use crate::{Error, Result};

/// Never edited after a release: a change is a new file.
const MIGRATIONS: [(i64, &str, &str); 1] = [(
    1,
    "initial",
    include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/migrations/sqlite/0001_initial.sql")),
)];

/// Processes that open a new file at once take turns; the last of a few waits this often.
const ATTEMPTS: u32 = 100;

/// "HMDX" as a number; the first migration writes it into the file.
const APPLICATION_ID: i64 = 0x484d_4458;

/// Refuses a database of another program before anything in it is changed.
pub(super) async fn refuse_foreign(path: &Path) -> Result<()> {
    if !path.exists() {
        return Ok(());
    }
    let failed = |error| Error::store(format!("opening {}", path.display()), error);
    let options = SqliteConnectOptions::new().filename(path).busy_timeout(super::BUSY_TIMEOUT);
    let mut file = options.connect().await.map_err(failed)?;
    // In this order: who makes the tables writes the id in the same transaction.
    let tables: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM sqlite_schema WHERE name NOT LIKE 'sqlite\\_%' ESCAPE '\\' AND tbl_name != '_sqlx_migrations'",
    )
    .fetch_one(&mut file)
    .await
    .map_err(failed)?;
    let application: i64 =
        sqlx::query_scalar("PRAGMA application_id").fetch_one(&mut file).await.map_err(failed)?;
    if tables > 0 && application != APPLICATION_ID {
        return Err(Error::store(
            format!("opening {}", path.display()),
            "another program's database; give a file of its own to the library",
        ));
    }
    Ok(())
}

fn migrator() -> Migrator {
    let migrations = MIGRATIONS
        .iter()
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

pub(super) async fn migrate(pool: &SqlitePool, path: &Path) -> Result<()> {
    let migrator = migrator();
    for attempt in 1.. {
        match migrator.run(pool).await {
            Ok(()) => break,
            Err(MigrateError::VersionMissing(version)) => {
                let message = format!("{} was made by a newer Heimdex", path.display());
                return Err(Error::store(message, format!("it has schema version {version}")));
            }
            // Another process is at it: what it does is then done, and nothing is done twice,
            // because each migration is a transaction with its own record.
            Err(MigrateError::Execute(_) | MigrateError::ExecuteMigration(..)) if attempt < ATTEMPTS => {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            Err(error) => return Err(Error::store(format!("preparing {}", path.display()), error)),
        }
    }
    Ok(())
}
