//! `lacuna dev-token`: a token of a person for a throw-away vault.

use std::path::PathBuf;
use std::time::Duration;

use crate::base::time::{Clock as _, SystemClock};
use crate::server::dev_issuer::make_token;

use super::failure::Failure;
use super::show;

/// What `dev-token` is told.
#[derive(clap::Args)]
pub struct Arguments {
    /// The directory of a `lacuna dev`, whose issuer signs.
    #[arg(long)]
    dir: PathBuf,
    /// The person: the external id that a service gave to CreateSubject.
    #[arg(long, value_name = "EXTERNAL_ID")]
    subject: String,
    /// How long ago the token was issued: to see what becomes of old ones.
    #[arg(long, value_name = "SECONDS", default_value_t = 0, value_parser = clap::value_parser!(u64).range(..=86_400))]
    age: u64,
}

/// Prints a token.
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let dir = arguments.dir.join("end-users");
    let token = make_token(&dir, &arguments.subject, SystemClock.now(), Duration::from_secs(arguments.age));
    show::out(&token.map_err(|error| Failure::failed(error.to_string()))?)
}
