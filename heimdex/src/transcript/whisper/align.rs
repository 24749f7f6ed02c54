//! When each token was said: by where the decoder looked while it was written.
//!
//! Source: openai-whisper, `timing.py`, `find_alignment`.

use super::file::Shape;
use super::network::HeadOf;
use crate::math::softmax;

/// Frames of 20 ms that a median is taken of.
const MEDIAN: usize = 7;

/// The frame in which each token ends that is no sign before the text, and the one before the first.
///
/// `scores` are the products of queries and keys of some heads, a row of `positions` for each of `tokens` tokens,
/// of which the first `skip` are signs and the last ends the text; times `scale` they are scores.
pub(super) fn ends(
    scores: &[Vec<f32>],
    tokens: usize,
    positions: usize,
    frames: usize,
    skip: usize,
    scale: f32,
) -> Vec<usize> {
    let frames = frames.clamp(1, positions);
    let rows = tokens.saturating_sub(skip + 1);
    let mut mean = vec![0.0_f32; rows * frames];
    for head in scores {
        let mut weights: Vec<f32> = Vec::with_capacity(tokens * frames);
        for row in head.chunks_exact(positions) {
            let from = weights.len();
            weights.extend_from_slice(&row[..frames]);
            softmax(&mut weights[from..], scale);
        }
        normalize_columns(&mut weights, frames);
        let kept = weights.chunks_exact(frames).skip(skip);
        for (row, mean) in kept.zip(mean.chunks_exact_mut(frames)) {
            for (value, mean) in medians(row).zip(mean) {
                *mean += value / scores.len() as f32;
            }
        }
    }
    first_frames(&mean, frames)
}

/// Each frame is compared over all tokens.
fn normalize_columns(weights: &mut [f32], frames: usize) {
    let count = (weights.len() / frames) as f32;
    let (mut means, mut squares) = (vec![0.0_f32; frames], vec![0.0_f32; frames]);
    for row in weights.chunks_exact(frames) {
        for (mean, value) in means.iter_mut().zip(row) {
            *mean += value / count;
        }
    }
    for row in weights.chunks_exact(frames) {
        for ((square, value), mean) in squares.iter_mut().zip(row).zip(&means) {
            *square += (value - mean).powi(2) / count;
        }
    }
    for row in weights.chunks_exact_mut(frames) {
        for ((value, mean), square) in row.iter_mut().zip(&means).zip(&squares) {
            *value = if *square > 0.0 { (*value - mean) / square.sqrt() } else { 0.0 };
        }
    }
}

/// The medians around each value; at the ends, its mirror image is looked at.
fn medians(row: &[f32]) -> impl Iterator<Item = f32> + '_ {
    let half = MEDIAN / 2;
    (0..row.len()).map(move |at| {
        if row.len() <= half {
            return row[at];
        }
        let last = row.len() - 1;
        let mut near = [0.0; MEDIAN];
        for (k, value) in near.iter_mut().enumerate() {
            let from = (at + k).abs_diff(half);
            *value = row[if from > last { 2 * last - from } else { from }];
        }
        near.sort_unstable_by(f32::total_cmp);
        near[half]
    })
}

/// The way through the matrix, from its first to its last element, on which the sum is highest, each step to the
/// next row, the next column or both: the frames in which it comes to each row.
fn first_frames(matrix: &[f32], frames: usize) -> Vec<usize> {
    #[derive(Clone, Copy)]
    enum From {
        Both,
        Row,
        Column,
    }
    let rows = matrix.len() / frames;
    let mut ways = vec![From::Column; rows * frames];
    // Costs of the row before, and of this one, each with the place before the first.
    let (mut above, mut costs) = (vec![f32::INFINITY; frames + 1], vec![f32::INFINITY; frames + 1]);
    above[0] = 0.0;
    for (row, ways) in matrix.chunks_exact(frames).zip(ways.chunks_exact_mut(frames)) {
        costs[0] = f32::INFINITY;
        for (j, (value, way)) in row.iter().zip(ways).enumerate() {
            let (both, up, left) = (above[j], above[j + 1], costs[j]);
            let (cost, from) = if both < up && both < left {
                (both, From::Both)
            } else if up < both && up < left {
                (up, From::Row)
            } else {
                (left, From::Column)
            };
            costs[j + 1] = cost - value;
            *way = from;
        }
        std::mem::swap(&mut above, &mut costs);
    }
    let mut firsts = vec![0; rows];
    let (mut row, mut frame) = (rows.saturating_sub(1), frames - 1);
    while row > 0 || frame > 0 {
        let way = match (row, frame) {
            (0, _) => From::Column,
            (_, 0) => From::Row,
            _ => ways[row * frames + frame],
        };
        if !matches!(way, From::Column) {
            firsts[row] = frame;
            row -= 1;
        }
        if !matches!(way, From::Row) {
            frame -= 1;
        }
    }
    firsts
}

