//! Everything that decides about access, as one state with a version.

use super::decide::Decisions;
use super::policies::{Policies, PolicyError};
use crate::base::id::PolicyVersion;
use crate::catalog::registry::{Registry, RegistryError};
use crate::crypto::hash::sha256;

/// The registry and the policies in force, and the version that entries of the audit log name.
pub struct Rules {
    registry: Registry,
    policies: Policies,
    version: PolicyVersion,
    decisions: Decisions,
}

/// Why rules were not loaded. Quotes files of the operator's, which hold nothing personal.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RulesError {
    /// The catalog.
    #[error("the catalog: {0}")]
    Registry(#[from] RegistryError),
    /// The policies.
    #[error("the policies: {0}")]
    Policies(#[from] PolicyError),
}

impl Rules {
    /// Reads a catalog, and policies by name and content.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn load(catalog: &str, policies: &[(String, String)]) -> Result<Self, RulesError> {
        let registry = Registry::parse(catalog)?;
        let loaded = Policies::load(&registry, policies)?;
        let texts = policies.iter().flat_map(|(name, text)| [name.as_bytes(), text.as_bytes()]);
        let framed: Vec<Vec<u8>> = std::iter::once(catalog.as_bytes())
            .chain(texts)
            .map(|text| [&(text.len() as u64).to_be_bytes(), text].concat())
            .collect();
        let framed: Vec<&[u8]> = framed.iter().map(Vec::as_slice).collect();
        let mut version = PolicyVersion::default();
        version.copy_from_slice(&sha256(&framed)[..8]);
        Ok(Self { registry, policies: loaded, version, decisions: Decisions::default() })
    }

    /// The catalog and the policies that a vault is made with.
    ///
    /// # Errors
    /// None with the shipped files; a test holds that.
    pub fn shipped() -> Result<Self, RulesError> {
        let policies = [("roles.cedar".to_owned(), super::policies::DEFAULT.to_owned())];
        Self::load(crate::catalog::registry::DEFAULT, &policies)
    }

    /// Purposes, classes and caps.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// The policies.
    pub fn policies(&self) -> &Policies {
        &self.policies
    }

    /// Names this state.
    pub fn version(&self) -> PolicyVersion {
        self.version
    }

    pub(super) fn decisions(&self) -> &Decisions {
        &self.decisions
    }
}
