//! `bindings.toml`: which identity holds which roles.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;
use std::str::FromStr;

use serde::Deserialize;
use toml::Spanned;

use super::caller::{PersonName, RoleId, ServiceName, TrustDomain};
use crate::base::codec::Writer;
use crate::base::log_safe::LogSafe;
use crate::crypto::hash::sha256;

/// Who holds which roles, and whose SPIFFE identities are believed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Bindings {
    trust_domain: Option<TrustDomain>,
    bound: HashMap<ServiceName, Bound>,
}

/// Names a state of the bindings: the same for files that bind alike, whatever their order and comments. It tells that
/// two identities are one person's, and nothing of names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BindingsVersion([u8; 8]);

impl BindingsVersion {
    /// As stored.
    pub fn as_bytes(&self) -> &[u8; 8] {
        &self.0
    }
}

impl fmt::Display for BindingsVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "bindings:{:016x}", u64::from_be_bytes(self.0))
    }
}

impl LogSafe for BindingsVersion {}

/// What one identity is bound to.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Bound {
    roles: Vec<RoleId>,
    person: Option<PersonName>,
}

impl Bindings {
    /// Reads the text of a `bindings.toml`:
    ///
    /// ```toml
    /// trust_domain = "example.org" # needed for SPIFFE identities; all others are refused
    ///
    /// [[binding]]
    /// identity = "spiffe://example.org/checkout" # or "dns:checkout.example.org"
    /// roles = ["service", "billing"]
    ///
    /// [[binding]]
    /// identity = "spiffe://example.org/people/kim"
    /// roles = ["key-admin"]
    /// person = "Kim Example" # the same text for every certificate of this person
    /// ```
    ///
    /// # Errors
    /// The first mistake, with its line. An unknown key, an unknown role, an identity bound twice, a SPIFFE
    /// identity outside the trust domain, an empty list of roles and two spellings of one person are mistakes.
    pub fn parse(text: &str) -> Result<Self, BindingsError> {
        let file: File = toml::from_str(text).map_err(|e| BindingsError::new(Place::of(text, &e), describe(&e)))?;
        let at = |spanned: &Spanned<String>, detail: String| {
            BindingsError::new(Place::at(text, spanned.span().start), detail)
        };
        let trust_domain = match &file.trust_domain {
            None => None,
            Some(name) => {
                let parsed = TrustDomain::from_str(name.get_ref());
                Some(parsed.map_err(|e| at(name, format!("trust_domain is {e}")))?)
            }
        };
        let mut bound: HashMap<ServiceName, Bound> = HashMap::with_capacity(file.binding.len());
        for row in &file.binding {
            let name = ServiceName::from_str(row.identity.get_ref())
                .map_err(|e| at(&row.identity, format!("identity is {e}")))?;
            if name.is_spiffe() && !trust_domain.as_ref().is_some_and(|domain| name.is_in(domain)) {
                let why = "identity is not in trust_domain; name the domain at the top of the file";
                return Err(at(&row.identity, why.to_owned()));
            }
            let person = row.person(&at)?;
            let known = bound.values().filter_map(|bound| bound.person.as_ref());
            if let (Some(person), Some(text)) = (&person, &row.person)
                && known.into_iter().any(|known| known.is_misspelt(person))
            {
                return Err(at(text, "person is spelt in two ways; one person has one spelling".into()));
            }
            match bound.entry(name) {
                Entry::Occupied(_) => return Err(at(&row.identity, "identity is bound twice; keep one entry".into())),
                Entry::Vacant(entry) => entry.insert(Bound { roles: row.roles(&at)?, person }),
            };
        }
        Ok(Self { trust_domain, bound })
    }

    /// The roles an identity is bound to: none if nobody bound it.
    pub fn roles_of(&self, name: &ServiceName) -> &[RoleId] {
        self.bound.get(name).map_or(&[], |bound| bound.roles.as_slice())
    }

    /// The person whose identity it is: none if it is a service's, or if nobody bound it.
    pub fn person_of(&self, name: &ServiceName) -> Option<&PersonName> {
        self.bound.get(name)?.person.as_ref()
    }

    /// The trust domain whose SPIFFE identities are believed; without one, none are.
    pub fn trust_domain(&self) -> Option<&TrustDomain> {
        self.trust_domain.as_ref()
    }

