//! Everything that decides about access, as one state with a version.

use crate::base::id::PolicyVersion;
use crate::catalog::registry::{Registry, RegistryError};
use crate::crypto::hash::sha256;

/// The registry in force, and the version that entries of the audit log name.
pub struct Rules {
    registry: Registry,
    version: PolicyVersion,
}

impl Rules {
    /// Reads a registry.
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    pub fn load(catalog: &str) -> Result<Self, RegistryError> {
        let mut version = PolicyVersion::default();
        version.copy_from_slice(&sha256(&[catalog.as_bytes()])[..8]);
        Ok(Self { registry: Registry::parse(catalog)?, version })
    }

    /// Purposes, classes and caps.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// Names this state.
    pub fn version(&self) -> PolicyVersion {
        self.version
    }
}
