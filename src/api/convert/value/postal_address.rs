//! Postal addresses: a part that classes share.

use super::super::super::proto;
use super::super::{At, Faults, moved};
use crate::catalog::classes::postal_address::PostalAddress;
use crate::catalog::fields::ContactKind;
use crate::catalog::text::Text;

pub(super) fn given(faults: &mut Faults, at: At<'_>, address: proto::PostalAddress) -> PostalAddress {
    PostalAddress {
        country_code: Text::new(address.country_code),
        lines: address.lines.into_iter().map(Text::new).collect(),
        sublocality: Text::new(address.sublocality),
        locality: Text::new(address.locality),
        administrative_area: Text::new(address.administrative_area),
        postal_code: Text::new(address.postal_code),
        recipient: Text::new(address.recipient),
        organization: Text::new(address.organization),
        kind: contact_kind(faults, at, address.kind),
        label: Text::new(address.label),
        primary: address.primary,
    }
}

pub(super) fn shown(address: PostalAddress) -> proto::PostalAddress {
    proto::PostalAddress {
        country_code: moved(address.country_code),
        lines: address.lines.into_iter().map(moved).collect(),
        sublocality: moved(address.sublocality),
        locality: moved(address.locality),
        administrative_area: moved(address.administrative_area),
        postal_code: moved(address.postal_code),
        recipient: moved(address.recipient),
        organization: moved(address.organization),
        kind: address.kind.code().into(),
        label: moved(address.label),
        primary: address.primary,
    }
}

/// Where an address or a number is used.
pub(super) fn contact_kind(faults: &mut Faults, at: At<'_>, number: i32) -> ContactKind {
    faults.choice(at.then("kind"), number, ContactKind::from_code).unwrap_or_default()
}
