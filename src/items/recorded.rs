//! Refusals, recorded as precisely as what succeeds: about the subject they concern, if there is one.

use crate::audit::detail::DetailKeys;
use crate::audit::event::Event;
use crate::catalog::class::ClassId;
use crate::gate::call::Call;
use crate::gate::record::{Ended, Touched, Whom};
use crate::gate::refusal::Refusal;
use crate::gate::vault::Vault;
use crate::store::keyspace::Space;

use super::model::SubjectRef;
use super::record::{Target, decode_item, item_key};

/// Records a refusal. The refusal, or why it could not be recorded.
///
/// # Durability
/// The entry survives power loss when this returns.
pub async fn refuse(
    vault: &Vault,
    call: &Call,
    named: Option<&SubjectRef>,
    touched: Touched,
    refusal: Refusal,
) -> Refusal {
    let entry = match refusal_entry(vault, call, named, touched, &refusal) {
        Ok(entry) => entry,
        Err(error) => return error,
    };
    let refusal = vault.record(vec![entry]).await.err().unwrap_or(refusal);
    call.keep_time().await;
    refusal
}

/// The entry of a refusal.
pub fn refusal_entry(
    vault: &Vault,
    call: &Call,
    named: Option<&SubjectRef>,
    touched: Touched,
    refusal: &Refusal,
) -> Result<Event, Refusal> {
    // Where the subject is not to be had, the entry is about nobody: that a call was refused must not go unrecorded.
    let found = named.and_then(|named| find(vault, named, &touched));
    let whom = found.as_ref().map_or(Whom::Nobody, |(keys, _)| Whom::Subject(keys));
    let class = touched.class.or(found.as_ref().and_then(|(_, class)| *class));
    let touched = Touched { class, ..touched };
    call.recorder().entry(whom, touched, Ended::Not(refusal), (vault.now(), vault.epoch()))
}

/// The subject's keys, and the class of the first item that is concerned.
fn find(vault: &Vault, named: &SubjectRef, touched: &Touched) -> Option<(DetailKeys, Option<ClassId>)> {
    let target = Target::of(named);
    let read = vault.read(|reads| {
        let subject = target.open_unasked(reads, vault.id())?;
        let class = match touched.items.first() {
            None => None,
            Some((item, _)) => match reads.row(Space::Item, &item_key(&subject.id, item))? {
                None => None,
                Some(row) => decode_item(*item, &row)?.class(),
            },
        };
        Ok((subject.detail_keys(reads)?, class))
    });
    read.ok()
}