/// The heads whose attention follows what is said: those that `OpenAI` published, else all of the upper half of
/// the layers.
///
/// Source: `whisper/__init__.py` of openai-whisper. The first two large models have one shape and other heads;
/// the file's name tells the first.
pub(super) fn heads(shape: &Shape, file: &str) -> Vec<HeadOf> {
    let english = shape.vocabulary == 51_864;
    let third = shape.vocabulary == 51_866;
    let layers = (shape.audio_layers, shape.text_layers);
    let known: &[HeadOf] = match (layers, shape.text_heads, english, third) {
        ((4, 4), 6, true, _) => &[(1, 0), (2, 0), (2, 5), (3, 0), (3, 1), (3, 2), (3, 3), (3, 4)],
        ((4, 4), 6, _, false) => &[(2, 2), (3, 0), (3, 2), (3, 3), (3, 4), (3, 5)],
        ((6, 6), 8, true, _) => &[(3, 3), (4, 7), (5, 1), (5, 5), (5, 7)],
        ((6, 6), 8, _, false) => &[(3, 1), (4, 2), (4, 3), (4, 7), (5, 1), (5, 2), (5, 4), (5, 6)],
        ((12, 12), 12, true, _) => &[
            (6, 6),
            (7, 0),
            (7, 3),
            (7, 8),
            (8, 2),
            (8, 5),
            (8, 7),
            (9, 0),
            (9, 4),
            (9, 8),
            (9, 10),
            (10, 0),
            (10, 1),
            (10, 2),
            (10, 3),
            (10, 6),
            (10, 11),
            (11, 2),
            (11, 4),
        ],
        ((12, 12), 12, _, false) => {
            &[(5, 3), (5, 9), (8, 0), (8, 4), (8, 7), (8, 8), (9, 0), (9, 7), (9, 9), (10, 5)]
        }
        ((24, 24), 16, true, _) => &[
            (11, 4),
            (14, 1),
            (14, 12),
            (14, 14),
            (15, 4),
            (16, 0),
            (16, 4),
            (16, 9),
            (17, 12),
            (17, 14),
            (18, 7),
            (18, 10),
            (18, 15),
            (20, 0),
            (20, 3),
            (20, 9),
            (20, 14),
            (21, 12),
        ],
        ((24, 24), 16, _, false) => &[(13, 15), (15, 4), (15, 15), (16, 1), (20, 0), (23, 4)],
        ((32, 32), 20, false, true) => {
            &[(7, 0), (10, 17), (12, 18), (13, 12), (16, 1), (17, 14), (19, 11), (21, 4), (24, 1), (25, 6)]
        }
        ((32, 4), 20, false, true) => &[(2, 4), (2, 11), (3, 3), (3, 6), (3, 11), (3, 14)],
        ((32, 32), 20, false, false) if file.contains("v1") => {
            &[(9, 19), (11, 2), (11, 4), (11, 17), (22, 7), (22, 11), (22, 17), (23, 2), (23, 15)]
        }
        ((32, 32), 20, false, false) => &[
            (10, 12),
            (13, 17),
            (16, 11),
            (16, 12),
            (16, 13),
            (17, 15),
            (17, 16),
            (18, 4),
            (18, 11),
            (18, 19),
            (19, 11),
            (21, 2),
            (21, 3),
            (22, 3),
            (22, 9),
            (22, 12),
            (23, 5),
            (23, 7),
            (23, 13),
            (25, 5),
            (26, 1),
            (26, 12),
            (27, 15),
        ],
        _ => &[],
    };
    if !known.is_empty() {
        return known.to_vec();
    }
    let (layers, heads) = (shape.text_layers as usize, shape.text_heads as usize);
    (layers / 2..layers).flat_map(|layer| (0..heads).map(move |head| (layer, head))).collect()
}
