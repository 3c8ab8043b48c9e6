//! Details: who may open them, which ones open, and that each release is recorded.

use super::*;
use crate::audit::detail::Detail;
use crate::items::delete;
use crate::items::model::{Delete, Wait};
use crate::trail::model::{Shown, TailQuery};
use crate::trail::tail::{self, Pace};

fn opening(subject: Option<SubjectId>) -> Query {
    Query { opened: true, ..about(subject) }
}

async fn details(bench: &Bench, query: Query) -> Vec<(u64, Option<Detail>)> {
    let parts = gather(opened(bench, all(query)).await.expect("opens")).await;
    let shown = parts.into_iter().flat_map(|part| part.entries);
    shown.map(|Shown { hit, detail, .. }| (hit.index, detail)).collect()
}

fn releases(bench: &Bench) -> Vec<(About, u32)> {
    let leaves = bench.leaves().into_iter().filter(|leaf| leaf.operation == "DetailsOpened");
    leaves.map(|leaf| (leaf.about, leaf.count)).collect()
}

#[tokio::test]
async fn the_details_of_a_subject_open_in_a_query_about_it_and_the_release_is_recorded_about_it() {
    let bench = Bench::new();
    let (subject, items) = bench.person(&["Ada"]).await;
    let (other, others) = bench.person(&["Grace"]).await;
    bench.name(subject, items[0].item).await.expect("reads");
    bench.name(other, others[0].item).await.expect("reads");
    let found = details(&bench, opening(Some(subject))).await;
    assert_eq!(found.len(), 2);
    let read = found[1].1.as_ref().expect("opens");
    assert_eq!((read.items[0].0, read.ticket.expose(), read.peer.expose()), (items[0].item, "T-1", "192.0.2.1:1"));
    assert!(releases(&bench).iter().all(|(about, count)| matches!(about, About::Subject(_)) && *count == 2));
    assert_eq!(releases(&bench).len(), 1);
    assert!(bench.last_leaf().operation == "DetailsOpened", "before it is revealed, and after the list's own entry");

    let all = details(&bench, opening(None)).await;
    assert!(all.iter().take(4).all(|(_, detail)| detail.is_none()), "nothing leads from a token to its subject");
}

#[tokio::test]
async fn details_about_nobody_open_with_the_key_of_their_day() {
    let bench = Bench::new();
    let call = call(&bench, Action::GetCheckpoint).await;
    proofs::checkpoint(&bench.vault, &call, 0).await.expect("signed");
    bench.at(24 * HOUR);
    let later = super::call(&bench, Action::GetCheckpoint).await;
    proofs::checkpoint(&bench.vault, &later, 0).await.expect("signed");
    // Begun on the first day, recorded on the second.
    proofs::checkpoint(&bench.vault, &call, 0).await.expect("signed");
    let found = details(&bench, opening(None)).await;
    assert_eq!(found.len(), 3);
    assert!(found.iter().all(|(_, detail)| detail.as_ref().is_some_and(|detail| detail.ticket.expose() == "T-1")));
    assert_eq!(releases(&bench), [(About::Nobody, 3)]);
}

#[tokio::test]
async fn opening_details_needs_a_permission_of_its_own() {
    let bench = Bench::new();
    let (subject, _) = bench.person(&["Ada"]).await;
    let security = bench.call_as("reviewer", RoleId::Auditor, "security", Action::ListEntries, "", "").await;
    let refused = list::open(bench.vault.clone(), security, all(opening(Some(subject)))).await;
    assert_eq!(refused.map(|_| ()).expect_err("is denied").told(), Reason::AccessDenied);
    let leaf = bench.last_leaf();
    assert_eq!((leaf.decision, leaf.reason), (Decision::Denied, Reason::AccessDenied.number()));
    assert!(matches!(leaf.about, About::Subject(_)), "who tried is found with the subject");
    assert!(releases(&bench).is_empty());
}

#[tokio::test]
async fn a_release_that_cannot_be_recorded_does_not_happen() {
    let bench = Bench::new();
    let (subject, _) = bench.person(&["Ada"]).await;
    let mut list = opened(&bench, all(opening(Some(subject)))).await.expect("opens");
    bench.break_storage();
    assert!(matches!(list.next().await, Err(Refusal::Unavailable(_))));
}

#[tokio::test]
async fn the_first_entry_of_an_erasure_names_the_subject_in_its_detail_alone() {
    let bench = Bench::new();
    let (subject, items) = bench.person(&["Ada"]).await;
    let (other, _) = bench.person(&["Grace"]).await;
    let delete_call = bench.call(Action::DeleteItem).await;
    let (item, etag) = (items[0].item, String::new());
    let wanted = Delete { subject: SubjectRef::Id(subject), item, etag, wait: Wait::Erased };
    let erasure = delete::delete(&bench.vault, &delete_call, wanted).await.expect("deletes");
    let of_receipt = |mut query: Query| {
        query.filter.receipt = Some(erasure.receipt);
        query
    };
    let both = details(&bench, of_receipt(opening(None))).await;
    assert!(both.len() == 2 && both.iter().all(|(_, detail)| detail.is_none()), "of whomever: both, and closed");
    let known = details(&bench, of_receipt(opening(Some(subject)))).await;
    assert_eq!(known.len(), 1);
    assert_eq!(known[0].1.as_ref().expect("opens").subject, Some(subject));
    assert!(details(&bench, of_receipt(opening(Some(other)))).await.is_empty(), "it is not about another");
    assert!(listed(&bench, all(of_receipt(about(Some(subject))))).await.is_empty(), "closed, it is about nobody");
}

#[tokio::test]
async fn tails_that_open_details_do_not_feed_each_other() {
    let bench = Bench::new();
    let mut tails = Vec::new();
    for _ in 0..2 {
        let call = call(&bench, Action::TailEntries).await;
        let query = TailQuery { query: opening(None), start: None };
        let pace =
            Pace { period: std::time::Duration::from_millis(1), silence_max: std::time::Duration::from_millis(30) };
        tails.push(tail::open(bench.vault.clone(), call, query, pace).await.expect("opens"));
    }
    let mut quiet = 0;
    for _ in 0..40 {
        for tail in &mut tails {
            quiet += u32::from(tail.next().await.expect("goes on").entries.is_empty());
        }
        if quiet > 20 {
            break;
        }
    }
    assert!(quiet > 20, "they come to rest");
    assert!(releases(&bench).len() <= 3, "{:?}", releases(&bench));
}
