//! From decoded frames to scores.

use super::picture::PictureMaker;
use super::score::Differ;
use super::{FrameScores, SmallPicture};
use crate::Result;
use crate::media::{Rotation, VideoFrame};

/// Scores the frames of one video, in the order they are shown.
#[derive(Debug)]
pub struct FrameScorer {
    maker: PictureMaker,
    differ: Differ,
    small: SmallPicture,
}

impl FrameScorer {
    /// For a video whose frames are turned by `rotation` before they are shown.
    pub fn new(rotation: Rotation) -> Self {
        Self { maker: PictureMaker::new(rotation), differ: Differ::default(), small: SmallPicture::default() }
    }

    /// The scores of the next frame.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) when the frame holds no picture, or one
    /// that swscale cannot convert. The frame is then not counted.
    pub fn score(&mut self, frame: &VideoFrame) -> Result<FrameScores> {
        frame.with_video(|video| self.maker.make(video, &mut self.small))?;
        Ok(self.differ.score(frame.time(), &self.small))
    }

    /// The small picture of the frame scored last.
    pub fn picture(&self) -> &SmallPicture {
        &self.small
    }
}
