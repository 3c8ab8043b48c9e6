//! Data classes: what each needs to bring, and what it is known by.

use std::fmt;

use super::text::Text;
use super::view::View;
use crate::base::log_safe::LogSafe;

/// The id of a class.
///
/// INVARIANT: only the definitions in `classes` make one, so it holds nothing personal and may be logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClassId(&'static str);

impl ClassId {
    pub(super) const fn new(id: &'static str) -> Self {
        Self(id)
    }

    /// The id as text: permanent, since records are bound to it.
    pub const fn as_str(self) -> &'static str {
        self.0
    }
}

impl fmt::Display for ClassId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl LogSafe for ClassId {}

/// How much harm a disclosure does. Access rules may read it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Sensitivity {
    /// Says who a person is or how to reach them.
    Personal,
    /// Lets others pass for the person, or reach their money.
    High,
}

impl Sensitivity {
    /// Its name in access rules.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Personal => "personal",
            Self::High => "high",
        }
    }
}

/// How values of a class are kept, and so which methods take them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Form {
    /// One item per value: PutItem and its like.
    Item,
    /// Many small values: RecordEvents appends them to the item of their day.
    Events,
    /// Either of the two.
    ItemOrEvents,
    /// A description and a content of any size: UploadDocument.
    Document,
    /// One item per value that tests a secret and does not hold it: PutItem and its like, and VerifyPassword.
    Verifier,
}

impl Form {
    /// Whether PutItem and its like take values of it.
    pub const fn takes_items(self) -> bool {
        matches!(self, Self::Item | Self::ItemOrEvents | Self::Verifier)
    }

    /// Whether RecordEvents takes values of it.
    pub const fn takes_events(self) -> bool {
        matches!(self, Self::Events | Self::ItemOrEvents)
    }
}

/// A field by which subjects can be found. Each has an index key of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum IdentifierField {
    /// An email address.
    Email,
    /// A phone number.
    Phone,
    /// A government document's type, country and number.
    DocumentNumber,
    /// The caller's own id of a subject: part of no item.
    ExternalId,
}

impl IdentifierField {
    /// Every field.
    pub const ALL: &[Self] = &[Self::Email, Self::Phone, Self::DocumentNumber, Self::ExternalId];

    /// Its permanent number, in the rows of the index.
    pub const fn code(self) -> u8 {
        match self {
            Self::ExternalId => 1,
            Self::Email => 2,
            Self::Phone => 3,
            Self::DocumentNumber => 4,
        }
    }

    /// Its permanent name, for key labels and the log.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Email => "email",
            Self::Phone => "phone",
            Self::DocumentNumber => "document_number",
            Self::ExternalId => "external_id",
        }
    }
}

impl fmt::Display for IdentifierField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl LogSafe for IdentifierField {}

/// A kind of identifier that a class has.
pub struct FoundBy {
    /// The identifier.
    pub field: IdentifierField,
    /// The fields of the class that it is made of: to find somebody by it is to know these in full.
    pub confirms: &'static [&'static str],
}

/// A canonical identifier: equal bytes mean the same identifier.
pub struct Identifier {
    /// What kind it is.
    pub field: IdentifierField,
    /// Its canonical form.
    pub value: Text,
}

impl Identifier {
    /// The caller's own id of a subject, which is compared as it is.
    pub fn external_id(id: &Text) -> Self {
        Self { field: IdentifierField::ExternalId, value: id.duplicate() }
    }
}

/// What a class is known by.
pub struct ClassDef {
    /// Its id.
    pub id: ClassId,
    /// How much harm a disclosure does.
    pub sensitivity: Sensitivity,
    /// How its values are kept.
    pub form: Form,
    /// By what its subjects can be found.
    pub identifiers: &'static [FoundBy],
    /// How long an item is kept where the registry does not say: an ISO 8601 duration; none for as long as the
    /// account lasts.
    pub keep_default: Option<&'static str>,
    /// The purposes of an item whose writer states none, where the registry does not say either.
    pub purposes_default: &'static [&'static str],
    /// The paths of its fields, in the order of the contract.
    pub fields: &'static [&'static str],
}

