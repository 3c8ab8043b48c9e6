//! The checks, by example; [`super::model`] has the random ones.

mod commits;
mod files;

use super::super::batch::Batch;
use super::super::keyspace::Space;
use super::super::{Engine, Error};
use super::{Check, Place, Verdict, same};

pub(super) const ALL: &[Check] = &[
    ("an absent key has no value", absent),
    ("a put is read back, overwritten and deleted", put_overwrite_delete),
    ("the last change of a key in a batch wins", last_change_wins),
    ("every change of a batch is applied", whole_batch),
    ("what is below an emptied prefix goes, and no more", emptied_prefix),
    ("an empty value is not an absent one", empty_values),
    ("keys may hold any bytes", any_keys),
    ("a large value comes back whole", large_value),
    ("spaces are apart", spaces_apart),
    ("multi_get answers in the order of its keys", multi_get_order),
    ("a scan stays below its prefix", scan_prefix),
    ("a scan starts at from", scan_from),
    ("a scan ends at its limit", scan_limit),
    ("a scan is in key order", scan_order),
    ("a floor is the last key at or before", floor),
    ("a precondition compares the value before the batch", commits::preconditions),
    ("a refused batch writes nothing", commits::refused_batch),
    ("a batch of preconditions alone is checked", commits::preconditions_alone),
    ("readers never see half a batch", commits::whole_batches_seen),
    ("of two commits on the same precondition one succeeds", commits::one_winner),
    ("what was committed is there after reopening", files::reopen),
    ("so is what was committed as derived", files::derived),
    ("what was deleted before a purge is in no file after it", files::purged),
    ("a purge loses nothing", files::purge_keeps),
];

const S: Space = Space::Item;

fn put(engine: &dyn Engine, records: &[(&[u8], &[u8])]) -> Result<(), Error> {
    let mut batch = Batch::new();
    for (key, value) in records {
        batch.put(S, *key, *value);
    }
    engine.commit(batch)
}

fn put_keys(engine: &dyn Engine, keys: &[&[u8]]) -> Result<(), Error> {
    put(engine, &keys.iter().map(|key| (*key, *key)).collect::<Vec<_>>())
}

fn keys_of(engine: &dyn Engine, prefix: &[u8], from: &[u8], limit: usize) -> Result<Vec<Vec<u8>>, Error> {
    Ok(engine.scan(S, prefix, from, limit)?.into_iter().map(|(key, _)| key).collect())
}

fn scans_to(engine: &dyn Engine, [prefix, from]: [&[u8]; 2], limit: usize, expected: &[&[u8]]) -> Verdict {
    let what = format!("scan {prefix:?} from {from:?} limit {limit}");
    same(&what, keys_of(engine, prefix, from, limit)?, expected.iter().map(|key| key.to_vec()).collect())
}

fn absent(place: &dyn Place) -> Verdict {
    let engine = place.open();
    same("get", engine.get(S, b"absent")?, None)?;
    same("multi_get", engine.multi_get(S, &[b"absent"])?, vec![None])?;
    same("multi_get of nothing", engine.multi_get(S, &[])?, vec![])?;
    same("scan", engine.scan(S, b"", b"", 10)?, vec![])?;
    engine.commit(Batch::new())?;
    let mut batch = Batch::new();
    batch.delete(S, "absent");
    engine.commit(batch)?;
    same("get after delete", engine.get(S, b"absent")?, None)?;
    same("scan after delete", engine.scan(S, b"", b"", 10)?, vec![])
}

fn put_overwrite_delete(place: &dyn Place) -> Verdict {
    let engine = place.open();
    put(&*engine, &[(b"k", b"one"), (b"other", b"stays")])?;
    same("put", engine.get(S, b"k")?, Some(b"one".to_vec()))?;
    put(&*engine, &[(b"k", b"two")])?;
    same("overwrite", engine.get(S, b"k")?, Some(b"two".to_vec()))?;
    let mut batch = Batch::new();
    batch.delete(S, "k");
    engine.commit(batch)?;
    same("delete", engine.get(S, b"k")?, None)?;
    same("delete, by multi_get", engine.multi_get(S, &[b"k"])?, vec![None])?;
    same("delete, by scan", engine.scan(S, b"", b"", 10)?, vec![(b"other".to_vec(), b"stays".to_vec())])
}

