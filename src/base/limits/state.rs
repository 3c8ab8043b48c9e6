//! Bounds of what the vault keeps: the log, the store's volume, keys and slots, approvals.

use std::time::Duration;

// --- The committer and the log ----------------------------------------------------------------------------------

/// Files of access policies.
pub const POLICY_FILES_MAX: usize = 256;
/// What a role is told that may not know what exists, it is told at a multiple of this since its call began.
pub const ABSENCE_BEAT: Duration = Duration::from_millis(4);
/// Bytes of a person's labels in a decision that is kept in memory.
pub const DECISION_LABEL_BYTES_MAX: usize = 256;
/// Access decisions kept in memory.
pub const DECISIONS_MAX: usize = 64 * 1024;
/// Answers kept in memory to what asks for no person's data: which methods are open to whom, who may know what.
pub const ANSWERS_MAX: usize = 8 * 1024;
/// How long after the log's last entry the next may come before the clock counts as having jumped.
pub const CLOCK_JUMP_MAX: Duration = Duration::from_secs(24 * 3600);
/// Changes waiting for the committer, in each of its lines.
pub const COMMIT_QUEUE_MAX: usize = 8192;
/// Changes the committer takes into one group.
pub const COMMIT_GROUP_MAX: usize = 2048;
/// Changes of one call that are a bulk, which others do not wait for.
pub const COMMIT_BULK_FROM: usize = 33;
/// So many changes of several such calls go into one group; those of one call are never parted.
pub const COMMIT_BULK_MAX: usize = 128;
/// Changes that wake the committer although the runtime is busy.
pub const COMMIT_GATHER_COUNT: usize = 48;
/// The oldest change wakes the committer after this long, although the runtime is busy.
pub const COMMIT_GATHER_TIME: Duration = Duration::from_micros(1500);
/// Leaves in one packed row of the audit log.
pub const LOG_GROUP_LEAVES_MAX: u64 = 16 * 1024;
/// Packed rows of the audit log that one scan reads.
pub const LOG_SCAN_ROWS: usize = 16;
/// Rows of the audit log's index that one scan reads.
pub const LOG_INDEX_ROWS: usize = 4096;
/// Leaves that one step integrates, unless a row has more: bounds what the writer takes in at once.
pub const LOG_STEP_LEAVES: u64 = 512;
/// Leaves between two checkpoints at the most, unless a row has more.
pub const LOG_ROUND_LEAVES: u64 = 64 * 1024;
/// A log that has grown gets a checkpoint after this long.
pub const CHECKPOINT_PERIOD: Duration = Duration::from_secs(1);
/// How long a call waits for a checkpoint.
pub const CHECKPOINT_WAIT_MAX: Duration = Duration::from_secs(5);
/// Reading the published log is recorded once per reader and kind of file in this time.
pub const PUBLISHED_READ_PERIOD: Duration = Duration::from_secs(60);
/// Readers of the published log that are remembered for that; others are recorded each time.
pub const PUBLISHED_READERS_MAX: usize = 1024;
/// Longest configurable time until a log that has grown is published outside.
pub const PUBLISH_SECONDS_MAX: u64 = 60;
/// How soon publishing is tried again after it failed; twice as long each time, and a minute at the most.
pub const PUBLISH_RETRY: Duration = Duration::from_secs(10);
/// Time for publishing one checkpoint at an address.
pub const PUBLISH_TIME_MAX: Duration = Duration::from_secs(5);
/// How long the end of the process waits for a last publication.
pub const PUBLISH_STOP_WAIT: Duration = Duration::from_secs(2);
/// Bytes of one file of a published log that a client reads: a bundle of the longest entries is 16 MiB, one of sealed
/// details may be larger.
pub const PUBLISHED_FILE_BYTES_MAX: usize = 128 << 20;
/// Checkpoints that one verification compares.
pub const HELD_CHECKPOINTS_MAX: usize = 1_000_000;
/// How often a client of the published log tries a file again.
pub const FETCH_ATTEMPTS: u32 = 4;
/// Entries of the log that one step of a search reads.
pub const SEARCH_STEP_ENTRIES: usize = 4 * 1024;
/// Bundles of the log whose index rows one step of a search reads.
pub const SEARCH_STEP_BUNDLES: usize = 1024;
/// Index rows of one subject's token that one step of a search reads.
pub const SEARCH_STEP_INDICES: usize = 256;
/// Bytes of leaves and sealed details in one message of a list or tail; one more entry may follow. Decoded and opened
/// they take up to three times as much.
pub const AUDIT_MESSAGE_BYTES: usize = 512 * 1024;
/// Lists of the log that one thread works on at a time.
pub const AUDIT_LISTS_MAX: usize = 16;
/// Tails of the log that one thread serves at a time.
pub const AUDIT_TAILS_MAX: usize = 64;
/// Time after which a list of the log sends what it has found.
pub const SEARCH_GATHER_TIME: Duration = Duration::from_millis(50);
/// Time after which a list of the log that has found nothing says how far it is.
pub const SEARCH_SILENCE_MAX: Duration = Duration::from_secs(1);
/// How often a tail looks for new entries.
pub const TAIL_PERIOD: Duration = Duration::from_millis(50);
/// Silence after which a tail gives a sign of life: well below the 30 seconds that the contract names.
pub const TAIL_SILENCE_MAX: Duration = Duration::from_secs(20);
/// How long a tail waits for its reader to take a message, before it is cut.
pub const TAIL_PATIENCE: Duration = Duration::from_secs(10);
/// Days whose keys a reader of details holds at a time.
pub const DETAIL_DAYS_MAX: usize = 64;
/// A commit that takes longer means that the log cannot be written: calls are refused at once until it ends.
pub const COMMIT_STALL_MAX: Duration = Duration::from_secs(5);
/// Rows without a key that one commit deletes.
pub const SWEEP_ROWS_MAX: usize = 1000;

