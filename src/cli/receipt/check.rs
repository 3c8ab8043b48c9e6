//! Whether a receipt holds, from its bytes and public keys alone.
//!
//! Everything in a receipt is checked: what is signed, what is in the log, and what only repeats either of these. So no
//! bit of it can be changed unnoticed.

use std::collections::HashMap;

use prost::Message as _;

use crate::api::proto::{
    Checkpoint as Shown, KeepReasonOpening, ProvenLeaf, Receipt, ReceiptBody, SlotGrade, well_known,
};
use crate::audit::checkpoint::Checkpoint;
use crate::audit::event::{About, Outcome};
use crate::audit::leaf::{self, Leaf};
use crate::audit::note::{self, VerifierKey};
use crate::audit::proof::verify_inclusion;
use crate::audit::tree::leaf_hash;
use crate::cli::json;
use crate::crypto::hash::{Digest, Hasher, sha256};
use crate::crypto::sign;

/// What stands before the statement in what is signed.
const DOMAIN: &[u8] = b"lacuna-receipt-v1\0";
/// What stands before what a commitment to a keep reason is the hash of.
const KEEP_REASON: &[u8] = b"lacuna-keep-reason-v1\0";
const FORMAT: u32 = 1;
/// The kind of actor that the vault itself is.
const VAULT: u8 = 3;
/// What the entry says by which unreadable ciphertext has left the live files.
const PURGED: &str = "CiphertextPurged";
/// What the entry says by which an index key is gone.
const INDEX_KEY_ERASED: &str = "IndexKeyErased";

