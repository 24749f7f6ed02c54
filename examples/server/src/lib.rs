//! A server on Heimdex: accounts, uploads, background indexing, search, and a web page.
//!
//! [`run`] is the whole process; `docs/server.md` says how it is used.
//!
//! | file | holds |
//! |---|---|
//! | `config.rs` | settings, checked at start |
//! | `app.rs` | what all requests share |
//! | `serve.rs` | connections, and the layers around every request |
//! | `routes/` | what can be asked; each handler describes itself in the OpenAPI document |
//! | `wire.rs`, `problem.rs`, `extract.rs` | shapes of answers, of failures, of requests |
//! | `accounts/`, `limits.rs`, `audit.rs` | who asks, how often, and what is written down of it |
//! | `storage/`, `content.rs` | videos in a folder or a bucket, and what may come in |
//! | `worker.rs`, `changes.rs`, `janitor.rs` | what goes on in the background |

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

pub mod accounts;
pub mod app;
pub mod audit;
pub mod changes;
pub mod config;
pub mod content;
pub mod extract;
pub mod janitor;
pub mod limits;
pub mod models;
pub mod problem;
pub mod routes;
pub mod rows;
pub mod serve;
pub mod storage;
pub mod wire;
pub mod worker;

use std::net::SocketAddr;
use std::time::Duration;

use heimdex::Cancel;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::app::{App, Fatal};
use crate::config::Config;
use crate::worker::WorkFolder;

/// Bounds of the histograms in seconds.
const SECONDS: [f64; 13] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// How often histograms are put in order.
const UPKEEP: Duration = Duration::from_secs(5);

/// What is measured, for the whole process. Once in its life.
///
/// # Errors
/// When something else measures already.
pub fn measure() -> Result<PrometheusHandle, Fatal> {
    let builder =
        PrometheusBuilder::new().set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS)?;
    Ok(builder.install_recorder()?)
}

/// Runs a process until `stop`. `listening` is told where, once it answers; a worker answers too, with how
/// it is.
///
/// # Errors
/// Names what cannot be used or reached.
pub async fn run(
    mut config: Config,
    metrics: PrometheusHandle,
    stop: CancellationToken,
    listening: impl FnOnce(SocketAddr),
) -> Result<(), Fatal> {
    let role = config.role;
    let work_folder = role.works().then(|| WorkFolder::make(&config.work_dir)).transpose()?;
    if let Some(folder) = &work_folder {
        folder.path().clone_into(&mut config.work_dir);
    }
    let listener = TcpListener::bind(config.listen)
        .await
        .map_err(|e| config::ConfigError::of("HEIMDEX_SERVER_LISTEN", format!("{}: {e}", config.listen)))?;
    let address = listener.local_addr()?;
    let app = App::open(config, metrics).await?;

    let mut background = tokio::task::JoinSet::new();
    background.spawn(app.clone().watch_vitals());
    let upkeep = app.metrics.clone();
    background.spawn(async move {
        loop {
            tokio::time::sleep(UPKEEP).await;
            upkeep.run_upkeep();
        }
    });
    if role.serves() {
        background.spawn(changes::listen(app.clone()));
    }
    let cancel = Cancel::new();
    let worker = role.works().then(|| {
        background.spawn(janitor::run(app.clone()));
        tokio::spawn(worker::run(app.clone(), cancel.clone()))
    });
    let router = if role.serves() { routes::router(app.clone()) } else { routes::vitals(app.clone()) };
    let grace = Duration::from_secs(app.config.shutdown_seconds);
    let most = app.config.max_connections;
    let serving = tokio::spawn(serve::serve(listener, router, most, stop.clone(), grace));
    listening(address);

    stop.cancelled().await;
    tracing::info!("stopping");
    app.stopping.cancel();
    cancel.cancel();
    serving.await?;
    if let Some(worker) = worker {
        match tokio::time::timeout(grace.max(Duration::from_secs(5)), worker).await {
            Ok(ended) => ended??,
            Err(_) => {
                tracing::warn!("a job did not stop in time; another worker takes it when its lease is over");
            }
        }
    }
    background.shutdown().await;
    app.store.close().await;
    app.pool.close().await;
    drop(work_folder);
    Ok(())
}
