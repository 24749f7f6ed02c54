//! Accounts. Tokens travel in bodies and in a header, never in cookies: no other site can send them.

use axum::extract::State;
use axum::http::StatusCode;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::accounts::{self, SignedIn};
use crate::app::App;
use crate::extract::Json;
use crate::limits::Caller;
use crate::problem::{Answer, Problem};
use crate::serve::Peer;
use crate::wire::{AccountMode, AuthConfig, Credentials, Logout, Me, RefreshToken, Session};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(config))
        .routes(routes!(register))
        .routes(routes!(login))
        .routes(routes!(refresh))
        .routes(routes!(logout))
        .routes(routes!(me))
}

/// Where accounts are kept.
#[utoipa::path(get, path = "/auth/config", tag = "accounts", responses((status = 200, body = AuthConfig)))]
async fn config(State(app): State<App>, peer: Peer) -> Answer<axum::Json<AuthConfig>> {
    app.requests.count(Caller::Address(peer.0))?;
    let mode = if app.issuer.is_some() { AccountMode::External } else { AccountMode::Local };
    Ok(axum::Json(AuthConfig { mode, max_upload_bytes: app.config.max_upload_bytes }))
}

/// Accounts of our own, where they are.
fn local(app: &App, peer: Peer) -> Answer<()> {
    app.requests.count(Caller::Address(peer.0))?;
    match &app.issuer {
        None => Ok(()),
        Some(_) => Err(Problem::new(
            StatusCode::NOT_IMPLEMENTED,
            "accounts-elsewhere",
            "accounts are kept by another issuer; get a token there",
        )),
    }
}

/// Makes an account.
#[utoipa::path(post, path = "/auth/register", tag = "accounts", request_body = Credentials,
    responses((status = 201, body = Session)))]
async fn register(
    State(app): State<App>,
    peer: Peer,
    Json(credentials): Json<Credentials>,
) -> Answer<(StatusCode, axum::Json<Session>)> {
    local(&app, peer)?;
    let session = accounts::register(&app, peer.0, &credentials).await?;
    Ok((StatusCode::CREATED, axum::Json(session)))
}

/// Signs in.
#[utoipa::path(post, path = "/auth/login", tag = "accounts", request_body = Credentials,
    responses((status = 200, body = Session)))]
async fn login(
    State(app): State<App>,
    peer: Peer,
    Json(credentials): Json<Credentials>,
) -> Answer<axum::Json<Session>> {
    local(&app, peer)?;
    accounts::login(&app, peer.0, &credentials).await.map(axum::Json)
}

/// The next pair of tokens. A refresh token is good once; one that comes twice ends its session.
#[utoipa::path(post, path = "/auth/refresh", tag = "accounts", request_body = RefreshToken,
    responses((status = 200, body = Session)))]
async fn refresh(
    State(app): State<App>,
    peer: Peer,
    Json(token): Json<RefreshToken>,
) -> Answer<axum::Json<Session>> {
    local(&app, peer)?;
    accounts::refresh(&app, peer.0, &token.refresh_token).await.map(axum::Json)
}

/// Ends a session. Its access token runs out by itself.
#[utoipa::path(post, path = "/auth/logout", tag = "accounts", request_body = Logout,
    responses((status = 204)))]
async fn logout(State(app): State<App>, peer: Peer, Json(logout): Json<Logout>) -> Answer<StatusCode> {
    local(&app, peer)?;
    accounts::logout(&app, peer.0, &logout).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Who is asking.
#[utoipa::path(get, path = "/auth/me", tag = "accounts", security(("bearer" = [])),
    responses((status = 200, body = Me)))]
async fn me(State(app): State<App>, by: SignedIn) -> Answer<axum::Json<Me>> {
    let user = accounts::user(&app, by.user).await?;
    let quota = super::uploads::quota(&app, &app.pool, by).await?;
    Ok(axum::Json(Me { user, quota }))
}
