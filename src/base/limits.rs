//! Every bound in the product. A limit that is reached is an explicit error, never a silent truncation.
//!
//! Two kinds of bounds stand elsewhere, since they are part of a definition: how long the fields of a class may be
//! (`catalog/classes`), and the lengths that a foreign format fixes, such as those of a domain name. What the contract
//! in `proto/` states about messages is stated here with the same numbers; a test compares them.

use std::time::Duration;

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

// --- Time of a call ---------------------------------------------------------------------------------------------

/// Time until a call's answer is complete; a caller's own deadline can only shorten it.
pub const CALL_TIME_MAX: Duration = Duration::from_secs(60);
/// How long before its deadline a call that waits for an epoch answers that it is still pending.
pub const DEADLINE_MARGIN: Duration = Duration::from_millis(50);
/// How long to wait before a retry where nothing better is known.
pub const RETRY_AFTER: Duration = Duration::from_millis(100);

// --- End-user tokens --------------------------------------------------------------------------------------------

/// Bytes of one token; a call's headers have twice that.
pub const END_USER_TOKEN_BYTES_MAX: usize = 8 * 1024;
/// Bytes of the name of an issuer's key.
pub const END_USER_KEY_ID_BYTES_MAX: usize = 256;
/// How old a token may be, whatever its `exp` says.
pub const END_USER_TOKEN_AGE_MAX: Duration = Duration::from_secs(15 * 60);
/// How long ago the person may have signed in for what cannot be undone: erasure and export.
pub const END_USER_FRESH_MAX: Duration = Duration::from_secs(5 * 60);
/// How far an issuer's clock may run ahead of ours.
pub const END_USER_SKEW_MAX: Duration = Duration::from_secs(30);
/// Issuers that are trusted.
pub const END_USER_ISSUERS_MAX: usize = 16;
/// Bytes of an issuer's name, an audience or a URL.
pub const END_USER_NAME_BYTES_MAX: usize = 1024;
/// Keys of one issuer.
pub const END_USER_KEYS_MAX: usize = 64;
/// Bytes of an issuer's key set.
pub const END_USER_KEY_SET_BYTES_MAX: usize = 256 * 1024;
/// How often key sets are fetched again.
pub const END_USER_KEYS_PERIOD: Duration = Duration::from_secs(5 * 60);
/// How long fetched keys are good while their URL does not answer; then nobody of that issuer gets in.
pub const END_USER_KEYS_AGE_MAX: Duration = Duration::from_secs(60 * 60);
/// Time for one fetch of a key set.
pub const END_USER_FETCH_TIME_MAX: Duration = Duration::from_secs(5);
/// Shortest time between two fetches of one issuer's keys, however many tokens name a key that is not known.
pub const END_USER_FETCH_PAUSE: Duration = Duration::from_secs(10);
/// How long a call waits for a fetch that it caused.
pub const END_USER_FETCH_WAIT_MAX: Duration = Duration::from_secs(2);

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
/// Changes waiting for the committer.
pub const COMMIT_QUEUE_MAX: usize = 8192;
/// Changes the committer takes into one group: those of a whole batch, and as many that wait beside it.
pub const COMMIT_GROUP_MAX: usize = 2048;
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

// --- Listeners and connections ----------------------------------------------------------------------------------

/// Worker threads, each with its own runtime and listener.
pub const THREADS_MAX: usize = 256;
/// Connections waiting in the kernel for one listener.
pub const LISTEN_BACKLOG: i32 = 1024;
/// Open connections of the API listener, over all threads; one more is closed at once.
pub const CONNECTIONS_MAX: usize = 4096;
/// Calls in progress over all connections; one more is refused as `OVERLOADED`, but for health.
pub const CALLS_MAX: usize = 4096;
/// Calls beyond those that end or protect data: a flood of others does not keep erasures out.
pub const CALLS_FOR_DUTIES: usize = 512;
/// Open connections of the operations listener.
pub const OPS_CONNECTIONS_MAX: usize = 128;
/// TLS handshakes in progress on one thread; for one more, the oldest ends.
pub const HANDSHAKES_MAX: usize = 256;
/// Time for one TLS handshake.
pub const HANDSHAKE_TIME_MAX: Duration = Duration::from_secs(5);
/// Pause after the system refused to accept (no file descriptors left, say).
pub const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Silence after which a connection is probed.
pub const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(30);
/// Time for the answer to a probe.
pub const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(10);
/// Age at which a connection is asked to reconnect, so that a withdrawn authority is not believed for ever.
pub const CONNECTION_AGE_MAX: Duration = Duration::from_secs(3600);
/// Time for the calls of an old connection to end; then it is closed.
pub const CONNECTION_AGE_GRACE: Duration = Duration::from_secs(300);
/// Time for calls to finish once the process is asked to stop.
pub const SHUTDOWN_TIME_MAX: Duration = Duration::from_secs(10);
/// Time for whatever still reads to let go of the store, once everything is stopped.
pub const STORE_RELEASE_WAIT: Duration = Duration::from_secs(5);
/// How often health and metrics look at the vault's state.
pub const STATE_INTERVAL: Duration = Duration::from_millis(250);

// --- HTTP/2 -----------------------------------------------------------------------------------------------------

/// Calls in progress on one connection.
pub const STREAMS_MAX: u32 = 256;
/// Bytes a caller may send ahead on one call.
pub const STREAM_WINDOW_BYTES: u32 = 256 << 10;
/// Bytes a caller may send ahead on one connection.
pub const CONNECTION_WINDOW_BYTES: u32 = 1 << 20;
/// Headers of one call, decoded.
pub const HEADER_LIST_BYTES_MAX: u32 = 16 << 10;
/// Calls opened and reset before the server looked at them; one more ends the connection (CVE-2023-44487).
pub const PENDING_RESETS_MAX: usize = 20;
/// Calls the server itself reset for protocol errors; one more ends the connection (CVE-2025-8671).
pub const ERROR_RESETS_MAX: usize = 100;

// --- Operators' files -------------------------------------------------------------------------------------------

/// Size of a configuration, certificate or key file.
pub const FILE_BYTES_MAX: u64 = 1 << 20;
/// Smallest block cache, in MiB.
pub const CACHE_MIB_MIN: u64 = 8;
/// Largest block cache, in MiB.
pub const CACHE_MIB_MAX: u64 = 1 << 20;
/// Purposes of one registry.
pub const PURPOSES_MAX: usize = 64;
/// Statutory periods of one registry.
pub const PERIODS_MAX: usize = 64;
/// Bytes of a description, or of a law, in the registry.
pub const DESCRIPTION_BYTES_MAX: usize = 512;

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
