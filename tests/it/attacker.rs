//! Somebody who has every byte that a vault wrote outside its slots: hoards files while the vault runs, takes its log of
//! writes apart, and opens whatever the keys at hand open, by trying all of them.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use lacuna::base::codec::Reader;
use lacuna::base::id::{ReasonId, SlotId, SubjectId, VaultId};
use lacuna::base::secret::{Key, Secret};
use lacuna::keys::envelope::{Envelope, Kind, Part, Place as Envelopes};
use lacuna::keys::page::{FANOUT, Page, PageId, Tree};
use lacuna::keys::root;
use lacuna::keys::slot::file::{Place, SlotView};
use tempfile::TempDir;

/// Every file that a store ever had: hard links, so that what is deleted or still grows is there in the end.
pub struct Hoard {
    store: PathBuf,
    home: TempDir,
    seen: BTreeMap<(u64, u64), PathBuf>,
    watch: Option<(Arc<AtomicBool>, JoinHandle<()>)>,
}

impl Hoard {
    /// Watches a store's directory from now on.
    pub fn of(store: PathBuf) -> Self {
        // On the same volume, for hard links.
        let home = tempfile::tempdir_in(store.parent().expect("lies in a directory").parent().expect("and that too"));
        let home = home.expect("a directory");
        let over = Arc::new(AtomicBool::new(false));
        let watch = std::thread::spawn({
            let (store, home, over) = (store.clone(), home.path().to_owned(), over.clone());
            move || {
                while !over.load(Ordering::Relaxed) {
                    link_all(&store, &home);
                    std::thread::sleep(Duration::from_millis(2));
                }
            }
        });
        Self { store, home, seen: BTreeMap::new(), watch: Some((over, watch)) }
    }

    /// Takes what is there now.
    pub fn gather(&mut self) {
        link_all(&self.store, self.home.path());
        for entry in std::fs::read_dir(self.home.path()).expect("a directory").flatten() {
            let metadata = entry.metadata().expect("a file");
            self.seen.insert((metadata.dev(), metadata.ino()), entry.path());
        }
    }

    /// How many files there are.
    pub fn files(&self) -> usize {
        self.seen.len()
    }

    /// Where they are.
    pub fn path(&self) -> &Path {
        self.home.path()
    }

    /// Every file, as it is now.
    pub fn contents(&self) -> impl Iterator<Item = Vec<u8>> {
        self.seen.values().map(|path| std::fs::read(path).expect("a file"))
    }

    /// Every record that was ever written to the store, from its logs of writes.
    pub fn records(&self) -> Vec<(Vec<u8>, Vec<u8>)> {
        let mut records = BTreeSet::new();
        let logs = self.seen.values().filter(|path| path.to_string_lossy().ends_with(".log"));
        for log in logs {
            let bytes = std::fs::read(log).expect("a file");
            for batch in batches(&bytes) {
                puts(&batch, &mut records);
            }
        }
        records.into_iter().collect()
    }
}

impl Drop for Hoard {
    fn drop(&mut self) {
        if let Some((over, watch)) = self.watch.take() {
            over.store(true, Ordering::Relaxed);
            let _ = watch.join();
        }
    }
}

fn link_all(store: &Path, home: &Path) {
    for entry in std::fs::read_dir(store).into_iter().flatten().flatten() {
        let Ok(metadata) = entry.metadata() else { continue };
        let name = format!("{}-{}", metadata.ino(), entry.file_name().to_string_lossy());
        let _ = std::fs::hard_link(entry.path(), home.join(name)); // it may be there already, or be gone by now
    }
}

/// The payloads of a log of writes: blocks of 32 KiB; in each, records of checksum (4), length (2), kind (1), payload.
fn batches(log: &[u8]) -> Vec<Vec<u8>> {
    const BLOCK: usize = 32 << 10;
    let (mut whole, mut part) = (Vec::new(), Vec::new());
    for block in log.chunks(BLOCK) {
        let mut rest = block;
        while rest.len() >= 7 {
            let (len, kind) = (usize::from(u16::from_le_bytes([rest[4], rest[5]])), rest[6]);
            let Some(payload) = rest.get(7..7 + len).filter(|_| (1..=4).contains(&kind)) else { break };
            if matches!(kind, 1 | 2) {
                part.clear();
            }
            part.extend_from_slice(payload);
            if matches!(kind, 1 | 4) {
                whole.push(std::mem::take(&mut part));
            }
            rest = &rest[7 + len..];
        }
    }
    whole
}

/// The key-value pairs that a batch puts: sequence (8), count (4), then records of a tag, perhaps a column family, a key
/// and perhaps a value.
fn puts(batch: &[u8], records: &mut BTreeSet<(Vec<u8>, Vec<u8>)>) {
    let mut rest = batch.get(12..).unwrap_or_default();
    while let Some((tag, tail)) = rest.split_first() {
        rest = tail;
        let has_family = matches!(tag, 0x4..=0x6 | 0x8 | 0xE);
        if has_family && varint(&mut rest).is_none() {
            return;
        }
        match tag {
            0x1 | 0x5 => {
                let (Some(key), Some(value)) = (slice(&mut rest), slice(&mut rest)) else { return };
                records.insert((key.to_vec(), value.to_vec()));
            }
            0x0 | 0x4 | 0x7 | 0x8 => {
                if slice(&mut rest).is_none() {
                    return;
                }
            }
            0xE | 0xF => {
                // A range that goes: its first key, and the one after its last.
                let (Some(_), Some(_)) = (slice(&mut rest), slice(&mut rest)) else { return };
            }
            0x3 | 0xD => {}
            other => panic!("a record of kind {other:#x} in the log of writes: the attacker must know it"),
        }
    }
}

