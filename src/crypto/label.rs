//! Every domain-separation label of the product, each used for one job.
//!
//! A label is never renamed and never reused: it is part of the on-disk format.

/// A label: names the job of a derived key, or the kind of a sealed record in its additional data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Label(&'static str);

impl Label {
    /// The bytes that enter the derivation or the additional data.
    pub const fn as_bytes(self) -> &'static [u8] {
        self.0.as_bytes()
    }
}

macro_rules! labels {
    ($($(#[$doc:meta])* $name:ident = $text:literal;)*) => {
        $($(#[$doc])* pub const $name: Label = Label($text);)*
        #[cfg(test)]
        const ALL: &[Label] = &[$($name),*];
    };
}

labels! {
    /// What a root slot computes from its secret: PRF(S_i,e ; label | vault | epoch).
    SLOT_PRF = "lacuna/1/slot/prf";
    /// The key that seals R_e for one slot: HKDF over the slot's PRF with the outer key as salt.
    ROOT_SEAL = "lacuna/1/root/seal";
    /// Additional data of R_e sealed for one slot.
    ROOT_RECORD = "lacuna/1/root/record";
    /// The checksum of a block of a file slot.
    SLOT_FILE = "lacuna/1/slot/file";
    /// Additional data of a page.
    PAGE = "lacuna/1/page";
    /// Which counter a caller's tries of a person's password are counted by, while the process lives.
    PASSWORD_TRIES = "lacuna/1/password/tries";
    /// Content key, commitment and metadata key of one item version.
    ITEM_KEYS = "lacuna/1/item/keys";
    /// Additional data of an item version's ciphertext.
    ITEM = "lacuna/1/item/value";
    /// The MAC over an item's clear metadata.
    ITEM_META = "lacuna/1/item/meta";
    /// What a key is called on a receipt: nobody can make it again without the key.
    KEY_NAME = "lacuna/1/key/name";
    /// Keys of one subject's own record.
    SUBJECT_KEYS = "lacuna/1/subject/keys";
    /// Additional data of a subject's sealed record.
    SUBJECT = "lacuna/1/subject/record";
    /// The MAC over a subject's clear row.
    SUBJECT_META = "lacuna/1/subject/meta";
    /// Keys of the record of an erasure that goes through a person's items in steps.
    PARTING_KEYS = "lacuna/1/parting/keys";
    /// Additional data of such a record.
    PARTING = "lacuna/1/parting/record";
    /// The MAC over it.
    PARTING_META = "lacuna/1/parting/meta";
    /// The key, of an epoch, that seals what is said of all acts of forgetting that are under way.
    LEDGER_SEAL = "lacuna/1/ledger/seal";
    /// Additional data of that row.
    LEDGER_RECORD = "lacuna/1/ledger/record";
    /// The MAC over the row of an act that is under way.
    LEDGER_META = "lacuna/1/ledger/meta";
    /// The code of one page in the tally of all pages.
    TALLY = "lacuna/1/tally/page";
    /// The key, of an epoch and of a size of the log, that seals that tally.
    TALLY_SEAL = "lacuna/1/tally/seal";
    /// Additional data of its row.
    TALLY_RECORD = "lacuna/1/tally/record";
    /// Keys of one matter's record.
    MATTER_KEYS = "lacuna/1/matter/keys";
    /// Additional data of what a matter says of itself.
    MATTER = "lacuna/1/matter/record";
    /// The MAC over a matter's clear row.
    MATTER_META = "lacuna/1/matter/meta";
    /// Keys of one hold's record.
    HOLD_KEYS = "lacuna/1/hold/keys";
    /// Additional data of a hold's record.
    HOLD = "lacuna/1/hold/record";
    /// The MAC over a hold's clear row.
    HOLD_META = "lacuna/1/hold/meta";
    /// Keys of the record of a statutory period's end.
    PERIOD_KEYS = "lacuna/1/period/keys";
    /// Additional data of such a record.
    PERIOD = "lacuna/1/period/record";
    /// The MAC over it.
    PERIOD_META = "lacuna/1/period/meta";
    /// Keys of what is said of an item version that a reason keeps, derived from the version's key.
    KEPT_KEYS = "lacuna/1/kept/keys";
    /// Additional data of what is said of it.
    KEPT = "lacuna/1/kept/record";
    /// The MAC over what is said of it.
    KEPT_META = "lacuna/1/kept/meta";
    /// Additional data of the token of a page of matters, holds or kept items.
    KEEP_PAGE = "lacuna/1/keep/page";
    /// Additional data of the token of a page of what a receipt does not list.
    RECEIPT_PAGE = "lacuna/1/receipt/page";
    /// The key that tokenises identifiers of one field.
    INDEX_TOKEN = "lacuna/1/index/token";
    /// The key that seals what an index row points at.
    INDEX_SEAL = "lacuna/1/index/seal";
    /// The key that says which of an identifier's rows is an item version's.
    INDEX_PLACE = "lacuna/1/index/place";
    /// Additional data of an index row.
    INDEX_ROW = "lacuna/1/index/row";
    /// Additional data of a page token of a search for people.
    FIND_PAGE = "lacuna/1/find/page";
    /// The code under which it is remembered for a minute whom a caller looked for.
    FIND_RATE = "lacuna/1/find/rate";
    /// The per-period subject token in audit leaves.
    AUDIT_TOKEN = "lacuna/1/audit/token";
    /// The key that seals details under a subject's audit key or a day's key.
    AUDIT_SEAL = "lacuna/1/audit/seal";
    /// Additional data of an audit detail.
    AUDIT_DETAIL = "lacuna/1/audit/detail";
    /// Lookup keys of idempotency records, under a day's key.
    IDEMPOTENCY_LOOKUP = "lacuna/1/idempotency/lookup";
    /// The key, of a day, that authenticates what is in clear in idempotency records.
    IDEMPOTENCY_META = "lacuna/1/idempotency/meta";
    /// The key that seals an idempotency record, derived from the key of what it concerns.
    IDEMPOTENCY_SEAL = "lacuna/1/idempotency/seal";
    /// Content key, commitment and metadata key of an upload.
    UPLOAD_KEYS = "lacuna/1/upload/keys";
    /// Additional data of what an upload's row holds sealed.
    UPLOAD = "lacuna/1/upload/record";
    /// The MAC over the clear part of an upload's row.
    UPLOAD_META = "lacuna/1/upload/meta";
    /// The code of what is said of an upload that is finished, under its person's key.
    UPLOAD_END = "lacuna/1/upload/end";
    /// Additional data of a chunk of a document.
    DOCUMENT_CHUNK = "lacuna/1/document/chunk";
    /// Additional data of an idempotency record.
    IDEMPOTENCY_RECORD = "lacuna/1/idempotency/record";
    /// The key that seals page tokens, under a day's key.
    PAGE_TOKEN_SEAL = "lacuna/1/page-token/seal";
    /// Additional data of a page token.
    PAGE_TOKEN = "lacuna/1/page-token/record";
    /// Keys that find and seal the names of persons who operate the vault.
    PERSON_KEYS = "lacuna/1/person/keys";
    /// The code under which a person's row is found.
    PERSON_LOOKUP = "lacuna/1/person/lookup";
    /// Additional data of a person's row.
    PERSON_RECORD = "lacuna/1/person/record";
    /// Keys that seal approvals and make digests of requests.
    APPROVAL_KEYS = "lacuna/1/approval/keys";
    /// The digest that binds an approval to a request.
    APPROVAL_DIGEST = "lacuna/1/approval/digest";
    /// Additional data of an approval.
    APPROVAL_RECORD = "lacuna/1/approval/record";
    /// Additional data of the token of a page of approvals.
    APPROVAL_PAGE = "lacuna/1/approval/page";
    /// Additional data of the evidence of a slot's destruction.
    EVIDENCE = "lacuna/1/slot/evidence";
    /// Additional data of a token by which a list of the audit log goes on.
    RESUME_TOKEN = "lacuna/1/resume-token/record";
    /// The key that seals the segments of a day of events, and the companion by which other records die with the day.
    EVENT_KEYS = "lacuna/1/event/keys";
    /// Additional data of a segment.
    EVENT_SEGMENT = "lacuna/1/event/segment";
    /// The running hash over the segments of a day.
    EVENT_CHAIN = "lacuna/1/event/chain";
    /// Lookup keys of the records of batches of events, under a day's key.
    EVENT_BATCH_LOOKUP = "lacuna/1/event-batch/lookup";
    /// The key that seals such records, under a day's key.
    EVENT_BATCH_SEAL = "lacuna/1/event-batch/seal";
    /// The key that seals a batch's digest: made from a day's key and from the keys of every day it was appended to.
    EVENT_BATCH_DIGEST = "lacuna/1/event-batch/digest";
    /// Additional data of such a record and of the digest in it.
    EVENT_BATCH_RECORD = "lacuna/1/event-batch/record";
    /// Additional data of a token by which a reading of events goes on.
    EVENT_RESUME = "lacuna/1/event-resume/record";
    /// The key that seals the signing keys, derived from the outer key.
    SIGNING_SEAL = "lacuna/1/signing/seal";
    /// Additional data of a sealed signing key.
    SIGNING_RECORD = "lacuna/1/signing/record";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_label_is_used_twice() {
        for (i, a) in ALL.iter().enumerate() {
            assert!(ALL[i + 1..].iter().all(|b| a != b), "{a:?} is listed twice");
        }
    }
}
