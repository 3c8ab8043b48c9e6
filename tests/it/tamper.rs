//! A published log that somebody changed: the verifier finds every change, and names the first entry it concerns.
//!
//! The entries are a real vault's. The keys are the test's own, since the worst attacker has the vault's: then only
//! checkpoints that were held elsewhere tell. `LACUNA_MUTATIONS` sets how many changes are tried.

use std::collections::HashMap;
use std::convert::Infallible;

use lacuna::api::proto::*;
use lacuna::audit::checkpoint::Checkpoint;
use lacuna::audit::edge::Edge;
use lacuna::audit::note::VerifierKey;
use lacuna::audit::sequence::Entry;
use lacuna::audit::sidecar;
use lacuna::audit::stored::StoredLog;
use lacuna::audit::tile::{Resource, TILE_LEVELS, TILE_WIDTH, TileId, encode_entries, encode_tile};
use lacuna::audit::tree::leaf_hash;
use lacuna::audit::verify::{Finding, Held, NotVerified, Published, verify};
use lacuna::base::secret::Secret;
use lacuna::crypto::sign::Signer;
use serde_json::json;

use crate::figures;
use crate::program::{context, subject};
use crate::random::Random;
use crate::vault::TestVault;

const ORIGIN: &str = "example.com/log";
const ENTRIES: usize = 700;
const MUTATIONS: usize = 400;

fn signer(seed: u8) -> Signer {
    Signer::from_seed(&Secret::copied(&[seed; 32]))
}

fn key(seed: u8) -> VerifierKey {
    VerifierKey::new(ORIGIN, *signer(seed).public()).expect("a name")
}

/// The files of a log, by their place: how many entries or hashes are in each, and its bytes.
#[derive(Clone, Default)]
struct Files(HashMap<Resource, (u64, Vec<u8>)>);

/// The place of a file, whatever its width.
fn place(resource: Resource) -> Resource {
    match resource {
        Resource::Checkpoint => Resource::Checkpoint,
        Resource::Tile(id, _) => Resource::Tile(id, 0),
        Resource::Entries(index, _) => Resource::Entries(index, 0),
        Resource::Details(index, _) => Resource::Details(index, 0),
    }
}

impl Published for Files {
    type Error = Infallible;

    fn read(&self, resource: Resource) -> Result<Option<(u64, Vec<u8>)>, Infallible> {
        Ok(self.0.get(&place(resource)).cloned())
    }

    fn has_details(&self) -> bool {
        true
    }
}

impl Files {
    fn of(entries: &[Entry]) -> Self {
        let mut files = Self::default();
        files.pack(entries);
        let (mut edge, mut tiles) = (Edge::default(), Vec::new());
        entries.iter().for_each(|(leaf, _)| edge.push(leaf_hash(leaf), &mut tiles));
        tiles.extend(edge.partial().map(|(id, hashes)| (id, hashes.to_vec())));
        for (id, hashes) in tiles {
            files.0.insert(Resource::Tile(id, 0), (hashes.len() as u64, encode_tile(&hashes)));
        }
        files
    }

    /// Entries and details, and no tile.
    fn pack(&mut self, entries: &[Entry]) {
        self.0.retain(|resource, _| matches!(resource, Resource::Tile(..)));
        for (index, bundle) in entries.chunks(TILE_WIDTH as usize).enumerate() {
            let (index, count) = (index as u64, bundle.len() as u64);
            let leaves = encode_entries(bundle.iter().map(|(leaf, _)| &leaf[..])).expect("fit");
            let details = sidecar::encode(bundle.iter().map(|(_, detail)| detail.as_deref()));
            self.0.insert(Resource::Entries(index, 0), (count, leaves));
            self.0.insert(Resource::Details(index, 0), (count, details));
        }
    }
}

/// The checkpoint over the first entries.
fn sign(entries: &[Entry], size: usize, seed: u8) -> Held {
    let mut edge = Edge::default();
    entries[..size].iter().for_each(|(leaf, _)| edge.push(leaf_hash(leaf), &mut Vec::new()));
    let checkpoint = Checkpoint { origin: ORIGIN.into(), size: size as u64, root: edge.root() };
    let note = checkpoint.sign(&signer(seed)).expect("a name");
    Held { name: format!("over {size}"), note: note.into_bytes() }
}

/// What the attacker leaves behind, and the first entry that it concerns.
struct Forgery {
    files: Files,
    newest: Held,
    key: VerifierKey,
    bad: Option<u64>,
}

struct Original {
    entries: Vec<Entry>,
    files: Files,
    newest: Held,
    held: Vec<Held>,
}

impl Original {
    fn of(entries: Vec<Entry>) -> Self {
        let newest = sign(&entries, entries.len(), 1);
        // Somebody keeps a checkpoint now and then.
        let held = [entries.len() / 4, entries.len() / 2, entries.len() - 5].map(|size| sign(&entries, size, 1));
        Self { files: Files::of(&entries), newest, held: held.to_vec(), entries }
    }

