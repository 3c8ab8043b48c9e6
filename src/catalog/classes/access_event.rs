//! Class `access_event`: one visit of a person to a page or an interface, and the device it came from.

use super::{ClassValue, DecodeError};
use crate::base::codec::Reader;
use crate::base::secret::PlainValue;
use crate::base::time::Timestamp;
use crate::catalog::class::{ClassDef, ClassId, Form, Identifier, Sensitivity};
use crate::catalog::fields::ip_address;
use crate::catalog::fields::record::{self, TIME_BYTES, bytes_of};
use crate::catalog::mask::{Masker, Rule};
use crate::catalog::path::At;
use crate::catalog::text::Text;
use crate::catalog::validate::{Check, Reason};
use crate::catalog::view::View;

/// Bytes of a user-agent header.
const USER_AGENT_BYTES_MAX: usize = 1024;
/// Bytes of the name and version of a browser or an operating system, and of a device's id.
const NAME_BYTES_MAX: usize = 128;
/// Bytes of a page or path.
const PAGE_BYTES_MAX: usize = 2 * 1024;
/// Bytes of a request method.
const METHOD_BYTES_MAX: usize = 32;
/// The version of the encoding.
const VERSION: u8 = 1;

/// One visit.
#[derive(Default)]
pub struct AccessEvent {
    /// When. Required.
    pub time: Option<Timestamp>,
    /// The IPv4 or IPv6 address.
    pub ip_address: Text,
    /// The user-agent header, whole.
    pub user_agent: Text,
    /// Browser and version.
    pub browser: Text,
    /// Operating system and version.
    pub os: Text,
    /// The device's id.
    pub device_id: Text,
    /// Page or path.
    pub page: Text,
    /// Request method: a token of RFC 9110.
    pub method: Text,
    /// Response status, as the protocol numbers it; 0 if none.
    pub status: u32,
}

impl ClassValue for AccessEvent {
    const DEF: ClassDef = ClassDef {
        id: ClassId::new("access_event"),
        sensitivity: Sensitivity::Personal,
        form: Form::Events,
        identifiers: &[],
        keep_default: Some("P90D"),
        purposes_default: &["security"],
        fields: &["time", "ip_address", "user_agent", "browser", "os", "device_id", "page", "method", "status"],
    };

    fn canonicalise(&mut self, check: &mut Check) {
        if self.time.is_none() {
            check.refuse(&At::field("time"), Reason::Required);
        }
        let at = At::field("ip_address");
        if check.line(&at, &mut self.ip_address, ip_address::BYTES_MAX) {
            check.form(&at, &mut self.ip_address, ip_address::canonical);
        }
        for (name, text, bytes_max) in [
            ("user_agent", &mut self.user_agent, USER_AGENT_BYTES_MAX),
            ("browser", &mut self.browser, NAME_BYTES_MAX),
            ("os", &mut self.os, NAME_BYTES_MAX),
            ("device_id", &mut self.device_id, NAME_BYTES_MAX),
            ("page", &mut self.page, PAGE_BYTES_MAX),
        ] {
            check.line(&At::field(name), text, bytes_max);
        }
        let at = At::field("method");
        if check.line(&at, &mut self.method, METHOD_BYTES_MAX) && !self.method.expose().bytes().all(is_in_token) {
            check.refuse(&at, Reason::Malformed);
        }
    }

    fn masked(&self, masker: &mut Masker<'_>) -> Self {
        Self {
            time: masker.keep("time", self.time),
            ip_address: masker.text("ip_address", &self.ip_address, Rule::Network),
            user_agent: masker.text("user_agent", &self.user_agent, Rule::Hidden),
            browser: masker.text("browser", &self.browser, Rule::Shown(View::Masked)),
            os: masker.text("os", &self.os, Rule::Shown(View::Masked)),
            device_id: masker.text("device_id", &self.device_id, Rule::Tail),
            page: masker.text("page", &self.page, Rule::Hidden),
            method: masker.text("method", &self.method, Rule::Shown(View::Masked)),
            status: masker.keep("status", self.status),
        }
    }

    fn encode(&self) -> PlainValue {
        let texts =
            [&self.ip_address, &self.user_agent, &self.browser, &self.os, &self.device_id, &self.page, &self.method];
        record::encode(VERSION, 1 + TIME_BYTES + bytes_of(texts) + 4, |w| {
            let w = record::write_time(w, self.time);
            texts.into_iter().fold(w, |w, text| w.text(text.expose())).u32(self.status)
        })
    }

    fn decode(version: u8, reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        if version != VERSION {
            return Err(DecodeError::Version);
        }
        Ok(Self {
            time: record::time(reader)?,
            ip_address: record::text(reader)?,
            user_agent: record::text(reader)?,
            browser: record::text(reader)?,
            os: record::text(reader)?,
            device_id: record::text(reader)?,
            page: record::text(reader)?,
            method: record::text(reader)?,
            status: reader.u32()?,
        })
    }

    fn identifiers(&self) -> Vec<Identifier> {
        Vec::new()
    }

    fn time(&self) -> Option<Timestamp> {
        self.time
    }
}

/// A character of a token (RFC 9110 section 5.6.2).
fn is_in_token(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b)
}
