//! The web page and the description of the API, both built in. Neither asks anything of another host.

use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};

use crate::app::App;
use crate::problem::{Answer, Problem};

// The files of `web/dist`: path, type, BLAKE3 in hexadecimal, bytes.
include!(concat!(env!("OUT_DIR"), "/assets.rs"));

type Asset = (&'static str, &'static str, &'static str, &'static [u8]);

fn asset(path: &str) -> Option<&'static Asset> {
    ASSETS.iter().find(|(name, ..)| *name == path)
}

/// What pages may do: run our own scripts, show pictures and videos of ours and of the bucket, talk to us
/// and to the bucket. Nothing inline runs.
fn policy(app: &App) -> String {
    let place = app.files_origin.as_deref().unwrap_or_default();
    let place = if place.is_empty() { String::new() } else { format!(" {place}") };
    format!(
        "default-src 'none'; script-src 'self'; style-src 'self'; font-src 'self'; manifest-src 'self'; \
         img-src 'self' data: blob:{place}; media-src 'self' blob:{place}; connect-src 'self'{place}; \
         form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    )
}

fn give(app: &App, asset: &Asset, cache: &'static str, headers: &HeaderMap) -> Answer<Response> {
    let (_, kind, hash, bytes) = *asset;
    let tag = format!("\"{}\"", &hash[..32]);
    let same = headers.get(header::IF_NONE_MATCH).and_then(|value| value.to_str().ok());
    let mut response = if same.is_some_and(|same| same.split(',').any(|one| one.trim() == tag)) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        bytes.into_response()
    };
    let value = |text: &str| HeaderValue::from_str(text).map_err(Problem::internal);
    let answer = response.headers_mut();
    answer.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    answer.insert(header::CACHE_CONTROL, HeaderValue::from_static(cache));
    answer.insert(header::ETAG, value(&tag)?);
    answer.insert(header::CONTENT_SECURITY_POLICY, value(&policy(app))?);
    let permissions = HeaderValue::from_static("camera=(), microphone=(), geolocation=(), payment=()");
    answer.insert("permissions-policy", permissions);
    answer.insert("cross-origin-opener-policy", HeaderValue::from_static("same-origin"));
    answer.insert("cross-origin-resource-policy", HeaderValue::from_static("same-origin"));
    Ok(response)
}

/// The page. Looked at again each time, so that a new version is there at once.
pub(super) async fn index(State(app): State<App>, headers: HeaderMap) -> Answer<Response> {
    let page = asset("index.html")
        .ok_or_else(|| Problem::not_found("page; build it with `npm run build` in web"))?;
    give(&app, page, "no-cache", &headers)
}

/// What the page is made of. Names hold a hash of what is in them, so they are kept for good.
pub(super) async fn assets(
    State(app): State<App>,
    Path(path): Path<String>,
    headers: HeaderMap,
) -> Answer<Response> {
    let asset = asset(&format!("assets/{path}")).ok_or_else(|| Problem::not_found("file"))?;
    give(&app, asset, "public, max-age=31536000, immutable", &headers)
}

/// Files beside the page, such as its icon.
pub(super) async fn beside(
    State(app): State<App>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
) -> Answer<Response> {
    let read = matches!(method, Method::GET | Method::HEAD);
    let asset = asset(uri.path().trim_start_matches('/'));
    let asset = asset.filter(|(name, ..)| read && name.strip_suffix(".html").is_none());
    give(
        &app,
        asset.ok_or_else(|| Problem::of_status(StatusCode::NOT_FOUND))?,
        "public, max-age=3600",
        &headers,
    )
}

const DOCS: Asset = ("docs", "text/html; charset=utf-8", DOCS_HASHES[0], include_bytes!("../docs/docs.html"));
const DOCS_JS: Asset =
    ("docs.js", "text/javascript; charset=utf-8", DOCS_HASHES[1], include_bytes!("../docs/docs.js"));
const DOCS_CSS: Asset =
    ("docs.css", "text/css; charset=utf-8", DOCS_HASHES[2], include_bytes!("../docs/docs.css"));

/// The API for people.
pub(super) async fn docs(State(app): State<App>, headers: HeaderMap) -> Answer<Response> {
    give(&app, &DOCS, "no-cache", &headers)
}

/// What that is made of.
pub(super) async fn docs_file(
    State(app): State<App>,
    Path(name): Path<String>,
    headers: HeaderMap,
) -> Answer<Response> {
    let asset = [&DOCS_JS, &DOCS_CSS].into_iter().find(|asset| asset.0 == name);
    give(&app, asset.ok_or_else(|| Problem::not_found("file"))?, "no-cache", &headers)
}
