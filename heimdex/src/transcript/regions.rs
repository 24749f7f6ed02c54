//! Sound as it comes, cut into regions of speech.

use super::activity::{FRAME, VoiceActivity};
use super::transcriber::micros;
use crate::{Result, Span, Timestamp};

/// Frames kept before and after speech: 0.2 s, for what begins and ends softly.
const AROUND: usize = 10;

/// Less speech than this, in frames, is a click.
const CLICK: usize = 4;

/// A track that jumps by more than this has a gap.
const GAP_MICROS: i64 = 100_000;

/// A stretch of sound with speech in it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct SpeechRegion {
    pub(super) start: Timestamp,
    pub(super) pcm: Vec<f32>,
    /// For each of its frames, whether it is speech.
    pub(super) active: Vec<bool>,
}

impl SpeechRegion {
    pub(super) fn span(&self) -> Span {
        Span::new(self.start, self.start.plus_micros(micros(self.pcm.len())))
    }

    /// The part of `span`, which counts from the region's beginning, that is speech: 0 to 1.
    pub(super) fn activity(&self, span: Span) -> f32 {
        let frame = |time: Timestamp| (time.as_micros().max(0) / micros(FRAME)) as usize;
        let first = frame(span.start).min(self.active.len().saturating_sub(1));
        let last = (frame(span.end) + 1).clamp(first + 1, self.active.len().max(first + 1));
        let frames = self.active.get(first..last).unwrap_or_default();
        frames.iter().filter(|active| **active).count() as f32 / frames.len().max(1) as f32
    }
}

/// How regions are cut, in frames.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lengths {
    pub(super) pause: usize,
    pub(super) max: usize,
}

/// Cuts sound into regions. Keeps no more of it than the longest region and what is not yet judged.
pub(super) struct Cutter {
    activity: Box<dyn VoiceActivity>,
    lengths: Lengths,
    /// When the run of samples without a gap began, and how many came since.
    anchor: Option<Timestamp>,
    samples: u64,
    /// From the frame `first` on.
    pcm: Vec<f32>,
    active: Vec<bool>,
    first: u64,
    /// The open region: where it begins, and its last frame of speech.
    open: Option<(u64, u64)>,
    /// The end of the region before.
    closed: u64,
}

impl Cutter {
    pub(super) fn new(activity: Box<dyn VoiceActivity>, lengths: Lengths) -> Self {
        Self {
            activity,
            lengths,
            anchor: None,
            samples: 0,
            pcm: Vec::new(),
            active: Vec::new(),
            first: 0,
            open: None,
            closed: 0,
        }
    }

    /// Adds samples that begin at `start`; appends the regions that end.
    pub(super) fn push(&mut self, start: Timestamp, pcm: &[f32], out: &mut Vec<SpeechRegion>) -> Result<()> {
        let expected = self.anchor.map(|anchor| anchor.plus_micros(micros(self.samples as usize)));
        if expected.is_none_or(|expected| start.micros_since(expected).abs() > GAP_MICROS) {
            self.finish(out)?;
            self.anchor = Some(start);
        }
        self.samples += pcm.len() as u64;
        // In parts, so that a large call takes no more memory than small ones.
        for part in pcm.chunks(FRAME * 50) {
            self.pcm.extend_from_slice(part);
            let mut flags = Vec::new();
            self.activity.push(part, &mut flags)?;
            self.take(&flags, out);
        }
        Ok(())
    }

    /// Ends the run: what is open is closed.
    pub(super) fn finish(&mut self, out: &mut Vec<SpeechRegion>) -> Result<()> {
        let mut flags = Vec::new();
        self.activity.finish(&mut flags)?;
        self.take(&flags, out);
        if let Some((begin, last)) = self.open.take() {
            let end = (last + 1 + AROUND as u64).min(self.first + self.active.len() as u64);
            self.close(begin, end, out);
        }
        (self.anchor, self.samples, self.first, self.closed) = (None, 0, 0, 0);
        self.pcm.clear();
        self.active.clear();
        Ok(())
    }

    fn take(&mut self, flags: &[bool], out: &mut Vec<SpeechRegion>) {
        for &speech in flags {
            let frame = self.first + self.active.len() as u64;
            self.active.push(speech);
            match &mut self.open {
                Some((_, last)) if speech => *last = frame,
                None if speech => {
                    let begin = frame.saturating_sub(AROUND as u64).max(self.closed);
                    self.open = Some((begin, frame));
                }
                _ => {}
            }
            if let Some((begin, last)) = self.open {
                if frame - last >= self.lengths.pause.max(AROUND) as u64 {
                    self.open = None;
                    self.close(begin, last + 1 + AROUND as u64, out);
                } else if frame + 1 - begin > self.lengths.max as u64 {
                    let cut = self.quietest(begin, frame);
                    self.close(begin, cut, out);
                    let speaks = |frame: &u64| self.active[(frame - self.first) as usize];
                    self.open = (cut..=frame).rfind(speaks).map(|last| (cut, last));
                }
            }
            self.forget(frame + 1);
        }
    }

    /// Where to cut a region that has become too long: in the middle of the longest pause of its second
    /// half, else at the quietest tenth of a second.
    fn quietest(&self, begin: u64, end: u64) -> u64 {
        const TENTH: usize = 5;
        let from = (begin + (end - begin) / 2 - self.first) as usize;
        let to = (end - self.first) as usize;
        let (mut best, mut run) = ((0, 0), 0);
        for frame in from..to {
            run = if self.active[frame] { 0 } else { run + 1 };
            if run > best.0 {
                best = (run, frame + 1 - run / 2);
            }
        }
        if best.0 >= TENTH {
            return self.first + best.1 as u64;
        }
        let energy = |frame: usize| {
            let samples = self.pcm.get(frame * FRAME..(frame + TENTH) * FRAME).unwrap_or_default();
            samples.iter().map(|x| x * x).sum::<f32>()
        };
        let quietest = (from..to - TENTH).min_by(|a, b| energy(*a).total_cmp(&energy(*b)));
        self.first + (quietest.unwrap_or(to - TENTH) + TENTH / 2) as u64
    }

    fn close(&mut self, begin: u64, end: u64, out: &mut Vec<SpeechRegion>) {
        self.closed = end;
        let (from, to) = ((begin - self.first) as usize, (end - self.first) as usize);
        let active = self.active[from..to.min(self.active.len())].to_vec();
        if active.iter().filter(|speech| **speech).count() < CLICK {
            return;
        }
        let pcm = self.pcm.get(from * FRAME..(to * FRAME).min(self.pcm.len())).unwrap_or_default();
        let Some(anchor) = self.anchor.filter(|_| !pcm.is_empty()) else { return };
        let start = anchor.plus_micros(micros(FRAME) * begin as i64);
        // What is no number is no sound.
        let pcm = pcm.iter().map(|x| if x.is_finite() { *x } else { 0.0 }).collect();
        out.push(SpeechRegion { start, pcm, active });
    }

    /// Lets go of what no region can need any more.
    fn forget(&mut self, next: u64) {
        let needed =
            self.open.map_or(next.saturating_sub(AROUND as u64).max(self.closed), |(begin, _)| begin);
        let frames = (needed.min(next) - self.first) as usize;
        // Not a little each time: what is kept moves.
        if frames >= 50 {
            self.active.drain(..frames);
            self.pcm.drain(..(frames * FRAME).min(self.pcm.len()));
            self.first += frames as u64;
        }
    }
}
