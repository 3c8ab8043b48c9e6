//! The figures: one entry each. To add one, add it to [`FIGURES`].

use super::Error;
use super::decision;
use super::drive::{Call, Load};
use super::rounds::Round;

/// A figure to reach.
pub struct Figure {
    /// Its name, for good.
    pub name: &'static str,
    /// The unit of its value.
    pub unit: &'static str,
    /// Which way is better.
    pub better: Better,
    /// What must be reached; none for a figure that others are held against.
    pub floor: Option<f64>,
    /// What we want to reach.
    pub aim: Option<f64>,
    /// How it is measured, in one line.
    pub method: &'static str,
    /// Whether it takes a small and a large vault of its own.
    pub needs_crowds: bool,
    /// Its value in one round. A load that several figures ask for is driven once in a round.
    pub measure: fn(&mut Round<'_>) -> Result<f64, Error>,
}

/// Which way a figure is better.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Better {
    /// The more the better.
    Higher,
    /// The less the better.
    Lower,
}

const GET_8: Load = Load { call: Call::GetItem, callers: 8 };
const PUT_8: Load = Load { call: Call::PutItem, callers: 8 };
const ECHO_64: Load = Load { call: Call::Echo, callers: 64 };
const GET_64: Load = Load { call: Call::GetItem, callers: 64 };
const UNRECORDED_64: Load = Load { call: Call::Unrecorded, callers: 64 };
const ECHO_256: Load = Load { call: Call::Echo, callers: 256 };
const GET_256: Load = Load { call: Call::GetItem, callers: 256 };
const BATCH_16: Load = Load { call: Call::BatchGetItems, callers: 16 };
const LEAST_64: Load = Load { call: Call::Least, callers: 64 };
const LEAST_UNRECORDED_64: Load = Load { call: Call::LeastUnrecorded, callers: 64 };
const LEAST_BATCH_16: Load = Load { call: Call::LeastBatch, callers: 16 };
const PUT_1: Load = Load { call: Call::PutItem, callers: 1 };
const ERASE_1: Load = Load { call: Call::EraseSubject, callers: 1 };
const ERASE_64: Load = Load { call: Call::EraseSubject, callers: 64 };
const EVENTS_4: Load = Load { call: Call::RecordEvents, callers: 4 };
const PUT_64: Load = Load { call: Call::PutItem, callers: 64 };

