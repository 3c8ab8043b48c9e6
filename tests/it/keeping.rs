//! What holds and periods keep, as its receipts state it, as who has the keys finds it, and after somebody changed rows of it.

use std::collections::{BTreeMap, BTreeSet};

use lacuna::api::proto::*;
use lacuna::base::id::ReceiptId;
use lacuna::base::secret::Secret;
use lacuna::crypto::hash::sha256;
use lacuna::keys::outer::OuterKey as _;
use lacuna::keys::outer::file::KeyFile;
use lacuna::keys::page::name_of;
use lacuna::store::Engine as _;
use lacuna::store::batch::Batch;
use lacuna::store::keyspace::Space;
use prost::Message as _;
use tonic_types::StatusExt as _;

use crate::attacker::Attacker;
use crate::holds::{
    LEGAL, approved, holds, kept, legal, named, open, placed, refused, release, release_of, verdict, whole,
};
use crate::periods::with_periods;
use crate::program::subject;
use crate::vault::TestVault;

/// Names of all keys that there are in a stopped vault, as receipts call them.
fn key_names(vault: &TestVault) -> BTreeSet<Vec<u8>> {
    let store = vault.store();
    let records = |space: &Space| store.scan(*space, &[], &[], usize::MAX).expect("reads");
    let outer = KeyFile::at(vault.dir().join("outer.key")).key().expect("the outer key");
    let keys = Attacker::new(outer, Space::ALL.iter().flat_map(records).collect()).keys(&vault.dir().join("slots"));
    keys.iter().map(|key| name_of(&Secret::copied(key)).to_vec()).collect()
}

async fn statement(vault: &TestVault, receipt: &str) -> ReceiptBody {
    ReceiptBody::decode(&vault.receipt(receipt).await.expect("gets").body[..]).expect("a statement")
}

