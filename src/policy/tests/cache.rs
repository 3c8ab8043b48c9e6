//! The cache of decisions: its key holds all that a rule can read, and nothing that a caller could fill memory with.

use std::collections::BTreeSet;

use super::*;
use crate::base::limits::DECISION_LABEL_BYTES_MAX;
use crate::policy::schema;

/// Everything that a rule can read, and two questions that differ in that alone: a rule that reads it refuses the first
/// and permits the second. The view is no part of a question: each is asked from the highest one down.
type Attribute = (&'static str, &'static str, fn(&Rules) -> (Question, Question));

fn asked(rules: &Rules, resource: Resource) -> Question {
    Question { resource, ..question(rules, RoleId::Legal, "legal_compliance", Action::GetItem) }
}

fn items(restricted: bool, objected: bool, kept: bool) -> Resource {
    let class = classes::class_of("contact").expect("a class").id;
    Resource::Data { class, standing: Standing { restricted, ..Standing::default() }, objected, kept }
}

fn labelled(region: &str) -> Resource {
    let labels: Arc<[(String, String)]> = [("region".to_owned(), region.to_owned())].into();
    data("contact", Standing { labels, restricted: false, own: false })
}

#[rustfmt::skip] // a table
const ATTRIBUTES: &[Attribute] = &[
    ("Data.class", "resource.class == Lacuna::Class::\"payment\"", |rules| {
        let of = |class| asked(rules, data(class, Standing::default()));
        (of("contact"), of("payment"))
    }),
    ("Data.restricted", "resource.restricted", |rules| (asked(rules, items(false, false, false)), asked(rules, items(true, false, false)))),
    ("Data.own", "resource.own", |rules| {
        let of = |own| asked(rules, data("contact", Standing { own, ..Standing::default() }));
        (of(false), of(true))
    }),
    ("Data.objected", "!resource.objected", |rules| (asked(rules, items(false, true, false)), asked(rules, items(false, false, false)))),
    ("Data.kept", "resource.kept", |rules| (asked(rules, items(false, false, false)), asked(rules, items(false, false, true)))),
    ("Data tags", "resource.hasTag(\"region\") && resource.getTag(\"region\") == \"eu\"", |rules| {
        (asked(rules, labelled("us")), asked(rules, labelled("eu")))
    }),
    ("Subject.restricted", "resource.restricted", |rules| {
        let of = |restricted| {
            let resource = Resource::Subject(Standing { restricted, ..Standing::default() });
            Question { action: Action::RestrictSubject, ..asked(rules, resource) }
        };
        (of(false), of(true))
    }),
    ("Subject.own", "resource.own", |rules| {
        let of = |own| {
            let resource = Resource::Subject(Standing { own, ..Standing::default() });
            Question { action: Action::RestrictSubject, ..asked(rules, resource) }
        };
        (of(false), of(true))
    }),
    ("Subject tags", "resource.hasTag(\"region\") && resource.getTag(\"region\") == \"eu\"", |rules| {
        let of = |region: &str| {
            let labels: Arc<[(String, String)]> = [("region".to_owned(), region.to_owned())].into();
            let resource = Resource::Subject(Standing { labels, restricted: false, own: false });
            Question { action: Action::RestrictSubject, ..asked(rules, resource) }
        };
        (of("us"), of("eu"))
    }),
    ("Asked.purpose", "context.purpose == Lacuna::Purpose::\"security\"", |rules| {
        let of = |purpose| Question { resource: items(false, false, false), ..question(rules, RoleId::Legal, purpose, Action::GetItem) };
        (of("service_delivery"), of("security"))
    }),
    ("Asked.ticket", "context.ticket", |rules| {
        let without = asked(rules, items(false, false, false));
        (without.clone(), Question { ticket: true, ..without })
    }),
    ("Caller", "principal == Lacuna::Caller::\"dns:b\"", |rules| {
        let of = |name: &str| Question { caller: name.parse().expect("an identity"), ..asked(rules, items(false, false, false)) };
        (of("dns:a"), of("dns:b"))
    }),
    ("Role", "principal in Lacuna::Role::\"legal\"", |rules| {
        let of = |role| Question { role, ..asked(rules, items(false, false, false)) };
        (of(RoleId::PrivacyOfficer), of(RoleId::Legal))
    }),
    ("Action", "action == Lacuna::Action::\"DeleteItem\"", |rules| {
        let of = |action| Question { action, ..asked(rules, items(false, false, false)) };
        (of(Action::GetItem), of(Action::DeleteItem))
    }),
];

