//! What lists and tails begin with: may the caller, about whom, and on the record.

use super::model::{Person, Query};
use super::whose::{Known, Whose};
use crate::audit::event::Event;
use crate::audit::query::Filter;
use crate::gate::call::Call;
use crate::gate::record::{Ended, Touched, Whom};
use crate::gate::refusal::{Denied, Refusal, Told};
use crate::gate::vault::Vault;
use crate::items::recorded::refuse;
use crate::policy::decide::{Cause, Permit};
use crate::policy::question::{Resource, Standing};

/// A reading of the log that is allowed and recorded.
pub(super) struct Opened<T> {
    /// What the caller prepared.
    pub(super) extra: T,
    /// The subject whose entries are selected, if the query names one.
    pub(super) known: Option<Known>,
    /// The filter with the subject's tokens.
    pub(super) filter: Filter,
    /// Only entries that open under the subject's key are selected.
    pub(super) only_opened: bool,
}

/// Decides, finds the subject, and records the reading as `ended`.
///
/// # Durability
/// The entry is durable when this returns, also that of a refusal.
pub(super) async fn open<T>(
    vault: &Vault,
    call: &Call,
    query: &Query,
    prepared: Result<T, Refusal>,
    ended: Ended<'_>,
) -> Result<Opened<T>, Refusal> {
    let checked = permit(call, query).and_then(|permit| Ok((permit, prepared?, find(vault, call, query)?)));
    let (permit, extra, whose) = match checked {
        Ok(checked) => checked,
        Err(refusal) => {
            let touched = Touched { fields: query.named.clone(), ..Touched::default() };
            let named = query.subject.as_ref().and_then(Person::present);
            return Err(refuse(vault, call, named, touched, refusal).await);
        }
    };
    let mut filter = query.filter.clone();
    filter.tokens = whose.tokens(vault, &filter)?;
    let refusal = whose.refusal();
    let ended = refusal.as_ref().map_or(ended, Ended::Not);
    let entry = entry(vault, call, query, &permit, whose.keys().map_or(Whom::Nobody, Whom::Subject), ended)?;
    vault.record(vec![entry]).await?;
    let known = whose.known();
    // The entries of an erasure have no token: only the detail of the first one names the subject.
    let only_opened = query.opened && filter.receipt.is_some() && known.is_some();
    if only_opened {
        filter.tokens = None;
    }
    Ok(Opened { extra, known, filter, only_opened })
}

/// The entry of a reading.
fn entry(
    vault: &Vault,
    call: &Call,
    query: &Query,
    permit: &Permit,
    whom: Whom<'_>,
    ended: Ended<'_>,
) -> Result<Event, Refusal> {
    let rule = matches!(ended, Ended::Done | Ended::Started).then(|| permit.rule().clone());
    let touched = Touched { rule, fields: query.named.clone(), ..Touched::default() };
    call.recorder().entry(whom, touched, ended, (vault.now(), vault.epoch()))
}

fn permit(call: &Call, query: &Query) -> Result<Permit, Refusal> {
    if let Some(Person::Erased(_)) = &query.subject {
        let about = Resource::Subject(Standing::default());
        let permit = call.permit(about).map_err(|access| access.openly())?;
        // Whose key it is opens the details too: they are what is kept.
        return if call.may_know_history() { Ok(permit) } else { Err(denied()) };
    }
    let permit = call.permit(Resource::Vault).map_err(|access| access.openly())?;
    if query.opened && !call.may_know_details() {
        return Err(denied());
    }
    Ok(permit)
}

/// What is asked for says nothing about anybody, so the denial is told.
fn denied() -> Refusal {
    crate::gate::refusal::Access::Denied(Denied { cause: Cause::Rules, rule: None, told: Told::Cause }).into()
}

fn find(vault: &Vault, call: &Call, query: &Query) -> Result<Whose, Refusal> {
    Whose::find(vault, call, query.subject.as_ref())
}
