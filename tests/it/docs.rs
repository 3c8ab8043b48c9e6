//! Documents whose commands are run: every `$ ` line of a `console` block, with the output that the document shows.
//!
//! What differs from run to run (ids, times, hashes, addresses, numbers) is compared by its kind only. With
//! `LACUNA_WRITE_DOCS=1` the output is written into the document instead.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::LazyLock;

use lacuna::base::time::{Clock as _, SystemClock, Timestamp};
use regex::Regex;

use crate::files::{Fate, between};
use crate::program::Program;

/// A document, to be followed in a folder.
pub struct Document {
    path: PathBuf,
    text: String,
}

/// A command and the output under it, by their lines in the document.
struct Step {
    command: String,
    output: std::ops::Range<usize>,
}

impl Document {
    /// Reads a document of the repository.
    pub fn read(name: &str) -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
        let text = std::fs::read_to_string(&path).expect("a document");
        Self { path, text }
    }

    /// Runs every command in one shell that begins in a folder, and compares what it prints. `replace` turns what the
    /// document names, such as a month, into what there is.
    pub fn follow(&self, folder: &Path, replace: &[(&str, &str)]) {
        let lines: Vec<&str> = self.text.lines().collect();
        let steps = steps(&lines);
        assert!(!steps.is_empty(), "the document has commands");
        let write = std::env::var_os("LACUNA_WRITE_DOCS").is_some();
        let mut shell = Shell::start(folder);
        let mut written: Vec<String> = Vec::new();
        let mut done = 0;
        for step in steps {
            let command = replace.iter().fold(step.command.clone(), |text, (from, to)| text.replace(from, to));
            let printed = shell.run(&command);
            let printed = replace.iter().fold(printed, |text, (from, to)| text.replace(to, from));
            if !write {
                let shown = lines[step.output.clone()].join("\n");
                assert_eq!(kinds(&printed), kinds(&shown), "{}: {}\n{printed}", self.path.display(), step.command);
            }
            written.extend(lines[done..step.output.start].iter().map(|line| (*line).to_owned()));
            written.extend(printed.lines().map(|line| line.trim_end().to_owned()));
            done = step.output.end;
        }
        written.extend(lines[done..].iter().map(|line| (*line).to_owned()));
        if write {
            std::fs::write(&self.path, written.join("\n") + "\n").expect("is written");
        }
    }
}

/// The commands in `console` blocks. A line that ends in a backslash or a bar goes on in the next.
fn steps(lines: &[&str]) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let mut inside = false;
    let mut number = 0;
    while number < lines.len() {
        let line = lines[number];
        match (inside, line.strip_prefix("$ ")) {
            (false, _) => inside = line == "```console",
            (true, Some(command)) => {
                let mut command = command.to_owned();
                while command.ends_with(['\\', '|']) {
                    number += 1;
                    command = format!("{}\n{}", command, lines[number]);
                }
                steps.push(Step { command, output: number + 1..number + 1 });
            }
            (true, None) if line == "```" => inside = false,
            (true, None) => {
                if let Some(step) = steps.last_mut() {
                    step.output.end = number + 1;
                }
            }
        }
        number += 1;
    }
    steps
}

/// A shell in which `lacuna` is the program under test, and `python3` has what the clients need where they are
/// installed.
struct Shell {
    child: Child,
    printed: BufReader<ChildStdout>,
}

/// What no command prints.
const END: &str = "--- end of a command ---";

impl Shell {
    fn start(folder: &Path) -> Self {
        let program = Path::new(env!("CARGO_BIN_EXE_lacuna")).parent().expect("a folder");
        let home = |name: &str| std::env::var(name).unwrap_or_default();
        let cache = std::env::var("XDG_CACHE_HOME").unwrap_or_else(|_| home("HOME") + "/.cache");
        let path = format!("{}:{cache}/lacuna/python/bin:{}", program.display(), home("PATH"));
        let mut child = Command::new("bash")
            .current_dir(folder)
            .env("PATH", path)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("bash runs");
        let printed = BufReader::new(child.stdout.take().expect("is piped"));
        let mut shell = Self { child, printed };
        assert_eq!(shell.run("exec 2>&1"), "");
        shell
    }

