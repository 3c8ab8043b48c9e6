//! What a caller sees when its bytes never become a request.

use std::marker::PhantomData;

use prost::Message as _;
use tonic::client::Grpc;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::codegen::http::uri::PathAndQuery;
use tonic::service::Routes;
use tonic::{Code, Request, Response, Status};
use tonic_types::StatusExt as _;

use crate::api::proto::approvals_server::{Approvals, ApprovalsServer};
use crate::api::proto::*;
use crate::api::reasoned::Reasoned;
use crate::api::routes::finished;
use crate::base::limits::MESSAGE_BYTES_MAX;

/// Answers everything.
struct Agreeable;

#[tonic::async_trait]
impl Approvals for Agreeable {
    async fn list_approvals(
        &self,
        _: Request<ListApprovalsRequest>,
    ) -> Result<Response<ListApprovalsResponse>, Status> {
        Ok(Response::new(ListApprovalsResponse::default()))
    }

    async fn approve(&self, _: Request<ApproveRequest>) -> Result<Response<ApproveResponse>, Status> {
        Ok(Response::new(ApproveResponse::default()))
    }

    async fn reject(&self, _: Request<RejectRequest>) -> Result<Response<RejectResponse>, Status> {
        Ok(Response::new(RejectResponse::default()))
    }
}

/// Sends bytes as they are.
struct Raw<T>(PhantomData<T>);

impl<T: Send + 'static> Codec for Raw<T> {
    type Encode = Vec<u8>;
    type Decode = ();
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self(PhantomData)
    }

    fn decoder(&mut self) -> Self {
        Self(PhantomData)
    }
}

impl<T> Encoder for Raw<T> {
    type Item = Vec<u8>;
    type Error = Status;

    fn encode(&mut self, bytes: Vec<u8>, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        prost::bytes::BufMut::put_slice(buffer, &bytes);
        Ok(())
    }
}

impl<T> Decoder for Raw<T> {
    type Item = ();
    type Error = Status;

    fn decode(&mut self, _: &mut DecodeBuf<'_>) -> Result<Option<()>, Status> {
        Ok(Some(()))
    }
}

async fn send(path: &'static str, bytes: Vec<u8>) -> Result<(), Status> {
    let server = ApprovalsServer::new(Agreeable).max_decoding_message_size(MESSAGE_BYTES_MAX);
    let routes = finished(Routes::new(Reasoned(server)));
    let mut client = Grpc::new(routes);
    client.ready().await.unwrap();
    let path = PathAndQuery::from_static(path);
    client.unary(Request::new(bytes), path, Raw::<()>(PhantomData)).await.map(|_| ())
}

const REJECT: &str = "/lacuna.v1.Approvals/Reject";

fn reason(result: Result<(), Status>) -> (Code, String) {
    let status = result.unwrap_err();
    (status.code(), status.get_details_error_info().map(|info| info.reason).unwrap_or_default())
}

#[tokio::test]
async fn what_is_well_formed_is_answered() {
    let message = RejectRequest { approval_id: "a".into(), ..Default::default() };
    assert!(send(REJECT, message.encode_to_vec()).await.is_ok());
    assert!(send(REJECT, Vec::new()).await.is_ok());
}

#[tokio::test]
async fn bytes_that_are_no_message_are_an_invalid_argument_with_a_reason() {
    // A length beyond the end; a wire type that does not exist; a text that is not UTF-8; a field of another type.
    for bytes in [vec![0x0a, 0xff, 0x01], vec![0x0f], vec![0x12, 0x02, 0xc3, 0x28], vec![0x08, 0x01], vec![0; 9]] {
        let expected = (Code::InvalidArgument, "MESSAGE_MALFORMED".to_owned());
        assert_eq!(reason(send(REJECT, bytes.clone()).await), expected, "{bytes:?}");
    }
}

#[tokio::test]
async fn a_message_that_is_too_large_is_refused_with_a_reason() {
    let message = |bytes: usize| RejectRequest { approval_id: "a".repeat(bytes), ..Default::default() }.encode_to_vec();
    assert!(send(REJECT, message(MESSAGE_BYTES_MAX - 6)).await.is_ok());
    let expected = (Code::ResourceExhausted, "MESSAGE_TOO_LARGE".to_owned());
    assert_eq!(reason(send(REJECT, message(MESSAGE_BYTES_MAX)).await), expected);
}

#[tokio::test]
async fn methods_and_services_that_do_not_exist_are_not_implemented() {
    let expected = (Code::Unimplemented, "NOT_IMPLEMENTED".to_owned());
    for path in ["/lacuna.v1.Approvals/Bribe", "/lacuna.v1.Nothing/Reject", "/"] {
        assert_eq!(reason(send(path, Vec::new()).await), expected, "{path}");
    }
}
