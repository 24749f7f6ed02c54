//! What the first bytes of an upload tell: containers that the decoder knows, and nothing else.

/// Bytes that are looked at.
pub const HEAD_BYTES: u64 = 4096;

/// The type of a file by its content; `None` when it is no video or sound that is known.
pub fn kind(head: &[u8]) -> Option<&'static str> {
    let at = |from: usize, magic: &[u8]| head.get(from..).is_some_and(|rest| rest.starts_with(magic));
    if at(4, b"ftyp") {
        let sound = at(8, b"M4A ") || at(8, b"M4B ");
        let quicktime = at(8, b"qt  ");
        return Some(match (sound, quicktime) {
            (true, _) => "audio/mp4",
            (_, true) => "video/quicktime",
            _ => "video/mp4",
        });
    }
    // QuickTime of old, and files that begin with filling.
    if [&b"moov"[..], b"mdat", b"wide", b"free", b"skip", b"pnot"].iter().any(|box_| at(4, box_)) {
        return Some("video/quicktime");
    }
    if at(0, b"\x1a\x45\xdf\xa3") {
        let webm = head.windows(4).take(64).any(|window| window == b"webm");
        return Some(if webm { "video/webm" } else { "video/x-matroska" });
    }
    let known: [(usize, &[u8], &str); 9] = [
        (8, b"AVI ", "video/x-msvideo"),
        (8, b"WAVE", "audio/wav"),
        (0, b"OggS", "video/ogg"),
        (0, b"FLV\x01", "video/x-flv"),
        (0, b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "video/x-ms-asf"),
        (0, b"\0\0\x01\xba", "video/mpeg"),
        (0, b"\0\0\x01\xb3", "video/mpeg"),
        (0, b"fLaC", "audio/flac"),
        (0, b"ID3", "audio/mpeg"),
    ];
    if let Some((_, _, kind)) = known.iter().find(|(from, magic, _)| at(*from, magic)) {
        return Some(kind);
    }
    let every = |from: usize, step: usize| (0..3).all(|n| head.get(from + n * step) == Some(&0x47));
    if every(0, 188) || every(4, 192) {
        return Some("video/mp2t");
    }
    match head {
        // Frames of MPEG audio and of AAC begin so.
        [0xff, second, ..] if second & 0xe0 == 0xe0 && *second != 0xff => Some("audio/mpeg"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_media_pass() {
        assert_eq!(kind(b"\0\0\0\x20ftypisom"), Some("video/mp4"));
        assert_eq!(kind(b"\0\0\0\x20ftypqt  "), Some("video/quicktime"));
        assert_eq!(kind(b"\x1a\x45\xdf\xa3\x9f\x42\x86\x81\x01\x42\x82\x84webm"), Some("video/webm"));
        assert_eq!(kind(b"RIFF\0\0\0\0AVI LIST"), Some("video/x-msvideo"));
        let mut packets = vec![0; 188 * 3];
        packets.iter_mut().step_by(188).for_each(|byte| *byte = 0x47);
        assert_eq!(kind(&packets), Some("video/mp2t"));
        for no in [
            &b""[..],
            b"#EXTM3U\n",
            b"ffconcat version 1.0",
            b"<?xml?><MPD/>",
            b"<html>",
            b"\x89PNG\r\n\x1a\n",
            b"\xff\xd8\xff\xe0",
            b"PK\x03\x04",
            b"RIFF\0\0\0\0WEBP",
            b"MZ",
            b"\xff\xff\xff\xff",
        ] {
            let jpeg = no.starts_with(b"\xff\xd8");
            assert!(kind(no).is_none() || jpeg, "{no:?}");
        }
        assert_eq!(kind(b"\xff\xd8\xff\xe0"), None, "a picture");
    }
}