fn varint(rest: &mut &[u8]) -> Option<u64> {
    let (mut value, mut shift) = (0, 0);
    loop {
        let (byte, tail) = rest.split_first()?;
        *rest = tail;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
        shift += 7;
    }
}

fn slice<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let len = usize::try_from(varint(rest)?).ok()?;
    let (slice, tail) = rest.split_at_checked(len)?;
    *rest = tail;
    Some(slice)
}

/// What an attack found.
pub struct Loot {
    /// Records looked at.
    pub rows: usize,
    /// Keys that could be had, each tried on everything.
    pub keys: usize,
    plain: Vec<Vec<u8>>,
}

impl Loot {
    /// Which of these texts were found.
    pub fn present<'n>(&self, names: &'n [String]) -> Vec<&'n str> {
        names.iter().map(String::as_str).filter(|name| self.holds(name)).collect()
    }

    /// Which of these texts were not.
    pub fn missing<'n>(&self, names: &[&'n String]) -> Vec<&'n str> {
        names.iter().map(|name| name.as_str()).filter(|name| !self.holds(name)).collect()
    }

    fn holds(&self, name: &str) -> bool {
        let name = name.as_bytes();
        self.plain.iter().any(|plain| plain.windows(name.len()).any(|part| part == name))
    }
}

/// The attacker.
pub struct Attacker {
    outer: Key,
    records: Vec<(Vec<u8>, Vec<u8>)>,
    /// The row that names the vault says which it is.
    vault: VaultId,
}

/// A key and the generations under which it is known.
type Known = BTreeSet<([u8; 32], u64)>;

impl Attacker {
    /// With the outer key and every record there ever was.
    pub fn new(outer: Key, records: Vec<(Vec<u8>, Vec<u8>)>) -> Self {
        let row = records.iter().find(|(key, _)| key == b"vault").expect("the row that names the vault");
        let vault = VaultId::from_bytes(row.1[1..17].try_into().expect("an id"));
        Self { outer, records, vault }
    }

    /// Every key that can be had, from the secrets of the slot files in a directory on.
    pub fn keys(&self, slots: &Path) -> Vec<[u8; 32]> {
        let mut known = self.roots(slots);
        self.walk(&mut known);
        let keys: BTreeSet<[u8; 32]> = known.into_iter().map(|(key, _)| key).collect();
        keys.into_iter().collect()
    }

    /// Opens what opens, from the secrets of the slot files in a directory on.
    pub fn attack(&self, slots: &Path) -> Loot {
        let mut known = self.roots(slots);
        self.walk(&mut known);
        let mut plain = self.items(&known);
        for (key, value) in &self.records {
            self.subjects(key, value, &known, &mut plain);
        }
        Loot { rows: self.records.len(), keys: known.len(), plain }
    }

    /// Every root that some secret in the slots opens, whatever row it is sealed in.
    fn roots(&self, slots: &Path) -> Known {
        let mut roots = Known::new();
        for entry in std::fs::read_dir(slots).expect("a directory").flatten() {
            let Ok(view) = SlotView::inspect(&Place::new(entry.path(), &[])) else { continue };
            let (slot, epochs): (SlotId, Vec<u64>) = match view.describe() {
                Ok(seen) => (seen.slot, seen.epochs),
                Err(_) => continue,
            };
            for epoch in epochs {
                let [vault, number] = root::prf_context(&self.vault, epoch);
                let prf = view.read(epoch, &[&vault, &number]).expect("it holds this epoch");
                for (_, sealed) in self.records.iter().filter(|(key, _)| *key == root::row_key(epoch, &slot)) {
                    if let Ok(opened) = root::open(&self.outer, &prf, &self.vault, &slot, epoch, sealed) {
                        roots.insert((*opened.key.expose(), epoch));
                    }
                }
            }
        }
        roots
    }

    /// Tries every key on every page of any age, until no new key comes out. All writings of one generation of a page are
    /// under one key: what opens the first opens them all.
    fn walk(&self, known: &mut Known) {
        let mut pages: BTreeMap<(PageId, u64), Vec<&Vec<u8>>> = BTreeMap::new();
        for (key, value) in &self.records {
            if let Some(at) = places(key) {
                pages.entry(at).or_default().push(value);
            }
        }
        let mut tried: HashSet<[u8; 32]> = HashSet::new();
        loop {
            let fresh: BTreeSet<[u8; 32]> =
                known.iter().map(|(key, _)| *key).filter(|key| !tried.contains(key)).collect();
            if fresh.is_empty() {
                return;
            }
            pages.retain(|(id, generation), writings| {
                let open = |key: &[u8; 32], sealed: &[u8]| {
                    Page::open(&self.vault, *id, *generation, &Secret::copied(key), sealed).ok()
                };
                let Some(key) = fresh.iter().find(|key| open(key, writings[0]).is_some()) else { return true };
                for page in writings.iter().filter_map(|sealed| open(key, sealed)) {
                    let entries = (0..FANOUT as u8).filter_map(|child| page.entry(child));
                    known.extend(entries.map(|entry| (*entry.key.expose(), entry.generation)));
                }
                false
            });
            // What came out is tried on all that is left; what was tried once is not tried again.
            tried.extend(fresh);
        }
    }

