//! From a full-size picture to the small one, reading only the pixels that count.
//!
//! Algorithm: OpenCV `resize.cpp`, `INTER_LINEAR` for 8-bit pixels: 11-bit weights, rows summed in
//! 32 bits, columns with products cut to their high half. Each output pixel needs at most 2 by 2
//! source pixels, so conversion to BGR and rotation are done for those alone.

#![allow(clippy::inline_always, reason = "one body is compiled for AVX2 and for every processor")]

use super::SmallPicture;
use super::yuv::YuvToBgr;
use crate::media::Rotation;

/// The longer side of a picture that is scored; a smaller picture is not enlarged.
const LONGER_SIDE: f64 = 256.0;

/// The size that an upright picture is scored at.
pub(super) fn small_size(width: usize, height: usize) -> (usize, usize) {
    let factor = width.max(height) as f64 / LONGER_SIDE;
    if factor <= 1.0 {
        return (width, height);
    }
    let shrink = |side: usize| ((side as f64 / factor).round_ties_even() as usize).max(1);
    (shrink(width), shrink(height))
}

/// How a picture is laid out: its stored size and the distance between rows, in elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Layout {
    pub(super) width: usize,
    pub(super) height: usize,
    /// Bytes between rows of luma, or of packed BGR.
    pub(super) stride: usize,
    /// Bytes between rows of U and V; 0 for packed BGR.
    pub(super) chroma_stride: usize,
}

