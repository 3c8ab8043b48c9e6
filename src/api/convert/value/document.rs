//! Class `document`: the description of a file.

use super::super::super::proto;
use super::super::{At, Faults, moved};
use crate::catalog::classes::Document;
use crate::catalog::text::Text;
use crate::gate::refusal::FaultReason;

pub(super) fn given(faults: &mut Faults, at: At<'_>, document: proto::Document) -> Document {
    let related = &document.related_item_id;
    let sha256 = document.sha256.as_slice().try_into();
    if sha256.is_err() && !document.sha256.is_empty() {
        faults.add(at.then("sha256"), FaultReason::Malformed);
    }
    Document {
        related_item: if related.is_empty() { None } else { faults.id(at.then("related_item_id"), related) },
        media_type: Text::new(document.media_type),
        file_name: Text::new(document.file_name),
        size_bytes: document.size_bytes,
        sha256: sha256.unwrap_or_default(),
        content: None,
    }
}

pub(super) fn shown(document: Document) -> proto::Document {
    let is_shown = document.sha256 != [0; 32];
    proto::Document {
        media_type: moved(document.media_type),
        file_name: moved(document.file_name),
        size_bytes: document.size_bytes,
        sha256: if is_shown { document.sha256.to_vec() } else { Vec::new() },
        related_item_id: document.related_item.map(|id| id.to_string()).unwrap_or_default(),
    }
}
