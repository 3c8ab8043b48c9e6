//! Nothing that a caller chose is anywhere but in answers; and the search that says so finds what is planted.

use lacuna::api::proto::*;
use lacuna::store::Engine as _;
use lacuna::store::batch::Batch;
use lacuna::store::keyspace::Space;
use tonic::{Code, Status};

use crate::program::subject;
use crate::samples::{CLASSES, full_name, named};
use crate::vault::TestVault;

/// Every call in which a caller can write a text, with a canary in each; the vault's drop searches for them.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_callers_write_is_found_outside_answers() {
    let mut vault = TestVault::start();
    let created = vault.create(&CLASSES).await;
    write_everywhere(&vault, &created).await;
    write_where_it_is_refused(&vault, &created).await;
    // What a restart writes is searched too: the log becomes tables.
    vault.stop();
    vault.run("");
    let (id, items) = (&created.subject_id, &created.items);
    let read = vault.read(id, &items[0].item_id).await.expect("is there");
    assert!(full_name(&read).is_some());
    vault.delete(id, &items[1].item_id).await.expect("deletes");
    vault.kill();
    vault.run("");
}

/// Calls that are carried out.
async fn write_everywhere(vault: &TestVault, created: &CreateSubjectResponse) {
    let mut service = vault.client("service");
    let (id, items) = (&created.subject_id, &created.items);
    let context = vault.repeatable(&vault.canary());
    let put = PutItemRequest { context, subject: subject(id), item: Some(vault.item("contact")) };
    let [first, again] = [service.put_item(put.clone()).await, service.put_item(put).await];
    assert_eq!(first.expect("puts").into_inner(), again.expect("is the same").into_inner());
    let entry = |named, create_subject| PutItemEntry {
        reference: vault.canary(),
        subject: named,
        item: Some(vault.item("payment")),
        create_subject,
        ..Default::default()
    };
    let external = Some(SubjectRef { r#ref: Some(subject_ref::Ref::ExternalId(vault.canary())) });
    let entries = vec![entry(subject(id), false), entry(external, true)];
    let batch = BatchPutItemsRequest { context: vault.repeatable(&vault.canary()), entries, ..Default::default() };
    service.batch_put_items(batch).await.expect("puts");
    let update = UpdateItemRequest {
        context: vault.repeatable(&vault.canary()),
        subject: subject(id),
        item_id: items[0].item_id.clone(),
        value: vault.item("contact").value,
        wait: Wait::Erased.into(),
        ..Default::default()
    };
    service.update_item(update).await.expect("corrects");
    let list = ListItemsRequest { context: vault.delivery(), subject: subject(id), ..Default::default() };
    assert_eq!(service.list_items(list).await.expect("lists").into_inner().items.len(), CLASSES.len() + 2);
    let test = VerifyPasswordRequest {
        context: vault.delivery(),
        subject: subject(id),
        secret: vault.canary(),
        ..Default::default()
    };
    assert!(!service.verify_password(test).await.expect("tests").into_inner().verified);
    let reference = vault.canary();
    let entry =
        GetItemEntry { reference, subject: subject(id), item_id: items[1].item_id.clone(), ..Default::default() };
    let batch = BatchGetItemsRequest { context: vault.delivery(), entries: vec![entry], ..Default::default() };
    let answer = service.batch_get_items(batch).await.expect("reads").into_inner();
    assert_eq!(vault.gather(answer).await.expect("reads").len(), 1);
}

/// Calls that are refused, each for a text that must not come back in the refusal.
async fn write_where_it_is_refused(vault: &TestVault, created: &CreateSubjectResponse) {
    let mut service = vault.client("service");
    let id = &created.subject_id;
    let context = |change: &dyn Fn(&mut CallContext)| {
        let mut context = vault.delivery().expect("is made");
        change(&mut context);
        Some(context)
    };
    let contexts = [
        context(&|context| context.purpose = vault.canary()),
        context(&|context| context.role = vault.canary()),
        context(&|context| context.approval_id = vault.canary()),
        context(&|context| context.ticket = vault.canary().repeat(100)),
        context(&|context| context.idempotency_key = vault.canary().repeat(100)),
    ];
    for context in contexts {
        let create = CreateSubjectRequest { context, external_id: vault.canary(), ..Default::default() };
        let _ = service.create_subject(create).await;
    }
    let external = |id: String| Some(SubjectRef { r#ref: Some(subject_ref::Ref::ExternalId(id)) });
    for named in [external(vault.canary()), external(vault.canary().repeat(100)), subject(&vault.canary())] {
        let get = GetSubjectRequest { context: vault.delivery(), subject: named };
        refused(service.get_subject(get).await);
    }
    let list = ListItemsRequest { context: vault.delivery(), subject: subject(id), ..Default::default() };
    refused(service.list_items(ListItemsRequest { page_token: vault.canary(), ..list.clone() }).await);
    let _ = service.list_items(ListItemsRequest { classes: vec![vault.canary()], ..list.clone() }).await;
    let _ = service.list_items(ListItemsRequest { fields: vec![vault.canary()], ..list }).await;
    let mut wrong = [(); 5].map(|()| vault.item("contact"));
    wrong[0].class = vault.canary();
    wrong[1].value = vault.item("payment").value;
    wrong[2].value = Some(named(&format!("{}\0", vault.canary())));
    wrong[3].metadata.as_mut().expect("has some").purposes = vec![vault.canary()];
    wrong[4].metadata.as_mut().expect("has some").legal_basis = vault.canary();
    for item in wrong {
        let put = PutItemRequest { context: vault.delivery(), subject: subject(id), item: Some(item) };
        refused(service.put_item(put).await);
    }
    let delete = DeleteItemRequest { context: vault.delivery(), subject: subject(id), ..Default::default() };
    let item_id = created.items[0].item_id.clone();
    refused(service.delete_item(DeleteItemRequest { etag: vault.canary(), item_id, ..delete.clone() }).await);
    refused(service.delete_item(DeleteItemRequest { item_id: vault.canary(), ..delete }).await);
}

fn refused<T>(answer: Result<T, Status>) {
    assert!(answer.is_err(), "must be refused");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leak_is_found_wherever_it_is() {
    let mut vault = TestVault::start();
    let canary = vault.canary();
    vault.note(&Status::new(Code::NotFound, format!("no such subject: {canary}")));
    vault.stop();
    std::fs::write(vault.dir().join("slots/note"), format!("for {canary}")).expect("is written");
    let mut batch = Batch::new();
    for number in 0..1000_u64 {
        let text = format!("a row much like any other, with {canary} in it, and again {canary}");
        batch.put(Space::Log, number.to_be_bytes(), text);
    }
    vault.store().commit(batch).expect("is written");
    drop(vault.store()); // opened again, the store makes a compressed table of its log and removes that
    let leaks: Vec<String> = vault.leaks().iter().map(ToString::to_string).collect();
    let found = |place: &str| leaks.iter().any(|leak| leak.split(" at byte").next().unwrap_or("").ends_with(place));
    for place in ["slots/note", "answers, errors and metrics", ".sst"] {
        assert!(found(place), "{place}: {leaks:#?}");
    }
    // The drop must fail for the same reason.
    let dropped = std::thread::spawn(move || drop(vault)).join();
    assert!(dropped.is_err(), "a test with a leak must fail");
}
