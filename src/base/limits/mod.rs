//! Every bound in the product. A limit that is reached is an explicit error, never a silent truncation.
//!
//! Two kinds of bounds stand elsewhere, since they are part of a definition: how long the fields of a class may be
//! (`catalog/classes`), and the lengths that a foreign format fixes, such as those of a domain name. What the contract
//! in `proto/` states about messages is stated here with the same numbers; a test compares them.

mod server;
mod state;

use std::time::Duration;

pub use server::*;
pub use state::*;

// --- Requests: what the contract states -------------------------------------------------------------------------

/// Bytes of one gRPC message, either way.
pub const MESSAGE_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Bytes of a call's ticket.
pub const TICKET_BYTES_MAX: usize = 128;
/// Bytes of an idempotency key.
pub const IDEMPOTENCY_KEY_BYTES_MAX: usize = 128;
/// How many days an idempotency record is kept at the most: the day it was written and the next.
pub const IDEMPOTENCY_DAYS: i32 = 1;
/// Bytes of a caller's user id.
pub const EXTERNAL_ID_BYTES_MAX: usize = 256;
/// Labels of one subject.
pub const LABELS_MAX: usize = 16;
/// Bytes of the value of a label; its key is a registry id.
pub const LABEL_VALUE_BYTES_MAX: usize = 63;
/// Bytes of a caller's identity (the SPIFFE ID specification, section 2.3, asks for 2048).
pub const IDENTITY_BYTES_MAX: usize = 2048;
/// Objections of one subject: to a purpose for all classes, or for one.
pub const OBJECTIONS_MAX: usize = 256;
/// Bytes of a registry id: of a class, a purpose, a legal basis, a role.
pub const REGISTRY_ID_BYTES_MAX: usize = 63;
/// Items that CreateSubject takes.
pub const FIRST_ITEMS_MAX: usize = 64;
/// Entries that BatchPutItems takes.
pub const PUT_ENTRIES_MAX: usize = 1_000;
/// Entries that BatchGetItems takes.
pub const GET_ENTRIES_MAX: usize = 10_000;
/// Bytes of the reference of a batch's entry.
pub const REFERENCE_BYTES_MAX: usize = 64;
/// Bytes of an item's stated source.
pub const SOURCE_BYTES_MAX: usize = 512;
/// Recipients of one item.
pub const RECIPIENTS_MAX: usize = 64;
/// Bytes of a recipient's name or safeguard.
pub const RECIPIENT_BYTES_MAX: usize = 256;
/// Bytes of a country code as given.
pub const COUNTRY_BYTES_MAX: usize = 8;
/// Bytes of the logic behind automated decisions.
pub const LOGIC_BYTES_MAX: usize = 2 * 1024;
/// Field paths, classes or purposes that one message names.
pub const NAMES_MAX: usize = 64;
/// Bytes of one such name; a field path is longer than an id.
pub const NAME_BYTES_MAX: usize = 128;
/// Bytes of a page token or an etag.
pub const TOKEN_BYTES_MAX: usize = 1024;

// --- Events -----------------------------------------------------------------------------------------------------

/// Events of one batch that RecordEvents takes.
pub const EVENTS_MAX: usize = 10_000;
/// Bytes of the caller's key of a batch of events.
pub const BATCH_KEY_BYTES_MAX: usize = 128;
/// Events of a batch for which it is said in full why they were not stored; of the others the reason alone.
pub const EVENT_ERRORS_FULL_MAX: usize = 1_000;
/// Events that are checked before other calls of the thread have their turn.
pub const EVENTS_CHECK_STEP: usize = 256;
/// How far in the future an event may lie: callers' clocks run ahead.
pub const EVENT_AHEAD_MAX: Duration = Duration::from_secs(300);
/// Bytes of events after which a segment is full and the next one begins.
pub const SEGMENT_BYTES: usize = 256 * 1024;
/// Segments of one day of one subject and class: at most one per batch and [`SEGMENT_BYTES`].
pub const DAY_SEGMENTS_MAX: u32 = 32 * 1024;
/// Bytes of one day of one subject and class. Every message of an answer may read them all.
pub const DAY_BYTES_MAX: u64 = 16 << 20;
/// Segments that are read at a time.
pub const SEGMENT_SCAN_ROWS: usize = 8;
/// Events in one message of an answer: each has its item, class and masked fields around it.
pub const EVENTS_PER_MESSAGE_MAX: usize = 2_000;
/// Days that one step of a reading looks at before it lets others have their turn.
pub const EVENT_DAYS_STEP: usize = 256;
/// Streams that one thread takes events from at a time: each holds a batch.
pub const RECORD_STREAMS_MAX: usize = 32;
/// Readings of events that one thread answers at a time.
pub const EVENT_STREAMS_MAX: usize = 32;

// --- Items ------------------------------------------------------------------------------------------------------

