//! Lists, tails and proofs on a vault in memory.

mod details;
mod tails;

use super::list::{self, List};
use super::model::{ListPart, ListQuery, Person, Query};
use super::proofs;
use crate::audit::event::{About, Decision, Outcome};
use crate::audit::leaf::Leaf;
use crate::audit::proof::{verify_consistency, verify_inclusion};
use crate::audit::query::Filter;
use crate::base::id::SubjectId;
use crate::base::reason::Reason;
use crate::base::time::Timestamp;
use crate::gate::call::Call;
use crate::gate::refusal::{Refusal, State, Unavailable};
use crate::items::model::SubjectRef;
use crate::items::tests::{Bench, HOUR, NOON};
use crate::policy::action::Action;
use crate::policy::caller::RoleId;
use crate::policy::rules::Rules;

async fn call(bench: &Bench, action: Action) -> Call {
    call_by(bench, "reviewer", action).await
}

async fn call_by(bench: &Bench, caller: &str, action: Action) -> Call {
    bench.call_as(caller, RoleId::Auditor, "legal_compliance", action, "", "").await
}

fn about(subject: Option<SubjectId>) -> Query {
    Query {
        subject: subject.map(|id| Person::Present(SubjectRef::Id(id))),
        filter: Filter::default(),
        named: vec!["filter.subject".into()],
        opened: false,
    }
}

fn all(query: Query) -> ListQuery {
    let (start, end, newest_first, limit) = (0, None, false, None);
    ListQuery { query, start, end, newest_first, limit, resume_token: String::new(), digest: [1; 32] }
}

async fn opened(bench: &Bench, query: ListQuery) -> Result<List, Refusal> {
    list::open(bench.vault.clone(), call(bench, Action::ListEntries).await, query).await
}

async fn gather(mut list: List) -> Vec<ListPart> {
    let mut parts = Vec::new();
    while let Some(part) = list.next().await.expect("goes on") {
        parts.push(part);
    }
    parts
}

fn indices(parts: &[ListPart]) -> Vec<u64> {
    parts.iter().flat_map(|part| part.entries.iter().map(|shown| shown.hit.index)).collect()
}

async fn listed(bench: &Bench, query: ListQuery) -> Vec<u64> {
    indices(&gather(opened(bench, query).await.expect("opens")).await)
}

/// The indices of entries with a subject's tokens, by looking at every entry.
fn naive(bench: &Bench, token_of: u64) -> Vec<u64> {
    let leaves = bench.leaves();
    let tokens: Vec<About> = leaves.iter().filter(|leaf| leaf.sequence == token_of).map(|leaf| leaf.about).collect();
    leaves.iter().filter(|leaf| tokens.contains(&leaf.about)).map(|leaf| leaf.sequence).collect()
}

/// The newest entry of an operation. The vault writes entries of its own when the clock moves on.
fn last_of(bench: &Bench, operation: &str) -> Leaf {
    bench.leaves().into_iter().rfind(|leaf| leaf.operation == operation).expect("is recorded")
}

#[tokio::test]
async fn a_query_about_a_subject_finds_its_entries_in_every_period_and_is_one_of_them() {
    let bench = Bench::new();
    let (subject, items) = bench.person(&["Ada"]).await;
    let (other, others) = bench.person(&["Grace"]).await;
    let mut wanted = vec![0];
    for month in 1..=4 {
        bench.at(month * 30 * 24 * HOUR);
        bench.name(subject, items[0].item).await.expect("reads");
        wanted.push(last_of(&bench, "GetItem").sequence);
        bench.name(other, others[0].item).await.expect("reads");
    }
    assert_eq!(listed(&bench, all(about(Some(subject)))).await, wanted);
    let query = last_of(&bench, "ListEntries");
    assert_eq!(query.outcome, Outcome::Done);
    assert_eq!(query.rule, "auditor-reviews");
    assert!(matches!(query.about, About::Subject(_)));
    wanted.push(query.sequence);
    let newest = ListQuery { newest_first: true, ..all(about(Some(subject))) };
    wanted.reverse();
    assert_eq!(listed(&bench, newest).await, wanted, "who looked is found too");

    let mut since = about(Some(subject));
    since.filter.start = Some(Timestamp::from_millis(NOON + 45 * 24 * HOUR));
    since.filter.end = Some(Timestamp::from_millis(NOON + 100 * 24 * HOUR));
    let spring = listed(&bench, all(since)).await;
    assert_eq!(spring, wanted[2..4].iter().rev().copied().collect::<Vec<_>>());
}

