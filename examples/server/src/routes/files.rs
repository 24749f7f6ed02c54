//! Videos and pictures in a folder, at addresses that the server signed. With a bucket there is nothing
//! here: browsers talk to it.

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures::TryStreamExt;
use object_store::path::Path as Key;
use object_store::{GetOptions, GetRange, ObjectMeta};
use uuid::Uuid;

use crate::app::App;
use crate::extract::Params;
use crate::limits::Caller;
use crate::problem::{Answer, Problem};
use crate::rows;
use crate::serve::Peer;
use crate::storage::Signed;

/// Types that are told to a browser as they are.
const TYPES: [&str; 3] = ["video/", "audio/", "image/webp"];

/// Sends a part.
///
/// A refusal comes while the part is still on its way: nothing more is heard on that connection, and its client is
/// told so.
pub(super) async fn put(
    state: State<App>,
    peer: Peer,
    path: Path<String>,
    signed: Params<Signed>,
    body: Body,
) -> Response {
    match take(state, peer, path, signed, body).await {
        Ok(response) => response,
        Err(problem) => ([(header::CONNECTION, "close")], problem).into_response(),
    }
}

async fn take(
    State(app): State<App>,
    peer: Peer,
    Path(key): Path<String>,
    Params(signed): Params<Signed>,
    body: Body,
) -> Answer<Response> {
    let nothing = || Problem::not_found("file");
    let folder = app.folder.as_ref().ok_or_else(nothing)?;
    app.requests.count(Caller::Address(peer.0))?;
    app.signer.check("PUT", &key, &signed)?;
    let part = key.strip_prefix("uploads/").and_then(|rest| rest.split_once('/'));
    let part =
        part.and_then(|(video, number)| Some((video.parse::<Uuid>().ok()?, number.parse::<u32>().ok()?)));
    let (video, number) = part.ok_or_else(nothing)?;
    // An address outlives the upload that it was made for.
    if !rows::is_on_the_way(&app.pool, video).await? {
        return Err(Problem::conflict("upload-over", "this upload is completed, or was removed"));
    }
    let etag = folder.write((video, number), signed.bytes, body.into_data_stream()).await?;
    metrics::counter!("uploaded_bytes_total").increment(signed.bytes);
    let etag = HeaderValue::from_str(&format!("\"{etag}\"")).map_err(Problem::internal)?;
    Ok((StatusCode::OK, [(header::ETAG, etag)]).into_response())
}

/// Gives a file, or a part of it.
pub(super) async fn get(
    State(app): State<App>,
    peer: Peer,
    method: Method,
    Path(key): Path<String>,
    Params(signed): Params<Signed>,
    headers: HeaderMap,
) -> Answer<Response> {
    let nothing = || Problem::not_found("file");
    if app.folder.is_none() {
        return Err(nothing());
    }
    app.requests.count(Caller::Address(peer.0))?;
    app.signer.check("GET", &key, &signed)?;
    let readable = key.starts_with("videos/") || key.starts_with("thumbnails/");
    let path = Key::parse(&key).ok().filter(|_| readable).ok_or_else(nothing)?;
    let objects = app.storage.objects();
    let missing = |error| match error {
        object_store::Error::NotFound { .. } => nothing(),
        error => error.into(),
    };
    let looked = GetOptions { head: true, ..GetOptions::default() };
    let meta = objects.get_opts(&path, looked).await.map_err(missing)?.meta;
    let mut response = Response::new(Body::empty());
    describe(&meta, &signed, response.headers_mut())?;
    if is_known(&meta, &headers) {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        return Ok(response);
    }
    let range = match wanted(&meta, &headers) {
        Wanted::All => 0..meta.size,
        Wanted::Part(range) => {
            *response.status_mut() = StatusCode::PARTIAL_CONTENT;
            let told = format!("bytes {}-{}/{}", range.start, range.end - 1, meta.size);
            set(response.headers_mut(), header::CONTENT_RANGE, &told)?;
            range
        }
        Wanted::Nothing => {
            let mut response = Problem::of_status(StatusCode::RANGE_NOT_SATISFIABLE).into_response();
            set(response.headers_mut(), header::CONTENT_RANGE, &format!("bytes */{}", meta.size))?;
            return Ok(response);
        }
    };
    set(response.headers_mut(), header::CONTENT_LENGTH, &(range.end - range.start).to_string())?;
    if method != Method::HEAD && !range.is_empty() {
        let options = GetOptions { range: Some(GetRange::Bounded(range)), ..GetOptions::default() };
        let found = objects.get_opts(&path, options).await.map_err(missing)?;
        *response.body_mut() = Body::from_stream(found.into_stream().map_err(std::io::Error::other));
    }
    Ok(response)
}

