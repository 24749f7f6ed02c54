//! What went wrong, as RFC 9457 says it: `application/problem+json`.
//!
//! A handler gives a [`Problem`]; the outermost layer writes it, because only that knows the request's id.

use std::borrow::Cow;

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use heimdex::ErrorKind;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

/// The body of every answer from 400 on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct ProblemBody {
    /// Where this kind of problem is described; `about:blank` for those that need no description.
    #[serde(rename = "type")]
    pub kind: String,
    /// The status in words.
    pub title: String,
    /// The status of the answer.
    pub status: u16,
    /// What was wrong, and the next step where there is one.
    pub detail: String,
    /// The stable name of the problem, for programs.
    pub code: String,
    /// The field of the request that it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// What to quote when asking for help; the log has it too.
    pub request_id: Uuid,
}

/// A request that cannot be answered as it was meant.
#[derive(Debug, Clone)]
pub struct Problem {
    status: StatusCode,
    code: Cow<'static, str>,
    detail: Cow<'static, str>,
    field: Option<Cow<'static, str>>,
    /// Seconds until it is worth trying again.
    retry_after: Option<u64>,
}

/// What a handler gives.
pub type Answer<T> = Result<T, Problem>;

impl Problem {
    /// A problem of this status; `code` is its stable name.
    pub fn new(
        status: StatusCode,
        code: impl Into<Cow<'static, str>>,
        detail: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self { status, code: code.into(), detail: detail.into(), field: None, retry_after: None }
    }

    /// A value that cannot be used.
    pub fn invalid(field: impl Into<Cow<'static, str>>, detail: impl Into<Cow<'static, str>>) -> Self {
        let problem = Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", detail);
        Self { field: Some(field.into()), ..problem }
    }

    /// What is not there, or is another user's: nobody can tell which.
    pub fn not_found(what: &'static str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not-found", format!("there is no such {what}"))
    }

    /// Nobody is signed in, or the token says nothing.
    pub fn unauthorized(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "unauthorized", detail)
    }

    /// What cannot be done as things stand.
    pub fn conflict(code: &'static str, detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::CONFLICT, code, detail)
    }

    /// Asked too often.
    pub fn too_many(seconds: u64) -> Self {
        let detail = format!("asked too often; try again in {seconds} s");
        Self {
            retry_after: Some(seconds),
            ..Self::new(StatusCode::TOO_MANY_REQUESTS, "too-many-requests", detail)
        }
    }

    /// A failure that is ours. The cause goes to the log and never to the client.
    pub fn internal(cause: impl std::fmt::Display) -> Self {
        tracing::error!(%cause, "a request failed");
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            "something failed on the server; it was logged under the id of this request",
        )
    }

    /// The database or the storage is away.
    pub fn unavailable(cause: impl std::fmt::Display) -> Self {
        tracing::warn!(%cause, "a request could not be served for now");
        Self {
            retry_after: Some(2),
            ..Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "unavailable",
                "the database or the storage does not answer; try again in a moment",
            )
        }
    }

    /// The status of the answer.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The stable name.
    pub fn code(&self) -> &str {
        &self.code
    }

    /// Writes it.
    pub fn render(&self, request_id: Uuid) -> Response {
        let body = ProblemBody {
            kind: "about:blank".to_owned(),
            title: self.status.canonical_reason().unwrap_or("Problem").to_owned(),
            status: self.status.as_u16(),
            detail: self.detail.clone().into_owned(),
            code: self.code.clone().into_owned(),
            field: self.field.clone().map(Cow::into_owned),
            request_id,
        };
        let bytes = serde_json::to_vec(&body).unwrap_or_default();
        let mut response = Response::new(Body::from(bytes));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }

    /// For an answer of axum itself, such as an unknown path.
    pub fn of_status(status: StatusCode) -> Self {
        let (code, detail) = match status {
            StatusCode::NOT_FOUND => ("not-found", "there is nothing at this address"),
            StatusCode::METHOD_NOT_ALLOWED => ("method-not-allowed", "this address does not know the method"),
            StatusCode::PAYLOAD_TOO_LARGE => ("too-large", "the body is larger than this address takes"),
            StatusCode::REQUEST_TIMEOUT => ("timed-out", "the request took too long"),
            status if status.is_client_error() => ("bad-request", "the request cannot be read"),
            _ => ("internal", "something failed on the server"),
        };
        Self::new(status, code, detail)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

impl From<heimdex::Error> for Problem {
    fn from(error: heimdex::Error) -> Self {
        let status = match error.kind() {
            ErrorKind::NotFound => StatusCode::NOT_FOUND,
            ErrorKind::Invalid | ErrorKind::Query | ErrorKind::Subtitle => StatusCode::UNPROCESSABLE_ENTITY,
            ErrorKind::Space => StatusCode::CONFLICT,
            ErrorKind::ModelMissing => StatusCode::NOT_IMPLEMENTED,
            ErrorKind::Store => return Self::unavailable(Chain(&error)),
            _ => return Self::internal(Chain(&error)),
        };
        let field = match &error {
            heimdex::Error::Invalid { field, .. } => Some(Cow::Borrowed(*field)),
            heimdex::Error::Query(_) => Some(Cow::Borrowed("query")),
            _ => None,
        };
        Self { field, ..Self::new(status, error.kind().as_str(), error.to_string()) }
    }
}

impl From<sqlx::Error> for Problem {
    fn from(error: sqlx::Error) -> Self {
        match error {
            sqlx::Error::Io(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::Tls(_) => Self::unavailable(error),
            // The server is shutting down, starting up, or has no connection left.
            sqlx::Error::Database(ref cause)
                if cause.code().is_some_and(|code| code.starts_with("57") || code == "53300") =>
            {
                Self::unavailable(error)
            }
            _ => Self::internal(error),
        }
    }
}

impl From<object_store::Error> for Problem {
    fn from(error: object_store::Error) -> Self {
        Self::unavailable(Chain(&error))
    }
}

/// An error with its causes, for the log.
pub struct Chain<'a>(pub &'a (dyn std::error::Error + 'static));

impl std::fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)?;
        let mut next = self.0.source();
        while let Some(cause) = next {
            write!(f, ": {cause}")?;
            next = cause.source();
        }
        Ok(())
    }
}
