//! How far vectors of another precision are from those of 32-bit floats.

use crate::embed::model::{ImageTower, TextTower};
use crate::embed::preprocess::Preprocessor;
use crate::embed::tokens::Tokens;
use crate::embed::{Role, Vector};
use crate::media::RgbPicture;
use crate::{Error, Result};

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
