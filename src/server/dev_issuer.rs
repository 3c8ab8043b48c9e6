//! A throw-away issuer of people's tokens for `lacuna dev`, the demo and tests.

use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;

use super::certs::{CertError, write};
use super::file::{FileError, read_secret};
use crate::base::secret::{Key, Secret};
use crate::base::time::Timestamp;
use crate::bearer::jwks::DEV_KEY_ID;
use crate::crypto::rng;
use crate::crypto::sign::Signer;

/// The claim `iss`; `.invalid` belongs to nobody (RFC 2606).
pub const ISSUER: &str = "https://dev.lacuna.invalid";
/// The claim `aud`.
pub const AUDIENCE: &str = "lacuna-dev";

/// How long a token is good.
const LIFETIME: Duration = Duration::from_secs(10 * 60);

/// The issuer could not be made or used.
#[derive(Debug, thiserror::Error)]
pub enum IssuerError {
    /// The system source of randomness failed.
    #[error("no random bytes")]
    Random,
    /// A file could not be written.
    #[error("{0}")]
    Write(#[from] CertError),
    /// The key could not be read.
    #[error("{}: {fault}; start lacuna dev --dir with this directory first", file.display())]
    Key {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        fault: FileError,
    },
}

/// Writes a new key and its key set into an existing directory. Nothing that is there is overwritten.
pub fn write_issuer(dir: &Path) -> Result<(), IssuerError> {
    let seed: Key = rng::make_secret().map_err(|_| IssuerError::Random)?;
    let public = URL_SAFE_NO_PAD.encode(Signer::from_seed(&seed).public());
    let key = json!({ "kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA", "kid": DEV_KEY_ID, "x": public });
    // Exposed to be written: a throw-away key, in a file of its owner's.
    write(&key_file(dir), 0o600, &URL_SAFE_NO_PAD.encode(seed.expose()))?;
    write(&dir.join("jwks.json"), 0o644, &json!({ "keys": [key] }).to_string())?;
    Ok(())
}

/// A token for the person whom services know under an external id, issued so long ago.
pub fn make_token(dir: &Path, external_id: &str, now: Timestamp, age: Duration) -> Result<String, IssuerError> {
    let file = key_file(dir);
    let fault = |fault| IssuerError::Key { file: file.clone(), fault };
    let text = read_secret(&file).map_err(fault)?;
    let seed = URL_SAFE_NO_PAD.decode(text.expose()).ok().and_then(|seed| Secret::from_slice(&seed));
    let signer = Signer::from_seed(&seed.ok_or(fault(FileError::NotText))?);
    let issued = now.as_millis() / 1000 - age.as_secs() as i64;
    let header = json!({ "alg": "EdDSA", "typ": "JWT", "kid": DEV_KEY_ID });
    let claims = json!({
        "iss": ISSUER, "aud": AUDIENCE, "sub": external_id, "iat": issued, "exp": issued + LIFETIME.as_secs() as i64,
    });
    let part = |json: serde_json::Value| URL_SAFE_NO_PAD.encode(json.to_string());
    let signed = format!("{}.{}", part(header), part(claims));
    let signature = URL_SAFE_NO_PAD.encode(signer.sign(signed.as_bytes()));
    Ok(format!("{signed}.{signature}"))
}

fn key_file(dir: &Path) -> PathBuf {
    dir.join("issuer.key")
}
