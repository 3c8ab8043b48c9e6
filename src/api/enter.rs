//! What every call begins with: who asks, why, until when, and exactly what.

use prost::Message;
use tonic::metadata::MetadataMap;
use tonic::{Extensions, Request, Response, Status, Streaming};

use super::convert::{At, Faults};
use super::proto::{self, ErrorReason};
use super::{bearer, peer, secrets, status};
use crate::base::id::ApprovalId;
use crate::base::limits::{IDEMPOTENCY_KEY_BYTES_MAX, TICKET_BYTES_MAX};
use crate::base::secret::PlainValue;
use crate::catalog::text::Text;
use crate::crypto::hash::Digest;
use crate::gate::approvals;
use crate::gate::call::{Call, CallRequest, NotOpened};
use crate::gate::refusal::{Access, FaultReason, Refusal};
use crate::gate::vault::Vault;
use crate::items;
use crate::policy::action::Action;

/// A request message: the method it belongs to, and where its context is. Implemented for all from the contract.
pub(super) trait Asked: Message + Default + 'static {
    /// The method.
    const ACTION: Action;

    /// Its field `context`.
    fn context_mut(&mut self) -> &mut Option<proto::CallContext>;
}

include!(concat!(env!("OUT_DIR"), "/requests.rs"));

/// Opens the call that a message asks for. A caller that may not make it is refused before the rest is looked at.
pub(super) async fn enter<M: Asked>(vault: &Vault, request: Request<M>) -> Result<Entered<M>, Status> {
    let (metadata, extensions, message) = request.into_parts();
    open(vault, &metadata, &extensions, message).await
}

/// A call that was opened.
pub(super) struct Entered<M> {
    /// The call.
    pub(super) call: Call,
    /// The message, without its context.
    message: M,
}

/// The same for a stream of messages, whose first one carries the context; with those that follow it.
pub(super) async fn enter_stream<M: Asked + 'static>(
    vault: &Vault,
    request: Request<Streaming<M>>,
) -> Result<(Entered<M>, Streaming<M>), Status> {
    let (metadata, extensions, mut stream) = request.into_parts();
    let first = stream.message().await.map_err(status::of_transport)?;
    Ok((open(vault, &metadata, &extensions, first.unwrap_or_default()).await?, stream))
}

impl<M> Entered<M> {
    /// The call, and its message as a domain type. What is malformed is recorded.
    pub(super) async fn convert<T>(
        self,
        vault: &Vault,
        convert: impl FnOnce(M) -> Result<T, Refusal>,
    ) -> Result<(Call, T), Status> {
        let Self { call, message } = self;
        match convert(message) {
            Ok(converted) => Ok((call, converted)),
            Err(refusal) => Err(refuse(&call)(vault.refuse(&call, refusal).await)),
        }
    }
}

/// How a verb's refusal of this call is told to its caller.
pub(super) fn refuse(call: &Call) -> impl Fn(Refusal) -> Status + Copy + use<> {
    let request = call.request();
    move |refusal| status::of(&refusal, Some(request))
}

/// Answers a method that this vault does not offer yet: to those who might call it.
pub(super) async fn not_built<M: Asked, R>(vault: &Vault, request: Request<M>) -> Result<Response<R>, Status> {
    let entered = enter(vault, request).await?;
    Err(record_not_built(vault, &entered.call).await)
}

/// The answers of a streaming method that is not built yet: none.
pub(super) type NoAnswers<R> = tokio_stream::Empty<Result<R, Status>>;

/// Records and answers a call that this vault cannot carry out yet.
pub(super) async fn record_not_built(vault: &Vault, call: &Call) -> Status {
    match vault.record_not_offered(call).await {
        Ok(()) => status::not_implemented(call.request()),
        Err(refusal) => status::of(&refusal, None),
    }
}

async fn open<M: Asked>(
    vault: &Vault,
    metadata: &MetadataMap,
    extensions: &Extensions,
    mut message: M,
) -> Result<Entered<M>, Status> {
    let deadline = peer::deadline(metadata, extensions);
    let context = opening_context(&mut message);
    let peer = extensions.get::<peer::PeerInfo>();
    let request = CallRequest {
        caller: peer.and_then(|peer| peer.caller.clone()),
        action: M::ACTION,
        purpose: context.purpose,
        role: context.role,
        token: bearer::presented(metadata),
        find_person: items::own::find_person,
        ticket: context.ticket,
        idempotency_key: context.idempotency_key,
        request_digest: context.digest,
        approval: context.approval,
        peer: peer.map(|peer| peer.address.as_ref().to_owned()).unwrap_or_default(),
        deadline: Some(deadline),
        malformed: context.malformed,
    };
    let is_known = request.caller.is_some();
    match vault.open_call(request).await {
        Ok(call) => Ok(Entered { call, message }),
        Err(NotOpened { refusal: Refusal::Access(Access::Unauthenticated), .. }) if !is_known => {
            Err(status::of_reason(ErrorReason::CertificateRequired))
        }
        Err(NotOpened { refusal, request }) => Err(status::of(&refusal, request)),
    }
}

#[derive(Default)]
struct Opening {
    purpose: String,
    role: String,
    ticket: Text,
    idempotency_key: Text,
    digest: Digest,
    approval: Option<ApprovalId>,
    malformed: Option<Refusal>,
}

/// Takes the context out of a message, and the digest of what remains: the whole request but for its ticket, its
/// idempotency key and its approval id.
fn opening_context<M: Asked>(message: &mut M) -> Opening {
    let mut faults = Faults::default();
    let at = At::field("context");
    let Some(context) = message.context_mut() else {
        faults.add(at, FaultReason::Required);
        return Opening { malformed: Some(faults.into_refusal()), ..Opening::default() };
    };
    let ticket = faults.text(at.then("ticket"), std::mem::take(&mut context.ticket), TICKET_BYTES_MAX);
    let key = std::mem::take(&mut context.idempotency_key);
    let idempotency_key = faults.text(at.then("idempotency_key"), key, IDEMPOTENCY_KEY_BYTES_MAX);
    let approval = std::mem::take(&mut context.approval_id);
    let approval = if approval.is_empty() { None } else { faults.id(at.then("approval_id"), &approval) };
    // Only a repeatable change or an approval needs it: for a read it would be a second encoding for nothing.
    let is_needed = !idempotency_key.is_empty() || approvals::is_needed(M::ACTION);
    let digest = if is_needed { digest(message) } else { Digest::default() };
    let context = message.context_mut().take().unwrap_or_default();
    let malformed = faults.finish(()).err();
    Opening { purpose: context.purpose, role: context.role, ticket, idempotency_key, digest, approval, malformed }
}

fn digest<M: Asked>(message: &mut M) -> Digest {
    let encoded = PlainValue::new(secrets::without(message, M::encode_to_vec));
    CallRequest::digest(M::ACTION.as_str(), encoded.expose())
}
