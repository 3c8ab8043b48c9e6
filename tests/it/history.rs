//! Who read the data of a person who was erased: told to legal alone, where a matter keeps it, and to nobody after its end.

use lacuna::api::proto::audit_client::AuditClient;
use lacuna::api::proto::*;
use prost::Message as _;
use tonic::Status;

use crate::holds::{LEGAL, holds, legal, open, refused, release, verdict, whole};
use crate::program::subject;
use crate::vault::TestVault;

/// A hold that covers no item, and the access history if it is to.
async fn placed(vault: &TestVault, matter: &str, subject_id: &str, history: bool) -> String {
    let request = PlaceHoldRequest {
        context: legal(vault),
        matter_id: matter.into(),
        subject: subject(subject_id),
        scope: Some(whole(&["password"], false)),
        include_access_history: history,
    };
    let hold = holds(vault, LEGAL).place_hold(request).await.expect("places").into_inner().hold.expect("a hold");
    assert_eq!(hold.include_access_history, history);
    hold.hold_id
}

async fn entries(
    vault: &TestVault,
    client: &str,
    filter: AuditFilter,
    opened: bool,
) -> Result<Vec<AuditEntry>, Status> {
    let parts = Some(AuditParts { detail: opened, ..Default::default() });
    let context = legal(vault).map(|context| CallContext { ticket: vault.canary(), ..context });
    let request = ListEntriesRequest { context, filter: Some(filter), parts, ..Default::default() };
    let stream = AuditClient::new(vault.service(Some(client))).list_entries(request).await?.into_inner();
    Ok(vault.gather(stream).await?.into_iter().flat_map(|message| message.entries).collect())
}

fn history_of(receipt: &str) -> AuditFilter {
    AuditFilter { history_receipt_id: receipt.into(), ..Default::default() }
}

fn items_of(entries: &[AuditEntry], operation: &str) -> Vec<String> {
    let read = entries.iter().filter(|entry| entry.operation == operation);
    read.flat_map(|entry| entry.detail.iter().flat_map(|detail| &detail.items))
        .map(|item| item.item_id.clone())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn who_read_an_erased_persons_data_is_told_to_legal_alone_until_the_last_hold_ends() {
    let mut vault = TestVault::start();
    let created = vault.create(&["contact"]).await;
    let (id, item) = (&created.subject_id, &created.items[0].item_id);
    vault.read(id, item).await.expect("reads");
    let (first, second) = (open(&vault).await, open(&vault).await);
    let one = placed(&vault, &first, id, true).await;
    let other = placed(&vault, &second, id, true).await;
    let plain = placed(&vault, &second, id, false).await;
    let erased = vault.erase(id, "").await.expect("erases");
    let (erasure, receipt) = (erased.erasure.expect("is stated"), erased.receipt.expect("a receipt"));
    assert_eq!((erasure.state(), erasure.keep_reasons.len()), (ErasureState::Kept, 2));
    let body = ReceiptBody::decode(&receipt.body[..]).expect("a statement");
    assert!(body.access_history_kept && body.kept_items.is_empty() && !body.access_history_erased);
    let receipt = &receipt.receipt_id;
    assert_eq!(verdict(&vault, receipt).await, (ErasureVerdict::PartlyKept, 0));

    vault.kill();
    vault.run("");
    let told = entries(&vault, LEGAL, history_of(receipt), true).await.expect("is listed");
    assert_eq!(items_of(&told, "lacuna.v1.Vault/GetItem"), std::slice::from_ref(item));
    assert!(told.iter().any(|entry| entry.operation == "lacuna.v1.Holds/PlaceHold"));
    // Only by the receipt, and only legal: others, and legal by other ways, see no more than before.
    for client in ["auditor", "privacy-officer", "service"] {
        assert_eq!(refused(entries(&vault, client, history_of(receipt), false).await), "ACCESS_DENIED", "{client}");
    }
    assert_eq!(refused(entries(&vault, LEGAL, AuditFilter::default(), false).await), "ACCESS_DENIED");
    let by_person = || AuditFilter { subject: subject(id), ..Default::default() };
    assert_eq!(refused(entries(&vault, LEGAL, by_person(), false).await), "ACCESS_DENIED");
    assert!(entries(&vault, "auditor", by_person(), false).await.expect("is listed").is_empty());
    let both = AuditFilter { history_receipt_id: receipt.clone(), ..by_person() };
    assert_eq!(refused(entries(&vault, LEGAL, both, false).await), "FIELD_CONFLICT");
    let no_such = history_of("rcp_aaaaaaaaaaaaaaaaaaaaaaaaaa");
    assert!(entries(&vault, LEGAL, no_such, false).await.expect("is listed").is_empty());

    // The readings are recorded as being about the person.
    let again = entries(&vault, LEGAL, history_of(receipt), false).await.expect("is listed");
    assert!(again.iter().any(|entry| entry.operation == "lacuna.v1.Audit/ListEntries"));
    assert!(again.iter().any(|entry| entry.operation == "details.opened"));

    for hold in [&one, &plain] {
        assert_eq!(release(&vault, hold).await.supplementary_receipt_ids, Vec::<String>::new());
        assert!(!entries(&vault, LEGAL, history_of(receipt), false).await.expect("is listed").is_empty(), "{hold}");
    }
    let released = release(&vault, &other).await;
    assert_eq!(released.erasure.expect("is stated").state(), ErasureState::Erased);
    assert!(entries(&vault, LEGAL, history_of(receipt), false).await.expect("is listed").is_empty());
    assert_eq!(verdict(&vault, receipt).await, (ErasureVerdict::Erased, 0));
    let whole = vault.receipt(receipt).await.expect("gets");
    let supplement = ReceiptBody::decode(&whole.supplementary[0].body[..]).expect("a statement");
    assert!(supplement.access_history_erased && !supplement.access_history_kept);
    assert_eq!((supplement.key_count, supplement.pseudonym), (1, body.pseudonym));
    assert_eq!(supplement.supplements_receipt_id, body.receipt_id);
    vault.kill();
    vault.run("");
    assert!(entries(&vault, LEGAL, history_of(receipt), false).await.expect("is listed").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_hold_that_says_so_nobody_is_told_who_read_an_erased_persons_data() {
    let vault = TestVault::start();
    let id = vault.create(&["contact"]).await.subject_id;
    let case = open(&vault).await;
    let plain = placed(&vault, &case, &id, false).await;
    let ended = placed(&vault, &case, &id, true).await;
    release(&vault, &ended).await;
    let erased = vault.erase(&id, "").await.expect("erases");
    let (erasure, receipt) = (erased.erasure.expect("is stated"), erased.receipt.expect("a receipt"));
    assert_eq!(erasure.state(), ErasureState::Erased);
    let body = ReceiptBody::decode(&receipt.body[..]).expect("a statement");
    assert!(!body.access_history_kept);
    assert!(entries(&vault, LEGAL, history_of(&receipt.receipt_id), false).await.expect("is listed").is_empty());
    release(&vault, &plain).await;
}
