//! GetItem and BatchGetItems.

use crate::audit::event::Event;
use crate::gate::call::Call;
use crate::gate::readings::Reading;
use crate::gate::record::{Ended, Touched, Whom};
use crate::gate::refusal::{Refusal, State};
use crate::gate::vault::Vault;

use super::model::{ItemQuery, ItemView};
use super::record::Target;
use super::recorded::{refusal_entry, refuse};
use super::show::{find, permit, show};

/// Reads one item. The value is returned only after the entry that records it is durable.
pub async fn get(vault: &Vault, call: &Call, query: ItemQuery) -> Result<ItemView, Refusal> {
    let Seen { view, event, reading } = match look(vault, call, &query) {
        Ok(seen) => seen,
        Err(refusal) => return Err(refuse(vault, call, Some(&query.subject), touched(&query), refusal).await),
    };
    match reading.unless_cut(vault.record(vec![event])).await {
        None => Err(State::ItemErased.into()),
        Some(Err(refusal)) => Err(refusal),
        Some(Ok(())) => Ok(view),
    }
}

/// Reads several items with a shared sync; each succeeds or fails by itself.
pub async fn get_batch(vault: &Vault, call: &Call, queries: Vec<ItemQuery>) -> Vec<Result<ItemView, Refusal>> {
    let mut outcomes = Vec::with_capacity(queries.len());
    let mut events = Vec::with_capacity(queries.len());
    for query in &queries {
        let seen = look(vault, call, query).map(|seen| {
            events.push(seen.event);
            (seen.view, seen.reading)
        });
        if let Err(refusal) = &seen {
            match refusal_entry(vault, call, Some(&query.subject), touched(query), refusal) {
                Ok(event) => events.push(event),
                Err(error) => return queries.iter().map(|_| Err(error.clone())).collect(),
            }
        }
        outcomes.push(seen);
    }
    let recorded = vault.record(events).await;
    if outcomes.iter().any(Result::is_err) {
        call.keep_time().await;
    }
    let reveal = |(view, reading): (ItemView, Reading)| {
        if reading.is_cut() { Err(State::ItemErased.into()) } else { Ok(view) }
    };
    outcomes.into_iter().map(|seen| recorded.clone().and_then(|()| seen.and_then(reveal))).collect()
}

struct Seen {
    view: ItemView,
    event: Event,
    reading: Reading,
}

fn touched(query: &ItemQuery) -> Touched {
    let items = vec![(query.item, query.version)];
    Touched { count: 1, items, fields: query.fields.clone(), ..Touched::default() }
}

fn look(vault: &Vault, call: &Call, query: &ItemQuery) -> Result<Seen, Refusal> {
    let target = Target::of(vault.id(), vault.index_key(), &query.subject);
    let id = match &target {
        Target::Id(id) => *id,
        Target::Indexed(..) => vault.read(|reads| target.id(reads))?,
    };
    // Registered before any row that decides is read; see `gate::readings`.
    let reading = vault.readings().begin(id, Some(query.item));
    let (view, rule, keys) = vault.read(|reads| {
        let subject = target.open(reads, call)?;
        let item = find(reads, &subject, query.item, query.version)?;
        let (permit, view) = permit(call, &subject, &item, query.view)?;
        let mut shown = show(reads, vault, &subject, &item, view, &query.fields)?;
        shown.limit = call.may_know_rules().then(|| permit.limit(view));
        Ok((shown, permit.rule().clone(), subject.detail_keys(reads)?))
    })?;
    let touched = Touched {
        class: Some(view.class),
        view: Some(view.view),
        rule: Some(rule),
        items: vec![(view.item, view.version)],
        ..touched(query)
    };
    let event = call.recorder().entry(Whom::Subject(&keys), touched, Ended::Done, (vault.now(), vault.epoch()))?;
    Ok(Seen { view, event, reading })
}
