//! Random policies, decided by Cedar through the product's own path and by a reference evaluator that knows only what
//! the documentation says: a permit must match, no forbid may, and the registry caps the view.

use proptest::prelude::*;

use super::*;

/// A policy as the reference sees it. None means any.
#[derive(Debug, Clone)]
struct Rule {
    permits: bool,
    role: Option<RoleId>,
    action: Option<Action>,
    purpose: Option<&'static str>,
    class: Option<&'static str>,
    view_max: Option<View>,
    region: Option<&'static str>,
}

const ROLES: [RoleId; 3] = [RoleId::Service, RoleId::Support, RoleId::Legal];
const ACTIONS: [Action; 3] = [Action::GetItem, Action::PutItem, Action::DeleteItem];
const PURPOSES: [&str; 4] = ["service_delivery", "security", "improvement", "legal_compliance"];
const CLASSES: [&str; 3] = ["contact", "government_id", "payment"];
const REGIONS: [&str; 2] = ["eu", "us"];

impl Rule {
    fn cedar(&self, number: usize) -> String {
        let effect = if self.permits { "permit" } else { "forbid" };
        let principal =
            self.role.map_or("principal".to_owned(), |role| format!("principal in Lacuna::Role::\"{role}\""));
        let action =
            self.action.map_or("action".to_owned(), |action| format!("action == Lacuna::Action::\"{action}\""));
        let mut when = vec!["true".to_owned()];
        when.extend(self.purpose.map(|purpose| format!("context.purpose == Lacuna::Purpose::\"{purpose}\"")));
        when.extend(self.class.map(|class| format!("resource.class == Lacuna::Class::\"{class}\"")));
        when.extend(self.view_max.map(|view| format!("context.view in Lacuna::View::\"{view}\"")));
        when.extend(
            self.region
                .map(|region| format!("resource.hasTag(\"region\") && resource.getTag(\"region\") == \"{region}\"")),
        );
        format!(
            "@id(\"r{number}\") {effect} ({principal}, {action}, resource is Lacuna::Data) when {{ {} }};",
            when.join(" && ")
        )
    }

    fn matches(&self, asked: &Asked, view: View) -> bool {
        self.role.is_none_or(|role| role == asked.role)
            && self.action.is_none_or(|action| action == asked.action)
            && self.purpose.is_none_or(|purpose| purpose == asked.purpose)
            && self.class.is_none_or(|class| class == asked.class)
            && self.view_max.is_none_or(|max| view <= max)
            && self.region.is_none_or(|region| Some(region) == asked.region)
    }
}

#[derive(Debug, Clone)]
struct Asked {
    role: RoleId,
    action: Action,
    purpose: &'static str,
    class: &'static str,
    region: Option<&'static str>,
}

fn reference(rules: &[Rule], cap: Option<View>, asked: &Asked) -> Option<View> {
    let permitted = |view: &View| {
        let matching = |permits: bool| rules.iter().any(|rule| rule.permits == permits && rule.matches(asked, *view));
        matching(true) && !matching(false)
    };
    View::ALL.into_iter().rev().filter(|view| cap.is_some_and(|cap| *view <= cap)).find(permitted)
}

fn any_rule() -> impl Strategy<Value = Rule> {
    (
        prop::bool::weighted(0.75),
        proptest::option::of(prop::sample::select(&ROLES[..])),
        proptest::option::of(prop::sample::select(&ACTIONS[..])),
        proptest::option::of(prop::sample::select(&PURPOSES[..])),
        proptest::option::of(prop::sample::select(&CLASSES[..])),
        proptest::option::of(prop::sample::select(&View::ALL[..])),
        proptest::option::of(prop::sample::select(&REGIONS[..])),
    )
        .prop_map(|(permits, role, action, purpose, class, view_max, region)| Rule {
            permits,
            role,
            action,
            purpose,
            class,
            view_max,
            region,
        })
}

fn any_asked() -> impl Strategy<Value = Asked> {
    (
        prop::sample::select(&ROLES[..]),
        prop::sample::select(&ACTIONS[..]),
        prop::sample::select(&PURPOSES[..]),
        prop::sample::select(&CLASSES[..]),
        proptest::option::of(prop::sample::select(&REGIONS[..])),
    )
        .prop_map(|(role, action, purpose, class, region)| Asked { role, action, purpose, class, region })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn cedar_and_the_reference_agree(
        rules in prop::collection::vec(any_rule(), 0..8),
        questions in prop::collection::vec(any_asked(), 16),
    ) {
        let text: Vec<String> = rules.iter().enumerate().map(|(number, rule)| rule.cedar(number)).collect();
        let loaded = Rules::load(registry::DEFAULT, &[("random.cedar".into(), text.join("\n"))]).expect("loads");
        for asked in questions {
            let labels = asked.region.map(|region| ("region".to_owned(), region.to_owned())).into_iter().collect();
            let resource = data(asked.class, Standing { labels, restricted: false });
            let question =
                Question { resource, ..question(&loaded, asked.role, asked.purpose, asked.action) };
            let purpose = question.purpose.clone();
            let cap = loaded.registry().cap(&purpose, classes::class_of(asked.class).expect("a class").id);
            let expected = reference(&rules, cap, &asked);
            for _ in 0..2 { // decided, then found
                let got = loaded.decide(&question).as_ref().as_ref().ok().map(|permit| permit.view());
                prop_assert_eq!(got, expected, "{:?}", asked);
            }
        }
    }
}
