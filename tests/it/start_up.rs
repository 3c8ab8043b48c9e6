//! Starting a vault that is meant: outer keys, certificates, and slots of another installation.

use std::fs::{self, Permissions};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use serde_json::Value;

use crate::cli::{Ran, run};
use crate::program::Program;

/// What `lacuna serve` needs, in a folder: certificates of an authority of its own, a passphrase, slots.
pub struct Installation {
    dir: tempfile::TempDir,
    address: String,
    /// Where it serves operations.
    pub ops_address: String,
}

/// A running `lacuna serve`; killed when dropped.
pub struct Serving(Child);

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Installation {
    /// A new one, which has not been started.
    pub fn new() -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        // Both are held until both are known, so that they differ.
        let free = [(), ()].map(|()| TcpListener::bind("127.0.0.1:0").expect("a port"));
        let [address, ops_address] = free.map(|socket| socket.local_addr().expect("an address").to_string());
        let installation = Self { dir, address, ops_address };
        installation.issue_certificates();
        installation.write_private("phrase", "correct horse battery staple\n");
        fs::write(installation.path("catalog.toml"), lacuna::catalog::registry::DEFAULT).expect("written");
        fs::create_dir(installation.path("policies")).expect("made");
        fs::write(installation.path("policies/roles.cedar"), lacuna::policy::policies::DEFAULT).expect("written");
        let binding = |role| format!("[[binding]]\nidentity = \"dns:{role}.example.com\"\nroles = [\"{role}\"]\n");
        let bindings = CLIENTS.map(binding).concat();
        fs::write(installation.path("bindings.toml"), bindings).expect("written");
        let listen = format!(
            "[listen]\naddress = \"{}\"\nops_address = \"{}\"\n",
            installation.address, installation.ops_address
        );
        fs::write(installation.path("lacuna.toml"), format!("{listen}{CONFIG}")).expect("written");
        installation
    }

    /// A file of it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Writes a file that only its owner may read.
    pub fn write_private(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).expect("written");
        fs::set_permissions(self.path(name), Permissions::from_mode(0o600)).expect("mode");
    }

    fn issue_certificates(&self) {
        let key = KeyPair::generate().expect("a key");
        let mut authority = CertificateParams::default();
        authority.distinguished_name.push(DnType::CommonName, "example authority");
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = authority.self_signed(&key).expect("a certificate").pem();
        fs::write(self.path("ca.pem"), pem).expect("written");
        let issuer = Issuer::new(authority, key);
        let clients = CLIENTS.map(|role| (role, format!("{role}.example.com")));
        for (file, name) in [("server", "localhost".to_owned())].into_iter().chain(clients) {
            let key = KeyPair::generate().expect("a key");
            let params = CertificateParams::new([name]).expect("a name");
            let pem = params.signed_by(&key, &issuer).expect("a certificate").pem();
            fs::write(self.path(&format!("{file}.pem")), pem).expect("written");
            self.write_private(&format!("{file}.key"), &key.serialize_pem());
        }
    }

    /// Changes a text in its configuration.
    pub fn change_config(&self, from: &str, to: &str) {
        let text = fs::read_to_string(self.path("lacuna.toml")).expect("is there");
        assert!(text.contains(from));
        fs::write(self.path("lacuna.toml"), text.replace(from, to)).expect("written");
    }

    /// Starts it, and waits until it serves.
    pub fn serve(&self) -> Serving {
        let child = spawn(&["serve", "--config"], &self.path("lacuna.toml"));
        let serving = Serving(child);
        wait_until(|| self.status().code == 0);
        serving
    }

    fn status(&self) -> Ran {
        self.run("operator", &["status"])
    }

    /// Runs a command as one of [`CLIENTS`].
    pub fn run(&self, role: &str, words: &[&str]) -> Ran {
        self.run_with(role, words, &[])
    }

    /// The same, with variables in its environment.
    pub fn run_with(&self, role: &str, words: &[&str], variables: &[(&str, &str)]) -> Ran {
        let file = |name: String| self.path(&name).to_str().expect("UTF-8").to_owned();
        let [ca, cert, key] = ["ca.pem".to_owned(), format!("{role}.pem"), format!("{role}.key")].map(file);
        let options = ["--address", &self.address, "--ca", &ca, "--cert", &cert, "--key", &key];
        run(&[words, &["--server-name", "localhost", "--output", "json"], &options].concat(), "", variables)
    }

    fn refused(&self, words: &str) {
        refuses(&["serve", "--config"], &self.path("lacuna.toml"), words);
    }
}