/// A hold that also keeps who read the data.
async fn with_history(vault: &TestVault, matter: &str, subject_id: &str) -> String {
    let request = PlaceHoldRequest {
        context: legal(vault),
        matter_id: matter.into(),
        subject: subject(subject_id),
        scope: Some(whole(&[], true)),
        include_access_history: true,
    };
    holds(vault, LEGAL).place_hold(request).await.expect("places").into_inner().hold.expect("a hold").hold_id
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_a_receipt_calls_gone_is_in_no_tree_and_every_other_is() {
    let mut vault = TestVault::start();
    let created = vault.create(&["contact", "payment", "contact"]).await;
    let (id, items) = (&created.subject_id, &created.items);
    let (first, second) = (open(&vault).await, open(&vault).await);
    let one = placed(&vault, &first, id, named(&[(&items[0].item_id, 0), (&items[1].item_id, 0)])).await;
    let other = with_history(&vault, &second, id).await;
    let again = with_history(&vault, &first, id).await;
    // A deletion and the end of the person, each of which two matters outlive.
    let deleted = vault.delete(id, &items[0].item_id).await.expect("deletes");
    let erased = vault.erase(id, "").await.expect("erases").erasure.expect("is stated");
    assert_eq!([deleted.state(), erased.state()], [ErasureState::Kept; 2]);
    let receipts = [deleted.receipt_id, erased.receipt_id];
    let mut stated = BTreeSet::new();
    for (receipt, count) in receipts.iter().zip([0, 2]) {
        let body = statement(&vault, receipt).await;
        assert_eq!(
            (body.key_ids.len() as u64, body.key_count),
            (count, count),
            "of the person, its page and its record"
        );
        stated.extend(body.key_ids);
    }
    vault.stop();
    let before = key_names(&vault);
    assert!(stated.is_disjoint(&before), "gone is gone");

    vault.run("");
    for hold in [&one, &again] {
        assert_eq!(release(&vault, hold).await.supplementary_receipt_ids, Vec::<String>::new(), "another has it");
    }
    let supplements = release(&vault, &other).await.supplementary_receipt_ids;
    assert_eq!(supplements.len(), 2, "one for the deletion, one for the person");
    let mut gone = BTreeSet::new();
    for supplement in &supplements {
        gone.extend(statement(&vault, supplement).await.key_ids);
    }
    assert_eq!(gone.len(), 4, "three items and the audit key");
    assert!(gone.is_subset(&before), "they were there until now");
    vault.stop();
    let now = key_names(&vault);
    assert!(gone.is_disjoint(&now) && stated.is_disjoint(&now), "of every reason's copy nothing is left");
    assert!(now.len() > 10, "the search works");
}

#[tokio::test(flavor = "multi_thread")]
async fn receipts_list_each_kept_version_with_every_reason_that_keeps_it() {
    let vault = TestVault::start_with(with_periods);
    let created = vault.create(&["payment", "contact", "government_id"]).await;
    let (id, items) = (&created.subject_id, &created.items);
    let payment = &items[0].item_id;
    let (first, second) = (open(&vault).await, open(&vault).await);
    placed(&vault, &first, id, whole(&["payment", "contact"], true)).await;
    placed(&vault, &first, id, named(&[(payment, 0)])).await;
    placed(&vault, &second, id, whole(&[], false)).await;
    let read = async |version| {
        let item = kept(&vault, LEGAL, payment, version).await.expect("legal reads it");
        (item.version, item.receipt_id)
    };
    let request = UpdateItemRequest {
        context: vault.delivery(),
        subject: subject(id),
        item_id: payment.clone(),
        value: vault.item("payment").value,
        wait: Wait::Erased.into(),
        ..Default::default()
    };
    let corrected = vault.client("service").update_item(request).await.expect("corrects").into_inner();
    let corrected = corrected.erasure.expect("is stated").receipt_id;
    assert_eq!(read(1).await, (1, corrected.clone()));
    let (one, two) = (first.as_str(), second.as_str());
    assert_eq!(listed(&vault, &corrected).await, BTreeMap::from([of(payment, 1, "payment", &[one, two, "tax"])]));

    let deleted = vault.delete(id, payment).await.expect("deletes").receipt_id;
    // The second version came after the hold of the second matter.
    assert_eq!(listed(&vault, &deleted).await, BTreeMap::from([of(payment, 2, "payment", &[one, "tax"])]));
    assert_eq!(read(2).await, (2, deleted));

    let erased = vault.erase(id, "").await.expect("erases").erasure.expect("is stated").receipt_id;
    let contact = of(&items[1].item_id, 1, "contact", &[one, two, "claims"]);
    let passport = of(&items[2].item_id, 1, "government_id", &[two]);
    assert_eq!(listed(&vault, &erased).await, BTreeMap::from([contact, passport]));
    assert_eq!(verdict(&vault, &erased).await, (ErasureVerdict::PartlyKept, 2));
}

type Listed = ((String, u64, String), BTreeSet<String>);

fn of(item: &str, version: u64, class: &str, reasons: &[&str]) -> Listed {
    ((item.into(), version, class.into()), reasons.iter().map(|reason| (*reason).to_owned()).collect())
}

/// What a receipt lists as kept, each with the ids of the reasons that its commitments open to: none is left over.
async fn listed(vault: &TestVault, receipt: &str) -> BTreeMap<(String, u64, String), BTreeSet<String>> {
    let receipt = vault.receipt(receipt).await.expect("gets");
    let body = ReceiptBody::decode(&receipt.body[..]).expect("a statement");
    let mut openings = receipt.keep_reason_openings;
    let mut listed = BTreeMap::new();
    for kept in body.kept_items {
        let mut reasons = BTreeSet::new();
        for stated in &kept.reason_commitments {
            let opens = |opening: &KeepReasonOpening| {
                sha256(&[b"lacuna-keep-reason-v1\0", &opening.salt, &opening.reason])[..] == stated[..]
            };
            let opening = openings.remove(openings.iter().position(opens).expect("its opening"));
            reasons.insert(KeepReason::decode(&opening.reason[..]).expect("a reason").reason_id);
        }
        assert_eq!(reasons.len(), kept.reason_commitments.len(), "each once");
        listed.insert((kept.item_id, kept.version, kept.class), reasons);
    }
    assert!(openings.is_empty(), "{openings:?}");
    listed
}

#[tokio::test(flavor = "multi_thread")]
async fn an_approval_releases_the_hold_that_it_was_given_for_and_once() {
    let vault = TestVault::start();
    let created = vault.create(&["contact"]).await;
    let (id, item) = (&created.subject_id, &created.items[0].item_id);
    let case = open(&vault).await;
    let (one, other) =
        (placed(&vault, &case, id, whole(&[], true)).await, placed(&vault, &case, id, whole(&[], true)).await);
    assert_eq!(vault.delete(id, item).await.expect("deletes").state(), ErasureState::Kept);
    assert_eq!(
        refused(holds(&vault, LEGAL).release_hold(release_of(&vault, &one)).await),
        "APPROVAL_REQUIRED",
        "nobody releases alone"
    );
    let mut early = release_of(&vault, &one);
    let status = holds(&vault, LEGAL).release_hold(early.clone()).await.expect_err("needs another person");
    let asked = status.get_details_error_info().expect("details").metadata["approval_id"].clone();
    early.context.as_mut().expect("is set").approval_id = asked;
    assert_eq!(refused(holds(&vault, LEGAL).release_hold(early).await), "APPROVAL_INVALID", "nobody has agreed yet");
    let request = approved(&vault, &release_of(&vault, &one)).await;
    let misused = ReleaseHoldRequest { hold_id: other.clone(), ..request.clone() };
    assert_eq!(refused(holds(&vault, LEGAL).release_hold(misused.clone()).await), "APPROVAL_INVALID");
    holds(&vault, LEGAL).release_hold(request).await.expect("releases");
    assert_eq!(refused(holds(&vault, LEGAL).release_hold(misused).await), "APPROVAL_INVALID");
    kept(&vault, LEGAL, item, 1).await.expect("the other hold keeps it");
    assert_eq!(release(&vault, &other).await.supplementary_receipt_ids.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_said_of_a_kept_version_is_refused_beside_another_and_its_row_is_not() {
    let mut vault = TestVault::start();
    let created = vault.create(&["contact", "contact"]).await;
    let (id, items) = (&created.subject_id, &created.items);
    let hold = placed(&vault, &open(&vault).await, id, whole(&[], true)).await;
    let mut receipts = Vec::new();
    for item in items {
        receipts.push(vault.delete(id, &item.item_id).await.expect("deletes").receipt_id);
    }
    vault.stop();
    let whole = rows(&vault, Space::Kept, 1);
    // What is said, with its code; and the item's row behind it, which stays.
    let said = |row: &[u8]| {
        let len = u32::from_be_bytes(row[..4].try_into().expect("four bytes")) as usize;
        4 + len + 32
    };
    let spliced = |at: usize| {
        let (own, other) = (&whole[at].1, &whole[1 - at].1);
        (whole[at].0.clone(), [&other[..said(other)], &own[said(own)..]].concat())
    };
    put(&vault, Space::Kept, &[spliced(0), spliced(1)]);
    vault.run("");
    for item in items {
        assert_eq!(refused(kept(&vault, LEGAL, &item.item_id, 0).await), "DATA_CORRUPT");
    }
    vault.stop();
    put(&vault, Space::Kept, &whole);
    vault.run("");
    for (item, receipt) in items.iter().zip(&receipts) {
        assert_eq!(&kept(&vault, LEGAL, &item.item_id, 0).await.expect("legal reads it").receipt_id, receipt);
    }
    assert_eq!(release(&vault, &hold).await.supplementary_receipt_ids.len(), 2);
}

/// Exchanges, or puts back, rows of a stopped vault.
fn put(vault: &TestVault, space: Space, rows: &[(Vec<u8>, Vec<u8>)]) {
    let mut batch = Batch::new();
    rows.iter().for_each(|(key, row)| batch.put(space, key.clone(), row.clone()));
    vault.store().commit(batch).expect("writes");
}

fn rows(vault: &TestVault, space: Space, tag: u8) -> Vec<(Vec<u8>, Vec<u8>)> {
    vault.store().scan(space, &[tag], &[], usize::MAX).expect("reads")
}

fn exchanged(rows: &[(Vec<u8>, Vec<u8>)]) -> Vec<(Vec<u8>, Vec<u8>)> {
    assert_eq!(rows.len(), 2);
    vec![(rows[0].0.clone(), rows[1].1.clone()), (rows[1].0.clone(), rows[0].1.clone())]
}

#[tokio::test(flavor = "multi_thread")]
async fn older_rows_of_holds_and_rows_that_lead_to_those_of_others_are_refused() {
    let mut vault = TestVault::start();
    let (ann, ben) = (vault.create(&["contact"]).await, vault.create(&["contact"]).await);
    let case = open(&vault).await;
    let hold = placed(&vault, &case, &ann.subject_id, whole(&[], true)).await;
    placed(&vault, &case, &ben.subject_id, whole(&["payment"], true)).await;
    vault.stop();
    vault.tamper();
    // The rows that lead from persons to their holds, each to the other's: Ann's would cover no contact then.
    let links = rows(&vault, Space::Hold, 5);
    let ids = |at: usize| (links[at].0[..17].to_vec(), links[at].0[17..].to_vec());
    let ((first, held), (second, other)) = (ids(0), ids(1));
    let mut batch = Batch::new();
    links.iter().for_each(|(key, _)| batch.delete(Space::Hold, key.clone()));
    batch.put(Space::Hold, [first, other].concat(), []);
    batch.put(Space::Hold, [second, held].concat(), []);
    vault.store().commit(batch).expect("writes");
    vault.run("");
    for person in [&ann, &ben] {
        let deleted = vault.delete(&person.subject_id, &person.items[0].item_id).await;
        assert_eq!(refused(deleted), "DATA_CORRUPT");
    }
    vault.stop();
    let wrong = rows(&vault, Space::Hold, 5);
    let mut batch = Batch::new();
    wrong.iter().for_each(|(key, _)| batch.delete(Space::Hold, key.clone()));
    vault.store().commit(batch).expect("writes");
    put(&vault, Space::Hold, &links);
    // A hold as it was before it kept anything, and as it was before its release.
    let before = rows(&vault, Space::Hold, 1);
    vault.run("");
    let deleted = vault.delete(&ann.subject_id, &ann.items[0].item_id).await.expect("deletes");
    assert_eq!(deleted.state(), ErasureState::Kept);
    vault.stop();
    let keeping = rows(&vault, Space::Hold, 1);
    put(&vault, Space::Hold, &before);
    vault.run("");
    assert_eq!(refused(holds(&vault, LEGAL).release_hold(release_of(&vault, &hold)).await), "DATA_CORRUPT");
    vault.stop();
    put(&vault, Space::Hold, &keeping);
    vault.run("");
    release(&vault, &hold).await;
    vault.stop();
    put(&vault, Space::Hold, &keeping);
    vault.run("");
    let list = ListHoldsRequest { context: legal(&vault), ..Default::default() };
    assert_eq!(refused(holds(&vault, LEGAL).list_holds(list).await), "DATA_CORRUPT");
}

#[tokio::test(flavor = "multi_thread")]
async fn changed_ends_of_periods_and_exchanged_access_histories_are_refused() {
    let mut vault = TestVault::start_with(with_periods);
    let created = vault.create(&["payment", "contact"]).await;
    let (id, items) = (&created.subject_id, &created.items);
    let case = open(&vault).await;
    let mut receipts = Vec::new();
    for person in [&vault.create(&[]).await.subject_id, id] {
        with_history(&vault, &case, person).await;
        receipts.push(vault.erase(person, "").await.expect("erases").erasure.expect("is stated").receipt_id);
    }
    kept(&vault, LEGAL, &items[0].item_id, 0).await.expect("legal reads it");
    vault.stop();
    let (ends, histories) = (rows(&vault, Space::PeriodEnd, 1), rows(&vault, Space::Kept, 9));
    // Each end some weeks off: behind the name of the period.
    let earlier = |(key, row): &(Vec<u8>, Vec<u8>)| {
        let name = [&b"tax"[..], b"claims"].into_iter().find_map(|name| {
            let at = row.windows(name.len()).position(|part| part == name)?;
            Some(at + name.len())
        });
        let mut row = row.clone();
        row[name.expect("its name") + 4] ^= 1;
        (key.clone(), row)
    };
    put(&vault, Space::PeriodEnd, &ends.iter().map(earlier).collect::<Vec<_>>());
    put(&vault, Space::Kept, &exchanged(&histories));
    vault.run("");
    for period in ["tax", "claims"] {
        let target = Some(list_keep_reasons_request::Target::PeriodId(period.into()));
        let request = ListKeepReasonsRequest { context: legal(&vault), target, ..Default::default() };
        assert_eq!(refused(holds(&vault, LEGAL).list_keep_reasons(request).await), "DATA_CORRUPT", "{period}");
    }
    let history = async |vault: &TestVault, receipt: &str| {
        let filter = Some(AuditFilter { history_receipt_id: receipt.into(), ..Default::default() });
        let request = ListEntriesRequest { context: legal(vault), filter, ..Default::default() };
        let mut client = audit_client::AuditClient::new(vault.service(Some(LEGAL)));
        let stream = client.list_entries(request).await.map_err(|status| crate::samples::reason(&status))?.into_inner();
        let messages = vault.gather(stream).await.map_err(|status| crate::samples::reason(&status))?;
        Ok::<_, String>(messages.into_iter().map(|message| message.entries.len()).sum::<usize>())
    };
    for receipt in &receipts {
        assert_eq!(history(&vault, receipt).await, Err("DATA_CORRUPT".into()));
    }
    vault.stop();
    put(&vault, Space::PeriodEnd, &ends);
    put(&vault, Space::Kept, &histories);
    vault.run("");
    for receipt in &receipts {
        assert!(history(&vault, receipt).await.expect("is listed") > 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn older_and_changed_rows_of_matters_holds_and_periods_are_refused() {
    let mut vault = TestVault::start_with(with_periods);
    let created = vault.create(&["payment", "payment"]).await;
    let (id, items) = (&created.subject_id, &created.items);
    let case = open(&vault).await;
    vault.delete(id, &items[0].item_id).await.expect("deletes");
    vault.stop();
    let older = [Space::Matter, Space::PeriodEnd].map(|space| (space, rows(&vault, space, 1)));
    vault.run("");
    placed(&vault, &case, id, whole(&[], true)).await;
    vault.delete(id, &items[1].item_id).await.expect("deletes");
    vault.stop();
    let spaces = [Space::Matter, Space::PeriodEnd, Space::Hold];
    let now = spaces.map(|space| (space, rows(&vault, space, 1)));
    let changed = now.clone().map(|(space, rows)| (space, rows.into_iter().map(last_said_changed).collect()));
    for (space, wrong) in older.into_iter().chain(changed) {
        put(&vault, space, &wrong);
        vault.run("");
        assert_eq!(refused(shown(&vault, space).await), "DATA_CORRUPT", "{}", space.name());
        vault.stop();
        now.iter().for_each(|(space, right)| put(&vault, *space, right));
    }
    vault.run("");
    for space in spaces {
        assert_eq!(refused(shown(&vault, space).await), "", "{}", space.name());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_release_is_called_erased_where_its_statement_says_so() {
    let mut vault = TestVault::start();
    let created = vault.create(&["contact", "contact", "contact", "contact"]).await;
    let (id, items) = (&created.subject_id, &created.items);
    let (first, second) = (open(&vault).await, open(&vault).await);
    let both = placed(&vault, &first, id, named(&[(&items[0].item_id, 0), (&items[1].item_id, 0)])).await;
    let other = placed(&vault, &second, id, named(&[(&items[1].item_id, 0)])).await;
    for item in &items[..2] {
        assert_eq!(vault.delete(id, &item.item_id).await.expect("deletes").state(), ErasureState::Kept);
    }
    let mut requests = Vec::new();
    for hold in [&both, &other] {
        let mut request = release_of(&vault, hold);
        request.context.as_mut().expect("is set").idempotency_key = vault.canary();
        requests.push(approved(&vault, &request).await);
    }
    let again = async |vault: &TestVault, at: usize| holds(vault, LEGAL).release_hold(requests[at].clone()).await;
    let told = [again(&vault, 0).await, again(&vault, 1).await].map(|told| told.expect("releases").into_inner());
    let states = told.each_ref().map(|told| told.erasure.as_ref().expect("is stated").state());
    assert_eq!(states, [ErasureState::Kept, ErasureState::Erased], "the other one keeps what is in both");
    vault.stop();

    let all = vault.store().scan(Space::Receipt, &[], &[], usize::MAX).expect("reads");
    let supplement = |at: usize| {
        let id: ReceiptId = told[at].supplementary_receipt_ids[0].parse().expect("an id");
        all.iter().find(|(key, _)| key == id.as_bytes()).expect("is there")
    };
    let [(of_both, row), (_, of_other)] = [supplement(0), supplement(1)];
    let [(copies, _)] = &all.iter().filter(|(_, row)| row[0] == 1).collect::<Vec<_>>()[..] else { panic!("one act") };
    let mut unsigned = row.clone();
    unsigned[row.len() / 2] ^= 1;
    // Pending by the number of an intent that is carried out.
    let by_number = |head: &[u8]| [head, &1u64.to_be_bytes()].concat();
    let forged = [
        ("another's statement", of_both, of_other.clone(), None),
        ("a statement that nobody signed", of_both, unsigned, None),
        ("a number", of_both, by_number(&[2, 1, row[2], row[3]]), Some(&items[2])),
        ("a number of an act without a statement", copies, by_number(&[1, 1]), Some(&items[3])),
    ];
    for (name, key, row, more) in forged {
        put(&vault, Space::Receipt, &[(key.clone(), row)]);
        vault.run("");
        if let Some(item) = more {
            // By their numbers a process knows those intents alone that it has carried out, or that came before them.
            assert_eq!(vault.delete(id, &item.item_id).await.expect("deletes").state(), ErasureState::Erased);
        }
        assert_eq!(refused(again(&vault, 0).await), "DATA_CORRUPT", "{name}");
        vault.stop();
        put(&vault, Space::Receipt, &all);
    }
    vault.run("");
    for (at, told) in told.into_iter().enumerate() {
        assert_eq!(again(&vault, at).await.expect("repeats").into_inner(), told);
    }
}

/// The row with the last bit of what it says in clear changed; its code stays.
fn last_said_changed((key, mut row): (Vec<u8>, Vec<u8>)) -> (Vec<u8>, Vec<u8>) {
    let said = u32::from_be_bytes(row[..4].try_into().expect("four bytes")) as usize;
    row[3 + said] ^= 1;
    (key, row)
}

/// What lists matters, holds, or what a period keeps.
async fn shown(vault: &TestVault, space: Space) -> Result<(), tonic::Status> {
    let (mut client, context) = (holds(vault, LEGAL), legal(vault));
    match space {
        Space::Matter => client.list_matters(ListMattersRequest { context, ..Default::default() }).await.map(drop),
        Space::Hold => client.list_holds(ListHoldsRequest { context, ..Default::default() }).await.map(drop),
        _ => {
            let target = Some(list_keep_reasons_request::Target::PeriodId("tax".into()));
            let request = ListKeepReasonsRequest { context, target, ..Default::default() };
            client.list_keep_reasons(request).await.map(drop)
        }
    }
}
