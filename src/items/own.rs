//! The record of a person who speaks through a token.

use crate::audit::detail::DetailKeys;
use crate::base::id::SubjectId;
use crate::catalog::text::Text;
use crate::gate::refusal::Refusal;
use crate::gate::vault::Vault;

use super::model::SubjectRef;
use super::record::Target;

/// The subject whom services know under an external id, and the keys of its entries in the log; none if there is no
/// such subject, or no more.
///
/// # Errors
/// The vault cannot tell.
pub fn find_person(vault: &Vault, external_id: &Text) -> Result<Option<(SubjectId, DetailKeys)>, Refusal> {
    let named = SubjectRef::External(external_id.duplicate());
    let target = Target::of(&named);
    let found = vault.read(|reads| {
        let subject = target.open_unasked(reads, vault.id())?;
        Ok((subject.id, subject.detail_keys(reads)?))
    });
    match found {
        Ok(found) => Ok(Some(found)),
        Err(Refusal::State(_)) => Ok(None),
        Err(refusal) => Err(refusal),
    }
}