    /// Names this state.
    pub fn version(&self) -> BindingsVersion {
        let mut rows: Vec<_> = self.bound.iter().map(|(name, bound)| (name.to_string(), bound)).collect();
        rows.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        let mut people: Vec<&PersonName> = Vec::new();
        let mut writer = Writer::new().option(self.trust_domain.as_ref(), |w, domain| w.text(&domain.to_string()));
        for (name, bound) in rows {
            let mut roles: Vec<&str> = bound.roles.iter().map(|role| role.name()).collect();
            roles.sort_unstable();
            let person = bound.person.as_ref().map(|person| {
                people.iter().position(|known| *known == person).unwrap_or_else(|| {
                    people.push(person);
                    people.len() - 1
                })
            });
            writer = writer.text(&name).list(roles.into_iter(), |w, role| w.text(role));
            writer = writer.option(person, |w, number| w.u64(number as u64));
        }
        let mut version = [0; 8];
        version.copy_from_slice(&sha256(&[&writer.finish()])[..8]);
        BindingsVersion(version)
    }

    /// How many identities are bound.
    pub fn len(&self) -> usize {
        self.bound.len()
    }

    /// Whether nobody is bound, so that every call is refused.
    pub fn is_empty(&self) -> bool {
        self.bound.is_empty()
    }
}

/// What is wrong with a `bindings.toml`, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {detail}")]
pub struct BindingsError {
    place: Place,
    detail: String,
}

impl BindingsError {
    fn new(place: Place, detail: String) -> Self {
        Self { place, detail }
    }
}

/// A place in an operator's file: the line, and the section it stands in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    line: usize,
    section: String,
}

impl Place {
    /// Where a TOML error was found.
    pub fn of(text: &str, error: &toml::de::Error) -> Self {
        Self::at(text, error.span().map_or(0, |span| span.start))
    }

    /// The line and section of a byte offset.
    pub fn at(text: &str, offset: usize) -> Self {
        let line = text.bytes().take(offset).filter(|byte| *byte == b'\n').count() + 1;
        let header = |row: &str| row.trim().strip_prefix('[').is_some().then(|| header_name(row));
        let section = text.lines().take(line).filter_map(header).last().unwrap_or_default();
        Self { line, section }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.section.as_str() {
            "" => write!(f, "line {}", self.line),
            section => write!(f, "line {}, section [{section}]", self.line),
        }
    }
}

/// What a TOML error says, without the value it stumbled over: a secret put in the wrong place stays unprinted.
pub fn describe(error: &toml::de::Error) -> String {
    let message = error.message();
    match message.rsplit_once(", expected ") {
        Some((found, expected)) if found.starts_with("invalid ") || found.starts_with("unknown variant") => {
            format!("expected {expected}")
        }
        _ => message.lines().next().unwrap_or_default().to_owned(),
    }
}

fn header_name(row: &str) -> String {
    row.trim().trim_start_matches('[').split(']').next().unwrap_or_default().trim().to_owned()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    trust_domain: Option<Spanned<String>>,
    #[serde(default)]
    binding: Vec<Row>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    identity: Spanned<String>,
    roles: Spanned<Vec<Spanned<String>>>,
    person: Option<Spanned<String>>,
}

impl Row {
    fn person(
        &self,
        at: &impl Fn(&Spanned<String>, String) -> BindingsError,
    ) -> Result<Option<PersonName>, BindingsError> {
        let read = |text: &Spanned<String>| text.get_ref().parse().map_err(|e| at(text, format!("person is {e}")));
        self.person.as_ref().map(read).transpose()
    }

    fn roles(&self, at: &impl Fn(&Spanned<String>, String) -> BindingsError) -> Result<Vec<RoleId>, BindingsError> {
        let mut roles = Vec::new();
        for name in self.roles.get_ref() {
            let role = RoleId::from_str(name.get_ref())
                .map_err(|_| at(name, format!("roles names no shipped role; choose from {}", shipped())))?;
            if roles.contains(&role) {
                return Err(at(name, format!("roles names {role} twice")));
            }
            roles.push(role);
        }
        if roles.is_empty() {
            return Err(at(&self.identity, "roles is empty; remove the entry or name a role".into()));
        }
        Ok(roles)
    }
}

