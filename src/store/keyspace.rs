//! The kinds of records in a store, and their permanent tags.

macro_rules! spaces {
    ($($(#[$doc:meta])* $name:ident = $tag:literal, $text:literal;)*) => {
        /// A kind of record. Its tag is on disk and never changes meaning; a retired tag stays listed.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum Space { $($(#[$doc])* $name = $tag,)* }

        impl Space {
            /// Every kind, in tag order.
            pub const ALL: &[Space] = &[$(Space::$name),*];

            /// The name of the column family that holds this kind.
            pub const fn name(self) -> &'static str {
                match self { $(Space::$name => $text,)* }
            }
        }
    };
}

spaces! {
    /// Single rows that describe the vault: format, identity, epochs, sealed signing keys.
    Meta = 1, "meta";
    /// Pages of the key tree, one row per page and generation.
    Page = 2, "page";
    /// R_e sealed for each slot.
    Root = 3, "root";
    /// Free positions of the key trees.
    Free = 4, "free";
    /// Where each service key lives in its tree.
    ServiceKey = 5, "service_key";
    /// One row per subject.
    Subject = 6, "subject";
    /// One row per item: its current version.
    Item = 7, "item";
    /// Blind index rows.
    Index = 8, "index";
    /// Idempotency records.
    Idempotency = 9, "idempotency";
    /// Erasures that are asked for and not yet carried out.
    Intent = 10, "intent";
    /// What the epoch in flight will delete.
    Doomed = 11, "doomed";
    /// The audit log: one packed record per commit group.
    Log = 12, "log";
    /// What became of each act of forgetting, by its receipt.
    Receipt = 13, "receipt";
    /// Erasures of persons of very many items, as far as they are: what is gone through in steps, before the intent.
    Parting = 14, "parting";
    /// Hashes of the log's tree: one row per tile, by level and index.
    LogTile = 20, "log_tile";
    /// What each bundle of 256 entries of the log holds, and where it is.
    LogBundle = 21, "log_bundle";
    /// Entries of the log by the subject's token in them.
    LogSubject = 22, "log_subject";
    /// Persons who operate the vault: their random ids and sealed names.
    Person = 30, "person";
    /// Requests that need another person's word.
    Approval = 31, "approval";
    /// Slots that are no longer the vault's.
    FormerSlot = 32, "former_slot";
    /// Acts of forgetting that are carried out but wait for a lost slot's end.
    Held = 33, "held";
    /// Which index keys a field has, and how far the replacement of one is.
    IndexState = 47, "index_state";
    /// The entries by which everything up to an epoch has left the live files, by that epoch.
    Purge = 48, "purge";
    /// Which item holds a day of a subject's events of a class.
    EventDay = 40, "event_day";
    /// Sealed segments of days of events.
    EventSegment = 41, "event_segment";
    /// The content of documents, one row per sealed chunk: by subject, item, upload and index.
    Chunk = 43, "chunk";
    /// Uploads that are not finished, and for a while those that are: by subject, item and upload.
    Upload = 44, "upload";
    /// Uploads by the time at which they expire.
    UploadDue = 45, "upload_due";
    /// Matters: the legal grounds of holds.
    Matter = 67, "matter";
    /// Holds, and what each covers.
    Hold = 68, "hold";
    /// Item versions that only a keep reason other than the account keeps.
    Kept = 69, "kept";
    /// Statutory periods by the dates at which they end.
    PeriodEnd = 70, "period_end";
    /// Items by when they expire, and how many there are per day and class.
    Expiry = 71, "expiry";
}