/// Bytes of one encoded value, before sealing: a message with a body of 256 KiB and 64 participants.
pub const VALUE_BYTES_MAX: usize = 288 * 1024;
/// Items one subject may have at a time.
pub const ITEMS_PER_SUBJECT_MAX: u64 = 100_000;
/// Rows of items that are read at a time.
pub const ITEM_SCAN_ROWS: usize = 64;

// --- Passwords --------------------------------------------------------------------------------------------------

/// Hashes of passwords that are computed at a time, 19 MiB each; half of the processors if that is less.
pub const PASSWORD_RUNS_MAX: usize = 16;
/// Hashes that wait for their turn; one more is refused as `OVERLOADED`.
pub const PASSWORD_RUNS_WAITING_MAX: usize = 64;
/// Tries of one person's password that one caller has at once. A right one gives them all back.
pub const PASSWORD_TRIES_AT_ONCE: u32 = 10;
/// The time after which a try that was used is there again.
pub const PASSWORD_TRY_PERIOD: Duration = Duration::from_secs(300);
/// Counters of tries. Callers and persons share one by chance only; to use up all tries of all counters takes more
/// hashes in a period than can be computed.
pub const PASSWORD_COUNTERS: usize = 64 * 1024;

// --- Documents --------------------------------------------------------------------------------------------------

/// Bytes of one document.
pub const DOCUMENT_BYTES_MAX: u64 = 64 << 20;
/// Bytes of a document in one message, either way.
pub const DOCUMENT_MESSAGE_BYTES_MAX: usize = 1 << 20;
/// Bytes of a document that are sealed as one chunk. Part of the on-disk format.
pub const CHUNK_BYTES: usize = 256 << 10;
/// Bytes of the name of a document's file.
pub const FILE_NAME_BYTES_MAX: usize = 255;
/// Bytes of a media type as given.
pub const MEDIA_TYPE_BYTES_MAX: usize = 64;
/// Uploads of one subject that are not finished, at a time.
pub const UPLOADS_PER_SUBJECT_MAX: usize = 16;
/// Uploads of one subject that are remembered, those of the last day that are finished among them: opening one looks at
/// each.
pub const UPLOADS_KEPT_MAX: usize = 1024;
/// Time from the opening of an upload until it is forgotten, unless it is finished.
pub const UPLOAD_TIME_MAX: Duration = Duration::from_secs(24 * 3600);
/// Bytes of documents in memory, over all uploads and downloads in progress.
pub const DOCUMENT_BUFFER_BYTES_MAX: usize = 128 << 20;
/// Those of one caller: what is left is for the others.
pub const DOCUMENT_BUFFER_CALLER_BYTES_MAX: usize = DOCUMENT_BUFFER_BYTES_MAX / 4 * 3;
/// What one upload takes of them: a message, what of it is not sealed yet, and what is sealed and not yet durable.
pub const UPLOAD_BUFFER_BYTES: usize = 2 * DOCUMENT_MESSAGE_BYTES_MAX + 4 * CHUNK_BYTES;
/// What one download takes of them: chunks that are opened, that wait, and that the connection holds.
pub const DOWNLOAD_BUFFER_BYTES: usize = 8 * CHUNK_BYTES;
/// Chunks that are handed to the writer at a time, over all uploads: what one commit may have to write of documents.
pub const CHUNKS_COMMITTING_MAX: usize = 8;
/// How long a stream of a document waits for the other side's next step.
pub const DOCUMENT_PATIENCE: Duration = Duration::from_secs(20);
/// Expired uploads that one commit gives up.
pub const EXPIRED_UPLOADS_STEP: usize = 64;

// --- Answers ----------------------------------------------------------------------------------------------------

/// Records on one page of a list.
pub const PAGE_SIZE_MAX: usize = 1_000;
/// Records on one page of a list when the caller does not say.
pub const PAGE_SIZE_DEFAULT: usize = 50;
/// Bytes of sealed values on one page of a list. A single item may go beyond it, so it lies far enough below the limit
/// of a message.
pub const PAGE_BYTES_MAX: usize = 1024 * 1024;
/// Items that one step of BatchGetItems reads before it records and sends them.
pub const GET_STEP_ITEMS: usize = 100;
/// Streamed answers that one thread works on at a time.
pub const ANSWER_STREAMS_MAX: usize = 64;
/// Bytes of results that are gathered before a message of a streamed answer is sent; as for a page, one more may
/// follow.
pub const STREAM_MESSAGE_BYTES: usize = 1024 * 1024;
/// Messages of a streamed answer that wait for a slow caller.
pub const STREAM_QUEUE_MAX: usize = 2;
/// Bytes of the field violations that one error lists: an error travels in headers, which clients bound at 8 KiB.
pub const VIOLATION_BYTES_MAX: usize = 3 * 1024;
/// The same for one entry of a batch.
pub const ENTRY_VIOLATION_BYTES_MAX: usize = 1024;

