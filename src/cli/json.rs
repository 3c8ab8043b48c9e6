//! Messages to and from the canonical JSON of protocol buffers, by the contract's own descriptors.
//!
//! Names are read as `snake_case` and as `lowerCamelCase` and written as the proto files have them. INVARIANT: an
//! error says where the text is wrong and never quotes it.

use std::path::Path;
use std::sync::LazyLock;

use prost::{Message, Name};
use prost_reflect::{DescriptorPool, DynamicMessage, Kind, MapKey, MessageDescriptor, SerializeOptions, Value};

use super::failure::Failure;
use super::files;
use crate::api::proto::DESCRIPTORS;

/// Reads a message from a file, or from standard input for `-`.
pub fn read<T: Message + Name + Default>(path: &Path) -> Result<T, Failure> {
    let text = files::read(path)?;
    // Exposed to be parsed; wiped on return.
    parse(text.expose()).map_err(|error| Failure::failed(format!("{}: {error}", files::name(path))))
}

/// The message as JSON on several lines.
pub fn text<T: Message + Name>(message: &T) -> Result<String, Failure> {
    let mut text = Vec::new();
    let mut writer = serde_json::Serializer::pretty(&mut text);
    let options = SerializeOptions::new().use_proto_field_name(true);
    let written = dynamic(message)?.serialize_with_options(&mut writer, &options);
    written.map_err(|_| unreadable())?;
    String::from_utf8(text).map_err(|_| unreadable())
}

/// The message as JSON on one line.
pub fn line<T: Message + Name>(message: &T) -> Result<String, Failure> {
    let mut text = Vec::new();
    let mut writer = serde_json::Serializer::new(&mut text);
    let options = SerializeOptions::new().use_proto_field_name(true);
    let written = dynamic(message)?.serialize_with_options(&mut writer, &options);
    written.map_err(|_| unreadable())?;
    String::from_utf8(text).map_err(|_| unreadable())
}

/// The message that a text is the JSON of.
pub fn of_text<T: Message + Name + Default>(text: &str) -> Option<T> {
    parse(text.as_bytes()).ok()
}

/// The message that a JSON value is.
pub fn of_value<T: Message + Name + Default>(value: serde_json::Value) -> Option<T> {
    let message = DynamicMessage::deserialize(descriptor_of::<T>()?, value).ok()?;
    message.transcode_to().ok()
}

/// What the contract says of a message.
pub fn descriptor_of<T: Name>() -> Option<MessageDescriptor> {
    descriptor(&T::full_name())
}

/// Every field that is set, with its path, in the order of the contract.
pub fn fields<T: Message + Name>(message: &T) -> Result<Vec<(String, String)>, Failure> {
    let mut rows = Vec::new();
    flatten("", &Value::Message(dynamic(message)?), None, &mut rows);
    Ok(rows)
}

/// Where a text is not the JSON of its message.
#[derive(Debug, thiserror::Error)]
#[error("line {line}, column {column}: {what}")]
struct Malformed {
    line: usize,
    column: usize,
    what: String,
}

fn parse<T: Message + Name + Default>(text: &[u8]) -> Result<T, Malformed> {
    let descriptor = descriptor(&T::full_name()).ok_or_else(|| Malformed::whole("is of a kind that is not known"))?;
    let mut reader = serde_json::Deserializer::from_slice(text);
    let read = DynamicMessage::deserialize(descriptor, &mut reader).and_then(|message| reader.end().map(|()| message));
    let message = read.map_err(|error| Malformed::of::<T>(&error))?;
    message.transcode_to().map_err(|_| Malformed::whole("does not fit its message"))
}

impl Malformed {
    /// The parser's own words may quote the text, so only the place and the kind are kept.
    fn of<T: Name>(error: &serde_json::Error) -> Self {
        let what = match error.classify() {
            serde_json::error::Category::Data => {
                format!("a field that {} does not have, or a value that does not fit it; see proto/lacuna/v1", T::NAME)
            }
            serde_json::error::Category::Eof => "the text ends too early".into(),
            serde_json::error::Category::Io | serde_json::error::Category::Syntax => "is not JSON".into(),
        };
        Self { line: error.line(), column: error.column(), what }
    }

    fn whole(what: &str) -> Self {
        Self { line: 1, column: 1, what: what.into() }
    }
}

fn dynamic<T: Message + Name>(message: &T) -> Result<DynamicMessage, Failure> {
    let descriptor = descriptor(&T::full_name()).ok_or_else(unreadable)?;
    DynamicMessage::decode(descriptor, &message.encode_to_vec()[..]).map_err(|_| unreadable())
}

fn descriptor(name: &str) -> Option<MessageDescriptor> {
    static POOL: LazyLock<Option<DescriptorPool>> = LazyLock::new(|| DescriptorPool::decode(DESCRIPTORS).ok());
    POOL.as_ref()?.get_message_by_name(name)
}

fn unreadable() -> Failure {
    Failure::failed("the vault's answer cannot be shown by this release")
}

