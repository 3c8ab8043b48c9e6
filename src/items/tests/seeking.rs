//! Looking for people by what one may not see: nobody is found, and nobody can tell why.

use super::finding::{by, email, passport, phone};
use super::indexed::{PHONE, reachable};
use super::*;
use crate::audit::event::{About, Decision, Outcome};
use crate::base::reason::Reason;
use crate::catalog::class::Identifier;
use crate::catalog::classes::government_id::GovernmentIdType;
use crate::catalog::registry;
use crate::gate::index;
use crate::gate::refusal::Access;
use crate::gate::txn::Txn;
use crate::items::check::check;
use crate::items::find;
use crate::items::model::{FindPage, Supposition};
use crate::policy::bindings::Bindings;
use crate::policy::policies;

const ADDRESS: &str = "a@example.com";
/// Permits support to look for people, those of one region in full.
const REGIONAL: &str = r#"
@id("eu-looks-up")
permit (principal in Lacuna::Role::"support", action == Lacuna::Action::"FindSubjects", resource is Lacuna::Data)
when { resource.hasTag("region") && resource.getTag("region") == "eu" };
"#;

impl Bench {
    fn ruled(&self, catalog: &str, policies: &str) {
        let rules = Rules::load(catalog, &[("roles.cedar".into(), policies.into())]).expect("loads");
        let bindings = "trust_domain = \"example.org\"\n[[binding]]\nidentity = \"spiffe://example.org/checkout\"\n\
                        roles = [\"service\"]\n";
        let bindings = Arc::new(Bindings::parse(bindings).expect("bindings"));
        let vault = self.vault.clone();
        let replace = move || vault.replace_rules(rules).and_then(|()| vault.replace_bindings(bindings));
        std::thread::spawn(replace).join().expect("ends").expect("is recorded");
    }

    async fn sought(&self, role: RoleId, purpose: &str, identifier: Identifier) -> Result<FindPage, Refusal> {
        let call = self.call_as("desk", role, purpose, Action::FindSubjects, "", "").await;
        find::find(&self.vault, &call, by(identifier)).await
    }

    /// The refusal of who may look for nobody by this: alike about whom there is and whom there is not.
    async fn closed(&self, role: RoleId, purpose: &str, identifiers: [Identifier; 2]) -> String {
        let mut told = Vec::new();
        for identifier in identifiers {
            let refusal = self.sought(role, purpose, identifier).await.expect_err("is denied");
            assert_eq!(refusal.told(), Reason::AccessDenied);
            let leaf = self.last_leaf();
            assert_eq!((leaf.decision, leaf.outcome), (Decision::Denied, Outcome::Refused));
            assert_eq!((leaf.about, leaf.operation.as_str()), (About::Nobody, "FindSubjects"));
            told.push((refusal, leaf.rule));
        }
        assert_eq!(told[0], told[1]);
        told[0].1.clone()
    }

    async fn labelled(&self, region: &str, address: &str) -> SubjectId {
        let call = self.call(Action::CreateSubject).await;
        let new = NewSubject {
            external_id: "".into(),
            labels: vec![("region".into(), region.into())],
            items: vec![reachable(&[address], PHONE)],
        };
        create::create(&self.vault, &call, new).await.expect("creates").subject
    }
}

fn number(text: &str) -> Identifier {
    Identifier::document_number(GovernmentIdType::Passport, "GB", text).expect("a number")
}

fn catalog(from: &str, to: &str) -> String {
    let text = registry::DEFAULT.replacen(from, to, 1);
    assert_ne!(text, registry::DEFAULT);
    text
}

fn without(policy: &str) -> String {
    let from = policies::DEFAULT.find(&format!("@id(\"{policy}\")")).expect("is shipped");
    let end = from + policies::DEFAULT[from..].find("};").expect("ends") + 2;
    [&policies::DEFAULT[..from], &policies::DEFAULT[end..]].concat()
}

