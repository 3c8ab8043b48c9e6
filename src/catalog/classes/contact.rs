//! Class `contact`: how to reach a person.

use super::postal_address::{LABEL_BYTES_MAX, PostalAddress};
use super::{ClassValue, DecodeError};
use crate::base::codec::{Malformed, Reader, Writer};
use crate::base::secret::PlainValue;
use crate::base::time::Timestamp;
use crate::catalog::class::{ClassDef, ClassId, Form, FoundBy, Identifier, IdentifierField, Sensitivity};
use crate::catalog::fields::date::Date;
use crate::catalog::fields::record::{self, DATE_BYTES, TIME_BYTES, bytes_of};
use crate::catalog::fields::{ContactKind, email, language, phone};
use crate::catalog::mask::{Masker, Rule};
use crate::catalog::path::At;
use crate::catalog::text::Text;
use crate::catalog::validate::{Check, Reason};
use crate::catalog::view::View;

/// Bytes of a whole name.
const FULL_NAME_BYTES_MAX: usize = 512;
/// Bytes of a part of a name.
const NAME_BYTES_MAX: usize = 256;
/// Entries of each list.
const ENTRIES_MAX: usize = 16;
/// The version of the encoding.
const VERSION: u8 = 1;

/// How to reach a person. At least one field is given.
#[derive(Default)]
pub struct Contact {
    /// The name as the person writes it.
    pub full_name: Text,
    /// Given names, if known apart.
    pub given_name: Text,
    /// Family name, if known apart.
    pub family_name: Text,
    /// Email addresses. Each is an identifier.
    pub emails: Vec<EmailAddress>,
    /// Phone numbers. Each is an identifier.
    pub phones: Vec<PhoneNumber>,
    /// Postal addresses.
    pub addresses: Vec<PostalAddress>,
    /// Date of birth: whole, without its year, or a year alone.
    pub birth_date: Option<Date>,
    /// Preferred language: a BCP 47 tag.
    pub language_code: Text,
}

/// One email address.
#[derive(Default)]
pub struct EmailAddress {
    /// The address; its domain in lower-case A-labels. Required.
    pub address: Text,
    /// Where it is used.
    pub kind: ContactKind,
    /// The person's own word for it.
    pub label: Text,
    /// The one to prefer; at most one per contact.
    pub primary: bool,
    /// When the calling service last saw the person control it.
    pub verify_time: Option<Timestamp>,
}

/// One phone number.
#[derive(Default)]
pub struct PhoneNumber {
    /// The number in E.164. Required.
    pub number: Text,
    /// Where it is used.
    pub kind: ContactKind,
    /// The person's own word for it.
    pub label: Text,
    /// The one to prefer; at most one per contact.
    pub primary: bool,
    /// Digits to dial after the connection stands.
    pub extension: Text,
    /// When the calling service last saw the person control it.
    pub verify_time: Option<Timestamp>,
}

impl ClassValue for Contact {
    const DEF: ClassDef = ClassDef {
        id: ClassId::new("contact"),
        sensitivity: Sensitivity::Personal,
        form: Form::Item,
        identifiers: &[
            FoundBy { field: IdentifierField::Email, confirms: &["emails.address"] },
            FoundBy { field: IdentifierField::Phone, confirms: &["phones.number"] },
        ],
        keep_default: None,
        purposes_default: &["service_delivery"],
        fields: &[
            "full_name",
            "given_name",
            "family_name",
            "emails.address",
            "emails.kind",
            "emails.label",
            "emails.primary",
            "emails.verify_time",
            "phones.number",
            "phones.kind",
            "phones.label",
            "phones.primary",
            "phones.extension",
            "phones.verify_time",
            "addresses.country_code",
            "addresses.lines",
            "addresses.sublocality",
            "addresses.locality",
            "addresses.administrative_area",
            "addresses.postal_code",
            "addresses.recipient",
            "addresses.organization",
            "addresses.kind",
            "addresses.label",
            "addresses.primary",
            "birth_date",
            "language_code",
        ],
    };

