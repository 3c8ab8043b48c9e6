use crate::catalog::classes::{CLASSES, class_of};
use crate::catalog::purpose::LegalBasis;
use crate::catalog::registry::{DEFAULT, Registry, RegistryError};
use crate::catalog::view::View;

fn shipped() -> Registry {
    Registry::parse(DEFAULT).unwrap_or_else(|e| panic!("{e}"))
}

fn error(text: &str) -> RegistryError {
    Registry::parse(text).err().expect("refused")
}

#[test]
fn the_shipped_registry_enables_every_class() {
    let registry = shipped();
    assert_eq!(registry.version(), 1);
    let enabled: Vec<_> = registry.classes().map(|rule| rule.class.id.as_str()).collect();
    assert_eq!(
        enabled,
        ["access_event", "communication", "contact", "document", "government_id", "password", "payment", "usage_event"]
    );
    assert_eq!(enabled.len(), CLASSES.len());
    let purposes: Vec<_> = registry.purposes().map(|purpose| purpose.id.as_str()).collect();
    assert_eq!(purposes, ["improvement", "legal_compliance", "security", "service_delivery"]);
    assert!(registry.class("contact").expect("enabled").keep_max.is_none());
    let keep = registry.class("payment").expect("enabled").keep_max.expect("a period");
    assert_eq!(keep.to_string(), "P3Y");
}

#[test]
fn improvement_sees_masked_views_at_most() {
    let registry = shipped();
    let improvement = registry.purpose("improvement").expect("shipped");
    for class in CLASSES {
        assert!(registry.cap(&improvement.id, class.id) <= Some(View::Masked));
    }
    assert_eq!(improvement.legal_basis, LegalBasis::LegitimateInterests);
    assert_eq!(registry.cap(&improvement.id, class_of("government_id").expect("a class").id), None);
}

#[test]
fn what_the_registry_does_not_name_is_refused() {
    let registry = shipped();
    assert!(registry.purpose("marketing").is_none() && registry.purpose("Security").is_none());
    assert!(registry.class("genome").is_none() && registry.class("").is_none());
}

#[test]
fn a_class_that_is_not_enabled_has_no_cap() {
    let registry = Registry::parse(&DEFAULT.replacen("enabled = true", "enabled = false", 1)).expect("valid");
    let purpose = &registry.purpose("service_delivery").expect("shipped").id;
    assert!(registry.class("contact").is_none());
    assert_eq!(registry.cap(purpose, class_of("contact").expect("a class").id), None);
    assert_eq!(registry.cap(purpose, class_of("payment").expect("a class").id), Some(View::Plain));
}

#[test]
fn a_purpose_that_a_reload_dropped_has_no_cap() {
    let old = shipped();
    let renamed = DEFAULT.replace("purposes.security", "purposes.defence").replace("\"security\"", "\"defence\"");
    let new = Registry::parse(&renamed).expect("valid");
    let purpose = &old.purpose("security").expect("shipped").id;
    assert_eq!(new.cap(purpose, class_of("contact").expect("a class").id), None);
}

#[test]
fn wrong_files_are_refused_and_say_where() {
    for (from, to, message) in [
        ("version = 1", "version = 0", "version must be at least 1"),
        ("version = 1", "version = 1\nroles = []", "line 16: unknown field `roles`"),
        ("keep = \"P10Y\"", "keep = \"10 years\"", "purposes.service_delivery.keep: an ISO 8601 duration"),
        ("keep = \"P10Y\"", "keeps = \"P10Y\"", "unknown field `keeps`"),
        ("keep = \"P5Y\"", "keep = \"PT5H\"", "classes.government_id.keep: an ISO 8601 duration"),
        ("\"contract\"", "\"because\"", "unknown variant `because`"),
        ("contact = \"plain\"", "contact = \"PLAIN\"", "purposes.service_delivery.classes.contact: a view is"),
        ("contact = \"plain\"", "contract = \"plain\"", "purposes.service_delivery.classes: unknown class contract"),
        ("[classes.contact]", "[classes.genome]", "classes: unknown class genome"),
        ("enabled = true", "", "missing field `enabled`"),
        ("purposes.security", "purposes.Security", "purposes.Security: an id is a letter"),
        ("[\"service_delivery\"]", "[\"marketing\"]", "classes.contact.default_purposes: marketing is no purpose"),
        ("[\"service_delivery\"]", "[]", "classes.contact.default_purposes: at least one is needed"),
        (
            "password = \"exists\"",
            "password = \"last4\"",
            "service_delivery.classes.password: nobody can be shown more",
        ),
        ("version = 1", "version = ", "line 15: "),
    ] {
        let text = DEFAULT.replacen(from, to, 1);
        assert_ne!(text, DEFAULT, "{from} is in the file");
        let said = error(&text).to_string();
        assert!(said.contains(message), "{said}");
    }
}

/// The sample that operators are shown.
fn sample() -> String {
    let (_, rest) = include_str!("../../../docs/operators.md").split_once("```toml\n# The id is on").expect("a sample");
    format!("# The id is on{}", rest.split("```").next().expect("its end"))
}