#[tokio::test]
async fn a_field_that_the_catalog_hides_or_masks_for_a_purpose_is_nothing_to_search_by() {
    let bench = Bench::new();
    let items = vec![reachable(&[ADDRESS], PHONE), passport("925076473")];
    let (subject, _) = bench.indexed("user-1", items).await;
    for (part, view) in [("emails", "exists"), ("emails.address", "masked"), ("emails.address", "last4")] {
        let caps = format!("classes.contact = \"plain\"\nfields.contact = {{ \"{part}\" = \"{view}\" }}");
        bench.ruled(&catalog("classes.contact = \"plain\"", &caps), policies::DEFAULT);
        for role in [RoleId::Service, RoleId::Support] {
            let rule = bench.closed(role, "service_delivery", [email(ADDRESS), email("b@example.com")]).await;
            assert_eq!(rule, "catalog:service_delivery");
            let page = bench.sought(role, "service_delivery", phone(PHONE)).await.expect("is another field");
            assert_eq!(page.matches[0].subject, subject);
        }
    }
    // A document is known by three fields.
    for field in ["type", "country_code", "number"] {
        let caps = format!("classes.government_id = \"plain\"\nfields.government_id = {{ {field} = \"masked\" }}");
        bench.ruled(&catalog("classes.government_id = \"plain\"", &caps), policies::DEFAULT);
        bench.closed(RoleId::Service, "service_delivery", [number("925076473"), number("925076474")]).await;
    }
    let page = bench.sought(RoleId::Legal, "legal_compliance", number("925076473")).await.expect("another purpose");
    assert_eq!(page.matches[0].subject, subject);
}

#[tokio::test]
async fn who_sees_a_part_only_or_nothing_of_a_class_finds_nobody_by_it() {
    let bench = Bench::new();
    bench.indexed("user-1", vec![reachable(&[ADDRESS], PHONE), passport("925076473")]).await;
    // The purpose: contacts masked, documents not at all.
    for identifiers in [[email(ADDRESS), email("b@example.com")], [phone(PHONE), phone("+12125550143")]] {
        let rule = bench.closed(RoleId::Service, "improvement", identifiers).await;
        assert_eq!(rule, "catalog:improvement");
    }
    bench.closed(RoleId::Service, "improvement", [number("925076473"), number("925076474")]).await;
    // The policy: masked. That it may look for people all the same is a permit of its own.
    assert_eq!(
        bench.sought(RoleId::Support, "service_delivery", email(ADDRESS)).await.expect("finds").matches.len(),
        1
    );
    bench.ruled(registry::DEFAULT, &without("desks-look-up"));
    let rule = bench.closed(RoleId::Support, "service_delivery", [email(ADDRESS), email("b@example.com")]).await;
    assert_eq!(rule, "support-helps");
    // The caller's own id is in no class.
    let own = Identifier::external_id(&"user-1".into());
    assert_eq!(bench.sought(RoleId::Service, "improvement", own).await.expect("finds").matches.len(), 1);
}

#[tokio::test]
async fn where_a_persons_labels_tell_the_others_are_absent_and_the_log_has_them_as_denied() {
    let bench = Bench::new();
    let (here, _there) = (bench.labelled("eu", ADDRESS).await, bench.labelled("us", "b@example.com").await);
    bench.ruled(registry::DEFAULT, &(without("desks-look-up") + REGIONAL));
    let seek = |address| bench.sought(RoleId::Support, "service_delivery", email(address));
    assert_eq!(seek(ADDRESS).await.expect("finds").matches[0].subject, here);
    let absent = seek("nobody@example.com").await.expect("is answered");
    assert_eq!(bench.last_leaf().about, About::Nobody);
    assert_eq!(seek("b@example.com").await.expect("is answered"), absent);
    let leaf = bench.last_leaf();
    assert!(matches!(leaf.about, About::Subject(_)));
    assert_eq!((leaf.decision, leaf.outcome), (Decision::Denied, Outcome::Refused));
    assert_eq!((leaf.reason, leaf.rule.as_str()), (Reason::AccessDenied.number(), "support-helps"));
    // Both share a number: one is found.
    let page = bench.sought(RoleId::Support, "service_delivery", phone(PHONE)).await.expect("is answered");
    assert_eq!(page.matches.iter().map(|found| found.subject).collect::<Vec<_>>(), [here]);
}

