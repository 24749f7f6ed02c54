//! Probing and decoding: one pass over a file feeds every reader of pictures and sound.
//!
//! Uses time, errors and progress; nothing else of the crate.

mod info;
mod picture;

pub use info::{AudioStream, Chapter, MediaInfo, Rotation, StreamInfo, SubtitleStream, VideoStream};
pub use picture::RgbPicture;
