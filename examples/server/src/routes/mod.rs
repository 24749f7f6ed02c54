//! What can be asked. Every address is described in the OpenAPI document by the code that answers it.

mod auth;
mod events;
mod files;
mod page;
mod people;
mod scenes;
mod search;
pub mod system;
pub mod uploads;
mod videos;

use axum::Router;
use axum::middleware;
use axum::routing::get;
use tower_http::catch_panic::CatchPanicLayer;
use utoipa::PartialSchema;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{
    ComponentsBuilder, ContentBuilder, InfoBuilder, OpenApi, OpenApiBuilder, Ref, ResponseBuilder,
};
use utoipa_axum::router::OpenApiRouter;

use crate::app::App;
use crate::problem::{Problem, ProblemBody};
use crate::serve;

/// What the OpenAPI document is of.
fn described() -> OpenApiRouter<App> {
    let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("JWT").build();
    let components = ComponentsBuilder::new()
        .schema("Problem", ProblemBody::schema())
        .security_scheme("bearer", SecurityScheme::Http(bearer))
        .build();
    let info = InfoBuilder::new()
        .title("Heimdex")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(
            "Videos that can be searched by what is said and shown in them. Errors are application/problem+json. \
             Addresses of files are signed, and relative to this server where they begin with `/`.",
        ))
        .build();
    let document = OpenApiBuilder::new().info(info).components(Some(components)).build();
    OpenApiRouter::with_openapi(document)
        .merge(auth::routes())
        .merge(uploads::routes())
        .merge(videos::routes())
        .merge(scenes::routes())
        .merge(search::routes())
        .merge(events::routes())
        .merge(people::routes())
        .merge(system::routes())
}

/// The OpenAPI document.
pub fn document() -> OpenApi {
    let mut document = described().into_openapi();
    // Whatever goes wrong is answered in one way.
    let content = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build();
    let problem =
        ResponseBuilder::new().description("A problem").content("application/problem+json", content).build();
    for item in document.paths.paths.values_mut() {
        let operations = [&mut item.get, &mut item.put, &mut item.post, &mut item.patch, &mut item.delete];
        for operation in operations.into_iter().flatten() {
            let responses = &mut operation.responses.responses;
            responses.entry("default".to_owned()).or_insert_with(|| problem.clone().into());
        }
    }
    document
}

/// What a worker answers: only how it is.
pub fn vitals(app: App) -> Router {
    let (router, _) = OpenApiRouter::new().merge(system::routes()).split_for_parts();
    layered(router, app)
}

/// Everything that a process answers.
pub fn router(app: App) -> Router {
    let (router, _) = described().split_for_parts();
    let router = router
        .route("/files/{*key}", get(files::get).put(files::put))
        .route("/openapi.json", get(system::openapi))
        .route("/docs", get(page::docs))
        .route("/docs/{name}", get(page::docs_file))
        .route("/", get(page::index))
        .route("/assets/{*path}", get(page::assets))
        .fallback(page::beside);
    layered(router, app)
}

/// What stands around every handler.
fn layered(router: Router<App>, app: App) -> Router {
    router
        .layer(CatchPanicLayer::custom(|_| {
            axum::response::IntoResponse::into_response(Problem::internal("a handler panicked"))
        }))
        .layer(middleware::from_fn(serve::answer))
        .with_state(app)
}
