//! One question about access: everything that a rule can read, and nothing else. Equal questions have equal answers,
//! which is what makes caching exact.

use std::sync::Arc;

use super::action::Action;
use super::caller::{RoleId, ServiceName};
use crate::catalog::class::ClassId;
use crate::catalog::purpose::PurposeId;

/// May this caller, in this role, for this purpose, do this to that?
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Question {
    /// Who.
    pub caller: ServiceName,
    /// In which role.
    pub role: RoleId,
    /// For which purpose.
    pub purpose: PurposeId,
    /// What.
    pub action: Action,
    /// Whether the call states a ticket.
    pub ticket: bool,
    /// To what.
    pub resource: Resource,
}

/// What a call is about.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Resource {
    /// The vault itself.
    Vault,
    /// A person as such.
    Subject(Standing),
    /// Items of a class of a person.
    Data {
        /// The class.
        class: ClassId,
        /// The person's.
        standing: Standing,
        /// Whether the person objects to the call's purpose for this class.
        objected: bool,
        /// Whether only a hold or a statutory period keeps it.
        kept: bool,
    },
}

impl Resource {
    /// The class of the items it is about.
    pub fn class(&self) -> Option<ClassId> {
        match self {
            Self::Vault | Self::Subject(_) => None,
            Self::Data { class, .. } => Some(*class),
        }
    }

    /// The labels of the person it is about.
    pub fn labels(&self) -> &[(String, String)] {
        match self {
            Self::Vault => &[],
            Self::Subject(standing) | Self::Data { standing, .. } => &standing.labels,
        }
    }

    /// The same of a person without labels.
    pub fn without_labels(&self) -> Self {
        let bare = |standing: &Standing| Standing { labels: Arc::default(), ..*standing };
        match self {
            Self::Vault => Self::Vault,
            Self::Subject(standing) => Self::Subject(bare(standing)),
            Self::Data { class, standing, objected, kept } => {
                Self::Data { class: *class, standing: bare(standing), objected: *objected, kept: *kept }
            }
        }
    }
}

/// What rules may know of a person.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Standing {
    /// Labels, by name.
    pub labels: Arc<[(String, String)]>,
    /// Whether processing is restricted.
    pub restricted: bool,
    /// Whether the call acts for this very person, by their token.
    pub own: bool,
}

impl Standing {
    /// What is asked about where no person is known yet: for the role that acts for people, the person's own.
    pub fn blank(role: RoleId) -> Self {
        Self { own: role == RoleId::Subject, ..Self::default() }
    }
}