/// Bytes of tables that one step of a purge rewrites: at most one table more, and what lies above them.
pub const PURGE_STEP_BYTES: u64 = 32 << 20;
/// Time after which it is noted how far a purge is, once the step under way is over.
pub const PURGE_STEP_TIME: Duration = Duration::from_millis(200);
/// How much longer than its work a purge rests, so that most of the medium's time is the callers'.
pub const PURGE_REST: u32 = 3;
/// How often it is looked whether a purge is asked for or due.
pub const PURGE_LOOK: Duration = Duration::from_millis(500);
/// Days after which what is unreadable is purged, unless configured.
pub const PURGE_EVERY_DAYS: u64 = 7;
/// Most days that can be configured: a pass and a vault that is off for a while must fit into what receipts state.
pub const PURGE_EVERY_DAYS_MAX: u64 = 21;

// --- Room on the store's volume ---------------------------------------------------------------------------------

/// Free bytes that no call may use: a compaction of the engine needs them for a while.
pub const ENGINE_FREE_BYTES: u64 = 128 << 20;
/// What one erasure takes of the reserve, in an epoch of its own: entries, pages on all levels, receipt.
pub const ERASURE_RESERVE_BYTES: u64 = 64 << 10;
/// What one read takes of the reserve: its entry, and its share of the log's tiles, index and checkpoint.
pub const READ_RESERVE_BYTES: u64 = 4 << 10;
/// Erasures that the reserve pays for, unless configured.
pub const RESERVE_ERASURES: u64 = 1_000;
/// Reads that the reserve pays for before those, unless configured.
pub const RESERVE_READS: u64 = 20_000;
/// Most erasures, and most reads, that a reserve can be configured for.
pub const RESERVE_CEILING: u64 = 10_000_000;
/// How often the free bytes are looked at while calls are made.
pub const ROOM_LOOK: Duration = Duration::from_millis(50);
/// How often the engine is asked to write again after it found the medium full.
pub const ROOM_PROBE: Duration = Duration::from_secs(1);

// --- Keys, slots and epochs -------------------------------------------------------------------------------------

