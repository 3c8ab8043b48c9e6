//! Details, opened: with the keys of the day for entries about nobody and those about the evidence of an erasure, with the
//! subject's for a query about one.
//!
//! No other detail opens: nothing leads from a token back to its subject.

use std::collections::HashMap;
use std::sync::Arc;

use crate::audit::detail::{Detail, DetailKeys};
use crate::audit::event::{About, Event};
use crate::audit::leaf::Leaf;
use crate::audit::query::Hit;
use crate::base::id::ActorId;
use crate::base::limits::DETAIL_DAYS_MAX;
use crate::base::log_safe::SafeText;
use crate::base::time::Timestamp;
use crate::catalog::text::Text;
use crate::gate::call::Call;
use crate::gate::persons;
use crate::gate::record::{Ended, Touched, Whom};
use crate::gate::refusal::Refusal;
use crate::gate::service_keys::{self, Name};
use crate::gate::vault::Vault;

use super::model::Shown;
use super::whose::Known;

/// The operation of the entries that record a release.
pub(super) const RELEASE: &str = "DetailsOpened";

/// Opens details. Holds the keys of the days it has met, and the subject's through its reading.
pub(super) struct Opener {
    vault: Arc<Vault>,
    known: Option<Arc<Known>>,
    days: HashMap<i32, Option<DetailKeys>>,
    operators: HashMap<ActorId, Option<Text>>,
}

impl Opener {
    pub(super) fn new(vault: Arc<Vault>, known: Option<Arc<Known>>) -> Self {
        Self { vault, known, days: HashMap::new(), operators: HashMap::new() }
    }

    /// The detail of an entry; none if there is none, or no key for it.
    pub(super) fn open(&mut self, hit: &Hit) -> Result<Option<Detail>, Refusal> {
        let Some(sealed) = &hit.sealed else { return Ok(None) };
        let opened = |keys: &DetailKeys, vault: &Vault| Detail::open(keys, vault.id(), &hit.leaf.request, sealed).ok();
        match (&hit.leaf.about, self.known.clone()) {
            (About::Subject(_), Some(known)) => Ok(opened(&known.keys, &self.vault)),
            (About::Erasure(_), Some(known)) => {
                Ok(opened(&known.keys, &self.vault).filter(|detail| detail.subject == Some(known.id)))
            }
            (About::Subject(_), None) => Ok(None),
            // Of an erasure the first entry is sealed under the person's key, and the others, about its evidence, under
            // the day's.
            (About::Nobody, _) | (About::Erasure(_), None) => {
                // A call that began before midnight may be recorded after it, with the keys it began with.
                for day in [hit.leaf.time.day(), hit.leaf.time.day() - 1] {
                    let vault = self.vault.clone();
                    if let Some(detail) = self.day(day)?.and_then(|keys| opened(keys, &vault)) {
                        return Ok(Some(detail));
                    }
                }
                Ok(None)
            }
        }
    }

    /// The name of the person who acted in an entry, as long as it is kept.
    pub(super) fn operator(&mut self, leaf: &Leaf) -> Result<Option<Text>, Refusal> {
        let (2, Ok(id)) = (leaf.actor_kind, <[u8; 16]>::try_from(&leaf.actor[..])) else { return Ok(None) };
        let id = ActorId::from_bytes(id);
        if !self.operators.contains_key(&id) {
            let vault = self.vault.clone();
            let names = self.vault.read(|reads| persons::names(reads, vault.id()))?;
            self.operators.extend(names.into_iter().map(|(id, name)| (id, Some(name))));
            self.operators.entry(id).or_insert(None);
        }
        Ok(self.operators.get(&id).and_then(Option::as_ref).map(Text::duplicate))
    }

    fn day(&mut self, day: i32) -> Result<Option<&DetailKeys>, Refusal> {
        if self.days.len() >= DETAIL_DAYS_MAX && !self.days.contains_key(&day) {
            self.days.clear();
        }
        if let std::collections::hash_map::Entry::Vacant(place) = self.days.entry(day) {
            let key = self.vault.read(|reads| service_keys::find(reads, Name::Detail(day)))?;
            place.insert(key.map(|key| DetailKeys::derive(&key)));
        }
        Ok(self.days.get(&day).and_then(Option::as_ref))
    }
}

/// The entries that record the release of the details in `shown`: one about the subject of the query, one about
/// nobody, each with how many there are.
pub(super) async fn releases(
    vault: &Vault,
    call: &Call,
    known: Option<&Known>,
    shown: &[Shown],
) -> Result<Vec<Event>, Refusal> {
    let opened = || shown.iter().filter(|shown| shown.detail.is_some());
    let of_known = opened().filter(|shown| known.is_some() && shown.hit.leaf.about != About::Nobody).count();
    let counts = [(None, opened().count() - of_known), (known, of_known)];
    let at: (Timestamp, u64) = (vault.now(), vault.epoch());
    let recorder = call.recorder().on(vault.days().await?);
    let mut events = Vec::new();
    for (known, count) in counts.into_iter().filter(|(_, count)| *count > 0) {
        let whom = known.map_or(Whom::Nobody, |known| Whom::Subject(&known.keys));
        let touched = Touched { count: u32::try_from(count).unwrap_or(u32::MAX), ..Touched::default() };
        let entry = recorder.entry(whom, touched, Ended::Done, at)?;
        events.push(Event { operation: SafeText::constant(RELEASE), ..entry });
    }
    Ok(events)
}
