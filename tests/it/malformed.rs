//! Everything that reads bytes (`parsers.rs`): valid input with random damage is read or refused, and nothing panics or
//! takes more memory than its input explains. Short on every change; `scripts/reliability 17` is the long run.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use serde_json::json;

use crate::random::Random;
use crate::{figures, parsers};

/// How much more memory the long run may take at its height than before it, in MiB.
const GROWTH_MIB_MAX: u64 = 256;

/// A sample with a few bytes changed, put in, doubled or cut off.
fn damaged(random: &mut Random, sample: &[u8]) -> Vec<u8> {
    let mut bytes = sample.to_vec();
    for _ in 0..random.below(6) {
        if bytes.is_empty() {
            break;
        }
        let at = random.below(bytes.len());
        match random.below(6) {
            0 => bytes[at] = random.next() as u8,
            1 => bytes.insert(at, random.next() as u8),
            2 => drop(bytes.remove(at)),
            3 => bytes.truncate(at),
            // Lengths and counts are big-endian here and varints in messages: either may become huge.
            4 => (at..bytes.len().min(at + 1 + random.below(8))).for_each(|at| bytes[at] = 0xff),
            _ => {
                let end = at + random.below(bytes.len() - at);
                let part = bytes[at..end].to_vec();
                bytes.splice(at..at, part);
            }
        }
    }
    bytes
}

#[test]
fn malformed_input_is_refused_and_never_panics() {
    let asked = std::env::var("LACUNA_EXECUTIONS").ok().map(|text| text.parse().expect("a number"));
    let (mut random, seed) = Random::seeded();
    let parsers = parsers::all();
    let (mut counts, mut panicked) = (BTreeMap::<&str, u64>::new(), Vec::new());
    let before = peak_mib();
    for round in 0..asked.unwrap_or(1_000) {
        for (at, parser) in parsers.iter().enumerate() {
            if (round + at) % parser.one_in != 0 {
                continue;
            }
            let sample = &parser.samples[random.below(parser.samples.len())];
            let bytes = damaged(&mut random, sample);
            *counts.entry(parser.name).or_default() += 1;
            if catch_unwind(AssertUnwindSafe(|| (parser.read)(&bytes))).is_err() {
                panicked.push((parser.name, bytes));
            }
        }
    }
    let (executions, fewest) = (counts.values().sum::<u64>(), counts.values().min());
    let growth_mib = peak_mib().saturating_sub(before);
    let figures = json!({
        "parsers": parsers.len(), "executions": executions, "fewest of one parser": fewest,
        "crashes": panicked.len(), "growth mib": growth_mib,
    });
    figures::note(17, "damaged input of every parser", Some(seed), figures);
    assert!(panicked.is_empty(), "{panicked:?}");
    // Beside other tests, their memory would be counted too.
    assert!(asked.is_none() || growth_mib <= GROWTH_MIB_MAX, "{growth_mib} MiB");
}

/// The most memory that this process has had, in MiB.
fn peak_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("a status");
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a peak");
    peak.trim().trim_end_matches(" kB").parse::<u64>().expect("kilobytes") / 1024
}
