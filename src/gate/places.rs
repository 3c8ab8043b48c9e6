//! Which configured place holds which slot.
//!
//! Slots are configured in the order of their creation. Once a slot has left the vault, a configuration may still name
//! its place, and must not lock everybody out for that: it is set aside, with a warning.

use super::former::FormerSlot;
use super::slots::name;
use crate::base::id::SlotId;
use crate::keys::slot::file::{Place, SlotView};

/// Every slot with its place; none if the configuration names fewer places than there are slots, or other ones besides.
pub(super) fn assign(places: Vec<Place>, slots: &[SlotId], former: &[FormerSlot]) -> Option<Vec<(SlotId, Place)>> {
    if former.is_empty() {
        return (places.len() == slots.len()).then(|| slots.iter().copied().zip(places).collect());
    }
    let mut left: Vec<(Place, Option<SlotId>)> = Vec::new();
    for place in places {
        let found = holds(&place);
        let is_ours = found.is_some_and(|slot| slots.contains(&slot));
        let is_former = |slot: &FormerSlot| found == Some(slot.slot) || (found.is_none() && slot.path == place.path);
        if !is_ours && former.iter().any(is_former) {
            tracing::warn!(slot = name(&place), "[slots] names a slot that has left the vault: take it out");
        } else {
            left.push((place, found));
        }
    }
    if left.len() != slots.len() {
        return None;
    }
    // Who is known by its file first; the others, out of reach, in the order of their creation.
    let mut seats = Vec::with_capacity(slots.len());
    let mut unseen = Vec::new();
    for slot in slots {
        match left.iter().position(|(_, found)| *found == Some(*slot)) {
            Some(at) => seats.push((*slot, left.remove(at).0)),
            None => unseen.push(*slot),
        }
    }
    seats.extend(unseen.into_iter().zip(left.into_iter().map(|(place, _)| place)));
    seats.sort_by_key(|(slot, _)| slots.iter().position(|known| known == slot));
    Some(seats)
}

/// The slot that the file says it is.
fn holds(place: &Place) -> Option<SlotId> {
    Some(SlotView::inspect(place).ok()?.describe().ok()?.slot)
}
