//! How the server is, what it measures, and what it can be asked.

use std::time::{Duration, Instant};

use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use sqlx::PgPool;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;
use crate::problem::{Answer, Problem};
use crate::storage::{self, Storage};
use crate::wire::{Check, Health, HealthStatus, ModelsView, PartHealth, Ready};

/// How long the database may take to say that it is there.
const PATIENCE: Duration = Duration::from_secs(5);

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(health))
        .routes(routes!(ready))
        .routes(routes!(models))
        .routes(routes!(metrics))
}

/// How the server is. Nothing is asked for it: what it says is at most some seconds old.
#[utoipa::path(get, path = "/health", tag = "system", responses((status = 200, body = Health)))]
async fn health(State(app): State<App>) -> axum::Json<Health> {
    let vitals = app.vitals.borrow().clone();
    let well = vitals.database.ok && vitals.storage.ok;
    axum::Json(Health {
        status: if well { HealthStatus::Ok } else { HealthStatus::Degraded },
        version: env!("CARGO_PKG_VERSION").to_owned(),
        features: features(&app),
        role: app.config.role.as_str().to_owned(),
        database: vitals.database,
        storage: vitals.storage,
        uptime_seconds: app.begun.elapsed().as_secs(),
    })
}

fn features(app: &App) -> Vec<String> {
    let mut features = vec!["words".to_owned()];
    features.extend(app.models.models.iter().map(|model| match model.role.as_str() {
        "text" => "meaning".to_owned(),
        "image" => "pictures".to_owned(),
        role => role.to_owned(),
    }));
    features
}

/// What was last seen of the parts that the server needs.
#[derive(Debug, Clone)]
pub struct Vitals {
    pub(crate) database: PartHealth,
    pub(crate) storage: PartHealth,
}

/// Looks at the database and the storage.
pub async fn look(pool: &PgPool, place: &dyn Storage) -> Vitals {
    let begun = Instant::now();
    let asked = sqlx::query_scalar::<_, i32>("SELECT 1").fetch_one(pool);
    let database = matches!(tokio::time::timeout(PATIENCE, asked).await, Ok(Ok(1)));
    let took = begun.elapsed();
    let (storage, storage_took) = storage::answers(place).await;
    let part = |ok, kind: &str, took: Duration| PartHealth {
        ok,
        kind: kind.to_owned(),
        latency_ms: took.as_secs_f64() * 1000.0,
    };
    Vitals { database: part(database, "postgres", took), storage: part(storage, place.kind(), storage_took) }
}

/// Whether requests can be served: looks at everything now.
#[utoipa::path(get, path = "/ready", tag = "system",
    responses((status = 200, body = Ready), (status = 503, body = Ready)))]
async fn ready(State(app): State<App>) -> (StatusCode, axum::Json<Ready>) {
    // Asked by anybody, so it looks once a second at most.
    let vitals = app.fresh_vitals().await;
    let stopping = app.stopping.is_cancelled();
    let mut checks = vec![
        Check {
            name: "database".to_owned(),
            ok: vitals.database.ok,
            detail: if vitals.database.ok { "answers" } else { "does not answer" }.to_owned(),
        },
        Check {
            name: "storage".to_owned(),
            ok: vitals.storage.ok,
            detail: format!(
                "{}: {}",
                vitals.storage.kind,
                if vitals.storage.ok { "answers" } else { "does not answer" }
            ),
        },
        Check {
            name: "models".to_owned(),
            ok: true,
            detail: match app.models.notes.as_slice() {
                [] => "all are loaded".to_owned(),
                notes => notes.join("; "),
            },
        },
    ];
    if stopping {
        checks.push(Check { name: "server".to_owned(), ok: false, detail: "is being stopped".to_owned() });
    }
    let ready = checks.iter().all(|check| check.ok);
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, axum::Json(Ready { ready, checks }))
}

/// The models that this process holds.
#[utoipa::path(get, path = "/models", tag = "system", responses((status = 200, body = ModelsView)))]
async fn models(State(app): State<App>) -> axum::Json<ModelsView> {
    axum::Json(ModelsView {
        models: app.models.models.clone(),
        notes: app.models.notes.clone(),
        device: "cpu".to_owned(),
        memory_bytes: memory(),
        uptime_seconds: app.begun.elapsed().as_secs(),
    })
}

/// Resident memory of the process, where the system tells.
fn memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kib * 1024)
}

/// What is measured, as Prometheus reads it.
#[utoipa::path(get, path = "/metrics", tag = "system",
    responses((status = 200, body = String, content_type = "text/plain")))]
async fn metrics(State(app): State<App>) -> Answer<Response> {
    // Of all users together: how many jobs stand how.
    let jobs: Vec<(String, i64)> = sqlx::query_as("SELECT state, count(*) FROM heimdex.jobs GROUP BY state")
        .fetch_all(&app.pool)
        .await?;
    for state in ["queued", "running", "done", "dead", "cancelled"] {
        let count = jobs.iter().find(|(name, _)| name == state).map_or(0, |(_, count)| *count);
        metrics::gauge!("jobs", "state" => state).set(count as f64);
    }
    metrics::gauge!("process_resident_memory_bytes").set(memory().unwrap_or(0) as f64);
    metrics::gauge!("uptime_seconds").set(app.begun.elapsed().as_secs_f64());
    let mut response = app.metrics.render().into_response();
    let kind = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    Ok(response)
}

/// What can be asked, as an OpenAPI document.
pub(super) async fn openapi() -> Answer<Response> {
    let document = super::document().to_json().map_err(Problem::internal)?;
    let kind = HeaderValue::from_static("application/json");
    Ok(([(header::CONTENT_TYPE, kind)], document).into_response())
}
