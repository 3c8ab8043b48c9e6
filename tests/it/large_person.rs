//! What others notice when something is done with a person of very many items: the longest that a reading and a writing of
//! somebody else took meanwhile. Left out of the usual run: `LACUNA_ITEMS` sets how many items (100,000).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use lacuna::api::proto::vault_client::VaultClient;
use lacuna::api::proto::*;
use prost::Message as _;
use tokio::task::JoinHandle;

use crate::holds::{LEGAL, approved, holds, named, open, placed, release_of, whole};
use crate::program::subject;
use crate::samples::named as contact;
use crate::vault::TestVault;

fn item_count() -> usize {
    std::env::var("LACUNA_ITEMS").ok().map_or(100_000, |text| text.parse().expect("a number"))
}

/// Somebody with so many items: their id, and those of the first thousand.
async fn person(vault: &TestVault, count: usize) -> (String, Vec<String>) {
    let subject_id = vault.create(&[]).await.subject_id;
    let item = NewItem { class: "contact".into(), value: Some(contact("Ann")), ..Default::default() };
    let entry = |_| PutItemEntry { subject: subject(&subject_id), item: Some(item.clone()), ..Default::default() };
    let mut client = VaultClient::new(vault.steady("service"));
    let mut ids = Vec::new();
    for from in (0..count).step_by(1000) {
        let entries = (0..1000.min(count - from)).map(entry).collect();
        let batch = BatchPutItemsRequest { context: vault.delivery(), entries, ..Default::default() };
        let results = client.batch_put_items(batch).await.expect("answers").into_inner().results;
        for result in results.into_iter().filter(|_| from == 0) {
            match result.outcome.expect("is told") {
                put_item_result::Outcome::Success(stored) => ids.push(stored.item.expect("is named").item_id),
                put_item_result::Outcome::Error(error) => panic!("{error:?}"),
            }
        }
    }
    (subject_id, ids)
}

/// Callers who read and write for somebody else, one call after another.
struct Others {
    over: Arc<AtomicBool>,
    calls: Vec<(&'static str, JoinHandle<Vec<Duration>>)>,
    since: Instant,
}

impl Others {
    fn begin(vault: &TestVault, somebody: &CreateSubjectResponse) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let mut calls = Vec::new();
        let get = GetItemRequest {
            context: vault.delivery(),
            subject: subject(&somebody.subject_id),
            item_id: somebody.items[0].item_id.clone(),
            ..Default::default()
        };
        let item = NewItem { class: "contact".into(), value: Some(contact("Cleo")), ..Default::default() };
        let put =
            PutItemRequest { context: vault.delivery(), subject: subject(&somebody.subject_id), item: Some(item) };
        let (mut reader, mut writer) = (vault.client("service"), vault.client("service"));
        let stop = over.clone();
        calls.push((
            "get",
            tokio::spawn(async move {
                let mut times = Vec::new();
                while !stop.load(Ordering::Relaxed) {
                    let begun = Instant::now();
                    reader.get_item(get.clone()).await.expect("reads");
                    times.push(begun.elapsed());
                }
                times
            }),
        ));
        let stop = over.clone();
        calls.push((
            "put",
            tokio::spawn(async move {
                let mut times = Vec::new();
                while !stop.load(Ordering::Relaxed) {
                    let begun = Instant::now();
                    writer.put_item(put.clone()).await.expect("writes");
                    times.push(begun.elapsed());
                }
                times
            }),
        ));
        Self { over, calls, since: Instant::now() }
    }

    /// Prints what they noticed.
    async fn end(self, what: &str) {
        let took = self.since.elapsed();
        self.over.store(true, Ordering::Relaxed);
        let mut told = Vec::new();
        for (name, calls) in self.calls {
            let mut times = calls.await.expect("no panic");
            times.sort_unstable();
            let at = |part: usize| times[(times.len() - 1) * part / 1000].as_secs_f64() * 1e3;
            told.push(format!(
                "{name}: {} calls, p50 {:.1} ms, p99.9 {:.0} ms, longest {:.0} ms",
                times.len(),
                at(500),
                at(999),
                at(1000)
            ));
        }
        println!("{what}: {:.2} s; {}", took.as_secs_f64(), told.join("; "));
    }
}

/// Erases a person and waits for the end, however long that takes. The receipt.
async fn erase(vault: &TestVault, subject_id: &str) -> Receipt {
    let request = EraseSubjectRequest {
        context: vault.context("legal_compliance"),
        subject: subject(subject_id),
        wait: Wait::Logical.into(),
        ..Default::default()
    };
    let mut privacy = vault.privacy("privacy-officer");
    let begun = Instant::now();
    let answer = privacy.erase_subject(request).await.expect("is durable").into_inner();
    println!("  unreadable after {:.0} ms", begun.elapsed().as_secs_f64() * 1e3);
    let id = answer.erasure.expect("is stated").receipt_id;
    loop {
        if let Ok(receipt) = vault.receipt(&id).await {
            return receipt;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
}

async fn erased(vault: &TestVault, somebody: &CreateSubjectResponse, subject_id: &str, what: &str) {
    let others = Others::begin(vault, somebody);
    let receipt = erase(vault, subject_id).await;
    others.end(what).await;
    println!("  receipt: {} bytes, statement {}", receipt.encoded_len(), receipt.body.len());
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes: to be run by hand"]
async fn others_hardly_notice_what_is_done_with_a_person_of_very_many_items() {
    let (vault, count) = (TestVault::start(), item_count());
    let somebody = vault.create(&["contact"]).await;
    let others = Others::begin(&vault, &somebody);
    tokio::time::sleep(Duration::from_secs(2)).await;
    others.end("nothing else").await;
    let (ann, _) = person(&vault, count).await;
    erased(&vault, &somebody, &ann, "erased, nothing kept").await;
    let (ben, items) = person(&vault, count).await;
    let matter = open(&vault).await;
    placed(&vault, &matter, &ben, named(&items.iter().map(|item| (&item[..], 0)).collect::<Vec<_>>())).await;
    erased(&vault, &somebody, &ben, "erased, a thousand kept").await;
    let (cleo, _) = person(&vault, count).await;
    let others = Others::begin(&vault, &somebody);
    let hold = placed(&vault, &matter, &cleo, whole(&[], true)).await;
    others.end("a hold placed on everything, and what is yet to come").await;
    let others = Others::begin(&vault, &somebody);
    let listing = placed(&vault, &matter, &cleo, whole(&[], false)).await;
    others.end("a hold placed on everything there is").await;
    let others = Others::begin(&vault, &somebody);
    release(&vault, &listing).await;
    others.end("that hold released").await;
    erased(&vault, &somebody, &cleo, "erased, everything kept").await;
    let others = Others::begin(&vault, &somebody);
    release(&vault, &hold).await;
    others.end("the hold released on what outlived the erasure").await;
}

async fn release(vault: &TestVault, hold: &str) {
    let request = approved(vault, &release_of(vault, hold)).await;
    let begun = Instant::now();
    let answer = holds(vault, LEGAL).release_hold(request).await.map(|answer| answer.into_inner());
    println!(
        "  answered after {:.0} ms: {}",
        begun.elapsed().as_secs_f64() * 1e3,
        match &answer {
            Ok(released) => format!("{:?}", released.erasure.as_ref().map(|erasure| erasure.state())),
            Err(status) => status.to_string(),
        }
    );
    while vault.status().await.pending_erasure_count > 0 {
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
}
