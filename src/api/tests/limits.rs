//! The numbers that the contract states are those of the product.

use std::collections::BTreeMap;

use crate::base::limits::*;

/// What a comment states, and the constant that holds it: `{}` stands for the number.
const STATED: &[(&str, &str, usize)] = &[
    ("CallContext.ticket", "At most {} bytes.", TICKET_BYTES_MAX),
    ("CallContext.idempotency_key", "at most {} bytes", IDEMPOTENCY_KEY_BYTES_MAX),
    ("SubjectRef.external_id", "At most {} bytes.", EXTERNAL_ID_BYTES_MAX),
    ("Recipient.name", "At most {} bytes.", RECIPIENT_BYTES_MAX),
    ("Recipient.safeguard", "At most {} bytes.", RECIPIENT_BYTES_MAX),
    ("ItemMetadata.source", "At most {} bytes;", SOURCE_BYTES_MAX),
    ("ItemMetadata.recipients", "At most {};", RECIPIENTS_MAX),
    ("ItemMetadata.automated_decision_logic", "At most {} KiB;", LOGIC_BYTES_MAX / 1024),
    ("CreateSubjectRequest.external_id", "At most {} bytes.", EXTERNAL_ID_BYTES_MAX),
    ("CreateSubjectRequest.labels", "At most {};", LABELS_MAX),
    ("CreateSubjectRequest.labels", "values at most {} bytes", LABEL_VALUE_BYTES_MAX),
    ("CreateSubjectRequest.items", "At most {}.", FIRST_ITEMS_MAX),
    ("PutItemEntry.reference", "At most {} bytes,", REFERENCE_BYTES_MAX),
    ("GetItemEntry.reference", "At most {} bytes,", REFERENCE_BYTES_MAX),
    ("BatchPutItemsRequest.entries", "At most {}.", PUT_ENTRIES_MAX),
    ("BatchGetItemsRequest.entries", "At most {}.", GET_ENTRIES_MAX),
    ("Vault.BatchPutItems", "up to {} items", PUT_ENTRIES_MAX),
    ("Vault.BatchGetItems", "up to {} items", GET_ENTRIES_MAX),
    ("RecordEventsRequest.batch_key", "at most {} bytes.", BATCH_KEY_BYTES_MAX),
    ("RecordEventsRequest.events", "At most {},", EVENTS_MAX),
    ("Vault.RecordEvents", "up to {} minutes ahead", (EVENT_AHEAD_MAX.as_secs() / 60) as usize),
    ("Vault.RecordEvents", "takes {} MiB", (DAY_BYTES_MAX >> 20) as usize),
    ("Vault.RecordEvents", "in {} batches", DAY_SEGMENTS_MAX as usize),
    ("Vault.RecordEvents", "{} seconds at the most", CALL_TIME_MAX.as_secs() as usize),
    // Conventions of the package: at the head of types.proto.
    ("", "`page_size` 0 means {},", PAGE_SIZE_DEFAULT),
    ("", "at most {}. A page token", PAGE_SIZE_MAX),
    ("", "[a-z][a-z0-9_-]{0,{}}", REGISTRY_ID_BYTES_MAX - 1),
];

const SOURCES: [&str; 2] =
    [include_str!("../../../proto/lacuna/v1/types.proto"), include_str!("../../../proto/lacuna/v1/vault.proto")];

/// The comment above each field and method, by `Message.field` or `Service.Method`; above a file's syntax, under no
/// name.
fn comments() -> BTreeMap<String, String> {
    let mut comments: BTreeMap<String, String> = BTreeMap::new();
    let (mut parent, mut comment) = (String::new(), String::new());
    for line in SOURCES.iter().flat_map(|source| source.lines()) {
        let words: Vec<&str> = line.split_whitespace().collect();
        match &words[..] {
            ["//", text @ ..] => comment = format!("{comment} {}", text.join(" ")),
            [] => {}
            ["syntax", ..] => *comments.entry(String::new()).or_default() += &std::mem::take(&mut comment),
            ["message" | "service", name, "{"] => {
                parent = (*name).to_owned();
                comment.clear();
            }
            ["rpc", call, ..] => {
                let name = call.split('(').next().unwrap_or_default();
                comments.insert(format!("{parent}.{name}"), std::mem::take(&mut comment));
            }
            [.., name, "=", _, "[debug_redact", "=", _] | [.., name, "=", _] => {
                comments.insert(format!("{parent}.{name}"), std::mem::take(&mut comment));
            }
            _ => comment.clear(),
        }
    }
    comments
}

/// A number as the contract writes it: with a comma between thousands.
fn written(number: usize) -> String {
    if number < 1_000 { number.to_string() } else { format!("{},{:03}", number / 1_000, number % 1_000) }
}

#[test]
fn the_contract_states_the_bounds_of_the_product() {
    let comments = comments();
    for (place, text, number) in STATED {
        let stated = text.replace("{}", &written(*number));
        let comment = comments.get(*place).unwrap_or_else(|| panic!("{place} is not in the contract"));
        assert!(comment.contains(&stated), "{place}: \"{stated}\" is not in \"{comment}\"");
    }
}
