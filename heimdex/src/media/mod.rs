//! Probing and decoding: one pass over a file feeds every reader of pictures and sound.
//!
//! Uses time, errors and progress; nothing else of the crate.

mod info;
mod picture;

#[cfg(feature = "media")]
mod audio;
#[cfg(feature = "media")]
mod decode;
#[cfg(feature = "media")]
mod ffi;
#[cfg(feature = "media")]
mod frame;
#[cfg(feature = "media")]
mod input;
mod limits;
#[cfg(feature = "media")]
mod pass;
#[cfg(feature = "media")]
mod probe;
#[cfg(feature = "media")]
mod sniff;
#[cfg(feature = "media")]
mod subtitle;

pub use info::{AudioStream, Chapter, MediaInfo, Rotation, StreamInfo, SubtitleStream, VideoStream};
pub use limits::Limits;
pub use picture::RgbPicture;

#[cfg(feature = "media")]
pub use audio::SAMPLE_RATE_HZ;
#[cfg(feature = "media")]
pub use decode::{AudioSink, DecodeOptions, DecodeReport, MediaFile, Sinks, VideoSink, probe};
#[cfg(feature = "media")]
pub use frame::VideoFrame;
#[cfg(feature = "media")]
pub use subtitle::EmbeddedCue;

/// The version of FFmpeg that is in use.
#[cfg(feature = "media")]
pub fn ffmpeg_version() -> String {
    // SAFETY: a static string.
    unsafe { ffi::string(ffmpeg_next::ffi::av_version_info()) }.unwrap_or_default()
}
