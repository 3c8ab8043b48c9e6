//! `TestVault`: the real program on a directory of its own, whose every trace is searched for canaries when it is
//! dropped: its files, what it printed at the most talkative level, its metrics, and the headers and errors that its
//! clients got. Then its store is looked through: it must be sound.

use std::collections::HashMap;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use lacuna::api::proto::privacy_client::PrivacyClient;
use lacuna::api::proto::system_client::SystemClient;
use lacuna::api::proto::vault_client::VaultClient;
use lacuna::base::time::{Clock as _, SystemClock};
use lacuna::server::certs::{Authority, DEV_TRUST_DOMAIN};
use lacuna::server::dev_issuer::make_token;
use lacuna::store::rocks::{RocksEngine, RocksOptions};
use tempfile::TempDir;
use tonic::body::Body;
use tonic::codegen::http::{HeaderMap, HeaderValue, Request, Response};
use tonic::codegen::{BoxFuture, Service};
use tonic::transport::Channel;
use tonic::{Status, Streaming};

use crate::canary::{Canaries, Leak};
use crate::cli::run;
use crate::program::{Program, blocking};

/// A caller whose certificate nobody has bound to a role.
pub const STRANGER: &str = "stranger";
/// A caller who holds the roles `service` and `support`.
pub const SEVERAL: &str = "several";

/// A second certificate of the person behind `key-admin`.
pub const AGAIN: &str = "key-admin-again";
/// A service with the role `key-admin`: no person.
pub const MACHINE: &str = "machine";

/// A vault of one test. Not running after [`TestVault::stop`], [`TestVault::kill`] and [`TestVault::fork`].
pub struct TestVault {
    program: Option<Program>,
    /// Connections to it that are used again, by the name of their certificate.
    steady: Mutex<HashMap<String, Channel>>,
    home: TempDir,
    traces: Arc<Traces>,
    canaries: Arc<Canaries>,
    /// Whether the test has changed its files behind its back.
    tampered: AtomicBool,
}

impl TestVault {
    /// A new vault that runs.
    pub fn start() -> Self {
        Self::start_with(|_| {})
    }

    /// The same, with changes made to the files of its installation.
    pub fn start_with(change: impl FnOnce(&Path)) -> Self {
        let mut vault = Self::in_home(|dir| installation().iter().for_each(|file| file.write(dir)));
        for name in ["slots", "data"] {
            std::fs::create_dir(vault.dir().join(name)).expect("a new directory");
        }
        change(&vault.dir());
        vault.run("");
        vault
    }

    /// A copy of a stopped vault, with the same canaries.
    pub fn fork(&self) -> Self {
        assert!(self.program.is_none(), "only a stopped vault can be copied");
        let mut fork = Self::in_home(|dir| copy(&self.dir(), dir));
        fork.canaries = Arc::new(self.canaries.copy());
        fork.tampered = self.tampered.load(Ordering::Relaxed).into();
        fork
    }

    /// Starts the program, with fail points armed as the text says.
    pub fn run(&mut self, failpoints: &str) {
        drop(self.end());
        self.program = Some(Program::launch(&self.dir(), failpoints, &self.output()));
    }

    /// Starts the program with a fail point that kills it before anybody calls, and waits for that.
    pub fn run_to_death(&mut self, failpoints: &str) {
        Program::spawn(&self.dir(), failpoints, &self.output()).wait_for_death();
    }

    /// Starts the program, which must refuse: what it says.
    pub fn refused(&mut self) -> String {
        let text = Program::refused(&self.dir());
        self.traces.note(text.as_bytes());
        text
    }

    /// Starts the program on a directory that it may refuse. Whether it runs.
    pub fn starts(&mut self) -> bool {
        drop(self.end());
        self.program = Program::try_launch(&self.dir(), &self.output());
        self.program.is_some()
    }

    /// Stops the program as an operator would. Its metrics are looked at before.
    pub fn stop(&mut self) {
        if let Some(program) = self.end() {
            self.traces.note(&program.operations("/metrics"));
            program.stop();
        }
    }

