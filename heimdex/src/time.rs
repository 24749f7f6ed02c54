//! Presentation time: microseconds, and half-open spans of them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// A moment of presentation time, in whole microseconds.
///
/// Zero is the first instant a player shows. Times come from packet timestamps, edit lists and
/// stream starts, never from a frame count divided by a frame rate.
///
/// ```
/// use heimdex::Timestamp;
/// let t: Timestamp = "1:02.5".parse()?;
/// assert_eq!(t, Timestamp::from_micros(62_500_000));
/// assert_eq!(t.to_string(), "00:01:02.500");
/// # Ok::<(), heimdex::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The first instant.
    pub const ZERO: Self = Self(0);
    /// The latest representable moment.
    pub const MAX: Self = Self(i64::MAX);

    /// A moment from microseconds.
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// A moment from milliseconds; saturates.
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis.saturating_mul(1000))
    }

    /// A moment from `ticks` of `numerator / denominator` seconds each, rounded half to even.
    ///
    /// Returns `None` for a time base that is not positive, or a result out of range.
    pub fn from_ticks(ticks: i64, numerator: i32, denominator: i32) -> Option<Self> {
        if numerator <= 0 || denominator <= 0 {
            return None;
        }
        let exact = i128::from(ticks) * i128::from(numerator) * 1_000_000;
        let denominator = i128::from(denominator);
        let floor = exact.div_euclid(denominator);
        let twice = exact.rem_euclid(denominator) * 2;
        let up = twice > denominator || (twice == denominator && floor % 2 != 0);
        i64::try_from(floor + i128::from(up)).ok().map(Self)
    }

    /// Microseconds since the first instant.
    pub const fn as_micros(self) -> i64 {
        self.0
    }

    /// Milliseconds since the first instant, rounded down.
    pub const fn as_millis(self) -> i64 {
        self.0.div_euclid(1000)
    }

    /// Seconds since the first instant.
    pub fn as_seconds(self) -> f64 {
        self.0 as f64 / 1e6
    }

    /// This moment moved by `micros`; saturates.
    #[must_use]
    pub const fn plus_micros(self, micros: i64) -> Self {
        Self(self.0.saturating_add(micros))
    }

    /// Microseconds from `earlier` to this moment; negative when `earlier` is later; saturates.
    pub const fn micros_since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }
}

impl fmt::Display for Timestamp {
    /// `HH:MM:SS.mmm`, rounded down to the millisecond.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = self.0.unsigned_abs() / 1000;
        let sign = if self.0 < 0 { "-" } else { "" };
        write!(
            f,
            "{sign}{:02}:{:02}:{:02}.{:03}",
            millis / 3_600_000,
            millis / 60_000 % 60,
            millis / 1000 % 60,
            millis % 1000
        )
    }
}

impl FromStr for Timestamp {
    type Err = Error;

    /// Reads `SS`, `MM:SS` or `HH:MM:SS`, each with an optional fraction of a second.
    fn from_str(text: &str) -> Result<Self> {
        parse(text.trim()).ok_or_else(|| {
            Error::invalid("time", format!("`{text}` is not a time; write 75, 1:15 or 0:01:15.500"))
        })
    }
}

fn parse(text: &str) -> Option<Timestamp> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if !fraction.bytes().all(|b| b.is_ascii_digit()) || (text.contains('.') && fraction.is_empty()) {
        return None;
    }
    let parts: Vec<&str> = whole.split(':').collect();
    if parts.len() > 3 {
        return None;
    }
    let mut seconds: i64 = 0;
    for (i, part) in parts.iter().enumerate() {
        if part.is_empty() || part.len() > 9 || !part.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        let value: i64 = part.parse().ok()?;
        if i > 0 && value >= 60 {
            return None;
        }
        seconds = seconds.checked_mul(60)?.checked_add(value)?;
    }
    let mut micros: i64 = 0;
    for digit in fraction.bytes().chain(std::iter::repeat(b'0')).take(6) {
        micros = micros * 10 + i64::from(digit - b'0');
    }
    seconds.checked_mul(1_000_000)?.checked_add(micros).map(Timestamp)
}

