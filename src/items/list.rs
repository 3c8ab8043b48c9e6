//! ListItems: a subject's items, page by page, in order of creation.

use crate::audit::detail::DetailKeys;
use crate::base::limits::{PAGE_BYTES_MAX, PAGE_SIZE_DEFAULT, PAGE_SIZE_MAX};
use crate::gate::call::Call;
use crate::gate::record::{Ended, Touched, Whom};
use crate::gate::refusal::{Access, Refusal};
use crate::gate::vault::Vault;
use crate::policy::action::Action;
use crate::policy::question::Resource;

use super::model::{ItemView, ListPage, ListQuery};
use super::page::{Last, make_token, open_token};
use super::record::{OpenSubject, StoredItem, Target};
use super::recorded::refuse;
use super::show::{permit, show};
use super::subject::items_of;

/// Lists items. Values are returned only after the entry that records them is durable.
pub async fn list(vault: &Vault, call: &Call, query: ListQuery) -> Result<ListPage, Refusal> {
    match try_list(vault, call, &query).await {
        Ok(page) => Ok(page),
        Err(refusal) => {
            let touched = Touched { fields: query.fields.clone(), ..Touched::default() };
            Err(refuse(vault, call, Some(&query.subject), touched, refusal).await)
        }
    }
}

async fn try_list(vault: &Vault, call: &Call, query: &ListQuery) -> Result<ListPage, Refusal> {
    let after = open_token(call, query, vault.now())?;
    let target = Target::of(&query.subject);
    let id = vault.read(|reads| target.id(reads))?;
    let reading = vault.readings().begin(id, None);
    let Seen { items, last, more, keys } = look(vault, call, query, &target, after)?;
    let touched = Touched {
        view: items.iter().map(|item| item.view).max(),
        count: u32::try_from(items.len()).unwrap_or(u32::MAX),
        items: items.iter().map(|item| (item.item, item.version)).collect(),
        fields: query.fields.clone(),
        ..Touched::default()
    };
    let entry = call.recorder().entry(Whom::Subject(&keys), touched, Ended::Done, (vault.now(), vault.epoch()))?;
    reading.unless_cut(vault.record(vec![entry])).await.ok_or_else(|| reading.ended_by())??;
    let next_page_token = match last.filter(|_| more) {
        None => String::new(),
        Some(last) => make_token(call, query, last, vault.now())?,
    };
    Ok(ListPage { items, next_page_token })
}

struct Seen {
    items: Vec<ItemView>,
    last: Option<Last>,
    more: bool,
    keys: DetailKeys,
}

fn look(vault: &Vault, call: &Call, query: &ListQuery, target: &Target, after: Option<Last>) -> Result<Seen, Refusal> {
    let size = match query.page_size as usize {
        0 => PAGE_SIZE_DEFAULT,
        size => size.min(PAGE_SIZE_MAX),
    };
    vault.read(|reads| {
        let subject = target.open(reads, call)?;
        let mut stored = items_of(reads, &subject.id)?;
        let may_know = |item: &StoredItem| call.permit(subject.data(call.purpose(), item.head.class)).is_ok();
        if !stored.iter().any(may_know) {
            know_of(call, &subject).map_err(Refusal::from)?;
        }
        stored.retain(|item| is_wanted(&query.classes, item) && after < Some(place(item)) && may_know(item));
        stored.sort_by_key(place);
        let mut items: Vec<ItemView> = Vec::new();
        let mut bytes = 0;
        for item in stored.iter().take(size) {
            bytes += item.sealed_len();
            // A page is never empty because of one large item.
            if bytes > PAGE_BYTES_MAX && !items.is_empty() {
                break;
            }
            let (permit, view) = permit(call, &subject, item, query.view)?;
            items.push(show(reads, call, &subject, item, (&permit, view), &query.fields)?);
        }
        let more = stored.len() > items.len();
        let last = items.len().checked_sub(1).map(|at| place(&stored[at]));
        Ok(Seen { items, last, more, keys: subject.detail_keys(reads)? })
    })
}

/// Whether the caller may learn from an empty list that the person is there: to others nobody is.
fn know_of(call: &Call, subject: &OpenSubject) -> Result<(), Access> {
    let person = Resource::Subject(subject.row.standing.clone());
    match call.permit_to(Action::GetSubject, person) {
        Err(denied) if !call.may_know_existence() => Err(denied),
        Ok(_) | Err(_) => Ok(()),
    }
}

/// The order of creation; ids decide between what different calls created in one millisecond.
fn place(item: &StoredItem) -> Last {
    Last { created: item.head.created, order: item.head.order, id: item.id }
}

fn is_wanted(classes: &[String], item: &StoredItem) -> bool {
    classes.is_empty() || classes.iter().any(|class| class == item.head.class.as_str())
}
