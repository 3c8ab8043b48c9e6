//! `lacuna receipt verify`.

use std::path::{Path, PathBuf};

use serde_json::json;

use super::check::{Checked, Wrong, check, parse};
use crate::api::proto::Receipt;
use crate::audit::note::VerifierKey;
use crate::cli::failure::Failure;
use crate::cli::files;
use crate::cli::show::{Format, out, table};

/// Largest receipt: with a list of as many kept items as a person may have.
const BYTES_MAX: u64 = 256 << 20;

/// What `receipt verify` is told.
#[derive(clap::Args)]
pub struct Arguments {
    /// The receipt, as JSON or as the encoded message; - for standard input.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The public key that signs receipts: `receipt_vkey` of dev.json, or the RECEIPT_SIGNING key of lacuna key list.
    #[arg(long, value_name = "VKEY")]
    key: VerifierKey,
    /// A public key of the log; may be given several times. Without one the checkpoints' signatures are not checked.
    #[arg(long = "log-key", value_name = "VKEY")]
    log_keys: Vec<VerifierKey>,
    /// How the result is printed.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    output: Format,
}

/// Carries it out.
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let checked = read(&arguments.file)?.and_then(|receipt| check(&receipt, &arguments.key, &arguments.log_keys));
    match (checked, arguments.output) {
        (Ok(checked), format) => tell(&checked, format),
        (Err(wrong), Format::Json) => {
            out(&json!({ "verified": false, "wrong": wrong.to_string() }).to_string())?;
            Err(Failure::No)
        }
        (Err(wrong), Format::Table) => Err(Failure::failed(format!("the receipt does not hold: {wrong}"))),
    }
}

/// The receipt in a file.
fn read(path: &Path) -> Result<Result<Receipt, Wrong>, Failure> {
    Ok(parse(files::read_up_to(path, BYTES_MAX)?.expose())) // a receipt is no secret
}

fn tell(checked: &Checked, format: Format) -> Result<(), Failure> {
    let Checked { body, entries, sizes, purged, rotated, lists_kept, log_signed } = checked;
    let kept = checked.kept_count();
    let history = body.access_history_kept;
    let verdict = if kept == 0 && !history { "ERASED" } else { "PARTLY_KEPT" };
    let short = |name: &str, prefix: &str| name.strip_prefix(prefix).unwrap_or(name).to_owned();
    let (scope, grade) =
        (short(body.scope().as_str_name(), "ERASURE_SCOPE_"), short(body.grade().as_str_name(), "SLOT_GRADE_"));
    if format == Format::Json {
        let result = json!({
            "verified": true,
            "verdict": verdict,
            "receipt_id": body.receipt_id,
            "scope": scope,
            "epoch": body.epoch,
            "key_count": body.key_count,
            "kept_items": kept,
            "kept_items_listed": lists_kept,
            "access_history_kept": history,
            "grade": grade,
            "entries": entries,
            "purge_entry": purged.map(|[index, _]| index),
            "index_keys": body.index_key_ids.len(),
            "index_key_entries": rotated.iter().map(|[index, _]| index).collect::<Vec<_>>(),
            "checkpoint_signatures": if *log_signed { "verified" } else { "not checked" },
        });
        return out(&result.to_string());
    }
    let signed = match log_signed {
        true => "signed by the log's key".to_owned(),
        false => "signatures not checked: give --log-key".to_owned(),
    };
    let time = |time: &Option<crate::api::proto::well_known::Timestamp>| {
        let time = time.as_ref().map(|time| jiff::Timestamp::new(time.seconds, time.nanos));
        time.and_then(Result::ok).map_or_else(|| "?".to_owned(), |time| time.to_string())
    };
    let ciphertext = match purged {
        Some([index, size]) => format!("has left the live files, entry {index} of {size}"),
        None => format!("may be in live files until {}", time(&body.purge_due_time)),
    };
    let keys = body.index_key_ids.len();
    let index = match (rotated.last(), &body.index_rotation_due_time) {
        (_, None) => "no identifier was indexed".to_owned(),
        (Some([index, size]), _) if rotated.len() == keys => format!("keys are gone, entry {index} of {size}"),
        (_, due) => format!("{} of {keys} keys are gone, the others until {}", rotated.len(), time(due)),
    };
    let kept = match lists_kept {
        true => kept.to_string(),
        false => format!("{kept}; the list is not in the file: lacuna receipt get --kept-items"),
    };
    let kept = if history { format!("{kept}; and who read the data") } else { kept };
    let rows = [
        ["verdict", &format!("{verdict}: {scope}")],
        ["receipt", &body.receipt_id],
        ["vault", &body.vault_id],
        ["statement", "signed by the receipt key, and its hash is in the log"],
        ["requested", &format!("{}, entry {} of {}", time(&body.request_time), entries[0], sizes[0])],
        ["erased", &format!("{}, entry {} of {}", time(&body.erase_time), entries[1], sizes[1])],
        ["checkpoints", &signed],
        ["epoch", &body.epoch.to_string()],
        ["keys forgotten", &body.key_count.to_string()],
        ["kept items", &kept],
        ["slots", &format!("{} showed that their old secret is gone", body.slots.len() - body.attestations.len())],
        ["attestations", &body.attestations.len().to_string()],
        ["grade", &grade],
        ["ciphertext", &ciphertext],
        ["index", &index],
    ];
    out(&table(["VERIFIED", ""], rows.map(|row| row.map(str::to_owned))))
}
