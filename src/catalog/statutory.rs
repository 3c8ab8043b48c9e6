//! Statutory periods: how long a law demands that items of a class are kept, whatever becomes of their account.

use std::fmt;
use std::sync::Arc;

use jiff::tz::TimeZone;
use serde::Deserialize;

use super::class::ClassId;
use super::period::Period;
use crate::base::log_safe::LogSafe;
use crate::base::time::Timestamp;

/// The id of a statutory period.
///
/// INVARIANT: only a registry makes one, from its own ids, so it holds nothing personal and may be logged.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeriodId(Arc<str>);

impl PeriodId {
    pub(super) fn new(id: &str) -> Self {
        Self(id.into())
    }

    /// As it was stored when a registry had it.
    pub fn stored(id: &str) -> Self {
        Self(id.into())
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for PeriodId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl LogSafe for PeriodId {}

/// From when a period counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum From {
    /// From the creation of the item.
    Created,
    /// From the last change of its value or metadata: of a version, from when it became what it is.
    Updated,
    /// From the erasure of the person. What is deleted or corrected before is not kept by it.
    AccountClosed,
}

/// Where a period begins within the year.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Align {
    /// At the moment it counts from.
    #[default]
    None,
    /// With the end of the calendar year of that moment.
    YearEnd,
}

/// The moments of an item version from which periods count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times {
    /// When the item was created.
    pub created: Timestamp,
    /// When its value or metadata last changed.
    pub updated: Timestamp,
    /// When the person is erased; none while the account goes on.
    pub closed: Option<Timestamp>,
}

/// A statutory period.
#[derive(Clone, Debug)]
pub struct Statutory {
    /// Its id.
    pub id: PeriodId,
    /// The class whose items it keeps.
    pub class: ClassId,
    /// The law, for people.
    pub legal_basis: String,
    /// From when it counts.
    pub from: From,
    /// How long it is.
    pub period: Period,
    /// Where it begins within the year.
    pub align: Align,
}

impl Statutory {
    /// The moment from which it no longer keeps an item version: the end of the UTC day on which the period ends. None
    /// if it does not count for it, or not yet.
    pub fn end(&self, times: &Times) -> Option<Timestamp> {
        let from = match self.from {
            From::Created => times.created,
            From::Updated => times.updated,
            From::AccountClosed => times.closed?,
        };
        let from = match self.align {
            Align::None => from,
            Align::YearEnd => end_of_year(from),
        };
        Some(end_of_day(self.period.end_after(from)))
    }

    /// The same, if that is yet to come.
    pub fn end_after(&self, now: Timestamp, times: &Times) -> Option<Timestamp> {
        self.end(times).filter(|end| *end > now)
    }
}

const DAY_MS: i64 = 86_400_000;

/// The first moment of a day at or after a moment.
fn end_of_day(time: Timestamp) -> Timestamp {
    let days = time.as_millis().div_euclid(DAY_MS) + i64::from(time.as_millis().rem_euclid(DAY_MS) > 0);
    Timestamp::from_millis(days * DAY_MS)
}

/// The first moment of the next UTC year. Past the end of the calendar, the moment itself.
fn end_of_year(time: Timestamp) -> Timestamp {
    let next = jiff::Timestamp::from_millisecond(time.as_millis())
        .ok()
        .and_then(|time| jiff::civil::Date::new(time.to_zoned(TimeZone::UTC).year().checked_add(1)?, 1, 1).ok())
        .and_then(|date| date.to_zoned(TimeZone::UTC).ok());
    next.map_or(time, |next| Timestamp::from_millis(next.timestamp().as_millisecond()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::classes::class_of;

    fn at(text: &str) -> Timestamp {
        Timestamp::from_millis(text.parse::<jiff::Timestamp>().expect("a time").as_millisecond())
    }

    fn end(from: From, period: &str, align: Align, closed: Option<&str>) -> Option<String> {
        let statutory = Statutory {
            id: PeriodId::new("tax"),
            class: class_of("payment").expect("a class").id,
            legal_basis: "a law".into(),
            from,
            period: period.parse().expect("a period"),
            align,
        };
        let times = Times {
            created: at("2024-02-29T23:59:59.999Z"),
            updated: at("2025-12-31T23:59:59.999Z"),
            closed: closed.map(at),
        };
        statutory.end(&times).map(|end| end.to_string()[..16].to_owned())
    }

    #[test]
    fn a_period_ends_with_the_utc_day_on_which_it_ends() {
        for (from, period, align, expected) in [
            (From::Created, "P1D", Align::None, "2024-03-02T00:00"),
            (From::Created, "P90D", Align::None, "2024-05-30T00:00"),
            (From::Created, "P6M", Align::None, "2024-08-30T00:00"),
            (From::Created, "P18M", Align::None, "2025-08-30T00:00"),
            // A leap day, in years that have none.
            (From::Created, "P1Y", Align::None, "2025-03-01T00:00"),
            (From::Created, "P4Y", Align::None, "2028-03-01T00:00"),
            (From::Created, "P10Y", Align::None, "2034-03-01T00:00"),
            // The period begins with the end of the year.
            (From::Created, "P10Y", Align::YearEnd, "2035-01-01T00:00"),
            (From::Created, "P6M", Align::YearEnd, "2025-07-01T00:00"),
            (From::Updated, "P10Y", Align::YearEnd, "2036-01-01T00:00"),
            (From::Updated, "P2M", Align::None, "2026-03-01T00:00"),
        ] {
            assert_eq!(end(from, period, align, None).as_deref(), Some(expected), "{from:?} {period} {align:?}");
        }
    }

    #[test]
    fn a_period_from_the_end_of_the_account_does_not_count_before() {
        assert_eq!(end(From::AccountClosed, "P3Y", Align::YearEnd, None), None);
        let closed = Some("2026-01-01T00:00:00Z");
        assert_eq!(end(From::AccountClosed, "P3Y", Align::None, closed).as_deref(), Some("2029-01-01T00:00"));
        assert_eq!(end(From::AccountClosed, "P3Y", Align::YearEnd, closed).as_deref(), Some("2030-01-01T00:00"));
    }

    #[test]
    fn only_what_is_yet_to_end_keeps() {
        let times = Times { created: at("2024-01-01T00:00:00Z"), updated: at("2024-01-01T00:00:00Z"), closed: None };
        let statutory = Statutory {
            id: PeriodId::new("tax"),
            class: class_of("payment").expect("a class").id,
            legal_basis: "a law".into(),
            from: From::Created,
            period: "P1Y".parse().expect("a period"),
            align: Align::None,
        };
        let end = at("2025-01-01T00:00:00Z");
        assert_eq!(statutory.end_after(at("2024-12-31T23:59:59.999Z"), &times), Some(end));
        assert_eq!(statutory.end_after(end, &times), None);
    }
}
