//! ListItems: a subject's items, page by page, in order of creation.

use crate::audit::detail::DetailKeys;
use crate::audit::event::{About, Event};
use crate::base::id::ItemId;
use crate::base::limits::{PAGE_SIZE_DEFAULT, PAGE_SIZE_MAX};
use crate::gate::call::{Call, view_number};
use crate::gate::refusal::{Fault, FaultReason, Refusal, State};
use crate::gate::vault::Vault;

use super::model::{ItemView, ListPage, ListQuery};
use super::record::{StoredItem, open_subject, resolve};
use super::show::{permit, show};
use super::subject::items_of;

/// Lists items. Values are returned only after the event that records them is durable.
pub async fn list(vault: &Vault, call: &Call, query: ListQuery) -> Result<ListPage, Refusal> {
    match try_list(vault, call, query).await {
        Ok(page) => Ok(page),
        Err(refusal) => Err(vault.refuse(call, refusal).await),
    }
}

async fn try_list(vault: &Vault, call: &Call, query: ListQuery) -> Result<ListPage, Refusal> {
    let after = parse_token(&query.page_token)?;
    let size = match query.page_size as usize {
        0 => PAGE_SIZE_DEFAULT,
        size => size.min(PAGE_SIZE_MAX),
    };
    let id = vault.read(|reads| Ok(resolve(reads, vault.id(), vault.index_key(), &query.subject)?.id))?;
    let reading = vault.readings().begin(id);
    let (items, more, keys) = vault.read(|reads| {
        let subject = open_subject(reads, vault.id(), id)?;
        let mut stored = items_of(reads, &id)?;
        stored.retain(|item| call.permit(item.head.class).is_some() && is_wanted(&query.classes, item));
        stored.sort_by_key(|item| (item.head.created, item.id));
        let from = match after {
            None => 0,
            Some(last) => stored.iter().position(|item| item.id == last).map_or(stored.len(), |at| at + 1),
        };
        let more = stored.len() > from + size;
        let mut views: Vec<ItemView> = Vec::new();
        for item in stored.iter().skip(from).take(size) {
            let (_, view) = permit(call, item, query.view)?;
            views.push(show(reads, vault, &subject, item, view, &query.fields)?);
        }
        Ok((views, more, DetailKeys::derive(&subject.audit_key(reads)?)))
    })?;
    let event = Event {
        view: items.iter().map(|item| view_number(item.view)).max().unwrap_or(0),
        count: u32::try_from(items.len()).unwrap_or(u32::MAX),
        about: About::Subject(keys.token(vault.now())),
        detail: Some(call.detail(vault, &keys, items.iter().map(|item| item.item).collect())?),
        ..call.event(vault.epoch())
    };
    let recorded = vault.committer().commit(move |txn| {
        txn.record(event);
        Ok(())
    });
    reading.unless_cut(recorded).await.ok_or(State::SubjectErased)??;
    let next = items.last().filter(|_| more).map(|item| item.item.to_string());
    Ok(ListPage { items, next_page_token: next.unwrap_or_default() })
}

fn is_wanted(classes: &[String], item: &StoredItem) -> bool {
    classes.is_empty() || classes.iter().any(|class| class == item.head.class.as_str())
}

fn parse_token(token: &str) -> Result<Option<ItemId>, Refusal> {
    if token.is_empty() {
        return Ok(None);
    }
    token.parse().map(Some).map_err(|_| Fault::new("page_token", FaultReason::PageToken).into())
}
