//! Speech in the pipeline: what is heard, kept, resumed and left alone.
#![cfg(all(feature = "media", feature = "sqlite", feature = "candle"))]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::case_sensitive_file_extension_comparisons,
    missing_docs
)]

mod common;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use heimdex::embed::TextEncoder;
use heimdex::index::{IndexOutcome, Pipeline, PipelineSettings};
use heimdex::store::{IndexedVideo, SqliteStore};
use heimdex::transcript::{
    Activity, AudioTrack, Heard, Listener, Phrase, Region, SpeechSettings, SpeechSpec, Transcriber,
    TranscriptSource, Word,
};
use heimdex::{Cancel, ErrorKind, Heimdex, Span, Stage, Timestamp};

/// Says a word for each second of what it hears, and counts.
struct Says {
    spec: SpeechSpec,
    words: &'static [&'static str],
    heard: AtomicUsize,
    sounds: Mutex<Vec<f32>>,
}

impl Says {
    fn new(name: &str, words: &'static [&'static str]) -> Arc<Self> {
        let spec = SpeechSpec::new(name, name, "1");
        Arc::new(Self { spec, words, heard: AtomicUsize::default(), sounds: Mutex::default() })
    }

    fn times(&self) -> usize {
        self.heard.load(Ordering::Relaxed)
    }
}

impl Transcriber for Says {
    fn spec(&self) -> &SpeechSpec {
        &self.spec
    }

    fn transcribe(&self, region: &Region<'_>, _: &Cancel) -> heimdex::Result<Heard> {
        self.heard.fetch_add(1, Ordering::Relaxed);
        self.sounds.lock().unwrap().extend(region.pcm.iter().take(16_000 * 60));
        let at = |i: usize| Timestamp::from_millis(i as i64 * 1000);
        let words: Vec<Word> = self
            .words
            .iter()
            .enumerate()
            .map(|(i, word)| Word {
                text: (*word).to_owned(),
                span: Span::new(at(i), at(i + 1)),
                probability: Some(0.9),
            })
            .collect();
        let span = Span::new(at(0), at(words.len()));
        let phrase = Phrase { span, text: self.words.join(" "), words, ..Phrase::default() };
        Ok(Heard {
            language: Some("en".into()),
            language_probability: Some(0.9),
            phrases: if self.words.is_empty() { Vec::new() } else { vec![phrase] },
        })
    }
}

fn clip(name: &str) -> PathBuf {
    common::fixtures().join(name)
}

fn all_sound() -> PipelineSettings {
    let mut settings = PipelineSettings::default();
    settings.speech.activity = Activity::Everything;
    settings
}

async fn library(folder: &Path, speech: Option<Arc<dyn Transcriber>>, settings: PipelineSettings) -> Heimdex {
    let tiny = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/tiny-bert");
    let text = Arc::new(TextEncoder::open(tiny).unwrap());
    let mut pipeline =
        Pipeline::builder().settings(settings).thumbnails(folder.join("thumbnails")).text(text);
    if let Some(speech) = speech {
        pipeline = pipeline.speech(speech);
    }
    let store = SqliteStore::open(folder.join("library.db")).await.unwrap();
    Heimdex::builder().store(store).pipeline(pipeline.build().unwrap()).build().unwrap()
}

fn ran(stages: &[heimdex::store::StageRecord]) -> Vec<Stage> {
    stages.iter().filter(|s| !s.reused).map(|s| s.stage).collect()
}

fn exported(index: &IndexedVideo) -> String {
    serde_json::to_string_pretty(index).unwrap()
}

#[tokio::test]
async fn what_is_said_is_found_to_the_word() {
    let folder = tempfile::tempdir().unwrap();
    let says = Says::new("a", &["harbour", "lantern"]);
    let hx = library(folder.path(), Some(says.clone()), all_sound()).await;
    let report = hx.index(clip("cut.mp4")).await.unwrap();
    assert_eq!((report.segments, report.dropped.total(), says.times()), (Some(1), 0, 1));
    let page = hx.search("lantern").await.unwrap();
    let hit = &page.hits[0];
    // The second word, in the second shot, which begins there.
    assert_eq!((hit.scene.ordinal, hit.text.as_str()), (1, "lantern"));
    assert_eq!(
        hit.matched_words[0].span,
        Span::new(Timestamp::from_millis(1000), Timestamp::from_millis(2000))
    );
    let index = hx.indexed_video(report.id).await.unwrap();
    assert_eq!(index.video.language.as_deref(), Some("en"));
    assert!(index.video.settings["speech"].contains("\"a\""));
    assert_eq!(hx.index(clip("cut.mp4")).await.unwrap().outcome, IndexOutcome::UpToDate);
    assert_eq!(says.times(), 1);
}

