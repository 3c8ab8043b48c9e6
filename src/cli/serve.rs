//! `lacuna serve`.

use std::path::PathBuf;

use crate::server::assemble::{Mode, Service, StartError, start};
use crate::server::config::Config;
use crate::server::stop::{self, Signals};
use crate::server::telemetry;

/// What `serve` is told.
#[derive(clap::Args)]
pub struct Arguments {
    /// The configuration file.
    #[arg(long)]
    config: PathBuf,
}

/// Serves until a signal.
pub fn run(arguments: &Arguments) -> Result<(), StartError> {
    let config = Config::load(&arguments.config)?;
    until_signal(&config, Mode::Serve, |_| Ok(()))
}

/// Starts a service, tells that it is ready, and stops it at a signal.
pub fn until_signal(
    config: &Config,
    mode: Mode,
    ready: impl FnOnce(&Service) -> Result<(), StartError>,
) -> Result<(), StartError> {
    telemetry::install_panic_hook();
    telemetry::start_logging(config.log.format, config.log.level)?;
    telemetry::forbid_core_dumps()?;
    let mut signals = Signals::take_over()?;
    let service = start(config, mode)?;
    let outcome = ready(&service);
    if outcome.is_ok() {
        tracing::info!("serving");
        signals.wait(|| service.reload());
    }
    if service.end() { outcome } else { Err(stop::at_once().into()) }
}
