//! Pictures become what an image tower reads, as `preprocessor_config.json` says.
//!
//! Reference: the image processors of transformers on Pillow: antialiased resize, first across, then
//! down, rounded to 8 bits after each.

use std::path::Path;

use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};
use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::folder;
use crate::media::RgbPicture;
use crate::{Error, Result};

/// `preprocessor_config.json`.
#[derive(Debug, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "the file has them")]
struct Config {
    #[serde(default = "yes")]
    do_resize: bool,
    size: Size,
    resample: Option<u8>,
    #[serde(default)]
    do_center_crop: bool,
    crop_size: Option<Size>,
    #[serde(default = "yes")]
    do_rescale: bool,
    #[serde(default = "byte")]
    rescale_factor: f64,
    #[serde(default = "yes")]
    do_normalize: bool,
    image_mean: Option<[f64; 3]>,
    image_std: Option<[f64; 3]>,
}

fn yes() -> bool {
    true
}

fn byte() -> f64 {
    1.0 / 255.0
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(untagged)]
enum Size {
    Exact { height: u32, width: u32 },
    Shortest { shortest_edge: u32 },
    Square(u32),
}

/// Makes the input of an image tower.
#[derive(Debug, Clone)]
pub(super) struct Preprocessor {
    resize: Option<(Size, FilterType)>,
    /// Width and height of what comes out.
    size: (u32, u32),
    /// `value * scale + shift` for each channel.
    scale: [f32; 3],
    shift: [f32; 3],
    hash: String,
}

impl Preprocessor {
    pub(super) fn read(folder: &Path, model: &str) -> Result<Self> {
        let file = "preprocessor_config.json";
        let error = |message: String| Error::model(model, format!("{file}: {message}"));
        let config: Config = folder::json(folder, file, model)?;
        let filter = match config.resample {
            Some(2) => FilterType::Bilinear,
            // Pillow's bicubic has a = -0.5, which is Catmull and Rom's.
            None | Some(3) => FilterType::CatmullRom,
            Some(1) => FilterType::Lanczos3,
            Some(other) => return Err(error(format!("filter {other} is not known"))),
        };
        let size = match (config.do_center_crop, config.crop_size, config.size) {
            (true, Some(Size::Exact { height, width }), _) | (false, _, Size::Exact { height, width }) => {
                (width, height)
            }
            (true, Some(Size::Square(edge)), _) | (false, _, Size::Square(edge)) => (edge, edge),
            _ => return Err(error("the size of what comes out is not given".to_owned())),
        };
        if !(1..=4096).contains(&size.0) || !(1..=4096).contains(&size.1) {
            return Err(error(format!("pictures of {} x {}", size.0, size.1)));
        }
        if !config.do_resize && !config.do_center_crop {
            return Err(error("pictures are not brought to one size".to_owned()));
        }
        let factor = if config.do_rescale { config.rescale_factor } else { 1.0 };
        let (mean, deviation) = match (config.do_normalize, config.image_mean, config.image_std) {
            (false, ..) => ([0.0; 3], [1.0; 3]),
            (true, Some(mean), Some(deviation)) if deviation.iter().all(|d| *d > 0.0) => (mean, deviation),
            _ => return Err(error("image_mean or image_std is missing".to_owned())),
        };
        let mut hasher = Sha256::new();
        hasher.update(format!("{config:?}"));
        Ok(Self {
            resize: config.do_resize.then_some((config.size, filter)),
            size,
            scale: deviation.map(|d| (factor / d) as f32),
            shift: std::array::from_fn(|c| (-mean[c] / deviation[c]) as f32),
            hash: folder::hex(&hasher.finalize()),
        })
    }

    /// A hash of all that shapes the pixels.
    pub(super) fn hash(&self) -> &str {
        &self.hash
    }

    /// Width and height of what comes out.
    pub(super) fn size(&self) -> (u32, u32) {
        self.size
    }

    /// Appends a picture as `(3, height, width)`.
    pub(super) fn pixels(&self, picture: &RgbPicture, out: &mut Vec<f32>) -> Result<()> {
        let expected = picture.width as usize * picture.height as usize * 3;
        if expected == 0 || picture.data.len() != expected {
            let message = format!(
                "{} bytes are no picture of {} x {}",
                picture.data.len(),
                picture.width,
                picture.height
            );
            return Err(Error::invalid("picture", message));
        }
        let (mut width, mut height) = (picture.width, picture.height);
        let mut data = std::borrow::Cow::Borrowed(picture.data.as_slice());
        if let Some((size, filter)) = self.resize {
            let (to_width, to_height) = match size {
                Size::Exact { height, width } => (width, height),
                Size::Square(edge) => (edge, edge),
                Size::Shortest { shortest_edge } => shortest(width, height, shortest_edge),
            };
            // One step at a time: both in one call go down first, which the reference does not.
            for (to_width, to_height) in [(to_width, height), (to_width, to_height)] {
                if (to_width, to_height) != (width, height) {
                    data = resized(&data, (width, height), (to_width, to_height), filter)?.into();
                    (width, height) = (to_width, to_height);
                }
            }
        }
        let (out_width, out_height) = self.size;
        let row = |y: i64| -> Option<&[u8]> {
            let (stride, y) = (width as usize * 3, usize::try_from(y).ok()?);
            data.get(y * stride..(y + 1) * stride)
        };
        // Where the cut begins; what it lacks is black, as in the reference.
        let left = if width == out_width { 0 } else { i64::from(width) / 2 - i64::from(out_width) / 2 };
        let top = if height == out_height { 0 } else { i64::from(height) / 2 - i64::from(out_height) / 2 };
        let before = usize::try_from(-left).unwrap_or(0).min(out_width as usize);
        let skipped = usize::try_from(left).unwrap_or(0);
        let inside = (out_width as usize - before).min((width as usize).saturating_sub(skipped));
        out.reserve(3 * out_width as usize * out_height as usize);
        for channel in 0..3 {
            let (scale, shift) = (self.scale[channel], self.shift[channel]);
            for y in 0..i64::from(out_height) {
                let end = out.len() + out_width as usize;
                if let Some(row) = row(y + top) {
                    out.resize(out.len() + before, shift);
                    let pixels = row[skipped * 3..].as_chunks::<3>().0;
                    out.extend(pixels[..inside].iter().map(|p| f32::from(p[channel]) * scale + shift));
                }
                out.resize(end, shift);
            }
        }
        Ok(())
    }
}

/// The shorter edge becomes `edge`, the other follows, cut to a whole number.
fn shortest(width: u32, height: u32, edge: u32) -> (u32, u32) {
    let long = |long: u32, short: u32| {
        let scaled = u64::from(edge) * u64::from(long) / u64::from(short.max(1));
        u32::try_from(scaled.clamp(1, 1 << 16)).unwrap_or(1 << 16)
    };
    if width <= height { (edge, long(height, width)) } else { (long(width, height), edge) }
}

fn resized(data: &[u8], from: (u32, u32), to: (u32, u32), filter: FilterType) -> Result<Vec<u8>> {
    let failed = |e: &dyn std::fmt::Display| Error::invalid("picture", e.to_string());
    let source = ImageRef::new(from.0, from.1, data, PixelType::U8x3).map_err(|e| failed(&e))?;
    let mut target = Image::new(to.0, to.1, PixelType::U8x3);
    let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(filter));
    Resizer::new().resize(&source, &mut target, &options).map_err(|e| failed(&e))?;
    Ok(target.into_vec())
}