#[tokio::test]
async fn entries_that_are_not_integrated_yet_are_found_and_covered() {
    let bench = Bench::new();
    let (subject, items) = bench.person(&["Ada"]).await;
    for _ in 0..30 {
        bench.name(subject, items[0].item).await.expect("reads");
        let size = bench.leaves().len() as u64;
        let parts = gather(opened(&bench, all(about(Some(subject)))).await.expect("opens")).await;
        assert_eq!(indices(&parts), naive(&bench, 0).into_iter().filter(|n| *n < size).collect::<Vec<_>>());
        let last = parts.last().and_then(|part| part.checkpoint.as_ref()).expect("a checkpoint");
        assert!(last.checkpoint.size >= size);
        assert!(parts.iter().rev().skip(1).all(|part| part.checkpoint.is_none()));
    }
}

#[tokio::test]
async fn a_subject_that_is_not_there_selects_nothing_and_is_recorded() {
    let bench = Bench::new();
    bench.person(&["Ada"]).await;
    for subject in [SubjectRef::Id(SubjectId::from_bytes([9; 16])), SubjectRef::External("nobody".into())] {
        let query = Query { subject: Some(Person::Present(subject)), ..about(None) };
        let parts = gather(opened(&bench, all(query)).await.expect("opens")).await;
        assert!(indices(&parts).is_empty() && parts.len() == 1);
        assert!(parts[0].checkpoint.is_some() && !parts[0].resume_token.is_empty());
        let leaf = bench.last_leaf();
        assert_eq!((leaf.outcome, leaf.reason), (Outcome::Refused, Reason::NotFound.number()));
    }
}

#[tokio::test]
async fn nothing_is_revealed_that_cannot_be_recorded() {
    let bench = Bench::new();
    bench.person(&["Ada"]).await;
    let call = call(&bench, Action::ListEntries).await;
    bench.break_storage();
    let refused = list::open(bench.vault.clone(), call, all(about(None))).await.map(|_| ()).expect_err("is refused");
    assert_eq!(refused, Unavailable::StorageFailed.into());
}

