//! What is said in a file.

use std::path::Path;
use std::sync::Arc;

use serde::Serialize;

use super::language::normalize;
use super::{AudioTrack, Listener, SpeechSettings, Transcriber, Transcript, TranscriptSource};
use crate::media::{AudioSink, DecodeOptions, Limits, MediaFile, MediaInfo, Sinks, StreamInfo};
use crate::{Cancel, Error, Result, Timestamp};

/// What the sound of a file gave.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Transcribed {
    /// What is said. Without any sound, or any speech, it is empty.
    pub transcript: Transcript,
    /// The facts of the file.
    pub media: MediaInfo,
    /// What was missing or damaged, one line each.
    pub warnings: Vec<String>,
}

/// Transcribes the sound of a file, without looking at its pictures. `at` is told how far it is.
///
/// # Errors
/// The media kinds when the file cannot be used, the model kinds when the model fails,
/// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) naming a setting.
///
/// # Cancellation
/// Within two seconds.
///
/// ```no_run
/// # #[cfg(feature = "whisper")] {
/// use std::sync::Arc;
/// use heimdex::transcript::{SpeechSettings, Whisper, transcribe, write_srt};
/// use heimdex::{Cancel, media::Limits};
///
/// let whisper = Arc::new(Whisper::open("ggml-base.bin")?);
/// let settings = SpeechSettings::default();
/// let heard = transcribe("talk.mp4", whisper, &settings, &Limits::default(), &Cancel::new(), &mut |_| ())?;
/// println!("{}", write_srt(&heard.transcript.segments));
/// # }
/// # Ok::<(), heimdex::Error>(())
/// ```
pub fn transcribe(
    path: impl AsRef<Path>,
    transcriber: Arc<dyn Transcriber>,
    settings: &SpeechSettings,
    limits: &Limits,
    cancel: &Cancel,
    at: &mut dyn FnMut(Timestamp),
) -> Result<Transcribed> {
    // The model is behind the decoder, by as much as waits for it.
    let mut told = Timestamp::ZERO;
    let at: &mut dyn FnMut(Timestamp) = &mut |time| {
        told = told.max(time);
        at(told);
    };
    let file = MediaFile::open(path.as_ref(), limits, cancel)?;
    let media = file.info().clone();
    let mut listen = Listen::start(transcriber, settings, &media, cancel)?;
    let mut warnings = std::mem::take(&mut listen.warnings);
    if media.audio().is_some() {
        let audio_stream = listen.stream;
        let sinks = Sinks { audio: Some(&mut listen), audio_stream, ..Sinks::default() };
        let report = file.decode(&DecodeOptions::default(), sinks, cancel, at)?;
        warnings.extend(report.damage);
        warnings.extend(report.sound_damage);
    } else {
        warnings.push("there is no sound".to_owned());
    }
    Ok(Transcribed { transcript: listen.finish(at)?, media, warnings })
}

/// A listener at a track of a file.
pub(crate) struct Listen {
    listener: Listener,
    /// The stream to listen to, where it is not the usual one.
    pub(crate) stream: Option<usize>,
    pub(crate) warnings: Vec<String>,
}

impl Listen {
    pub(crate) fn start(
        transcriber: Arc<dyn Transcriber>,
        settings: &SpeechSettings,
        media: &MediaInfo,
        cancel: &Cancel,
    ) -> Result<Self> {
        let (stream, warnings) = track(media, &settings.track)?;
        Ok(Self { listener: Listener::start(transcriber, settings, cancel)?, stream, warnings })
    }

    pub(crate) fn finish(self, at: &mut dyn FnMut(Timestamp)) -> Result<Transcript> {
        self.listener.finish(at)
    }
}

impl AudioSink for Listen {
    fn samples(&mut self, start: Timestamp, pcm: &[f32]) -> Result<()> {
        self.listener.push(start, pcm)
    }
}

/// The stream of a track, and what is to be said of the choice.
fn track(media: &MediaInfo, wanted: &AudioTrack) -> Result<(Option<usize>, Vec<String>)> {
    let language = |code: &Option<String>| code.as_deref().and_then(normalize);
    let mut tracks = media.audio_tracks();
    match wanted {
        AudioTrack::Default => Ok((None, Vec::new())),
        AudioTrack::Number(number) => match tracks.nth(*number) {
            Some(track) => Ok((Some(track.index), Vec::new())),
            None => {
                let all: Vec<String> = media
                    .audio_tracks()
                    .enumerate()
                    .map(|(i, track)| format!("{i} ({})", track.language.as_deref().unwrap_or("no language")))
                    .collect();
                let there = if all.is_empty() { "no sound".to_owned() } else { all.join(", ") };
                Err(Error::invalid("track", format!("there is no track {number}; the file has {there}")))
            }
        },
        AudioTrack::Language(code) => {
            let code = normalize(code);
            let found = tracks.find(|track| code.is_some() && language(&track.language) == code);
            let mut warnings = Vec::new();
            if found.is_none() && media.audio().is_some() {
                let code = code.unwrap_or_default();
                warnings.push(format!("no track of sound is in `{code}`; the default one was transcribed"));
            }
            Ok((found.map(|track| track.index), warnings))
        }
    }
}

/// Whether subtitles hold only what is shown to everybody, such as signs: no reason not to listen.
pub(crate) fn forced(transcript: &Transcript, media: &MediaInfo) -> bool {
    let TranscriptSource::Embedded { stream } = transcript.source else { return false };
    media.streams.iter().any(|s| matches!(s, StreamInfo::Subtitle(s) if s.index == stream && s.forced))
}
