//! A verified identity and the roles it holds.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::base::limits::{IDENTITY_BYTES_MAX, PERSON_NAME_BYTES_MAX};
use crate::base::log_safe::LogSafe;

/// Longest trust domain, in bytes (the SPIFFE ID specification, section 2.1).
const TRUST_DOMAIN_BYTES_MAX: usize = 255;
/// Longest DNS name and longest label in it, in bytes (RFC 1035, section 2.3.4).
const DNS_BYTES_MAX: usize = 253;
const DNS_LABEL_BYTES_MAX: usize = 63;

/// The text is not a service identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a service identity: write spiffe://trust-domain/path or dns:name")]
pub struct Malformed;

/// The text is not a trust domain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a trust domain: use lower-case letters, digits, dots, dashes and underscores")]
pub struct MalformedTrustDomain;

/// The SPIFFE trust domain whose identities are believed, such as `example.org`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustDomain(String);

impl FromStr for TrustDomain {
    type Err = MalformedTrustDomain;

    fn from_str(text: &str) -> Result<Self, MalformedTrustDomain> {
        let allowed = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || b".-_".contains(&c);
        if text.is_empty() || text.len() > TRUST_DOMAIN_BYTES_MAX || !text.bytes().all(allowed) {
            return Err(MalformedTrustDomain);
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for TrustDomain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The verified identity of a service: a SPIFFE ID or a DNS name, in its one canonical spelling.
///
/// It names a program of the operator, never a person, and holds no character that could break a log line.
/// Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServiceName(Arc<str>);

impl ServiceName {
    /// From the URI in a certificate, such as `spiffe://example.org/checkout`.
    ///
    /// # Errors
    /// Anything that is not a SPIFFE ID with a path (SPIFFE ID specification, section 2).
    pub fn from_spiffe(uri: &str) -> Result<Self, Malformed> {
        if uri.len() > IDENTITY_BYTES_MAX {
            return Err(Malformed);
        }
        let (domain, path) = uri.strip_prefix("spiffe://").and_then(|rest| rest.split_once('/')).ok_or(Malformed)?;
        domain.parse::<TrustDomain>().map_err(|_| Malformed)?;
        let allowed = |c: u8| c.is_ascii_alphanumeric() || b".-_".contains(&c);
        let sound = |segment: &str| !matches!(segment, "" | "." | "..") && segment.bytes().all(allowed);
        if path.split('/').all(sound) { Ok(Self(uri.into())) } else { Err(Malformed) }
    }

    /// From a DNS name in a certificate. Case does not matter; a wildcard names nobody and is refused.
    ///
    /// # Errors
    /// Anything that is not a host name of letters, digits and dashes.
    pub fn from_dns(name: &str) -> Result<Self, Malformed> {
        let allowed = |c: u8| c.is_ascii_alphanumeric() || b"-_".contains(&c);
        let sound = |label: &str| {
            (1..=DNS_LABEL_BYTES_MAX).contains(&label.len())
                && label.bytes().all(allowed)
                && !label.starts_with('-')
                && !label.ends_with('-')
        };
        if name.len() > DNS_BYTES_MAX || !name.split('.').all(sound) {
            return Err(Malformed);
        }
        Ok(Self(format!("dns:{}", name.to_ascii_lowercase()).into()))
    }

    /// Whether it is a SPIFFE ID of this trust domain.
    pub fn is_in(&self, domain: &TrustDomain) -> bool {
        self.spiffe_domain() == Some(&domain.0)
    }

    /// Whether it is a SPIFFE ID.
    pub fn is_spiffe(&self) -> bool {
        self.spiffe_domain().is_some()
    }

    /// The text, in its one spelling.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn spiffe_domain(&self) -> Option<&str> {
        self.0.strip_prefix("spiffe://")?.split('/').next()
    }
}

impl FromStr for ServiceName {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        text.strip_prefix("dns:").map_or_else(|| Self::from_spiffe(text), Self::from_dns)
    }
}

impl fmt::Display for ServiceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl LogSafe for ServiceName {}
impl LogSafe for TrustDomain {}

/// The name of a person who operates the vault, as `bindings.toml` has it. Cheap to clone.
///
/// INVARIANT: it is written only sealed and printed nowhere: the log knows the person by a random id.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct PersonName(Arc<str>);

/// The text is not a person's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a name: write 1 to 128 bytes without line breaks, and no space before or after")]
pub struct MalformedPersonName;

impl PersonName {
    /// The name, to be sealed or compared.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether two spellings differ in case alone, which is more likely one person than two.
    pub fn is_misspelt(&self, other: &Self) -> bool {
        self != other && self.0.to_lowercase() == other.0.to_lowercase()
    }
}

impl FromStr for PersonName {
    type Err = MalformedPersonName;

    fn from_str(text: &str) -> Result<Self, MalformedPersonName> {
        let sound = (1..=PERSON_NAME_BYTES_MAX).contains(&text.len()) && text.trim() == text;
        if sound && !text.chars().any(char::is_control) { Ok(Self(text.into())) } else { Err(MalformedPersonName) }
    }
}

impl fmt::Debug for PersonName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PersonName")
    }
}

/// The text names no shipped role.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no such role")]
pub struct UnknownRole;