/// Every figure, in the order of measurement.
pub const FIGURES: &[Figure] = &[
    Figure {
        name: "get_over_echo_64",
        unit: "ratio",
        better: Better::Higher,
        floor: Some(0.50),
        aim: Some(0.65),
        method: "GetItem calls/s over those of the echo, 64 callers",
        needs_crowds: false,
        measure: |round| Ok(round.drive(ECHO_64)?.rate().recip() * round.drive(GET_64)?.rate()),
    },
    Figure {
        name: "get_over_echo_64_cpu",
        unit: "ratio",
        better: Better::Higher,
        floor: Some(0.50),
        aim: Some(0.65),
        method: "server CPU time per call of the echo over that of GetItem, 64 callers",
        needs_crowds: false,
        measure: |round| Ok(round.drive(ECHO_64)?.cpu_us() / round.drive(GET_64)?.cpu_us()),
    },
    Figure {
        name: "get_over_echo_256",
        unit: "ratio",
        better: Better::Higher,
        floor: Some(0.50),
        aim: Some(0.65),
        method: "GetItem calls/s over those of the echo, 256 callers",
        needs_crowds: false,
        measure: |round| Ok(round.drive(ECHO_256)?.rate().recip() * round.drive(GET_256)?.rate()),
    },
    Figure {
        name: "get_over_echo_256_cpu",
        unit: "ratio",
        better: Better::Higher,
        floor: Some(0.50),
        aim: Some(0.65),
        method: "server CPU time per call of the echo over that of GetItem, 256 callers",
        needs_crowds: false,
        measure: |round| Ok(round.drive(ECHO_256)?.cpu_us() / round.drive(GET_256)?.cpu_us()),
    },
    Figure {
        name: "audit_on_over_off",
        unit: "ratio",
        better: Better::Higher,
        floor: Some(0.75),
        aim: Some(0.90),
        method: "GetItem calls/s over those of a server that leaves reads out of its log, 64 callers",
        needs_crowds: false,
        measure: |round| Ok(round.drive(GET_64)?.rate() / round.drive(UNRECORDED_64)?.rate()),
    },
    Figure {
        name: "audit_on_over_off_cpu",
        unit: "ratio",
        better: Better::Higher,
        floor: Some(0.75),
        aim: Some(0.90),
        method: "server CPU time per GetItem without the log over that with it, 64 callers",
        needs_crowds: false,
        measure: |round| Ok(round.drive(UNRECORDED_64)?.cpu_us() / round.drive(GET_64)?.cpu_us()),
    },
    Figure {
        name: "decision_cached_us",
        unit: "us",
        better: Better::Lower,
        floor: Some(0.5),
        aim: Some(0.1),
        method: "putting a question about access together and finding the decision made before, in process",
        needs_crowds: false,
        measure: |_| Ok(decision::cached()?.as_secs_f64() * 1e6),
    },
    Figure {
        name: "get_p99_over_echo_64",
        unit: "ratio",
        better: Better::Lower,
        floor: Some(2.0),
        aim: Some(1.5),
        method: "99th percentile of the time of a GetItem over that of an echo, 64 callers",
        needs_crowds: false,
        measure: |round| Ok(round.drive(GET_64)?.percentile_ms(99) / round.drive(ECHO_64)?.percentile_ms(99)),
    },
    Figure {
        name: "batch100_over_single",
        unit: "ratio",
        better: Better::Higher,
        floor: Some(4.0),
        aim: Some(8.0),
        method: "items/s of BatchGetItems with 100 items of any subjects, 16 callers, over GetItem calls/s, 64 callers",
        needs_crowds: false,
        measure: |round| Ok(round.drive(BATCH_16)?.items_rate() / round.drive(GET_64)?.rate()),
    },
    Figure {
        name: "put_over_get_64",
        unit: "ratio",
        better: Better::Higher,
        floor: Some(0.5),
        aim: Some(0.8),
        method: "PutItem calls/s (durable) over GetItem calls/s, 64 callers",
        needs_crowds: false,
        measure: |round| Ok(round.drive(PUT_64)?.rate() / round.drive(GET_64)?.rate()),
    },
    Figure {
        name: "erase_p50_over_put",
        unit: "ratio",
        better: Better::Lower,
        floor: Some(4.0),
        aim: Some(2.5),
        method: "median time of EraseSubject, two file slots, receipt included, over that of a durable PutItem, one caller",
        needs_crowds: false,
        measure: |round| Ok(round.drive(ERASE_1)?.percentile_ms(50) / round.drive(PUT_1)?.percentile_ms(50)),
    },
    Figure {
        name: "erase_64_over_1",
        unit: "ratio",
        better: Better::Higher,
        floor: Some(10.0),
        aim: Some(30.0),
        method: "EraseSubject calls/s, 64 callers over one",
        needs_crowds: false,
        measure: |round| Ok(round.drive(ERASE_64)?.rate() / round.drive(ERASE_1)?.rate()),
    },
    Figure {
        name: "erase_1m_over_10k",
        unit: "ratio",
        better: Better::Lower,
        floor: Some(1.5),
        aim: Some(1.2),
        method: "median time of EraseSubject in a vault of 1,000,000 people over that in one of 10,000, one caller",
        needs_crowds: true,
        measure: |round| round.erase_among_many(),
    },
    Figure {
        name: "events_over_put",
        unit: "ratio",
        better: Better::Higher,
        floor: None,
        aim: None,
        method: "events/s of RecordEvents in batches of 1,000 of 100 subjects, 4 callers, over PutItem calls/s, 64 callers",
        needs_crowds: false,
        measure: |round| Ok(round.drive(EVENTS_4)?.items_rate() / round.drive(PUT_64)?.rate()),
    },
    Figure {
        name: "import_rows_s",
        unit: "ratio",
        better: Better::Higher,
        floor: Some(3.0),
        aim: Some(8.0),
        method: "rows/s of lacuna import, a new subject with a contact each, over PutItem calls/s, 64 callers",
        needs_crowds: false,
        measure: |round| Ok(round.import()? / round.drive(PUT_64)?.rate()),
    },
    Figure {
        name: "import_get_p99_over_idle",
        unit: "ratio",
        better: Better::Lower,
        floor: None,
        aim: None,
        method: "99th percentile of the time of a GetItem, 8 callers, beside an import over that without",
        needs_crowds: false,
        measure: |round| Ok(round.drive_beside_import(GET_8)?.percentile_ms(99) / round.drive(GET_8)?.percentile_ms(99)),
    },
    Figure {
        name: "import_put_p99_over_idle",
        unit: "ratio",
        better: Better::Lower,
        floor: None,
        aim: None,
        method: "the same of PutItem",
        needs_crowds: false,
        measure: |round| Ok(round.drive_beside_import(PUT_8)?.percentile_ms(99) / round.drive(PUT_8)?.percentile_ms(99)),
    },
    Figure {
        name: "documents_upload_mib_s",
        unit: "MiB/s",
        better: Better::Higher,
        floor: None,
        aim: None,
        method: "one upload of 64 MiB in messages of 1 MiB, durable",
        needs_crowds: false,
        measure: |round| Ok(round.document()?.0),
    },
    Figure {
        name: "documents_download_mib_s",
        unit: "MiB/s",
        better: Better::Higher,
        floor: None,
        aim: None,
        method: "one download of it",
        needs_crowds: false,
        measure: |round| Ok(round.document()?.1),
    },
    Figure {
        name: "documents_get_p99_over_idle",
        unit: "ratio",
        better: Better::Lower,
        floor: Some(2.0),
        aim: None,
        method: "99th percentile of the time of a GetItem, 8 callers, beside 8 uploads over that without",
        needs_crowds: false,
        measure: |round| {
            Ok(round.drive_beside_uploads(GET_8)?.percentile_ms(99) / round.drive(GET_8)?.percentile_ms(99))
        },
    },
    Figure {
        name: "documents_put_p99_over_idle",
        unit: "ratio",
        better: Better::Lower,
        floor: Some(2.0),
        aim: None,
        method: "the same of PutItem",
        needs_crowds: false,
        measure: |round| {
            Ok(round.drive_beside_uploads(PUT_8)?.percentile_ms(99) / round.drive(PUT_8)?.percentile_ms(99))
        },
    },
    Figure {
        name: "documents_memory_mib",
        unit: "MiB",
        better: Better::Lower,
        floor: Some(192.0),
        aim: None,
        method: "by how much the server's memory grows, at the most, with 1, 8, 32, 64 uploads, downloads, stalled ones",
        needs_crowds: false,
        measure: |round| round.document_memory(),
    },
    Figure {
        name: "least_over_echo_64",
        unit: "ratio",
        better: Better::Higher,
        floor: None,
        aim: None,
        method: "calls/s of the least server over those of the echo, 64 callers: what bounds get_over_echo_64",
        needs_crowds: false,
        measure: |round| Ok(round.drive(LEAST_64)?.rate() / round.drive(ECHO_64)?.rate()),
    },
    Figure {
        name: "least_p99_over_echo_64",
        unit: "ratio",
        better: Better::Lower,
        floor: None,
        aim: None,
        method: "the same of the 99th percentile: what bounds get_p99_over_echo_64",
        needs_crowds: false,
        measure: |round| Ok(round.drive(LEAST_64)?.percentile_ms(99) / round.drive(ECHO_64)?.percentile_ms(99)),
    },
    Figure {
        name: "least_on_over_off",
        unit: "ratio",
        better: Better::Higher,
        floor: None,
        aim: None,
        method: "calls/s of the least server with its log over those without: what bounds audit_on_over_off",
        needs_crowds: false,
        measure: |round| Ok(round.drive(LEAST_64)?.rate() / round.drive(LEAST_UNRECORDED_64)?.rate()),
    },
    Figure {
        name: "least_batch100_over_single",
        unit: "ratio",
        better: Better::Higher,
        floor: None,
        aim: None,
        method: "items/s of the least server in batches of 100 over its single calls/s: what bounds batch100_over_single",
        needs_crowds: false,
        measure: |round| Ok(round.drive(LEAST_BATCH_16)?.items_rate() / round.drive(LEAST_64)?.rate()),
    },
    Figure {
        name: "get_over_least_64_cpu",
        unit: "ratio",
        better: Better::Higher,
        floor: None,
        aim: None,
        method: "server CPU time per call of the least server over that of GetItem, 64 callers",
        needs_crowds: false,
        measure: |round| Ok(round.drive(LEAST_64)?.cpu_us() / round.drive(GET_64)?.cpu_us()),
    },
];