/// The attributes in the schema, by the type that has them; and where there are tags.
fn in_schema(text: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut within = None;
    for line in text.lines().map(str::trim).filter(|line| !line.starts_with("//")) {
        let words: Vec<&str> = line.split_whitespace().collect();
        if let ["entity" | "type", name, "=", ..] = words.as_slice() {
            within = Some(*name);
        }
        let Some(name) = within else { continue };
        let inner = line.rsplit_once('{').map_or(line, |(_, inner)| inner);
        for attribute in inner.split(',').filter_map(|part| part.split_once(':')) {
            found.insert(format!("{name}.{}", attribute.0.trim()));
        }
        if line.contains("tags ") {
            found.insert(format!("{name} tags"));
        }
        if line.contains('}') {
            within = None;
        }
    }
    found
}

#[test]
fn the_table_lists_all_that_the_schema_lets_a_rule_read() {
    let text = schema::text(Rules::shipped().expect("loads").registry());
    let listed: BTreeSet<String> = ATTRIBUTES.iter().map(|(name, ..)| (*name).to_owned()).collect();
    let expected: BTreeSet<String> = in_schema(&text).into_iter().filter(|name| name != "Asked.view").collect();
    let beside = ["Caller", "Role", "Action"].map(str::to_owned);
    assert_eq!(listed, expected.into_iter().chain(beside).collect());
    // An entity that has attributes or tags, and a context, must be one that the table can hold.
    let kinds = text.lines().filter(|line| line.trim().starts_with("entity ") && line.contains('='));
    assert_eq!(kinds.count(), 2, "Subject and Data");
    assert_eq!(text.matches("type ").count(), 1, "Asked");
}

#[test]
fn questions_that_differ_in_one_attribute_do_not_share_an_answer() {
    for (name, condition, pair) in ATTRIBUTES {
        let scope =
            if name.starts_with("Subject") { "resource is Lacuna::Subject" } else { "resource is Lacuna::Data" };
        let policy = format!("@id(\"one\") permit (principal, action, {scope}) when {{ {condition} }};");
        let rules = Rules::load(registry::DEFAULT, &[("one.cedar".into(), policy)]).expect("loads");
        let (refused, permitted) = pair(&rules);
        for _ in 0..2 {
            assert!(rules.decide(&refused).is_err(), "{name}");
            assert!(rules.decide(&permitted).is_ok(), "{name}");
        }
    }
}

#[test]
fn labels_that_no_rule_reads_are_no_part_of_the_key() {
    let rules = Rules::shipped().expect("loads");
    let of = |region: &str| rules.decide(&asked(&rules, labelled(region)));
    assert!(Arc::ptr_eq(&of("eu"), &of("us")), "one answer for all");
}

#[test]
fn a_question_of_long_labels_is_answered_and_not_kept() {
    let own = "@id(\"own\") permit (principal, action, resource is Lacuna::Data) when { resource.hasTag(\"region\") };";
    let rules = Rules::load(registry::DEFAULT, &[("own.cedar".into(), own.into())]).expect("loads");
    let of = |length: usize| rules.decide(&asked(&rules, labelled(&"x".repeat(length))));
    assert!(Arc::ptr_eq(&of(8), &of(8)));
    let [one, other] = [of(DECISION_LABEL_BYTES_MAX + 1), of(DECISION_LABEL_BYTES_MAX + 1)];
    assert!(one.is_ok() && one == other && !Arc::ptr_eq(&one, &other));
}
