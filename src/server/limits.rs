//! The bounds of listeners, connections and operators' files.

use std::time::Duration;

/// Worker threads, each with its own runtime and listener.
pub const THREADS_MAX: usize = 256;
/// Connections waiting in the kernel for one listener.
pub const LISTEN_BACKLOG: i32 = 1024;
/// Open connections of the API listener, over all threads; one more is closed at once.
pub const CONNECTIONS_MAX: usize = 4096;
/// Open connections of the operations listener.
pub const OPS_CONNECTIONS_MAX: usize = 128;
/// TLS handshakes in progress on one thread; the next waits in the kernel's queue.
pub const HANDSHAKES_MAX: usize = 64;
/// Time for one TLS handshake.
pub const HANDSHAKE_TIME_MAX: Duration = Duration::from_secs(5);
/// Pause after the system refused to accept (no file descriptors left, say).
pub const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

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
/// Silence after which a connection is probed.
pub const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(30);
/// Time for the answer to a probe.
pub const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(10);
/// Age at which a connection is asked to reconnect, so that a withdrawn authority is not believed for ever.
pub const CONNECTION_AGE_MAX: Duration = Duration::from_secs(3600);
/// Time for the calls of an old connection to end.
pub const CONNECTION_AGE_GRACE: Duration = Duration::from_secs(300);
/// Time until a call's answer begins; a caller's own deadline can only shorten it.
pub const CALL_TIME_MAX: Duration = Duration::from_secs(60);
/// Time for calls to finish once the process is asked to stop.
pub const SHUTDOWN_TIME_MAX: Duration = Duration::from_secs(10);

/// Size of a configuration, certificate or key file.
pub const FILE_BYTES_MAX: u64 = 1 << 20;
/// Largest block cache, in MiB.
pub const CACHE_MIB_MAX: u64 = 1 << 20;
/// Smallest block cache, in MiB.
pub const CACHE_MIB_MIN: u64 = 8;
/// Root slots of one vault.
pub const SLOTS_MAX: usize = 8;
/// Fewest root slots of one vault.
pub const SLOTS_MIN: usize = 2;
/// Longest configurable wait for calls that hold what is being forgotten, in milliseconds.
pub const DRAIN_MS_CEILING: u64 = 10_000;
/// Longest configurable delay of a pending epoch, in milliseconds.
pub const EPOCH_DELAY_MS_CEILING: u64 = 60_000;
