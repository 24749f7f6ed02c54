//! `heimdex transcribe`

use std::io::IsTerminal;
use std::time::Duration;

use heimdex::media::{Limits, probe};
use heimdex::open::open_speech_model;
use heimdex::transcript::{self, Transcribed};
use heimdex::{Cancel, Error, Result, Timestamp};
use indicatif::{ProgressBar, ProgressStyle};

use crate::args::{Global, TranscribeArgs, TranscriptFormat};
use crate::index;
use crate::library::count;
use crate::output::{self, Outcome, safe};

pub(crate) async fn run(global: &Global, args: TranscribeArgs) -> Outcome {
    let model = open_speech_model(args.speech.speech_model.as_deref())?;
    let settings = args.speech.settings(args.language.as_ref());
    let cancel = Cancel::new();
    index::stop_on_ctrl_c(cancel.clone());
    let bar = bar(global, &args)?;
    let (path, shown) = (args.path.clone(), bar.clone());
    let work = tokio::task::spawn_blocking(move || {
        let at = &mut |time: Timestamp| shown.set_position(time.as_millis().max(0) as u64);
        transcript::transcribe(path, model, &settings, &Limits::default(), &cancel, at)
    });
    let result = work.await.map_err(|e| Error::store("transcribing", e))?;
    bar.finish_and_clear();
    let heard = result?;
    let text = written(&heard, if global.json { TranscriptFormat::Json } else { args.format })?;
    match &args.output {
        Some(file) => std::fs::write(file, text).map_err(|e| Error::io(file, e))?,
        None => output::bytes(text.as_bytes())?,
    }
    if !global.quiet && !global.json {
        for warning in &heard.warnings {
            output::note(safe(warning));
        }
        output::note(summary(&heard));
    }
    Ok(())
}

/// A bar on a terminal, nothing elsewhere.
fn bar(global: &Global, args: &TranscribeArgs) -> Result<ProgressBar> {
    if !std::io::stderr().is_terminal() || global.json || global.quiet {
        return Ok(ProgressBar::hidden());
    }
    let length = probe(&args.path, &Limits::default())?.declared_duration.unwrap_or_default();
    let bar = ProgressBar::new(length.as_millis().max(0) as u64);
    if let Ok(style) = ProgressStyle::with_template("{bar:30} {percent:>3}%  {eta}") {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_secs(1));
    Ok(bar)
}

fn written(heard: &Transcribed, format: TranscriptFormat) -> Result<String> {
    let segments = &heard.transcript.segments;
    Ok(match format {
        TranscriptFormat::Srt => transcript::write_srt(segments),
        TranscriptFormat::Vtt => transcript::write_vtt(segments),
        TranscriptFormat::Txt => segments.iter().map(|s| s.text.replace('\n', " ") + "\n").collect(),
        TranscriptFormat::Json => {
            let text = serde_json::to_string_pretty(heard);
            text.map_err(|e| Error::store("writing JSON", e))? + "\n"
        }
    })
}

/// How much was heard, and what of it was not believed.
fn summary(heard: &Transcribed) -> String {
    let words = heard.transcript.segments.iter().map(|s| s.words.len()).sum();
    let mut text = count(words, "word");
    if let Some(language) = &heard.transcript.language {
        text.push_str(&format!(" in {}", safe(language)));
    }
    match &heard.transcript.source {
        transcript::TranscriptSource::Speech { dropped, .. } if !dropped.is_empty() => {
            text + &format!("; {} not believed", count(dropped.total() as usize, "phrase"))
        }
        _ => text,
    }
}
