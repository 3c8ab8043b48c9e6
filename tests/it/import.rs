//! `lacuna import`: everybody once, whatever ends it, and nothing of anybody in the files beside.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use lacuna::store::Engine as _;
use lacuna::store::keyspace::Space;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::cli::{Ran, run};
use crate::vault::TestVault;

const MAPPING: &str = r#"
    [subject]
    external_id = "user"
    labels = { region = "region" }

    [[item]]
    class = "contact"
    fields = { full_name = "name", "emails[0].address" = "mail", "phones[0].number" = "phone" }
    fixed = { "emails[0].primary" = true }
    metadata = { source = "the old register" }

    [[item]]
    class = "payment"
    fields = { token = "token", processor = "processor" }
"#;

/// A file to import, with its mapping, outside the vault's folder.
struct Files {
    dir: TempDir,
    file: PathBuf,
}

impl Files {
    fn new(name: &str, rows: &str, mapping: &str) -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let file = dir.path().join(name);
        std::fs::write(&file, rows).expect("is written");
        std::fs::write(dir.path().join("mapping.toml"), mapping).expect("is written");
        Self { dir, file }
    }

    fn arguments<'a>(&'a self, vault: &'a str, mapping: &'a str) -> Vec<&'a str> {
        let file = self.file.to_str().expect("UTF-8");
        let to = ["--mapping", mapping, "--dev", vault, "--purpose", "service_delivery", "--output", "json"];
        [&["import", file], &to[..]].concat()
    }

    fn import(&self, vault: &TestVault) -> Ran {
        self.import_with(vault, &[])
    }

    fn import_with(&self, vault: &TestVault, more: &[&str]) -> Ran {
        let (dir, mapping) = (vault.dir(), self.dir.path().join("mapping.toml"));
        let arguments = self.arguments(dir.to_str().expect("UTF-8"), mapping.to_str().expect("UTF-8"));
        run(&[&arguments[..], more].concat(), "", &[])
    }

    fn check(&self) -> Ran {
        let mapping = self.dir.path().join("mapping.toml");
        let [file, mapping] = [&self.file, &mapping].map(|path| path.to_str().expect("UTF-8"));
        run(&["import", file, "--mapping", mapping, "--check", "--output", "json"], "", &[])
    }

    fn beside(&self, ending: &str) -> PathBuf {
        PathBuf::from(format!("{}{ending}", self.file.display()))
    }

    fn rejects(&self) -> Vec<Value> {
        self.lines(".rejected.jsonl")
    }

    fn lines(&self, ending: &str) -> Vec<Value> {
        let text = std::fs::read_to_string(self.beside(ending)).unwrap_or_default();
        text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
    }
}

fn summary(ran: &Ran) -> Value {
    let mut told: Value = serde_json::from_str(&ran.out).unwrap_or_else(|_| panic!("{} {}", ran.out, ran.err));
    for name in ["seconds", "rows_per_second"] {
        told.as_object_mut().expect("an object").remove(name);
    }
    told
}

fn rows_of(vault: &mut TestVault) -> [usize; 3] {
    vault.stop();
    let store = vault.store();
    [Space::Subject, Space::Item, Space::Index]
        .map(|space| store.scan(space, &[], &[], usize::MAX).expect("reads").len())
}

#[test]
fn rows_that_cannot_be_stored_are_named_by_number_column_and_reason_and_all_others_are_stored() {
    let mut vault = TestVault::start();
    let (text, name) = (|| vault.canary(), vault.canary());
    let token = vault.canary();
    let rows = [
        format!("{},{name},{}@example.com,+442079460958,{},{token},eu", text(), text(), text()),
        format!("{},{name},{},,,,eu", text(), text()),
        format!(",{name},{}@example.com,,,,eu", text()),
        format!("{},{name},{}@example.com,+442079460958,{},4242 4242 4242 4242,eu", text(), text(), text()),
        format!("{},{name}", text()),
        format!("{},,,,,,", text()),
        format!("{},\"{name}, and {name}\",,,,,us", text()),
    ];
    let table = format!("user,name,mail,phone,processor,token,region\n{}\n", rows.join("\n"));
    let files = Files::new("people.csv", &table, MAPPING);
    let ran = files.import(&vault);
    assert_eq!(ran.code, 1, "{}", ran.err);
    assert!(ran.err.contains("4 rows were not stored"), "{}", ran.err);
    let fault = |column: Value, field: &str, reason: &str| json!({ "faults": 1, "column": column, "field": field, "reason": reason });
    let faults = [
        fault(Value::Null, "", "FIELD_INVALID"),
        fault(json!("mail"), "item.value.contact.emails[0].address", "FIELD_INVALID"),
        fault(json!("token"), "item.value.payment.token", "CARD_NUMBER_REFUSED"),
        fault(json!("user"), "subject.external_id", "FIELD_REQUIRED"),
    ];
    let outcome = |earlier: u64| json!({ "rows": 7, "stored": 3, "rejected": 4, "faults": faults, "rows_of_earlier_runs": earlier });
    assert_eq!(summary(&ran), outcome(0));
    let reject = |row: u64, column: Value, field: &str, reason: &str| json!({ "row": row, "column": column, "field": field, "reason": reason });
    assert_eq!(
        files.rejects(),
        [
            reject(2, json!("mail"), "item.value.contact.emails[0].address", "FIELD_INVALID"),
            reject(3, json!("user"), "subject.external_id", "FIELD_REQUIRED"),
            reject(4, json!("token"), "item.value.payment.token", "CARD_NUMBER_REFUSED"),
            reject(5, Value::Null, "", "FIELD_INVALID"),
        ]
    );
    let written = [".import", ".rejected.jsonl"].map(|ending| std::fs::read(files.beside(ending)).expect("is there"));
    let told = [written.concat(), ran.out.into_bytes(), ran.err.into_bytes()].concat();
    assert!(vault.canaries().search().bytes("beside the file", &told).is_empty());
    assert!(!String::from_utf8_lossy(&told).contains("4242 4242"));
    let again = files.import(&vault);
    assert_eq!(summary(&again), outcome(7));
    assert_eq!(files.rejects().len(), 4);
    // A contact with email and phone, one without, and a payment; an external id each.
    assert_eq!(rows_of(&mut vault), [3, 3, 3 + 2]);
}

