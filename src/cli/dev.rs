//! `lacuna dev`: a throw-away vault with its own certificates, keys and slots in one directory.

use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use crate::base::time::{Clock as _, SystemClock};
use crate::catalog::registry;
use crate::gate::vault::Vault;
use crate::keys::outer::file::KeyFile;
use crate::policy::policies;
use crate::server::assemble::{Mode, Service, StartError};
use crate::server::certs::{DevClient, dev_clients, write_dev_files};
use crate::server::config::Config;
use crate::server::dev_issuer::write_issuer;

/// What `dev` is told.
#[derive(clap::Args)]
pub struct Arguments {
    /// Where everything of the vault goes; made if missing, used again if it is there.
    #[arg(long)]
    dir: PathBuf,
    /// Where gRPC is served; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Where operations are served; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:0")]
    ops_listen: SocketAddr,
}

/// Serves until a signal. `DIR/dev.json` is written when ready.
pub fn run(arguments: &Arguments) -> Result<(), StartError> {
    std::fs::create_dir_all(&arguments.dir)?;
    let dir = arguments.dir.canonicalize()?;
    let held = File::open(&dir)?;
    // Until the end: a second process must not take away the file that tells where the first one listens.
    held.try_lock().map_err(|_| "another process has the store open; stop it first, or choose another --dir")?;
    let ready = dir.join("dev.json");
    let _ = std::fs::remove_file(&ready);
    let path = dir.join("lacuna.toml");
    if !path.exists() {
        make(&dir)?;
    }
    let mut config = Config::load(&path)?;
    config.listen.address = arguments.listen;
    config.listen.ops_address = arguments.ops_listen;
    super::serve::until_signal(&config, Mode::Dev, |service| {
        let description = describe(&dir, &config, service);
        write(&ready, &description)?;
        keep_right(&service.vault, ready.clone(), description)?;
        println!(
            "lacuna dev: grpc {}, operations {}, {}",
            service.api.address(),
            service.ops.address(),
            ready.display()
        );
        Ok(())
    })
}

fn write(ready: &Path, description: &serde_json::Value) -> Result<(), StartError> {
    // Whoever waits for the file must never read half of it.
    let unfinished = ready.with_extension("json.new");
    std::fs::write(&unfinished, serde_json::to_string_pretty(description)?)?;
    Ok(std::fs::rename(&unfinished, ready)?)
}

/// Writes the description again whenever the log is signed by another key.
fn keep_right(vault: &Arc<Vault>, ready: PathBuf, mut description: serde_json::Value) -> Result<(), StartError> {
    let vault = Arc::downgrade(vault);
    std::thread::Builder::new().name("dev.json".into()).spawn(move || {
        while let Some(verifiers) = vault.upgrade().map(|vault| vault.verifiers()) {
            if description["audit_vkey"] != *verifiers.audit {
                description["audit_vkey"] = verifiers.audit.into();
                if let Err(error) = write(&ready, &description) {
                    tracing::warn!(%error, "dev.json names the log's old key");
                }
            }
            std::thread::sleep(LOOK);
        }
    })?;
    Ok(())
}

/// How often it is looked for another key.
const LOOK: Duration = Duration::from_millis(250);

fn make(dir: &Path) -> Result<(), StartError> {
    for name in ["tls", "slots", "data", "policies", "end-users"] {
        std::fs::create_dir_all(dir.join(name))?;
    }
    write_dev_files(&dir.join("tls"), SystemClock.now())?;
    write_issuer(&dir.join("end-users"))?;
    let outer = dir.join("outer.key");
    if !outer.exists() {
        KeyFile::create(&outer)?;
    }
    std::fs::write(dir.join("catalog.toml"), registry::DEFAULT)?;
    std::fs::write(dir.join("policies/roles.cedar"), policies::DEFAULT)?;
    // Written last: a directory with this file is complete.
    std::fs::write(dir.join("lacuna.toml"), CONFIG)?;
    Ok(())
}

const CONFIG: &str = r#"# A throw-away vault, made by `lacuna dev`.
[tls]
cert = "tls/server.pem"
key = "tls/server.key"
client_ca = "tls/ca.pem"

[store]
dir = "data"

[slots]
list = [{ path = "slots/a" }, { path = "slots/b" }]

[outer_key]
file = "outer.key"

[files]
catalog = "catalog.toml"
policies = "policies"
bindings = "tls/bindings.toml"

[[end_users]]
issuer = "https://dev.lacuna.invalid"
audience = "lacuna-dev"
jwks_file = "end-users/jwks.json"

[log]
level = "warn"

[audit]
checkpoint_folder = "checkpoints"
"#;

fn describe(dir: &Path, config: &Config, service: &Service) -> serde_json::Value {
    let client = |DevClient { name, role, .. }: DevClient| {
        let file = |ending: &str| dir.join("tls").join(format!("client-{name}.{ending}"));
        let client = json!({ "cert": file("pem"), "key": file("key"), "roles": [role.to_string()] });
        (name, client)
    };
    let clients: serde_json::Map<String, serde_json::Value> = dev_clients().into_iter().map(client).collect();
    json!({
        "version": 1,
        "address": service.api.address().to_string(),
        "ops_address": service.ops.address().to_string(),
        "ca": config.tls.client_ca,
        "audit_vkey": service.vault.verifiers().audit,
        "receipt_vkey": service.vault.verifiers().receipt,
        "data_dir": config.store.dir,
        "slot_paths": config.slots.list.iter().map(|slot| &slot.path).collect::<Vec<_>>(),
        "config": dir.join("lacuna.toml"),
        "clients": clients,
        "subject_token_command": token_command(dir),
    })
}

/// The command that prints a token for the person whose external id is put after it, as a shell takes it; none for a
/// directory that an earlier release made, without an issuer.
fn token_command(dir: &Path) -> Option<String> {
    let quoted = |path: &Path| format!("'{}'", path.to_string_lossy().replace('\'', r"'\''"));
    let program = std::env::current_exe().ok()?;
    let is_there = dir.join("end-users/issuer.key").exists();
    is_there.then(|| format!("{} dev-token --dir {} --subject", quoted(&program), quoted(dir)))
}