#[test]
fn the_sample_of_statutory_periods_parses() {
    let registry = Registry::parse(&format!("{DEFAULT}\n{}", sample())).unwrap_or_else(|e| panic!("{e}"));
    let ids: Vec<_> = registry.periods().iter().map(|period| period.id.as_str()).collect();
    assert_eq!(ids, ["claims", "tax"]);
    let payment = class_of("payment").expect("a class").id;
    let of_class: Vec<_> = registry.periods_of(payment).map(|period| period.period.to_string()).collect();
    assert_eq!(of_class, ["P10Y"]);
    assert!(shipped().periods().is_empty());
}

#[test]
fn wrong_statutory_periods_are_refused_and_say_where() {
    for (from, to, message) in [
        ("class = \"payment\"", "class = \"genome\"", "periods.tax: unknown class genome"),
        ("period = \"P10Y\"", "period = \"P0D\"", "periods.tax.period: an ISO 8601 duration"),
        ("period = \"P10Y\"", "period = \"PT36H\"", "periods.tax.period: an ISO 8601 duration"),
        ("from = \"updated\"", "from = \"deleted\"", "unknown variant `deleted`"),
        ("align = \"year_end\"", "align = \"month_end\"", "unknown variant `month_end`"),
        (
            "legal_basis = \"section 147 of the tax code\"",
            "legal_basis = \"\"",
            "periods.tax.legal_basis: 1 to 512 bytes",
        ),
        ("[periods.tax]", "[periods.Tax]", "periods.Tax: an id is a letter"),
        ("align = ", "aligned = ", "unknown field `aligned`"),
    ] {
        let text = sample().replacen(from, to, 1);
        assert_ne!(text, sample(), "{from} is in the sample");
        let said = error(&format!("{DEFAULT}\n{text}")).to_string();
        assert!(said.contains(message), "{said}");
    }
    let many: String = (0..=64)
        .map(|n| {
            format!("[periods.p{n}]\nclass = \"payment\"\nlegal_basis = \"a\"\nfrom = \"created\"\nperiod = \"P1D\"\n")
        })
        .collect();
    assert!(error(&format!("{DEFAULT}\n{many}")).to_string().contains("at most 64 periods"));
}

#[test]
fn where_the_file_is_silent_the_class_decides() {
    let section = |class: &str| DEFAULT.find(&format!("[classes.{class}]")).expect("a section");
    for class in CLASSES {
        let (head, rest) = DEFAULT.split_at(section(class.id.as_str()));
        let rest: Vec<&str> = rest.lines().collect();
        let end = rest.iter().position(|line| line.is_empty()).unwrap_or(rest.len());
        let silent = format!("{head}[classes.{}]\nenabled = true\n{}", class.id, rest[end..].join("\n"));
        let (silent, shipped) = (Registry::parse(&silent).unwrap_or_else(|e| panic!("{e}")), shipped());
        let [silent, shipped] = [&silent, &shipped].map(|registry| registry.class(class.id.as_str()).expect("enabled"));
        let keep = |rule: &crate::catalog::registry::ClassRule| rule.keep_max.map(|keep| keep.to_string());
        assert_eq!(keep(silent), keep(shipped), "{}", class.id);
        assert_eq!(silent.default_purposes, shipped.default_purposes, "{}", class.id);
    }
}

#[test]
fn a_purpose_may_show_less_of_single_fields() {
    let with = |fields: &str| {
        let keys = "classes.contact = \"masked\"";
        DEFAULT.replacen(keys, &format!("{keys}\nfields = {fields}"), 1)
    };
    let text = with(
        "{ payment = { token = \"exists\", billing_address = \"last4\", \"billing_address.lines\" = \"exists\" } }",
    );
    let registry = Registry::parse(&text).expect("parses");
    let class = |name| class_of(name).expect("a class").id;
    let caps = |purpose: &str, name| {
        let purpose = &registry.purpose(purpose).expect("a purpose").id;
        registry.field_caps(purpose, class(name)).iter().collect::<Vec<_>>()
    };
    let found = caps("improvement", "payment");
    assert!(found.contains(&("token", View::Exists)) && found.contains(&("billing_address.country_code", View::Last4)));
    assert!(found.contains(&("billing_address.lines", View::Exists)));
    assert!(caps("improvement", "contact").is_empty() && caps("service_delivery", "payment").is_empty());
    for (fields, message) in [
        ("{ payment = { tokens = \"exists\" } }", "purposes.improvement.fields.payment.tokens: the class has no such"),
        ("{ payment = { token = \"masked\" } }", "fields.payment.token: a view lower than that of the class"),
        ("{ payment = { token = \"none\" } }", "fields.payment.token: a view lower"),
        ("{ government_id = { number = \"exists\" } }", "fields.government_id: the purpose's `classes` must name"),
        ("{ genome = { a = \"exists\" } }", "unknown class genome"),
    ] {
        let said = error(&with(fields)).to_string();
        assert!(said.contains(message), "{said}");
    }
}

#[test]
fn a_class_that_purposes_name_needs_its_section() {
    let text = DEFAULT.split("[classes.document]").next().expect("the file before it");
    let said = error(text).to_string();
    assert!(said.ends_with("unknown class document"), "{said}");
}
