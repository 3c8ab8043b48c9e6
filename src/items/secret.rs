//! From a secret to what tests it.
//!
//! The cost of the hash is stored with each verifier; where it is raised, a verifier is made anew the next time its
//! password turns out right (`verify.rs`).

use crate::base::secret::Key;
use crate::base::time::Timestamp;
use crate::catalog::classes::password::{self, Verifier};
use crate::catalog::text::Text;
use crate::crypto::passphrase::{Cost, PASSWORDS, derive_key};
use crate::crypto::rng;
use crate::gate::once::Once;
use crate::gate::refusal::{Refusal, Unavailable};
use crate::gate::vault::Vault;

use super::draft::Checked;

impl Checked {
    /// Turns a secret, if there is one, into its verifier. Where the change may be repeated, what stands for the secret
    /// in its digest is as slow to compute: a repeat must be the same request, and its record no shortcut to the
    /// secret.
    ///
    /// # Errors
    /// [`Unavailable::Overloaded`] if too many are waiting for that.
    pub async fn harden(&mut self, vault: &Vault, once: Option<Once>) -> Result<Option<Once>, Refusal> {
        let Some(secret) = self.secret.take() else { return Ok(once) };
        let (set, salt) = (vault.now(), rng::make_bytes().map_err(|_| Unavailable::Internal)?);
        let repeat_salt = once.as_ref().map(Once::salt);
        let work = move || {
            let verifier = make(&secret, salt, set)?;
            let stand_in = repeat_salt.map(|salt| hash(&secret, &salt, PASSWORDS)).transpose()?;
            Ok::<_, Unavailable>((password::encoded(verifier), stand_in))
        };
        let (value, stand_in) = vault.hashing().run(work).await??;
        self.value = value;
        Ok(match (once, stand_in) {
            (Some(once), Some(stand_in)) => Some(once.including(stand_in.expose())),
            (once, _) => once,
        })
    }
}

/// The verifier of a secret at today's cost. Takes its time.
pub fn make(secret: &Text, salt: [u8; 16], set: Timestamp) -> Result<Verifier, Unavailable> {
    let Cost { memory_kib, passes, lanes } = PASSWORDS;
    Ok(Verifier { memory_kib, passes, lanes, salt, tag: hash(secret, &salt, PASSWORDS)?, set })
}

/// The tag of a secret. Takes its time.
pub fn hash(secret: &Text, salt: &[u8; 16], cost: Cost) -> Result<Key, Unavailable> {
    // Exposed to be hashed.
    derive_key(secret.expose().as_bytes(), salt, cost).map_err(|_| Unavailable::Damaged)
}

/// What a verifier's hash cost.
pub fn cost(verifier: &Verifier) -> Cost {
    Cost { memory_kib: verifier.memory_kib, passes: verifier.passes, lanes: verifier.lanes }
}
