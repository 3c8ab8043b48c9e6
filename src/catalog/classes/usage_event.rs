//! Class `usage_event`: one use of a metered resource.

use super::{ClassValue, DecodeError};
use crate::base::codec::Reader;
use crate::base::secret::PlainValue;
use crate::base::time::Timestamp;
use crate::catalog::class::{ClassDef, ClassId, Form, Identifier, Sensitivity};
use crate::catalog::fields::decimal;
use crate::catalog::fields::record::{self, TIME_BYTES, bytes_of};
use crate::catalog::mask::{Masker, Rule};
use crate::catalog::path::At;
use crate::catalog::text::Text;
use crate::catalog::validate::{Check, Reason};
use crate::catalog::view::View;

/// Bytes of a resource's name.
const RESOURCE_BYTES_MAX: usize = 128;
/// Bytes of a unit.
const UNIT_BYTES_MAX: usize = 32;
/// Bytes of a region.
const REGION_BYTES_MAX: usize = 64;
/// The version of the encoding.
const VERSION: u8 = 1;

/// One use of a metered resource.
#[derive(Default)]
pub struct UsageEvent {
    /// When, or the start of the metered span. Required.
    pub time: Option<Timestamp>,
    /// What was used; people name their resources. Required.
    pub resource: Text,
    /// How much: a decimal number. Required.
    pub quantity: Text,
    /// Of which unit. Required.
    pub unit: Text,
    /// Where.
    pub region: Text,
    /// End of the metered span, not before its start; none for a moment.
    pub end_time: Option<Timestamp>,
}

impl ClassValue for UsageEvent {
    const DEF: ClassDef = ClassDef {
        id: ClassId::new("usage_event"),
        sensitivity: Sensitivity::Personal,
        form: Form::Events,
        identifiers: &[],
        keep_default: Some("P1Y"),
        purposes_default: &["service_delivery"],
        fields: &["time", "resource", "quantity", "unit", "region", "end_time"],
    };

    fn canonicalise(&mut self, check: &mut Check) {
        if self.time.is_none() {
            check.refuse(&At::field("time"), Reason::Required);
        }
        check.required_line(&At::field("resource"), &mut self.resource, RESOURCE_BYTES_MAX);
        let at = At::field("quantity");
        if check.required_line(&at, &mut self.quantity, decimal::BYTES_MAX) {
            check.form(&at, &mut self.quantity, decimal::canonical);
        }
        check.required_line(&At::field("unit"), &mut self.unit, UNIT_BYTES_MAX);
        check.line(&At::field("region"), &mut self.region, REGION_BYTES_MAX);
        if let (Some(start), Some(end)) = (self.time, self.end_time)
            && end < start
        {
            check.refuse(&At::field("end_time"), Reason::Conflict);
        }
    }

    fn masked(&self, masker: &mut Masker<'_>) -> Self {
        Self {
            time: masker.keep("time", self.time),
            resource: masker.text("resource", &self.resource, Rule::Hidden),
            quantity: masker.text("quantity", &self.quantity, Rule::Shown(View::Masked)),
            unit: masker.text("unit", &self.unit, Rule::Shown(View::Masked)),
            region: masker.text("region", &self.region, Rule::Shown(View::Masked)),
            end_time: masker.keep("end_time", self.end_time),
        }
    }

    fn encode(&self) -> PlainValue {
        let texts = [&self.resource, &self.quantity, &self.unit, &self.region];
        record::encode(VERSION, 1 + 2 * TIME_BYTES + bytes_of(texts), |w| {
            let w = record::write_time(w, self.time);
            let w = texts.into_iter().fold(w, |w, text| w.text(text.expose()));
            record::write_time(w, self.end_time)
        })
    }

    fn decode(version: u8, reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        if version != VERSION {
            return Err(DecodeError::Version);
        }
        Ok(Self {
            time: record::time(reader)?,
            resource: record::text(reader)?,
            quantity: record::text(reader)?,
            unit: record::text(reader)?,
            region: record::text(reader)?,
            end_time: record::time(reader)?,
        })
    }

    fn identifiers(&self) -> Vec<Identifier> {
        Vec::new()
    }

    fn time(&self) -> Option<Timestamp> {
        self.time
    }
}
