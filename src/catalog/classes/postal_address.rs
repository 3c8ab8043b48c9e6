//! Postal addresses: a part that classes share.

use crate::base::codec::{Malformed, Reader, Writer};
use crate::catalog::fields::record::{self, bytes_of};
use crate::catalog::fields::{ContactKind, country};
use crate::catalog::mask::{Masker, Rule};
use crate::catalog::path::At;
use crate::catalog::text::Text;
use crate::catalog::validate::Check;
use crate::catalog::view::View;

/// Lines of an address.
const LINES_MAX: usize = 8;
/// Bytes of a line, and of any other part.
const PART_BYTES_MAX: usize = 256;
/// Bytes of a label.
pub(super) const LABEL_BYTES_MAX: usize = 64;

/// A postal address, in the form its country uses.
#[derive(Default)]
pub struct PostalAddress {
    /// The country or territory: ISO 3166-1 alpha-2. Required.
    pub country_code: Text,
    /// Street, building and the like, in the order they are printed.
    pub lines: Vec<Text>,
    /// Part of a town.
    pub sublocality: Text,
    /// Town or city.
    pub locality: Text,
    /// State, province, prefecture or the like.
    pub administrative_area: Text,
    /// Postal code, as the country writes it.
    pub postal_code: Text,
    /// Who receives mail there.
    pub recipient: Text,
    /// The organisation at that address.
    pub organization: Text,
    /// Where it is used.
    pub kind: ContactKind,
    /// The person's own word for it.
    pub label: Text,
    /// The one to prefer.
    pub primary: bool,
}

impl PostalAddress {
    pub(super) fn canonicalise(&mut self, at: At<'_>, check: &mut Check) {
        if check.required_line(&at.then("country_code"), &mut self.country_code, PART_BYTES_MAX) {
            check.form(&at.then("country_code"), &mut self.country_code, country::canonical);
        }
        check.list(at.then("lines"), &mut self.lines, LINES_MAX, |check, at, line| {
            check.line(&at, line, PART_BYTES_MAX);
        });
        for (name, part) in [
            ("sublocality", &mut self.sublocality),
            ("locality", &mut self.locality),
            ("administrative_area", &mut self.administrative_area),
            ("postal_code", &mut self.postal_code),
            ("recipient", &mut self.recipient),
            ("organization", &mut self.organization),
        ] {
            check.line(&at.then(name), part, PART_BYTES_MAX);
        }
        check.line(&at.then("label"), &mut self.label, LABEL_BYTES_MAX);
    }

    pub(super) fn masked(&self, masker: &mut Masker<'_>) -> Self {
        Self {
            country_code: masker.text("country_code", &self.country_code, Rule::Shown(View::Masked)),
            lines: masker.texts("lines", &self.lines, Rule::Hidden),
            sublocality: masker.text("sublocality", &self.sublocality, Rule::Hidden),
            locality: masker.text("locality", &self.locality, Rule::Initials),
            administrative_area: masker.text("administrative_area", &self.administrative_area, Rule::Initials),
            postal_code: masker.text("postal_code", &self.postal_code, Rule::Hidden),
            recipient: masker.text("recipient", &self.recipient, Rule::Initials),
            organization: masker.text("organization", &self.organization, Rule::Initials),
            kind: masker.keep("kind", self.kind),
            label: masker.text("label", &self.label, Rule::Hidden),
            primary: masker.keep("primary", self.primary),
        }
    }

    /// Texts of an address within its limits.
    pub(super) const TEXTS_MAX: usize = LINES_MAX + 8;

    /// Its texts, each with its place, in the order of the contract.
    pub(super) fn texts(&self) -> Vec<(&'static str, Option<usize>, &Text)> {
        let lines = self.lines.iter().enumerate().map(|(i, line)| ("lines", Some(i), line));
        let mut texts = vec![("country_code", None, &self.country_code)];
        texts.extend(lines);
        texts.extend([
            ("sublocality", None, &self.sublocality),
            ("locality", None, &self.locality),
            ("administrative_area", None, &self.administrative_area),
            ("postal_code", None, &self.postal_code),
            ("recipient", None, &self.recipient),
            ("organization", None, &self.organization),
            ("label", None, &self.label),
        ]);
        texts
    }

    /// The bytes it takes at most when stored.
    pub(super) fn bytes_max(&self) -> usize {
        bytes_of(self.texts().into_iter().map(|(_, _, text)| text)) + 6 // the count of lines, kind and primary
    }

    pub(super) fn write(writer: Writer, address: &Self) -> Writer {
        writer
            .text(address.country_code.expose())
            .list(address.lines.iter(), |w, line| w.text(line.expose()))
            .text(address.sublocality.expose())
            .text(address.locality.expose())
            .text(address.administrative_area.expose())
            .text(address.postal_code.expose())
            .text(address.recipient.expose())
            .text(address.organization.expose())
            .u8(address.kind.code())
            .text(address.label.expose())
            .u8(address.primary.into())
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(Self {
            country_code: record::text(reader)?,
            lines: reader.list(record::text)?,
            sublocality: record::text(reader)?,
            locality: record::text(reader)?,
            administrative_area: record::text(reader)?,
            postal_code: record::text(reader)?,
            recipient: record::text(reader)?,
            organization: record::text(reader)?,
            kind: record::choice(reader, ContactKind::from_code)?,
            label: record::text(reader)?,
            primary: record::flag(reader)?,
        })
    }
}