fn last_change_wins(place: &dyn Place) -> Verdict {
    let engine = place.open();
    put_keys(&*engine, &[b"put delete", b"delete put"])?;
    let mut batch = Batch::new();
    batch.put(S, "put put", "first");
    batch.put(S, "put put", "second");
    batch.put(S, "put delete", "gone");
    batch.delete(S, "put delete");
    batch.delete(S, "delete put");
    batch.put(S, "delete put", "back");
    let mut later = Batch::new();
    later.put(S, "absorbed", "later");
    batch.put(S, "absorbed", "earlier");
    batch.absorb(later);
    engine.commit(batch)?;
    let found = engine.multi_get(S, &[b"put put", b"put delete", b"delete put", b"absorbed"])?;
    let expected = [Some("second"), None, Some("back"), Some("later")];
    same("last change", found, expected.map(|value| value.map(|text| text.as_bytes().to_vec())).to_vec())
}

fn whole_batch(place: &dyn Place) -> Verdict {
    let engine = place.open();
    put_keys(&*engine, &[b"a", b"z"])?;
    let mut batch = Batch::new();
    for space in Space::ALL {
        batch.put(*space, "b", "b");
    }
    batch.delete(S, "a");
    batch.delete(S, "z");
    engine.commit(batch)?;
    for space in Space::ALL {
        same("a put of the batch", engine.get(*space, b"b")?, Some(b"b".to_vec()))?;
    }
    scans_to(&*engine, [b"", b""], 10, &[b"b"])?;
    let count = 1000;
    let mut batch = Batch::new();
    (0..count).for_each(|i: u32| batch.put(S, i.to_be_bytes(), i.to_le_bytes()));
    engine.commit(batch)?;
    same("records of a large batch", engine.scan(S, &[0], b"", usize::MAX)?.len(), count as usize)
}

fn emptied_prefix(place: &dyn Place) -> Verdict {
    let engine = place.open();
    put_keys(&*engine, &[b"o", b"p", b"pa", b"pb", b"q", b"\xff\xff", b"\xff\xffa"])?;
    let mut batch = Batch::new();
    batch.put(Space::Log, "pa", "other");
    engine.commit(batch)?;
    let mut batch = Batch::new();
    batch.put(S, "pc", "before");
    batch.delete_below(S, "p");
    same("is a change", batch.is_empty(), false)?;
    same("in the batch, a stored one", batch.change(S, b"pa"), Some(None))?;
    same("in the batch, one put before", batch.change(S, b"pc"), Some(None))?;
    batch.put(S, "pb", "after");
    same("in the batch, one put after", batch.change(S, b"pb"), Some(Some(&b"after"[..])))?;
    let mut later = Batch::new();
    later.put(S, "pd", "earlier");
    batch.absorb(later);
    let mut later = Batch::new();
    later.delete_below(S, "pd");
    later.delete_below(S, "\u{7f}");
    batch.absorb(later);
    engine.commit(batch)?;
    scans_to(&*engine, [b"", b""], 10, &[b"o", b"pb", b"q", b"\xff\xff", b"\xff\xffa"])?;
    same("get", engine.get(S, b"pa")?, None)?;
    same("multi_get", engine.multi_get(S, &[b"p", b"pb"])?, vec![None, Some(b"after".to_vec())])?;
    same("another space", engine.get(Space::Log, b"pa")?, Some(b"other".to_vec()))?;
    let mut batch = Batch::new();
    batch.delete_below(S, [0xff, 0xff]);
    engine.commit(batch)?;
    drop(engine);
    scans_to(&*place.open(), [b"", b""], 10, &[b"o", b"pb", b"q"])
}

