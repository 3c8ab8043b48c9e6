//! Class `government_id`: identity documents that states issue.

use super::{ClassValue, DecodeError};
use crate::base::codec::Reader;
use crate::base::secret::PlainValue;
use crate::catalog::class::{ClassDef, ClassId, Form, FoundBy, Identifier, IdentifierField, Sensitivity};
use crate::catalog::fields::check_digit::{self, Numbering};
use crate::catalog::fields::date::Date;
use crate::catalog::fields::record::{self, DATE_BYTES, bytes_of};
use crate::catalog::fields::{choices, country, digits};
use crate::catalog::mask::{Masker, Rule};
use crate::catalog::path::At;
use crate::catalog::text::Text;
use crate::catalog::validate::{Check, Reason};
use crate::catalog::view::View;

/// Bytes of a country code as given, white space included.
const COUNTRY_BYTES_MAX: usize = 8;
/// Bytes of a number.
const NUMBER_BYTES_MAX: usize = 64;
/// Bytes of the issuing authority's name.
const AUTHORITY_BYTES_MAX: usize = 256;
/// Bytes of the holder's name.
const NAME_BYTES_MAX: usize = 512;
/// The version of the encoding.
const VERSION: u8 = 1;

choices! {
    /// What a state issued.
    GovernmentIdType {
        /// Not stated. Refused.
        #[default]
        Unspecified = 0,
        /// A passport.
        Passport = 1,
        /// A national identity card or number.
        NationalId = 2,
        /// A licence to drive.
        DriverLicence = 3,
        /// A permit to reside.
        ResidencePermit = 4,
        /// A tax number.
        TaxId = 5,
        /// Anything else.
        Other = 6,
    }
}

/// A government identity document.
#[derive(Default)]
pub struct GovernmentId {
    /// What kind of document. Required.
    pub kind: GovernmentIdType,
    /// The issuing country: ISO 3166-1 alpha-2. Required.
    pub country_code: Text,
    /// The document's number: letters in upper case and digits, without separators. Required; an identifier.
    pub number: Text,
    /// First day of validity; a whole date.
    pub issue_date: Option<Date>,
    /// Last day of validity; a whole date, not before the issue date.
    pub expiry_date: Option<Date>,
    /// Who issued it, as printed.
    pub issuing_authority: Text,
    /// The holder's name, as printed.
    pub printed_name: Text,
}

impl ClassValue for GovernmentId {
    const DEF: ClassDef = ClassDef {
        id: ClassId::new("government_id"),
        sensitivity: Sensitivity::High,
        form: Form::Item,
        identifiers: &[FoundBy {
            field: IdentifierField::DocumentNumber,
            confirms: &["type", "country_code", "number"],
        }],
        keep_default: Some("P5Y"),
        purposes_default: &["service_delivery", "legal_compliance"],
        fields: &["type", "country_code", "number", "issue_date", "expiry_date", "issuing_authority", "printed_name"],
    };

    fn canonicalise(&mut self, check: &mut Check) {
        if self.kind == GovernmentIdType::Unspecified {
            check.refuse(&At::field("type"), Reason::Required);
        }
        let at = At::field("country_code");
        if check.required_line(&at, &mut self.country_code, COUNTRY_BYTES_MAX) {
            check.form(&at, &mut self.country_code, country::canonical);
        }
        let at = At::field("number");
        if check.required_line(&at, &mut self.number, NUMBER_BYTES_MAX) {
            let (kind, country) = (self.kind, &self.country_code);
            check.form(&at, &mut self.number, |number| {
                canonical_number(number).and_then(|number| checked(kind, country.expose(), number))
            });
        }
        self.check_dates(check);
        check.line(&At::field("issuing_authority"), &mut self.issuing_authority, AUTHORITY_BYTES_MAX);
        check.line(&At::field("printed_name"), &mut self.printed_name, NAME_BYTES_MAX);
    }

    fn masked(&self, masker: &mut Masker<'_>) -> Self {
        Self {
            kind: masker.keep("type", self.kind),
            country_code: masker.text("country_code", &self.country_code, Rule::Shown(View::Masked)),
            number: masker.text("number", &self.number, Rule::Tail),
            issue_date: masker.date("issue_date", self.issue_date.as_ref()),
            expiry_date: masker.date("expiry_date", self.expiry_date.as_ref()),
            issuing_authority: masker.text("issuing_authority", &self.issuing_authority, Rule::Hidden),
            printed_name: masker.text("printed_name", &self.printed_name, Rule::Initials),
        }
    }

