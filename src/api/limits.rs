//! The bounds that the contract states for messages; those of the whole product are in `base/limits.rs`.

use std::time::Duration;

/// Items that CreateSubject takes.
pub const FIRST_ITEMS_MAX: usize = 64;
/// Entries that BatchPutItems takes.
pub const PUT_ENTRIES_MAX: usize = 1_000;
/// Entries that BatchGetItems takes.
pub const GET_ENTRIES_MAX: usize = 10_000;
/// Bytes of the reference of a batch's entry.
pub const REFERENCE_BYTES_MAX: usize = 64;
/// Records that a page of a list may be asked to have.
pub const PAGE_SIZE_ASKED_MAX: u32 = 1_000;
/// Bytes of a page token or an etag.
pub const TOKEN_BYTES_MAX: usize = 1_024;
/// Field paths, classes or purposes that one message names.
pub const NAMES_MAX: usize = 64;
/// Bytes of one such name, and of a registry id: of a class, a purpose, a legal basis, a role.
pub const NAME_BYTES_MAX: usize = 128;
/// Bytes of the value of a label.
pub const LABEL_VALUE_BYTES_MAX: usize = 63;
/// Bytes of a registry id.
pub const REGISTRY_ID_BYTES_MAX: usize = 63;
/// Bytes of an item's stated source.
pub const SOURCE_BYTES_MAX: usize = 512;
/// Recipients of one item.
pub const RECIPIENTS_MAX: usize = 64;
/// Bytes of a recipient's name or safeguard.
pub const RECIPIENT_BYTES_MAX: usize = 256;
/// Bytes of a country code as given.
pub const COUNTRY_BYTES_MAX: usize = 8;
/// Bytes of the logic behind automated decisions.
pub const LOGIC_BYTES_MAX: usize = 2 * 1_024;

/// Time until a call's answer is complete; a caller's own deadline can only shorten it.
pub const CALL_TIME_MAX: Duration = Duration::from_secs(60);
/// Bytes of results that are gathered before a message of a streamed answer is sent. One item more may follow, so it
/// lies far enough below the limit of a message.
pub const STREAM_MESSAGE_BYTES: usize = 1_024 * 1_024;
/// Messages of a streamed answer that wait for a slow caller.
pub const STREAM_QUEUE_MAX: usize = 2;

/// Bytes of the field violations that one error lists: an error travels in headers, which clients bound at 8 KiB.
pub const VIOLATION_BYTES_MAX: usize = 3 * 1_024;
/// The same for one entry of a batch.
pub const ENTRY_VIOLATION_BYTES_MAX: usize = 1_024;
/// How long to wait before a retry where nothing better is known.
pub const RETRY_AFTER: Duration = Duration::from_millis(100);
