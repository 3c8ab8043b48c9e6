//! Stores a passport and reads it back.

use lacuna::api::proto::vault_client::VaultClient;
use lacuna::api::proto::{
    CreateSubjectRequest, GetItemRequest, GovernmentId, GovernmentIdType, ItemValue, NewItem, item_value,
};

use super::client::{Failure, connect, context, reason, repeat, request, subject, unique};

/// What the sample says.
pub async fn run(dev: &serde_json::Value) -> Result<Vec<String>, Failure> {
    let vault = VaultClient::new(connect(dev, "service").await?);

    let passport = GovernmentId {
        r#type: GovernmentIdType::Passport.into(),
        country_code: "SE".into(),
        number: "aa 0000001".into(),
        printed_name: "EXAMPLE PERSON".into(),
        ..Default::default()
    };
    let value = Some(ItemValue { value: Some(item_value::Value::GovernmentId(passport)) });
    let create = CreateSubjectRequest {
        context: context(&format!("sign-up {}", unique())),
        external_id: format!("user-{}", unique()),
        items: vec![NewItem { class: "government_id".into(), value, metadata: None }],
        ..Default::default()
    };
    let created = repeat(async || vault.clone().create_subject(request(create.clone())).await).await?.into_inner();
    let mut said = vec![format!("stored: {}, {}", created.subject_id, created.items[0].item_id)];

    let get = GetItemRequest {
        context: context(""),
        subject: subject(&created.subject_id),
        item_id: created.items[0].item_id.clone(),
        ..Default::default()
    };
    let read = repeat(async || vault.clone().get_item(request(get.clone())).await).await?.into_inner();
    if let Some(item_value::Value::GovernmentId(id)) = read.item.and_then(|item| item.value).and_then(|v| v.value) {
        said.push(format!("read back: {} of {}", id.number, id.country_code));
    }

    let support = VaultClient::new(connect(dev, "support").await?);
    if let Err(status) = repeat(async || support.clone().get_item(request(get.clone())).await).await {
        said.push(format!("as support: {}", reason(&status).unwrap_or_default()));
    }
    Ok(said)
}
