//! Probing and decoding equal ffprobe and ffmpeg; bad files fail with their class.
#![cfg(feature = "media")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::case_sensitive_file_extension_comparisons,
    missing_docs
)]

mod common;

use std::path::Path;
use std::time::{Duration, Instant};

use heimdex::media::{
    AudioSink, DecodeOptions, DecodeReport, Limits, MediaFile, RgbPicture, Sinks, StreamInfo, VideoFrame,
    VideoSink, probe,
};
use heimdex::{Cancel, ErrorKind, Result, Timestamp};
use serde_json::Value;

#[derive(Debug, Default)]
struct Times(Vec<Timestamp>);

impl VideoSink for Times {
    fn frame(&mut self, frame: &VideoFrame) -> Result<()> {
        assert_eq!(frame.index(), self.0.len() as u64);
        self.0.push(frame.time());
        Ok(())
    }
}

#[derive(Debug, Default)]
struct Pcm {
    start: Option<Timestamp>,
    samples: Vec<f32>,
}

impl AudioSink for Pcm {
    fn samples(&mut self, start: Timestamp, pcm: &[f32]) -> Result<()> {
        self.start.get_or_insert(start);
        self.samples.extend_from_slice(pcm);
        Ok(())
    }
}

fn decode(path: &Path, exact: bool) -> Result<(DecodeReport, Times, Pcm)> {
    let file = MediaFile::open(path, &Limits::default(), &Cancel::new())?;
    let (mut times, mut pcm) = (Times::default(), Pcm::default());
    let mut options = DecodeOptions::default();
    options.exact = exact;
    let sinks = Sinks { video: Some(&mut times), audio: Some(&mut pcm), subtitles: true, ..Sinks::default() };
    let report = file.decode(&options, sinks, &Cancel::new(), &mut |_| ())?;
    Ok((report, times, pcm))
}

fn rate(value: &Value) -> Option<(u32, u32)> {
    let (n, d) = value.as_str()?.split_once('/')?;
    let (n, d) = (n.parse().ok()?, d.parse().ok()?);
    (n > 0 && d > 0).then_some((n, d))
}