impl ClassDef {
    /// The highest view of its values that there is. Whoever may have it may write them.
    pub const fn view_max(&self) -> View {
        match self.form {
            Form::Verifier => View::Exists,
            Form::Item | Form::Events | Form::ItemOrEvents | Form::Document => View::Plain,
        }
    }

    /// The fields that an identifier is made of; none if the class has no such identifier.
    pub fn confirmed_by(&self, field: IdentifierField) -> Option<&'static [&'static str]> {
        self.identifiers.iter().find(|found_by| found_by.field == field).map(|found_by| found_by.confirms)
    }

    /// Whether the class has a field, or a part with fields, of that path.
    pub fn has_field(&self, path: &str) -> bool {
        self.fields.iter().any(|field| is_within(field, path))
    }

    /// The field of a path, or the fields of the part of that path.
    pub(super) fn fields_of(&self, path: &str) -> impl Iterator<Item = &'static str> {
        self.fields.iter().copied().filter(move |field| is_within(field, path))
    }

    /// The fields that a caller asked for. No paths mean all fields; a path that the class does not have selects
    /// nothing.
    pub fn select<'a>(&self, paths: impl IntoIterator<Item = &'a str>) -> Selection {
        let mut paths = paths.into_iter().peekable();
        if paths.peek().is_none() {
            return Selection(None);
        }
        let mut fields = Vec::new();
        for path in paths {
            fields.extend(self.fields_of(path));
        }
        Selection(Some(fields))
    }
}

/// The fields of one class that a caller asked for.
#[derive(Clone, Debug)]
pub struct Selection(Option<Vec<&'static str>>);

impl Selection {
    /// Every field.
    pub const ALL: Self = Self(None);

    pub(super) fn is_all(&self) -> bool {
        self.0.is_none()
    }

    pub(super) fn includes(&self, within: &str, name: &str) -> bool {
        let Some(fields) = &self.0 else { return true };
        fields.iter().any(|field| match field.split_once('.') {
            Some((outer, inner)) => outer == within && inner == name,
            None => within.is_empty() && *field == name,
        })
    }

    pub(super) fn reaches_into(&self, name: &str) -> bool {
        let Some(fields) = &self.0 else { return true };
        fields.iter().any(|field| is_within(field, name))
    }
}

fn is_within(field: &str, path: &str) -> bool {
    field.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEF: ClassDef = ClassDef {
        id: ClassId::new("sample"),
        sensitivity: Sensitivity::Personal,
        form: Form::Item,
        identifiers: &[],
        keep_default: None,
        purposes_default: &[],
        fields: &["name", "emails.address", "emails.label", "email"],
    };

    #[test]
    fn fields_and_parts_are_known_by_their_whole_path() {
        assert!(["name", "emails", "emails.address", "email"].iter().all(|path| DEF.has_field(path)));
        assert!(["", "nam", "emails.", "emails.addr", "address", "name.x"].iter().all(|path| !DEF.has_field(path)));
    }

    #[test]
    fn a_selection_holds_what_was_asked_for_and_no_more() {
        let all = DEF.select([]);
        assert!(all.includes("", "name") && all.includes("emails", "label") && all.reaches_into("emails"));
        let part = DEF.select(["emails"]);
        assert!(part.includes("emails", "label") && !part.includes("", "email") && !part.includes("", "name"));
        let leaf = DEF.select(["emails.address", "unknown"]);
        assert!(leaf.includes("emails", "address") && !leaf.includes("emails", "label") && leaf.reaches_into("emails"));
        let nothing = DEF.select(["unknown"]);
        assert!(!nothing.includes("", "name") && !nothing.reaches_into("emails"));
    }
}
