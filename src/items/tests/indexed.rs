//! Index rows come and go with the versions that hold their identifiers.

use super::*;
use crate::catalog::classes::contact::{EmailAddress, PhoneNumber};
use crate::items::model::{Delete, NewMetadata, Notes, PutEntry, Update, Wait};
use crate::items::{delete, put, update};

/// A contact with these email addresses and one phone number.
pub fn reachable(emails: &[&str], phone: &str) -> NewItem {
    let address = |address: &&str| EmailAddress { address: (*address).into(), ..EmailAddress::default() };
    let contact = Contact {
        emails: emails.iter().map(address).collect(),
        phones: vec![PhoneNumber { number: phone.into(), ..PhoneNumber::default() }],
        ..Contact::default()
    };
    NewItem { value: ItemValue::Contact(contact), ..contact_named("Ada") }
}

fn contact_named(name: &str) -> NewItem {
    super::contact(name)
}

pub const PHONE: &str = "+442079460958";

impl Bench {
    fn index_rows(&self) -> Vec<Vec<u8>> {
        self.rows(Space::Index).into_iter().map(|(key, _)| key).collect()
    }

    pub async fn indexed(&self, external_id: &str, items: Vec<NewItem>) -> (SubjectId, Vec<Stamp>) {
        let call = self.call(Action::CreateSubject).await;
        let new = NewSubject { external_id: external_id.into(), labels: vec![], items };
        let created = create::create(&self.vault, &call, new).await.expect("creates");
        (created.subject, created.items)
    }

    async fn corrected(&self, subject: SubjectId, item: ItemId, value: Option<NewItem>, source: Option<&str>) {
        let call = self.call(Action::UpdateItem).await;
        let notes = |source: &str| Notes { source: source.into(), ..Notes::default() };
        let metadata = source.map(|source| NewMetadata { notes: notes(source), ..NewMetadata::default() });
        let (subject, value) = (SubjectRef::Id(subject), value.map(|new| new.value));
        let wanted = Update { subject, item, etag: String::new(), value, metadata, wait: Wait::Erased };
        update::update(&self.vault, &call, wanted).await.expect("corrects");
    }
}

#[tokio::test]
async fn every_way_to_store_an_item_writes_its_rows_and_deleting_takes_them_away() {
    let bench = Bench::new();
    let (subject, items) = bench.indexed("user-1", vec![reachable(&["a@example.com", "b@example.com"], PHONE)]).await;
    assert_eq!(bench.index_rows().len(), 1 + 3);
    let call = bench.call(Action::PutItem).await;
    let twice = reachable(&["A@example.com", "a@EXAMPLE.com"], PHONE);
    let (_, put) = put::put(&bench.vault, &call, SubjectRef::Id(subject), twice).await.expect("stores");
    assert_eq!(bench.index_rows().len(), 4 + 2, "two spellings of one address are one row");
    let call = bench.call(Action::BatchPutItems).await;
    let entry = PutEntry {
        subject: SubjectRef::External("user-2".into()),
        item: Some(reachable(&["a@example.com"], PHONE)),
        create_subject: true,
        labels: vec![],
        digest: [0; 32],
    };
    let mut done = put::put_batch(&bench.vault, &call, vec![entry]).await.expect("is taken");
    let batched = done.remove(0).expect("stores");
    assert_eq!(bench.index_rows().len(), 6 + 3);

    let mut left = 9;
    let of_batch = batched.item.expect("an item").item;
    for (subject, item, rows) in [(subject, items[0].item, 3), (subject, put.item, 2), (batched.subject, of_batch, 2)] {
        let call = bench.call(Action::DeleteItem).await;
        let wanted = Delete { subject: SubjectRef::Id(subject), item, etag: String::new(), wait: Wait::Erased };
        delete::delete(&bench.vault, &call, wanted).await.expect("deletes");
        left -= rows;
        assert_eq!(bench.index_rows().len(), left);
    }
    assert!(bench.index_rows().iter().all(|row| row[0] == 1), "the callers' own ids are left");
}

#[tokio::test]
async fn a_correction_has_rows_of_its_own_and_those_of_the_old_version_go() {
    let bench = Bench::new();
    let (subject, items) = bench.indexed("", vec![reachable(&["a@example.com"], PHONE)]).await;
    let first = bench.index_rows();
    bench.corrected(subject, items[0].item, Some(reachable(&["a@example.com"], PHONE)), None).await;
    let second = bench.index_rows();
    assert_eq!(second.len(), 2);
    assert!(second.iter().all(|row| !first.contains(row)));
    bench.corrected(subject, items[0].item, None, Some("a form")).await;
    assert_eq!(bench.index_rows(), second, "free text is no identifier");
    bench.corrected(subject, items[0].item, Some(contact_named("Ada")), None).await;
    assert!(bench.index_rows().is_empty());
}

#[tokio::test]
async fn a_damaged_item_can_be_deleted() {
    let bench = Bench::new();
    let (subject, items) = bench.indexed("", vec![reachable(&["a@example.com"], PHONE)]).await;
    let (key, mut row) = bench.rows(Space::Item).remove(0);
    *row.last_mut().expect("bytes") ^= 1;
    let mut batch = Batch::new();
    batch.put(Space::Item, key, row);
    bench.engine.commit(batch).expect("is damaged");
    let call = bench.call(Action::DeleteItem).await;
    let (subject, item) = (SubjectRef::Id(subject), items[0].item);
    let wanted = Delete { subject, item, etag: String::new(), wait: Wait::Erased };
    delete::delete(&bench.vault, &call, wanted).await.expect("deletes");
    assert!(bench.rows(Space::Item).is_empty());
}