fn flatten(path: &str, value: &Value, kind: Option<&Kind>, rows: &mut Vec<(String, String)>) {
    match value {
        Value::Message(message) => match serde_json::to_value(message) {
            // Messages with a JSON form of their own, such as times.
            Ok(serde_json::Value::String(text)) => rows.push((path.to_owned(), text)),
            _ => {
                for (field, value) in message.fields() {
                    let dot = if path.is_empty() { "" } else { "." };
                    flatten(&format!("{path}{dot}{}", field.name()), value, Some(&field.kind()), rows);
                }
            }
        },
        Value::List(values) => {
            for (index, value) in values.iter().enumerate() {
                flatten(&format!("{path}[{index}]"), value, kind, rows);
            }
        }
        Value::Map(entries) => {
            let mut entries: Vec<_> = entries.iter().map(|(key, value)| (key_text(key), value)).collect();
            entries.sort_by(|(a, _), (b, _)| a.cmp(b));
            for (key, value) in entries {
                flatten(&format!("{path}[{key}]"), value, None, rows);
            }
        }
        _ => rows.push((path.to_owned(), scalar(value, kind))),
    }
}

fn scalar(value: &Value, kind: Option<&Kind>) -> String {
    match (value, kind) {
        (Value::EnumNumber(number), Some(Kind::Enum(known))) => {
            known.get_value(*number).map_or_else(|| number.to_string(), |value| value.name().to_owned())
        }
        (Value::String(text), _) => text.clone(),
        (Value::Bytes(bytes), _) => bytes.iter().map(|byte| format!("{byte:02x}")).collect(),
        (Value::Bool(value), _) => value.to_string(),
        (Value::I32(value) | Value::EnumNumber(value), _) => value.to_string(),
        (Value::U32(value), _) => value.to_string(),
        (Value::I64(value), _) => value.to_string(),
        (Value::U64(value), _) => value.to_string(),
        (Value::F32(value), _) => value.to_string(),
        (Value::F64(value), _) => value.to_string(),
        (Value::Message(_) | Value::List(_) | Value::Map(_), _) => String::new(), // flattened before
    }
}

fn key_text(key: &MapKey) -> String {
    match key {
        MapKey::Bool(key) => key.to_string(),
        MapKey::I32(key) => key.to_string(),
        MapKey::I64(key) => key.to_string(),
        MapKey::U32(key) => key.to_string(),
        MapKey::U64(key) => key.to_string(),
        MapKey::String(key) => key.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::proto::{Contact, Item, ItemValue, item_value};

    fn contact(text: &str) -> Result<Contact, Malformed> {
        match parse::<ItemValue>(text.as_bytes())?.value {
            Some(item_value::Value::Contact(contact)) => Ok(contact),
            _ => Err(Malformed::whole("is no contact")),
        }
    }

    #[test]
    fn both_spellings_of_a_name_are_read_and_the_protos_own_is_written() {
        for text in
            [r#"{"contact": {"full_name": "Example Person"}}"#, r#"{"contact": {"fullName": "Example Person"}}"#]
        {
            assert_eq!(contact(text).expect("reads").full_name, "Example Person");
        }
        let value: ItemValue = parse(br#"{"contact": {"fullName": "Example Person"}}"#).expect("reads");
        assert!(self::text(&value).ok().expect("writes").contains(r#""full_name": "Example Person""#));
    }

    #[test]
    fn every_sample_person_is_read_and_written_unchanged() {
        for line in include_str!("../../examples/people.jsonl").lines() {
            let person: serde_json::Value = serde_json::from_str(line).expect("a sample");
            for class in ["contact", "government_id", "payment"] {
                let sample = serde_json::json!({ class: person[class] });
                let value: ItemValue = parse(sample.to_string().as_bytes()).expect("reads");
                let written = text(&value).ok().expect("writes");
                assert_eq!(serde_json::from_str::<serde_json::Value>(&written).expect("JSON"), sample);
            }
        }
    }

    #[test]
    fn an_error_says_where_and_quotes_nothing() {
        for (text, place) in [
            ("{\"contact\": {\n  \"s3cret\": \"s3cret\"}}", "line 2, column 10: a field that ItemValue does not have"),
            ("{\"contact\": {\"emails\": \"s3cret\"}}", "line 1, column "),
            ("{\"contact\": {\"full_name\": 7}}", "line 1, column "),
            ("{\"contact\"", "line 1, column 10: the text ends too early"),
            ("{s3cret", "line 1, column 2: is not JSON"),
            ("{} s3cret", "line 1, column 4: is not JSON"),
        ] {
            let error = contact(text).err().expect(text).to_string();
            assert!(error.starts_with(place), "{error:?} should start with {place:?}");
            assert!(!error.contains("s3cret"), "{error}");
        }
    }

    #[test]
    fn fields_are_listed_with_their_paths_in_the_order_of_the_contract() {
        let value = contact(
            r#"{"contact": {"full_name": "A", "emails": [{"address": "a@example.com", "kind": "CONTACT_KIND_WORK"}],
                "birth_date": {"year": 1980}}}"#,
        );
        let value = ItemValue { value: Some(item_value::Value::Contact(value.expect("reads"))) };
        let time = crate::api::proto::well_known::Timestamp { seconds: 1_700_000_000, nanos: 0 };
        let item = Item { item_id: "itm".into(), create_time: Some(time), value: Some(value), ..Default::default() };
        let rows = fields(&item).ok().expect("is shown");
        let rows: Vec<_> = rows.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
        assert_eq!(
            rows,
            [
                ("item_id", "itm"),
                ("create_time", "2023-11-14T22:13:20Z"),
                ("value.contact.full_name", "A"),
                ("value.contact.emails[0].address", "a@example.com"),
                ("value.contact.emails[0].kind", "CONTACT_KIND_WORK"),
                ("value.contact.birth_date.year", "1980"),
            ]
        );
    }
}
