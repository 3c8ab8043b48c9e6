//! The marker of values that may appear in a log line, a metric or an audit leaf.

use std::borrow::Cow;
use std::fmt;

/// A value that holds nothing personal and nothing secret, and may therefore be logged.
///
/// INVARIANT: never implemented for `String`, `&str` or generically. A type earns the marker by construction: a
/// closed list, a number, a random id, or an id from the operator's own registry.
pub trait LogSafe: std::fmt::Display {}

macro_rules! log_safe {
    ($($ty:ty),* $(,)?) => { $(impl LogSafe for $ty {})* };
}

log_safe!(bool, u8, u16, u32, u64, usize, i64);
log_safe!(super::id::VaultId, super::id::InstanceId, super::id::SlotId, super::id::RequestId);
log_safe!(super::id::SubjectId, super::id::ItemId, super::id::ReceiptId, super::id::KeyId, super::id::RotationId);
log_safe!(super::time::Timestamp);

/// Text that may be logged: a constant of the program, or the display of something [`LogSafe`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SafeText(Cow<'static, str>);

impl SafeText {
    /// A word of the program's own.
    pub const fn constant(text: &'static str) -> Self {
        Self(Cow::Borrowed(text))
    }

    /// How a safe value prints.
    pub fn of(value: &impl LogSafe) -> Self {
        Self(Cow::Owned(value.to_string()))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SafeText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl LogSafe for SafeText {}
