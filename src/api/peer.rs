//! Who is at the other end of a call, and how long it waits.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tonic::Extensions;
use tonic::codegen::http::HeaderMap;
use tonic::metadata::MetadataMap;

use crate::base::limits::CALL_TIME_MAX;
use crate::policy::caller::Caller;

/// The other end of a call. Whoever serves the connection puts one into each request's extensions; a call without it
/// comes from nobody. Cheap to clone.
#[derive(Clone)]
pub struct PeerInfo {
    /// The verified caller with its roles; none if the connection proves no identity.
    pub caller: Option<Arc<Caller>>,
    /// Where the connection comes from. Not to be logged: it belongs into sealed detail only.
    pub address: Arc<str>,
}

/// When a call must be answered. Whoever serves the connection puts one into each request's extensions, and ends the
/// call then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deadline(pub Instant);

impl Deadline {
    /// The caller's deadline, or ours if that is earlier or there is none.
    pub fn of(headers: &HeaderMap, now: Instant, time_max: Duration) -> Self {
        let asked = headers.get("grpc-timeout").and_then(|value| value.to_str().ok()).and_then(timeout);
        Self(now + asked.map_or(time_max, |asked| asked.min(time_max)))
    }
}

/// When this call must be answered, whoever serves it.
pub(super) fn deadline(metadata: &MetadataMap, extensions: &Extensions) -> Instant {
    let unserved = || Deadline::of(metadata.as_ref(), Instant::now(), CALL_TIME_MAX);
    extensions.get().copied().unwrap_or_else(unserved).0
}

/// A `grpc-timeout`: one to eight digits and a unit (gRPC over HTTP/2, "Requests"). What is malformed is ignored, so
/// that our own limit applies.
fn timeout(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if !(1..=8).contains(&digits.len()) || !digits.bytes().all(|c| c.is_ascii_digit()) {
        return None;
    }
    let count: u64 = digits.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_secs(count * 3600)),
        "M" => Some(Duration::from_secs(count * 60)),
        "S" => Some(Duration::from_secs(count)),
        "m" => Some(Duration::from_millis(count)),
        "u" => Some(Duration::from_micros(count)),
        "n" => Some(Duration::from_nanos(count)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_is_the_callers_if_it_is_earlier() {
        let now = Instant::now();
        for (text, expected) in [
            ("99999999H", CALL_TIME_MAX),
            ("1M", Duration::from_secs(60)),
            ("3S", Duration::from_secs(3)),
            ("250m", Duration::from_millis(250)),
            ("7u", Duration::from_micros(7)),
            ("0n", Duration::ZERO),
            ("", CALL_TIME_MAX),
            ("S", CALL_TIME_MAX),
            ("1", CALL_TIME_MAX),
            ("1 S", CALL_TIME_MAX),
            ("-1S", CALL_TIME_MAX),
            ("+1S", CALL_TIME_MAX),
            ("1s", CALL_TIME_MAX),
            ("000000001S", CALL_TIME_MAX),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert("grpc-timeout", text.parse().unwrap());
            assert_eq!(Deadline::of(&headers, now, CALL_TIME_MAX).0, now + expected, "{text}");
        }
        assert_eq!(Deadline::of(&HeaderMap::new(), now, CALL_TIME_MAX).0, now + CALL_TIME_MAX);
    }

    #[test]
    fn the_deadline_that_the_connection_set_is_the_calls() {
        let mut metadata = MetadataMap::new();
        metadata.insert("grpc-timeout", "3S".parse().unwrap());
        let set = Instant::now() + Duration::from_secs(1);
        let mut extensions = Extensions::new();
        extensions.insert(Deadline(set));
        assert_eq!(deadline(&metadata, &extensions), set);
        let unset = deadline(&metadata, &Extensions::new());
        assert!(unset > set && unset <= Instant::now() + Duration::from_secs(3));
    }
}
