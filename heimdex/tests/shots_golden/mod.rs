//! Reads the reference results and decodes clips for them.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use heimdex::Cancel;
use heimdex::media::{DecodeOptions, Limits, MediaFile, Rotation, Sinks, VideoFrame, VideoSink};
use heimdex::shots::{Detector, FrameScorer, FrameScores};
use serde_json::Value;

/// A frame's scores and the CRC-32 of its small picture.
pub(crate) type Decoded = (FrameScores, u32);

/// How a clip is decoded.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Speed {
    Exact,
    /// Without the loop filter on frames that no other frame refers to.
    Fast,
}

pub(crate) struct Golden {
    pub(crate) name: String,
    pub(crate) path: PathBuf,
    pub(crate) rotation: Rotation,
    pub(crate) rate: Option<(u32, u32)>,
    /// One per frame; `None` where the reference has no picture.
    pub(crate) series: Vec<Option<Row>>,
    pub(crate) cuts: BTreeMap<String, Vec<u64>>,
    /// Whether two frames have one time.
    pub(crate) times_repeat: bool,
}

pub(crate) struct Row {
    pub(crate) content: f64,
    pub(crate) edges: f64,
    pub(crate) mean: f64,
    pub(crate) crc: u32,
}

fn shared() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/media")
}

/// Every clip with reference shots; none where the fixtures are absent.
pub(crate) fn goldens() -> Vec<Golden> {
    let Ok(folder) = std::fs::read_dir(shared().join("golden")) else { return Vec::new() };
    let mut files: Vec<PathBuf> = folder
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "json"))
        .collect();
    files.sort();
    files.iter().filter_map(|path| golden(path)).collect()
}

fn golden(path: &Path) -> Option<Golden> {
    let json: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let shots = json.get("shots")?;
    let reference = &shots[shots["reference"].as_str()?];
    let series = path.with_file_name(reference["series"].as_str()?);
    let streams = json["probe"]["streams"].as_array()?;
    let video = streams.iter().find(|s| s["type"] == "video" && s["attached_pic"] != true)?;
    let degrees = video["rotation_clockwise"].as_u64().unwrap_or(0);
    let (n, d) =
        reference["frame_rate"].as_str()?.split_once('/').unwrap_or((reference["frame_rate"].as_str()?, "1"));
    let cuts = reference["detectors"].as_object()?.iter().map(|(name, found)| {
        let indices = found["cut_indices"].as_array().unwrap().iter().map(|i| i.as_u64().unwrap()).collect();
        (name.clone(), indices)
    });
    let times = json["video"]["pts_us"].as_array()?;
    Some(Golden {
        name: json["file"].as_str()?.to_owned(),
        path: shared().join(json["file"].as_str()?),
        rotation: Rotation::try_from(degrees as u16).unwrap(),
        rate: Some((n.parse().unwrap(), d.parse().unwrap())),
        series: read_series(&series),
        cuts: cuts.collect(),
        times_repeat: times.iter().collect::<std::collections::HashSet<_>>().len() < times.len(),
    })
}

fn read_series(path: &Path) -> Vec<Option<Row>> {
    let mut text = String::new();
    flate2::read::GzDecoder::new(std::fs::File::open(path).unwrap()).read_to_string(&mut text).unwrap();
    let mut lines = text.lines().map(|line| line.split(',').collect::<Vec<_>>());
    let header = lines.next().unwrap();
    let column = |name| header.iter().position(|&column| column == name).unwrap();
    let (content, mean, crc) = (column("content_val"), column("average_rgb"), column("crc32_bgr_small"));
    let edges = column("delta_edges");
    let row = |row: Vec<&str>| {
        (!row[content].is_empty()).then(|| Row {
            content: row[content].parse().unwrap(),
            edges: row[edges].parse().unwrap_or(0.0),
            mean: row[mean].parse().unwrap(),
            crc: u32::from_str_radix(row[crc], 16).unwrap(),
        })
    };
    lines.map(row).collect()
}

/// Scores every frame.
struct Scorer {
    scorer: FrameScorer,
    out: Vec<Decoded>,
}

impl VideoSink for Scorer {
    fn frame(&mut self, frame: &VideoFrame) -> heimdex::Result<()> {
        let scores = self.scorer.score(frame)?;
        let mut crc = flate2::Crc::new();
        crc.update(&self.scorer.picture().to_bgr());
        self.out.push((scores, crc.sum()));
        Ok(())
    }
}

impl Golden {
    pub(crate) fn decode(&self, speed: Speed, detector: &Detector) -> Vec<Decoded> {
        let mut sink = Scorer { scorer: FrameScorer::new(self.rotation, detector), out: Vec::new() };
        let file = MediaFile::open(&self.path, &Limits::default(), &Cancel::new()).unwrap();
        let mut options = DecodeOptions::default();
        options.exact = speed == Speed::Exact;
        let sinks = Sinks { video: Some(&mut sink), ..Sinks::default() };
        file.decode(&options, sinks, &Cancel::new(), &mut |_| ()).unwrap();
        sink.out
    }
}
