//! Purges: what they cover, when their entry comes, and who is told.

use std::time::Duration;

use crate::audit::event::{About, Outcome};
use crate::audit::leaf::Leaf;
use crate::base::id::ReceiptId;
use crate::erasure::evidence::{self, Receipt};
use crate::erasure::subject::{EraseSubject, erase};
use crate::erasure::verify::{self, Finding, Which};
use crate::gate::purge;
use crate::gate::receipts::Ground;
use crate::items::model::{SubjectRef, Wait};
use crate::items::tests::{Bench, HOUR};
use crate::policy::action::Action;
use crate::policy::caller::RoleId;

const AT_ONCE: Duration = Duration::ZERO;
const A_WEEK: Duration = Duration::from_secs(7 * 24 * 3600);

async fn officer(bench: &Bench, action: Action) -> crate::gate::call::Call {
    bench.call_as("office", RoleId::PrivacyOfficer, "legal_compliance", action, "", "").await
}

/// Somebody who was there and is erased: the receipt and the epoch.
async fn erased(bench: &Bench) -> (ReceiptId, u64) {
    let (subject, _) = bench.person(&["Ann"]).await;
    let wanted = EraseSubject { subject: SubjectRef::Id(subject), ground: Ground::Request, wait: Wait::Erased };
    let call = officer(bench, Action::EraseSubject).await;
    let (erasure, _) = erase(&bench.vault, &call, wanted).await.expect("erases");
    (erasure.receipt, erasure.epoch)
}

async fn receipt_of(bench: &Bench, id: ReceiptId) -> Receipt {
    let call = officer(bench, Action::GetReceipt).await;
    let wanted = evidence::Wanted { receipt: id, kept: 0, token: String::new() };
    evidence::receipt(&bench.vault, &call, wanted).await.expect("is there").0
}

async fn finding(bench: &Bench, id: ReceiptId) -> Finding {
    let call = officer(bench, Action::VerifyErasure).await;
    verify::verify(&bench.vault, &call, Which::Receipt(id)).await.expect("looks")
}

fn ends(bench: &Bench) -> Vec<Leaf> {
    bench.leaves().into_iter().filter(|leaf| leaf.operation == purge::DONE).collect()
}

#[tokio::test]
async fn a_pass_covers_what_was_forgotten_before_it_began_and_the_entry_comes_at_its_end() {
    let bench = Bench::new();
    assert_eq!(bench.purge(AT_ONCE).await.running, None, "nothing is forgotten");
    let (first, before) = erased(&bench).await;
    bench.hold_purge(true);
    let running = bench.purge(AT_ONCE).await.running.expect("has begun");
    assert_eq!(running.through, before);
    let (second, during) = erased(&bench).await;
    assert!(during > before);
    assert_eq!(bench.purge(AT_ONCE).await.running, Some(running), "the same, held");
    assert!(ends(&bench).is_empty(), "nothing is said before the engine is done");
    assert!(!finding(&bench, first).await.purged && receipt_of(&bench, first).await.later.purged.is_none());

    bench.hold_purge(false);
    let done = bench.purge(AT_ONCE).await;
    assert_eq!((done.through, done.running), (before, None), "not what came after its start");
    let said = ends(&bench);
    assert_eq!((said.len(), said[0].epoch, said[0].outcome), (1, before, Outcome::Done));
    assert!(matches!(said[0].about, About::Erasure(_)));
    assert!(finding(&bench, first).await.purged && !finding(&bench, second).await.purged);
    let shown = receipt_of(&bench, first).await.later.purged.expect("is shown");
    assert_eq!(shown.index, said[0].sequence);
    assert!(receipt_of(&bench, second).await.later.purged.is_none());

    let done = bench.purge(AT_ONCE).await;
    assert!(done.through >= during && ends(&bench).len() == 2);
    assert_eq!(receipt_of(&bench, first).await.later.purged.expect("is shown").index, said[0].sequence, "the first");
    assert!(finding(&bench, second).await.purged);
}

#[tokio::test]
async fn a_pass_begins_by_itself_when_something_is_as_old_as_configured() {
    let bench = Bench::new();
    bench.purge(A_WEEK).await;
    let (receipt, epoch) = erased(&bench).await;
    bench.at(6 * 24 * HOUR);
    assert_eq!(bench.purge(A_WEEK).await.running, None);
    let status = bench.vault.status();
    assert!(status.unpurged_since.is_some() && !status.purge_overdue);
    bench.at(7 * 24 * HOUR);
    let done = bench.purge(A_WEEK).await;
    assert!(done.running.is_none() && done.through >= epoch);
    assert!(finding(&bench, receipt).await.purged);
    bench.at(8 * 24 * HOUR);
    bench.purge(A_WEEK).await;
    assert_eq!(ends(&bench).len(), 1, "once");
}

#[tokio::test]
async fn what_is_past_the_date_on_its_receipt_is_told() {
    let bench = Bench::new();
    bench.purge(A_WEEK).await;
    erased(&bench).await;
    bench.hold_purge(true);
    bench.at(30 * 24 * HOUR);
    bench.purge(A_WEEK).await;
    assert!(!bench.vault.status().purge_overdue);
    bench.at(30 * 24 * HOUR + 1);
    assert!(bench.vault.status().purge_overdue);
    bench.hold_purge(false);
    bench.purge(A_WEEK).await;
    assert!(!bench.vault.status().purge_overdue);
}

#[tokio::test]
async fn a_pass_that_is_asked_for_starts_once_and_only_if_something_was_forgotten() {
    let bench = Bench::new();
    let ask = async || {
        let call = bench.call_as("ops", RoleId::Operator, "security", Action::StartPurge, "", "").await;
        purge::start(&bench.vault, &call).await.expect("is answered")
    };
    assert_eq!(ask().await.running, None);
    let (receipt, epoch) = erased(&bench).await;
    let started = ask().await.running.expect("has started");
    assert_eq!(started.through, epoch);
    assert_eq!(ask().await.running, Some(started), "the same");
    bench.purge(A_WEEK).await;
    assert!(finding(&bench, receipt).await.purged);
    assert_eq!(ask().await.running, None);
}
