//! What the hub is asked, and what it answers. The token goes to the hub's own host only.

use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use ureq::http::header::{CONTENT_LENGTH, CONTENT_RANGE, ETAG, RETRY_AFTER};
use ureq::http::{Method, Response, StatusCode, Uri};
use ureq::tls::{PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::{Agent, Body};

use super::address::{encode, is_file_name, origin, plain_etag, redirect, text};
use super::hash::is_hex;
use super::options::{HubOptions, Token};
use super::retry::Failure;
use crate::{Error, ErrorKind, Result};

const MAX_HEADER_BYTES: usize = 64 << 10;
const MAX_REDIRECTS: usize = 5;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// A file as the hub describes it.
#[derive(Debug, Clone)]
pub(super) struct Described {
    /// The commit that the revision stands for.
    pub(super) commit: String,
    /// The name of the content: its SHA-256 or git blob hash.
    pub(super) etag: String,
    pub(super) bytes: u64,
}

/// The files of a repository at a commit.
#[derive(Debug, Deserialize)]
pub(super) struct Listing {
    pub(super) sha: String,
    #[serde(default)]
    pub(super) siblings: Vec<Sibling>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Sibling {
    pub(super) rfilename: String,
}

/// One file of one repository at one revision.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted<'a> {
    pub(super) repo: &'a str,
    pub(super) revision: &'a str,
    pub(super) file: &'a str,
}

/// The rest of a file, from `from` on.
pub(super) struct Rest {
    pub(super) from: u64,
    pub(super) body: Body,
}

pub(super) struct Client {
    agent: Agent,
    endpoint: Uri,
    base: String,
    token: Option<Token>,
}

impl Client {
    pub(super) fn new(options: &HubOptions) -> Result<Self> {
        let bad = || Error::invalid("endpoint", "give an address such as https://huggingface.co");
        let base = options.endpoint.trim_end_matches('/').to_owned();
        let endpoint: Uri = base.parse().map_err(|_| bad())?;
        let authority = endpoint.authority().ok_or_else(bad)?;
        // A password in the address would end up in messages.
        let plain = !authority.as_str().contains('@') && endpoint.query().is_none();
        if !plain || !matches!(endpoint.scheme_str(), Some("http" | "https")) {
            return Err(bad());
        }
        let mut tls = TlsConfig::builder();
        if let Some(path) = &options.ca_file {
            let pem = std::fs::read(path).map_err(|e| Error::io(path, e))?;
            let found = parse_pem(&pem).filter_map(|item| match item {
                Ok(PemItem::Certificate(certificate)) => Some(certificate),
                _ => None,
            });
            tls = tls.root_certs(RootCerts::Specific(Arc::new(found.collect())));
        }
        let agent = Agent::config_builder()
            .tls_config(tls.build())
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .max_response_header_size(MAX_HEADER_BYTES)
            .accept_encoding("identity")
            .user_agent(concat!("heimdex/", env!("CARGO_PKG_VERSION")))
            .timeout_connect(Some(CONNECT_TIMEOUT))
            .timeout_per_read(Some(options.idle_timeout))
            .build()
            .new_agent();
        Ok(Self { agent, endpoint, base, token: options.token.clone() })
    }

    /// What a file is, without its content.
    pub(super) fn describe(&self, wanted: Wanted<'_>) -> Result<Described, Failure> {
        let bad = |what: &str| {
            Error::model(wanted.repo, format!("{}: {what}; is {} a model hub?", wanted.file, self.base))
        };
        let mut at = self.address(wanted)?;
        let (mut commit, mut etag, mut bytes) = (None, None, None);
        for _ in 0..=MAX_REDIRECTS {
            let response = self.request(&Method::HEAD, &at, None, wanted)?;
            let headers = response.headers();
            commit = commit.or_else(|| text(headers, "x-repo-commit"));
            etag = etag.or_else(|| text(headers, "x-linked-etag"));
            bytes = bytes.or_else(|| text(headers, "x-linked-size"));
            let next = redirect(&at, &response, wanted)?;
            // Within the hub the answer is at the end; elsewhere is only the content.
            if let Some(next) = next.filter(|next| self.is_ours(next)) {
                at = next;
                continue;
            }
            let last = !response.status().is_redirection();
            if !response.status().is_success() && last {
                return Err(self.refusal(wanted, &response));
            }
            etag = etag.or_else(|| text(headers, ETAG.as_str()));
            bytes = bytes.or_else(|| text(headers, CONTENT_LENGTH.as_str()).filter(|_| last));
            let commit = commit.filter(|c| c.len() == 40 && is_hex(c));
            let etag = etag.as_deref().map(plain_etag).filter(|e| is_file_name(e));
            return Ok(Described {
                commit: commit.ok_or_else(|| bad("the answer names no commit"))?,
                etag: etag.ok_or_else(|| bad("the answer has no etag"))?.to_owned(),
                bytes: bytes
                    .and_then(|b| b.parse().ok())
                    .ok_or_else(|| bad("the answer does not say how large it is"))?,
            });
        }
        Err(bad("too many redirects").into())
    }

    /// The content from `from` on, or from the start where the server does not take up.
    pub(super) fn content(&self, wanted: Wanted<'_>, from: u64, bytes: u64) -> Result<Rest, Failure> {
        let mut at = self.address(wanted)?;
        for _ in 0..=MAX_REDIRECTS {
            let response = self.request(&Method::GET, &at, (from > 0).then_some(from), wanted)?;
            if let Some(next) = redirect(&at, &response, wanted)? {
                at = next;
                continue;
            }
            let headers = response.headers();
            let from = match response.status() {
                StatusCode::OK => 0,
                StatusCode::PARTIAL_CONTENT => {
                    let range = text(headers, CONTENT_RANGE.as_str());
                    // Anything else would put bytes in the wrong place.
                    if range != Some(format!("bytes {from}-{}/{bytes}", bytes - 1)) {
                        let message = format!("{}: the server sent another part than asked", wanted.file);
                        return Err(Error::model(wanted.repo, message).into());
                    }
                    from
                }
                _ => return Err(self.refusal(wanted, &response)),
            };
            let stated: Option<u64> = text(headers, CONTENT_LENGTH.as_str()).and_then(|b| b.parse().ok());
            if stated.is_some_and(|stated| stated != bytes - from) {
                let message = format!(
                    "{}: the hub says {bytes} bytes, the server sends {}",
                    wanted.file,
                    from + stated.unwrap_or(0)
                );
                return Err(Error::model(wanted.repo, message).into());
            }
            return Ok(Rest { from, body: response.into_body() });
        }
        Err(Error::model(wanted.repo, format!("{}: too many redirects", wanted.file)).into())
    }

    /// The files of a repository.
    pub(super) fn list(&self, repo: &str, revision: &str) -> Result<Listing, Failure> {
        let wanted = Wanted { repo, revision, file: "the list of files" };
        let address = format!("{}/api/models/{repo}/revision/{}", self.base, encode(revision, false));
        let mut at: Uri = address.parse().map_err(|_| Error::invalid("name", "it makes no address"))?;
        for _ in 0..=MAX_REDIRECTS {
            let mut response = self.request(&Method::GET, &at, None, wanted)?;
            match redirect(&at, &response, wanted)? {
                Some(next) if self.is_ours(&next) => at = next,
                None if response.status().is_success() => {
                    let text = response.body_mut().read_to_string();
                    let text = text.map_err(|error| self.broken(wanted, &at, error))?;
                    return serde_json::from_str(&text).map_err(|e| {
                        let message = format!("the hub's list of files cannot be read: {e}");
                        Error::model(repo, message).into()
                    });
                }
                _ => return Err(self.refusal(wanted, &response)),
            }
        }
        Err(Error::model(repo, "too many redirects").into())
    }

    fn address(&self, wanted: Wanted<'_>) -> Result<Uri> {
        let Wanted { repo, revision, file } = wanted;
        let address =
            format!("{}/{repo}/resolve/{}/{}", self.base, encode(revision, false), encode(file, true));
        address.parse().map_err(|_| Error::invalid("name", "it makes no address"))
    }

    fn is_ours(&self, at: &Uri) -> bool {
        origin(at) == origin(&self.endpoint)
    }

    fn request(
        &self,
        method: &Method,
        at: &Uri,
        from: Option<u64>,
        wanted: Wanted<'_>,
    ) -> Result<Response<Body>, Failure> {
        let mut request = if *method == Method::HEAD { self.agent.head(at) } else { self.agent.get(at) };
        if let Some(from) = from {
            request = request.header("Range", format!("bytes={from}-"));
        }
        if let Some(token) = self.token.as_ref().filter(|_| self.is_ours(at)) {
            request = request.header("Authorization", format!("Bearer {}", token.secret()));
        }
        request.call().map_err(|error| self.broken(wanted, at, error))
    }

    /// What a status means, and what to do about it.
    fn refusal(&self, wanted: Wanted<'_>, answer: &Response<Body>) -> Failure {
        let Wanted { repo, revision, file } = wanted;
        let status = answer.status().as_u16();
        match status {
            401 | 403 => {
                let does =
                    if self.token.is_some() { "the token does not open it" } else { "there is no token" };
                let message = format!(
                    "{file}: the hub refuses access ({status}; {does}): it is private or gated, or does not \
                     exist; accept its licence at {}/{repo} and set HF_TOKEN",
                    self.base
                );
                Error::model_missing(repo, message).into()
            }
            404 | 410 => {
                let message = format!("the hub has no {file} at revision {revision} of {repo}");
                Error::model_missing(repo, message).into()
            }
            408 | 425 | 429 | 500..=599 => {
                let seconds = text(answer.headers(), RETRY_AFTER.as_str()).and_then(|s| s.parse().ok());
                let error = failed(repo, format!("{file}: the hub answers {status}; try again later"), None);
                Failure::Passing { error, wait: seconds.map(Duration::from_secs) }
            }
            _ => Error::model(repo, format!("{file}: the hub answers {status}")).into(),
        }
    }

    /// A request that got no answer, or not the whole of it.
    fn broken(&self, wanted: Wanted<'_>, at: &Uri, error: ureq::Error) -> Failure {
        let host = at.host().unwrap_or(&self.base);
        let message = format!("{}: {host} cannot be reached or broke off ({error})", wanted.file);
        match error {
            // These hold addresses, which may carry a signature.
            ureq::Error::BadUri(_) | ureq::Error::RequireHttpsOnly(_) => {
                Error::model(wanted.repo, format!("{}: {host} is no address", wanted.file)).into()
            }
            ureq::Error::LargeResponseHeader(..) => {
                Error::model(wanted.repo, format!("{}: the header of {host} is too large", wanted.file))
                    .into()
            }
            ureq::Error::Rustls(_) | ureq::Error::Tls(_) | ureq::Error::Http(_) => {
                Failure::Lasting(failed(wanted.repo, message, Some(error)))
            }
            // A certificate that is not trusted comes as bad data, and stays so.
            ureq::Error::Io(ref e) if e.kind() == std::io::ErrorKind::InvalidData => {
                let message = format!("{message}; SSL_CERT_FILE names other authorities to trust");
                Failure::Lasting(failed(wanted.repo, message, Some(error)))
            }
            _ => Failure::Passing { error: failed(wanted.repo, message, Some(error)), wait: None },
        }
    }
}

/// A failure of the network, not of the model.
pub(super) fn failed(repo: &str, message: String, source: Option<ureq::Error>) -> Error {
    let source = source.map(Into::into);
    Error::Model { model: repo.to_owned(), kind: ErrorKind::Io, message, source }
}
