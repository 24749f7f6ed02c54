//! Cuts become shots that tile the video.

use super::{Cut, Shot};
use crate::{Span, Timestamp};

/// The shots between `cuts`, which cover `whole` exactly: no gap, no overlap, none empty.
///
/// Cuts need no order; those outside `whole`, at its start, or doubled make no shot of their own.
/// Without cuts there is one shot, and of an empty `whole` there is none.
pub fn tile(whole: Span, cuts: &[Cut]) -> Vec<Shot> {
    if whole.is_empty() {
        return Vec::new();
    }
    let mut starts: Vec<Timestamp> =
        cuts.iter().map(|cut| cut.time).filter(|&time| time > whole.start && time < whole.end).collect();
    starts.push(whole.start);
    starts.sort_unstable();
    starts.dedup();
    let ends = starts.iter().skip(1).copied().chain([whole.end]);
    starts.iter().zip(ends).map(|(&start, end)| Shot { span: Span::new(start, end) }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn cuts(micros: &[i64]) -> Vec<Cut> {
        let cut = |(i, &t): (usize, &i64)| Cut { frame: i as u64, time: Timestamp::from_micros(t) };
        micros.iter().enumerate().map(cut).collect()
    }

    fn span(start: i64, end: i64) -> Span {
        Span::new(Timestamp::from_micros(start), Timestamp::from_micros(end))
    }

    #[test]
    fn no_cut_is_one_shot() {
        assert_eq!(tile(span(5, 9), &[]), [Shot { span: span(5, 9) }]);
        assert_eq!(tile(span(5, 5), &cuts(&[5])), []);
    }

    #[test]
    fn times_that_go_back_still_tile() {
        let shots: Vec<Span> =
            tile(span(0, 100), &cuts(&[40, 30, 30, 0, 100, -3])).iter().map(|s| s.span).collect();
        assert_eq!(shots, [span(0, 30), span(30, 40), span(40, 100)]);
    }

    proptest! {
        #[test]
        fn shots_tile_whatever_the_cuts(start in -50i64..50, length in 1i64..100, times in proptest::collection::vec(-200i64..200, 0..20)) {
            let whole = span(start, start + length);
            let shots = tile(whole, &cuts(&times));
            prop_assert_eq!(shots.first().unwrap().span.start, whole.start);
            prop_assert_eq!(shots.last().unwrap().span.end, whole.end);
            prop_assert!(shots.iter().all(|s| !s.span.is_empty()));
            prop_assert!(shots.windows(2).all(|w| w[0].span.end == w[1].span.start));
        }
    }
}
