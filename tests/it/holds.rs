//! Holds: what they cover outlives deletion, correction and the whole person, for the legal role alone, and dies with the
//! last of them.

use std::time::Duration;

use lacuna::api::proto::approvals_client::ApprovalsClient;
use lacuna::api::proto::holds_client::HoldsClient;
use lacuna::api::proto::privacy_client::PrivacyClient;
use lacuna::api::proto::*;
use lacuna::crypto::hash::sha256;
use lacuna::server::certs::DEV_TRUST_DOMAIN;
use lacuna::store::Engine as _;
use lacuna::store::batch::Batch;
use lacuna::store::keyspace::Space;
use prost::Message as _;
use tonic::Status;
use tonic_types::StatusExt as _;

use crate::program::subject;
use crate::samples::{full_name, reason};
use crate::vault::{Recorded, TestVault};

pub const LEGAL: &str = "legal";
const SECOND: &str = "legal-2";

pub fn holds(vault: &TestVault, client: &str) -> HoldsClient<Recorded> {
    HoldsClient::new(vault.service(Some(client)))
}

pub fn legal(vault: &TestVault) -> Option<CallContext> {
    vault.context("legal_compliance")
}

pub async fn open(vault: &TestVault) -> String {
    let matter = Matter {
        name: vault.canary(),
        authority: vault.canary(),
        reference: vault.canary(),
        review_time: Some(Default::default()),
        ..Default::default()
    };
    let request = OpenMatterRequest { context: legal(vault), matter: Some(matter) };
    holds(vault, LEGAL).open_matter(request).await.expect("opens").into_inner().matter.expect("a matter").matter_id
}

async fn matter(vault: &TestVault, id: &str) -> Matter {
    let request = ListMattersRequest { context: legal(vault), ..Default::default() };
    let page = holds(vault, LEGAL).list_matters(request).await.expect("lists").into_inner();
    page.matters.into_iter().find(|matter| matter.matter_id == id).expect("is listed")
}

pub fn whole(classes: &[&str], future: bool) -> place_hold_request::Scope {
    let classes = classes.iter().map(|class| (*class).to_owned()).collect();
    place_hold_request::Scope::SubjectScope(SubjectScope { classes, include_future_items: future })
}

pub fn named(items: &[(&str, u64)]) -> place_hold_request::Scope {
    let item = |(id, version): &(&str, u64)| ItemVersionRef { item_id: (*id).to_owned(), version: *version };
    place_hold_request::Scope::ItemScope(ItemScope { items: items.iter().map(item).collect() })
}

async fn place(
    vault: &TestVault,
    matter: &str,
    subject_id: &str,
    scope: place_hold_request::Scope,
) -> Result<PlaceHoldResponse, Status> {
    let request = PlaceHoldRequest {
        context: legal(vault),
        matter_id: matter.into(),
        subject: subject(subject_id),
        scope: Some(scope),
        include_access_history: false,
    };
    Ok(holds(vault, LEGAL).place_hold(request).await?.into_inner())
}

pub async fn placed(vault: &TestVault, matter: &str, subject_id: &str, scope: place_hold_request::Scope) -> String {
    place(vault, matter, subject_id, scope).await.expect("places").hold.expect("a hold").hold_id
}

async fn hold(vault: &TestVault, id: &str) -> Hold {
    let request = ListHoldsRequest { context: legal(vault), ..Default::default() };
    let page = holds(vault, LEGAL).list_holds(request).await.expect("lists").into_inner();
    page.holds.into_iter().find(|hold| hold.hold_id == id).expect("is listed")
}

pub fn release_of(vault: &TestVault, hold: &str) -> ReleaseHoldRequest {
    ReleaseHoldRequest { context: legal(vault), hold_id: hold.into(), wait: Wait::Erased.into() }
}

/// The same request with the word of a second person.
pub async fn approved(vault: &TestVault, request: &ReleaseHoldRequest) -> ReleaseHoldRequest {
    let status = holds(vault, LEGAL).release_hold(request.clone()).await.expect_err("needs another person");
    assert_eq!(reason(&status), "APPROVAL_REQUIRED");
    let id = status.get_details_error_info().expect("details").metadata["approval_id"].clone();
    let mut client = ApprovalsClient::new(vault.service(Some(SECOND)));
    let list = ListApprovalsRequest { context: legal(vault), ..Default::default() };
    let listed = client.list_approvals(list).await.expect("lists").into_inner().approvals;
    let approval = listed.into_iter().find(|approval| approval.approval_id == id).expect("is listed");
    let approve = ApproveRequest {
        context: legal(vault),
        approval_id: id.clone(),
        request_digest: approval.request_digest,
        etag: approval.etag,
        comment: vault.canary(),
    };
    client.approve(approve).await.expect("agrees");
    let mut request = request.clone();
    request.context.as_mut().expect("is set").approval_id = id;
    request
}