/// A half-open stretch of presentation time: `start` belongs to it, `end` does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct Span {
    /// The first moment inside.
    #[serde(rename = "start_us")]
    pub start: Timestamp,
    /// The first moment after.
    #[serde(rename = "end_us")]
    pub end: Timestamp,
}

impl Span {
    /// A span from `start` to `end`; empty at `start` when `end` is earlier.
    pub fn new(start: Timestamp, end: Timestamp) -> Self {
        Self { start, end: end.max(start) }
    }

    /// Length in microseconds; never negative.
    pub fn micros(self) -> i64 {
        self.end.micros_since(self.start).max(0)
    }

    /// Whether nothing lies inside.
    pub fn is_empty(self) -> bool {
        self.end <= self.start
    }

    /// Whether `moment` lies inside.
    pub fn contains(self, moment: Timestamp) -> bool {
        self.start <= moment && moment < self.end
    }

    /// Microseconds that both spans share.
    pub fn overlap_micros(self, other: Self) -> i64 {
        self.end.min(other.end).micros_since(self.start.max(other.start)).max(0)
    }

    /// The part of this span inside `bounds`; empty at the nearer bound when there is none.
    #[must_use]
    pub fn clamp_to(self, bounds: Self) -> Self {
        let start = self.start.clamp(bounds.start, bounds.end.max(bounds.start));
        Self::new(start, self.end.clamp(start, bounds.end.max(start)))
    }

    /// The moment halfway through.
    pub fn middle(self) -> Timestamp {
        self.start.plus_micros(self.micros() / 2)
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}–{}", self.start, self.end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ticks_round_half_to_even() {
        let micros = |ticks, n, d| Timestamp::from_ticks(ticks, n, d).unwrap().as_micros();
        assert_eq!(micros(1, 1, 90_000), 11);
        assert_eq!(micros(1, 1, 2_000_000), 0);
        assert_eq!(micros(3, 1, 2_000_000), 2);
        assert_eq!(micros(-1, 1, 2_000_000), 0);
        assert_eq!(micros(1001, 1, 30_000), 33_367);
        assert_eq!(Timestamp::from_ticks(1, 0, 1), None);
        assert_eq!(Timestamp::from_ticks(i64::MAX, 1, 1), None);
    }

    #[test]
    fn reads_what_people_write() {
        let micros = |text: &str| text.parse::<Timestamp>().map(Timestamp::as_micros).ok();
        assert_eq!(micros("90"), Some(90_000_000));
        assert_eq!(micros("1:30"), Some(90_000_000));
        assert_eq!(micros("01:00:00.25"), Some(3_600_250_000));
        for wrong in ["", ":", "1:60", "1:2:3:4", "-1", "1.", "x", "99999999999"] {
            assert_eq!(micros(wrong), None, "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn display_is_read_back(millis in 0i64..360_000_000) {
            let t = Timestamp::from_millis(millis);
            prop_assert_eq!(t.to_string().parse::<Timestamp>().unwrap(), t);
        }

        #[test]
        fn parsing_never_panics(text in "\\PC{0,20}") {
            let _ = text.parse::<Timestamp>();
        }

        #[test]
        fn ticks_are_within_half_a_microsecond(ticks in -1i64 << 40..1i64 << 40, d in 1i32..200_000) {
            let got = i128::from(Timestamp::from_ticks(ticks, 1, d).unwrap().as_micros());
            let error = got * i128::from(d) - i128::from(ticks) * 1_000_000;
            prop_assert!(error.abs() * 2 <= i128::from(d));
        }

        #[test]
        fn overlap_is_symmetric_and_bounded(a in 0i64..1000, b in 0i64..1000, c in 0i64..1000, d in 0i64..1000) {
            let t = Timestamp::from_micros;
            let (x, y) = (Span::new(t(a), t(b)), Span::new(t(c), t(d)));
            prop_assert_eq!(x.overlap_micros(y), y.overlap_micros(x));
            prop_assert!(x.overlap_micros(y) <= x.micros().min(y.micros()));
            prop_assert_eq!(x.clamp_to(y).micros(), x.overlap_micros(y));
        }
    }
}
