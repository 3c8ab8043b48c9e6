//! Looking for people by what is known of them.

use std::collections::BTreeSet;

use super::indexed::{PHONE, reachable};
use super::*;
use crate::audit::event::{About, Decision, Outcome};
use crate::base::reason::Reason;
use crate::catalog::class::Identifier;
use crate::catalog::classes::GovernmentId;
use crate::catalog::classes::government_id::GovernmentIdType;
use crate::gate::refusal::{FaultReason, Unavailable};
use crate::items::model::{Delete, FindPage, FindQuery, Match, Restriction, RestrictionGround, Update, Wait};
use crate::items::{delete, find, restrict, update};

pub fn email(text: &str) -> Identifier {
    Identifier::email(text).expect("an address")
}

pub fn phone(text: &str) -> Identifier {
    Identifier::phone(text).expect("a number")
}

pub fn passport(number: &str) -> NewItem {
    let value = ItemValue::GovernmentId(GovernmentId {
        kind: GovernmentIdType::Passport,
        country_code: "GB".into(),
        number: number.into(),
        ..GovernmentId::default()
    });
    NewItem { class: "government_id".into(), value, metadata: NewMetadata::default() }
}

pub fn by(identifier: Identifier) -> FindQuery {
    FindQuery { identifier, page_size: 0, page_token: String::new() }
}

impl Bench {
    async fn found(&self, identifier: Identifier) -> Vec<Match> {
        let call = self.call(Action::FindSubjects).await;
        let mut matches = find::find(&self.vault, &call, by(identifier)).await.expect("is answered").matches;
        matches.sort();
        matches
    }

    async fn subjects(&self, identifier: Identifier) -> Vec<SubjectId> {
        self.found(identifier).await.into_iter().map(|found| found.subject).collect()
    }

    async fn found_as(&self, role: RoleId, purpose: &str, identifier: Identifier) -> Result<FindPage, Refusal> {
        let call = self.call_as("desk", role, purpose, Action::FindSubjects, "", "").await;
        find::find(&self.vault, &call, by(identifier)).await
    }
}

#[tokio::test]
async fn people_are_found_by_each_of_their_identifiers_and_told_with_the_item_that_holds_it() {
    let bench = Bench::new();
    let items = vec![reachable(&["a@example.com"], PHONE), passport("925076473"), contact("Ada")];
    let (subject, stamps) = bench.indexed("user-1", items).await;
    let (other, _) = bench.indexed("user-2", vec![reachable(&["b@example.com"], "+12125550143")]).await;
    let number = Identifier::document_number(GovernmentIdType::Passport, "gb", "925 076 473").expect("a number");
    for (identifier, item) in [
        (email("A@Example.COM"), Some(stamps[0].item)),
        (phone("+44 (0)20 7946 0958"), Some(stamps[0].item)),
        (number, Some(stamps[1].item)),
        (Identifier::external_id(&"user-1".into()), None),
    ] {
        assert_eq!(bench.found(identifier).await, [Match { subject, item }]);
    }
    assert_eq!(bench.subjects(email("b@example.com")).await, [other]);
    for absent in [email("c@example.com"), Identifier::external_id(&"USER-1".into())] {
        assert_eq!(bench.found(absent).await, []);
    }
}

#[tokio::test]
async fn who_has_it_no_more_is_not_found() {
    let bench = Bench::new();
    let (subject, stamps) = bench.indexed("", vec![reachable(&["a@example.com"], PHONE)]).await;
    let call = bench.call(Action::UpdateItem).await;
    let value = Some(reachable(&["b@example.com"], PHONE).value);
    let (named, item) = (SubjectRef::Id(subject), stamps[0].item);
    let wanted = Update { subject: named, item, etag: String::new(), value, metadata: None, wait: Wait::Logical };
    update::update(&bench.vault, &call, wanted).await.expect("corrects");
    assert_eq!(bench.subjects(email("a@example.com")).await, []);
    assert_eq!(bench.subjects(email("b@example.com")).await, [subject]);
    assert_eq!(bench.subjects(phone(PHONE)).await, [subject], "once, though rows of both versions may be there");
    let call = bench.call(Action::DeleteItem).await;
    let wanted = Delete { subject: SubjectRef::Id(subject), item, etag: String::new(), wait: Wait::Logical };
    delete::delete(&bench.vault, &call, wanted).await.expect("deletes");
    assert_eq!(bench.subjects(phone(PHONE)).await, []);
}

