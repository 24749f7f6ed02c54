//! The small picture that shots are scored on, and what keyframe selection asks of it.

/// A picture of at most 256 pixels a side, as three planes of bytes.
///
/// Equal to PySceneDetect's processing picture: full-size BGR by swscale's default flags, turned
/// upright, then OpenCV's 8-bit `INTER_LINEAR`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SmallPicture {
    pub(crate) width: usize,
    pub(crate) height: usize,
    pub(crate) blue: Vec<u8>,
    pub(crate) green: Vec<u8>,
    pub(crate) red: Vec<u8>,
}

/// What keyframe selection compares pictures by.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct PictureMeasures {
    /// Variance of the four-neighbour Laplacian of the grey picture; 0 when it is flat.
    pub sharpness: f32,
    /// Mean grey level, 0 to 255.
    pub brightness: f32,
    /// Mean grey level of each cell of an 8 by 8 grid, row by row.
    pub signature: [u8; 64],
}

impl SmallPicture {
    /// Pixels in a row.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Rows.
    pub fn height(&self) -> usize {
        self.height
    }

    /// The pixels as rows of B, G, R bytes.
    pub fn to_bgr(&self) -> Vec<u8> {
        let planes = self.blue.iter().zip(&self.green).zip(&self.red);
        planes.flat_map(|((&b, &g), &r)| [b, g, r]).collect()
    }

    /// A picture from rows of B, G, R bytes; bytes past `width * height * 3` are ignored.
    #[cfg(test)]
    pub(crate) fn from_bgr(width: usize, height: usize, bgr: &[u8]) -> Self {
        let mut picture = Self::default();
        picture.resize(width, height);
        for (i, pixel) in bgr.chunks_exact(3).take(width * height).enumerate() {
            picture.blue[i] = pixel[0];
            picture.green[i] = pixel[1];
            picture.red[i] = pixel[2];
        }
        picture
    }

    /// Gives the planes room for `width` by `height` pixels; their content is then unspecified.
    pub(crate) fn resize(&mut self, width: usize, height: usize) {
        (self.width, self.height) = (width, height);
        for plane in [&mut self.blue, &mut self.green, &mut self.red] {
            plane.resize(width * height, 0);
        }
    }

    /// Sharpness, brightness and signature. Costs a pass over the picture; not part of scoring.
    pub fn measures(&self) -> PictureMeasures {
        let grey = self.grey();
        let total: u64 = grey.iter().map(|&g| u64::from(g)).sum();
        PictureMeasures {
            sharpness: laplacian_variance(&grey, self.width),
            brightness: total as f32 / grey.len().max(1) as f32,
            signature: signature(&grey, self.width, self.height),
        }
    }

    /// Rec. 601 luma in 8-bit fixed point.
    fn grey(&self) -> Vec<u8> {
        let planes = self.blue.iter().zip(&self.green).zip(&self.red);
        planes
            .map(|((&b, &g), &r)| {
                ((u32::from(b) * 29 + u32::from(g) * 150 + u32::from(r) * 77 + 128) >> 8) as u8
            })
            .collect()
    }
}

fn laplacian_variance(grey: &[u8], width: usize) -> f32 {
    let rows: Vec<&[u8]> = grey.chunks_exact(width.max(1)).collect();
    let (mut sum, mut squares, mut count) = (0i64, 0i64, 0i64);
    for three in rows.windows(3) {
        let (above, here, below) = (three[0], three[1], three[2]);
        for x in 1..width.saturating_sub(1) {
            let around =
                i64::from(above[x]) + i64::from(below[x]) + i64::from(here[x - 1]) + i64::from(here[x + 1]);
            let value = around - 4 * i64::from(here[x]);
            sum += value;
            squares += value * value;
            count += 1;
        }
    }
    if count == 0 {
        return 0.0;
    }
    let mean = sum as f64 / count as f64;
    (squares as f64 / count as f64 - mean * mean).max(0.0) as f32
}

fn signature(grey: &[u8], width: usize, height: usize) -> [u8; 64] {
    let mut cells = [0u8; 64];
    if grey.is_empty() {
        return cells;
    }
    let cut = |cell: usize, length: usize| {
        let start = (cell * length / 8).min(length - 1);
        start..((cell + 1) * length / 8).max(start + 1)
    };
    for (i, cell) in cells.iter_mut().enumerate() {
        let (columns, rows) = (cut(i % 8, width), cut(i / 8, height));
        let count = (columns.len() * rows.len()) as u64;
        let total: u64 = rows
            .flat_map(|y| grey[y * width + columns.start..y * width + columns.end].iter())
            .map(|&g| u64::from(g))
            .sum();
        *cell = ((total + count / 2) / count) as u8;
    }
    cells
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn measures_tell_flat_from_sharp() {
        let flat = SmallPicture::from_bgr(16, 9, &[90; 16 * 9 * 3]).measures();
        assert_eq!((flat.sharpness, flat.brightness), (0.0, 90.0));
        assert_eq!(flat.signature, [90; 64]);
        let board: Vec<u8> =
            (0..16 * 9).flat_map(|i| [if (i % 16 + i / 16) % 2 == 0 { 255 } else { 0 }; 3]).collect();
        let sharp = SmallPicture::from_bgr(16, 9, &board).measures();
        assert!(sharp.sharpness > 100_000.0, "{}", sharp.sharpness);
    }

    #[test]
    fn signature_keeps_the_place_of_things() {
        let halves: Vec<u8> = (0..32 * 18).flat_map(|i| [if i % 32 < 16 { 10 } else { 200 }; 3]).collect();
        let signature = SmallPicture::from_bgr(32, 18, &halves).measures().signature;
        assert_eq!(&signature[..8], &[10, 10, 10, 10, 200, 200, 200, 200]);
    }

    #[test]
    fn tiny_and_empty_pictures_are_measured() {
        assert_eq!(SmallPicture::from_bgr(1, 1, &[7; 3]).measures().signature, [7; 64]);
        assert!(SmallPicture::default().measures().sharpness < 1e-9);
    }
}
