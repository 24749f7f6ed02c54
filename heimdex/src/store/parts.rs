//! What every store does the same way.

use std::cmp::Ordering;

use crate::keyframes::Keyframe;
use crate::store::{Filter, ScoredScene, tag_key};
use crate::transcript::normalize_language;
use crate::{Error, Result, Span};

/// The order of a ranking: ties by scene.
pub(super) fn best_first(a: &ScoredScene, b: &ScoredScene) -> Ordering {
    b.score.total_cmp(&a.score).then(a.scene.cmp(&b.scene))
}

/// Keyframes of a shot that lie in the scene, else the one nearest to it.
pub(super) fn of_scene(keyframes: Vec<Keyframe>, span: Span) -> Vec<Keyframe> {
    let nearest = keyframes.iter().min_by_key(|k| k.time.micros_since(span.middle()).abs()).cloned();
    let inside: Vec<Keyframe> = keyframes.into_iter().filter(|k| span.contains(k.time)).collect();
    if inside.is_empty() { nearest.into_iter().collect() } else { inside }
}

/// The codes of a filter's languages as they are stored, whatever way they were written.
pub(super) fn language_codes(languages: &[String]) -> Result<Vec<String>> {
    let code = |given: &String| {
        normalize_language(given)
            .ok_or_else(|| Error::invalid("languages", format!("`{given}` is no ISO 639 code such as en")))
    };
    languages.iter().map(code).collect()
}

/// A date or time of a filter; nonsense would match nothing in silence.
pub(super) fn date<'a>(field: &'static str, text: &'a str) -> Result<&'a str> {
    let number = |range: std::ops::Range<usize>, allowed: std::ops::RangeInclusive<u32>| {
        let digits = text.get(range).filter(|part| part.bytes().all(|b| b.is_ascii_digit()));
        digits.and_then(|part| part.parse().ok()).is_some_and(|n| allowed.contains(&n))
    };
    let dashes = [4, 7].iter().all(|at| text.as_bytes().get(*at) == Some(&b'-'));
    if dashes && number(0..4, 0..=9999) && number(5..7, 1..=12) && number(8..10, 1..=31) {
        Ok(text)
    } else {
        Err(Error::invalid(field, format!("`{text}` is no RFC 3339 date")))
    }
}

/// The keys of the tags that a filter wants.
pub(super) fn wanted_tags(filter: &Filter) -> Result<Vec<String>> {
    let key = |name: &String| match tag_key(name) {
        key if key.is_empty() => Err(Error::invalid("tags", format!("`{name}` holds no word"))),
        key => Ok(key),
    };
    filter.tags.iter().map(key).collect()
}

/// The name of a unit variant, as JSON writes it.
pub(super) fn variant_name(value: &impl serde::Serialize) -> Result<String> {
    let json = serde_json::to_string(value).map_err(|e| Error::store("writing JSON", e))?;
    Ok(json.trim_matches('"').to_owned())
}

/// Milliseconds from 1970 of a date or time such as `2024-03-01T12:00:00.5+09:00`, UTC where no zone
/// is named; `None` when it is none. The forms are those that SQLite's `julianday` reads.
#[cfg(feature = "postgres")]
pub(super) fn date_ms(text: &str) -> Option<i64> {
    let (date, rest) = text.trim_end().split_at_checked(10)?;
    let [year, month, day] = numbers(date, '-')?;
    if date.len() != 10 || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let days = days_from_civil(year, month, day);
    let rest = rest.trim_start_matches([' ', 'T', 't']);
    if rest.is_empty() {
        return Some(days * 86_400_000);
    }
    let zone_at = rest.find(['Z', 'z', '+', '-']).unwrap_or(rest.len());
    let (clock, zone) = rest.split_at(zone_at);
    let clock = clock.trim_end();
    let (whole, fraction) = clock.split_once('.').unwrap_or((clock, ""));
    let [hour, minute, second] = match whole.len() {
        5 if fraction.is_empty() => {
            let [hour, minute] = numbers(whole, ':')?;
            [hour, minute, 0]
        }
        8 => numbers(whole, ':')?,
        _ => return None,
    };
    if hour > 24 || minute > 59 || second > 59 || !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let ms: i64 = format!("{fraction:0<3}").get(..3)?.parse().ok()?;
    let offset = match zone.chars().next() {
        None => 0,
        Some('Z' | 'z') if zone.len() == 1 => 0,
        Some(sign @ ('+' | '-')) if zone.len() == 6 => {
            let [hours, minutes] = numbers(&zone[1..], ':')?;
            if hours > 14 || minutes > 59 {
                return None;
            }
            if sign == '+' { hours * 60 + minutes } else { -(hours * 60 + minutes) }
        }
        Some(_) => return None,
    };
    Some(days * 86_400_000 + (hour * 3600 + (minute - offset) * 60 + second) * 1000 + ms)
}

#[cfg(feature = "postgres")]
fn numbers<const N: usize>(text: &str, between: char) -> Option<[i64; N]> {
    let parts: Vec<i64> = text
        .split(between)
        .map(|part| part.bytes().all(|b| b.is_ascii_digit()).then(|| part.parse().ok()).flatten())
        .collect::<Option<_>>()?;
    parts.try_into().ok()
}

/// Days from 1970-01-01 in the proleptic Gregorian calendar. A day past the end of its month runs on.
#[cfg(feature = "postgres")]
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    // March begins the year, so that the leap day ends it.
    let (year, month) = if month < 3 { (year - 1, month + 9) } else { (year, month - 3) };
    let before = year * 365 + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    before + (153 * month + 2) / 5 + day - 1 - 719_468
}

#[cfg(all(test, feature = "postgres"))]
mod tests {
    use super::*;

    #[test]
    fn dates_are_read() {
        let day = 86_400_000;
        for (text, ms) in [
            ("1970-01-01", Some(0)),
            ("2000-03-01", Some(11_017 * day)),
            ("2024-02-29T12:00:00Z", Some(19_782 * day + day / 2)),
            ("2024-02-29 12:00", Some(19_782 * day + day / 2)),
            ("2024-02-29T21:00:00.2509+09:00", Some(19_782 * day + day / 2 + 250)),
            ("2023-02-31", Some(19_419 * day)),
            ("0000-03-01", Some(-719_468 * day)),
            ("2024-13-01", None),
            ("2024-02-29T25:00:00", None),
            ("2024-02-29Tnoon", None),
            ("yesterday", None),
            ("가나다라마바", None),
            ("", None),
        ] {
            assert_eq!(date_ms(text), ms, "{text}");
        }
    }

    /// SQLite reads them the same way.
    #[cfg(feature = "sqlite")]
    #[tokio::test]
    async fn dates_are_those_of_sqlite() {
        let pool = sqlx::SqlitePool::connect("sqlite::memory:").await.unwrap();
        for text in [
            "1970-01-01",
            "2024-02-29T12:00:00Z",
            "2024-02-29 12:00",
            "2024-02-29T21:00:00.250+09:00",
            "1904-01-01T00:00:00.000000Z",
            "2023-02-31",
            "2024-13-01",
            "2024-02-29T23:59:59-08:00",
            "noon",
            "2024-02-29T12",
            "2024-2-9",
        ] {
            let ms: Option<i64> =
                sqlx::query_scalar("SELECT CAST(round((julianday(?) - 2440587.5) * 86400000) AS INTEGER)")
                    .bind(text)
                    .fetch_one(&pool)
                    .await
                    .unwrap();
            assert_eq!(date_ms(text), ms, "{text}");
        }
    }
}
