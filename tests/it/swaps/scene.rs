//! A vault with something of everything in it, at three times: before additions, after them, and when some of it was
//! forgotten.

use std::collections::BTreeMap;

use lacuna::api::proto::*;
use lacuna::store::Engine as _;
use lacuna::store::keyspace::Space;

use crate::documents::pdf;
use crate::events::visit;
use crate::holds::{LEGAL, holds, open};
use crate::program::subject;
use crate::vault::TestVault;

/// A store's records.
pub type Rows = BTreeMap<(Space, Vec<u8>), Vec<u8>>;

/// A person with a bit of everything.
#[derive(Clone)]
pub struct Person {
    /// What created them: it may be sent again.
    pub create: CreateSubjectRequest,
    /// What they were created with.
    pub created: CreateSubjectResponse,
    /// A document.
    pub document: String,
    /// What added an item in the second time, may be sent again, and that item.
    pub put: Option<(PutItemRequest, String)>,
}

impl Person {
    /// The vault's id of them.
    pub fn id(&self) -> &str {
        &self.created.subject_id
    }

    /// The id of an item that they were created with.
    pub fn item(&self, at: usize) -> &str {
        &self.created.items[at].item_id
    }

    /// Every item of theirs that is read by itself.
    pub fn items(&self) -> impl Iterator<Item = &str> {
        let first = self.created.items.iter().map(|stamp| stamp.item_id.as_str());
        first.chain([self.document.as_str()]).chain(self.put.iter().map(|(_, item)| item.as_str()))
    }
}

/// The vault at the second and the third time, and its records at all three.
pub struct Scene {
    /// Ann stays; one of her items was corrected under a hold, another without. Of Ben an item is deleted, of Cleo one that
    /// a hold keeps. Dora is erased, and a hold keeps one of her items.
    pub people: Vec<Person>,
    /// The matters of the holds.
    pub matters: Vec<String>,
    /// Receipts of everything that was forgotten.
    pub receipts: Vec<String>,
    /// A deletion that may be sent again: whose, of which item, under which key.
    pub deletion: (String, String, String),
    /// A placing that may be sent again.
    pub placing: PlaceHoldRequest,
    /// What only holds keep: item and version.
    pub kept: Vec<(String, u64)>,
    /// The records then.
    pub first: Rows,
    /// The records at the second time.
    pub second: Rows,
    /// The records in the end.
    pub third: Rows,
    /// The vault at the second time.
    pub then: TestVault,
    /// The vault in the end.
    pub now: TestVault,
}

/// Ann, Ben, Cleo and Dora.
pub const ANN: usize = 0;
pub const BEN: usize = 1;
pub const CLEO: usize = 2;
pub const DORA: usize = 3;

impl Scene {
    /// Makes it.
    pub async fn set() -> Self {
        let mut vault = TestVault::start();
        let (mut people, mut matters) = (Vec::new(), Vec::new());
        for _ in 0..4 {
            people.push(person(&vault).await);
        }
        for _ in 0..2 {
            matters.push(open(&vault).await);
        }
        let first = stopped(&mut vault);

        vault.run("");
        let mut placings = Vec::new();
        for (person, item, matter) in [(ANN, 0, 0), (CLEO, 0, 0), (DORA, 1, 1)] {
            let placing = place(&vault, &matters[matter], people[person].id(), people[person].item(item));
            holds(&vault, LEGAL).place_hold(placing.clone()).await.expect("places");
            placings.push(placing);
        }
        for person in &mut people {
            let put = PutItemRequest {
                context: vault.repeatable(&vault.canary()),
                subject: subject(person.id()),
                item: Some(vault.item("contact")),
            };
            let stamp = vault.client("service").put_item(put.clone()).await.expect("puts").into_inner().item;
            person.put = Some((put, stamp.expect("is named").item_id));
            record(&vault, person.id(), -1).await;
        }
        let second = stopped(&mut vault);
        let then = vault.fork();

        vault.run("");
        let mut receipts = Vec::new();
        for item in 0..2 {
            let update = UpdateItemRequest {
                context: vault.delivery(),
                subject: subject(people[ANN].id()),
                item_id: people[ANN].item(item).into(),
                value: vault.item("contact").value,
                wait: Wait::Erased.into(),
                ..Default::default()
            };
            let corrected = vault.client("service").update_item(update).await.expect("corrects").into_inner();
            receipts.push(corrected.erasure.expect("is stated").receipt_id);
        }
        let (whose, what, key) = (people[BEN].id().to_owned(), people[BEN].item(0).to_owned(), vault.canary());
        receipts.push(vault.delete_once(&whose, &what, &key).await.expect("deletes").receipt_id);
        let of_cleo = vault.delete(people[CLEO].id(), people[CLEO].item(0)).await.expect("deletes");
        let of_dora = vault.erase(people[DORA].id(), "").await.expect("erases").erasure.expect("is stated");
        assert_eq!([of_cleo.state(), of_dora.state()], [ErasureState::Kept; 2]);
        receipts.extend([of_cleo.receipt_id, of_dora.receipt_id]);
        let kept = [(ANN, 0), (CLEO, 0), (DORA, 1)].map(|(person, item)| (people[person].item(item).to_owned(), 1));
        let third = stopped(&mut vault);
        let (deletion, placing) = ((whose, what, key), placings.swap_remove(0));
        let kept = kept.to_vec();
        Self { people, matters, receipts, deletion, placing, kept, first, second, third, then, now: vault }
    }
}

async fn person(vault: &TestVault) -> Person {
    let create = CreateSubjectRequest {
        context: vault.repeatable(&vault.canary()),
        external_id: vault.canary(),
        items: vec![vault.item("contact"), vault.item("contact"), vault.item("government_id")],
        ..Default::default()
    };
    let created = vault.client("service").create_subject(create.clone()).await.expect("creates").into_inner();
    let document = vault.store_document(&created.subject_id, &pdf(vault, 600_000)).await.item_id;
    record(vault, &created.subject_id, -2).await;
    Person { create, created, document, put: None }
}

/// Records an event.
async fn record(vault: &TestVault, subject_id: &str, seconds: i64) {
    let events = vec![visit(vault, subject_id, seconds, &vault.canary())];
    let batch = RecordEventsRequest { context: vault.delivery(), batch_key: vault.canary(), events };
    let answers = vault.client("service").record_events(tokio_stream::iter([batch])).await.expect("opens").into_inner();
    let answers = vault.gather(answers).await.expect("records");
    assert_eq!(answers.iter().map(|answer| answer.stored_count).sum::<u32>(), 1);
}

fn place(vault: &TestVault, matter: &str, subject_id: &str, item_id: &str) -> PlaceHoldRequest {
    let items = vec![ItemVersionRef { item_id: item_id.into(), version: 0 }];
    let context = vault.context("legal_compliance").expect("is made");
    PlaceHoldRequest {
        context: Some(CallContext { idempotency_key: vault.canary(), ..context }),
        matter_id: matter.into(),
        subject: subject(subject_id),
        scope: Some(place_hold_request::Scope::ItemScope(ItemScope { items })),
        include_access_history: false,
    }
}

/// Stops a vault: the records of its store.
fn stopped(vault: &mut TestVault) -> Rows {
    vault.stop();
    let store = vault.store();
    let records = |space: &Space| store.scan(*space, &[], &[], usize::MAX).expect("reads");
    Space::ALL.iter().flat_map(|space| records(space).into_iter().map(|(key, row)| ((*space, key), row))).collect()
}