/// Why a receipt is not to be believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Wrong {
    /// The file is no receipt, or holds more than one.
    #[error("it is no receipt")]
    Malformed,
    /// The key is another one.
    #[error("it is not signed by this key")]
    OtherKey,
    /// The signature is wrong.
    #[error("the signature does not verify: the statement was changed, or signed by nobody who holds the key")]
    Signature,
    /// What is signed is no statement of this format, or contradicts itself.
    #[error("the statement is signed, but contradicts itself: {0}")]
    Statement(&'static str),
    /// A proof is missing.
    #[error("it carries no proof that the log has its entries; get it again: lacuna receipt get")]
    NoProof,
    /// A checkpoint is none of this log's.
    #[error("a checkpoint is not signed by this log's key")]
    Checkpoint,
    /// An entry is not in the log.
    #[error("the proof that the {0} is in the log does not verify")]
    Inclusion(&'static str),
    /// An entry is about something else.
    #[error("the {0} of the log is not that of this erasure")]
    Entry(&'static str),
    /// A list is not the one that the statement has the hash of.
    #[error("the list of kept items is not the one of the statement, or not whole")]
    KeptList,
    /// An opening opens nothing.
    #[error("a reason it names is none of those that the statement commits to")]
    Opening,
    /// A supplement is another receipt's.
    #[error("a supplementary receipt is not one of this receipt's")]
    Supplement,
    /// The log has another statement's hash.
    #[error("the log has the hash of another statement")]
    Hash,
}

/// What a receipt comes to.
#[derive(Debug)]
pub struct Checked {
    /// The statement.
    pub body: ReceiptBody,
    /// The entries: of the request and of the completion.
    pub entries: [u64; 2],
    /// The sizes of the trees in which they are proven.
    pub sizes: [u64; 2],
    /// The entry that unreadable ciphertext has left the live files, and the size of its tree.
    pub purged: Option<[u64; 2]>,
    /// The entries that index keys of the statement are gone, and the sizes of their trees.
    pub rotated: Vec<[u64; 2]>,
    /// Whether what is kept is listed, by the statement or beside it.
    pub lists_kept: bool,
    /// Whether the checkpoints' signatures were checked.
    pub log_signed: bool,
}

impl Checked {
    /// How many item versions are kept.
    pub fn kept_count(&self) -> u64 {
        self.body.kept_item_count.max(self.body.kept_items.len() as u64)
    }
}

/// Reads a receipt, as JSON or as the encoded message, which must be exactly what its fields give.
pub fn parse(bytes: &[u8]) -> Result<Receipt, Wrong> {
    if bytes.trim_ascii_start().starts_with(b"{") {
        let text = std::str::from_utf8(bytes).ok();
        return text.and_then(json::of_text).ok_or(Wrong::Malformed);
    }
    let receipt = Receipt::decode(bytes).ok().filter(|receipt| receipt.encode_to_vec() == bytes);
    receipt.ok_or(Wrong::Malformed)
}

/// Checks a receipt; the checkpoints' signatures only if keys of the log are given.
pub fn check(receipt: &Receipt, key: &VerifierKey, log_keys: &[VerifierKey]) -> Result<Checked, Wrong> {
    let body = statement(receipt, key)?;
    kept_list(receipt, &body)?;
    openings(receipt, &body)?;
    supplements(receipt, &body, key, log_keys)?;
    let requested = proven(receipt.requested.as_ref(), "request's entry", &body, log_keys)?;
    let erased = proven(receipt.erased.as_ref(), "completion's entry", &body, log_keys)?;
    let id = body.receipt_id.parse().map_err(|_| Wrong::Statement("its id"))?;
    let is_request = requested.leaf.about == About::Erasure(id)
        && requested.leaf.outcome == Outcome::Started
        && millis(body.request_time.as_ref()) == Some(requested.leaf.time.as_millis());
    if !is_request {
        return Err(Wrong::Entry("request's entry"));
    }
    let is_end = erased.leaf.about == About::Erasure(id)
        && erased.leaf.outcome == Outcome::Done
        && erased.leaf.actor_kind == VAULT
        && erased.leaf.epoch == body.epoch
        && erased.index > requested.index;
    if !is_end {
        return Err(Wrong::Entry("completion's entry"));
    }
    if erased.leaf.receipt_hash != Some(sha256(&[&receipt.body])) {
        return Err(Wrong::Hash);
    }
    let purged = purged(receipt, &body, &erased, log_keys)?;
    let rotated = rotated(receipt, &body, &requested, log_keys)?;
    let body_count = body.kept_item_count;
    Ok(Checked {
        purged,
        rotated,
        body,
        entries: [requested.index, erased.index],
        sizes: [requested.size, erased.size],
        lists_kept: receipt.kept_items.len() as u64 == body_count,
        log_signed: !log_keys.is_empty(),
    })
}

/// The entry that everything up to the statement's epoch, or a later one, has left the live files.
fn purged(
    receipt: &Receipt,
    body: &ReceiptBody,
    erased: &Proven,
    log_keys: &[VerifierKey],
) -> Result<Option<[u64; 2]>, Wrong> {
    const WHAT: &str = "purge's entry";
    if receipt.purged.is_none() {
        return Ok(None);
    }
    let purged = proven(receipt.purged.as_ref(), WHAT, body, log_keys)?;
    let covers = is_end_of(&purged.leaf, PURGED) && purged.leaf.epoch >= body.epoch && purged.index > erased.index;
    if covers { Ok(Some([purged.index, purged.size])) } else { Err(Wrong::Entry(WHAT)) }
}

/// The entries that index keys are gone: each of one that the statement names, in their order, and the last apart if
/// none is missing.
fn rotated(
    receipt: &Receipt,
    body: &ReceiptBody,
    requested: &Proven,
    log_keys: &[VerifierKey],
) -> Result<Vec<[u64; 2]>, Wrong> {
    const WHAT: &str = "index key's entry";
    let mut named: Vec<&[u8]> = body.index_key_ids.iter().map(|id| &id[..]).collect();
    let mut entries = Vec::new();
    let mut after = requested.index;
    for shown in receipt.index_rotated_before.iter().chain(&receipt.index_rotated) {
        let Proven { leaf, index, size } = proven(Some(shown), WHAT, body, log_keys)?;
        let About::Erasure(id) = leaf.about else { return Err(Wrong::Entry(WHAT)) };
        let at = named.iter().position(|named| *named == &id.as_bytes()[..]).ok_or(Wrong::Entry(WHAT))?;
        named.swap_remove(at);
        if !is_end_of(&leaf, INDEX_KEY_ERASED) || index <= after {
            return Err(Wrong::Entry(WHAT));
        }
        after = index;
        entries.push([index, size]);
    }
    let is_whole = named.is_empty() && !entries.is_empty();
    if is_whole == receipt.index_rotated.is_some() { Ok(entries) } else { Err(Wrong::Entry(WHAT)) }
}

/// Whether an entry says that the vault ended something of its own.
fn is_end_of(leaf: &Leaf, operation: &str) -> bool {
    leaf.actor_kind == VAULT
        && leaf.outcome == Outcome::Done
        && leaf.operation == operation
        && matches!(leaf.about, About::Erasure(_))
}

/// A list beside the statement is the whole one that the statement has the hash of.
fn kept_list(receipt: &Receipt, body: &ReceiptBody) -> Result<(), Wrong> {
    if receipt.kept_items.is_empty() {
        return Ok(());
    }
    let mut hasher = Hasher::default();
    for kept in &receipt.kept_items {
        let message = kept.encode_to_vec();
        hasher.update(&(message.len() as u32).to_be_bytes());
        hasher.update(&message);
    }
    let is_whole = receipt.kept_items.len() as u64 == body.kept_item_count;
    if is_whole && hasher.finish()[..] == body.kept_items_sha256[..] { Ok(()) } else { Err(Wrong::KeptList) }
}

/// Each opening is of one of the commitments, of the statement or of the list beside it, and none is there twice.
fn openings(receipt: &Receipt, body: &ReceiptBody) -> Result<(), Wrong> {
    let kept = body.kept_items.iter().chain(&receipt.kept_items);
    let mut stated: HashMap<&[u8], u32> = HashMap::new();
    for commitment in kept.flat_map(|kept| &kept.reason_commitments) {
        *stated.entry(&commitment[..]).or_default() += 1;
    }
    for KeepReasonOpening { salt, reason } in &receipt.keep_reason_openings {
        let commitment = sha256(&[KEEP_REASON, salt, reason]);
        let left = stated.get_mut(&commitment[..]).filter(|left| **left > 0).ok_or(Wrong::Opening)?;
        *left -= 1;
    }
    Ok(())
}

/// What was kept and has gone since has receipts of its own, which name this one and its pseudonym.
fn supplements(
    receipt: &Receipt,
    body: &ReceiptBody,
    key: &VerifierKey,
    log_keys: &[VerifierKey],
) -> Result<(), Wrong> {
    for supplement in &receipt.supplementary {
        if !supplement.supplementary.is_empty() {
            return Err(Wrong::Supplement);
        }
        let other = check(supplement, key, log_keys)?.body;
        if other.supplements_receipt_id != body.receipt_id || other.pseudonym != body.pseudonym {
            return Err(Wrong::Supplement);
        }
    }
    Ok(())
}

/// The statement, once its signature and what it says of itself hold.
fn statement(receipt: &Receipt, key: &VerifierKey) -> Result<ReceiptBody, Wrong> {
    let signature = receipt.signature.as_ref().ok_or(Wrong::Malformed)?;
    if signature.key_name != key.name() || signature.key_hash != key.id() {
        return Err(Wrong::OtherKey);
    }
    let signed = [DOMAIN, &receipt.body].concat();
    let bytes = signature.signature[..].try_into().map_err(|_| Wrong::Signature)?;
    sign::verify(key.public(), &signed, &bytes).map_err(|_| Wrong::Signature)?;
    let body = ReceiptBody::decode(&receipt.body[..]).map_err(|_| Wrong::Statement("it does not read"))?;
    if body.format_version != FORMAT {
        return Err(Wrong::Statement("it is of another format"));
    }
    if body.receipt_id != receipt.receipt_id || format!("{}/receipt", body.vault_id) != key.name() {
        return Err(Wrong::Statement("it is of another receipt or vault"));
    }
    let listed = &body.key_ids;
    let is_sorted = listed.windows(2).all(|pair| pair[0] < pair[1]) && listed.iter().all(|id| id.len() == 16);
    let fits = listed.len() as u64 == body.key_count && sha256(&[&listed.concat()])[..] == body.key_ids_sha256[..];
    let says_nothing = body.key_count == 0 && body.kept_items.is_empty() && body.kept_item_count == 0;
    if !(is_sorted && ((listed.is_empty() && body.key_count > 0) || fits)) || says_nothing {
        return Err(Wrong::Statement("its keys"));
    }
    let of_classes = body.kept_classes.iter().try_fold(0u64, |sum, class| sum.checked_add(class.count));
    let hashes = body.kept_items_sha256.len() == if body.kept_item_count == 0 { 0 } else { 32 };
    let lists_twice = body.kept_item_count > 0 && !body.kept_items.is_empty();
    if of_classes != Some(body.kept_item_count) || !hashes || lists_twice {
        return Err(Wrong::Statement("what is kept"));
    }
    slots(&body)?;
    Ok(body)
}

/// Every slot was seen to destroy at this epoch, or somebody's word stands for it; and the grade is no better than they.
fn slots(body: &ReceiptBody) -> Result<(), Wrong> {
    let attested = |id: &str| body.attestations.iter().any(|said| !id.is_empty() && said.attestation_id == id);
    let seen = |slot: &crate::api::proto::SlotEvidence| slot.old_secret_failed && slot.epoch == body.epoch;
    if body.slots.is_empty() || !body.slots.iter().all(|slot| seen(slot) || attested(&slot.attestation_id)) {
        return Err(Wrong::Statement("a slot was not seen to destroy its secret"));
    }
    let grades = body.slots.iter().map(|slot| slot.grade).chain(body.attestations.iter().map(|said| said.grade_max));
    match grades.min() {
        Some(weakest) if body.grade <= weakest && body.grade() != SlotGrade::Unspecified => Ok(()),
        Some(_) | None => Err(Wrong::Statement("its grade")),
    }
}

struct Proven {
    leaf: Leaf,
    index: u64,
    size: u64,
}

fn proven(
    shown: Option<&ProvenLeaf>,
    what: &'static str,
    body: &ReceiptBody,
    log_keys: &[VerifierKey],
) -> Result<Proven, Wrong> {
    let shown = shown.ok_or(Wrong::NoProof)?;
    let (inclusion, checkpoint) = shown.inclusion.as_ref().zip(shown.checkpoint.as_ref()).ok_or(Wrong::NoProof)?;
    let checkpoint = read_checkpoint(checkpoint, body, log_keys)?;
    let hash = leaf_hash(&shown.leaf);
    let path = inclusion.path.iter().map(|hash| hash[..].try_into());
    let path: Vec<Digest> = path.collect::<Result<_, _>>().map_err(|_| Wrong::Inclusion(what))?;
    let (index, size) = (inclusion.leaf_index, inclusion.tree_size);
    let fits = inclusion.leaf_hash[..] == hash[..] && size == checkpoint.size;
    if !fits || verify_inclusion(&hash, index, size, &path, &checkpoint.root).is_err() {
        return Err(Wrong::Inclusion(what));
    }
    let leaf = leaf::decode(&shown.leaf).ok().filter(|leaf| leaf.sequence == index);
    Ok(Proven { leaf: leaf.ok_or(Wrong::Entry(what))?, index, size })
}

fn read_checkpoint(shown: &Shown, body: &ReceiptBody, log_keys: &[VerifierKey]) -> Result<Checkpoint, Wrong> {
    let checkpoint = match log_keys {
        [] => note::read(&shown.note, &[]).ok().and_then(|read| Checkpoint::parse(read.text)),
        keys => Checkpoint::open(&shown.note, keys).ok(),
    };
    let checkpoint = checkpoint.ok_or(Wrong::Checkpoint)?;
    let repeated = shown.origin == checkpoint.origin
        && shown.tree_size == checkpoint.size
        && shown.root_hash[..] == checkpoint.root[..];
    let is_ours = checkpoint.origin == format!("{}/audit", body.vault_id);
    if repeated && is_ours { Ok(checkpoint) } else { Err(Wrong::Checkpoint) }
}

fn millis(time: Option<&well_known::Timestamp>) -> Option<i64> {
    time.and_then(|time| time.seconds.checked_mul(1_000)?.checked_add(i64::from(time.nanos) / 1_000_000))
}