// --- Finding people ---------------------------------------------------------------------------------------------

/// Different identifiers that one caller may look for in any minute, unless configured.
pub const FINDS_PER_MINUTE: usize = 1_000;
/// Most that can be configured.
pub const FINDS_PER_MINUTE_CEILING: usize = 100_000;
/// Things asked about that are remembered for a minute, over all callers.
pub const RATES_REMEMBERED_MAX: usize = 256 * 1024;
/// People whose index rows one step of a rotation writes.
pub const REINDEX_SUBJECTS: usize = 64;
/// The pause between two steps, in which calls have the writer to themselves.
pub const REINDEX_PAUSE: Duration = Duration::from_millis(2);
/// How often it is looked whether an index key is to be replaced.
pub const REINDEX_LOOK: Duration = Duration::from_millis(500);
/// Rotations that are followed at a time.
pub const ROTATION_WATCHES_MAX: usize = 64;
/// Between two looks of a call that follows a rotation.
pub const ROTATION_WATCH_PERIOD: Duration = Duration::from_secs(1);
/// Index rows of one identifier that one call follows.
pub const FIND_ROWS_MAX: usize = 1_000;
/// Of these, as many as it follows before other calls of its thread have a turn.
pub const FIND_ROWS_AT_ONCE: usize = 32;

// --- What ends by itself ----------------------------------------------------------------------------------------

/// People that one step of building the index of expiry goes through.
pub const EXPIRY_SUBJECTS: usize = 64;
/// Items that one step of a sweep deletes, or kept versions that it lets go.
pub const SWEEP_STEP: usize = 64;
/// The pause between two steps of a sweep, in which calls have the writer to themselves.
pub const SWEEP_PAUSE: Duration = Duration::from_millis(5);
/// How often it is looked for what is due.
pub const SWEEP_LOOK: Duration = Duration::from_millis(500);
/// Erasures that may be pending before a sweep waits for epochs.
pub const SWEEP_PENDING_MAX: u64 = 2048;
/// How old the log's last entry may become before the sweeper writes one, so that a jump of the clock is told from a quiet
/// time.
pub const QUIET_MAX: Duration = Duration::from_secs(12 * 3600);
/// Share of all items that may be due at once, in percent, unless configured.
pub const DUE_PERCENT_MAX: u64 = 5;
/// Items that may be due at once whatever their share is, unless configured.
pub const DUE_ITEMS_FREE: u64 = 100;
/// Days ahead that ListDue looks when the caller does not say.
pub const DUE_DAYS_DEFAULT: i64 = 30;
/// Entries that fall due until the time that ListDue is asked about, at the most: a page is cut from all of them.
pub const DUE_ENTRIES_MAX: usize = 100_000;

// --- What follows from them -------------------------------------------------------------------------------------

/// Bytes of one item in an answer: its value, its notes, and about 4 KiB of ids, times, purposes and field paths.
const ITEM_BYTES_MAX: usize = VALUE_BYTES_MAX
    + SOURCE_BYTES_MAX
    + LOGIC_BYTES_MAX
    + RECIPIENTS_MAX * 2 * (RECIPIENT_BYTES_MAX + COUNTRY_BYTES_MAX)
    + 4 * 1024;

// A streamed message, a page with a KiB around each of its items, the same for events, and the answer to a batch of
// which every entry fails and says why, or of events gives its reason.
const _: () = assert!(STREAM_MESSAGE_BYTES + ITEM_BYTES_MAX <= MESSAGE_BYTES_MAX);
const _: () = assert!(PAGE_BYTES_MAX + ITEM_BYTES_MAX + PAGE_SIZE_MAX * 1024 <= MESSAGE_BYTES_MAX);
const _: () = assert!(STREAM_MESSAGE_BYTES + ITEM_BYTES_MAX + EVENTS_PER_MESSAGE_MAX * 1024 <= MESSAGE_BYTES_MAX);
const _: () = assert!(
    EVENT_ERRORS_FULL_MAX * (ENTRY_VIOLATION_BYTES_MAX * 2 + REFERENCE_BYTES_MAX)
        + (EVENTS_MAX - EVENT_ERRORS_FULL_MAX) * 192
        <= MESSAGE_BYTES_MAX
);
const _: () = assert!(PUT_ENTRIES_MAX * (ENTRY_VIOLATION_BYTES_MAX * 2 + REFERENCE_BYTES_MAX) <= MESSAGE_BYTES_MAX);
// One message's chunks are committed together, the one before it included.
const _: () = assert!(DOCUMENT_MESSAGE_BYTES_MAX / CHUNK_BYTES < CHUNKS_COMMITTING_MAX);
const _: () = assert!(DOCUMENT_BYTES_MAX.is_multiple_of(CHUNK_BYTES as u64));
