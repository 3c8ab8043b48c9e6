//! RestrictSubject: a person's data may be kept and, but for obligations by law, not used.

use crate::gate::call::Call;
use crate::gate::record::Touched;
use crate::gate::refusal::Refusal;
use crate::gate::txn::Txn;
use crate::gate::vault::Vault;

use super::model::{Restriction, SubjectView};
use super::record::{SubjectRow, Target};
use super::recorded::refuse;
use super::rights::{Changed, change};
use super::subject::view_of;

/// Restricts processing of a subject's data, or lifts that. What is so already stays so.
///
/// # Durability
/// On `Ok` it survives power loss, and every call that starts from then on sees it.
pub async fn restrict(vault: &Vault, call: &Call, wanted: Restriction) -> Result<SubjectView, Refusal> {
    let target = Target::of(&wanted.subject);
    let (ground, caller) = (wanted.ground, call.clone());
    let apply = move |row: &mut SubjectRow| {
        let changed = row.restriction() != ground;
        row.restrict(ground);
        let mut fields = vec![format!("restricted={}", ground.is_some())];
        fields.extend(ground.map(|ground| format!("ground={}", ground.as_str())));
        Ok(Changed { row: changed, touched: Touched { fields, ..Touched::default() } })
    };
    let work = move |txn: &mut Txn<'_>| {
        let subject = change(txn, &caller, &target, apply)?;
        Ok(view_of(txn, &caller, &subject)?)
    };
    match vault.committer().commit(work).await {
        Ok(view) => Ok(view),
        Err(refusal) => Err(refuse(vault, call, Some(&wanted.subject), Touched::default(), refusal).await),
    }
}
