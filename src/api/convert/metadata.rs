//! The particulars of an item's processing.

use super::super::proto;
use super::{At, Faults, moved, time};
use crate::base::limits::{
    LOGIC_BYTES_MAX, RECIPIENT_BYTES_MAX, RECIPIENTS_MAX, REGISTRY_ID_BYTES_MAX, SOURCE_BYTES_MAX,
};
use crate::catalog::fields::country;
use crate::catalog::text::Text;
use crate::gate::refusal::FaultReason;
use crate::items::model::{Metadata, NewMetadata, Notes, Recipient};

/// Metadata as a caller states it.
pub(super) fn new_metadata(faults: &mut Faults, at: At<'_>, metadata: proto::ItemMetadata) -> NewMetadata {
    if !metadata.objections.is_empty() {
        faults.add(at.then("objections"), FaultReason::ReadOnly);
    }
    let logic = at.then("automated_decision_logic");
    NewMetadata {
        purposes: faults.names(at.then("purposes"), metadata.purposes),
        legal_basis: faults.plain(at.then("legal_basis"), metadata.legal_basis, REGISTRY_ID_BYTES_MAX),
        expires: faults.time(at.then("expire_time"), metadata.expire_time),
        automated_decision: metadata.automated_decision,
        notes: Notes {
            source: faults.text(at.then("source"), metadata.source, SOURCE_BYTES_MAX),
            recipients: recipients(faults, at.then("recipients"), metadata.recipients),
            automated_decision_logic: faults.text(logic, metadata.automated_decision_logic, LOGIC_BYTES_MAX),
        },
    }
}

fn recipients(faults: &mut Faults, at: At<'_>, recipients: Vec<proto::Recipient>) -> Vec<Recipient> {
    if recipients.len() > RECIPIENTS_MAX {
        faults.add(at, FaultReason::TooLong);
        return Vec::new();
    }
    let convert = |(index, recipient): (usize, proto::Recipient)| {
        let at = at.index(index);
        if recipient.name.is_empty() {
            faults.add(at.then("name"), FaultReason::Required);
        }
        let country = Text::new(recipient.country_code);
        let is_code = || country::canonical(country.expose()).is_ok_and(|code| code.expose() == country.expose());
        if !country.is_empty() && !is_code() {
            faults.add(at.then("country_code"), FaultReason::Malformed);
        }
        Recipient {
            name: faults.text(at.then("name"), recipient.name, RECIPIENT_BYTES_MAX),
            country_code: country,
            safeguard: faults.text(at.then("safeguard"), recipient.safeguard, RECIPIENT_BYTES_MAX),
        }
    };
    recipients.into_iter().enumerate().map(convert).collect()
}

/// Metadata as stored.
pub(super) fn metadata(metadata: Metadata) -> proto::ItemMetadata {
    let recipient = |recipient: Recipient| proto::Recipient {
        name: moved(recipient.name),
        country_code: moved(recipient.country_code),
        safeguard: moved(recipient.safeguard),
    };
    proto::ItemMetadata {
        purposes: metadata.purposes,
        legal_basis: metadata.legal_basis,
        expire_time: metadata.expires.map(time),
        source: moved(metadata.notes.source),
        recipients: metadata.notes.recipients.into_iter().map(recipient).collect(),
        objections: metadata.objections,
        automated_decision: metadata.automated_decision,
        automated_decision_logic: moved(metadata.notes.automated_decision_logic),
    }
}
