//! Class `payment`: a means of payment that a payment partner holds.
//!
//! INVARIANT: there is no field for a card number or a verification code, and digits that look like a card number
//! are refused in every text field (`fields/card_number.rs` states the rule).

use super::postal_address::PostalAddress;
use super::{ClassValue, DecodeError};
use crate::base::codec::Reader;
use crate::base::secret::PlainValue;
use crate::catalog::class::{ClassDef, ClassId, Form, Identifier, Sensitivity};
use crate::catalog::fields::record::{self, bytes_of};
use crate::catalog::fields::{card_number, choices};
use crate::catalog::mask::{Masker, Rule};
use crate::catalog::path::At;
use crate::catalog::text::Text;
use crate::catalog::validate::{Check, Reason};
use crate::catalog::view::View;

/// Bytes of the processor's name.
const PROCESSOR_BYTES_MAX: usize = 64;
/// Bytes of a token.
const TOKEN_BYTES_MAX: usize = 512;
/// Bytes of the last four digits as given, white space included.
const LAST_FOUR_BYTES_MAX: usize = 16;
/// Bytes of the holder's name.
const NAME_BYTES_MAX: usize = 256;
/// Texts of a payment within its limits.
const TEXTS_MAX: usize = 4 + PostalAddress::TEXTS_MAX;
/// Years of expiry that can be meant.
const EXPIRY_YEARS: std::ops::RangeInclusive<u32> = 2000..=2199;
/// The version of the encoding.
const VERSION: u8 = 1;

choices! {
    /// A card scheme.
    CardBrand {
        /// Not stated, or not a card.
        #[default]
        Unspecified = 0,
        /// Visa.
        Visa = 1,
        /// Mastercard.
        Mastercard = 2,
        /// American Express.
        AmericanExpress = 3,
        /// Discover.
        Discover = 4,
        /// Diners Club.
        DinersClub = 5,
        /// JCB.
        Jcb = 6,
        /// UnionPay.
        UnionPay = 7,
        /// Maestro.
        Maestro = 8,
        /// Elo.
        Elo = 9,
        /// RuPay.
        RuPay = 10,
        /// Mir.
        Mir = 11,
        /// Any other scheme.
        Other = 12,
    }
}

/// A means of payment that a payment partner holds.
#[derive(Default)]
pub struct Payment {
    /// The partner that issued the token. Required.
    pub processor: Text,
    /// The partner's token. Required.
    pub token: Text,
    /// The card scheme.
    pub brand: CardBrand,
    /// The last four digits: exactly four ASCII digits, or empty.
    pub last_four: Text,
    /// Month of expiry, 1 to 12; 0 if not known. Given with the year or not at all.
    pub expiry_month: u32,
    /// Year of expiry, four digits; 0 if not known.
    pub expiry_year: u32,
    /// Where the invoice goes.
    pub billing_address: Option<PostalAddress>,
    /// The holder's name, as printed.
    pub cardholder_name: Text,
}

impl ClassValue for Payment {
    const DEF: ClassDef = ClassDef {
        id: ClassId::new("payment"),
        sensitivity: Sensitivity::High,
        form: Form::Item,
        identifiers: &[],
        keep_default: Some("P3Y"),
        purposes_default: &["service_delivery"],
        fields: &[
            "processor",
            "token",
            "brand",
            "last_four",
            "expiry_month",
            "expiry_year",
            "billing_address.country_code",
            "billing_address.lines",
            "billing_address.sublocality",
            "billing_address.locality",
            "billing_address.administrative_area",
            "billing_address.postal_code",
            "billing_address.recipient",
            "billing_address.organization",
            "billing_address.kind",
            "billing_address.label",
            "billing_address.primary",
            "cardholder_name",
        ],
    };

    fn canonicalise(&mut self, check: &mut Check) {
        self.check_card_numbers(check);
        check.required_line(&At::field("processor"), &mut self.processor, PROCESSOR_BYTES_MAX);
        check.required_line(&At::field("token"), &mut self.token, TOKEN_BYTES_MAX);
        let at = At::field("last_four");
        if check.line(&at, &mut self.last_four, LAST_FOUR_BYTES_MAX) && !self.last_four.is_empty() {
            let digits = self.last_four.expose().bytes().all(|b| b.is_ascii_digit());
            if !digits || self.last_four.len() != 4 {
                check.refuse(&at, Reason::Malformed);
            }
        }
        self.check_expiry(check);
        if let Some(address) = &mut self.billing_address {
            address.canonicalise(At::field("billing_address"), check);
        }
        check.line(&At::field("cardholder_name"), &mut self.cardholder_name, NAME_BYTES_MAX);
    }

