//! The one decode pass: shots, keyframes, thumbnails and embedded subtitles from a single look at
//! every frame.

use futures::executor::block_on;
use serde::{Deserialize, Serialize};

use super::PipelineSettings;
use super::models::ImageQueue;
use crate::embed::Vector;
use crate::keyframes::{Candidate, Keyframe, KeyframeSelector, SelectedKeyframe, Thumbnails, look};
use crate::media::{DecodeReport, MediaFile, Rotation, Sinks, VideoFrame, VideoSink};
use crate::shots::{Cut, CutFinder, FrameScorer, Shot, tile};
use crate::transcript::{Listen, Transcript};
use crate::{Cancel, ErrorKind, Result, Span, Timestamp, VideoId};

/// Every detector's cuts have at least this content score, but for fades, which take longer.
const POSSIBLE_CUT: f64 = 15.0;

/// What the pass gives, one part for each of its stages.
pub(super) struct Seen {
    pub(super) report: DecodeReport,
    pub(super) shots: Shots,
    pub(super) keyframes: Vec<Keyframe>,
    /// The vector of each keyframe, where a model looked at them.
    pub(super) looks: Option<Vec<Vector>>,
    /// What was said, where a model listened.
    pub(super) spoken: Option<Spoken>,
}

/// The output of the stage that transcribes.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(super) struct Spoken {
    /// `None` where nothing looked for words.
    pub(super) transcript: Option<Transcript>,
    /// What was missing or damaged, one line each.
    pub(super) warnings: Vec<String>,
}

/// The output of the stage that finds shots.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Shots {
    pub(super) shots: Vec<Shot>,
}

/// Runs on the thread for pictures.
struct Pictures<'a> {
    scorer: FrameScorer,
    finder: CutFinder,
    cuts: Vec<Cut>,
    selector: KeyframeSelector<VideoFrame>,
    selected: Vec<Keyframe>,
    keep: Keep<'a>,
}

/// Where selected frames go.
struct Keep<'a> {
    video: VideoId,
    thumbnails: Option<&'a Thumbnails>,
    images: Option<&'a ImageQueue>,
}

impl VideoSink for Pictures<'_> {
    fn frame(&mut self, frame: &VideoFrame) -> Result<()> {
        let scores = self.scorer.score(frame)?;
        if let Some(cut) = self.finder.push(&scores) {
            self.cuts.push(cut);
            self.selector.cut(cut.time);
        }
        let changed = (scores.delta_hue + scores.delta_sat + scores.delta_lum) / 3.0 >= POSSIBLE_CUT;
        if self.selector.wants(frame.time(), changed) {
            let measures = self.scorer.picture().measures();
            self.selector.offer(Candidate { time: frame.time(), measures, frame: frame.clone() });
        }
        for selected in self.selector.take() {
            self.selected.push(self.keep.keyframe(selected)?);
        }
        Ok(())
    }
}

impl Keep<'_> {
    fn keyframe(&self, selected: SelectedKeyframe<VideoFrame>) -> Result<Keyframe> {
        let SelectedKeyframe { time, quality, frame } = selected;
        let thumbnail = match self.thumbnails {
            Some(thumbnails) => {
                let picture = frame.to_rgb(thumbnails.width(), u32::from(u16::MAX))?;
                Some(block_on(thumbnails.put(self.video, time, &picture))?)
            }
            None => None,
        };
        let mut picture = None;
        if self.thumbnails.is_some() || self.images.is_some() {
            let (file, seen) = look(&frame)?;
            if let Some(thumbnails) = self.thumbnails {
                picture = Some(block_on(thumbnails.put_look(self.video, time, file))?);
            }
            if let Some(images) = self.images {
                images.push(seen)?;
            }
        }
        // Its shot is known once all cuts are.
        Ok(Keyframe { time, shot: 0, quality, thumbnail, picture })
    }
}