/// Failures 15 and 16: no sound, and nothing said, are an empty transcript; not having listened is none.
#[tokio::test]
async fn ran_and_found_nothing_is_not_never_ran() {
    let folder = tempfile::tempdir().unwrap();
    let nothing = Says::new("nothing", &[]);
    let hx = library(folder.path(), Some(nothing.clone()), all_sound()).await;
    for name in ["cut.mp4", "vfr.mkv"] {
        let report = hx.index(clip(name)).await.unwrap();
        assert_eq!(report.segments, Some(0), "{name}");
        let index = hx.indexed_video(report.id).await.unwrap();
        assert!(matches!(index.transcript, Some(TranscriptSource::Speech { .. })), "{name}");
        assert!(report.stages.iter().any(|s| s.stage == Stage::Transcribe));
        assert_eq!(hx.index(clip(name)).await.unwrap().outcome, IndexOutcome::UpToDate, "{name}");
    }
    assert_eq!(nothing.times(), 1, "one of the two has sound, and it was heard once");
    let deaf = tempfile::tempdir().unwrap();
    let report = library(deaf.path(), None, all_sound()).await.index(clip("cut.mp4")).await.unwrap();
    assert_eq!(report.segments, None);
}

/// What was invented is counted in the report and in the index.
#[tokio::test]
async fn what_is_dropped_is_counted() {
    let folder = tempfile::tempdir().unwrap();
    let hx = library(folder.path(), Some(Says::new("loops", &["la"; 12])), all_sound()).await;
    let report = hx.index(clip("cut.mp4")).await.unwrap();
    assert_eq!(report.dropped.repeated, 1);
    let index = hx.indexed_video(report.id).await.unwrap();
    assert_eq!(index.segments[0].text, "la");
    let Some(TranscriptSource::Speech { model, dropped }) = index.transcript else { panic!() };
    assert_eq!((model.as_str(), dropped), ("loops", report.dropped));
}

/// A speech model that is added or changed needs the sound again, but no picture; another text model
/// needs neither. Either way the index is that of a library which had the models from the beginning.
#[tokio::test]
async fn a_changed_model_does_only_what_it_must() {
    let folder = tempfile::tempdir().unwrap();
    library(folder.path(), None, all_sound()).await.index(clip("cut.mp4")).await.unwrap();
    for name in ["first", "second"] {
        let says = Says::new(name, &["harbour", "lantern"]);
        let hx = library(folder.path(), Some(says.clone()), all_sound()).await;
        let report = hx.index(clip("cut.mp4")).await.unwrap();
        assert_eq!(ran(&report.stages), [Stage::Transcribe, Stage::Scenes, Stage::EmbedText, Stage::Commit]);
        let fresh = tempfile::tempdir().unwrap();
        let begun = library(fresh.path(), Some(says), all_sound()).await;
        begun.index(clip("cut.mp4")).await.unwrap();
        let (later, begun) =
            (hx.indexed_video(report.id).await.unwrap(), begun.indexed_video(report.id).await.unwrap());
        assert_eq!(exported(&later), exported(&begun), "{name}");
    }
    // Without a text model: the words stay as they are.
    let says = Says::new("second", &["harbour", "lantern"]);
    let pipeline = Pipeline::builder().settings(all_sound()).speech(says.clone());
    let pipeline = pipeline.thumbnails(folder.path().join("thumbnails")).build().unwrap();
    let store = SqliteStore::open(folder.path().join("library.db")).await.unwrap();
    let hx = Heimdex::builder().store(store).pipeline(pipeline).build().unwrap();
    let report = hx.index(clip("cut.mp4")).await.unwrap();
    assert_eq!((ran(&report.stages), says.times()), (vec![Stage::Commit], 0));
    // Settings that shape the words are part of their key, others are not.
    let mut settings = all_sound();
    settings.speech.prompt = "Heimdex".into();
    let hx = library(folder.path(), Some(says.clone()), settings).await;
    let report = hx.index(clip("cut.mp4")).await.unwrap();
    assert!(ran(&report.stages).contains(&Stage::Transcribe) && says.times() == 1);
}