#[test]
fn an_import_that_is_killed_goes_on_and_stores_everybody_once() {
    const ROWS: usize = 6_000;
    let mut vault = TestVault::start();
    let row = |n: usize| {
        let mail = if n % 1_000 == 7 { "nobody".into() } else { format!("person-{n}@example.com") };
        json!({ "user": format!("user-{n}"), "name": "Ada", "mail": mail, "region": "eu" }).to_string()
    };
    let rows: Vec<String> = (0..ROWS).map(row).collect();
    let files = Files::new("people.jsonl", &rows.join("\n"), MAPPING);
    for kill_after in [1, 4] {
        let (dir, mapping) = (vault.dir(), files.dir.path().join("mapping.toml"));
        let mut command = Command::new(env!("CARGO_BIN_EXE_lacuna"));
        command.args(files.arguments(dir.to_str().expect("UTF-8"), mapping.to_str().expect("UTF-8")));
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the program starts");
        wait_for_batches(&files.beside(".import"), kill_after);
        child.kill().expect("is killed"); // SIGKILL
        child.wait().expect("ends");
    }
    // The vault is killed as well, and comes back.
    vault.kill();
    vault.run("");
    let ran = files.import(&vault);
    let rejected = ROWS / 1_000;
    let told = summary(&ran);
    assert_eq!((&told["rows"], &told["stored"]), (&json!(ROWS), &json!(ROWS - rejected)), "{}", ran.err);
    let earlier = told["rows_of_earlier_runs"].as_u64().expect("a number");
    assert!(earlier > 0 && earlier < ROWS as u64, "{earlier} rows before the last run");
    let rejects = files.rejects();
    let expected: Vec<u64> = (0..rejected as u64).map(|n| n * 1_000 + 8).collect();
    let mut named: Vec<u64> = rejects.iter().filter_map(|reject| reject["row"].as_u64()).collect();
    named.sort_unstable();
    assert_eq!(named, expected);
    let stored = ROWS - rejected;
    assert_eq!(rows_of(&mut vault), [stored, stored, 2 * stored], "nobody is missing, nobody is there twice");
}

