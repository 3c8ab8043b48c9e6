//! Class `document`: the description of a stored file. Its content travels, and is kept, beside it.

use super::{ClassValue, DecodeError};
use crate::base::codec::{Malformed, Reader};
use crate::base::id::ItemId;
use crate::base::secret::{PlainValue, Secret};
use crate::catalog::class::{ClassDef, ClassId, Form, Identifier, Sensitivity};
use crate::catalog::fields::record::{self, bytes_of};
use crate::catalog::mask::{Masker, Rule};
use crate::catalog::path::At;
use crate::catalog::text::Text;
use crate::catalog::validate::{Check, Reason};
use crate::catalog::view::View;

/// Bytes of a media type.
const MEDIA_TYPE_BYTES_MAX: usize = 127;
/// Bytes of a file's name.
const FILE_NAME_BYTES_MAX: usize = 255;
/// Bytes of the content.
const CONTENT_BYTES_MAX: u64 = 64 << 20;
/// Bytes that say where a content is, and its key.
const HANDLE_BYTES: usize = 48;
/// The version of the encoding.
const VERSION: u8 = 1;

/// The description of a stored file.
#[derive(Default)]
pub struct Document {
    /// Media type in lower case, without parameters. Required.
    pub media_type: Text,
    /// Name of the file; no path.
    pub file_name: Text,
    /// Size of the content in bytes.
    pub size_bytes: u64,
    /// SHA-256 of the content.
    pub sha256: [u8; 32],
    /// The item this is a scan or copy of.
    pub related_item: Option<ItemId>,
    /// Where the content is kept, and the key that opens it: the vault's own, in no message and under no view.
    pub content: Option<Secret<HANDLE_BYTES>>,
}

impl ClassValue for Document {
    const DEF: ClassDef = ClassDef {
        id: ClassId::new("document"),
        sensitivity: Sensitivity::High,
        form: Form::Document,
        identifiers: &[],
        keep_default: Some("P5Y"),
        purposes_default: &["service_delivery", "legal_compliance"],
        fields: &["media_type", "file_name", "size_bytes", "sha256", "related_item_id"],
    };

    fn canonicalise(&mut self, check: &mut Check) {
        let at = At::field("media_type");
        if check.required_line(&at, &mut self.media_type, MEDIA_TYPE_BYTES_MAX) {
            check.form(&at, &mut self.media_type, canonical_media_type);
        }
        let at = At::field("file_name");
        if check.line(&at, &mut self.file_name, FILE_NAME_BYTES_MAX) && is_path(self.file_name.expose()) {
            check.refuse(&at, Reason::Malformed);
        }
        if self.size_bytes > CONTENT_BYTES_MAX {
            check.refuse(&At::field("size_bytes"), Reason::OutOfRange);
        }
    }

    fn masked(&self, masker: &mut Masker<'_>) -> Self {
        Self {
            media_type: masker.text("media_type", &self.media_type, Rule::Shown(View::Masked)),
            file_name: masker.text("file_name", &self.file_name, Rule::Hidden),
            size_bytes: masker.keep("size_bytes", self.size_bytes),
            // Whoever has a file could otherwise tell whether it is this one.
            sha256: masker.plain_only("sha256", self.sha256),
            related_item: masker.keep("related_item_id", self.related_item),
            content: None,
        }
    }

    fn encode(&self) -> PlainValue {
        let texts = bytes_of([&self.media_type, &self.file_name]);
        record::encode(VERSION, 1 + texts + 8 + 32 + 17 + 1 + HANDLE_BYTES, |w| {
            w.text(self.media_type.expose())
                .text(self.file_name.expose())
                .u64(self.size_bytes)
                .raw(&self.sha256)
                .option(self.related_item, |w, id| w.raw(id.as_bytes()))
                // Exposed to be sealed.
                .option(self.content.as_ref(), |w, handle| w.raw(handle.expose()))
        })
    }

    fn decode(version: u8, reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        if version != VERSION {
            return Err(DecodeError::Version);
        }
        Ok(Self {
            media_type: record::text(reader)?,
            file_name: record::text(reader)?,
            size_bytes: reader.u64()?,
            sha256: reader.array()?,
            related_item: reader.option(|r| r.array().map(ItemId::from_bytes))?,
            content: reader.option(|r| Secret::from_slice(r.raw(HANDLE_BYTES)?).ok_or(Malformed))?,
        })
    }

    fn strip(&mut self) {
        self.content = None;
    }

    fn identifiers(&self) -> Vec<Identifier> {
        Vec::new()
    }
}

/// `type/subtype` in lower case (RFC 6838 section 4.2).
fn canonical_media_type(media_type: &str) -> Result<Text, Reason> {
    let is_name = |name: &str| {
        let rest = |b: u8| b.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&b);
        name.starts_with(|c: char| c.is_ascii_alphanumeric()) && name.bytes().all(rest)
    };
    match media_type.split_once('/') {
        Some((kind, subtype)) if is_name(kind) && is_name(subtype) => {
            Ok(Text::build(media_type.len(), media_type.chars().map(|c| c.to_ascii_lowercase())))
        }
        _ => Err(Reason::Malformed),
    }
}

fn is_path(name: &str) -> bool {
    name.contains(['/', '\\']) || name == "." || name == ".."
}
