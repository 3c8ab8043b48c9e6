//! Row 7: bits flip in the store's tables, write-ahead log and manifest, in slots, published checkpoints, the outer key and the
//! installation's name. The vault does not start, or refuses what it cannot read; or the bit made no difference. It never
//! answers anything else, loses nothing without a word, and what it says names the file and no data.
//!
//! `LACUNA_FLIPS` sets how many bits; see `scripts/reliability`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::json;
use tokio::task::JoinSet;

use crate::figures;
use crate::random::Random;
use crate::swaps::observe::{Observed, observe};
use crate::swaps::of_copy;
use crate::swaps::scene::Scene;

/// Bits that the short form flips, each in a vault of its own, and vaults at a time.
const FLIPS: usize = 5;
const AT_A_TIME: usize = 3;

/// Kinds of files, in turn.
const KINDS: [&str; 8] = ["table", "log", "table", "manifest", "slot", "current", "checkpoint", "name"];

/// A bit that flips.
struct Flip {
    kind: &'static str,
    file: PathBuf,
    at: usize,
    bit: u8,
}

/// What came of it.
enum Came {
    /// It did not start, or refused something.
    Detected,
    /// It answered as before.
    NoDifference,
    /// It answered otherwise, or said too little.
    Silent(Vec<String>),
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flipped_bit_is_found_or_makes_no_difference() {
    let wanted = std::env::var("LACUNA_FLIPS").ok().map(|text| text.parse().expect("a number")).unwrap_or(FLIPS);
    let (mut random, seed) = Random::seeded();
    let mut scene = Scene::set().await;
    // Some of it in tables, and some in the write-ahead log alone.
    scene.now.run("");
    observe(&scene, &scene.now, true).await;
    scene.now.kill();
    let expected = Arc::new(of_copy(&scene, &scene.now, true).await);
    let scene = Arc::new(scene);
    let (mut running, mut outcomes) = (JoinSet::new(), Vec::new());
    for number in 0..wanted {
        let flip = Flip::choose(&scene.now.dir(), KINDS[number % KINDS.len()], &mut random);
        if running.len() == AT_A_TIME {
            outcomes.push(running.join_next().await.expect("runs").expect("holds"));
        }
        running.spawn(flipped(scene.clone(), expected.clone(), flip));
        if outcomes.len() % 100 == 99 {
            eprintln!("{} bits", outcomes.len() + 1);
        }
    }
    outcomes.extend(running.join_all().await);
    let (mut detected, mut silent, mut by_kind) = (0, Vec::new(), BTreeMap::<&str, usize>::new());
    for (flip, came) in &outcomes {
        match came {
            Came::Detected => {
                detected += 1;
                *by_kind.entry(flip.kind).or_default() += 1;
            }
            Came::NoDifference => {}
            Came::Silent(what) => {
                silent.push(format!("{}, bit {} of byte {}: {what:#?}", flip.file.display(), flip.bit, flip.at))
            }
        }
    }
    let figures = json!({
        "flips": outcomes.len(), "detected": detected, "detected_in": by_kind,
        "made_no_difference": outcomes.len() - detected - silent.len(), "silent": silent.len(),
    });
    assert!(silent.is_empty(), "seed {seed}: {figures}\n{}", silent.join("\n"));
    assert!(detected > 0, "seed {seed}: {figures}");
    figures::note(7, "bits flipped in files", Some(seed), figures);
}

impl Flip {
    fn choose(dir: &Path, kind: &'static str, random: &mut Random) -> Self {
        let files = files_of(dir, kind);
        // Larger files have more bits.
        let bytes: usize = files.iter().map(|(_, len)| len).sum();
        let mut at = random.below(bytes);
        for (file, len) in files {
            if at < len {
                return Self { kind, file, at, bit: random.below(8) as u8 };
            }
            at -= len;
        }
        unreachable!("it is below the sum")
    }
}

/// The files of a kind, by their names below the directory, and how many bytes each has.
fn files_of(dir: &Path, kind: &str) -> Vec<(PathBuf, usize)> {
    let (folder, is_such): (&str, fn(&str) -> bool) = match kind {
        "table" => ("data/db", |name| name.ends_with(".sst")),
        "log" => ("data/db", |name| name.ends_with(".log")),
        "manifest" => ("data/db", |name| name.starts_with("MANIFEST-")),
        "current" => ("data/db", |name| name == "CURRENT"),
        "slot" => ("slots", |_| true),
        "checkpoint" => ("checkpoints", |_| true),
        _ => ("data", |name| name == "instance"),
    };
    let mut files: Vec<_> = fs::read_dir(dir.join(folder))
        .expect("a directory")
        .flatten()
        .filter(|entry| entry.path().is_file() && is_such(&entry.file_name().to_string_lossy()))
        .map(|entry| (Path::new(folder).join(entry.file_name()), entry.metadata().expect("a file").len() as usize))
        .collect();
    files.sort();
    assert!(files.iter().any(|(_, len)| *len > 0), "there is no {kind}");
    files
}

async fn flipped(scene: Arc<Scene>, expected: Arc<Observed>, flip: Flip) -> (Flip, Came) {
    let mut vault = scene.now.fork();
    vault.tamper();
    let path = vault.dir().join(&flip.file);
    let mut bytes = fs::read(&path).expect("a file");
    bytes[flip.at] ^= 1 << flip.bit;
    fs::write(&path, bytes).expect("is written");
    if !vault.starts() {
        let said = vault.printed();
        let names_it = names_of(&flip).iter().any(|name| said.contains(name)) && !said.contains("panicked");
        return (flip, if names_it { Came::Detected } else { Came::Silent(vec![format!("it says: {said}")]) });
    }
    let observed = observe(&scene, &vault, true).await;
    let (wrong, refused) = compare(&expected, &observed);
    let said = vault.printed();
    let came = match (wrong.is_empty(), refused) {
        (false, _) => Came::Silent(wrong),
        _ if said.contains("panicked") => Came::Silent(vec![said]),
        (true, 0) => Came::NoDifference,
        (true, _) if names_of(&flip).iter().any(|name| said.contains(name)) => Came::Detected,
        (true, _) => Came::Silent(vec!["the file is not named".to_owned()]),
    };
    (flip, came)
}

/// What must be in what is said, one of it: the name of the file; of a slot, as the vault calls it.
fn names_of(flip: &Flip) -> Vec<String> {
    let name = flip.file.file_name().expect("a name").to_string_lossy().into_owned();
    match flip.kind {
        "slot" => vec![format!("slot {name}")],
        // Another name that is one: the slots belong to somebody else, it seems.
        "name" => vec![format!("data/{name}"), "slot a".to_owned()],
        _ => vec![name],
    }
}

/// What is answered otherwise, or is not there without a word; and how much is refused.
fn compare(expected: &Observed, observed: &Observed) -> (Vec<String>, usize) {
    let (mut wrong, mut refused) = (Vec::new(), 0);
    for (name, right) in expected {
        let of_list = name.split_once(": ").map(|(list, _)| list);
        match (right, observed.get(name)) {
            (Ok(right), Some(Ok(found))) if right == found => {}
            (Ok(_), Some(Err(reason))) if reason != "NOT_FOUND" && reason != "ERASED" => refused += 1,
            // A list that is refused has no members.
            (Ok(_), None) if of_list.is_some_and(|list| matches!(observed.get(list), Some(Err(_)))) => refused += 1,
            (Ok(_), found) => wrong.push(format!("{name}: {found:?}")),
            (Err(_), Some(Ok(_))) => wrong.push(format!("{name}: an answer where there was none")),
            (Err(_), Some(Err(_)) | None) => {}
        }
    }
    let added = observed.iter().filter(|(name, answer)| answer.is_ok() && !expected.contains_key(*name));
    wrong.extend(added.map(|(name, _)| format!("{name}: nothing of the kind was there")));
    (wrong, refused)
}

#[test]
fn the_comparison_finds_what_is_wrong_and_what_is_missing() {
    let observed = |answers: &[(&str, Result<&str, &str>)]| -> Observed {
        let owned = |answer: &Result<&str, &str>| answer.map(str::to_owned).map_err(str::to_owned);
        answers.iter().map(|(name, answer)| ((*name).to_owned(), owned(answer))).collect()
    };
    let expected = observed(&[("a", Ok("1")), ("gone", Err("NOT_FOUND")), ("list", Ok("")), ("list: x", Ok("2"))]);
    for (found, wrong, refused) in [
        (vec![("a", Ok("1")), ("list", Ok("")), ("list: x", Ok("2"))], 0, 0),
        (vec![("a", Err("DATA_CORRUPT")), ("list", Err("STORAGE_FAILED"))], 0, 3),
        (vec![("a", Err("NOT_FOUND")), ("list", Ok("")), ("list: x", Ok("2"))], 1, 0),
        (vec![("a", Ok("1")), ("list", Ok(""))], 1, 0),
        (vec![("a", Ok("2")), ("gone", Ok("3")), ("list", Ok("")), ("list: x", Ok("2")), ("list: y", Ok("2"))], 3, 0),
    ] {
        let (found_wrong, found_refused) = compare(&expected, &observed(&found));
        assert_eq!((found_wrong.len(), found_refused), (wrong, refused), "{found:?}");
    }
}