/// Waits until the journal says that so many batches are done.
fn wait_for_batches(journal: &Path, count: usize) {
    let until = Instant::now() + Duration::from_secs(60);
    loop {
        let text = std::fs::read_to_string(journal).unwrap_or_default();
        if text.matches("\"done\"").count() >= count {
            return;
        }
        assert!(Instant::now() < until, "the import does not go on");
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn what_cannot_be_imported_as_it_is_is_said_before_anything_is_sent() {
    let vault = TestVault::start();
    let person = r#"{"user": "x", "name": "Ada"}"#;
    for (name, mapping, says) in [
        ("people.txt", MAPPING, "--format is required"),
        ("people.csv", MAPPING, "has no column user"),
        ("people.jsonl", "", "missing field `subject`"),
        (
            "people.jsonl",
            "[subject]\nexternal_id = \"user\"\n[[item]]\nclass = \"passport\"\nvalue = \"p\"",
            "no class",
        ),
    ] {
        let ran = Files::new(name, person, mapping).import(&vault);
        assert!(ran.code > 0 && ran.err.contains(says), "{says}: {}", ran.err);
    }
    let files = Files::new("people.jsonl", person, MAPPING);
    assert_eq!(files.import(&vault).code, 0);
    // Longer, and as long as before: somebody puts a row right and runs the command again.
    for changed in [format!("{person}\n{person}"), person.replace("Ada", "Eva")] {
        std::fs::write(&files.file, changed).expect("is written");
        let ran = files.import(&vault);
        assert!(ran.code == 1 && ran.err.contains("or the file was changed since"), "{}", ran.err);
    }
    std::fs::write(&files.file, person).expect("is written");
    assert_eq!(files.import(&vault).code, 0, "nothing is left to do");
}

#[test]
fn a_row_is_rejected_with_all_its_faults_and_a_check_finds_the_same_without_a_vault() {
    let mut vault = TestVault::start();
    let canary = vault.canary();
    let rows = [
        // Refused by the vault: several fields of both items.
        format!("{canary}-1,Ada,nobody,not-{canary},p,4242 4242 4242 4242,eu"),
        // Refused before it is sent: what the vault would say is named as well.
        format!(",Ada,nobody,+442079460958,,{canary},eu"),
        format!("{canary}-3,Ada,ada@example.com,+442079460958,p,{canary},eu"),
    ];
    let table = format!("user,name,mail,phone,processor,token,region\n{}\n", rows.join("\n"));
    let files = Files::new("people.csv", &table, MAPPING);
    let reject = |row: u64, column: &str, field: &str, reason: &str| json!({ "row": row, "column": column, "field": field, "reason": reason });
    let expected = [
        reject(1, "mail", "item.value.contact.emails[0].address", "FIELD_INVALID"),
        reject(1, "phone", "item.value.contact.phones[0].number", "FIELD_INVALID"),
        reject(1, "token", "item.value.payment.token", "CARD_NUMBER_REFUSED"),
        reject(2, "user", "subject.external_id", "FIELD_REQUIRED"),
        reject(2, "mail", "item.value.contact.emails[0].address", "FIELD_INVALID"),
        reject(2, "processor", "item.value.payment.processor", "FIELD_REQUIRED"),
    ];
    let checked = files.check();
    assert_eq!((checked.code, files.lines(".faults.jsonl").as_slice()), (1, &expected[..]), "{}", checked.err);
    let told = summary(&checked);
    assert_eq!((&told["sound"], &told["faulty"], &told["rows"]), (&json!(1), &json!(2), &json!(3)));
    assert!(!files.beside(".import").exists() && !files.beside(".rejected.jsonl").exists(), "nothing is begun");
    let ran = files.import(&vault);
    assert_eq!((ran.code, files.rejects().as_slice()), (1, &expected[..]), "{}", ran.err);
    let written = std::fs::read(files.beside(".faults.jsonl")).expect("is there");
    let told = [checked.out, checked.err, ran.out, ran.err].concat().into_bytes();
    assert!(vault.canaries().search().bytes("beside the file", &[written, told].concat()).is_empty());
    assert_eq!(rows_of(&mut vault), [1, 2, 3], "the one sound row");
}

#[test]
fn a_journal_belongs_to_one_vault() {
    let [mut vault, mut other] = [TestVault::start(), TestVault::start()];
    let person = r#"{"user": "x", "name": "Ada"}"#;
    let files = Files::new("people.jsonl", person, MAPPING);
    assert_eq!(files.import(&vault).code, 0);
    let ran = files.import(&other);
    assert!(ran.code == 1 && ran.err.contains("belongs to an import into another vault"), "{}", ran.err);
    let journal = files.beside(".other");
    assert_eq!(files.import_with(&other, &["--journal", journal.to_str().expect("UTF-8")]).code, 0);
    assert_eq!(files.import(&vault).code, 0, "and goes on with its own");
    assert_eq!([rows_of(&mut vault), rows_of(&mut other)], [[1, 1, 1]; 2]);
}

#[test]
fn an_import_that_rejects_too_much_ends_and_goes_on_when_told_to() {
    const ROWS: usize = 3_000;
    let mut vault = TestVault::start();
    let row = |n: usize| {
        let mail = if n.is_multiple_of(2) { "nobody".into() } else { format!("person-{n}@example.com") };
        json!({ "user": format!("user-{n}"), "mail": mail }).to_string()
    };
    let rows: Vec<String> = (0..ROWS).map(row).collect();
    let files = Files::new("people.jsonl", &rows.join("\n"), MAPPING);
    let ran = files.import_with(&vault, &["--rejected-max", "300"]);
    assert!(ran.code == 1 && ran.err.contains("raise --rejected-max"), "{}", ran.err);
    let named = files.rejects().len();
    assert!(named > 300 && named < ROWS / 2, "{named}");
    let told = summary(&files.import(&vault));
    assert_eq!((&told["stored"], &told["rejected"]), (&json!(ROWS / 2), &json!(ROWS / 2)));
    assert_eq!(told["faults"][0]["faults"], json!(ROWS / 2));
    assert_eq!(rows_of(&mut vault), [ROWS / 2, ROWS / 2, ROWS], "nobody is there twice");
}