pub async fn release(vault: &TestVault, hold: &str) -> ReleaseHoldResponse {
    let request = approved(vault, &release_of(vault, hold)).await;
    holds(vault, LEGAL).release_hold(request).await.expect("releases").into_inner()
}

/// Reads what is kept, without saying whose it is.
pub async fn kept(vault: &TestVault, client: &str, item_id: &str, version: u64) -> Result<Item, Status> {
    let request = GetItemRequest { context: legal(vault), item_id: item_id.into(), version, ..Default::default() };
    Ok(vault.client(client).get_item(request).await?.into_inner().item.expect("an item"))
}

pub async fn reasons(vault: &TestVault, client: &str, target: list_keep_reasons_request::Target) -> Vec<KeptItem> {
    let request = ListKeepReasonsRequest { context: legal(vault), target: Some(target), ..Default::default() };
    holds(vault, client).list_keep_reasons(request).await.expect("lists").into_inner().items
}

pub async fn update(vault: &TestVault, subject_id: &str, item_id: &str) -> Erasure {
    let request = UpdateItemRequest {
        context: vault.delivery(),
        subject: subject(subject_id),
        item_id: item_id.into(),
        value: vault.item("contact").value,
        wait: Wait::Erased.into(),
        ..Default::default()
    };
    vault.client("service").update_item(request).await.expect("corrects").into_inner().erasure.expect("is stated")
}

