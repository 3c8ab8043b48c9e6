//! Throw-away certificates for `lacuna dev`, the demo and tests.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType, date_time_ymd,
};
use x509_parser::prelude::{FromDer, X509Certificate, X509Name};

use super::tls::TlsFiles;
use crate::base::time::Timestamp;
use crate::policy::caller::RoleId;

/// The organization in the names of a throw-away authority and of all it issues.
pub const DEV_ORGANIZATION: &str = "lacuna dev throw-away";
/// The trust domain of throw-away identities; `.invalid` belongs to nobody (RFC 2606).
pub const DEV_TRUST_DOMAIN: &str = "dev.lacuna.invalid";

/// How long throw-away certificates last; a day before now, for clocks that differ.
const LIFETIME: Duration = Duration::from_secs(30 * 86_400);
const BACKDATED: Duration = Duration::from_secs(86_400);

/// Whether a certificate was made here, or issued by an authority made here.
///
/// The mark is the organization in the issuer's name. A chain is built by comparing that name with the
/// authority's, byte for byte, so a certificate cannot lose the mark and still lead to its authority. What cannot
/// be read is no dev certificate; loading refuses it anyway.
pub fn is_dev_certificate(der: &[u8]) -> bool {
    let marked = |name: &X509Name<'_>| name.iter_organization().any(|part| part.as_str() == Ok(DEV_ORGANIZATION));
    X509Certificate::from_der(der).is_ok_and(|(_, c)| marked(c.issuer()) || marked(c.subject()))
}

/// Making a certificate or writing it failed.
#[derive(Debug, thiserror::Error)]
pub enum CertError {
    /// The certificate could not be made.
    #[error("the certificate could not be made")]
    Make(#[from] rcgen::Error),
    /// A file could not be written.
    #[error("{}: {kind}", file.display())]
    Write {
        /// The file.
        file: PathBuf,
        /// What the system said.
        kind: io::ErrorKind,
    },
}

/// A certificate with its key.
pub struct Issued {
    /// The certificate, in DER.
    pub certificate: Vec<u8>,
    /// The certificate, in PEM.
    pub certificate_pem: String,
    /// The private key, in PEM.
    pub key_pem: String,
}

/// A throw-away certificate authority.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl Authority {
    /// A new authority, valid for 30 days.
    pub fn make(now: Timestamp) -> Result<Self, CertError> {
        let mut params = params("authority", now);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate()?;
        let pem = params.self_signed(&key)?.pem();
        Ok(Self { issuer: Issuer::new(params, key), pem })
    }

    /// The authority's certificate, in PEM.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// A certificate for a server on this machine: localhost, 127.0.0.1 and ::1.
    pub fn server_params(now: Timestamp) -> Result<CertificateParams, CertError> {
        let names = CertificateParams::new(["localhost", "127.0.0.1", "::1"].map(str::to_owned))?;
        let mut server = params("server", now);
        server.subject_alt_names = names.subject_alt_names;
        server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        Ok(server)
    }

    /// A certificate for a caller named `spiffe://dev.lacuna.invalid/NAME`.
    pub fn client_params(name: &str, now: Timestamp) -> Result<CertificateParams, CertError> {
        let uri = format!("spiffe://{DEV_TRUST_DOMAIN}/{name}");
        let mut client = params(name, now);
        client.subject_alt_names = vec![SanType::URI(uri.try_into()?)];
        client.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        Ok(client)
    }

    /// Makes a key and a certificate for it.
    pub fn issue(&self, params: &CertificateParams) -> Result<Issued, CertError> {
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.issuer)?;
        Ok(Issued {
            certificate_pem: certificate.pem(),
            certificate: certificate.der().to_vec(),
            key_pem: key.serialize_pem(),
        })
    }
}

/// A caller's certificate and key on disk.
#[derive(Debug, Clone)]
pub struct ClientFiles {
    /// The role the certificate is named after.
    pub role: RoleId,
    /// The certificate, in PEM.
    pub cert: PathBuf,
    /// The private key, in PEM.
    pub key: PathBuf,
}

/// All files of a throw-away installation.
#[derive(Debug, Clone)]
pub struct DevFiles {
    /// What the server needs.
    pub server: TlsFiles,
    /// One caller per role, and a second key-admin.
    pub clients: Vec<ClientFiles>,
    /// The bindings of these callers.
    pub bindings: PathBuf,
}

/// A throw-away caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DevClient {
    /// Its name in files and certificates.
    pub name: String,
    /// Its role.
    pub role: RoleId,
    /// The person who holds it; none for a service.
    pub person: Option<&'static str>,
}

/// One caller per role, named after it, and second persons for what needs two.
pub fn dev_clients() -> Vec<DevClient> {
    let one =
        |role: &RoleId| DevClient { name: role.name().to_owned(), role: *role, person: persons(*role).map(|p| p.0) };
    let second = |role: &RoleId| {
        let (_, person) = persons(*role)?;
        Some(DevClient { name: format!("{role}-2"), role: *role, person: Some(person) })
    };
    RoleId::ALL.iter().map(one).chain(RoleId::ALL.iter().filter_map(second)).collect()
}