fn empty_values(place: &dyn Place) -> Verdict {
    let engine = place.open();
    put(&*engine, &[(b"empty", b"")])?;
    same("get", engine.get(S, b"empty")?, Some(vec![]))?;
    same("multi_get", engine.multi_get(S, &[b"empty", b"absent"])?, vec![Some(vec![]), None])?;
    same("scan", engine.scan(S, b"", b"", 10)?, vec![(b"empty".to_vec(), vec![])])?;
    let mut batch = Batch::new();
    batch.expect(S, "empty", None);
    same("expected absent", engine.commit(batch), Err(Error::Precondition))?;
    let mut batch = Batch::new();
    batch.expect(S, "absent", Some(vec![]));
    same("expected empty", engine.commit(batch), Err(Error::Precondition))
}

fn any_keys(place: &dyn Place) -> Verdict {
    let engine = place.open();
    let keys: &[&[u8]] = &[b"", &[0], &[0, 0], &[0, 0xff], b"/", &[0x80], &[0xff], &[0xff, 0], &[0xff, 0xff]];
    put_keys(&*engine, keys)?;
    for key in keys {
        same("get", engine.get(S, key)?, Some(key.to_vec()))?;
    }
    scans_to(&*engine, [b"", b""], 100, keys)?;
    let long = vec![0xff; 60_000];
    put_keys(&*engine, &[&long])?;
    same("a long key", engine.get(S, &long)?, Some(long))
}

