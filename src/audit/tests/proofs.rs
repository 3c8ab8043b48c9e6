use proptest::prelude::*;

use super::*;
use crate::audit::tree::{WholeTree, leaf_hash, root};
use crate::audit::vectors::{CONSISTENCIES, INCLUSIONS, LEAVES, ROOTS, hex};

fn digest(text: &str) -> Digest {
    hex(text).try_into().unwrap()
}

fn path_of(texts: &[&str]) -> Vec<Digest> {
    texts.iter().map(|text| digest(text)).collect()
}

fn check_inclusion(tree: &WholeTree, index: u64, size: u64, root: &Digest) {
    let path = make_inclusion(tree, index, size).unwrap();
    assert_eq!(verify_inclusion(&tree.leaf(index), index, size, &path, root), Ok(()), "{index} of {size}");
}

fn check_consistency(tree: &WholeTree, old: u64, new: u64, new_root: &Digest) {
    let path = make_consistency(tree, old, new).unwrap();
    let old_root = root(tree, old).unwrap();
    assert_eq!(verify_consistency((old, &old_root), (new, new_root), &path), Ok(()), "{old} in {new}");
}

/// Places of a tree where proofs change shape: its ends, and each side of every power of two.
fn corners(size: u64) -> Vec<u64> {
    let powers = (0..64).map(|e| 1u64 << e).take_while(|p| *p <= size + 1);
    let mut all: Vec<u64> = powers.flat_map(|p| [p - 1, p, p + 1, size.wrapping_sub(p)]).collect();
    all.extend([size / 3, size / 2]);
    all.sort_unstable();
    all.dedup();
    all
}

#[test]
fn published_inclusion_proofs_are_made_and_verified() {
    let tree = WholeTree::new(LEAVES.iter().map(|leaf| leaf_hash(&hex(leaf))).collect());
    for (index, size, expected) in INCLUSIONS {
        let path = make_inclusion(&tree, index, size).unwrap();
        assert_eq!(path, path_of(expected), "{index} of {size}");
        let root = digest(ROOTS[size as usize]);
        assert_eq!(verify_inclusion(&tree.leaf(index), index, size, &path, &root), Ok(()));
    }
}

#[test]
fn published_consistency_proofs_are_made_and_verified() {
    let tree = WholeTree::new(LEAVES.iter().map(|leaf| leaf_hash(&hex(leaf))).collect());
    for (old, new, expected) in CONSISTENCIES {
        let path = make_consistency(&tree, old, new).unwrap();
        assert_eq!(path, path_of(expected), "{old} in {new}");
        let (old_root, new_root) = (digest(ROOTS[old as usize]), digest(ROOTS[new as usize]));
        assert_eq!(verify_consistency((old, &old_root), (new, &new_root), &path), Ok(()));
    }
}

#[test]
fn every_proof_verifies_at_every_size_beyond_two_tiles() {
    const SIZE: u64 = 2 * 256 + 3;
    let tree = WholeTree::numbered(SIZE);
    for size in 1..=SIZE {
        let root = root(&tree, size).unwrap();
        (0..size).for_each(|index| check_inclusion(&tree, index, size, &root));
        (1..=size).for_each(|old| check_consistency(&tree, old, size, &root));
    }
}

#[test]
fn proofs_verify_around_every_power_of_two() {
    let tree = WholeTree::numbered((1 << 20) + 3);
    for size in (10..=20).flat_map(|e| (1u64 << e) - 3..=(1u64 << e) + 3) {
        let root = root(&tree, size).unwrap();
        let places = corners(size);
        places.iter().filter(|index| **index < size).for_each(|index| check_inclusion(&tree, *index, size, &root));
        places
            .iter()
            .filter(|old| (1..=size).contains(*old))
            .for_each(|old| check_consistency(&tree, *old, size, &root));
    }
}

#[test]
fn impossible_places_are_refused() {
    let tree = WholeTree::numbered(8);
    let root = root(&tree, 8).unwrap();
    assert_eq!(make_inclusion(&tree, 8, 8), Err(MakeError::OutOfRange));
    assert_eq!(make_inclusion(&tree, 0, 0), Err(MakeError::OutOfRange));
    assert_eq!(make_consistency(&tree, 0, 8), Err(MakeError::OutOfRange));
    assert_eq!(make_consistency(&tree, 8, 7), Err(MakeError::OutOfRange));
    assert_eq!(verify_inclusion(&root, 0, 0, &[], &root), Err(BadProof));
    assert_eq!(verify_inclusion(&root, 1, 1, &[], &root), Err(BadProof));
    assert_eq!(verify_consistency((0, &root), (8, &root), &[]), Err(BadProof));
    assert_eq!(verify_consistency((8, &root), (8, &root), &[root]), Err(BadProof));
    assert_eq!(verify_consistency((3, &root), (8, &root), &[]), Err(BadProof));
}

/// Every way to damage a path by one step.
fn damaged(path: &[Digest]) -> Vec<Vec<Digest>> {
    let mut all = vec![[path, &[[0; 32]]].concat(), [&[[0; 32]], path].concat()];
    for i in 0..path.len() {
        let mut flipped = path.to_vec();
        flipped[i][31] ^= 1;
        all.push(flipped);
        all.push([&path[..i], &path[i + 1..]].concat());
        let mut swapped = path.to_vec();
        swapped.swap(i, (i + 1) % path.len());
        all.push(swapped);
    }
    all.retain(|other| other != path);
    all
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_damaged_inclusion_proof_is_refused(size in 1u64..2_000, place: prop::sample::Index) {
        let tree = WholeTree::numbered(size);
        let (index, root) = (place.index(size as usize) as u64, root(&tree, size).unwrap());
        let (leaf, path) = (tree.leaf(index), make_inclusion(&tree, index, size).unwrap());
        for path in damaged(&path) {
            prop_assert!(verify_inclusion(&leaf, index, size, &path, &root).is_err());
        }
        prop_assert!(verify_inclusion(&leaf_hash(b"other"), index, size, &path, &root).is_err());
        prop_assert!(verify_inclusion(&leaf, index + 1, size, &path, &root).is_err());
        prop_assert!(verify_inclusion(&leaf, index, size, &path, &leaf_hash(b"other")).is_err());
    }

    #[test]
    fn a_damaged_consistency_proof_is_refused(new in 1u64..2_000, place: prop::sample::Index) {
        let tree = WholeTree::numbered(new);
        let old = 1 + place.index(new as usize) as u64;
        let (old_root, new_root) = (root(&tree, old).unwrap(), root(&tree, new).unwrap());
        let path = make_consistency(&tree, old, new).unwrap();
        for path in damaged(&path) {
            prop_assert!(verify_consistency((old, &old_root), (new, &new_root), &path).is_err());
        }
        let other = leaf_hash(b"other");
        prop_assert!(verify_consistency((old, &other), (new, &new_root), &path).is_err());
        prop_assert!(verify_consistency((old, &old_root), (new, &other), &path).is_err());
    }

    #[test]
    fn any_path_is_verified_or_refused_without_a_panic(index: u64, size: u64, path: Vec<[u8; 32]>) {
        let _ = verify_inclusion(&[0; 32], index, size, &path, &[0; 32]);
        let _ = verify_consistency((index, &[0; 32]), (size, &[0; 32]), &path);
    }
}
