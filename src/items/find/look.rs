//! From rows of the index to people, each decided about as by itself.

use std::sync::Arc;

use crate::audit::detail::DetailKeys;
use crate::base::id::ItemId;
use crate::base::limits::FIND_ROWS_MAX;
use crate::base::log_safe::SafeText;
use crate::catalog::class::{ClassId, Identifier, IdentifierField};
use crate::crypto::mac;
use crate::gate::call::Call;
use crate::gate::index::Live;
use crate::gate::refusal::{Access, Refusal};
use crate::gate::txn::{Fault, Reads};
use crate::items::record::{OpenSubject, StoredItem, open_subject_to_tell};
use crate::items::{rows, seek, show};
use crate::keys::index::Lead;
use crate::policy::action::Action;
use crate::policy::question::Resource;
use crate::store::keyspace::Space;

use super::token::After;

/// Rows of an identifier, in the order of their keys.
pub(super) struct Leads {
    /// The keys in use when they were read.
    pub live: Arc<Live>,
    /// Each with what it leads to.
    pub rows: Vec<(Vec<u8>, Lead)>,
    /// Whether there are more.
    pub more: bool,
}

/// The rows of an identifier, as many as one call looks at.
pub(super) fn leads(reads: &dyn Reads, identifier: &Identifier, after: Option<&After>) -> Result<Leads, Fault> {
    let mut live = reads.index().live();
    loop {
        let key = live.current(identifier.field);
        let prefix = key.rows(identifier);
        let from = match after {
            Some(after) => after.row(key.number(), &prefix)?,
            None => Vec::new(),
        };
        let mut found = reads.rows(Space::Index, &prefix, &from, FIND_ROWS_MAX + 1)?;
        let now = reads.index().live();
        if !Arc::ptr_eq(&now, &live) {
            live = now; // rows under the old key may be gone already
            continue;
        }
        let more = found.len() > FIND_ROWS_MAX;
        found.truncate(FIND_ROWS_MAX);
        let open = |(row, sealed): (Vec<u8>, Vec<u8>)| {
            let lead = key.open(reads.index().vault(), &row, &sealed).map_err(|_| Fault::Torn)?;
            Ok((row, lead))
        };
        let rows = found.into_iter().map(open).collect::<Result<_, Fault>>()?;
        return Ok(Leads { rows, more, live });
    }
}

/// What is at the end of a lead.
pub(super) enum Seen {
    /// Nobody any more, or not with this identifier.
    Nobody,
    /// Somebody whom the caller may not know of.
    Denied {
        /// The keys of the person's entries in the log.
        keys: DetailKeys,
        /// The class that holds the identifier.
        class: Option<ClassId>,
        /// The denial.
        refusal: Refusal,
    },
    /// Somebody whom the caller may know of.
    Known(Known),
}

/// See [`Seen::Known`].
pub(super) struct Known {
    /// The keys of the person's entries in the log.
    pub keys: DetailKeys,
    /// The class that holds the identifier; none where the person itself does.
    pub class: Option<ClassId>,
    /// The rule that permits it.
    pub rule: SafeText,
    /// The item that holds it, and its version.
    pub item: Option<(ItemId, u64)>,
    /// Whether the caller may be told which item that is.
    pub may_know_item: bool,
}

/// Follows a lead.
pub(super) fn look(
    reads: &dyn Reads,
    call: &Call,
    identifier: &Identifier,
    live: &Live,
    (row, lead): (&[u8], &Lead),
) -> Result<Seen, Fault> {
    match follow(reads, call, identifier, live, (row, lead)) {
        // It went meanwhile.
        Err(Fault::Refused(Refusal::State(_))) => Ok(Seen::Nobody),
        seen => seen,
    }
}

fn follow(
    reads: &dyn Reads,
    call: &Call,
    identifier: &Identifier,
    live: &Live,
    (row, lead): (&[u8], &Lead),
) -> Result<Seen, Fault> {
    let vault = reads.index().vault();
    let mut subject = open_subject_to_tell(reads, vault, lead.subject)?;
    let item = lead.item.map(|id| show::find(reads, &subject, id, 0)).transpose()?;
    if !is_of_version(live, identifier, row, item.as_ref()) {
        return Ok(Seen::Nobody);
    }
    let class = item.as_ref().map(|item| item.head.class);
    let keys = subject.detail_keys(reads)?;
    let rule = match decide(call, &mut subject, class, identifier.field) {
        Ok(rule) => rule,
        Err(access) => return Ok(Seen::Denied { keys, class, refusal: access.into() }),
    };
    // A token is truncated: what the person or the item really has decides.
    if !has(reads, &subject, item.as_ref(), identifier)? {
        return Ok(Seen::Nobody);
    }
    let may_know_item =
        class.is_some_and(|class| call.permit_to(Action::GetItem, subject.data(call.purpose(), class)).is_ok());
    let item = item.map(|item| (item.id, item.head.version));
    Ok(Seen::Known(Known { keys, class, rule, item, may_know_item }))
}

/// Both must be the caller's to know of: the person, and the identifier in items of the class that holds it.
fn decide(
    call: &Call,
    subject: &mut OpenSubject,
    class: Option<ClassId>,
    field: IdentifierField,
) -> Result<SafeText, Access> {
    subject.row.standing.own = call.owns(subject.id)?;
    let permit = call.permit(Resource::Subject(subject.row.standing.clone()))?;
    match class {
        None => Ok(permit.rule().clone()),
        Some(class) => seek::permit(call, subject.data(call.purpose(), class), field),
    }
}

/// Whether the row is one of the version that the item has now: those of an old one go with it, a little later.
fn is_of_version(live: &Live, identifier: &Identifier, row: &[u8], item: Option<&StoredItem>) -> bool {
    let holder = item.map(|item| (&item.id, item.head.version));
    live.current(identifier.field).row(identifier, holder) == row
}

fn has(
    reads: &dyn Reads,
    subject: &OpenSubject,
    item: Option<&StoredItem>,
    wanted: &Identifier,
) -> Result<bool, Fault> {
    let vault = reads.index().vault();
    let is_wanted = |value: &str| mac::equal(value.as_bytes(), wanted.value.expose().as_bytes());
    match item {
        None => Ok(is_wanted(subject.external_id(vault)?.expose())),
        Some(item) => {
            let content = item.open(reads, vault, subject.tree())?;
            let held = rows::identifiers(item.head.class, &content)?;
            Ok(held.iter().any(|held| held.field == wanted.field && is_wanted(held.value.expose())))
        }
    }
}
