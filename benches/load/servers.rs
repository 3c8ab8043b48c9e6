//! Server processes: started on a CPU of their own, connected to, accounted for, stopped.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use lacuna::api::proto::privacy_client::PrivacyClient;
use lacuna::api::proto::vault_client::VaultClient;
use rustix::process::{Pid, Signal, kill_process};
use tokio::runtime::Runtime;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};

use super::Error;

/// Connections over which callers are spread.
const CONNECTIONS: usize = 8;
/// The CPU of the server under load; the load itself runs on another.
const SERVER_CPU: &str = "0";
/// Long enough to open a vault of any size.
const START_TIME_MAX: Duration = Duration::from_secs(60);
/// Bytes that the server may send ahead on one call and on one connection.
const WINDOWS: (u32, u32) = (1 << 20, 4 << 20);
/// How long metrics may take to show what is, and the switch to be seen.
const METRICS_AGE_MAX: Duration = Duration::from_millis(400);
/// Linux reports CPU time in hundredths of a second, on every architecture.
const TICKS_PER_SECOND: u64 = 100;

/// How often it is looked whether a server is at rest, and how many times.
const SETTLE_LOOK: Duration = Duration::from_millis(500);
const SETTLE_LOOKS_MAX: usize = 60;

/// A running server with open connections; stopped when dropped.
pub struct Server {
    process: Process,
    /// Whose certificates callers show, and where.
    place: (PathBuf, String),
    clients: Vec<VaultClient<Channel>>,
    /// Of a vault: connections of who may erase persons.
    officers: Vec<PrivacyClient<Channel>>,
    /// Of a vault: where its operations are served, and the file that keeps reads out of its log.
    operations: Option<(String, PathBuf)>,
}

impl Server {
    /// Starts `lacuna dev` on a folder and waits until it is ready.
    pub fn vault(runtime: &Runtime, program: &Path, dir: &Path, pinned: bool) -> Result<Self, Error> {
        let ready = dir.join("dev.json");
        let _ = std::fs::remove_file(&ready);
        let mut command = command(program, pinned);
        let unrecorded = dir.join("unrecorded");
        command.args(["dev", "--dir"]).arg(dir).stdout(Stdio::null()).stderr(Stdio::inherit());
        command.env("LACUNA_UNRECORDED", &unrecorded);
        let mut process = Process(command.spawn()?);
        let deadline = Instant::now() + START_TIME_MAX;
        while !ready.exists() {
            if Instant::now() > deadline || process.0.try_wait()?.is_some() {
                return Err("the server did not start".into());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        let dev = Dev::read(dir)?;
        let connect = |role| connect(runtime, dir, &dev.text("address")?, role);
        let clients = connect("service")?.into_iter().map(VaultClient::new).collect();
        let officers = connect("privacy-officer")?.into_iter().map(PrivacyClient::new).collect();
        let place = (dir.to_owned(), dev.text("address")?);
        Ok(Self { process, place, clients, officers, operations: Some((dev.text("ops_address")?, unrecorded)) })
    }

    /// Starts the echo with the certificates of a vault's folder.
    pub fn echo(runtime: &Runtime, dir: &Path, pinned: bool) -> Result<Self, Error> {
        Self::own(runtime, dir, pinned, &["echo"])
    }

    /// Starts the least server in the same way, with so many subjects of its own.
    pub fn least(runtime: &Runtime, dir: &Path, pinned: bool, subjects: usize) -> Result<Self, Error> {
        Self::own(runtime, dir, pinned, &["least", "--subjects", &subjects.to_string()])
    }

    /// Starts a server of this program.
    fn own(runtime: &Runtime, dir: &Path, pinned: bool, arguments: &[&str]) -> Result<Self, Error> {
        let mut command = command(&std::env::current_exe()?, pinned);
        command.args(arguments).arg("--dir").arg(dir).stdout(Stdio::piped());
        let mut process = Process(command.spawn()?);
        let output = process.0.stdout.take().ok_or("no output")?;
        let mut address = String::new();
        BufReader::new(output).read_line(&mut address)?;
        let clients = connect(runtime, dir, address.trim(), "service")?.into_iter().map(VaultClient::new).collect();
        let place = (dir.to_owned(), address.trim().to_owned());
        Ok(Self { process, place, clients, officers: Vec::new(), operations: None })
    }

    /// The client of one of many callers.
    pub fn client(&self, caller: usize) -> VaultClient<Channel> {
        self.clients[caller % self.clients.len()].clone()
    }

    /// Connections of their own for callers on another runtime.
    pub fn connect_again(&self, runtime: &Runtime) -> Result<Vec<VaultClient<Channel>>, Error> {
        let (dir, address) = &self.place;
        Ok(connect(runtime, dir, address, "service")?.into_iter().map(VaultClient::new).collect())
    }

    /// Memory of the process now, in MiB.
    pub fn memory_mib(&self) -> Result<f64, Error> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.0.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<f64>().ok());
        Ok(kib.ok_or("/proc reads otherwise than expected")? / 1024.0)
    }

