//! What every command on a running vault shares: where the vault is, who calls, and why.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity, Uri};
use tonic::{Request, Status};

use super::failure::{Failure, causes};
use super::show::Format;
use crate::api::proto::CallContext;
use crate::base::limits::FILE_BYTES_MAX;
use crate::base::secret::PlainValue;
use crate::server::file::{FileError, read_secret, read_text};

/// The options of a command on a running vault.
#[derive(clap::Args)]
#[command(next_help_heading = "The vault and the call")]
pub struct Remote {
    /// The directory of a `lacuna dev`: address and certificates come from its dev.json, whatever else is given.
    #[arg(long, value_name = "DIR")]
    dev: Option<PathBuf>,
    /// The client of dev.json to call as. Without it the one that the command is for: `service`,
    /// `auditor`, `operator` or `key-admin`.
    #[arg(long = "as", value_name = "ROLE", requires = "dev")]
    client: Option<String>,
    /// Where the vault serves gRPC.
    #[arg(long, value_name = "HOST:PORT", env = "LACUNA_ADDRESS")]
    address: Option<String>,
    /// The authority of the vault's certificate, in PEM.
    #[arg(long, value_name = "FILE", env = "LACUNA_CA")]
    ca: Option<PathBuf>,
    /// This caller's certificate, in PEM.
    #[arg(long, value_name = "FILE", env = "LACUNA_CERT")]
    cert: Option<PathBuf>,
    /// Its private key, in PEM, readable by its owner only.
    #[arg(long, value_name = "FILE", env = "LACUNA_KEY")]
    key: Option<PathBuf>,
    /// The name that the vault's certificate must have. Without it the host of the address.
    #[arg(long, value_name = "NAME", env = "LACUNA_SERVER_NAME")]
    server_name: Option<String>,
    /// Why the data is processed, such as service_delivery. Where a command has no purpose of its own, also
    /// [env: LACUNA_PURPOSE].
    #[arg(long, value_name = "PURPOSE")]
    purpose: Option<String>,
    /// The role that acts, if the caller holds several. Where a command has no purpose of its own, also
    /// [env: LACUNA_ROLE].
    #[arg(long, value_name = "ROLE")]
    role: Option<String>,
    /// A file with the token of the person for whom to act, in the role subject; - for standard input.
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Your reference for this piece of work; kept sealed beside the audit entry.
    #[arg(long, value_name = "TEXT", env = "LACUNA_TICKET", hide_env_values = true)]
    ticket: Option<String>,
    /// Makes a repeated change harmless: the same key for the same change.
    #[arg(long, value_name = "KEY")]
    idempotency_key: Option<String>,
    /// Seconds until the command gives up.
    #[arg(long, value_name = "SECONDS", env = "LACUNA_TIMEOUT", default_value_t = 30,
          value_parser = clap::value_parser!(u64).range(1..=60))]
    timeout: u64,
    /// How the answer is printed.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    output: Format,
}

/// The client of dev.json that may act for people.
const ACTING_FOR_PEOPLE: &str = "subject";
/// Time for the vault's own answer at the deadline to arrive.
const GRACE: Duration = Duration::from_secs(1);

/// Whom a command is for, where the options do not say.
#[derive(Clone, Copy)]
pub struct Usually {
    /// The client of dev.json.
    pub client: &'static str,
    /// The command's own purpose, where there is only one that makes sense. Then the variables do not apply: they
    /// say why people's data is processed.
    pub purpose: Option<&'static str>,
}

/// A command about people's data.
pub const SERVICE: Usually = Usually { client: "service", purpose: None };
/// A command about the audit log.
pub const AUDITOR: Usually = Usually { client: "auditor", purpose: Some("security") };
/// A command about the vault as a machine.
pub const OPERATOR: Usually = Usually { client: "operator", purpose: Some("security") };

/// A command for those who look after keys and slots.
pub const KEY_ADMIN: Usually = Usually { client: "key-admin", purpose: Some("security") };

/// A connection, and the context of the one call that is made on it.
pub struct Session {
    /// The connection.
    pub channel: Channel,
    context: CallContext,
    time: Duration,
    token: Option<MetadataValue<Ascii>>,
}

impl Session {
    /// The context for a request.
    pub fn context(&self) -> Option<CallContext> {
        Some(self.context.clone())
    }

    /// The request with the command's deadline, so that the vault keeps it too.
    pub fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        request.set_timeout(self.time);
        if let Some(token) = &self.token {
            request.metadata_mut().insert("authorization", token.clone());
        }
        request
    }
}

