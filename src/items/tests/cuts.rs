//! Whoever reads what is being forgotten is told what that was: an item, or the whole person.

use std::pin::Pin;

use super::documents::{opening, pdf};
use super::passwords::of;
use super::*;
use crate::gate::readings::Forgotten;
use crate::gate::refusal::State;
use crate::gate::txn::Txn;
use crate::items::model::{DocumentQuery, ListQuery};
use crate::items::{download, list, verify};

/// How a reading ends when something is forgotten while it waits for its entry.
async fn cut(
    bench: &Bench,
    (subject, forgotten): (SubjectId, Forgotten),
    reading: impl Future<Output = Refusal>,
) -> Refusal {
    let (release, released) = std::sync::mpsc::channel::<()>();
    let (holding, held) = tokio::sync::oneshot::channel();
    let vault = bench.vault.clone();
    let writer = tokio::spawn(async move {
        let stand_still = move |_: &mut Txn<'_>| {
            let _ = holding.send(());
            let _ = released.recv();
            Ok(())
        };
        vault.committer().commit(stand_still).await
    });
    held.await.expect("the writer stands still");
    tokio::pin!(reading);
    assert_eq!(briefly(reading.as_mut()).await, None, "nothing of it is recorded yet");
    let readings = bench.vault.readings().clone();
    let epoch =
        std::thread::spawn(move || readings.drain(&[(subject, forgotten)], Duration::ZERO, || Ok::<_, Refusal>(())));
    let ended = briefly(reading.as_mut()).await;
    release.send(()).expect("is waited for");
    let ended = match ended {
        Some(ended) => ended,
        None => reading.await, // it has its refusal recorded
    };
    writer.await.expect("no panic").expect("commits");
    epoch.join().expect("no panic").expect("goes on");
    ended
}

async fn briefly<F: Future>(work: Pin<&mut F>) -> Option<F::Output> {
    tokio::time::timeout(Duration::from_millis(300), work).await.ok()
}

#[tokio::test]
async fn whoever_is_cut_while_it_waits_for_the_log_is_told_what_was_forgotten() {
    let bench = Bench::new();
    let (subject, password) = bench.member("x").await;
    let document = bench.store(opening(subject), &pdf(100)).await.expect("is stored").stamp.item;
    let of_item = |item| (Forgotten::Item(item), State::ItemErased);
    let whole = (Forgotten::Everything, State::SubjectErased);

    for (forgotten, told) in [whole, (Forgotten::Items, State::ItemErased), of_item(password.item)] {
        let (forgotten, told) = ((subject, forgotten), Refusal::from(told));
        let call = bench.call(Action::GetItem).await;
        let get = async { get::get(&bench.vault, &call, query(subject, password.item)).await.err().expect("is cut") };
        assert_eq!(cut(&bench, forgotten, get).await, told, "GetItem");
        let call = bench.call(Action::BatchGetItems).await;
        let batch = async {
            let mut answers = get::get_batch(&bench.vault, &call, vec![query(subject, password.item)]).await;
            answers.remove(0).err().expect("is cut")
        };
        assert_eq!(cut(&bench, forgotten, batch).await, told, "BatchGetItems");
        let call = bench.call(Action::ListItems).await;
        let list = async { list::list(&bench.vault, &call, all_of(subject)).await.err().expect("is cut") };
        assert_eq!(cut(&bench, forgotten, list).await, told, "ListItems");
        let call = bench.call(Action::VerifyPassword).await;
        let test = async {
            let test = verify::verify(&bench.vault, &call, of(subject, "x")).await;
            test.expect_err("is cut")
        };
        assert_eq!(cut(&bench, forgotten, test).await, told, "VerifyPassword");
    }
    for (forgotten, told) in [whole, of_item(document)] {
        let call = bench.call(Action::DownloadDocument).await;
        let wanted = DocumentQuery { subject: Some(SubjectRef::Id(subject)), item: document, version: 0, offset: 0 };
        let opening = async { download::open(bench.vault.clone(), call, wanted).await.err().expect("is cut") };
        assert_eq!(cut(&bench, (subject, forgotten), opening).await, told.into(), "DownloadDocument");
    }
}

fn all_of(subject: SubjectId) -> ListQuery {
    let subject = SubjectRef::Id(subject);
    ListQuery { subject, classes: vec![], view: None, fields: vec![], page_size: 0, page_token: String::new() }
}
