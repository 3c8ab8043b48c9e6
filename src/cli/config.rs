//! `lacuna config`.

use std::path::PathBuf;
use std::sync::Arc;

use crate::base::time::{Clock, SystemClock};
use crate::catalog::registry::Registry;
use crate::policy::rules::Rules;
use crate::server::assemble::StartError;
use crate::server::config::{Config, RulesCheck};
use crate::server::tls::DevCertificates;

/// What `config` does.
#[derive(clap::Subcommand)]
pub enum Command {
    /// Check a configuration and every file it names, and report all problems at once.
    Check {
        /// The configuration file.
        #[arg(long)]
        config: PathBuf,
    },
}

/// Carries it out.
pub fn run(command: &Command) -> Result<(), StartError> {
    let Command::Check { config: path } = command;
    let config = Config::load(path)?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let rules = RulesCheck {
        catalog: &|text| Registry::parse(text).map(|_| ()).map_err(|error| error.to_string()),
        policies: &|catalog, files| Rules::load(catalog, files).map(|_| ()).map_err(|error| error.to_string()),
    };
    let problems = config.check(DevCertificates::Accepted, &clock, &rules);
    for problem in &problems {
        eprintln!("{}: {}: {}", problem.key, problem.path.display(), problem.detail);
    }
    if problems.is_empty() {
        println!("{}: no problem found", path.display());
        return Ok(());
    }
    Err(format!("{} problems found", problems.len()).into())
}
