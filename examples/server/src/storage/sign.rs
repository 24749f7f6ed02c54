//! Addresses that the server signs itself: whoever has one may do what it says until it says.

use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use serde::Deserialize;

use crate::problem::{Answer, Problem};

/// What an address says beside its path.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Signed {
    /// Until when, in Unix seconds.
    pub expires: i64,
    /// Bytes to send; 0 for what is only fetched.
    #[serde(default)]
    pub bytes: u64,
    /// What the file is of.
    #[serde(default)]
    pub kind: String,
    /// That all of this was said by us.
    pub signature: String,
}

/// Signs addresses, and knows those it signed.
pub struct Signer {
    key: [u8; 32],
    public_url: String,
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Signer").finish_non_exhaustive()
    }
}

impl Signer {
    /// With a key of 256 bits; `public_url` stands before every address, and may be empty.
    pub fn new(key: [u8; 32], public_url: &str) -> Self {
        Self { key, public_url: public_url.trim_end_matches('/').to_owned() }
    }

    fn signature(&self, method: &str, key: &str, signed: &Signed) -> blake3::Hash {
        let Signed { expires, bytes, kind, .. } = signed;
        // No part of it holds a line break that is not refused elsewhere, and the lengths stand before.
        let text = format!("{method}\n{} {key}\n{expires}\n{bytes}\n{} {kind}", key.len(), kind.len());
        blake3::keyed_hash(&self.key, text.as_bytes())
    }

    /// An address for `method` on a file, and until when it is good. The end is a whole multiple of
    /// `round`, so that two requests soon after each other get the same address, which a browser keeps.
    pub fn address(
        &self,
        method: &str,
        key: &str,
        (bytes, kind): (u64, &str),
        lasts: Duration,
        round: i64,
    ) -> (String, DateTime<Utc>) {
        let end = Utc::now().timestamp() + i64::try_from(lasts.as_secs()).unwrap_or(i64::MAX / 2);
        let expires = (end / round + i64::from(end % round != 0)) * round;
        let signed = Signed { expires, bytes, kind: kind.to_owned(), signature: String::new() };
        let signature = BASE64_URL_SAFE_NO_PAD.encode(self.signature(method, key, &signed).as_bytes());
        let mut address = format!("{}/files/{key}?expires={expires}", self.public_url);
        if bytes > 0 {
            address.push_str(&format!("&bytes={bytes}"));
        }
        if !kind.is_empty() {
            address.push_str(&format!("&kind={}", kind.replace('/', "%2F")));
        }
        address.push_str(&format!("&signature={signature}"));
        (address, DateTime::from_timestamp(expires, 0).unwrap_or(DateTime::<Utc>::MAX_UTC))
    }

    /// Checks an address that came back.
    ///
    /// # Errors
    /// When we did not sign it, or its time is over.
    pub fn check(&self, method: &str, key: &str, signed: &Signed) -> Answer<()> {
        let refused = || {
            let status = axum::http::StatusCode::FORBIDDEN;
            Problem::new(status, "signature", "this address is not valid any more; ask for a new one")
        };
        let given = BASE64_URL_SAFE_NO_PAD.decode(&signed.signature).map_err(|_| refused())?;
        let given: [u8; 32] = given.try_into().map_err(|_| refused())?;
        // Hashes are compared in constant time.
        let fits = self.signature(method, key, signed) == blake3::Hash::from_bytes(given);
        if fits && signed.expires > Utc::now().timestamp() { Ok(()) } else { Err(refused()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(address: &str) -> (String, Signed) {
        let (path, query) = address.strip_prefix("/files/").unwrap().split_once('?').unwrap();
        let query = query.replace("%2F", "/");
        let value = |name: &str| {
            query
                .split('&')
                .find_map(|pair| pair.strip_prefix(&format!("{name}=")))
                .unwrap_or_default()
                .to_owned()
        };
        let signed = Signed {
            expires: value("expires").parse().unwrap(),
            bytes: value("bytes").parse().unwrap_or(0),
            kind: value("kind"),
            signature: value("signature"),
        };
        (path.to_owned(), signed)
    }

    #[test]
    fn only_what_was_signed_is_good() {
        let signer = Signer::new([7; 32], "");
        let (address, _) = signer.address("PUT", "uploads/a/1", (10, ""), PART, 1);
        let (key, signed) = parse(&address);
        signer.check("PUT", &key, &signed).unwrap();
        assert!(signer.check("GET", &key, &signed).is_err());
        assert!(signer.check("PUT", "uploads/b/1", &signed).is_err());
        assert!(signer.check("PUT", &key, &Signed { bytes: 11, ..signed.clone() }).is_err());
        assert!(
            signer.check("PUT", &key, &Signed { expires: signed.expires + 1, ..signed.clone() }).is_err()
        );
        assert!(signer.check("PUT", &key, &Signed { signature: String::new(), ..signed.clone() }).is_err());
        assert!(Signer::new([8; 32], "").check("PUT", &key, &signed).is_err());
        let (over, _) = signer.address("GET", "videos/a/source", (0, "video/mp4"), Duration::ZERO, 1);
        let (key, signed) = parse(&over);
        assert!(signer.check("GET", &key, &signed).is_err(), "its time is over");
    }

    const PART: Duration = Duration::from_mins(15);

    #[test]
    fn addresses_stay_the_same_for_a_while() {
        let signer = Signer::new([7; 32], "https://example.org/");
        let address = || signer.address("GET", "thumbnails/a/1.webp", (0, "image/webp"), PART, 1 << 40).0;
        assert_eq!(address(), address());
        assert!(address().starts_with("https://example.org/files/thumbnails/"));
    }
}