macro_rules! roles {
    ($($(#[$doc:meta])* $role:ident = $name:literal;)*) => {
        /// A shipped role: what a caller may do. The list is closed.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum RoleId { $($(#[$doc])* $role,)* }

        impl RoleId {
            /// Every role, in the order of the documentation.
            pub const ALL: &[RoleId] = &[$(RoleId::$role,)*];

            /// Its name in configuration, in calls and in the audit log.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$role => $name,)* }
            }
        }
    };
}

roles! {
    /// A product service: per class and purpose.
    Service = "service";
    /// The support desk: masked views.
    Support = "support";
    /// Identity verification.
    Kyc = "kyc";
    /// Billing.
    Billing = "billing";
    /// The privacy officer: requests, exports, erasure, notices.
    PrivacyOfficer = "privacy-officer";
    /// Legal: matters, holds, and what is kept after an erasure.
    Legal = "legal";
    /// Rotates keys and never reads values.
    KeyAdmin = "key-admin";
    /// Reads the audit log only.
    Auditor = "auditor";
    /// Watches over the audit log from outside: checkpoints, tiles and leaves, and nothing that is sealed.
    Monitor = "monitor";
    /// Status and backup.
    Operator = "operator";
    /// A person, for the own record only and with an end-user token.
    Subject = "subject";
}

impl FromStr for RoleId {
    type Err = UnknownRole;

    fn from_str(text: &str) -> Result<Self, UnknownRole> {
        Self::ALL.iter().copied().find(|role| role.name() == text).ok_or(UnknownRole)
    }
}

impl fmt::Display for RoleId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl LogSafe for RoleId {}

/// Why no role can act in a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RoleError {
    /// The call names no role, and the caller holds several.
    #[error("the call must name one of the caller's roles")]
    RoleRequired,
    /// The caller does not hold the role, or holds none at all, or there is no such role.
    #[error("the caller does not hold the role")]
    RoleNotHeld,
}

/// A verified identity and the roles it is bound to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// Who calls.
    pub identity: ServiceName,
    /// What it is bound to; empty for a service nobody has bound, which may therefore do nothing.
    pub roles: Vec<RoleId>,
    /// The person who holds it; none for a service.
    pub person: Option<PersonName>,
}

impl Caller {
    /// The one role that acts in a call. The name may be empty only if the caller holds exactly one role.
    ///
    /// # Errors
    /// [`RoleError`]; an unknown role and one that is not held look alike.
    pub fn acting(&self, requested: &str) -> Result<RoleId, RoleError> {
        match (requested, self.roles.as_slice()) {
            (_, []) => Err(RoleError::RoleNotHeld),
            ("", [only]) => Ok(*only),
            ("", _) => Err(RoleError::RoleRequired),
            (name, held) => held.iter().copied().find(|role| role.name() == name).ok_or(RoleError::RoleNotHeld),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identities_have_one_spelling() {
        for text in
            ["spiffe://example.org/checkout", "spiffe://a_b-c.1/ns/Prod/sa/x.y", "dns:api.example.com", "dns:api"]
        {
            assert_eq!(text.parse::<ServiceName>().unwrap().to_string(), text);
        }
        assert_eq!("dns:API.Example.com".parse::<ServiceName>(), "dns:api.example.com".parse());
    }

    #[test]
    fn other_identities_are_refused() {
        let long_path = format!("spiffe://example.org/{}", "a".repeat(IDENTITY_BYTES_MAX));
        let long_name = format!("dns:{}", ["a"; 200].join("."));
        for text in [
            "",
            "spiffe://",
            "spiffe://example.org",
            "spiffe://example.org/",
            "spiffe:///checkout",
            "SPIFFE://a/b",
            "spiffe://Example.org/a",
            "spiffe://example.org:80/a",
            "spiffe://user@example.org/a",
            "spiffe://a/b//c",
            "spiffe://a/../b",
            "spiffe://a/b/",
            "spiffe://a/b?c",
            "spiffe://a/b#c",
            "spiffe://a/%41",
            "spiffe://a/b\nc",
            "https://example.org/a",
            "example.org",
            "dns:",
            "dns:*.example.com",
            "dns:a..b",
            "dns:-a",
            "dns:a-",
            "dns:a b",
            "dns:a.",
            "dns:bücher.example",
            &long_path,
            &long_name,
        ] {
            assert_eq!(text.parse::<ServiceName>(), Err(Malformed), "{text}");
        }
    }

    #[test]
    fn a_trust_domain_is_compared_whole() {
        let name: ServiceName = "spiffe://example.org/a".parse().unwrap();
        assert!(name.is_in(&"example.org".parse().unwrap()));
        for other in ["example.or", "example.org.evil", "org"] {
            assert!(!name.is_in(&other.parse().unwrap()), "{other}");
        }
        let dns: ServiceName = "dns:example.org".parse().unwrap();
        assert!(!dns.is_in(&"example.org".parse().unwrap()) && !dns.is_spiffe());
    }

    #[test]
    fn every_role_has_its_own_name() {
        for role in RoleId::ALL {
            assert_eq!(role.to_string().parse(), Ok(*role));
        }
        assert_eq!("Service".parse::<RoleId>(), Err(UnknownRole));
        assert_eq!(RoleId::ALL.len(), 11);
    }

    #[test]
    fn exactly_one_role_acts() {
        let caller =
            |roles: &[RoleId]| Caller { identity: "dns:a".parse().unwrap(), roles: roles.to_vec(), person: None };
        let (one, two) = (caller(&[RoleId::Kyc]), caller(&[RoleId::Kyc, RoleId::Legal]));
        assert_eq!(one.acting(""), Ok(RoleId::Kyc));
        assert_eq!(one.acting("kyc"), Ok(RoleId::Kyc));
        assert_eq!(two.acting("legal"), Ok(RoleId::Legal));
        assert_eq!(two.acting(""), Err(RoleError::RoleRequired));
        for (caller, role) in [(&one, "legal"), (&one, "root"), (&two, "KYC"), (&two, " kyc"), (&caller(&[]), "")] {
            assert_eq!(caller.acting(role), Err(RoleError::RoleNotHeld), "{role}");
        }
    }
}
