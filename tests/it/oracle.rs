//! To a role that may not know what exists, "denied" and "absent" look alike: in every byte, and in time.

use std::time::{Duration, Instant};

use lacuna::api::proto::identifier::Identifier as By;
use lacuna::api::proto::*;
use lacuna::base::limits::ABSENCE_BEAT;
use tonic::Status;

use crate::finding::{identifiers, search};
use crate::program::subject;
use crate::vault::TestVault;

/// Rounds of one call of each kind, in turns.
const ROUNDS: usize = 300;

/// What is asked for: what is there and not for this role; an item that never was; a person who never was.
struct Case {
    name: &'static str,
    subject_id: String,
    item_id: String,
}

async fn cases(vault: &TestVault) -> Vec<Case> {
    let created = vault.create(&["government_id", "contact"]).await;
    let deleted = &created.items[1].item_id;
    vault.delete(&created.subject_id, deleted).await.expect("deletes");
    let other = vault.create(&["government_id"]).await;
    let case = |name, subject_id: &str, item_id: &str| Case {
        name,
        subject_id: subject_id.to_owned(),
        item_id: item_id.to_owned(),
    };
    let nobody = format!("sub_{}", "a".repeat(26));
    let nothing = format!("itm_{}", "a".repeat(26));
    vec![
        case("denied", &created.subject_id, &created.items[0].item_id),
        case("never was", &created.subject_id, &nothing),
        case("another's", &created.subject_id, &other.items[0].item_id),
        case("deleted", &created.subject_id, deleted),
        case("no such person", &nobody, &nothing),
    ]
}

fn request(case: &Case) -> GetItemRequest {
    GetItemRequest {
        context: Some(CallContext { purpose: "service_delivery".into(), ..Default::default() }),
        subject: subject(&case.subject_id),
        item_id: case.item_id.clone(),
        ..Default::default()
    }
}

/// Everything a client sees of an error, but for the call's own id.
fn seen(status: &Status) -> Vec<u8> {
    let mut bytes = format!("{:?} {}", status.code(), status.message()).into_bytes();
    bytes.extend(without_request(status.details()));
    let mut headers: Vec<String> = status
        .metadata()
        .as_ref()
        .iter()
        .filter(|(name, _)| !["date", "grpc-status-details-bin"].contains(&name.as_str()))
        .map(|(name, value)| format!("{name}: {value:?}"))
        .collect();
    headers.sort();
    bytes.extend(headers.join("\n").into_bytes());
    bytes
}

