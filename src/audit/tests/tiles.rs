use proptest::prelude::*;

use super::*;
use crate::audit::edge::Edge;
use crate::audit::proof::{make_consistency, make_inclusion, verify_consistency, verify_inclusion};
use crate::audit::tree::{WholeTree, root};
use std::collections::{HashMap, HashSet};

struct Kept(HashMap<TileId, Vec<Digest>>);

impl Tiles for Kept {
    type Error = Malformed;

    fn tile(&self, id: TileId) -> Result<Vec<Digest>, Malformed> {
        self.0.get(&id).cloned().ok_or(Malformed)
    }

    fn short(&self) -> Malformed {
        Malformed
    }
}

#[test]
fn paths_are_those_of_the_format() {
    let tile = |level, index, width| Resource::Tile(TileId { level, index }, width);
    for (resource, path) in [
        (Resource::Checkpoint, "checkpoint"),
        (tile(0, 0, 256), "tile/0/000"),
        (tile(0, 1_234_067, 256), "tile/0/x001/x234/067"),
        (tile(3, 999, 1), "tile/3/999.p/1"),
        (tile(1, 1_000, 255), "tile/1/x001/000.p/255"),
        (Resource::Entries(7, 256), "tile/entries/007"),
        (Resource::Entries(1_000_000, 112), "tile/entries/x001/x000/000.p/112"),
    ] {
        assert_eq!(resource.to_string(), path);
        assert_eq!(path.parse(), Ok(resource));
    }
}

#[test]
fn other_spellings_of_a_path_are_refused() {
    for path in [
        "",
        "/checkpoint",
        "checkpoint/",
        "tile",
        "tile/",
        "tile/0",
        "tile/0/",
        "tile/0/0",
        "tile/0/00",
        "tile/0/0000",
        "tile/00/000",
        "tile/+0/000",
        "tile/-1/000",
        "tile/64/000",
        "tile/256/000",
        "tile/0/x000/000",
        "tile/0/001/000",
        "tile/0/x001",
        "tile/0/xx01/000",
        "tile/0/x001/x000",
        "tile/0/+01",
        "tile/0/000.p",
        "tile/0/000.p/",
        "tile/0/000.p/0",
        "tile/0/000.p/256",
        "tile/0/000.p/01",
        "tile/0/000.p/1.p/1",
        "tile/0/000/",
        "tile/0//000",
        "tile/entries",
        "tile/entries/x/000",
        "tile/data/000",
        "tile/0/x018/x446/x744/x073/x709/x551/616",
        "TILE/0/000",
        "tile/0/000?",
        "tile/0/../000",
    ] {
        assert_eq!(path.parse::<Resource>(), Err(Malformed), "{path}");
    }
    let last = "tile/0/x018/x446/x744/x073/x709/x551/615";
    assert_eq!(last.parse::<Resource>().map(|r| r.to_string()), Ok(last.to_owned()));
}

#[test]
fn a_size_says_how_wide_each_tile_is() {
    let width = |level, index, size| TileId { level, index }.width_at(size);
    assert_eq!((width(0, 273, 70_000), width(1, 1, 70_000), width(2, 0, 70_000)), (112, 17, 1));
    assert_eq!((width(0, 272, 70_000), width(0, 274, 70_000), width(3, 0, 70_000)), (256, 0, 0));
    assert_eq!((width(7, 0, u64::MAX), width(7, 1, u64::MAX), width(8, 0, u64::MAX)), (255, 0, 0));
    assert_eq!(width(0, u64::MAX, u64::MAX), 0);
}

