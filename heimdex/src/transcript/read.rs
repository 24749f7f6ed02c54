//! Subtitles from bytes.

use super::cue::{self, Cue};
use super::{Segment, encoding, srt, vtt};
use crate::{Error, Result, Timestamp};

/// Reads SubRip or WebVTT in any encoding. Times are cut at `end`.
///
/// # Errors
/// [`ErrorKind::Subtitle`](crate::ErrorKind::Subtitle) when the encoding is not known or no cue is
/// found; `name` is used in the message.
///
/// ```
/// use heimdex::{Timestamp, transcript::read_subtitles};
/// let srt = b"1\n00:00:01,000 --> 00:00:02,000\nA <i>red</i> car\n";
/// let segments = read_subtitles("clip.srt", srt, Timestamp::MAX)?;
/// assert_eq!(segments[0].text, "A red car");
/// # Ok::<(), heimdex::Error>(())
/// ```
pub fn read_subtitles(name: &str, bytes: &[u8], end: Timestamp) -> Result<Vec<Segment>> {
    cues(name, bytes).map(|cues| cue::segments(cues, end))
}

/// The cues of a file, whatever its format.
pub(super) fn cues(name: &str, bytes: &[u8]) -> Result<Vec<Cue>> {
    let text = encoding::decode(name, bytes)?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text).replace("\r\n", "\n").replace('\r', "\n");
    let cues = if vtt::is_vtt(&text) { vtt::read(&text) } else { srt::read(&text) };
    if cues.is_empty() {
        let message = "there is no cue in it; give SubRip (.srt) or WebVTT (.vtt)".to_owned();
        return Err(Error::Subtitle { name: name.to_owned(), message });
    }
    Ok(cues)
}
