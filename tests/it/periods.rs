//! Statutory periods: what a law demands to be kept outlives deletion, correction and the whole person, for the legal role
//! alone, and says until when.

use lacuna::api::proto::list_keep_reasons_request::Target;
use lacuna::api::proto::*;
use prost::Message as _;
use std::path::Path;

use crate::holds::{LEGAL, holds, kept, legal, open, placed, reasons, refused, release, update, whole};
use crate::program::subject;
use crate::vault::TestVault;

/// Periods as operators write them.
const PERIODS: &str = r#"
[periods.tax]
class = "payment"
legal_basis = "a tax code"
from = "updated"
period = "P10Y"
align = "year_end"

[periods.claims]
class = "contact"
legal_basis = "a civil code"
from = "account_closed"
period = "P3Y"
"#;

pub fn with_periods(dir: &Path) {
    let path = dir.join("catalog.toml");
    let text = std::fs::read_to_string(&path).expect("a file");
    std::fs::write(path, text + PERIODS).expect("is written");
}

fn period(view: &KeptItem) -> Vec<(&str, bool)> {
    let periods = view.reasons.iter().filter(|reason| reason.kind() == KeepReasonKind::Period);
    periods.map(|reason| (reason.reason_id.as_str(), reason.end_time.is_some())).collect()
}