    /// Ends the program as `kill -9` does.
    pub fn kill(&mut self) {
        self.end().expect("runs").kill();
    }

    /// Waits until a fail point has killed the program.
    pub fn wait_for_death(&mut self) {
        self.end().expect("runs").wait_for_death();
    }

    /// The program, to be ended; helpers make new connections to the next.
    fn end(&mut self) -> Option<Program> {
        self.steady.lock().expect("no panic").clear();
        self.program.take()
    }

    /// What the program has printed so far.
    pub fn printed(&self) -> String {
        std::fs::read_to_string(self.output()).unwrap_or_default()
    }

    /// Changes a file of the program's directory.
    pub fn edit(&self, name: &str, edit: impl FnOnce(String) -> String) {
        let path = self.dir().join(name);
        let text = std::fs::read_to_string(&path).expect("a file");
        std::fs::write(path, edit(text)).expect("is written");
    }

    /// The program's own directory.
    pub fn dir(&self) -> PathBuf {
        self.home.path().join("vault")
    }

    /// Says that the test changes its files behind its back, or those of its copies: it need not be sound in the end.
    pub fn tamper(&self) {
        self.tampered.store(true, Ordering::Relaxed);
    }

    /// What `lacuna doctor --deep` says of the store of a stopped vault; none if it does not open.
    pub fn doctor(&self) -> Option<serde_json::Value> {
        assert!(self.program.is_none(), "the program holds the store");
        let config = self.dir().join("lacuna.toml");
        let config = config.to_str().expect("UTF-8");
        let ran = run(&["doctor", "--deep", "--config", config, "--output", "json"], "", &[]);
        self.traces.note(ran.err.as_bytes());
        assert!([0, 1, 3].contains(&ran.code), "{}", ran.err);
        let report: serde_json::Value = serde_json::from_str(&ran.out).ok()?;
        assert_eq!(report["sound"] == true, ran.code == 0, "{report}");
        Some(report)
    }

    /// The running program.
    pub fn program(&self) -> &Program {
        self.program.as_ref().expect("runs")
    }

    /// The store of a stopped vault.
    pub fn store(&self) -> RocksEngine {
        assert!(self.program.is_none(), "the program holds the store");
        RocksEngine::open(&self.dir().join("data/db"), &RocksOptions::default()).expect("a store")
    }

    /// The vault as a role sees it, or as [`STRANGER`] or [`SEVERAL`].
    pub fn client(&self, name: &str) -> VaultClient<Recorded> {
        VaultClient::new(self.service(Some(name)))
    }

    /// What persons may demand, as a role sees it.
    pub fn privacy(&self, name: &str) -> PrivacyClient<Recorded> {
        PrivacyClient::new(self.service(Some(name)))
    }

    /// The machine as a role sees it.
    pub fn system(&self, name: &str) -> SystemClient<Recorded> {
        SystemClient::new(self.service(Some(name)))
    }

    /// The one connection of that name that helpers share: for short calls whose connection does not matter.
    pub fn steady(&self, name: &str) -> Recorded {
        let mut steady = self.steady.lock().expect("no panic");
        let connect = || self.program().endpoint(Some(name)).connect_lazy();
        let channel = steady.entry(name.to_owned()).or_insert_with(connect).clone();
        Recorded { channel, traces: self.traces.clone(), token: None }
    }

    /// A connection with the certificate of that name, or with none; made at the first call.
    pub fn service(&self, name: Option<&str>) -> Recorded {
        Recorded { channel: self.program().endpoint(name).connect_lazy(), traces: self.traces.clone(), token: None }
    }

    /// A connection of a caller that acts for the person with that external id.
    pub fn acting_for(&self, external_id: &str) -> Recorded {
        self.service(Some("subject")).with_token(&self.token(external_id, Duration::ZERO))
    }