#[tokio::test]
async fn a_list_goes_on_after_any_message_and_for_nobody_else() {
    let bench = Bench::new();
    let (subject, items) = bench.person(&["Ada"]).await;
    for _ in 0..5 {
        bench.name(subject, items[0].item).await.expect("reads");
    }
    let limited = || ListQuery { limit: Some(3), ..all(about(None)) };
    let first = gather(opened(&bench, limited()).await.expect("opens")).await;
    assert_eq!(indices(&first), [0, 1, 2]);
    let token = first.last().expect("a message").resume_token.clone();
    let with = |query: ListQuery| ListQuery { resume_token: token.clone(), ..query };
    assert_eq!(listed(&bench, with(limited())).await, Vec::<u64>::new(), "the limit is that of the whole list");

    let whole = gather(opened(&bench, all(about(None))).await.expect("opens")).await;
    let mut begun = opened(&bench, ListQuery { limit: Some(100), ..all(about(None)) }).await.expect("opens");
    let part = begun.next().await.expect("goes on").expect("a message");
    assert!(part.entries.len() > indices(&whole).len());

    let refused = |outcome: Result<List, Refusal>| outcome.map(|_| ()).expect_err("is refused").reason();
    let mallory = call_by(&bench, "mallory", Action::ListEntries).await;
    let outcome = list::open(bench.vault.clone(), mallory, with(limited())).await;
    assert_eq!(refused(outcome), Reason::ResumeTokenInvalid, "of another caller");
    let purpose = bench.call_as("reviewer", RoleId::Auditor, "security", Action::ListEntries, "", "").await;
    let outcome = list::open(bench.vault.clone(), purpose, with(limited())).await;
    assert_eq!(refused(outcome), Reason::ResumeTokenInvalid, "for another purpose");
    let outcome = opened(&bench, ListQuery { digest: [2; 32], ..with(limited()) }).await;
    assert_eq!(refused(outcome), Reason::ResumeTokenInvalid, "of another query");
    for wrong in ["x", "", "AAAAAAAA"].map(str::to_owned).into_iter().chain([token[..token.len() - 2].to_owned()]) {
        let outcome = opened(&bench, ListQuery { resume_token: wrong.clone(), ..limited() }).await;
        assert_eq!(outcome.is_ok(), wrong.is_empty(), "{wrong}");
    }
    assert_eq!(bench.last_leaf().reason, Reason::ResumeTokenInvalid.number());
    bench.at(25 * HOUR);
    assert_eq!(refused(opened(&bench, with(limited())).await), Reason::ResumeTokenInvalid, "too old");
}

#[tokio::test]
async fn indices_beyond_the_log_are_refused_and_recorded() {
    let bench = Bench::new();
    bench.person(&["Ada"]).await;
    let vault = &bench.vault;
    let size = || bench.leaves().len() as u64;
    for (start, end) in [(size() + 9, None), (0, Some(size() + 9))] {
        let outcome = opened(&bench, ListQuery { start, end, ..all(about(None)) }).await;
        assert_eq!(outcome.map(|_| ()), Err(State::IndexOutOfRange.into()));
        assert_eq!(bench.last_leaf().reason, Reason::IndexOutOfRange.number());
    }
    let outcome = opened(&bench, ListQuery { start: 2, end: Some(1), ..all(about(None)) }).await;
    assert_eq!(outcome.map(|_| ()).expect_err("is refused").reason(), Reason::FieldConflict);
    assert_eq!(listed(&bench, ListQuery { start: size(), ..all(about(None)) }).await, Vec::<u64>::new());

    // Each refusal is an entry: what is beyond the log is to stay so for a while.
    let denied = Err(State::IndexOutOfRange.into());
    let one = call(&bench, Action::GetCheckpoint).await;
    assert_eq!(proofs::checkpoint(vault, &one, size() + 50).await.map(|_| ()), denied);
    let one = call(&bench, Action::GetInclusionProof).await;
    for (index, of) in
        [(size() + 50, None), (1, Some(1)), (0, Some(size() + 50)), (u64::MAX, None), (0, Some(u64::MAX))]
    {
        assert_eq!(proofs::inclusion(vault, &one, index, of).await.map(|_| ()), denied, "{index} of {of:?}");
    }
    let one = call(&bench, Action::GetConsistencyProof).await;
    for (old, new) in [(0, None), (2, Some(1)), (1, Some(size() + 50)), (size() + 50, None), (u64::MAX, None)] {
        assert_eq!(proofs::consistency(vault, &one, old, new).await.map(|_| ()), denied, "{old} to {new:?}");
    }
    let leaf = bench.last_leaf();
    assert_eq!((leaf.reason, leaf.outcome), (Reason::IndexOutOfRange.number(), Outcome::Refused));
    assert_eq!(leaf.decision, Decision::Permitted);
}