    fn forged(&self, files: Files, bad: u64) -> Forgery {
        Forgery { files, newest: self.newest.clone(), key: key(1), bad: Some(bad) }
    }

    /// The first entry that another list does not share.
    fn first_difference(&self, other: &[Entry]) -> u64 {
        let shared = self.entries.iter().zip(other).take_while(|(ours, theirs)| ours == theirs);
        shared.count() as u64
    }

    fn attack(&self, attack: Attack, random: &mut Random) -> Forgery {
        match attack {
            Attack::FlipFile => self.flip_file(random),
            Attack::WrongKey => Forgery { key: key(2), bad: None, ..self.forged(self.files.clone(), 0) },
            Attack::Resigned => Forgery {
                newest: sign(&self.entries, self.entries.len(), 2),
                bad: None,
                ..self.forged(self.files.clone(), 0)
            },
            Attack::OldCheckpoint => {
                let size = random.below(self.entries.len() - 6) + 1;
                Forgery { newest: sign(&self.entries, size, 1), ..self.forged(self.files.clone(), size as u64) }
            }
            Attack::Truncated => {
                // Everything is made anew over what is left, with the vault's own key.
                let size = random.below(self.entries.len() - 6) + 1;
                let newest = sign(&self.entries, size, 1);
                Forgery { newest, ..self.forged(Files::of(&self.entries[..size]), size as u64) }
            }
            Attack::Entries(change) => {
                let entries = change.made(&self.entries, random);
                let mut files = self.files.clone();
                files.pack(&entries);
                self.forged(files, self.first_difference(&entries))
            }
            Attack::EntriesAndTiles(change) => {
                let entries = change.made(&self.entries, random);
                self.forged(Files::of(&entries), self.first_difference(&entries))
            }
            Attack::EntriesTilesAndKey(change) => {
                let entries = renumbered(change.made(&self.entries, random));
                let newest = sign(&entries, entries.len(), 1);
                Forgery { newest, ..self.forged(Files::of(&entries), self.first_difference(&entries)) }
            }
        }
    }

    /// One bit of one file.
    fn flip_file(&self, random: &mut Random) -> Forgery {
        let mut names: Vec<Resource> = self.files.0.keys().copied().collect();
        names.sort_by_key(|name| format!("{name:?}"));
        let name = names[random.below(names.len())];
        let mut files = self.files.clone();
        let (_, bytes) = files.0.get_mut(&name).expect("is there");
        let at = random.below(bytes.len());
        bytes[at] ^= 1 << random.below(8);
        let bad = match name {
            Resource::Tile(TileId { level, index }, _) => {
                (index * TILE_WIDTH + at as u64 / 32) << (TILE_LEVELS * level)
            }
            Resource::Entries(index, _) => self.entry_at(index, at, |(leaf, _)| 2 + leaf.len()),
            Resource::Details(index, _) => {
                self.entry_at(index, at, |(_, detail)| 1 + detail.as_ref().map_or(0, |detail| 4 + detail.len()))
            }
            Resource::Checkpoint => unreachable!("is no file here"),
        };
        self.forged(files, bad)
    }

    /// The entry to which a byte of a bundle belongs.
    fn entry_at(&self, bundle: u64, mut at: usize, len: impl Fn(&Entry) -> usize) -> u64 {
        let first = (bundle * TILE_WIDTH) as usize;
        for (n, entry) in self.entries.iter().enumerate().skip(first) {
            match at.checked_sub(len(entry)) {
                None => return n as u64,
                Some(rest) => at = rest,
            }
        }
        unreachable!("within the bundle")
    }

    fn verify(&self, forgery: &Forgery) -> Result<(), Finding> {
        let keys = [forgery.key.clone()];
        match verify(&forgery.files, forgery.newest.clone(), self.held.clone(), &keys, |_, _| ()) {
            Ok(_) => Ok(()),
            Err(NotVerified::Found(finding)) => Err(*finding),
            Err(NotVerified::Unread(never)) => match never {},
        }
    }
}

/// What an attacker does, by what it can do.
#[derive(Clone, Copy, Debug)]
enum Attack {
    /// Flips a bit of any file.
    FlipFile,
    /// Changes entries and leaves the tiles.
    Entries(Change),
    /// Makes all tiles anew as well, but cannot sign.
    EntriesAndTiles(Change),
    /// Has the vault's key too, and numbers the entries anew: another log under the same name, a fork.
    EntriesTilesAndKey(Change),
    /// Cuts the end off and signs what is left.
    Truncated,
    /// Shows an old checkpoint.
    OldCheckpoint,
    /// Shows a checkpoint that another key signed.
    Resigned,
    /// The auditor is given another key.
    WrongKey,
}

