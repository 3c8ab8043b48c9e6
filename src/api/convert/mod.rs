//! Messages to domain types and back.
//!
//! Here a message's form is checked: what must be there is there, ids and numbers are known, lists and texts are
//! within the contract's bounds, output-only fields are empty. Whether a value is right is for its class to say, and
//! what it may be used for for the registry. A request is converted whole, so that every fault is named at once.
//!
//! Texts are moved out of messages, not copied. INVARIANT: a fault names a field of the contract and a list index,
//! never a text or a map key that came with the request.

pub mod access;
pub mod approvals;
pub mod audit;
pub mod batch;
pub mod document;
pub mod due;
pub mod events;
pub mod find;
pub mod holds;
pub mod item;
pub mod keys;
pub mod metadata;
pub mod privacy;
pub mod receipts;
pub mod subject;
pub mod system;
pub mod value;

use std::fmt;
use std::str::FromStr;

use super::proto;
use super::proto::well_known;
use crate::base::limits::{NAME_BYTES_MAX, NAMES_MAX, TOKEN_BYTES_MAX};
use crate::base::time::Timestamp;
use crate::catalog::text::Text;
use crate::catalog::view::View;
use crate::gate::refusal::{Fault, FaultReason, Refusal};
use crate::items::model::Wait;

/// A place in a request; written out only when something is wrong there.
#[derive(Clone, Copy)]
pub struct At<'a> {
    parent: Option<&'a At<'a>>,
    name: &'static str,
    index: Option<usize>,
}

impl<'a> At<'a> {
    /// A field of the request.
    pub const fn field(name: &'static str) -> Self {
        Self { parent: None, name, index: None }
    }

    /// A field of what is here.
    pub const fn then(&'a self, name: &'static str) -> At<'a> {
        At { parent: Some(self), name, index: None }
    }

    /// One element of the list that is here.
    pub const fn index(self, index: usize) -> Self {
        Self { index: Some(index), ..self }
    }
}

impl fmt::Display for At<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(parent) = self.parent {
            write!(f, "{parent}.")?;
        }
        f.write_str(self.name)?;
        self.index.map_or(Ok(()), |index| write!(f, "[{index}]"))
    }
}

/// The faults of one request, or of one entry of a batch.
#[derive(Default)]
pub struct Faults(Vec<Fault>);

impl Faults {
    /// Notes a fault.
    pub fn add(&mut self, at: At<'_>, reason: FaultReason) {
        self.0.push(Fault::new(at.to_string(), reason));
    }

    /// What was converted, if nothing was wrong.
    ///
    /// # Errors
    /// Every fault that was noted.
    pub fn finish<T>(self, converted: T) -> Result<T, Refusal> {
        if self.0.is_empty() { Ok(converted) } else { Err(self.into_refusal()) }
    }

    /// The faults as a refusal.
    pub fn into_refusal(self) -> Refusal {
        Refusal::Invalid(self.0)
    }

    /// A text that may be empty, taken over so that it is wiped.
    pub fn text(&mut self, at: At<'_>, text: String, bytes_max: usize) -> Text {
        self.bound(at, text.len(), bytes_max);
        Text::new(text)
    }

    /// A text that is no personal data and may be empty.
    pub fn plain(&mut self, at: At<'_>, text: String, bytes_max: usize) -> String {
        self.bound(at, text.len(), bytes_max);
        text
    }

    /// A list of names, such as classes or field paths.
    pub fn names(&mut self, at: At<'_>, names: Vec<String>) -> Vec<String> {
        self.bound(at, names.len(), NAMES_MAX);
        for (index, name) in names.iter().enumerate().take(NAMES_MAX) {
            self.bound(at.index(index), name.len(), NAME_BYTES_MAX);
            if name.is_empty() {
                self.add(at.index(index), FaultReason::Required);
            }
        }
        names
    }

    /// An etag or a page token: opaque here.
    pub fn token(&mut self, at: At<'_>, token: String) -> String {
        self.plain(at, token, TOKEN_BYTES_MAX)
    }

    /// An id that must be given.
    pub fn id<T: FromStr>(&mut self, at: At<'_>, text: &str) -> Option<T> {
        let id = text.parse().ok();
        if id.is_none() {
            self.add(at, if text.is_empty() { FaultReason::Required } else { FaultReason::IdMalformed });
        }
        id
    }

    /// A number of an enum, or a fault if this release does not know it.
    pub fn choice<T>(&mut self, at: At<'_>, number: i32, choice: impl FnOnce(u8) -> Option<T>) -> Option<T> {
        let choice = u8::try_from(number).ok().and_then(choice);
        if choice.is_none() {
            self.add(at, FaultReason::EnumUnknown);
        }
        choice
    }

    /// The view wanted; none for the highest allowed.
    pub fn view(&mut self, at: At<'_>, number: i32) -> Option<View> {
        match proto::View::try_from(number) {
            Ok(proto::View::Unspecified) => None,
            Ok(proto::View::Exists) => Some(View::Exists),
            Ok(proto::View::Last4) => Some(View::Last4),
            Ok(proto::View::Masked) => Some(View::Masked),
            Ok(proto::View::Plain) => Some(View::Plain),
            Err(_) => {
                self.add(at, FaultReason::EnumUnknown);
                None
            }
        }
    }

    /// When to answer; the method's default where the caller does not say.
    pub fn wait(&mut self, at: At<'_>, number: i32, default: Wait) -> Wait {
        match proto::Wait::try_from(number) {
            Ok(proto::Wait::Unspecified) => default,
            Ok(proto::Wait::Erased) => Wait::Erased,
            Ok(proto::Wait::Logical) => Wait::Logical,
            Err(_) => {
                self.add(at, FaultReason::EnumUnknown);
                default
            }
        }
    }

    /// A point in time, to the millisecond below.
    pub fn time(&mut self, at: At<'_>, time: Option<well_known::Timestamp>) -> Option<Timestamp> {
        let well_known::Timestamp { seconds, nanos } = time?;
        if !(TIME_FIRST..=TIME_LAST).contains(&seconds) || !(0..1_000_000_000).contains(&nanos) {
            self.add(at, FaultReason::Malformed);
            return None;
        }
        Some(Timestamp::from_millis(seconds * 1_000 + i64::from(nanos) / 1_000_000))
    }

    fn bound(&mut self, at: At<'_>, size: usize, size_max: usize) {
        if size > size_max {
            self.add(at, FaultReason::TooLong);
        }
    }
}

/// A text on its way out: the message that is sent holds it as it is.
pub(super) fn clear(text: &Text) -> String {
    text.expose().to_owned()
}

/// The same for a text that nobody else needs any more: a read answers with many.
pub(super) fn moved(text: Text) -> String {
    text.into_exposed()
}

/// A point in time as a message.
pub(super) fn time(time: Timestamp) -> well_known::Timestamp {
    let (seconds, millis) = (time.as_millis().div_euclid(1_000), time.as_millis().rem_euclid(1_000));
    let nanos = i32::try_from(millis * 1_000_000).expect("less than a second in nanoseconds fits");
    well_known::Timestamp { seconds, nanos }
}

/// A view as a message has it.
pub(super) fn view(view: View) -> proto::View {
    match view {
        View::Exists => proto::View::Exists,
        View::Last4 => proto::View::Last4,
        View::Masked => proto::View::Masked,
        View::Plain => proto::View::Plain,
    }
}

/// The seconds of 0001-01-01 and of the end of 9999, the range of a timestamp (google/protobuf/timestamp.proto).
const TIME_FIRST: i64 = -62_135_596_800;
const TIME_LAST: i64 = 253_402_300_799;
