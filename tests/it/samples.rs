//! Requests with a canary in every text that a caller may choose.

use lacuna::api::proto::privacy_client::PrivacyClient;
use lacuna::api::proto::system_client::SystemClient;
use lacuna::api::proto::vault_client::VaultClient;
use lacuna::api::proto::*;
use tonic::Status;
use tonic_types::StatusExt as _;

use crate::program::subject;
use crate::vault::TestVault;

/// The classes whose values are put one by one.
pub const CLASSES: [&str; 5] = ["contact", "government_id", "payment", "communication", "password"];

impl TestVault {
    /// The context of a call. The caller has one role.
    pub fn context(&self, purpose: &str) -> Option<CallContext> {
        Some(CallContext { purpose: purpose.into(), ticket: self.canary(), ..Default::default() })
    }

    /// The context in which the service delivers.
    pub fn delivery(&self) -> Option<CallContext> {
        self.context("service_delivery")
    }

    /// The context of a change that may be repeated: the same key makes it the same change.
    pub fn repeatable(&self, key: &str) -> Option<CallContext> {
        Some(CallContext { idempotency_key: key.into(), ..self.delivery().expect("is made") })
    }

    /// A text that nothing but an answer may hold.
    pub fn canary(&self) -> String {
        self.canaries().make()
    }

    /// An item of a class, with a canary in every text of value and metadata.
    pub fn item(&self, class: &str) -> NewItem {
        let value = Some(match class {
            "contact" => item_value::Value::Contact(self.contact()),
            "government_id" => item_value::Value::GovernmentId(self.government_id()),
            "payment" => item_value::Value::Payment(self.payment()),
            "communication" => item_value::Value::Communication(self.communication()),
            "password" => item_value::Value::Password(Password { secret: self.canary(), set_time: None }),
            other => unreachable!("no sample of class {other}"),
        });
        NewItem { class: class.into(), value: Some(ItemValue { value }), metadata: Some(self.metadata()) }
    }

    /// A new subject with one item of each class named.
    pub async fn create(&self, classes: &[&str]) -> CreateSubjectResponse {
        let request = CreateSubjectRequest {
            context: self.repeatable(&self.canary()),
            external_id: self.canary(),
            items: classes.iter().map(|class| self.item(class)).collect(),
            ..Default::default()
        };
        VaultClient::new(self.steady("service")).create_subject(request).await.expect("creates").into_inner()
    }

    /// Reads an item as the service.
    pub async fn read(&self, subject_id: &str, item_id: &str) -> Result<Item, Status> {
        let request = GetItemRequest {
            context: self.delivery(),
            subject: subject(subject_id),
            item_id: item_id.into(),
            ..Default::default()
        };
        let answer = VaultClient::new(self.steady("service")).get_item(request).await?;
        Ok(answer.into_inner().item.expect("an item"))
    }

    /// Deletes an item as the service, and waits as the method does.
    pub async fn delete(&self, subject_id: &str, item_id: &str) -> Result<Erasure, Status> {
        self.delete_once(subject_id, item_id, &self.canary()).await
    }

    /// The same, with a key under which it may be repeated.
    pub async fn delete_once(&self, subject_id: &str, item_id: &str, key: &str) -> Result<Erasure, Status> {
        let request = DeleteItemRequest {
            context: self.repeatable(key),
            subject: subject(subject_id),
            item_id: item_id.into(),
            ..Default::default()
        };
        let answer = VaultClient::new(self.steady("service")).delete_item(request).await?;
        Ok(answer.into_inner().erasure.expect("is stated"))
    }

    /// Erases a person as the privacy officer, with a key under which it may be repeated; empty for none.
    pub async fn erase(&self, subject_id: &str, key: &str) -> Result<EraseSubjectResponse, Status> {
        let context = self.context("legal_compliance").expect("is made");
        let context = Some(CallContext { idempotency_key: key.into(), ..context });
        let request = EraseSubjectRequest { context, subject: subject(subject_id), ..Default::default() };
        Ok(PrivacyClient::new(self.steady("privacy-officer")).erase_subject(request).await?.into_inner())
    }

    /// Gets a receipt as the privacy officer.
    pub async fn receipt(&self, receipt_id: &str) -> Result<Receipt, Status> {
        let request = GetReceiptRequest {
            context: self.context("legal_compliance"),
            receipt_id: receipt_id.into(),
            ..Default::default()
        };
        let answer = PrivacyClient::new(self.steady("privacy-officer")).get_receipt(request).await?.into_inner();
        Ok(answer.receipt.expect("a receipt"))
    }

    /// How the vault is.
    pub async fn status(&self) -> GetStatusResponse {
        let request = GetStatusRequest { context: self.context("security") };
        SystemClient::new(self.steady("operator")).get_status(request).await.expect("tells").into_inner()
    }

    fn contact(&self) -> Contact {
        Contact {
            full_name: self.canary(),
            given_name: self.canary(),
            family_name: self.canary(),
            emails: vec![EmailAddress {
                address: format!("{}@{}.example.com", self.canary(), self.canary()),
                label: self.canary(),
                ..Default::default()
            }],
            phones: vec![PhoneNumber {
                number: self.canaries().make_phone(),
                label: self.canary(),
                ..Default::default()
            }],
            addresses: vec![self.address()],
            ..Default::default()
        }
    }

    fn government_id(&self) -> GovernmentId {
        GovernmentId {
            r#type: GovernmentIdType::Passport.into(),
            country_code: "SE".into(),
            number: self.canary(),
            issuing_authority: self.canary(),
            printed_name: self.canary(),
            ..Default::default()
        }
    }

    fn payment(&self) -> Payment {
        Payment {
            processor: self.canary(),
            token: self.canary(),
            brand: CardBrand::Visa.into(),
            billing_address: Some(self.address()),
            cardholder_name: self.canary(),
            ..Default::default()
        }
    }

    fn communication(&self) -> Communication {
        Communication {
            channel: CommunicationChannel::Chat.into(),
            time: Some(well_known::Timestamp { seconds: 1_700_000_000, nanos: 0 }),
            participants: vec![self.canary(), self.canary()],
            subject: self.canary(),
            body: self.canary(),
            thread_id: self.canary(),
            ..Default::default()
        }
    }

    fn address(&self) -> PostalAddress {
        PostalAddress {
            country_code: "SE".into(),
            lines: vec![self.canary(), self.canary()],
            sublocality: self.canary(),
            locality: self.canary(),
            administrative_area: self.canary(),
            postal_code: self.canary(),
            recipient: self.canary(),
            organization: self.canary(),
            label: self.canary(),
            ..Default::default()
        }
    }

    fn metadata(&self) -> ItemMetadata {
        ItemMetadata {
            source: self.canary(),
            recipients: vec![Recipient { name: self.canary(), country_code: "SE".into(), safeguard: self.canary() }],
            automated_decision: true,
            automated_decision_logic: self.canary(),
            ..Default::default()
        }
    }
}

/// A contact's full name; none where it is not shown.
pub fn full_name(item: &Item) -> Option<&str> {
    match item.value.as_ref()?.value.as_ref()? {
        item_value::Value::Contact(contact) => Some(&contact.full_name),
        _ => None,
    }
}

/// A contact with nothing but a name.
pub fn named(name: &str) -> ItemValue {
    let contact = Contact { full_name: name.into(), ..Default::default() };
    ItemValue { value: Some(item_value::Value::Contact(contact)) }
}

/// The reason of an error, as `errors.proto` names it; empty for an error of the transport's own.
pub fn reason(status: &Status) -> String {
    status.get_details_error_info().map(|info| info.reason).unwrap_or_default()
}
