//! What the first bytes of a file tell before FFmpeg sees any.

use crate::ErrorKind;

/// How many bytes are looked at.
pub(super) const HEAD_BYTES: usize = 4096;

/// Why a file with this beginning is not given to FFmpeg, if so.
pub(super) fn refuse(head: &[u8]) -> Option<(ErrorKind, &'static str)> {
    if head.is_empty() {
        return Some((ErrorKind::NotAMediaFile, "the file is empty"));
    }
    for magic in [&b"\x89PNG\r\n\x1a\n"[..], b"\xff\xd8\xff", b"II*\0", b"MM\0*", b"BM"] {
        if head.starts_with(magic) && !(magic == b"BM" && head.len() < 14) {
            return Some((ErrorKind::Unsupported, "the file is a still picture, not a video"));
        }
    }
    if head.len() > 12 && head.starts_with(b"RIFF") && &head[8..12] == b"WEBP" {
        return Some((ErrorKind::Unsupported, "the file is a still picture, not a video"));
    }
    let text = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head);
    let start = text.iter().position(|b| !b.is_ascii_whitespace()).unwrap_or(text.len());
    let text = &text[start..];
    let starts =
        |with: &str| text.len() >= with.len() && text[..with.len()].eq_ignore_ascii_case(with.as_bytes());
    let playlist =
        "the file is a playlist or script that names other files or addresses; give the video itself";
    if starts("#EXTM3U")
        || starts("ffconcat version")
        || starts("[playlist]")
        || starts("v=0")
        || starts("[Reference]")
    {
        return Some((ErrorKind::RefusedPlaylist, playlist));
    }
    let names_media = ["<MPD", "<SmoothStreamingMedia", "<asx", "<smil", "<playlist"];
    if starts("<") && names_media.iter().any(|tag| contains_tag(text, tag.as_bytes())) {
        return Some((ErrorKind::RefusedPlaylist, playlist));
    }
    None
}

fn contains_tag(text: &[u8], tag: &[u8]) -> bool {
    text.windows(tag.len()).any(|window| window.eq_ignore_ascii_case(tag))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_names_other_files_is_refused() {
        let kind = |head: &[u8]| refuse(head).map(|(kind, _)| kind);
        assert_eq!(kind(b""), Some(ErrorKind::NotAMediaFile));
        assert_eq!(kind(b"#EXTM3U\n#EXT-X-VERSION:3"), Some(ErrorKind::RefusedPlaylist));
        assert_eq!(kind(b"\xef\xbb\xbf\n ffconcat version 1.0"), Some(ErrorKind::RefusedPlaylist));
        assert_eq!(kind(b"<?xml version=\"1.0\"?>\n<MPD xmlns=\"\">"), Some(ErrorKind::RefusedPlaylist));
        assert_eq!(kind(b"v=0\r\no=- 0 0 IN IP4 127.0.0.1"), Some(ErrorKind::RefusedPlaylist));
        assert_eq!(kind(b"\x89PNG\r\n\x1a\nIHDR"), Some(ErrorKind::Unsupported));
        assert_eq!(kind(b"\0\0\0\x20ftypisom"), None);
    }
}
