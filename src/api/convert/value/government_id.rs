//! Class `government_id`.

use super::super::super::proto;
use super::super::{At, Faults, moved};
use super::{date, shown_date};
use crate::catalog::classes::GovernmentId;
use crate::catalog::classes::government_id::GovernmentIdType;
use crate::catalog::text::Text;

pub(super) fn given(faults: &mut Faults, at: At<'_>, id: proto::GovernmentId) -> GovernmentId {
    GovernmentId {
        kind: faults.choice(at.then("type"), id.r#type, GovernmentIdType::from_code).unwrap_or_default(),
        country_code: Text::new(id.country_code),
        number: Text::new(id.number),
        issue_date: id.issue_date.as_ref().map(date),
        expiry_date: id.expiry_date.as_ref().map(date),
        issuing_authority: Text::new(id.issuing_authority),
        printed_name: Text::new(id.printed_name),
    }
}

pub(super) fn shown(id: GovernmentId) -> proto::GovernmentId {
    proto::GovernmentId {
        r#type: id.kind.code().into(),
        country_code: moved(id.country_code),
        number: moved(id.number),
        issue_date: id.issue_date.map(shown_date),
        expiry_date: id.expiry_date.map(shown_date),
        issuing_authority: moved(id.issuing_authority),
        printed_name: moved(id.printed_name),
    }
}
