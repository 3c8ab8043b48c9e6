//! Lists that are asked for page by page.

use prost::{Message, Name};

use super::failure::Failure;
use super::show::{self, Format, out};
use crate::api::proto::well_known;
use crate::base::time::Timestamp;

/// Which page.
#[derive(clap::Args)]
pub struct Paging {
    /// How many at most; 0 for the vault's default.
    #[arg(long = "page-size", value_name = "COUNT", default_value_t = 0)]
    pub size: u32,
    /// Continues an earlier answer.
    #[arg(long = "page-token", value_name = "TOKEN", default_value = "", hide_default_value = true)]
    pub token: String,
}

/// Prints a page: as JSON whole; for people what `tables` prints, or that there is `nothing`, and how the list goes on.
pub fn show<T: Message + Name>(
    answer: &T,
    format: Format,
    (is_empty, nothing, next): (bool, &str, &str),
    tables: impl FnOnce() -> Result<(), Failure>,
) -> Result<(), Failure> {
    match format {
        Format::Json => return show::message(answer, Format::Json),
        // A page can be empty although others follow.
        Format::Table if is_empty && next.is_empty() => return out(nothing),
        Format::Table if is_empty => {}
        Format::Table => tables()?,
    }
    more(next)
}

/// How a list goes on.
pub fn more(token: &str) -> Result<(), Failure> {
    if token.is_empty() { Ok(()) } else { out(&format!("\nmore: --page-token {token}")) }
}

/// A point in time, or nothing.
pub fn time(time: Option<&well_known::Timestamp>) -> String {
    time.map_or_else(String::new, |time| {
        Timestamp::from_millis(time.seconds * 1000 + i64::from(time.nanos) / 1_000_000).to_string()
    })
}
