//! Bytes of a subtitle file to text.

use chardetng::{EncodingDetector, Iso2022JpDetection, Utf8Detection};
use encoding_rs::Encoding;

use crate::{Error, Result};

/// Text of `bytes` in whatever encoding they are in: a byte order mark decides, then UTF-8, then
/// the encoding that browsers would guess. Bytes that do not fit it are an error, never mojibake.
pub(super) fn decode(name: &str, bytes: &[u8]) -> Result<String> {
    if let Some((encoding, bom)) = Encoding::for_bom(bytes) {
        return strict(name, encoding, &bytes[bom..]);
    }
    if let Ok(text) = std::str::from_utf8(bytes) {
        return Ok(text.to_owned());
    }
    // Two-byte encodings without a mark have a zero in every other byte of Latin text.
    if bytes.contains(&0) {
        return Err(unknown(name));
    }
    let mut detector = EncodingDetector::new(Iso2022JpDetection::Allow);
    detector.feed(bytes, true);
    strict(name, detector.guess(None, Utf8Detection::Allow), bytes)
}

fn strict(name: &str, encoding: &'static Encoding, bytes: &[u8]) -> Result<String> {
    encoding
        .decode_without_bom_handling_and_without_replacement(bytes)
        .map(std::borrow::Cow::into_owned)
        .ok_or_else(|| unknown(name))
}

fn unknown(name: &str) -> Error {
    Error::Subtitle { name: name.to_owned(), message: "unknown encoding; save it as UTF-8".to_owned() }
}
