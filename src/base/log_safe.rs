//! The marker of values that may appear in a log line, a metric or an audit leaf.

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
log_safe!(super::id::SubjectId, super::id::ItemId, super::id::ReceiptId);
log_safe!(super::time::Timestamp);
