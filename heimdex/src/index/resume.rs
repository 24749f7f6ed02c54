//! Resume: a stage runs only when no output of the same key is kept.

use std::time::{SystemTime, UNIX_EPOCH};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::store::{StageRecord, StageState};
use crate::{Cancel, Error, Progress, Result, Stage};

/// Keeps outputs of stages between runs. Called from the thread that indexes; may block.
pub(crate) trait Checkpoints {
    fn load(&self, stage: Stage, key: &str) -> Result<Option<Vec<u8>>>;
    fn save(&self, stage: Stage, key: &str, output: &[u8]) -> Result<()>;
    fn record(&self, record: &StageRecord) -> Result<()>;
}

/// Keeps nothing: every run is a first run.
pub(crate) struct Forgetful;

impl Checkpoints for Forgetful {
    fn load(&self, _: Stage, _: &str) -> Result<Option<Vec<u8>>> {
        Ok(None)
    }

    fn save(&self, _: Stage, _: &str, _: &[u8]) -> Result<()> {
        Ok(())
    }

    fn record(&self, _: &StageRecord) -> Result<()> {
        Ok(())
    }
}

/// One run over one video: which stages ran, and how far it is.
pub(crate) struct Run<'a> {
    checkpoints: &'a dyn Checkpoints,
    pub(crate) cancel: &'a Cancel,
    report: &'a mut dyn FnMut(Progress),
    fraction: f32,
    /// The stage that reported last, and how far it was.
    reported: Option<(Stage, f32)>,
    pub(crate) stages: Vec<StageRecord>,
}

impl<'a> Run<'a> {
    pub(crate) fn new(
        checkpoints: &'a dyn Checkpoints,
        cancel: &'a Cancel,
        report: &'a mut dyn FnMut(Progress),
    ) -> Self {
        Self { checkpoints, cancel, report, fraction: 0.0, reported: None, stages: Vec::new() }
    }

    /// The output kept under `key`, or that of `work`, which is then kept.
    pub(crate) fn stage<T: Serialize + DeserializeOwned>(
        &mut self,
        stage: Stage,
        key: &str,
        work: impl FnOnce(&mut Self) -> Result<T>,
    ) -> Result<T> {
        if let Some(output) = self.kept(stage, key)? {
            self.reused(stage)?;
            return Ok(output);
        }
        self.begin(stage)?;
        match work(self) {
            Ok(output) => {
                self.keep(stage, key, &output)?;
                Ok(output)
            }
            Err(error) => {
                self.fail(stage, &error);
                Err(error)
            }
        }
    }

    /// The output kept under `key`. One that can no longer be read counts as none.
    pub(crate) fn kept<T: DeserializeOwned>(&self, stage: Stage, key: &str) -> Result<Option<T>> {
        self.cancel.check()?;
        Ok(self.checkpoints.load(stage, key)?.and_then(|bytes| {
            serde_json::from_slice(&bytes)
                .inspect_err(|error| tracing::warn!(%stage, %error, "kept output cannot be read; the stage runs again"))
                .ok()
        }))
    }

    /// Marks a stage as begun.
    pub(crate) fn begin(&mut self, stage: Stage) -> Result<()> {
        self.cancel.check()?;
        let record = StageRecord {
            stage,
            state: StageState::Running,
            started_us: Some(now_us()),
            ended_us: None,
            reused: false,
            error_kind: None,
            error: None,
        };
        self.checkpoints.record(&record)?;
        self.stages.push(record);
        self.progress(stage, 0.0);
        Ok(())
    }

    /// Keeps a stage's output and marks it as completed.
    pub(crate) fn keep<T: Serialize>(&mut self, stage: Stage, key: &str, output: &T) -> Result<()> {
        let bytes = serde_json::to_vec(output)
            .map_err(|e| Error::store(format!("the output of stage {stage} cannot be written"), e))?;
        self.checkpoints.save(stage, key, &bytes)?;
        self.complete(stage)
    }

    /// Marks a stage as completed.
    pub(crate) fn complete(&mut self, stage: Stage) -> Result<()> {
        self.end(stage, StageState::Completed, None)?;
        self.progress(stage, 1.0);
        Ok(())
    }

    /// Marks a stage as done in an earlier run.
    pub(crate) fn reused(&mut self, stage: Stage) -> Result<()> {
        let now = Some(now_us());
        let record = StageRecord {
            stage,
            state: StageState::Completed,
            started_us: now,
            ended_us: now,
            reused: true,
            error_kind: None,
            error: None,
        };
        self.checkpoints.record(&record)?;
        self.stages.push(record);
        self.progress(stage, 1.0);
        Ok(())
    }

    /// Marks a stage as failed or cancelled. The failure itself matters more than its record.
    pub(crate) fn fail(&mut self, stage: Stage, error: &Error) {
        let state =
            if matches!(error, Error::Cancelled) { StageState::Cancelled } else { StageState::Failed };
        if let Err(unrecorded) = self.end(stage, state, Some(error)) {
            tracing::warn!(%stage, %unrecorded, "a failed stage could not be recorded");
        }
    }

    fn end(&mut self, stage: Stage, state: StageState, error: Option<&Error>) -> Result<()> {
        let Some(record) = self.stages.iter_mut().rfind(|r| r.stage == stage) else { return Ok(()) };
        record.state = state;
        record.ended_us = Some(now_us());
        record.error_kind = error.map(Error::kind);
        record.error = error.map(ToString::to_string);
        self.checkpoints.record(record)
    }

    /// Reports how far a stage is. Neither it nor the whole ever goes backwards.
    pub(crate) fn progress(&mut self, stage: Stage, stage_fraction: f32) {
        let before = self.reported.filter(|(reported, _)| *reported == stage).map_or(0.0, |(_, f)| f);
        let stage_fraction = stage_fraction.clamp(0.0, 1.0).max(before);
        self.reported = Some((stage, stage_fraction));
        let (from, to) = share(stage);
        self.fraction = self.fraction.max(from + (to - from) * stage_fraction);
        (self.report)(Progress { stage, stage_fraction, fraction: self.fraction });
    }
}

/// The part of the whole that a stage usually takes: decoding is most of it.
fn share(stage: Stage) -> (f32, f32) {
    match stage {
        Stage::Validate => (0.0, 0.04),
        Stage::Decode => (0.04, 0.80),
        Stage::Shots | Stage::Keyframes => (0.80, 0.80),
        Stage::Transcribe => (0.80, 0.84),
        Stage::Scenes => (0.84, 0.85),
        Stage::EmbedText => (0.85, 0.95),
        Stage::EmbedImages | Stage::Tags | Stage::Faces | Stage::Sidecar => (0.95, 0.97),
        Stage::Commit => (0.97, 1.0),
    }
}

fn now_us() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .ok()
        .and_then(|d| i64::try_from(d.as_micros()).ok())
        .unwrap_or_default()
}
