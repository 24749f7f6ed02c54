//! One pass over a video: decode on the codec's threads, score on another, print cuts and times as JSON.
//!
//! `shot_pass [--mode decode|exact|fast] [--detector adaptive|content|threshold] [--threads N] [--scores] FILE`

#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::error::Error;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use heimdex::Cancel;
use heimdex::media::{DecodeOptions, Limits, MediaFile, Sinks, VideoFrame, VideoSink};
use heimdex::shots::{
    AdaptiveDetector, ContentDetector, CutFinder, Detector, FrameScorer, ThresholdDetector,
};
use serde_json::json;

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

#[derive(Clone, Copy, PartialEq)]
enum Mode {
    Decode,
    Exact,
    Fast,
}

struct Options {
    mode: Mode,
    detector: Detector,
    threads: usize,
    scores: bool,
    file: String,
}

fn main() -> ExitCode {
    match options().and_then(|options| run(&options)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("shot_pass: {error}");
            ExitCode::FAILURE
        }
    }
}

fn options() -> Result<Options> {
    let mut options = Options {
        mode: Mode::Exact,
        detector: ContentDetector::default().into(),
        threads: 2,
        scores: false,
        file: String::new(),
    };
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or_else(|| format!("{argument} needs a value"));
        match argument.as_str() {
            "--mode" => {
                options.mode = match value()?.as_str() {
                    "decode" => Mode::Decode,
                    "exact" => Mode::Exact,
                    "fast" => Mode::Fast,
                    other => return Err(format!("no mode {other}").into()),
                }
            }
            "--detector" => {
                options.detector = match value()?.as_str() {
                    "adaptive" => AdaptiveDetector::default().into(),
                    "content" => ContentDetector::default().into(),
                    "threshold" => ThresholdDetector::default().into(),
                    other => return Err(format!("no detector {other}").into()),
                }
            }
            "--threads" => options.threads = value()?.parse()?,
            "--scores" => options.scores = true,
            _ => options.file = argument,
        }
    }
    if options.file.is_empty() {
        return Err("which file?".into());
    }
    Ok(options)
}

/// Scores on the thread for pictures.
struct Pictures {
    mode: Mode,
    keep_scores: bool,
    scorer: FrameScorer,
    finder: CutFinder,
    cuts: Vec<u64>,
    scores: Vec<f64>,
    busy: Duration,
}

impl VideoSink for Pictures {
    fn frame(&mut self, frame: &VideoFrame) -> heimdex::Result<()> {
        if self.mode == Mode::Decode {
            return Ok(());
        }
        let begun = Instant::now();
        let scores = self.scorer.score(frame)?;
        self.busy += begun.elapsed();
        self.cuts.extend(self.finder.push(&scores).map(|cut| cut.frame));
        if self.keep_scores {
            self.scores.push((scores.delta_hue + scores.delta_sat + scores.delta_lum) / 3.0);
        }
        Ok(())
    }
}

fn run(options: &Options) -> Result<()> {
    let started = Instant::now();
    let file = MediaFile::open(&options.file, &Limits::default(), &Cancel::new())?;
    let stream = file.info().video().ok_or("no video")?;
    let mut pictures = Pictures {
        mode: options.mode,
        keep_scores: options.scores,
        scorer: FrameScorer::new(stream.rotation, &options.detector),
        finder: options.detector.start(stream.average_rate)?,
        cuts: Vec::new(),
        scores: Vec::new(),
        busy: Duration::ZERO,
    };
    let mut how = DecodeOptions::default();
    how.threads = options.threads;
    how.exact = options.mode != Mode::Fast;
    let sinks = Sinks { video: Some(&mut pictures), ..Sinks::default() };
    let decoded = file.decode(&how, sinks, &Cancel::new(), &mut |_| ())?;
    let seconds = started.elapsed().as_secs_f64();
    let mut report = json!({
        "frames": decoded.frames,
        "seconds": seconds,
        "fps": decoded.frames as f64 / seconds,
        "score_ms_per_frame": pictures.busy.as_secs_f64() * 1e3 / decoded.frames.max(1) as f64,
        "cuts": pictures.cuts,
    });
    if options.scores {
        report["scores"] = json!(pictures.scores);
    }
    println!("{report}");
    Ok(())
}
