//! A Postgres database for one test.

use std::sync::atomic::{AtomicU32, Ordering};

use sqlx::{AssertSqlSafe, ConnectOptions, Connection, PgConnection, postgres::PgConnectOptions};

/// A database that was made for a test and goes with it.
pub struct Database {
    server: PgConnectOptions,
    pub name: String,
    pub url: String,
}

impl Database {
    /// None where `DATABASE_URL` names no server: then the test is skipped, loudly, but in CI it fails.
    pub async fn make() -> Option<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let Some(url) = std::env::var("DATABASE_URL").ok().filter(|url| !url.is_empty()) else {
            let required = std::env::var_os("HEIMDEX_REQUIRE_POSTGRES").is_some_and(|v| !v.is_empty());
            assert!(!required, "DATABASE_URL is not set, and the tests of Postgres are required");
            eprintln!("SKIPPED: no Postgres; export DATABASE_URL=$(dev/postgres)");
            return None;
        };
        let server: PgConnectOptions = url.parse().expect("DATABASE_URL is an address");
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("heimdex_test_{}_{number}", std::process::id());
        let mut connection = server.connect().await.expect("the Postgres of DATABASE_URL answers");
        run(&mut connection, format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)")).await;
        run(&mut connection, format!("CREATE DATABASE {name} TEMPLATE template0")).await;
        connection.close().await.unwrap();
        let (path, parameters) = url.split_once('?').unwrap_or((&url, ""));
        let (before, _) = path.rsplit_once('/').expect("DATABASE_URL names a database");
        let url = format!("{before}/{name}?{parameters}");
        Some(Self { server, name, url })
    }
}

async fn run(connection: &mut PgConnection, sql: String) {
    sqlx::query(AssertSqlSafe(sql)).execute(connection).await.unwrap();
}

impl Drop for Database {
    fn drop(&mut self) {
        let (server, name) = (self.server.clone(), self.name.clone());
        // A test that fails drops it too, and whatever runtime it had may be gone.
        let dropped = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(async {
                let mut connection = server.connect().await?;
                let sql = AssertSqlSafe(format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"));
                sqlx::query(sql).execute(&mut connection).await
            })
        });
        if !matches!(dropped.join(), Ok(Ok(_))) {
            eprintln!("the database {} was not dropped", self.name);
        }
    }
}
