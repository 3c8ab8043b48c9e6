//! `lacuna item upload` and `item download`: whole files or none, and from where it was after whatever came between.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use crate::cli::{Ran, run};
use crate::documents::pdf;
use crate::program::blocking;
use crate::vault::TestVault;

const PIECE: usize = 1 << 20;

/// What a connection meets on its way.
#[derive(Clone, Copy)]
pub enum Fate {
    /// Cut off after so many bytes to the vault, or from it.
    Cut { up: usize, down: usize },
    /// No byte more after so many.
    Stall { up: usize, down: usize },
}

const NEVER: usize = usize::MAX;

/// Something between a command and a vault. The first connection meets its fate, all others pass.
pub fn between(vault: SocketAddr, fate: Fate) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("binds");
    let address = listener.local_addr().expect("has an address").to_string();
    std::thread::spawn(move || {
        let mut fate = Some(fate);
        for client in listener.incoming().flatten() {
            let Ok(server) = TcpStream::connect(vault) else { continue };
            let (up, down, cut) = match fate.take() {
                Some(Fate::Cut { up, down }) => (up, down, true),
                Some(Fate::Stall { up, down }) => (up, down, false),
                None => (NEVER, NEVER, true),
            };
            let (from, to) = (client.try_clone().expect("is copied"), server.try_clone().expect("is copied"));
            std::thread::spawn(move || pass(from, to, up, cut));
            std::thread::spawn(move || pass(server, client, down, cut));
        }
    });
    address
}

fn pass(mut from: TcpStream, mut to: TcpStream, mut left: usize, cut: bool) {
    let mut buffer = vec![0; 16 << 10];
    while left > 0 {
        let room = left.min(buffer.len());
        let Ok(len @ 1..) = from.read(&mut buffer[..room]) else { break };
        if to.write_all(&buffer[..len]).is_err() {
            break;
        }
        left = left.saturating_sub(len);
    }
    if left == 0 && !cut {
        std::thread::sleep(Duration::from_secs(600)); // longer than any test
    }
    let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
}

/// A vault with a person, and a folder with a scan.
struct Desk {
    vault: TestVault,
    subject: String,
    folder: TempDir,
    content: Vec<u8>,
}

impl Desk {
    async fn new(bytes: usize) -> Self {
        let vault = TestVault::start();
        let subject = vault.create(&[]).await.subject_id;
        let (folder, content) = (tempfile::tempdir().expect("a folder"), pdf(&vault, bytes));
        std::fs::write(folder.path().join("scan.pdf"), &content).expect("is written");
        Self { vault, subject, folder, content }
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().expect("UTF-8").to_owned()
    }

    fn exists(&self, name: &str) -> bool {
        self.folder.path().join(name).exists()
    }

    /// The vault's own address.
    fn address(&self) -> SocketAddr {
        let address = self.vault.program().description()["address"].as_str().expect("an address").to_owned();
        address.parse().expect("an address")
    }

    /// The options that lead to the vault, at that address or its own.
    fn to_vault(&self, address: Option<&str>) -> Vec<String> {
        let description = self.vault.program().description();
        let text = |value: &Value| value.as_str().expect("a text").to_owned();
        let client = &description["clients"]["service"];
        let address = address.map_or_else(|| text(&description["address"]), str::to_owned);
        let mut options: Vec<String> = vec!["--address".into(), address];
        for (name, value) in [("--ca", &description["ca"]), ("--cert", &client["cert"]), ("--key", &client["key"])] {
            options.extend([name.to_owned(), text(value)]);
        }
        for option in ["--server-name", "localhost", "--purpose", "service_delivery", "--output", "json"] {
            options.push(option.into());
        }
        options
    }

    fn command(&self, address: Option<&str>, arguments: &[&str]) -> Vec<String> {
        let of = ["item", arguments[0], "--subject", self.subject.as_str()];
        let own = of.iter().chain(&arguments[1..]).map(|argument| (*argument).to_owned());
        own.chain(self.to_vault(address)).collect()
    }

    fn run(&self, address: Option<&str>, arguments: &[&str]) -> Ran {
        let command = self.command(address, arguments);
        let command: Vec<&str> = command.iter().map(String::as_str).collect();
        blocking(|| run(&command, "", &[]))
    }

    /// Starts a command and does not wait for it.
    fn start(&self, address: &str, arguments: &[&str]) -> Child {
        let command = self.command(Some(address), arguments);
        let mut program = Command::new(env!("CARGO_BIN_EXE_lacuna"));
        program.args(command).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        program.spawn().expect("the program starts")
    }

    /// Uploads the scan. Its item.
    fn upload(&self, more: &[&str]) -> String {
        let scan = self.path("scan.pdf");
        item_of(&self.run(None, &[&["upload", &scan], more].concat()))
    }

    /// The content of a document, as a download makes it.
    fn download(&self, item: &str) -> Vec<u8> {
        let to = self.path("read back.pdf");
        told(&self.run(None, &["download", "--item", item, "--to", &to, "--force"]));
        std::fs::read(to).expect("is there")
    }

