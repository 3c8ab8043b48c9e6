//! The log as strangers get it from a vault that is meant: over TLS, by role, and as checkpoints outside.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use lacuna::base::time::{Clock as _, SystemClock};
use lacuna::server::certs::Authority;
use serde_json::Value;

use crate::cli::{Ran, run};
use crate::https::{Answer, Asked, Https, authority, certificate, config, ok, status};
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

/// Every file below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("reads").path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

#[test]
fn an_export_that_was_cut_short_goes_on_and_counts_nothing_that_is_not_whole() {
    let installation = Installation::new();
    let _serving = installation.serve();
    let keys: Value = serde_json::from_str(&installation.run("key-admin", &["key", "list"]).out).expect("JSON");
    let key = keys["keys"][0]["verifier_key"].as_str().expect("a key").to_owned();
    let (folder, words) = (installation.path("whole"), ["audit", "export"]);
    let options = [folder.to_str().expect("UTF-8"), "--ops-address", &installation.ops_address];
    // Each run is killed when its second file is about to get its name; the next one goes on. The checkpoint comes last.
    let cut = [("FAILPOINTS", "export_file=1*off->return(kill)")];
    for _ in 0..5 {
        assert_ne!(installation.run_with("auditor", &[&words[..], &options].concat(), &cut).code, 0);
        assert!(!folder.join("checkpoint").exists());
        assert!(files(&folder).iter().any(|file| file.extension().is_some_and(|ending| ending == "new")));
    }
    let is_whole = || {
        assert_eq!(export(&installation, "auditor", "whole", &[]).code, 0);
        let verified = verify(&folder, &["--key", &key]);
        assert_eq!(verified.code, 0, "{}", verified.err);
    };
    is_whole();
    assert!(files(&folder).iter().all(|file| file.extension().is_none_or(|ending| ending != "new")));

    // What a crash of the machine could leave of a copy that was not finished: files without all of their content.
    let damages: [fn(Vec<u8>) -> Vec<u8>; 4] = [
        |_| Vec::new(),
        |content| content[..content.len() / 2].to_vec(),
        |content| vec![0; content.len()],
        |content| [content, vec![0; 32]].concat(),
    ];
    for damage in damages {
        // Until the log stands still, so that the same files are wanted again.
        let mut seen = None;
        soon("the log stands still", || {
            is_whole();
            let size = size(&folder.join("checkpoint"));
            std::mem::replace(&mut seen, size) == size
        });
        fs::remove_file(folder.join("checkpoint")).expect("is there");
        let copied = ["tile", "details"].map(|part| files(&folder.join(part))).concat();
        let before: Vec<Vec<u8>> = copied.iter().map(|file| fs::read(file).expect("reads")).collect();
        for (file, content) in copied.iter().zip(&before) {
            fs::write(file, damage(content.clone())).expect("written");
        }
        is_whole();
        if size(&folder.join("checkpoint")) == seen {
            for (file, content) in copied.iter().zip(&before) {
                assert!(fs::read(file).expect("reads") == *content, "{} is as it was", file.display());
            }
        }
    }
}

/// A server of evidence: it keeps what is put.
#[derive(Clone, Default)]
struct Evidence(Arc<Mutex<BTreeMap<String, Vec<u8>>>>);

impl Evidence {
    fn answer(&self, asked: &Asked) -> Answer {
        assert!(asked.named, "a client certificate is shown");
        let mut files = self.0.lock().expect("whole");
        match asked.method.as_str() {
            "PUT" => {
                files.insert(asked.path.clone(), asked.content.clone());
                status("201 Created", "")
            }
            _ => files.get(&asked.path).map_or_else(|| status("404 Not Found", ""), |content| ok(content)),
        }
    }

    fn size(&self) -> Option<u64> {
        let files = self.0.lock().expect("whole");
        let note = String::from_utf8(files.get("/lacuna/checkpoint")?.clone()).ok()?;
        note.lines().nth(1)?.parse().ok()
    }
}

#[test]
fn checkpoints_go_to_a_server_and_one_that_fails_holds_up_nobody() {
    let installation = Installation::new();
    let (ours, theirs) = (authority(&installation.path("evidence-ca.pem")), authority(&installation.path("other.pem")));
    let params = Authority::client_params("vault", SystemClock.now()).expect("a name");
    let client = ours.issue(&params).expect("is issued");
    fs::write(installation.path("evidence.pem"), &client.certificate_pem).expect("written");
    installation.write_private("evidence.key", &client.key_pem);
    let genuine = certificate(&ours);
    let evidence = Evidence::default();
    let site = Https::start(config(&genuine, Some(&ours)), |_| status("503 Later", ""));
    let audit = format!(
        "[audit]\ncheckpoint_url = \"{}\"\ncheckpoint_ca_file = \"evidence-ca.pem\"\n\
         checkpoint_cert = \"evidence.pem\"\ncheckpoint_key = \"evidence.key\"\ncheckpoint_seconds = 1\n\n[files]",
        site.url("/lacuna/")
    );
    installation.change_config("[files]", &audit);
    let _serving = installation.serve();
    let grows = || assert_eq!(installation.run("operator", &["status"]).code, 0, "calls go on");
    let works = || {
        let evidence = evidence.clone();
        site.answer(move |asked| evidence.answer(asked));
    };
    // Each time the log grows, and what is outside follows once the server does as it should.
    let follows = |what: &str| {
        let before = evidence.size();
        soon(what, || {
            grows();
            evidence.size() > before
        });
    };
    soon("it is tried", || !site.asked().is_empty());
    grows();
    assert_eq!(evidence.size(), None);
    works();
    follows("a first one comes");
    follows("the next one comes");
    let kept = evidence.0.lock().expect("whole").clone();
    assert!(kept.keys().filter(|path| path.starts_with("/lacuna/history/20")).count() >= 2, "{:?}", kept.keys());
    assert!(kept.values().any(|note| Some(note) == kept.get("/lacuna/checkpoint")));

    site.answer(|_| Answer::Stuck(Vec::new()));
    let hanging = site.asked().len();
    soon("it hangs", || {
        grows();
        site.asked().len() > hanging
    });
    works();
    follows("it goes on after a server that hung");

    // Somebody else's server gets nothing, and one that shows another log is not written over.
    site.show(config(&certificate(&theirs), None));
    std::thread::sleep(Duration::from_millis(500));
    let asked = site.asked().len();
    grows();
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(site.asked().len(), asked, "a server that the authority does not vouch for is told nothing");
    site.show(config(&genuine, Some(&ours)));
    follows("it goes on with the right server");
    evidence.0.lock().expect("whole").insert("/lacuna/checkpoint".into(), b"somebody's notes\n".to_vec());
    let asked = site.asked().len();
    soon("it is looked at", || {
        grows();
        site.asked().len() > asked
    });
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(evidence.0.lock().expect("whole")["/lacuna/checkpoint"], b"somebody's notes\n");
}