#[test]
fn every_clip_is_probed_as_ffprobe_says() {
    let Some(shared) = common::shared() else { return };
    for (path, golden) in common::goldens(&shared) {
        let info = probe(&path, &Limits::default()).unwrap();
        let want = &golden["probe"];
        let name = path.display();
        assert_eq!(info.container, want["format_name"].as_str().unwrap(), "{name}");
        assert_eq!(info.size_bytes, golden["size_bytes"].as_u64().unwrap(), "{name}");
        let start = want["start_time_us"].as_i64().unwrap_or(0);
        assert!(
            (info.start.as_micros() - start).abs() <= 1,
            "{name}: start {} {start}",
            info.start.as_micros()
        );
        let duration = info.declared_duration.map(Timestamp::as_micros);
        assert!(
            (duration.unwrap_or(0) - want["duration_us"].as_i64().unwrap_or(0)).abs() <= 1,
            "{name}: {duration:?} {}",
            want["duration_us"]
        );
        let streams = want["streams"].as_array().unwrap();
        assert_eq!(info.streams.len(), streams.len(), "{name}");
        for (chapter, want) in info.chapters.iter().zip(want["chapters"].as_array().unwrap()) {
            assert_eq!(chapter.span.start.as_micros() + start, want["start_us"].as_i64().unwrap(), "{name}");
            assert_eq!(chapter.span.end.as_micros() + start, want["end_us"].as_i64().unwrap(), "{name}");
            assert_eq!(chapter.title.as_deref(), want["title"].as_str(), "{name}");
        }
        assert_eq!(info.chapters.len(), want["chapters"].as_array().unwrap().len(), "{name}");
        for (stream, want) in info.streams.iter().zip(streams) {
            let codec = want["codec"].as_str().unwrap_or_default();
            let number = |key: &str| want[key].as_f64().unwrap_or_default() as u64;
            let same_start = |start: Option<Timestamp>| {
                start.map(Timestamp::as_micros).unwrap_or_default()
                    - want["start_time_us"].as_i64().unwrap_or_default()
            };
            let flag = |flag: &str| want["disposition"].as_array().unwrap().iter().any(|d| d == flag);
            match stream {
                StreamInfo::Video(v) => {
                    assert_eq!(want["type"], "video", "{name}");
                    assert_eq!(v.codec, codec, "{name}");
                    assert_eq!(v.profile.as_deref(), want["profile"].as_str(), "{name}");
                    assert_eq!(u64::from(v.width), number("width"), "{name}");
                    assert_eq!(u64::from(v.height), number("height"), "{name}");
                    assert_eq!(u64::from(v.display_width), number("display_width"), "{name}");
                    assert_eq!(u64::from(v.display_height), number("display_height"), "{name}");
                    assert_eq!(u64::from(u16::from(v.rotation)), number("rotation_clockwise"), "{name}");
                    assert_eq!(v.average_rate, rate(&want["avg_frame_rate"]), "{name}");
                    assert_eq!(v.real_rate, rate(&want["r_frame_rate"]), "{name}");
                    assert_eq!(v.pixel_format.as_deref(), want["pix_fmt"].as_str(), "{name}");
                    assert_eq!(v.color_space.as_deref(), want["color_space"].as_str(), "{name}");
                    assert_eq!(v.color_range.as_deref(), want["color_range"].as_str(), "{name}");
                    assert_eq!(v.attached_picture, want["attached_pic"].as_bool().unwrap(), "{name}");
                    assert_eq!(v.declared_frames, want["nb_frames_declared"].as_u64(), "{name}");
                    assert_eq!(v.default, flag("default"), "{name}");
                    assert!(same_start(v.start).abs() <= 1, "{name}");
                }
                StreamInfo::Audio(a) => {
                    assert_eq!(want["type"], "audio", "{name}");
                    assert_eq!(a.codec, codec, "{name}");
                    assert_eq!(u64::from(a.sample_rate_hz), number("sample_rate"), "{name}");
                    assert_eq!(u64::from(a.channels), number("channels"), "{name}");
                    if let Some(layout) = want["channel_layout"].as_str() {
                        assert_eq!(a.channel_layout, layout, "{name}");
                    }
                    assert_eq!(a.language.as_deref(), want["language"].as_str(), "{name}");
                    assert_eq!(a.title.as_deref(), want["title"].as_str(), "{name}");
                    assert_eq!(a.default, flag("default"), "{name}");
                    assert!(same_start(a.start).abs() <= 1, "{name}");
                }
                StreamInfo::Subtitle(s) => {
                    assert_eq!(want["type"], "subtitle", "{name}");
                    assert_eq!(s.codec, codec, "{name}");
                    assert_eq!(s.language.as_deref(), want["language"].as_str(), "{name}");
                    assert_eq!(s.default, flag("default"), "{name}");
                }
                other => assert!(
                    !["video", "audio", "subtitle"].contains(&want["type"].as_str().unwrap()),
                    "{name}: {other:?}"
                ),
            }
        }
    }
}

#[test]
fn every_frame_has_the_time_that_ffprobe_gives() {
    let Some(shared) = common::shared() else { return };
    let mut frames = 0;
    for (path, golden) in common::goldens(&shared) {
        if golden["video"].is_null() {
            continue;
        }
        for exact in [true, false] {
            let (report, times, _) = decode(&path, exact).unwrap();
            let info = probe(&path, &Limits::default()).unwrap();
            let want: Vec<Option<i64>> =
                golden["video"]["pts_us"].as_array().unwrap().iter().map(Value::as_i64).collect();
            let got: Vec<i64> = times.0.iter().map(|t| t.as_micros() + info.start.as_micros()).collect();
            assert_eq!(got.len(), want.len(), "{}", path.display());
            frames += got.len();
            for (i, (got, want)) in got.iter().zip(&want).enumerate() {
                match want {
                    Some(want) => {
                        assert!((got - want).abs() <= 1, "{} frame {i}: {got} {want}", path.display());
                    }
                    None => assert_eq!(*got, i as i64 * 40_000, "{}: 25 frames a second", path.display()),
                }
            }
            assert!(report.end >= *times.0.iter().max().unwrap(), "{}", path.display());
            assert!(report.damage.is_empty(), "{}: {:?}", path.display(), report.damage);
        }
    }
    assert!(frames > 5000);
}

