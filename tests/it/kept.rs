//! What items hold in rows of their own - days of events, the content of documents - and older free text, under a hold.

use std::time::Duration;

use lacuna::api::proto::download_document_response::Part as Got;
use lacuna::api::proto::*;
use lacuna::store::Engine as _;
use lacuna::store::keyspace::Space;
use tonic::Status;

use crate::documents::{finish, first, opening, pdf, pieces};
use crate::events::{batch, days_ago, send, visit_at};
use crate::holds::{LEGAL, holds, kept, legal, named, open, placed, reasons, refused, release, verdict, whole};
use crate::program::subject;
use crate::vault::TestVault;

async fn upload(vault: &TestVault, open: UploadOpen, content: &[u8]) -> UploadDone {
    let mut messages = vec![first(vault.delivery(), open)];
    messages.extend(pieces(content, 0));
    messages.push(finish(content));
    vault.upload("service", messages).await.done.expect("is stored")
}

/// A document of a person: its item, and what it holds.
async fn document(vault: &TestVault, subject_id: &str, bytes: usize) -> (String, Vec<u8>) {
    let content = pdf(vault, bytes);
    let done = upload(vault, opening(vault, subject_id), &content).await;
    (done.item.expect("is stated").item_id, content)
}

/// A day of events of a person: its item, and a word in them.
async fn day(vault: &TestVault, subject_id: &str, ago: i64) -> (String, String) {
    let word = vault.canary();
    let events = (0..3).map(|at| visit_at(vault, subject_id, days_ago(ago) + at, &word)).collect();
    let (answers, ended) = send(vault, vec![batch(vault, "", events)]).await;
    assert!(ended.is_ok() && answers[0].rejected.is_empty());
    let found = read_day(vault, "service", vault.delivery(), (subject_id, ""), &word).await.expect("reads");
    (found, word)
}

/// The item that holds the three events with a word.
async fn read_day(
    vault: &TestVault,
    client: &str,
    context: Option<CallContext>,
    (subject_id, item_id): (&str, &str),
    word: &str,
) -> Result<String, Status> {
    let request = ReadEventsRequest {
        context,
        subject: if subject_id.is_empty() { None } else { subject(subject_id) },
        item_id: item_id.into(),
        ..Default::default()
    };
    let stream = vault.client(client).read_events(request).await?.into_inner();
    let events = vault.gather(stream).await?.into_iter().flat_map(|part| part.events);
    let has_word = |event: &Event| match event.value.as_ref().and_then(|value| value.value.as_ref()) {
        Some(item_value::Value::AccessEvent(event)) => event.page == word,
        _ => false,
    };
    let found: Vec<Event> = events.filter(has_word).collect();
    Ok(if found.len() == 3 { found[0].item_id.clone() } else { String::new() })
}

async fn legal_day(vault: &TestVault, item_id: &str, word: &str) -> Result<String, Status> {
    read_day(vault, LEGAL, legal(vault), ("", item_id), word).await
}

async fn download(vault: &TestVault, client: &str, named: &str, item: &str, version: u64) -> Result<Vec<u8>, Status> {
    let request = DownloadDocumentRequest {
        context: legal(vault),
        subject: if named.is_empty() { None } else { subject(named) },
        item_id: item.into(),
        version,
        offset: 0,
    };
    let stream = vault.client(client).download_document(request).await?.into_inner();
    let mut content = Vec::new();
    for message in vault.gather(stream).await? {
        if let Some(Got::Chunk(chunk)) = message.part {
            content.extend_from_slice(&chunk.data);
        }
    }
    Ok(content)
}

