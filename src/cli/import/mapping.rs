//! The mapping: a small file that says which column of a row goes into which field of which item.
//!
//! INVARIANT: an error names fields of the mapping and columns, which are the operator's words, never a value.

use std::collections::BTreeMap;
use std::path::Path;

use prost_reflect::{Kind, MessageDescriptor};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::path::{FieldPath, put};
use crate::cli::failure::Failure;
use crate::cli::json;
use crate::crypto::hash::{Digest, sha256};

/// What a row of the file becomes.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    subject: WrittenSubject,
    #[serde(default, rename = "item")]
    items: Vec<WrittenItem>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenSubject {
    /// The column with the caller's own id.
    external_id: String,
    /// Label: column.
    #[serde(default)]
    labels: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenItem {
    class: String,
    /// The column that holds the whole value as an object; JSON lines only.
    value: Option<String>,
    /// Field of the class: column.
    #[serde(default)]
    fields: BTreeMap<String, String>,
    /// Field of the class: the same value in every row.
    #[serde(default)]
    fixed: BTreeMap<String, Value>,
    /// As in ItemMetadata, the same in every row.
    #[serde(default)]
    metadata: Map<String, Value>,
}

/// A mapping that fits the contract.
pub struct Mapping {
    /// Where the caller's own id is.
    pub external_id: FieldPath,
    /// Label, and where its value is.
    pub labels: Vec<(String, FieldPath)>,
    /// One per item that a row may have.
    pub items: Vec<ItemMapping>,
    /// Names the mapping, for the journal.
    pub digest: Digest,
}

/// How one item of a row is put together.
pub struct ItemMapping {
    /// The class.
    pub class: String,
    /// Where the whole value is, if it is one object.
    pub value: Option<FieldPath>,
    /// Field of the class, and where its text is.
    pub fields: Vec<(FieldPath, FieldPath)>,
    /// Fields that are the same in every row.
    pub fixed: Vec<(FieldPath, Value)>,
    /// The item's metadata, as JSON; none for the registry's defaults.
    pub metadata: Option<Value>,
}

impl Mapping {
    /// Reads a mapping and checks every field it names against the contract.
    pub fn read(path: &Path) -> Result<Self, Failure> {
        let failed = |what: String| Failure::failed(format!("{}: {what}", path.display()));
        let text = std::fs::read_to_string(path).map_err(|error| failed(error.kind().to_string()))?;
        Self::parse(&text).map_err(failed)
    }

    /// The same from its text.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn parse(text: &str) -> Result<Self, String> {
        let written: Written = toml::from_str(text).map_err(|error| error.to_string())?;
        let labels = written.subject.labels.into_iter();
        let labels = labels.map(|(label, column)| Ok((label, FieldPath::parse(&column)?)));
        Ok(Self {
            external_id: FieldPath::parse(&written.subject.external_id)?,
            labels: labels.collect::<Result<_, String>>()?,
            items: written.items.into_iter().map(ItemMapping::of).collect::<Result<_, _>>()?,
            digest: sha256(&[text.as_bytes()]),
        })
    }

    /// Every column that the mapping reads.
    pub fn columns(&self) -> impl Iterator<Item = &FieldPath> {
        let items = self.items.iter();
        let columns = items.flat_map(|item| item.value.iter().chain(item.fields.iter().map(|(_, column)| column)));
        std::iter::once(&self.external_id).chain(self.labels.iter().map(|(_, column)| column)).chain(columns)
    }
}

impl ItemMapping {
    fn of(written: WrittenItem) -> Result<Self, String> {
        let WrittenItem { class, value, fields, fixed, metadata } = written;
        let message = class_message(&class)?;
        if value.is_some() != (fields.is_empty() && fixed.is_empty()) {
            return Err(format!("item {class}: name either the column of the whole value, or fields"));
        }
        let known = |field: &str| {
            let path = FieldPath::parse(field)?;
            if is_field(&message, &path) { Ok(path) } else { Err(format!("item {class}: no field {field}")) }
        };
        let fields = fields.iter().map(|(field, column)| Ok((known(field)?, FieldPath::parse(column)?)));
        let fields = fields.collect::<Result<_, String>>()?;
        let fixed = fixed.into_iter().map(|(field, value)| Ok((known(&field)?, value)));
        let fixed = fixed.collect::<Result<_, String>>()?;
        let metadata = (!metadata.is_empty()).then_some(Value::Object(metadata));
        if let Some(metadata) = &metadata
            && json::of_text::<crate::api::proto::ItemMetadata>(&metadata.to_string()).is_none()
        {
            return Err(format!("item {class}: the metadata does not fit ItemMetadata"));
        }
        let value = value.as_deref().map(FieldPath::parse).transpose()?;
        Ok(Self { class, value, fields, fixed, metadata })
    }

