//! Times a model on pictures or texts of this machine: `embed_speed FOLDER [--size N | --text TEXT] [--count N]
//! [--batch N] [--onnx f32|int8] [--openvino]`.
//!
//! Prints one JSON object: seconds an item (the median of single calls after a first one), and the
//! largest memory of the process. `benches/embed.py` runs it beside transformers.

#![allow(clippy::print_stdout, clippy::unwrap_used, missing_docs)]

use std::time::Instant;

use heimdex::embed::{
    Backend, DualEncoder, ImageEmbedder, ModelOptions, Precision, Provider, Role, TextEmbedder, TextEncoder,
};
use heimdex::media::RgbPicture;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().unwrap();
    let rest: Vec<String> = arguments.collect();
    let after = |name: &str| rest.iter().position(|a| a == name).and_then(|i| rest.get(i + 1));
    let count: usize = after("--count").map_or(8, |n| n.parse().unwrap());
    let batch: usize = after("--batch").map_or(1, |n| n.parse().unwrap());
    let mut options = ModelOptions::default();
    if let Some(precision) = after("--onnx") {
        options = ModelOptions::of(Backend::Onnx);
        options.precision = if precision == "int8" { Precision::Int8 } else { Precision::F32 };
        if rest.iter().any(|argument| argument == "--openvino") {
            options.provider = Provider::OpenVino;
        }
    }
    let begun = Instant::now();
    let mut times = Vec::new();
    let mut cosine = None;
    let load;
    if let Some(text) = after("--text") {
        let model = TextEncoder::open_with(&folder, &options).unwrap();
        load = begun.elapsed().as_secs_f64();
        let texts = vec![text.as_str(); batch];
        for _ in 0..=count {
            let begun = Instant::now();
            model.embed(&texts, Role::Passage).unwrap();
            times.push(begun.elapsed().as_secs_f64() / batch as f64);
        }
    } else {
        let model = DualEncoder::open_with(&folder, &options).unwrap();
        cosine = ImageEmbedder::spec(&model).cosine_to_f32;
        load = begun.elapsed().as_secs_f64();
        let edge: u32 = after("--size").map_or(384, |n| n.parse().unwrap());
        let data = (0..u64::from(edge) * u64::from(edge) * 3).map(|i| (i * 7919 % 251) as u8).collect();
        let picture = RgbPicture { width: edge, height: edge, data };
        let pictures = vec![&picture; batch];
        for _ in 0..=count {
            let begun = Instant::now();
            model.embed_images(&pictures).unwrap();
            times.push(begun.elapsed().as_secs_f64() / batch as f64);
        }
    }
    // The first call warms caches.
    let mut times = times.split_off(1);
    times.sort_by(f64::total_cmp);
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak =
        status.lines().find_map(|l| l.strip_prefix("VmHWM:")).map(|l| l.trim().trim_end_matches(" kB"));
    let peak_mb = peak.and_then(|kb| kb.parse::<f64>().ok()).map(|kb| kb / 1024.0);
    println!(
        "{}",
        serde_json::json!({"seconds": times[times.len() / 2], "fastest": times[0], "load": load, "peak_mb": peak_mb, "cosine_to_f32": cosine})
    );
}
