//! Bounds of what the server takes from callers' connections and operators' files.

use std::time::Duration;

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