#[tokio::test]
async fn pages_hold_everybody_who_shares_an_identifier_once() {
    let bench = Bench::new();
    let mut all = BTreeSet::new();
    for _ in 0..7 {
        all.insert(bench.indexed("", vec![reachable(&["a@example.com"], PHONE)]).await.0);
    }
    let (mut token, mut seen, mut pages) = (String::new(), Vec::new(), 0);
    loop {
        let call = bench.call(Action::FindSubjects).await;
        let query = FindQuery { identifier: phone(PHONE), page_size: 3, page_token: token };
        let page = find::find(&bench.vault, &call, query).await.expect("is answered");
        assert!(page.matches.len() <= 3);
        seen.extend(page.matches.iter().map(|found| found.subject));
        (token, pages) = (page.next_page_token, pages + 1);
        assert!(pages <= 3, "it goes on and on");
        if token.is_empty() {
            break;
        }
        let call = bench.call(Action::FindSubjects).await;
        let other = FindQuery { identifier: email("a@example.com"), page_size: 3, page_token: token.clone() };
        let refusal = find::find(&bench.vault, &call, other).await.expect_err("of another search");
        assert!(matches!(refusal, Refusal::Invalid(faults) if faults[0].reason == FaultReason::PageToken));
    }
    assert_eq!((pages, seen.len()), (3, 7));
    assert_eq!(BTreeSet::from_iter(seen), all);
}

#[tokio::test]
async fn who_may_not_know_of_somebody_does_not_find_them_and_the_log_says_so() {
    let bench = Bench::new();
    let (subject, stamps) = bench.indexed("user-1", vec![reachable(&["a@example.com"], PHONE)]).await;
    let call = bench.call_as("dpo", RoleId::PrivacyOfficer, "legal_compliance", Action::RestrictSubject, "", "").await;
    let ground = Some(RestrictionGround::AccuracyContested);
    let wanted = Restriction { subject: SubjectRef::Id(subject), ground };
    restrict::restrict(&bench.vault, &call, wanted).await.expect("restricts");

    let page = bench.found_as(RoleId::Support, "service_delivery", email("a@example.com")).await.expect("is answered");
    assert_eq!(page, FindPage { matches: vec![], next_page_token: String::new() });
    let leaf = bench.last_leaf();
    assert_eq!(
        (leaf.operation.as_str(), leaf.decision, leaf.outcome),
        ("FindSubjects", Decision::Denied, Outcome::Refused)
    );
    assert_eq!((leaf.reason, leaf.class.as_str()), (Reason::Restricted.number(), "contact"));
    assert!(matches!(leaf.about, About::Subject(_)));
    let page = bench.found_as(RoleId::PrivacyOfficer, "legal_compliance", email("a@example.com")).await.expect("finds");
    assert_eq!(page.matches, [Match { subject, item: Some(stamps[0].item) }]);
    // The person as such is not restricted data.
    assert_eq!(bench.subjects(Identifier::external_id(&"user-1".into())).await, [subject]);
}

/// Labels of a person decide, whichever of the rules reads them: that about persons, or that about their items.
#[tokio::test]
async fn where_rules_read_labels_only_people_with_the_right_ones_are_found() {
    let bench = Bench::new();
    let mut people = Vec::new();
    for (external_id, region) in [("user-eu", "eu"), ("user-us", "us"), ("user-nowhere", "")] {
        let call = bench.call(Action::CreateSubject).await;
        let labels = [("region", region)].into_iter().filter(|(_, region)| !region.is_empty());
        let labels = labels.map(|(label, region)| (label.to_owned(), region.to_owned())).collect();
        let items = vec![reachable(&["a@example.com"], PHONE)];
        let new = NewSubject { external_id: external_id.into(), labels, items };
        people.push(create::create(&bench.vault, &call, new).await.expect("creates").subject);
    }
    let europe = " && resource.hasTag(\"region\") && resource.getTag(\"region\") == \"eu\"";
    for (of_person, of_item) in [(europe, ""), ("", europe)] {
        let rule = |kind: &str, more: &str| {
            format!(
                "@id(\"own-{}\") permit (principal in Lacuna::Role::\"support\", action in Lacuna::Action::\"read\", \
                 resource is Lacuna::{kind}) when {{ context.purpose == Lacuna::Purpose::\"service_delivery\"{more} }};",
                kind.to_lowercase()
            )
        };
        let policies = rule("Subject", of_person) + &rule("Data", of_item);
        bench.rule_by(crate::catalog::registry::DEFAULT, &policies).await;
        let found = async |identifier| {
            let page = bench.found_as(RoleId::Support, "service_delivery", identifier).await.expect("is answered");
            page.matches.into_iter().map(|found| found.subject).collect::<Vec<_>>()
        };
        assert_eq!(found(email("a@example.com")).await, [people[0]]);
        assert_eq!(found(phone(PHONE)).await, [people[0]]);
        for (external_id, subject) in [("user-eu", people[0]), ("user-us", people[1]), ("user-nowhere", people[2])] {
            // No item holds an external id.
            let expected = if of_person.is_empty() || subject == people[0] { vec![subject] } else { vec![] };
            assert_eq!(found(Identifier::external_id(&external_id.into())).await, expected, "{external_id}");
        }
    }
}