fn set(headers: &mut HeaderMap, name: header::HeaderName, value: &str) -> Answer<()> {
    headers.insert(name, HeaderValue::from_str(value).map_err(Problem::internal)?);
    Ok(())
}

fn etag(meta: &ObjectMeta) -> String {
    match &meta.e_tag {
        Some(tag) => format!("\"{}\"", tag.trim_matches('"')),
        None => format!("\"{:x}-{:x}\"", meta.size, meta.last_modified.timestamp_micros()),
    }
}

fn describe(meta: &ObjectMeta, signed: &Signed, headers: &mut HeaderMap) -> Answer<()> {
    let known = TYPES.iter().any(|kind| signed.kind.starts_with(kind));
    let kind = if known { signed.kind.as_str() } else { "application/octet-stream" };
    set(headers, header::CONTENT_TYPE, kind)?;
    set(headers, header::ACCEPT_RANGES, "bytes")?;
    set(headers, header::ETAG, &etag(meta))?;
    let modified = meta.last_modified.format("%a, %d %b %Y %H:%M:%S GMT").to_string();
    set(headers, header::LAST_MODIFIED, &modified)?;
    // Nothing changes a file, and an address names one user's.
    set(headers, header::CACHE_CONTROL, "private, max-age=3600, immutable")
}

fn text(headers: &HeaderMap, name: header::HeaderName) -> Option<&str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// Whether the browser has it already.
fn is_known(meta: &ObjectMeta, headers: &HeaderMap) -> bool {
    let ours = etag(meta);
    if let Some(known) = text(headers, header::IF_NONE_MATCH) {
        return known == "*" || known.split(',').any(|tag| tag.trim().trim_start_matches("W/") == ours);
    }
    let since = text(headers, header::IF_MODIFIED_SINCE)
        .and_then(|date| chrono::DateTime::parse_from_rfc2822(date).ok());
    since.is_some_and(|since| meta.last_modified.timestamp() <= since.timestamp())
}

#[derive(Debug, PartialEq, Eq)]
enum Wanted {
    All,
    Part(std::ops::Range<u64>),
    Nothing,
}

/// Which bytes are asked for. Several ranges, and what cannot be read, are answered by all of it.
fn wanted(meta: &ObjectMeta, headers: &HeaderMap) -> Wanted {
    let Some(asked) = text(headers, header::RANGE).and_then(|range| range.strip_prefix("bytes=")) else {
        return Wanted::All;
    };
    if let Some(same) = text(headers, header::IF_RANGE) {
        let modified = meta.last_modified.format("%a, %d %b %Y %H:%M:%S GMT").to_string();
        if same != etag(meta) && same != modified {
            return Wanted::All;
        }
    }
    range_of(asked.trim(), meta.size)
}

fn range_of(asked: &str, size: u64) -> Wanted {
    let Some((first, last)) = asked.split_once('-') else { return Wanted::All };
    let number = |text: &str| {
        text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse::<u64>().unwrap_or(u64::MAX))
    };
    let (first, last) = match (first.trim(), last.trim()) {
        ("", "") => return Wanted::All,
        ("", last) => match number(last) {
            Some(0) => return Wanted::Nothing,
            Some(last) => (size.saturating_sub(last), size),
            None => return Wanted::All,
        },
        (first, "") => match number(first) {
            Some(first) => (first, size),
            None => return Wanted::All,
        },
        (first, last) => match (number(first), number(last)) {
            (Some(first), Some(last)) if first <= last => (first, last.saturating_add(1).min(size)),
            _ => return Wanted::All,
        },
    };
    if first < last { Wanted::Part(first..last) } else { Wanted::Nothing }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges() {
        for (asked, wanted) in [
            ("0-", Wanted::Part(0..10)),
            ("0-0", Wanted::Part(0..1)),
            ("2-4", Wanted::Part(2..5)),
            ("5-100", Wanted::Part(5..10)),
            ("-3", Wanted::Part(7..10)),
            ("-30", Wanted::Part(0..10)),
            ("-0", Wanted::Nothing),
            ("10-", Wanted::Nothing),
            ("99999999999999999999-", Wanted::Nothing),
            ("4-2", Wanted::All),
            ("0-1,3-4", Wanted::All),
            ("a-b", Wanted::All),
            ("-", Wanted::All),
            ("", Wanted::All),
        ] {
            assert_eq!(range_of(asked, 10), wanted, "{asked}");
        }
        assert_eq!(range_of("0-", 0), Wanted::Nothing);
    }
}
