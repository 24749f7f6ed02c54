//! What a request brings, with problems that name the field.

use axum::body::{Body, Bytes};
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use heimdex::{SceneId, VideoId};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::de::DeserializeOwned;
use uuid::Uuid;

use crate::problem::{Answer, Problem};

/// Bytes of a body in JSON.
pub const BODY_BYTES: usize = 256 << 10;

/// A body in JSON.
#[derive(Debug)]
pub struct Json<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Answer<Self> {
        parse(&read(request, BODY_BYTES).await?).map(Self)
    }
}

/// A body in JSON, which may be left out.
#[derive(Debug)]
pub struct MaybeJson<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned + Default> FromRequest<S> for MaybeJson<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Answer<Self> {
        let named = request.headers().contains_key(header::CONTENT_TYPE);
        if !named {
            let body = limited(request.into_body(), BODY_BYTES).await?;
            return if body.is_empty() { Ok(Self(T::default())) } else { Err(no_json()) };
        }
        parse(&read(request, BODY_BYTES).await?).map(Self)
    }
}

fn no_json() -> Problem {
    let detail = "send JSON, with `Content-Type: application/json`";
    Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported-media-type", detail)
}

/// The bytes of a body in JSON.
///
/// # Errors
/// When it says it is something else, or is too long.
pub async fn read(request: Request, most: usize) -> Answer<Bytes> {
    let kind = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let kind = kind.map(|kind| kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase());
    // A form of another site cannot say this.
    if kind.as_deref() != Some("application/json") {
        return Err(no_json());
    }
    limited(request.into_body(), most).await
}

async fn limited(body: Body, most: usize) -> Answer<Bytes> {
    match Limited::new(body, most).collect().await {
        Ok(read) => Ok(read.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => {
            let detail = format!("the body is longer than {most} bytes");
            Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", detail))
        }
        Err(_) => Err(Problem::new(StatusCode::BAD_REQUEST, "bad-request", "the body ended early")),
    }
}

/// A value from JSON.
///
/// # Errors
/// Names what is wrong with it.
pub fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Answer<T> {
    // serde reads an array as a struct whose fields come in order; here every body is an object.
    if bytes.trim_ascii_start().starts_with(b"[") {
        return Err(Problem::invalid("body", "is no object"));
    }
    serde_json::from_slice(bytes).map_err(|error| match error.classify() {
        serde_json::error::Category::Data => unfit(&error),
        _ => Problem::new(StatusCode::BAD_REQUEST, "bad-json", format!("the body is no JSON: {error}")),
    })
}

/// The problem of a value that is JSON, and not what is asked for.
pub fn unfit(error: &serde_json::Error) -> Problem {
    let text = error.to_string();
    // serde names a field between backticks where one is missing, unknown or of another type.
    let field = ["missing field `", "unknown field `"].iter().find_map(|begin| {
        let (_, rest) = text.split_once(begin)?;
        rest.split_once('`').map(|(field, _)| field.to_owned())
    });
    Problem::invalid(field.unwrap_or_else(|| "body".to_owned()), text)
}

/// The part of an address behind `?`.
#[derive(Debug)]
pub struct Params<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned + 'static> FromRequestParts<S> for Params<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Answer<Self> {
        let read = Query::<T>::try_from_uri(&parts.uri);
        read.map(|Query(value)| Self(value)).map_err(|error| {
            let text = error.body_text();
            let field = text.split_once(": ").and_then(|(_, rest)| rest.split_once(": "));
            let field = field.map_or("query", |(field, _)| field).to_owned();
            Problem::invalid(field, text)
        })
    }
}

/// The video that an address names. What is no id is no video.
#[derive(Debug, Clone, Copy)]
pub struct Video(pub Uuid);

impl Video {
    /// As the core names it.
    pub fn id(self) -> VideoId {
        VideoId(self.0)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Video {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Answer<Self> {
        let Path(text) = Path::<String>::from_request_parts(parts, state)
            .await
            .map_err(|_| Problem::not_found("video"))?;
        text.parse().map(Self).map_err(|_| Problem::not_found("video"))
    }
}

/// The scene that an address names: `VIDEO:ORDINAL`.
#[derive(Debug, Clone, Copy)]
pub struct Scene(pub SceneId);

impl<S: Send + Sync> FromRequestParts<S> for Scene {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Answer<Self> {
        let missing = || Problem::not_found("scene");
        let Path(text) = Path::<String>::from_request_parts(parts, state).await.map_err(|_| missing())?;
        let scene: SceneId = text.parse().map_err(|_| missing())?;
        // What no index can hold is in none.
        if i32::try_from(scene.ordinal).is_ok() { Ok(Self(scene)) } else { Err(missing()) }
    }
}