fn large_value(place: &dyn Place) -> Verdict {
    let value: Vec<u8> = (0..5_000_000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let engine = place.open();
    put(&*engine, &[(b"large", &value), (b"after", b"small")])?;
    same("get", engine.get(S, b"large")? == Some(value.clone()), true)?;
    same("multi_get", engine.multi_get(S, &[b"large"])? == [Some(value.clone())], true)?;
    same("scan", engine.scan(S, b"l", b"", 2)? == [(b"large".to_vec(), value.clone())], true)?;
    drop(engine);
    same("get after reopening", place.open().get(S, b"large")? == Some(value), true)
}

fn spaces_apart(place: &dyn Place) -> Verdict {
    let engine = place.open();
    for space in Space::ALL {
        let mut batch = Batch::new();
        batch.expect(*space, "k", None);
        batch.put(*space, "k", space.name());
        engine.commit(batch)?;
    }
    for space in Space::ALL {
        let name = space.name().as_bytes().to_vec();
        same("get", engine.get(*space, b"k")?, Some(name.clone()))?;
        same("multi_get", engine.multi_get(*space, &[b"k"])?, vec![Some(name.clone())])?;
        same("scan", engine.scan(*space, b"", b"", 10)?, vec![(b"k".to_vec(), name)])?;
    }
    Ok(())
}

fn multi_get_order(place: &dyn Place) -> Verdict {
    let engine = place.open();
    put_keys(&*engine, &[b"a", b"b", b"c", b"d"])?;
    let asked: &[&[u8]] = &[b"c", b"absent", b"a", b"d", b"c", b"", b"b", b"absent"];
    let expected = asked.iter().map(|key| (key.len() == 1).then(|| key.to_vec())).collect();
    same("multi_get", engine.multi_get(S, asked)?, expected)?;
    let many: Vec<Vec<u8>> = (0..200u8).rev().map(|i| vec![b'a' + i % 5]).collect();
    let asked: Vec<&[u8]> = many.iter().map(Vec::as_slice).collect();
    let expected = many.iter().map(|key| (key[0] < b'e').then(|| key.clone())).collect();
    same("multi_get of many", engine.multi_get(S, &asked)?, expected)
}

fn scan_prefix(place: &dyn Place) -> Verdict {
    let engine = place.open();
    let e = &*engine;
    put_keys(e, &[b"a", b"b", b"b\x00", b"ba", b"b\xff", b"b\xff\xff", b"c", b"\xfe", b"\xff", b"\xffa", b"\xff\xff"])?;
    scans_to(e, [b"b", b""], 100, &[b"b", b"b\x00", b"ba", b"b\xff", b"b\xff\xff"])?;
    scans_to(e, [b"ba", b""], 100, &[b"ba"])?;
    scans_to(e, [b"bb", b""], 100, &[])?;
    scans_to(e, [b"b\xff", b""], 100, &[b"b\xff", b"b\xff\xff"])?;
    scans_to(e, [b"\xff", b""], 100, &[b"\xff", b"\xffa", b"\xff\xff"])?;
    scans_to(e, [b"\xff\xff", b""], 100, &[b"\xff\xff"])?;
    scans_to(e, [b"\xff\xff\xff", b""], 100, &[])?;
    same("everything", keys_of(e, b"", b"", 100)?.len(), 11)
}

fn scan_from(place: &dyn Place) -> Verdict {
    let engine = place.open();
    let e = &*engine;
    put_keys(e, &[b"a", b"pa", b"pb", b"pc", b"q"])?;
    scans_to(e, [b"p", b"pb"], 100, &[b"pb", b"pc"])?;
    scans_to(e, [b"p", b"pab"], 100, &[b"pb", b"pc"])?;
    scans_to(e, [b"p", b"pb\x00"], 100, &[b"pc"])?;
    scans_to(e, [b"p", b"a"], 100, &[b"pa", b"pb", b"pc"])?;
    scans_to(e, [b"p", b"pz"], 100, &[])?;
    scans_to(e, [b"p", b"q"], 100, &[])?;
    scans_to(e, [b"p", b"z"], 100, &[])?;
    scans_to(e, [b"", b"pc"], 100, &[b"pc", b"q"])
}

fn scan_limit(place: &dyn Place) -> Verdict {
    let engine = place.open();
    let e = &*engine;
    put_keys(e, &[b"a", b"b", b"c"])?;
    scans_to(e, [b"", b""], 0, &[])?;
    scans_to(e, [b"", b""], 1, &[b"a"])?;
    scans_to(e, [b"", b""], 2, &[b"a", b"b"])?;
    scans_to(e, [b"", b"b"], 1, &[b"b"])?;
    scans_to(e, [b"", b""], 3, &[b"a", b"b", b"c"])?;
    scans_to(e, [b"", b""], usize::MAX, &[b"a", b"b", b"c"])
}

fn floor(place: &dyn Place) -> Verdict {
    let engine = place.open();
    same("of nothing", engine.floor(S, b"a")?, None)?;
    put_keys(&*engine, &[b"b", b"ba", b"d", b"\xff"])?;
    let mut other = Batch::new();
    other.put(Space::Page, "c", "of another kind");
    engine.commit(other)?;
    let cases: [(&[u8], Option<&[u8]>); 8] = [
        (b"a", None),
        (b"b", Some(b"b")),
        (b"b\x00", Some(b"b")),
        (b"ba", Some(b"ba")),
        (b"c", Some(b"ba")),
        (b"d", Some(b"d")),
        (b"\xfe\xff", Some(b"d")),
        (b"\xff\xff", Some(b"\xff")),
    ];
    for (key, expected) in cases {
        let found = engine.floor(S, key)?.map(|(key, value)| (key.clone(), value == key));
        same(&format!("floor of {key:?}"), found, expected.map(|key| (key.to_vec(), true)))?;
    }
    let mut batch = Batch::new();
    batch.delete(S, "ba");
    engine.commit(batch)?;
    same("past a deleted one", engine.floor(S, b"c")?.map(|(key, _)| key), Some(b"b".to_vec()))
}

fn scan_order(place: &dyn Place) -> Verdict {
    let engine = place.open();
    // One batch each, so that the order is not that of a batch.
    for key in [&b"b"[..], b"\x80", b"a\x00", b"a", b"\x7f", b"", b"aa"] {
        put_keys(&*engine, &[key])?;
    }
    scans_to(&*engine, [b"", b""], 100, &[b"", b"a", b"a\x00", b"aa", b"b", b"\x7f", b"\x80"])
}