    /// The same for one who erases persons; only a vault has any.
    pub fn officer(&self, caller: usize) -> Option<PrivacyClient<Channel>> {
        self.officers.get(caller % self.officers.len().max(1)).cloned()
    }

    /// Does something while the vault leaves reads out of its log.
    pub fn without_log<T>(&self, act: impl Fn() -> Result<T, Error>) -> Result<T, Error> {
        let (address, switch) = self.operations.as_ref().ok_or("not a vault")?;
        std::fs::write(switch, "")?;
        std::thread::sleep(METRICS_AGE_MAX);
        let before = log_entries(address)?;
        let done = act();
        std::thread::sleep(METRICS_AGE_MAX);
        let after = log_entries(address);
        std::fs::remove_file(switch)?;
        std::thread::sleep(METRICS_AGE_MAX);
        if after? == before { done } else { Err("the server records: build it with the feature `unrecorded`".into()) }
    }

    /// Waits until the server has nothing left to do of what was stored: compactions are no part of the next load.
    pub fn settle(&self) -> Result<(), Error> {
        for _ in 0..SETTLE_LOOKS_MAX {
            let before = self.cpu_time()?;
            std::thread::sleep(SETTLE_LOOK);
            if self.cpu_time()? - before < SETTLE_LOOK / 20 {
                break;
            }
        }
        Ok(())
    }

    /// CPU time that the process has used so far, in user and in kernel mode.
    pub fn cpu_time(&self) -> Result<Duration, Error> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.process.0.id()))?;
        // The second field is a name in parentheses, which may hold anything; utime and stime are the 14th and 15th.
        let after_name = stat.rsplit_once(')').ok_or("/proc reads otherwise than expected")?.1;
        let fields = after_name.split_whitespace().skip(11).take(2);
        let ticks: u64 = fields.map(str::parse::<u64>).sum::<Result<_, _>>()?;
        Ok(Duration::from_millis(ticks * 1000 / TICKS_PER_SECOND))
    }
}

/// A child process that does not outlive its owner.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        if let Ok(id) = i32::try_from(self.0.id())
            && let Some(id) = Pid::from_raw(id)
        {
            let _ = kill_process(id, Signal::TERM);
        }
        let _ = self.0.wait();
    }
}

/// Entries of a vault's log, as its metrics say.
fn log_entries(address: &str) -> Result<u64, Error> {
    let mut connection = TcpStream::connect(address)?;
    write!(connection, "GET /metrics HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n")?;
    let mut answer = String::new();
    connection.read_to_string(&mut answer)?;
    let entries = answer.lines().find_map(|line| line.strip_prefix("lacuna_log_entries "));
    Ok(entries.ok_or("no lacuna_log_entries among the metrics")?.trim().parse()?)
}

fn command(program: &Path, pinned: bool) -> Command {
    if !pinned {
        return Command::new(program);
    }
    // Replaces itself by the program, so the process id is the program's.
    let mut command = Command::new("taskset");
    command.args(["-c", SERVER_CPU]).arg(program);
    command
}

fn connect(runtime: &Runtime, dir: &Path, address: &str, role: &str) -> Result<Vec<Channel>, Error> {
    let dev = Dev::read(dir)?;
    let client = &dev.0["clients"][role];
    let read = |path: &serde_json::Value| std::fs::read(path.as_str().map(PathBuf::from).unwrap_or_default());
    let tls = ClientTlsConfig::new()
        .ca_certificate(Certificate::from_pem(read(&dev.0["ca"])?))
        .identity(Identity::from_pem(read(&client["cert"])?, read(&client["key"])?))
        .domain_name("localhost");
    let endpoint = Endpoint::from_shared(format!("https://{address}"))?
        .tls_config(tls)?
        .initial_stream_window_size(WINDOWS.0)
        .initial_connection_window_size(WINDOWS.1);
    runtime.block_on(async {
        let mut clients = Vec::with_capacity(CONNECTIONS);
        for _ in 0..CONNECTIONS {
            clients.push(endpoint.connect().await?);
        }
        Ok(clients)
    })
}

/// What `lacuna dev` says of itself.
struct Dev(serde_json::Value);

impl Dev {
    fn read(dir: &Path) -> Result<Self, Error> {
        Ok(Self(serde_json::from_str(&std::fs::read_to_string(dir.join("dev.json"))?)?))
    }

    fn text(&self, name: &str) -> Result<String, Error> {
        Ok(self.0[name].as_str().ok_or("dev.json reads otherwise than expected")?.to_owned())
    }
}