#[derive(Clone, Copy, Debug)]
enum Change {
    Edit,
    Drop,
    Swap,
    Insert,
    SwapDetails,
}

const CHANGES: [Change; 5] = [Change::Edit, Change::Drop, Change::Swap, Change::Insert, Change::SwapDetails];

impl Change {
    /// Below the last held checkpoint: what comes after it, the vault's own key can sign anew.
    fn made(self, entries: &[Entry], random: &mut Random) -> Vec<Entry> {
        let mut changed = entries.to_vec();
        let reach = entries.len() - 6;
        let at = random.below(reach);
        match self {
            Change::Edit => {
                let leaf = &mut changed[at].0;
                let byte = random.below(leaf.len());
                leaf[byte] ^= 1 << random.below(8);
            }
            Change::Drop => drop(changed.remove(at)),
            Change::Swap => changed.swap(at, (at + 1 + random.below(reach - 1)) % reach),
            Change::Insert => changed.insert(at, entries[random.below(reach)].clone()),
            Change::SwapDetails => {
                let differs = |other: &usize| entries[*other].1 != entries[at].1;
                let other = (0..reach).map(|n| (at + n) % reach).find(differs).expect("another detail");
                let detail = changed[at].1.clone();
                changed[at].1 = std::mem::replace(&mut changed[other].1, detail);
            }
        }
        changed
    }
}

/// Entries that say that they are where they are.
fn renumbered(mut entries: Vec<Entry>) -> Vec<Entry> {
    for (n, (leaf, _)) in entries.iter_mut().enumerate() {
        leaf[1..9].copy_from_slice(&(n as u64).to_be_bytes());
    }
    entries
}

fn attacks() -> Vec<Attack> {
    let mut all = vec![Attack::Truncated, Attack::OldCheckpoint, Attack::Resigned, Attack::WrongKey];
    all.extend([Attack::FlipFile; 10]);
    all.extend(CHANGES.map(Attack::Entries));
    all.extend(CHANGES.map(Attack::EntriesAndTiles));
    all.extend(CHANGES.map(Attack::EntriesTilesAndKey));
    all
}

/// The entries of a vault at work.
async fn entries() -> Vec<Entry> {
    let mut vault = TestVault::start();
    let person = vault.create(&["contact", "payment"]).await;
    let mut service = vault.client("service");
    for n in 0..ENTRIES {
        let get = GetItemRequest {
            context: if n % 7 == 0 { vault.delivery() } else { context() },
            subject: subject(&person.subject_id),
            item_id: person.items[n % 2].item_id.clone(),
            ..Default::default()
        };
        service.get_item(get).await.expect("reads");
    }
    vault.delete(&person.subject_id, &person.items[0].item_id).await.expect("deletes");
    vault.stop();
    let store = vault.store();
    let entries = StoredLog(&store).entries(0).expect("reads").map(|entry| entry.expect("reads").1).collect();
    drop(store);
    entries
}

#[tokio::test(flavor = "multi_thread")]
async fn every_change_to_a_published_log_is_found_and_where_it_begins_is_named() {
    let (mut random, seed) = Random::seeded();
    let count = std::env::var("LACUNA_MUTATIONS").map_or(MUTATIONS, |text| text.parse().expect("a number"));
    let original = Original::of(entries().await);
    assert!(original.entries.len() > ENTRIES);
    let untouched = original.forged(original.files.clone(), 0);
    assert_eq!(original.verify(&untouched), Ok(()));
    let attacks = attacks();
    let (mut tried, mut missed, mut elsewhere, mut exact) = (0, Vec::new(), Vec::new(), 0);
    for n in 0..count {
        let attack = attacks[n % attacks.len()];
        let forgery = original.attack(attack, &mut random);
        if forgery.bad == Some(original.entries.len() as u64) {
            continue; // two equal entries changed places
        }
        tried += 1;
        match (original.verify(&forgery), forgery.bad) {
            (Ok(()), _) => missed.push(format!("{attack:?} at {:?}", forgery.bad)),
            (Err(finding), Some(bad)) if !(finding.first..finding.until).contains(&bad) => {
                elsewhere.push(format!("{attack:?} at {bad}: {finding}"));
            }
            (Err(finding), bad) => exact += usize::from(bad == Some(finding.first)),
        }
    }
    figures::note(
        21,
        "random changes to a published log",
        Some(seed),
        json!({
            "entries": original.entries.len(), "mutations": tried, "detected": tried - missed.len(),
            "first_bad_index_exact": exact, "within_the_range_named": tried - missed.len() - elsewhere.len(),
        }),
    );
    assert!(missed.is_empty(), "seed {seed}: not found: {missed:#?}");
    assert!(elsewhere.is_empty(), "seed {seed}: found elsewhere: {elsewhere:#?}");
}