#[tokio::test]
async fn who_may_look_into_no_class_that_holds_it_is_told_so_about_everybody_alike() {
    let bench = Bench::new();
    bench.indexed("", vec![passport("925076473")]).await;
    for number in ["925076473", "123456789"] {
        let number = Identifier::document_number(GovernmentIdType::Passport, "GB", number).expect("a number");
        let refusal = bench.found_as(RoleId::Support, "service_delivery", number).await.expect_err("is denied");
        assert_eq!(refusal.told(), Reason::AccessDenied);
        assert_eq!(bench.last_leaf().about, About::Nobody);
    }
}

#[tokio::test]
async fn a_search_is_recorded_about_each_person_it_found_or_about_nobody_and_never_with_what_was_looked_for() {
    let bench = Bench::new();
    for _ in 0..2 {
        bench.indexed("", vec![reachable(&["ana@example.com"], PHONE)]).await;
    }
    let before = bench.leaves().len();
    assert_eq!(bench.found(phone(PHONE)).await.len(), 2);
    assert!(bench.found(phone("+12125550143")).await.is_empty());
    let leaves = bench.leaves().split_off(before);
    let abouts: Vec<bool> = leaves.iter().map(|leaf| matches!(leaf.about, About::Subject(_))).collect();
    assert_eq!(abouts, [true, true, false]);
    assert!(leaves.iter().all(|leaf| (leaf.outcome, leaf.operation.as_str()) == (Outcome::Done, "FindSubjects")));
    assert_eq!(leaves.iter().map(|leaf| (leaf.count, leaf.view)).collect::<Vec<_>>(), [(1, 1), (1, 1), (0, 0)]);
    for space in Space::ALL {
        for (key, row) in bench.rows(*space) {
            for looked_for in [&b"442079460958"[..], b"ana@example", b"12125550143"] {
                let holds = |bytes: &[u8]| bytes.windows(looked_for.len()).any(|window| window == looked_for);
                assert!(!holds(&key) && !holds(&row), "{}", space.name());
            }
        }
    }
}

#[tokio::test]
async fn looking_for_too_many_different_people_is_refused_and_recorded() {
    let bench = Bench::new();
    let (subject, _) = bench.indexed("", vec![reachable(&["a@example.com"], PHONE)]).await;
    for n in 0..99 {
        assert!(bench.subjects(email(&format!("nobody-{n}@example.com"))).await.is_empty());
    }
    assert_eq!(bench.subjects(email("a@example.com")).await, [subject]);
    let call = bench.call(Action::FindSubjects).await;
    let refusal = find::find(&bench.vault, &call, by(email("more@example.com"))).await.expect_err("is too much");
    let Refusal::RateLimited { retry_after } = refusal else { panic!("{refusal}") };
    assert!(retry_after <= Duration::from_secs(60) && retry_after > Duration::from_secs(20), "{retry_after:?}");
    let leaf = bench.last_leaf();
    assert_eq!((leaf.outcome, leaf.reason), (Outcome::Refused, Reason::RateLimited.number()));
    assert_eq!(bench.subjects(email("A@EXAMPLE.com")).await, [subject], "the same again is free in any spelling");
    let other = bench.found_as(RoleId::Service, "service_delivery", email("more@example.com")).await;
    assert!(other.is_ok(), "another caller");
}

