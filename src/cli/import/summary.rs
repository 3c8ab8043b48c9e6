//! Rejected rows, counted by what was wrong with them: read from the file that names them.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::cli::failure::Failure;

/// Kinds of fault that are told apart; all further ones are counted together.
const KINDS_MAX: usize = 100;

/// One kind of fault.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
pub struct Kind {
    /// The column, where one is at fault.
    pub column: Option<String>,
    /// The field; empty for the row as a whole.
    pub field: String,
    /// The reason.
    pub reason: String,
}

/// How many faults of a kind there are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Count {
    /// Faults: in most files as many as rows.
    pub faults: u64,
    /// The column, where one is at fault.
    pub column: Option<String>,
    /// The field; empty for the row as a whole.
    pub field: String,
    /// The reason.
    pub reason: String,
}

/// The kinds of fault in the first bytes of a file of rejects, the most frequent first.
pub fn kinds(path: &Path, bytes: u64) -> Result<Vec<Count>, Failure> {
    if bytes == 0 {
        return Ok(Vec::new());
    }
    let failed = |what: &dyn std::fmt::Display| Failure::failed(format!("{}: {what}", path.display()));
    let file = File::open(path).map_err(|error| failed(&error.kind()))?;
    let (mut counts, mut others) = (BTreeMap::new(), 0);
    for line in BufReader::new(file.take(bytes)).lines() {
        let line = line.map_err(|error| failed(&error.kind()))?;
        let kind: Kind = serde_json::from_str(&line).map_err(|_| failed(&"was changed"))?;
        if counts.len() < KINDS_MAX || counts.contains_key(&kind) {
            *counts.entry(kind).or_insert(0) += 1;
        } else {
            others += 1;
        }
    }
    let count = |(Kind { column, field, reason }, faults)| Count { faults, column, field, reason };
    let mut counts: Vec<Count> = counts.into_iter().map(count).collect();
    counts.sort_by_key(|count| std::cmp::Reverse(count.faults));
    if others > 0 {
        counts.push(Count { faults: others, column: None, field: String::new(), reason: "OTHERS".into() });
    }
    Ok(counts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_counted_by_kind_and_only_as_far_as_the_file_is_of_batches_that_are_done() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("rejected");
        let line = |row: u64, column: &str| {
            let fault = serde_json::json!({ "row": row, "column": column, "field": "f", "reason": "FIELD_INVALID" });
            fault.to_string() + "\n"
        };
        let text = [line(1, "a"), line(2, "b"), line(3, "b")].concat();
        std::fs::write(&path, text.clone() + &line(4, "b") + "{").expect("is written");
        let counted = kinds(&path, text.len() as u64).ok().expect("counts");
        let told: Vec<_> = counted.iter().map(|count| (count.faults, count.column.as_deref())).collect();
        assert_eq!(told, [(2, Some("b")), (1, Some("a"))]);
        assert!(kinds(&path, text.len() as u64 + 1).is_err(), "is no line");
        assert_eq!(kinds(&dir.path().join("none"), 0).ok(), Some(Vec::new()));
        let many: String = (0..2 * KINDS_MAX as u64).map(|row| line(row, &row.to_string())).collect();
        std::fs::write(&path, &many).expect("is written");
        let counted = kinds(&path, many.len() as u64).ok().expect("counts");
        assert_eq!(counted.len(), KINDS_MAX + 1);
        assert_eq!(counted.iter().map(|count| count.faults).sum::<u64>(), 2 * KINDS_MAX as u64);
    }
}