pub fn refused<T>(answer: Result<T, Status>) -> String {
    answer.map(|_| String::new()).unwrap_or_else(|status| reason(&status))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_held_item_outlives_its_deletion_for_legal_alone_and_dies_with_its_hold() {
    let mut vault = TestVault::start();
    let created = vault.create(&["contact", "payment"]).await;
    let (id, contact, payment) = (&created.subject_id, &created.items[0].item_id, &created.items[1].item_id);
    let before = vault.read(id, contact).await.expect("reads");
    let case = open(&vault).await;
    let answer = place(&vault, &case, id, whole(&["contact"], true)).await.expect("places");
    assert_eq!(answer.covered_item_count, 1);
    let hold_id = answer.hold.expect("a hold").hold_id;

    let erasure = vault.delete(id, contact).await.expect("deletes");
    assert_eq!((erasure.state(), erasure.keep_reasons.len()), (ErasureState::Kept, 0), "the service may not know why");
    assert_eq!(refused(vault.read(id, contact).await), "NOT_FOUND");
    assert_eq!(vault.delete(id, payment).await.expect("deletes").state(), ErasureState::Erased);

    let item = kept(&vault, LEGAL, contact, 0).await.expect("legal reads it");
    assert_eq!((full_name(&item), item.restricted), (full_name(&before), true));
    assert_eq!((&item.subject_id, &item.receipt_id), (id, &erasure.receipt_id));
    for client in ["privacy-officer", "kyc"] {
        assert_eq!(refused(kept(&vault, client, contact, 0).await), "FIELD_REQUIRED", "{client}");
        let request = GetItemRequest {
            context: legal(&vault),
            subject: subject(id),
            item_id: contact.clone(),
            ..Default::default()
        };
        assert_eq!(refused(vault.client(client).get_item(request).await), "NOT_FOUND", "{client}");
    }
    assert_eq!(refused(kept(&vault, LEGAL, payment, 0).await), "NOT_FOUND");

    use list_keep_reasons_request::Target;
    let of_matter = reasons(&vault, LEGAL, Target::MatterId(case.clone())).await;
    assert_eq!(of_matter.len(), 1);
    assert_eq!((&of_matter[0].item_id, &of_matter[0].receipt_id), (contact, &erasure.receipt_id));
    assert_eq!((&of_matter[0].reasons[0].reason_id, &of_matter[0].hold_ids), (&case, &vec![hold_id.clone()]));
    let of_person = reasons(&vault, "privacy-officer", Target::Subject(subject(id).expect("is set"))).await;
    assert_eq!(of_person, of_matter);
    assert_eq!(reasons(&vault, LEGAL, Target::ReceiptId(erasure.receipt_id.clone())).await, of_matter);
    assert_eq!((matter(&vault, &case).await.kept_item_count, hold(&vault, &hold_id).await.kept_item_count), (1, 1));
    let request = CloseMatterRequest { context: legal(&vault), matter_id: case.clone(), ..Default::default() };
    assert_eq!(refused(holds(&vault, LEGAL).close_matter(request.clone()).await), "MATTER_HAS_HOLDS");

    // A repeat says what is so now.
    vault.kill();
    vault.run("");
    assert!(kept(&vault, LEGAL, contact, 1).await.expect("legal reads it") == item);

    let released = release(&vault, &hold_id).await;
    let erasure = released.erasure.expect("something was kept");
    assert_eq!((erasure.state(), released.supplementary_receipt_ids.len()), (ErasureState::Erased, 1));
    assert_eq!(refused(kept(&vault, LEGAL, contact, 0).await), "NOT_FOUND");
    assert_eq!(hold(&vault, &hold_id).await.state(), HoldState::Released);
    assert_eq!(reasons(&vault, LEGAL, Target::MatterId(case.clone())).await, vec![]);
    assert_eq!(
        refused(holds(&vault, LEGAL).release_hold(release_of(&vault, &hold_id)).await),
        "STATE_TRANSITION_INVALID"
    );
    holds(&vault, LEGAL).close_matter(request).await.expect("closes");
    assert_eq!(refused(place(&vault, &case, id, whole(&[], true)).await), "MATTER_CLOSED");
    vault.kill();
    vault.run("");
    assert_eq!(refused(kept(&vault, LEGAL, contact, 0).await), "NOT_FOUND");
    assert_eq!(matter(&vault, &case).await.kept_item_count, 0);
    assert_eq!(vault.leaks(), vec![]);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_matters_keep_one_item_until_both_let_go() {
    let vault = TestVault::start();
    let created = vault.create(&["contact", "contact"]).await;
    let (id, item) = (&created.subject_id, &created.items[0].item_id);
    let (first, second) = (open(&vault).await, open(&vault).await);
    let one = placed(&vault, &first, id, whole(&[], true)).await;
    // Two holds of the same matter count as one reason.
    let again = placed(&vault, &first, id, named(&[(item, 0)])).await;
    let other = placed(&vault, &second, id, named(&[(item, 1)])).await;
    assert_eq!(vault.delete(id, item).await.expect("deletes").state(), ErasureState::Kept);
    for (hold, left) in [(one, 2), (again, 1)] {
        let released = release(&vault, &hold).await;
        assert_eq!(released.supplementary_receipt_ids, Vec::<String>::new());
        let found = reasons(&vault, LEGAL, list_keep_reasons_request::Target::ItemId(item.clone())).await;
        assert_eq!(found[0].reasons.len(), left, "{hold}");
        kept(&vault, LEGAL, item, 1).await.expect("is still there");
    }
    assert_eq!((matter(&vault, &first).await.kept_item_count, matter(&vault, &second).await.kept_item_count), (0, 1));
    let released = release(&vault, &other).await;
    assert_eq!(released.erasure.expect("is stated").state(), ErasureState::Erased);
    assert_eq!(refused(kept(&vault, LEGAL, item, 1).await), "NOT_FOUND");
    vault.read(id, &created.items[1].item_id).await.expect("the account keeps the other");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_corrected_under_a_hold_stays_and_what_comes_after_it_only_if_asked() {
    let vault = TestVault::start();
    let created = vault.create(&["contact"]).await;
    let (id, item) = (&created.subject_id, &created.items[0].item_id);
    let first = vault.read(id, item).await.expect("reads");
    let case = open(&vault).await;
    placed(&vault, &case, id, whole(&[], false)).await;
    assert_eq!(update(&vault, id, item).await.state(), ErasureState::Kept);
    assert_eq!(update(&vault, id, item).await.state(), ErasureState::Erased, "the second version came after the hold");
    assert_eq!(full_name(&kept(&vault, LEGAL, item, 1).await.expect("is kept")), full_name(&first));
    assert_eq!(refused(kept(&vault, LEGAL, item, 2).await), "NOT_FOUND");
    // The newest is the account's; who may read what is kept reads it beside.
    let mut request = GetItemRequest { context: legal(&vault), subject: subject(id), ..Default::default() };
    (request.item_id, request.version) = (item.clone(), 1);
    let old = vault.client(LEGAL).get_item(request).await.expect("reads").into_inner().item.expect("an item");
    assert_eq!(full_name(&old), full_name(&first));
    assert_eq!(vault.read(id, item).await.expect("reads").version, 3);

    placed(&vault, &case, id, whole(&[], true)).await;
    assert_eq!(update(&vault, id, item).await.state(), ErasureState::Kept);
    assert_eq!(vault.delete(id, item).await.expect("deletes").state(), ErasureState::Kept, "a version yet to come");
    let found = reasons(&vault, LEGAL, list_keep_reasons_request::Target::MatterId(case)).await;
    assert_eq!(found.iter().map(|kept| kept.version).collect::<Vec<_>>(), [1, 3, 4]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hold_that_comes_after_a_deletion_is_refused_also_while_that_is_pending() {
    let mut vault = TestVault::start();
    let created = vault.create(&["contact", "contact"]).await;
    let (id, item) = (&created.subject_id, &created.items[0].item_id);
    let case = open(&vault).await;
    vault.stop();
    std::fs::rename(vault.dir().join("slots/b"), vault.dir().join("away")).expect("is moved");
    vault.run("");
    assert_eq!(vault.delete(id, item).await.expect("deletes").state(), ErasureState::Pending);
    assert_eq!(refused(place(&vault, &case, id, named(&[(item, 0)])).await), "ERASED");
    // One that came before wins, and what it keeps is there while the epoch is awaited.
    let other = &created.items[1].item_id;
    placed(&vault, &case, id, named(&[(other, 0)])).await;
    assert_eq!(vault.delete(id, other).await.expect("deletes").state(), ErasureState::Pending);
    kept(&vault, LEGAL, other, 0).await.expect("is kept");
    vault.stop();
    std::fs::rename(vault.dir().join("away"), vault.dir().join("slots/b")).expect("is moved");
    vault.run("");
    for _ in 0..100 {
        if vault.status().await.pending_erasure_count == 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    kept(&vault, LEGAL, other, 0).await.expect("is kept");
    assert_eq!(refused(kept(&vault, LEGAL, item, 0).await), "NOT_FOUND");
    assert_eq!(refused(place(&vault, &case, id, named(&[(other, 0)])).await), "ERASED");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_is_erased_but_for_what_is_held_and_the_receipt_says_so() {
    let mut vault = TestVault::start();
    let created = vault.create(&["contact", "payment"]).await;
    let (id, contact, payment) = (&created.subject_id, &created.items[0].item_id, &created.items[1].item_id);
    let before = vault.read(id, payment).await.expect("reads");
    let case = open(&vault).await;
    let hold_id = placed(&vault, &case, id, whole(&["payment"], true)).await;
    let mut privacy = PrivacyClient::new(vault.service(Some("privacy-officer")));
    let request = EraseSubjectRequest { context: legal(&vault), subject: subject(id), ..Default::default() };
    let answer = privacy.erase_subject(request).await.expect("erases").into_inner();
    let erasure = answer.erasure.expect("is stated");
    assert_eq!((erasure.state(), &erasure.keep_reasons[0].reason_id), (ErasureState::Kept, &case));
    let receipt = answer.receipt.expect("a receipt");
    let body = ReceiptBody::decode(&receipt.body[..]).expect("a statement");
    assert_eq!((body.kept_items.len(), &body.kept_items[0].item_id), (1, payment));
    let opening = &receipt.keep_reason_openings[0];
    let commitment = sha256(&[b"lacuna-keep-reason-v1\0", &opening.salt, &opening.reason]);
    assert_eq!(body.kept_items[0].reason_commitments, [commitment.to_vec()]);
    assert_eq!(KeepReason::decode(&opening.reason[..]).expect("a reason").reason_id, case);

    vault.kill();
    vault.run("");
    let item = kept(&vault, LEGAL, payment, 0).await.expect("is kept");
    assert!(item.value == before.value);
    assert_eq!((&item.subject_id[..], &item.receipt_id), ("", &erasure.receipt_id));
    assert_eq!(refused(kept(&vault, LEGAL, contact, 0).await), "NOT_FOUND");
    let found = reasons(&vault, LEGAL, list_keep_reasons_request::Target::ReceiptId(erasure.receipt_id.clone())).await;
    assert_eq!((found.len(), &found[0].subject_id[..], &found[0].item_id), (1, "", payment));
    let listed = hold(&vault, &hold_id).await;
    assert_eq!((&listed.subject_id[..], &listed.receipt_ids), ("", &vec![erasure.receipt_id.clone()]));
    assert_eq!(verdict(&vault, &erasure.receipt_id).await, (ErasureVerdict::PartlyKept, 1));

    let released = release(&vault, &hold_id).await;
    assert_eq!(released.erasure.expect("is stated").state(), ErasureState::Erased);
    assert_eq!(refused(kept(&vault, LEGAL, payment, 0).await), "NOT_FOUND");
    assert_eq!(verdict(&vault, &erasure.receipt_id).await, (ErasureVerdict::Erased, 0));
    let request =
        GetReceiptRequest { context: legal(&vault), receipt_id: erasure.receipt_id.clone(), ..Default::default() };
    let mut privacy = PrivacyClient::new(vault.service(Some("privacy-officer")));
    let whole = privacy.get_receipt(request).await.expect("gets").into_inner().receipt.expect("a receipt");
    assert_eq!((&whole.body, whole.supplementary.len()), (&receipt.body, 1), "the statement never changes");
    let supplement = ReceiptBody::decode(&whole.supplementary[0].body[..]).expect("a statement");
    assert_eq!((supplement.supplements_receipt_id, supplement.pseudonym), (body.receipt_id, body.pseudonym));
    assert_eq!((supplement.key_count, supplement.scope), (1, ErasureScope::KeepReason.into()));
    assert_eq!(vault.leaks(), vec![]);
}

pub async fn verdict(vault: &TestVault, receipt: &str) -> (ErasureVerdict, u64) {
    let target = Some(verify_erasure_request::Target::ReceiptId(receipt.into()));
    let request = VerifyErasureRequest { context: legal(vault), target };
    let mut privacy = PrivacyClient::new(vault.service(Some("privacy-officer")));
    let found = privacy.verify_erasure(request).await.expect("looks").into_inner();
    (found.verdict(), found.kept_item_count)
}

/// Where the program dies, counted from the call.
const KILLS: [&str; 6] = [
    "commit_before=return(kill)",
    "commit_after=return(kill)",
    "epoch_prepared=return(kill)",
    "epoch_destroy_before=return(kill)",
    "epoch_destroy_after=return(kill)",
    "epoch_finished=return(kill)",
];

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_any_step_a_held_item_is_there_until_its_hold_is_released_and_not_after() {
    let mut origin = TestVault::start();
    let created = origin.create(&["contact"]).await;
    let (id, item) = (&created.subject_id, &created.items[0].item_id);
    let hold_id = placed(&origin, &open(&origin).await, id, whole(&[], true)).await;
    origin.stop();
    for point in KILLS {
        let mut vault = origin.fork();
        vault.run("");
        vault.status().await;
        vault.stop();
        vault.run(&format!("log_round=pause;{point}"));
        let _ = vault.delete(id, item).await;
        vault.wait_for_death();
        vault.run("");
        if vault.read(id, item).await.is_ok() {
            assert_eq!(point, "commit_before=return(kill)", "nothing was durable");
            assert_eq!(vault.delete(id, item).await.expect("deletes").state(), ErasureState::Kept);
        }
        kept(&vault, LEGAL, item, 0).await.expect("is kept");

        let request = approved(&vault, &release_of(&vault, &hold_id)).await;
        vault.stop();
        vault.run("");
        vault.status().await;
        vault.stop();
        vault.run(&format!("log_round=pause;{point}"));
        assert!(holds(&vault, LEGAL).release_hold(request.clone()).await.is_err(), "{point}");
        vault.wait_for_death();
        vault.run("");
        if hold(&vault, &hold_id).await.state() == HoldState::Active {
            kept(&vault, LEGAL, item, 0).await.expect("is kept");
            holds(&vault, LEGAL).release_hold(request).await.expect("releases");
        }
        assert_eq!(refused(kept(&vault, LEGAL, item, 0).await), "NOT_FOUND", "{point}");
        for _ in 0..100 {
            if hold(&vault, &hold_id).await.state() == HoldState::Released {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert_eq!(hold(&vault, &hold_id).await.state(), HoldState::Released, "{point}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn kept_rows_that_are_swapped_or_put_back_are_refused() {
    let mut vault = TestVault::start();
    let created = vault.create(&["contact", "contact"]).await;
    let id = &created.subject_id;
    let case = open(&vault).await;
    let hold_id = placed(&vault, &case, id, whole(&[], true)).await;
    for item in &created.items {
        assert_eq!(vault.delete(id, &item.item_id).await.expect("deletes").state(), ErasureState::Kept);
    }
    vault.stop();
    vault.tamper();
    let records = |vault: &TestVault| vault.store().scan(Space::Kept, &[1], &[], 10).expect("reads");
    let before = records(&vault);
    let mut batch = Batch::new();
    batch.put(Space::Kept, before[0].0.clone(), before[1].1.clone());
    batch.put(Space::Kept, before[1].0.clone(), before[0].1.clone());
    vault.store().commit(batch).expect("writes");
    vault.run("");
    for item in &created.items {
        assert_eq!(refused(kept(&vault, LEGAL, &item.item_id, 0).await), "DATA_CORRUPT");
    }
    // Right again; then the whole of what is kept is put back after its end.
    vault.stop();
    let mut batch = Batch::new();
    before.iter().for_each(|(key, row)| batch.put(Space::Kept, key.clone(), row.clone()));
    vault.store().commit(batch).expect("writes");
    let all = vault.store().scan(Space::Kept, &[], &[], 100).expect("reads");
    vault.run("");
    release(&vault, &hold_id).await;
    vault.stop();
    let mut batch = Batch::new();
    all.iter().for_each(|(key, row)| batch.put(Space::Kept, key.clone(), row.clone()));
    vault.store().commit(batch).expect("writes");
    vault.run("");
    for item in &created.items {
        assert_eq!(refused(kept(&vault, LEGAL, &item.item_id, 0).await), "DATA_CORRUPT");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_requests_about_holds_are_refused_and_good_ones_may_be_repeated() {
    let vault = TestVault::start();
    let created = vault.create(&["contact", "contact"]).await;
    let (id, item) = (&created.subject_id, &created.items[0].item_id);
    let case = open(&vault).await;
    assert_eq!(refused(place(&vault, &case, id, named(&[])).await), "FIELD_REQUIRED");
    assert_eq!(refused(place(&vault, &case, id, whole(&["no_such"], true)).await), "CLASS_UNKNOWN");
    assert_eq!(refused(place(&vault, &case, id, named(&[(item, 2)])).await), "NOT_FOUND");
    assert_eq!(refused(place(&vault, "mat_aaaaaaaaaaaaaaaaaaaaaaaaaa", id, whole(&[], true)).await), "NOT_FOUND");
    let many = vec![(item.as_str(), 1); 1001];
    assert_eq!(refused(place(&vault, &case, id, named(&many)).await), "TOO_MANY");
    let mut request = PlaceHoldRequest {
        context: legal(&vault),
        matter_id: case.clone(),
        subject: subject(id),
        scope: Some(whole(&[], true)),
        include_access_history: false,
    };
    assert_eq!(matter(&vault, &case).await.hold_count, 0, "nothing of these was placed");

    request.context.as_mut().expect("is set").idempotency_key = vault.canary();
    let first = holds(&vault, LEGAL).place_hold(request.clone()).await.expect("places").into_inner();
    assert_eq!(holds(&vault, LEGAL).place_hold(request.clone()).await.expect("repeats").into_inner(), first);
    request.scope = Some(whole(&["contact"], true));
    assert_eq!(refused(holds(&vault, LEGAL).place_hold(request).await), "IDEMPOTENCY_KEY_REUSED");
    assert_eq!(matter(&vault, &case).await.hold_count, 1);
    let empty = OpenMatterRequest { context: legal(&vault), matter: Some(Matter::default()) };
    assert_eq!(refused(holds(&vault, LEGAL).open_matter(empty).await), "FIELD_REQUIRED");

    // A release needs somebody else, and is the same when it is sent again.
    let hold_id = first.hold.expect("a hold").hold_id;
    let kept = &created.items[1].item_id;
    assert_eq!(vault.delete(id, kept).await.expect("deletes").state(), ErasureState::Kept);
    let mut request = release_of(&vault, &hold_id);
    request.context.as_mut().expect("is set").idempotency_key = vault.canary();
    let request = approved(&vault, &request).await;
    let first = holds(&vault, LEGAL).release_hold(request.clone()).await.expect("releases").into_inner();
    assert_eq!(first.hold.as_ref().expect("a hold").state(), HoldState::Released);
    assert_eq!(first.erasure.as_ref().expect("something was kept").state(), ErasureState::Erased);
    assert_eq!(holds(&vault, LEGAL).release_hold(request).await.expect("repeats").into_inner(), first);
    assert_eq!(vault.delete(id, item).await.expect("deletes").state(), ErasureState::Erased);
}

#[tokio::test(flavor = "multi_thread")]
async fn while_a_hold_is_missing_from_the_store_nothing_of_its_person_is_forgotten() {
    let mut vault = TestVault::start();
    let created = vault.create(&["contact", "contact"]).await;
    let (id, item) = (&created.subject_id, &created.items[0].item_id);
    let case = open(&vault).await;
    placed(&vault, &case, id, whole(&[], true)).await;
    let second = placed(&vault, &case, id, whole(&["payment"], true)).await;
    release(&vault, &second).await;
    vault.stop();
    // The rows that lead from a person to holds in force.
    let rows = vault.store().scan(Space::Hold, &[5], &[], 10).expect("reads");
    assert_eq!(rows.len(), 1);
    let mut batch = Batch::new();
    batch.delete(Space::Hold, rows[0].0.clone());
    vault.store().commit(batch).expect("writes");
    vault.run("");
    assert_eq!(refused(vault.delete(id, item).await), "DATA_CORRUPT");
    assert_eq!(refused(vault.erase(id, "").await), "DATA_CORRUPT");
    let update = UpdateItemRequest {
        context: vault.delivery(),
        subject: subject(id),
        item_id: item.clone(),
        value: vault.item("contact").value,
        ..Default::default()
    };
    assert_eq!(refused(vault.client("service").update_item(update).await), "DATA_CORRUPT");
    vault.read(id, item).await.expect("is still there");
    // Put back, it is heeded.
    vault.stop();
    let mut batch = Batch::new();
    batch.put(Space::Hold, rows[0].0.clone(), rows[0].1.clone());
    vault.store().commit(batch).expect("writes");
    vault.run("");
    assert_eq!(vault.delete(id, item).await.expect("deletes").state(), ErasureState::Kept);
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_of_matters_and_holds_that_were_changed_or_exchanged_are_refused() {
    let mut vault = TestVault::start();
    let created = vault.create(&["contact", "contact"]).await;
    let (id, item) = (&created.subject_id, &created.items[0].item_id);
    let (case, other) = (open(&vault).await, open(&vault).await);
    let hold_id = placed(&vault, &case, id, whole(&["contact"], true)).await;
    vault.stop();
    let row = |vault: &TestVault, space| vault.store().scan(space, &[1], &[], 10).expect("reads").remove(0);
    for (space, from, to) in [(Space::Hold, &b"contact"[..], &b"payment"[..]), (Space::Matter, &[][..], &[][..])] {
        let (key, whole) = row(&vault, space);
        let mut changed = whole.clone();
        match changed.windows(from.len().max(1)).position(|part| part == from) {
            Some(at) => changed[at..at + to.len()].copy_from_slice(to),
            None => changed[40] ^= 1, // a count, or a time
        }
        let put = |vault: &TestVault, value: &[u8]| {
            let mut batch = Batch::new();
            batch.put(space, key.clone(), value.to_vec());
            vault.store().commit(batch).expect("writes");
        };
        put(&vault, &changed);
        vault.run("");
        match space {
            Space::Hold => {
                assert_eq!(refused(vault.delete(id, item).await), "DATA_CORRUPT");
                assert_eq!(
                    refused(holds(&vault, LEGAL).release_hold(release_of(&vault, &hold_id)).await),
                    "DATA_CORRUPT"
                );
            }
            _ => {
                let list = ListMattersRequest { context: legal(&vault), ..Default::default() };
                assert_eq!(refused(holds(&vault, LEGAL).list_matters(list).await), "DATA_CORRUPT");
            }
        }
        vault.stop();
        put(&vault, &whole);
    }
    // What a hold keeps, taken away from it: it cannot be released without it, else that would stay for ever.
    vault.run("");
    assert_eq!(vault.delete(id, item).await.expect("deletes").state(), ErasureState::Kept);
    vault.stop();
    let (key, value) = vault.store().scan(Space::Kept, &[4], &[], 10).expect("reads").remove(0);
    let mut batch = Batch::new();
    batch.delete(Space::Kept, key.clone());
    vault.store().commit(batch).expect("writes");
    vault.run("");
    let request = approved(&vault, &release_of(&vault, &hold_id)).await;
    assert_eq!(refused(holds(&vault, LEGAL).release_hold(request).await), "DATA_CORRUPT");
    vault.stop();
    let mut batch = Batch::new();
    batch.put(Space::Kept, key, value);
    vault.store().commit(batch).expect("writes");
    vault.run("");
    assert_eq!(release(&vault, &hold_id).await.supplementary_receipt_ids.len(), 1);
    let close = CloseMatterRequest { context: legal(&vault), matter_id: other, ..Default::default() };
    holds(&vault, LEGAL).close_matter(close).await.expect("closes");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_would_read_what_is_kept_is_explained_to_those_who_may_ask_why_it_is() {
    let vault = TestVault::start();
    let created = vault.create(&["contact"]).await;
    let (id, item) = (&created.subject_id, &created.items[0].item_id);
    let case = open(&vault).await;
    placed(&vault, &case, id, whole(&[], true)).await;
    let ask = async |client: &str, role: &str, named: bool, operation: &str| {
        let request = CheckAccessRequest {
            context: legal(&vault),
            caller: format!("spiffe://{DEV_TRUST_DOMAIN}/{role}"),
            role: role.into(),
            purpose: "legal_compliance".into(),
            operation: format!("lacuna.v1.Vault/{operation}"),
            subject: if named { subject(id) } else { None },
            item_id: item.clone(),
            ..Default::default()
        };
        let answer = vault.client(client).check_access(request).await.map_err(|status| reason(&status))?.into_inner();
        Ok::<_, String>(if answer.allowed { "OK".to_owned() } else { answer.reason().as_str_name().to_owned() })
    };
    let absent = || Ok("ERROR_REASON_NOT_FOUND".to_owned());
    assert_eq!(ask(LEGAL, "kyc", true, "GetItem").await, Ok("OK".into()), "as long as the account has it");
    assert_eq!(ask(LEGAL, LEGAL, false, "GetItem").await, absent(), "it is not kept");
    assert_eq!(vault.delete(id, item).await.expect("deletes").state(), ErasureState::Kept);
    for client in [LEGAL, "privacy-officer"] {
        for named in [true, false] {
            assert_eq!(ask(client, LEGAL, named, "GetItem").await, Ok("OK".into()), "{client}");
            assert_eq!(ask(client, "kyc", named, "GetItem").await, absent(), "{client}");
        }
    }
    let delete =
        DeleteItemRequest { context: legal(&vault), subject: subject(id), item_id: item.clone(), ..Default::default() };
    let real = refused(vault.client(LEGAL).delete_item(delete).await);
    assert_eq!(ask(LEGAL, LEGAL, true, "DeleteItem").await, Ok(format!("ERROR_REASON_{real}")), "as the call itself");
    vault.erase(id, "").await.expect("erases");
    assert_eq!(ask(LEGAL, LEGAL, false, "GetItem").await, Ok("OK".into()));
    assert_eq!(ask("auditor", LEGAL, false, "GetItem").await, Err("ACCESS_DENIED".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_go_on_where_a_page_ended() {
    let vault = TestVault::start();
    let created = vault.create(&["contact", "contact", "contact"]).await;
    let id = &created.subject_id;
    let case = open(&vault).await;
    for _ in 0..3 {
        placed(&vault, &case, id, whole(&[], true)).await;
    }
    vault.delete(id, &created.items[1].item_id).await.expect("deletes");
    let (mut token, mut found) = (String::new(), Vec::new());
    loop {
        let request = ListHoldsRequest {
            context: legal(&vault),
            matter_id: case.clone(),
            page_size: 2,
            page_token: token.clone(),
            ..Default::default()
        };
        let page = holds(&vault, LEGAL).list_holds(request).await.expect("lists").into_inner();
        found.extend(page.holds.into_iter().map(|hold| hold.hold_id));
        token = page.next_page_token;
        if token.is_empty() {
            break;
        }
    }
    found.sort();
    found.dedup();
    assert_eq!(found.len(), 3);
    let target = Some(list_keep_reasons_request::Target::Subject(subject(id).expect("is set")));
    let (mut token, mut items) = (String::new(), Vec::new());
    loop {
        let (context, target) = (legal(&vault), target.clone());
        let request = ListKeepReasonsRequest { context, target, page_size: 1, page_token: token, kept_only: false };
        let page = holds(&vault, LEGAL).list_keep_reasons(request).await.expect("lists").into_inner();
        items.extend(page.items.into_iter().map(|kept| (kept.item_id, kept.reasons.len())));
        token = page.next_page_token;
        if token.is_empty() {
            break;
        }
    }
    let mut wanted: Vec<_> = created.items.iter().map(|stamp| (stamp.item_id.clone(), 2)).collect();
    wanted[1].1 = 1; // the account no longer keeps it
    wanted.sort();
    items.sort();
    assert_eq!(items, wanted, "each once");
    let foreign = ListHoldsRequest { context: legal(&vault), page_token: "x".into(), ..Default::default() };
    assert_eq!(refused(holds(&vault, LEGAL).list_holds(foreign).await), "PAGE_TOKEN_INVALID");
}
