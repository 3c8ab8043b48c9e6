//! RFC 6962 Merkle trees over SHA-256: the hashes of section 2.1, and roots out of stored subtrees.

use crate::crypto::hash::{Digest, sha256};

/// The hash of a leaf.
pub fn leaf_hash(leaf: &[u8]) -> Digest {
    sha256(&[&[0], leaf])
}

/// The hash of an inner node.
pub fn node_hash(left: &Digest, right: &Digest) -> Digest {
    sha256(&[&[1], left, right])
}

/// A complete subtree: the `index`-th run of 2^`level` leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Node {
    /// Its height; 0 for a leaf.
    pub level: u8,
    /// Its place among the subtrees of its height, from 0.
    pub index: u64,
}

/// Where hashes of complete subtrees come from.
pub trait Hashes {
    /// Why one is not there.
    type Error;

    /// The hash of a complete subtree.
    fn hash(&self, node: Node) -> Result<Digest, Self::Error>;
}

/// The root over the first `size` leaves.
pub fn root<H: Hashes>(hashes: &H, size: u64) -> Result<Digest, H::Error> {
    if size == 0 { Ok(sha256(&[])) } else { range_root(hashes, 0, size) }
}

/// `MTH(D[begin:end])` of the RFC.
///
/// INVARIANT: `begin` is a multiple of the least power of two that is not below the length, as in every range that
/// the RFC's recursions reach; so a range of a power of two is one complete subtree.
pub(super) fn range_root<H: Hashes>(hashes: &H, begin: u64, end: u64) -> Result<Digest, H::Error> {
    let len = end - begin;
    if len.is_power_of_two() {
        let level = len.trailing_zeros();
        return hashes.hash(Node { level: level as u8, index: begin >> level });
    }
    let middle = begin + split(len);
    Ok(node_hash(&range_root(hashes, begin, middle)?, &range_root(hashes, middle, end)?))
}

/// The largest power of two below `len`, which is at least 2.
pub(super) fn split(len: u64) -> u64 {
    1 << (63 - (len - 1).leading_zeros())
}

/// Every complete subtree over leaf hashes, for tests.
#[cfg(test)]
pub(in crate::audit) struct WholeTree(Vec<Vec<Digest>>);

#[cfg(test)]
impl WholeTree {
    pub(in crate::audit) fn new(leaves: Vec<Digest>) -> Self {
        let mut levels = vec![leaves];
        while levels[levels.len() - 1].len() > 1 {
            let below = &levels[levels.len() - 1];
            levels.push(below.chunks_exact(2).map(|pair| node_hash(&pair[0], &pair[1])).collect());
        }
        Self(levels)
    }

    /// A tree of numbered leaves.
    pub(in crate::audit) fn numbered(size: u64) -> Self {
        Self::new((0..size).map(|n| leaf_hash(&n.to_be_bytes())).collect())
    }

    pub(in crate::audit) fn leaf(&self, index: u64) -> Digest {
        self.0[0][index as usize]
    }
}

#[cfg(test)]
impl Hashes for WholeTree {
    type Error = std::convert::Infallible;

    fn hash(&self, node: Node) -> Result<Digest, Self::Error> {
        Ok(self.0[usize::from(node.level)][node.index as usize])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::vectors::{LEAVES, ROOTS, hex};

    #[test]
    fn the_published_eight_leaf_tree_has_the_published_roots() {
        for (size, expected) in (0..).zip(ROOTS) {
            let tree = WholeTree::new(LEAVES[..size].iter().map(|leaf| leaf_hash(&hex(leaf))).collect());
            assert_eq!(root(&tree, size as u64).unwrap().to_vec(), hex(expected), "size {size}");
        }
    }

    #[test]
    fn a_root_is_the_recursion_of_the_rfc() {
        fn mth(leaves: &[Digest]) -> Digest {
            match leaves.len() {
                1 => leaves[0],
                n => {
                    let k = (0..).map(|e| 1 << e).take_while(|k| *k < n).last().unwrap();
                    node_hash(&mth(&leaves[..k]), &mth(&leaves[k..]))
                }
            }
        }
        let tree = WholeTree::numbered(300);
        for size in 1..=300 {
            let leaves: Vec<Digest> = (0..size).map(|n| tree.leaf(n)).collect();
            assert_eq!(root(&tree, size).unwrap(), mth(&leaves), "size {size}");
        }
    }
}
