//! From decoded frames to scores.

use super::edges::edges;
use super::hsv::HsvPlanes;
use super::picture::PictureMaker;
use super::{Detector, FrameScores, SmallPicture};
use crate::media::{Rotation, VideoFrame};
use crate::{Result, Timestamp};

/// Scores the frames of one video, in the order they are shown.
#[derive(Debug)]
pub struct FrameScorer {
    maker: PictureMaker,
    differ: Differ,
    small: SmallPicture,
}

impl FrameScorer {
    /// For a video whose frames are turned by `rotation` before they are shown, with what
    /// `detector` needs.
    pub fn new(rotation: Rotation, detector: &Detector) -> Self {
        Self {
            maker: PictureMaker::new(rotation),
            differ: Differ::new(detector.weighs_edges()),
            small: SmallPicture::default(),
        }
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

/// Scores pictures against their predecessors.
///
/// Algorithm: PySceneDetect 0.7, `content_detector.py` and `threshold_detector.py`.
#[derive(Debug, Clone, Default)]
pub(super) struct Differ {
    current: HsvPlanes,
    previous: HsvPlanes,
    /// Of the previous picture; `None` when no detector weighs edges.
    edges: Option<Vec<u8>>,
    frames: u64,
}

impl Differ {
    pub(super) fn new(edges: bool) -> Self {
        Self { edges: edges.then(Vec::new), ..Self::default() }
    }

    /// The scores of the next picture. All pictures are of one size; one of another size scores 0.
    pub(super) fn score(&mut self, time: Timestamp, picture: &SmallPicture) -> FrameScores {
        std::mem::swap(&mut self.current, &mut self.previous);
        let sums = self.current.fill(picture, &self.previous);
        let pixels = picture.blue.len().max(1) as f64;
        let delta_edges = self.edges.as_mut().map_or(0, |previous| {
            let edges = edges(&self.current.value, picture.width, picture.height);
            let same_size = edges.len() == previous.len();
            let changed =
                edges.iter().zip(&*previous).filter(|(a, b)| a != b).count() * usize::from(same_size);
            *previous = edges;
            changed * 255
        });
        let index = self.frames;
        self.frames += 1;
        FrameScores {
            index,
            time,
            delta_hue: sums.hue as f64 / pixels,
            delta_sat: sums.saturation as f64 / pixels,
            delta_lum: sums.value as f64 / pixels,
            delta_edges: delta_edges as f64 / pixels,
            mean_bgr: sums.samples as f64 / (pixels * 3.0),
        }
    }
}