/// Somebody who can write the store, and has no key, exchanges what rows lead to, or moves a row.
#[tokio::test]
async fn exchanged_and_moved_rows_are_refused() {
    let bench = Bench::new();
    let (ana, _) = bench.indexed("", vec![reachable(&["a@example.com"], PHONE)]).await;
    let (bob, _) = bench.indexed("", vec![reachable(&["b@example.com"], "+12125550143")]).await;
    assert_eq!(
        (bench.subjects(email("a@example.com")).await, bench.subjects(email("b@example.com")).await),
        (vec![ana], vec![bob])
    );
    let rows = bench.rows(Space::Index);
    let of_email: Vec<_> = rows.iter().filter(|(key, _)| key[0] == 2).collect();
    let ((one, to_one), (two, to_two)) = (of_email[0], of_email[1]);
    for (key, value) in
        [(one, to_two), (&[&one[..17], &two[17..]].concat(), to_one), (&[&one[..17], &two[17..]].concat(), to_two)]
    {
        let mut batch = Batch::new();
        batch.put(Space::Index, key.clone(), value.clone());
        bench.engine.commit(batch).expect("is changed");
        let damaged = Err(Refusal::from(Unavailable::Damaged));
        let mut outcomes = Vec::new();
        for address in ["a@example.com", "b@example.com"] {
            let call = bench.call(Action::FindSubjects).await;
            outcomes.push(find::find(&bench.vault, &call, by(email(address))).await);
        }
        assert_eq!(outcomes.iter().filter(|outcome| **outcome == damaged).count(), 1);
        let mut batch = Batch::new();
        batch.delete(Space::Index, key.clone());
        batch.put(Space::Index, one.clone(), to_one.clone());
        bench.engine.commit(batch).expect("is put right");
    }
    let _ = to_two;
}

/// A change of spelling that must not matter, by a number.
fn spelled(address: &str, choices: u64) -> String {
    let (local, domain) = address.split_once('@').expect("an address");
    let cased = |text: &str, bits: u64| -> String {
        let upper = |(i, c): (usize, char)| if bits >> (i % 16) & 1 == 1 { c.to_ascii_uppercase() } else { c };
        text.chars().enumerate().map(upper).collect()
    };
    let domain = if choices & 1 == 1 { domain.replace("xn--bcher-kva", "bücher") } else { domain.to_owned() };
    let pad = if choices & 2 == 2 { " " } else { "" };
    format!("{pad}{}@{}{pad}", cased(local, choices >> 2), cased(&domain, choices >> 18))
}

fn separated(number: &str, mut choices: u64) -> String {
    const BETWEEN: [&str; 8] = ["", " ", "-", ".", "/", "\u{2011}", "\u{a0}", "  "];
    let mut text = String::new();
    for (i, c) in number.chars().enumerate() {
        let digit = c.to_digit(10);
        match digit {
            Some(value) if choices & 1 == 1 => text.push(char::from_u32(0xff10 + value).expect("full width")),
            _ => text.push(c),
        }
        choices = choices.rotate_right(1);
        if i > 0 {
            text.push_str(BETWEEN[(choices % 8) as usize]);
        }
        choices = choices.rotate_right(3);
    }
    text
}

#[tokio::test]
async fn every_spelling_of_an_identifier_finds_the_same_person() {
    let bench = Bench::new();
    let address = "ana.lopes+news@shop.xn--bcher-kva.example";
    let (subject, _) = bench.indexed("", vec![reachable(&[address], PHONE), passport("925076473")]).await;
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    for _ in 0..100 {
        // xorshift: any sequence will do, and the same every time.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let (address, number) = (spelled(address, state), separated(PHONE, state));
        assert_eq!(bench.subjects(email(&address)).await, [subject], "{address}");
        assert_eq!(bench.subjects(phone(&number)).await, [subject], "{number}");
        let number: String = "925076473"
            .chars()
            .zip(0..)
            .map(|(c, i)| {
                if state >> i & 1 == 1 {
                    format!("{c} ")
                } else {
                    format!("{c}-").replace('-', if i % 2 == 0 { "" } else { "-" })
                }
            })
            .collect();
        let number = number.trim_end_matches('-').to_owned();
        let country = if state & 1 == 1 { "gb" } else { " GB" };
        let identifier = Identifier::document_number(GovernmentIdType::Passport, country, &number);
        let identifier = identifier.unwrap_or_else(|| panic!("{number} is a number"));
        assert_eq!(bench.subjects(identifier).await, [subject], "{number}");
    }
}
