//! Edges of the brightness plane, for detectors that weigh them.
//!
//! Algorithm: PySceneDetect 0.7 `ContentDetector._detect_edges`: OpenCV `Canny` (3 by 3 Sobel, L1
//! norm, `canny.cpp`) between thresholds set from the median, then dilation by a box.

/// `tan(22.5°)` in OpenCV's 15-bit fixed point.
const TAN_22: i32 = 13_573;

const NO_EDGE: u8 = 0;
const WEAK: u8 = 1;
const EDGE: u8 = 255;

/// The dilated edges of a plane: 255 near an edge, else 0.
pub(super) fn edges(plane: &[u8], width: usize, height: usize) -> Vec<u8> {
    if plane.is_empty() {
        return Vec::new();
    }
    let median = median(plane);
    let low = ((1.0 - 1.0 / 3.0) * median).max(0.0) as i32;
    let high = ((1.0 + 1.0 / 3.0) * median).min(255.0) as i32;
    let thin = canny(plane, width, height, low, high);
    dilate(&thin, width, height, kernel_size(width, height))
}

fn kernel_size(width: usize, height: usize) -> usize {
    let size = 4 + (((width * height) as f64).sqrt() / 192.0).round_ties_even() as usize;
    size | 1
}

/// The middle value; of an even number the mean of the middle two.
fn median(plane: &[u8]) -> f64 {
    let mut counts = [0usize; 256];
    for &value in plane {
        counts[usize::from(value)] += 1;
    }
    let at = |place: usize| {
        let mut seen = 0;
        counts.iter().position(|&count| {
            seen += count;
            seen > place
        })
    };
    let middle = |place| at(place).unwrap_or(0) as f64;
    f64::midpoint(middle((plane.len() - 1) / 2), middle(plane.len() / 2))
}

fn canny(plane: &[u8], width: usize, height: usize, low: i32, high: i32) -> Vec<u8> {
    let (across, down) = gradients(plane, width, height);
    let strength = |x: isize, y: isize| {
        let inside = (0..width as isize).contains(&x) && (0..height as isize).contains(&y);
        if !inside {
            return 0;
        }
        let i = y as usize * width + x as usize;
        across[i].abs() + down[i].abs()
    };
    let mut map = vec![NO_EDGE; plane.len()];
    let mut open = Vec::new();
    for i in 0..plane.len() {
        let (x, y) = ((i % width) as isize, (i / width) as isize);
        let here = strength(x, y);
        if here <= low {
            continue;
        }
        let (dx, dy) = (across[i], down[i]);
        let flat = dx.abs() * TAN_22;
        let steep = flat + (dx.abs() << 16);
        let slope = dy.abs() << 15;
        let peak = if slope < flat {
            here > strength(x - 1, y) && here >= strength(x + 1, y)
        } else if slope > steep {
            here > strength(x, y - 1) && here >= strength(x, y + 1)
        } else {
            let side = if (dx ^ dy) < 0 { -1 } else { 1 };
            here > strength(x - side, y - 1) && here > strength(x + side, y + 1)
        };
        if peak && here > high {
            map[i] = EDGE;
            open.push(i);
        } else if peak {
            map[i] = WEAK;
        }
    }
    follow(&mut map, open, width, height);
    map
}

/// Makes edges of the weak peaks that touch an edge, and drops the others.
fn follow(map: &mut [u8], mut open: Vec<usize>, width: usize, height: usize) {
    while let Some(i) = open.pop() {
        let (x, y) = (i % width, i / width);
        for ny in y.saturating_sub(1)..(y + 2).min(height) {
            for nx in x.saturating_sub(1)..(x + 2).min(width) {
                let neighbour = ny * width + nx;
                if map[neighbour] == WEAK {
                    map[neighbour] = EDGE;
                    open.push(neighbour);
                }
            }
        }
    }
    for value in map {
        if *value == WEAK {
            *value = NO_EDGE;
        }
    }
}

/// Sobel derivatives along rows and columns, with the border pixels repeated outwards.
fn gradients(plane: &[u8], width: usize, height: usize) -> (Vec<i32>, Vec<i32>) {
    let mut across = Vec::with_capacity(plane.len());
    let mut down = Vec::with_capacity(plane.len());
    for y in 0..height {
        let row = |y: usize| &plane[y * width..(y + 1) * width];
        let (above, here, below) = (row(y.saturating_sub(1)), row(y), row((y + 1).min(height - 1)));
        for x in 0..width {
            let (left, right) = (x.saturating_sub(1), (x + 1).min(width - 1));
            let at = |row: &[u8], x: usize| i32::from(row[x]);
            let column = |x| at(above, x) + 2 * at(here, x) + at(below, x);
            let line = |row| at(row, left) + 2 * at(row, x) + at(row, right);
            across.push(column(right) - column(left));
            down.push(line(below) - line(above));
        }
    }
    (across, down)
}

/// The largest value in a box of `size` around each pixel.
fn dilate(plane: &[u8], width: usize, height: usize, size: usize) -> Vec<u8> {
    let reach = size / 2;
    let mut rows = vec![0; plane.len()];
    for (source, row) in plane.chunks_exact(width).zip(rows.chunks_exact_mut(width)) {
        for (x, out) in row.iter_mut().enumerate() {
            let near = &source[x.saturating_sub(reach)..(x + reach + 1).min(width)];
            *out = near.iter().copied().max().unwrap_or(0);
        }
    }
    let mut out = vec![0; plane.len()];
    for (y, row) in out.chunks_exact_mut(width).enumerate() {
        for near in y.saturating_sub(reach)..(y + reach + 1).min(height) {
            let source = &rows[near * width..(near + 1) * width];
            for (out, &value) in row.iter_mut().zip(source) {
                *out = (*out).max(value);
            }
        }
    }
    out
}
