//! Signing statements with the key that the vault keeps for that alone.

use std::sync::Arc;

use super::body::{self, Carried};
use super::case::Case;
use crate::audit::note::VerifierKey;
use crate::base::id::{ReceiptId, VaultId};
use crate::crypto::sign::{Signature, Signer, verify};
use crate::gate::former::{Attestation, FormerSlot};

/// What stands before the statement in what is signed: the key signs nothing else.
const DOMAIN: &[u8] = b"lacuna-receipt-v1\0";

/// A statement and the signature over it. Neither ever changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    /// The message `ReceiptBody`, encoded.
    pub body: Vec<u8>,
    /// The signing key's name, as in its verifier key.
    pub key_name: String,
    /// The signing key's number, as in its verifier key.
    pub key_hash: [u8; 4],
    /// Ed25519.
    pub signature: Signature,
}

/// Makes the statements of one vault.
pub struct ReceiptSigner {
    vault: VaultId,
    signer: Arc<Signer>,
    key: VerifierKey,
}

impl ReceiptSigner {
    /// With the vault's key.
    pub(in crate::gate) fn new(vault: VaultId, signer: Arc<Signer>, key: VerifierKey) -> Self {
        Self { vault, signer, key }
    }

    /// What verifies the signatures.
    pub fn key(&self) -> &VerifierKey {
        &self.key
    }

    /// Whether this is the statement of that act: it names the receipt, and this vault's key has signed it.
    pub(super) fn has_signed(&self, receipt: &ReceiptId, signed: &Signed) -> bool {
        let message = [DOMAIN, &signed.body].concat();
        body::names(&signed.body, receipt) && verify(self.key.public(), &message, &signed.signature).is_ok()
    }

    /// The statement of an act that was carried out.
    pub(in crate::gate) fn sign(
        &self,
        receipt: &ReceiptId,
        case: &Case,
        carried: &Carried,
        attested: &[(&FormerSlot, &Attestation)],
    ) -> Signed {
        let body = body::encode(&self.vault, receipt, case, carried, attested);
        let signature = self.signer.sign(&[DOMAIN, &body].concat());
        Signed { body, key_name: self.key.name().to_owned(), key_hash: self.key.id(), signature }
    }
}