/// The two persons of a role whose operations need two.
fn persons(role: RoleId) -> Option<(&'static str, &'static str)> {
    match role {
        RoleId::KeyAdmin => Some(("Dev Key Admin", "Dev Second Key Admin")),
        RoleId::Legal => Some(("Dev Counsel", "Dev Second Counsel")),
        _ => None,
    }
}

/// Writes an authority, a server certificate, a client certificate for every role and their bindings into an
/// existing directory. Keys are readable by their owner only; the authority's key is not written at all.
pub fn write_dev_files(dir: &Path, now: Timestamp) -> Result<DevFiles, CertError> {
    let authority = Authority::make(now)?;
    let client_ca = dir.join("ca.pem");
    write(&client_ca, 0o644, authority.pem())?;
    let (cert, key) = write_issued(dir, "server", &authority.issue(&Authority::server_params(now)?)?)?;
    let mut clients = Vec::new();
    let mut bindings = format!("trust_domain = \"{DEV_TRUST_DOMAIN}\"\n");
    for DevClient { name, role, person } in dev_clients() {
        let issued = authority.issue(&Authority::client_params(&name, now)?)?;
        let (cert, key) = write_issued(dir, &format!("client-{name}"), &issued)?;
        clients.push(ClientFiles { role, cert, key });
        let identity = format!("spiffe://{DEV_TRUST_DOMAIN}/{name}");
        bindings.push_str(&format!("\n[[binding]]\nidentity = \"{identity}\"\nroles = [\"{role}\"]\n"));
        if let Some(person) = person {
            bindings.push_str(&format!("person = \"{person}\"\n"));
        }
    }
    let path = dir.join("bindings.toml");
    write(&path, 0o644, &bindings)?;
    Ok(DevFiles { server: TlsFiles { cert, key, client_ca }, clients, bindings: path })
}

fn params(name: &str, now: Timestamp) -> CertificateParams {
    let now = Duration::from_millis(u64::try_from(now.as_millis()).unwrap_or(0));
    let mut params = CertificateParams::default();
    params.not_before = date_time_ymd(1970, 1, 1) + now.saturating_sub(BACKDATED);
    params.not_after = date_time_ymd(1970, 1, 1) + now + LIFETIME;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::OrganizationName, DEV_ORGANIZATION);
    params.distinguished_name.push(DnType::CommonName, name);
    params.use_authority_key_identifier_extension = true;
    params
}

fn write_issued(dir: &Path, name: &str, issued: &Issued) -> Result<(PathBuf, PathBuf), CertError> {
    let (cert, key) = (dir.join(format!("{name}.pem")), dir.join(format!("{name}.key")));
    write(&cert, 0o644, &issued.certificate_pem)?;
    write(&key, 0o600, &issued.key_pem)?;
    Ok((cert, key))
}

/// Refuses to overwrite: an existing file may be one that somebody needs, with other permissions.
pub(super) fn write(path: &Path, mode: u32, text: &str) -> Result<(), CertError> {
    let file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path);
    let written = file.and_then(|mut file| file.write_all(text.as_bytes()));
    written.map_err(|e| CertError::Write { file: path.to_owned(), kind: e.kind() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::bindings::Bindings;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);

    #[test]
    fn everything_a_dev_authority_makes_is_marked() {
        let authority = Authority::make(NOW).unwrap();
        let mut unmarked = Authority::client_params("kyc", NOW).unwrap();
        unmarked.distinguished_name = DistinguishedName::new();
        for params in [Authority::server_params(NOW).unwrap(), unmarked] {
            assert!(is_dev_certificate(&authority.issue(&params).unwrap().certificate));
        }
        let mut other = params("authority", NOW);
        other.distinguished_name = DistinguishedName::new();
        other.distinguished_name.push(DnType::CommonName, DEV_ORGANIZATION);
        let other = other.self_signed(&KeyPair::generate().unwrap()).unwrap();
        assert!(!is_dev_certificate(other.der()), "a common name is no mark");
        assert!(!is_dev_certificate(b"junk"));
    }

    #[test]
    fn dev_files_are_private_complete_and_never_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let files = write_dev_files(dir.path(), NOW).unwrap();
        let keys = files.clients.iter().map(|client| &client.key).chain([&files.server.key]);
        for key in keys {
            assert_eq!(fs::metadata(key).unwrap().permissions().mode() & 0o777, 0o600);
        }
        let bindings = Bindings::parse(&fs::read_to_string(&files.bindings).unwrap()).unwrap();
        assert_eq!((bindings.len(), files.clients.len()), (RoleId::ALL.len() + 2, RoleId::ALL.len() + 2));
        let person = |name: &str| bindings.person_of(&format!("spiffe://{DEV_TRUST_DOMAIN}/{name}").parse().unwrap());
        assert!(person("key-admin").is_some() && person("key-admin-2").is_some());
        assert!(person("key-admin") != person("key-admin-2") && person("service").is_none());
        assert!(person("legal").is_some() && person("legal") != person("legal-2"));
        assert!(matches!(
            write_dev_files(dir.path(), NOW),
            Err(CertError::Write { kind: io::ErrorKind::AlreadyExists, .. })
        ));
    }
}
