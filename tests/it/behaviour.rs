//! What callers rely on, over the wire: etags, pages, versions, batches, and what is durable.

use std::sync::Arc;

use lacuna::api::proto::*;
use tokio::task::JoinSet;
use tonic::Code;

use crate::program::subject;
use crate::samples::{full_name, named, reason};
use crate::vault::TestVault;

impl TestVault {
    fn update(&self, subject_id: &str, stamp: &ItemStamp, name: &str) -> UpdateItemRequest {
        UpdateItemRequest {
            context: self.delivery(),
            subject: subject(subject_id),
            item_id: stamp.item_id.clone(),
            etag: stamp.etag.clone(),
            value: Some(named(name)),
            ..Default::default()
        }
    }

    async fn put(&self, subject_id: &str) -> ItemStamp {
        let item = Some(self.item("contact"));
        let put = PutItemRequest { context: self.delivery(), subject: subject(subject_id), item };
        self.client("service").put_item(put).await.expect("puts").into_inner().item.expect("is named")
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_with_an_old_etag_is_refused_and_changes_nothing() {
    let vault = TestVault::start();
    let created = vault.create(&["contact"]).await;
    let (id, first) = (&created.subject_id, &created.items[0]);
    let (one, two) = (vault.canary(), vault.canary());
    let mut service = vault.client("service");
    let answer = service.update_item(vault.update(id, first, &one)).await.expect("corrects").into_inner();
    let second = answer.item.expect("is named");
    assert_ne!(second.etag, first.etag);

    let refusal = service.update_item(vault.update(id, first, &two)).await.expect_err("is refused");
    assert_eq!((reason(&refusal).as_str(), refusal.code()), ("ETAG_MISMATCH", Code::Aborted));
    let delete = DeleteItemRequest {
        context: vault.delivery(),
        subject: subject(id),
        item_id: first.item_id.clone(),
        etag: first.etag.clone(),
        ..Default::default()
    };
    let refusal = service.delete_item(delete.clone()).await.expect_err("is refused");
    assert_eq!(reason(&refusal), "ETAG_MISMATCH");
    let read = vault.read(id, &first.item_id).await.expect("is there");
    assert_eq!((full_name(&read), &read.etag), (Some(one.as_str()), &second.etag));

    let delete = DeleteItemRequest { etag: second.etag, ..delete };
    assert!(service.delete_item(delete).await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_correction_leaves_the_newest_version_and_no_other() {
    let vault = TestVault::start();
    let created = vault.create(&["contact"]).await;
    let (id, first) = (&created.subject_id, &created.items[0]);
    let name = vault.canary();
    let mut service = vault.client("service");
    let update = UpdateItemRequest { wait: Wait::Erased.into(), ..vault.update(id, first, &name) };
    let answer = service.update_item(update).await.expect("corrects").into_inner();
    let stamp = answer.item.expect("is named");
    assert_eq!((stamp.version, &stamp.item_id), (2, &first.item_id));
    assert_eq!(answer.erasure.expect("of the old version").state(), ErasureState::Erased);
    let read = async |version: u64| {
        let get = GetItemRequest {
            context: vault.delivery(),
            subject: subject(id),
            item_id: first.item_id.clone(),
            version,
            ..Default::default()
        };
        let answer = vault.client("service").get_item(get).await.map_err(|status| reason(&status))?;
        Ok(full_name(&answer.into_inner().item.expect("an item")).expect("is shown").to_owned())
    };
    let absent = Err("NOT_FOUND".to_owned());
    assert_eq!([read(0).await, read(2).await], [Ok(name.clone()), Ok(name)]);
    assert_eq!([read(1).await, read(3).await], [absent.clone(), absent]);
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_continue_in_order_of_creation_although_items_go_between_them() {
    let vault = TestVault::start();
    let id = &vault.create(&[]).await.subject_id;
    let mut stamps = Vec::new();
    for _ in 0..8 {
        stamps.push(vault.put(id).await.item_id);
    }
    let list = async |page_token: String| {
        let list = ListItemsRequest {
            context: vault.delivery(),
            subject: subject(id),
            page_size: 3,
            page_token,
            ..Default::default()
        };
        let page = vault.client("service").list_items(list).await.expect("lists").into_inner();
        (page.items.into_iter().map(|item| item.item_id).collect::<Vec<_>>(), page.next_page_token)
    };
    let (first, token) = list(String::new()).await;
    assert_eq!((&first[..], token.is_empty()), (&stamps[..3], false));
    assert_eq!(list(token.clone()).await.0, stamps[3..6], "the same token again");

    // The item that the page ended with, one before it, one of the next page and one after that.
    for gone in [2, 0, 4, 7] {
        vault.delete(id, &stamps[gone]).await.expect("deletes");
    }
    let (second, token) = list(token).await;
    assert_eq!(second, [&stamps[3], &stamps[5], &stamps[6]].map(String::clone));
    let (rest, end) = if token.is_empty() { (Vec::new(), token) } else { list(token).await };
    assert_eq!((rest.len(), end.as_str()), (0, ""));
}

#[tokio::test(flavor = "multi_thread")]
async fn results_of_a_batch_come_in_order_with_their_references() {
    let vault = TestVault::start();
    let created = vault.create(&[]).await;
    let nobody = "sub_aaaaaaaaaaaaaaaaaaaaaaaaaa";
    let references: Vec<String> = (0..40).map(|_| vault.canary()).collect();
    let entry = |number: usize| PutItemEntry {
        reference: references[number].clone(),
        subject: subject(if number % 4 == 1 { nobody } else { &created.subject_id }),
        item: Some(if number % 4 == 2 { NewItem::default() } else { vault.item("contact") }),
        ..Default::default()
    };
    let batch =
        BatchPutItemsRequest { context: vault.delivery(), entries: (0..40).map(entry).collect(), ..Default::default() };
    let sent: Vec<NewItem> = batch.entries.iter().filter_map(|entry| entry.item.clone()).collect();
    let results = vault.client("service").batch_put_items(batch).await.expect("answers").into_inner().results;
    let mut entries = Vec::new();
    for (number, result) in results.into_iter().enumerate() {
        assert_eq!(result.reference, references[number]);
        let item_id = match result.outcome.expect("is told") {
            put_item_result::Outcome::Success(success) => success.item.expect("is named").item_id,
            put_item_result::Outcome::Error(error) => {
                let expected = if number % 4 == 1 { ErrorReason::NotFound } else { ErrorReason::FieldRequired };
                assert!(number % 4 != 0 && number % 4 != 3 && error.reason() == expected, "{number}");
                "itm_aaaaaaaaaaaaaaaaaaaaaaaaaa".into()
            }
        };
        let (reference, subject) = (references[number].clone(), subject(&created.subject_id));
        entries.push(GetItemEntry { reference, subject, item_id, ..Default::default() });
    }
    assert_eq!(entries.len(), 40);

    let batch = BatchGetItemsRequest { context: vault.delivery(), entries, ..Default::default() };
    let answer = vault.client("service").batch_get_items(batch).await.expect("answers").into_inner();
    let results: Vec<_> = vault.gather(answer).await.expect("reads").into_iter().flat_map(|m| m.results).collect();
    assert_eq!(results.len(), 40);
    for (number, result) in results.into_iter().enumerate() {
        assert_eq!(result.reference, references[number]);
        match result.outcome.expect("is told") {
            get_item_result::Outcome::Item(item) => {
                assert!(item.value == sent[number].value, "entry {number} has another's value");
            }
            get_item_result::Outcome::Error(error) => {
                assert!([1, 2].contains(&(number % 4)) && error.reason() == ErrorReason::NotFound, "{number}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_several_that_create_one_external_id_at_once_exactly_one_does() {
    let vault = TestVault::start();
    for _ in 0..4 {
        let external_id = vault.canary();
        let mut creations = JoinSet::new();
        for _ in 0..16 {
            let mut service = vault.client("service");
            let (context, external_id) = (vault.delivery(), external_id.clone());
            let create = CreateSubjectRequest { context, external_id, ..Default::default() };
            creations.spawn(async move {
                let answer = service.create_subject(create).await;
                answer.map(|created| created.into_inner().subject_id).map_err(|status| reason(&status))
            });
        }
        let (created, refused): (Vec<_>, Vec<_>) =
            creations.join_all().await.into_iter().partition(|created| created.is_ok());
        assert_eq!(created.len(), 1);
        assert!(refused.iter().all(|refusal| refusal.as_ref().is_err_and(|reason| reason == "ALREADY_EXISTS")));
        let named = Some(SubjectRef { r#ref: Some(subject_ref::Ref::ExternalId(external_id)) });
        let get = GetSubjectRequest { context: vault.delivery(), subject: named };
        let found = vault.client("service").get_subject(get).await.expect("is there").into_inner();
        assert_eq!(created, [Ok(found.subject.expect("is told").subject_id)]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_writes_that_share_a_sync_all_survive_a_kill() {
    let mut vault = TestVault::start();
    let id = Arc::new(vault.create(&[]).await.subject_id);
    let service = vault.client("service");
    let mut puts = JoinSet::new();
    for _ in 0..64 {
        let (mut service, item) = (service.clone(), vault.item("contact"));
        let put = PutItemRequest { context: vault.delivery(), subject: subject(&id), item: Some(item.clone()) };
        puts.spawn(async move {
            (service.put_item(put).await.expect("puts").into_inner().item.expect("is named"), item.value)
        });
    }
    let stored = puts.join_all().await;
    vault.kill();
    vault.run("");
    for (stamp, value) in stored {
        let read = vault.read(&id, &stamp.item_id).await.expect("is there");
        assert!(read.value == value && read.etag == stamp.etag, "an acknowledged value came back changed");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_shown_and_what_is_refused_is_in_the_log_before_the_answer() {
    let mut vault = TestVault::start();
    let created = vault.create(&["contact"]).await;
    let (id, item_id) = (&created.subject_id, &created.items[0].item_id);
    let before = vault.status().await.log.expect("is told").entry_count;
    for _ in 0..3 {
        vault.read(id, item_id).await.expect("is there");
        assert!(vault.read(id, "itm_aaaaaaaaaaaaaaaaaaaaaaaaaa").await.is_err(), "is absent");
        let get = GetSubjectRequest { context: vault.context("curiosity"), subject: subject(id) };
        assert!(vault.client("service").get_subject(get).await.is_err(), "for no registered purpose");
    }
    vault.kill();
    vault.run("");
    assert!(vault.status().await.log.expect("is told").entry_count >= before + 9);
}
