//! Which configured place holds which slot.
//!
//! Slots are configured in the order of their creation. Once a slot has left the vault, a configuration may still name
//! its place, and must not lock everybody out for that: it is set aside, with a warning.

use super::former::FormerSlot;
use super::slots::name;
use crate::base::id::SlotId;
use crate::keys::slot::file::{Place, SlotView};

/// What the configured places come to.
pub(super) struct Places {
    /// Every slot of the vault, with its place.
    pub seats: Vec<(SlotId, Place)>,
    /// Places for slots that are to replace others; nothing, or nothing of ours, is there yet.
    pub spare: Vec<Place>,
}

/// Assigns the places; none if there are fewer than the vault has slots.
pub(super) fn assign(places: Vec<Place>, slots: &[SlotId], former: &[FormerSlot]) -> Option<Places> {
    if former.is_empty() && places.len() == slots.len() {
        return Some(Places { seats: slots.iter().copied().zip(places).collect(), spare: Vec::new() });
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
    // Who is known by its file first; the others, out of reach, in the order of their creation.
    let mut seats = Vec::with_capacity(slots.len());
    let mut unseen = Vec::new();
    for slot in slots {
        match left.iter().position(|(_, found)| *found == Some(*slot)) {
            Some(at) => seats.push((*slot, left.remove(at).0)),
            None => unseen.push(*slot),
        }
    }
    let mut left = left.into_iter().map(|(place, _)| place);
    seats.extend(unseen.into_iter().zip(left.by_ref()));
    if seats.len() < slots.len() {
        return None;
    }
    seats.sort_by_key(|(slot, _)| slots.iter().position(|known| known == slot));
    let spare: Vec<Place> = left.collect();
    for place in &spare {
        tracing::info!(slot = name(place), "[slots] names a place without a slot: lacuna slot replace can use it");
    }
    Some(Places { seats, spare })
}

/// The slot that the file says it is.
fn holds(place: &Place) -> Option<SlotId> {
    Some(SlotView::inspect(place).ok()?.describe().ok()?.slot)
}
