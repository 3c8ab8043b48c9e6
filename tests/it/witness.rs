//! What others check the tree with: roots and proofs of many trees, for `tests/witness.py`, which shares no code with us.

use std::collections::HashMap;
use std::convert::Infallible;
use std::path::Path;

use lacuna::audit::edge::Edge;
use lacuna::audit::proof::{make_consistency, make_inclusion};
use lacuna::audit::tile::{TileHashes, TileId, Tiles};
use lacuna::audit::tree::{leaf_hash, root};
use lacuna::crypto::hash::Digest;
use serde_json::{Value, json};

/// The tiles of a tree whose leaves are the numbers from 0, in 8 bytes each.
struct Numbered(HashMap<TileId, Vec<Digest>>);

impl Tiles for Numbered {
    type Error = Infallible;

    fn tile(&self, id: TileId) -> Result<Vec<Digest>, Infallible> {
        Ok(self.0[&id].clone())
    }

    fn short(&self) -> Infallible {
        unreachable!("the tree has all of its tiles")
    }
}

fn numbered(size: u64) -> Numbered {
    let (mut edge, mut full) = (Edge::default(), Vec::new());
    (0..size).for_each(|n| edge.push(leaf_hash(&n.to_be_bytes()), &mut full));
    let partial: Vec<_> = edge.partial().map(|(id, hashes)| (id, hashes.to_vec())).collect();
    Numbered(full.into_iter().chain(partial).collect())
}

fn hex(digest: &Digest) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn proof(first: u64, second: u64, path: Vec<Digest>) -> Value {
    json!([first, second, path.iter().map(hex).collect::<Vec<_>>()])
}

/// Every size to 600, and around each power of two after that.
fn sizes() -> Vec<u64> {
    let around = (10..=16).flat_map(|power| (1u64 << power) - 1..=(1 << power) + 1);
    (1..=600).chain(around).collect()
}

#[test]
fn trees_are_written_down_for_an_independent_witness() {
    let sizes = sizes();
    let tree = numbered(*sizes.last().expect("some"));
    let mut next = 1u64;
    let mut random = |below: u64| {
        next = next.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (next >> 33) % below
    };
    let (mut roots, mut inclusions, mut consistencies) = (Vec::new(), Vec::new(), Vec::new());
    for size in sizes {
        let hashes = TileHashes::new(&tree);
        roots.push(json!([size, hex(&root(&hashes, size).expect("a root"))]));
        let (index, old) = (random(size), 1 + random(size));
        inclusions.push(proof(index, size, make_inclusion(&hashes, index, size).expect("a proof")));
        consistencies.push(proof(old, size, make_consistency(&hashes, old, size).expect("a proof")));
    }
    let trees = json!({ "roots": roots, "inclusions": inclusions, "consistencies": consistencies });
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("trees.json");
    std::fs::write(file, trees.to_string()).expect("is written");
}