    fn masked(&self, masker: &mut Masker<'_>) -> Self {
        let address = self.billing_address.as_ref();
        Self {
            processor: masker.text("processor", &self.processor, Rule::Shown(View::Masked)),
            token: masker.text("token", &self.token, Rule::Hidden),
            brand: masker.keep("brand", self.brand),
            last_four: masker.text("last_four", &self.last_four, Rule::Shown(View::Last4)),
            expiry_month: masker.plain_only("expiry_month", self.expiry_month),
            expiry_year: masker.keep("expiry_year", self.expiry_year),
            billing_address: masker.part("billing_address", address, View::Masked, PostalAddress::masked),
            cardholder_name: masker.text("cardholder_name", &self.cardholder_name, Rule::Initials),
        }
    }

    fn encode(&self) -> PlainValue {
        let texts = bytes_of([&self.processor, &self.token, &self.last_four, &self.cardholder_name]);
        let address = self.billing_address.as_ref().map_or(0, PostalAddress::bytes_max);
        record::encode(VERSION, 6 + texts + address, |w| {
            w.text(self.processor.expose())
                .text(self.token.expose())
                .u8(self.brand.code())
                .text(self.last_four.expose())
                .u8(u8::try_from(self.expiry_month).expect("a checked month is at most 12"))
                .u16(u16::try_from(self.expiry_year).expect("a checked year has four digits"))
                .option(self.billing_address.as_ref(), PostalAddress::write)
                .text(self.cardholder_name.expose())
        })
    }

    fn decode(version: u8, reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        if version != VERSION {
            return Err(DecodeError::Version);
        }
        Ok(Self {
            processor: record::text(reader)?,
            token: record::text(reader)?,
            brand: record::choice(reader, CardBrand::from_code)?,
            last_four: record::text(reader)?,
            expiry_month: reader.u8()?.into(),
            expiry_year: reader.u16()?.into(),
            billing_address: reader.option(PostalAddress::read)?,
            cardholder_name: record::text(reader)?,
        })
    }

    fn identifiers(&self) -> Vec<Identifier> {
        Vec::new()
    }
}

/// The id of the class.
pub const ID: ClassId = Payment::DEF.id;

/// The first of the texts that come with a payment, such as its metadata, in which a card number is or begins.
pub fn card_number_among<'a>(texts: impl Iterator<Item = &'a str> + Clone) -> Option<usize> {
    texts.clone().position(card_number::is_in).or_else(|| card_number::begins_at(texts))
}

impl Payment {
    fn check_expiry(&self, check: &mut Check) {
        let (month, year) = (At::field("expiry_month"), At::field("expiry_year"));
        if self.expiry_month > 12 {
            check.refuse(&month, Reason::OutOfRange);
        }
        if self.expiry_year != 0 && !EXPIRY_YEARS.contains(&self.expiry_year) {
            check.refuse(&year, Reason::OutOfRange);
        }
        match (self.expiry_month, self.expiry_year) {
            (0, 1..) => check.refuse(&month, Reason::Conflict),
            (1.., 0) => check.refuse(&year, Reason::Conflict),
            _ => {}
        }
    }

    fn check_card_numbers(&self, check: &mut Check) {
        let billing = At::field("billing_address");
        let mut texts = vec![
            (At::field("processor"), &self.processor),
            (At::field("token"), &self.token),
            (At::field("last_four"), &self.last_four),
        ];
        for (name, index, text) in self.billing_address.iter().flat_map(PostalAddress::texts) {
            let at = billing.then(name);
            texts.push((index.map_or(at, |index| at.index(index)), text));
        }
        texts.push((At::field("cardholder_name"), &self.cardholder_name));
        // A text or list over its limit is refused as such, without looking into it.
        texts.retain(|(_, text)| text.len() <= TOKEN_BYTES_MAX);
        texts.truncate(TEXTS_MAX);
        for (at, text) in &texts {
            if card_number::is_in(text.expose()) {
                check.refuse(at, Reason::CardNumber);
            }
        }
        if check.is_clean()
            && let Some(first) = card_number::begins_at(texts.iter().map(|(_, text)| text.expose()))
        {
            check.refuse(&texts[first].0, Reason::CardNumber);
        }
    }
}
