//! Signals that stop the process or make it read its files again.

use std::io;

use rustix::process::{Signal as Number, getpid, kill_process};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// The signals of a server. Made before anything listens, so that none is missed.
pub struct Signals {
    runtime: tokio::runtime::Runtime,
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

/// What stopped the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// SIGTERM.
    Terminate,
    /// SIGINT.
    Interrupt,
}

impl Signals {
    /// Takes over SIGTERM, SIGINT and SIGHUP from now on.
    ///
    /// # Errors
    /// The system refuses a handler.
    pub fn take_over() -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (terminate, interrupt, hangup) = {
            let _inside = runtime.enter();
            (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?, signal(SignalKind::hangup())?)
        };
        Ok(Self { runtime, terminate, interrupt, hangup })
    }

    /// Blocks until SIGTERM or SIGINT; calls `reload` at each SIGHUP.
    pub fn wait(&mut self, reload: impl Fn()) -> Stop {
        let Self { runtime, terminate, interrupt, hangup } = self;
        loop {
            let stop = runtime.block_on(async {
                tokio::select! {
                    _ = terminate.recv() => Some(Stop::Terminate),
                    _ = interrupt.recv() => Some(Stop::Interrupt),
                    _ = hangup.recv() => None,
                }
            });
            match stop {
                Some(stop) => return stop,
                None => reload(), // outside the runtime: it waits for the writer, which a runtime's own thread must not
            }
        }
    }
}

/// Ends the process as `kill -9` would, which loses nothing that was acknowledged. For a store that does not close: a
/// process that ended in good order would wait for it, or tear down what the store still uses.
pub fn at_once() -> &'static str {
    let why = "the store could not be closed: its medium does not answer, or a call does not end";
    tracing::error!("{why}");
    let _ = kill_process(getpid(), Number::KILL);
    why
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;
    use std::process::Command;

    #[test]
    fn hangup_reloads_and_terminate_stops() {
        let child = "server::stop::tests::signals_in_a_process_of_their_own";
        let run =
            Command::new(std::env::current_exe().unwrap()).args(["--ignored", "--exact", child]).output().unwrap();
        let out = String::from_utf8_lossy(&run.stdout);
        assert!(run.status.success() && out.contains("1 passed"), "{out}");
    }

    #[test]
    #[ignore = "takes over the process's signals; run by hangup_reloads_and_terminate_stops"]
    fn signals_in_a_process_of_their_own() {
        let mut signals = Signals::take_over().unwrap();
        let reloads = Cell::new(0);
        kill_process(getpid(), Number::HUP).unwrap();
        let stop = signals.wait(|| {
            reloads.set(reloads.get() + 1);
            kill_process(getpid(), Number::TERM).unwrap();
        });
        assert_eq!((stop, reloads.get()), (Stop::Terminate, 1));
    }
}
