//! The real program on a directory of its own, and clients made from the contract.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use lacuna::api::proto::*;
use rustix::process::{Pid, Signal, kill_process};
use tokio::runtime::{Handle, RuntimeFlavor};
use tonic::transport::{Certificate, ClientTlsConfig, Endpoint, Identity};

/// How long a program may take to be ready or to end. Far more than it needs: other tests share the machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running `lacuna dev`; killed when dropped.
pub struct Program {
    child: Child,
    dir: PathBuf,
}

impl Program {
    /// Starts on a directory, with fail points armed as the text says; waits until it is ready.
    pub fn start(dir: &Path, failpoints: &str) -> Self {
        Self::launch(dir, failpoints, Path::new("/dev/null"))
    }

    /// The same, with what it prints appended to a file.
    pub fn launch(dir: &Path, failpoints: &str, output: &Path) -> Self {
        let mut program = Self::spawn(dir, failpoints, output);
        let ready = dir.join("dev.json");
        poll("ready", || {
            let ended = program.child.try_wait().expect("a child");
            assert_eq!(ended, None, "the program ended: {}", std::fs::read_to_string(output).unwrap_or_default());
            ready.exists().then_some(())
        });
        program
    }

    /// Starts on a directory that the program may refuse; none if it ended before it was ready.
    pub fn try_launch(dir: &Path, output: &Path) -> Option<Self> {
        let mut program = Self::spawn(dir, "", output);
        let ready = dir.join("dev.json");
        let runs = poll("ready", || match program.child.try_wait().expect("a child") {
            Some(_) => Some(false),
            None => ready.exists().then_some(true),
        });
        runs.then_some(program)
    }

    /// Starts, and does not wait.
    pub fn spawn(dir: &Path, failpoints: &str, output: &Path) -> Self {
        let _ = std::fs::remove_file(dir.join("dev.json"));
        let printed = || File::options().append(true).create(true).open(output).expect("a file for the output");
        let child = command(dir, failpoints).stdout(printed()).stderr(printed()).spawn().expect("the program starts");
        Self { child, dir: dir.to_owned() }
    }

    /// Starts on a directory that the program must refuse: what it said on standard error.
    pub fn refused(dir: &Path) -> String {
        let child = command(dir, "").stderr(Stdio::piped()).stdout(Stdio::null()).spawn().expect("it starts");
        let mut program = Self { child, dir: dir.to_owned() };
        let status = wait(&mut program.child);
        let mut text = String::new();
        program.child.stderr.take().expect("is piped").read_to_string(&mut text).expect("text");
        assert!(!status.success(), "the program must refuse to start");
        text
    }

    /// What the program says about itself: the content of `dev.json`.
    pub fn description(&self) -> serde_json::Value {
        let text = std::fs::read_to_string(self.dir.join("dev.json")).expect("ready");
        serde_json::from_str(&text).expect("JSON")
    }

    /// Where to connect to, with the certificate `tls/client-NAME.pem` of the directory, or with none.
    pub fn endpoint(&self, name: Option<&str>) -> Endpoint {
        let read = |path: PathBuf| std::fs::read(path).expect("a file");
        let description = self.description();
        let mut tls = ClientTlsConfig::new()
            .ca_certificate(Certificate::from_pem(read(description["ca"].as_str().expect("a path").into())))
            .domain_name("localhost");
        if let Some(name) = name {
            let file = |ending: &str| read(self.dir.join("tls").join(format!("client-{name}.{ending}")));
            tls = tls.identity(Identity::from_pem(file("pem"), file("key")));
        }
        let address = format!("https://{}", description["address"].as_str().expect("an address"));
        Endpoint::from_shared(address).expect("an address").tls_config(tls).expect("TLS settings")
    }

    /// What a path of the operations port answers, headers included.
    pub fn operations(&self, path: &str) -> Vec<u8> {
        let description = self.description();
        let address = description["ops_address"].as_str().expect("an address");
        let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
        let mut answer = Vec::new();
        blocking(|| {
            let mut stream = TcpStream::connect(address).expect("connects");
            stream.write_all(request.as_bytes()).expect("is sent");
            stream.read_to_end(&mut answer).expect("is answered");
        });
        answer
    }

    /// Ends it as an operator would, and waits.
    pub fn stop(mut self) {
        kill_process(Pid::from_child(&self.child), Signal::TERM).expect("it runs");
        let status = wait(&mut self.child);
        assert!(status.success(), "an orderly stop is no failure: {status}");
    }

    /// Has it read its files again, and waits until it has.
    pub fn reload(&self) {
        let before = self.metric("lacuna_reloads_total");
        kill_process(Pid::from_child(&self.child), Signal::HUP).expect("it runs");
        poll("done with reading", || (self.metric("lacuna_reloads_total") > before).then_some(()));
    }

    /// A number of the operations port, by its name and labels.
    pub fn metric(&self, name: &str) -> u64 {
        let answer = String::from_utf8(self.operations("/metrics")).expect("text");
        let line = answer.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.and_then(|number| number.trim().parse().ok()).unwrap_or_else(|| panic!("no {name} in {answer}"))
    }

    /// Its process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The memory that it takes now.
    pub fn memory_kib(&self) -> u64 {
        memory_kib(self.id())
    }

    /// Ends it as `kill -9` does, and waits.
    pub fn kill(self) {
        drop(self);
    }

    /// Waits until the program has died of its own.
    pub fn wait_for_death(mut self) {
        wait(&mut self.child);
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn command(dir: &Path, failpoints: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lacuna"));
    command.args(["dev", "--dir"]).arg(dir).env("FAILPOINTS", failpoints);
    command
}

fn wait(child: &mut Child) -> ExitStatus {
    poll("over", || child.try_wait().expect("a child"))
}

/// Asks again and again, until there is an answer.
fn poll<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    blocking(|| {
        loop {
            if let Some(answer) = ask() {
                return answer;
            }
            assert!(Instant::now() < deadline, "the program is not {what} in time");
            std::thread::sleep(Duration::from_millis(5));
        }
    })
}

/// Runs what blocks without keeping connections from being served: the program closes those that stay silent.
pub fn blocking<T>(work: impl FnOnce() -> T) -> T {
    match Handle::try_current().map(|handle| handle.runtime_flavor()) {
        Ok(RuntimeFlavor::MultiThread) => tokio::task::block_in_place(work),
        _ => work(),
    }
}

/// The memory that a process takes now.
pub fn memory_kib(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let now = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    now.and_then(|text| text.split_whitespace().next()?.parse().ok()).unwrap_or_default()
}

/// The context of a call.
pub fn context() -> Option<CallContext> {
    Some(CallContext { purpose: "service_delivery".into(), ..Default::default() })
}

/// A contact item with a name.
pub fn contact(name: &str) -> NewItem {
    let contact = Contact { full_name: name.into(), ..Default::default() };
    let value = ItemValue { value: Some(item_value::Value::Contact(contact)) };
    NewItem { class: "contact".into(), value: Some(value), metadata: None }
}

/// A reference to a subject by the vault's id.
pub fn subject(id: &str) -> Option<SubjectRef> {
    Some(SubjectRef { r#ref: Some(subject_ref::Ref::SubjectId(id.into())) })
}
