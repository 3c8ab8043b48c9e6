//! For whom a call acts: both parties are known before anything is decided.

use super::call::CallRequest;
use super::end_users::Presented;
use super::refusal::{Access, EndUserFault, Refusal};
use super::vault::Vault;
use crate::audit::detail::DetailKeys;
use crate::audit::event::SubjectToken;
use crate::base::id::SubjectId;
use crate::bearer::check::Person;
use crate::catalog::text::Text;
use crate::policy::action::Action;
use crate::policy::caller::RoleId;

/// A person's record: its id, and the keys of its entries in the log; none if there is no such person here.
pub type FindPerson = fn(&Vault, &Text) -> Result<Option<(SubjectId, DetailKeys)>, Refusal>;

/// The record of the person for whom a call acts.
#[derive(Clone, Copy)]
pub(super) struct Own {
    /// None if they have none here: then nothing is their own.
    pub(super) subject: Option<SubjectId>,
}

/// A person who was verified.
pub(super) struct Speaking {
    pub(super) person: Person,
    pub(super) own: Own,
    /// The person's pseudonym in the log; none if the vault has no record of them.
    pub(super) token: Option<SubjectToken>,
}

impl Vault {
    /// Whom a call acts for, and why it is refused for that. Only the role `subject` acts for anybody, and does nothing
    /// else: a token that comes with another role is refused, so that it never widens what a service may do.
    pub(super) async fn speaking(&self, request: &CallRequest) -> (Option<Speaking>, Option<Refusal>) {
        let acting = request.caller.as_ref().and_then(|caller| caller.acting(&request.role).ok());
        match (acting, &request.token) {
            // Refused for something else: a token is not looked at for those who may not use one.
            (None, _) => (None, None),
            (Some(_), _) if request.malformed.is_some() => (None, None),
            (Some(RoleId::Subject), presented) => match self.identify(request, presented).await {
                Ok(speaking) if needs_fresh_token(request.action) && !speaking.person.is_fresh(self.now()) => {
                    (Some(speaking), Some(refused(EndUserFault::Stale)))
                }
                Ok(speaking) => (Some(speaking), None),
                Err(refusal) => (None, Some(refusal)),
            },
            (Some(_), Presented::Nothing) => (None, None),
            (Some(_), Presented::Unreadable | Presented::Token(_)) => (None, Some(refused(EndUserFault::OtherRole))),
        }
    }

    async fn identify(&self, request: &CallRequest, presented: &Presented) -> Result<Speaking, Refusal> {
        let person = self.end_users.person(presented, &*self.clock).await?;
        let found = (request.find_person)(self, person.external_id())?;
        let token = found.as_ref().map(|(_, keys)| keys.token(self.now()));
        Ok(Speaking { person, own: Own { subject: found.map(|(subject, _)| subject) }, token })
    }
}

/// What cannot be undone, or gives everything away at once.
fn needs_fresh_token(action: Action) -> bool {
    matches!(action, Action::EraseSubject | Action::ExportSubject)
}

fn refused(fault: EndUserFault) -> Refusal {
    Access::EndUser(fault).into()
}