    /// A token of the throw-away issuer, issued so long ago.
    pub fn token(&self, external_id: &str, age: Duration) -> String {
        make_token(&self.dir().join("end-users"), external_id, SystemClock.now(), age).expect("an issuer")
    }

    /// All messages of a streamed answer. An error among them is a trace too.
    pub async fn gather<T>(&self, mut stream: Streaming<T>) -> Result<Vec<T>, Status> {
        let mut messages = Vec::new();
        loop {
            match stream.message().await {
                Ok(Some(message)) => messages.push(message),
                Ok(None) => return Ok(messages),
                Err(status) => {
                    self.note(&status);
                    return Err(status);
                }
            }
        }
    }

    /// Keeps an error as a trace. Those that come in headers are kept without it.
    pub fn note(&self, status: &Status) {
        self.traces.note_status(status);
    }

    /// What is planted.
    pub fn canaries(&self) -> &Arc<Canaries> {
        &self.canaries
    }

    /// Stops the program and searches every trace of it.
    pub fn leaks(&mut self) -> Vec<Leak> {
        self.stop();
        blocking(|| {
            let search = self.canaries.search();
            let mut leaks = search.directory(self.home.path());
            leaks.extend(search.bytes("answers, errors and metrics", &self.traces.0.lock().expect("no panic")));
            leaks
        })
    }

    /// Where the program prints.
    pub fn output(&self) -> PathBuf {
        self.home.path().join("output")
    }

    fn in_home(fill: impl FnOnce(&Path)) -> Self {
        let home = tempfile::tempdir().expect("a directory");
        let (traces, canaries) = (Arc::default(), Arc::default());
        let (program, steady, tampered) = (None, Mutex::default(), AtomicBool::new(false));
        let vault = Self { program, steady, home, traces, canaries, tampered };
        std::fs::create_dir(vault.dir()).expect("a new directory");
        fill(&vault.dir());
        vault
    }
}

impl Drop for TestVault {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return; // the test has failed already; the program is killed
        }
        let leaks: Vec<String> = self.leaks().iter().map(ToString::to_string).collect();
        assert!(leaks.is_empty(), "canaries were found:\n{}", leaks.join("\n"));
        if !self.tampered.load(Ordering::Relaxed) {
            let report = self.doctor().expect("it opens");
            assert_eq!(report["sound"], true, "{report}");
        }
    }
}

/// What clients saw besides the messages of answers.
#[derive(Default)]
struct Traces(Mutex<Vec<u8>>);

impl Traces {
    fn note(&self, bytes: &[u8]) {
        let mut all = self.0.lock().expect("no panic");
        all.extend_from_slice(bytes);
        all.push(b'\n');
    }

    /// Headers as sent, and the error in them, decoded.
    fn note_headers(&self, headers: &HeaderMap) {
        for (name, value) in headers {
            self.note(name.as_str().as_bytes());
            self.note(value.as_bytes());
        }
        if let Some(status) = Status::from_header_map(headers) {
            self.note_status(&status);
        }
    }

    fn note_status(&self, status: &Status) {
        self.note(status.message().as_bytes());
        self.note(status.details());
        for (name, value) in status.metadata().as_ref() {
            self.note(name.as_str().as_bytes());
            self.note(value.as_bytes());
        }
    }
}

/// A connection whose answers' headers are kept, to be searched.
#[derive(Clone)]
pub struct Recorded {
    channel: Channel,
    traces: Arc<Traces>,
    token: Option<HeaderValue>,
}

impl Recorded {
    /// The same with a person's token on every call.
    pub fn with_token(self, token: &str) -> Self {
        let value = HeaderValue::try_from(format!("Bearer {token}")).expect("a header");
        Self { token: Some(value), ..self }
    }
}

impl Service<Request<Body>> for Recorded {
    type Response = Response<Body>;
    type Error = tonic::transport::Error;
    type Future = BoxFuture<Self::Response, Self::Error>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.channel.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        if let Some(token) = &self.token {
            request.headers_mut().insert("authorization", token.clone());
        }
        let (answer, traces) = (self.channel.call(request), self.traces.clone());
        Box::pin(async move {
            let answer = answer.await?;
            traces.note_headers(answer.headers());
            Ok(answer)
        })
    }
}

