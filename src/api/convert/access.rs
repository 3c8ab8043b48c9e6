//! Questions about access.

use super::super::{proto, status};
use super::item::{masked, whole};
use super::{At, Faults, subject};
use crate::base::limits::{IDENTITY_BYTES_MAX, REGISTRY_ID_BYTES_MAX};
use crate::gate::refusal::{FaultReason, Refusal};
use crate::items::model::{Explanation, Supposition};
use crate::policy::action::Action;

/// The call that is asked about.
///
/// # Errors
/// Every fault of the request's form.
pub fn check(request: proto::CheckAccessRequest) -> Result<Supposition, Refusal> {
    let mut faults = Faults::default();
    let caller = match request.caller.as_str() {
        "" => None,
        text if text.len() > IDENTITY_BYTES_MAX => {
            faults.add(At::field("caller"), FaultReason::TooLong);
            None
        }
        text => {
            let caller = text.parse().ok();
            if caller.is_none() {
                faults.add(At::field("caller"), FaultReason::Malformed);
            }
            caller
        }
    };
    let mut word = |name: &'static str, text: String| {
        if text.is_empty() {
            faults.add(At::field(name), FaultReason::Required);
        }
        faults.plain(At::field(name), text, REGISTRY_ID_BYTES_MAX)
    };
    let (role, purpose) = (word("role", request.role), word("purpose", request.purpose));
    let action = method(&request.operation);
    if action.is_none() {
        let missing = request.operation.is_empty();
        let reason = if missing { FaultReason::Required } else { FaultReason::Malformed };
        faults.add(At::field("operation"), reason);
    }
    let class = faults.plain(At::field("class"), request.class, REGISTRY_ID_BYTES_MAX);
    let at = At::field("subject");
    let subject = request.subject.and_then(|named| subject::subject_ref(&mut faults, at, Some(named)));
    let item = match request.item_id.as_str() {
        "" => None,
        text => faults.id(At::field("item_id"), text),
    };
    let view = faults.view(At::field("view"), request.view);
    let action = whole(faults, action)?;
    Ok(Supposition { caller, role, purpose, action, class, subject, item, view })
}

/// The method of that name, as `lacuna.v1.Vault/GetItem`.
pub fn method(operation: &str) -> Option<Action> {
    let (service, method) = operation.strip_prefix("lacuna.v1.")?.split_once('/')?;
    Action::ALL.iter().copied().find(|action| (action.service(), action.as_str()) == (service, method))
}

/// What the call would be answered.
pub fn explained(explanation: Explanation) -> proto::CheckAccessResponse {
    let view = explanation.view.map_or(proto::View::Unspecified, super::view);
    proto::CheckAccessResponse {
        allowed: explanation.reason.is_none(),
        reason: explanation.reason.map_or(0, |reason| i32::from(reason.number())),
        view: view.into(),
        masked_fields: explanation.masked.iter().map(masked).collect(),
        rule_ids: explanation.rules.iter().map(|rule| rule.as_str().to_owned()).collect(),
        policy_version: explanation.version.as_ref().map(status::version_text).unwrap_or_default(),
    }
}
