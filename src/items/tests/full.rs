//! A store whose volume fills up, and one that does not write.

use super::*;
use crate::gate::call::NotOpened;
use crate::gate::refusal::Unavailable;
use crate::gate::room::{Level, Marks};
use crate::items::model::{Delete, ErasureState, Wait};
use crate::items::{delete, put};

/// Opens a call as a service.
async fn open_call(bench: &Bench, action: Action) -> Result<Call, NotOpened> {
    bench.vault.open_call(bench.request("checkout", RoleId::Service, "service_delivery", action, "", "")).await
}

async fn refused(bench: &Bench, action: Action) -> Refusal {
    let refused = open_call(bench, action).await.err().unwrap_or_else(|| panic!("{action} is refused"));
    assert_eq!(refused.request, None, "turning a call away costs no room");
    refused.refusal
}

fn fill_to(bench: &Bench, free: u64) {
    bench.free.store(free, Ordering::SeqCst);
    bench.vault.room().look();
}

#[tokio::test]
async fn writes_stop_first_then_reads_then_erasures_and_all_come_back() {
    let bench = Bench::new();
    let (subject, items) = bench.person(&["Ada", "Grace", "Edith"]).await;
    let marks = Marks::default();
    let delete = async |n: usize| {
        let call = open_call(&bench, Action::DeleteItem).await.expect("erasures go on");
        let wanted =
            Delete { subject: SubjectRef::Id(subject), item: items[n].item, etag: String::new(), wait: Wait::Erased };
        delete::delete(&bench.vault, &call, wanted).await.expect("deletes").state
    };

    fill_to(&bench, marks.data - 1);
    let entries = bench.leaves().len();
    assert_eq!(refused(&bench, Action::PutItem).await, Unavailable::StorageFull.into());
    assert_eq!(bench.leaves().len(), entries);
    assert_eq!(bench.name(subject, items[0].item).await, Ok("Ada".into()));
    assert_eq!(delete(0).await, ErasureState::Erased);

    fill_to(&bench, marks.reads - 1);
    assert_eq!(refused(&bench, Action::PutItem).await, Unavailable::StorageFull.into());
    assert_eq!(refused(&bench, Action::GetItem).await, Unavailable::LogUnavailable.into());
    assert_eq!(delete(1).await, ErasureState::Erased);

    fill_to(&bench, marks.floor - 1);
    for action in [Action::GetItem, Action::DeleteItem] {
        assert_eq!(refused(&bench, action).await, Unavailable::LogUnavailable.into());
    }

    fill_to(&bench, marks.data);
    assert_eq!(bench.name(subject, items[2].item).await, Ok("Edith".into()));
    let call = open_call(&bench, Action::PutItem).await.expect("writes are taken again");
    put::put(&bench.vault, &call, SubjectRef::Id(subject), contact("Maria")).await.expect("stores");
}

#[tokio::test]
async fn an_engine_that_is_full_loses_nothing_and_is_used_again_once_it_writes() {
    let bench = Bench::new();
    let (subject, items) = bench.person(&["Ada", "Grace"]).await;
    let call = bench.call(Action::GetItem).await;
    let entries = bench.leaves().len();
    bench.engine.mood.store(FULL, Ordering::SeqCst);
    let refusal = get::get(&bench.vault, &call, query(subject, items[0].item)).await.err();
    assert_eq!(refusal, Some(Unavailable::LogUnavailable.into()), "not recorded, not revealed");
    assert_eq!(bench.vault.room().level(), Level::Full);
    assert_eq!(refused(&bench, Action::GetItem).await, Unavailable::LogUnavailable.into());
    assert_eq!(refused(&bench, Action::PutItem).await, Unavailable::StorageFull.into());
    assert_eq!(bench.leaves().len(), entries);

    bench.engine.mood.store(WELL, Ordering::SeqCst);
    let until = std::time::Instant::now() + Duration::from_secs(20);
    while bench.vault.room().level() != Level::Open {
        assert!(std::time::Instant::now() < until, "it is not asked again");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(bench.name(subject, items[1].item).await, Ok("Grace".into()));
    assert_eq!(bench.leaves().len(), entries + 1);
    let numbers: Vec<u64> = bench.leaves().iter().map(|leaf| leaf.sequence).collect();
    assert_eq!(numbers, (0..numbers.len() as u64).collect::<Vec<_>>());
}

#[tokio::test]
async fn an_erasure_that_meets_a_full_engine_is_carried_out_when_it_writes_again() {
    let bench = Bench::new();
    let (subject, items) = bench.person(&["Ada"]).await;
    let call = bench.call(Action::DeleteItem).await;
    // Its first batch is stored; the epoch's are not.
    bench.engine.mood.store(FULL_AFTER_ONE, Ordering::SeqCst);
    let wanted =
        Delete { subject: SubjectRef::Id(subject), item: items[0].item, etag: String::new(), wait: Wait::Logical };
    let erasure = delete::delete(&bench.vault, &call, wanted).await.expect("is asked for");
    assert_eq!(erasure.state, ErasureState::Pending);
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(bench.vault.epochs().pending(), 1);
    bench.engine.mood.store(WELL, Ordering::SeqCst);
    for _ in 0..1_000 {
        if bench.vault.epochs().pending() == 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(bench.vault.epochs().pending(), 0);
    assert!(bench.vault.epoch() > 1);
}

#[tokio::test]
async fn a_failed_store_is_never_asked_again() {
    let bench = Bench::new();
    let (subject, items) = bench.person(&["Ada"]).await;
    bench.break_storage();
    assert_eq!(bench.name(subject, items[0].item).await, Err(Unavailable::StorageFailed.into()));
    bench.engine.mood.store(WELL, Ordering::SeqCst);
    let commits = bench.engine.commits.load(Ordering::SeqCst);
    for action in [Action::GetItem, Action::PutItem, Action::DeleteItem] {
        assert_eq!(refused(&bench, action).await, Unavailable::StorageFailed.into());
    }
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    assert_eq!(bench.engine.commits.load(Ordering::SeqCst), commits, "nor by a thread of the vault's own");
}
