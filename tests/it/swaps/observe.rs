//! Everything that can be had of a vault, as names with what is answered: the same names for the vault as it is and for one
//! that somebody changed rows of.

use std::collections::BTreeMap;

use lacuna::api::proto::holds_client::HoldsClient;
use lacuna::api::proto::identifier::Identifier as By;
use lacuna::api::proto::privacy_client::PrivacyClient;
use lacuna::api::proto::vault_client::VaultClient;
use lacuna::api::proto::*;
use lacuna::crypto::hash::sha256;
use prost::Message;
use tonic::{Response, Status};

use super::scene::Scene;
use crate::finding::{found, identifiers, search};
use crate::holds::LEGAL;
use crate::program::subject;
use crate::samples::reason;
use crate::vault::{Recorded, TestVault};

/// What is answered: a hash of it, or the reason why not.
pub type Answer = Result<String, String>;

/// By name.
pub type Observed = BTreeMap<String, Answer>;

/// Asks a running vault for everything; in the end also whether the deletion is what it was.
pub async fn observe(scene: &Scene, vault: &TestVault, in_the_end: bool) -> Observed {
    let mut all = Observed::new();
    for (number, person) in scene.people.iter().enumerate() {
        let id = person.id();
        for item_id in person.items() {
            all.insert(format!("item {item_id}"), told(vault.read(id, item_id).await));
        }
        let get = GetSubjectRequest { context: vault.delivery(), subject: subject(id) };
        let got =
            VaultClient::new(vault.steady("service")).get_subject(get).await.map(|answer| answer.into_inner().subject);
        all.insert(format!("person {number}"), told(got.map(uncounted)));
        let named = Some(SubjectRef { r#ref: Some(subject_ref::Ref::ExternalId(person.create.external_id.clone())) });
        let get = GetSubjectRequest { context: vault.delivery(), subject: named };
        let got =
            VaultClient::new(vault.steady("service")).get_subject(get).await.map(|answer| answer.into_inner().subject);
        all.insert(format!("person {number} by the caller's id"), told(got.map(uncounted)));
        for (at, item) in person.create.items.iter().enumerate() {
            for (which, by) in identifiers(item).into_iter().enumerate() {
                each(&mut all, &format!("person {number} by identifier {at}.{which}"), find(vault, by).await);
            }
        }
        each(&mut all, &format!("list of person {number}"), list(vault, id).await);
        each(&mut all, &format!("events of person {number}"), events(vault, id).await);
        all.insert(format!("document of person {number}"), document(vault, id, &person.document).await);
    }
    for (item_id, version) in &scene.kept {
        let (context, version) = (vault.context("legal_compliance"), *version);
        let request = GetItemRequest { context, item_id: item_id.clone(), version, ..Default::default() };
        let item =
            VaultClient::new(vault.steady("legal")).get_item(request).await.map(|answer| answer.into_inner().item);
        all.insert(format!("kept {item_id}"), told(item.map(Option::unwrap_or_default)));
    }
    observe_holds(scene, vault, &mut all).await;
    for id in &scene.receipts {
        let receipt = vault.receipt(id).await;
        let bare =
            receipt.map(|receipt| Receipt { body: receipt.body, signature: receipt.signature, ..Default::default() });
        all.insert(format!("receipt {id}"), told(bare));
        let target = Some(verify_erasure_request::Target::ReceiptId(id.clone()));
        let verify = VerifyErasureRequest { context: vault.context("legal_compliance"), target };
        let found =
            PrivacyClient::new(vault.steady("privacy-officer")).verify_erasure(verify).await.map(Response::into_inner);
        let found = found.map(|found| VerifyErasureResponse { verify_time: None, ..found });
        all.insert(format!("verdict on {id}"), told(found));
    }
    repeat(scene, vault, in_the_end, &mut all).await;
    all
}

/// How many items somebody has is counted by their rows, which are not opened for this.
fn uncounted(subject: Option<Subject>) -> Subject {
    Subject { item_counts: Default::default(), ..subject.unwrap_or_default() }
}

fn holds(vault: &TestVault) -> HoldsClient<Recorded> {
    HoldsClient::new(vault.steady(LEGAL))
}

async fn observe_holds(scene: &Scene, vault: &TestVault, all: &mut Observed) {
    let context = || vault.context("legal_compliance");
    let list = ListHoldsRequest { context: context(), ..Default::default() };
    let listed = holds(vault).list_holds(list).await.map(|answer| answer.into_inner().holds);
    each(all, "holds", listed.map(|holds| holds.iter().map(|hold| (hold.hold_id.clone(), hash(hold))).collect()));
    let list = ListMattersRequest { context: context(), ..Default::default() };
    let listed = holds(vault).list_matters(list).await.map(|answer| answer.into_inner().matters);
    // An older row together with the pages of then hides what was added to a matter since: its counts, and so its etag.
    let of =
        |matter: &Matter| hash(&Matter { hold_count: 0, kept_item_count: 0, etag: String::new(), ..matter.clone() });
    each(all, "matters", listed.map(|all| all.iter().map(|matter| (matter.matter_id.clone(), of(matter))).collect()));
    for matter in &scene.matters {
        let target = Some(list_keep_reasons_request::Target::MatterId(matter.clone()));
        let list = ListKeepReasonsRequest { context: context(), target, ..Default::default() };
        let listed = holds(vault).list_keep_reasons(list).await.map(|answer| answer.into_inner().items);
        let listed = listed.map(|items| items.iter().map(|kept| (kept.item_id.clone(), hash(kept))).collect());
        each(all, &format!("kept for {matter}"), listed);
    }
}

/// Changes that were made, sent again: what they were answered.
async fn repeat(scene: &Scene, vault: &TestVault, in_the_end: bool, all: &mut Observed) {
    for (number, person) in scene.people.iter().enumerate() {
        let again = VaultClient::new(vault.steady("service"))
            .create_subject(person.create.clone())
            .await
            .map(Response::into_inner);
        all.insert(format!("person {number} created again"), told(again));
        if let Some((put, _)) = &person.put {
            let again = VaultClient::new(vault.steady("service")).put_item(put.clone()).await.map(Response::into_inner);
            all.insert(format!("person {number} put again"), told(again));
        }
    }
    if in_the_end {
        let (whose, what, key) = &scene.deletion;
        all.insert("deleted again".into(), told(vault.delete_once(whose, what, key).await));
    }
    // As of a matter: what the hold has come to keep can be hidden, not which hold it is nor what it covers.
    let of = |hold: Hold| Hold { kept_item_count: 0, receipt_ids: Vec::new(), ..hold };
    let again = holds(vault).place_hold(scene.placing.clone()).await.map(|placed| {
        let placed = placed.into_inner();
        PlaceHoldResponse { hold: placed.hold.map(of), ..placed }
    });
    all.insert("placed again".into(), told(again));
}

async fn find(vault: &TestVault, by: By) -> Result<Vec<(String, String)>, Status> {
    let matches = found(&mut VaultClient::new(vault.steady("service")), search(vault, by)).await?;
    Ok(matches.into_iter().map(|(subject, item)| (format!("{subject} {item}"), String::new())).collect())
}

async fn list(vault: &TestVault, id: &str) -> Result<Vec<(String, String)>, Status> {
    let request =
        ListItemsRequest { context: vault.delivery(), subject: subject(id), page_size: 100, ..Default::default() };
    let items = VaultClient::new(vault.steady("service")).list_items(request).await?.into_inner().items;
    Ok(items.into_iter().map(|item| (item.item_id.clone(), hash(&item))).collect())
}

async fn events(vault: &TestVault, id: &str) -> Result<Vec<(String, String)>, Status> {
    let request = ReadEventsRequest { context: vault.delivery(), subject: subject(id), ..Default::default() };
    let parts =
        vault.gather(VaultClient::new(vault.steady("service")).read_events(request).await?.into_inner()).await?;
    let events = parts.into_iter().flat_map(|part| part.events);
    Ok(events.map(|event| (hash(&event), String::new())).collect())
}

async fn document(vault: &TestVault, id: &str, item_id: &str) -> Answer {
    let request = DownloadDocumentRequest {
        context: vault.delivery(),
        subject: subject(id),
        item_id: item_id.into(),
        ..Default::default()
    };
    let read = async {
        let stream = VaultClient::new(vault.steady("service")).download_document(request).await?.into_inner();
        let mut content = Vec::new();
        for part in vault.gather(stream).await? {
            if let Some(download_document_response::Part::Chunk(chunk)) = part.part {
                content.extend_from_slice(&chunk.data);
            }
        }
        Ok(content)
    };
    read.await.map(|content| hex(&sha256(&[&content]))).map_err(|status| why(&status))
}

/// A list: each of its members has a name, so that one that is not shown is told from one that is wrong.
fn each(all: &mut Observed, name: &str, listed: Result<Vec<(String, String)>, Status>) {
    match listed {
        Ok(members) => {
            all.insert(name.into(), Ok(String::new()));
            all.extend(members.into_iter().map(|(member, hash)| (format!("{name}: {member}"), Ok(hash))));
        }
        Err(status) => drop(all.insert(name.into(), Err(why(&status)))),
    }
}

fn told<M: Message>(answer: Result<M, Status>) -> Answer {
    answer.map(|message| hash(&message)).map_err(|status| why(&status))
}

fn why(status: &Status) -> String {
    let reason = reason(status);
    if reason.is_empty() { format!("{:?} {}", status.code(), status.message()) } else { reason }
}

fn hash<M: Message>(message: &M) -> String {
    hex(&sha256(&[&message.encode_to_vec()]))
}

fn hex(hash: &[u8]) -> String {
    hash.iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}