    /// What a command prints, on both streams.
    fn run(&mut self, command: &str) -> String {
        let input = self.child.stdin.as_mut().expect("is piped");
        writeln!(input, "{command}\necho '{END}'").expect("the shell runs");
        let mut text = String::new();
        loop {
            let before = text.len();
            assert_ne!(self.printed.read_line(&mut text).expect("UTF-8"), 0, "the shell ended: {text}");
            if text[before..].trim_end() == END {
                text.truncate(before);
                return text;
            }
        }
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A text with everything that differs from run to run replaced by its kind.
fn kinds(text: &str) -> String {
    static KINDS: LazyLock<Vec<(Regex, &str)>> = LazyLock::new(|| {
        [
            (r"\b([a-z]{3})_[a-z2-7]{26}", "${1}_*"),
            (r"[A-Za-z0-9+/]{20,}={0,2}", "*"),
            (r"\b[0-9a-f]{8,}\b", "*"),
            (r"\d+", "0"),
            (r"[-─━═╌]{2,}", "-"),
            (r"[ \t]+", " "),
            (r" *\n", "\n"),
        ]
        .into_iter()
        .map(|(pattern, kind)| (Regex::new(pattern).expect("a pattern"), kind))
        .collect()
    });
    KINDS.iter().fold(text.trim_end().to_owned(), |text, (kind, name)| kind.replace_all(&text, *name).into_owned())
}

#[test]
fn a_document_says_what_its_commands_print() {
    let text = "# A\n```console\n$ echo one \\\n    two\none two\n$ true\n$ echo sub_77777777777777777777777774 7\n\
                sub_aaaaaaaaaaaaaaaaaaaaaaaaaa 12\n```\n";
    let folder = tempfile::tempdir().expect("a folder");
    let document = Document { path: "text".into(), text: text.to_owned() };
    document.follow(folder.path(), &[]);
    assert_ne!(kinds("permitted"), kinds("denied"));
}

/// The month that the document for auditors asks about, and the one after it, as they are now: `2026-03`.
fn this_month_and_next() -> (String, String) {
    let month = |day: i64| Timestamp::from_millis(day * 86_400_000).to_string()[..7].to_owned();
    let today = i64::from(SystemClock.now().day());
    let this = month(today);
    let next = (1..32).map(|days| month(today + days)).find(|month| *month != this);
    (this, next.expect("no month is longer"))
}

#[test]
fn an_auditor_finds_out_who_read_a_passport_and_whether_it_was_allowed() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let vault = Program::start(&folder.join("vault"), "");
    prepare(folder, &vault);
    let (this, next) = this_month_and_next();
    Document::read("docs/auditors.md").follow(folder, &[("2026-03", &this), ("2026-04", &next)]);
    vault.stop();
}

/// A person with a passport, which some have read and some have tried to.
fn prepare(folder: &Path, vault: &Program) {
    let text = |value: &serde_json::Value| value.as_str().expect("a text").to_owned();
    let write = |name: &str, text: &str| std::fs::write(folder.join(name), text).expect("is written");
    write("person.txt", "user-1\n");
    write("log.vkey", &(text(&vault.description()["audit_vkey"]) + "\n"));
    write(
        "person.json",
        r#"{"external_id": "user-1", "items": [{"class": "government_id", "value": {"government_id":
            {"type": "GOVERNMENT_ID_TYPE_PASSPORT", "country_code": "SE", "number": "AA0000001"}}}]}"#,
    );
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    std::os::unix::fs::symlink(examples, folder.join("examples")).expect("a link");
    let mut shell = Shell::start(folder);
    let create = "lacuna subject create --dev vault --purpose service_delivery --value person.json --output json";
    let created: serde_json::Value = serde_json::from_str(&shell.run(create)).expect("JSON");
    let of = format!("--subject {} --item {}", text(&created["subject_id"]), text(&created["items"][0]["item_id"]));
    let read =
        |client: &str, purpose: &str| format!("lacuna item get --dev vault --as {client} --purpose {purpose} {of}");
    let shown = shell.run(&read("kyc", "legal_compliance"));
    assert!(shown.contains("AA0000001"), "{shown}");
    for (client, purpose) in [("support", "service_delivery"), ("service", "improvement")] {
        let refused = shell.run(&read(client, purpose));
        assert!(!refused.contains("AA0000001"), "{refused}");
    }
    // As a vault's operator keeps them elsewhere.
    shell.run("lacuna audit checkpoint --dev vault && until test -e vault/checkpoints/checkpoint; do sleep 0.1; done; cp -r vault/checkpoints kept");
}

