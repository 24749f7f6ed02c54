//! Times a Whisper model on 30 s of sound: `hear_speed FILE --wav FILE [--steps N] [--count N] [--threads N]
//! [--plain]`.
//!
//! Prints one JSON object: seconds of the encoder, and of the encoder and `--steps` tokens of greedy decoding,
//! each the median of single calls after a first one. `benches/hear.py` runs it beside its peers. `--plain` is
//! whisper.cpp as it comes.

#![allow(clippy::print_stdout, clippy::unwrap_used, missing_docs)]

use std::time::Instant;

use heimdex::transcript::{Whisper, WhisperOptions};
use whisper_rs::{FullParams, SamplingStrategy, WhisperContext, WhisperContextParameters};

fn main() {
    let mut arguments = std::env::args().skip(1);
    let file = arguments.next().unwrap();
    let rest: Vec<String> = arguments.collect();
    let after = |name: &str| rest.iter().position(|a| a == name).and_then(|i| rest.get(i + 1));
    let number = |name: &str, default: usize| after(name).map_or(default, |n| n.parse().unwrap());
    let (steps, count, threads) = (number("--steps", 100), number("--count", 3), number("--threads", 2));
    let wav = std::fs::read(after("--wav").unwrap()).unwrap();
    let pcm: Vec<f32> =
        wav[44..].chunks_exact(2).map(|b| f32::from(i16::from_le_bytes([b[0], b[1]])) / 32_768.0).collect();
    let file = file.as_str();
    let plain = rest.iter().any(|argument| argument == "--plain");
    let times = if plain {
        of_whisper_cpp(file, &pcm, steps, count, threads)
    } else {
        ours(file, &pcm, steps, count, threads)
    };
    let median = |times: Vec<f64>| {
        // The first warms up.
        let mut times = times[1..].to_vec();
        times.sort_by(f64::total_cmp);
        times[times.len() / 2]
    };
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak =
        status.lines().find_map(|l| l.strip_prefix("VmHWM:")).map(|l| l.trim().trim_end_matches(" kB"));
    let peak_mb = peak.and_then(|kb| kb.parse::<f64>().ok()).map(|kb| kb / 1024.0);
    println!(
        "{}",
        serde_json::json!({
            "encoder": median(times.iter().map(|t| t[0]).collect()),
            "seconds": median(times.iter().map(|t| t[1]).collect()),
            "peak_mb": peak_mb,
        })
    );
}

/// Seconds of the encoder, and of all.
type Times = [f64; 2];

fn ours(file: &str, pcm: &[f32], steps: usize, count: usize, threads: usize) -> Vec<Times> {
    let mut options = WhisperOptions::default();
    options.threads = threads;
    let whisper = Whisper::open_with(file, &options).unwrap();
    // The peak begins anew.
    std::fs::write("/proc/self/clear_refs", "5").unwrap_or_default();
    (0..=count).map(|_| whisper.pace(pcm, steps).unwrap().map(|time| time.as_secs_f64())).collect()
}

fn of_whisper_cpp(file: &str, pcm: &[f32], steps: usize, count: usize, threads: usize) -> Vec<Times> {
    whisper_rs::install_logging_hooks();
    let context = WhisperContext::new_with_params(file, WhisperContextParameters::default()).unwrap();
    let mut state = context.create_state().unwrap();
    let mut times = Vec::new();
    for _ in 0..=count {
        let begun = Instant::now();
        state.pcm_to_mel(pcm, threads).unwrap();
        state.encode(0, threads).unwrap();
        let encoder = begun.elapsed().as_secs_f64();
        let mut full = FullParams::new(SamplingStrategy::Greedy { best_of: 1 });
        full.set_n_threads(threads as i32);
        full.set_language(Some("en"));
        full.set_no_timestamps(true);
        full.set_single_segment(true);
        full.set_no_context(true);
        full.set_temperature_inc(0.0);
        full.set_print_progress(false);
        full.set_no_speech_thold(2.0);
        // The window ends after one more.
        full.set_max_tokens(steps as i32 - 1);
        // SAFETY: the filter only writes to the logits that it is given.
        unsafe { full.set_filter_logits_callback(Some(never_end)) };
        let begun = Instant::now();
        state.full(full, pcm).unwrap();
        times.push([encoder, begun.elapsed().as_secs_f64()]);
        assert_eq!(state.get_segment(0).map(|s| s.n_tokens()), Some(steps as i32));
    }
    times
}

/// Takes away the token that ends the text, so that all decode as many.
unsafe extern "C" fn never_end(
    context: *mut whisper_rs::whisper_rs_sys::whisper_context,
    _: *mut whisper_rs::whisper_rs_sys::whisper_state,
    _: *const whisper_rs::whisper_rs_sys::whisper_token_data,
    _: std::ffi::c_int,
    logits: *mut f32,
    _: *mut std::ffi::c_void,
) {
    // SAFETY: whisper.cpp gives a context and a logit for each of its tokens.
    unsafe {
        let end = whisper_rs::whisper_rs_sys::whisper_token_eot(context);
        *logits.add(end as usize) = f32::NEG_INFINITY;
    }
}
