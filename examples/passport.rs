//! Stores a passport and reads it back: the sample of `docs/calling-services.md`.
//!
//! `lacuna::api::proto` is what `tonic-prost-build` makes of the proto files: a service of your own has it made by its
//! own build.

use std::error::Error;
use std::path::Path;
use std::time::Duration;

use lacuna::api::proto::vault_client::VaultClient;
use lacuna::api::proto::{
    CallContext, CreateSubjectRequest, GetItemRequest, GovernmentId, GovernmentIdType, ItemValue, NewItem, SubjectRef,
    item_value, subject_ref,
};
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};
use tonic::{Code, Status};

type Failure = Box<dyn Error + Send + Sync>;

/// Usage: passport DEV.JSON
#[tokio::main]
async fn main() -> Result<(), Failure> {
    let path = std::env::args_os().nth(1).ok_or("usage: passport DEV.JSON")?;
    for line in run(Path::new(&path)).await? {
        println!("{line}");
    }
    Ok(())
}

/// A channel with the certificate of a role. In production: the files that your platform gives your service.
async fn connect(dev: &serde_json::Value, role: &str) -> Result<Channel, Failure> {
    let read = |path: &serde_json::Value| std::fs::read(path.as_str().unwrap_or_default());
    let client = &dev["clients"][role];
    let tls = ClientTlsConfig::new()
        .ca_certificate(Certificate::from_pem(read(&dev["ca"])?))
        .identity(Identity::from_pem(read(&client["cert"])?, read(&client["key"])?))
        .domain_name("localhost");
    let address = format!("https://{}", dev["address"].as_str().unwrap_or_default());
    Ok(Endpoint::from_shared(address)?.tls_config(tls)?.timeout(Duration::from_secs(10)).connect().await?)
}

/// Calls, and repeats what a repeat can help. The request keeps its idempotency key: the change is made once.
async fn repeat<T>(mut call: impl AsyncFnMut() -> Result<T, Status>) -> Result<T, Status> {
    let mut wait = Duration::from_millis(100);
    for _ in 1..5 {
        match call().await {
            Err(status) if matches!(status.code(), Code::Unavailable | Code::Aborted) => {
                tokio::time::sleep(wait).await;
                wait *= 2;
            }
            done => return done,
        }
    }
    call().await
}

/// What the sample says.
pub async fn run(dev: &Path) -> Result<Vec<String>, Failure> {
    let dev: serde_json::Value = serde_json::from_slice(&std::fs::read(dev)?)?;
    let vault = VaultClient::new(connect(&dev, "service").await?);

    let passport = GovernmentId {
        r#type: GovernmentIdType::Passport.into(),
        country_code: "SE".into(),
        number: "aa 0000001".into(),
        printed_name: "EXAMPLE PERSON".into(),
        ..Default::default()
    };
    let value = Some(ItemValue { value: Some(item_value::Value::GovernmentId(passport)) });
    let unique = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_nanos();
    let create = CreateSubjectRequest {
        context: Some(CallContext {
            purpose: "service_delivery".into(),
            idempotency_key: format!("sign-up {unique}"),
            ..Default::default()
        }),
        external_id: format!("user-{unique}"),
        items: vec![NewItem { class: "government_id".into(), value, metadata: None }],
        ..Default::default()
    };
    let created = repeat(async || vault.clone().create_subject(create.clone()).await).await?.into_inner();
    let mut said = vec![format!("stored: {}, {}", created.subject_id, created.items[0].item_id)];

    let request = GetItemRequest {
        context: Some(CallContext { purpose: "service_delivery".into(), ..Default::default() }),
        subject: Some(SubjectRef { r#ref: Some(subject_ref::Ref::SubjectId(created.subject_id)) }),
        item_id: created.items[0].item_id.clone(),
        ..Default::default()
    };
    let read = repeat(async || vault.clone().get_item(request.clone()).await).await?.into_inner();
    if let Some(item_value::Value::GovernmentId(id)) = read.item.and_then(|item| item.value).and_then(|v| v.value) {
        said.push(format!("read back: {} of {}", id.number, id.country_code));
    }

    let support = VaultClient::new(connect(&dev, "support").await?);
    if let Err(status) = repeat(async || support.clone().get_item(request.clone()).await).await {
        said.push(format!("as support: {:?}", status.code()));
    }
    Ok(said)
}
