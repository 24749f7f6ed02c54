//! What a file holds, as plain data.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{Span, Timestamp};

/// The facts of a media file, known without decoding it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct MediaInfo {
    /// FFmpeg's name of the container, such as `mov,mp4,m4a,3gp,3g2,mj2`.
    pub container: String,
    /// Size of the file in bytes.
    pub size_bytes: u64,
    /// The container's own time of our zero: container time is `time + start`.
    pub start: Timestamp,
    /// Length as the container declares it; `None` where it does not. Not to be trusted.
    pub declared_duration: Option<Timestamp>,
    /// Bits per second over all streams, where known.
    pub bit_rate: Option<u64>,
    /// Every stream in file order.
    pub streams: Vec<StreamInfo>,
    /// Chapters in file order, in our time.
    pub chapters: Vec<Chapter>,
    /// Tags of the container, such as `title`; keys in lower case.
    pub tags: BTreeMap<String, String>,
}

/// One stream of a file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[non_exhaustive]
pub enum StreamInfo {
    /// Pictures.
    Video(VideoStream),
    /// Sound.
    Audio(AudioStream),
    /// Subtitles.
    Subtitle(SubtitleStream),
    /// Anything else: timecode, fonts, data.
    Other {
        /// Index in the file.
        index: usize,
        /// What FFmpeg calls it: `data`, `attachment`, ...
        kind: String,
    },
}

/// A stream of pictures.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct VideoStream {
    /// Index in the file.
    pub index: usize,
    /// FFmpeg's name of the codec.
    pub codec: String,
    /// The codec's profile, where known.
    pub profile: Option<String>,
    /// Stored width in pixels.
    pub width: u32,
    /// Stored height in pixels.
    pub height: u32,
    /// Clockwise quarter turns that make the picture upright.
    pub rotation: Rotation,
    /// Width of a pixel over its height; `(1, 1)` when square or not told.
    pub sample_aspect: (u32, u32),
    /// Width as shown: after sample aspect and rotation.
    pub display_width: u32,
    /// Height as shown.
    pub display_height: u32,
    /// Average frames per second as a fraction, where known.
    pub average_rate: Option<(u32, u32)>,
    /// The lowest rate at which all times are exact, as a fraction, where known.
    pub real_rate: Option<(u32, u32)>,
    /// Whether the container's rates differ, as far as a header tells. The decoder knows for sure.
    pub variable_rate: bool,
    /// Pixel format, such as `yuv420p`.
    pub pixel_format: Option<String>,
    /// Colour matrix, such as `bt709`, where tagged.
    pub color_space: Option<String>,
    /// `tv` or `pc`, where tagged.
    pub color_range: Option<String>,
    /// Time of its first frame in container time, where declared.
    pub start: Option<Timestamp>,
    /// How many frames the container declares, where it does.
    pub declared_frames: Option<u64>,
    /// A cover picture, not a video.
    pub attached_picture: bool,
    /// The stream's default flag.
    pub default: bool,
    /// ISO 639 code as tagged.
    pub language: Option<String>,
}

/// A stream of sound.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct AudioStream {
    /// Index in the file.
    pub index: usize,
    /// FFmpeg's name of the codec.
    pub codec: String,
    /// Samples per second.
    pub sample_rate_hz: u32,
    /// Number of channels.
    pub channels: u32,
    /// Layout, such as `stereo` or `5.1`.
    pub channel_layout: String,
    /// Time of its first sample in container time, where declared.
    pub start: Option<Timestamp>,
    /// The stream's default flag.
    pub default: bool,
    /// ISO 639 code as tagged.
    pub language: Option<String>,
    /// Title as tagged.
    pub title: Option<String>,
}

/// A stream of subtitles.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SubtitleStream {
    /// Index in the file.
    pub index: usize,
    /// FFmpeg's name of the codec.
    pub codec: String,
    /// Whether it holds text (and not pictures).
    pub text: bool,
    /// The stream's default flag.
    pub default: bool,
    /// Shown even when subtitles are off.
    pub forced: bool,
    /// ISO 639 code as tagged.
    pub language: Option<String>,
    /// Title as tagged.
    pub title: Option<String>,
}

/// A named part of a file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Chapter {
    /// When.
    #[serde(flatten)]
    pub span: Span,
    /// Title as tagged.
    pub title: Option<String>,
}

/// Clockwise quarter turns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(into = "u16", try_from = "u16")]
pub enum Rotation {
    /// Upright as stored.
    #[default]
    None,
    /// 90 degrees clockwise.
    Quarter,
    /// 180 degrees.
    Half,
    /// 270 degrees clockwise.
    ThreeQuarters,
}

impl From<Rotation> for u16 {
    fn from(rotation: Rotation) -> Self {
        match rotation {
            Rotation::None => 0,
            Rotation::Quarter => 90,
            Rotation::Half => 180,
            Rotation::ThreeQuarters => 270,
        }
    }
}

impl TryFrom<u16> for Rotation {
    type Error = String;

    fn try_from(degrees: u16) -> Result<Self, String> {
        match degrees {
            0 => Ok(Self::None),
            90 => Ok(Self::Quarter),
            180 => Ok(Self::Half),
            270 => Ok(Self::ThreeQuarters),
            other => Err(format!("{other} degrees is no quarter turn")),
        }
    }
}

impl MediaInfo {
    /// The video stream that is indexed: the first that is not a cover picture.
    pub fn video(&self) -> Option<&VideoStream> {
        let mut videos = self.streams.iter().filter_map(|s| match s {
            StreamInfo::Video(v) if !v.attached_picture => Some(v),
            _ => None,
        });
        videos.next()
    }

    /// The sound that is read: the default stream, else the first.
    pub fn audio(&self) -> Option<&AudioStream> {
        self.audio_tracks().find(|a| a.default).or_else(|| self.audio_tracks().next())
    }

    /// Streams of sound, in file order.
    pub fn audio_tracks(&self) -> impl Iterator<Item = &AudioStream> {
        self.streams.iter().filter_map(|s| match s {
            StreamInfo::Audio(a) => Some(a),
            _ => None,
        })
    }

    /// Subtitle streams that hold text, in file order.
    pub fn text_subtitles(&self) -> impl Iterator<Item = &SubtitleStream> {
        self.streams.iter().filter_map(|s| match s {
            StreamInfo::Subtitle(s) if s.text => Some(s),
            _ => None,
        })
    }
}