    /// The part of a download in the folder, once it has grown.
    fn part(&self) -> PathBuf {
        wait_until("a part of the document is there", || {
            let entries = std::fs::read_dir(self.folder.path()).expect("a folder").flatten();
            let part = entries.map(|entry| entry.path()).find(|path| path.extension().is_some_and(|end| end == "part"));
            part.filter(|part| std::fs::metadata(part).is_ok_and(|metadata| metadata.len() > 0))
        })
    }
}

fn told(ran: &Ran) -> Value {
    assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{}", ran.out);
    serde_json::from_str(&ran.out).expect("JSON")
}

fn item_of(ran: &Ran) -> String {
    told(ran)["item"]["item_id"].as_str().expect("an id").to_owned()
}

fn kill(mut child: Child) {
    child.kill().expect("it runs");
    child.wait().expect("ends");
}

fn wait_until<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(60);
    blocking(|| {
        loop {
            if let Some(answer) = ask() {
                return answer;
            }
            assert!(Instant::now() < deadline, "waited in vain until {what}");
            std::thread::sleep(Duration::from_millis(10));
        }
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_uploaded_and_downloaded_whole_and_nothing_is_overwritten() {
    let desk = Desk::new(2 * PIECE + 77).await;
    let item = desk.upload(&[]);
    assert!(!desk.exists("scan.pdf.upload"), "nothing is left beside it");
    let here = desk.path("");
    let taken = desk.run(None, &["download", "--item", &item, "--to", &here]);
    assert!(taken.code == 1 && taken.err.contains("--force"), "{}", taken.err);
    std::fs::rename(desk.path("scan.pdf"), desk.path("sent.pdf")).expect("is renamed");
    let got = told(&desk.run(None, &["download", "--item", &item, "--to", &here]));
    assert_eq!(
        (&got["size_bytes"], &got["bytes_of_earlier_runs"]),
        (&desk.content.len().to_string().into(), &"0".into())
    );
    assert!(std::fs::read(desk.path("scan.pdf")).expect("under its own name") == desk.content);
    let other = desk.path("other.pdf");
    std::fs::write(&other, "another").expect("is written");
    let taken = desk.run(None, &["download", "--item", &item, "--to", &other]);
    assert!(taken.code == 1 && taken.err.contains("is there already"), "{}", taken.err);
    assert_eq!(std::fs::read(&other).expect("is there"), b"another");
    told(&desk.run(None, &["download", "--item", &item, "--to", &other, "--force"]));
    assert!(std::fs::read(&other).expect("is there") == desk.content);
    assert_eq!(std::fs::read_dir(&here).expect("a folder").count(), 3, "and no part of anything");
    let renewed = desk.run(None, &["upload", &desk.path("sent.pdf"), "--item", &item, "--unnamed"]);
    assert_eq!((item_of(&renewed), &told(&renewed)["item"]["version"]), (item, &"2".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_no_vault_takes_are_refused_with_what_to_do() {
    let desk = Desk::new(1000).await;
    let file = |name: &str, bytes: u64, head: &[u8]| {
        let mut file = std::fs::File::create(desk.path(name)).expect("is made");
        file.write_all(head).expect("is written");
        file.set_len(bytes).expect("is sparse");
        desk.path(name)
    };
    let (empty, large) = (file("empty.pdf", 0, b""), file("large.pdf", (64 << 20) + 1, b"%PDF-1.7\n"));
    let (text, exe) = (file("notes.txt", 5, b"notes"), file("a.pdf", 9, b"MZ"));
    for (arguments, expected) in [
        (vec!["upload", &empty], "is empty"),
        (vec!["upload", &large], "64 MiB"),
        (vec!["upload", &text], "application/pdf"),
        (vec!["upload", &exe, "--media-type", "application/pdf"], "MEDIA_TYPE_REFUSED"),
        (vec!["upload", &desk.path("")], "is no file"),
        (vec!["upload", &desk.path("absent.pdf")], "absent.pdf"),
        (vec!["upload", &desk.path("scan.pdf"), "--journal", "/nowhere/x"], "--journal"),
        (vec!["upload", &desk.path("scan.pdf"), "--class", "contact"], "CLASS_MISMATCH"),
        (vec!["download", "--item", "itm_../../x"], "--item"),
    ] {
        let ran = desk.run(None, &arguments);
        assert!(ran.code != 0 && ran.err.contains(expected), "{expected}: {}", ran.err);
    }
    assert!(!desk.exists("a.pdf.upload"), "an upload that will never be leaves no journal");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_is_cut_is_made_again_by_itself() {
    let desk = Desk::new(6 * PIECE).await;
    let cut = between(desk.address(), Fate::Cut { up: 3 * PIECE, down: NEVER });
    let item = item_of(&desk.run(Some(&cut), &["upload", &desk.path("scan.pdf")]));
    assert!(desk.download(&item) == desk.content);
    let cut = between(desk.address(), Fate::Cut { up: NEVER, down: 3 * PIECE });
    let got = told(&desk.run(Some(&cut), &["download", "--item", &item, "--to", &desk.path("got.pdf")]));
    assert_eq!(got["bytes_of_earlier_runs"], "0");
    assert!(std::fs::read(desk.path("got.pdf")).expect("is there") == desk.content);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_goes_on_after_the_vault_and_after_the_command_were_killed() {
    let mut desk = Desk::new(6 * PIECE + 1).await;
    let scan = desk.path("scan.pdf");
    desk.vault.stop();
    desk.vault.run("upload_step=2*off->return(kill)");
    let broken = desk.run(None, &["upload", &scan, "--timeout", "1"]);
    assert!(broken.code == 1 && broken.err.contains("run the same command again"), "{}", broken.err);
    assert!(desk.exists("scan.pdf.upload"));
    desk.vault.wait_for_death();
    desk.vault.run("");
    // Another content, or another statement, is no continuation.
    let mut other = desk.content.clone();
    other[PIECE] ^= 1;
    std::fs::write(&scan, &other).expect("is written");
    let changed = desk.run(None, &["upload", &scan]);
    assert!(changed.code == 1 && changed.err.contains("is not what it was"), "{}", changed.err);
    std::fs::write(&scan, &desk.content).expect("is written");
    let changed = desk.run(None, &["upload", &scan, "--unnamed"]);
    assert!(changed.code == 1 && changed.err.contains("other options"), "{}", changed.err);
    // On the way on the command itself is killed.
    let stalled = between(desk.address(), Fate::Stall { up: PIECE + PIECE / 2, down: NEVER });
    let child = desk.start(&stalled, &["upload", &scan]);
    std::thread::sleep(Duration::from_millis(200));
    kill(child);
    let item = desk.upload(&[]);
    assert!(!desk.exists("scan.pdf.upload"));
    assert!(desk.download(&item) == desk.content);
    let list = desk.run(None, &["list"]);
    assert_eq!(told(&list)["items"].as_array().expect("items").len(), 1, "it is there once");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_is_no_more_is_not_begun_anew_unasked() {
    let desk = Desk::new(4 * PIECE).await;
    let (scan, journal) = (desk.path("scan.pdf"), desk.path("scan.pdf.upload"));
    let stalled = between(desk.address(), Fate::Stall { up: 2 * PIECE, down: NEVER });
    let child = desk.start(&stalled, &["upload", &scan]);
    let noted = wait_until("the upload is noted", || std::fs::read_to_string(&journal).ok().filter(|t| !t.is_empty()));
    kill(child);
    // Finished by a run of which nobody heard the end, and its document deleted since.
    let item = desk.upload(&[]);
    std::fs::write(&journal, &noted).expect("is written");
    assert_eq!(desk.upload(&[]), item, "what was finished is told again");
    std::fs::write(&journal, &noted).expect("is written");
    desk.vault.delete(&desk.subject, &item).await.expect("deletes");
    let ended = desk.run(None, &["upload", &scan]);
    assert!(ended.code == 1 && ended.err.contains("to upload the file anew, remove"), "{}", ended.err);
    assert!(told(&desk.run(None, &["list"]))["items"].is_null(), "nothing came back");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_download_goes_on_after_the_command_was_killed_and_leaves_nothing_of_an_older_version() {
    let desk = Desk::new(6 * PIECE).await;
    let item = desk.upload(&[]);
    let to = desk.path("got.pdf");
    let arguments = ["download", "--item", &item, "--to", &to];
    let interrupted = || {
        let stalled = between(desk.address(), Fate::Stall { up: NEVER, down: 3 * PIECE });
        let child = desk.start(&stalled, &arguments);
        let part = desk.part();
        kill(child);
        part
    };
    let part = interrupted();
    assert!(!Path::new(&to).exists(), "the name holds the whole document or nothing");
    let got = told(&desk.run(None, &arguments));
    assert_ne!(got["bytes_of_earlier_runs"], "0");
    assert!(std::fs::read(&to).expect("is there") == desk.content && !part.exists());
    std::fs::remove_file(&to).expect("is removed");
    let part = interrupted();
    let scan = desk.path("scan.pdf");
    let renewed = [desk.content.clone(), b"more".to_vec()].concat();
    std::fs::write(&scan, &renewed).expect("is written");
    desk.upload(&["--item", &item]);
    let got = told(&desk.run(None, &arguments));
    assert_eq!((&got["version"], &got["bytes_of_earlier_runs"]), (&"2".into(), &"0".into()));
    assert!(std::fs::read(&to).expect("is there") == renewed && !part.exists());
    std::fs::remove_file(&to).expect("is removed");
    // A part that is not what is stored becomes no document.
    let part = interrupted();
    let mut bytes = std::fs::read(&part).expect("is there");
    bytes[0] ^= 1;
    std::fs::write(&part, bytes).expect("is written");
    let damaged = desk.run(None, &arguments);
    assert!(damaged.code == 1 && damaged.err.contains("is not what is stored"), "{}", damaged.err);
    assert!(!Path::new(&to).exists() && !part.exists());
}
