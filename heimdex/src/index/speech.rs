//! The stage that finds words: in subtitles, else in what is said.

use std::sync::Arc;

use super::Pipeline;
use super::pass::{self, Spoken};
use super::pipeline::json;
use super::resume::Run;
use super::source::Source;
use crate::media::{DecodeReport, MediaFile, MediaInfo};
use crate::transcript::{self, Activity, Listen, SubtitleFile, Transcript, TranscriptSource};
use crate::{Cancel, Result, Stage, Timestamp};

impl Pipeline {
    /// All that heard words follow from, but for the sound; empty without a model.
    pub(super) fn speech_key(&self) -> Result<String> {
        let Some(transcriber) = &self.speech else { return Ok(String::new()) };
        let mut settings = self.settings.speech.clone();
        settings.activity = Activity::default();
        let spec = transcriber.spec();
        let parts = [&spec.weights_sha256, &spec.version, &self.activity, &json(&settings)?];
        Ok(parts.map(String::as_str).join("\n"))
    }

    /// Whether words are to be heard while pictures are decoded: where it is certain that no subtitles
    /// will take their place.
    pub(super) fn listens_at_once(&self, subtitles: Option<&SubtitleFile>, media: &MediaInfo) -> bool {
        let embedded = self.settings.subtitles.embedded && media.text_subtitles().next().is_some();
        let read = subtitles.is_some_and(SubtitleFile::has_cues) || embedded;
        self.speech.is_some() && media.audio().is_some() && (self.settings.speech.over_subtitles || !read)
    }

    /// A listener at the sound of a file, where there is a model.
    pub(super) fn listen(&self, media: &MediaInfo, cancel: &Cancel) -> Result<Option<Listen>> {
        let listen = |transcriber| Listen::start(transcriber, &self.settings.speech, media, cancel);
        self.speech.as_ref().map(|transcriber| listen(Arc::clone(transcriber))).transpose()
    }

    /// The words of a video whose pictures were decoded.
    pub(super) fn words(
        &self,
        source: &Source,
        subtitles: Option<&SubtitleFile>,
        media: &MediaInfo,
        report: &DecodeReport,
        run: &mut Run<'_>,
    ) -> Result<Spoken> {
        let settings = &self.settings;
        let written = transcript::choose(subtitles, media, &report.cues, report.end, &settings.subtitles);
        let enough =
            |written: &Transcript| !settings.speech.over_subtitles && !transcript::forced(written, media);
        if self.speech.is_none() || written.as_ref().is_some_and(enough) {
            return Ok(Spoken { transcript: written, ..Spoken::default() });
        }
        let cancel = run.cancel.clone();
        let Some(listen) = self.listen(media, &cancel)? else { return Ok(Spoken::default()) };
        let length = report.end.as_seconds().max(0.001);
        let mut at = |time: Timestamp| {
            run.progress(Stage::Transcribe, (0.99 * time.as_seconds() / length) as f32);
        };
        if media.audio().is_none() {
            // Silence was heard, which is another thing than not having listened.
            return Ok(Spoken { transcript: Some(listen.finish(&mut at)?), ..Spoken::default() });
        }
        let file = MediaFile::open(&source.path, &settings.limits, &cancel)?;
        pass::listen(file, settings, listen, &cancel, &mut at)
    }
}

/// What a model gave and was not believed.
pub(super) fn dropped(source: Option<&TranscriptSource>) -> transcript::Dropped {
    match source {
        Some(TranscriptSource::Speech { dropped, .. }) => *dropped,
        _ => transcript::Dropped::default(),
    }
}