/// A run that is stopped after the words were heard does not hear them again.
#[tokio::test]
async fn what_was_heard_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let says = Says::new("a", &["harbour", "lantern"]);
    let hx = library(folder.path(), Some(says.clone()), all_sound()).await;
    let cancel = Cancel::new();
    let stop = cancel.clone();
    let work = hx.index(clip("cut.mp4")).cancel(&cancel).on_progress(move |p| {
        if p.stage == Stage::Scenes {
            stop.cancel();
        }
    });
    assert_eq!(work.await.unwrap_err().kind(), ErrorKind::Cancelled);
    let report = hx.index(clip("cut.mp4")).await.unwrap();
    assert_eq!(says.times(), 1);
    assert!(!ran(&report.stages).contains(&Stage::Transcribe));
    assert_eq!(report.segments, Some(1));
}

#[tokio::test]
async fn subtitles_come_first_unless_asked_otherwise() {
    let folder = tempfile::tempdir().unwrap();
    let video = folder.path().join("talk.mp4");
    std::fs::copy(clip("cut.mp4"), &video).unwrap();
    std::fs::write(folder.path().join("talk.srt"), "1\n00:00:00,000 --> 00:00:01,000\nwritten\n").unwrap();
    let says = Says::new("a", &["spoken"]);
    let hx = library(folder.path(), Some(says.clone()), all_sound()).await;
    let report = hx.index(&video).await.unwrap();
    let index = hx.indexed_video(report.id).await.unwrap();
    assert_eq!((index.segments[0].text.as_str(), says.times()), ("written", 0));
    let mut settings = all_sound();
    settings.speech.over_subtitles = true;
    let hx = library(folder.path(), Some(says.clone()), settings).await;
    hx.index(&video).await.unwrap();
    let index = hx.indexed_video(report.id).await.unwrap();
    assert_eq!((index.segments[0].text.as_str(), says.times()), ("spoken", 1));
}

/// The track of a number or a language is heard, told apart by its tone.
#[tokio::test]
async fn a_track_is_chosen_by_number_or_language() {
    let Some(shared) = common::shared() else { return };
    let tone = |samples: &[f32]| {
        let crossings = samples.windows(2).filter(|w| (w[0] < 0.0) != (w[1] < 0.0)).count();
        crossings as f32 * 16_000.0 / (2.0 * samples.len() as f32)
    };
    for (name, track, hertz) in [
        ("two-audio-kor-eng.mkv", AudioTrack::Default, 440.0),
        ("two-audio-kor-eng.mkv", AudioTrack::Number(1), 880.0),
        ("two-audio-kor-eng.mkv", AudioTrack::Language("en".into()), 880.0),
        ("two-audio-kor-eng.mkv", AudioTrack::Language("fr".into()), 440.0),
        ("two-audio-eng-default.mp4", AudioTrack::Default, 880.0),
        ("two-audio-eng-default.mp4", AudioTrack::Language("kor".into()), 440.0),
    ] {
        let says = Says::new("a", &["word"]);
        let mut settings = all_sound();
        settings.speech.track = track.clone();
        let pipeline = Pipeline::builder().settings(settings).speech(says.clone()).build().unwrap();
        let path = shared.join("media/edge").join(name);
        let index = pipeline.run(&path, &Cancel::new(), |_| ()).unwrap();
        let found = tone(&says.sounds.lock().unwrap());
        assert!((found - hertz).abs() < 20.0, "{name} {track}: {found}");
        let warned = index.video.warnings.iter().any(|w| w.contains("`fr`"));
        assert_eq!(warned, track == AudioTrack::Language("fr".into()));
    }
    let mut settings = all_sound();
    settings.speech.track = AudioTrack::Number(2);
    let pipeline = Pipeline::builder().settings(settings).speech(Says::new("a", &[])).build().unwrap();
    let path = shared.join("media/edge/two-audio-kor-eng.mkv");
    let error = pipeline.run(&path, &Cancel::new(), |_| ()).unwrap_err();
    assert!(error.to_string().contains("0 (kor), 1 (eng)"), "{error}");
}

