//! From a verified client certificate to the service it names.

use std::net::SocketAddr;
use std::sync::Arc;

use arc_swap::ArcSwapOption;
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

use crate::base::time::Timestamp;
use crate::policy::bindings::Bindings;
use crate::policy::caller::{Caller, ServiceName, TrustDomain};

/// Why a verified certificate names no service we know how to trust.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    /// The certificate cannot be read.
    #[error("malformed certificate")]
    Malformed,
    /// It has neither a URI nor a DNS name.
    #[error("the certificate has no URI and no DNS name")]
    NoName,
    /// More than one URI: a SPIFFE certificate has exactly one (X.509-SVID, section 2).
    #[error("the certificate has more than one URI")]
    SeveralUris,
    /// Its URI is no SPIFFE ID, or its DNS name no host name.
    #[error("the certificate's name is not a service identity")]
    NotAnIdentity,
    /// Its trust domain is not the pinned one, or none is pinned.
    #[error("the certificate's trust domain is not the pinned one")]
    WrongTrustDomain,
}

/// What a certificate says about its holder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The service.
    pub name: ServiceName,
    /// When the certificate stops being valid.
    pub expires: Timestamp,
}

impl Identity {
    /// Reads the name from a certificate whose signature, time and usage TLS has already verified: the one SPIFFE
    /// URI in the pinned trust domain; the first DNS name only if there is no URI at all.
    ///
    /// # Errors
    /// [`IdentityError`].
    pub fn of(der: &[u8], trust_domain: Option<&TrustDomain>) -> Result<Self, IdentityError> {
        let (rest, certificate) = X509Certificate::from_der(der).map_err(|_| IdentityError::Malformed)?;
        if !rest.is_empty() {
            return Err(IdentityError::Malformed);
        }
        let expires = certificate.validity().not_after.timestamp();
        let expires = Timestamp::from_millis(expires.saturating_mul(1000).saturating_add(999));
        let names = certificate.subject_alternative_name().map_err(|_| IdentityError::Malformed)?;
        let names = names.map_or(&[][..], |extension| &extension.value.general_names);
        if names.iter().any(|name| matches!(name, GeneralName::Invalid(..))) {
            return Err(IdentityError::Malformed);
        }
        let mut uris = names.iter().filter_map(|name| if let GeneralName::URI(uri) = name { Some(*uri) } else { None });
        let name = match (uris.next(), uris.next()) {
            (None, _) => first_dns_name(names)?,
            (Some(uri), None) => spiffe_name(uri, trust_domain)?,
            (Some(_), Some(_)) => return Err(IdentityError::SeveralUris),
        };
        Ok(Self { name, expires })
    }
}

fn spiffe_name(uri: &str, trust_domain: Option<&TrustDomain>) -> Result<ServiceName, IdentityError> {
    let name = ServiceName::from_spiffe(uri).map_err(|_| IdentityError::NotAnIdentity)?;
    match trust_domain {
        Some(domain) if name.is_in(domain) => Ok(name),
        _ => Err(IdentityError::WrongTrustDomain),
    }
}

fn first_dns_name(names: &[GeneralName<'_>]) -> Result<ServiceName, IdentityError> {
    let dns = |name: &GeneralName<'_>| if let GeneralName::DNSName(dns) = name { Some(dns.to_string()) } else { None };
    let name = names.iter().find_map(dns).ok_or(IdentityError::NoName)?;
    ServiceName::from_dns(&name).map_err(|_| IdentityError::NotAnIdentity)
}

/// Why a connection's peer may not call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PeerError {
    /// The connection carries no certificate (operations on loopback in `dev`).
    #[error("the connection carries no client certificate")]
    NoCertificate,
    /// The certificate was valid when the connection began and no longer is.
    #[error("the client certificate has expired")]
    Expired,
}

/// The other end of a connection; every request carries it as an extension. Cheap to clone.
#[derive(Clone)]
pub struct Peer(Arc<PeerState>);

struct PeerState {
    identity: Option<Identity>,
    /// As text: every call records it.
    address: Arc<str>,
    bound: ArcSwapOption<Bound>,
}

/// A caller as one version of the bindings sees it.
struct Bound {
    bindings: Arc<Bindings>,
    caller: Arc<Caller>,
}

impl Peer {
    /// A peer that presented a certificate, or none on a plain connection.
    pub fn new(address: SocketAddr, identity: Option<Identity>) -> Self {
        let address = address.to_string().into();
        Self(Arc::new(PeerState { identity, address, bound: ArcSwapOption::empty() }))
    }

    /// The service at the other end, if it presented a certificate.
    pub fn name(&self) -> Option<&ServiceName> {
        self.0.identity.as_ref().map(|identity| &identity.name)
    }

    /// Where the connection comes from. Not to be logged: it belongs into sealed detail only.
    pub fn address(&self) -> Arc<str> {
        self.0.address.clone()
    }