fn shipped() -> String {
    RoleId::ALL.iter().map(|role| role.name()).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOUND: &str = "trust_domain = \"example.org\"\n\n[[binding]]\nidentity = \"spiffe://example.org/a\"\n\
                         roles = [\"service\", \"kyc\"]\n\n[[binding]]\nidentity = \"dns:B.example.org\"\nroles = [\"auditor\"]\n";

    #[test]
    fn a_bound_identity_has_its_roles_and_no_other_has_any() {
        let bindings = Bindings::parse(SOUND).unwrap();
        let roles = |name: &str| bindings.roles_of(&name.parse().unwrap()).to_vec();
        assert_eq!(roles("spiffe://example.org/a"), [RoleId::Service, RoleId::Kyc]);
        assert_eq!(roles("dns:b.example.org"), [RoleId::Auditor]);
        assert_eq!(roles("spiffe://example.org/b"), []);
        assert_eq!(bindings.trust_domain().unwrap().to_string(), "example.org");
        assert_eq!((bindings.len(), bindings.is_empty()), (2, false));
        assert!(Bindings::parse("").unwrap().is_empty());
    }

    #[test]
    fn several_identities_may_be_one_person_and_a_service_is_none() {
        let row =
            |name: &str, more: &str| format!("[[binding]]\nidentity = \"dns:{name}\"\nroles = [\"legal\"]\n{more}\n");
        let text = [row("a", "person = \"Kim\""), row("b", "person = \"Kim\""), row("c", "")].concat();
        let bindings = Bindings::parse(&text).unwrap();
        let person = |name: &str| bindings.person_of(&name.parse().unwrap()).cloned();
        assert!(person("dns:a").is_some() && person("dns:a") == person("dns:b"));
        assert_eq!((person("dns:c"), person("dns:d")), (None, None));
        assert!(!format!("{bindings:?}").contains("Kim"), "a name is not printed");
    }

    #[test]
    fn a_version_names_who_may_act_and_nobodys_name() {
        let row = |name: &str, roles: &str, more: &str| {
            format!("[[binding]]\nidentity = \"dns:{name}\"\nroles = {roles}\n{more}\n")
        };
        let version = |rows: &[String]| Bindings::parse(&rows.concat()).unwrap().version();
        let (kim, lee) = ("person = \"Kim\"", "person = \"Lee\"");
        let base = [row("a", "[\"legal\", \"kyc\"]", kim), row("b", "[\"kyc\"]", lee)];
        let same = ["# a remark\n".to_owned(), row("b", "[\"kyc\"]", lee), row("a", "[\"kyc\", \"legal\"]", kim)];
        assert_eq!(version(&base), version(&same));
        let renamed = [row("a", "[\"legal\", \"kyc\"]", lee), row("b", "[\"kyc\"]", kim)];
        assert_eq!(version(&base), version(&renamed), "who they are does not enter");
        for other in [
            vec![base[0].clone()],
            vec![row("a", "[\"legal\"]", kim), base[1].clone()],
            vec![row("c", "[\"legal\", \"kyc\"]", kim), base[1].clone()],
            vec![base[0].clone(), row("b", "[\"kyc\"]", kim)],
            vec![base[0].clone(), row("b", "[\"kyc\"]", "")],
            vec!["trust_domain = \"example.org\"\n".to_owned(), base[0].clone(), base[1].clone()],
        ] {
            assert_ne!(version(&base), version(&other));
        }
        assert!(version(&base).to_string().starts_with("bindings:"));
    }

    #[test]
    fn mistakes_are_refused_with_their_line() {
        let duplicate = format!("{SOUND}[[binding]]\nidentity = \"dns:b.EXAMPLE.org\"\nroles = [\"legal\"]\n");
        let row = |identity: &str, roles: &str| format!("[[binding]]\nidentity = \"{identity}\"\nroles = {roles}\n");
        for (text, expected) in [
            ("trust_domain = \"Example\"".to_owned(), "line 1: trust_domain is not a trust domain"),
            ("trust_domian = \"a\"".to_owned(), "line 1: unknown field `trust_domian`"),
            ("x = [".to_owned(), "line 1: "),
            (duplicate, "line 11, section [binding]: identity is bound twice"),
            (row("spiffe://example.org/a", "[\"kyc\"]"), "line 2, section [binding]: identity is not in trust_domain"),
            (row("example.org", "[\"kyc\"]"), "line 2, section [binding]: identity is not a service identity"),
            (row("dns:a", "[\"root\"]"), "line 3, section [binding]: roles names no shipped role"),
            (row("dns:a", "[\"kyc\", \"kyc\"]"), "line 3, section [binding]: roles names kyc twice"),
            (row("dns:a", "[]"), "line 2, section [binding]: roles is empty"),
            (row("dns:a", "\"s3cret\""), "line 3, section [binding]: expected a sequence"),
            (row("dns:a", "[\"kyc\"]\nrole = 1"), "line 4, section [binding]: unknown field `role`"),
            (row("dns:a", "[\"kyc\"]\nperson = \" Kim\""), "line 4, section [binding]: person is not a name"),
            (
                row("dns:a", "[\"kyc\"]\nperson = \"Kim\"") + &row("dns:b", "[\"kyc\"]\nperson = \"KIM\""),
                "line 8, section [binding]: person is spelt in two ways",
            ),
            ("[[binding]]\nidentity = \"dns:a\"\n".to_owned(), "line 1, section [binding]: missing field `roles`"),
        ] {
            let error = Bindings::parse(&text).unwrap_err().to_string();
            assert!(error.starts_with(expected), "{error:?} should start with {expected:?}");
            assert!(!error.contains("s3cret"));
        }
    }
}