#[expect(dead_code, reason = "the samples' own `main` is for those who run them by themselves")]
#[path = "../../examples/calling/main.rs"]
mod calling;

/// A folder with what the guide for services asks for, and a vault in it.
fn at_a_desk() -> (tempfile::TempDir, Program) {
    let folder = tempfile::tempdir().expect("a folder");
    let vault = Program::start(&folder.path().join("vault"), "");
    let repository = Path::new(env!("CARGO_MANIFEST_DIR"));
    for name in ["examples", "proto"] {
        std::os::unix::fs::symlink(repository.join(name), folder.path().join(name)).expect("a link");
    }
    (folder, vault)
}

#[test]
fn the_guide_for_services_leads_to_every_sample_in_python_and_the_same_come_out_in_rust() {
    let (folder, vault) = at_a_desk();
    let folder = folder.path();
    let document = Document::read("docs/calling-services.md");
    document.follow(folder, &[]);
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    for (language, folder) in [("python", examples.clone()), ("rust", examples.join("calling"))] {
        let files = std::fs::read_dir(folder).expect("samples").flatten().map(|entry| entry.path());
        let samples: Vec<String> =
            files.filter(|path| path.is_file()).filter_map(|path| std::fs::read_to_string(path).ok()).collect();
        let begin = format!("```{language}\n");
        let shown = document.text.split(&begin).skip(1).filter_map(|rest| rest.split("```").next());
        let shown: Vec<&str> = shown.collect();
        assert!(!shown.is_empty());
        for part in shown {
            assert!(samples.iter().any(|sample| sample.contains(part)), "is in no sample: {part}");
        }
    }
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    for sample in ["passport", "documents", "events", "people"] {
        let said = runtime.block_on(calling::run(sample, &folder.join("vault/dev.json"))).expect("the sample runs");
        let shown = document.text.split(&format!("examples/{sample}.py vault/dev.json\n")).nth(1).expect("a command");
        let shown: Vec<&str> = shown.lines().take_while(|line| *line != "```" && !line.starts_with("$ ")).collect();
        assert_eq!(kinds(&said.join("\n")), kinds(&shown.join("\n")), "{sample}");
    }
    vault.stop();
}

#[test]
fn the_samples_go_on_after_a_connection_that_was_cut() {
    let (folder, vault) = at_a_desk();
    let folder = folder.path();
    let address = vault.description()["address"].as_str().expect("an address").parse().expect("an address");
    let dev = |fate| {
        let mut dev = vault.description();
        dev["address"] = between(address, fate).into();
        std::fs::write(folder.join("cut.json"), dev.to_string()).expect("is written");
        folder.join("cut.json")
    };
    let mut shell = Shell::start(folder);
    assert_eq!(
        shell.run("python3 -m grpc_tools.protoc -Iproto --python_out=. --grpc_python_out=. proto/lacuna/v1/*.proto"),
        ""
    );
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    for fate in [Fate::Cut { up: 3 << 20, down: usize::MAX }, Fate::Cut { up: usize::MAX, down: 3 << 20 }] {
        dev(fate);
        let said = shell.run("PYTHONPATH=. python3 examples/documents.py cut.json");
        assert!(said.ends_with("read back: 5242889 bytes of application/pdf\n"), "{said}");
        let said = runtime.block_on(calling::run("documents", &dev(fate))).expect("the sample runs");
        assert_eq!(said[1], "read back: 5242889 bytes of application/pdf");
    }
    vault.stop();
}