impl Remote {
    /// How to print.
    pub fn format(&self) -> Format {
        self.output
    }

    /// Connects and makes one call.
    ///
    /// # Errors
    /// Missing options, no connection, or the vault's refusal.
    pub fn call<T>(
        &self,
        usually: Usually,
        act: impl AsyncFnOnce(Session) -> Result<tonic::Response<T>, Status>,
    ) -> Result<T, Failure> {
        let context = self.context(usually)?;
        let token = self.token()?;
        let endpoint = self.endpoint(usually)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| Failure::failed(format!("no runtime: {}", error.kind())))?;
        let time = Duration::from_secs(self.timeout);
        let answer = async {
            let channel = endpoint.connect().await.map_err(|error| not_connected(endpoint.uri(), &error))?;
            let answer = act(Session { channel, context, time, token }).await;
            answer.map(tonic::Response::into_inner).map_err(|status| Failure::of_status(&status, self.output))
        };
        // The vault keeps the deadline too, and its own answer says more: it comes first.
        runtime.block_on(async { tokio::time::timeout(time + GRACE, answer).await }).unwrap_or_else(|_| {
            Err(Failure::failed(
                "no answer in time: what the call was to change may be done or not; look before a repeat",
            ))
        })
    }

    /// Connects and makes calls whose answers take as long as they take.
    ///
    /// # Errors
    /// Missing options, no connection, or what `act` fails with.
    pub fn follow(
        &self,
        usually: Usually,
        act: impl AsyncFnOnce(Session) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let context = self.context(usually)?;
        let token = self.token()?;
        let endpoint = self.endpoint(usually)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| Failure::failed(format!("no runtime: {}", error.kind())))?;
        runtime.block_on(async {
            let channel = endpoint.connect().await.map_err(|error| not_connected(endpoint.uri(), &error))?;
            act(Session { channel, context, time: Duration::from_secs(self.timeout), token }).await
        })
    }

    /// The vault's refusal of a call.
    pub fn refused(&self, status: &Status) -> Failure {
        Failure::of_status(status, self.output)
    }

    fn context(&self, usually: Usually) -> Result<CallContext, Failure> {
        let variable = |name| if usually.purpose.is_none() { std::env::var(name).ok() } else { None };
        let own = || usually.purpose.map(str::to_owned).or_else(|| variable("LACUNA_PURPOSE"));
        let purpose = self.purpose.clone().or_else(own).ok_or_else(|| {
            Failure::Usage(
                "--purpose is required: why the data is processed, such as service_delivery; or set LACUNA_PURPOSE"
                    .into(),
            )
        })?;
        Ok(CallContext {
            purpose,
            role: self.role.clone().or_else(|| variable("LACUNA_ROLE")).unwrap_or_default(),
            ticket: self.ticket.clone().unwrap_or_default(),
            approval_id: String::new(),
            idempotency_key: self.idempotency_key.clone().unwrap_or_default(),
        })
    }

    /// The person's token, as metadata that no debug output shows.
    fn token(&self) -> Result<Option<MetadataValue<Ascii>>, Failure> {
        let Some(path) = &self.token_file else { return Ok(None) };
        let text = match path.as_os_str() == "-" {
            true => std::io::read_to_string(std::io::stdin().take(FILE_BYTES_MAX)).map_err(|_| FileError::NotText),
            false => read_text(path),
        };
        let text = PlainValue::new(text.map_err(|error| about(path, error))?.into_bytes());
        let bearer = PlainValue::new([b"Bearer ", text.expose().trim_ascii()].concat());
        let value = MetadataValue::try_from(bearer.expose());
        let mut value = value.map_err(|_| about(path, "holds no token: three parts of letters and dots"))?;
        value.set_sensitive(true);
        Ok(Some(value))
    }

    fn endpoint(&self, usually: Usually) -> Result<Endpoint, Failure> {
        let place = self.whereabouts(usually)?;
        let wrong =
            || Failure::Usage("the address is not of the form HOST:PORT, such as vault.example.com:7443".into());
        let uri: Uri = format!("https://{}", place.address).parse().map_err(|_| wrong())?;
        if uri.port().is_none() || uri.path() != "/" {
            return Err(wrong());
        }
        let host = uri.host().unwrap_or_default().trim_matches(['[', ']']).to_owned();
        let text = |path: &Path| read_text(path).map_err(|error| about(path, error));
        // Exposed to be handed to the TLS library, which keeps it for the connection.
        let key = read_secret(&place.key).map_err(|error| about(&place.key, error))?;
        let tls = ClientTlsConfig::new()
            .ca_certificate(Certificate::from_pem(text(&place.ca)?))
            .identity(Identity::from_pem(text(&place.cert)?, key.expose()))
            .domain_name(self.server_name.clone().unwrap_or(host));
        let endpoint = Endpoint::from(uri).connect_timeout(Duration::from_secs(self.timeout)).tls_config(tls);
        endpoint.map_err(|error| Failure::failed(format!("the certificates cannot be used: {}", causes(&error))))
    }

    /// Where the vault is, and the certificates to show there.
    ///
    /// # Errors
    /// Missing options, or a dev.json that does not read.
    pub fn whereabouts(&self, usually: Usually) -> Result<Place, Failure> {
        match &self.dev {
            Some(dir) => {
                let usual = if self.token_file.is_some() { ACTING_FOR_PEOPLE } else { usually.client };
                Place::of_dev(dir, self.client.as_deref().unwrap_or(usual))
            }
            None => self.place(),
        }
    }

    /// Time until a command gives up.
    pub fn patience(&self) -> Duration {
        Duration::from_secs(self.timeout)
    }

    /// The name in the vault's certificate, where it is not the host of the address.
    pub fn server_name(&self) -> Option<&str> {
        self.server_name.as_deref()
    }

    fn place(&self) -> Result<Place, Failure> {
        match (&self.address, &self.ca, &self.cert, &self.key) {
            (Some(address), Some(ca), Some(cert), Some(key)) => {
                let (address, ca, cert, key) = (address.clone(), ca.clone(), cert.clone(), key.clone());
                Ok(Place { address, ca, cert, key, dev: None })
            }
            (address, ca, cert, key) => {
                let given = [
                    ("--address", address.is_some()),
                    ("--ca", ca.is_some()),
                    ("--cert", cert.is_some()),
                    ("--key", key.is_some()),
                ];
                let missing: Vec<_> = given.iter().filter(|(_, given)| !given).map(|(name, _)| *name).collect();
                Err(Failure::Usage(format!(
                    "where is the vault? Give --dev DIR, or {} too (each also as a variable, such as LACUNA_ADDRESS)",
                    missing.join(", ")
                )))
            }
        }
    }
}

