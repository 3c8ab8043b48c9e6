//! Inclusion and consistency proofs of RFC 6962, sections 2.1.1 and 2.1.2; verified as in RFC 9162, section 2.1.

use super::tree::{Hashes, node_hash, range_root, split};
use crate::crypto::hash::Digest;

/// Why a proof could not be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MakeError<E> {
    /// The tree is not that large, or there is nothing to prove about a tree of no leaves.
    #[error("no such place in the tree")]
    OutOfRange,
    /// A hash could not be read.
    #[error("a hash of the tree could not be read")]
    Read(E),
}

/// The proof does not show what it is said to show.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the proof does not verify")]
pub struct BadProof;

/// The sibling hashes from a leaf up to the root over the first `size` leaves.
///
/// # Errors
/// [`MakeError`]; the index must be below the size.
pub fn make_inclusion<H: Hashes>(hashes: &H, index: u64, size: u64) -> Result<Vec<Digest>, MakeError<H::Error>> {
    if index >= size {
        return Err(MakeError::OutOfRange);
    }
    let mut path = Vec::new();
    let (mut begin, mut end) = (0, size);
    while end - begin > 1 {
        let middle = begin + split(end - begin);
        let sibling = if index < middle { (middle, end) } else { (begin, middle) };
        path.push(range_root(hashes, sibling.0, sibling.1).map_err(MakeError::Read)?);
        (begin, end) = if index < middle { (begin, middle) } else { (middle, end) };
    }
    path.reverse();
    Ok(path)
}

/// Checks that the leaf with this hash is at `index` of the tree of `size` leaves with this root.
pub fn verify_inclusion(leaf: &Digest, index: u64, size: u64, path: &[Digest], root: &Digest) -> Result<(), BadProof> {
    if index >= size {
        return Err(BadProof);
    }
    let (mut place, mut last, mut hash) = (index, size - 1, *leaf);
    for sibling in path {
        if last == 0 {
            return Err(BadProof); // longer than the tree is high
        }
        if place & 1 == 1 || place == last {
            hash = node_hash(sibling, &hash);
            climb_left_edge(&mut place, &mut last);
        } else {
            hash = node_hash(&hash, sibling);
        }
        (place, last) = (place >> 1, last >> 1);
    }
    if last == 0 && hash == *root { Ok(()) } else { Err(BadProof) }
}

/// The hashes that show that the tree of `new` leaves begins with the tree of `old`.
///
/// # Errors
/// [`MakeError`]; 0 < `old` <= `new` must hold.
pub fn make_consistency<H: Hashes>(hashes: &H, old: u64, new: u64) -> Result<Vec<Digest>, MakeError<H::Error>> {
    if old == 0 || old > new {
        return Err(MakeError::OutOfRange);
    }
    let read = |begin, end| range_root(hashes, begin, end).map_err(MakeError::Read);
    let mut path = Vec::new();
    let (mut begin, mut end) = (0, new);
    while end != old {
        let middle = begin + split(end - begin);
        if old <= middle {
            path.push(read(middle, end)?);
            end = middle;
        } else {
            path.push(read(begin, middle)?);
            begin = middle;
        }
    }
    if begin > 0 {
        path.push(read(begin, end)?); // a verifier knows the old root only if it is a whole subtree
    }
    path.reverse();
    Ok(path)
}

/// Checks that the tree of `new` leaves begins with the tree of `old` leaves.
pub fn verify_consistency(
    (old, old_root): (u64, &Digest),
    (new, new_root): (u64, &Digest),
    path: &[Digest],
) -> Result<(), BadProof> {
    if old == 0 || old > new {
        return Err(BadProof);
    }
    if old == new {
        return if path.is_empty() && old_root == new_root { Ok(()) } else { Err(BadProof) };
    }
    // If the old tree is one complete subtree, its root begins the path and is left out.
    let (first, rest) = match old.is_power_of_two() {
        true => (old_root, path),
        false => path.split_first().ok_or(BadProof)?,
    };
    let (mut place, mut last) = (old - 1, new - 1);
    while place & 1 == 1 {
        (place, last) = (place >> 1, last >> 1);
    }
    let (mut old_hash, mut new_hash) = (*first, *first);
    for sibling in rest {
        if last == 0 {
            return Err(BadProof);
        }
        if place & 1 == 1 || place == last {
            old_hash = node_hash(sibling, &old_hash);
            new_hash = node_hash(sibling, &new_hash);
            climb_left_edge(&mut place, &mut last);
        } else {
            new_hash = node_hash(&new_hash, sibling);
        }
        (place, last) = (place >> 1, last >> 1);
    }
    if last == 0 && old_hash == *old_root && new_hash == *new_root { Ok(()) } else { Err(BadProof) }
}

/// On the right edge, levels where the node is a left child without sibling are skipped.
fn climb_left_edge(place: &mut u64, last: &mut u64) {
    while *place & 1 == 0 && *place != 0 {
        (*place, *last) = (*place >> 1, *last >> 1);
    }
}

#[cfg(test)]
#[path = "tests/proofs.rs"]
mod tests;
