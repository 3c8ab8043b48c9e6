//! Pages and their tokens.

use super::*;
use crate::crypto::label;
use crate::gate::refusal::{Fault, FaultReason};
use crate::gate::tokens::{self, Bound};
use crate::items::list;
use crate::items::model::{Delete, ListPage, ListQuery, Wait};

fn all(subject: SubjectId, page_size: u32, page_token: &str) -> ListQuery {
    let page_token = page_token.into();
    let subject = SubjectRef::Id(subject);
    ListQuery { subject, classes: vec![], view: None, fields: vec![], page_size, page_token }
}

async fn page(bench: &Bench, query: ListQuery) -> Result<ListPage, Refusal> {
    let call = bench.call(Action::ListItems).await;
    list::list(&bench.vault, &call, query).await
}

fn bad_token<T>(outcome: Result<T, Refusal>) -> bool {
    matches!(outcome, Err(refusal) if refusal == Fault::new("page_token", FaultReason::PageToken).into())
}

#[tokio::test]
async fn pages_hold_every_item_once_also_when_some_go_meanwhile() {
    let bench = Bench::new();
    let (subject, items) = bench.person(&["1", "2", "3", "4", "5"]).await;
    let first = page(&bench, all(subject, 2, "")).await.expect("lists");
    let last = first.items.last().expect("two").item;
    let call = bench.call(Action::DeleteItem).await;
    let gone = Delete { subject: SubjectRef::Id(subject), item: last, etag: String::new(), wait: Wait::Erased };
    crate::items::delete::delete(&bench.vault, &call, gone).await.expect("deletes");
    let second = page(&bench, all(subject, 2, &first.next_page_token)).await.expect("goes on");
    let third = page(&bench, all(subject, 2, &second.next_page_token)).await.expect("goes on");
    assert!(third.next_page_token.is_empty());
    let seen: Vec<ItemId> =
        [first, second, third].iter().flat_map(|page| page.items.iter().map(|item| item.item)).collect();
    assert_eq!(seen, items.iter().map(|stamp| stamp.item).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_token_is_good_for_its_caller_its_query_and_a_day() {
    let bench = Bench::new();
    let (subject, _) = bench.person(&["1", "2", "3"]).await;
    let (other, _) = bench.person(&["1", "2", "3"]).await;
    let token = page(&bench, all(subject, 1, "")).await.expect("lists").next_page_token;
    assert!(page(&bench, all(subject, 2, &token)).await.is_ok(), "the size may change");
    assert!(bad_token(page(&bench, all(other, 1, &token)).await));
    let narrower = ListQuery { classes: vec!["contact".into()], ..all(subject, 1, &token) };
    assert!(bad_token(page(&bench, narrower).await));
    let call = bench.call_as("billing", RoleId::Service, "service_delivery", Action::ListItems, "", "").await;
    assert!(bad_token(list::list(&bench.vault, &call, all(subject, 1, &token)).await));
    for broken in ["x", "AAAA", &token[1..], &token.replace(&token[8..9], if &token[8..9] == "A" { "B" } else { "A" })]
    {
        assert!(bad_token(page(&bench, all(subject, 1, broken)).await), "{broken}");
    }
    bench.at(23 * HOUR);
    assert!(page(&bench, all(subject, 1, &token)).await.is_ok());
    bench.at(25 * HOUR);
    assert!(bad_token(page(&bench, all(subject, 1, &token)).await));
}

#[tokio::test]
async fn a_token_opens_for_the_same_caller_role_purpose_and_method_alone() {
    let bench = Bench::new();
    let call = async |caller, role, purpose, action| bench.call_as(caller, role, purpose, action, "", "").await;
    let (service, delivery, list) = (RoleId::Service, "service_delivery", Action::ListItems);
    let made = call("checkout", service, delivery, list).await;
    let bound = |label, query| Bound { label, query };
    let (kind, query) = (label::PAGE_TOKEN, &b"query"[..]);
    let sealed = tokens::seal(&made, &bound(kind, query), b"place", bench.vault.now()).expect("seals");
    let opened = |call: &Call, bound: Bound<'_>| {
        tokens::open(call, &bound, &sealed, bench.vault.now(), |r| Ok(r.rest().to_vec())).is_some()
    };
    assert!(opened(&call("checkout", service, delivery, list).await, bound(kind, query)));
    for (what, other) in [
        ("caller", call("billing", service, delivery, list).await),
        ("role", call("checkout", RoleId::Support, delivery, list).await),
        ("purpose", call("checkout", service, "security", list).await),
        ("method", call("checkout", service, delivery, Action::GetItem).await),
    ] {
        assert!(!opened(&other, bound(kind, query)), "another {what}");
    }
    assert!(!opened(&made, bound(kind, b"other")) && !opened(&made, bound(label::FIND_PAGE, query)));
}

#[tokio::test]
async fn a_page_of_large_items_ends_early() {
    let bench = Bench::new();
    let long = "x".repeat(500);
    let names: Vec<&str> = (0..64).map(|_| long.as_str()).collect();
    let (subject, _) = bench.person(&names).await;
    let first = page(&bench, all(subject, 1000, "")).await.expect("lists");
    assert_eq!(first.items.len(), 64, "small items share a page");
}