/// A model in the middle of a region holds nothing up.
#[tokio::test]
async fn a_cancel_stops_at_once() {
    struct Stuck(SpeechSpec, Cancel);
    impl Transcriber for Stuck {
        fn spec(&self) -> &SpeechSpec {
            &self.0
        }
        fn transcribe(&self, _: &Region<'_>, _: &Cancel) -> heimdex::Result<Heard> {
            self.1.cancel();
            std::thread::sleep(Duration::from_secs(30));
            Ok(Heard::default())
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let cancel = Cancel::new();
    let stuck = Arc::new(Stuck(SpeechSpec::new("stuck", "stuck", "1"), cancel.clone()));
    let hx = library(folder.path(), Some(stuck), all_sound()).await;
    let begun = Instant::now();
    assert_eq!(hx.index(clip("cut.mp4")).cancel(&cancel).await.unwrap_err().kind(), ErrorKind::Cancelled);
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
}

/// A minute: six seconds of syllables whose pitch moves, then silence.
fn minute() -> Vec<f32> {
    const SECOND: usize = 16_000;
    (0..60 * SECOND)
        .map(|k| {
            let t = k as f64 / SECOND as f64;
            let on = t < 6.0 && (t * 4.0).fract() < 0.6;
            let phase = 110.0 * t + 8.0 * (t * 2.3).sin() + 3.0 * (t * 11.0).sin();
            let tone: f64 =
                (1..20).map(|h| (std::f64::consts::TAU * phase * f64::from(h)).sin() / f64::from(h)).sum();
            let hiss = ((k * 7919 % 2003) as f64 / 2003.0 - 0.5)
                * if (t * 4.0).fract() < 0.8 { 0.05 } else { 0.001 };
            if t >= 6.0 { 0.0 } else { (if on { 0.2 * tone } else { 0.0 } + hiss) as f32 }
        })
        .collect()
}

/// Failure 25: ten hours take the memory of ten minutes.
#[test]
fn memory_does_not_grow_with_length() {
    let minute = minute();
    let says = Says::new("a", &["one", "two", "three"]);
    let mut settings = SpeechSettings::default();
    settings.gates.repeats = usize::MAX;
    let mut listener = Listener::start(says.clone(), &settings, &Cancel::new()).unwrap();
    let mut after_ten_minutes = 0;
    for at in 0..600 {
        listener.push(Timestamp::from_millis(at * 60_000), &minute).unwrap();
        says.sounds.lock().unwrap().clear();
        if at == 10 {
            after_ten_minutes = peak_kb();
        }
    }
    let transcript = listener.finish(&mut |_| ()).unwrap();
    assert!(says.times() >= 600 && transcript.segments.len() >= 600, "{}", says.times());
    let grown = peak_kb() - after_ten_minutes;
    assert!(grown < 30 * 1024, "{grown} kB more");
}

/// The most memory that this process has had.
fn peak_kb() -> i64 {
    let Ok(status) = std::fs::read_to_string("/proc/self/status") else { return 0 };
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// The whole way with a Whisper model: an hour in the memory of minutes, a cancel in the middle of a
/// region, and a file.
#[cfg(feature = "whisper")]
mod whisper {
    use std::io::Read;

    use heimdex::media::Limits;
    use heimdex::transcript::{Whisper, WhisperOptions, transcribe};

    use super::*;

    fn model(folder: &Path) -> Whisper {
        let packed =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/tiny-whisper/ggml-tiny.bin.gz");
        let mut bytes = Vec::new();
        flate2::read::GzDecoder::new(std::fs::File::open(packed).unwrap()).read_to_end(&mut bytes).unwrap();
        let file = folder.join("ggml-tiny.bin");
        std::fs::write(&file, bytes).unwrap();
        let mut options = WhisperOptions::default();
        (options.threads, options.beams) = (1, 1);
        Whisper::open_with(file, &options).unwrap()
    }

    /// Random weights are never sure of themselves: all but the loops is let through.
    fn credulous() -> SpeechSettings {
        let mut settings = SpeechSettings::default();
        settings.activity = Activity::Everything;
        settings.gates.min_log_probability = -100.0;
        settings.gates.log_probability = -100.0;
        settings
    }

    /// Half a minute of sound as a WAV file.
    fn sound(folder: &Path) -> PathBuf {
        let samples: Vec<i64> = (0..30 * 16_000i64)
            .map(|k| {
                let a = (k * (4000 - k / 256)).rem_euclid(65_536) - 32_768;
                let b = (k * 1733).rem_euclid(65_536) - 32_768;
                if (k / 4000) % 3 == 2 { 0 } else { (a + b).div_euclid(8) }
            })
            .collect();
        let bytes = samples.len() as u32 * 2;
        let mut wav = b"RIFF".to_vec();
        wav.extend((36 + bytes).to_le_bytes());
        wav.extend(b"WAVEfmt \x10\0\0\0\x01\0\x01\0");
        wav.extend(16_000u32.to_le_bytes());
        wav.extend(32_000u32.to_le_bytes());
        wav.extend(b"\x02\0\x10\0data");
        wav.extend(bytes.to_le_bytes());
        wav.extend(samples.iter().flat_map(|s| (*s as i16).to_le_bytes()));
        let path = folder.join("sound.wav");
        std::fs::write(&path, wav).unwrap();
        path
    }

    /// From a file to words: the text that openai-whisper reads in the same sound.
    #[test]
    fn a_file_is_transcribed() {
        let folder = tempfile::tempdir().unwrap();
        let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/tiny-whisper/golden.json");
        let golden: serde_json::Value = serde_json::from_slice(&std::fs::read(golden).unwrap()).unwrap();
        let (model, limits) = (Arc::new(model(folder.path())), Limits::default());
        let mut settings = credulous();
        settings.language = Some("ko".into());
        let mut told = Vec::new();
        let mut at = |time: Timestamp| told.push(time);
        let sound = sound(folder.path());
        let heard = transcribe(sound, model, &settings, &limits, &Cancel::new(), &mut at).unwrap();
        let segments = &heard.transcript.segments;
        let text: String = segments.iter().flat_map(|s| s.text.split_whitespace()).collect();
        let expected: String = golden["decoded"]["ko"]["text"].as_str().unwrap().split_whitespace().collect();
        assert_eq!(text, expected);
        let words: Vec<&Word> = segments.iter().flat_map(|s| &s.words).collect();
        assert!(
            words.iter().all(|w| w.probability.is_some() && w.span.end <= Timestamp::from_millis(30_000))
        );
        assert!(words.is_sorted_by_key(|w| w.span.start));
        assert!(told.is_sorted() && !told.is_empty());
        assert_eq!(heard.transcript.language.as_deref(), Some("ko"));
    }

    #[test]
    fn an_hour_takes_the_memory_of_minutes() {
        let folder = tempfile::tempdir().unwrap();
        let model = Arc::new(model(folder.path()));
        let mut settings = credulous();
        settings.activity = Activity::Spectral;
        settings.language = Some("en".into());
        let mut listener = Listener::start(model, &settings, &Cancel::new()).unwrap();
        let minute = minute();
        let mut after_five_minutes = 0;
        for at in 0..60 {
            listener.push(Timestamp::from_millis(at * 60_000), &minute).unwrap();
            if at == 5 {
                after_five_minutes = peak_kb();
            }
        }
        listener.finish(&mut |_| ()).unwrap();
        let grown = peak_kb() - after_five_minutes;
        assert!(grown < 30 * 1024, "{grown} kB more");
    }

    #[test]
    fn a_cancel_in_the_middle_of_a_region_stops() {
        let folder = tempfile::tempdir().unwrap();
        let cancel = Cancel::new();
        let model = Arc::new(model(folder.path()));
        let mut listener = Listener::start(model, &credulous(), &cancel).unwrap();
        let minute: Vec<f32> = (0..60 * 16_000i64).map(|k| (k * k % 4001) as f32 / 8000.0 - 0.25).collect();
        listener.push(Timestamp::ZERO, &minute).unwrap();
        cancel.cancel();
        let begun = Instant::now();
        assert_eq!(listener.finish(&mut |_| ()).unwrap_err().kind(), ErrorKind::Cancelled);
        assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    }
}
