//! The one pass: packets in, frames, samples and cues out.

use std::path::Path;
use std::thread;

use crossbeam_channel::Receiver;
use serde::{Deserialize, Serialize};

use super::input::Input;
use super::pass::Pass;
use super::{EmbeddedCue, Limits, MediaInfo, VideoFrame};
use crate::{Cancel, Error, ErrorKind, Result, Timestamp};

/// Frames that wait for the sink: enough that decoding does not stop for it.
const QUEUED_FRAMES: usize = 8;

/// How a file is decoded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct DecodeOptions {
    /// Threads of the picture decoder; 0 for all cores.
    pub threads: usize,
    /// Decode every frame bit for bit. Otherwise frames that no other frame refers to skip the loop
    /// filter, which is faster and changes them a little.
    pub exact: bool,
}

impl Default for DecodeOptions {
    /// All cores, fast.
    fn default() -> Self {
        Self { threads: 0, exact: false }
    }
}

/// Takes every frame of the video, in the order they are shown. Runs on a thread of its own.
pub trait VideoSink: Send {
    /// One frame.
    ///
    /// # Errors
    /// Whatever it gives ends the pass and is given by it.
    fn frame(&mut self, frame: &VideoFrame) -> Result<()>;
}

/// Takes the sound as 16 kHz mono in -1..=1.
pub trait AudioSink {
    /// Samples that begin at `start` and follow those before, but where the track has a gap.
    ///
    /// # Errors
    /// Whatever it gives ends the pass and is given by it.
    fn samples(&mut self, start: Timestamp, pcm: &[f32]) -> Result<()>;
}

/// Who takes what. What nobody takes is not decoded.
#[derive(Default)]
pub struct Sinks<'a> {
    /// Pictures.
    pub video: Option<&'a mut dyn VideoSink>,
    /// Sound.
    pub audio: Option<&'a mut dyn AudioSink>,
    /// Index of the stream that `audio` takes; that of [`MediaInfo::audio`] when not given.
    pub audio_stream: Option<usize>,
    /// Whether the report is to hold the cues of embedded text subtitles.
    pub subtitles: bool,
}

/// What the pass found.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct DecodeReport {
    /// Frames decoded.
    pub frames: u64,
    /// Time of the first frame.
    pub first_frame: Option<Timestamp>,
    /// Where the last frame, sample or cue ends.
    pub end: Timestamp,
    /// Samples given to the audio sink.
    pub samples: u64,
    /// Whether the steps between frames differ by more than rounding.
    pub variable_rate: bool,
    /// What was cut off or damaged, one line each. Empty when the file was whole.
    pub damage: Vec<String>,
    /// The same of sound that was decoded beside pictures.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sound_damage: Vec<String>,
    /// Cues of embedded text subtitles in file order.
    pub cues: Vec<EmbeddedCue>,
}

/// An opened media file.
pub struct MediaFile {
    pub(super) input: Input,
    pub(super) info: MediaInfo,
}

impl std::fmt::Debug for MediaFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MediaFile").field("path", &self.input.path).finish_non_exhaustive()
    }
}

/// The facts of a file, without decoding it.
///
/// # Errors
/// As [`MediaFile::open`].
///
/// ```no_run
/// let info = heimdex::media::probe("talk.mp4", &heimdex::media::Limits::default())?;
/// println!("{}", info.container);
/// # Ok::<(), heimdex::Error>(())
/// ```
pub fn probe(path: impl AsRef<Path>, limits: &Limits) -> Result<MediaInfo> {
    MediaFile::open(path, limits, &Cancel::new()).map(|file| file.info)
}

impl MediaFile {
    /// Opens a file and reads its headers. The name plays no part: what a file is follows from its
    /// content, and nothing that it names is opened.
    ///
    /// # Errors
    /// [`ErrorKind::NotAMediaFile`], [`Truncated`](ErrorKind::Truncated),
    /// [`Unsupported`](ErrorKind::Unsupported), [`RefusedPlaylist`](ErrorKind::RefusedPlaylist),
    /// [`TooLarge`](ErrorKind::TooLarge), [`NoVideoStream`](ErrorKind::NoVideoStream),
    /// [`TimedOut`](ErrorKind::TimedOut) and [`Io`](ErrorKind::Io).
    pub fn open(path: impl AsRef<Path>, limits: &Limits, cancel: &Cancel) -> Result<Self> {
        let input = Input::open(path.as_ref(), limits, cancel)?;
        let info = super::probe::info(&input);
        let file = Self { input, info };
        if file.info.video().is_none() && file.info.audio().is_none() {
            return Err(file
                .input
                .error(ErrorKind::NoVideoStream, "the file holds neither pictures nor sound"));
        }
        Ok(file)
    }

    /// The facts of the file.
    pub fn info(&self) -> &MediaInfo {
        &self.info
    }

    /// Decodes the file once, from its beginning to its end. `at` is told how far it is.
    ///
    /// A file that ends early or is damaged gives what can be decoded, and the report says so.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] without a decoder or a key; [`ErrorKind::Truncated`] when nothing
    /// at all can be decoded; [`ErrorKind::TooLarge`] past a limit; what a sink gives.
    ///
    /// # Cancellation
    /// Checked at every packet and frame, and while waiting for a sink.
    pub fn decode(
        mut self,
        options: &DecodeOptions,
        sinks: Sinks<'_>,
        cancel: &Cancel,
        at: &mut dyn FnMut(Timestamp),
    ) -> Result<DecodeReport> {
        self.input.watch(cancel);
        let Sinks { video, audio, audio_stream, subtitles } = sinks;
        let sound = (audio.is_some(), audio_stream);
        let pass = Pass::new(&self, options, video.is_some(), sound, subtitles)?;
        pass.keep_streams(&mut self.input, subtitles);
        let Some(sink) = video.filter(|_| pass.gives_frames()) else {
            return pass.run(&mut self, None, audio, cancel, at);
        };
        let (send, receive) = crossbeam_channel::bounded(QUEUED_FRAMES);
        thread::scope(|scope| {
            let pictures = thread::Builder::new()
                .name("heimdex-pictures".into())
                .spawn_scoped(scope, move || take_frames(sink, &receive))
                .map_err(|e| Error::io("thread heimdex-pictures", e))?;
            let result = pass.run(&mut self, Some(&send), audio, cancel, at);
            drop(send);
            // A sink that failed closed the queue; its own error tells more than that.
            match pictures.join() {
                Ok(Ok(())) => result,
                Ok(Err(error)) => Err(error),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        })
    }
}

fn take_frames(sink: &mut dyn VideoSink, frames: &Receiver<VideoFrame>) -> Result<()> {
    frames.iter().try_for_each(|frame| sink.frame(&frame))
}
