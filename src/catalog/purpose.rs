//! Purposes: why data is processed, and how far that reaches.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::Deserialize;

use super::class::ClassId;
use super::period::Period;
use super::sight::FieldCaps;
use super::view::View;
use crate::base::log_safe::LogSafe;

/// The id of a purpose.
///
/// INVARIANT: only a registry makes one, from its own ids, so it holds nothing personal and may be logged.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PurposeId(Arc<str>);

impl PurposeId {
    pub(super) fn new(id: &str) -> Self {
        Self(id.into())
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for PurposeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl LogSafe for PurposeId {}

/// What makes processing lawful: GDPR article 6(1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LegalBasis {
    /// Point (a): the person consented.
    Consent,
    /// Point (b): a contract with the person.
    Contract,
    /// Point (c): an obligation by law.
    LegalObligation,
    /// Point (d): somebody's life.
    VitalInterests,
    /// Point (e): a task in the public interest.
    PublicTask,
    /// Point (f): interests that outweigh the person's.
    LegitimateInterests,
}

impl LegalBasis {
    /// Every basis, in the order of the article.
    pub const ALL: [Self; 6] = [
        Self::Consent,
        Self::Contract,
        Self::LegalObligation,
        Self::VitalInterests,
        Self::PublicTask,
        Self::LegitimateInterests,
    ];

    /// Its id in the registry and in item metadata.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Consent => "consent",
            Self::Contract => "contract",
            Self::LegalObligation => "legal_obligation",
            Self::VitalInterests => "vital_interests",
            Self::PublicTask => "public_task",
            Self::LegitimateInterests => "legitimate_interests",
        }
    }

    /// The basis of that id.
    pub fn parse(id: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|basis| basis.as_str() == id)
    }
}

impl fmt::Display for LegalBasis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl LogSafe for LegalBasis {}

/// Why data is processed.
pub struct Purpose {
    /// Its id.
    pub id: PurposeId,
    /// What it is, for people.
    pub description: String,
    /// What makes it lawful.
    pub legal_basis: LegalBasis,
    /// The longest that an item may be kept for it.
    pub keep_max: Period,
    /// The highest view of each class under it. A class that is not here may not be processed for it.
    pub(super) caps: BTreeMap<ClassId, View>,
    /// Lower views of single fields of a class.
    pub(super) fields: BTreeMap<ClassId, FieldCaps>,
}