/// Where a vault is and what to show there.
pub struct Place {
    /// Where it serves gRPC.
    pub address: String,
    /// The authority of its certificate.
    pub ca: PathBuf,
    /// The caller's certificate.
    pub cert: PathBuf,
    /// Its key.
    pub key: PathBuf,
    /// What only a `lacuna dev` tells.
    pub dev: Option<OfDev>,
}

/// What only a `lacuna dev` tells.
pub struct OfDev {
    /// Where it serves operations, without TLS.
    pub ops_address: String,
    /// The key that verifies its checkpoints.
    pub audit_vkey: String,
}

/// What is read of a dev.json.
#[derive(Deserialize)]
struct Dev {
    address: String,
    ops_address: String,
    audit_vkey: String,
    ca: PathBuf,
    clients: BTreeMap<String, Client>,
}

#[derive(Deserialize)]
struct Client {
    cert: PathBuf,
    key: PathBuf,
}

impl Place {
    fn of_dev(dir: &Path, client: &str) -> Result<Self, Failure> {
        let path = dir.join("dev.json");
        let text = std::fs::read_to_string(&path)
            .map_err(|_| about(&path, "cannot be read; start lacuna dev --dir with this directory first"))?;
        let mut dev: Dev = serde_json::from_str(&text).map_err(|_| about(&path, "was not written by lacuna dev"))?;
        let Some(files) = dev.clients.remove(client) else {
            let known: Vec<&str> = dev.clients.keys().map(String::as_str).collect();
            return Err(Failure::Usage(format!("--as names no client of dev.json; choose from {}", known.join(", "))));
        };
        let Dev { address, ca, ops_address, audit_vkey, .. } = dev;
        let of_dev = OfDev { ops_address, audit_vkey };
        Ok(Self { address, ca, cert: files.cert, key: files.key, dev: Some(of_dev) })
    }
}

pub(super) fn about(path: &Path, error: impl std::fmt::Display) -> Failure {
    Failure::failed(format!("{}: {error}", path.display()))
}

fn not_connected(uri: &Uri, error: &tonic::transport::Error) -> Failure {
    let address = uri.authority().map_or("", |authority| authority.as_str());
    let causes = causes(error);
    let advice = if causes.contains("certificate") {
        "check --ca and --server-name"
    } else {
        "check the address and that the vault runs"
    };
    Failure::failed(format!("no connection to {address}: {causes}; {advice}"))
}
