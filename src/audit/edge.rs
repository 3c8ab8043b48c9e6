//! The right edge of a growing tree: each leaf and each node is hashed once, each full tile is handed out once.

use super::tile::{Malformed, TILE_LEVELS, TILE_WIDTH, TileId, partial_tiles, subtree_root};
use super::tree::node_hash;
use crate::crypto::hash::{Digest, sha256};

/// The end of a tree, from which it can grow.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Edge {
    size: u64,
    /// The roots of the complete subtrees that the size is the sum of, largest first.
    roots: Vec<Digest>,
    /// The hashes of the tile that is not full yet, for each tile level.
    tiles: Vec<Vec<Digest>>,
}

/// A tile that has become full.
pub type FullTile = (TileId, Vec<Digest>);

impl Edge {
    /// Goes on from a size, with the tiles that are not full there, from the leaves up.
    ///
    /// # Errors
    /// [`Malformed`] if they are not the tiles of that size.
    pub fn resume(size: u64, partial: &[FullTile]) -> Result<Self, Malformed> {
        let expected = partial_tiles(size);
        if !partial.iter().map(|(id, hashes)| (*id, hashes.len() as u64)).eq(expected) {
            return Err(Malformed);
        }
        let mut edge = Self { size, ..Self::default() };
        for (id, hashes) in partial {
            edge.tiles.resize(usize::from(id.level), Vec::new());
            edge.tiles.push(hashes.clone());
        }
        for (_, hashes) in partial.iter().rev() {
            let mut rest = &hashes[..];
            while !rest.is_empty() {
                let (subtree, after) = rest.split_at(1 << rest.len().ilog2());
                edge.roots.push(subtree_root(subtree));
                rest = after;
            }
        }
        Ok(edge)
    }

    /// How many leaves the tree has.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Adds a leaf by its hash. The tiles that this makes full are appended to `full`.
    pub fn push(&mut self, leaf: Digest, full: &mut Vec<FullTile>) {
        let mut hash = leaf;
        self.extend_tile(0, hash, full);
        for level in 1.. {
            // The subtrees of both sizes are there to be joined where the size has a one.
            if self.size >> (level - 1) & 1 == 0 {
                break;
            }
            let left = self.roots.pop().expect("one root for each one in the size");
            hash = node_hash(&left, &hash);
            if level % TILE_LEVELS == 0 {
                self.extend_tile(level / TILE_LEVELS, hash, full);
            }
        }
        self.roots.push(hash);
        self.size += 1;
    }

    /// The root over all leaves.
    pub fn root(&self) -> Digest {
        let joined = self.roots.iter().copied().rev().reduce(|right, left| node_hash(&left, &right));
        joined.unwrap_or_else(|| sha256(&[]))
    }

    /// The tiles that are not full, from the leaves up.
    pub fn partial(&self) -> impl Iterator<Item = (TileId, &[Digest])> {
        partial_tiles(self.size).map(|(id, _)| (id, &self.tiles[usize::from(id.level)][..]))
    }

    fn extend_tile(&mut self, level: u8, hash: Digest, full: &mut Vec<FullTile>) {
        let place = usize::from(level);
        if self.tiles.len() <= place {
            self.tiles.push(Vec::new());
        }
        self.tiles[place].push(hash);
        if self.tiles[place].len() as u64 == TILE_WIDTH {
            // Where this tile stands: the leaf that fills it is the one being added.
            let index = self.size >> (TILE_LEVELS * (level + 1));
            full.push((TileId { level, index }, std::mem::take(&mut self.tiles[place])));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::tree::{WholeTree, root};
    use proptest::prelude::*;

    /// Grows to a size; every tile that was ever full, and the edge.
    fn grown(tree: &WholeTree, size: u64) -> (Edge, Vec<FullTile>) {
        let (mut edge, mut full) = (Edge::default(), Vec::new());
        (0..size).for_each(|n| edge.push(tree.leaf(n), &mut full));
        (edge, full)
    }

    #[test]
    fn the_edge_has_the_root_of_every_size() {
        let tree = WholeTree::numbered(1_200);
        let (mut edge, mut full) = (Edge::default(), Vec::new());
        for size in 0..1_200 {
            assert_eq!(edge.root(), root(&tree, size).unwrap(), "size {size}");
            edge.push(tree.leaf(size), &mut full);
        }
    }

    #[test]
    fn a_tree_of_70000_has_the_tiles_that_the_format_says() {
        let tree = WholeTree::numbered(70_000);
        let (edge, full) = grown(&tree, 70_000);
        let count = |level| full.iter().filter(|(id, _)| id.level == level).count();
        assert_eq!((count(0), count(1), count(2)), (273, 1, 0));
        let partial: Vec<_> = edge.partial().map(|(id, hashes)| (id.level, id.index, hashes.len())).collect();
        assert_eq!(partial, [(0, 273, 112), (1, 1, 17), (2, 0, 1)]);
        assert_eq!(full.iter().find(|(id, _)| id.level == 1).unwrap().0.index, 0);
        let indices: Vec<u64> = full.iter().filter(|(id, _)| id.level == 0).map(|(id, _)| id.index).collect();
        assert_eq!(indices, (0..273).collect::<Vec<_>>());
    }

    #[test]
    fn a_tree_of_256_has_one_hash_on_the_second_level() {
        let (edge, full) = grown(&WholeTree::numbered(256), 256);
        assert_eq!(full.len(), 1);
        assert_eq!(edge.partial().map(|(id, hashes)| (id.level, hashes.len())).collect::<Vec<_>>(), [(1, 1)]);
    }

    #[test]
    fn tiles_of_another_size_do_not_resume() {
        let (edge, _) = grown(&WholeTree::numbered(300), 300);
        let partial: Vec<FullTile> = edge.partial().map(|(id, hashes)| (id, hashes.to_vec())).collect();
        assert_eq!(Edge::resume(300, &partial), Ok(edge));
        for size in [0, 44, 256, 299, 301, 556] {
            assert_eq!(Edge::resume(size, &partial), Err(Malformed), "size {size}");
        }
        assert_eq!(Edge::resume(300, &partial[..1]), Err(Malformed));
        assert_eq!(Edge::resume(0, &[]), Ok(Edge::default()));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn a_tree_grows_on_as_if_it_had_never_stopped(first in 0u64..70_000, more in 1u64..600) {
            let tree = WholeTree::numbered(first + more);
            let (stopped, _) = grown(&tree, first);
            let partial: Vec<FullTile> = stopped.partial().map(|(id, hashes)| (id, hashes.to_vec())).collect();
            let mut resumed = Edge::resume(first, &partial).unwrap();
            prop_assert_eq!(&resumed, &stopped);
            let mut full = Vec::new();
            (first..first + more).for_each(|n| resumed.push(tree.leaf(n), &mut full));
            prop_assert_eq!(&resumed, &grown(&tree, first + more).0);
        }
    }
}