#[tokio::test]
async fn every_proof_verifies_against_its_checkpoint() {
    let bench = Bench::new();
    bench.person(&["Ada"]).await;
    let vault = &bench.vault;
    let inclusion = call(&bench, Action::GetInclusionProof).await;
    let consistency = call(&bench, Action::GetConsistencyProof).await;
    let newest = call(&bench, Action::GetCheckpoint).await;
    let mut roots: Vec<(u64, [u8; 32])> = Vec::new();
    for _ in 0..20 {
        let size = vault.committer().log_size();
        let signed = proofs::checkpoint(vault, &newest, size).await.expect("signed");
        assert!(signed.checkpoint.size >= size, "it covers what was asked for");
        roots.push((signed.checkpoint.size, signed.checkpoint.root));
        let last = vault.committer().log_size() - 1;
        let proof = proofs::inclusion(vault, &inclusion, last, None).await.expect("proves");
        let root = &proof.checkpoint.checkpoint.root;
        assert_eq!(proof.size, proof.checkpoint.checkpoint.size);
        verify_inclusion(&proof.leaf, last, proof.size, &proof.path, root).expect("verifies");
        let proof = proofs::consistency(vault, &consistency, 1, None).await.expect("proves");
        assert_eq!(proof.new, proof.checkpoint.checkpoint.size);
        roots.push((proof.new, proof.checkpoint.checkpoint.root));
    }
    for pair in roots.windows(2).filter(|pair| pair[0].0 <= pair[1].0) {
        let [(old, old_root), (new, new_root)] = [pair[0], pair[1]];
        let proof = proofs::consistency(vault, &consistency, old, Some(new)).await.expect("proves");
        verify_consistency((old, &old_root), (new, &new_root), &proof.path).expect("verifies");
        assert!(proof.checkpoint.checkpoint.size >= new, "it covers the proof");
        let proof = proofs::inclusion(vault, &inclusion, old - 1, Some(new)).await.expect("proves");
        verify_inclusion(&proof.leaf, old - 1, new, &proof.path, &new_root).expect("verifies");
    }
}

#[tokio::test]
async fn the_end_of_a_subject_cuts_the_list_of_its_entries() {
    let bench = Bench::new();
    let (subject, _) = bench.person(&["Ada"]).await;
    let mut list = opened(&bench, all(about(Some(subject)))).await.expect("opens");
    let readings = bench.vault.readings().clone();
    let erasing = std::thread::spawn(move || {
        readings.drain(&[(subject, crate::gate::readings::Forgotten::Everything)], std::time::Duration::ZERO, || {
            Ok::<_, Refusal>(())
        })
    });
    while list.unless_cut(tokio::task::yield_now()).await.is_ok() {}
    assert_eq!(list.next().await.map(|_| ()), Err(State::SubjectErased.into()));
    assert!(!erasing.is_finished(), "its keys are still held");
    drop(list);
    erasing.join().expect("no panic").expect("the list is gone");
}

#[tokio::test]
async fn a_subject_that_is_not_the_callers_to_know_of_looks_absent_and_the_attempt_is_recorded_about_it() {
    let bench = Bench::new();
    let (subject, _) = bench.person(&["Ada"]).await;
    let apart = "@id(\"not-this-desk\") forbid (principal in Lacuna::Role::\"auditor\", \
                 action == Lacuna::Action::\"ListEntries\", resource is Lacuna::Subject);";
    let shipped = ("roles.cedar".to_owned(), crate::policy::policies::DEFAULT.to_owned());
    let policies = [shipped, ("apart.cedar".to_owned(), apart.to_owned())];
    let rules = Rules::load(crate::catalog::registry::DEFAULT, &policies).expect("loads");
    let vault = bench.vault.clone();
    std::thread::spawn(move || vault.replace_rules(rules)).join().expect("no panic").expect("is replaced");
    let parts = gather(opened(&bench, all(about(Some(subject)))).await.expect("is answered")).await;
    assert!(indices(&parts).is_empty() && parts.len() == 1 && parts[0].checkpoint.is_some());
    let leaf = bench.last_leaf();
    assert_eq!((leaf.decision, leaf.reason), (Decision::Denied, Reason::AccessDenied.number()));
    assert_eq!((leaf.rule.as_str(), leaf.about), ("not-this-desk", bench.leaves()[0].about));
}