    fn canonicalise(&mut self, check: &mut Check) {
        if self.is_empty() {
            return check.refuse(&At::WHOLE, Reason::Required);
        }
        check.line(&At::field("full_name"), &mut self.full_name, FULL_NAME_BYTES_MAX);
        check.line(&At::field("given_name"), &mut self.given_name, NAME_BYTES_MAX);
        check.line(&At::field("family_name"), &mut self.family_name, NAME_BYTES_MAX);
        check
            .list(At::field("emails"), &mut self.emails, ENTRIES_MAX, |check, at, email| email.canonicalise(at, check));
        check.one_primary(At::field("emails"), self.emails.iter().map(|email| email.primary));
        check
            .list(At::field("phones"), &mut self.phones, ENTRIES_MAX, |check, at, phone| phone.canonicalise(at, check));
        check.one_primary(At::field("phones"), self.phones.iter().map(|phone| phone.primary));
        check.list(At::field("addresses"), &mut self.addresses, ENTRIES_MAX, |check, at, address| {
            address.canonicalise(at, check);
        });
        check.one_primary(At::field("addresses"), self.addresses.iter().map(|address| address.primary));
        if let Some(Err(reason)) = self.birth_date.as_ref().map(Date::check_birth) {
            check.refuse(&At::field("birth_date"), reason);
        }
        let at = At::field("language_code");
        if check.line(&at, &mut self.language_code, language::BYTES_MAX) {
            check.form(&at, &mut self.language_code, language::canonical);
        }
    }

    fn masked(&self, masker: &mut Masker<'_>) -> Self {
        Self {
            full_name: masker.text("full_name", &self.full_name, Rule::Initials),
            given_name: masker.text("given_name", &self.given_name, Rule::Initials),
            family_name: masker.text("family_name", &self.family_name, Rule::Initials),
            emails: masker.list("emails", &self.emails, View::Masked, EmailAddress::masked),
            phones: masker.list("phones", &self.phones, View::Last4, PhoneNumber::masked),
            addresses: masker.list("addresses", &self.addresses, View::Masked, PostalAddress::masked),
            birth_date: masker.date("birth_date", self.birth_date.as_ref()),
            language_code: masker.text("language_code", &self.language_code, Rule::Shown(View::Masked)),
        }
    }

    fn encode(&self) -> PlainValue {
        record::encode(VERSION, self.bytes_max(), |w| {
            let w = w
                .text(self.full_name.expose())
                .text(self.given_name.expose())
                .text(self.family_name.expose())
                .list(self.emails.iter(), EmailAddress::write)
                .list(self.phones.iter(), PhoneNumber::write)
                .list(self.addresses.iter(), PostalAddress::write);
            record::write_date(w, &self.birth_date).text(self.language_code.expose())
        })
    }

    fn decode(version: u8, reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        if version != VERSION {
            return Err(DecodeError::Version);
        }
        Ok(Self {
            full_name: record::text(reader)?,
            given_name: record::text(reader)?,
            family_name: record::text(reader)?,
            emails: reader.list(EmailAddress::read)?,
            phones: reader.list(PhoneNumber::read)?,
            addresses: reader.list(PostalAddress::read)?,
            birth_date: record::date(reader)?,
            language_code: record::text(reader)?,
        })
    }

    fn identifiers(&self) -> Vec<Identifier> {
        let emails =
            self.emails.iter().map(|email| (IdentifierField::Email, email::identifier(email.address.expose())));
        let phones = self.phones.iter().map(|phone| (IdentifierField::Phone, phone.number.duplicate()));
        emails.chain(phones).map(|(field, value)| Identifier { field, value }).collect()
    }
}

impl Identifier {
    /// The canonical identifier of an email address, if it is one.
    pub fn email(address: &str) -> Option<Self> {
        let address = address.trim();
        let canonical = (address.len() <= email::BYTES_MAX).then(|| email::canonical(address).ok())??;
        Some(Self { field: IdentifierField::Email, value: email::identifier(canonical.expose()) })
    }

