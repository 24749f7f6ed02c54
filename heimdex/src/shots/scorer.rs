//! From decoded frames to scores.

use super::hsv::HsvPlanes;
use super::picture::PictureMaker;
use super::{FrameScores, SmallPicture};
use crate::media::Rotation;
use crate::{Result, Timestamp};

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
    #[doc(hidden)]
    pub fn score(&mut self, time: Timestamp, frame: &ffmpeg_next::frame::Video) -> Result<FrameScores> {
        self.maker.make(frame, &mut self.small)?;
        Ok(self.differ.score(time, &self.small))
    }

    /// The small picture of the frame scored last.
    pub fn picture(&self) -> &SmallPicture {
        &self.small
    }
}

/// Scores pictures against their predecessors.
///
/// Algorithm: PySceneDetect 0.7, `content_detector.py` and `threshold_detector.py`.
#[derive(Debug, Clone, Default)]
pub(super) struct Differ {
    current: HsvPlanes,
    previous: HsvPlanes,
    frames: u64,
}

impl Differ {
    /// The scores of the next picture. All pictures are of one size; one of another size scores 0.
    pub(super) fn score(&mut self, time: Timestamp, picture: &SmallPicture) -> FrameScores {
        std::mem::swap(&mut self.current, &mut self.previous);
        let sums = self.current.fill(picture, &self.previous);
        let pixels = picture.blue.len().max(1) as f64;
        let index = self.frames;
        self.frames += 1;
        FrameScores {
            index,
            time,
            delta_hue: sums.hue as f64 / pixels,
            delta_sat: sums.saturation as f64 / pixels,
            delta_lum: sums.value as f64 / pixels,
            mean_bgr: sums.samples as f64 / (pixels * 3.0),
        }
    }
}
