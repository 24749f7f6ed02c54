//! One pass over a video: decode on the codec's threads, score on another, print cuts and times as JSON.
//!
//! `shot_pass [--mode decode|exact|fast] [--detector adaptive|content|threshold] [--threads N] [--scores] FILE`

#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::error::Error;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use ffmpeg_next as ffmpeg;
use heimdex::Timestamp;
use heimdex::media::Rotation;
use heimdex::shots::{AdaptiveDetector, ContentDetector, Detector, FrameScorer, ThresholdDetector};
use serde_json::json;

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// Frames that wait for scoring: enough that decoding does not stop for it.
const QUEUE: usize = 8;

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

fn run(options: &Options) -> Result<()> {
    ffmpeg::init()?;
    ffmpeg::log::set_level(ffmpeg::log::Level::Fatal);
    let started = Instant::now();
    let mut input = ffmpeg::format::input(&options.file)?;
    let stream = input.streams().best(ffmpeg::media::Type::Video).ok_or("no video")?;
    let (index, base, rate) = (stream.index(), stream.time_base(), stream.avg_frame_rate());
    let mut context = ffmpeg::codec::context::Context::from_parameters(stream.parameters())?;
    let mut threading = ffmpeg::threading::Config::kind(ffmpeg::threading::Type::Frame);
    threading.count = options.threads;
    context.set_threading(threading);
    let mut decoder = context.decoder();
    if options.mode == Mode::Fast {
        decoder.skip_loop_filter(ffmpeg::codec::discard::Discard::NonReference);
    }
    let mut decoder = decoder.video()?;
    let rotation = rotation(&stream);
    let rate = Some((u32::try_from(rate.numerator())?, u32::try_from(rate.denominator())?));
    let mut finder = options.detector.start(rate)?;
    let mut scorer = FrameScorer::new(rotation, &options.detector);
    let (mode, print_scores) = (options.mode, options.scores);

    let (sender, receiver) = crossbeam_channel::bounded::<(Timestamp, ffmpeg::frame::Video)>(QUEUE);
    let scoring = std::thread::Builder::new().name("score".into()).spawn(move || -> Result<_> {
        let (mut cuts, mut scores, mut frames, mut busy) = (Vec::new(), Vec::new(), 0u64, Duration::ZERO);
        for (time, frame) in receiver {
            frames += 1;
            if mode == Mode::Decode {
                continue;
            }
            let begun = Instant::now();
            let score = scorer.score(time, &frame)?;
            busy += begun.elapsed();
            cuts.extend(finder.push(&score));
            if print_scores {
                scores.push((score.delta_hue + score.delta_sat + score.delta_lum) / 3.0);
            }
        }
        Ok((frames, cuts, scores, busy))
    })?;

    let drain = |decoder: &mut ffmpeg::decoder::Video| -> Result<()> {
        let mut frame = ffmpeg::frame::Video::empty();
        while decoder.receive_frame(&mut frame).is_ok() {
            let ticks = frame.timestamp().unwrap_or(0);
            let time = Timestamp::from_ticks(ticks, base.numerator(), base.denominator())
                .ok_or("a time out of range")?;
            sender.send((time, std::mem::replace(&mut frame, ffmpeg::frame::Video::empty())))?;
        }
        Ok(())
    };
    for (stream, packet) in input.packets() {
        if stream.index() == index {
            // A damaged packet costs its own frames only.
            let _ = decoder.send_packet(&packet);
            drain(&mut decoder)?;
        }
    }
    decoder.send_eof()?;
    drain(&mut decoder)?;
    drop(sender);
    let (frames, cuts, scores, busy) = scoring.join().map_err(|_| "scoring failed")??;
    let seconds = started.elapsed().as_secs_f64();
    let mut report = json!({
        "frames": frames,
        "seconds": seconds,
        "fps": frames as f64 / seconds,
        "score_ms_per_frame": busy.as_secs_f64() * 1e3 / frames.max(1) as f64,
        "cuts": cuts.iter().map(|cut| cut.frame).collect::<Vec<_>>(),
    });
    if print_scores {
        report["scores"] = json!(scores);
    }
    println!("{report}");
    Ok(())
}

/// Clockwise quarter turns from the stream's display matrix.
fn rotation(stream: &ffmpeg::format::stream::Stream<'_>) -> Rotation {
    let matrix =
        stream.side_data().find(|data| data.kind() == ffmpeg::codec::packet::side_data::Type::DisplayMatrix);
    let Some(matrix) = matrix else { return Rotation::None };
    let entry = |i: usize| {
        matrix.data().get(i * 4..i * 4 + 4).map_or(0, |b| i32::from_ne_bytes([b[0], b[1], b[2], b[3]]))
    };
    match (entry(0).signum(), entry(1).signum()) {
        (0, 1) => Rotation::Quarter,
        (-1, 0) => Rotation::Half,
        (0, -1) => Rotation::ThreeQuarters,
        _ => Rotation::None,
    }
}
