//! Addresses and headers of the hub, read with care: both come from outside.

use ureq::Body;
use ureq::http::header::LOCATION;
use ureq::http::{HeaderMap, Response, Uri};

use super::http::Wanted;
use crate::{Error, Result};

/// Where the answer sends us, when it does.
pub(super) fn redirect(at: &Uri, answer: &Response<Body>, wanted: Wanted<'_>) -> Result<Option<Uri>> {
    if !matches!(answer.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
        return Ok(None);
    }
    let location = text(answer.headers(), LOCATION.as_str()).unwrap_or_default();
    let scheme = at.scheme_str().unwrap_or("https");
    let full = if location.starts_with("//") {
        format!("{scheme}:{location}")
    } else if location.starts_with('/') {
        format!("{scheme}://{}{location}", at.authority().map_or("", |a| a.as_str()))
    } else {
        location
    };
    let next = full.parse::<Uri>().ok().filter(|next| match next.scheme_str() {
        Some("https") => true,
        // A redirect that takes encryption away is no redirect of the hub.
        Some("http") => scheme == "http",
        _ => false,
    });
    // The address may carry a signature, so it is not told.
    let bad = || Error::model(wanted.repo, format!("{}: a redirect that cannot be followed", wanted.file));
    next.filter(|next| next.authority().is_some()).map(Some).ok_or_else(bad)
}

/// A header as text.
pub(super) fn text(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name)?.to_str().ok().map(str::to_owned)
}

/// An etag without its marks.
pub(super) fn plain_etag(etag: &str) -> &str {
    etag.trim_start_matches("W/").trim_matches('"')
}

/// Whether a name from outside can be a file's name here.
pub(super) fn is_file_name(name: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    (1..=200).contains(&name.len()) && name.bytes().all(plain) && !name.starts_with('.')
}

/// Scheme, host and port.
pub(super) fn origin(uri: &Uri) -> (String, String, Option<u16>) {
    let scheme = uri.scheme_str().unwrap_or_default().to_ascii_lowercase();
    let port = uri.port_u16().or(if scheme == "https" { Some(443) } else { Some(80) });
    (scheme, uri.host().unwrap_or_default().to_ascii_lowercase(), port)
}

/// Percent-encodes all but what is plain everywhere.
pub(super) fn encode(text: &str, keep_slashes: bool) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~".contains(&b) || (keep_slashes && b == b'/');
    text.bytes().map(|b| if plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}
