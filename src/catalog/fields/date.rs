//! Calendar dates, whole or in part.

use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::catalog::validate::Reason;

/// A date of the Gregorian calendar. A part that is 0 is not given.
#[derive(Default, Zeroize, ZeroizeOnDrop)]
pub struct Date {
    /// 1 to 9999, or 0.
    pub year: i32,
    /// 1 to 12, or 0.
    pub month: i32,
    /// 1 to 31, a day that exists, or 0.
    pub day: i32,
}

impl Date {
    /// A date from its parts, not checked.
    pub fn new(year: i32, month: i32, day: i32) -> Self {
        Self { year, month, day }
    }

    /// A second copy, wiped on its own.
    pub fn duplicate(&self) -> Self {
        Self::new(self.year, self.month, self.day)
    }

    /// Checks a date that needs all its parts.
    pub fn check_full(&self) -> Result<(), Reason> {
        if [self.year, self.month, self.day].contains(&0) {
            return Err(Reason::Malformed);
        }
        if exists(self.year, self.month, self.day) { Ok(()) } else { Err(Reason::OutOfRange) }
    }

    /// Checks a date of birth: whole, without its year, or a year alone.
    pub fn check_birth(&self) -> Result<(), Reason> {
        let exists = match (self.year, self.month, self.day) {
            (0, 0, 0) => return Err(Reason::Malformed),
            (year, 0, 0) => exists(year, 1, 1),
            (_, 0, _) | (_, _, 0) => return Err(Reason::Malformed),
            (0, month, day) => exists(2000, month, day), // a leap year, since 29 February is a birthday
            (year, month, day) => exists(year, month, day),
        };
        if exists { Ok(()) } else { Err(Reason::OutOfRange) }
    }

    /// Whether this date lies before the other; both are whole.
    pub fn is_before(&self, other: &Self) -> bool {
        (self.year, self.month, self.day) < (other.year, other.month, other.day)
    }
}

fn exists(year: i32, month: i32, day: i32) -> bool {
    let part = |value: i32| i8::try_from(value).ok();
    let (Ok(year), Some(month), Some(day)) = (i16::try_from(year), part(month), part(day)) else {
        return false;
    };
    year >= 1 && jiff::civil::Date::new(year, month, day).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_dates_must_exist() {
        for (y, m, d) in [(2024, 2, 29), (1, 1, 1), (9999, 12, 31), (1999, 4, 30)] {
            assert_eq!(Date::new(y, m, d).check_full(), Ok(()), "{y}-{m}-{d}");
        }
        for (y, m, d) in [
            (2023, 2, 29),
            (2024, 2, 30),
            (1900, 2, 29),
            (2024, 4, 31),
            (2024, 13, 1),
            (2024, 1, 32),
            (10_000, 1, 1),
            (-1, 1, 1),
            (2024, -1, 1),
            (i32::MAX, 1, 1),
            (2024, 257, 1),
        ] {
            assert_eq!(Date::new(y, m, d).check_full(), Err(Reason::OutOfRange), "{y}-{m}-{d}");
        }
        for (y, m, d) in [(0, 0, 0), (2024, 0, 0), (2024, 1, 0), (0, 1, 1)] {
            assert_eq!(Date::new(y, m, d).check_full(), Err(Reason::Malformed), "{y}-{m}-{d}");
        }
    }

    #[test]
    fn dates_of_birth_may_lack_their_year_or_be_a_year_alone() {
        for (y, m, d) in [(1980, 5, 17), (0, 2, 29), (1951, 0, 0), (0, 12, 31)] {
            assert_eq!(Date::new(y, m, d).check_birth(), Ok(()), "{y}-{m}-{d}");
        }
        for (y, m, d, reason) in [
            (0, 0, 0, Reason::Malformed),
            (1980, 5, 0, Reason::Malformed),
            (1980, 0, 17, Reason::Malformed),
            (0, 5, 0, Reason::Malformed),
            (0, 2, 30, Reason::OutOfRange),
            (1981, 2, 29, Reason::OutOfRange),
            (-5, 0, 0, Reason::OutOfRange),
            (10_000, 0, 0, Reason::OutOfRange),
        ] {
            assert_eq!(Date::new(y, m, d).check_birth(), Err(reason), "{y}-{m}-{d}");
        }
    }
}