#[test]
fn sound_equals_ffmpegs() {
    let Some(shared) = common::shared() else { return };
    let mut tracks = 0;
    for (path, golden) in common::goldens(&shared) {
        if golden["audio"].is_null() {
            continue;
        }
        let (report, _, pcm) = decode(&path, true).unwrap();
        let info = probe(&path, &Limits::default()).unwrap();
        let index = info.audio().unwrap().index as u64;
        let want = golden["audio"]["tracks"]
            .as_array()
            .unwrap()
            .iter()
            .find(|t| t["stream_index"] == index)
            .unwrap();
        let name = path.display();
        assert_eq!(report.samples, pcm.samples.len() as u64);
        let expected = want["s16"]["samples"].as_i64().unwrap();
        assert!(
            (pcm.samples.len() as i64 - expected).abs() <= 32,
            "{name}: {} {expected}",
            pcm.samples.len()
        );
        let rms = |s: &[f32]| (s.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>() / s.len() as f64).sqrt();
        let close = |got: f64, want: f64| (got - want).abs() <= want * 0.01 + 2e-5;
        assert!(close(rms(&pcm.samples), want["s16"]["rms"].as_f64().unwrap()), "{name}");
        for (i, w) in want["rms_per_100ms"].as_array().into_iter().flatten().enumerate() {
            let got = rms(&pcm.samples[i * 1600..((i + 1) * 1600).min(pcm.samples.len())]);
            assert!(close(got, w.as_f64().unwrap()), "{name} part {i}: {got} {w}");
        }
        let start = info.audio().unwrap().start.map_or(0, |s| s.as_micros() - info.start.as_micros());
        assert!((pcm.start.unwrap().as_micros() - start).abs() <= 25_000, "{name}: {:?} {start}", pcm.start);
        tracks += 1;
    }
    assert!(tracks > 20);
}

#[test]
fn every_bad_file_fails_with_its_class() {
    let Some(shared) = common::shared() else { return };
    let bad: Value =
        serde_json::from_slice(&std::fs::read(shared.join("media/golden/bad.json")).unwrap()).unwrap();
    let mut wrong = Vec::new();
    for entry in bad["files"].as_array().unwrap() {
        let path = shared.join("media").join(entry["file"].as_str().unwrap());
        let begun = Instant::now();
        let result = decode(&path, false);
        assert!(begun.elapsed() < Duration::from_secs(5), "{}", path.display());
        let mut allowed: Vec<&str> =
            entry["also_acceptable"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
        allowed.extend(entry["expected_error"].as_str());
        let partial = entry["partial_result_allowed"].as_bool().unwrap();
        let fine = match &result {
            Err(error) => allowed.contains(&error.kind().as_str()),
            Ok(_) if entry["expected_error"].is_null() => true,
            Ok((report, ..)) => partial && !report.damage.is_empty(),
        };
        if !fine {
            wrong.push(format!("{}: {:?}, not {allowed:?}", path.display(), result.map(|r| r.0)));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn nothing_that_a_file_names_is_opened() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let bait = folder.path().join("bait.ts");
    std::fs::copy(common::fixtures().join("cut.mp4"), &bait).unwrap();
    let lists = [
        format!(
            "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nhttp://{address}/a.ts\n#EXTINF:1,\n{}\n#EXT-X-ENDLIST\n",
            bait.display()
        ),
        format!("ffconcat version 1.0\nfile '{}'\nfile 'http://{address}/a.ts'\n", bait.display()),
        format!("<?xml version=\"1.0\"?><MPD><Period><BaseURL>http://{address}/</BaseURL></Period></MPD>"),
    ];
    for (i, list) in lists.iter().enumerate() {
        for name in ["list.m3u8", "list.mp4"] {
            let path = folder.path().join(format!("{i}-{name}"));
            std::fs::write(&path, list).unwrap();
            let error = decode(&path, false).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::RefusedPlaylist, "{error}");
        }
    }
    assert!(listener.accept().is_err(), "something connected");
}

#[test]
fn what_is_no_regular_file_is_refused_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let fifo = folder.path().join("fifo.mp4");
    let made = std::process::Command::new("mkfifo").arg(&fifo).status().unwrap();
    assert!(made.success());
    assert_eq!(probe(&fifo, &Limits::default()).unwrap_err().kind(), ErrorKind::NotAMediaFile);
    assert_eq!(probe(folder.path(), &Limits::default()).unwrap_err().kind(), ErrorKind::NotAMediaFile);
    let missing = folder.path().join("missing.mp4");
    assert_eq!(probe(&missing, &Limits::default()).unwrap_err().kind(), ErrorKind::Io);
}

#[test]
fn each_limit_has_its_own_error() {
    let clip = common::fixtures().join("cut.mp4");
    let fails = |change: fn(&mut Limits), names: &str| {
        let mut limits = Limits::default();
        change(&mut limits);
        let error = MediaFile::open(&clip, &limits, &Cancel::new())
            .and_then(|f| f.decode(&DecodeOptions::default(), Sinks::default(), &Cancel::new(), &mut |_| ()))
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TooLarge, "{error}");
        assert!(error.to_string().contains(names), "{error}");
    };
    fails(|l| l.max_file_bytes = 10, "max_file_bytes");
    fails(|l| l.max_pixels = 100, "max_pixels");
    fails(|l| l.max_streams = 1, "max_streams");
    fails(|l| l.max_duration = Duration::from_millis(500), "max_duration");
}