#[tokio::test]
async fn what_check_access_says_of_a_search_is_what_a_search_is_answered() {
    let bench = Bench::new();
    bench.indexed("user-1", vec![reachable(&[ADDRESS], PHONE)]).await;
    bench.ruled(registry::DEFAULT, policies::DEFAULT);
    let told = async |purpose: &str| {
        let supposed = Supposition {
            caller: None,
            role: "service".into(),
            purpose: purpose.into(),
            action: Action::FindSubjects,
            class: "contact".into(),
            subject: None,
            item: None,
            view: None,
        };
        let call = bench.call(Action::CheckAccess).await;
        check(&bench.vault, &call, supposed).await.expect("is explained").reason
    };
    for purpose in ["service_delivery", "security", "improvement"] {
        let outcomes =
            [email(ADDRESS), phone(PHONE)].map(|identifier| bench.sought(RoleId::Service, purpose, identifier));
        let [by_email, by_phone] = outcomes;
        let (by_email, by_phone) = (by_email.await, by_phone.await);
        let expected = by_email.as_ref().err().filter(|_| by_phone.is_err()).map(Refusal::told);
        assert_eq!(told(purpose).await, expected, "{purpose}");
    }
    // Where one of a class's identifiers is enough, it is said to be open.
    let caps = "classes.contact = \"plain\"\nfields.contact = { emails = \"masked\" }";
    bench.ruled(&catalog("classes.contact = \"plain\"", caps), policies::DEFAULT);
    assert_eq!(told("service_delivery").await, None);
    let caps = "classes.contact = \"plain\"\nfields.contact = { emails = \"masked\", phones = \"masked\" }";
    bench.ruled(&catalog("classes.contact = \"plain\"", caps), policies::DEFAULT);
    assert_eq!(told("service_delivery").await, Some(Reason::AccessDenied));
}

#[test]
fn what_an_identifier_is_made_of_are_fields_of_its_class() {
    for class in crate::catalog::classes::CLASSES {
        for found_by in class.identifiers {
            assert!(!found_by.confirms.is_empty());
            assert!(found_by.confirms.iter().all(|path| class.fields.contains(path)), "{}", class.id);
        }
    }
}

/// Denied openly or told as absence, a search never costs the limit of those who may search.
#[tokio::test]
async fn a_search_that_is_denied_to_everybody_is_not_counted() {
    let bench = Bench::new();
    for n in 0..150 {
        let refusal = bench.sought(RoleId::Service, "improvement", email(&format!("n{n}@example.com"))).await;
        assert!(matches!(refusal, Err(Refusal::Access(Access::Denied(_)))), "{n}");
    }
}

/// Rows are keyed by a part of a code, so that two identifiers could meet in one: what the item holds decides.
#[tokio::test]
async fn a_row_that_leads_to_somebody_without_the_identifier_finds_nobody() {
    let bench = Bench::new();
    let (subject, stamps) = bench.indexed("user-1", vec![reachable(&[ADDRESS], PHONE)]).await;
    let (item, version) = (stamps[0].item, stamps[0].version);
    for is_of_item in [true, false] {
        let work = move |txn: &mut Txn<'_>| match is_of_item {
            true => index::put(txn, &email("b@example.com"), subject, Some((&item, version))),
            false => index::put(txn, &Identifier::external_id(&"user-2".into()), subject, None),
        };
        bench.vault.committer().commit(work).await.expect("is written");
    }
    for identifier in [email("b@example.com"), Identifier::external_id(&"user-2".into())] {
        let page = bench.sought(RoleId::Service, "service_delivery", identifier).await.expect("is answered");
        assert_eq!(page.matches, []);
        assert_eq!(bench.last_leaf().about, About::Nobody);
    }
    let page = bench.sought(RoleId::Service, "service_delivery", email(ADDRESS)).await.expect("is answered");
    assert_eq!(page.matches.len(), 1);
}
