//! People, which the core does not know yet. The addresses are there, so that clients need not change.

use axum::http::StatusCode;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::accounts::SignedIn;
use crate::app::App;
use crate::problem::{Answer, Problem};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list, enrol)).routes(routes!(photo)).routes(routes!(remove))
}

fn later() -> Problem {
    Problem::new(
        StatusCode::NOT_IMPLEMENTED,
        "no-people",
        "this version of Heimdex does not recognise faces, so nobody can be enrolled",
    )
}

/// People that are enrolled. Not there yet.
#[utoipa::path(get, path = "/people", tag = "people", security(("bearer" = [])), responses((status = 501)))]
async fn list(_: SignedIn) -> Answer<StatusCode> {
    Err(later())
}

/// Enrols somebody. Not there yet.
#[utoipa::path(post, path = "/people", tag = "people", security(("bearer" = [])), responses((status = 501)))]
async fn enrol(_: SignedIn) -> Answer<StatusCode> {
    Err(later())
}

/// Adds a photo of somebody. Not there yet.
#[utoipa::path(post, path = "/people/{id}/photos", tag = "people", security(("bearer" = [])),
    params(("id" = Uuid, Path)), responses((status = 501)))]
async fn photo(_: SignedIn) -> Answer<StatusCode> {
    Err(later())
}

/// Forgets somebody. Not there yet.
#[utoipa::path(delete, path = "/people/{id}", tag = "people", security(("bearer" = [])),
    params(("id" = Uuid, Path)), responses((status = 501)))]
async fn remove(_: SignedIn) -> Answer<StatusCode> {
    Err(later())
}