    /// The column that a field comes from: its own, that of the only part of it that has one, or that of the whole value.
    pub fn column(&self, field: &str) -> Option<String> {
        let field = field.strip_prefix('.').unwrap_or(field);
        let own = self.fields.iter().find(|(to, _)| to.to_string() == field);
        let mut parts = self.fields.iter().filter(|(to, _)| to.is_below(field));
        let part = parts.next().filter(|_| parts.next().is_none());
        let column = own.or(part).map(|(_, column)| column).or(self.value.as_ref());
        column.map(ToString::to_string)
    }

    /// The class's value with these fields, wrapped as ItemValue has it.
    pub fn wrap(&self, fields: impl Iterator<Item = (FieldPath, Value)>) -> Value {
        let mut value = Value::Object(Map::new());
        for (field, content) in fields {
            put(&mut value, &field, content);
        }
        Value::Object([(self.class.clone(), value)].into_iter().collect())
    }
}

/// The message of a class: that of the field of ItemValue with its name.
fn class_message(class: &str) -> Result<MessageDescriptor, String> {
    let values = json::descriptor_of::<crate::api::proto::ItemValue>();
    let field = values.and_then(|values| values.get_field_by_name(class));
    match field.map(|field| field.kind()) {
        Some(Kind::Message(message)) => Ok(message),
        _ => Err(format!("item: no class {class}; the classes are the fields of ItemValue in proto/lacuna/v1")),
    }
}

fn is_field(message: &MessageDescriptor, path: &FieldPath) -> bool {
    let mut message = Some(message.clone());
    for (name, is_indexed) in path.steps() {
        let field = message.as_ref().and_then(|message| message.get_field_by_name(name));
        let Some(field) = field.filter(|field| field.is_list() == is_indexed) else { return false };
        message = match field.kind() {
            Kind::Message(message) => Some(message),
            _ => None,
        };
    }
    // A message is no text, but for those with a JSON form of their own.
    message.is_none_or(|message| message.full_name().starts_with("google.protobuf."))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"
        [subject]
        external_id = "id"
        labels = { region = "country.region" }
        [[item]]
        class = "contact"
        fields = { full_name = "name", "emails[0].address" = "mail", "emails[0].verify_time" = "seen" }
        fixed = { "emails[0].primary" = true }
        metadata = { source = "the old register" }
        [[item]]
        class = "payment"
        value = "card"
    "#;

    #[test]
    fn a_mapping_names_columns_and_fields() {
        let mapping = Mapping::parse(GOOD).expect("is good");
        let columns: Vec<String> = mapping.columns().map(ToString::to_string).collect();
        assert_eq!(columns, ["id", "country.region", "mail", "seen", "name", "card"]);
        assert_eq!(mapping.items[0].column("emails[0].address").as_deref(), Some("mail"));
        assert!(mapping.items[1].value.is_some() && mapping.items[1].metadata.is_none());
    }

    #[test]
    fn a_mapping_that_fits_nothing_says_where() {
        for (from, to, says) in [
            ("class = \"contact\"", "class = \"contacts\"", "no class contacts"),
            ("full_name", "name", "no field name"),
            ("\"emails[0].address\"", "\"emails.address\"", "no field emails.address"),
            ("full_name", "\"full_name[0]\"", "no field full_name[0]"),
            ("full_name", "emails", "no field emails"),
            ("\"emails[0].address\"", "\"emails[x].address\"", "emails[x].address is no path"),
            (
                "value = \"card\"",
                "value = \"card\"\nfields = { token = \"t\" }",
                "either the column of the whole value",
            ),
            ("value = \"card\"", "", "either the column of the whole value"),
            ("source =", "sauce =", "does not fit ItemMetadata"),
            ("external_id", "external", "unknown field"),
        ] {
            let text = GOOD.replace(from, to);
            assert_ne!(text, GOOD);
            let error = Mapping::parse(&text).err().unwrap_or_else(|| panic!("{to} is refused"));
            assert!(error.contains(says), "{error}");
        }
    }
}