/// A file of a new installation.
struct InstalledFile {
    path: PathBuf,
    mode: u32,
    content: Vec<u8>,
}

impl InstalledFile {
    fn write(&self, dir: &Path) {
        use std::io::Write as _;
        let path = dir.join(&self.path);
        std::fs::create_dir_all(path.parent().expect("lies in a directory")).expect("a directory");
        let mut file = std::fs::File::options().write(true).create_new(true).mode(self.mode).open(path).expect("new");
        file.write_all(&self.content).expect("is written");
    }
}

/// What `lacuna dev` makes in an empty directory, but for slots and records; with the most talkative log, and with
/// the callers [`STRANGER`], [`SEVERAL`], [`AGAIN`] and [`MACHINE`] besides the roles. Made once, by the program itself.
fn installation() -> &'static [InstalledFile] {
    static MADE: OnceLock<Vec<InstalledFile>> = OnceLock::new();
    MADE.get_or_init(|| {
        let home = tempfile::tempdir().expect("a directory");
        let dir = home.path();
        Program::start(dir, "").kill();
        let edit = |name: &str, edit: &dyn Fn(String) -> String| {
            let text = std::fs::read_to_string(dir.join(name)).expect("a file");
            std::fs::write(dir.join(name), edit(text)).expect("is written");
        };
        edit("lacuna.toml", &|text| {
            assert!(text.contains("level = \"warn\""));
            text.replace("level = \"warn\"", "level = \"trace\"")
        });
        let now = SystemClock.now();
        let authority = Authority::make(now).expect("an authority");
        edit("tls/ca.pem", &|text| text + authority.pem());
        for name in [STRANGER, SEVERAL, AGAIN, MACHINE] {
            let issued = authority.issue(&Authority::client_params(name, now).expect("a name")).expect("is issued");
            std::fs::write(dir.join(format!("tls/client-{name}.pem")), issued.certificate_pem).expect("is written");
            std::fs::write(dir.join(format!("tls/client-{name}.key")), issued.key_pem).expect("is written");
        }
        let binding = format!(
            "\n[[binding]]\nidentity = \"spiffe://{DEV_TRUST_DOMAIN}/{SEVERAL}\"\nroles = [\"service\", \"support\"]\n"
        );
        let key_admin = |name: &str, more: &str| {
            format!("\n[[binding]]\nidentity = \"spiffe://{DEV_TRUST_DOMAIN}/{name}\"\nroles = [\"key-admin\"]\n{more}")
        };
        let (again, machine) = (key_admin(AGAIN, "person = \"Dev Key Admin\"\n"), key_admin(MACHINE, ""));
        edit("tls/bindings.toml", &|text| text + &binding + &again + &machine);
        for name in ["data", "slots"] {
            std::fs::remove_dir_all(dir.join(name)).expect("is removed");
        }
        let _ = std::fs::remove_dir_all(dir.join("checkpoints")); // if it came to one

        std::fs::remove_file(dir.join("dev.json")).expect("is removed");
        read_all(dir, Path::new(""))
    })
}

fn read_all(root: &Path, below: &Path) -> Vec<InstalledFile> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(root.join(below)).expect("a directory").flatten() {
        let path = below.join(entry.file_name());
        if entry.path().is_dir() {
            files.extend(read_all(root, &path));
        } else {
            let mode = entry.metadata().expect("a file").permissions().mode() & 0o777;
            files.push(InstalledFile { path, mode, content: std::fs::read(entry.path()).expect("a file") });
        }
    }
    files
}

/// Copies a directory into an existing one, permissions included.
pub fn copy(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).expect("a directory").flatten() {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            std::fs::create_dir(&target).expect("a new directory");
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).expect("is copied");
        }
    }
}