/// The pixels of a full-size picture.
#[derive(Debug, Clone, Copy)]
pub(super) enum Pixels<'a> {
    /// Planes of Y, U and V, chroma halved both ways.
    Yuv420 { planes: [&'a [u8]; 3], conversion: YuvToBgr },
    /// Packed bytes B, G, R.
    Bgr(&'a [u8]),
}

/// Makes small pictures from full-size ones of one layout.
#[derive(Debug, Clone)]
pub(super) struct Shrinker {
    columns: Axis,
    rows: Axis,
    near: Samples,
    far: Samples,
    /// The two source lines in use: their row sums, found by source line.
    lines: [Line; 2],
}

impl Shrinker {
    pub(super) fn new(layout: Layout, rotation: Rotation) -> Self {
        let across = Direction { length: layout.width, luma_step: 1, chroma_step: 1, reversed: false };
        let down = Direction {
            length: layout.height,
            luma_step: layout.stride,
            chroma_step: layout.chroma_stride,
            reversed: false,
        };
        let back = |direction: Direction| Direction { reversed: true, ..direction };
        let across = if layout.chroma_stride == 0 { Direction { luma_step: 3, ..across } } else { across };
        let (x, y) = match rotation {
            Rotation::None => (across, down),
            Rotation::Quarter => (back(down), across),
            Rotation::Half => (back(across), back(down)),
            Rotation::ThreeQuarters => (down, back(across)),
        };
        let (width, height) = small_size(x.length, y.length);
        Self {
            columns: Axis::new(x, width),
            rows: Axis::new(y, height),
            near: Samples::new(width),
            far: Samples::new(width),
            lines: [Line::new(width), Line::new(width)],
        }
    }

    /// Whether every pixel that is read lies inside `pixels`.
    fn fits(&mut self, pixels: Pixels<'_>) -> bool {
        let (columns, rows) = (self.columns.last(), self.rows.last());
        if let Pixels::Yuv420 { planes: [y, u, v], .. } = pixels {
            // A pair reads one byte past the last pixel, which planes without padding do not have.
            let room = columns.luma + rows.luma + 1 < y.len()
                && columns.chroma + rows.chroma + 1 < u.len().min(v.len());
            self.columns.pairs &= room;
        }
        match pixels {
            Pixels::Yuv420 { planes: [y, u, v], .. } => {
                columns.luma + rows.luma < y.len() && columns.chroma + rows.chroma < u.len().min(v.len())
            }
            Pixels::Bgr(bgr) => columns.luma + rows.luma + 2 < bgr.len(),
        }
    }

    /// Fills `small`; false, with `small` untouched, when `pixels` are fewer than the layout says.
    pub(super) fn shrink(&mut self, pixels: Pixels<'_>, small: &mut SmallPicture) -> bool {
        if !self.fits(pixels) {
            return false;
        }
        small.resize(self.columns.length(), self.rows.length());
        #[cfg(target_arch = "x86_64")]
        if std::arch::is_x86_feature_detected!("avx2") {
            // SAFETY: the processor has AVX2, which is all that the function asks for.
            unsafe { shrink_avx2(self, pixels, small) };
            return true;
        }
        shrink(self, pixels, small);
        true
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn shrink_avx2(shrinker: &mut Shrinker, pixels: Pixels<'_>, small: &mut SmallPicture) {
    shrink(shrinker, pixels, small);
}

#[inline(always)]
fn shrink(shrinker: &mut Shrinker, pixels: Pixels<'_>, small: &mut SmallPicture) {
    let Shrinker { columns, rows, near, far, lines } = shrinker;
    for line in lines.iter_mut() {
        line.place = None;
    }
    (near.chroma, far.chroma) = (None, None);
    let width = columns.length();
    let outputs = small
        .blue
        .chunks_exact_mut(width)
        .zip(small.green.chunks_exact_mut(width))
        .zip(small.red.chunks_exact_mut(width));
    for (row, ((blue, green), red)) in outputs.enumerate() {
        let (first, second) = (rows.near.at(row), rows.far.at(row));
        // The line that the last row's far neighbour left may be this row's near one.
        if lines[1].place == Some(first) {
            lines.swap(0, 1);
        }
        let [above, below] = lines;
        above.load(first, pixels, columns, near, far);
        let weights = [rows.near_weight[row], rows.far_weight[row]];
        let below = if weights[1] == 0 {
            &*above
        } else {
            below.load(second, pixels, columns, near, far);
            &*below
        };
        blend_rows(&above.blue, &below.blue, weights, blue);
        blend_rows(&above.green, &below.green, weights, green);
        blend_rows(&above.red, &below.red, weights, red);
    }
}

/// One way through the source picture.
#[derive(Debug, Clone, Copy)]
struct Direction {
    length: usize,
    luma_step: usize,
    chroma_step: usize,
    reversed: bool,
}

/// Where a source column or row begins in its planes; a pixel lies at the sum of both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    luma: usize,
    chroma: usize,
}

/// The places of many columns or rows. No plane that FFmpeg allocates reaches 2^32 bytes.
#[derive(Debug, Clone, Default)]
struct Places {
    luma: Vec<u32>,
    chroma: Vec<u32>,
}

impl Places {
    fn at(&self, i: usize) -> Place {
        Place { luma: self.luma[i] as usize, chroma: self.chroma[i] as usize }
    }

    fn push(&mut self, place: Place) {
        self.luma.push(place.luma as u32);
        self.chroma.push(place.chroma as u32);
    }
}

/// For each output column or row the two source ones that it blends, and their weights of 2048.
#[derive(Debug, Clone, Default)]
struct Axis {
    near: Places,
    far: Places,
    near_weight: Vec<i16>,
    far_weight: Vec<i16>,
    /// Whether any far weight counts.
    blends: bool,
    /// Whether each far column lies just right of its near one, so that one load reads both.
    pairs: bool,
    /// 255 where the far column has the next chroma, 0 where it shares that of the near one.
    next_chroma: Vec<u8>,
}

impl Axis {
    fn new(direction: Direction, target: usize) -> Self {
        let length = direction.length;
        let place = |position: usize| {
            let source = if direction.reversed { length - 1 - position } else { position };
            Place { luma: source * direction.luma_step, chroma: source / 2 * direction.chroma_step }
        };
        let scale = 1.0 / (target as f64 / length as f64);
        let mut axis = Self::default();
        for i in 0..target {
            let exact = ((i as f64 + 0.5) * scale - 0.5) as f32;
            let whole = exact.floor();
            let (source, fraction) = if whole < 0.0 {
                (0, 0.0)
            } else if whole as usize >= length - 1 {
                (length - 1, 0.0)
            } else {
                (whole as usize, exact - whole)
            };
            axis.near.push(place(source));
            axis.far.push(place((source + 1).min(length - 1)));
            axis.next_chroma.push(if source % 2 == 1 { 255 } else { 0 });
            axis.near_weight.push(((1.0 - fraction) * 2048.0).round_ties_even() as i16);
            axis.far_weight.push((fraction * 2048.0).round_ties_even() as i16);
        }
        axis.blends = axis.far_weight.iter().any(|&weight| weight != 0);
        axis.pairs = axis.blends && direction.luma_step == 1 && !direction.reversed;
        axis
    }

    /// How many columns or rows it gives.
    fn length(&self) -> usize {
        self.near_weight.len()
    }

    /// The largest offsets in each plane.
    fn last(&self) -> Place {
        let largest = |near: &[u32], far: &[u32]| near.iter().chain(far).copied().max().unwrap_or(0) as usize;
        Place {
            luma: largest(&self.near.luma, &self.far.luma),
            chroma: largest(&self.near.chroma, &self.far.chroma),
        }
    }
}

/// B, G and R of the near or the far source pixels of one line.
#[derive(Debug, Clone)]
struct Samples {
    y: Vec<u8>,
    /// Which line of chroma `u` and `v` hold.
    chroma: Option<usize>,
    u: Vec<u8>,
    v: Vec<u8>,
    /// Near and far pixels as they are read together.
    pairs: Vec<u16>,
    blue: Vec<i16>,
    green: Vec<i16>,
    red: Vec<i16>,
}

impl Samples {
    fn new(width: usize) -> Self {
        let bytes = || vec![0u8; width];
        let words = || vec![0i16; width];
        Self {
            y: bytes(),
            chroma: None,
            u: bytes(),
            v: bytes(),
            pairs: vec![0; width],
            blue: words(),
            green: words(),
            red: words(),
        }
    }

    #[inline(always)]
    fn load(&mut self, line: Place, columns: &Places, pixels: Pixels<'_>) {
        match pixels {
            Pixels::Yuv420 { planes: [y, u, v], conversion } => {
                gather(&y[line.luma..], &columns.luma, &mut self.y);
                // Two lines share their chroma.
                if self.chroma != Some(line.chroma) {
                    gather(&u[line.chroma..], &columns.chroma, &mut self.u);
                    gather(&v[line.chroma..], &columns.chroma, &mut self.v);
                    self.chroma = Some(line.chroma);
                }
                self.convert(conversion);
            }
            Pixels::Bgr(bgr) => {
                for (i, &place) in columns.luma.iter().enumerate() {
                    let pixel = &bgr[line.luma + place as usize..][..3];
                    self.blue[i] = i16::from(pixel[0]);
                    self.green[i] = i16::from(pixel[1]);
                    self.red[i] = i16::from(pixel[2]);
                }
            }
        }
    }

    #[inline(always)]
    fn convert(&mut self, conversion: YuvToBgr) {
        let width = self.blue.len();
        let (y, u, v) = (&self.y[..width], &self.u[..width], &self.v[..width]);
        let (blue, green, red) = (&mut self.blue[..], &mut self.green[..width], &mut self.red[..width]);
        for i in 0..width {
            [blue[i], green[i], red[i]] = conversion.convert(y[i], u[i], v[i]);
        }
    }
}

/// Loads near and far columns of a line at once; most of the time goes into these loads.
#[inline(always)]
fn load_pairs(near: &mut Samples, far: &mut Samples, line: Place, columns: &Axis, planes: [&[u8]; 3]) {
    let [y, u, v] = planes;
    let width = columns.length();
    gather_pairs(&y[line.luma..], &columns.near.luma, &mut near.pairs);
    split(&near.pairs, None, &mut near.y, &mut far.y);
    // Two lines share their chroma.
    if near.chroma != Some(line.chroma) {
        let next = Some(&columns.next_chroma[..width]);
        gather_pairs(&u[line.chroma..], &columns.near.chroma, &mut near.pairs);
        split(&near.pairs, next, &mut near.u, &mut far.u);
        gather_pairs(&v[line.chroma..], &columns.near.chroma, &mut near.pairs);
        split(&near.pairs, next, &mut near.v, &mut far.v);
        near.chroma = Some(line.chroma);
    }
}

#[inline(always)]
fn gather_pairs(plane: &[u8], places: &[u32], out: &mut [u16]) {
    for (out, &place) in out.iter_mut().zip(places) {
        let pair = &plane[place as usize..][..2];
        *out = u16::from_le_bytes([pair[0], pair[1]]);
    }
}

/// Parts pairs into near and far; where `next` is 0 the far one is the near one.
#[inline(always)]
fn split(pairs: &[u16], next: Option<&[u8]>, near: &mut [u8], far: &mut [u8]) {
    let width = near.len();
    let (pairs, far) = (&pairs[..width], &mut far[..width]);
    for i in 0..width {
        near[i] = pairs[i] as u8;
        far[i] = (pairs[i] >> 8) as u8;
    }
    if let Some(next) = next {
        let next = &next[..width];
        for i in 0..width {
            far[i] = (far[i] & next[i]) | (near[i] & !next[i]);
        }
    }
}

#[inline(always)]
fn gather(plane: &[u8], places: &[u32], out: &mut [u8]) {
    for (out, &place) in out.iter_mut().zip(places) {
        *out = plane[place as usize];
    }
}

/// A source line, blended along the output row and cut to 15 bits as OpenCV does between its passes.
#[derive(Debug, Clone)]
struct Line {
    place: Option<Place>,
    blue: Vec<i16>,
    green: Vec<i16>,
    red: Vec<i16>,
}

impl Line {
    fn new(width: usize) -> Self {
        let words = || vec![0i16; width];
        Self { place: None, blue: words(), green: words(), red: words() }
    }

    #[inline(always)]
    fn load(
        &mut self,
        place: Place,
        pixels: Pixels<'_>,
        columns: &Axis,
        near: &mut Samples,
        far: &mut Samples,
    ) {
        if self.place == Some(place) {
            return;
        }
        self.place = Some(place);
        match pixels {
            Pixels::Yuv420 { planes, conversion } if columns.pairs => {
                load_pairs(near, far, place, columns, planes);
                near.convert(conversion);
                far.convert(conversion);
            }
            _ => {
                near.load(place, &columns.near, pixels);
                if columns.blends {
                    far.load(place, &columns.far, pixels);
                }
            }
        }
        for (out, near, far) in [
            (&mut self.blue, &near.blue, &far.blue),
            (&mut self.green, &near.green, &far.green),
            (&mut self.red, &near.red, &far.red),
        ] {
            if columns.blends {
                blend_columns(near, far, &columns.near_weight, &columns.far_weight, out);
            } else {
                // The weight of 2048, cut by 4 bits.
                for (out, &near) in out.iter_mut().zip(near) {
                    *out = near << 7;
                }
            }
        }
    }
}

#[inline(always)]
fn blend_columns(near: &[i16], far: &[i16], near_weight: &[i16], far_weight: &[i16], out: &mut [i16]) {
    let width = out.len();
    let (near, far) = (&near[..width], &far[..width]);
    let (near_weight, far_weight) = (&near_weight[..width], &far_weight[..width]);
    for i in 0..width {
        let sum =
            i32::from(near[i]) * i32::from(near_weight[i]) + i32::from(far[i]) * i32::from(far_weight[i]);
        out[i] = (sum >> 4) as i16;
    }
}

#[inline(always)]
fn blend_rows(above: &[i16], below: &[i16], weights: [i16; 2], out: &mut [u8]) {
    let width = out.len();
    let (above, below) = (&above[..width], &below[..width]);
    let high_half = |value: i16, weight: i16| ((i32::from(value) * i32::from(weight)) >> 16) as i16;
    for i in 0..width {
        out[i] = ((high_half(above[i], weights[0]) + high_half(below[i], weights[1]) + 2) >> 2) as u8;
    }
}