fn without_request(details: &[u8]) -> Vec<u8> {
    let text: Vec<u8> = details.to_vec();
    match text.windows(4).position(|window| window == b"req_") {
        Some(at) => [&text[..at], &text[at + 30..]].concat(),
        None => text,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn denied_and_absent_are_the_same_bytes() {
    let vault = TestVault::start();
    let mut answers = Vec::new();
    for case in cases(&vault).await {
        let status = vault.client("support").get_item(request(&case)).await.err().expect("is refused");
        assert!(status.details().windows(4).any(|window| window == b"req_"), "names the call");
        answers.push((case.name, seen(&status)));
    }
    for (name, bytes) in &answers {
        assert_eq!(bytes, &answers[0].1, "{name} differs from {}", answers[0].0);
    }
}

/// A vault with a support desk that knows of the people of its region, and of nobody else.
fn with_own_region() -> TestVault {
    let here = r#"when { resource.hasTag("region") && resource.getTag("region") == "eu" };"#;
    let role = r#"principal in Lacuna::Role::"support", action in Lacuna::Action::"read", resource is"#;
    TestVault::start_with(|dir| {
        let path = dir.join("policies/roles.cedar");
        let text = std::fs::read_to_string(&path).expect("policies");
        let from = text.find("@id(\"support-helps\")").expect("is there");
        let to = text.find("@id(\"kyc-verifies\")").expect("is there");
        let own = format!(
            "@id(\"sees-own-region\")\npermit ({role} Lacuna::Data)\n{here}\n\
             @id(\"knows-own-region\")\npermit ({role} Lacuna::Subject)\n{here}\n\n"
        );
        std::fs::write(&path, [&text[..from], &own, &text[to..]].concat()).expect("is written");
    })
}

/// A person of a region, with their contact: the vault's id and what they are found by.
async fn person_of(vault: &TestVault, region: &str) -> (String, Vec<By>) {
    let (external_id, contact) = (vault.canary(), vault.item("contact"));
    let request = CreateSubjectRequest {
        context: vault.delivery(),
        external_id: external_id.clone(),
        labels: [("region".to_owned(), region.to_owned())].into(),
        items: vec![contact.clone()],
    };
    let created = vault.client("service").create_subject(request).await.expect("creates").into_inner();
    let by = identifiers(&contact).into_iter().chain([By::ExternalId(external_id)]);
    (created.subject_id, by.collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_of_another_region_is_absent_in_every_call() {
    let vault = with_own_region();
    let nobody = (format!("sub_{}", "a".repeat(26)), identifiers(&vault.item("contact")));
    let people = [nobody, person_of(&vault, "us").await, person_of(&vault, "eu").await];
    let mut support = vault.client("support");
    let mut answers = Vec::new();
    for (person, found_by) in &people {
        for by in found_by {
            let answer = support.find_subjects(search(&vault, by.clone())).await.expect("is answered").into_inner();
            let expected: &[&str] = if *person == people[2].0 { &[person] } else { &[] };
            let found: Vec<&str> = answer.matches.iter().map(|found| found.subject_id.as_str()).collect();
            assert_eq!((&found[..], answer.next_page_token.as_str()), (expected, ""));
        }
        let (context, person) = (vault.delivery(), subject(person));
        let listed = ListItemsRequest { context: context.clone(), subject: person.clone(), ..Default::default() };
        let listed = support.list_items(listed).await.map(|page| page.into_inner().items.len());
        let described = GetSubjectRequest { context, subject: person };
        let described = support.get_subject(described).await.map(|found| found.into_inner().subject.is_some());
        answers.push((listed.map_err(|status| seen(&status)), described.map_err(|status| seen(&status))));
    }
    assert_eq!(answers[0], answers[1], "nobody, and a person of another region");
    assert!(answers[0].0.is_err() && answers[0].1.is_err());
    assert_eq!(answers[2], (Ok(1), Ok(true)));
}

/// Calls of each kind in turns, on one connection, so that whatever else goes on meets all alike. The medians must not
/// differ by more than what one such call differs from the next.
#[tokio::test(flavor = "multi_thread")]
async fn denied_and_absent_take_the_same_time() {
    let vault = TestVault::start();
    let cases = cases(&vault).await;
    let mut client = vault.client("support");
    let mut times: Vec<Vec<Duration>> = cases.iter().map(|_| Vec::with_capacity(ROUNDS)).collect();
    for round in 0..ROUNDS + 20 {
        for step in 0..cases.len() {
            let which = (round + step) % cases.len(); // no kind always follows the same other one
            let request = request(&cases[which]);
            let start = Instant::now();
            client.get_item(request).await.err().expect("is refused");
            if round >= 20 {
                times[which].push(start.elapsed());
            }
        }
    }
    // Without the beat, the person who never was is answered a tenth of a millisecond sooner.
    compare(&cases.iter().map(|case| case.name).collect::<Vec<_>>(), &mut times);
}

/// The same for searches: for somebody who is not there, and for people of another region.
#[tokio::test(flavor = "multi_thread")]
async fn finding_nobody_and_somebody_who_is_not_to_be_known_take_the_same_time() {
    let vault = with_own_region();
    let of_nobody = identifiers(&vault.item("contact"));
    let (_, of_other) = person_of(&vault, "us").await;
    let names = ["nobody's email", "another's email", "nobody's phone", "another's phone"];
    let searched = [&of_nobody[0], &of_other[0], &of_nobody[1], &of_other[1]];
    let mut client = vault.client("support");
    let mut times: Vec<Vec<Duration>> = names.iter().map(|_| Vec::with_capacity(ROUNDS)).collect();
    for round in 0..ROUNDS + 20 {
        for step in 0..names.len() {
            let which = (round + step) % names.len();
            let request = search(&vault, searched[which].clone());
            let start = Instant::now();
            let answer = client.find_subjects(request).await.expect("is answered").into_inner();
            let took = start.elapsed();
            assert!(answer.matches.is_empty() && answer.next_page_token.is_empty());
            if round >= 20 {
                times[which].push(took);
            }
        }
    }
    compare(&names, &mut times);
}

/// Every answer waits for the beat, and the medians are no further apart than one call is from the next.
fn compare(names: &[&str], times: &mut [Vec<Duration>]) {
    let quartiles = |times: &mut Vec<Duration>| {
        times.sort_unstable();
        [times[ROUNDS / 4], times[ROUNDS / 2], times[ROUNDS * 3 / 4]]
    };
    let all: Vec<[Duration; 3]> = times.iter_mut().map(quartiles).collect();
    for (name, quartiles) in names.iter().zip(&all) {
        println!("{name:15} quartiles {quartiles:?}");
    }
    assert!(times.iter().flatten().all(|time| *time >= ABSENCE_BEAT), "every answer waits for the beat");
    let spread = all.iter().map(|[low, _, high]| *high - *low).max().expect("cases");
    let medians = || all.iter().map(|[_, median, _]| *median);
    let apart = medians().max().expect("cases") - medians().min().expect("cases");
    assert!(apart <= spread, "medians are {apart:?} apart, the middle half of calls {spread:?}");
}