#[test]
fn cancel_ends_the_pass() {
    struct Slow(Cancel);
    impl VideoSink for Slow {
        fn frame(&mut self, frame: &VideoFrame) -> Result<()> {
            if frame.index() == 2 {
                self.0.cancel();
            }
            std::thread::sleep(Duration::from_millis(5));
            Ok(())
        }
    }
    let cancel = Cancel::new();
    let file = MediaFile::open(common::fixtures().join("cut.mp4"), &Limits::default(), &cancel).unwrap();
    let mut sink = Slow(cancel.clone());
    let sinks = Sinks { video: Some(&mut sink), ..Sinks::default() };
    let error = file.decode(&DecodeOptions::default(), sinks, &cancel, &mut |_| ()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Cancelled);
}

#[test]
fn a_failing_sink_ends_the_pass_with_its_own_error() {
    struct Fails;
    impl VideoSink for Fails {
        fn frame(&mut self, _: &VideoFrame) -> Result<()> {
            Err(heimdex::Error::invalid("frame", "not wanted"))
        }
    }
    let file =
        MediaFile::open(common::fixtures().join("cut.mp4"), &Limits::default(), &Cancel::new()).unwrap();
    let sinks = Sinks { video: Some(&mut Fails), ..Sinks::default() };
    let error = file.decode(&DecodeOptions::default(), sinks, &Cancel::new(), &mut |_| ()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
}

/// The first frame as people see it.
fn first_picture(path: &Path) -> RgbPicture {
    struct First(Option<RgbPicture>);
    impl VideoSink for First {
        fn frame(&mut self, frame: &VideoFrame) -> Result<()> {
            if self.0.is_none() {
                self.0 = Some(frame.to_rgb(4096, 4096)?);
            }
            Ok(())
        }
    }
    let mut sink = First(None);
    let file = MediaFile::open(path, &Limits::default(), &Cancel::new()).unwrap();
    let sinks = Sinks { video: Some(&mut sink), ..Sinks::default() };
    file.decode(&DecodeOptions::default(), sinks, &Cancel::new(), &mut |_| ()).unwrap();
    sink.0.unwrap()
}

#[test]
fn small_clips_have_the_times_of_ffprobe() {
    let want: Value =
        serde_json::from_slice(&std::fs::read(common::fixtures().join("times.json")).unwrap()).unwrap();
    for (name, want) in want.as_object().unwrap() {
        let path = common::fixtures().join(name);
        let (report, times, _) = decode(&path, true).unwrap();
        let start = probe(&path, &Limits::default()).unwrap().start.as_micros();
        let got: Vec<i64> = times.0.iter().map(|t| t.as_micros() + start).collect();
        let want: Vec<i64> = want.as_array().unwrap().iter().filter_map(Value::as_i64).collect();
        assert_eq!(got, want, "{name}");
        assert!(report.damage.is_empty(), "{name}: {:?}", report.damage);
    }
}

/// SPEC O18.
#[test]
fn rotation_is_applied() {
    // The stored picture of both is red on the left and blue on the right.
    let turned = first_picture(&common::fixtures().join("rotate90.mp4"));
    assert_eq!((turned.width, turned.height), (64, 128));
    let pixel = |x: u32, y: u32| {
        let at = (y * turned.width + x) as usize * 3;
        [turned.data[at], turned.data[at + 2]]
    };
    let [red, blue] = pixel(32, 8);
    assert!(red > 200 && blue < 60, "the left went up: {red} {blue}");
    let [red, blue] = pixel(32, 120);
    assert!(red < 60 && blue > 200, "the right went down: {red} {blue}");
}

#[test]
fn embedded_subtitles_are_given() {
    let (report, ..) = decode(&common::fixtures().join("subtitles.mp4"), false).unwrap();
    let texts: Vec<&str> = report.cues.iter().filter_map(|c| c.event.rsplit(',').next()).collect();
    assert_eq!(texts, ["Hello there.", "A red car."]);
    assert_eq!(report.cues[0].span.start, Timestamp::from_millis(200));
    assert_eq!(report.cues[1].span.end, Timestamp::from_millis(1800));
}
