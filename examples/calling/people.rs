//! Stores people in a batch, finds them by what they share, page by page, and reads in a batch.

use lacuna::api::proto::identifier::Identifier as By;
use lacuna::api::proto::vault_client::VaultClient;
use lacuna::api::proto::{
    BatchGetItemsRequest, BatchPutItemsRequest, Contact, EmailAddress, FindSubjectsRequest, GetItemEntry, Identifier,
    ItemValue, ListItemsRequest, NewItem, PutItemEntry, PutItemResult, SubjectMatch, SubjectRef, get_item_result,
    item_value, put_item_result, subject_ref,
};
use tonic::Status;
use tonic::transport::Channel;

use super::client::{Failure, connect, context, repeat, request, subject, unique};

/// Stores a batch. Entries that failed for now are sent again, with the others: under one key each is stored once.
async fn put_all(vault: &VaultClient<Channel>, entries: Vec<PutItemEntry>) -> Result<Vec<PutItemResult>, Status> {
    let batch = BatchPutItemsRequest { context: context(&unique()), entries, ..Default::default() };
    let send = async || vault.clone().batch_put_items(request(batch.clone())).await;
    let for_later = |result: &PutItemResult| matches!(&result.outcome, Some(put_item_result::Outcome::Error(error)) if error.retryable);
    let mut results = repeat(&send).await?.into_inner().results;
    for _ in 1..5 {
        if results.iter().any(for_later) {
            results = repeat(&send).await?.into_inner().results;
        }
    }
    Ok(results)
}

/// Everybody who is found. A short page, or an empty one, is not the end.
async fn find_all(vault: &VaultClient<Channel>, email: &str) -> Result<Vec<SubjectMatch>, Status> {
    let identifier = Some(Identifier { identifier: Some(By::Email(email.to_owned())) });
    let mut search = FindSubjectsRequest { context: context(""), identifier, page_size: 2, ..Default::default() };
    let mut found = Vec::new();
    loop {
        let page = repeat(async || vault.clone().find_subjects(request(search.clone())).await).await?.into_inner();
        found.extend(page.matches);
        search.page_token = page.next_page_token;
        if search.page_token.is_empty() {
            return Ok(found);
        }
    }
}

/// The names in so many contacts, of which the answer comes in parts.
async fn names(vault: &VaultClient<Channel>, entries: &[GetItemEntry]) -> Result<Vec<String>, Status> {
    let batch = BatchGetItemsRequest {
        context: context(""),
        entries: entries.to_vec(),
        fields: vec!["full_name".into()],
        ..Default::default()
    };
    let mut answers = vault.clone().batch_get_items(request(batch)).await?.into_inner();
    let mut names = Vec::new();
    while let Some(answer) = answers.message().await? {
        for result in answer.results {
            let Some(get_item_result::Outcome::Item(item)) = result.outcome else { continue };
            if let Some(item_value::Value::Contact(contact)) = item.value.and_then(|value| value.value) {
                names.push(contact.full_name);
            }
        }
    }
    names.sort();
    Ok(names)
}

/// A new person with a contact.
fn person(number: usize, email: &str) -> PutItemEntry {
    let emails = vec![EmailAddress { address: email.to_owned(), ..Default::default() }];
    let contact = Contact { full_name: format!("Example Person {number}"), emails, ..Default::default() };
    let value = Some(ItemValue { value: Some(item_value::Value::Contact(contact)) });
    let external_id = subject_ref::Ref::ExternalId(format!("user-{}-{number}", unique()));
    PutItemEntry {
        reference: format!("row {number}"),
        subject: Some(SubjectRef { r#ref: Some(external_id) }),
        item: Some(NewItem { class: "contact".into(), value, metadata: None }),
        create_subject: true,
        ..Default::default()
    }
}

/// What the sample says.
pub async fn run(dev: &serde_json::Value) -> Result<Vec<String>, Failure> {
    let vault = VaultClient::new(connect(dev, "service").await?);
    let family = format!("family-{}@example.com", unique());
    let emails = [&family, &family, "no address", &family];
    let people = emails.iter().enumerate().map(|(number, email)| person(number, email)).collect();
    let mut said = Vec::new();
    for result in put_all(&vault, people).await? {
        let became = match result.outcome {
            Some(put_item_result::Outcome::Error(error)) => error.violations.first().map(|v| v.field.clone()),
            _ => Some("stored".into()),
        };
        said.push(format!("{}: {}", result.reference, became.unwrap_or_default()));
    }

    let found = find_all(&vault, &family).await?;
    said.push(format!("found: {}", found.len()));

    let entry = |found: &SubjectMatch| GetItemEntry {
        reference: found.item_id.clone(),
        subject: subject(&found.subject_id),
        item_id: found.item_id.clone(),
        ..Default::default()
    };
    let entries: Vec<GetItemEntry> = found.iter().map(entry).collect();
    let names = repeat(async || names(&vault, &entries).await).await?;
    said.push(format!("read: {}", names.join(", ")));

    let list = ListItemsRequest { context: context(""), subject: entries[0].subject.clone(), ..Default::default() };
    let page = repeat(async || vault.clone().list_items(request(list.clone())).await).await?.into_inner();
    said.push(format!("items of the first: {}", page.items.len()));
    Ok(said)
}