/// Who has a certificate, named like the one role it is bound to.
const CLIENTS: [&str; 5] = ["operator", "auditor", "monitor", "service", "key-admin"];

const CONFIG: &str = r#"
[tls]
cert = "server.pem"
key = "server.key"
client_ca = "ca.pem"

[store]
dir = "data"

[slots]
list = [{ path = "slot-a" }, { path = "slot-b" }]
accept_grades = ["E0"]

[outer_key]
passphrase_file = "phrase"

[files]
catalog = "catalog.toml"
policies = "policies"
bindings = "bindings.toml"
"#;

fn spawn(arguments: &[&str], path: &Path) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lacuna"));
    command.args(arguments).arg(path).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("the program starts")
}

fn wait_until(mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !holds() {
        assert!(Instant::now() < deadline, "not in time");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Asserts that a start ends by itself, with code 1 and these words.
fn refuses(arguments: &[&str], path: &Path, words: &str) {
    let mut serving = Serving(spawn(arguments, path));
    wait_until(|| serving.0.try_wait().expect("a child").is_some());
    let mut text = String::new();
    std::io::Read::read_to_string(&mut serving.0.stderr.take().expect("is piped"), &mut text).expect("UTF-8");
    let code = serving.0.wait().expect("a child").code();
    assert!(code == Some(1) && text.contains(words), "{text:?} should say {words:?}");
}

#[test]
fn a_vault_served_with_a_passphrase_needs_that_passphrase_at_every_start() {
    let installation = Installation::new();
    let serving = installation.serve();
    let vault = |ran: Ran| serde_json::from_str::<Value>(&ran.out).expect("JSON")["vault_id"].clone();
    let created = vault(installation.status());
    drop(serving);
    assert_eq!(
        vault({
            let _again = installation.serve();
            installation.status()
        }),
        created
    );

    installation.write_private("phrase", "another passphrase\n");
    installation.refused("the outer key is not this vault's: check [outer_key]");
    fs::set_permissions(installation.path("phrase"), Permissions::from_mode(0o644)).expect("mode");
    installation.refused("only its owner may access: run chmod 600");
    fs::remove_file(installation.path("phrase")).expect("removed");
    installation.refused("the file of the outer key is missing: check [outer_key]");
    installation.write_private("outer.key", &"0".repeat(64));
    installation.change_config("passphrase_file = \"phrase\"", "file = \"outer.key\"");
    installation.refused("created with a passphrase, not with a key file; set [outer_key] passphrase_file");

    installation.write_private("phrase", "correct horse battery staple");
    installation.change_config("file = \"outer.key\"", "passphrase_file = \"phrase\"");
    let _serving = installation.serve();
    assert_eq!(vault(installation.status()), created);
}

#[test]
fn serve_refuses_the_certificates_of_dev_and_creates_nothing() {
    let (installation, dev) = (Installation::new(), tempfile::tempdir().expect("a folder"));
    drop(Program::start(dev.path(), ""));
    for file in ["ca.pem", "server.pem", "server.key"] {
        let before = fs::read(installation.path(file)).expect("is there");
        fs::copy(dev.path().join("tls").join(file), installation.path(file)).expect("copied");
        if file != "server.key" {
            installation.refused("holds a throw-away certificate of lacuna dev; use one of your own authority");
        }
        fs::write(installation.path(file), before).expect("written");
    }
    refuses(&["serve", "--config"], &dev.path().join("lacuna.toml"), "throw-away certificate of lacuna dev");
    assert!(!installation.path("data").exists() && !installation.path("slot-a").exists());
}

#[test]
fn serve_refuses_the_issuer_of_dev_and_creates_nothing() {
    let (installation, dev) = (Installation::new(), tempfile::tempdir().expect("a folder"));
    drop(Program::start(dev.path(), ""));
    fs::copy(dev.path().join("end-users/jwks.json"), installation.path("jwks.json")).expect("copied");
    let issuer = "[[end_users]]\nissuer = \"https://dev.lacuna.invalid\"\naudience = \"lacuna-dev\"\n\
                  jwks_file = \"jwks.json\"\n\n[files]";
    installation.change_config("[files]", issuer);
    let words = "holds a throw-away key of lacuna dev; use your own issuer's";
    installation.refused(words);
    assert!(!installation.path("data").exists() && !installation.path("slot-a").exists());

    // Beside keys of one's own it is refused too, also while the vault runs: what is in force stays.
    let own = r#"{"keys":[{"kty":"OKP","crv":"Ed25519","alg":"EdDSA","kid":"own",
                  "x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;
    let both = fs::read_to_string(installation.path("jwks.json")).expect("is there").replacen(
        "{\"keys\":[",
        &format!("{},", own.trim_end_matches("]}")),
        1,
    );
    fs::write(installation.path("jwks.json"), &both).expect("written");
    installation.refused(words);
    fs::write(installation.path("jwks.json"), own).expect("written");
    let _serving = installation.serve();
}

#[test]
fn serve_refuses_the_store_the_slots_and_the_outer_key_of_dev() {
    let (installation, dev) = (Installation::new(), tempfile::tempdir().expect("a folder"));
    drop(Program::start(dev.path(), ""));
    // Everything of the throw-away vault, under certificates that are in order.
    let parts = [("data", "data"), ("slot-a", "slots/a"), ("slot-b", "slots/b"), ("outer.key", "outer.key")];
    for (ours, theirs) in parts {
        installation.change_config(&format!("\"{ours}\""), &format!("\"{}\"", dev.path().join(theirs).display()));
        if ours == "slot-b" {
            installation.change_config("passphrase_file = \"phrase\"", "file = \"outer.key\"");
        }
    }
    let before = fs::read(dev.path().join("slots/a")).expect("a slot");
    installation.refused("is a throw-away vault of lacuna dev");
    assert_eq!(fs::read(dev.path().join("slots/a")).expect("a slot"), before);
    drop(Program::start(dev.path(), ""));

    // Its slots without its store belong to another vault.
    installation.change_config(&dev.path().join("data").display().to_string(), "data");
    installation.refused("the store is empty: if this vault is not new, its store is elsewhere");
}

fn log_size(dir: &Path) -> u64 {
    let status = run(&["status", "--output", "json", "--dev", dir.to_str().expect("UTF-8")], "", &[]);
    let status: Value = serde_json::from_str(&status.out).expect("JSON");
    status["log"]["entry_count"].as_str().and_then(|count| count.parse().ok()).expect("a count")
}

#[test]
fn slots_of_another_installation_are_taken_over_by_name_with_an_entry_in_the_log() {
    let dir = tempfile::tempdir().expect("a folder");
    let config = dir.path().join("lacuna.toml");
    let take_over = ["slot", "take-over", "--config", config.to_str().expect("UTF-8")];
    let confirmed = [&take_over[..], &["--yes"]].concat();

    let vault = Program::start(dir.path(), "");
    let before = log_size(dir.path());
    let refused = run(&confirmed, "", &[]);
    assert!(refused.code == 1 && refused.err.contains("stop the vault that runs on it first"), "{}", refused.err);
    drop(vault);
    let ours = run(&confirmed, "", &[]);
    assert!(ours.code == 0 && ours.out.ends_with("\nnothing to take over\n"), "{}{}", ours.out, ours.err);

    fs::remove_file(dir.path().join("data/instance")).expect("removed");
    refuses(&["dev", "--dir"], dir.path(), "run lacuna slot take-over --config FILE");
    let asked = run(&take_over, "", &[]);
    assert!(asked.code == 1 && asked.err.contains("nothing was changed"), "{}", asked.err);
    assert_eq!(asked.out.lines().filter(|line| line.starts_with("slt_") && line.ends_with("yes")).count(), 2);
    refuses(&["dev", "--dir"], dir.path(), "needs an explicit take-over");

    // Killed when half of the first slot's header names the new owner: the same command finishes it.
    assert_ne!(run(&confirmed, "", &[("FAILPOINTS", "slot_take_over=return(kill)")]).code, 0);
    let done = run(&confirmed, "", &[]);
    assert!(done.code == 0 && done.out.contains("recorded in the audit log"), "{}{}", done.out, done.err);

    let _vault = Program::start(dir.path(), "");
    // One entry by the take-over that was killed, two by the one that finished, one by the first look at the size.
    assert_eq!(log_size(dir.path()), before + 1 + 2 + 1);
}
