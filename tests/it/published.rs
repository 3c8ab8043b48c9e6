//! The log as strangers get it from a vault that is meant: over TLS, by role, and as checkpoints outside.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::cli::{Ran, run};
use crate::start_up::Installation;

fn export(installation: &Installation, role: &str, folder: &str, more: &[&str]) -> Ran {
    let folder = installation.path(folder);
    let words = ["audit", "export", folder.to_str().expect("UTF-8"), "--ops-address", &installation.ops_address];
    installation.run(role, &[&words, more].concat())
}

fn verify(folder: &Path, more: &[&str]) -> Ran {
    let words = ["audit", "verify", folder.to_str().expect("UTF-8"), "--output", "json"];
    run(&[&words, more].concat(), "", &[])
}

/// The size that a note states.
fn size(note: &Path) -> Option<u64> {
    fs::read_to_string(note).ok()?.lines().nth(1)?.parse().ok()
}

fn soon(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !holds() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn auditors_and_monitors_read_the_log_and_nobody_else() {
    let installation = Installation::new();
    let _serving = installation.serve();
    for role in ["operator", "service"] {
        let refused = export(&installation, role, "none", &[]);
        assert!(refused.code == 1 && refused.err.contains("auditor and monitor only"), "{role}: {}", refused.err);
    }
    let sealed = export(&installation, "monitor", "watched", &[]);
    assert!(sealed.code == 1 && sealed.err.contains("export with --leaves-only"), "{}", sealed.err);
    let leaves = export(&installation, "monitor", "watched", &["--leaves-only"]);
    assert_eq!(leaves.code, 0, "{}", leaves.err);
    let whole = export(&installation, "auditor", "whole", &[]);
    assert_eq!(whole.code, 0, "{}", whole.err);
    assert!(installation.path("whole/details").is_dir() && !installation.path("watched/details").exists());
    let plain = installation.run("auditor", &["audit", "export", "x"]);
    assert!(plain.code == 2 && plain.err.contains("--ops-address is required"), "{}", plain.err);

    // Who read, and who was refused, is in the log: once each, however often they asked.
    let lines = installation.path("log.jsonl");
    let words = ["--format", "jsonl"];
    soon("a checkpoint covers all that was read", || {
        assert_eq!(export(&installation, "auditor", "log.jsonl", &words).code, 0);
        fs::read_to_string(&lines).expect("is written").contains("dns:auditor.example.com")
    });
    let text = fs::read_to_string(lines).expect("is written");
    let entries: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let count = |actor: &str, operation: &str, outcome: &str| {
        let is_it = |entry: &&Value| {
            entry["actor"] == format!("dns:{actor}.example.com")
                && entry["operation"] == operation
                && entry["outcome"] == outcome
        };
        entries.iter().filter(is_it).count()
    };
    assert_eq!(count("operator", "read.checkpoint", "OUTCOME_REFUSED"), 1);
    assert_eq!(count("monitor", "read.checkpoint", "OUTCOME_OK"), 1);
    assert_eq!(count("monitor", "read.tiles", "OUTCOME_OK"), 1);
    assert_eq!(count("monitor", "read.details", "OUTCOME_REFUSED"), 1);
    assert_eq!(count("auditor", "read.checkpoint", "OUTCOME_OK"), 1);
}

#[test]
fn checkpoints_go_outside_and_a_folder_that_fails_is_told() {
    let installation = Installation::new();
    installation
        .change_config("[files]", "[audit]\ncheckpoint_folder = \"outside\"\ncheckpoint_seconds = 1\n\n[files]");
    fs::write(installation.path("outside"), "in the way").expect("written");
    let serving = installation.serve();
    // Calls go on while the folder fails.
    assert_eq!(installation.run("operator", &["status"]).code, 0);
    std::thread::sleep(Duration::from_millis(500));
    fs::remove_file(installation.path("outside")).expect("removed");
    soon("a checkpoint comes outside", || size(&installation.path("outside/checkpoint")).is_some());
    let first = size(&installation.path("outside/checkpoint")).expect("a size");
    assert_eq!(installation.run("operator", &["status"]).code, 0);
    soon("the next one comes", || size(&installation.path("outside/checkpoint")) > Some(first));
    assert_eq!(export(&installation, "auditor", "whole", &[]).code, 0);
    let keys: Value = serde_json::from_str(&installation.run("key-admin", &["key", "list"]).out).expect("JSON");
    drop(serving);
    let key = |place: usize| keys["keys"][place]["verifier_key"].as_str().expect("a key").to_owned();
    let (log_key, receipt_key, outside) = (key(0), key(1), installation.path("outside"));
    let held = ["--checkpoint", outside.to_str().expect("UTF-8")];
    let whole = installation.path("whole");
    let verified = verify(&whole, &[&["--key", &log_key], &held[..]].concat());
    assert_eq!(verified.code, 0, "{}", verified.err);
    let other = verify(&whole, &["--key", &receipt_key]);
    assert!(other.code == 1 && other.err.contains("is no checkpoint of this log"), "{}", other.err);
    assert_eq!(verify(&whole, &["--key", &log_key[1..]]).code, 2, "its number does not fit");

    // Somebody who has the export only changes it: what is outside tells.
    let bundle = fs::read_dir(whole.join("tile/entries/000.p")).expect("a folder").next().expect("one").expect("reads");
    let mut bytes = fs::read(bundle.path()).expect("reads");
    bytes[30] ^= 1;
    fs::write(bundle.path(), bytes).expect("written");
    let found = verify(&whole, &[&["--key", &log_key], &held[..]].concat());
    let told: Value = serde_json::from_str(&found.out).expect("JSON");
    assert_eq!((found.code, &told["verified"], &told["first"]), (1, &false.into(), &0.into()), "{}", found.err);
}