/// Levels of one tree: 64^10 positions, more than a u64 of subjects needs.
pub const TREE_LEVELS_MAX: u8 = 10;
/// Seals under one page key, after which the page gets a new one.
pub const PAGE_SEALS_MAX: u32 = 1 << 16;
/// Memory for open pages: those of about 100,000 subjects with few items, beside what they take to be kept.
pub const OPEN_PAGES_BYTES_MAX: usize = 64 << 20;
/// Fewest root slots of one vault.
pub const SLOTS_MIN: usize = 2;
/// Root slots of one vault.
pub const SLOTS_MAX: usize = 8;
/// Former slots that a vault remembers.
pub const SLOTS_FORMER_MAX: usize = 1024;
/// Changes of the slots that wait for the epoch in progress.
pub const SLOT_CHANGES_MAX: usize = 16;
/// Erasures that share one epoch at the most.
pub const EPOCH_INTENTS_MAX: usize = 4096;
/// A person of no more items than this is erased in one batch; of more, in steps of as many.
pub const PARTING_ITEMS_MAX: usize = 1_000;
/// Bytes of items' rows in such a batch, but for the last of them.
pub const PARTING_BYTES_MAX: usize = 16 << 20;
/// Rows of the index that such a batch removes, but for those of the last item.
pub const PARTING_INDEX_ROWS_MAX: usize = 16 * 1024;
/// Between two such steps, for others to have their turn.
pub const PARTING_PAUSE: Duration = Duration::from_millis(2);
/// How often persons are looked for whose erasure goes on in steps, and whether one has ended.
pub const PARTING_LOOK: Duration = Duration::from_millis(50);
/// Kept versions that a receipt lists; of more it has the number and the hash of the list.
pub const RECEIPT_KEPT_MAX: usize = 1_000;
/// Names of forgotten keys that a receipt lists; of more it states the number and the hash.
pub const RECEIPT_KEY_NAMES_MAX: usize = 4096;
/// Days after an erasure by which its unreadable ciphertext is due to have left the live files.
pub const PURGE_DAYS: i64 = 30;
/// Days after an erasure by which the index keys that its identifiers were under are due to be replaced.
pub const INDEX_ROTATION_DAYS: i64 = 30;
/// Kept versions that are looked at to say, with an act of forgetting, which reasons remain; ListKeepReasons has all.
pub const KEEP_REASONS_TOLD_MAX: usize = 1024;
/// Item versions that one hold names at the most.
pub const HOLD_ITEMS_MAX: usize = 1000;
/// Holds that are in force on one subject at the most.
pub const HOLDS_PER_SUBJECT_MAX: usize = 256;
/// Receipts that are listed with one hold at the most.
pub const HOLD_RECEIPTS_MAX: usize = 256;
/// Bytes of a matter's name, authority and reference each.
pub const MATTER_TEXT_BYTES_MAX: usize = 256;
/// Matters or holds that are looked through for one page.
pub const KEEP_SCAN_ROWS: usize = 1024;
/// Epochs that are remembered for those who wait for one and have not looked yet.
pub const EPOCHS_REMEMBERED: usize = 64;
/// How often an epoch that waits for a slot tries again.
pub const EPOCH_RETRY: Duration = Duration::from_secs(1);
/// For how long a look at the slots, made while an erasure was on its way to the medium, is good for its epoch.
pub const SLOT_LOOK_FRESH: Duration = Duration::from_millis(100);
/// How often the slots are looked at, and keys of past days looked for, while nothing is to be forgotten.
pub const SLOT_LOOK: Duration = Duration::from_secs(2);
/// Longest configurable delay of a pending epoch, in milliseconds.
pub const EPOCH_DELAY_MS_CEILING: u64 = 60_000;
/// Longest configurable wait for calls that hold what is being forgotten, in milliseconds.
pub const DRAIN_MS_CEILING: u64 = 10_000;

// --- Persons and approvals --------------------------------------------------------------------------------------

/// Bytes of the name of a person who operates the vault.
pub const PERSON_NAME_BYTES_MAX: usize = 128;
/// Days that share one key of operators' names; a name moves to the present key when the person acts.
pub const PERSON_PERIOD_DAYS: i32 = 365;
/// Earlier periods whose operators' names are kept: a name goes five to six years after the person last acted.
pub const PERSON_PERIODS_KEPT: u32 = 5;
/// Time from the request until an approval can be neither given nor used.
pub const APPROVAL_TIME_MAX: Duration = Duration::from_secs(72 * 3600);
/// Approvals of one requester that are open at a time.
pub const APPROVALS_OPEN_MAX: usize = 16;
/// People who must agree, besides the requester.
pub const APPROVALS_REQUIRED: u32 = 1;
/// Bytes of what is written with a decision.
pub const COMMENT_BYTES_MAX: usize = 1024;
/// Days for which an approval can be listed; then its row goes, and its key with the last of its period.
pub const APPROVAL_KEEP_DAYS: i32 = 90;
/// Days that share one key of approvals.
pub const APPROVAL_PERIOD_DAYS: i32 = 28;
/// Approvals that one call to list them looks at; the page may be shorter than asked for, and says how to go on.
pub const APPROVAL_SCAN_ROWS: usize = 1_000;
/// Bytes that say where the evidence of a slot's destruction is.
pub const EVIDENCE_BYTES_MAX: usize = 256;
