//! Every bound in the product. A limit that is reached is an explicit error, never a silent truncation.

use std::time::Duration;

/// Items that CreateSubject takes.
pub const FIRST_ITEMS_MAX: usize = 64;
/// Entries that BatchPutItems takes.
pub const PUT_ENTRIES_MAX: usize = 1_000;
/// Items that one step of BatchGetItems reads before it records and sends them.
pub const GET_STEP_ITEMS: usize = 500;
/// Records on one page of a list.
pub const PAGE_SIZE_MAX: usize = 1_000;
/// Bytes of sealed values on one page of a list, but for the last of them.
pub const PAGE_BYTES_MAX: usize = 1024 * 1024;
/// Records on one page of a list when the caller does not say.
pub const PAGE_SIZE_DEFAULT: usize = 50;
/// Items one subject may have at a time.
pub const ITEMS_PER_SUBJECT_MAX: u64 = 100_000;
/// Bytes of a caller's user id.
pub const EXTERNAL_ID_BYTES_MAX: usize = 256;
/// Labels of one subject.
pub const LABELS_MAX: usize = 16;
/// Bytes of a label's name or value.
pub const LABEL_BYTES_MAX: usize = 64;
/// Bytes of one encoded value, before sealing.
pub const VALUE_BYTES_MAX: usize = 256 * 1024;
/// Entries of one metadata list: sources, recipients, purposes, objections.
pub const METADATA_ENTRIES_MAX: usize = 32;
/// Bytes of one metadata text.
pub const METADATA_BYTES_MAX: usize = 256;
/// Bytes of a call's ticket.
pub const TICKET_BYTES_MAX: usize = 128;
/// Bytes of an idempotency key.
pub const IDEMPOTENCY_KEY_BYTES_MAX: usize = 128;
/// How many days an idempotency record is kept at the most: the day it was written and the next.
pub const IDEMPOTENCY_DAYS: i32 = 1;

/// Rows without a key that one commit deletes.
pub const SWEEP_ROWS_MAX: usize = 1000;

/// Bytes of one gRPC message, either way.
pub const MESSAGE_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Changes waiting for the committer.
pub const COMMIT_QUEUE_MAX: usize = 8192;
/// Changes the committer takes into one group.
pub const COMMIT_GROUP_MAX: usize = 1024;
/// Changes that wake the committer although the runtime is busy.
pub const COMMIT_GATHER_COUNT: usize = 48;
/// The oldest change wakes the committer after this long, although the runtime is busy.
pub const COMMIT_GATHER_TIME: Duration = Duration::from_micros(1500);

/// Leaves in one packed row of the audit log.
pub const LOG_GROUP_LEAVES_MAX: u64 = 16 * 1024;

/// Erasures that share one epoch at the most.
pub const EPOCH_INTENTS_MAX: usize = 4096;
/// How often an epoch that waits for a slot tries again.
pub const EPOCH_RETRY: Duration = Duration::from_secs(1);
/// How often the vault looks for keys of past days.
pub const OLD_KEYS_INTERVAL: Duration = Duration::from_secs(15 * 60);
/// How long before its deadline a call that waits for an epoch answers that it is still pending.
pub const DEADLINE_MARGIN: Duration = Duration::from_millis(50);

/// Seals under one page key, after which the page gets a new one.
pub const PAGE_SEALS_MAX: u32 = 1 << 16;
/// Open pages kept in memory.
pub const OPEN_PAGES_MAX: usize = 32 * 1024;
/// Levels of one tree: 64^10 positions, more than a u64 of subjects needs.
pub const TREE_LEVELS_MAX: u8 = 10;
/// Root slots of one vault.
pub const SLOTS_MAX: usize = 8;
