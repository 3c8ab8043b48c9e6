//! Where the figures of a run go: `LACUNA_RELIABILITY` names a file, in which each row of faults has one entry.

use lacuna::base::time::{Clock as _, SystemClock};
use serde_json::{Value, json};

/// Where figures go.
const FILE: &str = "LACUNA_RELIABILITY";

/// Whether this is a run whose figures are kept: `scripts/reliability`.
pub fn are_kept() -> bool {
    std::env::var_os(FILE).is_some()
}

/// Prints a row's figures and, if a file is named, puts them in place of those that the row had there.
pub fn note(row: u64, name: &str, seed: Option<u64>, figures: Value) {
    let (time, seed) = (SystemClock.now().to_string(), seed.map(|seed| seed.to_string()));
    let entry = json!({ "row": row, "name": name, "time": time, "seed": seed, "figures": figures });
    println!("{entry}");
    let Ok(file) = std::env::var(FILE) else { return };
    let text = std::fs::read_to_string(&file).unwrap_or_default();
    let known: Value = serde_json::from_str(&text).unwrap_or_default();
    let mut rows: Vec<Value> = known["rows"].as_array().cloned().unwrap_or_default();
    rows.retain(|other| (&other["row"], &other["name"]) != (&entry["row"], &entry["name"]));
    rows.push(entry);
    rows.sort_by_key(|row| (row["row"].as_u64(), row["name"].to_string()));
    std::fs::write(file, format!("{:#}\n", json!({ "version": 1, "rows": rows }))).expect("is written");
}
