//! What the contract states about each error reason, read from `errors.proto` when the vault is built.

use super::proto::ErrorReason;

/// What holds for every error of one reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Traits {
    /// Its name on the wire, without the prefix of the enum.
    pub name: &'static str,
    /// The gRPC code it travels under.
    pub code: i32,
    /// Whether the same request may be sent again unchanged.
    pub retryable: bool,
    /// One sentence to the engineer of the calling service.
    pub what_to_do: &'static str,
    /// What happened.
    pub about: &'static str,
}

impl Traits {
    const NONE: Self = Self { name: "UNSPECIFIED", code: 0, retryable: false, what_to_do: "", about: "" };
}

include!(concat!(env!("OUT_DIR"), "/reasons.rs"));

/// What holds for the reason of this name, as an error's details have it; `None` for one of another release.
pub fn by_name(name: &str) -> Option<Traits> {
    ALL.iter().map(|reason| traits(*reason)).find(|traits| traits.name == name)
}

/// The reference of all reasons, as Markdown: what `docs/errors.md` holds.
pub fn markdown() -> String {
    let mut text = String::from(HEAD);
    let mut hundred = 0;
    for reason in ALL {
        let number = *reason as i32;
        if number / 100 != hundred {
            hundred = number / 100;
            text.push_str(&format!("\n## {}\n\n", group(hundred)));
            text.push_str(
                "| reason | no. | gRPC code | retry | what happened | what to do |\n|---|---|---|---|---|---|\n",
            );
        }
        let Traits { name, code, retryable, what_to_do, about } = traits(*reason);
        let code = code_name(code);
        let retry = if retryable { "yes" } else { "no" };
        text.push_str(&format!("| `{name}` | {number} | `{code}` | {retry} | {about} | {what_to_do} |\n"));
    }
    text
}

/// The name of a gRPC code, as in the specification; `UNSPECIFIED` for one that is none, or no error.
pub fn code_name(code: i32) -> &'static str {
    let name = super::proto::StatusCode::try_from(code).unwrap_or_default().as_str_name();
    name.strip_prefix("STATUS_CODE_").unwrap_or(name)
}

const HEAD: &str = "\
# Errors

Generated from `proto/lacuna/v1/errors.proto`; a test keeps it current.

A failed call carries `google.rpc.Status` details. `ErrorInfo` is always there: its `reason` is one of the names below,
its `domain` is `lacuna.v1`, and its metadata holds what the caller may know (`request_id`, `rule_id`, `receipt_id`).
`BadRequest` names each field that was refused, and why; `RetryInfo` is there exactly where *retry* says yes, and says how
long to wait. Nothing in an error repeats a value that was sent. A failed entry of a batch carries the same in `EntryError`.

Where *retry* says yes, the same request with the same idempotency key may be sent again: wait as `RetryInfo` says,
then back off exponentially. A reason keeps its name, number and code for ever; treat one that is not listed here by
its gRPC code.
";

fn group(hundred: i32) -> &'static str {
    match hundred {
        1 => "The request itself is wrong",
        2 => "Who calls, and what they may do",
        3 => "The state of what was named",
        4 => "Bounds that were met",
        5 => "The vault cannot serve this now",
        6 => "Keys, slots, backups and the clock",
        _ => "The vault itself",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn docs_errors_is_current() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/errors.md");
        if std::env::var_os("LACUNA_WRITE_DOCS").is_some_and(|value| value == "1") {
            std::fs::write(path, markdown()).unwrap();
        }
        let written = std::fs::read_to_string(path).unwrap_or_default();
        assert!(written == markdown(), "docs/errors.md is stale: run this test with LACUNA_WRITE_DOCS=1");
    }

    #[test]
    fn every_reason_states_what_a_client_needs() {
        assert!(ALL.is_sorted_by_key(|reason| *reason as i32) && ALL.len() > 90);
        for reason in ALL {
            let traits = traits(*reason);
            assert_eq!(reason.as_str_name().strip_prefix("ERROR_REASON_"), Some(traits.name));
            assert!((1..=16).contains(&traits.code), "{}", traits.name);
            assert!(traits.what_to_do.ends_with('.') && traits.about.ends_with('.'), "{}", traits.name);
            assert!(!traits.about.contains('|') && !traits.what_to_do.contains('|'), "{}", traits.name);
        }
    }
}
