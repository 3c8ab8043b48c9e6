//! Logs, panics and core dumps: what leaves the process besides answers.

use std::fmt;
use std::io;
use std::panic;

use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};
use serde::Deserialize;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry};

/// The shape of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// The least important kind of line that is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// What needs somebody now.
    Error,
    /// What needs somebody soon.
    Warn,
    /// What happened.
    #[default]
    Info,
    /// Why it happened.
    Debug,
    /// Every step.
    Trace,
}

impl From<LogLevel> for LevelFilter {
    fn from(level: LogLevel) -> Self {
        match level {
            LogLevel::Error => Self::ERROR,
            LogLevel::Warn => Self::WARN,
            LogLevel::Info => Self::INFO,
            LogLevel::Debug => Self::DEBUG,
            LogLevel::Trace => Self::TRACE,
        }
    }
}

/// Logging is already set up in this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("logging is already set up")]
pub struct AlreadySetUp;

/// Starts writing log lines to standard error, panics included.
///
/// # Errors
/// It was done before.
pub fn start_logging(format: LogFormat, level: LogLevel) -> Result<(), AlreadySetUp> {
    tracing_subscriber::registry().with(lines(format, level, io::stderr)).try_init().map_err(|_| AlreadySetUp)?;
    install_panic_hook();
    Ok(())
}

/// Writes where a panic happened and never what it said: its text may quote data.
pub fn install_panic_hook() {
    panic::set_hook(Box::new(|info| tracing::error!(at = %PanicPlace(info.location()), "panic")));
}

/// Keeps the memory of this process, with its keys, out of core dumps and away from other processes of the same
/// user.
///
/// # Errors
/// The system refuses; a process that holds keys should not start then.
pub fn forbid_core_dumps() -> io::Result<()> {
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })?;
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    Ok(())
}

/// INVARIANT: only our own lines are written, at any level. Other crates trace headers and frames, in which
/// callers' data passes by.
fn lines<W>(format: LogFormat, level: LogLevel, writer: W) -> Box<dyn Layer<Registry> + Send + Sync>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let ours = Targets::new().with_target(env!("CARGO_CRATE_NAME"), LevelFilter::from(level));
    let layer = tracing_subscriber::fmt::layer().with_writer(writer).with_ansi(false);
    match format {
        LogFormat::Text => layer.with_filter(ours).boxed(),
        LogFormat::Json => layer.json().flatten_event(true).with_filter(ours).boxed(),
    }
}

struct PanicPlace<'a>(Option<&'a panic::Location<'a>>);

impl fmt::Display for PanicPlace<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(location) => write!(f, "{}:{}", location.file(), location.line()),
            None => f.write_str("an unknown place"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use parking_lot::Mutex;
    use std::process::Command;
    use std::sync::Arc;

    #[derive(Clone, Default)]
    struct Buffer(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Buffer {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn written(format: LogFormat, level: LogLevel, log: impl FnOnce()) -> String {
        let buffer = Buffer::default();
        let writer = buffer.clone();
        let subscriber = tracing_subscriber::registry().with(lines(format, level, move || writer.clone()));
        tracing::subscriber::with_default(subscriber, log);
        let bytes = buffer.0.lock().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn only_our_own_lines_of_the_level_are_written() {
        let log = || {
            tracing::info!(count = 3, "kept");
            tracing::debug!("too fine");
            tracing::error!(target: "h2", "a header passes by");
        };
        let text = written(LogFormat::Text, LogLevel::Info, log);
        assert!(text.contains("kept") && text.contains("count=3"), "{text}");
        assert!(!text.contains("too fine") && !text.contains("header"), "{text}");
        let json: serde_json::Value = serde_json::from_str(&written(LogFormat::Json, LogLevel::Info, log)).unwrap();
        assert_eq!((&json["message"], &json["count"]), (&"kept".into(), &3.into()));
    }

    #[test]
    fn a_panic_is_logged_without_its_text() {
        let text = written(LogFormat::Text, LogLevel::Error, || {
            let before = panic::take_hook();
            install_panic_hook();
            let _ = panic::catch_unwind(|| panic!("4111 1111 1111 1111"));
            panic::set_hook(before);
        });
        assert!(text.contains("panic") && text.contains("telemetry.rs:"), "{text}");
        assert!(!text.contains("4111"), "{text}");
    }

    #[test]
    fn core_dumps_can_be_forbidden() {
        let child = "server::telemetry::tests::core_dumps_in_a_process_of_their_own";
        let run =
            Command::new(std::env::current_exe().unwrap()).args(["--ignored", "--exact", child]).output().unwrap();
        let out = String::from_utf8_lossy(&run.stdout);
        assert!(run.status.success() && out.contains("1 passed"), "{out}");
    }

    #[test]
    #[ignore = "changes the process for good; run by core_dumps_can_be_forbidden"]
    fn core_dumps_in_a_process_of_their_own() {
        forbid_core_dumps().unwrap();
        assert_eq!(rustix::process::getrlimit(Resource::Core).current, Some(0));
        assert_eq!(rustix::process::dumpable_behavior().unwrap(), DumpableBehavior::NotDumpable);
    }
}
