//! Which subtitles a video gets: a file given, a file beside it, or a track inside it.

use std::io::Read;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::cue::{self, Cue};
use super::read::cues;
use super::{Transcript, TranscriptSource, ass, language};
use crate::media::{MediaInfo, SubtitleStream};
use crate::{Error, Result, Span, Timestamp};

/// The largest subtitle file that is read.
const MAX_BYTES: u64 = 32 << 20;

/// Which subtitles are used. A file given by the caller comes first in any case.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct SubtitleSettings {
    /// Use files beside the video: `clip.srt`, `clip.en.vtt`.
    pub beside: bool,
    /// Use text tracks inside the video.
    pub embedded: bool,
    /// Languages in order of preference, as ISO 639 codes.
    pub languages: Vec<String>,
}

impl Default for SubtitleSettings {
    /// Files beside the video, then tracks inside it; no preference of language.
    fn default() -> Self {
        Self { beside: true, embedded: true, languages: Vec::new() }
    }
}

/// A subtitle file that was found and read.
#[derive(Debug, Clone)]
pub(crate) struct SubtitleFile {
    name: String,
    language: Option<String>,
    cues: Vec<Cue>,
    fingerprint: String,
    warnings: Vec<String>,
}

impl SubtitleFile {
    /// Changes when the file's name or content does.
    pub(crate) fn fingerprint(&self) -> String {
        self.fingerprint.clone()
    }

    /// Whether it can be used.
    pub(crate) fn has_cues(&self) -> bool {
        !self.cues.is_empty()
    }

    /// What could not be used, one line each.
    pub(crate) fn warnings(&self) -> &[String] {
        &self.warnings
    }
}

/// The subtitle file for a video: the one given, else the best beside it.
///
/// # Errors
/// A given file that cannot be read or holds no cue. One beside the video is only warned of.
pub(crate) fn find_subtitles(
    video: &Path,
    given: Option<&Path>,
    settings: &SubtitleSettings,
) -> Result<Option<SubtitleFile>> {
    if let Some(path) = given {
        return load(path, video).map(Some);
    }
    if !settings.beside {
        return Ok(None);
    }
    let mut warnings = Vec::new();
    for path in beside(video, &settings.languages) {
        match load(&path, video) {
            Ok(mut file) => {
                file.warnings = warnings;
                return Ok(Some(file));
            }
            Err(error) => warnings.push(error.to_string()),
        }
    }
    if warnings.is_empty() {
        return Ok(None);
    }
    let fingerprint = warnings.join("\n");
    Ok(Some(SubtitleFile { name: String::new(), language: None, cues: Vec::new(), fingerprint, warnings }))
}

fn load(path: &Path, video: &Path) -> Result<SubtitleFile> {
    let io = |e| Error::io(path, e);
    let file = std::fs::File::open(path).map_err(io)?;
    if !file.metadata().map_err(io)?.is_file() {
        return Err(Error::not_found("subtitle file", path.display().to_string()));
    }
    let mut bytes = Vec::new();
    file.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(io)?;
    let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    if bytes.len() as u64 > MAX_BYTES {
        return Err(Error::Subtitle { name, message: format!("larger than {MAX_BYTES} bytes") });
    }
    let cues = cues(&name, &bytes)?;
    let fingerprint = format!("{name} {}", blake3::hash(&bytes).to_hex());
    let language = language_of(path, video);
    Ok(SubtitleFile { name, language, cues, fingerprint, warnings: Vec::new() })
}

/// `ko` for `clip.ko.srt` beside `clip.mp4`.
fn language_of(subtitle: &Path, video: &Path) -> Option<String> {
    let tags = tags(subtitle, video)?;
    tags.split('.').find_map(language::normalize)
}

/// What stands between the video's name and the ending: empty for `clip.srt`, `ko` for `clip.ko.srt`.
fn tags(subtitle: &Path, video: &Path) -> Option<String> {
    let ending = subtitle.extension()?.to_str()?.to_ascii_lowercase();
    if ending != "srt" && ending != "vtt" {
        return None;
    }
    let stem = subtitle.file_stem()?.as_encoded_bytes();
    let rest = stem.strip_prefix(video.file_stem()?.as_encoded_bytes())?;
    let rest = std::str::from_utf8(rest).ok()?;
    if rest.is_empty() { Some(String::new()) } else { rest.strip_prefix('.').map(str::to_owned) }
}

/// Subtitle files beside a video, the best first: languages asked for, then the plain name, then
/// the others by name.
fn beside(video: &Path, languages: &[String]) -> Vec<PathBuf> {
    let Some(folder) = video.parent() else { return Vec::new() };
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut found: Vec<(usize, bool, PathBuf)> = entries
        .flatten()
        .filter_map(|entry| {
            let path = entry.path();
            let tags = tags(&path, video)?;
            // `clip.2.srt` may belong to a video `clip.2.mp4`: only languages are tags.
            let language = tags.split('.').find_map(language::normalize);
            if !tags.is_empty() && language.is_none() {
                return None;
            }
            Some((preference(language.as_deref(), languages), !tags.is_empty(), path))
        })
        .collect();
    found.sort();
    found.into_iter().map(|(_, _, path)| path).collect()
}

/// 0 for the language asked for first; behind all of them for others.
fn preference(language: Option<&str>, wanted: &[String]) -> usize {
    let is = |want: &String| language.is_some() && language::normalize(want).as_deref() == language;
    wanted.iter().position(is).unwrap_or(wanted.len())
}

/// The transcript of a video: of the file where there is one, else of the best track inside.
/// `None` when there is neither.
pub(crate) fn choose(
    file: Option<&SubtitleFile>,
    media: &MediaInfo,
    embedded: &[crate::media::EmbeddedCue],
    end: Timestamp,
    settings: &SubtitleSettings,
) -> Option<Transcript> {
    if let Some(file) = file.filter(|f| !f.cues.is_empty()) {
        return Some(Transcript {
            source: TranscriptSource::File { name: file.name.clone() },
            language: file.language.clone(),
            segments: cue::segments(file.cues.clone(), end),
        });
    }
    if !settings.embedded {
        return None;
    }
    let mut tracks: Vec<&SubtitleStream> =
        media.text_subtitles().filter(|track| embedded.iter().any(|cue| cue.stream == track.index)).collect();
    tracks.sort_by_key(|track| {
        let language = track.language.as_deref().and_then(language::normalize);
        (preference(language.as_deref(), &settings.languages), track.forced, !track.default, track.index)
    });
    let track = tracks.first()?;
    let cues = embedded
        .iter()
        .filter(|cue| cue.stream == track.index)
        .filter_map(|cue| ass::read_event(&cue.event, Span::new(cue.span.start, cue.span.end)))
        .collect();
    Some(Transcript {
        source: TranscriptSource::Embedded { stream: track.index },
        language: track.language.as_deref().and_then(language::normalize),
        segments: cue::segments(cues, end),
    })
}