    fn encode(&self) -> PlainValue {
        let texts = [&self.country_code, &self.number, &self.issuing_authority, &self.printed_name];
        record::encode(VERSION, 2 + 2 * DATE_BYTES + bytes_of(texts), |w| {
            let w = w.u8(self.kind.code()).text(self.country_code.expose()).text(self.number.expose());
            record::write_date(record::write_date(w, &self.issue_date), &self.expiry_date)
                .text(self.issuing_authority.expose())
                .text(self.printed_name.expose())
        })
    }

    fn decode(version: u8, reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        if version != VERSION {
            return Err(DecodeError::Version);
        }
        Ok(Self {
            kind: record::choice(reader, GovernmentIdType::from_code)?,
            country_code: record::text(reader)?,
            number: record::text(reader)?,
            issue_date: record::date(reader)?,
            expiry_date: record::date(reader)?,
            issuing_authority: record::text(reader)?,
            printed_name: record::text(reader)?,
        })
    }

    fn identifiers(&self) -> Vec<Identifier> {
        vec![identifier(self.kind, self.country_code.expose(), self.number.expose())]
    }
}

impl Identifier {
    /// The canonical identifier of a document, separators in its number allowed, if it is one. Check digits are not
    /// verified: documents that were stored before their rule was known must be found.
    pub fn document_number(kind: GovernmentIdType, country_code: &str, number: &str) -> Option<Self> {
        if kind == GovernmentIdType::Unspecified || number.len() > NUMBER_BYTES_MAX {
            return None;
        }
        let country = country::canonical(country_code.trim()).ok()?;
        let number = canonical_number(number.trim()).ok()?;
        Some(identifier(kind, country.expose(), number.expose()))
    }
}

impl GovernmentId {
    fn check_dates(&self, check: &mut Check) {
        let mut real = true;
        for (name, date) in [("issue_date", &self.issue_date), ("expiry_date", &self.expiry_date)] {
            if let Some(Err(reason)) = date.as_ref().map(Date::check_full) {
                check.refuse(&At::field(name), reason);
                real = false;
            }
        }
        if let (true, Some(issue), Some(expiry)) = (real, &self.issue_date, &self.expiry_date)
            && expiry.is_before(issue)
        {
            check.refuse(&At::field("expiry_date"), Reason::Conflict);
        }
    }
}

/// Letters of any script in upper case and ASCII digits, separators removed.
fn canonical_number(number: &str) -> Result<Text, Reason> {
    let upper = Text::new(number.to_uppercase());
    let kept = upper.expose().chars().filter(|c| !is_separator(*c));
    let number = Text::build(upper.len(), kept.map(|c| digits::decimal(c).map_or(c, digits::ascii)));
    if number.is_empty() || !number.expose().chars().all(char::is_alphanumeric) {
        return Err(Reason::Malformed);
    }
    if number.len() > NUMBER_BYTES_MAX { Err(Reason::TooLong) } else { Ok(number) }
}

/// A canonical number, check digits verified.
fn checked(kind: GovernmentIdType, country: &str, number: Text) -> Result<Text, Reason> {
    use GovernmentIdType::{DriverLicence, NationalId, Other, Passport, ResidencePermit, TaxId, Unspecified};
    let numbering = match kind {
        NationalId => Numbering::Identity,
        TaxId => Numbering::Tax,
        Unspecified | Passport | DriverLicence | ResidencePermit | Other => return Ok(number),
    };
    if check_digit::holds(numbering, country, number.expose()) { Ok(number) } else { Err(Reason::CheckDigit) }
}

fn is_separator(c: char) -> bool {
    matches!(
        c,
        '-' | '(' | ')' | '.' | '/' | '\\' | '\'' | '<' | '\u{b7}' | '\u{2010}'..='\u{2015}' | '\u{2212}' | '\u{ff0d}'
    ) || c.is_whitespace()
}

/// Type, country and number in one text; a number holds no `/`.
fn identifier(kind: GovernmentIdType, country: &str, number: &str) -> Identifier {
    let kind = digits::ascii(kind.code());
    let chars = [kind, '/'].into_iter().chain(country.chars()).chain(['/']).chain(number.chars());
    let value = Text::build(3 + country.len() + number.len(), chars);
    Identifier { field: IdentifierField::DocumentNumber, value }
}