async fn erase(vault: &TestVault, id: &str) -> EraseSubjectResponse {
    let request = EraseSubjectRequest { context: legal(vault), subject: subject(id), ..Default::default() };
    vault.privacy("privacy-officer").erase_subject(request).await.expect("erases").into_inner()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_period_keeps_outlives_its_deletion_for_legal_alone() {
    let mut vault = TestVault::start_with(with_periods);
    let created = vault.create(&["payment", "contact"]).await;
    let (id, payment, contact) = (&created.subject_id, &created.items[0].item_id, &created.items[1].item_id);
    let of_person = |kept_only| {
        let target = Some(Target::Subject(subject(id).expect("is set")));
        let request = ListKeepReasonsRequest { context: legal(&vault), target, kept_only, ..Default::default() };
        async { holds(&vault, "privacy-officer").list_keep_reasons(request).await.expect("lists").into_inner().items }
    };
    let live = of_person(false).await;
    let of_item = |item: &str| live.iter().find(|view| view.item_id == item).expect("is listed");
    assert_eq!(period(of_item(payment)), [("tax", true)], "it runs while the account keeps the item, too");
    assert_eq!(period(of_item(contact)), [], "it has not begun");
    assert_eq!(of_person(true).await, vec![]);

    let erasure = vault.delete(id, payment).await.expect("deletes");
    assert_eq!((erasure.state(), erasure.keep_reasons.len()), (ErasureState::Kept, 0), "the service may not know why");
    assert_eq!(refused(vault.read(id, payment).await), "NOT_FOUND");
    assert_eq!(vault.delete(id, contact).await.expect("deletes").state(), ErasureState::Erased);
    let item = kept(&vault, LEGAL, payment, 0).await.expect("legal reads it");
    assert_eq!((item.restricted, &item.receipt_id), (true, &erasure.receipt_id));
    assert_eq!(refused(kept(&vault, "privacy-officer", payment, 0).await), "FIELD_REQUIRED");
    let found = reasons(&vault, LEGAL, Target::PeriodId("tax".into())).await;
    assert_eq!((found.len(), period(&found[0]), &found[0].item_id), (1, vec![("tax", true)], payment));
    assert_eq!((&found[0].subject_id, &found[0].receipt_id), (id, &erasure.receipt_id));
    assert_eq!(of_person(false).await, found);
    assert_eq!(reasons(&vault, LEGAL, Target::PeriodId("claims".into())).await, vec![]);
    let target = Some(Target::PeriodId("taxes".into()));
    let request = ListKeepReasonsRequest { context: legal(&vault), target, ..Default::default() };
    assert_eq!(refused(holds(&vault, LEGAL).list_keep_reasons(request).await), "NOT_FOUND");

    // What the catalog says later changes nothing of it.
    vault.kill();
    vault.edit("catalog.toml", |text| text.replace(PERIODS, ""));
    vault.run("");
    assert_eq!(reasons(&vault, LEGAL, Target::PeriodId("tax".into())).await, found);
    assert!(kept(&vault, LEGAL, payment, 1).await.expect("legal reads it") == item);
    let other = vault.create(&["payment"]).await;
    let erased = vault.delete(&other.subject_id, &other.items[0].item_id).await.expect("deletes");
    assert_eq!(erased.state(), ErasureState::Erased);
    assert_eq!(vault.leaks(), vec![]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_is_erased_but_for_what_periods_keep_and_the_receipt_says_so() {
    let vault = TestVault::start_with(with_periods);
    let created = vault.create(&["payment", "contact", "government_id"]).await;
    let (id, items) = (&created.subject_id, &created.items);
    let answer = erase(&vault, id).await;
    let erasure = answer.erasure.expect("is stated");
    let named: Vec<&str> = erasure.keep_reasons.iter().map(|reason| reason.reason_id.as_str()).collect();
    assert_eq!((erasure.state(), named.len()), (ErasureState::Kept, 2), "{named:?}");
    let receipt = answer.receipt.expect("a receipt");
    let body = ReceiptBody::decode(&receipt.body[..]).expect("a statement");
    assert_eq!(body.kept_items.len(), 2);
    for kept in &body.kept_items {
        assert!([&items[0].item_id, &items[1].item_id].contains(&&kept.item_id));
        let opened = receipt.keep_reason_openings.iter().find(|opening| {
            let domain: &[u8] = b"lacuna-keep-reason-v1\0";
            let commitment = lacuna::crypto::hash::sha256(&[domain, &opening.salt, &opening.reason]);
            kept.reason_commitments == [commitment.to_vec()]
        });
        let reason = KeepReason::decode(&opened.expect("its opening").reason[..]).expect("a reason");
        assert_eq!(reason.kind(), KeepReasonKind::Period);
        assert!(erasure.keep_reasons.contains(&reason), "as the answer says, with its end");
    }
    let found = reasons(&vault, LEGAL, Target::ReceiptId(erasure.receipt_id.clone())).await;
    assert_eq!(found.len(), 2);
    assert!(found.iter().all(|view| view.subject_id.is_empty() && view.receipt_id == erasure.receipt_id));
    assert_eq!(reasons(&vault, LEGAL, Target::PeriodId("claims".into())).await.len(), 1);
    kept(&vault, LEGAL, &items[0].item_id, 0).await.expect("legal reads it");
    assert_eq!(refused(kept(&vault, LEGAL, &items[2].item_id, 0).await), "NOT_FOUND");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_item_lives_until_the_last_of_hold_and_period_and_corrections_are_kept_as_well() {
    let vault = TestVault::start_with(|dir| {
        with_periods(dir);
        let path = dir.join("catalog.toml");
        let text = std::fs::read_to_string(&path).expect("a file");
        std::fs::write(path, text.replace("from = \"account_closed\"", "from = \"created\"")).expect("is written");
    });
    let created = vault.create(&["contact"]).await;
    let (id, contact) = (&created.subject_id, &created.items[0].item_id);
    assert_eq!(update(&vault, id, contact).await.state(), ErasureState::Kept);
    kept(&vault, LEGAL, contact, 1).await.expect("legal reads what was corrected");
    let case = open(&vault).await;
    let hold = placed(&vault, &case, id, whole(&[], true)).await;
    assert_eq!(vault.delete(id, contact).await.expect("deletes").state(), ErasureState::Kept);
    let found = reasons(&vault, LEGAL, Target::ItemId(contact.clone())).await;
    assert_eq!(found.iter().map(|view| view.reasons.len()).collect::<Vec<_>>(), [1, 2]);
    let released = release(&vault, &hold).await;
    assert_eq!(released.erasure.expect("something was kept").state(), ErasureState::Kept);
    assert_eq!(released.supplementary_receipt_ids, Vec::<String>::new(), "the period keeps it");
    kept(&vault, LEGAL, contact, 2).await.expect("legal reads it");
    let found = reasons(&vault, LEGAL, Target::PeriodId("claims".into())).await;
    assert_eq!(found.iter().map(|view| (view.version, period(view).len())).collect::<Vec<_>>(), [(1, 1), (2, 1)]);
}