#[test]
fn bundles_and_tiles_of_the_wrong_length_are_refused() {
    let tile = encode_tile(&[[1; 32], [2; 32]]);
    assert_eq!(decode_tile(&tile, 2), Ok(vec![[1; 32], [2; 32]]));
    for (bytes, width) in [(&tile[..], 1), (&tile[..], 3), (&tile[..63], 2), (&[], 1)] {
        assert_eq!(decode_tile(bytes, width), Err(Malformed));
    }
    let bundle = encode_entries([&b"one"[..], b"", b"three"].into_iter()).unwrap();
    assert_eq!(bundle, b"\0\x03one\0\0\0\x05three");
    assert_eq!(decode_entries(&bundle, 3), Ok(vec![&b"one"[..], b"", b"three"]));
    for (bytes, count) in [(&bundle[..], 2), (&bundle[..], 4), (&bundle[..11], 3), (&bundle[..6], 2), (&[], 1)] {
        assert_eq!(decode_entries(bytes, count), Err(Malformed));
    }
    assert_eq!(encode_entries([&vec![0; ENTRY_BYTES_MAX + 1][..]].into_iter()), Err(Malformed));
}

#[test]
fn entries_that_a_tile_does_not_speak_of_are_found() {
    let tile = [leaf_hash(b"a"), leaf_hash(b"b")];
    assert_eq!(first_difference(&[b"a", b"b"], &tile), None);
    assert_eq!(first_difference(&[b"a", b"c"], &tile), Some(1));
    assert_eq!(first_difference(&[b"b", b"a"], &tile), Some(0));
    assert_eq!(first_difference(&[b"a"], &tile), Some(1));
    assert_eq!(first_difference(&[b"a", b"b", b"c"], &tile), Some(2));
}

/// One tree that grows: at every width of its partial tiles, and on both sides of every power of two.
#[test]
fn tiles_of_every_size_give_the_roots_and_proofs() {
    let powers = (10..=20).flat_map(|e| (1u64 << e) - 2..=(1u64 << e) + 2);
    let sizes: HashSet<u64> = (1..=1_000).chain(powers).chain([65_793, 70_000, 500_000]).collect();
    let tree = WholeTree::numbered((1 << 20) + 3);
    let (mut edge, mut tiles) = (Edge::default(), Kept(HashMap::new()));
    for size in 1..=(1 << 20) + 2 {
        let mut full = Vec::new();
        edge.push(tree.leaf(size - 1), &mut full);
        tiles.0.extend(full);
        if !sizes.contains(&size) {
            continue;
        }
        tiles.0.extend(edge.partial().map(|(id, hashes)| (id, hashes.to_vec())));
        let hashes = TileHashes::new(&tiles);
        let whole = edge.root();
        assert_eq!((root(&hashes, size), root(&tree, size).unwrap()), (Ok(whole), whole), "size {size}");
        for place in [0, size / 3, size - 1] {
            let path = make_inclusion(&hashes, place, size).unwrap();
            assert_eq!(verify_inclusion(&tree.leaf(place), place, size, &path, &whole), Ok(()));
            let path = make_consistency(&hashes, place + 1, size).unwrap();
            let old = root(&hashes, place + 1).unwrap();
            assert_eq!(verify_consistency((place + 1, &old), (size, &whole), &path), Ok(()));
        }
        assert_eq!(root(&hashes, size + 1), Err(Malformed), "a tree that is not there yet");
    }
}

proptest! {
    #[test]
    fn a_resource_has_one_path(level in 0u8..64, index: u64, width in 1u64..=256) {
        for resource in [Resource::Tile(TileId { level, index }, width), Resource::Entries(index, width)] {
            prop_assert_eq!(resource.to_string().parse(), Ok(resource));
        }
    }

    #[test]
    fn any_text_is_a_path_or_refused(path in "(tile/)?[0-9a-z/.+]{0,24}") {
        if let Ok(resource) = path.parse::<Resource>() {
            prop_assert_eq!(resource.to_string(), path);
        }
    }

    #[test]
    fn bundles_read_back(entries in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 0..20)) {
        let bytes = encode_entries(entries.iter().map(|entry| &entry[..])).unwrap();
        let expected: Vec<&[u8]> = entries.iter().map(|entry| &entry[..]).collect();
        prop_assert_eq!(decode_entries(&bytes, entries.len() as u64), Ok(expected));
    }

    #[test]
    fn any_bytes_are_a_bundle_or_refused(bytes: Vec<u8>, count in 0u64..8) {
        let _ = decode_entries(&bytes, count);
        let _ = decode_tile(&bytes, count);
    }
}
