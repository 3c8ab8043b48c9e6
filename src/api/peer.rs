//! Who is at the other end of a call, and how long it waits.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tonic::metadata::MetadataMap;

use super::limits::CALL_TIME_MAX;
use crate::policy::caller::Caller;

/// The other end of a call. Whoever serves the connection puts one into each request's extensions; a call without it
/// comes from nobody. Cheap to clone.
#[derive(Clone)]
pub struct PeerInfo {
    /// The verified caller with its roles; none if the connection proves no identity.
    pub caller: Option<Arc<Caller>>,
    /// Where the connection comes from. Not to be logged: it belongs into sealed detail only.
    pub address: SocketAddr,
}

/// When a call must be answered: the caller's deadline, or ours if that is earlier or there is none.
pub(super) fn deadline(metadata: &MetadataMap, now: Instant) -> Instant {
    let asked = metadata.get("grpc-timeout").and_then(|value| value.to_str().ok()).and_then(timeout);
    now + asked.map_or(CALL_TIME_MAX, |asked| asked.min(CALL_TIME_MAX))
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
            ("-1S", CALL_TIME_MAX),
            ("+1S", CALL_TIME_MAX),
            ("1s", CALL_TIME_MAX),
            ("000000001S", CALL_TIME_MAX),
        ] {
            let mut metadata = MetadataMap::new();
            metadata.insert("grpc-timeout", text.parse().unwrap());
            assert_eq!(deadline(&metadata, now), now + expected, "{text}");
        }
        assert_eq!(deadline(&MetadataMap::new(), now), now + CALL_TIME_MAX);
    }
}
