//! How long something may be kept.

use std::fmt;
use std::str::FromStr;

use jiff::{Span, Unit};

use crate::base::time::Timestamp;

/// The longest period there is, in years.
const YEARS_MAX: i64 = 200;

/// A calendar period of whole days, weeks, months or years, above nothing and at most 200 years.
#[derive(Clone, Copy, Debug)]
pub struct Period(Span);

/// The text is not a period.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an ISO 8601 duration of whole days, weeks, months or years, such as P18M")]
pub struct Malformed;

impl Period {
    /// The moment at which a period that begins at `from` ends, by the UTC calendar: a month later is the same day of
    /// the next month, or its last one. Past the end of the calendar it is the calendar's end.
    pub fn end_after(self, from: Timestamp) -> Timestamp {
        let end = jiff::Timestamp::from_millisecond(from.as_millis())
            .ok()
            .and_then(|from| from.to_zoned(jiff::tz::TimeZone::UTC).checked_add(self.0).ok());
        let last = jiff::Timestamp::MAX.as_second() * 1000;
        Timestamp::from_millis(end.map_or(last, |end| end.timestamp().as_millisecond()))
    }
}

impl FromStr for Period {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        // ISO 8601 only: the parser would take other spellings too.
        if !text.starts_with('P') || text.contains(['T', 't']) {
            return Err(Malformed);
        }
        let span: Span = text.parse().map_err(|_| Malformed)?;
        let days = span.total((Unit::Day, jiff::civil::date(2000, 1, 1))).map_err(|_| Malformed)?;
        let in_range = days >= 1.0 && days <= (YEARS_MAX * 366) as f64;
        if in_range && !span.is_negative() { Ok(Self(span)) } else { Err(Malformed) }
    }
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn end(period: &str, from: &str) -> String {
        let from: jiff::Timestamp = from.parse().expect("a time");
        let period: Period = period.parse().expect("a period");
        period.end_after(Timestamp::from_millis(from.as_millisecond())).to_string()
    }

    #[test]
    fn periods_end_by_the_calendar() {
        assert_eq!(end("P1Y", "2024-02-29T12:00:00Z"), "2025-02-28T12:00:00.000Z");
        assert_eq!(end("P1M", "2026-01-31T00:00:00Z"), "2026-02-28T00:00:00.000Z");
        assert_eq!(end("P2W3D", "2026-01-01T00:00:00Z"), "2026-01-18T00:00:00.000Z");
        assert_eq!(end("P200Y", "9990-01-01T00:00:00Z"), "9999-12-30T22:00:00.000Z");
    }

    #[test]
    fn only_whole_calendar_units_are_periods() {
        for text in ["P1D", "P18M", "P10Y", "P1Y6M", "P200Y"] {
            assert_eq!(text.parse::<Period>().map(|period| period.to_string()).as_deref(), Ok(text));
        }
        for text in ["", "P", "1y", "P0D", "-P1Y", "P-1Y", "PT36H", "P1DT1H", "P201Y", "P1.5Y", "1 year", "p1y", "P1Y "]
        {
            assert_eq!(text.parse::<Period>().err(), Some(Malformed), "{text:?}");
        }
    }
}