/// How many rows there are of segments and of chunks.
fn rows(vault: &mut TestVault) -> (usize, usize) {
    vault.stop();
    let store = vault.store();
    let count = |space| store.scan(space, &[], &[], usize::MAX).expect("reads").len();
    let found = (count(Space::EventSegment), count(Space::Chunk));
    drop(store);
    vault.run("");
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_and_a_day_under_a_hold_outlive_deletion_and_the_person_and_go_with_the_hold() {
    let mut vault = TestVault::start();
    let id = vault.create(&["contact"]).await.subject_id;
    let (held, content) = document(&vault, &id, 600 << 10).await;
    let (other, _) = document(&vault, &id, 300 << 10).await;
    let (held_day, word) = day(&vault, &id, 1).await;
    let (other_day, other_word) = day(&vault, &id, 2).await;
    let case = open(&vault).await;
    let hold = placed(&vault, &case, &id, named(&[(&held, 0), (&held_day, 0)])).await;
    assert_eq!(rows(&mut vault), (2, 3 + 2));

    for item in [&held, &held_day] {
        assert_eq!(vault.delete(&id, item).await.expect("deletes").state(), ErasureState::Kept);
    }
    assert_eq!(vault.delete(&id, &other_day).await.expect("deletes").state(), ErasureState::Erased);
    assert_eq!(rows(&mut vault), (1, 3 + 2), "only what is not held goes");
    assert_eq!(refused(legal_day(&vault, &other_day, &other_word).await), "NOT_FOUND");
    for named in ["", &id] {
        assert!(download(&vault, LEGAL, named, &held, 0).await.expect("legal reads it") == content);
        let found = read_day(&vault, LEGAL, legal(&vault), (named, &held_day), &word).await;
        assert_eq!(found.expect("legal reads it"), held_day);
    }
    assert_eq!(refused(download(&vault, "kyc", &id, &held, 0).await), "NOT_FOUND");
    assert_eq!(refused(download(&vault, "kyc", "", &held, 0).await), "FIELD_REQUIRED");
    let officer = read_day(&vault, "privacy-officer", legal(&vault), (&id, &held_day), &word).await;
    assert_eq!(refused(officer), "NOT_FOUND");
    let gone = read_day(&vault, "service", vault.delivery(), (&id, ""), &word).await.expect("reads");
    assert_eq!(gone, "", "the account has it no more");
    // The day begins anew beside the one that is kept.
    let (again, new_word) = day(&vault, &id, 1).await;
    assert_ne!(again, held_day);

    let erased = vault.erase(&id, "").await.expect("erases");
    let receipt = erased.receipt.expect("a receipt");
    assert_eq!(erased.erasure.expect("is stated").state(), ErasureState::Erased, "nothing that it had then");
    assert_eq!(rows(&mut vault), (1, 3), "the other document and the new day are gone");
    assert!(download(&vault, LEGAL, "", &held, 1).await.expect("legal reads it") == content);
    assert_eq!(legal_day(&vault, &held_day, &word).await.expect("legal reads it"), held_day);
    assert_eq!(refused(legal_day(&vault, &again, &new_word).await), "NOT_FOUND");
    assert_eq!(refused(download(&vault, LEGAL, "", &other, 0).await), "NOT_FOUND");
    let found = reasons(&vault, LEGAL, list_keep_reasons_request::Target::MatterId(case)).await;
    assert_eq!(found.iter().map(|kept| &kept.subject_id[..]).collect::<Vec<_>>(), ["", ""]);
    assert_eq!(verdict(&vault, &receipt.receipt_id).await.0, ErasureVerdict::Erased);

    vault.kill();
    vault.run("");
    assert_eq!(release(&vault, &hold).await.erasure.expect("is stated").state(), ErasureState::Erased);
    assert_eq!(refused(download(&vault, LEGAL, "", &held, 0).await), "NOT_FOUND");
    assert_eq!(refused(legal_day(&vault, &held_day, &word).await), "NOT_FOUND");
    assert_eq!(rows(&mut vault), (0, 0));
    assert_eq!(vault.leaks(), vec![]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_is_erased_and_the_contents_that_are_held_stay_where_they_are() {
    let mut vault = TestVault::start();
    let id = vault.create(&["contact"]).await.subject_id;
    let (held, content) = document(&vault, &id, 600 << 10).await;
    document(&vault, &id, 300 << 10).await;
    let (held_day, word) = day(&vault, &id, 1).await;
    // An upload that will never be finished, and one to come as a new version of what is held.
    let open_one = opening(&vault, &id);
    let open_two = UploadOpen { item_id: held.clone(), ..opening(&vault, &id) };
    for open in [open_one, open_two] {
        let mut messages = vec![first(vault.delivery(), open)];
        messages.extend(pieces(&content, 0));
        vault.upload("service", messages).await;
    }
    let case = open(&vault).await;
    let hold = placed(&vault, &case, &id, named(&[(&held, 0), (&held_day, 0)])).await;
    let erased = vault.erase(&id, "").await.expect("erases");
    let receipt = erased.receipt.expect("a receipt").receipt_id;
    assert_eq!(erased.erasure.expect("is stated").state(), ErasureState::Kept);
    assert_eq!(verdict(&vault, &receipt).await, (ErasureVerdict::PartlyKept, 2));
    assert_eq!(rows(&mut vault), (1, 3));
    assert!(download(&vault, LEGAL, "", &held, 0).await.expect("legal reads it") == content);
    assert_eq!(legal_day(&vault, &held_day, &word).await.expect("legal reads it"), held_day);
    let item = kept(&vault, LEGAL, &held, 0).await.expect("legal reads it");
    assert_eq!((&item.subject_id[..], &item.receipt_id), ("", &receipt));
    release(&vault, &hold).await;
    assert_eq!(verdict(&vault, &receipt).await, (ErasureVerdict::Erased, 0));
    assert_eq!(rows(&mut vault), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_version_of_a_document_before_a_correction_is_kept_whatever_becomes_of_the_next() {
    let mut vault = TestVault::start();
    let id = vault.create(&["contact"]).await.subject_id;
    let (item, before) = document(&vault, &id, 600 << 10).await;
    let case = open(&vault).await;
    let hold = placed(&vault, &case, &id, named(&[(&item, 1)])).await;
    let after = pdf(&vault, 300 << 10);
    let next = UploadOpen { item_id: item.clone(), ..opening(&vault, &id) };
    let done = upload(&vault, next, &after).await;
    assert_eq!(done.item.expect("is stated").version, 2);
    assert!(download(&vault, LEGAL, &id, &item, 1).await.expect("legal reads it") == before);
    for _ in 0..200 {
        if vault.status().await.pending_erasure_count == 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(rows(&mut vault), (0, 3 + 2));
    // The second version came after the hold: it goes, and leaves the first alone.
    assert_eq!(vault.delete(&id, &item).await.expect("deletes").state(), ErasureState::Erased);
    assert_eq!(rows(&mut vault), (0, 3));
    assert!(download(&vault, LEGAL, "", &item, 0).await.expect("legal reads it") == before);
    let erased = vault.erase(&id, "").await.expect("erases");
    assert_eq!(erased.erasure.expect("is stated").state(), ErasureState::Erased);
    assert!(download(&vault, LEGAL, "", &item, 1).await.expect("legal reads it") == before);
    release(&vault, &hold).await;
    assert_eq!(rows(&mut vault), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn free_text_that_was_corrected_under_a_hold_is_read_by_its_etag() {
    let vault = TestVault::start();
    let created = vault.create(&["contact"]).await;
    let (id, item) = (&created.subject_id, &created.items[0].item_id);
    let case = open(&vault).await;
    placed(&vault, &case, id, whole(&[], true)).await;
    let first = vault.read(id, item).await.expect("reads").metadata.expect("is shown").source;
    let mut sources = vec![first];
    for _ in 0..3 {
        let source = vault.canary();
        let request = UpdateItemRequest {
            context: vault.delivery(),
            subject: subject(id),
            item_id: item.clone(),
            metadata: Some(ItemMetadata { source: source.clone(), ..Default::default() }),
            ..Default::default()
        };
        vault.client("service").update_item(request).await.expect("corrects");
        sources.push(source);
    }
    let target = list_keep_reasons_request::Target::ItemId(item.clone());
    let mut found = reasons(&vault, LEGAL, target).await;
    found.retain(|kept| !kept.receipt_id.is_empty());
    assert_eq!(found.iter().map(|kept| kept.version).collect::<Vec<_>>(), [1, 1, 1]);
    // The last is the account's.
    for (kept, source) in found.iter().zip(&sources) {
        let request = GetItemRequest {
            context: legal(&vault),
            subject: subject(id),
            item_id: item.clone(),
            etag: kept.etag.clone(),
            ..Default::default()
        };
        let read = vault.client(LEGAL).get_item(request.clone()).await.expect("reads").into_inner();
        assert_eq!(read.item.and_then(|item| item.metadata).expect("is shown").source, *source);
        assert_eq!(refused(vault.client("privacy-officer").get_item(request).await), "NOT_FOUND");
    }
    let unknown = GetItemRequest {
        context: legal(&vault),
        subject: subject(id),
        item_id: item.clone(),
        etag: "v9.9".into(),
        ..Default::default()
    };
    assert_eq!(refused(vault.client(LEGAL).get_item(unknown).await), "NOT_FOUND");
    let list = ListHoldsRequest { context: legal(&vault), ..Default::default() };
    let listed = holds(&vault, LEGAL).list_holds(list).await.expect("lists").into_inner().holds;
    assert_eq!(listed[0].kept_item_count, 3);
}
