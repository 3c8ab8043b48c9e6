//! `lacuna receipt`: the evidence of erasures.

pub mod check;
mod verify;

#[cfg(test)]
mod many;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::io::Write as _;
use std::path::PathBuf;

use prost::Message as _;

use super::erase::new_file;
use super::failure::Failure;
use super::json;
use super::remote::{Remote, Usually};
use super::show::{self, Format, out, table};
use crate::api::proto::privacy_client::PrivacyClient;
use crate::api::proto::{GetReceiptRequest, Receipt, ReceiptBody};
use crate::base::limits::PAGE_SIZE_MAX;

/// What `receipt` does.
#[derive(clap::Subcommand)]
pub enum Command {
    /// Get a receipt from a running vault, with proofs to its newest checkpoint.
    Get(Box<Get>),
    /// Check a receipt with public keys, without a vault.
    Verify(verify::Arguments),
}

/// What `receipt get` is told.
#[derive(clap::Args)]
pub struct Get {
    /// The receipt: rcp_...
    #[arg(value_name = "RECEIPT")]
    receipt: String,
    /// Write it there, as JSON. Nothing must be there yet.
    #[arg(long, value_name = "FILE")]
    receipt_out: Option<PathBuf>,
    /// With the list of what is kept, also where that is too long for the statement, which then has its hash.
    #[arg(long)]
    kept_items: bool,
    #[command(flatten)]
    remote: Remote,
}

/// A command for who answers people's requests.
const OFFICER: Usually = Usually { client: "privacy-officer", purpose: None };

/// Carries it out.
pub fn run(command: &Command) -> Result<(), Failure> {
    match command {
        Command::Get(arguments) => get(arguments),
        Command::Verify(arguments) => verify::run(arguments),
    }
}

fn get(arguments: &Get) -> Result<(), Failure> {
    let receipt = arguments.remote.call(OFFICER, async |session| {
        let mut client = PrivacyClient::new(session.channel.clone());
        let mut whole: Option<Receipt> = None;
        let mut kept_page_token = String::new();
        loop {
            let request = GetReceiptRequest {
                context: session.context(),
                receipt_id: arguments.receipt.clone(),
                kept_page_size: if arguments.kept_items { PAGE_SIZE_MAX as u32 } else { 0 },
                kept_page_token,
            };
            let answer = client.get_receipt(session.request(request)).await?.into_inner();
            let page = answer.receipt.unwrap_or_default();
            kept_page_token = answer.next_kept_page_token;
            let whole = match &mut whole {
                None => whole.insert(page),
                Some(whole) => {
                    whole.kept_items.extend(page.kept_items);
                    whole.keep_reason_openings.extend(page.keep_reason_openings);
                    whole
                }
            };
            if kept_page_token.is_empty() {
                return Ok(tonic::Response::new(std::mem::take(whole)));
            }
        }
    })?;
    if let Some(path) = &arguments.receipt_out {
        write(new_file(path)?, &receipt)?;
    }
    match arguments.remote.format() {
        Format::Json => show::message(&receipt, Format::Json),
        Format::Table => out(&table(["RECEIPT", ""], rows(&receipt)?)),
    }
}

/// Writes a receipt as JSON, durably.
pub(super) fn write(mut file: File, receipt: &Receipt) -> Result<(), Failure> {
    let text = json::text(receipt)?;
    let written = file.write_all(text.as_bytes()).and_then(|()| file.write_all(b"\n")).and_then(|()| file.sync_all());
    written.map_err(|error| Failure::failed(format!("the receipt could not be written: {}", error.kind())))
}

/// What a receipt states, field by field, and where its entries are.
pub(super) fn rows(receipt: &Receipt) -> Result<Vec<[String; 2]>, Failure> {
    let body = ReceiptBody::decode(&receipt.body[..]);
    let body = body.map_err(|_| Failure::failed("the receipt's statement does not read"))?;
    let mut rows: Vec<[String; 2]> = json::fields(&body)?.into_iter().map(|(name, text)| [name, text]).collect();
    let Receipt { requested, erased, purged, index_rotated, .. } = receipt;
    let entries = [("requested", requested), ("erased", erased), ("purged", purged), ("index_rotated", index_rotated)];
    for (name, proven) in entries {
        if let Some(inclusion) = proven.as_ref().and_then(|proven| proven.inclusion.as_ref()) {
            rows.push([format!("log.{name}"), format!("entry {} of {}", inclusion.leaf_index, inclusion.tree_size)]);
        }
    }
    Ok(rows)
}