/// Models at work while the file is decoded.
#[derive(Default)]
pub(super) struct AtWork {
    pub(super) images: Option<ImageQueue>,
    pub(super) listen: Option<Listen>,
}

/// Decodes the file once.
pub(super) fn run(
    file: MediaFile,
    settings: &PipelineSettings,
    video: VideoId,
    thumbnails: Option<&Thumbnails>,
    models: AtWork,
    cancel: &Cancel,
    at: &mut dyn FnMut(Timestamp),
) -> Result<Seen> {
    let AtWork { images, mut listen } = models;
    let stream = file.info().video();
    let rotation = stream.map_or(Rotation::None, |v| v.rotation);
    let rate = stream.and_then(|v| v.average_rate);
    let has_pictures = stream.is_some();
    let mut pictures = Pictures {
        scorer: FrameScorer::new(rotation, &settings.detector),
        finder: settings.detector.start(rate)?,
        cuts: Vec::new(),
        selector: KeyframeSelector::new(&settings.keyframes),
        selected: Vec::new(),
        keep: Keep { video, thumbnails, images: images.as_ref() },
    };
    let sinks = Sinks {
        video: has_pictures.then_some(&mut pictures),
        audio_stream: listen.as_ref().and_then(|listen| listen.stream),
        audio: listen.as_mut().map(|listen| listen as _),
        subtitles: true,
    };
    let mut report = file.decode(&settings.decode, sinks, cancel, at)?;
    let Pictures { cuts, selector, mut selected, keep, .. } = pictures;
    for last in selector.finish() {
        selected.push(keep.keyframe(last)?);
    }
    let shots = tile(Span::new(Timestamp::ZERO, report.end), &cuts);
    for keyframe in &mut selected {
        let next = shots.partition_point(|shot| shot.span.start <= keyframe.time);
        keyframe.shot = u32::try_from(next.saturating_sub(1)).unwrap_or(u32::MAX);
    }
    let looks = images.map(ImageQueue::finish).transpose()?;
    let spoken = listen.map(|listen| hear(listen, &mut report, at)).transpose()?;
    // Times go back where streams were joined carelessly.
    let mut order: Vec<usize> = (0..selected.len()).collect();
    order.sort_by_key(|i| selected[*i].time);
    let looks = looks.map(|looks| order.iter().map(|i| looks[*i].clone()).collect());
    let keyframes = order.iter().map(|i| selected[*i].clone()).collect();
    Ok(Seen { report, shots: Shots { shots }, keyframes, looks, spoken })
}

/// Decodes the sound of a file whose pictures were seen before. Sound that cannot be read is a warning, as
/// it is where pictures are decoded too.
pub(super) fn listen(
    file: MediaFile,
    settings: &PipelineSettings,
    mut listen: Listen,
    cancel: &Cancel,
    at: &mut dyn FnMut(Timestamp),
) -> Result<Spoken> {
    let beside_pictures = file.info().video().is_some();
    let audio_stream = listen.stream;
    let sinks = Sinks { audio: Some(&mut listen), audio_stream, ..Sinks::default() };
    let mut report = match file.decode(&settings.decode, sinks, cancel, at) {
        Err(error)
            if beside_pictures && matches!(error.kind(), ErrorKind::Unsupported | ErrorKind::Truncated) =>
        {
            let sound_damage = vec![format!("the sound was left out: {error}")];
            DecodeReport { sound_damage, ..DecodeReport::default() }
        }
        result => result?,
    };
    hear(listen, &mut report, at)
}

/// The end of listening. What the sound lacked goes with the words: pictures are kept without it.
fn hear(mut listen: Listen, report: &mut DecodeReport, at: &mut dyn FnMut(Timestamp)) -> Result<Spoken> {
    let mut warnings = std::mem::take(&mut listen.warnings);
    warnings.append(&mut report.sound_damage);
    Ok(Spoken { transcript: Some(listen.finish(at)?), warnings })
}