    /// The caller with its roles under these bindings, remembered until other bindings come.
    ///
    /// # Errors
    /// [`PeerError`]; a service that nobody bound is no error here but holds no role.
    pub fn caller(&self, bindings: &Arc<Bindings>, now: Timestamp) -> Result<Arc<Caller>, PeerError> {
        let identity = self.0.identity.as_ref().ok_or(PeerError::NoCertificate)?;
        if now > identity.expires {
            return Err(PeerError::Expired);
        }
        // The remembered bindings are kept alive here, so an equal address means the same bindings.
        if let Some(bound) = &*self.0.bound.load()
            && Arc::ptr_eq(&bound.bindings, bindings)
        {
            return Ok(bound.caller.clone());
        }
        let roles = bindings.roles_of(&identity.name).to_vec();
        let person = bindings.person_of(&identity.name).cloned();
        let caller = Arc::new(Caller { identity: identity.name.clone(), roles, person });
        self.0.bound.store(Some(Arc::new(Bound { bindings: bindings.clone(), caller: caller.clone() })));
        Ok(caller)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::caller::RoleId;
    use crate::server::certs::Authority;
    use rcgen::SanType;

    fn identity(names: &[SanType], domain: Option<&str>) -> Result<String, IdentityError> {
        let now = Timestamp::from_millis(1_700_000_000_000);
        let mut params = Authority::client_params("unused", now).unwrap();
        params.subject_alt_names = names.to_vec();
        let der = Authority::make(now).unwrap().issue(&params).unwrap().certificate;
        let domain = domain.map(|text| text.parse().unwrap());
        Identity::of(&der, domain.as_ref()).map(|identity| identity.name.to_string())
    }

    #[test]
    fn one_name_is_chosen_or_the_certificate_is_refused() {
        let uri = |text: &str| SanType::URI(text.try_into().unwrap());
        let dns = |text: &str| SanType::DnsName(text.try_into().unwrap());
        let mail = SanType::Rfc822Name("a@example.org".try_into().unwrap());
        let a = || uri("spiffe://example.org/a");
        for (names, domain, expected) in [
            (vec![a()], Some("example.org"), Ok("spiffe://example.org/a")),
            (vec![dns("b.example.org"), a()], Some("example.org"), Ok("spiffe://example.org/a")),
            (vec![mail.clone(), dns("B.example.org"), dns("c.example.org")], None, Ok("dns:b.example.org")),
            (vec![dns("b.example.org"), a()], Some("example.com"), Err(IdentityError::WrongTrustDomain)),
            (vec![dns("b.example.org"), a()], None, Err(IdentityError::WrongTrustDomain)),
            (vec![a(), a()], Some("example.org"), Err(IdentityError::SeveralUris)),
            (vec![a(), uri("https://example.org")], Some("example.org"), Err(IdentityError::SeveralUris)),
            (vec![uri("https://example.org/a"), dns("b")], Some("example.org"), Err(IdentityError::NotAnIdentity)),
            (vec![dns("*.example.org")], None, Err(IdentityError::NotAnIdentity)),
            (vec![mail], None, Err(IdentityError::NoName)),
            (vec![], None, Err(IdentityError::NoName)),
        ] {
            assert_eq!(identity(&names, domain), expected.map(str::to_owned), "{names:?} {domain:?}");
        }
    }

    #[test]
    fn malformed_certificates_are_refused() {
        for der in [&[][..], b"\x30\x03abc", &[0xff; 64]] {
            assert_eq!(Identity::of(der, None), Err(IdentityError::Malformed));
        }
    }

    #[test]
    fn roles_follow_the_bindings_and_end_with_the_certificate() {
        let at = Timestamp::from_millis;
        let name: ServiceName = "dns:a".parse().unwrap();
        let peer = Peer::new(([127, 0, 0, 1], 1).into(), Some(Identity { name, expires: at(10) }));
        let bind = |role: &str| {
            let text = format!("[[binding]]\nidentity = \"dns:a\"\nroles = [\"{role}\"]");
            Arc::new(Bindings::parse(&text).unwrap())
        };
        let (kyc, legal, nobody) = (bind("kyc"), bind("legal"), Arc::new(Bindings::parse("").unwrap()));
        assert_eq!(peer.caller(&kyc, at(9)).unwrap().roles, [RoleId::Kyc]);
        let again = peer.caller(&kyc, at(10)).unwrap();
        assert!(Arc::ptr_eq(&again, &peer.caller(&kyc, at(10)).unwrap()), "remembered");
        assert_eq!(peer.caller(&legal, at(10)).unwrap().roles, [RoleId::Legal]);
        assert_eq!(peer.caller(&nobody, at(10)).unwrap().roles, []);
        assert_eq!(peer.caller(&kyc, at(11)), Err(PeerError::Expired));
        let plain = Peer::new(([127, 0, 0, 1], 1).into(), None);
        assert_eq!(plain.caller(&kyc, at(0)), Err(PeerError::NoCertificate));
    }
}
