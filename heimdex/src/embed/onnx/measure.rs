//! How far vectors of another precision are from those of 32-bit floats. It is measured once for each
//! export, for that opens the one in 32-bit floats too, and kept below [`data_folder`].

use std::path::{Path, PathBuf};

use super::file::{self, Export};
use crate::embed::model::{ImageTower, TextTower};
use crate::embed::preprocess::Preprocessor;
use crate::embed::tokens::Tokens;
use crate::embed::{ModelOptions, Precision, Role, Vector, folder};
use crate::media::RgbPicture;
use crate::models::data_folder;
use crate::{Error, Result};

/// The lowest cosine between vectors of `export` and those of `stem` in 32-bit floats, by `measure`; `None`
/// where they are the same file, or the latter is not there.
pub(super) fn cosine_of(
    export: &Export,
    folder: &Path,
    model: &str,
    stem: &str,
    options: &ModelOptions,
    measure: impl FnOnce(&Export) -> Result<f32>,
) -> Result<Option<f32>> {
    if export.precision == Precision::F32 {
        return Ok(None);
    }
    let Ok(whole) = Export::find(folder, model, stem, Precision::F32) else { return Ok(None) };
    let kept = kept_in(export, &whole, options)?;
    if let Some(cosine) = kept.as_deref().and_then(read) {
        return Ok(Some(cosine));
    }
    let cosine = measure(&whole)?;
    // Where it cannot be kept, it is measured again.
    if let Some(path) = kept
        && let Err(error) = keep(&path, cosine)
    {
        tracing::debug!(path = %path.display(), %error, "a measured precision was not kept");
    }
    Ok(Some(cosine))
}

/// The file for what is measured of these two; `None` without a home folder.
fn kept_in(export: &Export, whole: &Export, options: &ModelOptions) -> Result<Option<PathBuf>> {
    let Some(data) = data_folder() else { return Ok(None) };
    let key = folder::hash(&[&file::standing(&[export, whole])?, &format!("{:?}", options.provider)]);
    Ok(Some(data.join("precision").join(key)))
}

/// Whole or not at all: what is read ends its line.
fn read(path: &Path) -> Option<f32> {
    std::fs::read_to_string(path).ok()?.strip_suffix('\n')?.parse().ok()
}

fn keep(path: &Path, cosine: f32) -> std::io::Result<()> {
    std::fs::create_dir_all(path.parent().unwrap_or(path))?;
    std::fs::write(path, format!("{cosine}\n"))
}

const TEXTS: [&str; 4] = [
    "a red car in the rain",
    "두 사람이 부엌에서 요리를 한다",
    "The council voted on Tuesday, after a long debate, to close the bridge until spring.",
    "goal!",
];

/// Width and height of the pictures.
const SIZE: (u32, u32) = (160, 120);

/// The lowest cosine over a few pictures: soft and hard edges, fine texture, one colour beside another.
pub(super) fn pictures(
    model: &str,
    measured: &mut dyn ImageTower,
    whole: &mut dyn ImageTower,
    preprocessor: &Preprocessor,
) -> Result<f32> {
    let shades: [fn(u32, u32) -> [u32; 3]; 4] = [
        |x, y| [x * 255 / SIZE.0, y * 255 / SIZE.1, 128],
        |x, y| [(x / 20 + y / 20) % 2 * 255; 3],
        |x, y| {
            let noise = (x * 7919 + y * 104_729).wrapping_mul(2_654_435_761) >> 16;
            [noise, noise >> 3, noise >> 5]
        },
        |x, y| {
            let inside = x.abs_diff(80).pow(2) + y.abs_diff(60).pow(2) < 1600;
            if inside { [220, 40, 30] } else { [40, 120, 200 - y] }
        },
    ];
    let mut lowest = f32::INFINITY;
    for shade in shades {
        let places = (0..SIZE.1).flat_map(|y| (0..SIZE.0).map(move |x| (x, y)));
        let data = places.flat_map(|(x, y)| shade(x, y)).map(|v| (v & 255) as u8).collect();
        let mut pixels = Vec::new();
        preprocessor.pixels(&RgbPicture { width: SIZE.0, height: SIZE.1, data }, &mut pixels)?;
        lowest = lowest.min(cosine(model, measured.forward(&pixels, 1), whole.forward(&pixels, 1))?);
    }
    Ok(lowest)
}

/// The lowest cosine over a few texts.
pub(super) fn texts(
    model: &str,
    measured: &mut dyn TextTower,
    whole: &mut dyn TextTower,
    tokens: &Tokens,
) -> Result<f32> {
    let mut lowest = f32::INFINITY;
    for text in TEXTS {
        let ids = tokens.ids(text, Role::Passage)?;
        lowest = lowest.min(cosine(model, measured.forward(&[&ids]), whole.forward(&[&ids]))?);
    }
    Ok(lowest)
}

fn cosine(
    model: &str,
    one: std::result::Result<Vec<Vec<f32>>, String>,
    other: std::result::Result<Vec<Vec<f32>>, String>,
) -> Result<f32> {
    let vector = |rows: std::result::Result<Vec<Vec<f32>>, String>| {
        let rows = rows.map_err(|e| Error::model(model, e))?;
        Vector::normalize(rows.into_iter().next().unwrap_or_default())
    };
    Ok(vector(one)?.dot(&vector(other)?))
}
