//! What a person demands: restriction and objection.

use super::super::proto;
use super::item::whole;
use super::{At, Faults, subject, time};
use crate::base::id::RequestId;
use crate::base::limits::REGISTRY_ID_BYTES_MAX;
use crate::gate::refusal::{FaultReason, Refusal, State};
use crate::items::model::{ObjectionChange, ObjectionView, Restriction, RestrictionGround};

/// A restriction, or the end of one.
///
/// # Errors
/// Every fault of the request's form; a person's request, which this vault does not keep yet.
pub fn restrict(request: proto::RestrictSubjectRequest) -> Result<Restriction, Refusal> {
    let mut faults = Faults::default();
    let subject = subject::subject_ref(&mut faults, At::field("subject"), request.subject);
    let at = At::field("ground");
    let ground = match (request.restricted, request.ground) {
        (false, 0) => None,
        (true, 0) | (false, _) => {
            faults.add(at, if request.restricted { FaultReason::Required } else { FaultReason::Conflict });
            None
        }
        (true, number) => faults.choice(at, number, RestrictionGround::from_number),
    };
    let answers = answered(&mut faults, &request.request_id);
    let subject = whole(faults, subject)?;
    answers?;
    Ok(Restriction { subject, ground })
}

/// An objection or its withdrawal.
///
/// # Errors
/// As for [`restrict`].
pub fn object(request: proto::SetObjectionRequest) -> Result<ObjectionChange, Refusal> {
    let mut faults = Faults::default();
    let subject = subject::subject_ref(&mut faults, At::field("subject"), request.subject);
    let at = At::field("objected_purpose");
    if request.objected_purpose.is_empty() {
        faults.add(at, FaultReason::Required);
    }
    let purpose = faults.plain(at, request.objected_purpose, REGISTRY_ID_BYTES_MAX);
    let classes = faults.names(At::field("classes"), request.classes);
    let answers = answered(&mut faults, &request.request_id);
    let subject = whole(faults, subject)?;
    answers?;
    Ok(ObjectionChange { subject, purpose, objected: request.objected, classes })
}

/// The request of a person that a change answers: this vault keeps none, so none can be named.
pub(super) fn answered(faults: &mut Faults, request_id: &str) -> Result<(), Refusal> {
    if request_id.is_empty() {
        return Ok(());
    }
    faults.id::<RequestId>(At::field("request_id"), request_id);
    Err(State::NotOffered { field: "request_id" }.into())
}

/// Objections in force.
pub fn objections(objections: Vec<ObjectionView>) -> proto::SetObjectionResponse {
    let convert = |objection: ObjectionView| proto::Objection {
        purpose: objection.purpose,
        classes: objection.classes.iter().map(|class| class.as_str().to_owned()).collect(),
        set_time: Some(time(objection.since)),
    };
    proto::SetObjectionResponse { objections: objections.into_iter().map(convert).collect() }
}