    /// The canonical identifier of a phone number with its country code, if it is one.
    pub fn phone(number: &str) -> Option<Self> {
        let value = (number.len() <= phone::BYTES_MAX).then(|| phone::canonical(number).ok())??;
        Some(Self { field: IdentifierField::Phone, value })
    }
}

impl Contact {
    fn is_empty(&self) -> bool {
        let texts = [&self.full_name, &self.given_name, &self.family_name, &self.language_code];
        let lists = self.emails.is_empty() && self.phones.is_empty() && self.addresses.is_empty();
        lists && self.birth_date.is_none() && texts.iter().all(|text| text.expose().trim().is_empty())
    }

    fn bytes_max(&self) -> usize {
        let emails = self.emails.iter().map(|email| bytes_of([&email.address, &email.label]) + 2 + TIME_BYTES);
        let phones =
            self.phones.iter().map(|phone| bytes_of([&phone.number, &phone.label, &phone.extension]) + 2 + TIME_BYTES);
        let names = bytes_of([&self.full_name, &self.given_name, &self.family_name, &self.language_code]);
        let lists = emails.chain(phones).chain(self.addresses.iter().map(PostalAddress::bytes_max));
        1 + names + 3 * 4 + lists.sum::<usize>() + DATE_BYTES
    }
}

impl EmailAddress {
    fn canonicalise(&mut self, at: At<'_>, check: &mut Check) {
        let place = at.then("address");
        if check.required_line(&place, &mut self.address, email::BYTES_MAX) {
            check.form(&place, &mut self.address, email::canonical);
        }
        check.line(&at.then("label"), &mut self.label, LABEL_BYTES_MAX);
    }

    fn masked(&self, masker: &mut Masker<'_>) -> Self {
        Self {
            address: masker.text("address", &self.address, Rule::Mailbox),
            kind: masker.keep("kind", self.kind),
            label: masker.text("label", &self.label, Rule::Hidden),
            primary: masker.keep("primary", self.primary),
            verify_time: masker.time("verify_time", self.verify_time),
        }
    }

    fn write(writer: Writer, email: &Self) -> Writer {
        let w = writer.text(email.address.expose()).u8(email.kind.code()).text(email.label.expose());
        record::write_time(w.u8(email.primary.into()), email.verify_time)
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(Self {
            address: record::text(reader)?,
            kind: record::choice(reader, ContactKind::from_code)?,
            label: record::text(reader)?,
            primary: record::flag(reader)?,
            verify_time: record::time(reader)?,
        })
    }
}

impl PhoneNumber {
    fn canonicalise(&mut self, at: At<'_>, check: &mut Check) {
        let place = at.then("number");
        if check.required_line(&place, &mut self.number, phone::BYTES_MAX) {
            check.form(&place, &mut self.number, phone::canonical);
        }
        check.line(&at.then("label"), &mut self.label, LABEL_BYTES_MAX);
        let place = at.then("extension");
        if check.line(&place, &mut self.extension, phone::BYTES_MAX) {
            check.form(&place, &mut self.extension, phone::canonical_extension);
        }
    }

    fn masked(&self, masker: &mut Masker<'_>) -> Self {
        Self {
            number: masker.text("number", &self.number, Rule::Tail),
            kind: masker.keep("kind", self.kind),
            label: masker.text("label", &self.label, Rule::Hidden),
            primary: masker.keep("primary", self.primary),
            extension: masker.text("extension", &self.extension, Rule::Hidden),
            verify_time: masker.time("verify_time", self.verify_time),
        }
    }

    fn write(writer: Writer, phone: &Self) -> Writer {
        let w = writer.text(phone.number.expose()).u8(phone.kind.code()).text(phone.label.expose());
        record::write_time(w.u8(phone.primary.into()).text(phone.extension.expose()), phone.verify_time)
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(Self {
            number: record::text(reader)?,
            kind: record::choice(reader, ContactKind::from_code)?,
            label: record::text(reader)?,
            primary: record::flag(reader)?,
            extension: record::text(reader)?,
            verify_time: record::time(reader)?,
        })
    }
}
