//! `heimdex shots`

use heimdex::index::{Pipeline, PipelineSettings};
use heimdex::shots::{AdaptiveDetector, ContentDetector, Detector, ThresholdDetector};
use heimdex::{Cancel, Error, Result};
use serde_json::json;

use crate::args::{DetectorArgs, DetectorName, Global, ShotsArgs};
use crate::library::count;
use crate::output::{self, Outcome};

pub(crate) async fn run(global: &Global, args: ShotsArgs) -> Outcome {
    let mut settings = PipelineSettings::default();
    settings.detector = detector(&args.detector)?;
    settings.decode.exact = args.detector.exact;
    settings.subtitles.beside = false;
    settings.subtitles.embedded = false;
    let pipeline = Pipeline::builder().settings(settings).build()?;
    let cancel = Cancel::new();
    let stop = cancel.clone();
    tokio::spawn(async move {
        if tokio::signal::ctrl_c().await.is_ok() {
            stop.cancel();
        }
    });
    let path = args.path;
    let work = tokio::task::spawn_blocking(move || pipeline.run(&path, &cancel, |_| ()));
    let video = work.await.map_err(|e| Error::store("finding shots", e))??;
    if global.json {
        return output::json(&json!({
            "duration_us": video.video.duration,
            "shots": video.shots,
            "warnings": video.video.warnings,
        }));
    }
    for (i, shot) in video.shots.iter().enumerate() {
        output::line(format!("{:>5}  {}  {}", i + 1, shot.span.start, shot.span.end))?;
    }
    if !global.quiet {
        for warning in &video.video.warnings {
            output::note(output::safe(warning));
        }
        output::note(count(video.shots.len(), "shot"));
    }
    Ok(())
}

/// The detector that was asked for, with its threshold.
pub(crate) fn detector(args: &DetectorArgs) -> Result<Detector> {
    let threshold = args.threshold;
    let detector: Detector = match args.detector {
        DetectorName::Adaptive => {
            let mut detector = AdaptiveDetector::default();
            detector.threshold = threshold.unwrap_or(detector.threshold);
            detector.into()
        }
        DetectorName::Content => {
            let mut detector = ContentDetector::default();
            detector.threshold = threshold.unwrap_or(detector.threshold);
            detector.into()
        }
        DetectorName::Threshold => {
            let mut detector = ThresholdDetector::default();
            detector.threshold = threshold.unwrap_or(detector.threshold);
            detector.into()
        }
    };
    // A wrong threshold is told before anything is opened.
    detector.start(None)?;
    Ok(detector)
}
