//! Approvals.

use super::super::proto;
use super::{At, Faults, clear, time};
use crate::base::id::ApprovalId;
use crate::base::limits::{COMMENT_BYTES_MAX, NAMES_MAX, PAGE_SIZE_DEFAULT, PAGE_SIZE_MAX};
use crate::gate::approvals::{Approval, Decided, Decision, ListQuery, NEEDED, Page, Standing};
use crate::gate::refusal::{FaultReason, Refusal};
use crate::policy::action::Action;

/// Which approvals to list.
pub fn list(request: proto::ListApprovalsRequest) -> Result<ListQuery, Refusal> {
    let mut faults = Faults::default();
    if request.states.len() > NAMES_MAX {
        faults.add(At::field("states"), FaultReason::TooMany);
    }
    let mut states = Vec::new();
    for (index, number) in request.states.iter().enumerate().take(NAMES_MAX) {
        match proto::ApprovalState::try_from(*number) {
            Ok(proto::ApprovalState::Unspecified) => {}
            Ok(proto::ApprovalState::Pending) => states.push(Standing::Pending),
            Ok(proto::ApprovalState::Approved) => states.push(Standing::Approved),
            Ok(proto::ApprovalState::Rejected) => states.push(Standing::Rejected),
            Ok(proto::ApprovalState::Used) => states.push(Standing::Used),
            Ok(proto::ApprovalState::Expired) => states.push(Standing::Expired),
            Err(_) => faults.add(At::field("states").index(index), FaultReason::EnumUnknown),
        }
    }
    let operation = NEEDED.iter().copied().find(|operation| full_name(*operation) == request.operation);
    if operation.is_none() && !request.operation.is_empty() {
        faults.add(At::field("operation"), FaultReason::Malformed);
    }
    let page_size = match request.page_size as usize {
        0 => PAGE_SIZE_DEFAULT,
        wanted => wanted.min(PAGE_SIZE_MAX),
    };
    let page_token = faults.token(At::field("page_token"), request.page_token);
    faults.finish(ListQuery { states, operation, decidable: request.decidable, page_size, page_token })
}

/// Whom to agree with, and to exactly what.
pub fn approve(request: proto::ApproveRequest) -> Result<Decision, Refusal> {
    let mut faults = Faults::default();
    let id = faults.id(At::field("approval_id"), &request.approval_id);
    let digest = request.request_digest.try_into().map_err(|digest: Vec<u8>| digest.is_empty());
    if let Err(is_empty) = digest {
        let fault = if is_empty { FaultReason::Required } else { FaultReason::Malformed };
        faults.add(At::field("request_digest"), fault);
    }
    decision(faults, id, digest.ok(), request.etag, request.comment)
}

/// What to refuse or withdraw.
pub fn reject(request: proto::RejectRequest) -> Result<Decision, Refusal> {
    let mut faults = Faults::default();
    let id = faults.id(At::field("approval_id"), &request.approval_id);
    decision(faults, id, None, request.etag, request.comment)
}

fn decision(
    mut faults: Faults,
    id: Option<ApprovalId>,
    agrees_to: Option<[u8; 32]>,
    etag: String,
    comment: String,
) -> Result<Decision, Refusal> {
    let etag = faults.token(At::field("etag"), etag);
    let comment = faults.text(At::field("comment"), comment, COMMENT_BYTES_MAX);
    match id {
        Some(id) => faults.finish(Decision { id, agrees_to, etag, comment }),
        None => Err(faults.into_refusal()),
    }
}

/// A page of approvals.
pub fn page(page: Page) -> proto::ListApprovalsResponse {
    proto::ListApprovalsResponse {
        approvals: page.approvals.into_iter().map(approval).collect(),
        next_page_token: page.next,
    }
}

/// An approval as it is now.
pub fn approval((approval, standing): (Approval, Standing)) -> proto::Approval {
    let state = match standing {
        Standing::Pending => proto::ApprovalState::Pending,
        Standing::Approved => proto::ApprovalState::Approved,
        Standing::Rejected => proto::ApprovalState::Rejected,
        Standing::Used => proto::ApprovalState::Used,
        Standing::Expired => proto::ApprovalState::Expired,
    };
    proto::Approval {
        approval_id: approval.id.to_string(),
        state: state.into(),
        operation: full_name(approval.operation),
        target_ids: approval.targets.clone(),
        requester: approval.requester.actor.to_string(),
        requester_role: approval.requester.role.name().to_owned(),
        purpose: approval.requester.purpose.clone(),
        ticket: clear(&approval.ticket),
        request_digest: approval.digest.to_vec(),
        required_count: approval.required,
        decisions: approval.decisions.iter().map(decided).collect(),
        create_time: Some(time(approval.created)),
        expire_time: Some(time(approval.expires)),
        use_time: approval.used.map(time),
        etag: approval.etag(),
    }
}

fn decided(decided: &Decided) -> proto::ApprovalDecision {
    proto::ApprovalDecision {
        actor: decided.by.actor.to_string(),
        approved: decided.approved,
        time: Some(time(decided.time)),
        comment: clear(&decided.comment),
    }
}

fn full_name(operation: Action) -> String {
    format!("lacuna.v1.{}/{operation}", operation.service())
}
