//! Batches of reads: rows that are read ahead, and what happens to them meanwhile.

use super::*;
use crate::gate::refusal::{Access, State};
use crate::items::model::{Delete, NewMetadata, Restriction, RestrictionGround, SubjectRef, Update, Wait};
use crate::items::tests::{Bench, query};
use crate::items::{delete, restrict, update};
use crate::policy::action::Action;
use crate::policy::caller::RoleId;

/// Begins the reading of one item in a batch, does something else, then looks.
async fn outrun(
    bench: &Bench,
    query: ItemQuery,
    meanwhile: impl AsyncFnOnce() -> Result<(), Refusal>,
) -> Result<Seen, Refusal> {
    let call = bench.call(Action::BatchGetItems).await;
    let begun = begin_all(&bench.vault, &call, std::slice::from_ref(&query)).remove(0).expect("begins");
    let held = |row: &RefCell<Option<Row>>| row.borrow().as_ref().is_some_and(|(_, value)| value.is_some());
    assert!(held(&begun.ahead.subject) && held(&begun.ahead.item), "both rows are there");
    meanwhile().await.expect("is done");
    look(&bench.vault, &call, &query, begun)
}

#[tokio::test]
async fn a_row_that_was_changed_after_it_was_read_ahead_is_read_again() {
    let bench = Bench::new();
    let (subject, items) = bench.person(&["Ada"]).await;
    let seen = outrun(&bench, query(subject, items[0].item), async || {
        let wanted = Update {
            subject: SubjectRef::Id(subject),
            item: items[0].item,
            etag: String::new(),
            value: None,
            metadata: Some(NewMetadata { automated_decision: true, ..NewMetadata::default() }),
            wait: Wait::Erased,
        };
        update::update(&bench.vault, &bench.call(Action::UpdateItem).await, wanted).await.map(drop)
    });
    let view = seen.await.expect("reads").view;
    assert!(view.metadata.is_some_and(|metadata| metadata.automated_decision), "as it is now");
    assert_ne!(view.etag, items[0].etag);
}

#[tokio::test]
async fn a_restriction_is_in_force_for_rows_that_were_read_ahead() {
    let bench = Bench::new();
    let (subject, items) = bench.person(&["Ada"]).await;
    let seen = outrun(&bench, query(subject, items[0].item), async || {
        let officer = RoleId::PrivacyOfficer;
        let call = bench.call_as("officer", officer, "legal_compliance", Action::RestrictSubject, "", "").await;
        let ground = Some(RestrictionGround::LegalClaim);
        let wanted = Restriction { subject: SubjectRef::Id(subject), ground };
        restrict::restrict(&bench.vault, &call, wanted).await.map(drop)
    });
    assert!(matches!(seen.await.map(drop), Err(Refusal::Access(Access::Denied(_)))));
}

#[tokio::test]
async fn what_was_read_ahead_of_a_deletion_is_not_revealed() {
    let bench = Bench::new();
    let (subject, items) = bench.person(&["Ada"]).await;
    let seen = outrun(&bench, query(subject, items[0].item), async || {
        let (subject, item) = (SubjectRef::Id(subject), items[0].item);
        let wanted = Delete { subject, item, etag: String::new(), wait: Wait::Logical };
        delete::delete(&bench.vault, &bench.call(Action::DeleteItem).await, wanted).await.map(drop)
    });
    // The row that was read ahead no longer fits the page: what is read again is the tombstone.
    assert_eq!(seen.await.map(drop), Err(State::NotFound.into()));
    bench.settle().await;
    let call = bench.call(Action::BatchGetItems).await;
    let all = get_batch(&bench.vault, &call, vec![query(subject, items[0].item)]).await;
    assert_eq!(all.into_iter().map(|one| one.map(drop)).collect::<Vec<_>>(), [Err(State::NotFound.into())]);
}

#[tokio::test]
async fn each_entry_of_a_batch_gets_its_own_answer() {
    let bench = Bench::new();
    let (ada, of_ada) = bench.person(&["Ada", "Countess"]).await;
    let (grace, of_grace) = bench.person(&["Grace"]).await;
    let queries = vec![
        query(ada, of_ada[1].item),
        query(ada, of_grace[0].item), // another person's
        query(grace, of_grace[0].item),
        query(ada, of_ada[0].item),
        query(ada, of_ada[0].item),
    ];
    let (call, before) = (bench.call(Action::BatchGetItems).await, bench.leaves().len());
    let all = get_batch(&bench.vault, &call, queries).await;
    let items: Vec<_> = all.into_iter().map(|one| one.ok().map(|view| view.item)).collect();
    let (first, second) = (Some(of_ada[0].item), Some(of_ada[1].item));
    assert_eq!(items, [second, None, Some(of_grace[0].item), first, first]);
    assert_eq!(bench.leaves().len(), before + 5, "each is recorded");
}
