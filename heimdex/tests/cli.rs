//! The program as people and scripts use it.
#![cfg(feature = "cli")]
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
use std::process::{Command, Output};

use serde_json::Value;

/// A library in a folder of its own, without any model.
struct Shell {
    folder: tempfile::TempDir,
}

impl Shell {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    fn run(&self, args: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_heimdex"))
            .args(args)
            .current_dir(self.folder.path())
            .env("HEIMDEX_LIBRARY", self.path("library"))
            .env("HEIMDEX_MODELS", self.path("no models"))
            .env("HF_HOME", self.path("no cache"))
            .env_remove("HF_HUB_CACHE")
            .env_remove("HEIMDEX_MODEL")
            .env_remove("HEIMDEX_SPEECH_MODEL")
            .output()
            .unwrap()
    }

    /// Standard output of a command that succeeds.
    fn says(&self, args: &[&str]) -> String {
        let output = self.run(args);
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    fn json(&self, args: &[&str]) -> Value {
        serde_json::from_str(&self.says(args)).unwrap()
    }
}

fn copy(name: &str, to: &Path) {
    std::fs::copy(common::fixtures().join(name), to).unwrap();
}

fn errors(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn from_a_folder_to_a_moment_and_back() {
    let shell = Shell::new();
    std::fs::create_dir(shell.path("videos")).unwrap();
    copy("subtitles.mp4", &shell.path("videos/talk.mp4"));
    copy("cut.mp4", &shell.path("videos/-"));
    std::fs::write(shell.path("videos/notes.txt"), "no video").unwrap();

    let output = shell.run(&["index", "videos"]);
    assert_eq!(output.status.code(), Some(0), "{}", errors(&output));
    assert!(errors(&output).contains("2 videos indexed, 1 without media skipped"), "{}", errors(&output));
    assert!(
        errors(&output).contains("heimdex models pull all-MiniLM-L6-v2"),
        "which command adds meaning: {}",
        errors(&output)
    );

    let found = shell.says(&["search", "red car"]);
    assert!(found.contains("talk") && found.contains("00:00:01"), "{found}");
    let page = shell.json(&["search", "\"red car\"", "--json", "--explain"]);
    let hit = &page["hits"][0];
    assert_eq!(hit["video"]["title"], "talk");
    assert!(hit["moment_us"].as_i64().unwrap() >= 1_000_000);
    assert_eq!(hit["matched_words"].as_array().unwrap().len(), 2);
    assert_eq!(hit["channels"][0]["channel"], "speech");
    assert!(shell.says(&["search", "submarine"]).is_empty());

    assert!(shell.says(&["ls"]).contains("0:02  talk"));
    assert_eq!(shell.json(&["ls", "--json"]).as_array().unwrap().len(), 2);
    assert!(shell.says(&["show", "talk"]).contains("2 cues"));
    assert!(shell.says(&["export", "srt", "talk"]).contains("00:00:00,200 --> 00:00:01,000\nHello there."));
    assert!(shell.says(&["export", "vtt", "talk"]).starts_with("WEBVTT"));
    let whole = shell.json(&["export", "json", "talk"]);
    assert_eq!(whole["format"], "heimdex/1");
    assert_eq!(whole["scenes"][0]["words"][0]["text"], "Hello");

    let again = shell.run(&["index", "videos", "--json"]);
    let last = String::from_utf8(again.stdout).unwrap();
    let last: Value = serde_json::from_str(last.lines().last().unwrap()).unwrap();
    assert_eq!((&last["event"], &last["up_to_date"]), (&Value::from("done"), &Value::from(2)));

    shell.says(&["rm", "talk"]);
    assert!(shell.says(&["search", "red car"]).is_empty());
}

#[test]
fn what_goes_wrong_says_how_to_go_on() {
    let shell = Shell::new();
    let output = shell.run(&["search", "x"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(errors(&output).contains("make one with: heimdex index"), "{}", errors(&output));
    assert_eq!(shell.run(&["index"]).status.code(), Some(2));
    assert_eq!(shell.run(&["index", "missing.mp4"]).status.code(), Some(1));

    copy("cut.mp4", &shell.path("good.mp4"));
    std::fs::write(shell.path("bad.mp4"), "").unwrap();
    let output = shell.run(&["index", "good.mp4", "bad.mp4"]);
    assert_eq!(output.status.code(), Some(3));
    assert!(errors(&output).contains("bad.mp4: the file is empty"), "{}", errors(&output));
    assert!(errors(&output).contains("1 video indexed, 1 failed"), "{}", errors(&output));

    let output = shell.run(&["search", "person:Mina", "--json"]);
    let error: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(error["error"]["kind"], "query");
    let output = shell.run(&["show", "nothing"]);
    assert!(errors(&output).contains("video not found: nothing"), "{}", errors(&output));
    let output = shell.run(&["index", "good.mp4", "--model", "no/such-model"]);
    assert!(errors(&output).contains("not on this machine"), "{}", errors(&output));
    let output = shell.run(&["index", "*.mp4", "--title", "one"]);
    assert!(errors(&output).contains("exactly one file"), "{}", errors(&output));
}

#[test]
fn shots_and_completions_need_no_library() {
    let shell = Shell::new();
    copy("cut.mp4", &shell.path("v.mp4"));
    let shots = shell.says(&["shots", "v.mp4"]);
    assert_eq!(shots.lines().count(), 2, "{shots}");
    assert!(shots.contains("00:00:00.000  00:00:01.000"), "{shots}");
    let json = shell.json(&["shots", "v.mp4", "--detector", "content", "--exact", "--json"]);
    assert_eq!(json["shots"][1]["start_us"], 1_000_000);
    assert_ne!(shell.run(&["shots", "v.mp4", "--threshold", "nan"]).status.code(), Some(0));
    assert!(shell.says(&["completions", "bash"]).contains("heimdex"));
    let doctor = shell.json(&["doctor", "--json"]);
    assert_eq!(doctor["ok"], true);
    assert!(doctor["model"]["error"].as_str().unwrap().contains("not on this machine"));
}

/// What is shown: by picture, by scene and by tag, and the next run takes the same model by itself.
#[test]
fn what_is_shown_is_found() {
    let shell = Shell::new();
    copy("cut.mp4", &shell.path("a.mp4"));
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/tiny-siglip2");
    std::fs::write(shell.path("tags.tsv"), "sea\t바다\nforest\t숲\n").unwrap();
    shell.says(&["index", "a.mp4", "--image-model", model.to_str().unwrap(), "--tags=tags.tsv"]);

    let id = shell.json(&["ls", "--json"])[0]["id"].as_str().unwrap().to_owned();
    let pictures: Vec<_> = std::fs::read_dir(shell.path("library/thumbnails").join(&id))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.to_string_lossy().ends_with(".picture.webp"))
        .collect();
    assert_eq!(pictures.len(), 2);
    let page = shell.json(&["search", "--image", pictures[0].to_str().unwrap(), "--explain", "--json"]);
    assert_eq!(page["hits"][0]["channels"][0]["channel"], "likeness");
    assert!(page["hits"][0]["channels"][0]["score"].as_f64().unwrap() > 0.999);
    let like = shell.json(&["search", "--like", &format!("{id}:0"), "--json"]);
    assert!(like["hits"].as_array().unwrap().iter().all(|hit| hit["scene"]["ordinal"] == 1));

    let wrong = shell.run(&["search", "--image", "tags.tsv"]);
    assert_eq!(wrong.status.code(), Some(1));
    assert!(errors(&wrong).contains("picture"), "{}", errors(&wrong));
    assert_eq!(shell.run(&["search"]).status.code(), Some(2));
    let wrong = shell.run(&["index", "a.mp4", "--no-model", "--tags"]);
    assert!(errors(&wrong).contains("image model"), "{}", errors(&wrong));

    let again = shell.says(&["index", "a.mp4", "--tags=tags.tsv", "--json"]);
    assert!(again.contains("up_to_date"), "{again}");

    // Another model for the whole library, of which the first file is gone.
    copy("subtitles.mp4", &shell.path("b.mp4"));
    shell.says(&["index", "b.mp4", "--tags=tags.tsv"]);
    std::fs::remove_file(shell.path("a.mp4")).unwrap();
    let other = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/tiny-clip");
    let other = other.to_str().unwrap();
    let wrong = shell.run(&["index", "b.mp4", "--image-model", other]);
    assert_eq!(wrong.status.code(), Some(1));
    assert!(errors(&wrong).contains("heimdex models switch"), "{}", errors(&wrong));
    let said = shell.says(&["models", "switch", "--image-model", other, "--json"]);
    let last: Value = serde_json::from_str(said.lines().last().unwrap()).unwrap();
    assert_eq!((&last["event"], &last["report"]["videos"]), (&"switched".into(), &2.into()));
    let again = shell.says(&["index", "b.mp4", "--json"]);
    assert!(again.contains("up_to_date"), "{again}");
    let wrong = shell.run(&["models", "switch", "--image-model", other, "--tags=tags.tsv"]);
    assert!(errors(&wrong).contains("SigLIP"), "{}", errors(&wrong));
}

/// Speech from a file to each format, with a model of random weights: what it says passes no gate, and
/// that is told.
#[test]
fn speech_is_written_in_every_format() {
    let shell = Shell::new();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/tiny-whisper");
    let packed = std::fs::File::open(folder.join("ggml-tiny.bin.gz")).unwrap();
    let mut model = std::fs::File::create(shell.path("model.bin")).unwrap();
    std::io::copy(&mut flate2::read::GzDecoder::new(packed), &mut model).unwrap();
    copy("cut.mp4", &shell.path("cut.mp4"));
    let says = |format: &str| {
        shell.says(&[
            "transcribe",
            "cut.mp4",
            "--speech-model",
            "model.bin",
            "--language",
            "en",
            "--format",
            format,
        ])
    };
    assert_eq!((says("srt"), says("txt")), (String::new(), String::new()));
    assert_eq!(says("vtt"), "WEBVTT\n\n");
    let heard: Value = serde_json::from_str(&says("json")).unwrap();
    assert_eq!(heard["transcript"]["source"]["kind"], "speech");
    assert_eq!(heard["transcript"]["language"], "en");
    shell.says(&[
        "-q",
        "transcribe",
        "cut.mp4",
        "--speech-model",
        "model.bin",
        "--format",
        "vtt",
        "-o",
        "out.vtt",
    ]);
    assert_eq!(std::fs::read_to_string(shell.path("out.vtt")).unwrap(), "WEBVTT\n\n");

    // A library keeps which model it was indexed with.
    shell.says(&["index", "cut.mp4", "--speech-model", "model.bin"]);
    let shown = shell.json(&["--json", "show", "cut"]);
    assert_eq!(shown["transcript"]["kind"], "speech");
    let again = shell.says(&["--json", "index", "cut.mp4"]);
    assert!(again.contains("\"up_to_date\""), "{again}");

    let missing = shell.run(&["transcribe", "cut.mp4", "--speech-model", "whisper-base"]);
    let text = String::from_utf8(missing.stderr).unwrap();
    assert!(!missing.status.success() && text.contains("heimdex models pull whisper-base"), "{text}");
    let track = shell.run(&["transcribe", "cut.mp4", "--speech-model", "model.bin", "--audio-track", "3"]);
    assert!(String::from_utf8(track.stderr).unwrap().contains("0 ("));
}
