//! Each step against OpenCV and PySceneDetect, on pictures from a formula.
//!
//! `tests/goldens/shots/steps.json` is written by `shared/media/make_goldens.py` with OpenCV 5.0 and
//! PySceneDetect 0.7.2.

use serde::Deserialize;

use super::resize::{Layout, Pixels, Shrinker, small_size};
use super::*;
use crate::media::Rotation;

#[derive(Deserialize)]
struct Steps {
    resize: Vec<Case>,
    hsv_full_cube: Cube,
}

#[derive(Deserialize)]
struct Case {
    width: usize,
    height: usize,
    small_width: usize,
    small_height: usize,
    crc_input_seed1: String,
    crc_small_seed1: String,
    crc_hue: String,
    crc_sat: String,
    crc_val: String,
    sad_hue_1_to_2: u64,
    sad_sat_1_to_2: u64,
    sad_val_1_to_2: u64,
    content_val_1_to_2: f64,
    crc_edges: String,
    delta_edges_1_to_2: f64,
    mean_bgr_seed1: f64,
}

#[derive(Deserialize)]
struct Cube {
    #[serde(rename = "crc_h")]
    hue: String,
    #[serde(rename = "crc_s")]
    saturation: String,
    #[serde(rename = "crc_v")]
    value: String,
}

fn steps() -> Steps {
    serde_json::from_str(include_str!("../../tests/goldens/shots/steps.json")).unwrap()
}

fn crc(bytes: &[u8]) -> String {
    let mut crc = flate2::Crc::new();
    crc.update(bytes);
    format!("{:08x}", crc.sum())
}

/// The formula of `make_goldens.py`.
fn pattern(width: usize, height: usize, seed: u32) -> Vec<u8> {
    let sample = |x: u32, y: u32, c: u32| {
        let mut v = x.wrapping_mul(0x9E37_79B1);
        v = v.wrapping_add(y.wrapping_mul(0x85EB_CA77)).wrapping_add(c.wrapping_mul(0xC2B2_AE3D));
        v = v.wrapping_add(seed.wrapping_mul(0x27D4_EB2F));
        v = (v ^ (v >> 15)).wrapping_mul(0x2C1B_3C6D);
        v = (v ^ (v >> 12)).wrapping_mul(0x297A_2D39);
        v ^= v >> 15;
        ((v & 63) + x * 3 + y * 5 + c * 40 + seed * 17) as u8
    };
    let pixel = |i: usize| (0..3).map(move |c| sample((i % width) as u32, (i / width) as u32, c));
    (0..width * height).flat_map(pixel).collect()
}

fn shrink(width: usize, height: usize, bgr: &[u8]) -> SmallPicture {
    let layout = Layout { width, height, stride: width * 3, chroma_stride: 0 };
    let mut small = SmallPicture::default();
    assert!(Shrinker::new(layout, Rotation::None).shrink(Pixels::Bgr(bgr), &mut small));
    small
}

#[test]
fn resize_and_scores_equal_the_reference() {
    for case in steps().resize {
        let (width, height) = (case.width, case.height);
        let name = format!("{width}x{height}");
        let input = pattern(width, height, 1);
        assert_eq!(crc(&input), case.crc_input_seed1, "{name}");
        assert_eq!(small_size(width, height), (case.small_width, case.small_height), "{name}");
        let small = shrink(width, height, &input);
        assert_eq!(crc(&small.to_bgr()), case.crc_small_seed1, "{name}");

        let mut planes = hsv::HsvPlanes::default();
        let nothing = hsv::HsvPlanes::default();
        planes.fill(&small, &nothing);
        assert_eq!(
            [crc(&planes.hue), crc(&planes.saturation), crc(&planes.value)],
            [case.crc_hue, case.crc_sat, case.crc_val],
            "{name}"
        );

        let second = shrink(width, height, &pattern(width, height, 2));
        let sums = hsv::HsvPlanes::default().fill(&second, &planes);
        assert_eq!(
            [sums.hue, sums.saturation, sums.value],
            [case.sad_hue_1_to_2, case.sad_sat_1_to_2, case.sad_val_1_to_2],
            "{name}"
        );

        let edges = edges::edges(&planes.value, small.width(), small.height());
        assert_eq!(crc(&edges), case.crc_edges, "{name}");

        let mut differ = scorer::Differ::new(true);
        let first = differ.score(Timestamp::ZERO, &small);
        assert!(
            first.delta_hue == 0.0 && (first.mean_bgr - case.mean_bgr_seed1).abs() < 1e-12,
            "{name} {first:?}"
        );
        let scores = differ.score(Timestamp::ZERO, &second);
        assert!((scores.delta_edges - case.delta_edges_1_to_2).abs() < 1e-12, "{name} {scores:?}");
        let content = (scores.delta_hue + scores.delta_sat + scores.delta_lum) / 3.0;
        assert!((content - case.content_val_1_to_2).abs() < 1e-12, "{name} {content}");
    }
}

#[test]
fn hsv_of_every_colour_equals_opencv() {
    let bgr: Vec<u8> = (0..1u32 << 24).flat_map(|i| [i as u8, (i >> 8) as u8, (i >> 16) as u8]).collect();
    let picture = SmallPicture::from_bgr(1 << 12, 1 << 12, &bgr);
    let mut planes = hsv::HsvPlanes::default();
    planes.fill(&picture, &hsv::HsvPlanes::default());
    let cube = steps().hsv_full_cube;
    assert_eq!(
        [crc(&planes.hue), crc(&planes.saturation), crc(&planes.value)],
        [cube.hue, cube.saturation, cube.value]
    );
}

#[test]
fn pictures_of_one_pixel_and_short_planes_are_no_trouble() {
    let layout = Layout { width: 640, height: 360, stride: 1920, chroma_stride: 0 };
    let mut small = SmallPicture::default();
    assert!(!Shrinker::new(layout, Rotation::None).shrink(Pixels::Bgr(&[0; 1000]), &mut small));
    assert_eq!(shrink(1, 1, &[1, 2, 3]).to_bgr(), [1, 2, 3]);
}

#[test]
fn planes_without_padding_give_the_same_picture() {
    let (width, height) = (642, 362);
    let conversion = yuv::YuvToBgr::new([104_597, 132_201, 25_675, 53_279], false);
    let picture = |padding: usize| {
        let plane = |columns: usize, rows: usize, seed: usize| -> Vec<u8> {
            let byte = |i: usize| (i % (columns + padding) * 7 + i / (columns + padding) * 13 + seed) as u8;
            (0..(columns + padding) * rows).map(byte).collect()
        };
        let (y, u, v) =
            (plane(width, height, 1), plane(width / 2, height / 2, 2), plane(width / 2, height / 2, 3));
        let layout = Layout { width, height, stride: width + padding, chroma_stride: width / 2 + padding };
        let mut small = SmallPicture::default();
        let pixels = Pixels::Yuv420 { planes: [&y, &u, &v], conversion };
        assert!(Shrinker::new(layout, Rotation::None).shrink(pixels, &mut small));
        small
    };
    assert!(picture(0) == picture(32));
}
