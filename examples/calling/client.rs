//! What the samples share: a channel, and calls that are repeated where a repeat can help.

use std::error::Error;
use std::time::Duration;

use lacuna::api::proto::{CallContext, SubjectRef, subject_ref};
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};
use tonic::{Code, Request, Status};
use tonic_types::StatusExt as _;

/// Whatever ends a sample.
pub type Failure = Box<dyn Error + Send + Sync>;

/// Time for one call. A document may take longer, and goes on where it was.
const DEADLINE: Duration = Duration::from_secs(30);

/// A channel with the certificate of a role. In production: the files that your platform gives your service.
pub async fn connect(dev: &serde_json::Value, role: &str) -> Result<Channel, Failure> {
    let read = |path: &serde_json::Value| std::fs::read(path.as_str().unwrap_or_default());
    let client = &dev["clients"][role];
    let tls = ClientTlsConfig::new()
        .ca_certificate(Certificate::from_pem(read(&dev["ca"])?))
        .identity(Identity::from_pem(read(&client["cert"])?, read(&client["key"])?))
        .domain_name("localhost");
    let address = format!("https://{}", dev["address"].as_str().unwrap_or_default());
    Ok(Endpoint::from_shared(address)?.tls_config(tls)?.connect().await?)
}

/// Why the call is made, and by what key a repeat of a change is known.
pub fn context(idempotency_key: &str) -> Option<CallContext> {
    let (purpose, idempotency_key) = ("service_delivery".into(), idempotency_key.into());
    Some(CallContext { purpose, idempotency_key, ..Default::default() })
}

/// A message with a deadline.
pub fn request<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(DEADLINE);
    request
}

/// A person by the vault's id.
pub fn subject(id: &str) -> Option<SubjectRef> {
    Some(SubjectRef { r#ref: Some(subject_ref::Ref::SubjectId(id.to_owned())) })
}

/// Something that nobody has said before. A service has better: its own id of what it does.
pub fn unique() -> String {
    let time = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    format!("{}", time.as_nanos())
}

/// The stable reason of an error, such as `NOT_FOUND`; none where no answer came from the vault.
pub fn reason(status: &Status) -> Option<String> {
    status.get_error_details().error_info().map(|info| info.reason.clone())
}

/// How long to wait before the same request is sent again; none if that cannot help.
fn wait_before_repeat(status: &Status) -> Option<Duration> {
    if reason(status).is_some() {
        return status.get_error_details().retry_info().map(|info| info.retry_delay.unwrap_or_default());
    }
    // No answer came: what was to be changed is changed or is not.
    let may_help =
        matches!(status.code(), Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled | Code::Unknown);
    may_help.then_some(Duration::ZERO)
}

/// Calls again while that may help. A request keeps its idempotency key: the change is made once.
pub async fn repeat<T>(mut call: impl AsyncFnMut() -> Result<T, Status>) -> Result<T, Status> {
    let mut wait = Duration::from_millis(100);
    for _ in 1..6 {
        match call().await {
            Ok(done) => return Ok(done),
            Err(status) => match wait_before_repeat(&status) {
                Some(told) => tokio::time::sleep(wait.max(told)).await,
                None => return Err(status),
            },
        }
        wait *= 2;
    }
    call().await
}