    /// Items, those that only a keep reason keeps included.
    fn items(&self, known: &Known) -> Vec<Vec<u8>> {
        let rows = self.records.iter().filter_map(|(key, value)| match (key.first()?, key.len()) {
            (_, 32) => Some((key[16..32].try_into().ok()?, ItemRow::read(value)?)),
            (1, 33) => Some((key[1..17].try_into().ok()?, ItemRow::read_kept(value)?)),
            _ => None,
        });
        let rows: Vec<([u8; 16], ItemRow<'_>)> = rows.collect();
        let mut plain = Vec::new();
        for (secret, generation) in known {
            let envelope = Envelope::derive(Kind::Item, &Secret::copied(secret));
            for (owner, row) in &rows {
                let (class, version, generation) = (&row.class, row.version, *generation);
                let place = Envelopes { vault: &self.vault, owner, class, version, generation };
                for (part, sealed) in [(Part::Value, row.value), (Part::Notes, row.notes)] {
                    let opened = envelope.open(place, part, &row.commitment, sealed);
                    plain.extend(opened.ok().map(|open| open.expose().to_vec()));
                }
            }
        }
        plain
    }

    fn subjects(&self, key: &[u8], value: &[u8], known: &Known, plain: &mut Vec<Vec<u8>>) {
        let Ok(owner) = <[u8; 16]>::try_from(key) else { return };
        let Some((external, commitment)) = read_subject(value) else { return };
        for (secret, generation) in known {
            let envelope = Envelope::derive(Kind::Subject, &Secret::copied(secret));
            let place = Envelopes { vault: &self.vault, owner: &owner, class: "", version: 1, generation: *generation };
            plain.extend(
                envelope.open(place, Part::Value, &commitment, external).ok().map(|open| open.expose().to_vec()),
            );
        }
    }
}

/// The places that a record's key may name, if it is that of a page.
fn places(key: &[u8]) -> Option<(PageId, u64)> {
    let tree = match (key.first()?, key.len()) {
        (0, 18) => Tree::Root,
        (1, 18) => Tree::Subjects,
        (2, 18) => Tree::Reasons,
        (3, 18) => Tree::Service,
        (5, 34) => Tree::Reason(ReasonId::from_bytes(key[1..17].try_into().ok()?), 0),
        (4, 34) => Tree::Subject(SubjectId::from_bytes(key[1..17].try_into().ok()?), 0),
        _ => return None,
    };
    PageId::of_row(tree, key)
}

struct ItemRow<'r> {
    class: String,
    version: u64,
    commitment: [u8; 32],
    value: &'r [u8],
    notes: &'r [u8],
}

impl<'r> ItemRow<'r> {
    /// From what a keep reason has of it: what is said of it, a code, and the row as it was.
    fn read_kept(row: &'r [u8]) -> Option<Self> {
        let mut r = Reader::new(row);
        r.bytes().ok()?;
        let _: [u8; 32] = r.array().ok()?;
        Self::read(r.bytes().ok()?)
    }

    fn read(row: &'r [u8]) -> Option<Self> {
        let mut r = Reader::new(row);
        let (_, 1) = (r.u8().ok()?, r.u8().ok()?) else { return None };
        let clear = r.bytes().ok()?;
        let _: [u8; 32] = r.array().ok()?;
        let commitment = r.array().ok()?;
        let (value, notes) = (r.bytes().ok()?, r.bytes().ok()?);
        let mut head = Reader::new(clear);
        Some(Self { class: head.text().ok()?.to_owned(), version: head.u64().ok()?, commitment, value, notes })
    }
}

/// The sealed id of the caller's in a subject's row, and the commitment. The sealed part ends the clear one but for the
/// count of holds, after its length; every length that fits is tried.
fn read_subject(row: &[u8]) -> Option<(&[u8], [u8; 32])> {
    let mut r = Reader::new(row);
    let clear = r.bytes().ok()?;
    let _: [u8; 32] = r.array().ok()?;
    let commitment = r.array().ok()?;
    r.finish().ok()?;
    let clear = clear.split_last_chunk::<4>()?.0;
    let ends = |at: &usize| {
        let len = u32::from_be_bytes(clear[*at..at + 4].try_into().expect("four bytes")) as usize;
        len > 0 && at + 4 + len == clear.len()
    };
    let at = (0..clear.len().saturating_sub(4)).find(ends)?;
    Some((&clear[at + 4..], commitment))
}
