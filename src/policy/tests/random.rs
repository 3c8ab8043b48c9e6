//! Random policies, decided by Cedar through the product's own path and by a reference evaluator that knows only what
//! the documentation says: a permit must match, no forbid may, the registry caps the view, and whatever the policies
//! permit, what a person demanded and what is only kept come first.

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
    ticket: Option<bool>,
    restricted: Option<bool>,
}

const ROLES: [RoleId; 4] = [RoleId::Service, RoleId::Support, RoleId::Legal, RoleId::PrivacyOfficer];
const ACTIONS: [Action; 3] = [Action::GetItem, Action::PutItem, Action::DeleteItem];
const PURPOSES: [&str; 4] = ["service_delivery", "security", "improvement", "legal_compliance"];
const CLASSES: [&str; 5] = ["contact", "government_id", "payment", "communication", "access_event"];
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
        let flag = |name: &str, value: bool| if value { name.to_owned() } else { format!("!{name}") };
        when.extend(self.ticket.map(|value| flag("context.ticket", value)));
        when.extend(self.restricted.map(|value| flag("resource.restricted", value)));
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
            && self.ticket.is_none_or(|ticket| ticket == asked.ticket)
            && self.restricted.is_none_or(|restricted| restricted == asked.restricted)
    }
}

#[derive(Debug, Clone)]
struct Asked {
    role: RoleId,
    action: Action,
    purpose: &'static str,
    class: &'static str,
    region: Option<&'static str>,
    ticket: bool,
    restricted: bool,
    objected: bool,
    kept: bool,
}

/// What comes before all policies.
fn is_guarded(asked: &Asked) -> bool {
    let by_law = asked.purpose == "legal_compliance";
    let meets_obligations = by_law && matches!(asked.role, RoleId::Legal | RoleId::PrivacyOfficer);
    let settles_disputes = by_law && asked.role == RoleId::Legal && asked.action == Action::GetItem;
    asked.objected || (asked.restricted && !meets_obligations) || (asked.kept && !settles_disputes)
}

fn reference(rules: &[Rule], cap: Option<View>, asked: &Asked) -> Option<View> {
    let permitted = |view: &View| {
        let matching = |permits: bool| rules.iter().any(|rule| rule.permits == permits && rule.matches(asked, *view));
        matching(true) && !matching(false) && !is_guarded(asked)
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
        proptest::option::weighted(0.2, any::<bool>()),
        proptest::option::weighted(0.2, any::<bool>()),
    )
        .prop_map(|(permits, role, action, purpose, class, view_max, region, ticket, restricted)| Rule {
            permits,
            role,
            action,
            purpose,
            class,
            view_max,
            region,
            ticket,
            restricted,
        })
}

fn any_asked() -> impl Strategy<Value = Asked> {
    (
        prop::sample::select(&ROLES[..]),
        prop::sample::select(&ACTIONS[..]),
        prop::sample::select(&PURPOSES[..]),
        prop::sample::select(&CLASSES[..]),
        proptest::option::of(prop::sample::select(&REGIONS[..])),
        (any::<bool>(), prop::bool::weighted(0.25), prop::bool::weighted(0.25), prop::bool::weighted(0.25)),
    )
        .prop_map(|(role, action, purpose, class, region, (ticket, restricted, objected, kept))| Asked {
            role,
            action,
            purpose,
            class,
            region,
            ticket,
            restricted,
            objected,
            kept,
        })
}

/// A policy that permits everything to everybody.
const EVERYTHING: Rule = Rule {
    permits: true,
    role: None,
    action: None,
    purpose: None,
    class: None,
    view_max: None,
    region: None,
    ticket: None,
    restricted: None,
};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn cedar_and_the_reference_agree(
        rules in prop::collection::vec(any_rule(), 0..8),
        all in prop::bool::weighted(0.3),
        questions in prop::collection::vec(any_asked(), 24),
    ) {
        let rules: Vec<Rule> = rules.into_iter().chain(all.then_some(EVERYTHING)).collect();
        let text: Vec<String> = rules.iter().enumerate().map(|(number, rule)| rule.cedar(number)).collect();
        let loaded = Rules::load(registry::DEFAULT, &[("random.cedar".into(), text.join("\n"))]).expect("loads");
        for asked in questions {
            let labels = asked.region.map(|region| ("region".to_owned(), region.to_owned())).into_iter().collect();
            let standing = Standing { labels, restricted: asked.restricted, own: false };
            let class = classes::class_of(asked.class).expect("a class").id;
            let resource = Resource::Data { class, standing, objected: asked.objected, kept: asked.kept };
            let general = question(&loaded, asked.role, asked.purpose, asked.action);
            let question = Question { resource, ticket: asked.ticket, ..general };
            let cap = loaded.registry().cap(&question.purpose, class);
            let found = loaded.decide(&question).as_ref().as_ref().ok().map(|permit| permit.view());
            prop_assert_eq!(found, reference(&rules, cap, &asked), "{:?}", asked);
            let again = loaded.decide(&question).as_ref().as_ref().ok().map(|permit| permit.view());
            prop_assert_eq!(again, found, "the same when it is found again");
        }
    }
}
