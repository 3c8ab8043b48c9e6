//! The real program on a directory of its own, and a client made from the contract.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use lacuna::api::proto::vault_client::VaultClient;
use lacuna::api::proto::*;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};

/// A running `lacuna dev`; killed when dropped.
pub struct Program {
    child: Child,
    dir: PathBuf,
}

impl Program {
    /// Starts on a directory, with fail points armed as the text says; waits until it is ready.
    pub fn start(dir: &Path, failpoints: &str) -> Self {
        let ready = dir.join("dev.json");
        let _ = std::fs::remove_file(&ready);
        let child = Command::new(env!("CARGO_BIN_EXE_lacuna"))
            .args(["dev", "--dir"])
            .arg(dir)
            .env("FAILPOINTS", failpoints)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the program starts");
        let program = Self { child, dir: dir.to_owned() };
        let deadline = Instant::now() + Duration::from_secs(60);
        while !ready.exists() {
            assert!(Instant::now() < deadline, "the program is not ready in time");
            std::thread::sleep(Duration::from_millis(10));
        }
        program
    }

    /// A connection as a role.
    pub async fn connect(&self, role: &str) -> VaultClient<Channel> {
        let text = std::fs::read_to_string(self.dir.join("dev.json")).expect("ready");
        let dev: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        let read = |path: &serde_json::Value| std::fs::read(path.as_str().expect("a path")).expect("a file");
        let client = &dev["clients"][role];
        let tls = ClientTlsConfig::new()
            .ca_certificate(Certificate::from_pem(read(&dev["ca"])))
            .identity(Identity::from_pem(read(&client["cert"]), read(&client["key"])))
            .domain_name("localhost");
        let address = format!("https://{}", dev["address"].as_str().expect("an address"));
        let endpoint = Endpoint::from_shared(address).expect("an address").tls_config(tls).expect("TLS settings");
        VaultClient::new(endpoint.connect().await.expect("connects"))
    }

    /// Waits until the program has died of its own.
    pub fn wait_for_death(mut self) {
        let deadline = Instant::now() + Duration::from_secs(30);
        while self.child.try_wait().expect("a child").is_none() {
            assert!(Instant::now() < deadline, "the fail point did not kill the program");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
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
