//! A million people imported, with kills on the way: how fast, and in how much memory. `scripts/reliability import` runs
//! this; `LACUNA_ROWS` sets how many.

use std::fmt::Write as _;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use lacuna::store::keyspace::Space;
use serde_json::{Value, json};

use crate::figures;
use crate::vault::TestVault;

const MAPPING: &str = r#"
    [subject]
    external_id = "user"
    labels = { region = "region" }
    [[item]]
    class = "contact"
    fields = { full_name = "name", "emails[0].address" = "mail", "phones[0].number" = "phone" }
"#;
/// One row in so many has an address that is none.
const FAULTY: u64 = 1_000;
/// What an import may take however long its file is, in MiB.
const CLIENT_MIB_MAX: u64 = 64;
/// What the vault may take, its block cache of 256 MiB included.
const VAULT_MIB_MAX: u64 = 1_024;

#[test]
#[ignore = "takes minutes; scripts/reliability import runs it"]
fn a_million_people_are_imported_across_kills_in_bounded_memory() {
    let rows: u64 = std::env::var("LACUNA_ROWS").map_or(1_000_000, |text| text.parse().expect("a number"));
    let mut vault = TestVault::start();
    vault.stop();
    vault.edit("lacuna.toml", |text| text.replace("level = \"trace\"", "level = \"warn\""));
    vault.run("");
    let files = tempfile::tempdir().expect("a folder");
    let (file, mapping) = (files.path().join("people.csv"), files.path().join("mapping.toml"));
    write_people(&file, rows);
    std::fs::write(&mapping, MAPPING).expect("is written");

    let check = Instant::now();
    let mut checking = start(&file, &mapping, &vault, &["--check"]);
    let check_peak = watch(&mut checking, |_| false).client;
    let checked = check.elapsed();

    let mut peaks = Vec::new();
    // kill -9 of the import, then of both, then to the end.
    for until in [rows * 3 / 10, rows * 5 / 10] {
        let mut child = start(&file, &mapping, &vault, &[]);
        let journal = beside(&file, ".import");
        let seen = watch(&mut child, |_| rows_done(&journal) >= until);
        peaks.push((seen.client, memory_mib(vault.program().id(), "VmRSS")));
        child.kill().expect("is killed");
        child.wait().expect("ends");
    }
    vault.kill();
    vault.run("");
    let server = vault.program().id();
    let (mut samples, began) = (Vec::new(), Instant::now());
    let mut child = start(&file, &mapping, &vault, &[]);
    let seen = watch(&mut child, |_| {
        samples.push(memory_mib(server, "VmRSS"));
        false
    });
    let seconds = began.elapsed().as_secs_f64();
    peaks.push((seen.client, memory_mib(server, "VmHWM")));
    let told: Value = serde_json::from_str(&seen.told).unwrap_or_else(|_| panic!("{}", seen.told));
    let rejected = rows.div_ceil(FAULTY);
    assert_eq!((&told["rows"], &told["stored"]), (&json!(rows), &json!(rows - rejected)));
    assert_eq!(told["faults"][0]["faults"], json!(rejected));
    let here = rows - told["rows_of_earlier_runs"].as_u64().expect("a number");
    assert!(peaks.iter().all(|(client, _)| *client <= CLIENT_MIB_MAX) && check_peak <= CLIENT_MIB_MAX, "{peaks:?}");
    assert!(peaks.iter().all(|(_, server)| *server <= VAULT_MIB_MAX), "{peaks:?}");
    vault.stop();
    let began = Instant::now();
    let report = vault.doctor().expect("it opens");
    let looked = began.elapsed();
    assert_eq!((&report["sound"], &report["counts"]["people"]["all"]), (&json!(true), &json!(rows - rejected)));
    figures::note(
        0,
        "a large import",
        None,
        json!({
            "rows": rows, "check_rows_s": (rows as f64 / checked.as_secs_f64()) as u64, "check_peak_mib": check_peak,
            "rows_s_after_the_kills": (here as f64 / seconds) as u64,
            "import_peak_mib": peaks.iter().map(|(client, _)| *client).max(),
            "vault_mib_at_30_50_and_100_percent": peaks.iter().map(|(_, server)| *server).collect::<Vec<_>>(),
            "doctor_s": looked.as_secs(),
            "vault_mib_by_quarters_of_the_last_part": (1..=4).map(|quarter| samples[(samples.len() * quarter / 4).max(1) - 1]).collect::<Vec<_>>(),
        }),
    );
    vault.tamper(); // once is enough
    let stored = usize::try_from(rows - rejected).expect("fits");
    let store = vault.store();
    let found = [Space::Subject, Space::Item, Space::Index].map(|space| count(&store, space));
    assert_eq!(found, [stored, stored, 3 * stored], "nobody is missing, nobody is there twice");
}

fn write_people(path: &Path, rows: u64) {
    let mut file = BufWriter::new(std::fs::File::create(path).expect("a file"));
    writeln!(file, "user,name,mail,phone,region").expect("is written");
    let mut line = String::new();
    for row in 0..rows {
        line.clear();
        let at = if row % FAULTY == 0 { "" } else { "@mail.example.com" };
        writeln!(
            line,
            "user-{row},Ada Example of Number {row},ada.{row}{at},+1415{:07},eu",
            2_000_000 + row % 7_000_000
        )
        .expect("is text");
        file.write_all(line.as_bytes()).expect("is written");
    }
    file.flush().expect("is written");
}

fn start(file: &Path, mapping: &Path, vault: &TestVault, more: &[&str]) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lacuna"));
    command.arg("import").arg(file).arg("--mapping").arg(mapping).arg("--dev").arg(vault.dir());
    command.args(["--purpose", "service_delivery", "--output", "json"]).args(more);
    command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("the program starts")
}

/// What was seen of a command.
struct Seen {
    /// The most memory, in MiB.
    client: u64,
    /// What it printed.
    told: String,
}

/// Watches a command until it ends or `enough`.
fn watch(child: &mut Child, mut enough: impl FnMut(u64) -> bool) -> Seen {
    let mut client = 0;
    loop {
        client = client.max(memory_mib(child.id(), "VmHWM"));
        if child.try_wait().expect("can be asked").is_some() {
            let told = std::io::read_to_string(child.stdout.take().expect("is piped")).expect("text");
            return Seen { client, told };
        }
        if enough(client) {
            return Seen { client, told: String::new() };
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Rows of the batches that the journal has as done.
fn rows_done(journal: &Path) -> u64 {
    let text = std::fs::read_to_string(journal).unwrap_or_default();
    let last = text.lines().rev().find_map(|line| {
        let line: Value = serde_json::from_str(line).ok()?;
        line["done"]["end"][2].as_u64()
    });
    last.unwrap_or_default()
}

fn memory_mib(process: u32, what: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(what)?.strip_prefix(':'));
    line.and_then(|text| text.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or_default() >> 10
}

/// Rows of a space, without holding them.
fn count(store: &impl lacuna::store::Engine, space: Space) -> usize {
    const STEP: usize = 10_000;
    let (mut from, mut count) = (Vec::new(), 0);
    loop {
        let rows = store.scan(space, &[], &from, STEP).expect("reads");
        count += rows.len();
        match rows.last() {
            Some((key, _)) if rows.len() == STEP => from = [&key[..], &[0]].concat(),
            _ => return count,
        }
    }
}

fn beside(file: &Path, ending: &str) -> PathBuf {
    PathBuf::from(format!("{}{ending}", file.display()))
}
